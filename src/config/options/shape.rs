//! What values look like.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::peer::{is_local, parse_rate};
use super::super::values::{is_device, is_host, is_name, is_path, parse_bool, parse_hex, parse_span, span_text};
use super::Value;
use crate::family::Family;
use crate::link::Marks;
use crate::prefix::Prefix;
use crate::split;
use crate::text::{commas, number};
use crate::time::Span;

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Bool,
    /// `unit` is what is counted; empty for a bare number.
    Integer {
        min: u16,
        max: u16,
        unit: &'static str,
    },
    Time {
        min: Span,
        max: Span,
    },
    OneOf(&'static [&'static str]),
    /// The name of a section or of an interface in `/etc/config/network`.
    Name,
    /// A network device of the kernel.
    Device,
    /// A file, by its whole path.
    Path,
    Ipv4,
    Ipv6,
    /// An address or a prefix of either family.
    Prefix,
    PrefixIpv6,
    Ports,
    Protocol,
    Target,
    NftSet,
    Mask,
    /// A host's address and a port.
    Endpoint,
    Ratio,
    Key,
    /// A host's address or name, and a port.
    Host,
    /// An address of a device of ours, with its prefix's length.
    Own,
    /// A link's name or a device.
    Local,
    Mac,
    Rate,
}

impl Shape {
    /// `None` if `text` does not fit.
    pub fn parse(&self, text: &str) -> Option<Value> {
        match *self {
            Shape::Bool => parse_bool(text).map(Value::Bool),
            Shape::Integer { min, max, .. } => number(text).filter(|n| (min..=max).contains(n)).map(Value::Integer),
            Shape::Time { min, max } => parse_span(text).filter(|t| (min..=max).contains(t)).map(Value::Time),
            Shape::OneOf(words) => words.iter().find(|word| **word == text).map(|word| Value::Word(word)),
            Shape::Name => is_name(text).then(|| Value::Text(text.into())),
            Shape::Device => is_device(text).then(|| Value::Text(text.into())),
            Shape::Path => is_path(text).then(|| Value::Text(text.into())),
            Shape::Ipv4 => text.parse().ok().filter(|a: &Ipv4Addr| is_host((*a).into())).map(Value::Ipv4),
            Shape::Ipv6 => text.parse().ok().filter(|a: &Ipv6Addr| is_host((*a).into())).map(Value::Ipv6),
            Shape::Prefix => text.parse().ok().map(Value::Prefix),
            Shape::PrefixIpv6 => {
                let fits = |prefix: &Prefix| prefix.family() == Family::Ipv6 && prefix.length() > 0;
                text.parse().ok().filter(fits).map(Value::Prefix)
            }
            Shape::Ports => text.parse().ok().map(Value::Ports),
            Shape::Protocol if text.eq_ignore_ascii_case("all") => Some(Value::Protocol(None)),
            Shape::Protocol => text.parse().ok().map(Some).map(Value::Protocol),
            Shape::Target => text.parse().ok().map(Value::Target),
            Shape::NftSet => text.parse().ok().map(Value::NftSet),
            Shape::Mask => parse_hex(text).and_then(Marks::new).map(Value::Mask),
            Shape::Endpoint => split::endpoint(text).map(Value::Endpoint),
            Shape::Ratio => text.parse().ok().map(Value::Ratio),
            Shape::Key => text.parse().ok().map(Value::Key),
            Shape::Host => text.parse().ok().map(Value::Host),
            Shape::Own => text.parse().ok().map(Value::Own),
            Shape::Local => is_local(text).then(|| Value::Text(text.into())),
            Shape::Mac => text.parse().ok().map(Value::Mac),
            Shape::Rate => parse_rate(text).map(Value::Rate),
        }
    }

    /// What fits, in short; `None` where an example says it better.
    pub fn range(&self) -> Option<String> {
        match *self {
            Shape::Integer { min, max, .. } => Some(format!("{min} to {max}")),
            Shape::Time { min, max } => Some(format!("{} to {}", span_text(min), span_text(max))),
            Shape::OneOf(words) => Some(words.join(" | ")),
            _ => None,
        }
    }

    /// What fits, after "must be".
    pub fn describe(&self) -> String {
        match *self {
            Shape::Bool => "1 or 0 (or on, off, yes, no, true, false, enabled, disabled)".into(),
            Shape::Integer { min, max, unit: "" } => format!("a whole number from {min} to {max}"),
            Shape::Integer { min, max, unit } => format!("a whole number of {unit} from {min} to {max}"),
            Shape::Time { min, max } => {
                format!("a time from {} to {}, written like 200ms, 10s, 5m or 1h", span_text(min), span_text(max))
            }
            Shape::OneOf(words) => format!("one of {}", commas(words)),
            Shape::Name => "a name of up to 255 letters, digits, '_' and '-'".into(),
            Shape::Device => "a network device's name of up to 15 characters, such as eth1 or pppoe-wan".into(),
            Shape::Path => "a file's path from / on, such as /etc/cheaproute.user".into(),
            Shape::Ipv4 => "the IPv4 address of a host, such as 192.0.2.1".into(),
            Shape::Ipv6 => "the IPv6 address of a host, such as 2001:db8::1".into(),
            Shape::Prefix => "an address or prefix, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/48".into(),
            Shape::PrefixIpv6 => "an IPv6 prefix, such as 2001:db8::/56".into(),
            Shape::Ports => "a port from 1 to 65535 or a range such as 8000-8100".into(),
            Shape::Protocol => "tcp, udp, icmp, all or a protocol number from 1 to 255".into(),
            Shape::Target => "icmp:ADDRESS, tcp:ADDRESS:PORT, dns:ADDRESS or http:HOST/PATH, such as icmp:1.1.1.1 or \
                              http:connectivitycheck.gstatic.com/generate_204"
                .into(),
            Shape::NftSet => "a name for nft sets, such as video".into(),
            Shape::Mask => "six adjacent bits in hexadecimal, such as 0x3F000000".into(),
            Shape::Endpoint => "a host's address and a port, such as 192.0.2.11:443 or [2001:db8::11]:443".into(),
            Shape::Ratio => "two whole numbers from 1 to 65535, such as 7500:2500".into(),
            Shape::Key => "a key of 44 characters in base64, such as 'cheaproute genkey' makes".into(),
            Shape::Host => {
                "a host and its port, such as vps.example.net:7420, 192.0.2.1:7420 or [2001:db8::1]:7420".into()
            }
            Shape::Own => "an address with the length of its prefix, such as 10.74.20.2/24 or fd74:20::2/64".into(),
            Shape::Local => "a link's name or a network device of up to 15 characters".into(),
            Shape::Mac => "a station's hardware address, such as 02:00:00:00:00:01".into(),
            Shape::Rate => "a rate from 64kbit to 100gbit, such as 500kbit or 20mbit".into(),
        }
    }
}
