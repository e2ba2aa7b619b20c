//! A record of the frames that entered a wire.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::packet::Packet;
use crate::shape::Direction;

/// A recorder stops keeping frames at either bound and only counts them: a forgotten one must not fill the memory.
const MAX_FRAMES: usize = 100_000;
const MAX_BYTES: usize = 64 << 20;

/// A frame as it entered a wire.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Instant,
    pub direction: Direction,
    pub frame: Vec<u8>,
    /// The wire took the frame. False if it was lost at once, be it by chance or in a black hole.
    pub carried: bool,
}

impl Seen {
    /// The IP packet inside; `None` for ARP and the like.
    pub fn packet(&self) -> Option<Packet> {
        Packet::parse(&self.frame)
    }
}

/// Records what enters a wire from the call of [`crate::Wire::watch`] until it is dropped. Frames are recorded the
/// moment they enter, before their delay; those that get lost are recorded too.
#[derive(Debug)]
pub struct Watch {
    record: Arc<Record>,
}

impl Watch {
    /// All frames so far.
    pub fn frames(&self) -> Vec<Seen> {
        self.record.state.lock().unwrap().frames.clone()
    }

    /// All IP packets so far that went this way.
    pub fn packets(&self, direction: Direction) -> Vec<Packet> {
        let state = self.record.state.lock().unwrap();
        state.frames.iter().filter(|seen| seen.direction == direction).filter_map(Seen::packet).collect()
    }

    /// Waits for a packet that went this way and looks as wanted, from the start of the record on.
    pub fn wait_for(
        &self,
        direction: Direction,
        timeout: Duration,
        wanted: impl Fn(&Packet) -> bool,
    ) -> Option<(Seen, Packet)> {
        let limit = Instant::now() + timeout;
        let mut state = self.record.state.lock().unwrap();
        let mut looked_at = 0;
        loop {
            // A `clear` from elsewhere may have shortened the record.
            for seen in state.frames.iter().skip(looked_at).filter(|seen| seen.direction == direction) {
                if let Some(packet) = seen.packet().filter(&wanted) {
                    return Some((seen.clone(), packet));
                }
            }
            looked_at = state.frames.len();
            let left = limit.checked_duration_since(Instant::now())?;
            state = self.record.grown.wait_timeout(state, left).unwrap().0;
            looked_at = looked_at.min(state.frames.len());
        }
    }

    /// Forgets all frames so far.
    pub fn clear(&self) {
        *self.record.state.lock().unwrap() = State::default();
    }

    /// Frames that the full record did not keep.
    pub fn missed(&self) -> usize {
        self.record.state.lock().unwrap().missed
    }

    pub(crate) fn new() -> (Self, Recorder) {
        let record = Arc::new(Record::default());
        (Self { record: record.clone() }, Recorder { record })
    }
}

/// The wire's end of a watch.
#[derive(Debug)]
pub(crate) struct Recorder {
    record: Arc<Record>,
}

impl Recorder {
    pub fn note(&self, at: Instant, direction: Direction, frame: &[u8], carried: bool) {
        let mut state = self.record.state.lock().unwrap();
        if state.frames.len() >= MAX_FRAMES || state.bytes + frame.len() > MAX_BYTES {
            state.missed += 1;
            return;
        }
        state.bytes += frame.len();
        state.frames.push(Seen { at, direction, frame: frame.to_vec(), carried });
        self.record.grown.notify_all();
    }

    /// True while somebody holds the watch.
    pub fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.record) > 1
    }
}

#[derive(Debug, Default)]
struct Record {
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct State {
    frames: Vec<Seen>,
    bytes: usize,
    missed: usize,
}
