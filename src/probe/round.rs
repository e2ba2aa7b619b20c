//! Rounds on their way: which probes can still be answered, and by which token.

use heapless::Deque;

use super::{MAX_ROUNDS, MAX_TARGETS};
use crate::time::Time;

/// Names a probe, in its packet as to the prober: 64 bits that only who saw the probe knows, so that an answer that was
/// forged from afar, or belongs to an earlier life of the daemon, is nobody's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token(pub u64);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Probe {
    Unsent,
    Sent(Time),
    Answered,
    Failed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Open,
    Good,
    Bad,
}

#[derive(Clone, Debug)]
pub(super) struct Round {
    pub sequence: u64,
    pub start: Time,
    /// Sent as the schedule has it: what is lost of it is the path's loss.
    pub regular: bool,
    pub verdict: Verdict,
    /// Answers within the patience, and all answers.
    pub prompt: u8,
    pub answered: u8,
    pub failed: u8,
    /// Of those failed, the ones that somebody else answered.
    pub foreign: u8,
    pub probes: [Probe; MAX_TARGETS],
}

/// The rounds that can still be answered, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    seed: u64,
    /// Of the next round; never starts again, so that a token is never used twice.
    sequence: u64,
    targets: usize,
    /// How many good rounds in a row the forgotten ones ended with.
    run: u8,
    rounds: Deque<Round, MAX_ROUNDS>,
}

impl Flight {
    pub fn new(seed: u64, targets: usize) -> Self {
        Flight { seed, sequence: 0, targets: targets.min(MAX_TARGETS), run: 0, rounds: Deque::new() }
    }

    /// A round with all its probes unsent. The oldest one gives way if there are too many, which their spacing prevents.
    pub fn begin(&mut self, start: Time, regular: bool) {
        if self.rounds.is_full() {
            self.forget();
        }
        let round = Round {
            sequence: self.sequence,
            start,
            regular,
            verdict: Verdict::Open,
            prompt: 0,
            answered: 0,
            failed: 0,
            foreign: 0,
            probes: [Probe::Unsent; MAX_TARGETS],
        };
        self.sequence = self.sequence.wrapping_add(1);
        let _ = self.rounds.push_back(round);
    }

    /// The newest round's first unsent probe: round and target.
    pub fn unsent(&self) -> Option<(&Round, usize)> {
        let round = self.rounds.back()?;
        let target = round.probes.iter().take(self.targets).position(|p| *p == Probe::Unsent)?;
        Some((round, target))
    }

    /// Marks the newest round's probe of `target` as sent.
    pub fn sent(&mut self, target: usize, now: Time) {
        if let Some(probe) = self.rounds.back_mut().and_then(|r| r.probes.get_mut(target)) {
            *probe = Probe::Sent(now);
        }
    }

    /// The round and target whose probe `token` names, and when it was sent; `None` unless it waits for an answer.
    pub fn find(&mut self, token: Token) -> Option<(&mut Round, usize, Time)> {
        let (seed, targets) = (self.seed, self.targets);
        self.rounds.iter_mut().find_map(|round| {
            let target = (0..targets).find(|t| make_token(seed, round.sequence, *t) == token)?;
            match round.probes[target] {
                Probe::Sent(at) => Some((round, target, at)),
                _ => None,
            }
        })
    }

    pub fn token(&self, sequence: u64, target: usize) -> Token {
        make_token(self.seed, sequence, target)
    }

    /// Lets go of the oldest round: its probes can no longer be answered.
    pub fn forget(&mut self) -> Option<Round> {
        let round = self.rounds.pop_front()?;
        self.run = if round.verdict == Verdict::Good { self.run.saturating_add(1) } else { 0 };
        Some(round)
    }

    /// Other targets: what is on its way is nobody's any more.
    pub fn set_targets(&mut self, targets: usize) {
        self.clear();
        self.targets = targets.min(MAX_TARGETS);
    }

    pub fn clear(&mut self) {
        self.rounds.clear();
        self.run = 0;
    }

    /// Oldest first.
    pub fn rounds(&self) -> impl Iterator<Item = &Round> {
        self.rounds.iter()
    }

    pub fn open(&self) -> impl Iterator<Item = &Round> {
        self.rounds().filter(|r| r.verdict == Verdict::Open)
    }

    pub fn oldest_open(&self) -> Option<&Round> {
        self.open().next()
    }

    pub fn find_round(&mut self, sequence: u64) -> Option<&mut Round> {
        self.rounds.iter_mut().find(|r| r.sequence == sequence)
    }

    /// How many good rounds follow each other, in the order of sending, up to the newest that is decided. An open one in
    /// between parts them: on a path that loses every second round, good ones are known long before the bad ones.
    pub fn good_run(&self) -> u8 {
        let (mut run, mut newest) = (self.run, self.run);
        for round in &self.rounds {
            run = if round.verdict == Verdict::Good { run.saturating_add(1) } else { 0 };
            if round.verdict != Verdict::Open {
                newest = run;
            }
        }
        newest
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): a bijection, so no two probes
/// share a token. It hides the seed from those who see none of the probes; who sees them needs no seed to answer.
fn make_token(seed: u64, sequence: u64, target: usize) -> Token {
    let number = sequence.wrapping_mul(MAX_TARGETS as u64).wrapping_add(target as u64).wrapping_add(1);
    let z = seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    Token(z ^ z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_one_probe_that_waits() {
        let mut flight = Flight::new(7, 2);
        flight.begin(Time(1), true);
        assert_eq!(flight.unsent().map(|(r, t)| (r.sequence, t)), Some((0, 0)));
        let token = flight.token(0, 0);
        assert!(flight.find(token).is_none(), "unsent");
        flight.sent(0, Time(2));
        assert_eq!(flight.unsent().map(|(_, t)| t), Some(1));
        flight.sent(1, Time(3));
        assert!(flight.unsent().is_none());
        assert_eq!(flight.find(token).map(|(r, t, at)| (r.sequence, t, at)), Some((0, 0, Time(2))));
        assert_ne!(token, Flight::new(8, 2).token(0, 0));
        flight.find(token).unwrap().0.probes[0] = Probe::Answered;
        assert!(flight.find(token).is_none(), "answered before");
    }

    #[test]
    fn good_rounds_count_in_the_order_of_sending() {
        for (verdicts, run) in [
            ("", 0),
            ("ggg", 3),
            ("gggo", 3),
            ("gbgg", 2),
            ("ogg", 2),
            ("gogg", 2),
            ("gogbo", 0),
            ("gogogo", 1),
            // The first ones of more than the flight holds are forgotten, and still count.
            ("gggggggggggggggggggg", 20),
            ("gbgggggggggggggggggg", 18),
        ] {
            let mut flight = Flight::new(7, 1);
            for verdict in verdicts.bytes() {
                flight.begin(Time(0), true);
                flight.rounds.back_mut().unwrap().verdict = match verdict {
                    b'g' => Verdict::Good,
                    b'b' => Verdict::Bad,
                    _ => Verdict::Open,
                };
            }
            assert_eq!(flight.good_run(), run, "{verdicts}");
            flight.clear();
            assert_eq!(flight.good_run(), 0);
        }
    }

    #[test]
    fn the_flight_is_bounded() {
        let mut flight = Flight::new(7, 1);
        (0..100).for_each(|t| flight.begin(Time(t), true));
        assert_eq!(flight.rounds.len(), MAX_ROUNDS);
        assert_eq!(flight.rounds.front().map(|r| r.start), Some(Time(100 - MAX_ROUNDS as u64)));
    }
}
