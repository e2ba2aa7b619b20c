//! Waiting: one epoll instance a thread (epoll(7)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::check;
use crate::time::{Span, Time};

/// Whether a descriptor takes something now: the next write of a little does not wait.
pub fn has_room(fd: &dyn AsFd) -> bool {
    let mut entry = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: `entry` is writable for the time of the call.
    let ready = unsafe { libc::poll(&mut entry, 1, 0) };
    ready > 0 && entry.revents & libc::POLLOUT != 0
}

/// Events taken by one wait.
const EVENTS: usize = 32;

pub struct Poll {
    fd: OwnedFd,
}

impl Poll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed, and a result that is not negative is a descriptor nobody else owns.
        unsafe { Ok(Poll { fd: OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) }) }
    }

    /// Reports `key` when `fd` can be read (or, with `writable`, written).
    pub fn add(&self, fd: impl AsFd, key: u64, writable: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, &fd, key, writable)
    }

    /// Reports something else of a descriptor that was added.
    pub fn change(&self, fd: impl AsFd, key: u64, writable: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, &fd, key, writable)
    }

    /// Reports `key` for errors alone, of a descriptor that was added, until the next [`change`](Self::change): epoll_ctl(2) has no way not to
    /// report those.
    pub fn mute(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        self.set(libc::EPOLL_CTL_MOD, &fd, key, 0)
    }

    fn control(&self, what: libc::c_int, fd: &dyn AsFd, key: u64, writable: bool) -> io::Result<()> {
        self.set(what, fd, key, if writable { libc::EPOLLOUT } else { libc::EPOLLIN })
    }

    fn set(&self, what: libc::c_int, fd: &dyn AsFd, key: u64, events: libc::c_int) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: key };
        let (epoll, fd) = (self.fd.as_raw_fd(), fd.as_fd().as_raw_fd());
        // SAFETY: `event` is readable for the time of the call.
        check(unsafe { libc::epoll_ctl(epoll, what, fd, &mut event) }).map(drop)
    }

    /// Waits for what was added, at most for `timeout` (`None`: for ever), and hands out the keys. Rounds a timeout up to
    /// whole milliseconds, the unit of epoll_wait(2): a deadline is late by 1 ms at most, never early.
    pub fn wait(&self, timeout: Option<Span>, mut each: impl FnMut(u64)) -> io::Result<()> {
        self.wait_for(timeout, &mut each)
    }

    /// As `wait`, once for all kinds of `each`.
    #[inline(never)]
    fn wait_for(&self, timeout: Option<Span>, each: &mut dyn FnMut(u64)) -> io::Result<()> {
        let millis = timeout.map_or(-1, |span| i32::try_from(span.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX));
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // SAFETY: `events` is writable for EVENTS entries.
        let got = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, millis) };
        match check(got) {
            Ok(got) => events.iter().take(got as usize).for_each(|event| each(event.u64)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What can be added to a [`Poll`] for a deadline in microseconds, which its own timeout has not (timerfd_create(2)).
pub struct Timer {
    fd: OwnedFd,
    set: Option<Time>,
}

impl Timer {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed, and a result that is not negative is a descriptor nobody else owns.
        unsafe {
            let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
            let fd = check(libc::timerfd_create(libc::CLOCK_MONOTONIC, flags))?;
            Ok(Timer { fd: OwnedFd::from_raw_fd(fd), set: None })
        }
    }

    /// Makes it readable at `at`, by [`super::clock::now`], and not before. The kernel is asked only if that changes anything.
    pub fn set(&mut self, at: Time) -> io::Result<()> {
        if self.set == Some(at) {
            return Ok(());
        }
        // SAFETY: an itimerspec is integers (and on 32 bits padding), for which zeroes are valid.
        let mut spec: libc::itimerspec = unsafe { core::mem::zeroed() };
        // All zeros would stop it.
        let micros = at.0.max(1);
        spec.it_value.tv_sec = (micros / 1_000_000) as _;
        spec.it_value.tv_nsec = (micros % 1_000_000 * 1_000) as _;
        let (fd, none) = (self.fd.as_raw_fd(), core::ptr::null_mut());
        // SAFETY: `spec` is readable for the time of the call, and nothing is to be written.
        check(unsafe { libc::timerfd_settime(fd, libc::TFD_TIMER_ABSTIME, &spec, none) })?;
        self.set = Some(at);
        Ok(())
    }

    /// Makes it unreadable, after its time has come.
    pub fn reset(&mut self) {
        let mut count = [0u8; 8];
        self.set = None;
        // SAFETY: the 8 bytes are writable. The read fails only when the time has not come.
        unsafe { libc::read(self.fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Wakes another thread's [`Poll`] (eventfd(2)).
pub struct Waker {
    fd: OwnedFd,
}

impl Waker {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed, and a result that is not negative is a descriptor nobody else owns.
        unsafe {
            let fd = check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?;
            Ok(Waker { fd: OwnedFd::from_raw_fd(fd) })
        }
    }

    pub fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the 8 bytes are readable. The write fails only when the counter is full, and then the waker is set.
        unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    pub fn reset(&self) {
        let mut count = [0u8; 8];
        // SAFETY: the 8 bytes are writable. The read fails only when the counter is 0, which is what we want.
        unsafe { libc::read(self.fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::now;
    use super::*;

    #[test]
    fn a_timer_wakes_once_and_not_before() -> io::Result<()> {
        let (poll, mut timer) = (Poll::new()?, Timer::new()?);
        poll.add(&timer, 7, false)?;
        let at = now() + Span::from_micros(1_500);
        timer.set(at)?;
        let mut keys = Vec::new();
        poll.wait(Some(Span::from_secs(5)), |key| keys.push(key))?;
        assert!(keys == [7] && now() >= at);
        timer.reset();
        poll.wait(Some(Span::ZERO), |_| panic!("it was reset"))?;
        // The past is now.
        timer.set(Time(0))?;
        poll.wait(Some(Span::from_secs(5)), |key| keys.push(key))?;
        assert_eq!(keys, [7, 7]);
        poll.mute(&timer, 7)?;
        poll.wait(Some(Span::ZERO), |_| panic!("it is muted"))?;
        poll.change(&timer, 8, false)?;
        poll.wait(Some(Span::ZERO), |key| keys.push(key))?;
        assert_eq!(keys, [7, 7, 8]);
        Ok(())
    }
}
