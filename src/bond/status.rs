//! How peers are, as plain data: what the data thread tells, and all that people see of it is made of. Rates and counters
//! are of the outer packets where they are a path's, of the inner ones where they are a peer's.

use std::net::{IpAddr, SocketAddr};

use crate::config::{OwnAddress, Role, Scheduler};
use crate::family::Family;
use crate::time::Time;

/// A section `peer` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerStatus {
    /// The kernel's device and its index; 0 while there is none.
    pub device: String,
    pub index: u32,
    pub role: Role,
    pub scheduler: Scheduler,
    pub addresses: Vec<OwnAddress>,
    /// Bytes; the device's.
    pub mtu: u16,
    /// The far end; for a server all of its clients together, with the peer's name: it is up when its device is there
    /// and it listens.
    pub all: RemoteStatus,
    /// A server's clients, in the configuration's order; empty for a client.
    pub clients: Vec<RemoteStatus>,
}

/// A far end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteStatus {
    /// The section's.
    pub name: String,
    pub state: State,
    /// Of the state.
    pub since: Time,
    /// Why it is in this state, for people: `no answer from 192.0.2.1:7420`.
    pub reason: String,
    /// Where it was heard of last, or is looked for.
    pub endpoint: Option<SocketAddr>,
    /// When the keys in use were agreed on.
    pub handshake: Option<Time>,
    pub received_bytes: u64,
    pub received_packets: u64,
    pub sent_bytes: u64,
    pub sent_packets: u64,
    /// Lost packets that were made good: sent again from here, or made here of a parity.
    pub repaired: u64,
    /// Packets that came more than once; the first is what counts.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets that never came, as far as is known by now.
    pub given_up: u64,
    /// Packets, of either direction, that found no path, no room or no shape, waited too long, or that a full queue let go.
    pub dropped: u64,
    /// Packets that wait to be sent.
    pub queue: u32,
    pub paths: Vec<PathStatus>,
}

/// One link to a far end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathStatus {
    /// The link's; of transport ethernet the device's. Of a server, which does not know them, `0`, `1` and so on.
    pub name: String,
    pub state: State,
    pub remote: Option<SocketAddr>,
    /// Microseconds.
    pub rtt_us: Option<u64>,
    /// Of what was sent here lately.
    pub loss_permille: u16,
    /// What the path carries at most, as far as that is known: towards us, and from us. Bits a second.
    pub down_bps: Option<u64>,
    pub up_bps: Option<u64>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// Packets that were lost here, and sent again by any path.
    pub retransmitted: u64,
    /// Packets that came by it after a later one of its own: a radio mixes them.
    pub reordered: u64,
    /// Microseconds that what leaves by it waits in the link's queues, ours or another's.
    pub queue_us: Option<u64>,
    /// Bytes of an inner packet that fits.
    pub mtu: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Silent for so long that connections are not kept waiting for it.
    Down,
    /// It is called, and has not answered yet.
    Connecting,
    Up,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            State::Down => "down",
            State::Connecting => "connecting",
            State::Up => "up",
        }
    }
}

impl PeerStatus {
    pub fn name(&self) -> &str {
        &self.all.name
    }

    pub fn is_up(&self) -> bool {
        self.all.state == State::Up && self.index != 0
    }

    /// The device's own address in a family.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().map(|own| own.address).find(|address| Family::of(*address) == family)
    }
}

impl RemoteStatus {
    /// One of which nothing is known yet.
    pub fn new(name: &str, since: Time) -> Self {
        RemoteStatus {
            name: name.to_owned(),
            state: State::Down,
            since,
            reason: String::new(),
            endpoint: None,
            handshake: None,
            received_bytes: 0,
            received_packets: 0,
            sent_bytes: 0,
            sent_packets: 0,
            repaired: 0,
            duplicates: 0,
            reordered: 0,
            given_up: 0,
            dropped: 0,
            queue: 0,
            paths: Vec::new(),
        }
    }
}
