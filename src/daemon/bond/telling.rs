//! How peers are, for people.

use crate::bond::frame::{self, MAX_PATHS, PathId};
use crate::bond::peer::Peer;
use crate::bond::status::{PathStatus, PeerStatus, RemoteStatus, State};
use crate::config::Endpoint;
use crate::text::commas;
use crate::time::{Span, Time};

use super::section::{Section, TRIES};

/// A remote that is gone for less than this keeps its connections.
const GRACE: Span = Span::from_secs(2);

/// Lines about one peer in so long a time.
const LINES: u32 = 10;
const WHILE: Span = Span::from_secs(30);

/// Keeps a peer that comes and goes from filling the log.
#[derive(Default)]
pub struct Chatter {
    said: u32,
    since: Time,
}

impl Chatter {
    pub fn may(&mut self, now: Time) -> bool {
        if now.since(self.since) >= WHILE {
            (self.said, self.since) = (0, now);
        }
        self.said += 1;
        self.said <= LINES
    }
}

/// A remote's state, which is slower to fall than the core's.
pub struct Standing {
    pub state: State,
    pub since: Time,
    /// It was there once.
    met: bool,
    /// Since when it is not.
    lost: Option<Time>,
    /// What its paths carry, where that is known.
    pub size: Option<u16>,
    meters: [Meter; MAX_PATHS],
}

impl Standing {
    pub fn new(now: Time) -> Self {
        let meters = [Meter::default(); MAX_PATHS];
        Standing { state: State::Connecting, since: now, met: false, lost: Some(now), size: None, meters }
    }

    /// Takes in how it is. Whether its state is another now. `at_once`: nothing is to be waited for.
    fn look(&mut self, up: bool, at_once: bool, now: Time) -> bool {
        let before = self.state;
        if up {
            (self.state, self.met, self.lost) = (State::Up, true, None);
        } else {
            let lost = *self.lost.get_or_insert(now);
            if at_once || lost + GRACE <= now {
                self.state = State::Down;
            }
        }
        if self.state != before {
            self.since = now;
        }
        self.state != before
    }
}

/// What a path has brought, a second, at best: it falls slowly.
#[derive(Clone, Copy, Default)]
struct Meter {
    bytes: u64,
    at: Time,
    best: u64,
}

impl Meter {
    fn see(&mut self, bytes: u64, now: Time) -> Option<u64> {
        let time = now.since(self.at).as_micros();
        if time >= 500_000 {
            let bits = bytes.saturating_sub(self.bytes).saturating_mul(8_000_000) / time;
            self.best = if self.at == Time(0) { 0 } else { bits.max(self.best - self.best / 16) };
            (self.bytes, self.at) = (bytes, now);
        }
        Some(self.best).filter(|best| *best > 0)
    }
}

impl Section {
    /// What the board shows, and whether a state changed by it.
    pub fn tell(&mut self, now: Time) -> (PeerStatus, bool) {
        let mut told = Vec::new();
        let mut turned = false;
        let there = self.out.device.is_some() && self.hub.is_some() && self.fault.is_none();
        let reason = self.down_reason();
        let is_client = self.is_client();
        let peers = self.hub.iter().flat_map(|hub| hub.peers());
        for ((peer, standing), remote) in peers.zip(&mut self.remotes).zip(&self.wanted.config.remotes) {
            turned |= standing.look(peer.is_up(), !there, now);
            let mut status = RemoteStatus::new(&remote.name, standing.since);
            status.state = standing.state;
            peer.tell(&mut status, now);
            let names: Vec<&str> = self.wanted.ways.iter().map(|way| way.name.as_str()).collect();
            status.paths = paths(peer, &names, &mut standing.meters, now);
            status.reason = match status.state {
                State::Up if peer.is_up() => over(&status.paths, is_client),
                _ if is_client => reason.clone(),
                _ if standing.met => "silent".into(),
                _ => "it has not called yet".into(),
            };
            told.push(status);
        }
        let config = &self.wanted.config;
        let mut all = match told.len() {
            1 if is_client => told.swap_remove(0),
            _ => {
                let listens = there && self.out.ports.iter().any(|port| port.socket.is_some());
                turned |= self.all.look(listens && !is_client, true, now);
                sum(&told, RemoteStatus::new(&config.name, self.all.since))
            }
        };
        all.name.clone_from(&config.name);
        if !is_client || self.hub.is_none() {
            all.state = self.all.state;
            all.reason = match (&self.fault, config.listen_port) {
                (Some(fault), _) => fault.clone(),
                (None, 0) => "listening".into(),
                (None, port) => format!("listening on UDP port {port}"),
            };
        }
        let device = self.out.device.as_ref();
        let status = PeerStatus {
            device: config.device.clone(),
            index: device.map_or(0, |device| device.index),
            role: config.role,
            scheduler: config.scheduler,
            addresses: config.address.clone(),
            mtu: device.map_or(0, |device| device.mtu),
            all,
            clients: told,
        };
        (status, turned)
    }

    /// Why a client's server is not there.
    fn down_reason(&self) -> String {
        if let Some(fault) = &self.fault {
            return fault.clone();
        }
        if self.wanted.ways.iter().all(|way| way.index == 0) {
            return "none of its links is up".into();
        }
        if let Some(trouble) = &self.endpoints.trouble {
            return trouble.clone();
        }
        let errors = self.out.ports.iter().zip(&self.wanted.ways).find(|(port, _)| port.error != 0);
        match errors {
            Some((port, way)) => {
                let error = std::io::Error::from_raw_os_error(port.error);
                format!("{}; sending over {} fails: {error}", self.no_answer(self.tries), way.name)
            }
            None => self.no_answer(self.tries),
        }
    }
}

/// Why a client hears nothing of its server, which it has called in vain so often. `version`: that of its answers, if it is
/// another than ours; no `endpoint`: it is a neighbour.
pub fn no_answer(endpoint: Option<&Endpoint>, tries: u32, version: Option<u8>) -> String {
    let who = endpoint.map_or_else(|| "the peer".into(), ToString::to_string);
    if let Some(version) = version {
        let ours = frame::VERSION;
        return format!(
            "{who} answers in version {version} of the bond's protocol, not {ours}: update the older program"
        );
    }
    let port = who.rsplit(':').next().filter(|_| endpoint.is_some());
    match (port, tries) {
        (_, 0) => format!("calling {who}"),
        (_, 1..TRIES) => format!("no answer from {who}"),
        (Some(port), _) => {
            format!("no answer from {who}: is the peer running, are both keys right, is UDP port {port} open?")
        }
        (None, _) => format!("no answer from {who}: is it running, are both keys and remote_mac right?"),
    }
}

/// All paths of a client, whether they are in use or not; of a server's client those that are known.
fn paths(peer: &Peer, names: &[&str], meters: &mut [Meter; MAX_PATHS], now: Time) -> Vec<PathStatus> {
    let mut paths = Vec::new();
    for (id, meter) in PathId::all().zip(meters) {
        let number = id.number().to_string();
        let name = names.get(id.index()).copied();
        let status = peer.path_status(id, name.unwrap_or(&number), now);
        match (status, name) {
            (Some(status), _) => {
                let down_bps = meter.see(status.received_bytes, now);
                paths.push(PathStatus { down_bps, ..status });
            }
            (None, Some(name)) => paths.push(unused(name)),
            (None, None) => {}
        }
    }
    paths
}

fn unused(name: &str) -> PathStatus {
    PathStatus {
        name: name.to_owned(),
        state: State::Down,
        remote: None,
        rtt_us: None,
        loss_permille: 0,
        down_bps: None,
        up_bps: None,
        received_bytes: 0,
        sent_bytes: 0,
        retransmitted: 0,
        reordered: 0,
        queue_us: None,
        mtu: 0,
    }
}

fn over(paths: &[PathStatus], named: bool) -> String {
    let up: Vec<&str> = paths.iter().filter(|path| path.state == State::Up).map(|path| path.name.as_str()).collect();
    match (named, up.len()) {
        (true, _) => format!("over {}", commas(&up)),
        (false, 1) => "over 1 path".into(),
        (false, number) => format!("over {number} paths"),
    }
}

/// A server's clients together.
fn sum(clients: &[RemoteStatus], mut all: RemoteStatus) -> RemoteStatus {
    for client in clients {
        all.handshake = all.handshake.max(client.handshake);
        all.received_bytes += client.received_bytes;
        all.received_packets += client.received_packets;
        all.sent_bytes += client.sent_bytes;
        all.sent_packets += client.sent_packets;
        all.repaired += client.repaired;
        all.duplicates += client.duplicates;
        all.reordered += client.reordered;
        all.given_up += client.given_up;
        all.dropped += client.dropped;
        all.queue += client.queue;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Time {
        Time(seconds * 1_000_000)
    }

    #[test]
    fn a_state_falls_after_a_while() {
        let mut own = Standing::new(at(10));
        assert!(!own.look(false, false, at(11)) && own.state == State::Connecting);
        assert!(own.look(true, false, at(11)) && own.since == at(11));
        assert!(!own.look(false, false, at(20)) && !own.look(false, false, at(21)), "a moment's silence");
        assert!(!own.look(true, false, at(21)) && !own.look(false, false, at(22)) && own.state == State::Up);
        assert!(own.look(false, false, at(24)) && own.state == State::Down && own.since == at(24));
        assert!(own.look(true, false, at(25)) && own.look(false, true, at(25)), "what cannot come back falls at once");
    }

    #[test]
    fn a_meter_keeps_the_best() {
        let mut meter = Meter::default();
        assert_eq!(meter.see(5_000_000, at(10)), None, "over what time?");
        assert_eq!(meter.see(6_000_000, at(11)), Some(8_000_000));
        assert_eq!(meter.see(6_000_001, at(11)), Some(8_000_000), "too soon");
        assert_eq!(meter.see(6_000_001, at(12)), Some(7_500_000));
        assert_eq!(meter.see(0, at(13)), Some(7_031_250), "the path is new");
    }

    #[test]
    fn a_silence_is_told_by_what_may_be_wrong() {
        let endpoint: Endpoint = "[2001:db8::1]:7420".parse().unwrap();
        let of = |tries| no_answer(Some(&endpoint), tries, None);
        assert_eq!(of(0), "calling [2001:db8::1]:7420");
        assert_eq!(of(TRIES - 1), "no answer from [2001:db8::1]:7420");
        assert!(of(TRIES).ends_with("is the peer running, are both keys right, is UDP port 7420 open?"));
        assert_eq!(no_answer(None, 1, None), "no answer from the peer");
        assert!(no_answer(None, TRIES, None).ends_with("are both keys and remote_mac right?"));
        for tries in [1, TRIES] {
            let told = no_answer(Some(&endpoint), tries, Some(2));
            assert!(
                told.starts_with("[2001:db8::1]:7420 answers in version 2 of the bond's protocol, not 1"),
                "{told}"
            );
        }
    }

    #[test]
    fn a_log_is_not_flooded() {
        let mut chatter = Chatter::default();
        assert_eq!((0..100).filter(|_| chatter.may(at(100))).count(), LINES as usize);
        assert!(chatter.may(at(131)));
    }
}
