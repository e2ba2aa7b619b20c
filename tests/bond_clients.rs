//! Several clients of one server: who may use which address, and a client whose own address changes.

mod support;

use std::net::IpAddr;
use std::time::Duration;

use lab::{Dual, Namespace, Server};
use support::bond::{
    MEGABYTE, THERE, answers, await_paths, client_section, fetch, goes_on, inside, peers, server_text, start_server,
};
use support::{Daemon, datagrams, eventually, ms, raw_packets};

/// Hosts behind the lab's router, which translates their addresses.
struct Homes {
    clients: Vec<Daemon>,
    server: Daemon,
    lab: Dual,
}

fn client_text(number: u8) -> String {
    let link = "config link 'wan'\n option device 'eth0'\n option gateway '10.77.0.1'\n";
    format!("config cheaproute 'main'\n option log_level 'debug'\n{link}{}", client_section(number, ""))
}

impl Homes {
    #[track_caller]
    fn new(clients: u8) -> Self {
        let lab = Dual::builder().clients(clients.into()).build();
        let server = start_server(lab.internet(), &server_text(&vec![""; clients.into()], ""));
        let start = |(number, host): (u8, &Namespace)| Daemon::start(host, &client_text(number));
        let homes = Homes { clients: (1..).zip(lab.clients()).map(start).collect(), server, lab };
        for (client, host) in homes.clients.iter().zip(homes.lab.clients()) {
            await_paths(client, host, 1);
        }
        homes
    }
}

/// A UDP datagram, whole.
fn datagram(from: IpAddr, to: IpAddr, port: u16) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else { panic!("IPv4 only") };
    let mut bytes = Vec::new();
    let builder = etherparse::PacketBuilder::ipv4(from.octets(), to.octets(), 64).udp(4000, port);
    builder.write(&mut bytes, b"from whom?").expect("a packet");
    bytes
}

#[test]
fn clients_use_their_own_addresses_only() {
    need_lab!();
    let homes = Homes::new(3);
    let there = homes.lab.internet();
    eventually("all are counted", || peers(&homes.server, there).contains(r#""clients_up":3"#));
    for (number, host) in (1..).zip(homes.lab.clients()) {
        eventually("an answer to the client", || answers(host, THERE));
        eventually("an answer to the server", || answers(there, inside(number)));
    }
    let asked = Server::udp(there, (THERE, 5300));
    let [first, third] = [&homes.lab.clients()[0], &homes.lab.clients()[2]];
    // Of the second client, of the server itself, of nobody; then the sender's own.
    for from in [inside(2), THERE, [192, 0, 2, 9].into(), inside(1)] {
        for _ in 0..20 {
            raw_packets(first, [&datagram(from, THERE, 5300)]);
        }
    }
    eventually("its own come through", || asked.accepted() >= 20);
    assert!(asked.peers().iter().all(|peer| peer.ip() == inside(1)), "{:?}", asked.peers());
    // Nor does it get what is meant for others.
    fetch(third, there, THERE, MEGABYTE);
    fetch(there, third, inside(3), MEGABYTE);
}

#[test]
fn one_client_goes_and_comes_without_the_others() {
    need_lab!();
    let mut homes = Homes::new(2);
    homes.clients[0].stop();
    let there = homes.lab.internet().clone();
    eventually("one is left", || peers(&homes.server, &there).contains(r#""clients_up":1"#));
    assert!(answers(&there, inside(2)) && !answers(&there, inside(1)));
    homes.clients[0] = Daemon::start(homes.lab.client(), &client_text(1));
    eventually("both are there", || peers(&homes.server, &there).contains(r#""clients_up":2"#));
    eventually("an answer", || answers(&there, inside(1)));
}

#[test]
fn clients_that_come_and_go_by_a_reload_are_not_noticed_by_others() {
    need_lab!();
    let mut homes = Homes::new(2);
    let there = homes.lab.internet().clone();
    let [first, second] = [&homes.lab.clients()[0], &homes.lab.clients()[1]];
    fetch(second, &there, THERE, MEGABYTE);
    let server = &mut homes.server;
    let went_on = goes_on(first, THERE, || drop(server.reload(&server_text(&[""], ""), "reloaded")));
    assert!(went_on, "while another left");
    homes.clients[1].says(0, "peer vps is down");
    assert!(peers(&homes.server, &there).contains(r#""clients_total":1"#));
    let server = &mut homes.server;
    let went_on = goes_on(first, THERE, || {
        server.reload(&server_text(&["", ""], ""), "reloaded");
        // It goes on, and the server's part begins anew.
        fetch(second, &there, THERE, MEGABYTE);
    });
    assert!(went_on, "while another came");
    fetch(&there, second, inside(2), MEGABYTE);
}

#[test]
fn a_client_of_a_smaller_link_makes_the_servers_packets_small_whenever_it_is_there() {
    need_lab!();
    let lab = Dual::builder().clients(2).build();
    let there = lab.internet();
    lab.clients()[1].sh("ip link set eth0 mtu 1400");
    let server = start_server(there, &server_text(&["", ""], ""));
    let has = |mtu: u16| there.sh("ip -o link show bond0").contains(&format!(" mtu {mtu} "));
    let mut second = Daemon::start(&lab.clients()[1], &client_text(2));
    eventually("its size is found", || has(1_381));
    let first = Daemon::start(lab.client(), &client_text(1));
    await_paths(&first, lab.client(), 1);
    assert!(has(1_381));
    second.process.signal(libc::SIGSTOP);
    eventually("it is gone", || !answers(there, inside(2)) && has(1_481));
    second.process.signal(libc::SIGCONT);
    eventually("it is back", || answers(there, inside(2)));
    // A device's MTU is not lowered for less.
    std::thread::sleep(Duration::from_secs(5));
    eventually("its size is known", || has(1_381));
    assert!(peers(&server, there).contains(r#""clients_up":2"#));
}

#[test]
fn a_stranger_is_not_answered() {
    need_lab!();
    let lab = Dual::builder().clients(2).build();
    let server = start_server(lab.internet(), &server_text(&[""], ""));
    // Number 2 has a good key, which the server does not know.
    let stranger = Daemon::start(&lab.clients()[1], &client_text(2));
    let watch = lab.wire(1).watch();
    stranger.says(0, "are both keys right, is UDP port");
    assert!(!watch.packets(lab::Direction::Up).is_empty(), "it asked");
    let port = support::bond::PORT;
    // Those who send anything else are not answered either.
    let socket = datagrams(lab.client(), (lab::SERVER4, port).into());
    for first in 0..=255u8 {
        let _ = socket.send(&[&[first][..], &[7; 147]].concat());
    }
    socket.set_read_timeout(Some(ms(300))).expect("a limit");
    assert!(socket.recv(&mut [0; 2048]).is_err());
    let answered = watch.packets(lab::Direction::Down);
    assert!(answered.iter().all(|packet| packet.source.port() != port), "{answered:?}");
    assert!(peers(&server, lab.internet()).contains(r#""clients_up":0"#));
}

#[test]
fn a_transfer_outlives_a_change_of_the_clients_address() {
    need_lab!();
    let homes = Homes::new(1);
    let (here, there, router) = (homes.lab.client(), homes.lab.internet(), homes.lab.router());
    let slow = lab::Shape { rate_bits: Some(16_000_000), ..lab::Shape::delayed(ms(5)) };
    homes.lab.wires().iter().for_each(|wire| wire.both(slow.clone()));
    eventually("it came by the first link", || peers(&homes.server, there).contains(r#""remote":"10.77.1.2:"#));
    let source = Server::source(there, (THERE, 0));
    let (mut stream, _) = lab::connect(here, source.address(), Duration::from_secs(5)).expect("a connection");
    std::thread::scope(|scope| {
        let transfer = scope.spawn(move || lab::download(&mut stream, 4 * MEGABYTE, Duration::from_secs(30)));
        let passed = || homes.lab.wire(1).counters(lab::Direction::Down).bytes;
        let before = passed();
        eventually("it is under way", || passed() > before + MEGABYTE);
        // The router reconnects: its NAT knows nothing any more, and takes another address.
        router.sh("ip route replace default via 10.77.2.1 dev wan2 metric 1
            conntrack -D -p udp >/dev/null 2>&1 || true");
        homes.lab.wire(1).blackhole(true);
        transfer.join().expect("the transfer").expect("all of it");
    });
    eventually("it is known by the other address", || peers(&homes.server, there).contains(r#""remote":"10.77.2.2:"#));
    eventually("an answer to the server", || answers(there, inside(1)));
}
