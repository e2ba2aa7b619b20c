//! What the options hold: ports, protocols, probe targets, times; each from its UCI text and back.

use core::fmt;
use core::str::FromStr;

use crate::text::{Invalid, number};
use crate::time::Span;

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    pub const fn only(port: u16) -> Self {
        PortRange { first: port, last: port }
    }

    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl FromStr for PortRange {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let first = number(first).ok_or(Invalid)?;
        let last = number(last).ok_or(Invalid)?;
        if first == 0 || first > last { Err(Invalid) } else { Ok(PortRange { first, last }) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// What a rule's `proto` names. "All" is the empty list of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protocol {
    Tcp,
    Udp,
    /// ICMP in IPv4 (1) and ICMPv6 in IPv6 (58).
    Icmp,
    /// Another IP protocol, 1 to 255; never that of TCP or UDP.
    Number(u8),
}

impl FromStr for Protocol {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" | "6" => Ok(Protocol::Tcp),
            "udp" | "17" => Ok(Protocol::Udp),
            "icmp" => Ok(Protocol::Icmp),
            text => number(text).filter(|number| *number != 0).map(Protocol::Number).ok_or(Invalid),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Protocol::Tcp => f.write_str("tcp"),
            Protocol::Udp => f.write_str("udp"),
            Protocol::Icmp => f.write_str("icmp"),
            Protocol::Number(number) => number.fmt(f),
        }
    }
}

pub use crate::probe::Target;

/// Two sets of addresses in our nft table, `NAME4` and `NAME6`, that another program fills: dnsmasq, mostly. A rule of nft
/// can look into no other table's sets.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NftSet {
    pub name: String,
}

impl FromStr for NftSet {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_set_name(text) { Ok(NftSet { name: text.into() }) } else { Err(Invalid) }
    }
}

impl fmt::Display for NftSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The longest name of a section, an interface or a set: what nftables and netifd take.
pub const MAX_NAME: usize = 255;

/// A section's or an interface's name.
pub fn is_name(text: &str) -> bool {
    let letter = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(letter)
}

/// A name that the kernel takes for a device and that nft takes between quotes. The kernel allows more, among it `*`,
/// which nft would read as a wildcard.
pub fn is_device(text: &str) -> bool {
    let letter = |c: u8| c.is_ascii_alphanumeric() || b"_-.@+~".contains(&c);
    (1..=15).contains(&text.len()) && text != "." && text != ".." && text.bytes().all(letter)
}

/// The path of a file. The longest that the kernel takes has 4,095 bytes (PATH_MAX, limits.h).
pub fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() < 4096 && !text.ends_with('/') && !text.chars().any(char::is_control)
}

/// What stays a name with 4 or 6 behind it: `ip6` and `icmpv6` are words of nft's, `sticky_1_1_4` is a set of a policy.
fn is_set_name(text: &str) -> bool {
    let letter = |c: u8| c.is_ascii_alphanumeric() || b"_-.".contains(&c);
    let first = text.bytes().next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_');
    let taken = ["ip", "icmpv"].contains(&text) || text.starts_with("sticky_");
    first && !taken && text.len() < MAX_NAME && text.bytes().all(letter)
}

pub use crate::probe::target::is_elsewhere as is_host;

/// UCI's words for yes and no.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "on" | "yes" | "true" | "enabled" => Some(true),
        "0" | "off" | "no" | "false" | "disabled" => Some(false),
        _ => None,
    }
}

/// Largest first, as [`span_text`] tries them.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// `200ms`, `10s`, `5m`, `1h`, `1d`; a bare number counts seconds.
pub fn parse_span(text: &str) -> Option<Span> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at_checked(end)?;
    let millis = match unit {
        "" => 1_000,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    Some(Span::from_millis(number::<u64>(count)?.checked_mul(millis)?))
}

/// The shortest text that [`parse_span`] reads as `span`, whole milliseconds.
pub fn span_text(span: Span) -> String {
    let millis = span.as_millis();
    match UNITS.iter().find(|(_, unit)| millis != 0 && millis.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", millis / unit),
        None => "0".into(),
    }
}

/// `0x` and one to eight digits.
pub fn parse_hex(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    if digits.bytes().all(|c| c.is_ascii_hexdigit()) { u32::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
