//! The network behind the links: packets on their way, and servers that remember their connections.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::plan::{Dice, Path, Plan, Server};
use crate::link::LinkId;
use crate::packet::{Protocol, Says};
use crate::race::tests::script::Hasher;
use crate::time::{Span, Time};

/// Hashed without a random seed, like the races: each run is like the last.
pub type Map<K, V> = HashMap<K, V, Hasher>;

/// One end of a flow as its server sees it: the link stands for the address.
pub type Far = (Protocol, LinkId, SocketAddr, u16);

#[derive(Clone, Copy, Debug)]
pub enum ToServer {
    Syn(u32),
    /// The client's acknowledgment of the server's SYN.
    Ack(u32),
    /// Its sequence number.
    Rst(u32),
    Datagram,
}

#[derive(Clone, Copy, Debug)]
pub enum ToRouter {
    Says(Says),
    /// RFC 5961: the server expected something else. Nothing that a race may see.
    Challenge(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Half {
    pub isn: u32,
    pub open: bool,
}

/// A packet that arrives, or a server's timer.
#[derive(Clone, Copy, Debug)]
pub enum Transit {
    ToServer(Far, ToServer),
    ToRouter(Far, ToRouter),
    /// The n-th repetition of a SYN-ACK.
    Repeat(Far, u32, u8),
}

pub struct Network {
    paths: Vec<Path>,
    /// From then on nothing is lost.
    pub heals: Time,
    pub servers: Map<Far, Half>,
    /// Connections in TIME-WAIT: their late packets begin nothing.
    closed: Map<(Far, u32), ()>,
    /// What was sent since it was last taken out: when it arrives.
    pub sent: Vec<(Time, Transit)>,
    dice: Dice,
}

impl Network {
    pub fn new(plan: &Plan, heals: Time) -> Self {
        let dice = Dice(plan.seed);
        Network {
            paths: plan.paths.clone(),
            heals,
            servers: Map::default(),
            closed: Map::default(),
            sent: Vec::new(),
            dice,
        }
    }

    pub fn send(&mut self, now: Time, far: Far, what: ToServer) {
        self.transmit(now, far.1, Transit::ToServer(far, what), 1);
        // The censor sees it leave: the refusal overtakes the server's answer.
        if let (ToServer::Syn(isn), Server::Censored) = (what, self.paths[far.1.index()].server) {
            self.reply(now, far, ToRouter::Says(Says::Reset(isn + 1)));
        }
    }

    /// A client and its server close their connection in order.
    pub fn close(&mut self, far: Far, isn: u32) {
        self.closed.insert((far, isn), ());
        if self.servers.get(&far).is_some_and(|half| half.isn == isn) {
            self.servers.remove(&far);
        }
    }

    /// A packet reaches its server, or a server's timer runs out.
    pub fn arrive(&mut self, now: Time, transit: Transit) {
        match transit {
            Transit::ToServer(far, what) => self.serve(now, far, what),
            Transit::Repeat(far, isn, count) => {
                // RFC 6298: each repetition waits twice as long; as Linux does, five of them.
                if self.servers.get(&far) == Some(&Half { isn, open: false }) && count <= 5 {
                    self.reply(now, far, ToRouter::Says(Says::SynAck(isn.wrapping_add(1))));
                    self.sent.push((now + Span::from_secs(1 << count), Transit::Repeat(far, isn, count + 1)));
                }
            }
            Transit::ToRouter(..) => unreachable!("the router's own"),
        }
    }

    fn serve(&mut self, now: Time, far: Far, what: ToServer) {
        let server = self.paths[far.1.index()].server;
        match (what, server) {
            (_, Server::Silent) | (ToServer::Datagram, Server::Refuses) => {}
            (ToServer::Syn(isn), Server::Refuses) => self.reply(now, far, ToRouter::Says(Says::Reset(isn + 1))),
            (ToServer::Syn(isn), _) if self.closed.contains_key(&(far, isn)) => {}
            (ToServer::Syn(isn), _) => match self.servers.get(&far) {
                None => {
                    self.servers.insert(far, Half { isn, open: false });
                    self.reply(now, far, ToRouter::Says(Says::SynAck(isn + 1)));
                    self.sent.push((now + Span::from_secs(1), Transit::Repeat(far, isn, 1)));
                }
                Some(half) if half.isn == isn && !half.open => {
                    self.reply(now, far, ToRouter::Says(Says::SynAck(isn + 1)));
                }
                Some(half) => {
                    let expected = half.isn + 1;
                    self.reply(now, far, ToRouter::Challenge(expected));
                }
            },
            (ToServer::Ack(isn), _) => {
                if let Some(half) = self.servers.get_mut(&far).filter(|half| half.isn == isn) {
                    half.open = true;
                }
            }
            (ToServer::Rst(seq), _) => {
                if self.servers.get(&far).is_some_and(|half| half.isn + 1 == seq) {
                    self.servers.remove(&far);
                }
            }
            (ToServer::Datagram, _) => self.reply(now, far, ToRouter::Says(Says::Data)),
        }
    }

    fn reply(&mut self, now: Time, far: Far, what: ToRouter) {
        self.transmit(now, far.1, Transit::ToRouter(far, what), 1);
    }

    fn transmit(&mut self, now: Time, link: LinkId, transit: Transit, copies: u8) {
        let path = &self.paths[link.index()];
        if now < self.heals && self.dice.hits(path.loss) {
            return;
        }
        let arrives = now + path.delay + self.dice.up_to(path.jitter);
        let again = copies == 1 && self.dice.hits(path.twice);
        self.sent.push((arrives, transit));
        if again {
            self.transmit(now, link, transit, 2);
        }
    }
}
