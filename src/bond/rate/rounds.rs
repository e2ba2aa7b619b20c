//! What a round trip tells of the window.

use super::arrivals::Arrived;
use super::{
    DRAIN, DRAINED, FIRST, FLOODED, FOREIGN, LEAST, LOSSY, MANY, MOST, OVERFULL, QUEUE, QUICK, Rate, SATED, SHAKY,
    SLOWEST,
};
use crate::bond::brim::{self, Step};
use crate::time::Time;

impl Rate {
    /// Whether it is the window that loses packets: tries a smaller one, or gives it back.
    pub(super) fn brims(&mut self, arrived: Arrived, delay: u64, queue: u64, now: Time) -> Step {
        let Arrived { rate, more, is_news } = arrived;
        let (lost, sent, window) = (self.lost, self.sent, self.window);
        let arrives = rate * (delay + self.little()) / 1_000_000;
        // A link that buffers nothing never shows a queue: by that, a start would not end.
        let over = self.starting && is_news && !more && queue <= 2 * QUEUE && self.is_flooded() && arrives > 0;
        let step = match (over, self.starting) {
            (true, _) => self.brim.begin(lost, sent, arrives.min(window), now),
            (_, true) => Step::Usual,
            _ => self.brim.round(&brim::Round { lost, sent, window, full: self.filled, queue, arrives }, now),
        };
        self.starting &= !over;
        if let Step::Begins(_) = step {
            self.before = (self.window, self.arrivals.forget(rate));
        }
        step
    }

    /// What was tried is given back.
    pub(super) fn gives_back(&mut self) {
        self.window = self.before.0;
        self.arrivals.remember(self.before.1);
        self.jitter.restart();
    }

    /// Keeps the window within what any path may have. `rate` bytes a second arrive.
    pub(super) fn bound(&mut self, step: Step, rate: u64, delay: u64, queue: u64) {
        // A window that nothing fills is none: where packets queue or are lost nevertheless, it becomes what arrives.
        let jitter = self.jitter.level();
        let stands = queue.saturating_sub(jitter) > 2 * QUEUE;
        let overfull = !self.limited && self.sent >= MANY && (stands || self.lost * 1_000 >= self.sent * OVERFULL);
        // Where delays vary, packets take the longer the more there are, and that is no queue. (On a slow path they vary by what else
        // leaves, and a longer time would only make one: a BBR's share of two narrow uploads was .77 instead of .83.)
        let is_varied = jitter > SHAKY && self.best() > QUICK;
        let varied = if is_varied { (self.trip + self.trip / 4).min(delay + delay / 2) } else { 0 };
        let time = varied.max(delay + 2 * QUEUE);
        let carried = if overfull { rate } else { self.best() } * time / 1_000_000;
        let least = match step {
            Step::Begins(_) | Step::Most(_) => SLOWEST,
            _ if carried == 0 => LEAST,
            _ => carried.clamp(SLOWEST, LEAST),
        };
        let most = if overfull { carried } else { MOST };
        self.window = self.window.min(most).clamp(least, MOST);
    }

    /// A round on a path whose delay is its queue's.
    pub(super) fn steady(&mut self, step: Step, delay: u64, queue: u64, now: Time) {
        let known = self.best();
        let usual = matches!(step, Step::Usual | Step::Back);
        let wanted = if usual { QUEUE } else { self.little() };
        if self.starting {
            if self.limited {
                self.window = if self.calm { self.window * 5 / 4 } else { self.window * 2 };
            }
        } else if queue > DRAINED && now.since(self.drained) >= DRAIN {
            // A queue that always stands would pass for the link's own delay: it is let run dry for a round.
            self.window = self.window * delay * 3 / 4 / (delay + queue);
            self.drained = now;
        } else if queue > wanted || self.limited {
            let more = if usual { self.window / 4 } else { self.window / 32 };
            let wanted = self.window * (delay + wanted) / (delay + queue);
            self.window = wanted.clamp(self.window - self.window / 4, self.window + more);
        }
        if let Step::Begins(most) | Step::Most(most) = step {
            self.window = self.window.min(most);
        }
        if known > 0 && self.limited {
            // This much may be under way, queue and all; and a quarter more, or it would never grow.
            let most = self.sends(known) * (delay + wanted) / 1_000_000;
            self.window = self.window.min(if self.starting { most * 5 / 2 } else { most * 5 / 4 });
        }
    }

    /// A round on a path whose delay varies by itself.
    pub(super) fn shaky(&mut self, Arrived { rate, more, .. }: Arrived, delay: u64, queue: u64, now: Time) {
        let jitter = self.jitter.level();
        // What is under way, by what arrives: a window that is not used makes no queue.
        let flying = rate * self.trip / 1_000_000;
        let (base, queue, stands) = (delay + jitter, queue.saturating_sub(jitter), queue);
        // Of a long queue, few packets are enough to be the cause.
        let used = if queue > FOREIGN { self.window / 5 } else { self.window / 4 * 3 };
        // As long as twice the window brings more, the delay says little.
        let fills = flying >= self.window / 2 || queue > FOREIGN;
        if self.starting {
            let brings_none = self.limited && fills && !more;
            self.sated = if brings_none && queue > QUEUE { self.sated.saturating_add(1) } else { 0 };
            // One round may bring no more by chance. A full path's packets take as much longer as there are more of them, or are lost.
            let long = self.sated > 0 && self.trip > base + delay / 2;
            self.starting = !(long || brings_none && self.is_flooded() || self.sated >= SATED);
        }
        if let Some((window, rounds)) = self.draining {
            self.draining = rounds.checked_sub(1).map(|rounds| (window, rounds));
            if rounds == 0 {
                self.jitter.dry(stands);
                // Of what made a queue, no more than is needed comes back.
                let needed = self.best() * (base + QUEUE) / 1_000_000;
                self.window = window.min(needed + needed / 8).max(self.window);
                self.drained = now;
            }
        } else if self.starting {
            if self.limited && flying >= self.window / 8 && (more || self.filled) {
                self.window *= 2;
            }
        } else if now.since(self.drained) >= DRAIN {
            self.draining = Some((self.window, 1));
            self.jitter.restart();
            self.window = self.window * delay * 3 / 4 / (delay + stands);
        } else if queue > QUEUE && flying >= used || queue <= QUEUE && self.limited && flying >= self.window / 2 {
            let wanted = self.window * (base + QUEUE) / (base + queue);
            // Until it is known whether a smaller one helps, by a quarter only; unless this is no jitter for sure.
            let least = if queue > delay.max(30_000) { 0 } else { self.jitter.least() };
            let least = least.max(self.window - self.window / 4).min(self.window);
            self.window = wanted.clamp(least, self.window + self.window / 4);
        }
        let known = self.best();
        if known > 0 && self.limited && self.starting && !more {
            self.window = self.window.min((known * (delay + QUEUE) / 1_000_000 * 5 / 2).max(FIRST));
        } else if known > 0 && self.limited && self.loss() >= LOSSY {
            self.window = self.window.min(self.sends(known) * self.trip / 1_000_000 * 5 / 4);
        }
    }

    /// So much of the round was lost that a start is over.
    fn is_flooded(&self) -> bool {
        self.lost >= MANY && self.lost * 1_000 >= self.sent * FLOODED
    }

    /// Bytes a second that have to leave for so many to arrive.
    fn sends(&self, arrive: u64) -> u64 {
        arrive * 1_000 / (1_000 - u64::from(self.loss().min(500)))
    }
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
mod tests;
