//! Ethernet frames of our own between a device here and MAC addresses in the same network (packet(7)).
//!
//! Behind the frame's header, 14 bytes with the EtherType [`PROTOCOL`], comes the datagram's length in two bytes, big endian: an
//! Ethernet frame has at least 60 bytes, and nothing in it says which of them are padding. Then the datagram. So a device with an
//! MTU of 1,500 bytes takes datagrams of 1,498.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::batch::{Arena, Batch, Entry, Fault, Sent, fault};
use super::{check, index_of, set_buffers, socket};
use crate::bond::address::Address;

/// "Local Experimental EtherType 1" (IEEE 802, 9.2.4): no standard will ever use it.
pub const PROTOCOL: u16 = 0x88b5;
/// What comes before a datagram.
pub const LENGTH: usize = 2;

/// As [`super::udp`]'s.
const BUFFER: libc::c_int = 2_500_000;
/// Frames of one system call.
const FRAMES: usize = 64;

pub struct Ether {
    fd: OwnedFd,
    index: i32,
}

impl Ether {
    /// Hears, of all that arrives at `device`, the frames of our protocol that are for this host.
    pub fn open(device: &str) -> io::Result<Self> {
        // Protocol 0: it hears nothing before it is bound.
        let fd = socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, 0)?;
        set_buffers(&fd, BUFFER);
        filter(&fd)?;
        let index = index_of(device)? as i32;
        let address = link_address(index, [0; 6]);
        let size = size_of_val(&address) as libc::socklen_t;
        // SAFETY: `address` is readable for `size` bytes.
        check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size) })?;
        Ok(Ether { fd, index })
    }

    /// Sends a batch, in its order. Never waits.
    pub fn send(&mut self, batch: &mut Batch) -> Sent {
        let mut sent = Sent::default();
        while !batch.is_empty() && !sent.blocked {
            let (frames, error) = match self.send_some(batch) {
                Ok(frames) => (frames, None),
                Err(error) => (1, Some(fault(&error))),
            };
            match error {
                None => sent.datagrams += frames,
                Some(Fault::Again) => continue,
                Some(Fault::Blocked) => {
                    sent.blocked = true;
                    continue;
                }
                Some(Fault::TooLong) => {
                    sent.too_long += 1;
                    sent.refused = batch.entries().first().map(|entry| (entry.to, entry.length));
                }
                Some(Fault::Lost(number)) => (sent.lost, sent.error) = (sent.lost + 1, number),
            }
            batch.retain(|index| index >= frames);
        }
        sent
    }

    fn send_some(&self, batch: &Batch) -> io::Result<usize> {
        let mut lengths = [[0; LENGTH]; FRAMES];
        let mut names = [link_address(self.index, [0; 6]); FRAMES];
        let mut parts = [[libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; 2]; FRAMES];
        // SAFETY: mmsghdr is integers and pointers, for which zeroes are valid.
        let mut messages: [libc::mmsghdr; FRAMES] = unsafe { core::mem::zeroed() };
        let mut count = 0;
        let rooms = messages.iter_mut().zip(&mut parts).zip(lengths.iter_mut().zip(&mut names));
        for (entry, ((message, parts), (length, name))) in batch.entries().iter().zip(rooms) {
            let Entry { to: Address::Ethernet(mac), .. } = entry else { break };
            let datagram = batch.bytes_of(entry);
            *length = (datagram.len() as u16).to_be_bytes();
            *name = link_address(self.index, *mac);
            let part = |bytes: &[u8]| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            *parts = [part(length), part(datagram)];
            let head = &mut message.msg_hdr;
            head.msg_name = (&raw mut *name).cast();
            head.msg_namelen = size_of_val(name) as libc::socklen_t;
            (head.msg_iov, head.msg_iovlen) = (parts.as_mut_ptr(), 2);
            count += 1;
        }
        if count == 0 {
            // The first is for a socket of another kind.
            return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
        }
        let flags = libc::MSG_DONTWAIT as _;
        // SAFETY: `count` messages, whose names and parts are readable until the call returns.
        check(unsafe { libc::sendmmsg(self.fd.as_raw_fd(), messages.as_mut_ptr(), count, flags) })
            .map(|frames| frames as usize)
    }

    /// Hands out what has arrived, as much as fits into the arena; tells whether there may be more. Never waits.
    pub fn receive<'a>(
        &mut self,
        arena: &'a mut Arena,
        each: &mut dyn FnMut(&Address, &'a mut [u8]),
    ) -> io::Result<bool> {
        const ROOM: usize = 16_384;
        const MESSAGES: usize = 32;
        let mut names = [link_address(0, [0; 6]); MESSAGES];
        let mut parts = [libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }; MESSAGES];
        // SAFETY: as in `send_some`.
        let mut messages: [libc::mmsghdr; MESSAGES] = unsafe { core::mem::zeroed() };
        let mut count = 0;
        let rooms = parts.iter_mut().zip(&mut names).zip(arena.parts(ROOM));
        for (message, ((part, name), room)) in messages.iter_mut().zip(rooms) {
            *part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
            let head = &mut message.msg_hdr;
            head.msg_name = (&raw mut *name).cast();
            head.msg_namelen = size_of_val(name) as libc::socklen_t;
            (head.msg_iov, head.msg_iovlen) = (part, 1);
            count += 1;
        }
        let (fd, none) = (self.fd.as_raw_fd(), core::ptr::null_mut());
        // SAFETY: `count` messages, whose names and parts are writable, and used by nobody else until the call returns.
        let got = check(unsafe { libc::recvmmsg(fd, messages.as_mut_ptr(), count, libc::MSG_DONTWAIT as _, none) });
        let got = match got {
            Ok(got) => got as usize,
            Err(error) => match fault(&error) {
                Fault::Lost(libc::EBADF | libc::EFAULT | libc::EINVAL | libc::ENOTSOCK) => return Err(error),
                // A device that went down says so once.
                _ => return Ok(false),
            },
        };
        for ((message, name), room) in messages.iter().zip(&names).zip(arena.parts(ROOM)).take(got) {
            let Some((length, rest)) = room.get_mut(..message.msg_len as usize).and_then(|f| f.split_first_chunk_mut())
            else {
                continue;
            };
            let (Some(datagram), Some(mac)) =
                (rest.get_mut(..usize::from(u16::from_be_bytes(*length))), name.sll_addr.first_chunk())
            else {
                continue;
            };
            each(&Address::Ethernet(*mac), datagram);
        }
        Ok(got == count as usize)
    }
}

impl AsFd for Ether {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn link_address(index: i32, mac: [u8; 6]) -> libc::sockaddr_ll {
    let [a, b, c, d, e, f] = mac;
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: PROTOCOL.to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [a, b, c, d, e, f, 0, 0],
    }
}

/// Lets through what is for this host: not what a device in promiscuous mode hears between others, nor broadcasts
/// (`linux/filter.h`).
fn filter(fd: &OwnedFd) -> io::Result<()> {
    const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    /// `SKF_AD_OFF + SKF_AD_PKTTYPE`
    const KIND: u32 = (-0x1000i32 + 4) as u32;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        step(LOAD_BYTE, 0, 0, KIND),
        step(IF_EQUAL, 0, 1, libc::PACKET_HOST as u32),
        step(RETURN, 0, 0, u32::MAX),
        step(RETURN, 0, 0, 0),
    ];
    let all = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let (data, size) = ((&raw const all).cast(), size_of_val(&all) as libc::socklen_t);
    // SAFETY: `data` points at a sock_fprog, and that at `len` instructions, for the time of the call.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, data, size) }).map(drop)
}
