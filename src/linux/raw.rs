//! Raw sockets: whole packets out of one link, with one mark (raw(7), `IPPROTO_RAW`).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use super::{bind_to, check_size, set_option, socket};

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
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let (data, length) = (packet.as_ptr().cast(), packet.len());
        let sent = match (to, &self.ipv6) {
            (IpAddr::V4(to), _) => {
                // SAFETY: sockaddr_in is plain integers, for which zeroes are valid.
                let mut address: libc::sockaddr_in = unsafe { core::mem::zeroed() };
                address.sin_family = libc::AF_INET as libc::sa_family_t;
                address.sin_addr.s_addr = u32::from_ne_bytes(to.octets());
                let size = size_of_val(&address) as libc::socklen_t;
                // SAFETY: packet and address are readable for their lengths.
                unsafe { libc::sendto(self.ipv4.as_raw_fd(), data, length, flags, (&raw const address).cast(), size) }
            }
            (IpAddr::V6(to), Some(ipv6)) => {
                // SAFETY: sockaddr_in6 is plain integers, for which zeroes are valid.
                let mut address: libc::sockaddr_in6 = unsafe { core::mem::zeroed() };
                address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                address.sin6_addr.s6_addr = to.octets();
                let size = size_of_val(&address) as libc::socklen_t;
                // SAFETY: packet and address are readable for their lengths.
                unsafe { libc::sendto(ipv6.as_raw_fd(), data, length, flags, (&raw const address).cast(), size) }
            }
            (IpAddr::V6(_), None) => return Err(io::ErrorKind::Unsupported.into()),
        };
        check_size(sent).map(drop)
    }
}
