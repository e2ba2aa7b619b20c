//! All peers of a section, which have one device, one key of ours and one set of sockets: which datagram and which packet is whose, and the
//! handshakes.

use std::net::IpAddr;
use std::sync::Arc;

use crate::time::Time;

use super::flow::Packet;
use super::frame::{self, Kind, MAX_INDEX, PathId};
use super::handshake::{Asked, Identity, Initiator, Random, Responder, Verdict};
use super::keys::{PublicKey, Secret};
use super::peer::{Line, Peer, Settings, destination};
use super::routes::{Routes, Sources};
use super::sealing::Task;
use super::sorted::Sorted;
use super::{Event, Output, Via};

/// The most peers: each costs 25 KB, 100 KB when it is busy, and a handshake every two minutes.
pub const MOST: usize = 1024;

/// Handshakes of ours that an answer is awaited to: the next one begins a second later at the latest, and where queues are long an answer takes
/// more than that.
const GREETINGS: usize = 2;

/// What the configuration says of a peer, beside its [`Settings`].
#[derive(Clone)]
pub struct Member {
    /// The same key for all of a hub's.
    pub identity: Identity,
    pub remote: PublicKey,
    /// Zeros: none.
    pub psk: Secret,
    pub settings: Settings,
}

impl Member {
    /// Whether it is the same peer: it may have other networks, or be asked more often, and we another instance.
    fn is_same(&self, other: &Member) -> bool {
        let of = |member: &Member| (member.remote, *member.psk.bytes());
        let (allowed, keepalive) = (other.settings.allowed.clone(), other.settings.keepalive);
        let settings = Settings { allowed, keepalive, ..self.settings.clone() };
        of(self) == of(other) && settings == other.settings
    }
}

struct Place {
    peer: Peer,
    member: Member,
    /// The last ones, the latest at the end.
    greetings: Vec<Initiator>,
    /// The other end's version was told of since it was called.
    told: bool,
    /// As the peer's, when `indexes` was filled.
    changes: u32,
    /// When there is something to do, as it was before the peer was last `touched`: what a packet changes is worked out when somebody asks.
    deadline: Time,
    touched: Option<Time>,
}

/// See the module.
pub struct Hub {
    places: Vec<Place>,
    /// Once there is a peer that calls us.
    responder: Option<Responder>,
    /// Which peer's a session's index is, and that of a handshake of ours.
    indexes: Sorted<u32, usize>,
    greetings: Sorted<u32, usize>,
    routes: Arc<Routes>,
}

impl Hub {
    /// `own`: our addresses on the device, which no peer may use.
    pub fn new(own: &[IpAddr], members: Vec<Member>, now: Time) -> Self {
        let mut hub = Hub {
            places: Vec::new(),
            responder: None,
            indexes: Sorted::default(),
            greetings: Sorted::default(),
            routes: Arc::default(),
        };
        hub.replace(own, members, now);
        hub
    }

    /// Takes over what the configuration says now. Who was there before goes on, by another number and with other networks;
    /// who is gone is told so.
    pub fn set_members(&mut self, own: &[IpAddr], members: Vec<Member>, now: Time, out: &mut dyn Output) {
        for mut gone in self.replace(own, members, now) {
            gone.peer.close(now, out);
        }
    }

    /// Those that are gone.
    fn replace(&mut self, own: &[IpAddr], mut members: Vec<Member>, now: Time) -> Vec<Place> {
        members.truncate(MOST);
        let mut old: Vec<Option<Place>> = core::mem::take(&mut self.places).into_iter().map(Some).collect();
        let (mut known, mut routes) = (Sorted::default(), Routes::new(own));
        for (at, place) in old.iter().enumerate() {
            place.iter().for_each(|place| known.insert(place.member.remote.0, at));
        }
        for (number, member) in members.iter().enumerate() {
            routes.add(&member.settings.allowed, number);
        }
        self.routes = Arc::new(routes);
        (self.indexes, self.greetings) = Default::default();
        for (number, member) in members.into_iter().enumerate() {
            if !member.settings.client && self.responder.is_none() {
                self.responder = Some(Responder::new(member.identity.clone()));
            }
            let sources = Sources::new(self.routes.clone(), number);
            let before = known.get(&member.remote.0).and_then(|at| old.get_mut(*at));
            let place = match before.and_then(|place| place.take_if(|place| place.member.is_same(&member))) {
                Some(mut place) => {
                    place.peer.renumber(number, sources);
                    place.peer.set_keepalive(member.settings.keepalive, now);
                    place.touched = Some(now);
                    place.member.settings = member.settings;
                    place
                }
                None => {
                    let peer = Peer::new(number, member.settings.clone(), sources, now);
                    Place { peer, member, greetings: Vec::new(), told: false, changes: 0, deadline: now, touched: None }
                }
            };
            place.peer.sessions.indexes().for_each(|index| self.indexes.insert(index, number));
            place.greetings.iter().for_each(|greeting| self.greetings.insert(greeting.index(), number));
            self.places.push(place);
        }
        old.into_iter().flatten().collect()
    }

    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.places.iter().map(|place| &place.peer)
    }

    /// Bytes of memory that the peers and their tables take, as good as.
    pub fn held(&self) -> usize {
        let peers: usize = self.peers().map(Peer::held).sum();
        let places = self.places.capacity() * (size_of::<Place>() - size_of::<Peer>());
        let indexes = (self.indexes.len() + self.greetings.len()) * size_of::<(u32, usize)>();
        peers + places + indexes + self.routes.held()
    }

    /// As [`Peer::set_path`].
    pub fn set_path(&mut self, peer: usize, id: PathId, line: Option<Line>, now: Time, out: &mut dyn Output) {
        let Some(place) = self.places.get_mut(peer) else { return };
        place.peer.set_path(id, line, now, out);
        self.touched(peer, now);
    }

    /// A packet from the device.
    pub fn packet(&mut self, packet: Packet, now: Time, out: &mut dyn Output) {
        let Some(to) = destination(packet.head) else { return };
        let Some(number) = self.routes.find(to) else { return };
        if let Some(place) = self.places.get_mut(number) {
            place.peer.packet(packet, now, out);
        }
        self.touched(number, now);
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
                    place.greetings.drain(..).for_each(|greeting| _ = self.greetings.remove(&greeting.index()));
                    place.peer.adopt(session, via, now, out);
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
            None => self.other_version(via, datagram, out),
        }
    }

    /// What strangers say is of no interest, and of whom we call we want to know it once.
    fn other_version(&mut self, via: &Via, datagram: &[u8], out: &mut dyn Output) {
        let Some(version) = frame::other_version(datagram).filter(|_| !self.greetings.is_empty()) else { return };
        for (number, place) in self.places.iter_mut().enumerate() {
            let calls = !place.greetings.is_empty() && place.peer.addresses().any(|called| called == *via);
            if calls && !core::mem::replace(&mut place.told, true) {
                out.event(number, Event::Version(version));
            }
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
        let number = *self.greetings.get(&index)?;
        let mut greetings = self.places.get_mut(number)?.greetings.iter_mut();
        Some((number, greetings.find(|greeting| greeting.index() == index)?))
    }

    fn initiation(&mut self, via: &Via, message: &[u8], now: Time, out: &mut dyn Output) {
        let (places, indexes, greetings) = (&self.places, &self.indexes, &self.greetings);
        let index = |random: Random| free_index(indexes, greetings, random);
        let number = |remote: &PublicKey| places.iter().position(|place| place.member.remote == *remote);
        let who = |remote: &PublicKey| {
            let member = &places.get(number(remote)?)?.member;
            Some((member.psk.clone(), member.identity.instance()))
        };
        let is_here = || places.iter().any(|place| place.peer.addresses().any(|here| here == *via));
        let random = &mut |bytes: &mut [u8]| out.random(bytes);
        let mut asked = Asked { peer: &who, is_here: &is_here, index: &index, random };
        let Some(responder) = &mut self.responder else { return };
        let message = match responder.receive(message, &via.to, now, &mut asked) {
            Some(Verdict::Answer { peer, message, session }) => {
                let Some(number) = number(&peer) else { return };
                if let Some(place) = self.places.get_mut(number) {
                    place.peer.adopt(session, via, now, out);
                }
                self.touched(number, now);
                message
            }
            Some(Verdict::Again(message) | Verdict::Cookie(message)) => message,
            None => return,
        };
        send(via, &message, out);
    }

    /// When [`Hub::tick`] has something to do.
    pub fn deadline(&mut self) -> Option<Time> {
        self.places.iter_mut().map(Place::deadline).min()
    }

    /// Whether another packet may be read from the device. One busy peer of many does not stop the others'.
    pub fn ready(&self) -> bool {
        self.peers().any(|peer| peer.ready())
    }

    pub fn tick(&mut self, now: Time, out: &mut dyn Output) {
        for number in 0..self.places.len() {
            if self.places.get_mut(number).is_some_and(|place| place.deadline() <= now) {
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
            let member = &place.member;
            let random = &mut |bytes: &mut [u8]| out.random(bytes);
            let index = free_index(&self.indexes, &self.greetings, random);
            let begun = Initiator::begin(&member.identity, &member.remote, &member.psk, index, random);
            if let Some((initiator, message)) = begun {
                if place.greetings.len() >= GREETINGS {
                    let oldest = place.greetings.remove(0);
                    self.greetings.remove(&oldest.index());
                }
                place.greetings.push(initiator);
                self.greetings.insert(index, number);
                place.told = false;
                place.peer.addresses().for_each(|via| send(&via, &message, out));
            }
        }
        self.touched(number, now);
    }

    /// Keeps what is known of a peer up to date.
    fn touched(&mut self, number: usize, now: Time) {
        let Some(place) = self.places.get_mut(number) else { return };
        place.touched = Some(now);
        let changes = place.peer.sessions.changes();
        if place.changes != changes {
            place.changes = changes;
            self.indexes.retain(|peer| *peer != number);
            place.peer.sessions.indexes().for_each(|index| self.indexes.insert(index, number));
        }
    }
}

impl Place {
    fn deadline(&mut self) -> Time {
        if let Some(at) = self.touched.take() {
            self.deadline = self.peer.deadline(at);
        }
        self.deadline
    }
}

/// An index that names no session yet.
fn free_index(indexes: &Sorted<u32, usize>, greetings: &Sorted<u32, usize>, random: Random) -> u32 {
    loop {
        let mut bytes = [0; 4];
        random(&mut bytes);
        let index = u32::from_be_bytes(bytes) & MAX_INDEX;
        if indexes.get(&index).is_none() && greetings.get(&index).is_none() {
            return index;
        }
    }
}

fn send(via: &Via, message: &[u8], out: &mut dyn Output) {
    out.slot(via, message.len()).bytes.copy_from_slice(message);
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
