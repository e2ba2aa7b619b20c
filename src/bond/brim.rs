//! Whether packets are lost because too many leave.
//!
//! Where a link buffers little, or nothing (a policer), what is too much is lost before a queue shows; a radio loses what it likes. The two
//! differ in what a smaller window does. So where packets are lost, a smaller one is tried now and then. Where that ends the losses, it
//! stays small for a while, and grows slowly; else it is given back.

use super::rate::QUEUE;
use crate::time::{Span, Time};

/// So many lost packets tell how many are lost, if they are not spread over more than [`SELDOM`]: those that are do less harm
/// than a trial, which would take as many.
const ENOUGH: u32 = 16;
const SELDOM: u32 = 800;
/// ... and are of so many rounds: an outage loses as many in one or two.
const OFTEN: u8 = 4;
/// ... each of which lost this many permille.
const SOME: u32 = 10;
/// Losses of so many rounds after a window was made smaller are still those of the larger one.
const SETTLES: u8 = 2;
/// A trial is over after this: there is little to carry.
const PATIENCE: Span = Span::from_secs(1);
/// What did not help is not tried again before this: or before [`SOON`], where more than so many permille are lost.
const RESPITE: Span = Span::from_secs(10);
const SOON: Span = Span::from_secs(2);
const MUCH: u32 = 50;
/// What helped stays for so long, and the second time for twice as long: the link may carry more by then.
const STAYS: Span = Span::from_secs(10);
/// A round loses too much if that is so many packets, and so many permille more than the small window lost at first: a little more where
/// the large one lost much.
const SURE: u32 = 4;
const EXCESS: u32 = 20;
/// In the second after it was made smaller the window grows by one part of so many, in the next one by two, and so on up to [`FASTEST`]. A
/// policer takes time to notice: what grows faster is far above its rate by then.
const GROWS: u64 = 64;
const FASTEST: u64 = 10;

/// What the window may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// What the queue says.
    Usual,
    /// At most so many bytes, for a trial that begins.
    Begins(u64),
    /// At most so many bytes.
    Most(u64),
    /// What it was before the trial.
    Back,
}

/// What was true of a round trip.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Packets: lost ones, and all.
    pub lost: u32,
    pub sent: u32,
    /// Bytes that may be in flight; whether so many were.
    pub window: u64,
    pub full: bool,
    /// The least wait in the link's queue, in microseconds.
    pub queue: u64,
    /// The window that carries what arrived, with a little queue; 0: that is not known.
    pub arrives: u64,
}

impl Round {
    /// The window that would not lose what this one did. One that was not used up carries more than arrived.
    fn fits(&self) -> u64 {
        let kept = self.window * u64::from(self.sent.saturating_sub(self.lost)) / u64::from(self.sent.max(1));
        self.window.min(if self.full { self.arrives } else { self.arrives.max(kept) })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Usual,
    /// A smaller window is tried. Before, so many packets were lost of so many.
    Trial {
        lost: u32,
        of: u32,
    },
    /// It helps. So many permille were lost before, and are with it; what is less than this is another link.
    Small {
        until: Time,
        before: u32,
        with: u32,
        least: u64,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Brim {
    stage: Stage,
    /// Packets of the rounds that this stage counts: lost ones, and all; how many rounds lost more than a few.
    lost: u32,
    sent: u32,
    often: u8,
    /// Of those, the largest window that would have lost nothing.
    fits: u64,
    /// Rounds that do not count.
    settles: u8,
    /// What the window may be, and when that was last reckoned; when it was last made smaller.
    most: (u64, Time),
    shrunk: Time,
    /// No trial before this. The last one helped.
    next: Time,
    again: bool,
}

impl Default for Brim {
    fn default() -> Self {
        let (most, shrunk, next) = ((0, Time(0)), Time(0), Time(0));
        let (stage, lost, sent, often, fits, settles) = (Stage::Usual, 0, 0, 0, 0, 0);
        Brim { stage, lost, sent, often, fits, settles, most, shrunk, next, again: false }
    }
}

impl Brim {
    /// The window is to be small: the path keeps less of a queue.
    pub fn is_small(&self) -> bool {
        self.stage != Stage::Usual
    }

    /// A smaller window is tried: others leave it alone.
    pub fn is_trying(&self) -> bool {
        matches!(self.stage, Stage::Trial { .. })
    }

    /// A round is over in which packets had to wait for the path.
    pub fn round(&mut self, round: &Round, now: Time) -> Step {
        // What a long queue loses, that queue tells of.
        if self.is_past(now) || !self.is_small() && round.queue > 2 * QUEUE {
            return self.leave(now);
        }
        if self.settles > 0 {
            self.settles -= 1;
            return self.step(now);
        }
        // In a trial, what did not use the window tells nothing of it.
        if self.is_trying() && round.arrives < round.window / 2 {
            return self.step(now);
        }
        (self.lost, self.sent) = (self.lost.saturating_add(round.lost), self.sent.saturating_add(round.sent));
        if round.lost > 0 && permille(round.lost, round.sent) >= SOME {
            (self.often, self.fits) = (self.often.saturating_add(1), self.fits.max(round.fits()));
        }
        let (loss, enough) = (permille(self.lost, self.sent), self.lost >= ENOUGH);
        match self.stage {
            Stage::Usual => {
                let many = u64::from(self.lost) * u64::from(SELDOM) >= u64::from(self.sent) * u64::from(ENOUGH);
                if many && enough && self.often >= OFTEN && round.arrives > 0 && now >= self.next {
                    return self.begin(self.lost, self.sent, self.fits, now);
                }
                if !many && self.sent >= SELDOM {
                    self.enter(Stage::Usual);
                }
            }
            Stage::Trial { lost, of }
                if u64::from(self.sent) * u64::from(lost) >= u64::from(of) * u64::from(ENOUGH) =>
            {
                let before = permille(lost, of);
                if loss * 3 > before {
                    return self.fails(before, now);
                }
                let until = now + if self.again { STAYS + STAYS } else { STAYS };
                self.again = true;
                self.most.0 += self.most.0 / 16;
                self.enter(Stage::Small { until, before, with: loss, least: self.most.0 / 4 * 3 });
            }
            // Chance had helped.
            Stage::Small { before, .. } if enough && loss * 2 > before => return self.fails(before, now),
            Stage::Small { before, with, least, .. } => {
                if enough {
                    (self.lost, self.sent) = (0, 0);
                }
                let excess = EXCESS + (before / 8).min(EXCESS);
                if round.lost >= SURE && permille(round.lost, round.sent) >= with + excess {
                    let window = self.most.0.min(round.window);
                    self.set((window - window / 16).min(round.fits().max(window / 2)), now);
                    if self.most.0 < least {
                        self.enter(Stage::Usual);
                    }
                }
            }
            _ => {}
        }
        self.step(now)
    }

    /// A path that starts loses so many of so many: a trial begins with a little less than `fits`.
    pub fn begin(&mut self, lost: u32, of: u32, fits: u64, now: Time) -> Step {
        self.enter(Stage::Trial { lost, of });
        self.set(fits - fits / 8, now);
        Step::Begins(self.most.0)
    }

    /// A round is over in which others set the window, or nothing had to wait: it tells nothing.
    pub fn leave(&mut self, now: Time) -> Step {
        match self.stage {
            Stage::Trial { lost, of } if self.is_past(now) => self.fails(permille(lost, of), now),
            Stage::Trial { .. } => self.step(now),
            Stage::Small { .. } if !self.is_past(now) => Step::Usual,
            _ => {
                self.enter(Stage::Usual);
                Step::Usual
            }
        }
    }

    /// The stage has lasted as long as it may.
    fn is_past(&self, now: Time) -> bool {
        match self.stage {
            Stage::Usual => false,
            Stage::Trial { .. } => now.since(self.shrunk) > PATIENCE,
            Stage::Small { until, .. } => now >= until,
        }
    }

    fn fails(&mut self, before: u32, now: Time) -> Step {
        let step = if self.is_trying() { Step::Back } else { Step::Usual };
        self.next = now + if before > MUCH { SOON } else { RESPITE };
        self.again = false;
        self.enter(Stage::Usual);
        step
    }

    fn set(&mut self, most: u64, now: Time) {
        (self.most, self.shrunk, self.settles) = ((most, now), now, SETTLES);
    }

    fn step(&mut self, now: Time) -> Step {
        let (most, since) = self.most;
        if matches!(self.stage, Stage::Small { .. }) {
            let well = (1 + now.since(self.shrunk).as_micros() / 1_000_000).min(FASTEST);
            let passed = now.since(since).as_micros().min(1_000_000);
            self.most = (most + most * well * passed / (GROWS * 1_000_000), now);
        }
        if self.stage == Stage::Usual { Step::Usual } else { Step::Most(self.most.0) }
    }

    fn enter(&mut self, stage: Stage) {
        (self.stage, self.lost, self.sent, self.often, self.fits, self.settles) = (stage, 0, 0, 0, 0, 0);
    }
}

fn permille(lost: u32, sent: u32) -> u32 {
    (u64::from(lost) * 1_000 / u64::from(sent.max(1))) as u32
}

#[cfg(test)]
#[path = "brim_tests.rs"]
mod tests;
