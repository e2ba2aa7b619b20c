//! Who is asked: probe targets, as the configuration writes them.

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::text::is_host_name;

/// The path that is asked for where none is given: the one at which the portal checks of the large systems answer 204.
pub const USUAL_PATH: &str = "/generate_204";

/// The longest path that a target may have; a request is one small packet.
const MAX_PATH: usize = 256;

/// Who is asked, and how.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// An echo request.
    Icmp(IpAddr),
    /// A connection's handshake.
    Tcp(SocketAddr),
    /// A question to a resolver: for the addresses of a name, or the root's name servers if the name is empty.
    Dns(SocketAddr, Box<str>),
    /// A page that must be empty.
    Http(Page),
}

/// What an HTTP probe asks for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Page {
    pub host: Host,
    pub port: u16,
    /// With its first slash.
    pub path: Box<str>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Host {
    Address(IpAddr),
    /// To be resolved over the link.
    Name(Box<str>),
}

/// Text that names no target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoTarget;

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        let (scheme, rest) = text.split_once(':').ok_or(NoTarget)?;
        match scheme {
            "icmp" => bare(rest).map(Target::Icmp),
            "tcp" => with_port(rest).map(Target::Tcp),
            "dns" => {
                let (server, name) = rest.split_once('/').unwrap_or((rest, ""));
                let server = bare(server).map(|ip| SocketAddr::new(ip, 53)).or_else(|| with_port(server));
                server.filter(|_| name.is_empty() || is_host_name(name)).map(|to| Target::Dns(to, name.into()))
            }
            "http" => page(rest.strip_prefix("//").unwrap_or(rest)).map(Target::Http),
            _ => None,
        }
        .ok_or(NoTarget)
    }
}

/// An address without a port; IPv6 in brackets or without.
fn bare(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().ok()?.into(),
        None => text.parse().ok()?,
    };
    is_elsewhere(address).then_some(address)
}

/// An address of another host, with a port.
pub(crate) fn with_port(text: &str) -> Option<SocketAddr> {
    let to: SocketAddr = text.parse().ok()?;
    // A scope (`%eth0`) would contradict the link that the probe leaves by.
    (is_elsewhere(to.ip()) && to.port() != 0 && !text.contains('%')).then_some(to)
}

fn page(text: &str) -> Option<Page> {
    let (authority, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let path = if path.is_empty() { USUAL_PATH } else { path };
    // A comma parts the items of a list.
    if path.len() > MAX_PATH || !path.bytes().all(|c| c.is_ascii_graphic() && !matches!(c, b'#' | b',')) {
        return None;
    }
    let (host, port) = if let Some(address) = bare(authority) {
        (Host::Address(address), 80)
    } else if let Some(to) = with_port(authority) {
        (Host::Address(to.ip()), to.port())
    } else {
        let (name, port) = authority.split_once(':').unwrap_or((authority, "80"));
        let digits = port.bytes().all(|c| c.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0)?;
        (Host::Name(is_host_name(name).then(|| name.into())?), port)
    };
    Some(Page { host, port, path: path.into() })
}

/// An address that a host elsewhere can have.
pub fn is_elsewhere(address: IpAddr) -> bool {
    let everyone = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || everyone)
}

/// As in the configuration: `icmp:1.1.1.1`, `tcp:[2620:fe::fe]:443`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Icmp(address) => write!(f, "icmp:{address}"),
            Target::Tcp(address) => write!(f, "tcp:{address}"),
            Target::Dns(server, name) => {
                f.write_str("dns:")?;
                if server.port() == 53 {
                    server.ip().fmt(f)?
                } else {
                    server.fmt(f)?
                }
                if name.is_empty() { Ok(()) } else { write!(f, "/{name}") }
            }
            Target::Http(page) => write!(f, "http:{}{}", page.authority(), page.path),
        }
    }
}

impl Page {
    /// The host with its port unless that is the usual one, as in the `Host` field (RFC 9110, 7.2).
    pub fn authority(&self) -> String {
        let mut text = match &self.host {
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.to_string(),
        };
        if self.port != 80 {
            text += ":";
            text += &self.port.to_string();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_written() {
        for (text, printed) in [
            ("icmp:1.1.1.1", "icmp:1.1.1.1"),
            ("icmp:2001:db8::1", "icmp:2001:db8::1"),
            ("icmp:[2001:db8::1]", "icmp:2001:db8::1"),
            ("tcp:9.9.9.9:443", "tcp:9.9.9.9:443"),
            ("tcp:[2001:db8::1]:443", "tcp:[2001:db8::1]:443"),
            ("dns:8.8.8.8", "dns:8.8.8.8"),
            ("dns:8.8.8.8:5353/a.example", "dns:8.8.8.8:5353/a.example"),
            ("dns:2620:fe::fe", "dns:2620:fe::fe"),
            ("dns:[2620:fe::fe]:53/example.net", "dns:2620:fe::fe/example.net"),
            ("http:192.0.2.1", "http:192.0.2.1/generate_204"),
            ("http://a.example:8080/x?y=z", "http:a.example:8080/x?y=z"),
            ("http:[2001:db8::1]:81/", "http:[2001:db8::1]:81/"),
            ("http:[2001:db8::1]/", "http:[2001:db8::1]/"),
        ] {
            let target = text.parse::<Target>().map(|target| target.to_string());
            assert_eq!(target.as_deref(), Ok(printed), "{text}");
            assert_eq!(printed.parse::<Target>(), text.parse(), "{text}");
        }
        let long = format!("http:a/{}", "b".repeat(MAX_PATH));
        let name = format!("dns:1.1.1.1/{}", "a.".repeat(127));
        for bad in [
            "1.1.1.1",
            "icmp:",
            "icmp:[1.1.1.1]",
            "icmp:0.0.0.0",
            "icmp:localhost",
            "icmp:224.0.0.1",
            "tcp:9.9.9.9",
            "tcp:9.9.9.9:0",
            "tcp:2001:db8::1:443",
            "tcp:[fe80::1%2]:443",
            "tcp:[fe80::1%0]:443",
            "tcp:127.0.0.1:80",
            "dns:",
            "dns:a.example",
            "dns:1.1.1.1:0",
            "dns:1.1.1.1/a b",
            "dns:1.1.1.1/a..b",
            "http:",
            "http:/x",
            "http:1.2.3/x",
            "http:a:0/x",
            "http:a:/x",
            "http:a:+80/x",
            "http:127.0.0.1/",
            "http:a/b c",
            "http:a/b#c",
            "http:a/b,c",
            "http:-a/",
            "https:a/",
            &long,
            &name,
        ] {
            assert_eq!(bad.parse::<Target>(), Err(NoTarget), "{bad}");
        }
    }
}
