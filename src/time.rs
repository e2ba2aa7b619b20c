//! Time as the cores see it: an argument, in microseconds, never read from a clock.

use core::fmt;
use core::ops::{Add, Sub};

/// A moment, in microseconds since an epoch of the caller's choosing (the daemon's is the kernel's `CLOCK_MONOTONIC`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

/// A length of time, in microseconds. Arithmetic saturates: no input can make it wrap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(pub u64);

impl Span {
    pub const ZERO: Span = Span(0);

    pub const fn from_micros(us: u64) -> Self {
        Span(us)
    }

    pub const fn from_millis(ms: u64) -> Self {
        Span(ms.saturating_mul(1_000))
    }

    pub const fn from_secs(s: u64) -> Self {
        Span(s.saturating_mul(1_000_000))
    }

    pub const fn as_micros(self) -> u64 {
        self.0
    }

    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }
}

impl Time {
    /// The time that passed since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Time;
    fn sub(self, span: Span) -> Time {
        Time(self.0.saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

/// The earliest of those that there are.
#[inline(never)]
pub fn earliest(times: &[Option<Time>]) -> Option<Time> {
    let mut first = None;
    for time in times {
        if time.is_some_and(|time| first.is_none_or(|first| time < first)) {
            first = *time;
        }
    }
    first
}

/// As a person reads it, in the largest unit that leaves one to three digits before the point: `21.4 ms`, `1.5 s`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            0..1_000 => return write!(f, "{} µs", self.0),
            1_000..1_000_000 => (1_000, "ms"),
            _ => (1_000_000, "s"),
        };
        let (whole, tenth) = (self.0 / unit, self.0 % unit * 10 / unit);
        if whole >= 100 { write!(f, "{whole} {name}") } else { write!(f, "{whole}.{tenth} {name}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_print_in_a_fitting_unit() {
        for (us, text) in [(0, "0 µs"), (999, "999 µs"), (21_430, "21.4 ms"), (999_999, "999 ms"), (1_500_000, "1.5 s")]
        {
            assert_eq!(Span(us).to_string(), text);
        }
    }

    #[test]
    fn the_earliest_is_the_earliest() {
        let [a, b] = [3, 5].map(|us| Some(Time(us)));
        assert_eq!([earliest(&[None, b, a, b]), earliest(&[None]), earliest(&[])], [a, None, None]);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time(u64::MAX) + Span(1), Time(u64::MAX));
        assert_eq!(Time(1) - Span(2), Time(0));
        assert_eq!(Time(1).since(Time(5)), Span::ZERO);
        assert_eq!(Span::from_secs(u64::MAX), Span(u64::MAX));
    }
}
