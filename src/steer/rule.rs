//! A rule: which connections take which policy.

use std::fmt::Write;

use crate::config::{Family, PortRange, Prefix, Protocol, RuleConfig};
use crate::text::commas;

use super::ruleset::widest;

/// The nft rules for one rule of the configuration, without their verdict: one a family that it can match.
pub(super) fn matches(rule: &RuleConfig) -> Vec<String> {
    [true, false].into_iter().filter_map(|ipv4| matches_in(rule, ipv4)).collect()
}

fn matches_in(rule: &RuleConfig, ipv4: bool) -> Option<String> {
    if rule.family == if ipv4 { Family::Ipv6 } else { Family::Ipv4 } {
        return None;
    }
    let (ip, name) = if ipv4 { ("ip", "ipv4") } else { ("ip6", "ipv6") };
    let mut text = format!("meta nfproto {name}");
    for (field, prefixes) in [("saddr", &rule.src_ip), ("daddr", &rule.dest_ip)] {
        if let Some(set) = prefix_set(prefixes, ipv4)? {
            let _ = write!(text, " {ip} {field} {set}");
        }
    }
    if let Some(device) = &rule.src_device {
        let _ = write!(text, " iifname \"{device}\"");
    }
    if let Some(set) = &rule.nftset {
        let _ = write!(text, " {ip} daddr @{}{}", set.name, if ipv4 { 4 } else { 6 });
    }
    let mut protocols: Vec<String> = rule.proto.iter().map(|protocol| number(*protocol, ipv4)).collect();
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
pub(super) fn prefix_set(prefixes: &[Prefix], ipv4: bool) -> Option<Option<String>> {
    if prefixes.is_empty() {
        return Some(None);
    }
    // A set's elements must not overlap.
    let kept = widest(prefixes, ipv4);
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

fn number(protocol: Protocol, ipv4: bool) -> String {
    match protocol {
        Protocol::Tcp => "tcp".into(),
        Protocol::Udp => "udp".into(),
        Protocol::Icmp if ipv4 => "icmp".into(),
        // By its number: for the name nft needs /etc/protocols.
        Protocol::Icmp => "58".into(),
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
