//! Which packets have a checksum that a device may fill in, and what stands in it until then.

use crate::packet::checksum::{self, closed, closed_transport, fold, words};
use crate::packet::numbers::{TCP, UDP};

/// Where a TCP or UDP packet's parts are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    pub tcp: bool,
    pub ipv6: bool,
    /// Where the transport header starts, in bytes.
    pub transport: usize,
    /// Where it ends.
    pub head: usize,
}

impl Layout {
    /// Of a packet that begins with `head` and is `length` bytes long. `None` unless `head` has both headers of an unfragmented
    /// TCP or UDP packet, without extension headers, of just this length.
    pub fn of(head: &[u8], length: usize) -> Option<Layout> {
        let (ipv6, transport, protocol) = match *head {
            [first, _, high, low, _, _, flags, offset, _, protocol, ..] if first >> 4 == 4 => {
                let transport = usize::from(first & 15) * 4;
                let whole = flags & 0x3f == 0 && offset == 0;
                let fits = usize::from(u16::from_be_bytes([high, low])) == length;
                (transport >= 20 && whole && fits).then_some((false, transport, protocol))?
            }
            [first, _, _, _, high, low, protocol, ..] if first >> 4 == 6 => {
                let fits = usize::from(u16::from_be_bytes([high, low])) + 40 == length;
                fits.then_some((true, 40, protocol))?
            }
            _ => return None,
        };
        let (tcp, end) = match protocol {
            TCP => (true, transport + usize::from(*head.get(transport + 12)? >> 4) * 4),
            UDP => (false, transport + 8),
            _ => return None,
        };
        let smallest = if tcp { 20 } else { 8 };
        let fits = end >= transport + smallest && end <= head.len() && end <= length;
        // A datagram's own length is the packet's, or nobody knows which.
        let own = tcp || head.get(transport + 4..transport + 6)? == ((length - transport) as u16).to_be_bytes();
        (fits && own).then_some(Layout { tcp, ipv6, transport, head: end })
    }

    /// Where the checksum is, from the transport header's start.
    pub const fn offset(&self) -> usize {
        if self.tcp { 16 } else { 6 }
    }

    /// The sum of the pseudo-header (RFC 9293 3.1, RFC 8200 8.1) of a packet `length` bytes long, as it is written into a
    /// field that is pending. Never zero.
    pub fn pseudo(&self, head: &[u8], length: usize) -> [u8; 2] {
        let addresses = if self.ipv6 { head.get(8..40) } else { head.get(12..20) };
        let protocol = if self.tcp { TCP } else { UDP };
        let rest = length.saturating_sub(self.transport);
        fold(checksum::pseudo(addresses.unwrap_or_default(), protocol, rest)).to_ne_bytes()
    }

    /// Whether the checksum of a packet in two parts, the first of them of even length, is good.
    pub fn verify(&self, head: &[u8], body: &[u8]) -> bool {
        let pseudo = self.pseudo(head, head.len() + body.len());
        let sum = words(&pseudo) + words(head.get(self.transport..).unwrap_or_default()) + words(body);
        fold(sum) == 0xffff
    }
}

/// Makes the header checksum of an IPv4 header, options included, anew.
pub fn finish_ipv4(header: &mut [u8]) {
    put(header, 10, [0, 0]);
    let sum = closed(words(header));
    put(header, 10, sum);
}

/// Fills in a checksum: of all bytes from `start` on, to the field `offset` bytes further, which holds the pseudo-header's sum.
/// `false`: there is no such field.
pub fn complete(packet: &mut [u8], start: usize, offset: usize) -> bool {
    let Some(covered) = packet.get(start..).filter(|covered| covered.len() >= offset + 2) else { return false };
    let sum = closed_transport(words(covered));
    put(packet, start + offset, sum);
    true
}

/// Writes two bytes where there is room for them.
pub(super) fn put(bytes: &mut [u8], at: usize, value: [u8; 2]) {
    if let Some(slot) = bytes.get_mut(at..at + 2) {
        slot.copy_from_slice(&value);
    }
}
