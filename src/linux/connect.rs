//! Connections out of one link: TCP's handshakes and bytes, UDP's datagrams. Nothing here waits.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{bind_to, check, check_size, number_of, socket};
use crate::family::Family;

/// A connection. Dropping it leaves nothing behind, at either end.
pub struct Connection {
    fd: OwnedFd,
}

impl Connection {
    /// Begins a TCP handshake with `to`, out of `device` with `mark`. The descriptor can be written once it ended.
    pub fn stream(device: &str, mark: u32, to: SocketAddr) -> io::Result<Self> {
        let connection = Self::open(libc::SOCK_STREAM, device, mark, to)?;
        // Closing sends a reset instead of leaving a TIME_WAIT socket for each probe.
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let size = size_of_val(&linger) as libc::socklen_t;
        // SAFETY: `linger` is readable for `size` bytes.
        check(unsafe {
            let fd = connection.fd.as_raw_fd();
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size)
        })?;
        match super::raw::connect(&connection.fd, to) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(connection),
        }
    }

    /// A UDP socket of its own, with a port that nobody can guess: only what `to` sends to it is received.
    pub fn datagrams(device: &str, mark: u32, to: SocketAddr) -> io::Result<Self> {
        let connection = Self::open(libc::SOCK_DGRAM, device, mark, to)?;
        super::raw::connect(&connection.fd, to)?;
        Ok(connection)
    }

    fn open(kind: libc::c_int, device: &str, mark: u32, to: SocketAddr) -> io::Result<Self> {
        let fd = socket(number_of(Family::of(to.ip())), kind | libc::SOCK_NONBLOCK, 0)?;
        bind_to(&fd, device, mark)?;
        Ok(Connection { fd })
    }

    /// How the handshake ended, if it did.
    pub fn ended(&self) -> Option<io::Result<()>> {
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
        Some(match (got, error) {
            (Err(error), _) => Err(error),
            (Ok(_), 0) => Ok(()),
            (Ok(_), error) => Err(io::Error::from_raw_os_error(error)),
        })
    }

    /// Sends some bytes, or a datagram; what does not fit the socket's buffer is an error.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `bytes` is readable for its length.
        let sent = check_size(unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })?;
        if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// What came: bytes, none of them at the stream's end; or a datagram; or `WouldBlock`.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let (data, length) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: `buffer` is writable for its length.
        let got = check_size(unsafe { libc::recv(self.fd.as_raw_fd(), data, length, libc::MSG_DONTWAIT) })?;
        Ok(&buffer[..got.min(buffer.len())])
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
