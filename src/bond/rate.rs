//! How much a path may have in flight: enough to keep the link busy, and a queue of [`QUEUE`] at its narrowest place.
//!
//! The sum of what is in flight is the link's rate times (the feedback's delay + the queue's). So once a round trip the window is
//! multiplied by (delay + wanted queue) / (delay + queue): where the queue is the wanted one, nothing changes; where there is none,
//! the link may have more to give. Losses say nothing about a link's rate (a bad radio loses what it likes), and are
//! only heeded where the queue cannot tell: more than half again what arrives is never sent.
//!
//! A radio's delay varies by itself, which looks like a queue: two links with 20 ms of such [`jitter`](super::jitter) had
//! 3 % of what they carry. So now and then a window is tried that is a little larger. Where more arrives then, the delay was no
//! queue, and from now on is subtracted; such a path's window is made smaller only in steps whose effect can be seen.
//!
//! A link may buffer less than that queue, or nothing, and then loses what is too much. Whether a path with a steady delay does, the
//! [`brim`](super::brim) finds out.

use crate::time::{Span, Time};

use super::brim::{Brim, Step};
use super::jitter::{Jitter, Round};
use super::least::{Least, MEMORY};
use super::pace::Pace;
use arrivals::{Arrivals, Samples};

mod arrivals;
mod rounds;

/// The queue that a busy path keeps. Less, and timers' and radios' jitter leaves the link idle; more is latency for all.
pub const QUEUE: u64 = 4_000;
/// ... where its link has no room for that.
const LITTLE: u64 = 1_000;
/// A window below this stalls on the other end's wait before it reports; but on a slow path it would be a queue, so there it is what
/// the path carries until a report may come, and at least so much.
const LEAST: u64 = 8 * 1_500;
const SLOWEST: u64 = 3 * 1_500;
/// Of a path that nothing is known of: ahead of TCP, which begins with ten packets (RFC 6928) and would find a queue here.
const FIRST: u64 = 48 * 1_500;
/// The most in flight: 4 Gbit/s at 16 ms, 1 Gbit/s at 64 ms.
const MOST: u64 = 8 << 20;
/// A queue that never was below this in a round is not ours alone.
const FOREIGN: u64 = 5 * QUEUE;
/// A queue below this is none; without one for this long, it is made to go, well before [`MEMORY`] forgets the last one (as
/// BBR's ProbeRTT does).
const DRAINED: u64 = 1_000;
const DRAIN: Span = Span::from_secs(5);
/// What was known of a queue this long ago tells nothing of it now.
const FRESH: Span = Span::from_secs(1);
/// What a path's delays were this long ago, before which nothing is remembered, tells nothing of them now: another route, a cell, a clock.
const STALE: Span = Span::from_millis(2 * MEMORY.as_millis());
/// Microseconds that a way back may vary by.
const LEAP: i64 = 500_000;
/// Bytes in a round trip that make no queue.
const FEW: u64 = 2 * 1_500;
/// A path whose delay varies by more than these microseconds is no steady one.
pub const SHAKY: u64 = 1_000;
/// Permille of a round's losses that are heeded where the window is not used up; of a path that has more to do than a call.
const OVERFULL: u32 = 30;
const MANY: u32 = 20;
/// Permille of a round's losses that may end a path's start.
const FLOODED: u32 = 100;
/// So many rounds of a shaky path, one after another, that have a queue and bring no more end its start, however short the queue is.
const SATED: u8 = 8;
/// Bytes a second from which on two packets take less than [`QUEUE`].
const QUICK: u64 = 2 * 1_500 * 1_000_000 / QUEUE;
/// Permille of losses that are heeded on a shaky path.
const LOSSY: u32 = 10;

/// The sending rate of a path. Times in microseconds, sizes in bytes.
#[derive(Debug)]
pub struct Rate {
    window: u64,
    starting: bool,
    /// It lags behind others.
    calm: bool,
    /// Rounds of a start on a shaky path that brought no more, one after another.
    sated: u8,
    /// The path was as full as it may be since the last round: only then a missing queue means room.
    limited: bool,
    /// ... and its window was used up.
    filled: bool,
    /// When the last report came.
    heard: Time,
    /// From sending to knowing, and one way (the clocks' offset in it).
    feedback: Least,
    one_way: Least,
    /// This round: its end, its least queue.
    round: Time,
    queue: i64,
    /// When it was empty, or was last made to go.
    drained: Time,
    /// While it is made to go, on a shaky path: the window to return to, and after how many more rounds.
    draining: Option<(u64, u8)>,
    jitter: Jitter,
    brim: Brim,
    /// The window and the samples before the brim's trial.
    before: (u64, Samples),
    /// The least queue of the last round, and when that was.
    stood: (u64, Time),
    arrivals: Arrivals,
    /// From sending to knowing, of late, in microseconds; and how much longer than the least the way back takes of that.
    trip: u64,
    back: u64,
    /// Losses of this round and what was sent, in packets.
    lost: u32,
    sent: u32,
    /// In 64ths of a permille, or small ones would be rounded away.
    loss: u32,
    /// Bytes a second that a person allows; 0: any.
    cap: u64,
    /// What follows from all that: how fast the path is thought to be, and how fast packets leave.
    takes: Pace,
    leave: Pace,
}

/// One report's figures.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// From sending the report's highest packet to now.
    pub feedback: Span,
    /// The other end's clock when that came, minus ours when it left.
    pub one_way: i32,
    /// The report's clock and count of bytes; `None`: that of a former session, which began elsewhere.
    pub at: u32,
    pub bytes: Option<u32>,
    /// Packets newly known as arrived, and as lost.
    pub arrived: u32,
    pub lost: u32,
}

impl Rate {
    pub fn new(cap: u64) -> Self {
        let mut rate = Rate {
            window: FIRST,
            starting: true,
            calm: false,
            sated: 0,
            limited: false,
            filled: false,
            heard: Time(0),
            feedback: Least::default(),
            one_way: Least::default(),
            round: Time(0),
            queue: Least::NONE,
            drained: Time(0),
            draining: None,
            jitter: Jitter::default(),
            brim: Brim::default(),
            before: (FIRST, Samples::default()),
            stood: (0, Time(0)),
            arrivals: Arrivals::default(),
            trip: 0,
            back: 0,
            lost: 0,
            sent: 0,
            loss: 0,
            cap,
            takes: Pace::of(0),
            leave: Pace::of(0),
        };
        rate.follow();
        rate
    }

    /// Bytes a second that a person allows; 0: any.
    pub fn set_cap(&mut self, cap: u64) {
        self.cap = cap;
        self.follow();
    }

    /// The path lags behind others, which carry what there is meanwhile: what it carries is found out with care. A queue on it would
    /// make what left early late. Not so where its delay varies: only twice as much shows there that it carries more.
    pub fn set_calm(&mut self, calm: bool) {
        self.calm = calm;
    }

    pub fn cap(&self) -> u64 {
        self.cap
    }

    /// Bytes that may be in flight.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Bytes a second that the path is thought to carry; as it starts twice what it is tried at, if that is more, for that may come next.
    /// Taken for slower, a burst of a TCP that begins would leave by a path that lags, and be overtaken.
    pub fn estimate(&self) -> u64 {
        let rate = self.known();
        if self.starting && !self.calm { rate.max(self.capped(self.tried() * 2)) } else { rate }
    }

    /// Bytes a second that the path is known to carry; if nothing is known, what it is tried at.
    pub fn known(&self) -> u64 {
        let known = self.best();
        self.capped(if known == 0 { self.tried() } else { known })
    }

    fn tried(&self) -> u64 {
        let queue = if self.brim.is_small() { self.little() } else { QUEUE };
        self.window * 1_000_000 / (self.delay() + self.jitter.level() + queue)
    }

    /// The queue that the path keeps where its window has to be small: two packets, if that is more than [`LITTLE`].
    fn little(&self) -> u64 {
        3_000_000_000u64.checked_div(self.best()).unwrap_or(0).clamp(LITTLE, QUEUE)
    }

    fn capped(&self, rate: u64) -> u64 {
        if self.cap == 0 { rate.max(1) } else { rate.min(self.cap).max(1) }
    }

    /// How long the path is thought to be busy with so many bytes.
    pub fn takes(&self, size: u64) -> Span {
        self.takes.takes(size)
    }

    /// How long after so many bytes the next ones may leave: a little sooner than these arrive, so that the window decides.
    pub fn apart(&self, size: u64) -> Span {
        self.leave.takes(size)
    }

    /// What it reckons with has changed.
    fn follow(&mut self) {
        let tried = self.tried();
        self.takes = Pace::of(self.estimate());
        self.leave = Pace::of(self.capped(if self.starting && !self.calm { tried * 2 } else { tried + tried / 4 }));
    }

    /// It is not known yet what the path carries.
    pub fn is_starting(&self) -> bool {
        self.starting
    }

    /// Permille of packets lost of late.
    pub fn loss(&self) -> u32 {
        (self.loss + 32) / 64
    }

    /// It is to be found out anew whether the path loses packets: nothing is sent by it that would tell.
    pub fn forget_loss(&mut self) {
        (self.loss, self.lost) = (0, 0);
    }

    /// Microseconds by which the path's delay varies, without any queue.
    pub fn varies(&self) -> u64 {
        self.jitter.level()
    }

    /// Microseconds that packets of late waited on the path, in the link's queues: at least, and beside what its delay varies by.
    /// Nothing where none was sent for [`FRESH`].
    pub fn queue(&self, now: Time) -> u64 {
        let (queue, at) = self.stood;
        if now.since(at) < FRESH { queue.saturating_sub(self.jitter.level()) } else { 0 }
    }

    /// The other end's clock minus ours, plus the least one-way delay of late; what our own queue adds to it now is not in it,
    /// but others' is, and what a longer way adds before it is known for one. Nothing where no report came for [`STALE`].
    pub fn one_way(&self, now: Time) -> Option<i64> {
        if now.since(self.heard) > STALE {
            return None;
        }
        // A queue that is more than we ever want.
        let stands = if self.stood.0 > FOREIGN && now.since(self.stood.1) < MEMORY { self.stood.0 } else { 0 };
        let more = self.jitter.level().max(stands) as i64;
        (self.one_way.get() != Least::NONE).then_some(self.one_way.get() + more)
    }

    /// A packet has to wait for this path: because its window is `full`, or for its turn only. The few packets that a TCP begins with
    /// wait for their turns, too; what arrives of those is no rate that the path carries.
    pub fn note_wait(&mut self, full: bool) {
        self.limited |= full || !self.starting;
        self.filled |= full;
        if full {
            self.arrivals.note_full();
        }
    }

    /// So much is under way. As long as nothing is known of the path it is to get out of the way: a wait here would end a TCP's
    /// slow start.
    pub fn note_flying(&mut self, flying: u64) {
        self.limited |= self.starting && flying >= self.window / 2;
    }

    /// The session is new: its counts begin anew.
    pub fn restart(&mut self) {
        self.arrivals.restart();
        self.jitter.restart();
    }

    /// A report came.
    pub fn heard(&mut self, heard: &Heard, now: Time) {
        if now.since(self.heard) > STALE {
            (self.one_way, self.feedback) = Default::default();
        }
        self.heard = now;
        self.trip = (self.trip * 7 + heard.feedback.as_micros()) / 8;
        let feedback = heard.feedback.as_micros() as i64;
        let shortest = self.feedback.see(feedback, now);
        self.notice_leap(heard.one_way.into(), feedback - shortest);
        let later = i64::from(heard.one_way) - self.one_way.see(heard.one_way.into(), now);
        self.queue = self.queue.min(later);
        self.back = (self.back * 7 + (feedback - shortest - later).max(0) as u64) / 8;
        if let Some(bytes) = heard.bytes {
            self.arrivals.see(heard.at, bytes);
        }
        self.sent += heard.arrived + heard.lost;
        self.lost += heard.lost;
        if now >= self.round {
            self.turn(now);
        }
        self.follow();
    }

    /// One way does not take longer by more than both together do, but for the way back's own delays: a clock has leapt if it seems so.
    /// Its time would pass for a queue until it is forgotten, a quarter of a minute later.
    fn notice_leap(&mut self, one_way: i64, longer: i64) {
        let least = self.one_way.get();
        if least != Least::NONE && !(-LEAP..=longer + LEAP).contains(&(one_way - least)) {
            self.one_way = Least::default();
            self.restart();
        }
    }

    /// A round trip is over.
    fn turn(&mut self, now: Time) {
        let delay = self.delay();
        let queue = self.queue.clamp(0, 1_000_000) as u64;
        if let Some(loss) = (self.lost * 1_000).checked_div(self.sent) {
            self.loss = (self.loss * 7 + loss * 64) / 8;
        }
        if queue <= DRAINED {
            self.drained = now;
        }
        self.stood = (queue, now);
        let arrived = self.arrivals.turn();
        let idle = !self.limited && arrived.rate * delay / 1_000_000 <= FEW && self.sent <= MANY;
        if idle && arrived.is_news {
            self.jitter.idles(queue);
        }
        let round = |(at, bytes)| {
            let (window, trip, full) = (self.window, self.trip, self.limited);
            Round { window, queue, trip, full, at, bytes }
        };
        let tells = !self.starting && self.draining.is_none() && !self.brim.is_trying();
        let round = self.arrivals.latest().filter(|_| tells).map(round);
        let set = round.and_then(|round| self.jitter.round(&round, now));
        let step = if self.limited && set.is_none() && self.jitter.level() <= SHAKY {
            self.brims(arrived, delay, queue, now)
        } else {
            self.brim.leave(now)
        };
        if step == Step::Back {
            self.gives_back();
        }
        if let Some(window) = set {
            self.window = window;
        } else if self.jitter.level() > SHAKY {
            self.shaky(arrived, delay, queue, now);
        } else {
            self.draining = None;
            // Of a path with little to do, it is not our queue.
            self.starting &= idle || queue <= QUEUE;
            self.steady(step, delay, queue, now);
        }
        self.bound(step, arrived.rate, delay, queue);
        (self.lost, self.sent, self.queue) = (0, 0, Least::NONE);
        (self.limited, self.filled) = (false, false);
        self.round = now + Span::from_micros(delay.max(2_000));
    }

    /// Bytes a second that arrived at best, of late.
    fn best(&self) -> u64 {
        self.arrivals.best()
    }

    /// From sending to knowing, without queues on the way there. What others queue on the way back is in it, as is the reports' own
    /// waiting: all that time more is under way, and a link is not to lie idle since its reports take longer.
    fn delay(&self) -> u64 {
        let least = self.feedback.get();
        let least = if least == Least::NONE { 100_000 } else { least.max(0) as u64 };
        least + self.back.max(2_000)
    }
}
