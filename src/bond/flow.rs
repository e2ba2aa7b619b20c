//! Inner packets: which flow each belongs to, and what it asks of the bond.

use crate::packet::numbers::flags::{FIN, RST, SYN};
use crate::packet::numbers::{ICMP, ICMPV6, TCP, UDP};
use crate::time::{Span, Time};

/// An IP packet in two parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'p> {
    /// IP and transport header, or everything.
    pub head: &'p [u8],
    /// The rest.
    pub body: &'p [u8],
    /// The TCP or UDP checksum is to be filled in: its field holds the pseudo-header's sum.
    pub pending: bool,
}

impl Packet<'_> {
    /// Bytes of the whole packet.
    pub fn length(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// Tags below this one are of flows whose order is kept, the others of flows whose packets pass as they come. The tag alone
/// says which, so that the two never share sequence numbers and the ends cannot disagree.
pub const ORDERED: u8 = 192;

/// Whether the packets of this flow tag are kept in order.
pub const fn is_ordered(flow: u8) -> bool {
    flow < ORDERED
}

/// What the bond needs to know of an inner packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nature {
    /// The flow's tag: one of 256 buckets.
    pub flow: u8,
    /// A TCP segment: its flow is kept in order.
    pub ordered: bool,
    /// Worth two copies: its loss would cost somebody a whole timeout. TCP's SYN, FIN and RST without payload, DNS, ICMP. Not its
    /// acknowledgments: the next one says it, too, and those of a fast download fill a slow upload.
    pub urgent: bool,
    /// Of the 5-tuple; [`Flows`] tells flows apart by it.
    pub hash: u32,
    /// Of a TCP segment with payload: the sequence number after its last byte.
    pub end: Option<u32>,
}

/// What an inner packet is. `None`: no good IP packet.
pub fn nature(packet: &Packet) -> Option<Nature> {
    let layout = Layout::of(packet.head)?;
    let mut hash = Hash(0x9e37_79b9);
    for word in layout.addresses.chunks_exact(4) {
        hash.add(u32::from_be_bytes(word.try_into().ok()?));
    }
    hash.add(layout.protocol.into());
    let transport = if layout.fragment { &[] } else { packet.head.get(layout.transport..)? };
    let (mut ordered, mut urgent, mut end) = (false, false, None);
    match (layout.protocol, transport) {
        (TCP, [a, b, c, d, ..]) => {
            hash.add(u32::from_be_bytes([*a, *b, *c, *d]));
            let header = transport.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
            ordered = true;
            // A header that is cut or wrong is the receiver's to refuse.
            let payload = packet.length().saturating_sub(layout.transport + header) as u32;
            urgent = payload == 0 && transport.get(13).is_some_and(|flags| flags & (FIN | SYN | RST) != 0);
            let sequence = transport.get(4..8).and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)));
            end = sequence.filter(|_| payload > 0).map(|sequence| sequence.wrapping_add(payload));
        }
        (UDP, [a, b, c, d, ..]) => {
            hash.add(u32::from_be_bytes([*a, *b, *c, *d]));
            urgent = [u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])].contains(&DNS);
        }
        // Questions of people (echo) and errors that a sender waits for (packet too big).
        (ICMP | ICMPV6, [_, ..]) => urgent = true,
        _ => {}
    }
    let hash = hash.finish();
    let share = if ordered { u32::from(ORDERED) } else { 256 - u32::from(ORDERED) };
    let bucket = (((hash >> 16) * share) >> 16) as u8;
    let flow = if ordered { bucket } else { ORDERED + bucket };
    Some(Nature { flow, ordered, urgent, hash, end })
}

const DNS: u16 = 53;

/// Where things are in an IP packet.
pub(super) struct Layout<'p> {
    /// Source and destination: 8 or 32 bytes.
    addresses: &'p [u8],
    pub(super) protocol: u8,
    pub(super) transport: usize,
    /// A part of a packet: only the first one has ports, so none is looked at.
    pub(super) fragment: bool,
}

/// IPv6 extension headers that are looked behind. RFC 8200 4.1 names seven kinds, each at most once but one.
const MAX_EXTENSIONS: usize = 8;

impl<'p> Layout<'p> {
    pub(super) fn of(head: &'p [u8]) -> Option<Self> {
        match head.first()? >> 4 {
            4 => {
                let fixed = head.get(..20)?;
                let transport = usize::from(fixed[0] & 15) * 4;
                if transport < 20 || head.len() < transport {
                    return None;
                }
                // More fragments, or an offset.
                let fragment = u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff != 0;
                Some(Layout { addresses: &fixed[12..20], protocol: fixed[9], transport, fragment })
            }
            6 => {
                let fixed = head.get(..40)?;
                let (mut protocol, mut transport, mut fragment) = (fixed[6], 40, false);
                for _ in 0..MAX_EXTENSIONS {
                    let Some([next, length]) = head.get(transport..transport + 2) else { break };
                    let step = match protocol {
                        // Hop-by-hop options, routing, destination options.
                        0 | 43 | 60 => usize::from(*length) * 8 + 8,
                        44 => {
                            fragment = true;
                            8
                        }
                        _ => break,
                    };
                    protocol = *next;
                    transport += step;
                    if fragment {
                        break;
                    }
                }
                Some(Layout { addresses: &fixed[8..40], protocol, transport: transport.min(head.len()), fragment })
            }
            _ => None,
        }
    }
}

/// MurmurHash3 (32 bits), word by word: fast without a 64-bit multiplier. Not keyed: who picks its ports so that all its flows
/// meet in one bucket slows down only itself.
struct Hash(u32);

impl Hash {
    fn add(&mut self, word: u32) {
        let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
        self.0 = (self.0 ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }

    fn finish(self) -> u32 {
        let mut hash = self.0;
        hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
        hash ^ hash >> 16
    }
}

/// Packets of a flow that count as its start: a request, or an answer that fits into few packets.
const START: u8 = 3;
/// After this silence a flow starts anew: a keystroke, the next request.
const SILENCE: Span = Span::from_secs(1);
/// Flows that are told apart at a time. One that finds its place taken by a flow that is not silent gets no second copies;
/// nothing else happens to it.
const SLOTS: usize = 512;

/// Knows the first packets of each flow, and of each burst of it: they are few, and somebody waits for them. And what TCP sends
/// again.
#[derive(Debug)]
pub struct Flows {
    slots: Box<[Slot; SLOTS]>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    /// When the flow was last seen, in milliseconds (wraps after 49 days: then one flow may start twice or not at all).
    seen: u32,
    packets: u8,
    /// After the last byte that was sent.
    end: Option<u32>,
}

/// What a packet is in its flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Among the first of its flow, or of its flow after a silence.
    pub start: bool,
    /// A TCP segment whose bytes were all sent before.
    pub again: bool,
}

impl Default for Flows {
    fn default() -> Self {
        // A hash of 0 in slot 0 is a flow like any other, which has had its start.
        Flows { slots: Box::new([Slot { hash: 0, seen: 0, packets: 0, end: None }; SLOTS]) }
    }
}

impl Flows {
    /// Bytes of memory.
    pub fn held(&self) -> usize {
        size_of_val(&*self.slots)
    }

    /// Notes a packet.
    pub fn note(&mut self, nature: &Nature, now: Time) -> Place {
        let now = (now.0 / 1_000) as u32;
        let other = Place { start: false, again: false };
        let Some(slot) = self.slots.get_mut(nature.hash as usize % SLOTS) else { return other };
        let silent = u64::from(now.wrapping_sub(slot.seen)) >= SILENCE.as_millis() || slot.packets == 0;
        if silent {
            *slot = Slot { hash: nature.hash, seen: now, packets: 0, end: None };
        } else if slot.hash != nature.hash {
            return other;
        }
        slot.seen = now;
        slot.packets = slot.packets.saturating_add(1);
        let again = match (nature.end, slot.end) {
            (Some(end), Some(last)) => end.wrapping_sub(last) as i32 <= 0,
            _ => false,
        };
        if !again {
            slot.end = nature.end.or(slot.end);
        }
        Place { start: slot.packets <= START, again }
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
