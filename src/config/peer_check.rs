//! What only shows when a peer's options are seen together, and peers beside each other and beside links.

use super::check::Read;
use super::cross::{names, unknown};
use super::fault::{Fault, shown};
use super::options::KEY;
use super::peer::Wire;
use super::section::Known;
use super::{ClientConfig, Key, LinkConfig, MAX_CLIENTS, MAX_PEERS, PeerConfig, Role, Transport};
use crate::bond::keys::Secret;
use crate::link::MAX_LINKS;
use crate::prefix::Prefix;

/// The smallest MTU of a device with IPv6.
const LEAST_IPV6: u16 = 1_280;

pub struct Peers<'c, 'a> {
    pub links: &'c [Read<'a, LinkConfig>],
    pub peers: &'c [Read<'a, PeerConfig>],
    pub clients: &'c [Read<'a, ClientConfig>],
    /// Every header could be read.
    pub complete: bool,
}

impl Peers<'_, '_> {
    pub fn run(&self, faults: &mut Vec<Fault>) {
        self.count(faults);
        for (index, peer) in self.peers.iter().enumerate() {
            keys(&peer.known, faults);
            size(peer, faults);
            self.role(peer, faults);
            self.paths(peer, faults);
            if peer.enabled {
                let before = faults.len();
                for earlier in self.peers.iter().take(index).filter(|earlier| earlier.enabled) {
                    if faults.len() == before {
                        apart(earlier, peer, faults);
                    }
                }
            }
        }
        for client in self.clients {
            self.client(client, faults);
        }
        self.remotes_apart(faults);
    }

    fn count(&self, faults: &mut Vec<Fault>) {
        let used = || self.peers.iter().filter(|peer| peer.enabled);
        if let Some(peer) = used().nth(MAX_PEERS) {
            peer.known
                .fault(faults, format_args!("at most {MAX_PEERS} peers can be enabled; there are {}", used().count()));
            return;
        }
        let links = self.links.iter().filter(|link| link.enabled).count().min(MAX_LINKS);
        let ways = || used().filter(|peer| peer.config.is_way());
        if let Some(peer) = ways().nth(MAX_LINKS - links) {
            peer.known.fault(
                faults,
                format_args!(
                    "links and peers of role client can be {MAX_LINKS} together; there are {}",
                    links + ways().count()
                ),
            );
        }
        let clients = || self.clients.iter().filter(|client| client.enabled);
        if let Some(client) = clients().nth(MAX_CLIENTS) {
            client.known.fault(
                faults,
                format_args!("at most {MAX_CLIENTS} clients can be enabled; there are {}", clients().count()),
            );
        }
    }

    fn role(&self, peer: &Read<PeerConfig>, faults: &mut Vec<Fault>) {
        let Read { known, config, .. } = peer;
        let udp = matches!(config.transport, Transport::Udp { .. });
        let missing = |faults: &mut Vec<Fault>, option: &str, why: &str| {
            known.fault(faults, format_args!("option '{option}' is missing: {why}"));
        };
        let unused: &[&str] = match config.role {
            Role::Client => {
                if !known.is_given("public_key") {
                    missing(faults, "public_key", "the server's, as 'cheaproute pubkey' prints it there");
                }
                if udp && !known.is_given("endpoint") {
                    missing(faults, "endpoint", "where the server is, such as vps.example.net:7420");
                }
                &["allowed_ips", "masquerade"]
            }
            Role::Server => {
                if udp && !known.is_given("listen_port") {
                    missing(faults, "listen_port", "where clients reach this server, such as 7420");
                }
                let has_clients = self.clients.iter().any(|client| client.config.peer == known.name);
                if !known.is_given("public_key") && !has_clients && self.complete {
                    known.warn(
                        faults,
                        format_args!(
                            "has no client: give its public_key here, or add config client sections with option peer"
                        ),
                    );
                }
                if !known.is_given("public_key") {
                    for option in ["preshared_key", "allowed_ips"].iter().filter(|option| known.is_given(option)) {
                        known.fault_of(
                            faults,
                            option,
                            format_args!("needs 'public_key'; other clients' belongs into their sections"),
                        );
                    }
                }
                &["endpoint", "keepalive", "metered_limit"]
            }
        };
        let unused = if known.is_sound("role") { unused } else { &[] };
        let of_transport: &[&str] = match udp {
            true => &["remote_mac"],
            false => &["endpoint", "listen_port"],
        };
        // An endpoint of a server of transport ethernet is useless twice, and told once.
        let more = of_transport.iter().filter(|option| !unused.contains(option));
        for option in unused.iter().chain(more).filter(|option| known.is_given(option)) {
            known.warn_of(
                faults,
                option,
                format_args!("has no effect with role {} and transport {}", role(config), transport(udp)),
            );
        }
        if config.address.is_empty() && known.is_sound("address") && peer.enabled {
            known.warn(
                faults,
                format_args!("has no 'address': its device carries nothing until something gives it one"),
            );
        }
    }

    /// The links of transport udp, the wires of transport ethernet.
    fn paths(&self, peer: &Read<PeerConfig>, faults: &mut Vec<Fault>) {
        let Read { known, config, .. } = peer;
        let local: Vec<String> = known.list("link");
        for (index, name) in local.iter().enumerate() {
            if local.iter().take(index).any(|earlier| earlier == name) {
                known.fault_at(faults, "link", name, format_args!("names {} twice", shown(name)));
            }
        }
        match &config.transport {
            Transport::Udp { .. } if config.role == Role::Server => {
                if known.is_given("link") {
                    known.warn_of(
                        faults,
                        "link",
                        format_args!("has no effect: a server answers over the link that it is asked by"),
                    );
                }
            }
            Transport::Udp { links } => {
                let known_link = |name: &str| self.links.iter().find(|link| link.known.name == name);
                for name in links.iter().filter(|name| self.complete && known_link(name).is_none()) {
                    known.fault_at(faults, "link", name, format_args!("{}", unknown("link", name, &names(self.links))));
                }
                let all_off = |name: &String| known_link(name).is_some_and(|link| !link.enabled);
                if !links.is_empty() && links.iter().all(all_off) {
                    known.warn_of(faults, "link", format_args!("all of its links are disabled"));
                }
            }
            Transport::Ethernet { wires } => self.wires(known, config, wires, faults),
        }
    }

    fn wires(&self, known: &Known, config: &PeerConfig, wires: &[Wire], faults: &mut Vec<Fault>) {
        if !known.is_given("link") {
            known.fault(
                faults,
                format_args!(
                    "option 'link' is missing: transport ethernet needs the local devices, such as list link 'eth1'"
                ),
            );
            return;
        }
        let macs: Vec<super::Mac> = known.list("remote_mac");
        let given = known.is_given("remote_mac");
        if !given && config.role == Role::Client {
            known.fault(
                faults,
                format_args!("option 'remote_mac' is missing: the server's, one for each 'link' and in the same order"),
            );
        } else if given && known.is_sound("remote_mac") && macs.len() != wires.len() {
            known.fault_of(
                faults,
                "remote_mac",
                format_args!(
                    "must be one for each 'link', in the same order: there are {} and {}",
                    macs.len(),
                    wires.len()
                ),
            );
        }
    }

    fn client(&self, client: &Read<ClientConfig>, faults: &mut Vec<Fault>) {
        let Read { known, config, .. } = client;
        if !known.is_given("peer") || !known.is_sound("peer") || !self.complete {
            return;
        }
        match self.peers.iter().find(|peer| peer.known.name == config.peer) {
            None => {
                known.fault_of(faults, "peer", format_args!("{}", unknown("peer", &config.peer, &names(self.peers))))
            }
            Some(peer) if peer.config.role == Role::Client => {
                known.fault_of(
                    faults,
                    "peer",
                    format_args!("{} is of role client: only a server has clients", shown(&config.peer)),
                );
            }
            Some(_) => {}
        }
    }

    /// No two clients of a server may have one key, nor one prefix.
    fn remotes_apart(&self, faults: &mut Vec<Fault>) {
        let mut keys: Vec<(&str, Key, &str)> = Vec::new();
        let mut prefixes: Vec<(&str, Prefix, &str)> = Vec::new();
        let own = self.peers.iter().filter(|peer| peer.enabled && peer.config.role == Role::Server);
        for (peer, remote) in own.flat_map(|peer| peer.config.remotes.iter().map(move |remote| (peer, remote))) {
            keys.push((&peer.known.name, remote.public_key, &remote.name));
            prefixes.extend(remote.allowed_ips.iter().map(|prefix| (&*peer.known.name, *prefix, &*remote.name)));
        }
        for Read { known, config, .. } in self.clients.iter().filter(|client| client.enabled) {
            let peer = config.peer.as_str();
            if known.is_given("public_key") && known.is_sound("public_key") {
                match keys.iter().find(|(of, key, _)| *of == peer && *key == config.remote.public_key) {
                    Some((.., other)) => {
                        known.fault_of(
                            faults,
                            "public_key",
                            format_args!("is already that of client {}", shown(other)),
                        );
                    }
                    None => keys.push((peer, config.remote.public_key, &known.name)),
                }
            }
            for prefix in &config.remote.allowed_ips {
                match prefixes.iter().find(|(of, taken, _)| *of == peer && taken == prefix) {
                    Some((.., other)) => {
                        known.fault_of(
                            faults,
                            "allowed_ips",
                            format_args!("{prefix} is already that of client {}", shown(other)),
                        );
                        break;
                    }
                    None => prefixes.push((peer, *prefix, &known.name)),
                }
            }
        }
    }
}

fn keys(known: &Known, faults: &mut Vec<Fault>) {
    match (known.is_given("private_key"), known.is_given("private_key_file")) {
        (true, true) => {
            known.fault_of(faults, "private_key_file", format_args!("cannot stand beside 'private_key': keep one"));
        }
        (false, false) => {
            known.fault(faults, format_args!("option 'private_key' is missing: 'cheaproute genkey' makes one; or name its file by 'private_key_file'"));
        }
        _ => {}
    }
    let [private, public, preshared]: [Option<Key>; 3] =
        ["private_key", "public_key", "preshared_key"].map(|option| known.one(option));
    let own = private.zip(public).is_some_and(|(private, public)| Secret::new(private.0).public().0 == public.0);
    if own {
        known.fault_of(
            faults,
            "public_key",
            format_args!("is this end's own: it takes the other end's, as 'cheaproute pubkey' prints it there"),
        );
    }
    if public.is_some() && public == KEY.first().and_then(|key| key.parse().ok()) {
        known.warn_of(faults, "public_key", format_args!("is the example's: it takes the other end's"));
    }
    if private.is_some() && private == public {
        known.fault_of(
            faults,
            "public_key",
            format_args!("is this end's private key: it takes the other end's public one, of 'cheaproute pubkey'"),
        );
    }
    if preshared.is_some() && (preshared == private || preshared == public) {
        known.fault_of(
            faults,
            "preshared_key",
            format_args!("must be a key of its own, the same at both ends: 'cheaproute genpsk' makes one"),
        );
    }
}

/// On a smaller device the kernel has no IPv6 (IPV6_MIN_MTU, net/ipv6.h): it refuses the address, and with it all of the device.
fn size(peer: &Read<PeerConfig>, faults: &mut Vec<Fault>) {
    let ipv6 = peer.config.address.iter().any(|own| own.address.is_ipv6());
    if ipv6 && peer.config.mtu.is_some_and(|mtu| mtu < LEAST_IPV6) {
        peer.known.fault_of(faults, "mtu", format_args!("must be at least {LEAST_IPV6} beside an IPv6 'address'"));
    }
}

/// Two peers need a device, a port and networks each.
fn apart(earlier: &Read<PeerConfig>, peer: &Read<PeerConfig>, faults: &mut Vec<Fault>) {
    let (known, other) = (&peer.known, shown(&earlier.known.name));
    let (a, b) = (&earlier.config, &peer.config);
    let mut already = |option: &str, what: &str| {
        known.fault_of(faults, option, format_args!("{what} is already that of peer {other}"));
    };
    if known.is_given("device") && a.device == b.device {
        already("device", &shown(&b.device));
    }
    if b.listen_port != 0 && a.listen_port == b.listen_port {
        already("listen_port", &b.listen_port.to_string());
    }
    let overlaps = |own: &&super::OwnAddress| {
        let network = own.network();
        a.address.iter().any(|before| before.network().zip(network).is_some_and(|(a, b)| a.overlaps(b)))
    };
    if let Some(own) = b.address.iter().find(overlaps) {
        known.fault_of(faults, "address", format_args!("{own} overlaps an address of peer {other}"));
    }
}

fn role(config: &PeerConfig) -> &'static str {
    if config.role == Role::Client { "client" } else { "server" }
}

fn transport(udp: bool) -> &'static str {
    if udp { "udp" } else { "ethernet" }
}

/// Whether it is of no use without links.
pub fn needs_links(peer: &PeerConfig) -> bool {
    peer.role == Role::Client && matches!(peer.transport, Transport::Udp { .. })
}
