//! Whether a link is up: the state machine on the module's front page, and the runs of rounds that move it.

use core::fmt;

use crate::time::{Span, Time};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// No evidence yet: used as if up.
    Unknown,
    Up,
    Down,
}

impl State {
    /// Whether traffic may use the link.
    pub const fn usable(self) -> bool {
        !matches!(self, State::Down)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Unknown => "unknown",
            State::Up => "up",
            State::Down => "down",
        })
    }
}

/// Why a link is in its state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    Start,
    /// The first proof of life.
    Answered,
    /// `up` good rounds.
    Recovered,
    /// `down` bad rounds.
    Silent,
    /// `down` rounds were answered by what is not the target: a captive portal, mostly.
    Portal,
    /// Too many probes are lost: how many, in per mille.
    Lossy(u16),
    /// Round trips usually take too long: about so long.
    Slow(Span),
    /// Good again, but it went down so often that it must stay so for this long.
    Flapping(Span),
    /// No targets, and an address is there.
    Unprobed,
    NoCarrier,
    NoAddress,
    /// Set so by the administrator.
    Admin,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Reason::Start => "no probe decided yet",
            Reason::Answered => "answers came",
            Reason::Recovered => "targets answer again",
            Reason::Silent => "targets stopped answering",
            Reason::Portal => "targets' answers are not their own: a captive portal?",
            Reason::Lossy(loss) => return write!(f, "{} % of probes are lost", loss / 10),
            Reason::Slow(span) => return write!(f, "round trips take {span}"),
            Reason::Flapping(hold) => {
                return write!(f, "went down often: used again once it has worked for {} s", hold.as_secs());
            }
            Reason::Unprobed => "has an address, no targets to probe",
            Reason::NoCarrier => "no carrier",
            Reason::NoAddress => "no address",
            Reason::Admin => "taken out by the administrator",
        })
    }
}

/// A change of state, told once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Changed {
    pub from: State,
    pub to: State,
    pub reason: Reason,
}

/// Going down this often is forgiven at once: a modem that restarts does so.
const FREE_FLAPS: u8 = 2;

/// And once more for each of these that the link then stays up.
const FORGIVEN: Span = Span::from_secs(60);

/// How long a link must work after one flap too many, before it is used again. Doubled with each further one.
const FIRST_HOLD: Span = Span::from_secs(5);

/// A link that went down for good reasons and is the only one left must not be held back for long.
const LONGEST_HOLD: Span = Span::from_secs(60);

/// More are not counted: those that lead to the longest hold, and a minute or two to be forgiven.
const MAX_FLAPS: u8 = 8;

#[derive(Clone, Debug)]
pub(super) struct Health {
    pub state: State,
    pub reason: Reason,
    pub since: Time,
    /// The last proof of life.
    pub proof: Option<Time>,
    /// Bad rounds that began after the last proof of life.
    pub bad: u8,
    /// Good rounds in a row, in the order of sending.
    pub good: u8,
    /// Since when a link that is down works, but for rounds that are lost here and there; and how many were in a row.
    works_since: Option<Time>,
    misses: u8,
    /// Rounds with foreign answers since the last good one.
    foreign: u8,
    /// What took the link down.
    pub cause: Reason,
    /// How often the link went down lately.
    flaps: u8,
    /// What the shell was last told.
    told: State,
}

impl Health {
    pub fn new(now: Time) -> Self {
        Health {
            state: State::Unknown,
            reason: Reason::Start,
            since: now,
            proof: None,
            bad: 0,
            good: 0,
            works_since: None,
            misses: 0,
            foreign: 0,
            cause: Reason::Start,
            flaps: 0,
            told: State::Unknown,
        }
    }

    pub fn enter(&mut self, state: State, reason: Reason, now: Time) {
        if state == State::Down {
            self.cause = reason;
            if self.state == State::Up {
                let forgiven = now.since(self.since).0 / FORGIVEN.0;
                let left = self.flaps.saturating_sub(u8::try_from(forgiven).unwrap_or(u8::MAX));
                self.flaps = left.saturating_add(u8::from(reason != Reason::Admin)).min(MAX_FLAPS);
            }
        }
        if self.state != state {
            self.since = now;
        }
        (self.state, self.reason) = (state, reason);
        (self.bad, self.foreign, self.misses, self.works_since) = (0, 0, 0, None);
    }

    /// How long a link that is down must work before it is used again, because it went down so often.
    pub fn hold(&self) -> Span {
        match self.flaps.checked_sub(FREE_FLAPS + 1) {
            None => Span::ZERO,
            Some(more) => Span(FIRST_HOLD.0 << more.min(MAX_FLAPS)).min(LONGEST_HOLD),
        }
    }

    /// Something came back over the link.
    pub fn lives(&mut self, now: Time) {
        self.proof = self.proof.max(Some(now));
        self.bad = 0;
        if self.state == State::Unknown {
            self.enter(State::Up, Reason::Answered, now);
        } else if (self.state, self.reason) == (State::Up, Reason::Start) {
            self.reason = Reason::Answered;
        }
    }

    /// Whether nothing has come back since `start`.
    pub fn silent_since(&self, start: Time) -> bool {
        self.proof.is_none_or(|proof| proof < start)
    }

    /// A round was good, the run is now `good` long. Its proof of life is told by [`lives`](Self::lives). `fit`: loss and
    /// latency permit that the link comes back.
    pub fn good_round(&mut self, good: u8, up: u8, fit: bool, now: Time) {
        let works_since = *self.works_since.get_or_insert(now);
        (self.good, self.foreign, self.misses) = (good, 0, 0);
        if self.state == State::Down && self.good >= up && fit {
            let hold = self.hold();
            if now.since(works_since) >= hold {
                self.enter(State::Up, Reason::Recovered, now);
            } else {
                self.reason = Reason::Flapping(hold);
            }
        }
    }

    /// A round that began at `start` was bad, which leaves a run of `good`. `foreign`: it was answered, but not by those
    /// who were asked. That races are won meanwhile proves nothing then: a portal answers them as well.
    pub fn bad_round(&mut self, start: Time, good: u8, down: u8, foreign: bool, now: Time) {
        self.good = good;
        if self.state == State::Down {
            self.reason = self.cause;
            // The verdict on an older round may come after good ones.
            self.misses = if good == 0 { self.misses.saturating_add(1) } else { 0 };
            if self.misses >= down {
                self.works_since = None;
            }
        }
        if foreign {
            self.foreign = self.foreign.saturating_add(1);
            if self.foreign >= down && self.cause_is_new(Reason::Portal) {
                self.enter(State::Down, Reason::Portal, now);
            }
        } else if self.silent_since(start) {
            self.bad = self.bad.saturating_add(1);
            if self.state != State::Down && self.bad >= down {
                self.enter(State::Down, Reason::Silent, now);
            }
        }
    }

    /// Whether the link is up, or down by a cause that tells less.
    fn cause_is_new(&self, cause: Reason) -> bool {
        self.state != State::Down || self.cause != cause
    }

    /// The change since the last call. Two that cancel out within one turn of the shell are not told.
    pub fn take_change(&mut self) -> Option<Changed> {
        let from = core::mem::replace(&mut self.told, self.state);
        (from != self.state).then_some(Changed { from, to: self.state, reason: self.reason })
    }

    pub fn change_waits(&self) -> bool {
        self.told != self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// g: good round, B: bad round without proof since its start, F: one with foreign answers, L: proof of life, each one second after the other.
    #[test]
    fn runs_of_rounds_move_the_state() {
        use State::{Down, Unknown, Up};
        for (rounds, state) in [
            ("", Unknown),
            ("B", Unknown),
            ("BB", Unknown),
            ("BBB", Down),
            ("L", Up),
            ("LBB", Up),
            ("LBBLBB", Up),
            ("LBBLBBB", Down),
            ("BBBgg", Down),
            ("BBBggg", Up),
            ("BBBggBg", Down),
            ("BBBggBggg", Up),
            ("BBBLLLL", Down),
            ("BBBBBBBgggBB", Up),
            ("BBBBBBBgggBBB", Down),
            ("LFF", Up),
            ("LFFF", Down),
            // A portal's answers win races; no proof of life helps.
            ("LFLFLF", Down),
            ("LFFgF", Up),
            ("FFFggg", Up),
        ] {
            let (mut health, mut run) = (Health::new(Time(0)), 0);
            for (n, event) in rounds.bytes().enumerate() {
                let now = Time(n as u64 * 1_000_000 + 1);
                run = if event == b'g' { run + 1 } else { 0 };
                match event {
                    b'g' => health.good_round(run, 3, true, now),
                    b'B' => health.bad_round(now, run, 3, false, now),
                    b'F' => health.bad_round(now, run, 3, true, now),
                    _ => health.lives(now),
                }
            }
            assert_eq!(health.state, state, "{rounds}");
        }
    }

    #[test]
    fn a_link_that_flaps_is_held_back() {
        let mut health = Health::new(Time(0));
        let mut now = Time(0);
        health.lives(now);
        let mut held = Vec::new();
        for _ in 0..9 {
            now = now + Span::from_secs(10);
            health.enter(State::Down, Reason::Silent, now);
            let hold = health.hold();
            held.push(hold.as_secs());
            let (begin, mut run) = (now, 0u8);
            while health.state == State::Down {
                run = run.saturating_add(1);
                health.good_round(run, 3, true, now);
                if health.state == State::Down && run >= 3 {
                    assert_eq!(health.reason, Reason::Flapping(hold));
                }
                now = now + Span::from_secs(1);
            }
            assert_eq!(now.since(begin).as_secs().max(3) - 1, hold.as_secs().max(2), "{held:?}");
        }
        assert_eq!(held, [0, 0, 5, 10, 20, 40, 60, 60, 60]);
        // Each minute up forgives one.
        now = now + Span::from_secs(60 * 6 + 1);
        health.enter(State::Down, Reason::Silent, now);
        assert_eq!(health.hold(), Span::from_secs(5));
    }

    /// A bad round in between tells the cause again; as many as take a link down begin the hold anew. That any did so kept a
    /// link that loses 2 % of its packets out for twenty minutes, and with 5 % for ever.
    #[test]
    fn a_hold_begins_anew_with_what_takes_a_link_down() {
        let mut health = Health::new(Time(0));
        for n in 0..3 {
            health.enter(State::Up, Reason::Recovered, Time(n));
            health.enter(State::Down, Reason::Lossy(300), Time(n));
        }
        let at = |s: u64| Time(s * 1_000_000);
        (1..=4).for_each(|n| health.good_round(n, 3, true, at(n.into())));
        assert_eq!(health.reason, Reason::Flapping(Span::from_secs(5)));
        health.bad_round(at(5), 0, 3, false, at(5));
        assert_eq!(health.reason, Reason::Lossy(300));
        (1..=3).for_each(|n| health.good_round(n, 3, true, at(5 + u64::from(n))));
        assert_eq!(health.state, State::Up);
        let mut health = Health { state: State::Down, cause: Reason::Lossy(300), reason: Reason::Lossy(300), ..health };
        (1..=4).for_each(|n| health.good_round(n, 3, true, at(10 + u64::from(n))));
        (1..=3).for_each(|n| health.bad_round(at(14 + n), 0, 3, false, at(14 + n)));
        (1..=5).for_each(|n| health.good_round(n, 3, true, at(17 + u64::from(n))));
        assert_eq!(health.state, State::Down);
        health.good_round(6, 3, true, at(23));
        assert_eq!(health.state, State::Up);
    }

    /// Who is taken out by hand is forgiven for the time that it was up, and is not blamed.
    #[test]
    fn the_administrator_wipes_nothing_out() {
        let at = |s: u64| Time(s * 1_000_000);
        let mut health = Health::new(at(0));
        for n in 0..4 {
            health.enter(State::Up, Reason::Recovered, at(n));
            health.enter(State::Down, Reason::Silent, at(n));
        }
        assert_eq!(health.hold(), Span::from_secs(10));
        health.enter(State::Up, Reason::Recovered, at(10));
        health.enter(State::Down, Reason::Admin, at(10 + 120));
        assert_eq!(health.hold(), Span::ZERO);
    }

    #[test]
    fn a_change_is_told_once() {
        let mut health = Health::new(Time(0));
        assert_eq!(health.take_change(), None);
        health.lives(Time(1));
        let told = Changed { from: State::Unknown, to: State::Up, reason: Reason::Answered };
        assert_eq!((health.take_change(), health.take_change()), (Some(told), None));
    }
}
