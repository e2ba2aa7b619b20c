//! Packets: checked views of what comes from outside, and the packets that a race sends.
//!
//! Every byte that reaches the daemon through a queue is parsed in [`view`], once, into an [`Opening`] or an [`Answer`];
//! what does not fit is not raced, and goes its normal way. [`copy`] makes the packets that leave: the copies of an
//! opening, one a link, and the resets of the losers.

use std::net::{IpAddr, SocketAddr};

pub mod checksum;
pub mod copy;
pub mod numbers;
pub mod view;

use crate::family::Family;
use numbers::{TCP, UDP};

pub use copy::{Buffer, copy_of, reset};
pub use view::{answer, opening};

/// The largest first packet that is raced, in bytes: a full Ethernet frame's payload. (QUIC's Initials are 1,200 to 1,500.)
pub const MAX_PACKET: usize = 1500;

/// What can be raced.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protocol {
    Tcp,
    Udp,
    /// ICMP or ICMPv6 echo; its identifier takes the place of the client's port, and the server's port is 0.
    Echo,
}

impl Protocol {
    /// The IANA protocol number in the family of `address`.
    pub const fn number(self, address: IpAddr) -> u8 {
        match self {
            Protocol::Tcp => TCP,
            Protocol::Udp => UDP,
            Protocol::Echo => Family::of(address).icmp(),
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Echo => "icmp",
        }
    }
}

/// The first packet of a connection, as the client sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    pub protocol: Protocol,
    pub client: SocketAddr,
    pub server: SocketAddr,
    /// Bytes, headers included.
    pub length: u16,
    /// What the connection's conntrack entry and its resets need; `None` unless TCP.
    pub syn: Option<Syn>,
}

/// What a SYN says (RFC 9293 3.1, RFC 7323 2, RFC 2018 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Syn {
    /// The initial sequence number.
    pub isn: u32,
    /// The shift of the window scale option.
    pub window_scale: Option<u8>,
    pub sack_permitted: bool,
    /// Carries data: TCP Fast Open (RFC 7413). Only one server may see it.
    pub carries_data: bool,
}

/// A packet that may answer an opening, as it arrived at a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    pub protocol: Protocol,
    pub server: SocketAddr,
    /// The link's address, and the port that the copy left with.
    pub local: SocketAddr,
    pub says: Says,
}

/// What an answer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Says {
    /// TCP, SYN and ACK set: the server accepts; the value is its acknowledgment number.
    SynAck(u32),
    /// TCP, RST set: the server refuses; the value is its acknowledgment number.
    Reset(u32),
    /// An ICMP error: somebody on the way, or the server's firewall, says that it cannot be reached. Of TCP, the number that an
    /// acknowledgment of the packet it quotes would have.
    Unreachable(Option<u32>),
    /// Any UDP datagram, or an echo reply.
    Data,
}
