//! What leads into the devices of peers, and what their packets need: routes, TCP's MSS, masquerade.
//!
//! A peer of role client is a way as a link is: it has a number, a mark and a table. Its routes come before policies, by that
//! mark; what the router itself sends has none, and finds them in a table of their own ([`TABLE`]), after the main table
//! without its default routes. A server's clients are next door: never steered, and only in that table.

use crate::config::Mode;
use crate::family::Family;
use crate::kernel::{Route, Rule};
use crate::link::LinkId;
use crate::prefix::Prefix;

use super::Plan;
use super::rule::prefix_set;
use super::writer::Writer;

/// Its number, and the preference of the rule that leads there. Those of links come before, a split's after.
pub const TABLE: u32 = 4051;

/// The kernel's main table (`RT_TABLE_MAIN`, linux/rtnetlink.h).
pub const MAIN: u32 = 254;

/// A peer's device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tunnel {
    /// The section's.
    pub name: String,
    pub device: String,
    /// 0 while there is none.
    pub index: u32,
    pub up: bool,
    /// Bytes; 0 if it is not known.
    pub mtu: u16,
    /// Of role client: among [`Plan::links`].
    pub way: Option<LinkId>,
    /// Whom it leads to.
    pub routes: Vec<Prefix>,
    /// Who leaves other devices by this host's own addresses.
    pub masquerade: Vec<Prefix>,
}

impl Tunnel {
    /// Its routes of one family, if they are in force.
    pub fn routes(&self, family: Family) -> Vec<Prefix> {
        let in_force = self.up && self.index != 0;
        self.routes.iter().copied().filter(|prefix| in_force && prefix.family() == family).collect()
    }
}

impl Plan<'_> {
    /// Whether a number is that of a peer.
    pub fn is_peer(&self, id: LinkId) -> bool {
        self.tunnels.iter().any(|tunnel| tunnel.way == Some(id))
    }

    /// The tunnel that a connection takes by its peer's routes, with the route: the longest prefix, then the first peer.
    pub fn by_route(&self, to: std::net::IpAddr) -> Option<(&Tunnel, Prefix)> {
        let mut best: Option<(&Tunnel, Prefix)> = None;
        for tunnel in self.tunnels.iter().filter(|tunnel| self.leads(tunnel, Family::of(to))) {
            for route in tunnel.routes(Family::of(to)) {
                if route.contains(to) && best.is_none_or(|(_, other)| route.length() > other.length()) {
                    best = Some((tunnel, route));
                }
            }
        }
        best
    }

    /// A peer without an address of a family carries none of its connections.
    fn leads(&self, tunnel: &Tunnel, family: Family) -> bool {
        self.links.iter().any(|link| Some(link.id) == tunnel.way && link.usable(family))
    }
}

/// The routes of [`TABLE`], of one family.
pub fn routes(plan: &Plan, family: Family) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for tunnel in plan.tunnels.iter().filter(|tunnel| tunnel.way.is_none() || plan.leads(tunnel, family)) {
        for prefix in tunnel.routes(family) {
            let destination = (prefix.address(), prefix.length());
            // Two peers may lead to one network: the first.
            if routes.iter().all(|route| route.destination != destination) {
                routes.push(Route { destination, gateway: None, device: tunnel.index, metric: 0 });
            }
        }
    }
    routes
}

/// The two rules that lead to [`TABLE`], in a family in which it has routes.
pub fn rules(plan: &Plan, family: Family) -> Vec<Rule> {
    if routes(plan, family).is_empty() {
        return Vec::new();
    }
    let rule = |preference, table, suppress| Rule { preference, source: None, mark: 0, mask: 0, table, suppress };
    vec![rule(TABLE - 1, MAIN, Some(0)), rule(TABLE, TABLE, None)]
}

/// In the chain of new connections, after what is next door: those that a peer's route leads to.
pub(super) fn write_routes(out: &mut Writer, plan: &Plan) {
    for family in Family::BOTH {
        let ways = plan.tunnels.iter().filter(|tunnel| plan.leads(tunnel, family));
        let mut routes: Vec<(Prefix, LinkId)> = Vec::new();
        for tunnel in ways {
            let own = tunnel.routes(family).into_iter().filter_map(|route| Some((route, tunnel.way?)));
            own.for_each(|(route, way)| {
                if routes.iter().all(|(known, _)| *known != route) {
                    let at = routes.partition_point(|(longer, _)| longer.length() >= route.length());
                    routes.insert(at, (route, way));
                }
            });
        }
        let (ip, name) = (family.ip(), family.name());
        // Neighbours of one peer and one length stand in one set; the longest prefix comes first.
        for same in routes.chunk_by(|(a, one), (b, other)| a.length() == b.length() && one == other) {
            let Some((_, way)) = same.first() else { continue };
            let prefixes: Vec<Prefix> = same.iter().map(|(route, _)| *route).collect();
            match prefix_set(&prefixes, family) {
                Some(Some(set)) => out.rule(format_args!("{ip} daddr {set} goto link_{way}")),
                // All of the family.
                Some(None) => out.rule(format_args!("meta nfproto {name} goto link_{way}")),
                None => {}
            }
        }
    }
}

/// A TCP connection's MSS fits into the device whichever end began it; and what a server's clients send leaves by its address.
pub(super) fn write_chains(out: &mut Writer, plan: &Plan) {
    if plan.tunnels.is_empty() {
        return;
    }
    out.chain(format_args!("mss"), Some("filter hook forward priority mangle"));
    for Tunnel { device, mtu, .. } in plan.tunnels {
        let syn = "tcp flags & (syn | rst) == syn tcp option maxseg size set";
        out.rule(format_args!("oifname \"{device}\" {syn} rt mtu"));
        // The other end's SYNs fit already, unless it is of another mind, or a version that forgets it. RFC 9293, 3.7.1.
        for (family, headers) in [(Family::Ipv4, 40), (Family::Ipv6, 60)] {
            if let Some(most) = mtu.checked_sub(headers).filter(|most| *most > 0) {
                out.rule(format_args!("iifname \"{device}\" meta nfproto {} {syn} {most}", family.name()));
            }
        }
    }
    // A program of the router's has the address of the main table's way before a policy sends its connection to a peer, and the far end lets
    // none but the device's own pass.
    let own =
        plan.config.main.local_traffic && plan.config.policies.iter().any(|policy| policy.mode == Mode::Aggregate);
    if !own && plan.tunnels.iter().all(|tunnel| tunnel.masquerade.is_empty()) {
        return;
    }
    out.chain(format_args!("from_clients"), Some("nat hook postrouting priority srcnat"));
    for link in plan.links.iter().filter(|link| own && plan.is_peer(link.id)) {
        for family in Family::BOTH {
            let Some(address) = link.address(family) else { continue };
            let (device, ip) = (&link.device, family.ip());
            out.rule(format_args!("oifname \"{device}\" {ip} saddr != {address} fib saddr type local masquerade"));
        }
    }
    for Tunnel { device, masquerade, .. } in plan.tunnels.iter().filter(|tunnel| !tunnel.masquerade.is_empty()) {
        for family in Family::BOTH {
            let (ip, name) = (family.ip(), family.name());
            match prefix_set(masquerade, family) {
                Some(Some(set)) => out.rule(format_args!("{ip} saddr {set} oifname != \"{device}\" masquerade")),
                Some(None) => out
                    .rule(format_args!("meta nfproto {name} iifname \"{device}\" oifname != \"{device}\" masquerade")),
                None => {}
            }
        }
    }
}

#[cfg(test)]
#[path = "tunnel_tests.rs"]
mod tests;
