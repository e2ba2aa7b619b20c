//! What becomes of connections whose link goes down, comes up, leaves the configuration, or changes its address. The rules do
//! a part of it (`steer::known`); what conntrack is to forget is told from here, once the rules stand: else what begins anew
//! would take the same link again.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::install::Installation;
use crate::config::OnDown;
use crate::family::Family;
use crate::kernel::{Control, Flow};
use crate::link::{Link, LinkId, LinkSet, MAX_LINKS, Marks};
use crate::logging;
use crate::packet::numbers::TCP;
use crate::steer::{self, Plan};

/// So often is tried again what failed, for want of memory mostly.
const FAILURES: u8 = 3;

/// What has happened to links since conntrack heard of it.
#[derive(Default)]
pub struct Flows {
    names: Vec<(LinkId, String)>,
    homes: [Home; MAX_LINKS],
    /// IPv4, then IPv6: a link may lose one, and keep the other.
    sides: [Side; 2],
    /// Still to be done.
    left: LinkSet,
    rose: bool,
    stale: Vec<(LinkId, IpAddr)>,
    /// How often in a row that failed.
    failures: u8,
}

/// What links are to connections of one address family.
#[derive(Default)]
struct Side {
    up: LinkSet,
    /// Were up, and no longer are.
    lost: LinkSet,
    /// Of those, whose connections still have to move.
    fell: LinkSet,
}

/// The addresses that a link had last.
#[derive(Clone, Copy, Default)]
struct Home {
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
}

impl Home {
    const fn has(self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.ipv4.is_some(),
            Family::Ipv6 => self.ipv6.is_some(),
        }
    }
}

impl Side {
    /// Whether a link is up that was not.
    fn note(&mut self, up: LinkSet, known: LinkSet, left: LinkSet) -> bool {
        let (fell, rose) = (self.up.minus(up), up.minus(self.up));
        // A number that was given to another link begins anew.
        self.lost = self.lost.minus(left).or(fell).and(known).minus(up);
        self.fell = self.fell.or(fell).and(self.lost);
        self.up = up;
        !rose.is_empty()
    }
}

impl Flows {
    /// Links that connections of IPv4, and those of IPv6, could take while we ran, and no longer can. Of others nobody knows what
    /// they were before.
    pub fn lost(&self) -> [LinkSet; 2] {
        self.sides.each_ref().map(|side| side.lost)
    }

    /// Notes what the links are now.
    pub fn note(&mut self, links: &[Link]) {
        for (id, name) in &self.names {
            // Its number may already be another one's.
            if !links.iter().any(|link| link.id == *id && link.name == *name) {
                self.left.insert(*id);
                self.sides.iter_mut().for_each(|side| side.up.remove(*id));
                self.homes[id.index()] = Home::default();
            }
        }
        self.names = links.iter().map(|link| (link.id, link.name.clone())).collect();
        let known: LinkSet = links.iter().map(|link| link.id).collect();
        for (side, family) in self.sides.iter_mut().zip(Family::BOTH) {
            // Where the router itself never had an address, its clients may have some: they leave by the link while that is up.
            let is_up = |link: &&Link| link.usable(family) || link.up && !self.homes[link.id.index()].has(family);
            let up = links.iter().filter(is_up).map(|link| link.id).collect();
            self.rose |= side.note(up, known, self.left);
        }
        for link in links {
            let home = &mut self.homes[link.id.index()];
            self.rose |= Family::BOTH.iter().any(|family| link.usable(*family) && !home.has(*family));
            // A link without an address may get the old one back, as after a redial.
            let old = [
                link.ipv4
                    .and_then(|side| home.ipv4.replace(side.address).filter(|old| *old != side.address))
                    .map(IpAddr::from),
                link.ipv6
                    .and_then(|side| home.ipv6.replace(side.address).filter(|old| *old != side.address))
                    .map(IpAddr::from),
            ];
            self.stale.extend(old.into_iter().flatten().map(|old| (link.id, old)));
        }
    }

    /// Does what is left to do, after the rules for `plan` were loaded. Whether something failed, and is to be tried again.
    pub fn settle<K: Control>(&mut self, installation: &mut Installation<K>, plan: &Plan) -> bool {
        let marks = plan.config.main.mark_mask;
        let (gives_up, mut failed) = (self.failures >= FAILURES, false);
        let mut is_done = |whose: &dyn Display, done: io::Result<()>| {
            failed |= done.is_err();
            done.inspect_err(|error| logging::warn!("link {whose}: cannot move its connections: {error}")).is_ok()
                || gives_up
        };
        for id in self.left.iter() {
            let forgotten = installation.kernel.forget(marks.link(id), marks.link_mask(), None);
            if is_done(&"that left", forgotten) {
                self.left.remove(id);
            }
        }
        self.stale.retain(|(id, old)| {
            // Nobody answers to it any more.
            let stale = |flow: &Flow| [flow.source, flow.destination, flow.answered].contains(old);
            !is_done(old, installation.kernel.forget(marks.link(*id), marks.link_mask(), Some(&stale)))
        });
        let mut rose = false;
        for link in plan.links {
            for family in Family::BOTH {
                // While it has nowhere to go, a connection waits.
                if self.sides[family.index()].fell.contains(link.id) && steer::can_move(plan, link, family) {
                    logging::debug!("link {}: its connections move", link.name);
                    if is_done(&link.name, self.move_off(installation, plan, link, family)) {
                        self.sides[family.index()].fell.remove(link.id);
                    }
                }
                if self.rose && steer::returns(plan, link, family) {
                    rose |= !is_done(&link.name, give_back(installation, marks, link, family));
                }
            }
        }
        self.rose = rose;
        self.failures = if failed && !gives_up { self.failures + 1 } else { 0 };
        self.failures > 0
    }

    fn move_off<K: Control>(
        &self,
        installation: &mut Installation<K>,
        plan: &Plan,
        link: &Link,
        family: Family,
    ) -> io::Result<()> {
        let marks = plan.config.main.mark_mask;
        let (mark, mask) = (marks.link(link.id), marks.link_mask());
        let on_down = plan.config.links.iter().find(|other| other.name == link.name).map(|other| other.on_down);
        let on_down = on_down.or(plan.is_peer(link.id).then_some(OnDown::Reset));
        let home = self.homes[link.id.index()];
        // What began outside is the far end's to begin anew.
        let from_outside = |flow: &Flow| match flow.destination {
            IpAddr::V4(address) => home.ipv4 == Some(address),
            IpAddr::V6(address) => home.ipv6 == Some(address) || is_delegated(link, address),
        };
        let forgotten = |flow: &Flow| is_past_rules(flow) && !from_outside(flow);
        if on_down == Some(OnDown::Reset) {
            installation.renew(link, family)?;
        }
        let meant = |flow: &Flow| {
            let goes = match on_down {
                Some(OnDown::Flush) => true,
                Some(OnDown::Reset) => !flow.replied || forgotten(flow),
                _ => !flow.replied,
            };
            goes && Family::of(flow.source) == family
        };
        installation.kernel.forget(mark, mask, Some(&meant))
    }
}

/// Connections that a better link wants back: TCP's are reset by the rules, as far as they come by there.
fn give_back<K: Control>(
    installation: &mut Installation<K>,
    marks: Marks,
    link: &Link,
    family: Family,
) -> io::Result<()> {
    logging::debug!("link {}: connections go back to a better one", link.name);
    installation.renew(link, family)?;
    let (mark, mask) = (marks.link(link.id) | marks.displaced(), marks.link_mask() | marks.displaced());
    let meant = |flow: &Flow| Family::of(flow.source) == family && (is_past_rules(flow) || !flow.replied);
    installation.kernel.forget(mark, mask, Some(&meant))
}

/// What no rule resets: what is no TCP, and what is in a flowtable. That does not mind routes that went where it leads to a bridge's
/// port, or has the hardware forward (`nft_dev_path_info`, `nf_flow_dst_check`); but it minds what conntrack forgot
/// (`flow_offload_lookup`).
fn is_past_rules(flow: &Flow) -> bool {
    flow.protocol != TCP || flow.offloaded
}

fn is_delegated(link: &Link, address: Ipv6Addr) -> bool {
    let within = |(prefix, length): &(Ipv6Addr, u8)| {
        let host = 128u32.saturating_sub((*length).into());
        address.to_bits().checked_shr(host).unwrap_or(0) == prefix.to_bits().checked_shr(host).unwrap_or(0)
    };
    link.delegated.iter().any(within)
}

#[cfg(test)]
#[path = "flows_tests.rs"]
mod tests;
