//! Signals, read from a descriptor (signalfd(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;

/// What the daemon listens to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGINT or SIGTERM.
    Stop,
    /// SIGHUP.
    Reload,
}

pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Takes over SIGHUP, SIGINT and SIGTERM for this thread, and for all that it starts from now on.
    pub fn open() -> io::Result<Self> {
        // SAFETY: sigset_t is plain integers, for which zeroes are valid; `set` is writable and readable throughout;
        // a result of signalfd that is not negative is a descriptor nobody else owns.
        unsafe {
            let mut set: libc::sigset_t = core::mem::zeroed();
            libc::sigemptyset(&mut set);
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
                libc::sigaddset(&mut set, signal);
            }
            check(libc::sigprocmask(libc::SIG_BLOCK, &set, core::ptr::null_mut()))?;
            let fd = check(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
            Ok(Signals { fd: OwnedFd::from_raw_fd(fd) })
        }
    }

    /// The next signal that arrived.
    pub fn next(&self) -> Option<Signal> {
        let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
        // SAFETY: `info` is writable for its length.
        let got = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), info.len()) };
        let number = u32::from_ne_bytes(*info.first_chunk()?);
        match got {
            ..1 => None,
            _ if number == libc::SIGHUP as u32 => Some(Signal::Reload),
            _ => Some(Signal::Stop),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
