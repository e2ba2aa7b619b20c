//! What several targets need: a script out of a fuzzer's bytes, and an end of a bond that keeps what comes out of it.

use cheaproute::bond::address::Address;
use cheaproute::bond::flow::Packet;
use cheaproute::bond::handshake::Identity;
use cheaproute::bond::hub::Member;
use cheaproute::bond::keys::Secret;
use cheaproute::bond::peer::Settings;
use cheaproute::bond::schedule::Scheduler;
use cheaproute::bond::{Event, Output, Slot, Via};
use cheaproute::prefix::Prefix;
use cheaproute::time::Span;

pub use libfuzzer_sys::arbitrary::Unstructured;

/// The largest datagram of a path, bytes.
pub const MOST: u16 = 1_472;

/// More than any input of these targets makes a peer hold. Each has its own caps, whose sum is far below that of a flood.
pub const MEMORY: usize = 64 << 20;

/// The next number of a script; 0 at its end.
pub fn number(script: &mut Unstructured, below: u32) -> u32 {
    script.int_in_range(0..=below.saturating_sub(1)).unwrap_or(0)
}

/// The next bytes of a script, `most` of them at most.
pub fn bytes<'s>(script: &mut Unstructured<'s>, most: u32) -> &'s [u8] {
    let wanted = number(script, most + 1) as usize;
    script.bytes(wanted.min(script.len())).unwrap_or_default()
}

/// What a hub said that it wants done.
#[derive(Default)]
pub struct Out {
    pub datagrams: Vec<(Via, Vec<u8>)>,
    /// Whole packets, and whether their checksum is to be made.
    pub packets: Vec<(Vec<u8>, bool)>,
    pub events: Vec<Event>,
    pub seed: u64,
}

impl Output for Out {
    fn slot(&mut self, via: &Via, length: usize) -> Slot<'_> {
        assert!(length <= usize::from(MOST), "a datagram of {length} bytes");
        self.datagrams.push((*via, vec![0; length]));
        let bytes = self.datagrams.last_mut().map(|datagram| datagram.1.as_mut_slice()).unwrap_or_default();
        Slot { bytes, later: None }
    }

    fn deliver(&mut self, _peer: usize, packet: Packet) {
        self.packets.push(([packet.head, packet.body].concat(), packet.pending));
    }

    fn event(&mut self, _peer: usize, event: Event) {
        self.events.push(event);
    }

    fn random(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.seed >> 56) as u8;
        }
    }
}

pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;
pub const SECOND: usize = 2;

/// The secret of one of them.
pub fn secret(side: usize) -> Secret {
    Secret::private([side as u8 + 1; 32])
}

/// `remote` as one end has it in its configuration. `allowed`: what it may say that it is.
pub fn member(side: usize, remote: usize, instance: u16, allowed: Vec<Prefix>) -> Member {
    Member {
        identity: Identity::new(&secret(side), instance),
        remote: secret(remote).public(),
        psk: Secret::new([0; 32]),
        settings: Settings {
            scheduler: Scheduler::Adaptive,
            limit: Span::from_millis(150),
            repair: true,
            keepalive: Span::from_secs(1),
            client: side != SERVER,
            allowed,
        },
    }
}

/// The way to the other end by path `path`; `moved`: from another port than usual.
pub fn via(side: usize, path: u8, moved: bool) -> Via {
    let remote = ([192, 0, 2, side as u8], 51_820 + u16::from(path) + if moved { 100 } else { 0 });
    Via { socket: u16::from(path), to: Address::udp(remote.into()) }
}
