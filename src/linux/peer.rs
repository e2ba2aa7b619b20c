//! Who is at the other end of a descriptor: a process, by its user, or a terminal, by its size.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// The user whose process connected a Unix socket (SO_PEERCRED, unix(7)): what it was at that moment.
pub fn user(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    let data = (&raw mut peer).cast();
    // SAFETY: `data` is writable for `length` bytes, and any bytes are a valid ucred: it is plain integers.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, data, &mut length) })?;
    Ok(peer.uid)
}

/// The user that this process acts as.
pub fn own_user() -> u32 {
    // SAFETY: passes no pointers, and cannot fail (geteuid(2)).
    unsafe { libc::geteuid() }
}

/// Columns and rows of a terminal; `None` if it is none, or does not know.
pub fn terminal_size(fd: BorrowedFd<'_>) -> Option<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is writable for what TIOCGWINSZ writes, a winsize (ioctl_tty(2)), and any bytes are a valid one.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) }).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_names_its_user() -> io::Result<()> {
        let (ours, _theirs) = UnixStream::pair()?;
        assert_eq!(user(ours.as_fd())?, own_user());
        assert_eq!(terminal_size(ours.as_fd()), None);
        Ok(())
    }
}
