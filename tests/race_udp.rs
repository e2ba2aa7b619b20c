//! Datagrams and pings of a client, raced through the real kernel.

mod support;

use std::net::UdpSocket;
use std::thread;

use lab::{Direction, Packet, Server};
use support::{Bed, SERVERS, config, datagrams, eventually, link_of, ms, queued};

#[test]
fn dns_takes_every_link_and_is_answered_once() {
    need_lab!();
    let bed = Bed::new(&[30, 5]);
    for address in SERVERS {
        let server = Server::udp(bed.lab.internet(), (address, 53));
        let socket = datagrams(bed.lab.client(), server.address());
        socket.send(b"question").unwrap();
        assert_eq!(answers(&socket), ["question"]);
        assert_eq!(links(&server), [1, 2], "{address}");
    }
}

#[test]
fn a_raced_flow_stays_in_the_kernel_once_it_is_decided() {
    need_lab!();
    let bed = Bed::new(&[30, 5]);
    for address in SERVERS {
        let server = Server::udp(bed.lab.internet(), (address, 443));
        let socket = datagrams(bed.lab.client(), server.address());
        // As QUIC does: several large datagrams before the first answer.
        let first: Vec<String> = (0..3).map(|number| format!("{number:01200}")).collect();
        for datagram in &first {
            socket.send(datagram.as_bytes()).unwrap();
        }
        let mut got = answers(&socket);
        got.sort();
        assert_eq!(got, first, "{address}");
        let sets =
            bed.lab.router().sh("nft list set inet cheaproute ipv4_answers; nft list set inet cheaproute ipv6_answers");
        for winner in ["10.77.2.2", "fd77:2::2"] {
            assert!(!sets.contains(winner), "{sets}");
        }
        let (before, seen) = (queued(bed.lab.router()), server.accepted());
        for number in 0..10 {
            socket.send(number.to_string().as_bytes()).unwrap();
            assert_eq!(received(&socket), Some(number.to_string()));
        }
        assert_eq!(queued(bed.lab.router()), before, "{address}");
        assert!(server.peers()[seen..].iter().all(|peer| link_of(*peer) == 2));
    }
}

#[test]
fn the_fastest_links_answer_comes_whichever_link_is_dead() {
    need_lab!();
    let bed = Bed::new(&[5, 5]);
    for address in SERVERS {
        let server = Server::udp(bed.lab.internet(), (address, 53));
        for dead in [1, 2] {
            bed.lab.wire(dead).blackhole(true);
            let (links, answered) = bed.ask(&server);
            assert!(answered && links == [3 - dead], "{address}: {links:?}");
            bed.lab.wire(dead).blackhole(false);
        }
    }
}

#[test]
fn a_datagram_that_does_not_fit_a_link_is_raced_without_it() {
    need_lab!();
    let lab = Bed::builder(&[5, 5]).links(3).build();
    lab.router().sh("ip link set wan2 mtu 1000");
    let bed = Bed::on(lab, &config(&["", "", ""], ""));
    let server = Server::udp(bed.lab.internet(), (SERVERS[0], 443));
    let socket = datagrams(bed.lab.client(), server.address());
    socket.send(&[b'x'; 1200]).unwrap();
    assert_eq!(answers(&socket).len(), 1);
    assert_eq!(links(&server), [1, 3]);
}

#[test]
fn other_udp_is_sent_once() {
    need_lab!();
    let bed = Bed::new(&[30, 5]);
    for address in SERVERS {
        let server = Server::udp(bed.lab.internet(), (address, 9999));
        assert_eq!(bed.ask(&server), (vec![1], true), "{address}");
    }
}

#[test]
fn the_ports_that_are_raced_can_be_chosen() {
    need_lab!();
    let text =
        config(&["", ""], "").replacen("option log_level", "list race_ports_udp '5000-5001'\n option log_level", 1);
    let bed = Bed::on(Bed::builder(&[20, 5]).build(), &text);
    for (port, wanted) in [(53, vec![1]), (5000, vec![1, 2])] {
        let server = Server::udp(bed.lab.internet(), (SERVERS[0], port));
        assert!(bed.ask(&server).1);
        eventually("every copy has come", || links(&server) == wanted);
    }
}

#[test]
fn a_ping_takes_every_link() {
    need_lab!();
    let bed = Bed::new(&[40, 5]);
    for (address, protocol) in SERVERS.into_iter().zip([1, 58]) {
        let watches = bed.lab.wires().iter().map(lab::Wire::watch).collect::<Vec<_>>();
        let time = lab::ping(bed.lab.client(), address, ms(1000)).unwrap();
        assert!(time < ms(75), "the slow link's answer came: {time:?}");
        for watch in watches {
            let is_ping = |packet: &Packet| packet.protocol == protocol && packet.destination.ip() == address;
            assert!(watch.wait_for(Direction::Up, ms(500), is_ping).is_some(), "{address}");
        }
        let late = lab::ping(bed.lab.client(), address, ms(1000));
        assert!(late.is_ok(), "{late:?}");
    }
}

#[test]
fn a_ping_survives_a_silent_link() {
    need_lab!();
    let bed = Bed::new(&[5, 5]);
    bed.lab.wire(1).blackhole(true);
    for address in SERVERS {
        lab::ping(bed.lab.client(), address, ms(1000)).unwrap();
    }
}

/// Where a server's datagrams came from.
fn links(server: &Server) -> Vec<usize> {
    thread::sleep(ms(100));
    let mut links: Vec<usize> = server.peers().iter().map(|peer| link_of(*peer)).collect();
    links.sort_unstable();
    links
}

/// All answers until silence.
fn answers(socket: &UdpSocket) -> Vec<String> {
    std::iter::from_fn(|| received(socket)).collect()
}

fn received(socket: &UdpSocket) -> Option<String> {
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}
