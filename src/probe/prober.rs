//! One link's prober: the schedule of its rounds, and what their answers say.

use super::estimate::Estimate;
use super::health::Health;
use super::round::{Flight, Probe, Round, Verdict};
use super::{CREDIT, Changed, HEARD, Reason, Settings, State, Target, Token};
use crate::time::{Span, Time};

mod limits;
mod schedule;
mod status;

pub use status::Status;

/// What the shell is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Probe target number `index` of the settings. `sequence` is the low half of the round's number, for fields that
    /// people read in a packet dump; only the token tells probes apart.
    Send { index: usize, sequence: u16, token: Token },
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
    /// The last round that enough targets answered.
    answered: Option<Time>,
    /// Rounds follow closely until a proof of life.
    burst: bool,
    /// What the device had received when the burst began, and whether it hears something.
    heard: Option<u64>,
    hears: bool,
    /// The next round follows closely.
    hurry: bool,
    /// The next round leaves at once: races miss answers.
    suspect: bool,
    /// An answer that others gave was asked for over this link then, and has not come.
    missed: Option<Time>,
    /// Whether loss and latency are measured against what keeps a link up, or against what brings one back.
    judged_up: bool,
    /// When a link without targets is used again after it flapped.
    release: Option<Time>,
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
            answered: None,
            burst: false,
            heard: None,
            hears: false,
            hurry: false,
            suspect: false,
            missed: None,
            judged_up: true,
            release: None,
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
        if self.release.is_some_and(|at| at <= now) {
            self.release = None;
            self.health.enter(State::Up, Reason::Unprobed, now);
        }
        if let Some(changed) = self.health.take_change() {
            return Some(Action::Changed(changed));
        }
        if !self.probing() {
            return None;
        }
        if self.suspicion_at().is_some_and(|at| at <= now) {
            self.missed = None;
            self.suspicion();
        }
        if self.flight.unsent().is_none() && self.round_is_due(now) {
            // Those in between are sent when things look bad already, and would make loss look worse.
            self.flight.begin(now, self.spaced() == self.settings.interval);
            self.last_round = Some(now);
            (self.hurry, self.suspect, self.asked) = (false, false, false);
        }
        let (round, index) = self.flight.unsent()?;
        let sequence = round.sequence;
        self.flight.sent(index, now);
        Some(Action::Send { index, sequence: sequence as u16, token: self.flight.token(sequence, index) })
    }

    /// The probe was answered. False if no probe waits under that token: an answer twice, too late, forged, or from an
    /// earlier life.
    pub fn answered(&mut self, token: Token, now: Time) -> bool {
        let patience = self.patience();
        let Some((round, target, sent)) = self.flight.find(token) else { return false };
        round.probes[target] = Probe::Answered;
        round.answered += 1;
        round.prompt += u8::from(now.since(round.start) <= patience);
        let counts = round.regular;
        let alive = round.answered == self.settings.reliability;
        let good = round.verdict == Verdict::Open && round.prompt == self.settings.reliability;
        if good {
            round.verdict = Verdict::Good;
        }
        let rtt = now.since(sent);
        if let Some(estimate) = self.estimates.get_mut(target) {
            // Later than the timeout it can be only if the shell was late itself: no measure of the path.
            if rtt <= self.settings.timeout {
                estimate.answered(rtt);
                let limit = self.settings.latency.map(|limits| limits.of(self.judged_up));
                estimate.slow.add(limit.is_some_and(|limit| rtt.0 > limit));
            }
            if counts {
                estimate.loss.add(rtt > self.settings.timeout);
            }
        }
        if good {
            let fit = self.comes_back();
            self.health.good_round(self.flight.good_run(), self.settings.up, fit, now);
        }
        if alive {
            self.answered = Some(now);
            self.lives(now);
        }
        self.judge(now);
        true
    }

    /// The probe could not be sent, or was refused in a way that says that the target was not reached. False as above.
    pub fn failed(&mut self, token: Token, now: Time) -> bool {
        self.fails(token, false, now)
    }

    /// The probe was answered, but not as its target would: by a captive portal, mostly. False as above.
    pub fn foreign(&mut self, token: Token, now: Time) -> bool {
        self.fails(token, true, now)
    }

    fn fails(&mut self, token: Token, foreign: bool, now: Time) -> bool {
        let Some((round, target, _)) = self.flight.find(token) else { return false };
        round.probes[target] = Probe::Failed;
        round.failed += 1;
        round.foreign += u8::from(foreign);
        let left = self.estimates.len() as u8 - round.failed;
        let hopeless = round.verdict == Verdict::Open && left < self.settings.reliability;
        let (sequence, start, foreign, counts) = (round.sequence, round.start, round.foreign > 0, round.regular);
        if let Some(estimate) = self.estimates.get_mut(target).filter(|_| counts) {
            estimate.loss.add(true);
        }
        // That nothing can be sent, or is refused, may be over in a moment as well as silence: it has the same time.
        match hopeless {
            true if foreign => self.bad_round(sequence, now),
            true => self.burst |= self.may_burst() && self.health.silent_since(start),
            false => {}
        }
        self.judge(now);
        true
    }

    /// An answer from beyond the link came by other means than a probe: it won a race, say. `others`: another link's targets
    /// answer, so that this link's could.
    pub fn evidence_of_life(&mut self, now: Time, others: bool) {
        let silent = self.answered.unwrap_or(self.began).max(self.began);
        if self.probing() && !(others && now.since(silent) >= self.credit()) {
            self.lives(now);
        }
    }

    /// Whether the link's targets answered lately.
    pub fn targets_answer(&self, now: Time) -> bool {
        self.probing() && self.answered.is_some_and(|at| now.since(at) < self.credit())
    }

    /// Before [`poll`](Self::poll): `packets` says how many the link's device has received so far. It is asked in a burst only.
    pub fn listen(&mut self, packets: impl FnOnce() -> Option<u64>) {
        if !self.burst {
            (self.heard, self.hears) = (None, false);
        } else if let Some(packets) = packets() {
            let before = *self.heard.get_or_insert(packets);
            self.hears |= packets.saturating_sub(before) >= HEARD;
        }
    }

    /// The link is silent where others answer: probe it at once, and closely if that is not answered either. No verdict by
    /// itself; it may come as often as it likes.
    pub fn suspicion(&mut self) {
        if self.probing() && self.health.state != State::Down {
            self.suspect = true;
        }
    }

    /// A packet of a race left at `since`; others answered it, this link has not yet. Once that takes longer than usual it
    /// is a [`suspicion`](Self::suspicion), unless there is a proof of life by then.
    pub fn missed(&mut self, since: Time) {
        if self.probing() && self.health.state != State::Down && self.health.silent_since(since) {
            self.missed.get_or_insert(since);
        }
    }

    /// There is no other link: one that works is used, however often it went down. True if it was held back.
    pub fn pardon(&mut self, now: Time) -> bool {
        let held = self.attached && matches!(self.health.reason, Reason::Flapping(_));
        if held {
            self.release = None;
            let reason = if self.probing() { Reason::Recovered } else { Reason::Unprobed };
            self.health.enter(State::Up, reason, now);
        }
        held
    }

    /// Takes new settings. What is known of the link stays: its state, and the figures of the targets that stay.
    pub fn reconfigure(&mut self, settings: Settings, now: Time) {
        let settings = settings.in_range();
        if settings == self.settings {
            return;
        }
        let old = core::mem::replace(&mut self.settings, settings);
        if old.targets != self.settings.targets {
            let known = |target: &Target| old.targets.iter().position(|other| other == target);
            let kept = self
                .settings
                .targets
                .iter()
                .map(|target| known(target).and_then(|at| self.estimates.get(at).cloned()).unwrap_or_default());
            self.estimates = kept.collect();
            self.flight.set_targets(self.settings.targets.len());
            self.health.good = 0;
            self.began = now;
            // The new targets are asked at once.
            self.last_round = None;
        }
        if (old.loss, old.latency) != (self.settings.loss, self.settings.latency) {
            self.estimates.iter_mut().for_each(Estimate::judge_anew);
        }
        (self.burst, self.hurry, self.suspect, self.missed) = (false, false, false, None);
        match (old.targets.is_empty(), self.settings.targets.is_empty()) {
            (false, true) if self.attached => self.health.enter(State::Up, Reason::Unprobed, now),
            (true, false) if self.attached => {
                self.release = None;
                self.health.reason = Reason::Start;
            }
            _ => {}
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
        (self.began, self.answered) = (now, None);
        self.estimates.fill(Estimate::default());
        if self.settings.targets.is_empty() {
            match self.health.hold() {
                Span::ZERO => self.health.enter(State::Up, Reason::Unprobed, now),
                hold => {
                    self.health.reason = Reason::Flapping(hold);
                    self.release = Some(now + hold);
                }
            }
        } else {
            // What took it down is over.
            self.health.enter(self.health.state, Reason::Start, now);
        }
    }

    /// Nobody knows yet where the link is: nothing is probed. What is known of its health stays.
    pub fn waits(&mut self) {
        self.attached = false;
        self.last_round = None;
    }

    /// Carrier or address are gone, or the administrator took the link out: down at once.
    pub fn detached(&mut self, reason: Reason, now: Time) {
        self.attached = false;
        self.last_round = None;
        (self.burst, self.hurry, self.suspect, self.asked) = (false, false, false, false);
        (self.missed, self.release) = (None, None);
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

    /// Judges what ran out of time.
    fn expire(&mut self, now: Time) {
        let patience = self.patience();
        while let Some(round) = self.flight.oldest_open().filter(|r| now.since(r.start) >= patience) {
            self.bad_round(round.sequence, now);
        }
        let forgotten = |r: &Round| now.since(r.start) >= self.settings.timeout;
        while self.flight.rounds().next().is_some_and(forgotten) {
            let Some(round) = self.flight.forget() else { break };
            let lost = |probe: &Probe| round.regular && matches!(probe, Probe::Sent(_));
            let lost = round.probes.iter().zip(&mut self.estimates).filter(|(probe, _)| lost(probe));
            lost.for_each(|(_, estimate)| estimate.loss.add(true));
        }
        self.judge(now);
        let overdue = self.overdue();
        let late = |r: &Round| self.health.silent_since(r.start) && now.since(r.start) >= overdue;
        if self.may_burst() && self.flight.open().any(late) {
            self.burst = true;
        }
    }

    fn bad_round(&mut self, sequence: u64, now: Time) {
        let Some(round) = self.flight.find_round(sequence) else { return };
        round.verdict = Verdict::Bad;
        let (start, foreign) = (round.start, round.foreign > 0);
        self.health.bad_round(start, self.flight.good_run(), self.settings.down, foreign, now);
        self.burst = self.health.state != State::Down && (self.burst || self.health.silent_since(start));
    }

    fn credit(&self) -> Span {
        CREDIT.max(Span(self.settings.interval.0.saturating_mul(self.settings.down.into())))
    }

    fn lives(&mut self, now: Time) {
        self.health.lives(now);
        self.missed = self.missed.filter(|since| self.health.silent_since(*since));
        self.suspect = false;
        self.burst = false;
        // A link that is down must show `up` good rounds, the first of them now.
        self.hurry = self.health.state == State::Down && self.health.good == 0;
    }

    fn probing(&self) -> bool {
        self.attached && !self.settings.targets.is_empty()
    }
}
