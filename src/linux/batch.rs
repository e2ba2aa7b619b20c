//! Datagrams on their way out and in, many at a system call: what [`super::udp`] and [`super::ether`] share.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::bond::address::Address;
use crate::bond::sealing::Task;

/// Datagrams in one batch: four of the kernel's largest packets, cut.
pub const DATAGRAMS: usize = 256;
/// Their bytes. Of what no datagram ever filled, the kernel gives no memory.
const BYTES: usize = 384 * 1024;

/// Datagrams that leave together. Full, or at the end of a turn, it goes to a socket's `send`, which empties it.
pub struct Batch {
    /// The first `used` are those of datagrams; behind them are some of earlier ones.
    bytes: Vec<u8>,
    used: usize,
    entries: Vec<Entry>,
    /// What is still to be done to each, until the batch is sealed.
    sealings: Vec<Option<Task>>,
}

#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub to: Address,
    pub start: usize,
    pub length: usize,
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// Datagrams that the kernel took.
    pub datagrams: usize,
    /// Those that are longer than the device's packets.
    pub too_long: usize,
    /// The last of those: where to, and how long.
    pub refused: Option<(Address, usize)>,
    /// Those that were lost: the device's queue was full, or there is no way to go.
    pub lost: usize,
    /// The last error number that a loss came with, such as `ENETUNREACH`; 0: none.
    pub error: i32,
    /// The socket's buffer is full. What is left stays in the batch: send it again once the socket is writable, or clear it.
    pub blocked: bool,
}

impl Batch {
    #[allow(clippy::new_without_default, reason = "it is large")]
    pub fn new() -> Self {
        Batch { bytes: Vec::new(), used: 0, entries: Vec::new(), sealings: Vec::new() }
    }

    /// Whether there is room for a datagram of `length` bytes. If not, the batch must be sent first.
    pub fn has_room(&self, length: usize) -> bool {
        self.entries.len() < DATAGRAMS && self.used + length <= BYTES
    }

    /// Room for a datagram of `length` bytes to `to`, to be filled in place, and to be sealed by [`unsealed`](Self::unsealed)'s
    /// caller, should that be left there. All of it: an earlier datagram's bytes may be in it. `None`: the batch must be sent
    /// first.
    pub fn slot(&mut self, to: &Address, length: usize) -> Option<(&mut [u8], &mut Option<Task>)> {
        let (start, end) = (self.used, self.used + length);
        if !self.has_room(length) {
            return None;
        }
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(BYTES);
            self.entries.reserve_exact(DATAGRAMS);
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.used = end;
        self.sealings.resize_with(self.entries.len(), || None);
        self.sealings.push(None);
        self.entries.push(Entry { to: *to, start, length });
        self.bytes.get_mut(start..end).zip(self.sealings.last_mut())
    }

    /// Takes out what is still to be done to datagrams.
    pub fn unsealed<'b>(&'b mut self, each: &mut dyn FnMut(&Address, &'b mut [u8], Task)) {
        let (mut rest, mut before) = (&mut *self.bytes, 0);
        for (entry, sealing) in self.entries.iter().zip(self.sealings.drain(..)) {
            let skipped = core::mem::take(&mut rest).split_at_mut_checked(entry.start - before);
            let found = skipped.and_then(|(_, from)| from.split_at_mut_checked(entry.length));
            let Some((datagram, behind)) = found else { return };
            (rest, before) = (behind, entry.start + entry.length);
            if let Some(task) = sealing {
                each(&entry.to, datagram, task);
            }
        }
    }

    /// The same with the bytes at hand. `false`: the batch must be sent first.
    pub fn push(&mut self, to: &Address, datagram: &[u8]) -> bool {
        let slot = self.slot(to, datagram.len());
        slot.map(|(slot, _)| slot.copy_from_slice(datagram)).is_some()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn bytes(&self) -> usize {
        self.used
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.sealings.clear();
        self.used = 0;
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    #[cfg(test)]
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|entry| self.bytes_of(entry))
    }

    pub(super) fn bytes_of(&self, entry: &Entry) -> &[u8] {
        self.bytes.get(entry.start..entry.start + entry.length).unwrap_or_default()
    }

    /// Takes out what `keep` does not want, in one pass; the bytes stay until everything is out.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut index = 0;
        self.entries.retain(|_| {
            index += 1;
            keep(index - 1)
        });
        if self.entries.is_empty() {
            self.used = 0;
        }
    }
}

/// Room for what arrives, for all sockets of a thread.
pub struct Arena {
    bytes: Vec<u8>,
}

/// As [`BYTES`]: eight of the largest packets.
const ARENA: usize = 8 * 65_536;

impl Arena {
    #[allow(clippy::new_without_default, reason = "it is large")]
    pub fn new() -> Self {
        Arena { bytes: vec![0; ARENA] }
    }

    /// Equal parts of `size` bytes.
    pub(super) fn parts(&mut self, size: usize) -> core::slice::ChunksExactMut<'_, u8> {
        self.bytes.chunks_exact_mut(size)
    }
}

/// How an error that sending came back with is to be taken.
pub(super) enum Fault {
    /// The same again.
    Again,
    /// Later.
    Blocked,
    TooLong,
    Lost(i32),
}

pub(super) fn fault(error: &io::Error) -> Fault {
    match error.raw_os_error() {
        Some(libc::EINTR) => Fault::Again,
        Some(libc::EAGAIN) => Fault::Blocked,
        Some(libc::EMSGSIZE) => Fault::TooLong,
        Some(number) => Fault::Lost(number),
        None => Fault::Lost(libc::EIO),
    }
}

/// `sockaddr_in` or `sockaddr_in6`, as their bytes are on every Linux.
#[derive(Clone, Copy)]
pub(super) struct Name {
    pub bytes: [u8; Name::LENGTH],
    pub length: usize,
}

impl Name {
    pub const LENGTH: usize = size_of::<libc::sockaddr_in6>();
    pub const EMPTY: Name = Name { bytes: [0; Name::LENGTH], length: 0 };

    pub fn of(address: SocketAddr) -> Name {
        let mut bytes = [0; Name::LENGTH];
        let [p0, p1] = address.port().to_be_bytes();
        let length = match address {
            SocketAddr::V4(address) => {
                let [f0, f1] = (libc::AF_INET as libc::sa_family_t).to_ne_bytes();
                let [a, b, c, d] = address.ip().octets();
                bytes[..8].copy_from_slice(&[f0, f1, p0, p1, a, b, c, d]);
                size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(address) => {
                let [f0, f1] = (libc::AF_INET6 as libc::sa_family_t).to_ne_bytes();
                bytes[..4].copy_from_slice(&[f0, f1, p0, p1]);
                bytes[8..24].copy_from_slice(&address.ip().octets());
                bytes[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
                Name::LENGTH
            }
        };
        Name { bytes, length }
    }

    pub fn address(&self) -> Option<SocketAddr> {
        let [f0, f1, p0, p1, a, b, c, d, ..] = self.bytes;
        let port = u16::from_be_bytes([p0, p1]);
        match libc::c_int::from(libc::sa_family_t::from_ne_bytes([f0, f1])) {
            libc::AF_INET => Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port)),
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from(*self.bytes.get(8..)?.first_chunk::<16>()?);
                let scope = u32::from_ne_bytes(*self.bytes.get(24..)?.first_chunk()?);
                Some(SocketAddrV6::new(ip, port, 0, scope).into())
            }
            _ => None,
        }
    }
}

/// Room for control messages, aligned as they must be (cmsg(3)).
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Notes {
    pub bytes: [u8; Notes::LENGTH],
    pub length: usize,
}

impl Notes {
    /// `cmsghdr`: length, level, type.
    const HEADER: usize = size_of::<libc::cmsghdr>();
    /// The packet's address and its segments' size, with room to spare.
    pub const LENGTH: usize = 96;
    pub const EMPTY: Notes = Notes { bytes: [0; Notes::LENGTH], length: 0 };

    /// Adds a message. There is always room for the two kinds that we send.
    pub fn add(&mut self, level: libc::c_int, kind: libc::c_int, value: &[u8]) {
        let (start, length) = (self.length, Self::HEADER + value.len());
        let end = start + length.next_multiple_of(size_of::<usize>());
        let Some(room) = self.bytes.get_mut(start..end) else { return };
        let fields = [&length.to_ne_bytes()[..], &level.to_ne_bytes(), &kind.to_ne_bytes(), value];
        let bytes = fields.into_iter().flatten();
        room.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
        self.length = end;
    }

    /// The messages that came: (level, type, value).
    pub fn each(&self, mut each: impl FnMut(libc::c_int, libc::c_int, &[u8])) {
        const WORD: usize = size_of::<usize>();
        let mut rest = self.bytes.get(..self.length).unwrap_or_default();
        while let Some(head) = rest.get(..Self::HEADER) {
            let Some((length, kinds)) = head.split_first_chunk::<WORD>() else { return };
            let length = usize::from_ne_bytes(*length);
            let (Some((level, kinds)), true) = (kinds.split_first_chunk::<4>(), length >= Self::HEADER) else { return };
            let Some(kind) = kinds.first_chunk::<4>() else { return };
            let Some(value) = rest.get(Self::HEADER..length) else { return };
            each(libc::c_int::from_ne_bytes(*level), libc::c_int::from_ne_bytes(*kind), value);
            rest = rest.get(length.next_multiple_of(WORD)..).unwrap_or_default();
        }
    }
}

/// `in_pktinfo`: device, address of ours to be used, and (read only) the packet's own destination. `in6_pktinfo`: address, device.
pub(super) fn note_of(local: IpAddr) -> (libc::c_int, libc::c_int, [u8; 20], usize) {
    let mut value = [0; 20];
    match local {
        IpAddr::V4(address) => {
            value[4..8].copy_from_slice(&address.octets());
            (libc::IPPROTO_IP, libc::IP_PKTINFO, value, 12)
        }
        IpAddr::V6(address) => {
            value[..16].copy_from_slice(&address.octets());
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, value, 20)
        }
    }
}

/// The address that a packet was sent to, if the message says it.
pub(super) fn local_of(level: libc::c_int, kind: libc::c_int, value: &[u8]) -> Option<IpAddr> {
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => Some(IpAddr::from(*value.get(8..)?.first_chunk::<4>()?)),
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => Some(IpAddr::from(*value.first_chunk::<16>()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for address in ["192.0.2.1:5", "[2001:db8::1]:443", "[fe80::1%3]:1"] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(Name::of(address).address(), Some(address));
        }
        assert_eq!(Name::EMPTY.address(), None);
    }

    #[test]
    fn notes_are_read_as_they_are_written() {
        let mut notes = Notes::EMPTY;
        let (level, kind, value, length) = note_of(Ipv6Addr::LOCALHOST.into());
        notes.add(level, kind, &value[..length]);
        notes.add(1, 2, &[3, 4]);
        let mut got = Vec::new();
        notes.each(|level, kind, value| got.push((level, kind, value.to_vec())));
        assert_eq!(got, [(level, kind, value.to_vec()), (1, 2, vec![3, 4])]);
        assert_eq!(local_of(level, kind, &value), Some(Ipv6Addr::LOCALHOST.into()));
        // Cut short, or with a length that makes no sense, it ends there.
        for length in 0..notes.length {
            notes.length = length;
            notes.each(|_, _, value| assert!(value.len() <= 20));
        }
        notes.length = Notes::LENGTH;
        notes.bytes.fill(0xff);
        notes.each(|_, _, _| panic!("there is none"));
    }

    #[test]
    fn a_batch_has_its_bounds() {
        let to = Address::udp(([127, 0, 0, 1], 9).into());
        let mut batch = Batch::new();
        while batch.slot(&to, 9000).is_some() {}
        assert_eq!(batch.len(), BYTES / 9000);
        assert!(!batch.push(&to, &[0; 9000]));
        batch.clear();
        while batch.push(&to, &[7; 60]) {}
        assert_eq!(batch.len(), DATAGRAMS);
        assert!(batch.slot(&to, 1).is_none());
        assert_eq!(batch.bytes_of(&batch.entries()[DATAGRAMS - 1]), [7; 60]);
    }
}
