//! What a prober tells.

use super::super::estimate::Estimate;
use super::super::{Figures, Reason, State, Target};
use super::Prober;
use crate::time::{Span, Time};

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
    /// How long the link must work before it is used again, if it were to go down or is: it flaps.
    pub hold: Span,
    /// How soon at the latest a silent loss would be known now; `None` if nothing is probed.
    pub detection: Option<Span>,
    /// Those of the target that shows the link in the best light, as what lies beyond is not its fault.
    pub link: Figures,
    pub targets: Vec<(Target, Figures)>,
}

impl Prober {
    pub fn status(&self) -> Status {
        let targets: Vec<_> =
            self.settings.targets.iter().cloned().zip(self.estimates.iter().map(Estimate::figures)).collect();
        let best = |f: &Figures| (f.loss.unwrap_or(u16::MAX), f.smoothed.unwrap_or(Span(u64::MAX)));
        Status {
            state: self.health.state,
            reason: self.health.reason,
            since: self.health.since,
            last_proof: self.health.proof,
            burst: self.burst,
            bad_rounds: self.health.bad,
            good_rounds: self.health.good,
            hold: self.health.hold(),
            detection: self.probing().then(|| self.settings.detection_at(self.slowest())),
            link: targets.iter().map(|(_, f)| *f).min_by_key(best).unwrap_or_default(),
            targets,
        }
    }
}
