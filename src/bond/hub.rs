//! All peers of a daemon: which datagram and which packet is whose, and the handshakes.

use std::net::IpAddr;

use crate::config::Prefix;
use crate::time::Time;

use super::flow::Packet;
use super::frame::{self, Kind, MAX_INDEX, PathId};
use super::handshake::{Identity, Initiator, Responder, Verdict};
use super::keys::{PublicKey, Secret};
use super::peer::{Peer, Settings, destination};
use super::sealing::Task;
use super::sorted::Sorted;
use super::{Output, Via};

/// The most peers: each costs 25 KB, 100 KB when it is busy, and a handshake every two minutes.
pub const MOST: usize = 1024;

/// Handshakes of ours that an answer is awaited to: the next one begins a second later at the latest, and where queues are long an answer takes
/// more than that.
const GREETINGS: usize = 2;

/// What the configuration says of a peer, beside its [`Settings`].
#[derive(Clone)]
pub struct Member {
    pub identity: Identity,
    pub remote: PublicKey,
    /// Zeros: none.
    pub psk: Secret,
    /// The caller's number of its device. Peers may share one: packets go by `Settings::allowed`.
    pub device: u16,
    pub settings: Settings,
}

struct Place {
    peer: Peer,
    member: Member,
    /// The last ones, the latest at the end.
    greetings: Vec<Initiator>,
    /// As the peer's, when `indexes` was filled.
    changes: u32,
    deadline: Time,
}

/// See the module.
pub struct Hub {
    places: Vec<Place>,
    responders: Vec<Responder>,
    /// Which peer's a session's index is.
    indexes: Sorted<u32, usize>,
    /// Which peer's a destination is, by device and prefix; and the lengths in use, longest first.
    routes: Sorted<(u16, IpAddr, u8), usize>,
    lengths: Vec<u8>,
}

impl Hub {
    pub fn new(members: Vec<Member>, now: Time) -> Self {
        let mut hub = Hub {
            places: Vec::new(),
            responders: Vec::new(),
            indexes: Sorted::default(),
            routes: Sorted::default(),
            lengths: Vec::new(),
        };
        for (number, member) in members.into_iter().take(MOST).enumerate() {
            let public = member.identity.public();
            if !member.settings.client && !hub.responders.iter().any(|responder| responder.public() == public) {
                hub.responders.push(Responder::new(member.identity.clone()));
            }
            let any = [([0; 4].into(), 0), ([0; 16].into(), 0)].into_iter();
            let any = any.filter_map(|(ip, length)| Prefix::new(ip, length));
            let allowed: Vec<Prefix> = member.settings.allowed.clone();
            let all = if allowed.is_empty() { any.collect() } else { allowed };
            for prefix in all {
                let route = (member.device, prefix.address(), prefix.length());
                if hub.routes.get(&route).is_none() {
                    hub.routes.insert(route, number);
                }
                if !hub.lengths.contains(&prefix.length()) {
                    hub.lengths.push(prefix.length());
                }
            }
            let peer = Peer::new(number, member.settings.clone(), now);
            hub.places.push(Place { peer, member, greetings: Vec::new(), changes: 0, deadline: now });
        }
        hub.lengths.sort_unstable_by(|one, other| other.cmp(one));
        hub
    }

    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.places.iter().map(|place| &place.peer)
    }

    /// Bytes of memory that the peers and their tables take, as good as.
    pub fn held(&self) -> usize {
        let peers: usize = self.peers().map(Peer::held).sum();
        let places = self.places.capacity() * (size_of::<Place>() - size_of::<Peer>());
        let indexes = self.indexes.len() * size_of::<(u32, usize)>();
        peers + places + indexes + self.routes.len() * size_of::<((u16, IpAddr, u8), usize)>()
    }

    /// As [`Peer::set_path`].
    #[expect(clippy::too_many_arguments, reason = "each is another fact about a link")]
    pub fn set_path(
        &mut self,
        peer: usize,
        id: PathId,
        via: Option<Via>,
        weight: u16,
        cap: u64,
        most: u16,
        now: Time,
        out: &mut dyn Output,
    ) {
        let Some(place) = self.places.get_mut(peer) else { return };
        place.peer.set_path(id, via, weight, cap, most, now, out);
        self.touched(peer, now);
    }

    /// A packet from a device.
    pub fn packet(&mut self, device: u16, packet: Packet, now: Time, out: &mut dyn Output) {
        let Some(to) = destination(packet.head) else { return };
        let Some(number) = self.route(device, to) else { return };
        if let Some(place) = self.places.get_mut(number) {
            place.peer.packet(packet, now, out);
        }
        self.touched(number, now);
    }

    fn route(&self, device: u16, to: IpAddr) -> Option<usize> {
        self.lengths.iter().find_map(|length| {
            let prefix = Prefix::new(to, *length)?;
            self.routes.get(&(device, prefix.address(), *length)).copied()
        })
    }

    /// How a datagram from the network is to be opened, which may be done before [`Hub::datagram`] is told of it. `None`: it is
    /// of another kind, a replay, or nobody's.
    pub fn opening(&self, datagram: &[u8], now: Time) -> Option<Task> {
        let Kind::Data { index, .. } = frame::kind(datagram)? else { return None };
        self.places.get(*self.indexes.get(&index)?)?.peer.sessions.opening(datagram, now)
    }

    /// A datagram from the network; it is decrypted in place, if that was not done as `opened` says.
    pub fn datagram(&mut self, via: &Via, datagram: &mut [u8], opened: Option<&Task>, now: Time, out: &mut dyn Output) {
        match frame::kind(datagram) {
            Some(Kind::Data { index, .. }) => {
                let Some(number) = self.indexes.get(&index).copied() else { return };
                if let Some(place) = self.places.get_mut(number) {
                    place.peer.datagram(via, datagram, opened, now, out);
                }
                self.touched(number, now);
            }
            Some(Kind::Initiation { .. }) => self.initiation(via, datagram, now, out),
            Some(Kind::Response { index }) => {
                let Some((number, greeting)) = self.greeting(index) else { return };
                let Some(session) = greeting.finish(datagram) else { return };
                if let Some(place) = self.places.get_mut(number) {
                    place.greetings.clear();
                    place.peer.adopt(session, now, out);
                    place.peer.tick(now, out);
                    self.touched(number, now);
                }
            }
            Some(Kind::Cookie { index }) => {
                let Some((_, greeting)) = self.greeting(index) else { return };
                if let Some(message) = greeting.cookie(datagram) {
                    send(via, &message, out);
                }
            }
            None => {}
        }
    }

    /// The kernel took no datagram of this length to there: it is longer than the device's packets.
    pub fn too_long(&mut self, via: &Via, length: usize, now: Time, out: &mut dyn Output) {
        for number in 0..self.places.len() {
            if self.places.get_mut(number).is_some_and(|place| place.peer.too_long(via, length, now, out)) {
                self.touched(number, now);
            }
        }
    }

    fn greeting(&mut self, index: u32) -> Option<(usize, &mut Initiator)> {
        let all = self.places.iter_mut().enumerate();
        let mut all =
            all.flat_map(|(number, place)| place.greetings.iter_mut().map(move |greeting| (number, greeting)));
        all.find(|(_, greeting)| greeting.index() == index)
    }

    fn initiation(&mut self, via: &Via, message: &[u8], now: Time, out: &mut dyn Output) {
        let index = self.free_index(out);
        let (from, length) = via.to.bytes();
        let from = from.get(..length).unwrap_or(&from);
        for at in 0..self.responders.len() {
            let places = &self.places;
            let Some(responder) = self.responders.get_mut(at) else { return };
            let public = responder.public();
            let psk = |remote: &PublicKey| {
                let known = |place: &&Place| place.member.remote == *remote && place.member.identity.public() == public;
                places.iter().find(known).map(|place| place.member.psk.clone())
            };
            let verdict = responder.receive(message, from, now, false, &psk, index, &mut |bytes| out.random(bytes));
            match verdict {
                Verdict::Answer { peer, message, session } => {
                    let known = |place: &Place| place.member.remote == peer && place.member.identity.public() == public;
                    let Some(number) = self.places.iter().position(known) else { return };
                    if let Some(place) = self.places.get_mut(number) {
                        place.peer.adopt(session, now, out);
                    }
                    self.touched(number, now);
                    return send(via, &message, out);
                }
                Verdict::Again { message, .. } => return send(via, &message, out),
                Verdict::Cookie(message) => return send(via, &message, out),
                Verdict::Ignore => {}
            }
        }
    }

    /// When [`Hub::tick`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        self.places.iter().map(|place| place.deadline).min()
    }

    /// Whether another packet may be read from a device. One busy peer of many does not stop the others'.
    pub fn ready(&self, device: u16, now: Time) -> bool {
        self.places.iter().any(|place| place.member.device == device && place.peer.ready(now))
    }

    pub fn tick(&mut self, now: Time, out: &mut dyn Output) {
        for number in 0..self.places.len() {
            if self.places.get(number).is_some_and(|place| place.deadline <= now) {
                self.tend(number, now, out);
            }
        }
    }

    /// Tells a peer, or all, that we stop.
    pub fn close(&mut self, now: Time, out: &mut dyn Output) {
        self.places.iter_mut().for_each(|place| place.peer.close(now, out));
    }

    fn tend(&mut self, number: usize, now: Time, out: &mut dyn Output) {
        let Some(place) = self.places.get_mut(number) else { return };
        place.peer.tick(now, out);
        if place.peer.greets(now) {
            let index = self.free_index(out);
            let Some(place) = self.places.get_mut(number) else { return };
            let member = &place.member;
            let random = &mut |bytes: &mut [u8]| out.random(bytes);
            let begun = Initiator::begin(&member.identity, &member.remote, &member.psk, index, random);
            if let Some((initiator, message)) = begun {
                if place.greetings.len() >= GREETINGS {
                    place.greetings.remove(0);
                }
                place.greetings.push(initiator);
                place.peer.addresses().for_each(|via| send(&via, &message, out));
            }
        }
        self.touched(number, now);
    }

    /// Keeps what is known of a peer up to date.
    fn touched(&mut self, number: usize, now: Time) {
        let Some(place) = self.places.get_mut(number) else { return };
        place.deadline = place.peer.deadline(now);
        let changes = place.peer.sessions.changes();
        if place.changes != changes {
            place.changes = changes;
            self.indexes.retain(|peer| *peer != number);
            place.peer.sessions.indexes().for_each(|index| self.indexes.insert(index, number));
        }
    }

    /// An index that names no session yet.
    fn free_index(&mut self, out: &mut dyn Output) -> u32 {
        loop {
            let mut bytes = [0; 4];
            out.random(&mut bytes);
            let index = u32::from_be_bytes(bytes) & MAX_INDEX;
            if self.indexes.get(&index).is_none() && self.greeting(index).is_none() {
                return index;
            }
        }
    }
}

fn send(via: &Via, message: &[u8], out: &mut dyn Output) {
    out.slot(via, message.len()).bytes.copy_from_slice(message);
}
