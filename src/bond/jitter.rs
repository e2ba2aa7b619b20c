//! How much a path's delay varies by itself, as radios' does that answer when they like: it looks like a queue, and is none.
//!
//! The two differ in what another window does. Where packets queue, as many arrive as before, and wait for another while. Where
//! they do not, more or fewer arrive, by as much as the window is larger or smaller, and each takes as long as before.

use crate::time::{Span, Time};

use super::rate::{QUEUE, SHAKY};

/// Rounds, and microseconds, over which arrivals are counted: in less, jitter moves too many of them from one count to the next.
const ROUNDS: u64 = 4;
const LEAST: u64 = 150_000;
/// Windows are told apart that differ by one part in so many.
const APART: u64 = 10;
/// A window is tried that is larger by so many eighths; after a success twice as many, up to the most.
const FIRST: u64 = 1;
const MOST: u64 = 4;
/// After a trial that failed there is none for this long; on a path that is known to be shaky, for less.
const RESPITE: Span = Span::from_secs(5);
const SHORT: Span = Span::from_secs(1);
/// By so much one round's least delay is below another's, in microseconds.
const LEEWAY: u64 = 3_000;
/// A longer delay than this, in microseconds, is a queue's, whatever it looks like.
const LONGEST: u64 = 100_000;

/// What was true of a round trip.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub window: u64,
    /// The least that a packet took longer than the least of late, in microseconds.
    pub queue: u64,
    /// From sending to knowing, in microseconds.
    pub trip: u64,
    /// Packets waited for the path: it was as full as its window.
    pub full: bool,
    /// The other end's clock in microseconds, and its count of bytes, both modulo 2^32.
    pub at: u32,
    pub bytes: u32,
}

/// What a larger or smaller window brought.
#[derive(Clone, Copy, Debug)]
struct Count {
    window: u64,
    /// Bytes a second.
    rate: u64,
    queue: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Jitter {
    /// Microseconds.
    level: u64,
    /// The same of a path with little to do, of late.
    idle: u64,
    /// Rounds of the present count, their windows and queues, and where it began; none: at the next round's end.
    rounds: u64,
    windows: u64,
    queues: u64,
    began: Option<(u32, u32)>,
    /// The window with which it began, and the queue.
    from: (u64, u64),
    /// The count before.
    before: Option<Count>,
    /// The window is larger for a trial, by so many eighths; 0: it is not.
    trial: u64,
    /// When there may be another one.
    next: Time,
}

impl Jitter {
    /// Microseconds of delay that are no queue.
    pub fn level(&self) -> u64 {
        self.level
    }

    /// What the window is not to fall below before it is known what it brings.
    pub fn least(&self) -> u64 {
        self.from.0 - self.from.0 / 4
    }

    /// A round is over. The window that it is to have; `None`: what the queue says.
    pub fn round(&mut self, round: &Round, now: Time) -> Option<u64> {
        // That there is less of it is heard of slowly: one round's least is chance.
        self.level -= self.level.saturating_sub(round.queue) / 16;
        let held = (self.trial > 0).then_some(round.window);
        if !round.full {
            return self.leave();
        }
        let Some((at, bytes)) = self.began else {
            (self.began, self.from) = (Some((round.at, round.bytes)), (round.window, round.queue));
            return held;
        };
        // A smaller one does help.
        if round.queue < self.from.1 / 4 * 3 {
            self.from = (round.window, round.queue);
        }
        (self.rounds, self.windows, self.queues) =
            (self.rounds + 1, self.windows + round.window, self.queues + round.queue);
        let passed = u64::from(round.at.wrapping_sub(at));
        if self.rounds < ROUNDS || passed < LEAST {
            return held;
        }
        let rate = u64::from(round.bytes.wrapping_sub(bytes)) * 1_000_000 / passed;
        let count = Count { window: self.windows / self.rounds, rate, queue: self.queues / self.rounds };
        // A window that was not used up says nothing.
        if rate * round.trip / 1_000_000 < count.window / 4 * 3 {
            return self.leave();
        }
        (self.rounds, self.windows, self.queues, self.began) = (0, 0, 0, Some((round.at, round.bytes)));
        self.from = (round.window, round.queue);
        self.judge(count, now)
    }

    fn judge(&mut self, count: Count, now: Time) -> Option<u64> {
        let before = self.before.replace(count);
        let Some(before) = before.filter(|before| count.window.abs_diff(before.window) > before.window / APART) else {
            // Where much queues, it is made less first.
            let some = QUEUE / 2..=self.level + QUEUE / 2 * 3;
            return (now >= self.next && some.contains(&count.queue)).then(|| self.attempt(count.window, FIRST));
        };
        if self.trial == 0 && count.window > before.window {
            return None;
        }
        // What arrives if nothing queues.
        let expected = before.rate * count.window / before.window.max(1);
        let middle = (expected + before.rate) / 2;
        let follows = match expected > before.rate {
            true => count.rate > middle,
            // Not if the path itself carries less.
            false => count.rate < middle && count.rate + before.rate > expected * 2,
        };
        let tried = std::mem::take(&mut self.trial);
        if follows && count.queue <= LONGEST {
            // A queue that only this window made is one.
            let both = count.queue.min(before.queue);
            if both > QUEUE / 2 {
                self.level = self.level.max(both + QUEUE / 2);
            }
            if tried > 0 {
                return Some(self.attempt(count.window, (tried * 2).min(MOST)));
            }
            self.restart();
            return Some(before.window);
        }
        if tried == 0 {
            return None;
        }
        self.restart();
        self.next = now + if self.level > SHAKY { SHORT } else { RESPITE };
        Some(before.window)
    }

    /// Ends a trial that says nothing.
    fn leave(&mut self) -> Option<u64> {
        let back = self.before.filter(|_| self.trial > 0).map(|before| before.window);
        self.restart();
        back
    }

    fn attempt(&mut self, window: u64, eighths: u64) -> u64 {
        self.trial = eighths;
        // What the old window made is still arriving for a round.
        self.began = None;
        window + window * eighths / 8
    }

    /// A round of a path with little to do: what its packets took longer is no queue of ours.
    pub fn idles(&mut self, queue: u64) {
        self.idle = (self.idle * 7 + queue.min(LONGEST)) / 8;
        if self.idle > SHAKY {
            self.level = self.level.max(self.idle);
        }
    }

    /// The path was left to run dry: so much delay was left.
    pub fn dry(&mut self, queue: u64) {
        self.level = self.level.min(queue + LEEWAY);
        self.restart();
    }

    /// Counts anew: others changed the window.
    pub fn restart(&mut self) {
        let Jitter { level, idle, next, .. } = *self;
        *self = Jitter { level, idle, next, ..Jitter::default() };
    }
}

#[cfg(test)]
#[path = "jitter_tests.rs"]
mod tests;
