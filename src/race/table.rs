//! The races in flight: a slab of fixed capacity, found by opening or by answer, in order of expiry.

use core::hash::{BuildHasher, Hash};
use std::net::{IpAddr, SocketAddr};

use super::{Held, RaceId};
use crate::link::{LinkId, LinkSet};
use crate::packet::{Opening, Protocol, Syn};
use crate::time::Time;

/// One race.
#[derive(Clone, Debug)]
pub(super) struct Race {
    pub opening: Packed,
    /// The source port (or echo identifier) of its copies.
    pub port: u16,
    pub state: State,
    pub policy: u8,
    /// How often the opening was seen.
    pub tries: u8,
    pub sent: LinkSet,
    pub answered: LinkSet,
    pub refused: LinkSet,
    /// When the first copies left, and the last.
    pub began: Time,
    pub sent_at: Time,
    pub expires: Time,
    /// Boxed, since few races ever wait.
    pub waiting: Option<Box<Waiting>>,
    /// Where its story is told: a number in [`super::record::Log`].
    pub record: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Running,
    /// The flow over this link is being established: see [`Waiting::Flow`].
    Deciding(LinkId),
    Won(LinkId),
    Refused(LinkId),
    /// Its port is taken at the winning link. `passed`: the client's next opening went the plain way.
    FellBack {
        passed: bool,
    },
}

/// An answer, and what followed it over the same link while it was held: datagrams are not repeated as a SYN-ACK is. The
/// first flight of a QUIC server is three, and a resolver that was asked for both families sends two.
pub(super) type Answers = heapless::Vec<Held, 4>;

/// What a race waits for beside answers; ends at the time given.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    /// The other copies of a race of one.
    FollowUp { until: Time, packet: Box<[u8]> },
    /// A handicapped link's answer, held back.
    Handicap { until: Time, link: LinkId, held: Answers },
    /// Its flow, for an answer that is held meanwhile.
    Flow { held: Answers, refused: bool },
    /// A refusal, until the others had their chance.
    Refusal { until: Time, link: LinkId, held: Held },
}

impl Waiting {
    pub fn until(&self) -> Time {
        match self {
            Waiting::Flow { .. } => Time(u64::MAX),
            Waiting::FollowUp { until, .. } | Waiting::Handicap { until, .. } | Waiting::Refusal { until, .. } => {
                *until
            }
        }
    }
}

/// An [`Opening`] in two thirds of its size: full tables are made of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed {
    client: IpAddr,
    server: IpAddr,
    client_port: u16,
    server_port: u16,
    length: u16,
    protocol: Protocol,
    pub syn: Option<Syn>,
}

impl Packed {
    pub fn unpack(&self) -> Opening {
        Opening {
            protocol: self.protocol,
            client: SocketAddr::new(self.client, self.client_port),
            server: SocketAddr::new(self.server, self.server_port),
            length: self.length,
            syn: self.syn,
        }
    }
}

impl From<&Opening> for Packed {
    fn from(opening: &Opening) -> Self {
        let Opening { protocol, client, server, length, syn } = *opening;
        let (client_port, server_port) = (client.port(), server.port());
        Packed { client: client.ip(), server: server.ip(), client_port, server_port, length, protocol, syn }
    }
}

/// Slots are numbered from 0; 0 stands for "none" in the chains, so they hold the number plus one. A fresh table is all
/// zeroes: memory that was never used costs nothing.
pub(super) struct Table<S> {
    slots: Vec<(u16, Option<Race>)>,
    free: Vec<u16>,
    capacity: usize,
    hasher: S,
    openings: Chains,
    answers: Chains,
    order: Order,
}

impl<S: BuildHasher> Table<S> {
    pub fn new(capacity: usize, hasher: S) -> Self {
        let capacity = capacity.clamp(1, super::MAX_RACES);
        Table {
            slots: Vec::with_capacity(capacity),
            free: Vec::with_capacity(capacity),
            capacity,
            hasher,
            openings: Chains::new(capacity),
            answers: Chains::new(capacity),
            order: Order::new(capacity),
        }
    }

    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn is_full(&self) -> bool {
        self.len() == self.capacity
    }

    pub fn get(&mut self, id: RaceId) -> Option<&mut Race> {
        match self.slots.get_mut(usize::from(id.slot)) {
            Some((turn, race)) if *turn == id.turn => race.as_mut(),
            _ => None,
        }
    }

    pub fn find_opening(&self, protocol: Protocol, client: SocketAddr, server: SocketAddr) -> Option<RaceId> {
        let hash = self.hasher.hash_one((protocol, client, server));
        self.find(&self.openings, hash, |race| {
            let opening = race.opening.unpack();
            (opening.protocol, opening.client, opening.server) == (protocol, client, server)
        })
    }

    /// The race whose copies left for `server` from `port`.
    pub fn find_answer(&self, protocol: Protocol, server: SocketAddr, port: u16) -> Option<RaceId> {
        let hash = self.hasher.hash_one((protocol, server, port));
        self.find(&self.answers, hash, |race| {
            let opening = race.opening.unpack();
            (opening.protocol, opening.server, race.port) == (protocol, server, port)
        })
    }

    /// `None` if the table is full.
    pub fn insert(&mut self, race: Race) -> Option<RaceId> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < self.capacity => {
                self.slots.push((0, None));
                (self.slots.len() - 1) as u16
            }
            None => return None,
        };
        let (by_opening, by_answer) = self.hashes(&race);
        self.openings.insert(by_opening, slot);
        self.answers.insert(by_answer, slot);
        self.order.push_back(slot);
        let (turn, place) = self.slots.get_mut(usize::from(slot))?;
        *place = Some(race);
        Some(RaceId { slot, turn: *turn })
    }

    pub fn remove(&mut self, id: RaceId) -> Option<Race> {
        let (turn, place) = self.slots.get_mut(usize::from(id.slot)).filter(|(turn, _)| *turn == id.turn)?;
        let race = place.take()?;
        *turn = turn.wrapping_add(1);
        let (by_opening, by_answer) = self.hashes(&race);
        self.openings.remove(by_opening, id.slot);
        self.answers.remove(by_answer, id.slot);
        self.order.unlink(id.slot);
        self.free.push(id.slot);
        Some(race)
    }

    /// From now on a race's copies leave from this port.
    pub fn change_port(&mut self, id: RaceId, port: u16) {
        let Some(race) = self.get(id) else { return };
        let before = core::mem::replace(&mut race.port, port);
        let Opening { protocol, server, .. } = race.opening.unpack();
        self.answers.remove(self.hasher.hash_one((protocol, server, before)), id.slot);
        self.answers.insert(self.hasher.hash_one((protocol, server, port)), id.slot);
    }

    /// Moves a race to the end of the order of expiry.
    pub fn renew(&mut self, id: RaceId, expires: Time) {
        if let Some(race) = self.get(id) {
            race.expires = expires;
            self.order.unlink(id.slot);
            self.order.push_back(id.slot);
        }
    }

    /// The race that expires first.
    pub fn oldest(&self) -> Option<(RaceId, Time)> {
        let slot = self.order.front()?;
        let (turn, race) = self.slots.get(usize::from(slot))?;
        Some((RaceId { slot, turn: *turn }, race.as_ref()?.expires))
    }

    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    fn find(&self, chains: &Chains, hash: u64, wanted: impl Fn(&Race) -> bool) -> Option<RaceId> {
        chains.walk(hash).find_map(|slot| match self.slots.get(usize::from(slot)) {
            Some((turn, Some(race))) if wanted(race) => Some(RaceId { slot, turn: *turn }),
            _ => None,
        })
    }

    fn hashes(&self, race: &Race) -> (u64, u64) {
        let Opening { protocol, client, server, .. } = race.opening.unpack();
        let hash = |key: &dyn Fn(&S) -> u64| key(&self.hasher);
        (hash(&|s| s.hash_one((protocol, client, server))), hash(&|s| s.hash_one((protocol, server, race.port))))
    }
}

/// A hash table's chains over slot numbers.
pub(super) struct Chains {
    heads: Box<[u16]>,
    next: Box<[u16]>,
}

impl Chains {
    pub fn new(capacity: usize) -> Self {
        let heads = capacity.next_power_of_two();
        Chains { heads: vec![0; heads].into(), next: vec![0; capacity].into() }
    }

    pub fn walk(&self, hash: u64) -> impl Iterator<Item = u16> {
        let mut at = self.heads[self.bucket(hash)];
        core::iter::from_fn(move || {
            let slot = at.checked_sub(1)?;
            at = self.next[usize::from(slot)];
            Some(slot)
        })
    }

    pub fn insert(&mut self, hash: u64, slot: u16) {
        let bucket = self.bucket(hash);
        self.next[usize::from(slot)] = self.heads[bucket];
        self.heads[bucket] = slot + 1;
    }

    pub fn remove(&mut self, hash: u64, slot: u16) {
        let bucket = self.bucket(hash);
        let after = self.next[usize::from(slot)];
        if self.heads[bucket] == slot + 1 {
            self.heads[bucket] = after;
            return;
        }
        let mut at = self.heads[bucket];
        while let Some(previous) = at.checked_sub(1) {
            at = self.next[usize::from(previous)];
            if at == slot + 1 {
                self.next[usize::from(previous)] = after;
                return;
            }
        }
    }

    fn bucket(&self, hash: u64) -> usize {
        hash as usize & (self.heads.len() - 1)
    }
}

/// A doubly linked list over slot numbers: the first one out is the one that was renewed least recently.
pub(super) struct Order {
    links: Box<[(u16, u16)]>,
    first: u16,
    last: u16,
}

impl Order {
    pub fn new(capacity: usize) -> Self {
        Order { links: vec![(0, 0); capacity].into(), first: 0, last: 0 }
    }

    pub fn front(&self) -> Option<u16> {
        self.first.checked_sub(1)
    }

    /// From the back to the front.
    pub fn backwards(&self) -> impl Iterator<Item = u16> {
        let before = |slot: &u16| self.links.get(usize::from(*slot))?.0.checked_sub(1);
        core::iter::successors(self.last.checked_sub(1), before)
    }

    pub fn push_back(&mut self, slot: u16) {
        self.links[usize::from(slot)] = (self.last, 0);
        match self.last.checked_sub(1) {
            Some(last) => self.links[usize::from(last)].1 = slot + 1,
            None => self.first = slot + 1,
        }
        self.last = slot + 1;
    }

    pub fn unlink(&mut self, slot: u16) {
        let (before, after) = self.links[usize::from(slot)];
        match before.checked_sub(1) {
            Some(before) => self.links[usize::from(before)].1 = after,
            None => self.first = after,
        }
        match after.checked_sub(1) {
            Some(after) => self.links[usize::from(after)].0 = before,
            None => self.last = before,
        }
    }
}

/// The hash of anything, for tables that share the races' secret.
pub(super) fn hash_of<S: BuildHasher>(hasher: &S, key: impl Hash) -> u64 {
    hasher.hash_one(key)
}
