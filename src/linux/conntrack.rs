//! Conntrack: the flow that a race's winner gets, and flows that lose their link (`linux/netfilter/nfnetlink_conntrack.h`).

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::netlink::{Answer, Attributes, CREATE, EXCLUSIVE, Message, Socket, address, array};
use super::number_of;
use crate::family::Family;
use crate::kernel::{Flow, Picked};
use crate::packet::{Opening, Protocol};
use crate::time::Span;

const SUBSYSTEM: u16 = (libc::NFNL_SUBSYS_CTNETLINK as u16) << 8;
const MSG_NEW: u16 = 0;
const MSG_GET: u16 = 1;
const MSG_DELETE: u16 = 2;

/// `nfgenmsg` is 4 bytes, the address family first.
const HEADER: usize = 4;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_NAT_SRC: u16 = 6;
const CTA_TIMEOUT: u16 = 7;
const CTA_MARK: u16 = 8;
const CTA_ID: u16 = 12;
const CTA_MARK_MASK: u16 = 21;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_PROTO_ICMP_ID: u16 = 4;
const CTA_PROTO_ICMP_TYPE: u16 = 5;
const CTA_PROTO_ICMP_CODE: u16 = 6;
const CTA_PROTO_ICMPV6_ID: u16 = 7;
const CTA_PROTO_ICMPV6_TYPE: u16 = 8;
const CTA_PROTO_ICMPV6_CODE: u16 = 9;
const CTA_NAT_V4_MINIP: u16 = 1;
const CTA_NAT_V4_MAXIP: u16 = 2;
const CTA_NAT_PROTO: u16 = 3;
const CTA_NAT_V6_MINIP: u16 = 4;
const CTA_NAT_V6_MAXIP: u16 = 5;
const CTA_PROTONAT_PORT_MIN: u16 = 1;
const CTA_PROTONAT_PORT_MAX: u16 = 2;
const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
const CTA_PROTOINFO_TCP_WSCALE_ORIGINAL: u16 = 2;
const CTA_PROTOINFO_TCP_WSCALE_REPLY: u16 = 3;
const CTA_PROTOINFO_TCP_FLAGS_ORIGINAL: u16 = 4;
const CTA_PROTOINFO_TCP_FLAGS_REPLY: u16 = 5;

/// `nf_conntrack_tcp.h`: the state after a SYN, and what its options said.
const TCP_CONNTRACK_SYN_SENT: u8 = 1;
const IP_CT_TCP_FLAG_WINDOW_SCALE: u8 = 0x01;
const IP_CT_TCP_FLAG_SACK_PERM: u8 = 0x02;
const IP_CT_TCP_FLAG_BE_LIBERAL: u8 = 0x08;

/// `nf_conntrack_common.h`: an answer has been seen.
const IPS_SEEN_REPLY: u32 = 1 << 1;
/// ... `IPS_OFFLOAD` and `IPS_HW_OFFLOAD`: it is in a flowtable; it is in the hardware as well.
const IPS_OFFLOADED: u32 = 1 << 14 | 1 << 15;

/// What is deleted after one look through the table. A description takes some 100 bytes, and there may be 100,000.
const MAX_DESCRIPTIONS: usize = 4096;

/// Looks through the table, should some entries refuse to go (those in hardware, before Linux 6.5).
const MAX_LOOKS: usize = 32;

/// How long the new entry lives unless its answer follows, as it does at once.
const TIMEOUT: Span = Span::from_secs(30);

/// The type of the message that creates an entry, as an error names it.
pub const NEW: u16 = SUBSYSTEM | MSG_NEW;

/// Appends the request to create the flow of `opening` as if it had left from `source` with `mark`. The kernel answers only if
/// it cannot, with `sequence`; `AlreadyExists`: either direction of it belongs to another flow.
pub fn establish(message: &mut Message, sequence: u32, opening: &Opening, source: SocketAddr, mark: u32) {
    let family = number_of(Family::of(source.ip())) as u8;
    message.begin(NEW, CREATE | EXCLUSIVE, sequence, &[family, 0, 0, 0]);
    let Opening { protocol, client, server, .. } = *opening;
    message.nested(CTA_TUPLE_ORIG, |m| tuple(m, protocol, client, server, false));
    message.nested(CTA_TUPLE_REPLY, |m| tuple(m, protocol, server, client, true));
    message.be32(CTA_TIMEOUT, TIMEOUT.as_secs() as u32).be32(CTA_MARK, mark);
    message.nested(CTA_NAT_SRC, |m| {
        let (low, high) = match source.ip() {
            IpAddr::V4(_) => (CTA_NAT_V4_MINIP, CTA_NAT_V4_MAXIP),
            IpAddr::V6(_) => (CTA_NAT_V6_MINIP, CTA_NAT_V6_MAXIP),
        };
        m.address(low, source.ip()).address(high, source.ip()).nested(CTA_NAT_PROTO, |m| {
            m.be16(CTA_PROTONAT_PORT_MIN, source.port()).be16(CTA_PROTONAT_PORT_MAX, source.port());
        });
    });
    if let Some(syn) = opening.syn {
        let mut flags = 0;
        if syn.window_scale.is_some() {
            flags |= IP_CT_TCP_FLAG_WINDOW_SCALE;
        }
        if syn.sack_permitted {
            flags |= IP_CT_TCP_FLAG_SACK_PERM;
        }
        message.nested(CTA_PROTOINFO, |m| {
            m.nested(CTA_PROTOINFO_TCP, |m| {
                // The entry never saw the SYN, so it takes its sequence number for 0 and finds half of all SYN-ACKs
                // outside of its window: it must not judge the server's side. The client's is tracked as always.
                // The kernel takes over the client's window scale only if both sides are said to have one
                // (nlattr_to_tcp); the SYN-ACK then says it of the server, or clears both.
                let reply = IP_CT_TCP_FLAG_BE_LIBERAL | flags & IP_CT_TCP_FLAG_WINDOW_SCALE;
                m.attribute(CTA_PROTOINFO_TCP_STATE, &[TCP_CONNTRACK_SYN_SENT])
                    .attribute(CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, &[syn.window_scale.unwrap_or(0)])
                    .attribute(CTA_PROTOINFO_TCP_WSCALE_REPLY, &[0])
                    .attribute(CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, &[flags, flags])
                    .attribute(CTA_PROTOINFO_TCP_FLAGS_REPLY, &[reply, reply]);
            });
        });
    }
}

fn tuple(message: &mut Message, protocol: Protocol, from: SocketAddr, to: SocketAddr, reply: bool) {
    let (source, destination) = match from.ip() {
        IpAddr::V4(_) => (CTA_IP_V4_SRC, CTA_IP_V4_DST),
        IpAddr::V6(_) => (CTA_IP_V6_SRC, CTA_IP_V6_DST),
    };
    message.nested(CTA_TUPLE_IP, |m| {
        m.address(source, from.ip()).address(destination, to.ip());
    });
    message.nested(CTA_TUPLE_PROTO, |m| {
        m.attribute(CTA_PROTO_NUM, &[protocol.number(from.ip())]);
        if protocol == Protocol::Echo {
            // The identifier stands where the client's port would.
            let id = if reply { to.port() } else { from.port() };
            let (attributes, kind) = match (from.ip(), reply) {
                (IpAddr::V4(_), false) => ([CTA_PROTO_ICMP_ID, CTA_PROTO_ICMP_TYPE, CTA_PROTO_ICMP_CODE], 8),
                (IpAddr::V4(_), true) => ([CTA_PROTO_ICMP_ID, CTA_PROTO_ICMP_TYPE, CTA_PROTO_ICMP_CODE], 0),
                (IpAddr::V6(_), false) => ([CTA_PROTO_ICMPV6_ID, CTA_PROTO_ICMPV6_TYPE, CTA_PROTO_ICMPV6_CODE], 128),
                (IpAddr::V6(_), true) => ([CTA_PROTO_ICMPV6_ID, CTA_PROTO_ICMPV6_TYPE, CTA_PROTO_ICMPV6_CODE], 129),
            };
            m.be16(attributes[0], id).attribute(attributes[1], &[kind]).attribute(attributes[2], &[0]);
        } else {
            m.be16(CTA_PROTO_SRC_PORT, from.port()).be16(CTA_PROTO_DST_PORT, to.port());
        }
    });
}

/// Deletes the entries whose mark is `mark` in the bits of `mask`: all, or those that `picked` picks.
pub fn forget(mark: u32, mask: u32, picked: Option<Picked>) -> io::Result<()> {
    let mut socket = Socket::open(libc::NETLINK_NETFILTER, 0)?;
    let request = |kind| {
        let mut message = Message::new(SUBSYSTEM | kind, 0, &[libc::AF_UNSPEC as u8, 0, 0, 0]);
        message.be32(CTA_MARK, mark).be32(CTA_MARK_MASK, mask);
        message
    };
    let Some(picked) = picked else { return socket.request(request(MSG_DELETE)) };
    for _ in 0..MAX_LOOKS {
        let mut chosen: Vec<Message> = Vec::new();
        socket.dump(request(MSG_GET), |answer| {
            if chosen.len() < MAX_DESCRIPTIONS {
                chosen.extend(deletion(answer, mark, mask, picked));
            }
        })?;
        let all = chosen.len() < MAX_DESCRIPTIONS;
        for message in chosen {
            match socket.request(message) {
                // It ended by itself, or it is in hardware.
                Err(error) if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EBUSY)) => return Err(error),
                _ => {}
            }
        }
        if all {
            break;
        }
    }
    Ok(())
}

/// The request to delete an entry that the kernel told of, if it is meant.
fn deletion(answer: &Answer, mark: u32, mask: u32, picked: Picked) -> Option<Message> {
    let find = |wanted| answer.attributes(HEADER).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let number = |wanted| find(wanted).and_then(|value| array(value, 0)).map(u32::from_be_bytes);
    let (original, reply) = (find(CTA_TUPLE_ORIG)?, find(CTA_TUPLE_REPLY)?);
    // A kernel that does not know the filter tells of all.
    if number(CTA_MARK)? & mask != mark {
        return None;
    }
    let (source, destination, protocol) = ends(original)?;
    let status = number(CTA_STATUS)?;
    let flow = Flow {
        protocol,
        source,
        destination,
        answered: ends(reply)?.1,
        replied: status & IPS_SEEN_REPLY != 0,
        offloaded: status & IPS_OFFLOADED != 0,
    };
    if !picked(&flow) {
        return None;
    }
    let family = *answer.body.first()?;
    let mut message = Message::new(SUBSYSTEM | MSG_DELETE, 0, &[family, 0, 0, 0]);
    message.attribute(CTA_TUPLE_ORIG | libc::NLA_F_NESTED as u16, original);
    // Not another one that took its place meanwhile.
    message.attribute(CTA_ID, find(CTA_ID)?);
    Some(message)
}

/// The source, destination and protocol of a tuple.
fn ends(tuple: &[u8]) -> Option<(IpAddr, IpAddr, u8)> {
    let inside = |wanted| Attributes(tuple).find(|(kind, _)| *kind == wanted).map(|(_, value)| Attributes(value));
    let (mut source, mut destination) = (None, None);
    for (kind, value) in inside(CTA_TUPLE_IP)? {
        match kind {
            CTA_IP_V4_SRC | CTA_IP_V6_SRC => source = address(value),
            CTA_IP_V4_DST | CTA_IP_V6_DST => destination = address(value),
            _ => {}
        }
    }
    let (_, protocol) = inside(CTA_TUPLE_PROTO)?.find(|(kind, _)| *kind == CTA_PROTO_NUM)?;
    Some((source?, destination?, *protocol.first()?))
}
