//! A rule: which connections take which policy.

use std::fmt::Write;

use crate::config::{PortRange, Protocol, RuleConfig};
use crate::family::Family;
use crate::prefix::Prefix;
use crate::text::commas;

use super::ruleset::widest;

/// The nft rules for one rule of the configuration, without their verdict: one a family that it can match.
pub(super) fn matches(rule: &RuleConfig) -> Vec<String> {
    Family::BOTH.into_iter().filter_map(|family| matches_in(rule, family)).collect()
}

fn matches_in(rule: &RuleConfig, family: Family) -> Option<String> {
    if rule.family.is_some_and(|wanted| wanted != family) {
        return None;
    }
    let (ip, name) = (family.ip(), family.name());
    let mut text = format!("meta nfproto {name}");
    for (field, prefixes) in [("saddr", &rule.src_ip), ("daddr", &rule.dest_ip)] {
        if let Some(set) = prefix_set(prefixes, family)? {
            let _ = write!(text, " {ip} {field} {set}");
        }
    }
    if let Some(device) = &rule.src_device {
        let _ = write!(text, " iifname \"{device}\"");
    }
    if let Some(set) = &rule.nftset {
        let _ = write!(text, " {ip} daddr @{}{}", set.name, family.version());
    }
    let mut protocols: Vec<String> = rule.proto.iter().map(|protocol| number(*protocol, family)).collect();
    let ports = !rule.src_port.is_empty() || !rule.dest_port.is_empty();
    if protocols.is_empty() && ports {
        protocols = vec!["tcp".into(), "udp".into()];
    }
    if !protocols.is_empty() {
        let _ = write!(text, " meta l4proto {{ {} }}", commas(&protocols));
    }
    for (field, ports) in [("sport", &rule.src_port), ("dport", &rule.dest_port)] {
        if !ports.is_empty() {
            let ports: Vec<String> = merged(ports).iter().map(ToString::to_string).collect();
            let _ = write!(text, " th {field} {{ {} }}", commas(&ports));
        }
    }
    Some(text)
}

/// `None`: it matches nothing of this family. `Some(None)`: it matches everything.
pub(super) fn prefix_set(prefixes: &[Prefix], family: Family) -> Option<Option<String>> {
    if prefixes.is_empty() {
        return Some(None);
    }
    // A set's elements must not overlap.
    let kept = widest(prefixes, family);
    if kept.is_empty() {
        return None;
    }
    // nft takes no 0.0.0.0/0 in a set, and needs none.
    if kept.iter().any(|prefix| prefix.length() == 0) {
        return Some(None);
    }
    let list: Vec<String> = kept.iter().map(ToString::to_string).collect();
    Some(Some(format!("{{ {} }}", commas(&list))))
}

fn number(protocol: Protocol, family: Family) -> String {
    match protocol {
        Protocol::Tcp => "tcp".into(),
        Protocol::Udp => "udp".into(),
        // By its number: for the name nft needs /etc/protocols.
        Protocol::Icmp => family.icmp().to_string(),
        Protocol::Number(number) => number.to_string(),
    }
}

/// Overlapping and touching ranges made one: a set's elements must not overlap.
fn merged(ports: &[PortRange]) -> Vec<PortRange> {
    let mut sorted = ports.to_vec();
    sorted.sort_unstable_by_key(|range| range.first);
    let mut merged: Vec<PortRange> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.first <= last.last.saturating_add(1) => last.last = last.last.max(range.last),
            _ => merged.push(range),
        }
    }
    merged
}
