//! Where the links are: from the configuration, the kernel's view and netifd's, to [`Link`]s. No system calls.

use core::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::{Attach, Config, LinkConfig, SplitConfig, is_name};
use crate::family::Family;
use crate::kernel::{Device, Route, Snapshot};
use crate::link::{Link, LinkId, LinkSet, MAX_LINKS, Side};
use crate::prefix::Prefix;
use crate::steer::Tunnel;
use crate::ubus::netifd::{Hop, Interface, find};

/// A link as it stands, or what it lacks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attached {
    /// Complete but for `up`, which health decides.
    pub link: Link,
    /// Netifd's, if the link is one.
    pub interface: String,
    pub lacks: Option<Lack>,
}

/// Why a link cannot carry anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lack {
    /// The administrator took it out.
    Admin,
    Carrier,
    /// What is missing and where it would come from.
    Address(String),
    /// Where its interface is, netifd says in a moment.
    Waits,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lack::Admin => f.write_str("taken out by the administrator"),
            Lack::Carrier => f.write_str("no carrier"),
            Lack::Address(why) => f.write_str(why),
            Lack::Waits => f.write_str("netifd has not answered yet"),
        }
    }
}

/// What is known of netifd's interfaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Netifd {
    /// Nobody needs it, or it has not answered yet.
    Unknown,
    /// It does not run, and why we think so.
    Missing(String),
    Interfaces(Vec<Interface>),
}

/// Every link of the configuration, in its order, with its number from `ids`.
pub fn attach(config: &Config, ids: &[LinkId], now: &Snapshot, netifd: &Netifd) -> Vec<Attached> {
    let mut links: Vec<Attached> =
        ids.iter().zip(&config.links).map(|(id, link)| attach_one(*id, link, now, netifd)).collect();
    join(&mut links);
    for family in Family::BOTH {
        let default = |route: &&Route| route.is_default(family);
        let defaults = || now.routes.iter().filter(default);
        let best = defaults().map(|route| route.metric).min();
        for Attached { link, .. } in &mut links {
            // Of two that are equal nobody knows which the kernel takes.
            link.main[family.index()] =
                defaults().any(|route| Some(route.metric) == best && route.device == link.ifindex);
        }
    }
    links
}

/// A device is one link, the first that names it: an answer tells its device alone. The others give it what it lacks.
fn join(links: &mut [Attached]) {
    for at in 1..links.len() {
        let (before, rest) = links.split_at_mut(at);
        let Some(Attached { link, lacks, .. }) = rest.first_mut() else { continue };
        let same = |first: &&mut Attached| link.ifindex != 0 && first.link.ifindex == link.ifindex;
        let Some(Attached { link: first, lacks: missing, .. }) = before.iter_mut().find(same) else { continue };
        let (ipv4, ipv6) = (link.ipv4.take(), link.ipv6.take());
        if matches!(missing, Some(Lack::Address(_))) && (ipv4.is_some() || ipv6.is_some()) {
            *missing = None;
        }
        first.ipv4 = first.ipv4.or(ipv4);
        first.ipv6 = first.ipv6.or(ipv6);
        first.delegated.append(&mut link.delegated);
        let (device, name) = (&link.device, &first.name);
        *lacks =
            Some(Lack::Address(format!("its device {device} is that of link {name}, which carries both families")));
    }
}

/// Numbers for the links of a configuration, in its order. A link keeps the number that it had under `old`: its flows are
/// marked with it. One that is new gets a number that nobody had, while there is one: flows of who had it may still be marked.
pub fn number(config: &Config, old: &[(String, LinkId)]) -> Vec<LinkId> {
    let known = |name: &str| old.iter().find(|(known, _)| known == name).map(|(_, id)| *id);
    let kept: LinkSet = config.links.iter().filter_map(|link| known(&link.name)).collect();
    let mut taken = kept;
    let mut give = || free((1..).map_while(LinkId::new), &mut taken, config, old);
    config.links.iter().map_while(|link| known(&link.name).or_else(&mut give)).collect()
}

/// Numbers for the peers that connections can take, from those that links leave over; as with links, a peer keeps its own.
pub fn number_peers(config: &Config, links: &[LinkId], old: &[(String, LinkId)]) -> Vec<(String, LinkId)> {
    let mut taken: LinkSet = links.iter().copied().collect();
    let ways = || config.peers.iter().filter(|peer| peer.is_way());
    let known = |name: &str| old.iter().find(|(known, _)| known == name).map(|(_, id)| *id);
    let kept: Vec<(String, LinkId)> = ways()
        .filter_map(|peer| Some((peer.name.clone(), known(&peer.name)?)))
        .filter(|(_, id)| !links.contains(id))
        .collect();
    kept.iter().for_each(|(_, id)| taken.insert(*id));
    // From the far end, so that a link that comes later gets the number that its place suggests.
    let from_the_end = || (1..=MAX_LINKS as u8).rev().filter_map(LinkId::new);
    let mut give = || free(from_the_end(), &mut taken, config, old);
    ways()
        .filter_map(|peer| {
            let own = kept.iter().find(|(name, _)| *name == peer.name).map(|(_, id)| *id);
            Some((peer.name.clone(), own.or_else(&mut give)?))
        })
        .collect()
}

/// The first of `numbers` that nobody had; if there is none, that of who went the longest ago, and a peer's that is there at last.
fn free(
    numbers: impl Iterator<Item = LinkId>,
    taken: &mut LinkSet,
    config: &Config,
    old: &[(String, LinkId)],
) -> Option<LinkId> {
    let is_there = |name: &str| config.peers.iter().any(|peer| peer.name == name);
    let rank = |id: &LinkId| match old.iter().rposition(|(_, known)| known == id) {
        None => 0,
        Some(at) if old.get(at).is_some_and(|(name, _)| is_there(name)) => usize::MAX,
        Some(at) => old.len() - at,
    };
    let id = numbers.filter(|id| !taken.contains(*id)).min_by_key(rank)?;
    taken.insert(id);
    Some(id)
}

/// The numbers in use, and after them those of names that went, until another has them.
pub fn remember(mut names: Vec<(String, LinkId)>, old: &[(String, LinkId)]) -> Vec<(String, LinkId)> {
    let in_use = names.len();
    for (name, id) in old {
        if !names.iter().take(in_use).any(|(other, known)| other == name || known == id) {
            names.push((name.clone(), *id));
        }
    }
    names
}

/// The numbers, for the next daemon: a line for each name.
pub fn note(names: &[(String, LinkId)]) -> String {
    let mut text = String::new();
    for (name, id) in names {
        let _ = writeln!(text, "{name} {id}");
    }
    text
}

/// Reads what [`note`] wrote. Of another hand's note, nothing but what it might have written: each number once.
pub fn noted(text: &str) -> Vec<(String, LinkId)> {
    let mut names: Vec<(String, LinkId)> = Vec::new();
    for (name, number) in text.lines().filter_map(|line| line.split_once(' ')) {
        let Some(id) = number.parse().ok().and_then(LinkId::new) else { continue };
        if is_name(name) && !names.iter().any(|(known, other)| known == name || *other == id) {
            names.push((name.into(), id));
        }
    }
    names
}

/// What the main table reaches without a default route; and who a split's packets are for, which take its two paths.
pub fn direct(now: &Snapshot, splits: &[SplitConfig], tunnels: &[Tunnel]) -> Vec<Prefix> {
    let mut direct: Vec<Prefix> = Vec::new();
    for Route { destination: (address, length), .. } in &now.routes {
        if *length > 0 {
            direct.extend(Prefix::new(*address, *length));
        }
    }
    for SplitConfig { split, .. } in splits {
        for to in [split.primary.ip(), split.secondary.ip()] {
            direct.extend(Prefix::new(to, if to.is_ipv4() { 32 } else { 128 }));
        }
    }
    // A server's clients are next door; through a peer that is a way, its routes lead.
    for tunnel in tunnels.iter().filter(|tunnel| tunnel.way.is_none()) {
        for family in Family::BOTH {
            direct.extend(tunnel.routes(family).into_iter().filter(|prefix| prefix.length() > 0));
        }
    }
    direct.sort_unstable_by_key(|prefix| (prefix.address(), prefix.length()));
    direct.dedup();
    direct
}

fn attach_one(id: LinkId, config: &LinkConfig, now: &Snapshot, netifd: &Netifd) -> Attached {
    let mut link = Link {
        id,
        name: config.name.clone(),
        device: String::new(),
        ifindex: 0,
        ipv4: None,
        ipv6: None,
        mtu: 0,
        weight: config.weight,
        metric: config.metric,
        metered: config.metered,
        tunnel: false,
        handicap: config.handicap,
        delegated: config.prefix.iter().filter_map(|p| Some((six(p.address())?, p.length()))).collect(),
        main: [false; 2],
        up: false,
    };
    let lacks = match &config.attach {
        Attach::Device { device, gateway, gateway6 } => by_device(&mut link, now, device, *gateway, *gateway6),
        Attach::Interface(name) => match netifd {
            Netifd::Unknown => Some(Lack::Waits),
            Netifd::Missing(why) => Some(Lack::Address(format!("no netifd ({why}): set option device"))),
            Netifd::Interfaces(known) => by_interface(&mut link, now, name, find(known, name)),
        },
    };
    let interface = match &config.attach {
        Attach::Interface(name) => name.clone(),
        Attach::Device { .. } => String::new(),
    };
    Attached { link, interface, lacks }
}

fn by_device(
    link: &mut Link,
    now: &Snapshot,
    name: &str,
    gateway: Option<Ipv4Addr>,
    gateway6: Option<Ipv6Addr>,
) -> Option<Lack> {
    link.device = name.to_owned();
    let Some(device) = adopt(link, now) else { return Some(Lack::Address(format!("there is no device {name}"))) };
    let address = |family| {
        let of_device = now.addresses.iter().filter(|address| address.device == device.index && address.global);
        let of_family = of_device.map(|address| address.address).filter(|address| Family::of(*address) == family);
        // The kernel's order says nothing, and a unique local address (fc00::/7) leads nowhere on the Internet.
        of_family.min_by_key(|address| matches!(address, IpAddr::V6(six) if six.is_unique_local()))
    };
    let route = |family| default_route(now, device, family);
    if let Some(IpAddr::V4(address)) = address(Family::Ipv4) {
        let gateway =
            gateway.map(|gateway| Some(gateway.into())).or_else(|| route(Family::Ipv4).map(|route| route.gateway));
        link.ipv4 = gateway.map(|gateway| Side { address, gateway: gateway.and_then(four) });
    }
    if let Some(IpAddr::V6(address)) = address(Family::Ipv6) {
        let gateway =
            gateway6.map(|gateway| Some(gateway.into())).or_else(|| route(Family::Ipv6).map(|route| route.gateway));
        link.ipv6 = gateway.map(|gateway| Side { address, gateway: gateway.and_then(six) });
    }
    let missing = match (address(Family::Ipv4).or(address(Family::Ipv6)), link.ipv4.is_some() || link.ipv6.is_some()) {
        (None, _) => format!("{name} has no address"),
        (_, false) => format!("no default route through {name}: set option gateway"),
        _ => return (!device.running).then_some(Lack::Carrier),
    };
    if device.running { Some(Lack::Address(missing)) } else { Some(Lack::Carrier) }
}

fn by_interface(link: &mut Link, now: &Snapshot, name: &str, interface: Option<Interface>) -> Option<Lack> {
    let Some(interface) = interface else { return Some(Lack::Address(format!("netifd has no interface {name}"))) };
    link.device = interface.l3_device.unwrap_or_default();
    if !interface.up || link.device.is_empty() {
        return Some(Lack::Address(format!("interface {name} is down")));
    }
    let Some(device) = adopt(link, now) else {
        return Some(Lack::Address(format!("there is no device {}", link.device)));
    };
    // Among neighbours an address is of no use without a way out, which the kernel may have heard of by itself.
    let way = |hop, family| match (hop, default_route(now, device, family)) {
        (Hop::Via(gateway), _) => Some(Some(gateway)),
        (Hop::Unknown, Some(route)) => Some(route.gateway),
        (Hop::Unknown, None) if device.neighbours => None,
        (Hop::Direct | Hop::Unknown, _) => Some(None),
    };
    let own = interface.ipv6.iter().min_by_key(|address| address.is_unique_local());
    let (gateway, gateway6) = (way(interface.gateway, Family::Ipv4), way(interface.gateway6, Family::Ipv6));
    let side =
        |gateway: Option<IpAddr>, address: &Ipv4Addr| Side { address: *address, gateway: gateway.and_then(four) };
    link.ipv4 = gateway.and_then(|gateway| interface.ipv4.first().map(|address| side(gateway, address)));
    let side = |gateway: Option<IpAddr>, address: &Ipv6Addr| Side { address: *address, gateway: gateway.and_then(six) };
    link.ipv6 = gateway6.and_then(|gateway| own.map(|address| side(gateway, address)));
    link.delegated.extend(interface.prefixes);
    if !device.running {
        return Some(Lack::Carrier); // netifd keeps a static interface up without one
    }
    if link.ipv4.is_some() || link.ipv6.is_some() {
        return None;
    }
    let what = if interface.ipv4.is_empty() && own.is_none() { "address" } else { "default route" };
    Some(Lack::Address(format!("interface {name} has no {what}")))
}

/// Takes over what the kernel says of the link's device.
fn adopt<'a>(link: &mut Link, now: &'a Snapshot) -> Option<&'a Device> {
    let device = now.devices.iter().find(|device| device.name == link.device)?;
    link.ifindex = device.index;
    link.mtu = u16::try_from(device.mtu).unwrap_or(u16::MAX);
    link.tunnel = device.tunnel;
    Some(device)
}

fn four(address: IpAddr) -> Option<Ipv4Addr> {
    if let IpAddr::V4(four) = address { Some(four) } else { None }
}

fn six(address: IpAddr) -> Option<Ipv6Addr> {
    if let IpAddr::V6(six) = address { Some(six) } else { None }
}

/// The default route through a device that the system prefers.
fn default_route<'a>(now: &'a Snapshot, device: &Device, family: Family) -> Option<&'a Route> {
    let default = |route: &&Route| route.device == device.index && route.is_default(family);
    now.routes.iter().filter(default).min_by_key(|route| route.metric)
}

#[cfg(test)]
#[path = "attach_tests.rs"]
mod tests;
