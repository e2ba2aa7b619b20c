//! Race memory: how fast each link was to a neighbourhood of the Internet.
//!
//! Answers are kept by destination prefix (/24, /48) and service, with a smoothed round trip for each link. Fixed capacity;
//! the entry that was used least recently goes first.

use core::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::table::{Chains, Order, hash_of};
use crate::link::{LinkId, LinkSet, MAX_LINKS};
use crate::packet::Protocol;
use crate::time::{Span, Time};

/// Destinations remembered. At about 100 bytes each, 100 KB when full.
const CAPACITY: usize = 1024;

/// One destination.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// The /24 or /48, its other bits 0.
    pub prefix: IpAddr,
    pub protocol: Protocol,
    pub port: u16,
    /// When every link last raced for it; `None` once a race of one went wrong.
    pub raced: Option<Time>,
    /// Smoothed round trips in microseconds by link; 0: never answered.
    round_trips: [u32; MAX_LINKS],
    /// Races of one so far: deals them out by weight.
    turns: u16,
}

impl Remembered {
    /// The smoothed round trip over `link`.
    pub fn round_trip(&self, link: LinkId) -> Option<Span> {
        match self.round_trips[link.index()] {
            0 => None,
            us => Some(Span::from_micros(us.into())),
        }
    }
}

pub struct Memory {
    entries: Vec<Remembered>,
    chains: Chains,
    order: Order,
}

impl Memory {
    pub(super) fn new() -> Self {
        Memory { entries: Vec::with_capacity(CAPACITY), chains: Chains::new(CAPACITY), order: Order::new(CAPACITY) }
    }

    /// In no particular order.
    pub fn entries(&self) -> &[Remembered] {
        &self.entries
    }

    /// The one whose race was the last comes first.
    pub fn newest(&self) -> impl Iterator<Item = &Remembered> {
        self.order.backwards().filter_map(|index| self.entries.get(usize::from(index)))
    }

    /// Notes that `link` answered after `round_trip`. A full race (not one of one) renews the entry's age.
    pub(super) fn note<S: BuildHasher>(
        &mut self,
        hasher: &S,
        now: Time,
        (protocol, server): (Protocol, SocketAddr),
        (link, round_trip): (LinkId, Span),
        full_race: bool,
    ) {
        let index = match self.find(hasher, protocol, server) {
            Some(index) => index,
            None => self.add(hasher, protocol, server),
        };
        self.order.unlink(index);
        self.order.push_back(index);
        let Some(entry) = self.entries.get_mut(usize::from(index)) else { return };
        if full_race {
            entry.raced = Some(now);
        }
        let sample = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX).max(1);
        let smoothed = &mut entry.round_trips[link.index()];
        // RFC 6298 2.3, alpha 1/8.
        *smoothed = if *smoothed == 0 { sample } else { *smoothed - *smoothed / 8 + sample / 8 }.max(1);
    }

    /// The link for a race of one and its round trip, if `server` was raced within `remember`: the fastest among `links`,
    /// or by weight among those within `tie` (or a tenth) of it. `lane`: a link's weight, and the handicap that it has in a full race.
    pub(super) fn choose<S: BuildHasher>(
        &mut self,
        hasher: &S,
        now: Time,
        (protocol, server): (Protocol, SocketAddr),
        links: LinkSet,
        (remember, tie): (Span, Span),
        lane: impl Fn(LinkId) -> (u16, Span),
    ) -> Option<(LinkId, Span)> {
        let index = self.find(hasher, protocol, server)?;
        let entry = self.entries.get_mut(usize::from(index))?;
        if now.since(entry.raced?) > remember {
            return None;
        }
        let known = |link: &LinkId| entry.round_trip(*link).map(|rtt| rtt + lane(*link).1);
        let best = links.iter().filter_map(|link| known(&link)).min()?;
        let limit = best + tie.max(Span::from_micros(best.as_micros() / 10));
        let equal: LinkSet = links.iter().filter(|link| known(link).is_some_and(|rtt| rtt <= limit)).collect();
        let total: u32 = equal.iter().map(|link| u32::from(lane(link).0.max(1))).sum();
        let mut at = spread(entry.turns, total);
        let chosen = equal.iter().find(|link| {
            let share = u32::from(lane(*link).0.max(1));
            let here = at < share;
            at = at.wrapping_sub(share);
            here
        })?;
        let round_trip = entry.round_trip(chosen)?;
        entry.turns = entry.turns.wrapping_add(1);
        Some((chosen, round_trip))
    }

    /// A race of one over `failed` went wrong: the next one is a full race, and what was known of `failed` is not true now.
    pub(super) fn doubt<S: BuildHasher>(
        &mut self,
        hasher: &S,
        (protocol, server): (Protocol, SocketAddr),
        failed: LinkSet,
    ) {
        let index = self.find(hasher, protocol, server);
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(usize::from(index))) {
            entry.raced = None;
            for link in failed.iter() {
                entry.round_trips[link.index()] = 0;
            }
        }
    }

    /// The link is no more.
    pub(super) fn forget(&mut self, link: LinkId) {
        for entry in &mut self.entries {
            entry.round_trips[link.index()] = 0;
        }
    }

    fn find<S: BuildHasher>(&self, hasher: &S, protocol: Protocol, server: SocketAddr) -> Option<u16> {
        let prefix = prefix(server.ip());
        let key = (prefix, protocol, server.port());
        self.chains.walk(hash_of(hasher, key)).find(|index| {
            let entry = self.entries.get(usize::from(*index));
            entry.is_some_and(|entry| (entry.prefix, entry.protocol, entry.port) == key)
        })
    }

    fn add<S: BuildHasher>(&mut self, hasher: &S, protocol: Protocol, server: SocketAddr) -> u16 {
        let entry = Remembered {
            prefix: prefix(server.ip()),
            protocol,
            port: server.port(),
            raced: None,
            round_trips: [0; MAX_LINKS],
            turns: 0,
        };
        let hash = hash_of(hasher, (entry.prefix, protocol, entry.port));
        let index = match self.order.front() {
            Some(oldest) if self.entries.len() >= CAPACITY => {
                let old = &self.entries[usize::from(oldest)];
                self.chains.remove(hash_of(hasher, (old.prefix, old.protocol, old.port)), oldest);
                self.order.unlink(oldest);
                self.entries[usize::from(oldest)] = entry;
                oldest
            }
            _ => {
                self.entries.push(entry);
                (self.entries.len() - 1) as u16
            }
        };
        self.chains.insert(hash, index);
        self.order.push_back(index);
        index
    }
}

/// The `turn`-th of a sequence that visits 0..`total` evenly, near and far in turn, so that a small share is not dealt
/// in one run: the golden ratio's multiples, modulo 1.
fn spread(turn: u16, total: u32) -> u32 {
    let fraction = u32::from(turn).wrapping_mul(0x9E37_79B9);
    ((u64::from(fraction) * u64::from(total)) >> 32) as u32
}

fn prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xFF).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 48)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::RandomState;

    fn server(text: &str) -> (Protocol, SocketAddr) {
        (Protocol::Tcp, text.parse().unwrap())
    }

    fn link(number: u8) -> LinkId {
        LinkId::new(number).unwrap()
    }

    const WHILE: (Span, Span) = (Span::from_secs(60), Span::from_millis(2));

    #[test]
    fn the_fastest_link_of_the_neighbourhood_is_chosen_for_a_while() {
        let (hasher, mut memory) = (RandomState::new(), Memory::new());
        let both = [link(1), link(2)].into_iter().collect();
        for (n, ms) in [(1, 60), (2, 20)] {
            memory.note(&hasher, Time(0), server("192.0.2.1:443"), (link(n), Span::from_millis(ms)), true);
        }
        let mut choose = |at: u64, to: &str| {
            let now = Time(0) + Span::from_secs(at);
            memory.choose(&hasher, now, server(to), both, WHILE, |_| (1, Span::ZERO)).map(|(link, _)| link.number())
        };
        assert_eq!(choose(60, "192.0.2.99:443"), Some(2));
        assert_eq!(choose(61, "192.0.2.99:443"), None, "too long ago");
        assert_eq!(choose(1, "192.0.3.1:443"), None, "another prefix");
        assert_eq!(choose(1, "192.0.2.1:80"), None, "another service");
    }

    #[test]
    fn equals_share_by_weight() {
        let (hasher, mut memory) = (RandomState::new(), Memory::new());
        let all = (1..=3).map(link).collect();
        for (n, us) in [(1, 20_000), (2, 21_900), (3, 22_100)] {
            memory.note(&hasher, Time(0), server("[2001:db8::1]:443"), (link(n), Span(us)), true);
        }
        let mut wins = [0; 3];
        for _ in 0..400 {
            let weight = |link: LinkId| (if link.number() == 2 { 3 } else { 1 }, Span::ZERO);
            let (chosen, _) =
                memory.choose(&hasher, Time(0), server("[2001:db8:0:1::1]:443"), all, WHILE, weight).unwrap();
            wins[chosen.index()] += 1;
        }
        assert_eq!(wins[2], 0, "more than 2 ms slower");
        assert!((295..=305).contains(&wins[1]), "{wins:?}");
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let (hasher, mut memory) = (RandomState::new(), Memory::new());
        let at = |n: usize| server(&format!("10.{}.{}.1:1", n / 256, n % 256));
        for n in 0..CAPACITY {
            memory.note(&hasher, Time(0), at(n), (link(1), Span(5)), true);
        }
        memory.note(&hasher, Time(0), at(0), (link(1), Span(5)), true);
        memory.note(&hasher, Time(0), at(CAPACITY), (link(1), Span(5)), true);
        assert_eq!(memory.entries().len(), CAPACITY);
        let found = |n| memory.find(&hasher, at(n).0, at(n).1).is_some();
        assert!(found(0) && !found(1) && found(2) && found(CAPACITY));
        let newest: Vec<_> = memory.newest().map(|entry| entry.prefix).collect();
        let expected = [CAPACITY, 0, CAPACITY - 1].map(|n| prefix(at(n).1.ip()));
        assert_eq!((&newest[..3], newest.len()), (&expected[..], CAPACITY));
    }
}
