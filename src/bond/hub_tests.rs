//! A server and its clients, without links between them: what one says the other hears at once.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

use super::super::Slot;
use super::super::address::Address;
use super::super::control::Terms;
use super::*;
use crate::bond::simulation::settings;
use crate::time::Span;

const SERVER: u8 = 100;
const HERE: &str = "192.0.2.1:7420";

/// What a hub wants done.
#[derive(Default)]
struct Out {
    datagrams: Vec<(Via, Vec<u8>)>,
    /// Source addresses of packets for a peer's device.
    sources: Vec<(usize, Ipv4Addr)>,
    events: Vec<(usize, Event)>,
    seed: u64,
    /// How often random bytes were asked for.
    asked: usize,
}

impl Output for Out {
    fn slot(&mut self, via: &Via, length: usize) -> Slot<'_> {
        self.datagrams.push((*via, vec![0; length]));
        let bytes = self.datagrams.last_mut().map(|datagram| datagram.1.as_mut_slice()).unwrap_or_default();
        Slot { bytes, later: None }
    }

    fn deliver(&mut self, peer: usize, packet: Packet) {
        self.sources.push((peer, <[u8; 4]>::try_from(&packet.head[12..16]).unwrap().into()));
    }

    fn event(&mut self, peer: usize, event: Event) {
        self.events.push((peer, event));
    }

    fn random(&mut self, bytes: &mut [u8]) {
        self.asked += 1;
        for byte in bytes {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.seed >> 56) as u8;
        }
    }
}

fn secret(number: u8) -> Secret {
    Secret::private([number; 32])
}

fn udp(address: &str) -> Via {
    Via { socket: 0, to: Address::udp(address.parse().unwrap()) }
}

/// A path's link to there.
fn line(address: &str) -> Line {
    Line { via: udp(address), terms: Terms::USUAL, most: 1_472 }
}

/// Where the server sees a client.
fn outer(client: usize) -> Via {
    Via { socket: 0, to: Address::udp(SocketAddr::from(([198, 51, 100, client as u8], 4_000))) }
}

fn member(own: u8, remote: u8, instance: u16, allowed: &[&str]) -> Member {
    Member {
        identity: Identity::new(&secret(own), instance),
        remote: secret(remote).public(),
        psk: Secret::new([0; 32]),
        settings: settings(own != SERVER, allowed.iter().map(|text| text.parse().unwrap()).collect()),
    }
}

/// A UDP packet.
fn packet(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0; 100];
    packet[..10].copy_from_slice(&[0x45, 0, 0, 100, 0, 0, 0x40, 0, 64, 17]);
    packet[12..16].copy_from_slice(&from);
    packet[16..20].copy_from_slice(&to);
    packet[20..24].copy_from_slice(&[0x10, 0, 0x10, 1]);
    packet
}

struct Net {
    server: Hub,
    clients: Vec<Hub>,
    out: Out,
    now: Time,
}

impl Net {
    /// By client, what it may use.
    fn new(allowed: &[&[&str]]) -> Self {
        let now = Time(1_000_000);
        let members = (0..).zip(allowed).map(|(client, allowed)| member(SERVER, client, 1, allowed));
        let server = Hub::new(&[], members.collect(), now);
        let clients = (0..allowed.len() as u8).map(|client| Hub::new(&[], vec![member(client, SERVER, 2, &[])], now));
        let mut net = Net { server, clients: clients.collect(), out: Out::default(), now };
        for client in 0..allowed.len() {
            net.call(client);
        }
        net
    }

    fn call(&mut self, client: usize) {
        let hub = &mut self.clients[client];
        hub.set_path(0, PathId::default(), Some(line(HERE)), self.now, &mut self.out);
        self.tick(client);
    }

    fn tick(&mut self, client: usize) {
        self.clients[client].tick(self.now, &mut self.out);
        self.settle(Some(client));
    }

    /// Carries to the other end what this client said, or the server, and then the answers.
    fn settle(&mut self, by: Option<usize>) {
        let said = |out: &mut Out, by| core::mem::take(&mut out.datagrams).into_iter().map(move |said| (by, said));
        let mut under_way: VecDeque<_> = said(&mut self.out, by).collect();
        while let Some((by, (via, mut datagram))) = under_way.pop_front() {
            let to = match by {
                Some(client) => {
                    self.server.datagram(&outer(client), &mut datagram, None, self.now, &mut self.out);
                    None
                }
                None => {
                    let Some(client) = (0..self.clients.len()).find(|client| outer(*client) == via) else { continue };
                    self.clients[client].datagram(&udp(HERE), &mut datagram, None, self.now, &mut self.out);
                    Some(client)
                }
            };
            under_way.extend(said(&mut self.out, to));
        }
    }

    fn up(&self) -> Vec<bool> {
        self.server.peers().map(Peer::is_up).collect()
    }

    /// Somebody who has the server's public key only greets it from there. Whether it is busy, and asks for a proof; which it gets.
    fn greeted(&mut self, from: SocketAddr) -> bool {
        let (identity, psk) = (Identity::new(&secret(50), 0), Secret::new([0; 32]));
        let via = Via { socket: 0, to: Address::udp(from) };
        let random = &mut |bytes: &mut [u8]| self.out.random(bytes);
        let (mut initiator, mut message) =
            Initiator::begin(&identity, &secret(SERVER).public(), &psk, 1, random).expect("a key");
        self.server.datagram(&via, &mut message, None, self.now, &mut self.out);
        let Some((_, cookie)) = self.out.datagrams.pop() else { return false };
        let mut proven = initiator.cookie(&cookie).expect("a cookie");
        self.server.datagram(&via, &mut proven, None, self.now, &mut self.out);
        true
    }

    /// The source addresses of those packets that come out at the server, of these.
    fn send(&mut self, client: usize, sources: &[[u8; 4]]) -> Vec<[u8; 4]> {
        self.out.sources.clear();
        for source in sources {
            let packet = packet(*source, [10, 74, 20, 1]);
            let packet = Packet { head: &packet, body: &[], pending: false };
            self.clients[client].packet(packet, self.now, &mut self.out);
            self.settle(Some(client));
        }
        self.out.sources.iter().map(|(_, source)| source.octets()).collect()
    }
}

/// As in the sample: the first client has no networks of its own in the configuration, and gets the device's.
#[test]
fn a_client_uses_no_address_that_is_anothers() {
    let mut net = Net::new(&[&["10.74.20.0/24"], &["10.74.20.3", "192.168.3.0/24"]]);
    assert_eq!(net.up(), [true, true]);
    let sources = [[10, 74, 20, 2], [10, 74, 20, 3], [10, 74, 20, 4], [192, 168, 3, 9], [192, 0, 2, 1]];
    assert_eq!(net.send(0, &sources), [[10, 74, 20, 2], [10, 74, 20, 4]]);
    assert_eq!(net.send(1, &sources), [[10, 74, 20, 3], [192, 168, 3, 9]]);
}

/// Whoever knows the server's public key gets as far as this.
#[test]
fn many_ports_of_one_host_do_not_use_up_everybodys_handshakes() {
    let mut net = Net::new(&[]);
    net.server = Hub::new(&[], vec![member(SERVER, 0, 1, &["10.74.20.2"])], net.now);
    net.clients = vec![Hub::new(&[], vec![member(0, SERVER, 2, &[])], net.now)];
    for number in 0..=255 {
        net.greeted(SocketAddr::from(([203, 0, 113, number], 4_000)));
    }
    assert!(net.greeted(SocketAddr::from(([203, 0, 114, 1], 4_000))), "it is busy by now");
    for port in 1..=250 {
        net.greeted(SocketAddr::from(([203, 0, 114, 1], port)));
    }
    net.call(0);
    assert_eq!(net.up(), [true]);
}

/// ... nor those of hundreds of hosts the handshakes of a client that is here: it renews its keys.
#[test]
fn many_hosts_do_not_use_up_the_handshakes_of_who_is_here() {
    let mut net = Net::new(&[&["10.74.20.2"]]);
    assert_eq!(net.up(), [true]);
    for host in 0..900u16 {
        let [high, low] = host.to_be_bytes();
        net.greeted(SocketAddr::from(([203, 0, high, low], 4_000)));
    }
    net.clients[0] = Hub::new(&[], vec![member(0, SERVER, 3, &[])], net.now);
    net.call(0);
    assert!(net.clients[0].peers().all(Peer::is_up));
}

/// A flood of what merely looks like a handshake is as cheap as can be.
#[test]
fn no_random_numbers_are_drawn_for_what_is_no_handshake() {
    let mut net = Net::new(&[&["10.74.20.2"]]);
    let before = net.out.asked;
    for first in [0x11, 0x21, 0x31] {
        for length in [4, 20, 60, 92, 136, 512] {
            let mut datagram = vec![7; length];
            datagram[0] = first;
            net.server.datagram(&outer(0), &mut datagram, None, net.now, &mut net.out);
            net.clients[0].datagram(&udp(HERE), &mut datagram, None, net.now, &mut net.out);
        }
    }
    assert_eq!((net.out.asked, net.out.datagrams.len()), (before, 0));
}

/// Whatever its length says: as long as UDP carries, of every kind, and the longest that was meant well, with a tail.
#[test]
fn datagrams_that_are_too_long_are_nothing() {
    let mut net = Net::new(&[&["10.74.20.2"]]);
    let before = net.server.held();
    for first in 0..=u8::MAX {
        for length in [1_473, 9_000, 65_507, 65_535] {
            let mut datagram = vec![first; length];
            net.server.datagram(&outer(0), &mut datagram, None, net.now, &mut net.out);
            net.clients[0].datagram(&udp(HERE), &mut datagram, None, net.now, &mut net.out);
        }
    }
    assert!(net.out.datagrams.is_empty(), "it is answered");
    assert!(net.out.sources.is_empty());
    let packet = packet([10, 74, 20, 2], [10, 74, 20, 1]);
    net.clients[0].packet(Packet { head: &packet, body: &[], pending: false }, net.now, &mut net.out);
    let (_, mut good) = net.out.datagrams.pop().expect("a packet");
    good.resize(65_507, 0);
    net.server.datagram(&outer(0), &mut good, None, net.now, &mut net.out);
    assert!(net.out.sources.is_empty(), "it was not sealed like this");
    assert!(net.server.held() <= before + 4_096);
    assert_eq!(net.send(0, &[[10, 74, 20, 2]]), [[10, 74, 20, 2]]);
}

#[test]
fn of_whom_we_call_another_version_is_told() {
    let mut net = Net::new(&[&["10.74.20.2"]]);
    let mut newer = [0x22, 0, 0, 1];
    let mut client = Hub::new(&[], vec![member(7, SERVER, 2, &[])], net.now);
    let mut hears = |client: &mut Hub, from: &Via, times: usize| {
        net.out.events.clear();
        (0..times).for_each(|_| client.datagram(from, &mut newer, None, net.now, &mut net.out));
        core::mem::take(&mut net.out.events)
    };
    let told = [(0, Event::Version(2))];
    assert_eq!(hears(&mut client, &udp(HERE), 1), [], "nobody was called");
    let mut silent = Out::default();
    client.set_path(0, PathId::default(), Some(line(HERE)), net.now, &mut silent);
    client.tick(net.now, &mut silent);
    assert_eq!(hears(&mut client, &outer(3), 1), [], "a stranger");
    assert_eq!(hears(&mut client, &udp(HERE), 3), told, "once");
    client.tick(net.now + Span::from_secs(1), &mut silent);
    assert_eq!(hears(&mut client, &udp(HERE), 3), told, "and once more");
    // Servers call nobody; nor do clients whose server has answered.
    assert_eq!(hears(&mut net.server, &outer(0), 1), []);
    assert_eq!(hears(&mut net.clients[0], &udp(HERE), 1), []);
}

#[test]
fn members_come_and_go_and_the_others_go_on() {
    let [first, second, third] = [["10.74.20.2"], ["10.74.20.3"], ["10.74.20.4"]];
    let mut net = Net::new(&[&first, &second, &third]);
    let set = |net: &mut Net, members: &[(u8, &[&str])], instance: u16| {
        let members = members.iter().map(|(client, allowed)| member(SERVER, *client, instance, allowed)).collect();
        net.server.set_members(&[], members, net.now, &mut net.out);
        net.settle(None);
    };
    let keys = |net: &Net, client: usize| net.clients[client].peers().map(|peer| peer.sessions.changes()).sum::<u32>();
    // The second one leaves, is told, and the third gets its number, and other networks.
    let before = [keys(&net, 0), keys(&net, 2)];
    set(&mut net, &[(0, &first), (2, &["10.74.20.0/24"])], 5);
    assert_eq!(net.up(), [true, true]);
    assert!(!net.clients[1].peers().any(Peer::is_up));
    let sources = [[10, 74, 20, 2], [10, 74, 20, 3], [10, 74, 20, 4]];
    assert_eq!(net.send(0, &sources), [[10, 74, 20, 2]]);
    assert_eq!(net.send(2, &sources), [[10, 74, 20, 3], [10, 74, 20, 4]]);
    assert!(net.out.sources.iter().all(|(peer, _)| *peer == 1), "by its new number: {:?}", net.out.sources);
    net.now = net.now + Span::from_millis(300);
    net.tick(1);
    assert_eq!(net.up(), [true, true], "nobody knows it any more");
    // It comes back, as the first one; another pre-shared key makes the first one another.
    set(&mut net, &[(1, &second), (0, &first), (2, &third)], 6);
    assert_eq!(net.up(), [false, true, true]);
    net.now = net.now + Span::from_secs(1);
    net.tick(1);
    assert_eq!(net.up(), [true, true, true]);
    assert_eq!([keys(&net, 0), keys(&net, 2)], before, "they had no other session");
    // Numbers begin anew at the server, and at the client that goes on as well, since our instance for it is another.
    let instance = |net: &Net, client: usize| {
        let peer = net.clients[client].peers().next().expect("a server");
        peer.sessions.current(net.now).map(|session| session.hello().instance)
    };
    assert_eq!([0, 1, 2].map(|client| instance(&net, client)), [Some(1), Some(6), Some(1)]);
    let mut other = member(SERVER, 0, 7, &first);
    other.psk = Secret::new([9; 32]);
    net.server.set_members(&[], vec![other], net.now, &mut net.out);
    net.settle(None);
    assert_eq!(net.up(), [false]);
    assert!(!net.clients.iter().any(|client| client.peers().any(Peer::is_up)));
}

#[test]
fn another_keepalive_is_taken_over_by_who_is_there() {
    let mut net = Net::new(&[&["10.74.20.2"]]);
    let next = |net: &Net| {
        let paths = net.clients[0].peers().flat_map(|peer| peer.paths.iter().flatten());
        paths.map(|path| path.probing.next).min().expect("a path").since(net.now)
    };
    // Until its size is found.
    for _ in 0..100 {
        net.now = net.now + Span::from_millis(100);
        net.tick(0);
    }
    let mut own = member(0, SERVER, 1, &[]);
    own.settings.keepalive = Span::from_millis(1);
    let keys = |net: &Net| net.clients[0].peers().map(|peer| peer.sessions.changes()).sum::<u32>();
    let before = keys(&net);
    assert!(next(&net) > own.settings.keepalive);
    net.clients[0].set_members(&[], vec![own.clone()], net.now, &mut net.out);
    assert_eq!((next(&net), keys(&net)), (own.settings.keepalive, before));
}

#[test]
fn a_client_without_a_link_waits_for_one() {
    let (mut out, mut now) = (Out::default(), Time(1_000_000));
    let mut hub = Hub::new(&[], vec![member(0, SERVER, 2, &[])], now);
    for _ in 0..3 {
        now = now + Span::from_secs(1);
        hub.tick(now, &mut out);
        let next = hub.deadline().expect("it has a peer");
        assert!(next >= now + Span::from_millis(100), "{next:?} at {now:?}");
    }
    hub.set_path(0, PathId::default(), Some(line(HERE)), now, &mut out);
    hub.tick(now, &mut out);
    assert_eq!(out.datagrams.len(), 1, "it calls at once");
}

/// Somebody who took them down says a client's old initiations again, as often as no cookie is asked for: within a long round trip more of them
/// come than sessions wait, and the client's own is still there when it has the answer.
#[test]
fn initiations_said_again_do_not_cost_a_client_its_new_keys() {
    for rtt in [200, 800] {
        let mut net = Net::new(&[&["10.74.20.2"]]);
        let (identity, psk) = (Identity::new(&secret(0), 2), Secret::new([0; 32]));
        let (packet, elsewhere) = (packet([10, 74, 20, 2], [10, 74, 20, 1]), udp("203.0.113.66:99"));
        let keys = |net: &Net| net.clients[0].peers().map(|peer| peer.sessions.changes()).sum::<u32>();
        let (start, half, before) = (net.now, Span::from_millis(rtt / 2), keys(&net));
        // When it arrives, whether at the server, and what.
        let mut under_way: VecDeque<(Time, bool, Vec<u8>)> = VecDeque::new();
        let (mut sent, mut came, mut replayed) = (0, 0, 0);
        while net.now.since(start) < Span::from_secs(124) {
            let renews = net.now.since(start) > Span::from_millis(119_500);
            net.now = net.now + Span::from_millis(if renews { 10 } else { 100 });
            let (now, passed) = (net.now, net.now.since(start));
            // The last ones have the time to arrive.
            if renews && passed < Span::from_secs(123) {
                sent += 1;
                net.clients[0].packet(Packet { head: &packet, body: &[], pending: false }, now, &mut net.out);
            }
            net.clients[0].tick(now, &mut net.out);
            under_way.extend(net.out.datagrams.drain(..).map(|(_, datagram)| (now + half, true, datagram)));
            net.server.tick(now, &mut net.out);
            under_way.extend(net.out.datagrams.drain(..).map(|(_, datagram)| (now + half, false, datagram)));
            while under_way.front().is_some_and(|(at, ..)| *at <= now) {
                let Some((_, up, mut datagram)) = under_way.pop_front() else { break };
                net.out.sources.clear();
                if up {
                    net.server.datagram(&outer(0), &mut datagram, None, now, &mut net.out);
                    came += net.out.sources.len();
                } else {
                    net.clients[0].datagram(&udp(HERE), &mut datagram, None, now, &mut net.out);
                }
                under_way.extend(net.out.datagrams.drain(..).map(|(_, datagram)| (now + half, !up, datagram)));
            }
            let due = if renews { passed.as_micros() * 48 / 1_000_000 } else { 0 };
            if due > replayed {
                replayed = due;
                let random = &mut |bytes: &mut [u8]| net.out.random(bytes);
                let begun = Initiator::begin(&identity, &secret(SERVER).public(), &psk, due as u32, random);
                let (_, mut message) = begun.expect("a key");
                net.server.datagram(&elsewhere, &mut message, None, now, &mut net.out);
                let answer = net.out.datagrams.pop().and_then(|(_, answer)| frame::kind(&answer));
                assert!(matches!(answer, Some(Kind::Response { .. })), "no cookie: {answer:?}");
            }
        }
        assert!(keys(&net) > before, "it has renewed its keys");
        assert!(came == sent && sent > 300, "{came} of {sent} came at {rtt} ms");
    }
}
