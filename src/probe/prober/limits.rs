//! Loss and latency, held against the limits that a link has.

use super::super::estimate::{Estimate, Rtt};
use super::super::{Reason, State};
use super::Prober;
use crate::time::{Span, Time};

impl Prober {
    /// Holds loss and latency against their limits, which only take a link down here; [`comes_back`](Self::comes_back)
    /// says when they let it up again.
    pub(super) fn judge(&mut self, now: Time) {
        if self.probing() && self.judged_up && self.health.state != State::Down {
            let loss = self.settings.loss.and_then(|limits| self.loss().filter(|loss| *loss > limits.down));
            let cause = match loss {
                Some(loss) => Some(Reason::Lossy(loss.min(1000) as u16)),
                None => self.too_slow().filter(|slow| *slow).map(|_| Reason::Slow(self.quickest())),
            };
            if let Some(cause) = cause {
                self.health.enter(State::Down, cause, now);
                self.burst = false;
            }
        }
        if self.judged_up != (self.health.state != State::Down) {
            self.judged_up = !self.judged_up;
            self.estimates.iter_mut().for_each(Estimate::judge_anew);
        }
    }

    /// Whether loss and latency permit that the link is used again. They have a say only if they took it down: what was
    /// lost while a link was silent is no measure of how it works now.
    pub(super) fn comes_back(&self) -> bool {
        if self.judged_up || !matches!(self.health.cause, Reason::Lossy(_) | Reason::Slow(_)) {
            return true;
        }
        let whole = self.settings.loss.is_none_or(|limits| self.loss().is_some_and(|loss| loss <= limits.up));
        whole && (self.settings.latency.is_none() || self.too_slow() == Some(false))
    }

    /// The best target's, in per mille; `None` while nothing can be said.
    pub(super) fn loss(&self) -> Option<u64> {
        self.estimates.iter().filter_map(|estimate| estimate.loss.recent()).min()
    }

    /// Whether every target of which something can be said is.
    fn too_slow(&self) -> Option<bool> {
        self.settings.latency?;
        self.answering().filter_map(|estimate| estimate.slow.usually()).min()
    }

    fn quickest(&self) -> Span {
        self.answering().filter_map(|estimate| estimate.rtt.as_ref()).map(Rtt::smoothed).min().unwrap_or_default()
    }

    /// What is known of targets, without those that are dead: theirs is an old story.
    fn answering(&self) -> impl Iterator<Item = &Estimate> {
        self.estimates.iter().filter(|estimate| estimate.loss.recent() != Some(1000))
    }
}
