//! Bytes from outside into an [`Opening`] or an [`Answer`]. Malformed input ends here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice, TcpHeaderSlice, UdpHeaderSlice};

use super::numbers::{ICMP, ICMPV6, TCP, UDP};
use super::{Answer, MAX_PACKET, Opening, Protocol, Says, Syn};

/// The first packet of a connection. `None` if it is not one that can be raced: not TCP, UDP or an echo request, a
/// fragment, with IPv6 extension headers, longer than [`MAX_PACKET`], cut short, or no good IP packet at all.
pub fn opening(packet: &[u8]) -> Option<Opening> {
    let ip = Ip::parse(packet)?;
    if ip.length > MAX_PACKET || packet.len() < ip.length {
        return None;
    }
    let payload = packet.get(ip.header..ip.length)?;
    let (protocol, from, to, syn) = match ip.protocol {
        TCP => {
            let tcp = TcpHeaderSlice::from_slice(payload).ok()?;
            if !tcp.syn() || tcp.ack() || tcp.rst() || tcp.fin() {
                return None;
            }
            (Protocol::Tcp, tcp.source_port(), tcp.destination_port(), Some(syn(&tcp, payload.len())))
        }
        UDP => {
            let udp = UdpHeaderSlice::from_slice(payload).ok()?;
            if usize::from(udp.length()) != payload.len() {
                return None;
            }
            (Protocol::Udp, udp.source_port(), udp.destination_port(), None)
        }
        _ => (Protocol::Echo, ip.echo(payload, EchoKind::Request)?, 0, None),
    };
    // Port 0 cannot be told apart from "no port" once it is in a conntrack tuple.
    if from == 0 && protocol != Protocol::Echo {
        return None;
    }
    Some(Opening {
        protocol,
        client: SocketAddr::new(ip.source, from),
        server: SocketAddr::new(ip.destination, to),
        length: ip.length as u16,
        syn,
    })
}

/// A packet that may answer one of our copies. It may be cut short after its transport header.
pub fn answer(packet: &[u8]) -> Option<Answer> {
    let ip = Ip::parse(packet)?;
    let payload = packet.get(ip.header..)?;
    if let Some(quoted) = ip.unreachable(payload) {
        return error(quoted);
    }
    let (protocol, from, to, says) = match ip.protocol {
        TCP => {
            let tcp = TcpHeaderSlice::from_slice(payload).ok()?;
            let says = match (tcp.syn(), tcp.rst()) {
                (true, false) if tcp.ack() => Says::SynAck(tcp.acknowledgment_number()),
                // RFC 9293 3.10.7.3: without an acknowledgment it cannot answer a SYN.
                (_, true) if tcp.ack() => Says::Reset(tcp.acknowledgment_number()),
                _ => return None,
            };
            (Protocol::Tcp, tcp.source_port(), tcp.destination_port(), says)
        }
        UDP => {
            let udp = UdpHeaderSlice::from_slice(payload).ok()?;
            (Protocol::Udp, udp.source_port(), udp.destination_port(), Says::Data)
        }
        _ => (Protocol::Echo, 0, ip.echo(payload, EchoKind::Reply)?, Says::Data),
    };
    Some(Answer {
        protocol,
        server: SocketAddr::new(ip.source, from),
        local: SocketAddr::new(ip.destination, to),
        says,
    })
}

/// What an error says of the packet that it quotes: of a transport header it may have no more than eight bytes (RFC 792).
fn error(quoted: &[u8]) -> Option<Answer> {
    let ip = Ip::parse(quoted)?;
    let payload = quoted.get(ip.header..)?;
    let word = |at: usize| Some(u16::from_be_bytes(payload.get(at..at + 2)?.try_into().ok()?));
    let (protocol, from, to, acknowledgment) = match ip.protocol {
        TCP => {
            let sequence = u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?);
            (Protocol::Tcp, word(0)?, word(2)?, Some(sequence.wrapping_add(1)))
        }
        UDP => (Protocol::Udp, word(0)?, word(2)?, None),
        _ => (Protocol::Echo, ip.echo(payload, EchoKind::Request)?, 0, None),
    };
    Some(Answer {
        protocol,
        server: SocketAddr::new(ip.destination, to),
        local: SocketAddr::new(ip.source, from),
        says: Says::Unreachable(acknowledgment),
    })
}

fn syn(tcp: &TcpHeaderSlice, payload_length: usize) -> Syn {
    let mut syn = Syn {
        isn: tcp.sequence_number(),
        window_scale: None,
        sack_permitted: false,
        carries_data: payload_length > tcp.slice().len(),
    };
    for (_, option) in options(tcp.options()) {
        match *option {
            // RFC 7323 2.3: a shift above 14 counts as 14.
            [WINDOW_SCALE, 3, shift] => syn.window_scale = Some(shift.min(14)),
            [SACK_PERMITTED, 2] => syn.sack_permitted = true,
            _ => {}
        }
    }
    syn
}

const END: u8 = 0;
const NOP: u8 = 1;
pub(super) const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;

/// The TCP options (RFC 9293 3.1) with each one's offset, up to the end or the first that does not fit.
pub(super) fn options(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    core::iter::from_fn(move || {
        loop {
            let start = at;
            match *bytes.get(at)? {
                END => return None,
                NOP => at += 1,
                _ => {
                    let length = usize::from(*bytes.get(at + 1)?).max(2);
                    at += length;
                    return Some((start, bytes.get(start..at)?));
                }
            }
        }
    })
}

/// What both families' headers say, and where the next one starts.
pub(super) struct Ip {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// Length of the IP header, in bytes.
    pub header: usize,
    /// Length of the packet, in bytes, as the header gives it.
    pub length: usize,
}

#[derive(Clone, Copy)]
enum EchoKind {
    Request,
    Reply,
}

impl Ip {
    pub(super) fn parse(packet: &[u8]) -> Option<Ip> {
        match packet.first()? >> 4 {
            4 => {
                let ip = Ipv4HeaderSlice::from_slice(packet).ok()?;
                if ip.is_fragmenting_payload() {
                    return None;
                }
                let length = usize::from(ip.total_len());
                (length >= ip.slice().len()).then_some(Ip {
                    source: Ipv4Addr::from(ip.source()).into(),
                    destination: Ipv4Addr::from(ip.destination()).into(),
                    protocol: ip.protocol().0,
                    header: ip.slice().len(),
                    length,
                })
            }
            6 => {
                let ip = Ipv6HeaderSlice::from_slice(packet).ok()?;
                Some(Ip {
                    source: Ipv6Addr::from(ip.source()).into(),
                    destination: Ipv6Addr::from(ip.destination()).into(),
                    protocol: ip.next_header().0,
                    header: ip.slice().len(),
                    length: ip.slice().len() + usize::from(ip.payload_length()),
                })
            }
            _ => None,
        }
    }

    /// The packet that an error of "destination unreachable" quotes (RFC 792, RFC 4443 3.1). One that asks for smaller
    /// packets is none.
    fn unreachable<'p>(&self, payload: &'p [u8]) -> Option<&'p [u8]> {
        const TOO_LARGE: u8 = 4;
        let (head, quoted) = payload.split_at_checked(8)?;
        match (self.protocol, self.source, head) {
            (ICMP, IpAddr::V4(_), [3, code, ..]) if *code != TOO_LARGE => Some(quoted),
            (ICMPV6, IpAddr::V6(_), [1, ..]) => Some(quoted),
            _ => None,
        }
    }

    /// The identifier of an echo request or reply (RFC 792, RFC 4443 4.1).
    fn echo(&self, payload: &[u8], kind: EchoKind) -> Option<u16> {
        let wanted = match (self.protocol, self.source, kind) {
            (ICMP, IpAddr::V4(_), EchoKind::Request) => 8,
            (ICMP, IpAddr::V4(_), EchoKind::Reply) => 0,
            (ICMPV6, IpAddr::V6(_), EchoKind::Request) => 128,
            (ICMPV6, IpAddr::V6(_), EchoKind::Reply) => 129,
            _ => return None,
        };
        match *payload {
            [kind, 0, _, _, id_high, id_low, _, _, ..] if kind == wanted => Some(u16::from_be_bytes([id_high, id_low])),
            _ => None,
        }
    }
}
