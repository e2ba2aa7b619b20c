//! Netlink: sockets, messages and attributes (RFC 3549; `linux/netlink.h`, `linux/netfilter/nfnetlink.h`).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{check, check_size, set_option, socket};

/// `nlmsghdr` is 16 bytes.
const HEADER: usize = 16;

pub const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
pub const ACK: u16 = libc::NLM_F_ACK as u16;
pub const CREATE: u16 = libc::NLM_F_CREATE as u16;
pub const EXCLUSIVE: u16 = libc::NLM_F_EXCL as u16;
pub const REPLACE: u16 = libc::NLM_F_REPLACE as u16;
pub const DUMP: u16 = libc::NLM_F_DUMP as u16;

/// Messages of a dump are up to 32 KB (`NLMSG_GOODSIZE` and `netlink_dump` in the kernel).
pub const DUMP_BUFFER: usize = 32 * 1024;

pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    /// Its address.
    pub port: u32,
}

impl Socket {
    /// `protocol`: `NETLINK_ROUTE` or `NETLINK_NETFILTER`; `groups`: legacy multicast groups as bits.
    pub fn open(protocol: libc::c_int, groups: u32) -> io::Result<Self> {
        let fd = socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol)?;
        // SAFETY: sockaddr_nl is plain integers, for which zeroes are valid.
        let mut address: libc::sockaddr_nl = unsafe { core::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = groups;
        let mut size = size_of_val(&address) as libc::socklen_t;
        // SAFETY: `address` is a sockaddr_nl of `size` bytes, writable throughout.
        unsafe {
            check(libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size))?;
            check(libc::getsockname(fd.as_raw_fd(), (&raw mut address).cast(), &mut size))?;
        }
        Ok(Socket { fd, sequence: 0, port: address.nl_pid })
    }

    pub fn set_netlink_option(&self, name: libc::c_int) -> io::Result<()> {
        set_option(&self.fd, libc::SOL_NETLINK, name, &1u32)
    }

    /// Its buffers, in bytes of kernel memory: see [`super::set_buffers`].
    pub fn set_buffers(&self, bytes: libc::c_int) {
        super::set_buffers(&self.fd, bytes);
    }

    pub fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.sequence
    }

    pub fn send(&self, messages: &[u8]) -> io::Result<()> {
        // SAFETY: pointer and length are those of one live slice.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), messages.as_ptr().cast(), messages.len(), 0) };
        check_size(sent).map(drop)
    }

    /// Waits for one datagram of messages, or with `wait` unset takes what is there (`WouldBlock`: nothing).
    /// Messages that did not come from the kernel are skipped.
    pub fn receive<'b>(&self, buffer: &'b mut [u8], wait: bool) -> io::Result<&'b [u8]> {
        let flags = if wait { 0 } else { libc::MSG_DONTWAIT };
        loop {
            // SAFETY: sockaddr_nl is plain integers, for which zeroes are valid.
            let mut from: libc::sockaddr_nl = unsafe { core::mem::zeroed() };
            let mut size = size_of_val(&from) as libc::socklen_t;
            // SAFETY: buffer and address are writable for their lengths.
            let got = unsafe {
                let (data, length) = (buffer.as_mut_ptr().cast(), buffer.len());
                libc::recvfrom(self.fd.as_raw_fd(), data, length, flags, (&raw mut from).cast(), &mut size)
            };
            match check_size(got) {
                Ok(length) if from.nl_pid == 0 => return Ok(&buffer[..length.min(buffer.len())]),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends one request and waits for its acknowledgment.
    pub fn request(&mut self, mut message: Message) -> io::Result<()> {
        let sequence = self.next_sequence();
        message.set(ACK, sequence);
        self.send(message.bytes())?;
        let mut buffer = [0u8; 4096];
        loop {
            for answer in Messages(self.receive(&mut buffer, true)?) {
                if answer.sequence == sequence
                    && let Some(result) = answer.error()
                {
                    return result;
                }
            }
        }
    }

    /// Sends a dump request and hands every message of the answer to `each`.
    pub fn dump(&mut self, message: Message, mut each: impl FnMut(&Answer)) -> io::Result<()> {
        self.dump_to(message, &mut each)
    }

    /// As `dump`, once for all kinds of `each`.
    #[inline(never)]
    fn dump_to(&mut self, mut message: Message, each: &mut dyn FnMut(&Answer)) -> io::Result<()> {
        let sequence = self.next_sequence();
        message.set(DUMP, sequence);
        self.send(message.bytes())?;
        let mut buffer = vec![0u8; DUMP_BUFFER];
        let mut whole = true;
        loop {
            for answer in Messages(self.receive(&mut buffer, true)?) {
                if answer.sequence != sequence {
                    continue;
                }
                whole &= answer.flags & libc::NLM_F_DUMP_INTR as u16 == 0;
                match answer.error() {
                    // What was listed changed meanwhile: there may be holes.
                    Some(Ok(())) if !whole => return Err(io::Error::from_raw_os_error(libc::EINTR)),
                    Some(result) => return result,
                    None => each(&answer),
                }
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// One message under construction, or several in a row.
#[derive(Default, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    start: usize,
}

impl Message {
    /// `header`: the family's own header, such as `rtmsg` or `nfgenmsg`.
    pub fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut message = Message::default();
        message.begin(kind, flags, 0, header);
        message
    }

    /// Ends the message before, if any, and begins another in the same buffer.
    pub fn begin(&mut self, kind: u16, flags: u16, sequence: u32, header: &[u8]) {
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(REQUEST | flags).to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(header);
        self.close();
    }

    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = (value.len() + 4) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.close();
        self
    }

    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// In network order, as netfilter wants its numbers.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    pub fn be16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    pub fn address(&mut self, kind: u16, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    /// An attribute whose value is the attributes that `inside` adds.
    pub fn nested(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.bytes.len();
        self.attribute(kind | libc::NLA_F_NESTED as u16, &[]);
        inside(self);
        self.close_nested(at);
        self
    }

    /// Writes how long the attribute at `at` has become.
    #[inline(never)]
    fn close_nested(&mut self, at: usize) {
        let length = (self.bytes.len() - at) as u16;
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    fn set(&mut self, flags: u16, sequence: u32) {
        let start = self.start;
        let old = u16::from_ne_bytes([self.bytes[start + 6], self.bytes[start + 7]]);
        self.bytes[start + 6..start + 8].copy_from_slice(&(old | flags).to_ne_bytes());
        self.bytes[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
    }

    /// Pads to four bytes and writes the message's length so far.
    fn close(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let (start, length) = (self.start, (self.bytes.len() - self.start) as u32);
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

/// A message from the kernel: its header's fields, and what follows.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    /// The socket whose request this comes of, be it an answer or news for everybody; 0: the kernel's own doing.
    pub port: u32,
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// What an `NLMSG_ERROR` says, or an `NLMSG_DONE`, where a dump may have ended halfway; `None` for other messages.
    pub fn error(&self) -> Option<io::Result<()>> {
        if ![libc::NLMSG_ERROR, libc::NLMSG_DONE].contains(&i32::from(self.kind)) {
            return None;
        }
        Some(match array(self.body, 0).map_or(0, i32::from_ne_bytes) {
            0.. => Ok(()),
            code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        })
    }

    /// The attributes that follow a family header of `size` bytes.
    pub fn attributes(&self, size: usize) -> Attributes<'a> {
        Attributes(self.body.get(size..).unwrap_or_default())
    }
}

/// The messages of a datagram.
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Answer<'a>;

    fn next(&mut self) -> Option<Answer<'a>> {
        let length = u32::from_ne_bytes(array(self.0, 0)?) as usize;
        let answer = Answer {
            kind: u16::from_ne_bytes(array(self.0, 4)?),
            flags: u16::from_ne_bytes(array(self.0, 6)?),
            sequence: u32::from_ne_bytes(array(self.0, 8)?),
            port: u32::from_ne_bytes(array(self.0, 12)?),
            body: self.0.get(HEADER..length)?,
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(answer)
    }
}

/// Attributes as (type, value).
#[derive(Clone, Copy)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(array(self.0, 0)?));
        let kind = u16::from_ne_bytes(array(self.0, 2)?) & !(libc::NLA_F_NESTED | libc::NLA_F_NET_BYTEORDER) as u16;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// `N` bytes of `bytes` from `at`.
pub fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// An attribute's value as an address: 4 or 16 bytes.
pub fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(array::<4>(value, 0)?)),
        16 => Some(IpAddr::from(array::<16>(value, 0)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_ends_halfway_is_an_error() {
        let end = |kind: i32, body: &[u8]| {
            let message = Message::new(kind as u16, 0, body);
            let answer = Messages(message.bytes()).next().unwrap();
            answer.error().map(|done| done.err().and_then(|error| error.raw_os_error()))
        };
        assert_eq!(end(libc::NLMSG_DONE, &0i32.to_ne_bytes()), Some(None));
        assert_eq!(end(libc::NLMSG_DONE, &[]), Some(None));
        for kind in [libc::NLMSG_DONE, libc::NLMSG_ERROR] {
            assert_eq!(end(kind, &(-libc::ENOMEM).to_ne_bytes()), Some(Some(libc::ENOMEM)));
        }
        assert_eq!(end(libc::RTM_NEWRULE.into(), &(-libc::ENOMEM).to_ne_bytes()), None);
    }
}
