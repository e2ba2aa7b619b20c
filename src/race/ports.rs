//! Which port the copies of a race leave from.
//!
//! The client's own, nearly always. But two clients behind one link may talk to the same server from the same port; the
//! second one needs another port, or the server would take its SYN for the first one's. Which ports the last winners use
//! is kept as fingerprints in a fixed table: a wrong guess costs no more than another port number.

use core::hash::BuildHasher;
use std::net::SocketAddr;

use crate::link::{LinkId, LinkSet};
use crate::packet::Protocol;

/// Winners remembered. At 4 bytes each, 16 KB: more connections than a home holds open.
const PLACES: usize = 4096;

/// How many other ports are tried before a race is given up.
const TRIES: u16 = 16;

/// The lowest of the ports that stand in for a taken one: IANA's dynamic range, RFC 6335 6.
const DYNAMIC: u16 = 49_152;

pub(super) struct Ports {
    /// The owner of a (link, server, port), as half a hash of the three and half a hash of the client; 0: nobody.
    owners: Box<[u32]>,
}

/// What a port is wanted for.
#[derive(Clone, Copy)]
pub(super) struct Want {
    pub protocol: Protocol,
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub links: LinkSet,
}

impl Ports {
    pub fn new() -> Self {
        Ports { owners: vec![0; PLACES].into() }
    }

    /// A port that no other client is known to use over any of the links, the client's own if possible.
    /// `in_flight` says whether a running race uses a port.
    pub fn pick<S: BuildHasher>(&self, hasher: &S, want: &Want, in_flight: impl Fn(u16) -> bool) -> Option<u16> {
        let spread = hasher.hash_one((want.client, want.server)) as u16;
        (0..=TRIES)
            .map(|n| {
                if n == 0 { want.client.port() } else { DYNAMIC + spread.wrapping_add(n * 997) % (u16::MAX - DYNAMIC) }
            })
            .find(|&port| !in_flight(port) && !want.links.iter().any(|link| self.is_taken(hasher, want, link, port)))
    }

    pub fn take<S: BuildHasher>(&mut self, hasher: &S, want: &Want, link: LinkId, port: u16) {
        let (place, owner) = owner(hasher, want, link, port);
        self.owners[place] = owner;
    }

    fn is_taken<S: BuildHasher>(&self, hasher: &S, want: &Want, link: LinkId, port: u16) -> bool {
        let (place, owner) = owner(hasher, want, link, port);
        let found = self.owners[place];
        found != owner && found >> 16 == owner >> 16
    }
}

fn owner<S: BuildHasher>(hasher: &S, want: &Want, link: LinkId, port: u16) -> (usize, u32) {
    let tuple = hasher.hash_one((want.protocol, link, want.server, port));
    let client = hasher.hash_one(want.client) as u32;
    (tuple as usize % PLACES, ((tuple >> 32) as u32 | 1) << 16 | client & 0xFFFF)
}
