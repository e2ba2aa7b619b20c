//! TCP headers that can be squeezed, and what of them is carried.

use super::Name;
use crate::bond::flow::Packet;
use crate::packet::checksum::{self, closed, fold, words};
use crate::packet::numbers::flags::{ACK, PSH, SYN, URG};

/// IPv6 (40), TCP (20), timestamps (12).
const MAX_HEAD: usize = 72;

/// Flags of a squeezed packet.
pub const SEQUENCE: u8 = 0x01;
pub const ACKNOWLEDGMENT: u8 = 0x02;
pub const WINDOW: u8 = 0x04;
pub const ECHO: u8 = 0x08;
pub const PUSH: u8 = 0x10;
pub const EXTRA: u8 = 0x20;
pub const OPTIONS: u8 = 0x40;
pub const WIDE: u8 = 0x80;

/// NOP, NOP, timestamps (RFC 7323 appendix A).
pub const STAMPS: [u8; 4] = [1, 1, 8, 10];

/// The header of a context: IP, TCP, maybe timestamps, nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; MAX_HEAD],
    length: usize,
}

impl Head {
    pub const NONE: Head = Head { bytes: [0; MAX_HEAD], length: 0 };

    pub fn bytes(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length)
    }

    /// `None`: it is no such header.
    pub fn new(head: &[u8]) -> Option<Self> {
        let mould = Mould::of_head(head).filter(|mould| mould.fixed() == head.len() && mould.header == head.len())?;
        Some(mould.head())
    }

    pub fn mould(&self) -> Option<Mould<'_>> {
        Mould::of_head(self.bytes()?)
    }
}

/// A header that can be squeezed.
pub struct Mould<'p> {
    pub head: &'p [u8],
    /// Bytes of the IP header: 20 or 40.
    pub ip: usize,
    pub stamps: bool,
    /// Bytes of all headers.
    header: usize,
}

impl<'p> Mould<'p> {
    /// A packet whose lengths and checksums will be rebuilt as they are.
    pub fn of(packet: &Packet<'p>) -> Option<Self> {
        let mould = Self::of_head(packet.head)?;
        let length = u16::from_be_bytes(*packet.head.get(if mould.is_v6() { 4..6 } else { 2..4 })?.first_chunk()?);
        let expected = packet.length() - if mould.is_v6() { 40 } else { 0 };
        if usize::from(length) != expected || (!mould.is_v6() && !valid(packet.head.get(..20)?)) {
            return None;
        }
        if packet.pending {
            let sum = pseudo(packet.head, mould.ip, packet.length() - mould.ip)?;
            if mould.bytes(16) != Some(sum) {
                return None;
            }
        }
        Some(mould)
    }

    /// All that can be said without the payload.
    fn of_head(head: &'p [u8]) -> Option<Self> {
        let (ip, protocol) = match *head.first()? {
            // Of the flags and the offset only DF may be set.
            0x45 if head.get(6)? & 0xbf == 0 && *head.get(7)? == 0 => (20, *head.get(9)?),
            0x60..=0x6f => (40, *head.get(6)?),
            _ => return None,
        };
        let tcp = head.get(ip..ip + 20)?;
        // Reserved bits, SYN, urgent data: rare, and gone soon.
        if protocol != 6 || tcp[12] & 0x0f != 0 || tcp[13] & (SYN | URG) != 0 || tcp[18..20] != [0; 2] {
            return None;
        }
        let header = ip + usize::from(tcp[12] >> 4) * 4;
        let options = head.get(ip + 20..header)?;
        let stamps = options.len() >= 12 && options.starts_with(&STAMPS);
        Some(Mould { head: head.get(..header)?, ip, stamps, header })
    }

    pub fn is_v6(&self) -> bool {
        self.ip == 40
    }

    pub fn may_fragment(&self) -> bool {
        !self.is_v6() && self.head.get(6).is_some_and(|flags| flags & 0x40 == 0)
    }

    /// Bytes before the options that are carried as they are.
    pub fn fixed(&self) -> usize {
        self.ip + if self.stamps { 32 } else { 20 }
    }

    /// `N` bytes at an offset in the TCP header.
    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.head.get(self.ip + at..)?.first_chunk().copied()
    }

    /// A number of four bytes in the TCP header.
    pub fn number(&self, at: usize) -> [u8; 4] {
        self.bytes(at).unwrap_or_default()
    }

    pub fn window(&self) -> [u8; 2] {
        self.bytes(14).unwrap_or_default()
    }

    fn tos(&self) -> u8 {
        match self.head {
            [a, b, ..] if self.is_v6() => a << 4 | b >> 4,
            [_, tos, ..] => *tos,
            _ => 0,
        }
    }

    /// As a context's header.
    pub fn head(&self) -> Head {
        let mut bytes = [0; MAX_HEAD];
        let length = self.fixed().min(self.head.len());
        for (to, from) in bytes.iter_mut().zip(self.head.iter().take(length)) {
            *to = *from;
        }
        let tcp = self.ip;
        if let Some([offset, flags]) = bytes.get_mut(tcp + 12..tcp + 14) {
            (*offset, *flags) = (((length - tcp) * 4) as u8, ACK);
        }
        Head { bytes, length }
    }

    /// Whether a context is of the same flow, and the same in all that squeezed packets do not carry.
    pub fn fits(&self, context: &Head) -> bool {
        let Some(other) = context.mould() else { return false };
        let same = |from: usize, to: usize| self.head.get(from..to) == other.head.get(from..to);
        if self.ip != other.ip || self.stamps != other.stamps {
            return false;
        }
        // Flags, TTL, protocol, addresses, ports; flow label, next header, hop limit, addresses, ports.
        let label = |head: &[u8]| head.get(1).map(|byte| byte & 0x0f);
        match self.is_v6() {
            false => same(12, 24) && same(6, 10),
            true => same(6, 44) && same(2, 4) && label(self.head) == label(other.head),
        }
    }

    /// Appends the squeezed packet: whether its timestamps are far from the context's. `None`: nothing can be appended.
    pub fn write(&self, packet: &Packet, context: &Head, name: Name, out: &mut Vec<u8>) -> Option<bool> {
        let base = context.mould()?;
        let options = self.head.get(self.fixed()..self.header)?;
        let checksum: [u8; 2] = self.bytes(16)?;
        let [tcp] = self.bytes(13)?;
        let id = self.head.get(4..6)?;
        let payload = packet.head.get(self.header..)?;
        let stamp = |at| u32::from_be_bytes(self.number(at)).wrapping_sub(u32::from_be_bytes(base.number(at)));
        let (value, echo) = if self.stamps { (stamp(24), stamp(28)) } else { (0, 0) };

        let extra = tcp & !PSH != ACK || self.tos() != base.tos();
        let wide = value.max(echo) > u16::MAX.into();
        let differs = [
            (SEQUENCE, self.number(4) != base.number(4)),
            (ACKNOWLEDGMENT, self.number(8) != base.number(8)),
            (WINDOW, self.window() != base.window()),
            (ECHO, echo != 0),
            (PUSH, tcp & PSH != 0 && !extra),
            (EXTRA, extra),
            (OPTIONS, !options.is_empty()),
            (WIDE, wide),
        ];
        let flags = differs.iter().filter(|(_, set)| *set).fold(0, |flags, (flag, _)| flags | flag);
        out.extend_from_slice(&[name.0 as u8, flags]);
        if self.may_fragment() {
            out.extend_from_slice(id);
        }
        if extra {
            out.extend_from_slice(&[tcp, self.tos()]);
        }
        if flags & SEQUENCE != 0 {
            out.extend_from_slice(&self.number(4));
        }
        if flags & ACKNOWLEDGMENT != 0 {
            out.extend_from_slice(&self.number(8));
        }
        if flags & WINDOW != 0 {
            out.extend_from_slice(&self.window());
        }
        for (far, present) in [(value, true), (echo, echo != 0)] {
            if self.stamps && present {
                let bytes = far.to_be_bytes();
                out.extend_from_slice(if wide { &bytes } else { &bytes[2..] });
            }
        }
        if !packet.pending {
            out.extend_from_slice(&checksum);
        }
        if !options.is_empty() {
            out.push((options.len() / 4) as u8);
            out.extend_from_slice(options);
        }
        out.extend_from_slice(payload);
        out.extend_from_slice(packet.body);
        // Half the range: a new context has the other half to become known in.
        Some(value.max(echo) > u32::from(u16::MAX) / 2)
    }
}

/// Whether an IPv4 header has the checksum that a sender would have computed.
fn valid(header: &[u8]) -> bool {
    let [Some(before), Some(field), Some(after)] = [header.get(..10), header.get(10..12), header.get(12..)] else {
        return false;
    };
    closed(words(before) + words(after)) == field
}

/// The sum of the pseudo-header of a TCP packet, as the kernel leaves it in the checksum field.
pub fn pseudo(head: &[u8], ip: usize, length: usize) -> Option<[u8; 2]> {
    let addresses = head.get(if ip == 40 { 8..40 } else { 12..20 })?;
    Some(fold(checksum::pseudo(addresses, 6, length)).to_ne_bytes())
}
