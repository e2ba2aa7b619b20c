//! Bond: two cheaproutes carry packets between them over several links at once, encrypted, repaired and in order.
//!
//! # Nouns
//! - **Peer**: the configured remote end, known by its public key.
//! - **Session** ([`session`]): the keys of one handshake ([`handshake`]), two minutes long. **Index**: 24 bits by which the
//!   receiver of a datagram knows its session.
//! - **Path** ([`frame::PathId`]): one link to the peer. Each has counters and a replay window ([`replay`]) of its own, so that a
//!   slow path's packets are never too old for a fast path's.
//! - **Item**: what one datagram carries after decryption.
//!
//! # On the wire
//! A datagram is the payload of UDP or of an Ethernet frame; [`frame`] and [`handshake`] have its fields. Nobody who lacks the
//! receiver's public key gets an answer; nobody who lacks a peer's private key gets anything into a session.

pub mod frame;
pub mod handshake;
pub mod keys;
pub mod noise;
pub mod replay;
pub mod session;
pub mod status;
