//! TUN devices: IP packets in and out of the kernel (`linux/if_tun.h`, Documentation/networking/tuntap.rst).

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::{address, check, check_size};
use crate::bond::offload::{Offload, Virtio};

/// What a device with offloads is told, as far as it knows it: `TUN_F_CSUM`, `TUN_F_TSO4`, `TUN_F_TSO6`, `TUN_F_TSO_ECN` of
/// `linux/if_tun.h`, and from Linux 6.2 on `TUN_F_USO4`, `TUN_F_USO6`.
const CHECKSUM: libc::c_uint = 0x01;
const TCP: libc::c_uint = CHECKSUM | 0x02 | 0x04 | 0x08;
const TCP_AND_UDP: libc::c_uint = TCP | 0x20 | 0x40;

/// A TUN device. It vanishes with its descriptor, unless it was there before and is persistent.
pub struct Tun {
    file: File,
    name: String,
    /// Packets have a [`Virtio`] in front.
    header: bool,
}

impl Tun {
    /// Creates the device `name`, or takes a persistent one that is there.
    pub fn open(name: &str) -> io::Result<Self> {
        Self::with_flags(name, libc::IFF_TUN | libc::IFF_NO_PI)
    }

    /// The same, for packets of up to 64 KB with their checksums pending: of what is wanted, as far as the kernel has it. With
    /// `queues`, each further call of this name adds a queue: the kernel spreads the flows over them.
    pub fn open_large(name: &str, wanted: Offload, queues: bool) -> io::Result<(Self, Offload)> {
        let flags = libc::IFF_TUN | libc::IFF_NO_PI | if queues { libc::IFF_MULTI_QUEUE } else { 0 };
        if !wanted.checksum {
            return Ok((Self::with_flags(name, flags)?, Offload::default()));
        }
        let mut tun = match Self::with_flags(name, flags | libc::IFF_VNET_HDR) {
            Ok(tun) => tun,
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                return Ok((Self::with_flags(name, flags)?, Offload::default()));
            }
            Err(error) => return Err(error),
        };
        tun.header = true;
        let length = Virtio::LENGTH as libc::c_int;
        // SAFETY: TUNSETVNETHDRSZ reads one int, which outlives the call.
        check(unsafe { libc::ioctl(tun.file.as_raw_fd(), libc::TUNSETVNETHDRSZ as _, &raw const length) })?;
        let steps = [
            (TCP_AND_UDP, wanted),
            (TCP, Offload { udp: false, ..wanted }),
            (CHECKSUM, Offload::CHECKSUM),
            (0, Offload::CHECKSUM),
        ];
        let wants = |features: libc::c_uint| {
            (wanted.tcp || features & TCP == CHECKSUM) && (wanted.udp || features != TCP_AND_UDP)
        };
        // What it takes from us needs no leave, so the last step is as good as the one before.
        let got = steps.into_iter().find(|(features, _)| wants(*features) && tun.set_offload(*features).is_ok());
        Ok((tun, got.map_or(Offload::CHECKSUM, |(_, offload)| offload)))
    }

    fn with_flags(name: &str, flags: libc::c_int) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open("/dev/net/tun")?;
        let mut request = request_of(name)?;
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes one ifreq, which outlives the call.
        check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &mut request) })?;
        let one: libc::c_int = 1;
        // SAFETY: FIONBIO reads one int, which outlives the call.
        check(unsafe { libc::ioctl(file.as_raw_fd(), libc::FIONBIO as _, &raw const one) })?;
        Ok(Tun { file, name: name.to_owned(), header: false })
    }

    fn set_offload(&self, features: libc::c_uint) -> io::Result<()> {
        let argument = features as libc::c_ulong;
        // SAFETY: TUNSETOFFLOAD takes a number.
        check(unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TUNSETOFFLOAD as _, argument) }).map(drop)
    }

    /// How many packets the kernel keeps until they are read. Short queues are what the senders' congestion control likes.
    pub fn set_queue(&self, packets: u32) -> io::Result<()> {
        let mut request = request_of(&self.name)?;
        // Any of the union's integers: `ifr_qlen` is one more name of it.
        request.ifr_ifru.ifru_mtu = packets.min(i32::MAX as u32) as libc::c_int;
        let socket = super::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        // SAFETY: SIOCSIFTXQLEN reads one ifreq, which outlives the call.
        check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFTXQLEN as _, &raw const request) }).map(drop)
    }

    /// The next packet with its header, if there is one. `buffer` shall have 64 KB and [`Virtio::LENGTH`] of room: of what is
    /// longer the kernel gives no more than fits.
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<(Virtio, &'b mut [u8])>> {
        let length = match (&self.file).read(buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Some(bytes) = buffer.get_mut(..length) else { return Ok(None) };
        if !self.header {
            return Ok(Some((Virtio::default(), bytes)));
        }
        let parts = bytes.split_at_mut_checked(Virtio::LENGTH);
        Ok(parts.and_then(|(header, packet)| Some((Virtio::read(header)?, packet))))
    }

    /// Hands the kernel a packet in two parts, as if it had arrived on the device. Without offloads the header is left out.
    pub fn write(&self, header: &Virtio, head: &[u8], body: &[u8]) -> io::Result<()> {
        let header = header.bytes();
        let part = |bytes: &[u8]| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let parts = [part(if self.header { &header } else { &[] }), part(head), part(body)];
        // SAFETY: three parts, each readable for its length.
        check_size(unsafe { libc::writev(self.file.as_raw_fd(), parts.as_ptr(), 3) }).map(drop)
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

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel's number of it.
    pub fn index(&self) -> io::Result<u32> {
        super::index_of(&self.name)
    }

    /// Gives the device an address, with the length of its network.
    pub fn add_address(&self, address: IpAddr, length: u8) -> io::Result<()> {
        address::add(&self.name, address, length)
    }

    pub fn set_up(&self) -> io::Result<()> {
        address::start(&self.name)
    }
}

/// Whether an error of reading says that the device was deleted.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBADFD | libc::EBADF))
}

/// `ifreq` with a device's name.
fn request_of(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: ifreq is plain integers, for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    // The last byte stays zero.
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a device's name has 1 to 15 bytes"));
    }
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *slot = byte as libc::c_char;
    }
    Ok(request)
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
