//! The receiving side of a path: which packets came, and when to say so.

use crate::time::{Span, Time};

use super::control::{MAP, Report};
use super::frame::PathId;

/// Packets that a report's map can tell of.
const SPAN: u64 = MAP as u64 * 8;
/// A report follows the packets that it tells of after this time at the latest ...
const LATEST: Span = Span::from_millis(5);
/// ... or after this many packets, yet no two reports are closer than [`CLOSEST`]: at gigabits a thousand reports a second do.
const PACKETS: u32 = 12;
const CLOSEST: Span = Span::from_millis(1);
/// ... and where the way back is slow, they are this far apart at most.
pub const FURTHEST: Span = Span::from_millis(20);
/// What a report takes on Ethernet over IPv4, as good as.
const SIZE: u64 = 90;
/// A gap is a loss once this many later packets came: paths are nearly first in, first out.
const GAP: u64 = 3;

/// What came by one path in one session.
#[derive(Debug)]
pub struct Tally {
    path: PathId,
    /// Its index.
    session: u32,
    /// The highest counter so far, and when it came; `None` before the first.
    highest: Option<(u64, Time)>,
    /// Bit i of word i / 64: whether `highest - i` came.
    seen: [u64; SPAN as usize / 64],
    bytes: u32,
    /// Packets that want a report, and when the first of them came.
    unreported: u32,
    since: Time,
    reported: Time,
    /// How close reports may be.
    closest: Span,
    /// Something is missing that no report has told of.
    gap: bool,
}

impl Tally {
    pub fn new(path: PathId, session: u32) -> Self {
        let seen = [0; SPAN as usize / 64];
        let (bytes, unreported, gap) = (0, 0, false);
        let (since, reported, closest) = (Time(0), Time(0), CLOSEST);
        Tally { path, session, highest: None, seen, bytes, unreported, since, reported, closest, gap }
    }

    /// The index of the session that it counts.
    pub fn session(&self) -> u32 {
        self.session
    }

    /// A packet came. `wants`: the other end waits to hear of it. Returns whether a later one had come before it.
    pub fn received(&mut self, counter: u64, bytes: usize, wants: bool, now: Time) -> bool {
        self.bytes = self.bytes.wrapping_add(bytes as u32);
        let overtaken = self.highest.is_some_and(|(highest, _)| counter < highest);
        match self.highest {
            Some((highest, _)) if counter <= highest => {
                if let Some(word) = self.seen.get_mut(((highest - counter) / 64) as usize) {
                    *word |= 1 << ((highest - counter) % 64);
                }
            }
            _ => {
                // There is no packet below number 0: as if it had come.
                if self.highest.is_none() {
                    self.seen = [u64::MAX; SPAN as usize / 64];
                }
                self.shift(self.highest.map_or(counter.saturating_add(1), |(highest, _)| counter - highest));
                self.seen[0] |= 1;
                self.highest = Some((counter, now));
            }
        }
        if wants {
            if self.unreported == 0 {
                self.since = now;
            }
            self.unreported += 1;
        }
        // The packet that has just become a loss, GAP below the highest.
        let fresh = self.highest.is_some_and(|(highest, _)| counter == highest && highest >= GAP);
        self.gap |= fresh && self.seen[0] >> GAP & 1 == 0;
        overtaken
    }

    /// When a report is due, if any packet waits for one.
    pub fn due(&self) -> Option<Time> {
        if self.unreported == 0 {
            return None;
        }
        let soon = self.reported + self.closest;
        Some(if self.unreported >= PACKETS || self.gap { soon } else { soon.max(self.since + LATEST) })
    }

    /// The way back carries so many bytes a second: reports are not to take more than a tenth of that.
    pub fn returns_by(&mut self, rate: u64) {
        self.closest = Span::from_micros(10 * 1_000_000 * SIZE / rate.max(1)).clamp(CLOSEST, FURTHEST);
    }

    /// Its session is over: what was not told yet is due at once.
    pub fn end(&mut self) {
        (self.gap, self.reported) = (true, Time(0));
    }

    /// When the latest packet came.
    pub fn heard(&self) -> Option<Time> {
        self.highest.map(|(_, at)| at)
    }

    #[cfg(test)]
    fn has_gap(&self) -> bool {
        self.gap
    }

    /// The report, written to the caller's `map`. `None` before the first packet.
    pub fn report<'m>(&mut self, map: &'m mut [u8; MAP], now: Time) -> Option<Report<'m>> {
        let (highest, at) = self.highest?;
        for (byte, out) in map.iter_mut().enumerate() {
            // Bit 0 of `seen` is the highest itself, which needs no bit.
            let first = byte * 8 + 1;
            let low = self.seen[first / 64] >> (first % 64);
            let high = self.seen.get(first / 64 + 1).filter(|_| first % 64 > 56);
            *out = (low | high.map_or(0, |word| word << (64 - first % 64))) as u8;
        }
        // The very last bit is of a packet that just left the window.
        map[MAP - 1] |= 0x80;
        let length = map.iter().rposition(|byte| *byte != 0xff).map_or(0, |last| last + 1);
        (self.unreported, self.reported, self.gap) = (0, now, false);
        let (path, session, bytes) = (self.path, self.session as u8, self.bytes);
        Some(Report { path, session, highest: highest as u32, at: at.0 as u32, bytes, map: &map[..length] })
    }

    fn shift(&mut self, by: u64) {
        if by >= SPAN {
            self.seen = [0; SPAN as usize / 64];
            return;
        }
        let (words, bits) = ((by / 64) as usize, by % 64);
        for at in (0..self.seen.len()).rev() {
            let from = |words: usize| at.checked_sub(words).map_or(0, |at| self.seen[at]);
            self.seen[at] = if bits == 0 { from(words) } else { from(words) << bits | from(words + 1) >> (64 - bits) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    /// Whether a report says that a packet came.
    fn came(report: &Report, counter: u64, highest: u64) -> bool {
        let Some(bit) = highest.checked_sub(counter + 1) else { return counter == highest };
        match report.map.get(bit as usize / 8) {
            Some(byte) => byte >> (bit % 8) & 1 == 1,
            None => true,
        }
    }

    proptest! {
        #[test]
        fn a_report_says_what_came(jumps in proptest::collection::vec((0u64..40, any::<bool>()), 1..300)) {
            let mut tally = Tally::new(PathId::new(3).unwrap(), 7);
            let mut seen = BTreeSet::new();
            let mut counter = 0;
            for (jump, back) in jumps {
                counter = if back { u64::saturating_sub(counter, jump) } else { counter + jump };
                let overtaken = tally.received(counter, 100, true, Time(counter));
                prop_assert_eq!(overtaken, seen.last().is_some_and(|highest| counter < *highest));
                seen.insert(counter);
            }
            let highest = *seen.last().unwrap();
            let mut map = [0; MAP];
            let report = tally.report(&mut map, Time(5)).unwrap();
            prop_assert_eq!(u64::from(report.highest), highest);
            for counter in highest.saturating_sub(SPAN - 2)..=highest {
                prop_assert_eq!(came(&report, counter, highest), seen.contains(&counter), "{}", counter);
            }
        }
    }

    #[test]
    fn a_gap_is_told_of_after_three_packets_and_a_millisecond() {
        let mut tally = Tally::new(PathId::new(0).unwrap(), 0);
        let mut map = [0; MAP];
        tally.received(0, 1, true, Time(0));
        tally.report(&mut map, Time(0));
        for counter in [2, 3] {
            tally.received(counter, 1, true, Time(100));
            assert!(!tally.has_gap());
        }
        assert_eq!(tally.due(), Some(Time(5_100)));
        tally.received(4, 1, true, Time(100));
        assert!(tally.has_gap());
        assert_eq!(tally.due(), Some(Time(1_000)));
        tally.report(&mut map, Time(1_000));
        assert!(!tally.has_gap());
    }

    #[test]
    fn a_slow_way_back_carries_fewer_reports() {
        for (rate, apart) in [(1 << 30, 1_000), (100_000, 9_000), (1, 20_000)] {
            let mut tally = Tally::new(PathId::new(0).unwrap(), 0);
            tally.received(0, 1, true, Time(0));
            tally.report(&mut [0; MAP], Time(50_000));
            tally.returns_by(rate);
            for counter in 1..=u64::from(PACKETS) {
                tally.received(counter, 1, true, Time(50_000));
            }
            assert_eq!(tally.due(), Some(Time(50_000 + apart)));
        }
    }

    #[test]
    fn what_nobody_waits_for_is_not_reported() {
        let mut tally = Tally::new(PathId::new(0).unwrap(), 0);
        tally.received(9, 1, false, Time(0));
        assert_eq!(tally.due(), None);
    }
}
