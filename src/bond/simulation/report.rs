//! What people would have noticed.

use crate::time::Span;

#[derive(Clone, Default, Debug)]
pub struct Report {
    /// Between mark and end.
    pub lasted: Span,
    pub streams: Vec<Stream>,
    pub voices: Vec<Voice>,
    pub pings: Vec<Ping>,
    pub repaired: u64,
    /// Packets that found a device's queue full.
    pub dropped: u64,
    /// TCP segments that came out after a later one.
    pub disordered: u64,
    /// What the ends say of that.
    pub late: u64,
    pub most_memory: usize,
}

#[derive(Clone, Copy, Default, Debug)]
pub struct Stream {
    /// Bytes that a program read.
    pub bytes: u64,
    pub retransmitted: u64,
    pub timeouts: u64,
    /// The longest time without a byte.
    pub stalled: Span,
}

#[derive(Clone, Copy, Default, Debug)]
pub struct Voice {
    pub sent: u64,
    pub received: u64,
    /// RFC 3550's estimate at the end, and the longest delay of one way.
    pub jitter: Span,
    pub longest: Span,
}

impl Voice {
    pub fn lost(&self) -> u64 {
        self.sent - self.received
    }
}

#[derive(Clone, Copy, Default, Debug)]
pub struct Ping {
    pub sent: u64,
    pub received: u64,
    pub mean: Span,
    /// Of a hundred, five took longer.
    pub slow: Span,
}

impl Report {
    /// Bits a second that programs read of all streams.
    pub fn goodput(&self) -> u64 {
        let bytes: u64 = self.streams.iter().map(|stream| stream.bytes).sum();
        (u128::from(bytes) * 8_000_000 / u128::from(self.lasted.0.max(1))) as u64
    }

    /// The same in thousandths of a rate.
    pub fn share(&self, rate: u64) -> u64 {
        (self.goodput() * 1_000 + rate / 2) / rate.max(1)
    }
}
