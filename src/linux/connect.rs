//! TCP handshakes out of one link.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{bind_to, check, socket};

/// A handshake under way. Dropping it leaves nothing behind, at either end.
pub struct Handshake {
    fd: OwnedFd,
}

impl Handshake {
    /// Begins one to `to`, out of `device` with `mark`. The descriptor can be written once it ended.
    pub fn begin(device: &str, mark: u32, to: SocketAddr) -> io::Result<Self> {
        let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let fd = socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0)?;
        bind_to(&fd, device, mark)?;
        // Closing sends a reset instead of leaving a TIME_WAIT socket for each probe.
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let size = size_of_val(&linger) as libc::socklen_t;
        // SAFETY: `linger` is readable for `size` bytes.
        check(unsafe {
            libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size)
        })?;
        match super::raw::connect(&fd, to) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(Handshake { fd }),
        }
    }

    /// How it ended, if it did: `true` if the far end answered, be it by refusing.
    pub fn ended(&self) -> Option<bool> {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: `poll` is one valid entry.
        if check(unsafe { libc::poll(&mut poll, 1, 0) }).ok()? == 0 {
            return None;
        }
        let (mut error, mut size) = (0 as libc::c_int, size_of::<libc::c_int>() as libc::socklen_t);
        // SAFETY: `error` is writable for `size` bytes.
        let got = check(unsafe {
            let value = (&raw mut error).cast();
            libc::getsockopt(self.fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ERROR, value, &mut size)
        });
        Some(got.is_ok() && matches!(error, 0 | libc::ECONNREFUSED))
    }
}

impl AsFd for Handshake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
