//! Waiting for a change that another thread makes, for a time at most (futex(2)).
//!
//! std has that too, but on 32-bit machines with musl's 64-bit time it hands a `timespec` of 64 bits to the system call that
//! takes one of 32 (Rust 1.96, sys/pal/unix/futex.rs): on ARM and little-endian MIPS such a wait ends up to a second early, on
//! big-endian ones at once, and whoever waits again until the time is over keeps a processor busy.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A number that each change makes another one: what two threads agree on beside a mutex.
#[derive(Default)]
pub struct Changes(AtomicU32);

/// The call whose times have 64 bits everywhere; libc has no name for it where there is an older one (unistd.h).
const FUTEX: libc::c_long = if cfg!(target_pointer_width = "64") {
    libc::SYS_futex
} else if cfg!(target_arch = "mips") {
    4422
} else {
    422
};

impl Changes {
    /// Says that there was one. What changed is to be visible before: change it under the mutex.
    pub fn tell(&self) {
        self.0.fetch_add(1, Ordering::Release);
        let call = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the number is there for the time of the call, which reads no memory.
        unsafe { libc::syscall(FUTEX, self.0.as_ptr(), call, i32::MAX) };
    }

    /// Waits while that is true of what `mutex` holds, for `time` at most or little more. Where it is true still, the time is over.
    pub fn wait_while<'a, T>(
        &self,
        mutex: &'a Mutex<T>,
        time: Duration,
        waits: impl Fn(&T) -> bool,
    ) -> MutexGuard<'a, T> {
        let start = Instant::now();
        loop {
            let held = mutex.lock().unwrap_or_else(PoisonError::into_inner);
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() || !waits(&held) {
                return held;
            }
            let seen = self.0.load(Ordering::Acquire);
            drop(held);
            self.sleep(seen, left);
        }
    }

    /// Sleeps until the number is another one than what was `seen`, for `time` at most or little more, or until a signal.
    fn sleep(&self, seen: u32, time: Duration) {
        // struct __kernel_timespec (linux/time_types.h)
        let time = [i64::try_from(time.as_secs()).unwrap_or(i64::MAX), time.subsec_nanos().into()];
        let call = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the number and the time are there for the time of the call, which writes to neither. Whether it fails does
        // not matter: a number that has changed already, a signal and the time's end are all the same to who waits.
        unsafe { libc::syscall(FUTEX, self.0.as_ptr(), call, seen, time.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const SHORT: Duration = Duration::from_millis(300);

    /// One sleep, which nobody tells of a change: only the time ends it. (A signal might, but none comes.)
    #[test]
    fn a_sleep_takes_its_time() {
        let start = Instant::now();
        Changes::default().sleep(0, SHORT);
        assert!(start.elapsed() >= SHORT, "{:?}", start.elapsed());
    }

    #[test]
    fn time_ends_a_wait() {
        let (changes, mutex, start) = (Changes::default(), Mutex::new(7), Instant::now());
        assert_eq!(*changes.wait_while(&mutex, SHORT, |_| true), 7);
        assert!(start.elapsed() >= SHORT, "{:?}", start.elapsed());
    }

    /// With the longest times that there are, among them one that no clock reaches.
    #[test]
    fn a_change_ends_it() {
        for time in [Duration::from_secs(60), Duration::MAX] {
            let (changes, mutex) = (Changes::default(), Mutex::new(0));
            thread::scope(|scope| {
                let waits = scope.spawn(|| *changes.wait_while(&mutex, time, |count| *count < 3));
                for _ in 0..3 {
                    thread::sleep(Duration::from_millis(5));
                    *mutex.lock().unwrap() += 1;
                    changes.tell();
                }
                assert_eq!(waits.join().unwrap(), 3);
            });
        }
    }
}
