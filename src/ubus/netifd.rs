//! netifd's interfaces, as `ubus call network.interface dump` has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::blob::{Fields, Table};

/// One of netifd's interfaces. Counters and lifetimes are left out, so that two dumps are equal if nothing happened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Interface {
    pub name: String,
    pub up: bool,
    /// What carries its packets, such as `pppoe-wan`; none while it is down.
    pub l3_device: Option<String>,
    /// What it was told to use, up or not.
    pub device: Option<String>,
    pub ipv4: Vec<Ipv4Addr>,
    /// Without link-local ones; those that a new prefix replaced come last.
    pub ipv6: Vec<Ipv6Addr>,
    /// Delegated to us.
    pub prefixes: Vec<(Ipv6Addr, u8)>,
    /// Its own, of prefixes that other interfaces were delegated.
    pub assigned: Vec<Ipv6Addr>,
    /// The default routes.
    pub gateway: Hop,
    pub gateway6: Hop,
    pub metric: u32,
}

/// The reply of `dump`. What is missing or has another type than expected counts as absent.
pub fn interfaces(reply: &Table) -> Vec<Interface> {
    reply.fields().tables("interface").filter_map(interface).collect()
}

/// The interface `name`, together with those that its protocol handler made: PPP, QMI and their like report the address of
/// one family, or of both, under `<name>_4` and `<name>_6`; by OpenWrt's own habit `wan6` is the IPv6 side of `wan`; and so is whatever
/// has IPv6 alone on its device. Those on another device are left out: DS-Lite, 464XLAT, MAP and 6in4 make a tunnel named so, which is a
/// link of its own. Without IPv4 the IPv6 side is the whole.
pub fn find(interfaces: &[Interface], name: &str) -> Option<Interface> {
    let by_name = |name: &str| interfaces.iter().find(|i| i.name == name);
    let mut found = by_name(name)?.clone();
    let named = ["_4", "_6", "6"].map(|suffix| by_name(&format!("{name}{suffix}")));
    let is_own = |other: &&Interface| other.ipv4.is_empty() && other.l3_device.is_some() && other.name != name;
    let others = interfaces.iter().filter(is_own).map(|other| (other, false));
    for (companion, named) in named.into_iter().flatten().map(|one| (one, true)).chain(others) {
        let same = companion.l3_device.is_some()
            && companion.l3_device == if found.up { found.l3_device.clone() } else { found.device.clone() };
        if companion.up && (same || named && found.up && found.l3_device.is_none()) {
            merge(&mut found, companion);
        }
    }
    // The provider's prefix is all that there is: an address out of it is the router's own as well.
    if found.ipv6.is_empty() {
        let is_in = |address: &Ipv6Addr, (prefix, length): &(Ipv6Addr, u8)| {
            (address.to_bits() ^ prefix.to_bits()).checked_shr(128 - u32::from(*length)).unwrap_or(0) == 0
        };
        let mut assigned = interfaces.iter().flat_map(|i| &i.assigned);
        found.ipv6.extend(assigned.find(|address| found.prefixes.iter().any(|prefix| is_in(address, prefix))));
    }
    Some(found)
}

fn merge(into: &mut Interface, from: &Interface) {
    fn add<T: Copy + PartialEq>(into: &mut Vec<T>, from: &[T]) {
        for item in from {
            if !into.contains(item) {
                into.push(*item);
            }
        }
    }
    add(&mut into.ipv4, &from.ipv4);
    add(&mut into.ipv6, &from.ipv6);
    add(&mut into.prefixes, &from.prefixes);
    into.up = true;
    into.l3_device = into.l3_device.take().or_else(|| from.l3_device.clone());
    into.gateway = into.gateway.or(from.gateway);
    into.gateway6 = into.gateway6.or(from.gateway6);
    if into.metric == 0 {
        into.metric = from.metric;
    }
}

fn interface(fields: Fields) -> Option<Interface> {
    let metric = fields.number("metric").unwrap_or(0);
    let (mut gateway, mut gateway6) = (Hop::Unknown, Hop::Unknown);
    // With `defaultroute 0` netifd lists the default route, which it then does not install, as inactive.
    for place in [fields, fields.nested("inactive")] {
        let (v4, v6) = default_routes(place, metric);
        gateway = gateway.or(v4);
        gateway6 = gateway6.or(v6);
    }
    Some(Interface {
        name: fields.text("interface")?.into(),
        up: fields.flag("up") == Some(true),
        l3_device: fields.text("l3_device").map(Into::into),
        device: fields.text("device").map(Into::into),
        ipv4: fields.tables("ipv4-address").filter_map(address).collect(),
        ipv6: ipv6(fields),
        prefixes: fields.tables("ipv6-prefix").filter_map(prefix).collect(),
        assigned: fields
            .tables("ipv6-prefix-assignment")
            .filter_map(|one| address(one.nested("local-address")))
            .collect(),
        gateway,
        gateway6,
        metric,
    })
}

fn address<A: FromStr>(fields: Fields) -> Option<A> {
    fields.text("address")?.parse().ok()
}

fn prefix(fields: Fields) -> Option<(Ipv6Addr, u8)> {
    let length = fields.number("mask").filter(|l| *l <= 128)?;
    Some((address(fields)?, length as u8))
}

fn ipv6(fields: Fields) -> Vec<Ipv6Addr> {
    // A preferred lifetime that is absent is without end; one of 0 has run out, and new connections must not use it.
    let old = |fields: &Fields| fields.number("preferred") == Some(0);
    let entries = || fields.tables("ipv6-address");
    let sorted = entries().filter(|e| !old(e)).chain(entries().filter(old));
    sorted.filter_map(address).filter(|a: &Ipv6Addr| !a.is_unicast_link_local()).collect()
}

/// A default route's next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Hop {
    /// There is no such route.
    #[default]
    Unknown,
    /// Point to point.
    Direct,
    Via(IpAddr),
}

impl Hop {
    fn or(self, other: Self) -> Self {
        if let Hop::Unknown = self { other } else { self }
    }
}

/// The default routes with the lowest metric; the first of equal ones.
fn default_routes(place: Fields, default_metric: u32) -> (Hop, Hop) {
    /// `RTN_UNICAST`: others lead nowhere.
    const UNICAST: u32 = 1;
    let (mut v4, mut v6) = (Hop::Unknown, Hop::Unknown);
    let (mut best4, mut best6) = (None, None);
    for route in place.tables("route") {
        if route.number("mask") != Some(0) || route.number("type").is_some_and(|t| t != UNICAST) {
            continue;
        }
        let metric = route.number("metric").unwrap_or(default_metric);
        // Without a next hop, the target tells the family, and is as unspecified as the absent hop would be.
        let hop = route.text("nexthop").or(route.text("target"));
        if let Some(hop) = hop.and_then(|h| h.parse::<IpAddr>().ok()) {
            let (best, to) = if hop.is_ipv4() { (&mut best4, &mut v4) } else { (&mut best6, &mut v6) };
            if best.is_none_or(|best| metric < best) {
                *best = Some(metric);
                *to = if hop.is_unspecified() { Hop::Direct } else { Hop::Via(hop) };
            }
        }
    }
    (v4, v6)
}

#[cfg(test)]
#[path = "netifd_tests.rs"]
mod tests;
