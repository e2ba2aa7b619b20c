//! Echo requests out of one link, and their replies (raw(7), `linux/icmp.h`, `linux/icmpv6.h`).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{bind_to, check_size, set_option, socket};

pub struct Echo {
    fd: OwnedFd,
    ipv6: bool,
}

impl Echo {
    /// Requests leave by `device` with `mark`; only echo replies that came in by it are received.
    pub fn open(ipv6: bool, device: &str, mark: u32) -> io::Result<Self> {
        const ICMP_FILTER: libc::c_int = 1;
        const ICMP6_FILTER: libc::c_int = 1;
        let (family, protocol) =
            if ipv6 { (libc::AF_INET6, libc::IPPROTO_ICMPV6) } else { (libc::AF_INET, libc::IPPROTO_ICMP) };
        let fd = socket(family, libc::SOCK_RAW | libc::SOCK_NONBLOCK, protocol)?;
        // A set bit filters its type out: all but echo replies, 0 and 129.
        if ipv6 {
            let mut filter = [0xFF; 32];
            let word = (!(1u32 << (129 % 32))).to_ne_bytes();
            filter[129 / 32 * 4..129 / 32 * 4 + 4].copy_from_slice(&word);
            set_option(&fd, libc::IPPROTO_ICMPV6, ICMP6_FILTER, &filter)?;
        } else {
            set_option(&fd, libc::SOL_RAW, ICMP_FILTER, &!1u32)?;
        }
        bind_to(&fd, device, mark)?;
        Ok(Echo { fd, ipv6 })
    }

    /// Sends an ICMP message.
    pub fn send(&self, message: &[u8], to: IpAddr) -> io::Result<()> {
        super::raw::send_to(&self.fd, message, (to, 0).into())
    }

    /// A reply, or `WouldBlock`; with its IP header in IPv4, without in IPv6.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let (data, length) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: `buffer` is writable for its length.
        let got = check_size(unsafe { libc::recv(self.fd.as_raw_fd(), data, length, libc::MSG_DONTWAIT) })?;
        Ok(&buffer[..got.min(buffer.len())])
    }

    pub fn is_ipv6(&self) -> bool {
        self.ipv6
    }
}

impl AsFd for Echo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
