//! What a TUN device with offloads reads and writes (`linux/virtio_net.h`, `linux/if_tun.h`): packets of up to 64 KB that a network
//! card would cut, and checksums that it would fill in.
//!
//! [`segments`] cuts what was read. Its packets keep their checksums pending: in the far kernel they arrive as if a card had
//! looked at them, and nobody ever sums up their bytes. [`super::coalesce`] is the way back.

use super::checksum::{Layout, complete, finish_ipv4, put};
use super::flow::Packet;
use crate::packet::checksum::{closed_transport, fold, words};
use crate::packet::numbers::flags::{CWR, FIN, PSH};

/// What a device may be asked to do for us.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offload {
    /// Packets have a [`Virtio`] in front, and the kernel takes them with their checksums pending.
    pub checksum: bool,
    /// It reads TCP packets that are to be cut. (It takes them whenever `checksum` is set.)
    pub tcp: bool,
    /// It reads and takes UDP packets that are to be cut (Linux 6.2).
    pub udp: bool,
}

impl Offload {
    pub const ALL: Offload = Offload { checksum: true, tcp: true, udp: true };
    pub const CHECKSUM: Offload = Offload { checksum: true, tcp: false, udp: false };
}

/// `struct virtio_net_hdr`, in the machine's byte order, as TUN has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Virtio {
    pub flags: u8,
    pub kind: u8,
    /// The length of all headers: a hint only.
    pub head: u16,
    /// The length of each segment's payload.
    pub size: u16,
    /// From where on the checksum is taken, and how far from there its field is.
    pub start: u16,
    pub offset: u16,
}

/// `flags`.
pub const PENDING: u8 = 1;
pub const VALID: u8 = 2;

/// `kind`. `ECN` comes with one of the others: the first segment alone has CWR.
pub const WHOLE: u8 = 0;
pub const TCP4: u8 = 1;
pub const TCP6: u8 = 4;
pub const UDP: u8 = 5;
const ECN: u8 = 0x80;

impl Virtio {
    pub const LENGTH: usize = 10;

    pub fn read(bytes: &[u8]) -> Option<Virtio> {
        let [flags, kind, h0, h1, s0, s1, c0, c1, o0, o1] = *bytes.first_chunk()?;
        let word = u16::from_ne_bytes;
        let (head, size, start, offset) = (word([h0, h1]), word([s0, s1]), word([c0, c1]), word([o0, o1]));
        Some(Virtio { flags, kind, head, size, start, offset })
    }

    pub fn bytes(&self) -> [u8; Self::LENGTH] {
        let ([h0, h1], [s0, s1]) = (self.head.to_ne_bytes(), self.size.to_ne_bytes());
        let ([c0, c1], [o0, o1]) = (self.start.to_ne_bytes(), self.offset.to_ne_bytes());
        [self.flags, self.kind, h0, h1, s0, s1, c0, c1, o0, o1]
    }

    /// Of a packet that is whole, and whose checksum is pending.
    pub(super) fn pending(layout: &Layout) -> Virtio {
        Virtio { flags: PENDING, start: layout.transport as u16, offset: layout.offset() as u16, ..Virtio::default() }
    }
}

/// Longer than the headers of any segment: IP with all options or some extensions, and TCP with all options.
const MAX_HEAD: usize = 256;

/// Hands out the packets that a device's packet stands for, in their order; tells how many. None if it makes no sense.
pub fn segments(packet: &mut [u8], header: &Virtio, each: &mut dyn FnMut(Packet)) -> usize {
    if header.kind == WHOLE {
        return usize::from(whole(packet, header, each).is_some());
    }
    cut(packet, header, each).unwrap_or(0)
}

fn whole(packet: &mut [u8], header: &Virtio, each: &mut dyn FnMut(Packet)) -> Option<()> {
    let length = packet.len();
    let layout = Layout::of(packet, length);
    let mut pending = false;
    if header.flags & PENDING != 0 {
        let (start, offset) = (usize::from(header.start), usize::from(header.offset));
        pending = layout.is_some_and(|layout| layout.transport == start && layout.offset() == offset);
        // What a tunnel left in its inner packet, or of some other protocol: the far end could not tell where it is.
        if !pending && !complete(packet, start, offset) {
            return None;
        }
    } else if header.flags & VALID != 0
        && let Some(layout) = layout
        && packet.get(layout.transport + layout.offset()..).is_some_and(|field| !field.starts_with(&[0, 0]))
    {
        // Somebody has checked it: the last device may as well make it anew.
        let sum = layout.pseudo(packet, length);
        put(packet, layout.transport + layout.offset(), sum);
        pending = true;
    }
    let (head, body) = packet.split_at_checked(layout.map_or(length, |layout| layout.head))?;
    each(Packet { head, body, pending });
    Some(())
}

fn cut(packet: &[u8], header: &Virtio, each: &mut dyn FnMut(Packet)) -> Option<usize> {
    let (kind, size, transport) = (header.kind & !ECN, usize::from(header.size), usize::from(header.start));
    let ipv6 = packet.first()? >> 4 == 6;
    let (tcp, offset) = match kind {
        TCP4 | TCP6 if ipv6 == (kind == TCP6) => (true, 16),
        UDP => (false, 6),
        _ => return None,
    };
    // The kernel never cuts what has its checksum already.
    if header.flags & PENDING == 0 || usize::from(header.offset) != offset || size == 0 {
        return None;
    }
    let network = if ipv6 { 40 } else { usize::from(packet.first()? & 15) * 4 };
    let length = if tcp { usize::from(*packet.get(transport + 12)? >> 4) * 4 } else { 8 };
    let fits =
        network >= 20 && transport >= network && length >= if tcp { 20 } else { 8 } && (ipv6 || transport == network);
    let (first, body) = packet.split_at_checked(transport + length).filter(|_| fits)?;
    let mut buffer = [0u8; MAX_HEAD];
    let head = buffer.get_mut(..first.len())?;
    head.copy_from_slice(first);
    let number = |at: usize| first.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes);
    let (identifier, old_sum) = (number(4)?, number(transport + offset)?);
    let sequence = u32::from_be_bytes(*first.get(transport + 4..)?.first_chunk()?);
    let flags = *first.get(transport + 13).unwrap_or(&0);
    let all = (packet.len() - transport) as u64;
    let count = body.len().div_ceil(size).max(1);
    let mut known = false;
    for index in 0..count {
        let chunk = body.get(index * size..body.len().min((index + 1) * size))?;
        let (total, covered) = (head.len() + chunk.len(), (length + chunk.len()) as u16);
        if ipv6 {
            put(head, 4, ((total - 40) as u16).to_be_bytes());
        } else {
            put(head, 2, (total as u16).to_be_bytes());
            put(head, 4, identifier.wrapping_add(index as u16).to_be_bytes());
            finish_ipv4(head.get_mut(..network)?);
        }
        if tcp {
            let now = sequence.wrapping_add((index * size) as u32);
            head.get_mut(transport + 4..transport + 8)?.copy_from_slice(&now.to_be_bytes());
            let first_only = if index == 0 { 0 } else { CWR };
            let last_only = if index + 1 == count { 0 } else { FIN | PSH };
            *head.get_mut(transport + 13)? = flags & !(first_only | last_only);
        } else {
            put(head, transport + 4, covered.to_be_bytes());
        }
        // RFC 1624: the sum with the one length out and the other in.
        let sum = u64::from(old_sum) + (0xffff - all % 0xffff) + u64::from(covered);
        put(head, transport + offset, fold(sum).to_be_bytes());
        if index == 0 {
            known = Layout::of(head, total).is_some();
        }
        // Behind extension headers, the far end could not tell where the checksum is.
        if !known {
            let sum = closed_transport(words(head.get(transport..)?) + words(chunk));
            put(head, transport + offset, sum);
        }
        each(Packet { head, body: chunk, pending: known });
    }
    Some(count)
}

#[cfg(test)]
#[path = "offload_tests.rs"]
pub(super) mod tests;
