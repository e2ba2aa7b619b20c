//! A path: one way to the peer, as its sender sees it.

use std::collections::VecDeque;

use crate::time::{Span, Time};

use super::Via;
use super::frame::PathId;
use super::latency::Latency;
use super::mtu::{self, Search};
use super::parity::Giver;
use super::rate::Rate;
use super::store::Slot;

mod fate;
mod probing;

pub use probing::Probing;

/// The most packets that a path remembers: a window's worth of full ones, and its small ones.
const MOST: usize = 16_384;
/// ... and words between the two ends behind them: a second of reports. A peer that asks for more answers than that gets none.
const MOST_WORDS: usize = 1_024;
/// Small packets do not wait for the large one before them where a cap is kept: they are so much ahead of it at most.
const AHEAD: Span = Span::from_millis(20);
/// Bytes of small packets that leave before others, more than those have sent: a full packet's. The acknowledgments of a download may be more
/// than a narrow upload carries, and others would never have a turn.
const SHARE: u64 = 1_514;
/// So long after one of the others might leave a small packet does then, or is looked at again where there is no room for both.
const AFTER: Span = Span::from_millis(1);
const SOON: Span = Span::from_millis(5);
/// So much later than its turn a packet leaves at most because small ones did not wait for theirs.
const DEBT: Span = Span::from_millis(5);
/// How many probes without an answer make a path silent.
const UNANSWERED: u32 = 3;

/// Whether data may take a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Its link is down, or has no address.
    Down,
    /// Nothing came back yet.
    Trying,
    Up,
    /// It was up, and answers no more.
    Silent,
}

/// A packet that left by a path.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Time,
    /// Bytes; 0: the other end is not asked to report it.
    size: u16,
    slot: Option<Slot>,
    fate: Fate,
    /// When it was first found missing.
    missing: Option<Time>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Flying,
    Arrived,
    Lost,
}

/// What became of an item's copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Arrived(Slot),
    Lost(Slot),
}

/// See the module. Counters are those of the present session; `first` counts on over sessions.
#[derive(Debug)]
pub struct Path {
    pub id: PathId,
    pub state: State,
    /// Where its datagrams go; `None`: not known yet.
    pub address: Option<Via>,
    /// Relative share for the scheduler `weighted`.
    pub weight: u16,
    pub rate: Rate,
    sent: VecDeque<Sent>,
    /// The number of the first in `sent`.
    first: u64,
    /// The sessions whose packets are in `sent`: the session's byte, and what to add to its counters.
    sessions: [Option<(u8, u64)>; 2],
    flying: u64,
    /// No packet before this number is still flying.
    flown: u64,
    /// When the last packet that was sent has left the link, as far as is known.
    free: Time,
    /// When the next may leave.
    next: Time,
    /// Bytes of small packets that left before others which wait, beyond what those had meanwhile.
    ahead: u64,
    progress: Time,
    /// Nothing came back in time: others carry what there is, until it answers.
    pub is_doubtful: bool,
    feedback: Span,
    /// What [`Path::one_way`] is before any report: by that of another path, and both round trips.
    pub assumed: Option<i64>,
    pub latency: Latency,
    /// How much later than its followers a packet may be and still arrive: grows when a packet that was taken for lost did, and is halved
    /// with each session.
    disorder: Span,
    pub probing: Probing,
    /// What size passes.
    pub search: Search,
    pub parity: Giver,
    pub counts: Counts,
}

/// Totals since the path exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub sent_packets: u64,
    pub sent_bytes: u64,
    pub received_packets: u64,
    pub received_bytes: u64,
    /// Of those received, what came after a later one of this path.
    pub reordered: u64,
    pub lost: u64,
}

impl Path {
    pub fn new(id: PathId, weight: u16, cap: u64) -> Self {
        Path {
            id,
            state: State::Down,
            address: None,
            weight,
            rate: Rate::new(cap),
            sent: VecDeque::new(),
            first: 0,
            sessions: [None; 2],
            flying: 0,
            flown: 0,
            free: Time(0),
            next: Time(0),
            ahead: 0,
            progress: Time(0),
            is_doubtful: false,
            feedback: Span::from_millis(100),
            assumed: None,
            latency: Latency::default(),
            disorder: Span::ZERO,
            probing: Probing::default(),
            search: Search::new(mtu::MOST),
            parity: Giver::default(),
            counts: Counts::default(),
        }
    }

    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Whether a datagram of so many bytes passes whole, as far as is known.
    pub fn carries(&self, size: usize) -> bool {
        size <= usize::from(self.search.confirmed())
    }

    /// Not even the least that a peer's path has to take passes.
    pub fn is_narrow(&self) -> bool {
        !self.carries(mtu::LEAST.into())
    }

    /// It is up, and wide enough.
    pub fn is_usable(&self) -> bool {
        self.is_up() && !self.is_narrow()
    }

    /// Bytes of memory.
    pub fn held(&self) -> usize {
        size_of::<Path>() + self.sent.capacity() * size_of::<Sent>() + self.parity.held()
    }

    /// Bytes on their way.
    pub fn flying(&self) -> u64 {
        self.flying
    }

    /// The session is another, or the path is: the next packet has this counter.
    pub fn begin_session(&mut self, session: u8, counter: u64) {
        if self.sent.is_empty() {
            self.first = self.first.max(counter);
        }
        let next = self.first + self.sent.len() as u64;
        self.sessions = [Some((session, next.saturating_sub(counter))), self.sessions[0]];
        self.rate.restart();
        // Once every two minutes: a route that mixed its packets does not do so for ever.
        self.disorder = Span::from_micros(self.disorder.as_micros() / 2);
    }

    /// Whether it remembers as much as it may: nothing leaves then.
    pub fn is_full(&mut self, now: Time) -> bool {
        let is_full = |path: &Path| path.sent.len() >= MOST + MOST_WORDS;
        if is_full(self) {
            self.forget(now);
        }
        is_full(self)
    }

    /// A packet left. `size` 0: nobody waits for word of it.
    pub fn left(&mut self, size: usize, slot: Option<Slot>, now: Time) {
        // No report comes of a path that carries nothing but words.
        self.forget(now);
        if self.flying == 0 {
            self.progress = now;
        }
        self.flying += size as u64;
        self.sent.push_back(Sent { at: now, size: size as u16, slot, fate: Fate::Flying, missing: None });
        if size > 0 {
            self.rate.note_flying(self.flying);
            self.free = self.free.max(now) + self.rate.takes(size as u64);
            // Late is no debt: a thread that slept sends a little faster, yet not in a burst.
            let begun = self.next.max(now - Span::from_millis(1));
            let apart = self.rate.apart(size as u64);
            // Small ones do not wait for that where nobody pays: others are not to wait for all of them.
            let most = if self.rate.cap() == 0 { now + apart + DEBT } else { Time(u64::MAX) };
            self.next = (begun + apart).min(most);
        }
    }

    /// When a packet of `size` may leave. `None`: not before something arrives.
    pub fn opens(&self, size: usize) -> Option<Time> {
        let fits = self.flying + size as u64 <= self.rate.window() && self.sent.len() < MOST;
        fits.then_some(self.next)
    }

    /// When a small packet may leave, before all others: a quarter of the window is for such alone. Once they have had their share it
    /// leaves after one of the others, and leaves room for it. `None`: not before something arrives.
    pub fn opens_express(&self, size: usize, now: Time) -> Option<Time> {
        let window = self.rate.window();
        let fits = |most: u64| self.flying + size as u64 <= most && self.sent.len() < MOST;
        let after = self.next + AFTER;
        match () {
            () if !fits(window + window / 4) => None,
            () if self.ahead <= SHARE && self.rate.cap() == 0 => Some(Time(0)),
            // Somebody pays for what is above a cap, whatever its size.
            () if self.ahead <= SHARE => Some(self.next - AHEAD),
            () if fits(window - SHARE.min(window / 3)) => Some(after),
            () => Some(after.max(now + SOON)),
        }
    }

    /// A small packet left before all others, `waits`: of which some wait. Those are to have as much of the path.
    pub fn left_ahead(&mut self, size: usize, waits: bool) {
        self.ahead = if waits { (self.ahead + size as u64).min(2 * SHARE) } else { 0 };
    }

    /// One of the others left.
    pub fn left_in_turn(&mut self, size: usize) {
        self.ahead = self.ahead.saturating_sub(size as u64);
    }

    /// None of the others wants this path now.
    pub fn decline(&mut self) {
        self.ahead = 0;
    }

    /// Whether there is room for second copies: they are worth something only where they take it from nobody.
    pub fn has_room(&self) -> bool {
        self.flying < self.rate.window() / 2
    }

    /// The other end's clock minus ours, but for a number that all paths of a peer have in common, plus the delay of one way
    /// ([`Rate::one_way`]), in microseconds.
    pub fn one_way(&self, now: Time) -> Option<i64> {
        self.rate.one_way(now).or(self.assumed)
    }

    /// When a packet would arrive that is handed over now: comparable between paths of a peer.
    pub fn arrival(&self, size: usize, now: Time) -> i64 {
        let half = || self.probing.rtt.map_or(self.feedback.as_micros(), |(rtt, _)| rtt) as i64 / 2;
        let one_way = self.one_way(now).unwrap_or_else(half);
        // What is on its way has left by then, whatever was thought of the rate when it was sent.
        let free = self.free.min(now + self.rate.takes(self.flying));
        let begins = free.max(now) + self.rate.takes(size as u64);
        (begins.0 as i64).saturating_add(one_way)
    }

    /// Others carry its packets from now on: what was wrong with it has to show again. It is asked then.
    pub fn rest(&mut self, ask: Time) {
        self.rate.forget_loss();
        self.latency = Latency::default();
        self.probing.next = self.probing.next.min(ask);
    }

    /// An answer to a probe came that left then: maybe not the last one.
    pub fn answered(&mut self, asked: Time, now: Time) {
        let rtt = now.since(asked).as_micros();
        let (smooth, deviation) = self.probing.rtt.unwrap_or((rtt, rtt / 2));
        self.probing.rtt = Some(((smooth * 7 + rtt) / 8, (deviation * 3 + smooth.abs_diff(rtt)) / 4));
        // Or the first packet would be taken for lost, where answers take longer now.
        self.feedback = self.feedback.max(Span::from_micros(rtt));
        self.probing.answered = Some(now);
        self.probing.asked.take_if(|last| *last == asked);
        self.probing.unanswered = 0;
        if self.is_doubtful {
            self.is_doubtful = false;
            self.progress = now;
        }
        if matches!(self.state, State::Trying | State::Silent) {
            // How it was before says nothing.
            self.latency = Latency::default();
            self.state = State::Up;
            self.progress = now;
        }
        self.latency.answered(now.since(asked), now);
        self.compare(now);
    }

    /// The last probe was not answered in time. Whether the path falls silent by that.
    pub fn missed(&mut self) -> bool {
        self.probing.asked = None;
        self.probing.unanswered = self.probing.unanswered.saturating_add(1);
        self.state == State::Up && self.probing.unanswered >= UNANSWERED
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
