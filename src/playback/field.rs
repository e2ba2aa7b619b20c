//! The table of fields, and the packet as a list of their values.

use std::net::IpAddr;

use super::names::{IP_FLAGS, Names, TCP_FLAGS};

/// The object of the JSON that a field stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// The packet's own.
    Top,
    Ip,
    Tcp,
    Udp,
    Icmp,
}

impl Section {
    pub const ALL: [Section; 5] = [Section::Top, Section::Ip, Section::Tcp, Section::Udp, Section::Icmp];

    pub const fn name(self) -> &'static str {
        match self {
            Section::Top => "",
            Section::Ip => "ip",
            Section::Tcp => "tcp",
            Section::Udp => "udp",
            Section::Icmp => "icmp",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Field {
    Comment,
    Time,
    Cut,
    Version,
    HeaderLength,
    Tos,
    FlowLabel,
    TotalLength,
    PayloadLength,
    Id,
    IpFlags,
    FragmentOffset,
    Ttl,
    Protocol,
    IpChecksum,
    Source,
    Destination,
    IpOptions,
    TcpSource,
    TcpDestination,
    Seq,
    Ack,
    DataOffset,
    Reserved,
    TcpFlags,
    Window,
    TcpChecksum,
    Urgent,
    TcpOptions,
    UdpSource,
    UdpDestination,
    UdpLength,
    UdpChecksum,
    Type,
    Code,
    IcmpChecksum,
    Identifier,
    Sequence,
    Mtu,
    Gateway,
    Pointer,
    Rest,
    Embedded,
    Data,
    Raw,
}

/// How a field is written in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Text,
    /// Seconds with up to six decimals; kept in microseconds.
    Seconds,
    /// A whole number up to this one, or a text with `0x` in front.
    Number(u64),
    /// The same, but written with `0x`.
    Hex(u64),
    /// A list of names, each a bit.
    Flags(Names),
    Protocol,
    Type,
    Code,
    Address,
    /// Hexadecimal digits, with blanks wherever one likes.
    Digits,
    /// Lines of text or of hexadecimal digits.
    Bytes,
    Options,
    Packet,
}

pub struct Spec {
    pub field: Field,
    pub section: Section,
    pub name: &'static str,
    pub kind: Kind,
}

const U8: u64 = 0xFF;
const U16: u64 = 0xFFFF;
const U32: u64 = 0xFFFF_FFFF;

/// Every field, in the order of writing. A field's second row is another name for it that is read but not written.
pub const FIELDS: [Spec; 47] = {
    use Field::*;
    use Kind::{Address, Bytes, Digits, Flags, Hex, Number, Options, Protocol as Protocols, Seconds, Text};
    use Section::{Icmp, Ip, Tcp, Top, Udp};
    const fn row(section: Section, field: Field, name: &'static str, kind: Kind) -> Spec {
        Spec { field, section, name, kind }
    }
    [
        row(Top, Comment, "comment", Text),
        row(Top, Time, "time", Seconds),
        row(Top, Cut, "cut", Number(U16)),
        row(Ip, Version, "version", Number(15)),
        row(Ip, HeaderLength, "headerLength", Number(15)),
        row(Ip, Tos, "tos", Number(U8)),
        row(Ip, Tos, "trafficClass", Number(U8)),
        row(Ip, FlowLabel, "flowLabel", Hex(0xF_FFFF)),
        row(Ip, TotalLength, "totalLength", Number(U16)),
        row(Ip, PayloadLength, "payloadLength", Number(U16)),
        row(Ip, Id, "id", Number(U32)),
        row(Ip, IpFlags, "flags", Flags(IP_FLAGS)),
        row(Ip, FragmentOffset, "fragmentOffset", Number(0x1FFF)),
        row(Ip, Ttl, "ttl", Number(U8)),
        row(Ip, Ttl, "hopLimit", Number(U8)),
        row(Ip, Protocol, "protocol", Protocols),
        row(Ip, IpChecksum, "checksum", Hex(U16)),
        row(Ip, Source, "source", Address),
        row(Ip, Destination, "destination", Address),
        row(Ip, IpOptions, "options", Digits),
        row(Tcp, TcpSource, "sourcePort", Number(U16)),
        row(Tcp, TcpDestination, "destPort", Number(U16)),
        row(Tcp, Seq, "seqNumber", Number(U32)),
        row(Tcp, Ack, "ackNumber", Number(U32)),
        row(Tcp, DataOffset, "dataOffset", Number(15)),
        row(Tcp, Reserved, "reserved", Number(7)),
        row(Tcp, TcpFlags, "flags", Flags(TCP_FLAGS)),
        row(Tcp, Window, "windowSize", Number(U16)),
        row(Tcp, TcpChecksum, "checksum", Hex(U16)),
        row(Tcp, Urgent, "urgentPointer", Number(U16)),
        row(Tcp, TcpOptions, "options", Options),
        row(Udp, UdpSource, "sourcePort", Number(U16)),
        row(Udp, UdpDestination, "destPort", Number(U16)),
        row(Udp, UdpLength, "length", Number(U16)),
        row(Udp, UdpChecksum, "checksum", Hex(U16)),
        row(Icmp, Type, "type", Kind::Type),
        row(Icmp, Code, "code", Kind::Code),
        row(Icmp, IcmpChecksum, "checksum", Hex(U16)),
        row(Icmp, Identifier, "identifier", Number(U16)),
        row(Icmp, Sequence, "sequenceNumber", Number(U16)),
        row(Icmp, Mtu, "nextHopMtu", Number(U32)),
        row(Icmp, Gateway, "gateway", Address),
        row(Icmp, Pointer, "pointer", Number(U32)),
        row(Icmp, Rest, "rest", Hex(U32)),
        row(Icmp, Embedded, "packet", Kind::Packet),
        row(Top, Data, "data", Bytes),
        row(Top, Raw, "raw", Bytes),
    ]
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    Text(String),
    Number(u64),
    Address(IpAddr),
    Bytes(Vec<u8>),
    Packet(Box<Packet>),
}

/// What is known of a packet, or wanted of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Packet {
    /// Sorted by field.
    values: Vec<(Field, Value)>,
    /// A bit for each section that there is, by its place in [`Section::ALL`]: one may have no field.
    sections: u8,
}

impl Packet {
    pub fn has(&self, section: Section) -> bool {
        self.sections & (1 << section as u8) != 0
    }

    pub fn add(&mut self, section: Section) {
        self.sections |= 1 << section as u8;
    }

    pub fn values(&self) -> &[(Field, Value)] {
        &self.values
    }

    pub fn get(&self, field: Field) -> Option<&Value> {
        let at = self.values.binary_search_by_key(&field, |(field, _)| *field).ok()?;
        self.values.get(at).map(|(_, value)| value)
    }

    pub fn set(&mut self, field: Field, value: Value) {
        match self.values.binary_search_by_key(&field, |(field, _)| *field) {
            Ok(at) => self.values.iter_mut().skip(at).take(1).for_each(|slot| slot.1 = value.clone()),
            Err(at) => self.values.insert(at, (field, value)),
        }
    }

    pub fn set_number(&mut self, field: Field, number: impl Into<u64>) {
        self.set(field, Value::Number(number.into()));
    }

    pub fn take(&mut self, field: Field) -> Option<Value> {
        let at = self.values.binary_search_by_key(&field, |(field, _)| *field).ok()?;
        Some(self.values.remove(at).1)
    }

    pub fn number(&self, field: Field) -> Option<u64> {
        match self.get(field)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub fn address(&self, field: Field) -> Option<IpAddr> {
        match self.get(field)? {
            Value::Address(address) => Some(*address),
            _ => None,
        }
    }

    pub fn bytes(&self, field: Field) -> Option<&[u8]> {
        match self.get(field)? {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn embedded(&self) -> Option<&Packet> {
        match self.get(Field::Embedded)? {
            Value::Packet(packet) => Some(packet),
            _ => None,
        }
    }

    /// IP's version: what it says, or what its addresses say, or 4.
    pub fn version(&self) -> u64 {
        let addresses = [Field::Source, Field::Destination].into_iter().find_map(|field| self.address(field));
        self.number(Field::Version).unwrap_or(if addresses.is_some_and(|address| address.is_ipv6()) { 6 } else { 4 })
    }

    pub fn is_ipv6(&self) -> bool {
        self.version() == 6
    }

    /// The number of what IP carries: what it says, or the section that there is.
    pub fn protocol(&self) -> Option<u64> {
        let implied = || match () {
            () if self.has(Section::Tcp) => Some(6),
            () if self.has(Section::Udp) => Some(17),
            () if self.has(Section::Icmp) => Some(if self.is_ipv6() { 58 } else { 1 }),
            () => None,
        };
        self.number(Field::Protocol).or_else(implied)
    }

    /// ICMP's type, which is an echo request unless it says something else.
    pub fn icmp_type(&self) -> u64 {
        self.number(Field::Type).unwrap_or(if self.is_ipv6() { 128 } else { 8 })
    }
}
