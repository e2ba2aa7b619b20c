//! The router's kernel: carries out what the racer asks for, and forwards what is none of its business. Here is where a
//! wrong action is noticed.

use super::network::{Far, ToRouter, ToServer};
use super::world::{Fate, Happening, Packet, World, near};
use crate::family::Family;
use crate::link::{LinkId, LinkSet};
use crate::packet::{Opening, Protocol, Says};
use crate::race::{Action, Actions, LIFETIME, REFUSAL_GRACE, RaceId, Verdict};
use crate::time::Span;

impl World {
    /// `in_hand`: the client whose opening the actions are about.
    pub(super) fn carry_out(&mut self, actions: Actions, in_hand: Option<usize>) {
        assert!(actions.len() <= 9, "more actions than expected in one call: {actions:?}");
        for action in actions {
            self.trace.push((self.now, action.clone()));
            match action {
                Action::Copy { links, port, kept } => {
                    let kept = kept.map(|bytes| u32::from_be_bytes(bytes[..].try_into().unwrap()) as usize);
                    let client = kept.or(in_hand).expect("a copy of no packet");
                    self.copy(links, port, client);
                }
                Action::Establish { race, link, opening, port } => {
                    self.still_races(&opening);
                    if self.plan.router.trusts {
                        self.trust(race, link, &opening, port);
                    } else if self.plan.router.settling == Span::ZERO {
                        self.settle(race, link, &opening, port);
                    } else {
                        let at = self.now + self.dice.up_to(self.plan.router.settling);
                        self.schedule(at, Happening::Settle(race, link, opening, port));
                    }
                }
                Action::Reset { links, port, opening } => {
                    self.still_races(&opening);
                    let isn = opening.syn.expect("a reset of a datagram").isn;
                    assert!(!links.is_empty(), "a reset of nothing");
                    self.reset_packets += links.len() as u64;
                    for link in links.iter() {
                        let far = (Protocol::Tcp, link, opening.server, port);
                        self.unanswered.entry((far, isn)).and_modify(|reset| *reset = true);
                        self.transmit(far, ToServer::Rst(isn + 1));
                    }
                }
                // Here they leave at once.
                Action::Spare { .. } => {}
                Action::Verdict { held, verdict } => {
                    let found = self.held.remove(&held.packet);
                    let (since, packet) = found.expect("a verdict for a packet that is not held");
                    let handicap = self.plan.paths.iter().map(|path| path.handicap).max().unwrap_or_default();
                    let router = &self.plan.router;
                    let limit = handicap.max(REFUSAL_GRACE) + router.settling + router.lateness;
                    assert!(self.now.since(since) <= limit, "a packet was held for {}", self.now.since(since));
                    match packet {
                        Packet::Opening(client) => self.judged_opening(client, verdict),
                        Packet::Answer(far, says) => self.judged_answer(far, says, verdict),
                    }
                }
            }
        }
    }

    fn copy(&mut self, links: LinkSet, port: u16, client: usize) {
        let opening = self.clients[client].opening;
        self.still_races(&opening);
        assert!(!links.is_empty(), "a copy to nowhere");
        let able = |link: LinkId| {
            let link = &self.links[link.index()];
            link.up
                && link.address(Family::of(opening.client.ip())).is_some()
                && (opening.syn.is_some() || opening.length <= link.mtu)
        };
        assert!(links.iter().all(able), "a copy over a link that cannot carry it");
        // A datagram may follow a metered winner.
        if opening.syn.is_some() && links.iter().any(|link| self.links[link.index()].metered) {
            let free = self.links.iter().find(|link| able(link.id) && !link.metered);
            assert!(free.is_none(), "a copy over a metered link beside one that is not");
        }
        for link in links.iter() {
            let far = (opening.protocol, link, opening.server, port);
            self.expected.insert(far);
            self.transmit(far, opening.syn.map_or(ToServer::Datagram, |syn| ToServer::Syn(syn.isn)));
        }
    }

    fn still_races(&self, opening: &Opening) {
        let ends = self.last_opened[&near(opening)] + LIFETIME + self.plan.router.lateness;
        assert!(self.now <= ends, "something was sent after the race's end");
    }

    /// Creates a flow's entry, unless another has its place.
    fn establish(&mut self, race: RaceId, link: LinkId, opening: &Opening, port: u16) -> bool {
        let near = near(opening);
        let owned = self
            .conntrack
            .iter()
            .any(|(other, place)| *other == near || (other.0, other.2) == (near.0, near.2) && *place == (link, port));
        if owned || self.dice.hits(self.plan.router.fails) {
            return false;
        }
        assert!(self.established.insert(race), "a race was won twice");
        self.conntrack.insert(near, (link, port));
        self.excuse(link, opening, port);
        true
    }

    /// As the daemon does it: the entry is on its way to the kernel, before the verdict, and nearly always it is taken.
    fn trust(&mut self, race: RaceId, link: LinkId, opening: &Opening, port: u16) {
        let done = self.establish(race, link, opening, port);
        let mut actions = Actions::new();
        self.racer.established(race, &mut actions);
        self.carry_out(actions, None);
        if !done {
            let at = self.now + self.dice.up_to(self.plan.router.settling);
            self.schedule(at, Happening::Revoke(race));
        }
    }

    pub(super) fn revoke(&mut self, race: RaceId) {
        let mut actions = Actions::new();
        self.racer.taken(race, &mut actions);
        self.carry_out(actions, None);
    }

    pub(super) fn settle(&mut self, race: RaceId, link: LinkId, opening: &Opening, port: u16) {
        let mut actions = Actions::new();
        if self.establish(race, link, opening, port) {
            self.racer.established(race, &mut actions);
        } else {
            self.racer.taken(race, &mut actions);
        }
        // The race ended while the kernel was busy: its links are told by the kernel, later.
        if actions.is_empty() {
            (0..self.links.len()).for_each(|index| self.excuse(self.links[index].id, opening, port));
        }
        self.carry_out(actions, None);
    }

    fn excuse(&mut self, link: LinkId, opening: &Opening, port: u16) {
        let isn = opening.syn.map_or(0, |syn| syn.isn);
        self.excused.insert(((opening.protocol, link, opening.server, port), isn));
    }

    fn judged_opening(&mut self, client: usize, verdict: Verdict) {
        let opening = self.clients[client].opening;
        match verdict {
            Verdict::Decide => panic!("an opening decides nothing"),
            Verdict::Drop => {}
            Verdict::Pass => {
                let fits =
                    |link: &&crate::link::Link| link.up && link.address(Family::of(opening.client.ip())).is_some();
                let Some(link) = self.links.iter().find(fits).map(|link| link.id) else { return };
                let taken = |port: &u16| {
                    let mut flows = self.conntrack.iter();
                    flows.any(|(near, place)| {
                        (near.0, near.2) == (opening.protocol, opening.server) && *place == (link, *port)
                    })
                };
                let port = [opening.client.port()].into_iter().chain(30_000..).find(|port| !taken(port)).unwrap();
                self.conntrack.insert(near(&opening), (link, port));
                self.excuse(link, &opening, port);
                self.forward(link, port, &opening);
            }
        }
    }

    fn judged_answer(&mut self, far: Far, says: Says, verdict: Verdict) {
        match (verdict, says) {
            (Verdict::Drop, _) => {}
            (Verdict::Decide, Says::SynAck(_) | Says::Reset(_) | Says::Unreachable(_)) => {
                panic!("only a datagram decides for good")
            }
            (Verdict::Decide, Says::Data) => {
                self.expected.remove(&far);
                self.deliver(far, ToRouter::Says(says));
            }
            (Verdict::Pass, _) => {
                if let Says::SynAck(ack) = says {
                    self.unanswered.remove(&(far, ack - 1));
                }
                self.deliver(far, ToRouter::Says(says));
            }
        }
    }

    /// The plain way of an opening.
    pub(super) fn forward(&mut self, link: LinkId, port: u16, opening: &Opening) {
        let far = (opening.protocol, link, opening.server, port);
        self.transmit(far, opening.syn.map_or(ToServer::Datagram, |syn| ToServer::Syn(syn.isn)));
    }

    /// Hands a packet to its flow's client, or, for want of one, to the router's own stack.
    pub(super) fn deliver(&mut self, far: Far, what: ToRouter) {
        let (protocol, link, server, port) = far;
        let mut flows = self.conntrack.iter();
        let flow = flows.find(|(near, place)| (near.0, near.2) == (protocol, server) && **place == (link, port));
        let Some((near, _)) = flow else {
            // RFC 9293 3.10.7.1: it knows of no such connection.
            if let ToRouter::Says(Says::SynAck(ack)) | ToRouter::Challenge(ack) = what {
                self.transmit(far, ToServer::Rst(ack));
            }
            return;
        };
        let client = &mut self.clients[self.current[near]];
        let next = client.opening.syn.map(|syn| syn.isn + 1);
        let trying = client.fate == Fate::Trying;
        let connected = Fate::Connected(link, self.now.since(client.began));
        match what {
            ToRouter::Says(Says::SynAck(ack)) if Some(ack) == next && client.fate != Fate::Refused => {
                if trying {
                    client.fate = connected;
                }
                self.transmit(far, ToServer::Ack(ack - 1));
            }
            ToRouter::Challenge(ack) if Some(ack) == next && client.fate != Fate::Refused => {}
            ToRouter::Says(Says::SynAck(ack)) | ToRouter::Challenge(ack) => self.transmit(far, ToServer::Rst(ack)),
            ToRouter::Says(Says::Reset(ack)) if trying && Some(ack) == next => client.fate = Fate::Refused,
            ToRouter::Says(Says::Reset(_) | Says::Unreachable(_)) => {}
            ToRouter::Says(Says::Data) if trying => client.fate = connected,
            ToRouter::Says(Says::Data) => {}
        }
    }

    fn transmit(&mut self, far: Far, what: ToServer) {
        if self.links[far.1.index()].up {
            self.network.send(self.now, far, what);
            self.collect();
        }
    }

    pub(super) fn check_the_end(&self) {
        assert_eq!(self.racer.in_flight(), 0, "races are left");
        assert!(self.held.is_empty(), "packets without a verdict: {:?}", self.held);
        for (lost, reset) in &self.unanswered {
            assert!(*reset || self.excused.contains(lost), "a loser's SYN-ACK was dropped without a reset: {lost:?}");
        }
        for (far, half) in &self.network.servers {
            let owner = self
                .conntrack
                .iter()
                .find(|(near, place)| (near.0, near.2) == (far.0, far.2) && **place == (far.1, far.3));
            let isn = owner.and_then(|(near, _)| self.clients[self.current[near]].opening.syn).map(|syn| syn.isn);
            assert_eq!(isn, Some(half.isn), "a server keeps a connection that nobody owns: {far:?} {half:?}");
        }
        let (counters, log) = (self.racer.log().counters, self.racer.log());
        let ended = counters.won + counters.refused + counters.fell_back + counters.silent;
        assert_eq!(counters.races, ended, "every race ends in one way: {counters:?}");
        let tallied: u64 = self.links.iter().map(|link| log.tally(link.id).won).sum();
        assert_eq!(tallied, counters.won, "the links' wins are the wins");
        assert_eq!(counters.resets, self.reset_packets, "each reset is counted");
    }
}
