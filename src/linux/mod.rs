//! The only folder with system calls, and with unsafe code but for the ciphers' ([`seal`]).
//!
//! Each file is one door to the kernel. The race's: [`nfqueue`] (packets that wait for a verdict), [`conntrack`] (flows), [`raw`]
//! (packets out of a link), [`heartbeat`]. What steers: [`route`] (links, addresses, routes, rules), [`program`] and [`process`]
//! (nft is one), [`nft`] and [`target`] (what it has no words for), [`sysctl`]; [`system`] is all of these as
//! [`Control`](crate::kernel::Control). Probes: [`echo`], [`connect`], [`resolve`]. A bond's: [`udp`] and [`ether`] (datagrams, many
//! in a [`batch`]), [`tun`], [`address`] (devices of our own), [`crew`] (work for several threads), [`random`]. Beside them [`listen`]
//! (packets of any device), [`hook`] (the user's script), [`peer`] (who asks), [`mod@file`], [`terminal`], [`poll`], [`signal`],
//! [`thread`], [`wait`] and [`clock`]. [`netlink`] is what five of them speak. All of it is Linux's own interface, without libraries:
//! the headers that say so are named where they are used.
#![allow(unsafe_code)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // the one place where clocks, sockets and files belong

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::family::Family;

pub mod address;
pub mod batch;
pub mod clock;
pub mod connect;
pub mod conntrack;
pub mod crew;
pub mod echo;
pub mod ether;
pub mod file;
pub mod heartbeat;
pub mod hook;
pub mod listen;
pub mod netlink;
pub mod nfqueue;
pub mod nft;
pub mod peer;
pub mod poll;
pub mod process;
pub mod program;
pub mod random;
pub mod raw;
pub mod resolve;
pub mod route;
pub mod signal;
pub mod sysctl;
pub mod system;
pub mod target;
pub mod terminal;
pub mod thread;
pub mod tun;
pub mod udp;
pub mod wait;

/// A family as system calls number it.
fn number_of(family: Family) -> libc::c_int {
    match family {
        Family::Ipv4 => libc::AF_INET,
        Family::Ipv6 => libc::AF_INET6,
    }
}

/// A system call's result as Rust has it: -1 is the error that errno names.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn check_size(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Whether the kernel lacks memory, descriptors or time for it: a little later it may do it.
pub fn passes(error: &io::Error) -> bool {
    use libc::{EAGAIN, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM};
    matches!(error.raw_os_error(), Some(EAGAIN | EINTR | EMFILE | ENFILE | ENOBUFS | ENOMEM))
}

/// Whether the kernel was built, or started, without it.
pub fn lacks(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP))
}

/// A socket that is closed on exec, so that no child inherits it.
fn socket(domain: libc::c_int, kind: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed, and a result that is not negative is a descriptor nobody else owns.
    unsafe {
        let fd = check(libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// `setsockopt` with a value that has no padding: an integer or an array of bytes.
fn set_option<T: Plain>(fd: &impl AsRawFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let (data, length) = ((value as *const T).cast(), size_of::<T>() as libc::socklen_t);
    // SAFETY: `data` points at `length` readable bytes for the time of the call.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, data, length) }).map(drop)
}

/// Room for `bytes` that wait in a socket: above the system's limit where that is permitted, else as far as that goes.
fn set_buffers(fd: &impl AsRawFd, bytes: libc::c_int) {
    for (forced, bounded) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        if set_option(fd, libc::SOL_SOCKET, forced, &bytes).is_err() {
            let _ = set_option(fd, libc::SOL_SOCKET, bounded, &bytes);
        }
    }
}

/// Values that the kernel may read byte by byte.
trait Plain {}
impl Plain for libc::c_int {}
impl Plain for u32 {}
impl<const N: usize> Plain for [u8; N] {}

/// Ties a socket to a device and gives its packets a mark.
fn bind_to(fd: &impl AsRawFd, device: &str, mark: u32) -> io::Result<()> {
    let mut name = [0u8; libc::IFNAMSIZ];
    let length = device.len();
    let place = name.get_mut(..length).filter(|_| length < libc::IFNAMSIZ);
    place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?.copy_from_slice(device.as_bytes());
    set_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &name)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_MARK, &mark)
}

/// A device's number.
fn index_of(device: &str) -> io::Result<u32> {
    let name = std::ffi::CString::new(device)?;
    // SAFETY: `name` ends with a zero and outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}
