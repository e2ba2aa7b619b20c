//! A packet's bytes: lengths and checksums computed unless they are given.

use std::net::IpAddr;

use super::field::{Field, Packet, Section};
use super::{LONGEST, options};
use crate::packet::checksum::{closed, pseudo, words};

/// The packet as it goes over the wire, or in words what it lacks.
pub fn build(packet: &Packet) -> Result<Vec<u8>, String> {
    let mut bytes = if packet.has(Section::Ip) { whole(packet)? } else { bare(packet)? };
    if bytes.len() > LONGEST {
        return Err(format!("it would be {} bytes long, and an IP packet has at most {LONGEST}", bytes.len()));
    }
    if let Some(cut) = packet.number(Field::Cut) {
        bytes.truncate(cut as usize);
    }
    Ok(bytes)
}

/// A packet that is no more than its bytes.
fn bare(packet: &Packet) -> Result<Vec<u8>, String> {
    match packet.bytes(Field::Raw) {
        Some(_) if [Section::Tcp, Section::Udp, Section::Icmp].iter().any(|section| packet.has(*section)) => {
            Err("expected the section ip: raw alone stands for a whole packet".into())
        }
        Some(bytes) => Ok(bytes.to_vec()),
        None => Err("expected the section ip, with source and destination".into()),
    }
}

fn whole(packet: &Packet) -> Result<Vec<u8>, String> {
    let address = |field, name| packet.address(field).ok_or_else(|| format!("expected ip.{name}, an address"));
    let ends = [address(Field::Source, "source")?, address(Field::Destination, "destination")?];
    let version = packet.version();
    // A version that is none is somebody's purpose, and the addresses say whose header it has.
    let ipv6 = ends[0].is_ipv6();
    if ends[1].is_ipv6() != ipv6 || version == 4 && ipv6 || version == 6 && !ipv6 {
        return Err("expected ip.source and ip.destination to be of IP's version".into());
    }
    let Some(protocol) = packet.protocol() else {
        return Err("expected a section tcp, udp or icmp, or ip.protocol and raw".into());
    };
    let payload = payload(packet, ends, protocol)?;
    if ipv6 { ipv6_packet(packet, ends, protocol, &payload) } else { ipv4_packet(packet, ends, protocol, &payload) }
}

fn ipv4_packet(packet: &Packet, ends: [IpAddr; 2], protocol: u64, payload: &[u8]) -> Result<Vec<u8>, String> {
    let options = options::padded(packet.bytes(Field::IpOptions).unwrap_or_default());
    if options.len() > options::LONGEST {
        return Err("expected at most 40 bytes of ip.options".into());
    }
    let number = |field, otherwise| packet.number(field).unwrap_or(otherwise);
    if number(Field::Id, 0) > 0xFFFF {
        return Err("expected an ip.id up to 65535: only IPv6 has longer ones".into());
    }
    let length = 20 + options.len();
    let words = number(Field::HeaderLength, length as u64 / 4) as u8;
    let total = number(Field::TotalLength, (length + payload.len()) as u64) as u16;
    let fragment = number(Field::IpFlags, 0) << 13 | number(Field::FragmentOffset, 0);
    let mut out = vec![(packet.version() as u8) << 4 | words & 15, number(Field::Tos, 0) as u8];
    out.extend(total.to_be_bytes());
    out.extend((number(Field::Id, 0) as u16).to_be_bytes());
    out.extend((fragment as u16).to_be_bytes());
    out.extend([number(Field::Ttl, 64) as u8, protocol as u8, 0, 0]);
    ends.iter().for_each(|end| push_address(&mut out, *end));
    out.extend(options);
    let sum = packet.number(Field::IpChecksum).map_or_else(|| checksum(&out), |sum| sum as u16);
    put(&mut out, 10, sum);
    out.extend(payload);
    Ok(out)
}

/// A fragment has the header of RFC 8200 4.5 if anything is said of it.
fn ipv6_packet(packet: &Packet, ends: [IpAddr; 2], protocol: u64, payload: &[u8]) -> Result<Vec<u8>, String> {
    for (field, name) in [(Field::HeaderLength, "headerLength"), (Field::TotalLength, "totalLength")] {
        if packet.get(field).is_some() {
            return Err(format!("expected no ip.{name}: IPv6 has none, but payloadLength"));
        }
    }
    if packet.get(Field::IpOptions).or(packet.get(Field::IpChecksum)).is_some() {
        return Err("expected neither ip.options nor ip.checksum: IPv6 has none".into());
    }
    let number = |field, otherwise| packet.number(field).unwrap_or(otherwise);
    let flags = number(Field::IpFlags, 0);
    if flags > 1 {
        return Err("expected no flag but MF in ip.flags: IPv6 has no other".into());
    }
    let fragment = [Field::Id, Field::IpFlags, Field::FragmentOffset].iter().any(|field| packet.get(*field).is_some());
    let mut out = Vec::with_capacity(48 + payload.len());
    let first = packet.version() << 28 | number(Field::Tos, 0) << 20 | number(Field::FlowLabel, 0);
    out.extend((first as u32).to_be_bytes());
    let length = payload.len() + if fragment { 8 } else { 0 };
    out.extend((number(Field::PayloadLength, length as u64) as u16).to_be_bytes());
    out.extend([if fragment { 44 } else { protocol as u8 }, number(Field::Ttl, 64) as u8]);
    ends.iter().for_each(|end| push_address(&mut out, *end));
    if fragment {
        out.extend([protocol as u8, 0]);
        out.extend(((number(Field::FragmentOffset, 0) << 3 | flags) as u16).to_be_bytes());
        out.extend((number(Field::Id, 0) as u32).to_be_bytes());
    }
    out.extend(payload);
    Ok(out)
}

fn payload(packet: &Packet, ends: [IpAddr; 2], protocol: u64) -> Result<Vec<u8>, String> {
    let mut sections = [Section::Tcp, Section::Udp, Section::Icmp].into_iter().filter(|section| packet.has(*section));
    let (section, more) = (sections.next(), sections.next());
    if let Some(more) = more {
        return Err(format!("expected one of tcp, udp and icmp, but there is {} as well", more.name()));
    }
    let data = packet.bytes(Field::Data);
    let Some(section) = section else {
        return match (data, packet.bytes(Field::Raw)) {
            (Some(_), _) => Err("expected a section tcp, udp or icmp in front of data; or raw instead of data".into()),
            (None, raw) => Ok(raw.unwrap_or_default().to_vec()),
        };
    };
    if packet.get(Field::Raw).is_some() {
        return Err(format!("expected either {} or raw", section.name()));
    }
    let right = match section {
        Section::Tcp => 6,
        Section::Udp => 17,
        _ if ends[0].is_ipv6() => 58,
        _ => 1,
    };
    if protocol != right {
        let name = section.name();
        return Err(format!("expected ip.protocol to be {right}, since there is {name}: for other bytes there is raw"));
    }
    let data = data.unwrap_or_default();
    match section {
        Section::Tcp => tcp(packet, ends, data),
        Section::Udp => Ok(udp(packet, ends, data)),
        _ => icmp(packet, ends, data),
    }
}

fn tcp(packet: &Packet, ends: [IpAddr; 2], data: &[u8]) -> Result<Vec<u8>, String> {
    let options = options::padded(packet.bytes(Field::TcpOptions).unwrap_or_default());
    if options.len() > options::LONGEST {
        return Err(format!("expected at most 40 bytes of tcp.options, but they take {}", options.len()));
    }
    let number = |field, otherwise| packet.number(field).unwrap_or(otherwise);
    let mut out = Vec::with_capacity(60 + data.len());
    out.extend((number(Field::TcpSource, 40_000) as u16).to_be_bytes());
    out.extend((number(Field::TcpDestination, 80) as u16).to_be_bytes());
    out.extend((number(Field::Seq, 1) as u32).to_be_bytes());
    out.extend((number(Field::Ack, 0) as u32).to_be_bytes());
    let words = number(Field::DataOffset, 5 + options.len() as u64 / 4);
    // A packet that says nothing else opens a connection.
    let word = words << 12 | number(Field::Reserved, 0) << 9 | number(Field::TcpFlags, 2);
    out.extend((word as u16).to_be_bytes());
    out.extend((number(Field::Window, 64_240) as u16).to_be_bytes());
    out.extend([0, 0]);
    out.extend((number(Field::Urgent, 0) as u16).to_be_bytes());
    out.extend(options);
    out.extend(data);
    let sum = packet.number(Field::TcpChecksum).map_or_else(|| with_pseudo(ends, 6, &out), |sum| sum as u16);
    put(&mut out, 16, sum);
    Ok(out)
}

fn udp(packet: &Packet, ends: [IpAddr; 2], data: &[u8]) -> Vec<u8> {
    let number = |field, otherwise| packet.number(field).unwrap_or(otherwise) as u16;
    let mut out = Vec::with_capacity(8 + data.len());
    let length = number(Field::UdpLength, 8 + data.len() as u64);
    let fields = [number(Field::UdpSource, 40_000), number(Field::UdpDestination, 53), length, 0];
    out.extend(fields.iter().flat_map(|field| field.to_be_bytes()));
    out.extend(data);
    // Zero would mean that there is none (RFC 768).
    let computed = || Some(with_pseudo(ends, 17, &out)).filter(|sum| *sum != 0).unwrap_or(0xFFFF);
    let sum = packet.number(Field::UdpChecksum).map_or_else(computed, |sum| sum as u16);
    put(&mut out, 6, sum);
    out
}

fn icmp(packet: &Packet, ends: [IpAddr; 2], data: &[u8]) -> Result<Vec<u8>, String> {
    let ipv6 = ends[0].is_ipv6();
    let kind = packet.icmp_type();
    let mut out = vec![kind as u8, packet.number(Field::Code).unwrap_or(0) as u8, 0, 0];
    out.extend(match packet.number(Field::Rest) {
        Some(rest) => (rest as u32).to_be_bytes(),
        None => rest(packet, ipv6, kind)?,
    });
    match packet.embedded() {
        Some(_) if !data.is_empty() => return Err("expected either icmp.packet or data".into()),
        Some(embedded) => out.extend(build(embedded).map_err(|text| format!("in icmp.packet: {text}"))?),
        None => out.extend(data),
    }
    let computed = || if ipv6 { with_pseudo(ends, 58, &out) } else { checksum(&out) };
    let sum = packet.number(Field::IcmpChecksum).map_or_else(computed, |sum| sum as u16);
    put(&mut out, 2, sum);
    Ok(out)
}

/// The second word of the header, which means something else in each type.
fn rest(packet: &Packet, ipv6: bool, kind: u64) -> Result<[u8; 4], String> {
    let fields = rest_fields(ipv6, kind);
    let number = |field, otherwise| packet.number(field).unwrap_or(otherwise);
    for (field, name) in [
        (Field::Identifier, "identifier"),
        (Field::Sequence, "sequenceNumber"),
        (Field::Mtu, "nextHopMtu"),
        (Field::Gateway, "gateway"),
        (Field::Pointer, "pointer"),
    ] {
        if packet.get(field).is_some() && !fields.contains(&field) {
            return Err(format!("expected no icmp.{name} in this type of message; icmp.rest is for any"));
        }
    }
    Ok(match fields {
        [Field::Identifier, ..] => {
            let word = number(Field::Identifier, 1) << 16 | number(Field::Sequence, 1);
            (word as u32).to_be_bytes()
        }
        [Field::Mtu] => {
            let mtu = number(Field::Mtu, 0);
            if !ipv6 && mtu > 0xFFFF {
                return Err("expected an icmp.nextHopMtu up to 65535".into());
            }
            (mtu as u32).to_be_bytes()
        }
        [Field::Gateway] => match packet.address(Field::Gateway) {
            Some(IpAddr::V4(gateway)) => gateway.octets(),
            Some(IpAddr::V6(_)) => return Err("expected icmp.gateway to be an IPv4 address".into()),
            None => [0; 4],
        },
        [Field::Pointer] => {
            let pointer = number(Field::Pointer, 0) as u32;
            if ipv6 {
                pointer.to_be_bytes()
            } else {
                [u8::try_from(pointer).map_err(|_| "expected an icmp.pointer up to 255")?, 0, 0, 0]
            }
        }
        _ => [0; 4],
    })
}

/// The fields that make up the second word (RFC 792, RFC 1191, RFC 4443).
pub(super) fn rest_fields(ipv6: bool, kind: u64) -> &'static [Field] {
    match (ipv6, kind) {
        (false, 0 | 8 | 13..=18) | (true, 128 | 129) => &[Field::Identifier, Field::Sequence],
        (false, 3) | (true, 2) => &[Field::Mtu],
        (false, 5) => &[Field::Gateway],
        (false, 12) | (true, 4) => &[Field::Pointer],
        _ => &[],
    }
}

fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => out.extend(address.octets()),
        IpAddr::V6(address) => out.extend(address.octets()),
    }
}

fn put(out: &mut [u8], at: usize, number: u16) {
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&number.to_be_bytes());
    }
}

/// With the header that TCP, UDP and ICMPv6 put in front for this (RFC 9293 3.1, RFC 8200 8.1).
fn with_pseudo(ends: [IpAddr; 2], protocol: u8, bytes: &[u8]) -> u16 {
    let mut addresses = Vec::with_capacity(32);
    ends.iter().for_each(|end| push_address(&mut addresses, *end));
    u16::from_be_bytes(closed(pseudo(&addresses, protocol, bytes.len()) + words(bytes)))
}

fn checksum(bytes: &[u8]) -> u16 {
    u16::from_be_bytes(closed(words(bytes)))
}
