//! The clock.

use crate::time::Time;

/// Now, by `CLOCK_MONOTONIC`.
pub fn now() -> Time {
    // SAFETY: a timespec is integers (and on 32 bits padding), for which zeroes are valid.
    let mut at: libc::timespec = unsafe { core::mem::zeroed() };
    // SAFETY: `at` is writable for the time of the call; this clock always exists (clock_gettime(2)).
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut at) };
    Time(at.tv_sec as u64 * 1_000_000 + at.tv_nsec as u64 / 1_000)
}
