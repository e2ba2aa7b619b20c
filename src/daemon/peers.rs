//! The main loop's view of peers: what the data thread posted of them last, the ways that they are for policies, and
//! documents for people.

use std::sync::{Arc, Mutex, PoisonError};

use crate::bond::keys::{KEY, PublicKey, Secret};
use crate::bond::status::{PathStatus, PeerStatus, RemoteStatus, State};
use crate::config::{Config, PeerConfig, Role, Scheduler};
use crate::control::{Code, Exit, Value};
use crate::link::{Link, LinkId, Side};
use crate::linux::random;
use crate::steer::Tunnel;
use crate::time::{Span, Time};

use super::events::LEFT;

/// Where the data thread posts how peers are, at every change and otherwise about once a second; the main loop takes it from
/// here. Nobody waits for anybody: either holds it for the time of a copy.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<Option<Vec<PeerStatus>>>>);

impl Board {
    pub fn post(&self, peers: Vec<PeerStatus>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(peers);
    }

    /// What was posted since the last call.
    pub fn take(&self) -> Option<Vec<PeerStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The peers of the configuration, in its order, as the board had them last.
#[derive(Default)]
pub struct Peers {
    pub board: Board,
    peers: Vec<PeerStatus>,
    /// Those that are ways for connections, with the number of their mark.
    ids: Vec<(String, LinkId)>,
    /// Of their own keys, those that are known.
    pub public_keys: Vec<(String, PublicKey)>,
    /// A device is another one, or its MTU is.
    moved: bool,
}

/// A change that is worth telling.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turn {
    /// The peer's; of a server's client `PEER/CLIENT`.
    pub name: String,
    pub device: String,
    pub up: bool,
    pub reason: String,
}

/// Clients told of in one document, which ubus must carry as one message.
const MAX_TOLD: usize = 200;

impl Peers {
    /// Takes over the peers of a configuration; those that were up, with their clients, and are down by that. `ids`: numbers for
    /// those that are ways.
    pub fn adopt(&mut self, config: &Config, ids: Vec<(String, LinkId)>, now: Time) -> Vec<Turn> {
        let mut turns = Vec::new();
        let mut old = core::mem::take(&mut self.peers);
        for peer in &config.peers {
            let known = old.iter().position(|status| status.name() == peer.name && status.role == peer.role);
            let mut status = known.map(|at| old.swap_remove(at)).unwrap_or_else(|| unknown(peer, now));
            if status.device != peer.device {
                if status.is_up() {
                    turns.push(down(&status, status.name().to_owned(), "its device is another one"));
                }
                // The old one may be another peer's now.
                status.index = 0;
            }
            let (device, addresses) = (peer.device.clone(), peer.address.clone());
            self.peers.push(PeerStatus { device, addresses, scheduler: peer.scheduler, ..status });
        }
        self.ids = ids;
        for gone in &old {
            for client in gone.clients.iter().filter(|client| client.state == State::Up) {
                turns.push(down(gone, format!("{}/{}", gone.name(), client.name), LEFT));
            }
            if gone.is_up() {
                turns.push(down(gone, gone.name().to_owned(), LEFT));
            }
        }
        turns
    }

    /// Looks at the board; the peers and clients that came up or went down since the last look.
    pub fn learn(&mut self) -> Vec<Turn> {
        let mut turns = Vec::new();
        for status in self.board.take().unwrap_or_default() {
            // What is no longer in the configuration, or not like this, is about to go.
            let is_same = |known: &&mut PeerStatus| {
                (known.name(), known.role, &known.device) == (status.name(), status.role, &status.device)
            };
            let Some(known) = self.peers.iter_mut().find(is_same) else { continue };
            if known.is_up() != status.is_up() {
                turns.push(turn(&status, &status.all, status.name().to_owned(), status.is_up()));
            }
            for client in &status.clients {
                let before = known.clients.iter().find(|before| before.name == client.name);
                let (was, is) = (before.is_some_and(|before| before.state == State::Up), client.state == State::Up);
                if was != is {
                    turns.push(turn(&status, client, format!("{}/{}", status.name(), client.name), is));
                }
            }
            let there = |name: &str| status.clients.iter().any(|client| client.name == name);
            for client in known.clients.iter().filter(|client| client.state == State::Up && !there(&client.name)) {
                let reason = if status.is_up() { LEFT } else { &status.all.reason };
                turns.push(down(&status, format!("{}/{}", status.name(), client.name), reason));
            }
            self.moved |= (known.index, known.mtu) != (status.index, status.mtu);
            *known = status;
        }
        turns
    }

    /// Whether a device or its MTU changed since the last call: routes and rules name both.
    pub fn have_moved(&mut self) -> bool {
        core::mem::take(&mut self.moved)
    }

    pub fn status(&self) -> &[PeerStatus] {
        &self.peers
    }

    /// What policies and routes take for a link: every peer with a number, up or not.
    pub fn ways(&self) -> impl Iterator<Item = Link> + '_ {
        self.ids.iter().filter_map(|(name, id)| {
            let peer = self.peers.iter().find(|peer| peer.name() == name)?;
            Some(way(peer, *id))
        })
    }

    /// Their devices, for routes and rules.
    pub fn tunnels(&self, config: &Config) -> Vec<Tunnel> {
        let status = |peer: &PeerConfig| self.peers.iter().find(|status| status.name() == peer.name);
        config.peers.iter().filter_map(|peer| Some(tunnel(peer, status(peer)?, &self.ids))).collect()
    }

    /// Such as `down: no answer from 192.0.2.1:7420`, for a number of ours.
    pub fn state_of(&self, id: LinkId) -> Option<String> {
        let (name, _) = self.ids.iter().find(|(_, known)| *known == id)?;
        let all = &self.peers.iter().find(|peer| peer.name() == name)?.all;
        Some(match all.reason.as_str() {
            "" => all.state.name().into(),
            reason => format!("{}: {reason}", all.state.name()),
        })
    }

    pub fn document(&self, now: Time) -> Value {
        let key =
            |peer: &PeerStatus| self.public_keys.iter().find(|(name, _)| name == peer.name()).map(|(_, key)| *key);
        Value::Map(vec![("peers", self.peers.iter().map(|peer| told(peer, key(peer), now)).collect::<Vec<_>>().into())])
    }
}

/// A new key and its public part, for the form of LuCI: it is kept nowhere else.
pub fn key_pair() -> Result<Value, Exit> {
    let mut numbers = [0; KEY];
    let filled = random::fill(&mut numbers);
    filled.map_err(|error| Exit::said(Code::System, format_args!("cannot get random numbers: {error}")))?;
    let key = Secret::private(numbers);
    Ok(Value::Map(vec![("private_key", key.written().into()), ("public_key", key.public().to_string().into())]))
}

fn unknown(peer: &PeerConfig, now: Time) -> PeerStatus {
    let mut all = RemoteStatus::new(&peer.name, now);
    all.reason = "not started yet".into();
    let clients = match peer.role {
        Role::Client => Vec::new(),
        Role::Server => peer.remotes.iter().map(|remote| RemoteStatus::new(&remote.name, now)).collect(),
    };
    PeerStatus {
        device: peer.device.clone(),
        index: 0,
        role: peer.role,
        scheduler: peer.scheduler,
        addresses: peer.address.clone(),
        mtu: peer.mtu.unwrap_or(0),
        all,
        clients,
    }
}

fn turn(peer: &PeerStatus, remote: &RemoteStatus, name: String, up: bool) -> Turn {
    Turn { name, device: peer.device.clone(), up, reason: remote.reason.clone() }
}

fn down(peer: &PeerStatus, name: String, reason: &str) -> Turn {
    Turn { name, device: peer.device.clone(), up: false, reason: reason.to_owned() }
}

fn way(peer: &PeerStatus, id: LinkId) -> Link {
    let four =
        peer.addresses.iter().find_map(|own| if let std::net::IpAddr::V4(v4) = own.address { Some(v4) } else { None });
    let six =
        peer.addresses.iter().find_map(|own| if let std::net::IpAddr::V6(v6) = own.address { Some(v6) } else { None });
    Link {
        id,
        name: peer.name().to_owned(),
        device: peer.device.clone(),
        ifindex: peer.index,
        ipv4: four.map(|address| Side { address, gateway: None }),
        ipv6: six.map(|address| Side { address, gateway: None }),
        mtu: peer.mtu,
        weight: 1,
        metric: 0,
        metered: false,
        tunnel: false,
        handicap: Span::ZERO,
        delegated: Vec::new(),
        main: [false; 2],
        up: peer.is_up(),
    }
}

fn tunnel(peer: &PeerConfig, status: &PeerStatus, ids: &[(String, LinkId)]) -> Tunnel {
    let is_server = peer.role == Role::Server;
    let mut routes = peer.route.clone();
    let mut masquerade = Vec::new();
    if is_server {
        routes.extend(peer.remotes.iter().flat_map(|remote| remote.allowed_ips.iter().copied()));
        // Through a client, a server's datagrams to that client would lead back into the tunnel, and nobody would reach it any more.
        routes.retain(|prefix| prefix.length() > 0);
    }
    if is_server && peer.masquerade {
        masquerade.extend(peer.address.iter().filter_map(|own| own.network()));
        masquerade.extend(peer.remotes.iter().flat_map(|remote| remote.allowed_ips.iter().copied()));
    }
    Tunnel {
        name: peer.name.clone(),
        device: peer.device.clone(),
        index: status.index,
        up: status.is_up(),
        mtu: status.mtu,
        way: ids.iter().find(|(name, _)| *name == peer.name).map(|(_, id)| *id),
        routes,
        masquerade,
    }
}

fn told(peer: &PeerStatus, key: Option<PublicKey>, now: Time) -> Value {
    let role = if peer.role == Role::Client { "client" } else { "server" };
    let mut entries = vec![
        ("name", peer.name().into()),
        ("device", peer.device.as_str().into()),
        ("role", role.into()),
        ("scheduler", scheduler(peer.scheduler).into()),
        ("addresses", peer.addresses.iter().map(|own| own.to_string().into()).collect::<Vec<_>>().into()),
        ("mtu", (peer.mtu > 0).then_some(peer.mtu).into()),
        ("public_key", key.map(|key| key.to_string()).into()),
    ];
    entries.extend(remote(&peer.all, now));
    if peer.role == Role::Server {
        let client = |client: &RemoteStatus| {
            let mut entries = vec![("name", client.name.as_str().into())];
            entries.extend(remote(client, now));
            Value::Map(entries)
        };
        // Those that are there first: of many, the others matter less.
        let there = |wanted: bool| peer.clients.iter().filter(move |client| (client.state == State::Up) == wanted);
        let clients = there(true).chain(there(false)).take(MAX_TOLD).map(client);
        entries.push(("clients_up", there(true).count().into()));
        entries.push(("clients_total", peer.clients.len().into()));
        entries.push(("clients", clients.collect::<Vec<_>>().into()));
    }
    Value::Map(entries)
}

fn remote(remote: &RemoteStatus, now: Time) -> Vec<(&'static str, Value)> {
    let text = |text: Option<String>| Value::from(text);
    vec![
        ("state", remote.state.name().into()),
        ("reason", remote.reason.as_str().into()),
        ("since_s", now.since(remote.since).as_secs().into()),
        ("endpoint", text(remote.endpoint.map(|endpoint| endpoint.to_string()))),
        ("handshake_s", remote.handshake.map(|at| now.since(at).as_secs()).into()),
        ("rx_bytes", remote.received_bytes.into()),
        ("rx_packets", remote.received_packets.into()),
        ("tx_bytes", remote.sent_bytes.into()),
        ("tx_packets", remote.sent_packets.into()),
        ("repaired", remote.repaired.into()),
        ("duplicates", remote.duplicates.into()),
        ("reordered", remote.reordered.into()),
        ("given_up", remote.given_up.into()),
        ("dropped", remote.dropped.into()),
        ("queue", remote.queue.into()),
        ("paths", remote.paths.iter().map(path).collect::<Vec<_>>().into()),
    ]
}

fn path(path: &PathStatus) -> Value {
    Value::Map(vec![
        ("name", path.name.as_str().into()),
        ("state", path.state.name().into()),
        ("remote", path.remote.map(|remote| remote.to_string()).into()),
        ("rtt_us", path.rtt_us.into()),
        ("loss_permille", path.loss_permille.into()),
        ("down_bps", path.down_bps.into()),
        ("up_bps", path.up_bps.into()),
        ("rx_bytes", path.received_bytes.into()),
        ("tx_bytes", path.sent_bytes.into()),
        ("queue_us", path.queue_us.into()),
        ("retransmitted", path.retransmitted.into()),
        ("reordered", path.reordered.into()),
        ("mtu", (path.mtu > 0).then_some(path.mtu).into()),
    ])
}

fn scheduler(scheduler: Scheduler) -> &'static str {
    match scheduler {
        Scheduler::Redundant => "redundant",
        Scheduler::Weighted => "weighted",
        Scheduler::Failover => "failover",
        Scheduler::Adaptive => "adaptive",
    }
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
