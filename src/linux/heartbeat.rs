//! The heartbeat: a datagram that nft takes as the sign that the daemon lives, and drops.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use super::{set_option, socket};

/// The discard port (RFC 863): should our table be gone, the datagram ends at this machine.
const DISCARD: u16 = 9;

pub struct Heartbeat {
    ipv4: OwnedFd,
    ipv6: Option<OwnedFd>,
}

impl Heartbeat {
    pub fn open(mark: u32) -> io::Result<Self> {
        let open = |family| {
            let fd = socket(family, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, 0)?;
            set_option(&fd, libc::SOL_SOCKET, libc::SO_MARK, &mark)?;
            Ok::<_, io::Error>(fd)
        };
        Ok(Heartbeat { ipv4: open(libc::AF_INET)?, ipv6: open(libc::AF_INET6).ok() })
    }

    /// One beat for each family. That it is dropped on the way out looks like an error to us, so errors say nothing.
    pub fn beat(&self) {
        let _ = super::raw::send_to(&self.ipv4, &[], (IpAddr::V4(Ipv4Addr::LOCALHOST), DISCARD).into());
        if let Some(ipv6) = &self.ipv6 {
            let _ = super::raw::send_to(ipv6, &[], (IpAddr::V6(Ipv6Addr::LOCALHOST), DISCARD).into());
        }
    }
}
