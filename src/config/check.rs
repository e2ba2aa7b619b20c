//! From sections to a [`Config`], with everything that is wrong on the way.

use std::net::SocketAddr;

use super::cross;
use super::fault::{Fault, MAX_FAULTS, Severity, nearest, of_mwan3, shown};
use super::options::Kind;
use super::section::Known;
use super::uci::{self, Place, Section, SyntaxError};
use super::values::{Protocol, Target};
use super::{
    Attach, ClientConfig, Config, LastResort, LinkConfig, Main, Mode, OnDown, OnUp, PeerConfig, PolicyConfig,
    RuleConfig, SplitConfig, peer,
};
use crate::link::Marks;
use crate::split::{Ratio, Side, Split};
use crate::text::commas;
use crate::time::Span;

/// Documented at [`super::read`].
pub fn check(text: &str) -> Result<(Config, Vec<Fault>), Vec<Fault>> {
    let (sections, errors) = uci::parse(text);
    let mut all = All {
        // A lost header is a lost name: what refers to it is no further fault.
        complete: errors.is_empty(),
        faults: syntax_faults(errors),
        ..All::default()
    };
    all.sort(&sections);
    let no_main = Section {
        kind: Kind::Main.name().into(),
        name: Some("main".into()),
        place: Place { line: 1, column: 1 },
        entries: Vec::new(),
    };
    if all.mains.is_empty() {
        all.mains.push(Known::new(Kind::Main, &no_main, 0));
    }
    all.finish()
}

/// A section and what was read from it.
pub struct Read<'a, T> {
    pub known: Known<'a>,
    pub enabled: bool,
    pub config: T,
}

#[derive(Default)]
struct All<'a> {
    complete: bool,
    faults: Vec<Fault>,
    mains: Vec<Known<'a>>,
    links: Vec<Read<'a, LinkConfig>>,
    policies: Vec<Read<'a, PolicyConfig>>,
    rules: Vec<Read<'a, RuleConfig>>,
    splits: Vec<Read<'a, SplitConfig>>,
    peers: Vec<Read<'a, PeerConfig>>,
    clients: Vec<Read<'a, ClientConfig>>,
}

impl<'a> All<'a> {
    fn sort(&mut self, sections: &'a [Section]) {
        for section in sections {
            let Some(kind) = Kind::from_name(&section.kind) else {
                self.faults.push(unknown_kind(section));
                continue;
            };
            let index = match kind {
                Kind::Main => self.mains.len(),
                Kind::Link => self.links.len(),
                Kind::Policy => self.policies.len(),
                Kind::Rule => self.rules.len(),
                Kind::Split => self.splits.len(),
                Kind::Peer => self.peers.len(),
                Kind::Client => self.clients.len(),
            };
            let known = Known::new(kind, section, index);
            known.check(&mut self.faults);
            match kind {
                Kind::Main => self.mains.push(known),
                Kind::Link => self.links.push(read_as(known, link)),
                Kind::Policy => self.policies.push(read_as(known, policy)),
                Kind::Rule => self.rules.push(read_as(known, rule)),
                Kind::Split => self.splits.push(read_as(known, split)),
                Kind::Peer => self.peers.push(read_as(known, peer::peer)),
                Kind::Client => self.clients.push(read_as(known, peer::client)),
            }
        }
        peer::name_devices(self.peers.iter_mut().map(|peer| &mut peer.config));
    }

    fn finish(mut self) -> Result<(Config, Vec<Fault>), Vec<Fault>> {
        let main = self.mains.first().map_or_else(Main::default, main);
        let checks = cross::Checks {
            main: &main,
            mains: &self.mains,
            links: &self.links,
            policies: &self.policies,
            rules: &self.rules,
            splits: &self.splits,
            peers: &self.peers,
            clients: &self.clients,
            complete: self.complete,
        };
        checks.run(&mut self.faults);
        sort_faults(&mut self.faults);
        if self.faults.iter().any(|fault| fault.severity == Severity::Fault) {
            if self.faults.len() > MAX_FAULTS {
                self.faults.truncate(MAX_FAULTS);
                self.faults.push(Fault::of_file("there is more; put these right first"));
            }
            return Err(self.faults);
        }
        let links: Vec<LinkConfig> = enabled(self.links).collect();
        let names: Vec<String> = links.iter().map(|link| link.name.clone()).collect();
        let mut policies: Vec<PolicyConfig> = enabled(self.policies)
            .map(|mut policy| {
                if policy.mode == Mode::Aggregate {
                    policy.link = policy.peer.iter().cloned().collect();
                } else if !policy.mode.uses_links() {
                    policy.link.clear();
                } else if policy.link.is_empty() {
                    policy.link = names.clone();
                } else {
                    policy.link.retain(|name| names.contains(name));
                }
                policy
            })
            .collect();
        if policies.is_empty() {
            policies.push(PolicyConfig { link: names, ..PolicyConfig::default() });
        }
        let (rules, splits) = (enabled(self.rules).collect(), enabled(self.splits).collect());
        let mut peers: Vec<PeerConfig> = enabled(self.peers).collect();
        for client in enabled(self.clients) {
            if let Some(peer) = peers.iter_mut().find(|peer| peer.name == client.peer) {
                peer.remotes.push(client.remote);
            }
        }
        Ok((Config { main, links, policies, rules, splits, peers }, self.faults))
    }
}

fn enabled<T>(read: Vec<Read<'_, T>>) -> impl Iterator<Item = T> {
    read.into_iter().filter(|read| read.enabled).map(|read| read.config)
}

/// In the order of the file; what is about the whole of it comes last.
pub fn sort_faults(faults: &mut Vec<Fault>) {
    let line = |fault: &Fault| fault.line.unwrap_or(u32::MAX);
    // They are few, and almost in order: less code than to sort them.
    for at in 1..faults.len() {
        let fault = faults.remove(at);
        let before = faults.iter().take(at).rev().take_while(|before| line(before) > line(&fault)).count();
        faults.insert(at - before, fault);
    }
}

/// What is no UCI at all, as faults.
pub fn syntax_faults(errors: Vec<SyntaxError>) -> Vec<Fault> {
    errors.into_iter().map(syntax_fault).collect()
}

fn syntax_fault(error: SyntaxError) -> Fault {
    Fault {
        severity: Severity::Fault,
        line: Some(error.place.line),
        column: Some(error.place.column),
        section: None,
        option: None,
        text: error.text,
    }
}

/// A slip of the pen is a fault: without the section, the others seldom do what was meant.
fn unknown_kind(section: &Section) -> Fault {
    let kinds = Kind::ALL.map(Kind::name);
    let near = nearest(&section.kind, &kinds);
    let hint = match near {
        Some(near) => format!("did you mean '{near}'?"),
        None => of_mwan3(&section.kind).unwrap_or_else(|| format!("there are {}", commas(&kinds))),
    };
    let severity = if near.is_some() { Severity::Fault } else { Severity::Warning };
    Fault {
        severity,
        line: Some(section.place.line),
        column: None,
        section: None,
        option: None,
        text: format!("unknown section type {}; {hint}", shown(&section.kind)),
    }
}

fn read_as<'a, T>(known: Known<'a>, read: fn(&Known) -> T) -> Read<'a, T> {
    let config = read(&known);
    // A policy has no such option: it is used if something refers to it.
    let enabled = known.one("enabled").unwrap_or(true);
    Read { known, enabled, config }
}

// The fallbacks of `unwrap_or` below stand for options whose default the table lacks. A test compares them with it.

fn main(known: &Known) -> Main {
    let other = Main::default();
    Main {
        enabled: known.one("enabled").unwrap_or(other.enabled),
        log_level: known.one("log_level").unwrap_or(other.log_level),
        mark_mask: known.one("mark_mask").unwrap_or(other.mark_mask),
        local_traffic: known.one("local_traffic").unwrap_or(other.local_traffic),
        translate_ipv6: known.one("translate_ipv6").unwrap_or(other.translate_ipv6),
        lan_device: known.list("lan_device"),
        race_ports_udp: known.list("race_ports_udp"),
        hook: known.one("hook").unwrap_or(other.hook),
    }
}

impl Default for Main {
    fn default() -> Self {
        Main {
            enabled: true,
            log_level: log::LevelFilter::Info,
            mark_mask: Marks::default(),
            local_traffic: false,
            translate_ipv6: false,
            lan_device: Vec::new(),
            race_ports_udp: Vec::new(),
            hook: "/etc/cheaproute.user".into(),
        }
    }
}

fn link(known: &Known) -> LinkConfig {
    let attach = match known.one("device") {
        Some(device) => Attach::Device { device, gateway: known.one("gateway"), gateway6: known.one("gateway6") },
        None => Attach::Interface(known.one("interface").unwrap_or_else(|| known.name.clone())),
    };
    let (metered, probe): (bool, Vec<Target>) = (known.one("metered").unwrap_or(false), known.list("probe"));
    let usual = usual_interval(metered, &probe);
    let (loss_down, latency_down) = (known.one::<u16>("loss_down"), known.one::<Span>("latency_down"));
    LinkConfig {
        name: known.name.clone(),
        attach,
        prefix: known.list("prefix"),
        weight: known.one("weight").unwrap_or(1),
        metric: known.one("metric").unwrap_or(0),
        metered,
        handicap: known.one("handicap").unwrap_or(Span::ZERO),
        on_down: known.one("on_down").unwrap_or(OnDown::Reset),
        on_up: known.one("on_up").unwrap_or(OnUp::Keep),
        interval: known.one("interval").unwrap_or(usual),
        probe,
        timeout: known.one("timeout").unwrap_or(Span::from_secs(1)),
        down: known.one("down").unwrap_or(3),
        up: known.one("up").unwrap_or(3),
        reliability: known.one("reliability").unwrap_or(1),
        loss_limits: loss_down.map(|down| (down, known.one("loss_up").unwrap_or(down / 2))),
        latency_limits: latency_down
            .map(|down| (down, known.one("latency_up").unwrap_or(Span(down.as_micros() / 5 * 4)))),
    }
}

/// As the option table says. Three echoes a second are a few hundred bytes, and what it takes to know of a silent loss
/// within a second. A page costs its server a connection each; and on a metered link every byte costs money, while races
/// watch it as well.
fn usual_interval(metered: bool, probe: &[Target]) -> Span {
    match (metered, probe.iter().any(|target| matches!(target, Target::Http(_)))) {
        (true, _) => Span::from_secs(10),
        (false, true) => Span::from_secs(5),
        (false, false) => Span::from_millis(300),
    }
}

fn policy(known: &Known) -> PolicyConfig {
    let other = PolicyConfig::default();
    PolicyConfig {
        name: known.name.clone(),
        mode: known.one("mode").unwrap_or(other.mode),
        link: known.list("link"),
        peer: known.one("peer"),
        remember: known.one("remember").unwrap_or(other.remember),
        tie: known.one("tie").unwrap_or(other.tie),
        sticky: known.one("sticky").unwrap_or(other.sticky),
        last_resort: known.one("last_resort").unwrap_or(other.last_resort),
    }
}

/// The policy that there is when the file has none; its links are still to be filled in.
impl Default for PolicyConfig {
    fn default() -> Self {
        PolicyConfig {
            name: "fastest".into(),
            mode: Mode::Race,
            link: Vec::new(),
            peer: None,
            remember: Span::ZERO,
            tie: Span::from_millis(2),
            sticky: Span::ZERO,
            last_resort: LastResort::Default,
        }
    }
}

impl Mode {
    /// Whether connections leave by a link at all.
    pub const fn uses_links(self) -> bool {
        matches!(self, Mode::Race | Mode::Weighted | Mode::Failover)
    }
}

fn rule(known: &Known) -> RuleConfig {
    let proto: Vec<Option<Protocol>> = known.list("proto");
    RuleConfig {
        name: known.name.clone(),
        family: known.one("family").flatten(),
        proto: proto.into_iter().collect::<Option<_>>().unwrap_or_default(),
        src_ip: known.list("src_ip"),
        dest_ip: known.list("dest_ip"),
        src_port: known.list("src_port"),
        dest_port: known.list("dest_port"),
        src_device: known.one("src_device"),
        nftset: known.one("nftset"),
        policy: known.one("policy").unwrap_or_default(),
    }
}

fn split(known: &Known) -> SplitConfig {
    // What is required and missing is a fault by now; the file with it is not used.
    let nowhere = SocketAddr::from(([0; 4], 0));
    let split = Split {
        side: known.one("side").unwrap_or(Side::Sender),
        primary: known.one("primary").unwrap_or(nowhere),
        secondary: known.one("secondary").unwrap_or(nowhere),
        ratio: known.one("ratio").unwrap_or(Ratio { primary: 1, secondary: 1 }),
    };
    SplitConfig { name: known.name.clone(), split }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
