//! What only shows when options and sections are seen together.

use super::check::Read;
use super::fault::{Fault, MAX_FAULTS, nearest, shown};
use super::peer_check::{Peers, needs_links};
use super::section::Known;
use super::values::{Protocol, span_text};
use super::{
    Attach, ClientConfig, LastResort, LinkConfig, MAX_RULES, Main, Mode, PeerConfig, PolicyConfig, Role, RuleConfig,
    SplitConfig,
};
use crate::family::Family;
use crate::link::MAX_LINKS;
use crate::prefix::Prefix;
use crate::probe::MAX_TARGETS;
use crate::race::MAX_POLICIES;
use crate::split::{MAX_SPLITS, Side};
use crate::text::commas;
use crate::time::Span;

pub struct Checks<'c, 'a> {
    pub main: &'c Main,
    pub mains: &'c [Known<'a>],
    pub links: &'c [Read<'a, LinkConfig>],
    pub policies: &'c [Read<'a, PolicyConfig>],
    pub rules: &'c [Read<'a, RuleConfig>],
    pub splits: &'c [Read<'a, SplitConfig>],
    pub peers: &'c [Read<'a, PeerConfig>],
    pub clients: &'c [Read<'a, ClientConfig>],
    /// Every header could be read: a name that is not here is not in the file.
    pub complete: bool,
}

impl Checks<'_, '_> {
    pub fn run(&self, faults: &mut Vec<Fault>) {
        self.link_count(faults);
        for (index, link) in self.links.iter().enumerate() {
            attach(&link.known, faults);
            reliability(link, faults);
            limits(link, faults);
            if link.enabled {
                // Of three alike, the third has one fault, not two.
                let before = faults.len();
                for earlier in self.links.iter().take(index).filter(|earlier| earlier.enabled) {
                    if faults.len() == before {
                        apart(earlier, link, faults);
                    }
                }
            }
        }
        self.lan_devices(faults);
        for policy in self.policies {
            if faults.len() >= MAX_FAULTS {
                return;
            }
            self.policy(policy, faults);
        }
        let races = self.policies.iter().filter(|policy| policy.config.mode == Mode::Race);
        if let Some(policy) = races.clone().nth(MAX_POLICIES) {
            policy.known.fault_of(
                faults,
                "mode",
                format_args!("at most {MAX_POLICIES} policies can be of mode race; there are {}", races.count()),
            );
        }
        for rule in self.rules {
            if faults.len() >= MAX_FAULTS {
                return;
            }
            self.rule(rule, faults);
        }
        let used = self.rules.iter().filter(|rule| rule.enabled);
        if let Some(rule) = used.clone().nth(MAX_RULES) {
            rule.known.fault(
                faults,
                format_args!(
                    "at most {MAX_RULES} rules can be enabled; there are {}: put addresses into lists or an nftset",
                    used.count()
                ),
            );
        }
        self.catch_all(faults);
        self.splits(faults);
        let (links, peers, clients, complete) = (self.links, self.peers, self.clients, self.complete);
        Peers { links, peers, clients, complete }.run(faults);
    }

    fn link_count(&self, faults: &mut Vec<Fault>) {
        let used = self.links.iter().filter(|link| link.enabled);
        if let Some(link) = used.clone().nth(MAX_LINKS) {
            link.known.fault(
                faults,
                format_args!("at most {MAX_LINKS} links can be enabled; there are {}", used.clone().count()),
            );
        }
        // A server of peers, or two hosts on the same wires, need none.
        let mut peers = self.peers.iter().filter(|peer| peer.enabled).peekable();
        let without = peers.peek().is_some() && peers.all(|peer| !needs_links(&peer.config));
        if used.count() == 0 && self.main.enabled && self.complete && !without {
            let text = if self.links.is_empty() {
                "there is no link: add config link 'wan' with option interface 'wan' for each WAN"
            } else {
                "no link is enabled: set option enabled '1' in a link, or option enabled '0' in cheaproute 'main'"
            };
            faults.push(Fault::of_file(text));
        }
    }

    fn lan_devices(&self, faults: &mut Vec<Fault>) {
        let Some(known) = self.mains.first() else { return };
        for device in &self.main.lan_device {
            let same = |link: &&Read<LinkConfig>| link.enabled && link.config.attach.device() == Some(device);
            if let Some(link) = self.links.iter().find(same) {
                known.fault_at(
                    faults,
                    "lan_device",
                    device,
                    format_args!("{} is the device of link {}, not of clients", shown(device), shown(&link.known.name)),
                );
            }
        }
    }

    fn policy(&self, policy: &Read<PolicyConfig>, faults: &mut Vec<Fault>) {
        let Read { known, config, .. } = policy;
        let mut missing = !self.complete;
        for (index, name) in config.link.iter().enumerate() {
            let link = self.links.iter().find(|link| link.known.name == *name);
            if link.is_none() && self.complete {
                missing = true;
                known.fault_at(faults, "link", name, format_args!("{}", unknown("link", name, &names(self.links))));
            } else if config.link.iter().take(index).any(|earlier| earlier == name) {
                known.fault_at(faults, "link", name, format_args!("names {} twice", shown(name)));
            }
        }
        let is_used = |name: &String| self.links.iter().any(|link| link.enabled && link.known.name == *name);
        // Whoever names one that is off, and writes out what then decides, means that.
        let is_meant =
            config.link.len() == 1 && known.is_given("last_resort") && config.last_resort == LastResort::Default;
        let none = !config.link.is_empty() && !missing && !config.link.iter().any(is_used);
        if config.mode.uses_links() && none && !is_meant {
            known.warn_of(faults, "link", format_args!("all of its links are disabled: 'last_resort' decides"));
        }
        // mwan3's is yes or no.
        if config.sticky == Span::from_secs(1) && config.mode != Mode::Race {
            known.warn_of(faults, "sticky", format_args!("is a time, here of one second: write 600s, say"));
        }
        if known.is_sound("mode") {
            let unused: &[&str] = match config.mode {
                Mode::Race => &[],
                Mode::Weighted | Mode::Failover => &["remember", "tie"],
                Mode::Aggregate => &["link", "remember", "tie", "sticky"],
                Mode::Blackhole | Mode::Unreachable => &["link", "remember", "tie", "sticky", "last_resort"],
            };
            self.aggregate(policy, faults);
            for option in unused.iter().filter(|option| known.is_given(option)) {
                known.warn_of(faults, option, format_args!("has no effect in this policy's mode"));
            }
            if config.mode == Mode::Race && config.sticky > Span::ZERO {
                known.fault_of(
                    faults,
                    "sticky",
                    format_args!(
                        "a race decides each connection anew: set mode 'weighted' or 'failover' for sticky clients, \
                            or 'remember' for winners that are tried first"
                    ),
                );
            }
        }
    }

    /// Whom a policy in mode aggregate sends its connections to.
    fn aggregate(&self, policy: &Read<PolicyConfig>, faults: &mut Vec<Fault>) {
        let Read { known, config, .. } = policy;
        match &config.peer {
            Some(_) if config.mode != Mode::Aggregate => {
                known.warn_of(faults, "peer", format_args!("has no effect in this policy's mode"));
            }
            Some(name) if self.complete => match self.peers.iter().find(|peer| peer.known.name == *name) {
                None => known.fault_of(faults, "peer", format_args!("{}", unknown("peer", name, &names(self.peers)))),
                Some(peer) if peer.config.role == Role::Server => {
                    known.fault_of(
                        faults,
                        "peer",
                        format_args!(
                            "{} is of role server, which serves connections: name one of role client",
                            shown(name)
                        ),
                    );
                }
                Some(peer) if !peer.enabled => {
                    known.warn_of(faults, "peer", format_args!("is disabled: 'last_resort' decides"));
                }
                Some(_) => {}
            },
            None if config.mode == Mode::Aggregate && !known.is_given("peer") => {
                known.fault(
                    faults,
                    format_args!("option 'peer' is missing: mode aggregate needs the peer that the connections go to"),
                );
            }
            _ => {}
        }
    }

    fn rule(&self, rule: &Read<RuleConfig>, faults: &mut Vec<Fault>) {
        let Read { known, config, .. } = rule;
        let implicit = self.policies.is_empty() && config.policy == PolicyConfig::default().name;
        if known.is_given("policy") && known.is_sound("policy") && self.complete && !implicit {
            let name = config.policy.as_str();
            let policies = names(self.policies);
            if !policies.contains(&name) {
                known.fault_of(faults, "policy", format_args!("{}", unknown("policy", name, &policies)));
            }
        }
        let proto: Vec<Option<Protocol>> = known.list("proto");
        if known.is_sound("proto") {
            if proto.len() > 1 && proto.contains(&None) {
                known.fault_of(faults, "proto", format_args!("'all' stands alone; leave out the others, or 'all'"));
            } else if proto.is_empty()
                || !proto.iter().all(|proto| matches!(proto, Some(Protocol::Tcp | Protocol::Udp)))
            {
                for option in ["src_port", "dest_port"].iter().filter(|option| known.is_given(option)) {
                    known.fault_of(
                        faults,
                        option,
                        format_args!(
                            "only TCP and UDP have ports: add list proto 'tcp', list proto 'udp' or both, and no other"
                        ),
                    );
                }
            }
        }
        families(known, config, faults);
    }

    fn splits(&self, faults: &mut Vec<Fault>) {
        let used = || self.splits.iter().filter(|split| split.enabled);
        for (index, Read { known, config: SplitConfig { split, .. }, .. }) in used().enumerate().take(MAX_SPLITS) {
            if !["primary", "secondary"].iter().all(|option| known.is_given(option) && known.is_sound(option)) {
                continue;
            }
            if let Err(why) = split.check() {
                known.fault_of(faults, "secondary", format_args!("{why}"));
            } else if let Some(other) = used().take(index).find(|other| other.config.split.collides(split)) {
                let option = if split.side == Side::Sender { "primary" } else { "secondary" };
                known.fault_of(faults, option, format_args!("is already that of split {}", shown(&other.known.name)));
            }
            if split.side == Side::Receiver && known.is_given("ratio") {
                known.warn_of(faults, "ratio", format_args!("has no effect: the sender's counts"));
            }
        }
        if let Some(split) = used().nth(MAX_SPLITS) {
            split.known.fault(
                faults,
                format_args!("at most {MAX_SPLITS} splits can be enabled; there are {}", used().count()),
            );
        }
    }

    /// A rule that matches everything hides those after it.
    fn catch_all(&self, faults: &mut Vec<Fault>) {
        let mut used = self.rules.iter().filter(|rule| rule.enabled);
        let matches_all = |rule: &Read<RuleConfig>| {
            let narrow = ["src_ip", "dest_ip", "src_port", "dest_port", "src_device", "nftset"];
            let any = rule.config.family.is_none() && rule.config.proto.is_empty();
            any && rule.known.is_sound("proto") && !narrow.iter().any(|option| rule.known.is_given(option))
        };
        if let Some(rule) = used.by_ref().find(|rule| matches_all(rule))
            && let Some(next) = used.next()
        {
            rule.known.warn(
                faults,
                format_args!("matches every connection: {} and later rules never do", shown(&next.known.name)),
            );
        }
    }
}

pub(super) fn names<'c, T>(sections: &'c [Read<T>]) -> Vec<&'c str> {
    sections.iter().map(|section| section.known.name.as_str()).collect()
}

pub(super) fn unknown(kind: &str, name: &str, names: &[&str]) -> String {
    let hint = match nearest(name, names) {
        Some(near) => format!("did you mean {}?", shown(near)),
        None => match names.iter().take(MAX_LINKS).map(|name| shown(name)).collect::<Vec<_>>() {
            known if known.is_empty() => format!("the file has no {kind}"),
            known => format!("the file has {}", commas(&known)),
        },
    };
    format!("there is no {kind} {}; {hint}", shown(name))
}

fn attach(known: &Known, faults: &mut Vec<Fault>) {
    if known.is_given("device") {
        if known.is_given("interface") {
            known.fault_of(
                faults,
                "device",
                format_args!("cannot stand beside 'interface': keep 'interface' where netifd runs, 'device' elsewhere"),
            );
        }
    } else {
        for option in ["gateway", "gateway6"].iter().filter(|option| known.is_given(option)) {
            known.fault_of(faults, option, format_args!("needs 'device'; an interface's gateways come from netifd"));
        }
    }
}

fn reliability(link: &Read<LinkConfig>, faults: &mut Vec<Fault>) {
    let Read { known, config, .. } = link;
    let (probes, wanted) = (config.probe.len(), config.reliability);
    if known.is_given("probe") && known.is_sound("probe") && usize::from(wanted) > probes {
        known.fault_of(
            faults,
            "reliability",
            format_args!("must not exceed the number of probes, {probes} (got '{wanted}')"),
        );
    }
}

/// What the limits on loss and latency need, and how many probes there can be.
fn limits(link: &Read<LinkConfig>, faults: &mut Vec<Fault>) {
    let Read { known, config, .. } = link;
    if config.probe.len() > MAX_TARGETS {
        known.fault_of(
            faults,
            "probe",
            format_args!("takes at most {MAX_TARGETS} values (got {})", config.probe.len()),
        );
    }
    let loss = config.loss_limits.is_some_and(|(down, up)| up > down);
    let latency = config.latency_limits.is_some_and(|(down, up)| up > down);
    for (down, up, above) in [("loss_down", "loss_up", loss), ("latency_down", "latency_up", latency)] {
        if above {
            known.fault_of(faults, up, format_args!("must not exceed '{down}'"));
        } else if known.is_given(up) && !known.is_given(down) {
            known.warn_of(faults, up, format_args!("has no effect without '{down}'"));
        } else if known.is_given(down) && !known.is_given("probe") {
            known.warn_of(faults, down, format_args!("has no effect without 'probe'"));
        }
    }
    if config.latency_limits.is_some_and(|(down, _)| down >= config.timeout) {
        known.warn_of(
            faults,
            "latency_down",
            format_args!("has no effect: after 'timeout' ({}) a probe is lost", span_text(config.timeout)),
        );
    }
}

/// Two links must not be the same port, nor own the same clients.
fn apart(earlier: &Read<LinkConfig>, link: &Read<LinkConfig>, faults: &mut Vec<Fault>) {
    let other = shown(&earlier.known.name);
    match (&earlier.config.attach, &link.config.attach) {
        (Attach::Device { device: a, .. }, Attach::Device { device: b, .. }) if a == b => {
            link.known.fault_of(faults, "device", format_args!("{} is already that of link {other}", shown(b)));
        }
        (Attach::Interface(a), Attach::Interface(b)) if a == b => {
            link.known.fault_of(faults, "interface", format_args!("{} is already that of link {other}", shown(b)));
        }
        _ => {}
    }
    let taken = |prefix: &&Prefix| earlier.config.prefix.iter().any(|before| before.overlaps(**prefix));
    if let Some(prefix) = link.config.prefix.iter().find(taken) {
        link.known.fault_of(faults, "prefix", format_args!("{prefix} overlaps a prefix of link {other}"));
    }
}

fn families(known: &Known, rule: &RuleConfig, faults: &mut Vec<Fault>) {
    let mut fits = true;
    for (option, prefixes) in [("src_ip", &rule.src_ip), ("dest_ip", &rule.dest_ip)] {
        let odd = prefixes.iter().find(|prefix| rule.family.is_some_and(|family| prefix.family() != family));
        if let Some(prefix) = odd {
            fits = false;
            known.fault_of(faults, option, format_args!("{prefix} is not of the rule's 'family'"));
        }
    }
    let has =
        |prefixes: &[Prefix], family| prefixes.is_empty() || prefixes.iter().any(|prefix| prefix.family() == family);
    let common = Family::BOTH.iter().any(|family| has(&rule.src_ip, *family) && has(&rule.dest_ip, *family));
    if fits && !common && known.is_sound("src_ip") && known.is_sound("dest_ip") {
        known.fault_of(
            faults,
            "dest_ip",
            format_args!("matches nothing: 'src_ip' and 'dest_ip' are of different address families"),
        );
    }
}

impl Attach {
    /// The device that the file itself names.
    pub fn device(&self) -> Option<&String> {
        match self {
            Attach::Device { device, .. } => Some(device),
            Attach::Interface(_) => None,
        }
    }
}
