//! How many handshakes are taken, in total and from each source.

use super::super::address::Address;
use crate::time::{Span, Time};

/// Handshakes that cost key agreements: 50 a second are 10 ms of a server's time, 300 of a slow router's. As many of those who are here, who
/// renew their keys, and of anybody.
const TOTAL: Bucket = Bucket { every: Span::from_millis(20), burst: 400 };
/// The first half of them is free of cookies: hundreds of clients come back at once when their server restarts.
const FREE: Bucket = Bucket { every: TOTAL.every, burst: TOTAL.burst / 2 };
/// Of one source, which may be many clients behind one address.
const SOURCE: Bucket = Bucket { every: Span::from_millis(50), burst: 20 };
/// Sources that are told apart; 6 KB. With more, the one that is the furthest from its limit is forgotten.
pub(super) const SOURCES: usize = 256;

/// A token bucket, as the time at which it is full again (GCRA, ITU-T I.371).
struct Bucket {
    every: Span,
    burst: u64,
}

impl Bucket {
    /// The new state if there is a token.
    fn take(&self, full: Time, now: Time) -> Option<Time> {
        let full = full.max(now) + self.every;
        (full.since(now).as_micros() <= self.every.as_micros() * self.burst).then_some(full)
    }
}

/// Where an initiation comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Who {
    Anybody,
    /// A peer's path leads there: strangers with addresses of their own, however many, are not to keep it from renewing its keys.
    Here,
}

#[derive(Default)]
pub(super) struct Limits {
    anybody: Time,
    here: Time,
    sources: Vec<([u8; 8], Time)>,
}

impl Limits {
    /// Whether sources must prove themselves.
    pub(super) fn busy(&mut self, who: Who, now: Time) -> bool {
        FREE.take(*self.of(who), now).is_none()
    }

    pub(super) fn total(&mut self, who: Who, now: Time) -> bool {
        let full = self.of(who);
        let taken = TOTAL.take(*full, now);
        *full = taken.unwrap_or(*full);
        taken.is_some()
    }

    fn of(&mut self, who: Who) -> &mut Time {
        match who {
            Who::Anybody => &mut self.anybody,
            Who::Here => &mut self.here,
        }
    }

    /// For a source that has proven itself: forged ones would fill the table.
    pub(super) fn source(&mut self, from: &Address, now: Time) -> bool {
        let key = key(from);
        let place = match self.sources.iter().position(|(known, _)| *known == key) {
            Some(place) => place,
            None => {
                if self.sources.len() >= SOURCES {
                    let quietest = self.sources.iter().enumerate().min_by_key(|(_, (_, full))| *full);
                    self.sources.swap_remove(quietest.map_or(0, |(place, _)| place));
                }
                self.sources.push((key, now));
                self.sources.len() - 1
            }
        };
        let Some((_, full)) = self.sources.get_mut(place) else { return false };
        let taken = SOURCE.take(*full, now);
        *full = taken.unwrap_or(*full);
        taken.is_some()
    }
}

/// A host, or all of an IPv6 site, which has a /64 at least. Without its port: each has as many as it likes.
fn key(from: &Address) -> [u8; 8] {
    let length = match from {
        Address::Udp { remote, .. } if remote.is_ipv4() => 4,
        Address::Udp { .. } => 8,
        Address::Ethernet(mac) => mac.len(),
    };
    let mut key = [0; 8];
    key.iter_mut().zip(from.bytes().0).take(length).for_each(|(key, byte)| *key = byte);
    key
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn from(ip: impl Into<IpAddr>, port: u16) -> Address {
        Address::udp((ip.into(), port).into())
    }

    fn taken(mut take: impl FnMut() -> bool) -> u64 {
        (0..10_000).filter(|_| take()).count() as u64
    }

    #[test]
    fn bursts_and_rates() {
        let mut limits = Limits::default();
        let now = Time(1_000_000);
        let who = Who::Anybody;
        assert!(!limits.busy(who, now));
        assert_eq!(taken(|| !limits.busy(who, now) && limits.total(who, now)), FREE.burst);
        assert!(limits.busy(who, now) && !limits.busy(Who::Here, now));
        assert_eq!(taken(|| limits.total(who, now)), TOTAL.burst - FREE.burst);
        assert_eq!(taken(|| limits.total(who, now + Span::from_secs(1))), 50);
        assert!(!limits.busy(who, now + Span::from_secs(10)));
        assert_eq!(taken(|| limits.total(Who::Here, now)), TOTAL.burst);
        let [one, other] = [4, 5].map(|last| from([1, 2, 3, last], 9));
        assert_eq!(taken(|| limits.source(&one, now)), SOURCE.burst);
        assert_eq!(taken(|| limits.source(&other, now)), SOURCE.burst);
        assert_eq!(taken(|| limits.source(&one, now + Span::from_secs(1))), 20);
        // A clock that goes back is no way around.
        assert_eq!(taken(|| limits.source(&other, Time(0))), 0);
    }

    #[test]
    fn a_site_is_one_source_and_a_host_by_all_of_its_ports() {
        let site = |number: u16| from([0x2001, 0xdb8, 0, 1, 0, 0, 0, number], 9);
        let host = |number: u16| from([192, 0, 2, 1], number);
        let neighbour = |_| Address::Ethernet([2, 0, 0, 0, 0, 9]);
        for of in [&site as &dyn Fn(u16) -> Address, &host, &neighbour] {
            let mut limits = Limits::default();
            let mut number = 0;
            let mut next = || {
                number += 1;
                of(number)
            };
            assert_eq!(taken(|| limits.source(&next(), Time(0))), SOURCE.burst);
            assert_eq!(limits.sources.len(), 1);
        }
        assert_ne!(key(&Address::Ethernet([2, 0, 0, 0, 0, 9])), key(&Address::Ethernet([2, 0, 0, 0, 0, 8])));
    }

    #[test]
    fn the_table_is_bounded_and_keeps_who_is_at_its_limit() {
        let mut limits = Limits::default();
        let worst = from([9, 9, 9, 9], 9);
        assert_eq!(taken(|| limits.source(&worst, Time(0))), SOURCE.burst);
        for number in 0..5_000u16 {
            let [high, low] = number.to_be_bytes();
            limits.source(&from([10, 0, high, low], 9), Time(0));
        }
        assert_eq!(limits.sources.len(), SOURCES);
        assert!(!limits.source(&worst, Time(0)));
    }
}
