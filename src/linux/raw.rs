//! Raw sockets: whole packets out of one link, with one mark (raw(7), `IPPROTO_RAW`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use super::{bind_to, check, check_size, set_option, socket};

/// A link's way out, in both families.
pub struct Raw {
    ipv4: OwnedFd,
    ipv6: Option<OwnedFd>,
}

impl Raw {
    /// Packets leave by `device` with `mark`. On a kernel without IPv6 there is no IPv6.
    pub fn open(device: &str, mark: u32) -> io::Result<Self> {
        // IPPROTO_RAW: the header is ours, and the socket receives nothing.
        let ipv4 = socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
        bind_to(&ipv4, device, mark)?;
        let ipv6 = socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_RAW)
            .and_then(|fd| bind_to(&fd, device, mark).map(|()| fd))
            .ok();
        // The packet is sent as it is: the path's MTU is the ends' business.
        set_option(&ipv4, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &libc::IP_PMTUDISC_PROBE)?;
        Ok(Raw { ipv4, ipv6 })
    }

    /// Sends an IP packet to `to`. Never blocks: a full device queue loses it, as it would any packet.
    pub fn send(&self, packet: &[u8], to: IpAddr) -> io::Result<()> {
        match (to, &self.ipv6) {
            (IpAddr::V4(_), _) => send_to(&self.ipv4, packet, (to, 0).into()),
            (IpAddr::V6(_), Some(ipv6)) => send_to(ipv6, packet, (to, 0).into()),
            (IpAddr::V6(_), None) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

pub(super) fn send_to(fd: &impl AsRawFd, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let sent = with_address(to, |address, size| {
        // SAFETY: `bytes` is readable for its length, `address` for `size` bytes.
        unsafe { libc::sendto(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags, address, size) }
    });
    check_size(sent).map(drop)
}

pub(super) fn connect(fd: &impl AsRawFd, to: SocketAddr) -> io::Result<()> {
    // SAFETY: `address` is readable for `size` bytes.
    let done = with_address(to, |address, size| unsafe { libc::connect(fd.as_raw_fd(), address, size) });
    check(done).map(drop)
}

/// Calls `with` with the kernel's form of an address and its size.
fn with_address<T>(to: SocketAddr, with: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> T) -> T {
    match to {
        SocketAddr::V4(to) => {
            // SAFETY: sockaddr_in is plain integers, for which zeroes are valid.
            let mut address: libc::sockaddr_in = unsafe { core::mem::zeroed() };
            address.sin_family = libc::AF_INET as libc::sa_family_t;
            address.sin_port = to.port().to_be();
            address.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
            with((&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
        }
        SocketAddr::V6(to) => {
            // SAFETY: sockaddr_in6 is plain integers, for which zeroes are valid.
            let mut address: libc::sockaddr_in6 = unsafe { core::mem::zeroed() };
            address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            address.sin6_port = to.port().to_be();
            address.sin6_addr.s6_addr = to.ip().octets();
            with((&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
        }
    }
}
