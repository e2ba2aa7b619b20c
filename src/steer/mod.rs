//! Steering: which link a new connection takes, written as an nft ruleset. Pure text: `linux` loads it.
//!
//! # The life of a forwarded connection's first packet, by netfilter hook
//! | hook, priority | chain | what happens |
//! |---|---|---|
//! | prerouting, mangle + 1 | `classify` | the first matching rule's policy writes the mark: a link, and "to be queued" if it is raced |
//! | prerouting, dstnat + 1 | `translated` | what the firewall's DNAT or REDIRECT sends elsewhere is not raced, or takes the plain way |
//! | (routing) | | an ip rule leads from the link's mark to its table |
//! | forward, mangle | `mss` | a SYN into or out of a peer's device gets the MSS that fits it |
//! | postrouting, mangle - 10 | `leave` | after the user's firewall accepted it: a packet to be queued goes to the daemon, while that is alive; of all others that begin a flow, the link is written to the conntrack entry |
//! | output, raw - 10 | `sent` | the daemon's copies leave: their answers' tuples go into a set; conntrack never sees them |
//! | prerouting, raw - 10 | `answers` | what arrives at a link and is in that set is queued |
//! | prerouting, raw - 10 | `answers` | a UDP or echo answer that decided a race comes by once more, and takes its tuple out of the set |
//!
//! Every later packet takes the link that conntrack remembers, by `classify`; where that link went down, or a better one wants
//! its connections back, `moved` tells the client to begin anew. The first packet of a connection from outside is seen by
//! `begins` (prerouting, dstnat - 10): the connection keeps the link that it came in by. What the router itself sends passes `local`
//! and `translated_local` (output) in place of the two in prerouting.

use std::net::IpAddr;

use crate::config::Config;
use crate::family::Family;
use crate::link::{Link, LinkId, LinkSet};
use crate::prefix::Prefix;
use crate::split::place::Place;

mod classify;
mod copies;
mod foreign;
mod global;
mod known;
mod leave;
mod policy;
mod rule;
mod ruleset;
mod translated;
pub mod tunnel;
pub mod why;
mod writer;

pub use foreign::Foreign;
pub use known::{can_move, returns};
pub use policy::{best, raced_policies};
pub use ruleset::{Ruleset, Target, removal, ruleset};
pub use tunnel::Tunnel;

/// The name of our table, family `inet`.
pub const TABLE: &str = "cheaproute";

/// Our routing tables are this plus the link's number, our ip rules' preferences likewise. mwan3 has 1000 to 3999,
/// netifd 10000 and up.
pub const BASE: u32 = 4000;

/// The first of our queues, for answers; the next ones are for the policies that race, in their order. "cr" in ASCII: a
/// number that other programs' authors hardly choose.
pub const QUEUE: u16 = 0x6372;

/// How long the kernel expects answers to a copy: one second longer than their race is kept.
pub const EXPECT_SECONDS: u32 = 5;

/// How long after the daemon's last heartbeat new connections are still queued: a client repeats its SYN after 1 s and
/// 3 s, so a daemon that hangs costs it the first, and the second goes through.
pub const ALIVE_SECONDS: u32 = 2;

/// How packets get into a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queueing {
    /// By nft's own `queue`.
    Nft,
    /// By xtables' target NFQUEUE in rules of nft (`nft_compat`): the kernel has no `nft_queue`.
    Xtables,
}

/// All that a ruleset depends on.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    pub config: &'a Config,
    /// Links, and peers that connections can take as they take a link.
    pub links: &'a [Link],
    /// Links that connections of IPv4, and those of IPv6, could take and no longer can.
    pub lost: [LinkSet; 2],
    pub queueing: Queueing,
    /// Whether nft can ask if IPsec is going to take a packet.
    pub ipsec: bool,
    /// What the main routing table reaches without a default route: never raced, never steered.
    pub direct: &'a [Prefix],
    /// The devices of peers.
    pub tunnels: &'a [Tunnel],
    /// What somebody else's ip rules lead away, if there are any.
    pub foreign: Option<&'a Foreign>,
    /// What the daemon puts up for splits, if anything.
    pub splits: Option<&'a Place>,
    /// The most races in flight.
    pub races: usize,
}

impl Plan<'_> {
    /// Whether another link has an address of this one's, as two modems of one make do: then it names neither.
    pub fn is_shared(&self, link: &Link, address: IpAddr) -> bool {
        self.links.iter().any(|other| other.id != link.id && other.address(Family::of(address)) == Some(address))
    }

    /// Whether what the router itself sends takes this link only if its program asks for that: it may be what the link's own packets are
    /// carried by, and would come back for ever.
    pub fn spares_own(&self, link: &Link) -> bool {
        self.config.main.local_traffic && link.tunnel
    }
}

#[cfg(test)]
impl<'a> Plan<'a> {
    /// Of links alone, on a kernel that has everything, for tests.
    pub(crate) fn example(config: &'a Config, links: &'a [Link]) -> Self {
        Plan {
            config,
            links,
            lost: [LinkSet::EMPTY; 2],
            queueing: Queueing::Nft,
            ipsec: true,
            direct: &[],
            tunnels: &[],
            foreign: None,
            splits: None,
            races: 10,
        }
    }
}

/// The routing table of a link.
pub fn table(link: LinkId) -> u32 {
    BASE + u32::from(link.number())
}

#[cfg(test)]
mod tests;
