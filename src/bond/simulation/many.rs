//! One server and two hundred clients: what each costs, that none takes another's share, and that all are back soon after the
//! server's restart.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;

use super::{Dice, Out, SERVER_ADDRESS, settings};
use crate::bond::Via;
use crate::bond::address::Address;
use crate::bond::control::Terms;
use crate::bond::flow::Packet;
use crate::bond::frame::{self, Kind, PathId};
use crate::bond::handshake::{Identity, Initiator};
use crate::bond::hub::{Hub, Member};
use crate::bond::keys::Secret;
use crate::bond::peer::Line;
use crate::time::{Span, Time};

const CLIENTS: usize = 200;
/// Links of each client.
const LINKS: usize = 2;
/// Of each link and way, bits a second.
const RATE: u64 = 10_000_000;
/// What waits for it at most.
const QUEUE: Span = Span::from_millis(50);
/// How much later than asked an end is woken.
const LATENESS: Span = Span(50);
/// Between two small packets of one client, and of the server to each.
const EVERY: Span = Span::from_millis(100);
/// What a client may cost the server that does little, bytes.
const MOST_EACH: usize = 40_000;

/// Who a datagram is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Server,
    Client(usize),
}

struct Flight {
    to: End,
    from: Via,
    datagram: Vec<u8>,
}

#[derive(Clone, Default)]
struct Got {
    sent: u64,
    received: u64,
    bytes: u64,
    longest: Span,
}

struct Many {
    now: Time,
    server: Hub,
    clients: Vec<Hub>,
    out: Out,
    wakes: Vec<Time>,
    flights: BTreeMap<(Time, u64), Flight>,
    launched: u64,
    /// When each link's ways are free, in nanoseconds.
    free: Vec<[u64; 2]>,
    /// By client: packets to it, and from it.
    got: Vec<[Got; 2]>,
    due: BinaryHeap<Reverse<(Time, usize)>>,
    /// Bits a second of large packets to the first client, and when the next is due.
    flood: (u64, Time),
    flooded: Got,
    marked: Time,
    /// That the server asked clients for.
    cookies: u64,
}

fn secret(number: usize) -> Secret {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Secret::private(bytes)
}

const SERVER_KEY: usize = usize::MAX;

fn inner(client: usize) -> [u8; 4] {
    [10, 74, (client >> 8) as u8, client as u8]
}

fn member(own: usize, instance: u16, remote: usize) -> Member {
    let client = own != SERVER_KEY;
    let allowed = if client { String::new() } else { std::net::Ipv4Addr::from(inner(remote)).to_string() };
    Member {
        identity: Identity::new(&secret(own), instance),
        remote: secret(remote).public(),
        psk: Secret::new([0; 32]),
        settings: settings(client, allowed.parse().into_iter().collect()),
    }
}

fn serve(instance: u16, now: Time) -> Hub {
    Hub::new(&[], (0..CLIENTS).map(|client| member(SERVER_KEY, instance, client)).collect(), now)
}

/// Where a client's link is, as the server sees it.
fn outer(client: usize, link: usize) -> SocketAddr {
    SocketAddr::from(([192, link as u8, (client >> 8) as u8, client as u8], 40_000))
}

/// A UDP packet that says when it was sent; of a flood if it is large.
fn packet(from: [u8; 4], to: [u8; 4], length: usize, now: Time) -> Vec<u8> {
    let mut packet = vec![0; length];
    packet[..10].copy_from_slice(&[0x45, 0, (length >> 8) as u8, length as u8, 0, 0, 0x40, 0, 64, 17]);
    packet[12..16].copy_from_slice(&from);
    packet[16..20].copy_from_slice(&to);
    // A flood is another program's.
    packet[20..24].copy_from_slice(&[if length == LARGE { 0x20 } else { 0x10 }, 0, 0x10, 1]);
    packet[28..36].copy_from_slice(&now.0.to_be_bytes());
    packet
}

const SMALL: usize = 200;
const LARGE: usize = 1_200;
const THERE: [u8; 4] = [10, 74, 255, 1];

impl Many {
    /// All clients begin at once.
    fn new() -> Self {
        let now = Time(1_000_000);
        let out = Out { datagrams: Vec::new(), packets: Vec::new(), events: Vec::new(), dice: Dice(5), alike: false };
        let mut many = Many {
            now,
            server: serve(1, now),
            clients: (0..CLIENTS).map(|client| Hub::new(&[], vec![member(client, 2, SERVER_KEY)], now)).collect(),
            out,
            wakes: vec![now; CLIENTS + 1],
            flights: BTreeMap::new(),
            launched: 0,
            free: vec![[0; 2]; CLIENTS * LINKS],
            got: vec![Default::default(); CLIENTS],
            due: BinaryHeap::new(),
            flood: (0, now),
            flooded: Got::default(),
            marked: now,
            cookies: 0,
        };
        for client in 0..CLIENTS {
            for link in 0..LINKS {
                let via = Via { socket: link as u16, to: Address::udp(SERVER_ADDRESS) };
                let line = Line { via, terms: Terms::USUAL, most: 1_472 };
                let id = PathId::new(link as u8).unwrap();
                many.clients[client].set_path(0, id, Some(line), now, &mut many.out);
                many.settle(End::Client(client));
            }
        }
        many.run(Span::from_secs(2));
        for client in 0..CLIENTS {
            many.due.push(Reverse((many.now + Span(client as u64 * 499), client)));
        }
        many
    }

    fn run(&mut self, lasts: Span) {
        let until = self.now + lasts;
        loop {
            let wake = self.wakes.iter().min().copied().unwrap_or(until);
            let flight = self.flights.keys().next().map_or(until, |(at, _)| *at);
            let due = self.due.peek().map_or(until, |Reverse((at, _))| *at);
            let flood = if self.flood.0 > 0 { self.flood.1 } else { until };
            let next = wake.min(flight).min(due).min(flood);
            if next >= until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
            if flight <= next {
                self.arrive();
            } else if due <= next {
                self.talk();
            } else if flood <= next {
                self.flood.1 = self.flood.1 + Span(LARGE as u64 * 8_000_000 / self.flood.0);
                self.flooded.sent += 1;
                if self.server.ready() {
                    self.send(End::Server, &packet(THERE, inner(0), LARGE, self.now));
                }
            } else if self.wakes[CLIENTS] <= next {
                self.server.tick(self.now, &mut self.out);
                self.settle(End::Server);
            } else if let Some(client) = (0..CLIENTS).find(|client| self.wakes[*client] <= next) {
                self.clients[client].tick(self.now, &mut self.out);
                self.settle(End::Client(client));
            }
        }
    }

    /// One small packet each way.
    fn talk(&mut self) {
        let Some(Reverse((_, client))) = self.due.pop() else { return };
        self.due.push(Reverse((self.now + EVERY, client)));
        self.got[client].iter_mut().for_each(|got| got.sent += 1);
        self.send(End::Server, &packet(THERE, inner(client), SMALL, self.now));
        self.send(End::Client(client), &packet(inner(client), THERE, SMALL, self.now));
    }

    fn send(&mut self, end: End, packet: &[u8]) {
        let packet = Packet { head: packet, body: &[], pending: false };
        match end {
            End::Server => self.server.packet(packet, self.now, &mut self.out),
            End::Client(client) => self.clients[client].packet(packet, self.now, &mut self.out),
        }
        self.settle(end);
    }

    fn arrive(&mut self) {
        let Some((_, Flight { to, from, mut datagram })) = self.flights.pop_first() else { return };
        match to {
            End::Server => self.server.datagram(&from, &mut datagram, None, self.now, &mut self.out),
            End::Client(client) => self.clients[client].datagram(&from, &mut datagram, None, self.now, &mut self.out),
        }
        self.settle(to);
    }

    fn settle(&mut self, end: End) {
        for (socket, to, datagram) in core::mem::take(&mut self.out.datagrams) {
            let (client, link, way) = match (end, to) {
                (End::Client(client), _) => (client, usize::from(socket), 0),
                (End::Server, SocketAddr::V4(to)) => {
                    let [_, link, high, low] = to.ip().octets();
                    (usize::from(high) << 8 | usize::from(low), usize::from(link), 1)
                }
                _ => continue,
            };
            // Nobody is at a forger's address.
            let Some(free) = self.free.get_mut(client * LINKS + link) else { continue };
            self.cookies += u64::from(matches!(frame::kind(&datagram), Some(Kind::Cookie { .. })));
            let now = self.now.0 * 1_000;
            if free[way].saturating_sub(now) / 1_000 > QUEUE.0 {
                continue;
            }
            free[way] = free[way].max(now) + (datagram.len() as u64 + 42) * 8_000_000_000 / RATE;
            let at = Time(free[way] / 1_000) + Span::from_millis(5 + (client % 20) as u64 + 10 * link as u64);
            let (to, from) = match end {
                End::Client(_) => (End::Server, Via { socket: 0, to: Address::udp(outer(client, link)) }),
                End::Server => (End::Client(client), Via { socket: link as u16, to: Address::udp(SERVER_ADDRESS) }),
            };
            self.launched += 1;
            self.flights.insert((at, self.launched), Flight { to, from, datagram });
        }
        for packet in core::mem::take(&mut self.out.packets) {
            let sent = Time(u64::from_be_bytes(packet[28..36].try_into().unwrap()));
            let (at, way) = if end == End::Server { (12, 1) } else { (16, 0) };
            let client = usize::from(packet[at + 2]) << 8 | usize::from(packet[at + 3]);
            assert!(end == End::Server || end == End::Client(client), "another's packet");
            let got = if packet.len() == LARGE { &mut self.flooded } else { &mut self.got[client][way] };
            if sent < self.marked {
                continue;
            }
            got.received += 1;
            got.bytes += packet.len() as u64;
            got.longest = got.longest.max(self.now.since(sent));
        }
        self.out.events.clear();
        let (place, deadline) = match end {
            End::Server => (CLIENTS, self.server.deadline()),
            End::Client(client) => (client, self.clients[client].deadline()),
        };
        self.wakes[place] = deadline.map_or(super::NEVER, |at| (at + LATENESS).max(self.now));
    }

    /// From now on everything counts.
    fn mark(&mut self) {
        self.got = vec![Default::default(); CLIENTS];
        self.flooded = Got::default();
        self.marked = self.now;
    }

    fn up(&self) -> usize {
        self.server.peers().filter(|peer| peer.is_up()).count()
    }

    /// Lets nothing new be sent, and sees that all has arrived in time.
    #[track_caller]
    fn all_came(&mut self, within: Span) {
        let due = core::mem::take(&mut self.due);
        self.run(Span::from_millis(300));
        for (client, got) in self.got.iter().flatten().enumerate() {
            let client = client / 2;
            assert_eq!(got.sent, got.received, "of client {client}");
            assert!(got.longest <= within, "client {client} waited for {}", got.longest);
        }
        let later = |Reverse((at, client)): Reverse<(Time, usize)>| Reverse((at + Span::from_millis(300), client));
        self.due = due.into_iter().map(later).collect();
    }
}

#[test]
fn two_hundred_clients_cost_little_each() {
    let mut many = Many::new();
    assert_eq!(many.up(), CLIENTS, "after 2 s");
    let idle = many.server.held() / CLIENTS;
    many.run(Span::from_secs(3));
    many.all_came(Span::from_millis(60));
    let busy = many.server.held() / CLIENTS;
    println!("bytes a client: {idle} idle, {busy} after 10 packets a second each way for 3 s");
    assert!(busy <= MOST_EACH, "{busy} bytes each");
}

#[test]
fn a_flood_to_one_client_is_only_its_own() {
    let mut many = Many::new();
    many.run(Span::from_secs(1));
    many.mark();
    // Ten times what its links carry.
    many.flood = (RATE * LINKS as u64 * 10, many.now);
    let mut most = 0;
    for _ in 0..30 {
        many.run(Span::from_millis(100));
        most = most.max(many.server.held());
    }
    many.flood.0 = 0;
    let share = many.flooded.bytes * 8 * 1_000 / (3 * RATE * LINKS as u64);
    println!("share {share} of 1000, {} at most, {most} bytes held", many.flooded.longest);
    many.all_came(Span::from_millis(150));
    assert!(share > 850, "{share}");
    // All that waits is one client's.
    assert!(most < CLIENTS * MOST_EACH + (1 << 20), "{most} bytes");
    // As it starts, a path's window is that of quicker links: here half a second's worth, once.
    assert!(many.flooded.longest < Span::from_millis(600), "{}", many.flooded.longest);
}

#[test]
fn all_clients_are_back_soon_after_the_servers_restart() {
    for forged in [0, 600] {
        let mut many = Many::new();
        many.run(Span::from_secs(1));
        many.server = serve(9, many.now);
        many.wakes[CLIENTS] = many.now;
        let began = many.now;
        // Somebody knows the server's key, and has initiations come from everywhere before the clients' do.
        for number in 0..forged {
            let identity = Identity::new(&secret(1_000 + number), 0);
            let mut dice = Dice(number as u64);
            let random = &mut |bytes: &mut [u8]| dice.fill(bytes);
            let psk = Secret::new([0; 32]);
            let begun = Initiator::begin(&identity, &secret(SERVER_KEY).public(), &psk, number as u32, random);
            let from = Via { socket: 0, to: Address::udp(SocketAddr::from(([203, 0, 113, number as u8], 1))) };
            let at = began + Span(500 * number as u64);
            many.flights
                .insert((at, u64::MAX - number as u64), Flight { to: End::Server, from, datagram: begun.unwrap().1 });
        }
        let mut back = None;
        for ms in (50..=2_000).step_by(50) {
            many.run(Span::from_millis(50));
            if many.up() == CLIENTS && back.is_none() {
                back = Some(ms);
            }
        }
        println!("{forged} forged: all back after {back:?} ms, {} cookies", many.cookies);
        assert_eq!(many.up(), CLIENTS, "with {forged} forged");
        assert_eq!(many.cookies > 0, forged > 0, "{} cookies to clients", many.cookies);
        many.mark();
        many.run(Span::from_secs(1));
        many.all_came(Span::from_millis(100));
    }
}
