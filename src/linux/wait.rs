//! Waiting for a change that another thread makes, for a time at most (futex(2)).
//!
//! std has that too, but on 32-bit machines with musl's 64-bit time it hands a `timespec` of 64 bits to the system call that
//! takes one of 32 (Rust 1.96, sys/pal/unix/futex.rs): on ARM and little-endian MIPS such a wait ends up to a second early, on
//! big-endian ones at once, and whoever waits again until the time is over keeps a processor busy.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

    /// Lets go of `mutex`, which `held` holds, until there is a change, for `time` at most or little more. It may also return
    /// early, as `Condvar`'s may.
    pub fn wait<'a, T>(&self, mutex: &'a Mutex<T>, held: MutexGuard<'a, T>, time: Duration) -> MutexGuard<'a, T> {
        let seen = self.0.load(Ordering::Acquire);
        drop(held);
        // struct __kernel_timespec (linux/time_types.h)
        let time = [i64::try_from(time.as_secs()).unwrap_or(i64::MAX), time.subsec_nanos().into()];
        let call = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the number and the time are there for the time of the call, which writes to neither. Whether it fails does
        // not matter: a number that has changed already, an interruption and the time's end are all the same to who waits.
        unsafe { libc::syscall(FUTEX, self.0.as_ptr(), call, seen, time.as_ptr()) };
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Instant;

    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(60);

    /// Nobody tells of a change, so only the time ends the wait. (Signals might, but none comes.)
    #[test]
    fn a_wait_takes_its_time() {
        let (changes, mutex) = (Changes::default(), Mutex::new(()));
        let start = Instant::now();
        drop(changes.wait(&mutex, mutex.lock().unwrap(), SHORT));
        assert!(start.elapsed() >= SHORT, "{:?}", start.elapsed());
    }

    #[test]
    fn a_change_ends_it() {
        let (changes, mutex) = (Changes::default(), Mutex::new(0));
        thread::scope(|scope| {
            let start = Instant::now();
            let waits = scope.spawn(|| {
                let mut held = mutex.lock().unwrap();
                while *held < 3 {
                    held = changes.wait(&mutex, held, LONG);
                }
            });
            for _ in 0..3 {
                *mutex.lock().unwrap() += 1;
                changes.tell();
                thread::sleep(Duration::from_millis(5));
            }
            waits.join().unwrap();
            assert!(start.elapsed() < LONG);
        });
    }

    #[test]
    fn the_longest_time() {
        let (changes, mutex) = (Changes::default(), Mutex::new(false));
        thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let mut held = mutex.lock().unwrap();
                while !*held {
                    held = changes.wait(&mutex, held, Duration::MAX);
                }
            });
            thread::sleep(Duration::from_millis(5));
            *mutex.lock().unwrap() = true;
            changes.tell();
            waits.join().unwrap();
        });
    }
}
