//! A peer section at work: its core, its sockets and its device, and what becomes of them as links and names change.

use std::net::IpAddr;
use std::sync::Arc;

use crate::bond::address::Address;
use crate::bond::handshake::Identity;
use crate::bond::hub::{Hub, Member};
use crate::bond::keys::{KEY, PublicKey, Secret};
use crate::bond::mtu;
use crate::bond::offload::segments;
use crate::bond::peer::Settings;
use crate::bond::{Event, Output, Via};
use crate::config::{Key, PeerConfig, Remote, Role};
use crate::linux::batch::Arena;
use crate::linux::clock;
use crate::linux::tun::is_gone;
use crate::logging;
use crate::time::{Span, Time, earliest};

use super::Shared;
use super::cipher::{Cipher, Piece};
use super::device::Device;
use super::endpoints::{Endpoints, Found};
use super::orders::Wanted;
use super::outlet::Outlet;
use super::telling::{Chatter, Standing, no_answer};

/// Packets read from the device, and system calls that take datagrams, before the other side has its turn.
const TURNS: usize = 8;
/// What could not be opened is tried again after this.
pub const RETRY: Span = Span::from_secs(5);
/// A metered link without a limit comes in when the others have carried nothing for so long.
pub const ALONE: Span = Span::from_secs(1);
/// Deadlines of the core are met this much apart: packets that leave at a pace leave by twos and threes, at a wake-up each.
const BREATH: Span = Span::from_micros(100);
/// The kernel's buffers are full: a little later they are not.
const BLOCKED: Span = Span::from_millis(1);
/// A server asks idle paths itself so seldom: it is up to clients to keep their NAT awake, or to save their bytes.
const SERVERS: Span = Span::from_secs(25);
/// Silences of a server before a person is asked to have a look, and between two such lines.
pub const TRIES: u32 = 3;
const MANY_TRIES: u32 = 300;

pub struct Section {
    pub wanted: Wanted,
    /// `None`, and no socket either, for want of a key.
    pub hub: Option<Hub>,
    pub out: Outlet,
    pub endpoints: Endpoints,
    /// Why it carries nothing, if that is our own fault.
    pub fault: Option<String>,
    pub retry: Option<Time>,
    /// When sockets were closed last, its own or those of its predecessor.
    pub freed: Time,
    /// The reserve is called in; since when no other path is up.
    pub reserve: bool,
    pub alone: Option<Time>,
    pub remotes: Vec<Standing>,
    pub all: Standing,
    /// Silences in a row.
    pub tries: u32,
    /// That of the peer's handshakes, if it is another than ours.
    pub version: Option<u8>,
    chatter: Chatter,
    /// Paths, sockets or the device are to be looked at.
    stale: bool,
    /// The core had its turn last.
    ticked: Time,
    /// There are other descriptors than before.
    pub rewired: bool,
    /// There is something to tell.
    pub changed: bool,
    pub device_readable: bool,
}

impl Section {
    /// `device`: one that was there before, by the same name.
    pub fn new(wanted: Wanted, device: Option<Device>, cipher: Arc<Cipher>, now: Time) -> Self {
        let mut out = Outlet::new(device, cipher);
        let hub = match &wanted.key {
            Ok(key) => Some(Hub::new(&own(&wanted.config), members(&wanted.config, key, &mut out), now)),
            Err(_) => None,
        };
        Section {
            endpoints: Endpoints::new(wanted.config.endpoint.clone(), now),
            hub,
            out,
            fault: None,
            retry: None,
            freed: now,
            reserve: false,
            alone: None,
            remotes: wanted.config.remotes.iter().map(|_| Standing::new(now)).collect(),
            all: Standing::new(now),
            tries: 0,
            version: None,
            chatter: Chatter::default(),
            stale: true,
            ticked: Time(0),
            rewired: true,
            changed: true,
            device_readable: false,
            wanted,
        }
    }

    pub fn name(&self) -> &str {
        &self.wanted.config.name
    }

    pub fn is_client(&self) -> bool {
        self.wanted.config.role == Role::Client
    }

    /// Takes over what [`Wanted::is_same`] lets be another. Clients of a server that stay do not notice.
    pub fn follow(&mut self, wanted: Wanted, now: Time) {
        // They go by the old numbers.
        self.take_events(now);
        self.stale |= self.wanted != wanted;
        let old = core::mem::replace(&mut self.wanted, wanted).config;
        let new = &self.wanted.config;
        if (&new.remotes, &new.address, new.keepalive) == (&old.remotes, &old.address, old.keepalive) {
            return;
        }
        if let Some((hub, key)) = self.hub.as_mut().zip(self.wanted.key.as_ref().ok()) {
            let members = members(new, key, &mut self.out);
            hub.set_members(&own(new), members, now, &mut self.out);
        }
        let standings = core::mem::take(&mut self.remotes);
        self.inherit(&old.remotes, standings, now);
        self.resize(now);
        self.changed = true;
    }

    /// Takes the place of a section that could not take over what changed. Who was there is not gone, unless it stays away.
    pub fn succeed(&mut self, before: &mut Section, now: Time) {
        core::mem::swap(&mut self.all, &mut before.all);
        self.inherit(&before.wanted.config.remotes, core::mem::take(&mut before.remotes), now);
    }

    fn inherit(&mut self, old: &[Remote], standings: Vec<Standing>, now: Time) {
        let mut known: Vec<_> = old.iter().zip(standings).collect();
        let standing = |remote: &Remote| {
            let at = known.iter().position(|(old, _)| old.public_key == remote.public_key);
            at.map_or_else(|| Standing::new(now), |at| known.swap_remove(at).1)
        };
        self.remotes = self.wanted.config.remotes.iter().map(standing).collect();
    }

    /// Says goodbye. The device is left for a successor.
    pub fn close(&mut self, now: Time) {
        if let Some(hub) = &mut self.hub {
            hub.close(now, &mut self.out);
            self.out.flush();
        }
        self.out.ports.clear();
    }

    pub fn deadline(&mut self, now: Time) -> Option<Time> {
        let hub = self.hub.as_mut().and_then(Hub::deadline).map(|at| at.max(self.ticked + BREATH));
        let device = self.out.device.as_ref().and_then(Device::deadline);
        let blocked = self.out.is_blocked().then(|| now + BLOCKED);
        let stale = (self.stale || self.rewired).then_some(now);
        let alone = self.alone.filter(|_| !self.reserve).map(|since| since + ALONE);
        earliest(&[hub, device, blocked, stale, alone, self.endpoints.again, self.endpoints.leave(), self.retry])
    }

    /// Whether the device may be read.
    pub fn ready(&self) -> bool {
        !self.out.is_blocked() && self.hub.as_ref().is_some_and(|hub| hub.ready())
    }

    pub fn found(&mut self, found: Found, now: Time) {
        let had = self.endpoints.trouble.clone();
        self.stale |= self.endpoints.found(&found.name, found.addresses, now);
        if let Some(trouble) = self.endpoints.trouble.as_ref().filter(|trouble| had.as_ref() != Some(*trouble))
            && self.chatter.may(now)
        {
            logging::warn!("peer {}: {trouble}", self.name());
        }
        self.changed = true;
    }

    /// Does what is to be done now. `buffer` takes a packet of any length.
    pub fn turn(&mut self, shared: &Arc<Shared>, arena: &mut Arena, buffer: &mut [u8]) {
        self.read_device(buffer);
        self.receive(arena);
        let now = clock::now();
        if let Some(hub) = self.hub.as_mut()
            && hub.deadline().is_some_and(|at| at <= now)
        {
            hub.tick(now, &mut self.out);
            self.ticked = now;
        }
        self.out.flush();
        self.take_refusals(now);
        self.take_events(now);
        if self.endpoints.leave().is_some_and(|at| at <= now) {
            self.silent(now);
        }
        if self.endpoints.again.is_some_and(|at| at <= now) {
            let name = self.wanted.config.name.clone();
            self.stale |= self.endpoints.turn(&name, shared, now);
        }
        self.stale |= self.retry.take_if(|at| *at <= now).is_some();
        self.stale |= self.alone.is_some_and(|since| !self.reserve && since + ALONE <= now);
        if core::mem::take(&mut self.stale) {
            self.maintain(now);
            self.take_events(now);
            self.out.flush();
        }
        if let Some(device) = &mut self.out.device {
            device.turn(now);
        }
    }

    fn read_device(&mut self, buffer: &mut [u8]) {
        let readable = core::mem::take(&mut self.device_readable);
        let Some(device) = self.out.device.as_ref().filter(|_| readable) else { return };
        let now = clock::now();
        // Of a muted one no more is told than that it is gone.
        let (mut gone, mut refused) = (device.muted, 0);
        let (hub, out) = (&mut self.hub, &mut self.out);
        for _ in 0..TURNS {
            let Some(hub) = hub.as_mut().filter(|hub| !gone && !out.is_blocked() && hub.ready()) else { break };
            match out.device.as_ref().map(|device| device.tun.read(buffer)) {
                Some(Ok(Some((header, packet)))) => {
                    segments(packet, &header, &mut |packet| hub.packet(packet, now, out));
                }
                // Of a packet that it cannot hand over it says so once.
                Some(Err(error)) => {
                    refused += 1;
                    gone = is_gone(&error) || refused == TURNS;
                }
                _ => break,
            }
        }
        out.flush();
        if gone {
            self.lose_device(now);
        }
    }

    /// Another one is made: at once, unless this one was there for a moment only.
    fn lose_device(&mut self, now: Time) {
        let Some(device) = self.out.device.take() else { return };
        if self.chatter.may(now) {
            logging::warn!("peer {}: somebody deleted device {}", self.name(), device.tun.name());
        }
        self.retry = Some(now.max(device.since + RETRY));
        (self.rewired, self.changed) = (true, true);
    }

    fn receive(&mut self, arena: &mut Arena) {
        let (Some(hub), out) = (self.hub.as_mut(), &mut self.out) else { return };
        for at in 0..out.ports.len() {
            let readable = out.ports.get_mut(at).is_some_and(|port| core::mem::take(&mut port.readable));
            // Of a wire only the neighbour that was named is heard, if one was.
            let only = self.wanted.ways.get(at).and_then(|way| way.remote).map(|mac| Address::Ethernet(mac.0));
            for _ in 0..if readable { TURNS } else { 0 } {
                let Some(mut socket) = out.ports.get_mut(at).and_then(|port| port.socket.take()) else { break };
                let now = clock::now();
                let mut pieces = Vec::new();
                let more = socket.receive(arena, &mut |from, datagram| {
                    if only.is_none_or(|only| only == *from) {
                        pieces.push(Piece { address: *from, datagram, task: None });
                    }
                });
                out.cipher.open(&mut pieces, &|datagram| hub.opening(datagram, now));
                for Piece { address, datagram, task } in pieces {
                    hub.datagram(&Via { socket: at as u16, to: address }, datagram, task.as_ref(), now, out);
                }
                let Some(port) = out.ports.get_mut(at) else { break };
                match more {
                    Ok(_) => port.socket = Some(socket),
                    // It is of no use any more: another one, then.
                    Err(_) => {
                        port.close();
                        self.retry = Some(now + RETRY);
                        self.rewired = true;
                    }
                }
                out.flush();
                if !more.unwrap_or(false) {
                    break;
                }
            }
        }
    }

    /// What is longer than a device's packets, the core cannot know.
    fn take_refusals(&mut self, now: Time) {
        let (Some(hub), out) = (self.hub.as_mut(), &mut self.out) else { return };
        for at in 0..out.ports.len() {
            let refused = out.ports.get_mut(at).and_then(|port| port.too_long.take());
            if let Some((to, length)) = refused {
                hub.too_long(&Via { socket: at as u16, to }, length, now, out);
            }
        }
    }

    fn take_events(&mut self, now: Time) {
        for (peer, event) in core::mem::take(&mut self.out.events) {
            self.changed = true;
            match event {
                Event::Up => {
                    (self.tries, self.version) = (0, None);
                    // If it carries what it carried before, nothing else says so.
                    self.resize(now);
                }
                Event::Version(version) => self.version = Some(version),
                // One that is gone keeps nobody's packets small.
                Event::Down => self.resize(now),
                Event::PathUp(id) | Event::PathDown(id) => {
                    let up = matches!(event, Event::PathUp(_));
                    self.stale |= self.wanted.ways.iter().any(|way| way.reserve);
                    let way = self.wanted.ways.get(id.index()).filter(|_| self.is_client());
                    if let Some(way) = way.filter(|_| self.chatter.may(now)) {
                        let how = if up { "answers" } else { "does not answer any more" };
                        logging::info!("peer {}: it {how} over {}", self.wanted.config.name, way.name);
                    }
                }
                Event::Narrow(id) => {
                    self.stale |= self.wanted.ways.iter().any(|way| way.reserve);
                    let way = self.wanted.ways.get(id.index()).filter(|_| self.is_client());
                    if let Some(way) = way.filter(|_| self.chatter.may(now)) {
                        let (peer, least) = (&self.wanted.config.name, mtu::LEAST);
                        logging::warn!(
                            "peer {peer}: {} is not used: it carries no datagrams of {least} bytes",
                            way.name
                        );
                    }
                }
                Event::Mtu(size) => {
                    if let Some(standing) = self.remotes.get_mut(peer) {
                        standing.size = Some(size);
                    }
                    self.resize(now);
                }
                Event::Silent => self.silent(now),
            }
        }
    }

    /// The device takes what every remote takes that is there.
    pub fn resize(&mut self, now: Time) {
        if self.wanted.config.mtu.is_some() {
            return;
        }
        let ups = self.hub.iter().flat_map(|hub| hub.peers()).map(|peer| peer.is_up());
        let size = self.remotes.iter().zip(ups).filter(|(_, up)| *up).filter_map(|(standing, _)| standing.size).min();
        if let Some((size, device)) = size.zip(self.out.device.as_mut()) {
            device.resize(size, now);
        }
    }

    /// It does not answer, or cannot be called: another endpoint may do better.
    fn silent(&mut self, now: Time) {
        self.tries = self.tries.saturating_add(1);
        if self.tries == TRIES || self.tries.is_multiple_of(MANY_TRIES) {
            logging::warn!("peer {}: {}", self.name(), self.no_answer(self.tries));
        }
        let why = self.no_answer(1);
        self.stale |= self.endpoints.advance(now);
        if self.endpoints.several() {
            self.version = None;
            if self.chatter.may(now) {
                let next = self.endpoints.current().map(ToString::to_string).unwrap_or_default();
                logging::info!("peer {}: {why}; trying {next}", self.name());
            }
        }
    }

    /// What a person may look at, after so many silences.
    pub fn no_answer(&self, tries: u32) -> String {
        self.endpoints.lack().unwrap_or_else(|| no_answer(self.endpoints.current(), tries, self.version))
    }
}

fn own(config: &PeerConfig) -> Vec<IpAddr> {
    config.address.iter().map(|own| own.address).collect()
}

fn members(config: &PeerConfig, key: &Key, out: &mut Outlet) -> Vec<Member> {
    let mut instance = [0; 2];
    // Another one each time: the far end shall know that our numbers begin anew.
    out.random(&mut instance);
    let identity = Identity::new(&Secret::new(key.0), u16::from_be_bytes(instance));
    let member = |remote: &crate::config::Remote| Member {
        identity: identity.clone(),
        remote: PublicKey(remote.public_key.0),
        psk: Secret::new(remote.preshared_key.map_or([0; KEY], |key| key.0)),
        settings: Settings {
            scheduler: config.scheduler,
            limit: config.latency_limit,
            repair: config.repair,
            keepalive: match (config.role, config.keepalive) {
                (Role::Server, _) => SERVERS,
                // None is seldom enough.
                (Role::Client, Span::ZERO) => Span::from_secs(3600),
                (Role::Client, keepalive) => keepalive,
            },
            client: config.role == Role::Client,
            allowed: remote.allowed_ips.clone(),
        },
    };
    config.remotes.iter().map(member).collect()
}
