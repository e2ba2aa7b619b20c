//! What became of the packets that left by a path: what reports say, and what follows where none come.

use std::collections::VecDeque;

use super::{Fate, Outcome, Path, Sent};
use crate::bond::control::{MAP, Report};
use crate::bond::parity::Giver;
use crate::bond::rate::Heard;
use crate::time::{Span, Time};

/// Later packets that must have arrived before a missing one is lost.
const LATER: u64 = 3;
/// Word of a packet is overdue this long after its usual time, a quarter of that time, and twice what answers vary by: a report waits
/// for more packets, and both ends for their timers.
const LATE: Span = Span::from_millis(15);
/// ... and not before this, though it is near: longer than its reports may go by a path that is dead (`LIVELY` in `peer::reports`).
const LEAST_DUE: Span = Span::from_millis(40);
const MOST_DUE: Span = Span::from_millis(1_000);

impl Path {
    /// A report came about this path. One about packets that never left is ignored. `clock`: how far the other end's is ahead of ours, in
    /// microseconds modulo 2^32, as it was when the peer was first heard: the difference to that is small, and never wraps.
    #[inline(never)] // 700 bytes less
    pub fn reported(&mut self, report: &Report, clock: &mut Option<u32>, now: Time, each: &mut dyn FnMut(Outcome)) {
        let end = self.first + self.sent.len() as u64;
        let last = end.saturating_sub(1);
        // Of the numbers that end in these 32 bits, the last that left. One session in 256 is named as the one before it.
        let found = (0..).zip(self.sessions.iter().flatten()).find_map(|(place, (session, base))| {
            let ahead = last.checked_sub(*base).filter(|_| *session == report.session)?;
            let back = (ahead as u32).wrapping_sub(report.highest);
            Some((place, *base, base + ahead.checked_sub(u64::from(back))?))
        });
        let Some((place, base, highest)) = found.filter(|(_, _, highest)| *highest >= self.first) else { return };
        // A count of bytes is that of its session.
        let bytes = (place == 0).then_some(report.bytes);
        let mut heard = Heard { feedback: Span::ZERO, one_way: 0, at: report.at, bytes, arrived: 0, lost: 0 };
        let (mut news, due) = (false, self.due());
        // Before its map, a whole one has news of what still flies only: many that are lost would be looked at with each report.
        let told = if report.map.len() < MAP { 0 } else { highest.saturating_sub(8 * MAP as u64) };
        let mut flown = None;
        for number in self.first.max(told.min(self.flown))..=highest {
            let Some(sent) = self.sent.get_mut((number - self.first) as usize) else { break };
            let arrived = match highest.checked_sub(number + 1) {
                None => true,
                Some(bit) => match report.map.get(bit as usize / 8) {
                    Some(byte) => byte >> (bit % 8) & 1 == 1,
                    None => report.map.len() < MAP,
                },
            };
            match (arrived, sent.fate) {
                (true, Fate::Flying) => {
                    sent.fate = Fate::Arrived;
                    self.search.came(sent.size);
                    self.flying -= u64::from(sent.size);
                    heard.arrived += u32::from(sent.size > 0);
                    sent.slot.into_iter().for_each(|slot| each(Outcome::Arrived(slot)));
                    news = true;
                    if number == highest && sent.size > 0 {
                        heard.feedback = now.since(sent.at);
                        let ahead = report.at.wrapping_sub(sent.at.0 as u32);
                        heard.one_way = ahead.wrapping_sub(*clock.get_or_insert(ahead)) as i32;
                    }
                }
                (true, Fate::Lost) => {
                    // It was only late: the path mixes its packets.
                    sent.fate = Fate::Arrived;
                    self.search.came(sent.size);
                    news = true;
                    if let Some(missing) = sent.missing {
                        self.disorder = self.disorder.max(now.since(missing) + Span::from_millis(1));
                    }
                }
                // A later one came.
                (false, Fate::Flying) if highest - number >= LATER || number < base || now.since(sent.at) >= due => {
                    let missing = *sent.missing.get_or_insert(now);
                    if now.since(missing) >= self.disorder {
                        sent.fate = Fate::Lost;
                        self.search.lost(sent.size);
                        self.flying -= u64::from(sent.size);
                        heard.lost += u32::from(sent.size > 0);
                        self.counts.lost += u64::from(sent.size > 0);
                        sent.slot.into_iter().for_each(|slot| each(Outcome::Lost(slot)));
                    }
                }
                _ => {}
            }
            if sent.fate == Fate::Flying {
                flown = flown.or(Some(number));
            }
        }
        self.flown = flown.unwrap_or(self.flown.max(highest + 1));
        if news {
            self.progress = now;
            self.is_doubtful = false;
            self.compare(now);
        }
        if heard.feedback != Span::ZERO {
            let feedback = heard.feedback.as_micros();
            self.feedback = Span::from_micros((self.feedback.as_micros() * 7 + feedback) / 8);
            self.latency.reported(heard.feedback, now);
            self.rate.heard(&heard, now);
        }
        self.forget(now);
    }

    /// Drops what is settled from the front; a lost one stays for a while, since it may only be late.
    pub(super) fn forget(&mut self, now: Time) {
        while let Some(sent) = self.sent.front() {
            let settled = match sent.fate {
                Fate::Flying => sent.size == 0,
                Fate::Arrived => true,
                Fate::Lost => now.since(sent.at) > self.feedback + self.feedback + Span::from_millis(50),
            };
            if !settled {
                break;
            }
            self.sent.pop_front();
            self.first += 1;
        }
        if self.sent.is_empty() && self.sent.capacity() > 1024 {
            self.sent = VecDeque::new();
        }
    }

    /// How long word of a packet may take.
    pub fn due(&self) -> Span {
        // Reports come by the quickest path, or by this one.
        let (rtt, deviation) = self.probing.rtt.unwrap_or_default();
        let usual = self.feedback.as_micros().max(rtt) * 5 / 4 + 2 * deviation + self.disorder.as_micros();
        (Span::from_micros(usual) + LATE).clamp(LEAST_DUE, MOST_DUE)
    }

    /// When to [`doubt`](Self::doubt) it, unless something arrives; of a doubtful one, when the next packet is overdue.
    pub fn overdue(&self) -> Option<Time> {
        // While it is asked whether large ones pass, that answer decides.
        if self.flying == 0 || !self.is_up() || self.search.is_suspect() && self.probing.asked.is_some() {
            return None;
        }
        let flies = |sent: &&Sent| sent.fate == Fate::Flying && sent.size > 0;
        let since = if self.is_doubtful { self.sent.iter().find(flies)?.at } else { self.progress };
        Some(since + self.due())
    }

    /// No word came in time. It may be that the last packets were lost, which no later one shows: what is overdue counts as lost. Or the path
    /// is dead: that a probe has to find out.
    pub fn doubt(&mut self, now: Time, each: &mut dyn FnMut(Outcome)) {
        let due = self.due();
        if !self.is_doubtful {
            self.is_doubtful = true;
            self.probing.unanswered = 0;
            self.probing.asked = None;
            self.probing.next = now;
        }
        let flying = self.sent.iter_mut().filter(|sent| sent.fate == Fate::Flying && sent.size > 0);
        for sent in flying.filter(|sent| now.since(sent.at) >= due) {
            sent.fate = Fate::Lost;
            self.search.lost(sent.size);
            self.flying -= u64::from(sent.size);
            self.counts.lost += 1;
            sent.slot.into_iter().for_each(|slot| each(Outcome::Lost(slot)));
        }
    }

    /// It is silent: everything on its way counts as lost.
    pub fn abandon(&mut self, each: &mut dyn FnMut(Outcome)) {
        self.is_doubtful = false;
        // Its probes are no group, and of a parity no report would come.
        self.parity = Giver::default();
        for sent in self.sent.iter_mut().filter(|sent| sent.fate == Fate::Flying) {
            sent.fate = Fate::Lost;
            sent.slot.into_iter().for_each(|slot| each(Outcome::Lost(slot)));
        }
        self.flying = 0;
    }

    /// Something passed. Where many large ones in a row did not, it is asked at once whether such still pass.
    pub(super) fn compare(&mut self, now: Time) {
        if !self.is_doubtful && self.search.compare() {
            self.probing.next = now;
        }
    }
}
