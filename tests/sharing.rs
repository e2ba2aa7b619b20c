//! How connections are shared among links: by weight, and by client.

mod support;

use std::net::{IpAddr, SocketAddr};

use etherparse::PacketBuilder;
use lab::{Namespace, Server, conntrack_entries};
use support::{Bed, SERVERS, config, connect_from, eventually, link_of, raw_packets};

const SHARED: &str = "config policy 'shared'\n option mode 'weighted'\n";
const FIRST: &str = "config policy 'first'\n option mode 'failover'\n";

#[test]
fn weights_share_connections() {
    need_lab!();
    let bed = Bed::with(&[0, 0], &["option weight '3'", ""], SHARED);
    for address in SERVERS {
        let server = SocketAddr::new(address, 5000);
        let flows: Vec<_> = (10_000..20_000).map(|port| datagram(port, server)).collect();
        raw_packets(bed.lab.client(), &flows);
        let of_link = |link: u32| {
            let (mark, port) = (format!("mark={} ", link << 24), "dport=5000 ");
            let server = format!("dst={address} ");
            let entries = conntrack_entries(bed.lab.router());
            entries.iter().filter(|line| [mark.as_str(), port, &server].iter().all(|word| line.contains(word))).count()
        };
        let (heavy, light) = (of_link(1), of_link(2));
        let all = (heavy + light) as f64;
        assert!(all > 8000.0, "{all} of 10000 flows");
        // Six standard deviations of a binomial distribution: chance exceeds them once in 500 million runs.
        let bound = 6.0 * (all * 0.75 * 0.25).sqrt();
        assert!(bound < 0.03 * all);
        assert!((heavy as f64 - 0.75 * all).abs() < bound, "{heavy} of {all}, {address}");
    }
}

#[test]
fn equal_metrics_share_and_a_higher_one_waits() {
    need_lab!();
    let links = ["option metric '10'", "option metric '10'", "option metric '20'"];
    let bed = Bed::with(&[0, 0, 0], &links, FIRST);
    let server = bed.server(SERVERS[0], 80);
    let taken = bed.links_taken(&server, 40);
    assert!((1..=2).all(|link| taken.contains(&link)) && !taken.contains(&3), "{taken:?}");
    unplug(&bed, 1);
    assert_eq!(bed.links_taken(&server, 8), [2; 8]);
    unplug(&bed, 2);
    assert_eq!(bed.links_taken(&server, 3), [3; 3]);
}

#[test]
fn a_sticky_client_keeps_its_link() {
    need_lab!();
    let mut bed = Bed::with(&[0, 0], &["", ""], &format!("{SHARED} option sticky '10m'"));
    let clients: Vec<String> = (50..74).map(|host| format!("10.77.0.{host}")).collect();
    let add = |address: &String| format!("ip address add {address}/24 dev eth0\n");
    bed.lab.client().sh(&(clients.iter().map(add).collect::<String>() + "ip address add fd77::50/64 dev eth0"));
    let servers = SERVERS.map(|address| bed.server(address, 80));
    let mut taken = Vec::new();
    for client in &clients {
        taken.push(link_from(bed.lab.client(), client, &servers[0]));
        assert_eq!(link_from(bed.lab.client(), client, &servers[0]), taken[taken.len() - 1], "{client}");
    }
    assert!(taken.contains(&1) && taken.contains(&2), "clients are shared: {taken:?}");
    let six = link_from(bed.lab.client(), "fd77::50", &servers[1]);
    assert!((0..10).all(|_| link_from(bed.lab.client(), "fd77::50", &servers[1]) == six));
    // Rules that are loaded anew forget nobody.
    bed.daemon.reload(&config(&["", "option weight '2'"], &format!("{SHARED} option sticky '10m'")), ": reloaded");
    eventually("new rules", || rules(&bed).contains("mod 3"));
    for (client, link) in clients.iter().zip(&taken) {
        assert_eq!(link_from(bed.lab.client(), client, &servers[0]), *link, "{client}");
    }
    // A link that goes down ends it, and who moved stays moved.
    unplug(&bed, taken[0]);
    let other = 3 - taken[0];
    assert_eq!(link_from(bed.lab.client(), &clients[0], &servers[0]), other);
    bed.lab.wire(taken[0]).plug();
    eventually("both links", || rules(&bed).contains("mod 3"));
    assert!((0..10).all(|_| link_from(bed.lab.client(), &clients[0], &servers[0]) == other));
    // Without the option, the sets go.
    assert!(sets(&bed).contains("sticky_"));
    bed.daemon.reload(&config(&["", ""], SHARED), ": reloaded");
    eventually("no sets", || !sets(&bed).contains("sticky_"));
}

#[test]
fn stickiness_ends_some_time_after_the_last_connection() {
    need_lab!();
    let bed = Bed::with(&[0, 0], &["", ""], &format!("{SHARED} option sticky '2s'"));
    bed.connect(&bed.server(SERVERS[0], 80));
    let known = || (1..=2).any(|link| set(&bed, link).contains("expires"));
    assert!(known(), "it is known for a while");
    eventually("forgotten", || !known());
}

#[test]
fn a_sticky_client_of_a_failover_stays_where_it_fell() {
    need_lab!();
    for (on_up, back) in [("keep", 2), ("return", 1)] {
        let option = format!("option on_up '{on_up}'");
        let bed = Bed::with(&[0, 0], &[&option, ""], &format!("{FIRST} option sticky '10m'"));
        bed.lab.client().sh("ip address add 10.77.0.50/24 dev eth0");
        let server = bed.server(SERVERS[0], 80);
        assert_eq!(bed.link_taken(&server), 1);
        unplug(&bed, 1);
        assert_eq!(bed.link_taken(&server), 2);
        bed.lab.wire(1).plug();
        eventually("the first link again", || rules(&bed).contains("stick_0_1"));
        assert_eq!(bed.links_taken(&server, 2), [back, back], "{on_up}");
        assert_eq!(link_from(bed.lab.client(), "10.77.0.50", &server), 1, "one that did not fall");
    }
}

#[track_caller]
fn unplug(bed: &Bed, link: usize) {
    bed.lab.wire(link).unplug();
    let to = |kind: &str| format!("goto {kind}_{link}");
    eventually("new rules", || !["link", "stick_0"].iter().any(|kind| rules(bed).contains(&to(kind))));
}

fn rules(bed: &Bed) -> String {
    bed.lab.router().sh("nft list chain inet cheaproute policy_0")
}

fn sets(bed: &Bed) -> String {
    bed.lab.router().sh("nft list sets inet")
}

fn set(bed: &Bed, link: usize) -> String {
    bed.lab.router().sh(&format!("nft list set inet cheaproute sticky_0_{link}_4"))
}

/// Connects from an address of a host, and says which link that took.
#[track_caller]
fn link_from(host: &Namespace, source: &str, server: &Server) -> usize {
    let before = server.accepted();
    let _stream = connect_from(host, (source.parse::<IpAddr>().unwrap(), 0), server.address()).unwrap();
    eventually("accepted", || server.accepted() > before);
    link_of(server.peers()[before])
}

/// A datagram of the first client.
fn datagram(port: u16, to: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = match to.ip() {
        IpAddr::V4(to) => PacketBuilder::ipv4([10, 77, 0, 2], to.octets(), 64),
        IpAddr::V6(to) => {
            PacketBuilder::ipv6(std::net::Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2).octets(), to.octets(), 64)
        }
    };
    builder.udp(port, to.port()).write(&mut bytes, b"?").unwrap();
    bytes
}
