//! Bond: two cheaproutes carry packets between them over several links at once, encrypted, repaired and in order.
//!
//! # Nouns
//! - **Peer** ([`peer`]): the configured remote end, known by its public key. The [`hub`] holds all of a section's.
//! - **Session** ([`session`]): the keys of one handshake ([`handshake`]), two minutes long. **Index**: 24 bits by which the
//!   receiver of a datagram knows its session.
//! - **Path** ([`path`]): one link to the peer. Each has counters and a replay window ([`replay`]) of its own, so that a
//!   slow path's packets are never too old for a fast path's.
//! - **Item**: what one datagram carries after decryption: a packet ([`item`]), or a word between the two ends ([`control`]).
//! - **Flow** ([`flow`]): a bucket of connections. Order is kept within one, so that no connection waits for another's losses.
//!
//! # The life of a packet
//! 1. The device hands it over, often as a part of a larger one ([`offload`]). Its [`flow`] gives it a number; a TCP header is
//!    squeezed ([`squeeze`]), a packet that is too long becomes two ([`pieces`]). The [`store`] keeps it.
//! 2. It waits for a path, little and large ones apart: the little ones leave first, as long as they take no more of a path than the
//!    others have; the large ones' flows take turns ([`fair`]), and of acknowledgments that wait the last says it all ([`acks`]).
//! 3. The scheduler ([`schedule`]) chooses the path by which it arrives first and which has room: each path's [`rate`] keeps
//!    just enough in flight to be busy, and less where its link buffers little ([`brim`]). By a path that lags leaves, early,
//!    what stands so far behind that its turn comes when it arrives. It is sealed, which may be another thread's work
//!    ([`sealing`]), and is on its way.
//! 4. The far end counts it ([`tally`]) and reports what is missing, within a millisecond or five, or twenty by a slow way back.
//!    What a report names as lost, and what a path carried that answers no more, leaves again, by the quickest path, the little ones first.
//!    By a path that loses packets, each group of them is followed by its [`parity`]: one that is missing need not be asked for.
//! 5. The far end's [`order`] lets it pass to the device when those before it have passed, or have been waited for too long.
//!
//! # On the wire
//! A datagram is the payload of UDP or of an Ethernet frame; [`frame`] and [`handshake`] have its fields. Nobody who lacks the
//! receiver's public key gets an answer; nobody who lacks a peer's private key gets anything into a session.

pub mod acks;
pub mod address;
pub mod brim;
pub mod checksum;
pub mod coalesce;
pub mod control;
pub mod ecn;
pub mod fair;
pub mod flow;
pub mod frame;
pub mod handshake;
pub mod hub;
pub mod item;
pub mod jitter;
pub mod keys;
pub mod latency;
pub mod least;
pub mod mtu;
pub mod noise;
pub mod offload;
pub mod order;
pub mod pace;
pub mod parity;
pub mod path;
pub mod peer;
pub mod pieces;
pub mod rate;
pub mod replay;
pub mod routes;
pub mod schedule;
pub mod sealing;
pub mod session;
#[cfg(test)]
mod simulation;
pub mod sorted;
pub mod squeeze;
pub mod status;
pub mod store;
pub mod tally;

use address::Address;
use flow::Packet;
use frame::PathId;
use sealing::Task;

/// A datagram's way in or out: the caller's number of a socket, and the far end there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Via {
    pub socket: u16,
    pub to: Address,
}

/// What happened to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A session is there, and a path.
    Up,
    Down,
    PathUp(PathId),
    PathDown(PathId),
    /// Largest packet that its device should take, bytes.
    Mtu(u16),
    /// A path that carries too little to be used.
    Narrow(PathId),
    /// Nothing came for two seconds: another of its endpoints may do better.
    Silent,
    /// Where we call it, somebody answers in another version of the handshake. Once for each call.
    Version(u8),
}

/// Room for a datagram.
pub struct Slot<'s> {
    /// To be filled in at once.
    pub bytes: &'s mut [u8],
    /// If there, what is left here is done to the datagram before it leaves; else it is to be sealed at once as well.
    pub later: Option<&'s mut Option<Task>>,
}

/// Where a peer's datagrams and packets go.
pub trait Output {
    /// Room for a datagram of exactly `length` bytes. It leaves in the order of these calls.
    fn slot(&mut self, via: &Via, length: usize) -> Slot<'_>;
    /// A packet for the device of peer `peer`.
    fn deliver(&mut self, peer: usize, packet: Packet);
    fn event(&mut self, peer: usize, event: Event);
    /// Random bytes, unpredictable.
    fn random(&mut self, bytes: &mut [u8]);
}
