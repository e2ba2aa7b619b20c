//! IPv4 or IPv6: what says so, where the rest is the same for both.

use std::net::IpAddr;

use crate::packet::numbers::{ICMP, ICMPV6};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub const BOTH: [Family; 2] = [Family::Ipv4, Family::Ipv6];

    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// Its place where there is one of each, as in [`Self::BOTH`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// As UCI and nft (`meta nfproto`) write it.
    pub const fn name(self) -> &'static str {
        match self {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        }
    }

    /// The protocol number of its ICMP.
    pub const fn icmp(self) -> u8 {
        match self {
            Family::Ipv4 => ICMP,
            Family::Ipv6 => ICMPV6,
        }
    }

    /// The first four bits of its packets' headers.
    pub const fn version(self) -> u8 {
        match self {
            Family::Ipv4 => 4,
            Family::Ipv6 => 6,
        }
    }
}
