//! Networks, and the addresses in them.

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::family::Family;
use crate::text::{Invalid, number};

/// An address and how many of its bits count; the others are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// `None` if `length` exceeds the address. Bits beyond it are cleared: `192.168.1.1/24` means the network.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) => {
                let host = 32_u32.checked_sub(length.into())?;
                let mask = u32::MAX.checked_shl(host).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) => {
                let host = 128_u32.checked_sub(length.into())?;
                let mask = u128::MAX.checked_shl(host).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
        };
        Some(Prefix { address, length })
    }

    pub const fn address(self) -> IpAddr {
        self.address
    }

    pub const fn length(self) -> u8 {
        self.length
    }

    pub const fn family(self) -> Family {
        Family::of(self.address)
    }

    pub fn contains(self, address: IpAddr) -> bool {
        self.family() == Family::of(address) && Prefix::new(address, self.length) == Some(self)
    }

    /// Whether some address is in both.
    pub fn overlaps(self, other: Prefix) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

/// A lone address is the prefix of all its bits.
impl FromStr for Prefix {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(number::<u8>(length).ok_or(Invalid)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| Invalid)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        Prefix::new(address, length.unwrap_or(all)).ok_or(Invalid)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}
