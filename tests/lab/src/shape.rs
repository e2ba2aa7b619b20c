//! What a wire does to the frames of one direction. No clock and no device in here: frames and `now` come in, due times
//! go out.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Which way a frame goes: `Up` from the first host that was named to the second, `Down` back. In [`crate::Dual`], `Up`
/// leaves the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    Up,
    Down,
}

impl Direction {
    pub const BOTH: [Self; 2] = [Self::Up, Self::Down];
}

/// How one direction of a wire treats its frames. The default is an ideal wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The least time on the way: one way, not a round trip.
    pub delay: Duration,
    /// A random part up to this comes on top, evenly spread. Frames stay in order: a slow one holds up the next.
    pub jitter: Duration,
    /// Bits per second, of whole Ethernet frames with their 14 bytes of header.
    pub rate_bits: Option<u64>,
    /// How much may wait for the rate; what comes on top is lost. A frame that finds no other waiting always fits.
    pub queue_bytes: u64,
    /// Nothing waits for the rate: a burst of `queue_bytes` passes at once, and what is above that and the rate is lost.
    pub policed: bool,
    /// Frames lost out of a million, each on its own.
    pub loss_ppm: u32,
    /// Frames held back by another [`REORDER_LAG`] out of a million, so that those behind them overtake.
    pub reorder_ppm: u32,
}

/// Long enough for several frames to overtake, short against TCP's timeouts.
pub const REORDER_LAG: Duration = Duration::from_millis(5);

impl Shape {
    /// An otherwise ideal wire with this delay, one way.
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rate_bits: None,
            queue_bytes: 256 * 1024,
            policed: false,
            loss_ppm: 0,
            reorder_ppm: 0,
        }
    }
}

/// What became of the frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that came out at the far end, and their bytes.
    pub packets: u64,
    pub bytes: u64,
    /// Frames that never did: lost by chance, by a full queue, in a black hole, on an unplugged wire.
    pub dropped: u64,
}

/// At most this many frames are on the way at once: 1 Gbit/s of full frames for more than a second.
const MAX_IN_FLIGHT: usize = 100_000;

/// One direction of a wire: its shape, and the frames on the way.
#[derive(Debug)]
pub(crate) struct Lane {
    pub shape: Shape,
    /// Nothing gets through, and nobody is told.
    pub blackhole: bool,
    pub counters: Counters,
    random: Random,
    /// When the last bit of all accepted frames has been sent at the shape's rate.
    busy_until: Instant,
    /// No later frame arrives before this, unless it is meant to.
    latest: Instant,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    accepted: u64,
}

impl Lane {
    pub fn new(seed: u64, now: Instant) -> Self {
        Self {
            shape: Shape::default(),
            blackhole: false,
            counters: Counters::default(),
            random: Random(seed),
            busy_until: now,
            latest: now,
            in_flight: BinaryHeap::new(),
            accepted: 0,
        }
    }

    /// Decides when a frame of `len` bytes that came at `now` arrives; `None` if it never does.
    pub fn admit(&mut self, len: usize, now: Instant) -> Option<Instant> {
        let due = self.decide(len, now);
        if due.is_none() {
            self.counters.dropped += 1;
        }
        due
    }

    /// True if a frame with this due time need not wait at all.
    pub fn is_immediate(&self, due: Instant, now: Instant) -> bool {
        due <= now && self.in_flight.is_empty()
    }

    pub fn hold(&mut self, due: Instant, frame: Vec<u8>) {
        self.accepted += 1;
        self.in_flight.push(Reverse(InFlight { due, number: self.accepted, frame }));
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse(first)| first.due)
    }

    pub fn pop_due(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.next_due().filter(|due| *due <= now)?;
        self.in_flight.pop().map(|Reverse(first)| first.frame)
    }

    /// Loses all that is on the way.
    pub fn clear(&mut self, now: Instant) {
        self.counters.dropped += self.in_flight.len() as u64;
        self.in_flight.clear();
        self.busy_until = now;
        self.latest = now;
    }

    fn decide(&mut self, len: usize, now: Instant) -> Option<Instant> {
        if self.blackhole || self.random.strikes(self.shape.loss_ppm) || self.in_flight.len() >= MAX_IN_FLIGHT {
            return None;
        }
        let sent = match self.shape.rate_bits {
            Some(rate) => self.serialize(len as u64, rate.max(1), now)?,
            None => now,
        };
        let due = (sent + self.shape.delay + self.random.up_to(self.shape.jitter)).max(self.latest);
        if self.random.strikes(self.shape.reorder_ppm) {
            // `latest` stays, so that those behind need not wait for this one.
            return Some(due + REORDER_LAG);
        }
        self.latest = due;
        Some(due)
    }

    /// When the frame's last bit leaves at this rate, if the queue has room for it.
    fn serialize(&mut self, len: u64, rate: u64, now: Instant) -> Option<Instant> {
        let waiting = self.busy_until.saturating_duration_since(now);
        let waiting_bytes = waiting.as_nanos() * u128::from(rate) / 8_000_000_000;
        if !waiting.is_zero() && waiting_bytes + u128::from(len) > u128::from(self.shape.queue_bytes) {
            return None;
        }
        self.busy_until = now + waiting + Duration::from_nanos(len * 8_000_000_000 / rate);
        Some(if self.shape.policed { now } else { self.busy_until })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct InFlight {
    due: Instant,
    /// Keeps frames with the same due time in order.
    number: u64,
    frame: Vec<u8>,
}

impl Ord for InFlight {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for InFlight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): the same seed, the same test.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn strikes(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.next() % 1_000_000 < u64::from(ppm)
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.next() % (most.as_nanos() as u64 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn lane(shape: Shape) -> (Lane, Instant) {
        let now = Instant::now();
        (Lane { shape, ..Lane::new(7, now) }, now)
    }

    #[test]
    fn jitter_alone_keeps_the_order() {
        let (mut lane, start) = lane(Shape { delay: 10 * MS, jitter: 10 * MS, ..Shape::default() });
        let dues: Vec<_> = (0..1000).filter_map(|i| lane.admit(100, start + MS * i)).collect();
        assert_eq!(dues.len(), 1000);
        assert!(dues.is_sorted());
        assert!(
            dues.iter().zip(0..).all(|(due, i)| *due >= start + MS * i + 10 * MS && *due <= start + MS * i + 20 * MS)
        );
    }

    #[test]
    fn a_rate_spaces_frames_and_its_queue_is_finite() {
        let shape = Shape { rate_bits: Some(8_000_000), queue_bytes: 3000, ..Shape::default() };
        let (mut lane, start) = lane(shape);
        let dues: Vec<_> = (0..5).map(|_| lane.admit(1000, start)).collect();
        assert_eq!(dues, [Some(start + MS), Some(start + 2 * MS), Some(start + 3 * MS), None, None]);
        assert_eq!(lane.counters.dropped, 2);
        assert_eq!(lane.admit(9000, start + 3 * MS), Some(start + 12 * MS), "an idle wire takes any frame");
    }

    #[test]
    fn a_policer_lets_a_burst_pass_at_once_and_then_the_rate() {
        let shape = Shape { rate_bits: Some(8_000_000), queue_bytes: 3000, policed: true, ..Shape::default() };
        let (mut lane, start) = lane(shape);
        let dues: Vec<_> = (0..5).map(|_| lane.admit(1000, start)).collect();
        assert_eq!(dues, [Some(start), Some(start), Some(start), None, None]);
        let dues: Vec<_> = (1..20).map(|at| lane.admit(1000, start + at * MS / 2)).collect();
        assert_eq!(dues.iter().flatten().count(), 9, "half of what comes at twice the rate");
    }

    #[test]
    fn loss_and_reordering_keep_their_shares() {
        let (mut lane, start) = lane(Shape { loss_ppm: 100_000, reorder_ppm: 50_000, ..Shape::default() });
        let dues: Vec<_> = (0..100_000).filter_map(|_| lane.admit(100, start)).collect();
        let late = dues.iter().filter(|due| **due == start + REORDER_LAG).count();
        assert!((89_500..90_500).contains(&dues.len()), "{}", dues.len());
        assert!((4300..4700).contains(&late), "{late}");
    }
}
