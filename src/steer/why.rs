//! Which way a connection would take now, and why: what the ruleset of [`super::ruleset()`] decides, in words. Pure. A test in
//! `tests/why.rs` compares it with what the kernel does, so that the two cannot drift apart.

use core::fmt;
use std::net::IpAddr;

use crate::config::{LastResort, Mode, PolicyConfig, RuleConfig};
use crate::family::Family;
use crate::link::{Link, LinkId};
use crate::packet::numbers::{TCP, UDP};
use crate::race::Remembered;
use crate::text::commas;
use crate::time::{Span, Time};

use super::global::{delegated, first_up, strands};
use super::policy::{HELPED_PORTS, prefixes};
use super::{Plan, best};

mod rules;

use rules::first_rule;

/// A connection. What is `None` is not known: a rule that looks at it may match or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    pub to: IpAddr,
    /// IANA's number.
    pub protocol: u8,
    /// The server's port; without a meaning unless the protocol is TCP or UDP.
    pub port: Option<u16>,
    /// The client's address, of the same family, and its port.
    pub from: Option<IpAddr>,
    pub from_port: Option<u16>,
    /// The device that it comes in by.
    pub device: Option<String>,
    /// The router opens it itself.
    pub own: bool,
}

/// What there is to know besides the plan.
pub struct Facts<'a> {
    pub plan: Plan<'a>,
    pub now: Time,
    /// The router's own addresses.
    pub own: &'a [IpAddr],
    /// What the races remember of the server and service.
    pub memory: Option<&'a Remembered>,
    /// How a link that is not up is, such as `down for 5 s: no carrier`.
    pub state: &'a dyn Fn(LinkId) -> String,
    /// Whether the server's address is in the nft set of this name; `None` if the kernel does not tell.
    pub in_set: &'a mut dyn FnMut(&str) -> Option<bool>,
}

/// The way that a connection takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// The router itself is meant.
    Here,
    /// As the main routing table says: it is none of ours.
    Main,
    Dropped,
    Refused,
    /// One of these links, each with its share in percent.
    Links(Vec<(LinkId, u32)>),
    /// All of these links race, the best first.
    Race(Vec<LinkId>),
}

/// An answer.
#[derive(Debug)]
pub struct Why<'a> {
    pub way: Way,
    /// `None` if no rule matched, or none was asked.
    pub rule: Option<&'a RuleConfig>,
    pub policy: Option<&'a PolicyConfig>,
    /// In the order in which the kernel decides.
    pub reasons: Vec<String>,
}

/// The way of a connection whose first packet came now.
pub fn why<'a>(question: &Question, mut facts: Facts<'a>) -> Why<'a> {
    let mut answer = Why { way: Way::Main, rule: None, policy: None, reasons: Vec::new() };
    if let Some(way) = spared(question, &facts, &mut answer.reasons) {
        answer.way = way;
        return answer;
    }
    let config = facts.plan.config;
    // Where they lead, only the kernel knows.
    if facts.plan.foreign.is_some_and(|foreign| !foreign.marks.is_empty() || foreign.others != [false; 2]) {
        let others = "other programs' ip rules come first for what they lead away: ip rule, ip route get";
        say(&mut answer.reasons, format_args!("{others} {}", question.to));
    }
    answer.rule = first_rule(question, &mut facts, &mut answer.reasons);
    answer.policy = match answer.rule {
        Some(rule) => config.policy(&rule.policy),
        None => config.policies.first(),
    };
    if let Some(policy) = answer.policy {
        answer.way = by_policy(question, &facts, policy, &mut answer.reasons);
    }
    answer
}

/// What never comes to the rules.
fn spared(question: &Question, facts: &Facts, reasons: &mut Vec<String>) -> Option<Way> {
    let (to, plan) = (question.to, &facts.plan);
    let main = &plan.config.main;
    let mut spare = |way, text: fmt::Arguments| {
        say(reasons, text);
        Some(way)
    };
    if !question.own
        && let Some(device) = &question.device
    {
        if let Some(link) = plan.links.iter().find(|link| link.device == *device) {
            let name = &link.name;
            return spare(Way::Main, format_args!("it comes in by link {name}: its answers go back through {name}"));
        }
        if !main.lan_device.is_empty() && !main.lan_device.contains(device) {
            return spare(Way::Main, format_args!("it comes in by {device}, which is not in lan_device: not served"));
        }
    }
    if facts.own.contains(&to) || to.is_loopback() {
        return spare(Way::Here, format_args!("{to} is the router's own address"));
    }
    let asked = asked(question, plan);
    // After what the main table knows; a router's own connections come here by an ip rule.
    let everyone = match to {
        IpAddr::V4(to) => to.is_broadcast() || to.octets()[0] == 0,
        IpAddr::V6(_) => false,
    };
    let is_next_door = plan.direct.iter().any(|prefix| prefix.contains(to));
    if !(to.is_multicast() || everyone || is_next_door || asked.is_some())
        && let Some((tunnel, route)) = plan.by_route(to)
        && let Some(way) = tunnel.way
    {
        let (name, device) = (&tunnel.name, &tunnel.device);
        return spare(
            Way::Links(vec![(way, 100)]),
            format_args!("route {route} of peer {name} leads there, before all policies: by {device}"),
        );
    }
    if question.own && asked.is_none() && !main.local_traffic {
        return spare(
            Way::Main,
            format_args!("the router's own connections are not steered: option local_traffic is off"),
        );
    }
    if to.is_multicast() || everyone {
        return spare(Way::Main, format_args!("{to} is no single host's address: never steered"));
    }
    let covering = plan.direct.iter().filter(|prefix| prefix.contains(to));
    if let Some(direct) = covering.max_by_key(|prefix| prefix.length()) {
        return spare(Way::Main, format_args!("{direct} is reached without the default route: never steered"));
    }
    let link = asked?;
    let way = Way::Links(vec![(link.id, 100)]);
    spare(way, format_args!("a program of the router that asks for link {0}'s address leaves by {0}", link.name))
}

/// The link whose address the router's own connection has, if the main table leads to another one.
fn asked<'a>(question: &Question, plan: &Plan<'a>) -> Option<&'a Link> {
    let from = question.from.filter(|_| question.own)?;
    let family = Family::of(from);
    let link = plan.links.iter().find(|link| link.address(family) == Some(from))?;
    let is_raced = has_ports(question.protocol) || question.protocol == family.icmp();
    if plan.config.main.local_traffic && !is_raced && !plan.is_shared(link, from) {
        return Some(link); // a tunnel's
    }
    (!link.is_main(family) && plan.links.iter().any(|link| link.is_main(family))).then_some(link)
}

/// One place that formats, since each that does takes room.
#[inline(never)]
fn say(to: &mut Vec<String>, text: fmt::Arguments) {
    to.push(text.to_string());
}

/// Whether our rules know ports in it.
pub const fn has_ports(protocol: u8) -> bool {
    protocol == TCP || protocol == UDP
}

fn by_policy(question: &Question, facts: &Facts, policy: &PolicyConfig, reasons: &mut Vec<String>) -> Way {
    let name = &policy.name;
    match policy.mode {
        Mode::Blackhole => {
            say(reasons, format_args!("policy '{name}' drops in silence (mode blackhole)"));
            return Way::Dropped;
        }
        Mode::Unreachable => {
            say(reasons, format_args!("policy '{name}' refuses (mode unreachable)"));
            return Way::Refused;
        }
        Mode::Race | Mode::Weighted | Mode::Failover | Mode::Aggregate => {}
    }
    match (question.to, question.from) {
        _ if facts.plan.config.main.translate_ipv6 => {}
        (IpAddr::V6(_), None) => {
            reasons.push("taken for a client with a unique local address; --from ADDRESS tells about others".into());
        }
        (_, Some(IpAddr::V6(from))) if from.segments()[0] & 0xE000 == 0x2000 => {
            return by_prefix(from.into(), &facts.plan, policy, reasons);
        }
        _ => {}
    }
    let family = Family::of(question.to);
    let (links, sharing) = best(facts.plan.links, policy, family);
    left_out(facts, policy, &links, family, reasons);
    let Some(first) = links.first() else {
        let (way, what) = match policy.last_resort {
            LastResort::Default => (Way::Main, "the router's default route"),
            LastResort::Unreachable => (Way::Refused, "it is refused"),
            LastResort::Blackhole => (Way::Dropped, "it is dropped"),
        };
        let whose = if policy.mode == Mode::Aggregate { "the peer" } else { "no link" };
        let can = if policy.mode == Mode::Aggregate { "cannot" } else { "can" };
        say(reasons, format_args!("{whose} of policy '{name}' {can} carry it; its last_resort: {what}"));
        return way;
    };
    if sharing > 1 {
        let shared = links.get(..sharing).unwrap_or_default();
        let total: u32 = shared.iter().map(|link| u32::from(link.weight.max(1))).sum();
        let share = |link: &&Link| (link.id, u32::from(link.weight.max(1)) * 100 / total.max(1));
        let shares: Vec<(LinkId, u32)> = shared.iter().map(share).collect();
        let list = |(link, (_, percent)): (&&Link, &(LinkId, u32))| format!("{} {percent} %", link.name);
        let list: Vec<String> = shared.iter().zip(&shares).map(list).collect();
        say(reasons, format_args!("policy '{name}' deals connections out by weight: {}", commas(&list)));
        return Way::Links(shares);
    }
    let racing: Vec<&Link> = links.iter().copied().filter(|link| link.metered == first.metered).collect();
    let tunnel = racing.iter().find(|link| question.own && facts.plan.spares_own(link));
    if policy.mode == Mode::Race && racing.len() > 1 {
        match tunnel.map(|link| carried(link)).or_else(|| not_raced(question, facts)) {
            None => {
                let names: Vec<&str> = racing.iter().map(|link| &*link.name).collect();
                say(reasons, format_args!("policy '{name}' races {}: the first answer wins", commas(&names)));
                remembered(facts, policy, &racing, reasons);
                return Way::Race(racing.iter().map(|link| link.id).collect());
            }
            Some(reason) => reasons.push(reason),
        }
    }
    if question.own && facts.plan.spares_own(first) {
        reasons.push(carried(first));
        return Way::Main;
    }
    let why = match (policy.mode, links.len()) {
        (Mode::Aggregate, _) => format!("policy '{name}' aggregates: it takes peer {} by {}", first.name, first.device),
        (_, 1) => format!("{} is the only link of policy '{name}' that can carry it", first.name),
        (Mode::Failover, _) if first.metric > 0 => {
            format!("policy '{name}' takes the lowest metric: {} has {}", first.name, first.metric)
        }
        (Mode::Failover, _) => format!("policy '{name}' takes the first link that is up: {}", first.name),
        _ => format!("{} is the best link of policy '{name}'", first.name),
    };
    reasons.push(why);
    Way::Links(vec![(first.id, 100)])
}

fn carried(link: &Link) -> String {
    format!("{} is a tunnel, and packets of the router's own carry it: it is not for them", link.name)
}

/// A global IPv6 address is not translated: it leaves by the link that it was delegated over.
fn by_prefix(from: IpAddr, plan: &Plan, policy: &PolicyConfig, reasons: &mut Vec<String>) -> Way {
    let refused = match policy.last_resort {
        LastResort::Default => None,
        LastResort::Unreachable => Some((Way::Refused, "refused")),
        LastResort::Blackhole => Some((Way::Dropped, "dropped")),
    };
    for link in first_up(plan).filter(|link| refused.is_none() || policy.link.contains(&link.name)) {
        let prefixes = if refused.is_some() { prefixes(plan, link) } else { delegated(link) };
        let Some(prefix) = prefixes.iter().find(|prefix| prefix.contains(from)) else { continue };
        let name = &link.name;
        if link.usable(Family::Ipv6) {
            say(reasons, format_args!("{from} is of {prefix}, which link {name} delegated: it leaves by it, unraced"));
            return Way::Links(vec![(link.id, 100)]);
        }
        if refused.is_none() && strands(plan, link) {
            say(
                reasons,
                format_args!("{from} is of {prefix}, which link {name} delegated, and that is not up: refused"),
            );
            return Way::Refused;
        }
    }
    let (way, what) = refused.unwrap_or((Way::Main, "not steered"));
    say(reasons, format_args!("{from} is global, and of no prefix that a link delegated and that is up: {what}"));
    way
}

/// Tells of each link of the policy that has no part in it why.
fn left_out(facts: &Facts, policy: &PolicyConfig, used: &[&Link], family: Family, reasons: &mut Vec<String>) {
    let known = |name: &String| facts.plan.links.iter().find(|link| link.name == *name);
    for link in policy.link.iter().filter_map(known) {
        let name = &link.name;
        if !link.up {
            let kind = if policy.mode == Mode::Aggregate { "peer" } else { "link" };
            say(reasons, format_args!("{kind} {name} is {}", (facts.state)(link.id)));
        } else if !used.iter().any(|other| other.id == link.id) {
            say(reasons, format_args!("link {name} has no IPv{} address", family.version()));
        } else if link.metered && used.first().is_some_and(|first| !first.metered) {
            say(reasons, format_args!("link {name} is metered: left out while others are up"));
        }
    }
}

/// Why a policy in mode race does not race this.
fn not_raced(question: &Question, facts: &Facts) -> Option<String> {
    let port = question.port.unwrap_or(0);
    match question.protocol {
        TCP if HELPED_PORTS.contains(&port) => {
            Some(format!("tcp port {port} is not raced: its connections need the kernel's helper from the start"))
        }
        UDP if !facts.plan.config.main.race_ports_udp.iter().any(|range| range.contains(port)) => {
            Some(format!("udp port {port} is not raced: it is not in race_ports_udp"))
        }
        TCP | UDP => None,
        number if number == Family::of(question.to).icmp() => None,
        number => Some(format!("protocol {number} is not raced")),
    }
}

fn remembered(facts: &Facts, policy: &PolicyConfig, racing: &[&Link], reasons: &mut Vec<String>) {
    let Some(memory) = facts.memory else { return };
    let known: Vec<(Span, &str)> =
        racing.iter().filter_map(|link| Some((memory.round_trip(link.id)?, &*link.name))).collect();
    let Some(best) = known.iter().map(|(time, _)| *time).min() else { return };
    let times: Vec<String> = known.iter().map(|(time, name)| format!("{name} {time}")).collect();
    say(reasons, format_args!("races to its neighbourhood took: {}", commas(&times)));
    let Some(age) = memory.raced.map(|raced| facts.now.since(raced)) else { return };
    if policy.remember > Span::ZERO && age <= policy.remember {
        // As the memory chooses: within a tenth or `tie` of the best, weight decides.
        let limit = best + policy.tie.max(Span::from_micros(best.as_micros() / 10));
        let equal: Vec<&str> = known.iter().filter(|(time, _)| *time <= limit).map(|(_, name)| *name).collect();
        say(
            reasons,
            format_args!(
                "raced {} s ago and remembered: {} alone gets the first packet, the others if no answer comes",
                age.as_secs(),
                equal.join(" or ")
            ),
        );
    }
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
