//! Hearing what a device sends and receives (packet(7)).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::{check, check_size, index_of, socket};

/// All IP packets of one device, both ways, from where its own header ends.
pub struct Listener {
    fd: OwnedFd,
}

impl Listener {
    pub fn open(device: &str) -> io::Result<Self> {
        // Protocol 0: it hears nothing before it is bound to the device.
        let fd = socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0)?;
        // SAFETY: sockaddr_ll is plain integers, for which zeroes are valid.
        let mut address: libc::sockaddr_ll = unsafe { core::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index_of(device)? as i32;
        let size = size_of_val(&address) as libc::socklen_t;
        // SAFETY: `address` is readable for `size` bytes.
        check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size) })?;
        Ok(Listener { fd })
    }

    /// Waits for the next packet; `None` for one that is none of IP, or is heard a second time.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        // SAFETY: sockaddr_ll is plain integers, for which zeroes are valid.
        let mut from: libc::sockaddr_ll = unsafe { core::mem::zeroed() };
        let mut size = size_of_val(&from) as libc::socklen_t;
        // SAFETY: buffer and address are writable for their lengths.
        let got = unsafe {
            let (data, length) = (buffer.as_mut_ptr().cast(), buffer.len());
            libc::recvfrom(self.fd.as_raw_fd(), data, length, 0, (&raw mut from).cast(), &mut size)
        };
        let length = match check_size(got) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            result => result?,
        };
        let ip = [libc::ETH_P_IP, libc::ETH_P_IPV6].contains(&libc::c_int::from(u16::from_be(from.sll_protocol)));
        // On the loopback device everything arrives as well.
        let twice = from.sll_hatype == libc::ARPHRD_LOOPBACK && from.sll_pkttype == libc::PACKET_OUTGOING;
        Ok(buffer.get(..length).filter(|_| ip && !twice))
    }
}
