//! What becomes of connections whose link goes down, comes up, leaves the configuration, or changes its address. The rules do
//! a part of it (`steer::known`); what conntrack is to forget is told from here, once the rules stand: else what begins anew
//! would take the same link again.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::install::Installation;
use crate::config::OnDown;
use crate::kernel::{Control, Flow};
use crate::link::{Link, LinkId, LinkSet, MAX_LINKS, Marks};
use crate::logging;
use crate::steer::{self, Plan};

const TCP: u8 = 6;
/// So often is tried again what failed, for want of memory mostly.
const FAILURES: u8 = 3;

/// What has happened to links since conntrack heard of it.
#[derive(Default)]
pub struct Flows {
    names: Vec<(LinkId, String)>,
    homes: [Home; MAX_LINKS],
    up: LinkSet,
    /// Were up, and no longer are.
    lost: LinkSet,
    /// Still to be done.
    fell: LinkSet,
    left: LinkSet,
    rose: bool,
    stale: Vec<(LinkId, IpAddr)>,
    /// How often in a row that failed.
    failures: u8,
}

/// The addresses that a link had last.
#[derive(Clone, Copy, Default)]
struct Home {
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
}

impl Flows {
    /// Links that were up while we ran, and no longer are. Of others nobody knows what they were before.
    pub fn lost(&self) -> LinkSet {
        self.lost
    }

    /// Notes what the links are now.
    pub fn note(&mut self, links: &[Link]) {
        for (id, name) in &self.names {
            // Its number may already be another one's.
            if !links.iter().any(|link| link.id == *id && link.name == *name) {
                self.left.insert(*id);
                self.up.remove(*id);
                self.homes[id.index()] = Home::default();
            }
        }
        self.names = links.iter().map(|link| (link.id, link.name.clone())).collect();
        let up: LinkSet = links.iter().filter(|link| link.up).map(|link| link.id).collect();
        let known: LinkSet = links.iter().map(|link| link.id).collect();
        let fell = self.up.minus(up);
        // A number that was given to another link begins anew.
        self.lost = self.lost.minus(self.left).or(fell).and(known).minus(up);
        self.fell = self.fell.or(fell).and(self.lost);
        self.rose |= !up.minus(self.up).is_empty();
        self.up = up;
        for link in links {
            let home = &mut self.homes[link.id.index()];
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
        // While none is up, connections have nowhere to go, and wait.
        if !self.up.is_empty() {
            let mut fell = LinkSet::EMPTY;
            for link in plan.links.iter().filter(|link| self.fell.contains(link.id)) {
                logging::debug!("link {}: its connections move", link.name);
                if !is_done(&link.name, self.move_off(installation, plan, link)) {
                    fell.insert(link.id);
                }
            }
            self.fell = fell;
            let returns = |link: &Link, ipv4| self.rose && steer::returns(plan, link, ipv4);
            let mut rose = false;
            for link in plan.links {
                for ipv4 in [true, false].into_iter().filter(|ipv4| returns(link, *ipv4)) {
                    rose |= !is_done(&link.name, give_back(installation, marks, link, ipv4));
                }
            }
            self.rose = rose;
        }
        self.failures = if failed && !gives_up { self.failures + 1 } else { 0 };
        self.failures > 0
    }

    fn move_off<K: Control>(&self, installation: &mut Installation<K>, plan: &Plan, link: &Link) -> io::Result<()> {
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
        let silent = |flow: &Flow| !flow.replied;
        let lasting = |flow: &Flow| !flow.replied || (flow.protocol != TCP && !from_outside(flow));
        match on_down {
            Some(OnDown::Flush) => installation.kernel.forget(mark, mask, None),
            Some(OnDown::Reset) => {
                installation.renew(link)?;
                installation.kernel.forget(mark, mask, Some(&lasting))
            }
            _ => installation.kernel.forget(mark, mask, Some(&silent)),
        }
    }
}

/// Connections that a better link wants back: TCP's are reset by the rules.
fn give_back<K: Control>(installation: &mut Installation<K>, marks: Marks, link: &Link, ipv4: bool) -> io::Result<()> {
    logging::debug!("link {}: connections go back to a better one", link.name);
    installation.renew(link)?;
    let (mark, mask) = (marks.link(link.id) | marks.displaced(), marks.link_mask() | marks.displaced());
    let meant = |flow: &Flow| flow.source.is_ipv4() == ipv4 && (flow.protocol != TCP || !flow.replied);
    installation.kernel.forget(mark, mask, Some(&meant))
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
