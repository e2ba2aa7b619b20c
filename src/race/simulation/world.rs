//! A router, its clients and its network in virtual time. Drives a [`Racer`] through its public face, carries out what it
//! asks for, and panics as soon as it does what it must not. The router's kernel is in [`super::kernel`].

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashSet};
use std::net::SocketAddr;

use super::network::{Far, Map, Network, ToRouter, Transit};
use super::plan::{Dice, Plan};
use crate::link::{Link, LinkId, Side};
use crate::packet::{Answer, Opening, Protocol, Says, Syn};
use crate::race::tests::script::{Hasher, link, rules};
use crate::race::{Action, Actions, Held, RaceId, Racer};
use crate::time::{Span, Time};

/// A flow as its client sees it.
pub type Near = (Protocol, SocketAddr, SocketAddr);

type Set<T> = HashSet<T, Hasher>;

pub struct World {
    pub(super) plan: Plan,
    pub racer: Racer<Hasher>,
    pub now: Time,
    events: BinaryHeap<Reverse<(Time, usize)>>,
    happenings: Vec<Happening>,
    pub network: Network,
    pub(super) links: Vec<Link>,
    pub(super) dice: Dice,
    pub clients: Vec<Client>,
    /// Each flow's last client.
    pub(super) current: Map<Near, usize>,
    pub(super) conntrack: Map<Near, (LinkId, u16)>,
    /// The tuples whose packets are queued.
    pub(super) expected: Set<Far>,
    pub(super) held: Map<u32, (Time, Packet)>,
    packets: u32,
    /// SYN-ACKs that were not passed to their client, and whether their link was reset since.
    pub(super) unanswered: Map<(Far, u32), bool>,
    /// Links that own their flow, and those whose race was over before its flow was established.
    pub(super) excused: Set<(Far, u32)>,
    pub(super) established: BTreeSet<RaceId>,
    pub(super) last_opened: Map<Near, Time>,
    pub(super) reset_packets: u64,
    pub trace: Vec<(Time, Action)>,
}

/// A client's attempt.
#[derive(Clone, Debug)]
pub struct Client {
    pub opening: Opening,
    pub began: Time,
    pub fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Trying,
    Connected(LinkId, Span),
    Refused,
}

#[derive(Clone, Debug)]
pub(super) enum Happening {
    Start(usize),
    /// A client's n-th repetition.
    Again(usize, u8),
    Flap(usize, bool),
    Network(Transit),
    Settle(RaceId, LinkId, Opening, u16),
    /// A flow that was taken for established is not.
    Revoke(RaceId),
}

#[derive(Clone, Debug)]
pub(super) enum Packet {
    Opening(usize),
    Answer(Far, Says),
}

impl World {
    pub fn new(plan: &Plan) -> Self {
        let links: Vec<Link> = (1..)
            .zip(&plan.paths)
            .map(|(number, path)| Link {
                handicap: path.handicap,
                metered: path.metered,
                ipv6: link(number).ipv6.filter(|_: &Side<_>| path.ipv6),
                mtu: path.mtu,
                ..link(number)
            })
            .collect();
        let mut racer = Racer::new(plan.capacity, Hasher::default());
        racer.set_links(&links);
        racer.set_policies(&[rules(&links, plan.remember)]);
        let last = plan.starts.iter().map(|start| start.at).chain(plan.flaps.iter().map(|flap| flap.at)).max();
        let heals = Time(0) + last.unwrap_or_default() + Span::from_secs(5);
        let mut world = World {
            racer,
            now: Time(0),
            events: BinaryHeap::new(),
            happenings: Vec::new(),
            network: Network::new(plan, heals),
            links,
            dice: Dice(!plan.seed),
            clients: Vec::new(),
            current: Map::default(),
            conntrack: Map::default(),
            expected: Set::default(),
            held: Map::default(),
            packets: 0,
            unanswered: Map::default(),
            excused: Set::default(),
            established: BTreeSet::new(),
            last_opened: Map::default(),
            reset_packets: 0,
            trace: Vec::new(),
            plan: plan.clone(),
        };
        for (index, start) in plan.starts.iter().enumerate() {
            world.schedule(Time(0) + start.at, Happening::Start(index));
        }
        for flap in &plan.flaps {
            world.schedule(Time(0) + flap.at, Happening::Flap(flap.link % plan.paths.len(), flap.up));
        }
        for link in 0..plan.paths.len() {
            world.schedule(heals, Happening::Flap(link, true));
        }
        world
    }

    /// Runs until nothing happens any more, then checks what is left.
    pub fn run(&mut self) {
        loop {
            let event = self.events.peek().map(|Reverse((at, _))| *at);
            let due = self.racer.deadline().map(|(at, _)| self.now.max(at + self.plan.router.lateness));
            match (event, due) {
                (None, None) => break,
                (event, Some(due)) if event.is_none_or(|event| due <= event) => {
                    self.now = due;
                    self.poll();
                }
                _ => {
                    let Some(Reverse((at, index))) = self.events.pop() else { unreachable!() };
                    self.now = at;
                    let happening = self.happenings[index].clone();
                    self.happen(happening);
                    assert!(self.racer.in_flight() <= self.plan.capacity, "more races than the table takes");
                }
            }
        }
        self.check_the_end();
    }

    fn poll(&mut self) {
        let mut turns = 0;
        loop {
            let mut actions = Actions::new();
            if !self.racer.poll(self.now, &mut actions) {
                assert!(actions.is_empty(), "a poll that did nothing has actions");
                break;
            }
            self.carry_out(actions, None);
            turns += 1;
            assert!(turns < 1000, "polling does not come to an end");
        }
        if let Some((at, why)) = self.racer.deadline() {
            assert!(at > self.now, "polling did not clear the deadline: {why}");
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Start(index) => self.start(index),
            Happening::Again(client, count) => {
                if self.current[&near(&self.clients[client].opening)] == client
                    && self.clients[client].fate == Fate::Trying
                {
                    self.client_sends(client, count);
                }
            }
            Happening::Flap(link, up) => {
                self.links[link].up = up;
                self.racer.set_links(&self.links);
            }
            Happening::Network(Transit::ToRouter(far, what)) => self.arrive(far, what),
            Happening::Network(transit) => {
                self.network.arrive(self.now, transit);
                self.collect();
            }
            Happening::Settle(race, link, opening, port) => self.settle(race, link, &opening, port),
            Happening::Revoke(race) => self.revoke(race),
        }
    }

    fn start(&mut self, index: usize) {
        let start = &self.plan.starts[index];
        let (client, server) = match start.client {
            3 => ("[fd00::3]:5000".to_owned(), format!("[2001:db8::{}]:443", start.server)),
            _ => (format!("10.0.0.{}:5000", start.client), format!("203.0.113.{}:443", start.server)),
        };
        let (mut client, mut server): (SocketAddr, SocketAddr) = (client.parse().unwrap(), server.parse().unwrap());
        // What the rates need: more clients than three.
        if start.client > 3 {
            client.set_port(5000 + index as u16);
        }
        if start.protocol == Protocol::Echo {
            server.set_port(0);
        }
        let syn = Syn { isn: 1000 * (index as u32 + 1), window_scale: None, sack_permitted: true, carries_data: false };
        let opening = Opening {
            protocol: start.protocol,
            client,
            server,
            length: start.length,
            syn: (start.protocol == Protocol::Tcp).then_some(syn),
        };
        let near = near(&opening);
        if opening.syn.is_some()
            && let Some((link, port)) = self.conntrack.remove(&near)
        {
            // The client closed its old connection before it began another from the same port.
            let old = self.clients[self.current[&near]].opening.syn.map_or(0, |syn| syn.isn);
            self.network.close((Protocol::Tcp, link, server, port), old);
        }
        self.clients.push(Client { opening, began: self.now, fate: Fate::Trying });
        self.current.insert(near, self.clients.len() - 1);
        self.client_sends(self.clients.len() - 1, 0);
    }

    fn client_sends(&mut self, client: usize, count: u8) {
        if count < 2 {
            self.schedule(self.now + Span::from_secs(1 << count), Happening::Again(client, count + 1));
        }
        let opening = self.clients[client].opening;
        if let Some(&(link, port)) = self.conntrack.get(&near(&opening)) {
            return self.forward(link, port, &opening);
        }
        self.last_opened.insert(near(&opening), self.now);
        let held = self.hold(Packet::Opening(client));
        let mut actions = Actions::new();
        let packet = (client as u32).to_be_bytes();
        self.racer.open(self.now, (&opening, &packet), 0, held, &mut actions);
        self.carry_out(actions, Some(client));
        assert!(!self.held.contains_key(&held.packet), "an opening was not judged at once");
    }

    fn arrive(&mut self, far: Far, what: ToRouter) {
        let (protocol, link, server, port) = far;
        if !self.links[link.index()].up {
            return;
        }
        let says = match what {
            ToRouter::Says(says) if self.expected.contains(&far) => says,
            what => return self.deliver(far, what),
        };
        let local = SocketAddr::new([198, 51, 100, link.number()].into(), port);
        let held = self.hold(Packet::Answer(far, says));
        if let Says::SynAck(ack) = says {
            self.unanswered.insert((far, ack - 1), false);
        }
        let mut actions = Actions::new();
        self.racer.answer(self.now, link, &Answer { protocol, server, local, says }, held, &mut actions);
        self.carry_out(actions, None);
    }

    fn hold(&mut self, packet: Packet) -> Held {
        self.packets += 1;
        self.held.insert(self.packets, (self.now, packet));
        Held { queue: 0, packet: self.packets, mark: 0 }
    }

    pub(super) fn schedule(&mut self, at: Time, happening: Happening) {
        self.happenings.push(happening);
        self.events.push(Reverse((at, self.happenings.len() - 1)));
    }

    /// What the network sent is under way.
    pub(super) fn collect(&mut self) {
        for (at, transit) in core::mem::take(&mut self.network.sent) {
            self.schedule(at, Happening::Network(transit));
        }
    }
}

pub(super) fn near(opening: &Opening) -> Near {
    (opening.protocol, opening.client, opening.server)
}
