//! What the data thread is to do: of the configuration, and of the links as they are. No system calls.

use crate::config::{Key, Mac, PeerConfig, Role, Scheduler, Transport, Wire};
use crate::kernel::Snapshot;
use crate::link::{Link, Marks};

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
    /// Whether it is the same peer: what a section takes over as it runs may be another, and what is the main loop's alone.
    pub fn is_same(&self, other: &Wanted) -> bool {
        let (new, mut config) = (&other.config, self.config.clone());
        if new.role == Role::Server {
            config.remotes.clone_from(&new.remotes);
        }
        if let (Transport::Udp { links }, Transport::Udp { links: others }) = (&mut config.transport, &new.transport) {
            // They come as ways.
            links.clone_from(others);
        }
        let config = PeerConfig {
            address: new.address.clone(),
            mtu: new.mtu,
            keepalive: new.keepalive,
            route: new.route.clone(),
            masquerade: new.masquerade,
            metered_limit: new.metered_limit,
            ..config
        };
        (&config, &self.key) == (new, &other.key)
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
    /// The link's place where one is preferred: the lowest comes first.
    pub metric: u16,
    /// Bytes a second; 0: any.
    pub cap: u64,
    /// Carries only while no other does.
    pub reserve: bool,
    /// Of transport ethernet: who is there.
    pub remote: Option<Mac>,
}

/// The ways of a peer. Whether a link's probes are content does not matter: the bond asks its own end.
pub fn ways(peer: &PeerConfig, attached: &[Attached], now: &Snapshot, marks: Marks) -> Vec<Way> {
    let mut ways: Vec<Way> = match &peer.transport {
        Transport::Udp { .. } if peer.role == Role::Server => Vec::new(),
        Transport::Udp { links } if links.is_empty() => attached.iter().map(|one| by_link(peer, one, marks)).collect(),
        Transport::Udp { links } => {
            let find = |name: &String| attached.iter().find(|one| one.link.name == *name);
            links.iter().filter_map(find).map(|one| by_link(peer, one, marks)).collect()
        }
        Transport::Ethernet { wires } => wires.iter().map(|wire| by_wire(peer, wire, attached, now)).collect(),
    };
    // Both ends prefer a path of a lower number, and it is the client who numbers them.
    if peer.scheduler == Scheduler::Failover && peer.role == Role::Client {
        ways.sort_by_key(|way| way.metric);
    }
    ways
}

/// A metered link's cap, and whether it is a reserve. A server's wires are what clients have at their other ends.
fn metered(peer: &PeerConfig, link: &Link) -> (u64, bool) {
    let is_metered = link.metered && peer.role == Role::Client;
    let cap = peer.metered_limit.filter(|_| is_metered).map_or(0, |bits| (bits / 8).max(1));
    (cap, is_metered && peer.metered_limit.is_none())
}

fn by_link(peer: &PeerConfig, Attached { link, lacks, .. }: &Attached, marks: Marks) -> Way {
    let (cap, reserve) = metered(peer, link);
    Way {
        name: link.name.clone(),
        device: link.device.clone(),
        index: if lacks.is_none() { link.ifindex } else { 0 },
        mark: marks.link(link.id),
        ipv4: link.ipv4.is_some(),
        ipv6: link.ipv6.is_some(),
        mtu: link.mtu,
        weight: link.weight,
        metric: link.metric,
        cap,
        reserve,
        remote: None,
    }
}

fn by_wire(peer: &PeerConfig, wire: &Wire, attached: &[Attached], now: &Snapshot) -> Way {
    let link = attached.iter().find(|one| one.link.name == wire.local);
    let name = link.map_or(&wire.local, |one| &one.link.device);
    let device = now.devices.iter().find(|device| device.name == *name && device.running);
    let (cap, reserve) = link.map_or((0, false), |one| metered(peer, &one.link));
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
        metric: link.map_or(0, |one| one.link.metric),
        cap,
        reserve,
        remote: wire.remote,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::attach::{Netifd, attach, number};
    use super::*;
    use crate::config;
    use crate::kernel::Device;

    /// What is wanted of the only peer, which has these options, over three links.
    fn wanted_of(peer: &str) -> Wanted {
        let key = Key([7; 32]);
        let key = crate::bond::keys::Secret::new(key.0).written();
        let text = format!(
            "config cheaproute 'main'
            config link 'a'\n option device 'eth1'\n option metric '20'\n option metered '1'\n option weight '3'
            config link 'b'\n option device 'eth2'\n option metric '10'
            config link 'c'\n option device 'eth3'\n option metric '10'
            config peer 'far'\n option private_key_file '/k'\n option public_key '{key}'\n list address '10.0.0.1/24'\n {peer}"
        );
        let (config, _) = config::read(&text).unwrap_or_else(|faults| panic!("{faults:?}"));
        let device = |index: u32| Device::example(index, &format!("eth{index}"));
        let now = Snapshot { devices: (1..=3).map(device).collect(), addresses: Vec::new(), routes: Vec::new() };
        let attached = attach(&config, &number(&config, &[]), &now, &Netifd::Unknown);
        let ways = ways(&config.peers[0], &attached, &now, Marks::new(Marks::DEFAULT_MASK).unwrap());
        Wanted { config: config.peers[0].clone(), key: Ok(Key([7; 32])), ways }
    }

    fn ways_of(peer: &str) -> Vec<Way> {
        wanted_of(peer).ways
    }

    fn names(peer: &str) -> String {
        ways_of(peer).iter().map(|way| way.name.as_str()).collect()
    }

    const UDP: &str = "list endpoint '192.0.2.1:1'\n";
    const WIRES: &str = "option transport ethernet\n list link 'a'\n list link 'b'\n list link 'eth3'\n \
        list remote_mac '02:00:00:00:00:01'\n list remote_mac '02:00:00:00:00:02'\n list remote_mac '02:00:00:00:00:03'\n";

    #[test]
    fn failover_goes_by_metrics_and_else_by_the_order_of_link() {
        for (more, expected) in [
            ("", "abc"),
            ("option scheduler failover", "bca"),
            ("option scheduler failover\n option link 'c b a'", "cba"),
            ("option scheduler failover\n option link 'a c b'", "cba"),
            ("option scheduler weighted\n option link 'c a b'", "cab"),
        ] {
            assert_eq!(names(&(UDP.to_owned() + more)), expected, "{more}");
        }
        // A device that is no link has no metric.
        assert_eq!(names(&format!("{WIRES} option scheduler failover")), "eth3ba");
        assert_eq!(names(WIRES), "abeth3");
    }

    #[test]
    fn what_a_section_takes_over_makes_no_other_peer() {
        let is_same = |transport: &str, more: &str| {
            wanted_of(transport).is_same(&wanted_of(&(transport.to_owned() + "\n" + more)))
        };
        let route = "list route '10.9.0.0/16'";
        let taken_over = ["list address '10.0.2.1/24'", "option mtu 1400", "option keepalive 9s", route];
        for more in taken_over.iter().chain(&["list link 'b'", "option metered_limit 2mbit", ""]) {
            assert!(is_same(UDP, more), "{more}");
        }
        let others = ["option scheduler redundant", "option repair 0", "option latency_limit 90ms", "option device x"];
        for more in others.iter().chain(&["option listen_port 9", "list endpoint '192.0.2.2:1'"]) {
            assert!(!is_same(UDP, more), "{more}");
        }
        let server = |more: &str| wanted_of(&format!("option role server\n option listen_port 9\n {more}"));
        assert!(server("").is_same(&server("list allowed_ips '10.0.0.7'\n option masquerade 1")));
        assert!(!server("").is_same(&wanted_of(UDP)));
        assert!(!wanted_of(WIRES).is_same(&wanted_of(UDP)));
    }

    #[test]
    fn what_is_metered_is_a_reserve_or_has_a_cap_on_wires_too() {
        for transport in [UDP, WIRES] {
            let terms = |more: &str| -> Vec<(u16, u64, bool)> {
                let ways = ways_of(&(transport.to_owned() + more));
                ways.iter().map(|way| (way.weight, way.cap, way.reserve)).collect()
            };
            assert_eq!(terms(""), [(3, 0, true), (1, 0, false), (1, 0, false)], "{transport}");
            let limit = "option metered_limit 2mbit";
            assert_eq!(terms(limit), [(3, 250_000, false), (1, 0, false), (1, 0, false)], "{transport}");
        }
        let server = ways_of(&format!("{WIRES} option role server"));
        assert!(server.iter().all(|way| !way.reserve && way.cap == 0), "{server:?}");
    }
}
