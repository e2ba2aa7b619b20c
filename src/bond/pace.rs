//! How long a byte takes.

use crate::time::Span;

/// A rate, turned round once: each packet asks several times, and a division of 64 bits, one instruction on a large processor, is
/// a hundred and more on a router's.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Microseconds a byte, in 2^20ths: at 10 Gbit/s a thousandth is added.
    byte: u64,
}

impl Pace {
    /// Bytes a second; no path is slower than this one: a day for a window's 8 MB still are microseconds of 64 bits.
    const SLOWEST: u64 = 64;

    /// That of so many bytes a second.
    pub fn of(rate: u64) -> Self {
        // A little more: what is a whole number of microseconds is not to lose one.
        Pace { byte: (1_000_000 << 20) / rate.max(Self::SLOWEST) + 1 }
    }

    /// What `size` bytes take. Right up to 1 GB.
    pub fn takes(self, size: u64) -> Span {
        Span::from_micros(size.wrapping_mul(self.byte) >> 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time() {
        for (rate, size, micros) in [
            (125_000, 1_500, 12_000),
            (9_375_000, 1_500, 160),
            (1, 64, 1_000_000),
            (64, 1 << 30, (1 << 24) * 1_000_000 + 1_024),
        ] {
            assert_eq!(Pace::of(rate).takes(size), Span(micros), "{size} bytes at {rate} a second");
        }
        let (least, most) = (Span(800_000), Span(801_000));
        assert!((least..=most).contains(&Pace::of(1_250_000_000).takes(1_000_000_000)), "10 Gbit/s");
    }
}
