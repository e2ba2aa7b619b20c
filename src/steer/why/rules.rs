//! Which rule a connection matches.

use std::net::IpAddr;

use crate::config::{PortRange, Protocol, RuleConfig};
use crate::family::Family;
use crate::packet::numbers::{TCP, UDP};
use crate::prefix::Prefix;
use crate::text::commas;

use super::{Facts, Question, has_ports, say};

/// What a rule says of a connection.
enum Match {
    /// With the fields that it asked for.
    Yes(Vec<String>),
    No,
    /// It asks for what is not known: what the user can say.
    Maybe(&'static str),
}

pub(super) fn first_rule<'a>(
    question: &Question,
    facts: &mut Facts<'a>,
    reasons: &mut Vec<String>,
) -> Option<&'a RuleConfig> {
    let rules = &facts.plan.config.rules;
    for rule in rules {
        match matches(question, rule, facts.in_set) {
            Match::No => {}
            Match::Maybe(missing) => say(reasons, format_args!("rule '{}' may match: {missing} would tell", rule.name)),
            Match::Yes(fields) if fields.is_empty() => {
                say(reasons, format_args!("rule '{}' matches everything: policy '{}'", rule.name, rule.policy));
                return Some(rule);
            }
            Match::Yes(fields) => {
                say(
                    reasons,
                    format_args!("rule '{}' matches: {}: policy '{}'", rule.name, commas(&fields), rule.policy),
                );
                return Some(rule);
            }
        }
    }
    let none = if rules.is_empty() { "there are no rules" } else { "no rule matches" };
    let first = facts.plan.config.policies.first().map_or("", |policy| &policy.name);
    say(reasons, format_args!("{none}: the first policy, '{first}'"));
    None
}

fn matches(question: &Question, rule: &RuleConfig, in_set: &mut dyn FnMut(&str) -> Option<bool>) -> Match {
    let (mut fields, mut missing) = (Vec::new(), None);
    let family = Family::of(question.to);
    match rule.family {
        None => {}
        Some(wanted) if wanted == family => say(&mut fields, format_args!("family {}", family.name())),
        Some(_) => return Match::No,
    }
    match prefix(&rule.dest_ip, Some(question.to), family) {
        Field::Any => {}
        Field::Hit(prefix) => say(&mut fields, format_args!("dest_ip {prefix}")),
        _ => return Match::No,
    }
    match prefix(&rule.src_ip, question.from, family) {
        Field::Any => {}
        Field::Hit(prefix) => say(&mut fields, format_args!("src_ip {prefix}")),
        Field::Unknown => missing = Some("--from ADDRESS"),
        Field::Miss => return Match::No,
    }
    match (&rule.src_device, &question.device) {
        (None, _) => {}
        (Some(wanted), Some(device)) if wanted == device => say(&mut fields, format_args!("src_device {device}")),
        (Some(_), None) if !question.own => missing = Some("--device DEVICE"),
        _ => return Match::No,
    }
    let ports = !rule.src_port.is_empty() || !rule.dest_port.is_empty();
    let of = |protocol: &Protocol| match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
        Protocol::Icmp => family.icmp(),
        Protocol::Number(number) => *number,
    };
    if let Some(protocol) = rule.proto.iter().find(|protocol| of(protocol) == question.protocol) {
        say(&mut fields, format_args!("proto {protocol}"));
    } else if !rule.proto.is_empty() || (ports && !has_ports(question.protocol)) {
        return Match::No;
    }
    match port(&rule.dest_port, question.port) {
        Field::Any => {}
        Field::Hit(range) => say(&mut fields, format_args!("dest_port {range}")),
        Field::Unknown => missing = Some("--port N"),
        Field::Miss => return Match::No,
    }
    match port(&rule.src_port, question.from_port) {
        Field::Any => {}
        Field::Hit(range) => say(&mut fields, format_args!("src_port {range}")),
        Field::Unknown => missing = Some("--from ADDRESS:PORT"),
        Field::Miss => return Match::No,
    }
    // Last, since it costs a question to the kernel.
    if let Some(set) = &rule.nftset {
        let name = format!("{}{}", set.name, family.version());
        match in_set(&name) {
            Some(true) => say(&mut fields, format_args!("nftset {}", set.name)),
            Some(false) => return Match::No,
            None => missing = Some("the kernel does not, but nft list set inet cheaproute"),
        }
    }
    match missing {
        None => Match::Yes(fields),
        Some(missing) => Match::Maybe(missing),
    }
}

enum Field<T> {
    /// The rule does not ask.
    Any,
    Hit(T),
    Miss,
    Unknown,
}

fn prefix(wanted: &[Prefix], address: Option<IpAddr>, family: Family) -> Field<Prefix> {
    let mut of_family = wanted.iter().filter(|prefix| prefix.family() == family).peekable();
    if wanted.is_empty() || of_family.clone().any(|prefix| prefix.length() == 0) {
        return Field::Any;
    }
    match address {
        _ if of_family.peek().is_none() => Field::Miss,
        None => Field::Unknown,
        Some(address) => of_family.find(|prefix| prefix.contains(address)).map_or(Field::Miss, |hit| Field::Hit(*hit)),
    }
}

fn port(wanted: &[PortRange], port: Option<u16>) -> Field<PortRange> {
    match port {
        _ if wanted.is_empty() => Field::Any,
        None => Field::Unknown,
        Some(port) => wanted.iter().find(|range| range.contains(port)).map_or(Field::Miss, |hit| Field::Hit(*hit)),
    }
}
