//! The prober against simulated paths: a shell that polls at each deadline, and answers as a schedule says.

use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::time::Time;

mod properties;
mod queues;
mod troubles;

const MS: u64 = 1_000;

fn ms(ms: u64) -> Span {
    Span::from_millis(ms)
}

fn targets(count: usize) -> Vec<Target> {
    (0..count as u8).map(|n| Target::Icmp(Ipv4Addr::new(192, 0, 2, n).into())).collect()
}

/// The brief's settings: those of a person who writes round numbers.
fn round_numbers() -> Settings {
    Settings { targets: targets(1), interval: ms(1000), timeout: ms(1000), ..Settings::default() }
}

fn defaults() -> Settings {
    Settings { targets: targets(1), ..Settings::default() }
}

/// What becomes of a probe.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    Answered(Span),
    Failed,
    Lost,
}
use Fate::{Answered, Failed, Lost};

struct Lab {
    prober: Prober,
    now: Time,
    /// What is on its way back.
    coming: Vec<(Time, Token)>,
    changes: Vec<(Time, Changed)>,
    sent: Vec<(Time, usize, Token)>,
}

impl Lab {
    fn new(settings: Settings) -> Self {
        let now = Time(1_000_000);
        let prober = Prober::new(settings, 42, now);
        Lab { prober, now, coming: Vec::new(), changes: Vec::new(), sent: Vec::new() }
    }

    /// Lets `span` pass; `path` says what becomes of the probe to a target at a time.
    fn run(&mut self, span: Span, mut path: impl FnMut(usize, Time) -> Fate) {
        let end = self.now + span;
        loop {
            self.drain(&mut path);
            let answer = self.coming.iter().map(|(at, _)| *at).min();
            let deadline = self.prober.deadline().map(|(at, _)| at);
            let next = answer.into_iter().chain(deadline).min().unwrap_or(Time(u64::MAX));
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            // Answers first, as the module's front page asks.
            while let Some(at) = self.coming.iter().position(|(at, _)| *at <= self.now) {
                let (_, token) = self.coming.swap_remove(at);
                self.prober.answered(token, self.now);
            }
        }
    }

    fn drain(&mut self, path: &mut impl FnMut(usize, Time) -> Fate) {
        while let Some(action) = self.prober.poll(self.now) {
            match action {
                Action::Changed(changed) => self.changes.push((self.now, changed)),
                Action::Send { index, token, .. } => {
                    self.sent.push((self.now, index, token));
                    match path(index, self.now) {
                        Answered(rtt) => self.coming.push((self.now + rtt, token)),
                        Failed => assert!(self.prober.failed(token, self.now)),
                        Lost => {}
                    }
                }
            }
        }
        if let Some((at, reason)) = self.prober.deadline() {
            assert!(at > self.now, "{reason} at {at:?}, {:?} now", self.now);
        }
    }

    fn silence(&mut self, span: Span) {
        self.run(span, |_, _| Lost);
    }

    fn answers(&mut self, span: Span, rtt: Span) {
        self.run(span, |_, _| Answered(rtt));
    }

    fn state(&self) -> State {
        self.prober.state()
    }

    /// How long after `from` the link went down, `ms`; the newest time.
    fn down_after(&self, from: Time) -> Option<u64> {
        self.changes.iter().rev().find(|(_, c)| c.to == State::Down).map(|(at, _)| at.since(from).as_millis())
    }
}

/// Fates that follow each other without a pattern.
fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![4 => (0u64..2_000).prop_map(|d| Answered(ms(d))), 2 => Just(Lost), 1 => Just(Failed)];
    vec(fate, 1..40)
}

/// The formula of the front page, and the worst case: the link dies right after an answer.
#[test]
fn silent_loss_is_known_as_soon_as_the_formula_says() {
    let slow = Settings { timeout: ms(4000), down: 2, ..defaults() };
    let once = Settings { down: 1, ..defaults() };
    let hasty = Settings { interval: ms(50), timeout: ms(50), ..defaults() };
    for (settings, rtt, bound) in [
        // interval + overdue + burst + patience
        (defaults(), 20, 300 + 100 + 100 + 400),
        (defaults(), 90, 300 + 100 + 100 + 400),
        (defaults(), 150, 300 + 150 + 100 + 400),
        (defaults(), 300, 300 + 300 + 100 + 600),
        (round_numbers(), 20, 1000 + 100 + 100 + 400),
        (round_numbers(), 600, 1000 + 600 + 100 + 1000),
        (slow, 20, 300 + 267 + 400),
        (once, 20, 300 + 400),
        (hasty, 10, 50 + 50 + 50 + 50),
    ] {
        let mut lab = Lab::new(settings.clone());
        lab.answers(Span::from_secs(60), ms(rtt));
        assert_eq!(lab.state(), State::Up, "{settings:?}");
        // On to the worst moment, right after an answer.
        let before = lab.prober.status().last_proof;
        while lab.prober.status().last_proof == before {
            lab.answers(ms(1), ms(rtt));
        }
        lab.coming.clear();
        let proof = lab.prober.status().last_proof.unwrap();
        let claim = lab.prober.status().detection.unwrap();
        // The variation has not quite died away.
        assert!(claim.as_millis().abs_diff(bound) <= 1 + bound / 50, "{claim} for {settings:?}, {rtt} ms");
        lab.silence(claim);
        let took = lab.down_after(proof).unwrap_or(u64::MAX);
        assert!(took <= claim.as_millis(), "{took} ms instead of {claim} for {settings:?}, {rtt} ms");
        assert!(took + 2 + rtt >= bound - bound / 50, "{took} ms: the formula gives away {bound} for {settings:?}");
    }
}

#[test]
fn a_link_that_never_answered_goes_down_by_the_slowest_detection() {
    for settings in [defaults(), round_numbers()] {
        let mut lab = Lab::new(settings.clone());
        let start = lab.now;
        lab.silence(Span::from_secs(10));
        let took = lab.down_after(start).unwrap();
        assert!(took <= settings.detection().as_millis(), "{took}");
        assert_eq!(lab.changes.len(), 1);
        assert_eq!(lab.changes[0].1, Changed { from: State::Unknown, to: State::Down, reason: Reason::Silent });
    }
    assert_eq!(defaults().detection(), ms(300 + 2 * 300 + 1000));
    assert_eq!(round_numbers().detection(), ms(1000 + 1000 + 100 + 1000));
}

#[test]
fn a_link_comes_back_after_good_rounds() {
    let mut lab = Lab::new(defaults());
    lab.answers(Span::from_secs(5), ms(20));
    lab.silence(Span::from_secs(30));
    let before = lab.sent.len();
    lab.silence(Span::from_secs(30));
    assert_eq!(lab.sent.len() - before, 100, "no burst while down");
    let back = lab.now;
    lab.answers(Span::from_secs(2), ms(20));
    let (at, changed) = *lab.changes.last().unwrap();
    assert_eq!(changed, Changed { from: State::Down, to: State::Up, reason: Reason::Recovered });
    assert!(at.since(back) <= ms(3 * 300 + 20), "{}", at.since(back));
}

/// A path that loses every second round never shows three good ones in a row, although rounds overlap.
#[test]
fn a_lossy_link_does_not_come_back() {
    let mut lab = Lab::new(defaults());
    lab.silence(Span::from_secs(5));
    let mut round = 0;
    lab.run(Span::from_secs(60), |_, _| {
        round += 1;
        if round % 2 == 0 { Answered(ms(20)) } else { Lost }
    });
    assert_eq!((lab.state(), lab.changes.len()), (State::Down, 1));
}

/// An outage shorter than the silence that counts takes no link down, wherever it falls; a little longer does.
#[test]
fn a_short_outage_is_survived() {
    for offset in (0..300).step_by(7) {
        let mut lab = Lab::new(defaults());
        lab.answers(ms(10_000 + offset), ms(20));
        // 600 ms, less the spacing of the rounds that end it.
        lab.silence(ms(480));
        lab.answers(Span::from_secs(5), ms(20));
        assert_eq!((lab.state(), lab.changes.len()), (State::Up, 1), "{offset}");
    }
}

#[test]
fn a_burst_ends_with_an_answer() {
    let mut lab = Lab::new(round_numbers());
    lab.answers(ms(10_500), ms(20));
    let before = lab.sent.len();
    let mut first = true;
    lab.run(Span::from_secs(10), |_, _| if core::mem::take(&mut first) { Lost } else { Answered(ms(20)) });
    assert_eq!(lab.sent.len() - before, 11, "one round more than the interval's");
    assert!(!lab.prober.status().burst);
}

#[test]
fn a_suspicion_is_probed_at_once_and_costs_little() {
    let mut lab = Lab::new(round_numbers());
    lab.answers(ms(10_500), ms(20));
    let (before, start) = (lab.sent.len(), lab.now);
    lab.prober.suspicion();
    lab.answers(ms(400), ms(20));
    assert_eq!(lab.sent[before..].iter().map(|s| s.0).collect::<Vec<_>>(), [start]);
    // A storm of them is held to the burst's spacing.
    let before = lab.sent.len();
    for _ in 0..1000 {
        lab.prober.suspicion();
        lab.answers(ms(1), ms(20));
    }
    assert!(lab.sent.len() - before <= 11, "{}", lab.sent.len() - before);
    assert_eq!(lab.state(), State::Up);
}

/// Targets that stopped answering do not take down a link over which races are won.
#[test]
fn evidence_from_races_keeps_a_link_up() {
    let mut lab = Lab::new(defaults());
    lab.answers(Span::from_secs(5), ms(20));
    for _ in 0..100 {
        lab.silence(ms(300));
        lab.prober.evidence_of_life(lab.now, false);
    }
    assert_eq!((lab.state(), lab.changes.len()), (State::Up, 1));
    lab.silence(Span::from_secs(2));
    assert_eq!(lab.state(), State::Down);
    // It hurries the next round, no more: on its own it does not bring the link back.
    let (before, start) = (lab.sent.len(), lab.now);
    lab.prober.evidence_of_life(lab.now, false);
    lab.silence(ms(150));
    assert!(lab.sent[before].0.since(start) <= ms(100));
    assert_eq!(lab.state(), State::Down);
}

#[test]
fn late_answers_are_proof_and_teach() {
    let mut lab = Lab::new(defaults());
    lab.answers(Span::from_secs(20), ms(20));
    let first = lab.sent.len();
    let mut one = true;
    lab.run(ms(560), |_, _| if core::mem::take(&mut one) { Answered(ms(450)) } else { Lost });
    let status = lab.prober.status();
    assert_eq!(status.last_proof, Some(lab.sent[first].0 + ms(450)));
    assert_eq!((status.state, status.bad_rounds, status.burst), (State::Up, 0, false));

    let mut lab = Lab::new(defaults());
    lab.answers(Span::from_secs(20), ms(20));
    // Beyond the patience of 400 ms, within the 600 ms of silence.
    lab.answers(Span::from_secs(20), ms(550));
    assert_eq!((lab.state(), lab.changes.len()), (State::Up, 1));
    let status = lab.prober.status();
    assert_eq!((status.bad_rounds, status.link.loss, status.link.last), (0, Some(0), Some(ms(550))));
    assert!(status.detection.unwrap() > ms(1400));
}

#[test]
fn carrier_and_address_count_at_once() {
    let mut lab = Lab::new(defaults());
    lab.answers(Span::from_secs(5), ms(20));
    let (_, _, old) = *lab.sent.last().unwrap();
    lab.silence(ms(200));
    let (_, _, waits) = *lab.sent.last().unwrap();
    lab.prober.detached(Reason::NoCarrier, lab.now);
    lab.silence(Span::from_secs(5));
    assert_eq!(lab.changes.last().unwrap().1.reason, Reason::NoCarrier);
    assert_eq!((lab.state(), lab.prober.deadline()), (State::Down, None));
    lab.prober.attached(lab.now);
    for token in [old, waits, Token(0), Token(u64::MAX)] {
        assert!(!lab.prober.answered(token, lab.now) && !lab.prober.failed(token, lab.now));
    }
    assert_eq!(lab.prober.status().link, Figures::default(), "figures of another network");
    let back = lab.now;
    lab.answers(Span::from_secs(2), ms(20));
    assert_eq!(lab.state(), State::Up);
    assert_eq!(lab.changes.last().unwrap().0.since(back), ms(2 * 300 + 20));
}

#[test]
fn without_targets_the_address_decides() {
    let mut lab = Lab::new(Settings::default());
    lab.silence(ms(1));
    assert_eq!(lab.state(), State::Up);
    lab.prober.evidence_of_life(lab.now, false);
    lab.prober.suspicion();
    lab.prober.detached(Reason::NoAddress, lab.now);
    lab.silence(ms(1));
    assert_eq!(lab.state(), State::Down);
    lab.prober.attached(lab.now);
    lab.silence(ms(1));
    let changes: Vec<_> = lab.changes.iter().map(|(_, c)| (c.to, c.reason)).collect();
    let unprobed = (State::Up, Reason::Unprobed);
    assert_eq!(changes, [unprobed, (State::Down, Reason::NoAddress), unprobed]);
    assert!(lab.sent.is_empty());
}

/// Of three targets one never answers: a quorum of two holds, three do not.
#[test]
fn reliability_is_a_quorum() {
    for (reliability, state) in [(0, State::Up), (1, State::Up), (2, State::Up), (3, State::Down), (9, State::Down)] {
        let mut lab = Lab::new(Settings { targets: targets(3), reliability, ..defaults() });
        lab.run(Span::from_secs(20), |target, _| if target == 1 { Lost } else { Answered(ms(20)) });
        assert_eq!(lab.state(), state, "{reliability}");
        let status = lab.prober.status();
        assert_eq!(status.link.loss, Some(0), "the best target's");
        assert_eq!(status.targets[1].1.loss, Some(1000));
    }
}

/// A refused send is known at once, and has the time that silence has: a resolver that restarts refuses for a moment.
#[test]
fn failures_have_the_time_of_silence() {
    let mut lab = Lab::new(round_numbers());
    lab.answers(Span::from_secs(5), ms(20));
    let start = lab.now;
    lab.run(Span::from_secs(5), |_, _| Failed);
    let took = lab.down_after(start).unwrap();
    assert!(took <= 1000 + 2 * 100 + 400, "{took}");
    assert!(lab.sent.len() <= 5 + 7 + 5);
    for offset in (0..300).step_by(7) {
        let mut lab = Lab::new(defaults());
        lab.answers(ms(10_000 + offset), ms(20));
        lab.run(ms(400), |_, _| Failed);
        lab.answers(Span::from_secs(5), ms(20));
        assert_eq!((lab.state(), lab.changes.len()), (State::Up, 1), "{offset}");
    }
}

/// A timeout above the interval does not slow the schedule down.
#[test]
fn rounds_overlap() {
    let mut lab = Lab::new(Settings { timeout: ms(3000), ..defaults() });
    let start = lab.now;
    lab.answers(Span::from_secs(30), ms(1500));
    let rounds = lab.sent.len() as u64;
    // At the start the answers are overdue only after the timeout: no burst.
    assert_eq!(rounds, lab.now.since(start).as_millis() / 300 + 1);
    assert_eq!(lab.state(), State::Up);
}

#[test]
fn who_asks_has_a_round_at_once() {
    let mut lab = Lab::new(Settings { targets: targets(2), interval: ms(60_000), ..Settings::default() });
    let half = |index: usize, _: Time| if index == 0 { Answered(ms(20)) } else { Failed };
    lab.run(ms(5_000), half);
    let (asked, sent) = (lab.now, lab.sent.len());
    assert!(lab.prober.ask() && lab.prober.ask());
    assert_eq!(lab.prober.round_since(asked).count(), 0);
    lab.run(ms(10), half);
    assert_eq!((lab.sent.len(), lab.prober.round_since(asked).collect()), (sent + 2, vec![None, Some(false)]));
    lab.run(ms(500), half);
    assert_eq!(lab.prober.round_since(asked).collect::<Vec<_>>(), [Some(true), Some(false)]);
    lab.run(ms(5_000), half);
    // Nothing was due meanwhile that would have dropped it.
    assert_eq!(lab.prober.poll(lab.now), None);
    assert_eq!(
        (lab.sent.len(), lab.prober.round_since(asked).count()),
        (sent + 2, 0),
        "one round, and its time is over"
    );
    // However often somebody asks, rounds keep their distance.
    for _ in 0..100 {
        lab.prober.ask();
        lab.run(ms(10), half);
    }
    assert!((20..=22).contains(&(lab.sent.len() - sent - 2)), "{} in a second", lab.sent.len() - sent - 2);
    lab.prober.detached(Reason::Admin, lab.now);
    assert!(!lab.prober.ask(), "there is nothing to wait for");
    lab.prober.attached(lab.now);
    assert_eq!((lab.state(), lab.prober.status().reason), (State::Down, Reason::Start), "what took it down is over");
}
