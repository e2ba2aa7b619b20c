//! TUN devices: IP packets in and out of the kernel (`linux/if_tun.h`, Documentation/networking/tuntap.rst).

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::netlink::{ACK, CREATE, Message, REPLACE, REQUEST, Socket};
use super::{check, index_of};

/// `IFA_F_NODAD` of `linux/if_addr.h`: an IPv6 address is of use at once.
const NO_DUPLICATES: u8 = 0x02;
/// `IFA_ADDRESS` and `IFA_LOCAL` of `linux/if_addr.h`.
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;

/// A TUN device. It vanishes with its descriptor, unless it was there before and is persistent.
pub struct Tun {
    file: File,
    name: String,
}

impl Tun {
    /// Creates the device `name`, or takes a persistent one that is there.
    pub fn open(name: &str) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open("/dev/net/tun")?;
        // SAFETY: ifreq is plain integers, for which zeroes are valid.
        let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
        // The last byte stays zero.
        if name.is_empty() || name.len() >= request.ifr_name.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a device's name has 1 to 15 bytes"));
        }
        for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *slot = byte as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes one ifreq, which outlives the call.
        check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &mut request) })?;
        let one: libc::c_int = 1;
        // SAFETY: FIONBIO reads one int, which outlives the call.
        check(unsafe { libc::ioctl(file.as_raw_fd(), libc::FIONBIO as _, &raw const one) })?;
        Ok(Tun { file, name: name.to_owned() })
    }

    /// Hands a packet to the kernel as if it had arrived on the device.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        (&self.file).write(packet).map(drop)
    }

    /// The next packet that the kernel sent out of the device, if there is one.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        match (&self.file).read(buffer) {
            Ok(length) => Ok(buffer.get(..length)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the device an address, with the length of its network.
    pub fn add_address(&self, address: IpAddr, length: u8) -> io::Result<()> {
        const NEW: u16 = libc::RTM_NEWADDR;
        let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
        let flags = if address.is_ipv6() { NO_DUPLICATES } else { 0 };
        let mut header = vec![family as u8, length, flags, 0];
        header.extend(index_of(&self.name)?.to_ne_bytes());
        let mut message = Message::new(NEW, REQUEST | ACK | CREATE | REPLACE, &header);
        message.address(LOCAL, address).address(ADDRESS, address);
        Socket::open(libc::NETLINK_ROUTE, 0)?.request(message)
    }

    pub fn set_up(&self) -> io::Result<()> {
        let up = (libc::IFF_UP as u32).to_ne_bytes();
        // `ifinfomsg`: family and type are any, then index, flags, and which of them are meant.
        let mut header = vec![0; 4];
        header.extend(index_of(&self.name)?.to_ne_bytes());
        header.extend(up.iter().chain(&up));
        Socket::open(libc::NETLINK_ROUTE, 0)?.request(Message::new(libc::RTM_NEWLINK, REQUEST | ACK, &header))
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
