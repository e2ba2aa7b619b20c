//! Whether a link is up: the state machine on the module's front page, and the runs of rounds that move it.

use core::fmt;

use crate::time::Time;

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
            told: State::Unknown,
        }
    }

    pub fn enter(&mut self, state: State, reason: Reason, now: Time) {
        if self.state != state {
            self.since = now;
        }
        (self.state, self.reason) = (state, reason);
        self.bad = 0;
    }

    /// Something came back over the link.
    pub fn lives(&mut self, now: Time) {
        self.proof = self.proof.max(Some(now));
        self.bad = 0;
        if self.state == State::Unknown {
            self.enter(State::Up, Reason::Answered, now);
        }
    }

    /// Whether nothing has come back since `start`.
    pub fn silent_since(&self, start: Time) -> bool {
        self.proof.is_none_or(|proof| proof < start)
    }

    /// A round was good, the run is now `good` long. Its proof of life is told by [`lives`](Self::lives).
    pub fn good_round(&mut self, good: u8, up: u8, now: Time) {
        self.good = good;
        if self.state == State::Down && self.good >= up {
            self.enter(State::Up, Reason::Recovered, now);
        }
    }

    /// A round that began at `start` was bad, which leaves a run of `good`.
    pub fn bad_round(&mut self, start: Time, good: u8, down: u8, now: Time) {
        self.good = good;
        if self.silent_since(start) {
            self.bad = self.bad.saturating_add(1);
            if self.state != State::Down && self.bad >= down {
                self.enter(State::Down, Reason::Silent, now);
            }
        }
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

    /// g: good round, B: bad round without proof since its start, L: proof of life, each one second after the other.
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
        ] {
            let (mut health, mut run) = (Health::new(Time(0)), 0);
            for (n, event) in rounds.bytes().enumerate() {
                let now = Time(n as u64 * 1_000_000 + 1);
                run = if event == b'g' { run + 1 } else { 0 };
                match event {
                    b'g' => health.good_round(run, 3, now),
                    b'B' => health.bad_round(now, run, 3, now),
                    _ => health.lives(now),
                }
            }
            assert_eq!(health.state, state, "{rounds}");
        }
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
