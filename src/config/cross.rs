//! What only shows when options and sections are seen together.

use super::check::Read;
use super::fault::{Fault, MAX_FAULTS, Severity, nearest, shown};
use super::peer_check::{Peers, needs_links};
use super::section::Known;
use super::values::{Prefix, Protocol, span_text};
use super::{
    Attach, ClientConfig, Family, LinkConfig, MAX_RULES, Main, Mode, PeerConfig, PolicyConfig, Role, RuleConfig,
    SplitConfig,
};
use crate::link::MAX_LINKS;
use crate::probe::MAX_TARGETS;
use crate::race::MAX_POLICIES;
use crate::split::{MAX_SPLITS, Side};
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
            let text = format!("at most {MAX_POLICIES} policies can be of mode race; there are {}", races.count());
            faults.push(policy.known.fault_of("mode", text));
        }
        for rule in self.rules {
            if faults.len() >= MAX_FAULTS {
                return;
            }
            self.rule(rule, faults);
        }
        let used = self.rules.iter().filter(|rule| rule.enabled);
        if let Some(rule) = used.clone().nth(MAX_RULES) {
            let text = format!(
                "at most {MAX_RULES} rules can be enabled; there are {}: put addresses into lists or an nftset",
                used.count()
            );
            faults.push(rule.known.fault(text));
        }
        self.catch_all(faults);
        self.splits(faults);
        let (links, peers, clients, complete) = (self.links, self.peers, self.clients, self.complete);
        Peers { links, peers, clients, complete }.run(faults);
    }

    fn link_count(&self, faults: &mut Vec<Fault>) {
        let used = self.links.iter().filter(|link| link.enabled);
        if let Some(link) = used.clone().nth(MAX_LINKS) {
            let text = format!("at most {MAX_LINKS} links can be enabled; there are {}", used.clone().count());
            faults.push(link.known.fault(text));
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
                let text =
                    format!("{} is the device of link {}, not of clients", shown(device), shown(&link.known.name));
                faults.push(known.fault_at("lan_device", device, text));
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
                let text = unknown("link", name, self.links.iter().map(|link| link.known.name.as_str()));
                faults.push(known.fault_at("link", name, text));
            } else if config.link.iter().take(index).any(|earlier| earlier == name) {
                faults.push(known.fault_at("link", name, format!("names {} twice", shown(name))));
            }
        }
        let is_used = |name: &String| self.links.iter().any(|link| link.enabled && link.known.name == *name);
        if config.mode.uses_links() && !config.link.is_empty() && !missing && !config.link.iter().any(is_used) {
            let text = "all of its links are disabled: 'last_resort' decides";
            faults.push(warning(known.fault_of("link", text.into())));
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
                faults.push(warning(known.fault_of(option, "has no effect in this policy's mode".into())));
            }
            if config.mode == Mode::Race && config.sticky > Span::ZERO {
                let text = "a race decides each connection anew: set mode 'weighted' or 'failover' for sticky clients, \
                            or 'remember' for winners that are tried first";
                faults.push(known.fault_of("sticky", text.into()));
            }
        }
    }

    /// Whom a policy in mode aggregate sends its connections to.
    fn aggregate(&self, policy: &Read<PolicyConfig>, faults: &mut Vec<Fault>) {
        let Read { known, config, .. } = policy;
        let peers = || self.peers.iter().map(|peer| peer.known.name.as_str());
        match &config.peer {
            Some(_) if config.mode != Mode::Aggregate => {
                faults.push(warning(known.fault_of("peer", "has no effect in this policy's mode".into())));
            }
            Some(name) if self.complete => match self.peers.iter().find(|peer| peer.known.name == *name) {
                None => faults.push(known.fault_of("peer", unknown("peer", name, peers()))),
                Some(peer) if peer.config.role == Role::Server => {
                    let text =
                        format!("{} is of role server, which serves connections: name one of role client", shown(name));
                    faults.push(known.fault_of("peer", text));
                }
                Some(peer) if !peer.enabled => {
                    faults.push(warning(known.fault_of("peer", "is disabled: 'last_resort' decides".into())));
                }
                Some(_) => {}
            },
            None if config.mode == Mode::Aggregate && !known.is_given("peer") => {
                let text = "option 'peer' is missing: mode aggregate needs the peer that the connections go to";
                faults.push(known.fault(text.into()));
            }
            _ => {}
        }
    }

    fn rule(&self, rule: &Read<RuleConfig>, faults: &mut Vec<Fault>) {
        let Read { known, config, .. } = rule;
        let policies = || self.policies.iter().map(|policy| policy.known.name.as_str());
        let implicit = self.policies.is_empty() && config.policy == PolicyConfig::default().name;
        if known.is_given("policy") && known.is_sound("policy") && self.complete && !implicit {
            let name = config.policy.as_str();
            if !policies().any(|policy| policy == name) {
                faults.push(known.fault_of("policy", unknown("policy", name, policies())));
            }
        }
        let proto: Vec<Option<Protocol>> = known.list("proto");
        if known.is_sound("proto") {
            if proto.len() > 1 && proto.contains(&None) {
                faults.push(known.fault_of("proto", "'all' stands alone; leave out the others, or 'all'".into()));
            } else if !proto.iter().all(|proto| matches!(proto, Some(Protocol::Tcp | Protocol::Udp))) {
                for option in ["src_port", "dest_port"].iter().filter(|option| known.is_given(option)) {
                    let text =
                        "only TCP and UDP have ports: add list proto 'tcp', list proto 'udp' or both, and no other";
                    faults.push(known.fault_of(option, text.into()));
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
                faults.push(known.fault_of("secondary", why.into()));
            } else if let Some(other) = used().take(index).find(|other| other.config.split.collides(split)) {
                let option = if split.side == Side::Sender { "primary" } else { "secondary" };
                let text = format!("is already that of split {}", shown(&other.known.name));
                faults.push(known.fault_of(option, text));
            }
            if split.side == Side::Receiver && known.is_given("ratio") {
                faults.push(warning(known.fault_of("ratio", "has no effect: the sender's counts".into())));
            }
        }
        if let Some(split) = used().nth(MAX_SPLITS) {
            let text = format!("at most {MAX_SPLITS} splits can be enabled; there are {}", used().count());
            faults.push(split.known.fault(text));
        }
    }

    /// A rule that matches everything hides those after it.
    fn catch_all(&self, faults: &mut Vec<Fault>) {
        let mut used = self.rules.iter().filter(|rule| rule.enabled);
        let matches_all = |rule: &Read<RuleConfig>| {
            let narrow = ["src_ip", "dest_ip", "src_port", "dest_port", "src_device", "nftset"];
            let any = rule.config.family == Family::Any && rule.config.proto.is_empty();
            any && rule.known.is_sound("proto") && !narrow.iter().any(|option| rule.known.is_given(option))
        };
        if let Some(rule) = used.by_ref().find(|rule| matches_all(rule))
            && let Some(next) = used.next()
        {
            let text = format!("matches every connection: {} and later rules never do", shown(&next.known.name));
            faults.push(warning(rule.known.fault(text)));
        }
    }
}

pub(super) fn warning(fault: Fault) -> Fault {
    Fault { severity: Severity::Warning, ..fault }
}

pub(super) fn unknown<'n>(kind: &str, name: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    let hint = match nearest(name, names.clone()) {
        Some(near) => format!("did you mean {}?", shown(near)),
        None => match names.take(MAX_LINKS).map(shown).collect::<Vec<_>>() {
            known if known.is_empty() => format!("the file has no {kind}"),
            known => format!("the file has {}", known.join(", ")),
        },
    };
    format!("there is no {kind} {}; {hint}", shown(name))
}

fn attach(known: &Known, faults: &mut Vec<Fault>) {
    if known.is_given("device") {
        if known.is_given("interface") {
            let text = "cannot stand beside 'interface': keep 'interface' where netifd runs, 'device' elsewhere";
            faults.push(known.fault_of("device", text.into()));
        }
    } else {
        for option in ["gateway", "gateway6"].iter().filter(|option| known.is_given(option)) {
            let text = "needs 'device'; an interface's gateways come from netifd";
            faults.push(known.fault_of(option, text.into()));
        }
    }
}

fn reliability(link: &Read<LinkConfig>, faults: &mut Vec<Fault>) {
    let Read { known, config, .. } = link;
    let (probes, wanted) = (config.probe.len(), config.reliability);
    if known.is_given("probe") && known.is_sound("probe") && usize::from(wanted) > probes {
        let text = format!("must not exceed the number of probes, {probes} (got '{wanted}')");
        faults.push(known.fault_of("reliability", text));
    }
}

/// What the limits on loss and latency need, and how many probes there can be.
fn limits(link: &Read<LinkConfig>, faults: &mut Vec<Fault>) {
    let Read { known, config, .. } = link;
    if config.probe.len() > MAX_TARGETS {
        let text = format!("takes at most {MAX_TARGETS} values (got {})", config.probe.len());
        faults.push(known.fault_of("probe", text));
    }
    let loss = config.loss_limits.is_some_and(|(down, up)| up > down);
    let latency = config.latency_limits.is_some_and(|(down, up)| up > down);
    for (down, up, above) in [("loss_down", "loss_up", loss), ("latency_down", "latency_up", latency)] {
        if above {
            faults.push(known.fault_of(up, format!("must not exceed '{down}'")));
        } else if known.is_given(up) && !known.is_given(down) {
            faults.push(warning(known.fault_of(up, format!("has no effect without '{down}'"))));
        } else if known.is_given(down) && !known.is_given("probe") {
            faults.push(warning(known.fault_of(down, "has no effect without 'probe'".into())));
        }
    }
    if config.latency_limits.is_some_and(|(down, _)| down >= config.timeout) {
        let text = format!("has no effect: after 'timeout' ({}) a probe is lost", span_text(config.timeout));
        faults.push(warning(known.fault_of("latency_down", text)));
    }
}

/// Two links must not be the same port, nor own the same clients.
fn apart(earlier: &Read<LinkConfig>, link: &Read<LinkConfig>, faults: &mut Vec<Fault>) {
    let other = shown(&earlier.known.name);
    match (&earlier.config.attach, &link.config.attach) {
        (Attach::Device { device: a, .. }, Attach::Device { device: b, .. }) if a == b => {
            faults.push(link.known.fault_of("device", format!("{} is already that of link {other}", shown(b))));
        }
        (Attach::Interface(a), Attach::Interface(b)) if a == b => {
            faults.push(link.known.fault_of("interface", format!("{} is already that of link {other}", shown(b))));
        }
        _ => {}
    }
    let taken = |prefix: &&Prefix| earlier.config.prefix.iter().any(|before| before.overlaps(**prefix));
    if let Some(prefix) = link.config.prefix.iter().find(taken) {
        faults.push(link.known.fault_of("prefix", format!("{prefix} overlaps a prefix of link {other}")));
    }
}

fn families(known: &Known, rule: &RuleConfig, faults: &mut Vec<Fault>) {
    let mut fits = true;
    for (option, prefixes) in [("src_ip", &rule.src_ip), ("dest_ip", &rule.dest_ip)] {
        let odd = prefixes.iter().find(|prefix| match rule.family {
            Family::Any => false,
            Family::Ipv4 => !prefix.is_ipv4(),
            Family::Ipv6 => prefix.is_ipv4(),
        });
        if let Some(prefix) = odd {
            fits = false;
            faults.push(known.fault_of(option, format!("{prefix} is not of the rule's 'family'")));
        }
    }
    let has = |prefixes: &[Prefix], ipv4| prefixes.is_empty() || prefixes.iter().any(|prefix| prefix.is_ipv4() == ipv4);
    let common = [true, false].iter().any(|ipv4| has(&rule.src_ip, *ipv4) && has(&rule.dest_ip, *ipv4));
    if fits && !common && known.is_sound("src_ip") && known.is_sound("dest_ip") {
        let text = "matches nothing: 'src_ip' and 'dest_ip' are of different address families";
        faults.push(known.fault_of("dest_ip", text.into()));
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
