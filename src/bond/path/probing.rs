//! What is known of a path's probes.

use crate::time::{Span, Time};

/// The longest that an answer to a probe may take, whatever they took so far: by two satellites, or through a full queue.
const LATEST: Span = Span::from_secs(4);

/// A path's probes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Probing {
    /// A probe's token is the time that it left at, behind this: then any of them can be known by its answer.
    pub key: u32,
    /// The size that the last one tried; 0: none.
    pub size: u16,
    pub asked: Option<Time>,
    pub answered: Option<Time>,
    pub unanswered: u32,
    pub next: Time,
    /// When it fell silent, or something came by it since.
    pub silent: Time,
    /// Smoothed, and its mean deviation; microseconds.
    pub rtt: Option<(u64, u64)>,
}

impl Probing {
    /// That of a probe that leaves now.
    pub fn token(&self, now: Time) -> u32 {
        self.key ^ now.0 as u32
    }

    /// When the probe with this token left; `None`: it was none of ours, or is too long ago.
    pub fn left(&self, token: u32, now: Time) -> Option<Time> {
        let ago = Span::from_micros(u64::from((now.0 as u32).wrapping_sub(token ^ self.key)));
        (ago <= LATEST && ago.0 <= now.0).then(|| now - ago)
    }
}
