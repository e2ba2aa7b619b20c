//! Two peers, the links between them and the traffic above them, in virtual time: each run with the same seed is the same.
//!
//! - A [`link::Link`] is a path of two ways, each with its rate, delay, jitter, losses and queue, and a NAT on the client's side.
//! - An [`End`] is one peer. [`ends`] has trivial ones: what a link alone does, and what naive spreading does.
//! - An [`App`] is traffic between the two sides: TCP ([`bulk`]), a voice stream and a ping ([`streams`]).
//! - The [`world::World`] moves packets and datagrams, and panics where a packet comes out that did not go in, or comes out twice.
//! - A [`report::Report`] is what people would have noticed.

mod bonded;
mod bulk;
mod calls;
mod congestion;
mod ends;
mod lagging;
mod link;
mod long;
mod many;
mod narrow;
mod packet;
mod random;
mod receiver;
mod report;
mod scenario;
mod schedulers;
mod sender;
mod shallow;
mod soak;
mod streams;
mod table;
mod tests;
mod world;

use std::net::SocketAddr;

use super::peer::Settings;
use super::schedule::Scheduler;
use crate::prefix::Prefix;
use crate::time::{Span, Time};
use packet::Parsed;
use report::Report;
use world::Io;

/// 0 is the client, which knows where the server is; 1 the server.
pub type Side = usize;
pub const CLIENT: Side = 0;
pub const SERVER: Side = 1;

pub const SERVER_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)), 51820);

/// What peers agree on where it does not matter.
pub fn settings(client: bool, allowed: Vec<Prefix>) -> Settings {
    let (scheduler, limit, keepalive) = (Scheduler::Adaptive, Span::from_millis(150), Span::from_secs(1));
    Settings { scheduler, limit, repair: true, keepalive, client, allowed }
}

/// A peer, as the data thread sees it. Times are those of its own clock.
pub trait End {
    /// A packet from the device.
    fn packet(&mut self, packet: &[u8], now: Time, out: &mut Out);
    /// A datagram from the network.
    fn datagram(&mut self, path: u8, from: SocketAddr, datagram: &mut [u8], now: Time, out: &mut Out);
    fn tick(&mut self, now: Time, out: &mut Out);
    /// When [`End::tick`] wants to be called; the past means now.
    fn deadline(&mut self) -> Time;
    /// Whether it would take a packet from the device now.
    fn ready(&self, now: Time) -> bool;
    /// Bytes on the wire beside each datagram: Ethernet, IPv4 and UDP headers, unless it says else.
    fn overhead(&self) -> usize {
        14 + 20 + 8
    }
    /// Whether it promises that each packet comes out once at most.
    fn strict(&self) -> bool {
        true
    }
    fn counts(&self) -> Counts {
        Counts::default()
    }
}

/// What an end counts itself.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Bytes of memory that it takes.
    pub memory: usize,
    /// How often its keys changed, or were forgotten.
    pub keys: u32,
    /// Packets that were sent again because they were missing.
    pub repaired: u64,
    /// Packets of ordered flows that it gave up waiting for and delivered late nevertheless.
    pub late: u64,
}

/// What an end wants done.
pub struct Out {
    /// By which path, to where.
    pub datagrams: Vec<(u8, SocketAddr, Vec<u8>)>,
    /// Packets for the device.
    pub packets: Vec<Vec<u8>>,
    pub events: Vec<super::Event>,
    /// For keys and the like.
    pub dice: Dice,
    /// Whether four such bytes, as a session's index, end with the same one each time.
    pub alike: bool,
}

/// Traffic between the two sides.
pub trait App {
    /// Its deadline came, or there is room in a device.
    fn tick(&mut self, now: Time, io: &mut Io);
    /// A packet of its own came out at a side.
    fn packet(&mut self, side: Side, packet: &Parsed, now: Time, io: &mut Io);
    fn deadline(&self) -> Time;
    /// From now on it counts.
    fn mark(&mut self, now: Time);
    /// From now on it sends nothing new.
    fn stop(&mut self);
    fn measure(&self, now: Time, report: &mut Report);
}

/// A moment that never comes.
pub const NEVER: Time = Time(u64::MAX);

/// SplitMix64: small, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// True so often in a million.
    pub fn hits(&mut self, millionths: u32) -> bool {
        millionths > 0 && self.below(1_000_000) < u64::from(millionths)
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}
