//! The heartbeat: a datagram that nft takes as the sign that the daemon lives, and drops.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use super::{set_option, socket};

/// The discard port (RFC 863): should our table be gone, the datagram ends at this machine.
const DISCARD: u16 = 9;

pub struct Heartbeat(OwnedFd);

impl Heartbeat {
    pub fn open(mark: u32) -> io::Result<Self> {
        let fd = socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, 0)?;
        set_option(&fd, libc::SOL_SOCKET, libc::SO_MARK, &mark)?;
        Ok(Heartbeat(fd))
    }

    /// That it is dropped on the way out looks like an error to us, so errors say nothing.
    pub fn beat(&self) {
        let _ = super::raw::send_to(&self.0, &[], (IpAddr::V4(Ipv4Addr::LOCALHOST), DISCARD).into());
    }
}
