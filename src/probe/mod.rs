//! Link health: whether a link carries traffic, and how well.
//!
//! # Nouns
//! - **Target**: a host that answers if the link works.
//! - **Probe**: one question to one target, known by its [`Token`]. A probe answered within `timeout` is received, else lost.
//! - **Round**: a probe to every target at the same moment. *Good* when `reliability` targets answered within the link's
//!   patience; *bad* when they did not, or no longer can.
//! - **Patience**: how long a round may take. The configured `timeout` until round trips were measured, while the link is
//!   down, and where rounds are more than a second apart, as what was measured is old then; else twice what is usual, at least
//!   400 ms, as a quick path need not be waited for that long.
//! - **Hearing**: the link's device receives, though no answer is among it: a queue is filling up. Patience is `timeout` then.
//! - **Proof of life**: enough answers to a round, even late ones, or an answer that won a race. Bad rounds count against a
//!   link only while nothing that came since their start proves that it lives: what takes a link down is silence.
//! - **Credit**: for so long races alone prove a link's life, while another link's targets answer. Then what answers them
//!   may be next door: a modem that has no network answers for it.
//! - **Burst**: closely spaced rounds. Begins when an answer is overdue or a round is bad; ends with a proof of life, or
//!   when the link is down.
//! - **Suspicion**: a race that others answer and this link does not. A round leaves at once, whatever the interval.
//! - **Foreign** answer: one that the target would not give, as a captive portal's. A round that fails by one is bad, and
//!   counts whatever else proves that the link lives: portals answer races, too.
//! - **Hold**: how long a link that goes down often must work before it is used again. The first two times none; then 5 s,
//!   doubled with each further time up to 60 s. `down` bad rounds in a row begin it anew. Each minute that the link stays up
//!   forgives one time. Where no other link is left, it is not held.
//!
//! # States
//! | state | is | becomes |
//! |---|---|---|
//! | unknown | used as if up | up at the first proof of life, down as from up |
//! | up | | down after `down` bad rounds without a proof of life or `down` foreign ones; when loss or latency exceed their limits; at once when carrier or address are lost |
//! | down | not used | up after `up` good rounds in a row, in the order of their sending, and the hold; if loss or latency took it down, once both are within their limits; with no targets, with the address and after the hold |
//!
//! # How soon a silent loss is known
//! At the latest, counted from the last proof of life ([`Settings::detection`]; a test holds us to it):
//! ```text
//! interval + min(overdue + (down - 2) * burst, (down - 1) * interval) + patience        (down = 1: interval + patience)
//! ```
//! A round leaves within `interval`; its answer is missed after `overdue`; the burst sends the others, unless the plain
//! schedule is as quick; the last one is waited for; and where the device hears something, `timeout` stands for patience.
//! That a link works again is known after `interval + (up - 1) * min(interval, 1 s)` and a round trip: no burst hurries it,
//! for the other links carry the traffic, and flapping costs more than waiting.
//!
//! # The shell's part
//! Hands over what arrives before it calls [`Prober::poll`], or a daemon that was stopped blames its links; then drains
//! `poll` until `None` and sleeps until [`Prober::deadline`].

pub mod dns;
mod estimate;
mod health;
pub mod http;
pub mod icmp;
mod prober;
mod round;
pub mod target;
#[cfg(test)]
mod tests;

pub use estimate::Figures;
pub use health::{Changed, Reason, State};
pub use prober::{Action, Prober, Status};
pub use round::Token;
pub use target::{Host, Page, Target};

use crate::time::Span;
use estimate::Rtt;

/// The most targets of a link that are probed; more are left out. Three decide any vote, the rest is room for both
/// families.
pub const MAX_TARGETS: usize = 8;

/// The most rounds that can still be answered: a bound on memory. Sixteen keep a timeout of 1 s free of any effect.
pub const MAX_ROUNDS: usize = 16;

/// Between the rounds of a burst. The rounds of a verdict must not all fall into the retries of one Wi-Fi frame (tens of
/// milliseconds), and two such spaces must leave most of a second's detection to interval and patience.
const BURST: Span = Span::from_millis(100);

/// The least time from one round to another that races asked for: the usual interval.
const SUSPICION: Span = Span::from_millis(300);

/// The least patience, however quick the path. With two spaces of a burst it takes 600 ms of silence to lose a link:
/// above the usual handover or queue spike, and above two of Linux' 200 ms least TCP retransmission timeouts.
const MIN_PATIENCE: Span = Span::from_millis(400);

/// The longest interval at whose end the round trips of before say something of the path, and that between the good rounds
/// that bring a link back: a queue fills within a second.
const FRESH: Span = Span::from_secs(1);

/// As long as many DHCP clients and modems take to notice that they have no network, and longer than targets are out for.
const CREDIT: Span = Span::from_secs(60);

/// Packets that a device receives within a burst, by which a link is heard: acknowledgments of an upload of 0.5 Mbit/s, and
/// more than the odd ARP request.
const HEARD: u64 = 8;

/// Below these a setting is taken for a slip: fifty rounds a second are no health check.
const MIN_SETTING: Span = Span::from_millis(20);

/// How a link is probed. Values out of range act as the nearest that makes sense; the configuration's check reports them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The first [`MAX_TARGETS`] count. None: the link is up while it has an address.
    pub targets: Vec<Target>,
    /// From one round's start to the next one's.
    pub interval: Span,
    /// An answer after this is no answer.
    pub timeout: Span,
    /// Bad rounds until the link is down, at least 1.
    pub down: u8,
    /// Good rounds until it is up again, at least 1.
    pub up: u8,
    /// Answers that make a round good, 1 to the number of targets.
    pub reliability: u8,
    /// Of the loss of the last 16 to 32 probes, in per mille.
    pub loss: Option<Limits>,
    /// Of the round trips, in microseconds: more than half of the last 8 to 16 must exceed it.
    pub latency: Option<Limits>,
}

/// A link whose best target is worse than `down` goes down, and comes back when it is no worse than `up`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub down: u64,
    pub up: u64,
}

impl Limits {
    fn of(self, is_up: bool) -> u64 {
        if is_up { self.down } else { self.up }
    }
}

/// Detection within 0.9 s on paths of up to 90 ms, whose variation is small.
impl Default for Settings {
    fn default() -> Self {
        Settings {
            targets: Vec::new(),
            interval: Span::from_millis(300),
            timeout: Span::from_secs(1),
            down: 3,
            up: 3,
            reliability: 1,
            loss: None,
            latency: None,
        }
    }
}

impl Settings {
    /// From one round to the next in a burst: 100 ms, less if `interval` is less, and more if the timeout is so long that
    /// more than [`MAX_ROUNDS`] could wait for an answer.
    pub fn burst(&self) -> Span {
        self.interval.min(BURST.max(room(self.timeout)))
    }

    /// From the last round to one that a suspicion asks for: a service that is unreachable over one link must not make a
    /// storm of probes.
    fn suspicion(&self) -> Span {
        self.interval.min(SUSPICION.max(room(self.timeout)))
    }

    /// How long a round may take when `rtt` is the slowest target's: 2 SRTT, as TCP's probe timeout (RFC 8985, 7.2), and
    /// 4 RTTVAR for the variation, as in RFC 6298; at least 400 ms, at most `timeout`.
    fn patience(&self, rtt: Option<&Rtt>) -> Span {
        match rtt {
            Some(rtt) if self.interval <= FRESH => {
                self.timeout.min(MIN_PATIENCE.max(rtt.smoothed() + rtt.retransmit()))
            }
            _ => self.timeout,
        }
    }

    /// When a missing answer starts a burst: RFC 6298's retransmission timeout, at least the burst's own spacing.
    fn overdue(&self, rtt: Option<&Rtt>) -> Span {
        let patience = self.patience(rtt);
        rtt.map_or(patience, |rtt| patience.min(rtt.retransmit().max(self.burst())))
    }

    /// The longest that a silent loss stays unnoticed before any round trip is measured, for settings in range.
    pub fn detection(&self) -> Span {
        self.detection_at(None)
    }

    /// The same on a path like `rtt`.
    fn detection_at(&self, rtt: Option<&Rtt>) -> Span {
        let times = |span: Span, n: u8| Span(span.0.saturating_mul(u64::from(n)));
        let more = self.down.saturating_sub(1);
        let burst = self.overdue(rtt).max(self.burst()) + times(self.burst(), more.saturating_sub(1));
        self.interval + burst.min(times(self.interval, more)) + self.patience(rtt)
    }

    /// With every value in its range, as a [`Prober`] takes it.
    pub fn in_range(mut self) -> Settings {
        self.targets.truncate(MAX_TARGETS);
        self.timeout = self.timeout.max(MIN_SETTING);
        self.interval = self.interval.max(MIN_SETTING).max(room(self.timeout));
        self.down = self.down.max(1);
        self.up = self.up.max(1);
        self.reliability = self.reliability.clamp(1, self.targets.len().max(1) as u8);
        self
    }
}

/// The least space between rounds that keeps those within `timeout` down to [`MAX_ROUNDS`].
fn room(timeout: Span) -> Span {
    Span(timeout.0.div_ceil(MAX_ROUNDS as u64 - 1))
}
