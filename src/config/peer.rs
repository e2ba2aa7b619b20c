//! Peers: remote ends that join several links into one device, and the values that only their options hold.

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, SocketAddr};

use super::section::Known;
use super::values::{is_device, is_name};
use crate::bond::keys::Secret;
use crate::prefix::Prefix;
use crate::text::{Invalid, is_host_name, number};
use crate::time::Span;

/// A section `peer`: one device, behind which is a server, or are clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerConfig {
    /// The section's.
    pub name: String,
    pub role: Role,
    pub private_key: PrivateKey,
    /// Of a client: its server, alone. Of a server: its clients, at most [`MAX_CLIENTS`], perhaps none.
    pub remotes: Vec<Remote>,
    /// The servers' places that a client tries in turn; empty for servers, and for transport ethernet.
    pub endpoint: Vec<Endpoint>,
    /// 0: any. A UDP server's never is.
    pub listen_port: u16,
    pub transport: Transport,
    /// Never empty: what the file does not name is `bond0`, `bond1` and so on.
    pub device: String,
    /// The device's own, with the length of the network that they are in.
    pub address: Vec<OwnAddress>,
    pub route: Vec<Prefix>,
    /// Bytes of an inner packet; `None`: what every path carries.
    pub mtu: Option<u16>,
    pub scheduler: Scheduler,
    pub latency_limit: Span,
    pub repair: bool,
    /// Zero: none.
    pub keepalive: Span,
    /// Bits a second on each metered link; `None`: those carry only while no other link does.
    pub metered_limit: Option<u64>,
    pub masquerade: bool,
}

/// A remote end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    /// That of its own section `client`, or else of the peer's.
    pub name: String,
    pub public_key: Key,
    pub preshared_key: Option<Key>,
    /// What it may use as a source, and what is sent to it; empty for a server, which may use all.
    pub allowed_ips: Vec<Prefix>,
}

/// How datagrams travel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Transport {
    /// Over these links by name; empty for servers, which answer wherever they are asked.
    Udp { links: Vec<String> },
    /// In frames between neighbours.
    Ethernet { wires: Vec<Wire> },
}

/// A local device and who is at its other end; `None`: whoever proves to be the peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wire {
    /// A link's name or a device's.
    pub local: String,
    pub remote: Option<Mac>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    Client,
    Server,
}

/// How a peer's packets are spread over its links.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scheduler {
    /// Every link carries every packet.
    Redundant,
    /// By the links' weights, whatever the paths do.
    Weighted,
    /// One link, the first in order that is well.
    Failover,
    /// The link by which a packet arrives first; all of them where one is not enough.
    Adaptive,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Medium {
    Udp,
    Ethernet,
}

/// The whole of a section `client`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientConfig {
    /// A name in [`Config::peers`](super::Config::peers), of role server.
    pub peer: String,
    pub remote: Remote,
}

/// A router holds a handful; each has a device and buffers of its own.
pub const MAX_PEERS: usize = 15;

/// Of all servers together: as many as a small provider has customers.
pub const MAX_CLIENTS: usize = 1_000;

/// Where a private key is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PrivateKey {
    Here(Key),
    File(String),
}

/// 32 bytes, in base64 as WireGuard's keys. What it is never gets into a log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(key)")
    }
}

impl FromStr for Key {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Secret::read(text).map(|key| Key(*key.bytes())).ok_or(Invalid)
    }
}

/// A host, by address or by name, and a port.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    Address(SocketAddr),
    Name(String, u16),
}

impl FromStr for Endpoint {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (host, port) = text.rsplit_once(':').ok_or(Invalid)?;
        let port = number::<u16>(port).filter(|port| *port > 0).ok_or(Invalid)?;
        let address: Option<IpAddr> = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => Some(inner.parse::<std::net::Ipv6Addr>().map_err(|_| Invalid)?.into()),
            None => host.parse::<std::net::Ipv4Addr>().ok().map(Into::into),
        };
        match address {
            Some(address) if address.is_unspecified() || address.is_multicast() => Err(Invalid),
            Some(address) => Ok(Endpoint::Address(SocketAddr::new(address, port))),
            None if is_host_name(host.strip_suffix('.').unwrap_or(host)) => Ok(Endpoint::Name(host.into(), port)),
            None => Err(Invalid),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Address(address) => address.fmt(f),
            Endpoint::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// An address of a device of ours and the length of its network's prefix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OwnAddress {
    pub address: IpAddr,
    pub length: u8,
}

impl OwnAddress {
    /// What is next door.
    pub fn network(self) -> Option<Prefix> {
        Prefix::new(self.address, self.length)
    }
}

impl FromStr for OwnAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let network: Prefix = text.parse()?;
        let address: IpAddr = text.split('/').next().and_then(|text| text.parse().ok()).ok_or(Invalid)?;
        let sound = !address.is_unspecified() && !address.is_multicast() && !address.is_loopback();
        if sound && network.length() > 0 { Ok(OwnAddress { address, length: network.length() }) } else { Err(Invalid) }
    }
}

impl fmt::Display for OwnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut mac {
            let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|c| c.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(part.ok_or(Invalid)?, 16).map_err(|_| Invalid)?;
        }
        // A group's address is nobody's (IEEE 802, 8.1).
        let is_station = mac[0] & 1 == 0 && mac != [0; 6];
        if parts.next().is_none() && is_station { Ok(Mac(mac)) } else { Err(Invalid) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// `500kbit`, `20mbit`, `1gbit`, as `tc` says it, in bits a second; at least 64 kbit, below which nothing useful passes.
pub fn parse_rate(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at_checked(end)?;
    let unit = match unit {
        "kbit" => 1_000,
        "mbit" => 1_000_000,
        "gbit" => 1_000_000_000,
        _ => return None,
    };
    number::<u64>(count)?.checked_mul(unit).filter(|rate| (64_000..=100_000_000_000).contains(rate))
}

/// What `list link` of a peer holds: a link's name, or a device's.
pub fn is_local(text: &str) -> bool {
    is_name(text) || is_device(text)
}

/// With the name in the file as its device until [`name_devices`] gives it one, without the clients of other sections.
pub(super) fn peer(known: &Known) -> PeerConfig {
    let role = known.one("role").unwrap_or(Role::Client);
    let address: Vec<OwnAddress> = known.list("address");
    let local: Vec<String> = known.list("link");
    let transport = match known.one("transport").unwrap_or(Medium::Udp) {
        Medium::Udp => Transport::Udp { links: local },
        Medium::Ethernet => {
            let macs: Vec<Mac> = known.list("remote_mac");
            let wire = |(number, local)| Wire { local, remote: macs.get(number).copied() };
            let wires = local.into_iter().enumerate().map(wire).collect();
            Transport::Ethernet { wires }
        }
    };
    let remote = known.one("public_key").map(|public_key| {
        let mut allowed_ips: Vec<Prefix> = known.list("allowed_ips");
        if role == Role::Client {
            allowed_ips.clear();
        } else if allowed_ips.is_empty() {
            allowed_ips.extend(address.iter().filter_map(|own| own.network()));
        }
        Remote { name: known.name.clone(), public_key, preshared_key: known.one("preshared_key"), allowed_ips }
    });
    let private_key = match (known.one("private_key"), known.one("private_key_file")) {
        (Some(key), _) => PrivateKey::Here(key),
        // A missing one is a fault by now.
        (None, file) => PrivateKey::File(file.unwrap_or_default()),
    };
    PeerConfig {
        name: known.name.clone(),
        role,
        private_key,
        remotes: remote.into_iter().collect(),
        endpoint: known.list("endpoint"),
        listen_port: known.one("listen_port").unwrap_or(0),
        transport,
        device: known.one("device").unwrap_or_default(),
        address,
        route: known.list("route"),
        mtu: known.one("mtu"),
        scheduler: known.one("scheduler").unwrap_or(Scheduler::Adaptive),
        latency_limit: known.one("latency_limit").unwrap_or(Span::from_millis(150)),
        repair: known.one("repair").unwrap_or(true),
        keepalive: known.one("keepalive").unwrap_or(Span::from_secs(10)),
        metered_limit: known.one("metered_limit"),
        masquerade: known.one("masquerade").unwrap_or(false),
    }
}

pub(super) fn client(known: &Known) -> ClientConfig {
    let remote = Remote {
        name: known.name.clone(),
        // What is required and missing is a fault by now.
        public_key: known.one("public_key").unwrap_or(Key([0; 32])),
        preshared_key: known.one("preshared_key"),
        allowed_ips: known.list("allowed_ips"),
    };
    ClientConfig { peer: known.one("peer").unwrap_or_default(), remote }
}

/// Devices without a name get the first `bondN` that is free, in the order of the file: also those that are not enabled,
/// so that switching one on renames no other.
pub(super) fn name_devices<'p>(peers: impl Iterator<Item = &'p mut PeerConfig>) {
    let peers: Vec<&mut PeerConfig> = peers.collect();
    let given: Vec<String> = peers.iter().map(|peer| peer.device.clone()).collect();
    let mut free = (0..).map(|number| format!("bond{number}")).filter(|name| !given.contains(name));
    for peer in peers.into_iter().filter(|peer| peer.device.is_empty()) {
        peer.device = free.next().unwrap_or_default();
    }
}

impl PeerConfig {
    /// Whether it can take a policy's connections, so that it has a number among the links.
    pub fn is_way(&self) -> bool {
        self.role == Role::Client
    }
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
