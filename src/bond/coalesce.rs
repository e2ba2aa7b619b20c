//! Packets of one flow, joined to larger ones: a TUN device takes 64 KB at a time, which costs the kernel hardly more than one
//! packet. What may be joined is what the kernel's own GRO joins (`tcp_gro_receive` in net/ipv4/tcp_offload.c,
//! `udp_gro_receive_segment` in net/ipv4/udp_offload.c), so that cutting gives the same packets back.

use super::checksum::{Layout, complete, finish_ipv4, put};
use super::flow::Packet;
use super::offload::{Offload, TCP4, TCP6, UDP, Virtio};
use crate::packet::numbers::flags::{ACK, PSH};

/// Flows that are joined at a time. A batch of datagrams holds few that are worth it.
const FLOWS: usize = 8;
/// Packets in one: `UDP_MAX_SEGMENTS` of `linux/udp.h`, as it was first; at the usual size they are 64 KB of TCP just so.
const PACKETS: usize = 64;
/// An IP packet's length has 16 bits.
const LONGEST: usize = 65_535;

/// Takes packets for a device: header, and the packet in one or two parts.
pub type Each<'e> = &'e mut dyn FnMut(&Virtio, &[u8], &[u8]);

/// Joins packets until it is flushed, at the end of every batch. The order within a flow stays.
pub struct Coalescer {
    offload: Offload,
    slots: Vec<Slot>,
    /// Packets in two parts, where their checksum has to be made.
    scratch: Vec<u8>,
    turn: u32,
}

/// A flow's packets so far.
struct Slot {
    packet: Vec<u8>,
    layout: Layout,
    /// Of the first packet, and of all but the last one.
    size: usize,
    /// 0: the slot is free.
    count: usize,
    /// What the next packet's sequence and IPv4 identifier are.
    sequence: u32,
    identifier: u16,
    /// Checksums are pending. If not, there is one packet.
    pending: bool,
    /// The older one leaves first.
    turn: u32,
}

impl Coalescer {
    pub fn new(offload: Offload) -> Self {
        Coalescer { offload, slots: Vec::new(), scratch: Vec::new(), turn: 0 }
    }

    /// Takes a packet in. What is not worth waiting for goes to `each` at once, after what it must not overtake.
    pub fn push(&mut self, packet: Packet, each: Each) {
        let length = packet.head.len() + packet.body.len();
        let Some(layout) = Layout::of(packet.head, length).filter(|_| self.offload.checksum) else {
            return self.pass(packet, None, each);
        };
        // Both headers, and all of the payload, wherever they were cut.
        let (head, body) = match packet.head.split_at_checked(layout.head) {
            Some((head, [])) => (head, packet.body),
            Some((head, body)) if packet.body.is_empty() => (head, body),
            _ => return self.pass(packet, Some(layout), each),
        };
        let packet = Packet { head, body, pending: packet.pending };
        let known = self.slots.iter().position(|slot| slot.count > 0 && slot.is_flow_of(&layout, head));
        let joins = self.joins(&layout, &packet);
        if let Some(slot) = known.and_then(|known| self.slots.get_mut(known)) {
            if joins && slot.join(&layout, &packet) {
                // Nothing can follow a short one, nor one that the receiver shall see at once.
                if body.len() < slot.size || pushes(&layout, head) || slot.count == PACKETS {
                    slot.leave(each);
                }
                return;
            }
            slot.leave(each);
        }
        if !joins || pushes(&layout, head) {
            return self.pass(packet, Some(layout), each);
        }
        self.begin(layout, &packet, each);
    }

    /// Hands out everything, the oldest first.
    pub fn flush(&mut self, each: Each) {
        while let Some(slot) = self.slots.iter_mut().filter(|slot| slot.count > 0).min_by_key(|slot| slot.turn) {
            slot.leave(each);
        }
        // So that it cannot wrap within a batch.
        self.turn = 0;
    }

    /// Whether a packet is of the kind that is joined: data of TCP, with no flag but ACK and PSH, or of UDP with a checksum.
    fn joins(&self, layout: &Layout, packet: &Packet) -> bool {
        let Some(transport) = packet.head.get(layout.transport..) else { return false };
        let kind = if layout.tcp {
            transport.get(13).is_some_and(|flags| flags & !PSH == ACK)
        } else {
            self.offload.udp && transport.get(6..8).is_some_and(|sum| sum != [0, 0])
        };
        kind && !packet.body.is_empty()
    }

    /// A packet by itself.
    fn pass(&mut self, packet: Packet, layout: Option<Layout>, each: Each) {
        let Packet { head, body, pending } = packet;
        let length = head.len() + body.len();
        let layout = layout.or_else(|| Layout::of(head, length));
        match layout {
            Some(layout) if pending && self.offload.checksum => each(&Virtio::pending(&layout), head, body),
            Some(layout) if pending => {
                self.scratch.clear();
                self.scratch.extend_from_slice(head);
                self.scratch.extend_from_slice(body);
                complete(&mut self.scratch, layout.transport, layout.offset());
                each(&Virtio::default(), &self.scratch, &[]);
            }
            // A peer that says of another packet that something is to be filled in: nobody knows what.
            None if pending => {}
            _ => each(&Virtio::default(), head, body),
        }
    }

    fn begin(&mut self, layout: Layout, packet: &Packet, each: Each) {
        let free = self.slots.iter().position(|slot| slot.count == 0);
        let index = match free {
            Some(index) => index,
            None if self.slots.len() < FLOWS => {
                self.slots.push(Slot::free(layout));
                self.slots.len() - 1
            }
            None => {
                let oldest = self.slots.iter().enumerate().min_by_key(|(_, slot)| slot.turn);
                oldest.map_or(0, |(index, _)| index)
            }
        };
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.count > 0 {
            slot.leave(each);
        }
        self.turn = self.turn.wrapping_add(1);
        slot.turn = self.turn;
        slot.begin(layout, packet);
    }
}

fn pushes(layout: &Layout, head: &[u8]) -> bool {
    layout.tcp && head.get(layout.transport + 13).is_some_and(|flags| flags & PSH != 0)
}

fn sequence(layout: &Layout, head: &[u8]) -> u32 {
    let field = head.get(layout.transport + 4..).and_then(|rest| rest.first_chunk());
    field.map_or(0, |field| u32::from_be_bytes(*field))
}

fn identifier(head: &[u8]) -> u16 {
    head.get(4..).and_then(|rest| rest.first_chunk()).map_or(0, |field| u16::from_be_bytes(*field))
}

impl Slot {
    fn free(layout: Layout) -> Self {
        let packet = Vec::new();
        Slot { packet, layout, size: 0, count: 0, sequence: 0, identifier: 0, pending: false, turn: 0 }
    }

    fn begin(&mut self, layout: Layout, packet: &Packet) {
        self.packet.clear();
        self.packet.extend_from_slice(packet.head);
        self.packet.extend_from_slice(packet.body);
        (self.layout, self.size, self.count, self.pending) = (layout, packet.body.len(), 1, packet.pending);
        self.sequence = sequence(&layout, packet.head).wrapping_add(packet.body.len() as u32);
        self.identifier = identifier(packet.head).wrapping_add(1);
    }

    /// The same addresses and ports.
    fn is_flow_of(&self, layout: &Layout, head: &[u8]) -> bool {
        let own = &self.layout;
        let same = |from: usize, to: usize| self.packet.get(from..to) == head.get(from..to);
        let (from, to) = if layout.ipv6 { (8, 40) } else { (12, 20) };
        (own.tcp, own.ipv6, own.transport) == (layout.tcp, layout.ipv6, layout.transport)
            && same(from, to)
            && same(layout.transport, layout.transport + 4)
    }

    /// Appends the next packet of the flow. `false`: it does not continue this one.
    fn join(&mut self, layout: &Layout, packet: &Packet) -> bool {
        let Packet { head, body, pending } = *packet;
        let fits = body.len() <= self.size && self.packet.len() + body.len() <= LONGEST;
        if *layout != self.layout || !fits || !self.continues(head) {
            return false;
        }
        // What is summed up anew must have been right before.
        if !pending && !layout.verify(head, body) {
            return false;
        }
        if !self.pending {
            let first = self.packet.split_at_checked(layout.head);
            if !first.is_some_and(|(head, body)| layout.verify(head, body)) {
                return false;
            }
            self.pending = true;
        }
        self.packet.extend_from_slice(body);
        if pushes(layout, head)
            && let Some(flags) = self.packet.get_mut(layout.transport + 13)
        {
            *flags |= PSH;
        }
        self.count += 1;
        self.sequence = self.sequence.wrapping_add(body.len() as u32);
        self.identifier = self.identifier.wrapping_add(1);
        true
    }

    /// Whether all that may not change is as it was, and what counts counts on.
    fn continues(&self, head: &[u8]) -> bool {
        let same = |from: usize, to: usize| self.packet.get(from..to) == head.get(from..to);
        let at = self.layout.transport;
        let network = if self.layout.ipv6 {
            same(0, 4) && same(6, 40)
        } else {
            // Where nobody may cut the packet, its identifier means nothing (RFC 6864, 4.1).
            let whole = head.get(6).is_some_and(|flags| flags & 0x40 != 0);
            same(0, 2) && same(6, 10) && same(12, at) && (whole || identifier(head) == self.identifier)
        };
        // Acknowledgment, header length, window, urgent pointer and options.
        let tcp = || {
            same(at + 8, at + 13)
                && same(at + 14, at + 16)
                && same(at + 18, self.layout.head)
                && sequence(&self.layout, head) == self.sequence
        };
        network && (!self.layout.tcp || tcp())
    }

    fn leave(&mut self, each: Each) {
        let (length, layout) = (self.packet.len(), self.layout);
        let mut header = if self.pending { Virtio::pending(&layout) } else { Virtio::default() };
        if self.count > 1 {
            if layout.ipv6 {
                put(&mut self.packet, 4, ((length - 40) as u16).to_be_bytes());
            } else {
                put(&mut self.packet, 2, (length as u16).to_be_bytes());
                finish_ipv4(self.packet.get_mut(..layout.transport).unwrap_or_default());
            }
            if !layout.tcp {
                put(&mut self.packet, layout.transport + 4, ((length - layout.transport) as u16).to_be_bytes());
            }
            let sum = layout.pseudo(&self.packet, length);
            put(&mut self.packet, layout.transport + layout.offset(), sum);
            header.kind = match layout {
                Layout { tcp: false, .. } => UDP,
                Layout { ipv6: true, .. } => TCP6,
                _ => TCP4,
            };
            (header.head, header.size) = (layout.head as u16, self.size as u16);
        }
        self.count = 0;
        each(&header, &self.packet, &[]);
    }
}

#[cfg(test)]
#[path = "coalesce_tests.rs"]
mod tests;
