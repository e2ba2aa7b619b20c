//! Just enough of a parser for tests to say which packet a frame carried.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An IP packet as a test talks about it. Ports are 0 where the protocol has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub protocol: u8,
    /// Of TCP; 0 otherwise.
    pub flags: u8,
    pub sequence: u32,
    pub acknowledgment: u32,
    pub payload: Vec<u8>,
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

const TCP: u8 = 6;
const UDP: u8 = 17;

impl Packet {
    /// Reads an Ethernet frame with IPv4 or IPv6; IPv6 extension headers and fragments are not looked into.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let ip = frame.get(14..)?;
        let (source, destination, protocol, segment) = match u16_at(frame, 12)? {
            0x0800 => {
                let address = |at| Some(IpAddr::from(Ipv4Addr::from(array::<4>(ip, at)?)));
                let header = usize::from(ip.first()? & 0x0f) * 4;
                // Short frames may be padded: the header tells where the packet ends.
                (address(12)?, address(16)?, *ip.get(9)?, ip.get(header..usize::from(u16_at(ip, 2)?))?)
            }
            0x86dd => {
                let address = |at| Some(IpAddr::from(Ipv6Addr::from(array::<16>(ip, at)?)));
                (address(8)?, address(24)?, *ip.get(6)?, ip.get(40..40 + usize::from(u16_at(ip, 4)?))?)
            }
            _ => return None,
        };
        let (ports, header) = match protocol {
            TCP => ((u16_at(segment, 0)?, u16_at(segment, 2)?), usize::from(segment.get(12)? >> 4) * 4),
            UDP => ((u16_at(segment, 0)?, u16_at(segment, 2)?), 8),
            _ => ((0, 0), 0),
        };
        let of_tcp = |at| if protocol == TCP { array(segment, at).map(u32::from_be_bytes) } else { Some(0) };
        Some(Self {
            source: SocketAddr::new(source, ports.0),
            destination: SocketAddr::new(destination, ports.1),
            protocol,
            flags: if protocol == TCP { *segment.get(13)? } else { 0 },
            sequence: of_tcp(4)?,
            acknowledgment: of_tcp(8)?,
            payload: segment.get(header..)?.to_vec(),
        })
    }

    pub fn is_tcp(&self) -> bool {
        self.protocol == TCP
    }

    pub fn is_udp(&self) -> bool {
        self.protocol == UDP
    }

    /// A connection's first packet, not its answer.
    pub fn is_syn(&self) -> bool {
        self.flags & (SYN | ACK) == SYN
    }

    pub fn is_syn_ack(&self) -> bool {
        self.flags & (SYN | ACK) == SYN | ACK
    }

    pub fn is_rst(&self) -> bool {
        self.flags & RST != 0
    }

    pub fn is_fin(&self) -> bool {
        self.flags & FIN != 0
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}
