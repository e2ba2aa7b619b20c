//! What people are told of a peer.

use std::net::SocketAddr;

use crate::time::Time;

use super::super::address::Address;
use super::super::frame::PathId;
use super::super::mtu;
use super::super::path::{Path, State};
use super::super::status::{PathStatus, RemoteStatus, State as Told};
use super::super::store::Slot;
use super::super::tally::Tally;
use super::Peer;

impl Peer {
    /// A session is there, and a path.
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    pub fn path_is_up(&self, id: PathId) -> bool {
        self.paths[id.index()].as_ref().is_some_and(|path| path.is_usable())
    }

    /// Bytes of memory that this peer takes, as good as.
    pub fn held(&self) -> usize {
        let paths: usize = self.paths.iter().flatten().map(|path| path.held()).sum();
        let tallies = self.tallies.iter().flatten().count() * size_of::<Tally>();
        let tables = self.squeezer.held() + self.expander.held() + self.sequences.len() * 4 + self.flows.held();
        let takers: usize = self.takers.iter().flatten().map(|taker| taker.held()).sum();
        let packets = takers
            + self.store.held()
            + self.order.held()
            + self.pieces.held()
            + self.scratch.capacity()
            + self.fair.held();
        let queues = self.express.capacity() * size_of::<Slot>() + self.again.held();
        size_of::<Self>() + self.sessions.held_beside() + paths + tallies + tables + packets + queues
    }

    /// Fills in what counts and where it is; its state and its paths are the caller's.
    pub fn tell(&self, status: &mut RemoteStatus, now: Time) {
        let (totals, order) = (&self.totals, self.order.counters());
        status.handshake = self.sessions.since(now);
        status.received_bytes = totals.received_bytes;
        status.received_packets = totals.received_packets;
        status.sent_bytes = totals.sent_bytes;
        status.sent_packets = totals.sent_packets;
        status.repaired = totals.repaired + totals.rebuilt;
        status.duplicates = order.duplicates;
        status.reordered = order.reordered;
        status.given_up = order.given_up.saturating_sub(order.late);
        status.dropped = self.totals.dropped;
        status.queue = (self.fair.packets() + self.again.len()) as u32;
        let known = || self.paths.iter().flatten().filter(|path| path.address.is_some());
        let heard = known().find(|path| path.is_up()).or_else(|| known().next());
        status.endpoint = heard.and_then(|path| remote(path)).or(status.endpoint);
    }

    /// A path; `None`: there is none of this number. `down_bps` is the caller's.
    pub fn path_status(&self, id: PathId, name: &str, now: Time) -> Option<PathStatus> {
        let path = self.paths[id.index()].as_ref()?;
        let is_up = self.path_is_up(id);
        Some(PathStatus {
            name: name.to_owned(),
            state: match path.state {
                State::Up if is_up => Told::Up,
                State::Trying => Told::Connecting,
                // Or too narrow.
                _ => Told::Down,
            },
            remote: remote(path),
            rtt_us: path.probing.rtt.filter(|_| path.is_up()).map(|(rtt, _)| rtt),
            loss_permille: path.rate.loss().min(1000) as u16,
            down_bps: None,
            up_bps: path.is_up().then(|| path.rate.known().saturating_mul(8)),
            received_bytes: path.counts.received_bytes,
            sent_bytes: path.counts.sent_bytes,
            retransmitted: path.counts.lost,
            reordered: path.counts.reordered,
            queue_us: path.is_up().then(|| path.rate.queue(now)),
            mtu: if is_up { mtu::device(path.search.confirmed()) } else { 0 },
        })
    }
}

fn remote(path: &Path) -> Option<SocketAddr> {
    match path.address?.to {
        Address::Udp { remote, .. } => Some(remote),
        Address::Ethernet(_) => None,
    }
}
