//! One link's prober: the schedule of its rounds, and what their answers say.

use super::estimate::{Estimate, Rtt};
use super::health::Health;
use super::round::{Flight, Probe, Round, Verdict};
use super::{Changed, Figures, Reason, Settings, State, Target, Token};
use crate::time::{Span, Time};

/// What the shell is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Probe the target, which is number `index` of the settings. `sequence` is the low half of the round's number, for
    /// fields that people read in a packet dump; only the token tells probes apart.
    Send { index: usize, target: Target, sequence: u16, token: Token },
    /// Tell those who depend on the link.
    Changed(Changed),
}

#[derive(Clone, Debug)]
pub struct Prober {
    settings: Settings,
    /// The link has a carrier and an address, and the administrator wants it.
    attached: bool,
    /// When the schedule began, and its last round.
    began: Time,
    last_round: Option<Time>,
    /// Rounds follow closely until a proof of life.
    burst: bool,
    /// The next round follows closely.
    hurry: bool,
    /// So it does, as somebody asked for it.
    asked: bool,
    flight: Flight,
    health: Health,
    estimates: Vec<Estimate>,
}

impl Prober {
    /// For a link that has its address; call [`detached`](Self::detached) at once if not. `seed` must be random, and new
    /// for each prober.
    pub fn new(settings: Settings, seed: u64, now: Time) -> Self {
        let settings = settings.in_range();
        let targets = settings.targets.len();
        let mut prober = Prober {
            attached: false,
            began: now,
            last_round: None,
            burst: false,
            hurry: false,
            asked: false,
            flight: Flight::new(seed, targets),
            health: Health::new(now),
            estimates: vec![Estimate::default(); targets],
            settings,
        };
        prober.attached(now);
        prober
    }

    /// The next thing to do. Call it after every event and at the deadline, until there is nothing more.
    pub fn poll(&mut self, now: Time) -> Option<Action> {
        self.expire(now);
        if let Some(changed) = self.health.take_change() {
            return Some(Action::Changed(changed));
        }
        if !self.probing() {
            return None;
        }
        if self.flight.unsent().is_none() && self.round_is_due(now) {
            self.flight.begin(now);
            self.last_round = Some(now);
            (self.hurry, self.asked) = (false, false);
        }
        let (round, index) = self.flight.unsent()?;
        let sequence = round.sequence;
        let target = *self.settings.targets.get(index)?;
        self.flight.sent(index, now);
        Some(Action::Send { index, target, sequence: sequence as u16, token: self.flight.token(sequence, index) })
    }

    /// When to call [`poll`](Self::poll) next, and why. `None`: only an event can give it something to do.
    pub fn deadline(&self) -> Option<(Time, &'static str)> {
        if self.health.change_waits() {
            return Some((self.health.since, "state to tell"));
        }
        if !self.probing() {
            return None;
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
        let ends = self.flight.open().map(|r| (r.start + patience, "round ends"));
        let late = self.flight.open().filter(|r| self.may_burst() && self.health.silent_since(r.start));
        let late = late.map(|r| (r.start + overdue, "answer is overdue"));
        let lost = self.flight.rounds().next().map(|r| (r.start + self.settings.timeout, "probes are lost"));
        ends.chain(late).chain(lost).chain([next]).min_by_key(|(at, _)| *at)
    }

    /// The probe was answered. False if no probe waits under that token: an answer twice, too late, forged, or from an
    /// earlier life.
    pub fn answered(&mut self, token: Token, now: Time) -> bool {
        let patience = self.patience();
        let Some((round, target, sent)) = self.flight.find(token) else { return false };
        round.probes[target] = Probe::Answered;
        round.answered += 1;
        round.prompt += u8::from(now.since(round.start) <= patience);
        let alive = round.answered == self.settings.reliability;
        let good = round.verdict == Verdict::Open && round.prompt == self.settings.reliability;
        if good {
            round.verdict = Verdict::Good;
        }
        let rtt = now.since(sent);
        if let Some(estimate) = self.estimates.get_mut(target) {
            // Later than the timeout it can be only if the shell was late itself: no measure of the path.
            if rtt <= self.settings.timeout { estimate.answered(rtt) } else { estimate.loss.add(true) }
        }
        if good {
            self.health.good_round(self.flight.good_run(), self.settings.up, now);
        }
        if alive {
            self.lives(now);
        }
        true
    }

    /// The probe could not be sent, or was refused in a way that says that the target was not reached. False as above.
    pub fn failed(&mut self, token: Token, now: Time) -> bool {
        let Some((round, target, _)) = self.flight.find(token) else { return false };
        round.probes[target] = Probe::Failed;
        round.failed += 1;
        let left = self.estimates.len() as u8 - round.failed;
        let hopeless = round.verdict == Verdict::Open && left < self.settings.reliability;
        let sequence = round.sequence;
        if let Some(estimate) = self.estimates.get_mut(target) {
            estimate.loss.add(true);
        }
        if hopeless {
            self.bad_round(sequence, now);
        }
        true
    }

    /// An answer from beyond the link came by other means than a probe: it won a race, say.
    pub fn evidence_of_life(&mut self, now: Time) {
        if self.probing() {
            self.lives(now);
        }
    }

    /// The link is silent where others answer: probe it at once, and closely. No verdict by itself; it may come as often
    /// as it likes.
    pub fn suspicion(&mut self) {
        if self.probing() && self.health.state != State::Down {
            self.burst = true;
        }
    }

    /// Somebody wants to know now: the next round follows closely. False if nothing is probed, so that nothing follows.
    pub fn ask(&mut self) -> bool {
        self.asked |= self.probing();
        self.probing()
    }

    /// Whether each target answered in the first round since `since`; `None` as long as it may. Without such a round, or
    /// if it is too old for answers, there are no entries.
    pub fn round_since(&self, since: Time) -> impl Iterator<Item = Option<bool>> {
        let round = self.flight.rounds().find(|round| round.start >= since);
        let probes = round.into_iter().flat_map(|round| round.probes).take(self.settings.targets.len());
        probes.map(|probe| match probe {
            Probe::Unsent | Probe::Sent(_) => None,
            Probe::Answered => Some(true),
            Probe::Failed => Some(false),
        })
    }

    /// Carrier and address are there (again). What was measured before is forgotten, it may be another network.
    pub fn attached(&mut self, now: Time) {
        if self.attached {
            return;
        }
        self.attached = true;
        self.began = now;
        self.estimates.fill(Estimate::default());
        if self.settings.targets.is_empty() {
            self.health.enter(State::Up, Reason::Unprobed, now);
        } else {
            // What took it down is over.
            self.health.enter(self.health.state, Reason::Start, now);
        }
    }

    /// Carrier or address are gone, or the administrator took the link out: down at once.
    pub fn detached(&mut self, reason: Reason, now: Time) {
        self.attached = false;
        self.last_round = None;
        (self.burst, self.hurry, self.asked) = (false, false, false);
        self.flight.clear();
        self.health.good = 0;
        self.health.enter(State::Down, reason, now);
    }

    pub fn state(&self) -> State {
        self.health.state
    }

    /// As the configuration gave them, brought into range.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn status(&self) -> Status {
        let targets: Vec<_> =
            self.settings.targets.iter().copied().zip(self.estimates.iter().map(Estimate::figures)).collect();
        let best = |f: &Figures| (f.loss.unwrap_or(u16::MAX), f.smoothed.unwrap_or(Span(u64::MAX)));
        Status {
            state: self.health.state,
            reason: self.health.reason,
            since: self.health.since,
            last_proof: self.health.proof,
            burst: self.burst,
            bad_rounds: self.health.bad,
            good_rounds: self.health.good,
            detection: self.probing().then(|| self.settings.detection_at(self.slowest())),
            link: targets.iter().map(|(_, f)| *f).min_by_key(best).unwrap_or_default(),
            targets,
        }
    }

    /// Judges what ran out of time.
    fn expire(&mut self, now: Time) {
        let patience = self.patience();
        while let Some(round) = self.flight.oldest_open().filter(|r| now.since(r.start) >= patience) {
            self.bad_round(round.sequence, now);
        }
        let forgotten = |r: &Round| now.since(r.start) >= self.settings.timeout;
        while self.flight.rounds().next().is_some_and(forgotten) {
            let Some(round) = self.flight.forget() else { break };
            let lost = round.probes.iter().zip(&mut self.estimates).filter(|(p, _)| matches!(p, Probe::Sent(_)));
            lost.for_each(|(_, estimate)| estimate.loss.add(true));
        }
        let overdue = self.overdue();
        let late = |r: &Round| self.health.silent_since(r.start) && now.since(r.start) >= overdue;
        if self.may_burst() && self.flight.open().any(late) {
            self.burst = true;
        }
    }

    fn bad_round(&mut self, sequence: u64, now: Time) {
        let Some(round) = self.flight.find_round(sequence) else { return };
        round.verdict = Verdict::Bad;
        let start = round.start;
        self.health.bad_round(start, self.flight.good_run(), self.settings.down, now);
        self.burst = self.health.state != State::Down && (self.burst || self.health.silent_since(start));
    }

    fn lives(&mut self, now: Time) {
        self.health.lives(now);
        self.burst = false;
        // A link that is down must show `up` good rounds, the first of them now.
        self.hurry = self.health.state == State::Down && self.health.good == 0;
    }

    fn probing(&self) -> bool {
        self.attached && !self.settings.targets.is_empty()
    }

    fn may_burst(&self) -> bool {
        !self.burst && self.health.state != State::Down
    }

    fn round_is_due(&self, now: Time) -> bool {
        self.last_round.is_none_or(|last| now.since(last) >= self.spaced())
    }

    fn spaced(&self) -> Span {
        if self.burst || self.hurry || self.asked { self.settings.burst() } else { self.settings.interval }
    }

    /// While the link is down there is no haste.
    fn patience(&self) -> Span {
        self.settings.patience(self.slowest().filter(|_| self.health.state != State::Down))
    }

    fn overdue(&self) -> Span {
        self.settings.overdue(self.slowest())
    }

    fn slowest(&self) -> Option<&Rtt> {
        self.estimates.iter().filter_map(|e| e.rtt.as_ref()).max_by_key(|rtt| rtt.retransmit())
    }
}

/// All that is known of a link's health, for people and for choosing between links.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    pub state: State,
    pub reason: Reason,
    pub since: Time,
    pub last_proof: Option<Time>,
    /// Probing closely, as an answer is missing.
    pub burst: bool,
    /// Since the last proof of life; the link goes down at `down`.
    pub bad_rounds: u8,
    /// In a row; a link that is down comes back at `up`.
    pub good_rounds: u8,
    /// How soon at the latest a silent loss would be known now; `None` if nothing is probed.
    pub detection: Option<Span>,
    /// Those of the target that shows the link in the best light, as what lies beyond is not its fault.
    pub link: Figures,
    pub targets: Vec<(Target, Figures)>,
}
