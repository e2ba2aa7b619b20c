//! A packet's bytes taken apart, so that [`build`](super::build()) makes the same bytes of it again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::build::rest_fields;
use super::field::{Field, Packet, Section, Value};
use super::names::is_error;
use super::{NESTED, build, options};

/// What follows from the rest of a packet unless somebody meant otherwise.
const DERIVED: [Field; 11] = [
    Field::HeaderLength,
    Field::TotalLength,
    Field::PayloadLength,
    Field::IpChecksum,
    Field::DataOffset,
    Field::Reserved,
    Field::TcpChecksum,
    Field::UdpLength,
    Field::UdpChecksum,
    Field::IcmpChecksum,
    Field::Rest,
];

/// As few fields as are needed. Bytes that no fields stand for are `raw`: IP's payload, or the packet as a whole.
pub fn dissect(bytes: &[u8]) -> Packet {
    apart(bytes, false, NESTED)
}

/// Every field, lengths and checksums too.
pub fn dissect_fully(bytes: &[u8]) -> Packet {
    apart(bytes, true, NESTED)
}

fn apart(bytes: &[u8], fully: bool, nested: usize) -> Packet {
    let attempts = [true, false].into_iter().filter_map(|deep| header(bytes, deep, fully, nested));
    for mut packet in attempts {
        if build(&packet).as_deref() != Ok(bytes) {
            continue;
        }
        if !fully {
            slim(&mut packet, bytes);
        }
        return packet;
    }
    let mut packet = Packet::default();
    packet.set(Field::Raw, Value::Bytes(bytes.to_vec()));
    packet
}

/// Leaves out what is computed to the same.
fn slim(packet: &mut Packet, bytes: &[u8]) {
    for field in DERIVED.into_iter().chain([Field::Cut, Field::FlowLabel, Field::Urgent]) {
        let Some(value) = packet.take(field) else { continue };
        if build(packet).as_deref() != Ok(bytes) {
            packet.set(field, value);
        }
    }
}

fn header(bytes: &[u8], deep: bool, fully: bool, nested: usize) -> Option<Packet> {
    let mut packet = Packet::default();
    packet.add(Section::Ip);
    let version = bytes.first()? >> 4;
    packet.set_number(Field::Version, version);
    let (payload, whole) = match version {
        4 => ipv4(&mut packet, bytes)?,
        6 => ipv6(&mut packet, bytes, deep)?,
        _ => return None,
    };
    if whole != bytes.len() {
        packet.set_number(Field::Cut, bytes.len() as u64);
    }
    let first = packet.number(Field::FragmentOffset).unwrap_or(0) == 0;
    let understood = deep && first && layer(&mut packet, payload, fully, nested).is_some();
    match (understood, deep && first && is_layer(&packet)) {
        (true, _) => {}
        // The other attempt, which takes no section, is to be had clean.
        (false, true) => return None,
        (false, false) => packet.set(Field::Raw, Value::Bytes(payload.to_vec())),
    }
    Some(packet)
}

/// The payload, and the length that the header tells.
fn ipv4<'b>(packet: &mut Packet, bytes: &'b [u8]) -> Option<(&'b [u8], usize)> {
    let [first, tos, ..] = bytes else { return None };
    let length = usize::from(first & 15) * 4;
    let (header, payload) = bytes.split_at_checked(length)?;
    let total = usize::from(half(header, 2)?);
    let fragment = half(header, 6)?;
    packet.set_number(Field::HeaderLength, first & 15);
    packet.set_number(Field::Tos, *tos);
    packet.set_number(Field::TotalLength, total as u64);
    packet.set_number(Field::Id, half(header, 4)?);
    packet.set_number(Field::IpFlags, fragment >> 13);
    packet.set_number(Field::FragmentOffset, fragment & 0x1FFF);
    packet.set_number(Field::Ttl, *header.get(8)?);
    packet.set_number(Field::Protocol, *header.get(9)?);
    packet.set_number(Field::IpChecksum, half(header, 10)?);
    packet.set(Field::Source, Value::Address(IpAddr::V4(four(header, 12)?)));
    packet.set(Field::Destination, Value::Address(IpAddr::V4(four(header, 16)?)));
    if let Some(options) = header.get(20..).filter(|options| !options.is_empty()) {
        packet.set(Field::IpOptions, Value::Bytes(options.to_vec()));
    }
    Some((payload, total))
}

fn ipv6<'b>(packet: &mut Packet, bytes: &'b [u8], deep: bool) -> Option<(&'b [u8], usize)> {
    let (header, mut payload) = bytes.split_at_checked(40)?;
    let first = word(header, 0)?;
    let length = half(header, 4)?;
    packet.set_number(Field::Tos, first >> 20 & 0xFF);
    packet.set_number(Field::FlowLabel, first & 0xF_FFFF);
    packet.set_number(Field::PayloadLength, length);
    packet.set_number(Field::Ttl, *header.get(7)?);
    packet.set(Field::Source, Value::Address(IpAddr::V6(sixteen(header, 8)?)));
    packet.set(Field::Destination, Value::Address(IpAddr::V6(sixteen(header, 24)?)));
    let mut protocol = *header.get(6)?;
    if let Some((fragment, rest)) = payload.split_at_checked(8).filter(|_| deep && protocol == 44) {
        let offset = half(fragment, 2)?;
        packet.set_number(Field::Id, word(fragment, 4)?);
        packet.set_number(Field::IpFlags, offset & 1);
        packet.set_number(Field::FragmentOffset, offset >> 3);
        (protocol, payload) = (*fragment.first()?, rest);
    }
    packet.set_number(Field::Protocol, protocol);
    Some((payload, 40 + usize::from(length)))
}

fn is_layer(packet: &Packet) -> bool {
    let icmp = if packet.is_ipv6() { 58 } else { 1 };
    packet.protocol().is_some_and(|protocol| [6, 17, icmp].contains(&protocol))
}

/// The section that the protocol says, `None` if there is none for it or the bytes do not suffice.
fn layer(packet: &mut Packet, bytes: &[u8], fully: bool, nested: usize) -> Option<()> {
    match packet.protocol()? {
        _ if !is_layer(packet) => None,
        6 => tcp(packet, bytes),
        17 => udp(packet, bytes),
        _ => icmp(packet, bytes, fully, nested),
    }
}

fn tcp(packet: &mut Packet, bytes: &[u8]) -> Option<()> {
    packet.add(Section::Tcp);
    packet.set_number(Field::TcpSource, half(bytes, 0)?);
    packet.set_number(Field::TcpDestination, half(bytes, 2)?);
    packet.set_number(Field::Seq, word(bytes, 4)?);
    if bytes.len() == 8 {
        // All that an ICMP error has to hold (RFC 792). The rest of the header is cut off, so it may be anything.
        return Some(());
    }
    let word_12 = half(bytes, 12)?;
    packet.set_number(Field::Ack, word(bytes, 8)?);
    packet.set_number(Field::DataOffset, word_12 >> 12);
    packet.set_number(Field::Reserved, word_12 >> 9 & 7);
    packet.set_number(Field::TcpFlags, word_12 & 0x1FF);
    packet.set_number(Field::Window, half(bytes, 14)?);
    packet.set_number(Field::TcpChecksum, half(bytes, 16)?);
    packet.set_number(Field::Urgent, half(bytes, 18)?);
    let (header, data) = bytes.split_at_checked(usize::from(word_12 >> 12) * 4)?;
    let options = header.get(20..)?;
    let mut ours = Vec::with_capacity(options.len());
    options::split(options)?.iter().for_each(|option| option.write(&mut ours));
    if !ours.is_empty() {
        packet.set(Field::TcpOptions, Value::Bytes(ours));
    }
    set_data(packet, data);
    Some(())
}

fn udp(packet: &mut Packet, bytes: &[u8]) -> Option<()> {
    packet.add(Section::Udp);
    packet.set_number(Field::UdpSource, half(bytes, 0)?);
    packet.set_number(Field::UdpDestination, half(bytes, 2)?);
    packet.set_number(Field::UdpLength, half(bytes, 4)?);
    packet.set_number(Field::UdpChecksum, half(bytes, 6)?);
    set_data(packet, bytes.get(8..)?);
    Some(())
}

fn icmp(packet: &mut Packet, bytes: &[u8], fully: bool, nested: usize) -> Option<()> {
    let [kind, code, ..] = bytes else { return None };
    let (kind, ipv6) = (u64::from(*kind), packet.is_ipv6());
    let rest = word(bytes, 4)?;
    packet.add(Section::Icmp);
    packet.set_number(Field::Type, kind);
    packet.set_number(Field::Code, *code);
    packet.set_number(Field::IcmpChecksum, half(bytes, 2)?);
    packet.set_number(Field::Rest, rest);
    for field in rest_fields(ipv6, kind) {
        match field {
            Field::Identifier => packet.set_number(*field, rest >> 16),
            Field::Sequence => packet.set_number(*field, rest & 0xFFFF),
            Field::Mtu if !ipv6 => packet.set_number(*field, rest & 0xFFFF),
            Field::Gateway => packet.set(*field, Value::Address(IpAddr::V4(four(bytes, 4)?))),
            Field::Pointer if !ipv6 => packet.set_number(*field, rest >> 24),
            _ => packet.set_number(*field, rest),
        }
    }
    // Only one of these errors has an MTU.
    if !ipv6 && kind == 3 && *code != 4 && rest == 0 {
        packet.take(Field::Mtu);
    }
    let body = bytes.get(8..)?;
    if let Some(nested) = nested.checked_sub(1).filter(|_| is_error(ipv6, kind)) {
        let embedded = apart(body, fully, nested);
        if embedded.has(Section::Ip) {
            packet.set(Field::Embedded, Value::Packet(Box::new(embedded)));
            return Some(());
        }
    }
    set_data(packet, body);
    Some(())
}

fn set_data(packet: &mut Packet, data: &[u8]) {
    if !data.is_empty() {
        packet.set(Field::Data, Value::Bytes(data.to_vec()));
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_be_bytes(*half))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

fn four(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    bytes.get(at..)?.first_chunk::<4>().map(|address| Ipv4Addr::from(*address))
}

fn sixteen(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    bytes.get(at..)?.first_chunk::<16>().map(|address| Ipv6Addr::from(*address))
}
