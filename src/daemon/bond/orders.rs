//! What the data thread is to do: of the configuration, and of the links as they are. No system calls.

use crate::config::{Key, Mac, PeerConfig, Role, Transport, Wire};
use crate::kernel::Snapshot;
use crate::link::Marks;

use super::super::attach::Attached;

/// A peer as the main loop wants it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    pub config: PeerConfig,
    /// Our own, or why there is none.
    pub key: Result<Key, String>,
    /// A client's paths, by their numbers; an Ethernet server's devices.
    pub ways: Vec<Way>,
}

impl Wanted {
    /// Whether it is the same peer, though its links may be others, and a server's clients.
    pub fn is_same(&self, other: &Wanted) -> bool {
        let of = if other.config.role == Role::Server { other } else { self };
        let config = PeerConfig { remotes: of.config.remotes.clone(), ..self.config.clone() };
        (&config, &self.key) == (&other.config, &other.key)
    }
}

/// A link as a path sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    pub name: String,
    pub device: String,
    /// The device's; 0: the link cannot be used.
    pub index: u32,
    pub mark: u32,
    pub ipv4: bool,
    pub ipv6: bool,
    /// Bytes.
    pub mtu: u16,
    pub weight: u16,
    /// Bytes a second; 0: any.
    pub cap: u64,
    /// Carries only while no other does.
    pub reserve: bool,
    /// Of transport ethernet: who is there.
    pub remote: Option<Mac>,
}

/// The ways of a peer. Whether a link's probes are content does not matter: the bond asks its own end.
pub fn ways(peer: &PeerConfig, attached: &[Attached], now: &Snapshot, marks: Marks) -> Vec<Way> {
    match &peer.transport {
        Transport::Udp { .. } if peer.role == Role::Server => Vec::new(),
        Transport::Udp { links } if links.is_empty() => attached.iter().map(|one| by_link(peer, one, marks)).collect(),
        Transport::Udp { links } => {
            let find = |name: &String| attached.iter().find(|one| one.link.name == *name);
            links.iter().filter_map(find).map(|one| by_link(peer, one, marks)).collect()
        }
        Transport::Ethernet { wires } => wires.iter().map(|wire| by_wire(wire, attached, now)).collect(),
    }
}

fn by_link(peer: &PeerConfig, Attached { link, lacks }: &Attached, marks: Marks) -> Way {
    Way {
        name: link.name.clone(),
        device: link.device.clone(),
        index: if lacks.is_none() { link.ifindex } else { 0 },
        mark: marks.link(link.id),
        ipv4: link.ipv4.is_some(),
        ipv6: link.ipv6.is_some(),
        mtu: link.mtu,
        weight: link.weight,
        cap: peer.metered_limit.filter(|_| link.metered).map_or(0, |bits| (bits / 8).max(1)),
        reserve: link.metered && peer.metered_limit.is_none(),
        remote: None,
    }
}

fn by_wire(wire: &Wire, attached: &[Attached], now: &Snapshot) -> Way {
    let link = attached.iter().find(|one| one.link.name == wire.local);
    let name = link.map_or(&wire.local, |one| &one.link.device);
    let device = now.devices.iter().find(|device| device.name == *name && device.running);
    let taken_out = link.is_some_and(|one| one.lacks == Some(super::super::attach::Lack::Admin));
    Way {
        name: wire.local.clone(),
        device: name.clone(),
        index: device.filter(|_| !taken_out).map_or(0, |device| device.index),
        mark: 0,
        ipv4: false,
        ipv6: false,
        mtu: device.map_or(0, |device| u16::try_from(device.mtu).unwrap_or(u16::MAX)),
        weight: link.map_or(1, |one| one.link.weight),
        cap: 0,
        reserve: false,
        remote: wire.remote,
    }
}
