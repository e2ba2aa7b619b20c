//! The kernel as the daemon sees it: what it says, and what it can be told.
//!
//! [`Control`] is what happens at start, at stop and when a link changes; [`Data`] is what happens to packets. `linux` is the
//! real one, `fake` stands beside it for tests: the daemon's parts run against either.

use core::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::family::Family;
use crate::link::LinkId;
use crate::packet::Opening;
use crate::prefix::Prefix;
use crate::race::RaceId;

#[cfg(test)]
pub mod fake;

/// Who made a route or a rule; nobody else has this number (`/etc/iproute2/rt_protos`, `linux/rtnetlink.h`).
pub const PROTOCOL: u8 = 206;

/// What a program that failed said, as a sentence.
pub type Failure = String;

/// The slow way: links, routes, rules, settings.
pub trait Control {
    fn snapshot(&mut self) -> io::Result<Snapshot>;

    /// Every ip rule of a family, with who made it.
    fn rules(&mut self, family: Family) -> io::Result<Vec<(Rule, u8)>>;

    /// Adds a rule of ours. One that is there already is fine.
    fn add_rule(&mut self, family: Family, rule: &Rule) -> io::Result<()>;

    /// Removes a rule of ours. One that is gone already is fine.
    fn remove_rule(&mut self, family: Family, rule: &Rule) -> io::Result<()>;

    /// Makes the default route of one of our tables what it should be.
    fn set_default(&mut self, table: u32, device: u32, gateway: Option<IpAddr>, family: Family) -> io::Result<()>;

    /// Adds a route to one of our tables, its metric left out. One that is there already is fine.
    fn add_route(&mut self, table: u32, route: &Route) -> io::Result<()>;

    /// Removes our routes from the tables that `wanted` does not want.
    fn remove_routes(&mut self, family: Family, wanted: &dyn Fn(u32) -> bool) -> io::Result<()>;

    /// Loads an nft ruleset in one transaction.
    fn load(&mut self, ruleset: &str) -> Result<(), Failure>;

    /// Whether the kernel would take a ruleset.
    fn would_load(&mut self, ruleset: &str) -> Result<(), Failure>;

    /// Tries whether xtables' target NFQUEUE can stand in an nft rule.
    fn has_target(&mut self) -> io::Result<()>;

    /// Whether nft's family `inet` has this table.
    fn has_table(&mut self, table: &str) -> bool;

    /// Adds a rule with that target, for the queue of this number, to the end of a chain of nft's family `inet`.
    fn add_target(&mut self, table: &str, chain: &str, queue: u16) -> io::Result<()>;

    /// Makes conntrack forget connections whose mark is `mark` in the bits of `mask`: all of them, or those that `picked`
    /// picks.
    fn forget(&mut self, mark: u32, mask: u32, picked: Option<Picked>) -> io::Result<()>;

    /// A setting under /proc/sys, such as `net/ipv4/ip_forward`.
    fn setting(&mut self, name: &str) -> io::Result<String>;

    fn set(&mut self, name: &str, value: &str) -> io::Result<()>;

    /// Leaves a note for the next daemon, should this one be killed, instead of the last one; an empty one is none.
    fn keep(&mut self, note: &str) -> io::Result<()>;

    /// The note that stands.
    fn kept(&mut self) -> String;
}

/// Which connections are meant.
pub type Picked<'p> = &'p dyn Fn(&Flow) -> bool;

/// A connection, as conntrack has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    /// The IP protocol's number.
    pub protocol: u8,
    /// Who began it, and whom it was meant for.
    pub source: IpAddr,
    pub destination: IpAddr,
    /// Whom its answers are meant for: `source`, or the address that it was translated to.
    pub answered: IpAddr,
    /// An answer has come.
    pub replied: bool,
    /// It is in a flowtable: its packets may pass no rule, and come back to the rules once it is forgotten.
    pub offloaded: bool,
}

/// The fast way: packets.
pub trait Data {
    /// Sends an IP packet out of a link.
    fn send(&mut self, link: LinkId, packet: &[u8], to: IpAddr) -> io::Result<()>;
}

/// A packet in a queue.
#[derive(Clone, Copy, Debug)]
pub struct Queued<'a> {
    pub queue: u16,
    /// The kernel's name for it in that queue.
    pub id: u32,
    pub mark: u32,
    /// The index of the device that it came in by; 0: none.
    pub in_device: u32,
    pub bytes: &'a [u8],
}

/// Takes verdicts, and what must happen before a verdict. All of it happens in this order, some time later.
pub trait Judge {
    /// Creates the conntrack entry of `opening` as if it had left from `source` with `mark`. Should it fail, `race` says
    /// whose it was.
    fn establish(&mut self, race: RaceId, opening: &Opening, source: SocketAddr, mark: u32);

    /// The packet goes on, with this mark.
    fn accept(&mut self, queue: u16, id: u32, mark: u32);

    /// The packet comes once more to the base chain that queued it, with this mark.
    fn repeat(&mut self, queue: u16, id: u32, mark: u32);

    fn drop(&mut self, queue: u16, id: u32);
}

/// A network device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    pub index: u32,
    pub name: String,
    /// Bytes.
    pub mtu: u32,
    /// Administratively up, and its carrier is there.
    pub running: bool,
    /// Whoever is reached through it is a neighbour: it is neither a point-to-point device nor one without ARP.
    pub neighbours: bool,
    /// What it sends is carried by packets of the router's own, as a VPN does.
    pub tunnel: bool,
    /// Bytes since the device exists.
    pub received: u64,
    pub sent: u64,
}

#[cfg(test)]
impl Device {
    /// One on Ethernet that runs, for tests.
    pub(crate) fn example(index: u32, name: &str) -> Self {
        let name = name.into();
        Device { index, name, mtu: 1500, running: true, neighbours: true, tunnel: false, received: 0, sent: 0 }
    }
}

/// An address of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    pub device: u32,
    pub address: IpAddr,
    /// Usable as a source towards the Internet: global scope, not tentative, deprecated or temporary.
    pub global: bool,
}

/// A route of the main table, or for a table of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    pub destination: (IpAddr, u8),
    pub gateway: Option<IpAddr>,
    /// 0: none (unreachable, or several next hops).
    pub device: u32,
    pub metric: u32,
}

impl Route {
    /// Whether it leads to all of a family.
    pub fn is_default(&self, family: Family) -> bool {
        self.destination.1 == 0 && Family::of(self.destination.0) == family
    }
}

/// What the kernel knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    pub devices: Vec<Device>,
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
}

impl Snapshot {
    /// The main table's route to an address.
    pub fn route_to(&self, to: IpAddr) -> Option<&Route> {
        let leads = |route: &&Route| {
            let (address, length) = route.destination;
            Prefix::new(address, length).is_some_and(|prefix| prefix.contains(to))
        };
        self.routes.iter().filter(leads).min_by_key(|route| (core::cmp::Reverse(route.destination.1), route.metric))
    }

    pub fn device(&self, index: u32) -> Option<&Device> {
        self.devices.iter().find(|device| device.index == index)
    }
}

/// An ip rule that leads to a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    pub preference: u32,
    /// One host's packets only.
    pub source: Option<IpAddr>,
    pub mark: u32,
    pub mask: u32,
    pub table: u32,
    /// Routes of prefixes this long or shorter do not count: 0 leaves out the default route.
    pub suppress: Option<u32>,
}

/// As the `ip rule` command words it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pref {}", self.preference)?;
        match self.source {
            Some(source) => write!(f, " from {source}")?,
            None if self.mask == 0 => {}
            None => write!(f, " fwmark {:#x}/{:#x}", self.mark, self.mask)?,
        }
        write!(f, " lookup {}", self.table)?;
        self.suppress.map_or(Ok(()), |length| write!(f, " suppress_prefixlength {length}"))
    }
}
