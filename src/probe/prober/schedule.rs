//! When rounds leave, and how long they are waited for.

use super::super::estimate::Rtt;
use super::super::round::{Probe, Round};
use super::super::{BURST, FRESH, State, room};
use super::Prober;
use crate::time::{Span, Time};

impl Prober {
    /// When to call [`poll`](Self::poll) next, and why. `None`: only an event can give it something to do.
    pub fn deadline(&self) -> Option<(Time, &'static str)> {
        if self.health.change_waits() {
            return Some((self.health.since, "state to tell"));
        }
        if !self.probing() {
            return self.release.map(|at| (at, "link to release"));
        }
        if let Some((round, _)) = self.flight.unsent() {
            return Some((round.start, "probe to send"));
        }
        let (patience, overdue) = (self.patience(), self.overdue());
        let next = match self.last_round {
            None => (self.began, "first round"),
            Some(last) if self.spaced() < self.settings.interval => (last + self.spaced(), "round of a burst"),
            Some(last) => (last + self.spaced(), "next round"),
        };
        // Of those at the same time the first.
        let mut first = None;
        for round in self.flight.open() {
            sooner(&mut first, round.start + patience, "round ends");
        }
        for round in self.flight.open().filter(|round| self.may_burst() && self.health.silent_since(round.start)) {
            sooner(&mut first, round.start + overdue, "answer is overdue");
        }
        // A round that was answered in full has nothing more to tell, and is forgotten with the next one.
        let waits = |r: &&Round| r.probes.iter().any(|probe| matches!(probe, Probe::Sent(_)));
        if let Some(round) = self.flight.rounds().find(waits) {
            sooner(&mut first, round.start + self.settings.timeout, "probes are lost");
        }
        if let Some(at) = self.suspicion_at() {
            sooner(&mut first, at, "races miss an answer");
        }
        sooner(&mut first, next.0, next.1);
        first
    }

    /// When silence in a race becomes a suspicion: later than an answer would take.
    pub(super) fn suspicion_at(&self) -> Option<Time> {
        self.missed.map(|since| since + self.slowest().map_or(BURST, |rtt| rtt.retransmit().max(BURST)))
    }

    pub(super) fn may_burst(&self) -> bool {
        !self.burst && self.health.state != State::Down
    }

    pub(super) fn round_is_due(&self, now: Time) -> bool {
        self.last_round.is_none_or(|last| now.since(last) >= self.spaced())
    }

    pub(super) fn spaced(&self) -> Span {
        match () {
            () if self.burst || self.hurry || self.asked => self.settings.burst(),
            () if self.suspect => self.settings.suspicion(),
            () if self.comes() => self.settings.interval.min(FRESH.max(room(self.settings.timeout))),
            () => self.settings.interval,
        }
    }

    /// Whether a link that is down has been good for a round or more, and is about to come back.
    fn comes(&self) -> bool {
        let is_down = self.health.state == State::Down && self.health.hold() == Span::ZERO;
        is_down && (1..self.settings.up).contains(&self.health.good)
    }

    /// While the link is down, or its device hears something, there is no haste.
    pub(super) fn patience(&self) -> Span {
        let haste = self.health.state != State::Down && !self.hears;
        self.settings.patience(self.slowest().filter(|_| haste))
    }

    pub(super) fn overdue(&self) -> Span {
        self.settings.overdue(self.slowest())
    }

    pub(super) fn slowest(&self) -> Option<&Rtt> {
        self.estimates.iter().filter_map(|e| e.rtt.as_ref()).max_by_key(|rtt| rtt.retransmit())
    }
}

type Deadline = (Time, &'static str);

#[inline(never)]
fn sooner(first: &mut Option<Deadline>, at: Time, why: &'static str) {
    if first.is_none_or(|(known, _)| at < known) {
        *first = Some((at, why));
    }
}
