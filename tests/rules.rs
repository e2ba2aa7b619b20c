//! Which connections a rule matches, field by field; and many rules.

mod support;

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use etherparse::{IpNumber, PacketBuilder};
use lab::{Direction, Namespace, Server, ping};
use support::{Bed, SERVERS, config, connect_from, eventually, link_from, link_of, ms, raw_packets, second_lan};

/// A policy that always takes wan1, the slow link of these tests; the first policy races.
const SLOW: &str = "config policy 'fast'
config policy 'slow'
 option mode 'failover'
 list link 'wan1'\n";

/// Two policies of one link each: what matches no rule takes wan2.
const TWO: &str = "config policy 'two'\n option mode 'failover'\n list link 'wan2'
config policy 'one'\n option mode 'failover'\n list link 'wan1'\n";

#[test]
fn rules_match_ports_and_protocols() {
    need_lab!();
    let more = format!(
        "{SLOW}config rule\n option policy 'slow'\n list proto 'tcp'\n list dest_port '8000-8002'
         config rule\n option policy 'slow'\n list proto 'udp'\n list dest_port '53'
         config rule\n option policy 'slow'\n list proto 'tcp'\n list src_port '4000'"
    );
    let bed = Bed::with(&[30, 2], &["", ""], &more);
    for address in SERVERS {
        for (port, wanted) in [(7999, 2), (8000, 1), (8002, 1), (8003, 2), (53, 2)] {
            assert_eq!(bed.link_taken(&bed.server(address, port)), wanted, "{address} {port}");
        }
        let dns = Server::udp(bed.lab.internet(), (address, 53));
        assert_eq!(bed.ask(&dns), (vec![1], true), "{address}");
        let any: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        let server = bed.server(address, 80);
        for (port, wanted) in [(4000, 1), (4001, 2)] {
            let _stream = connect_from(bed.lab.client(), (any.ip(), port), server.address()).unwrap();
            eventually("accepted", || server.accepted() == port as usize - 3999);
            assert_eq!(server.peers().last().map(|peer| link_of(*peer)), Some(wanted), "{address} from {port}");
        }
    }
}

#[test]
fn rules_match_addresses_and_families() {
    need_lab!();
    let more = format!(
        "{SLOW}config rule\n option policy 'slow'\n list dest_ip '198.51.100.128/25'\n list dest_ip '2001:db8:51::80/121'
         config rule\n option policy 'slow'\n list src_ip '10.77.0.3'\n list src_ip 'fd77::3'
         config rule\n option policy 'slow'\n option family 'ipv6'\n list proto 'tcp'\n list dest_port '666'"
    );
    let bed = Bed::on(Bed::builder(&[30, 2]).clients(2).build(), &config(&["", ""], &more));
    bed.lab.internet().sh("ip address add 198.51.100.200/24 dev lo; ip address add 2001:db8:51::c8/64 dev lo");
    let (one, two) = (&bed.lab.clients()[0], &bed.lab.clients()[1]);
    for (address, other, of_family) in [(SERVERS[0], "198.51.100.200", 2), (SERVERS[1], "2001:db8:51::c8", 1)] {
        let other = other.parse().unwrap();
        for (client, address, port, wanted) in
            [(one, address, 80, 2), (one, other, 80, 1), (two, address, 81, 1), (one, address, 666, of_family)]
        {
            assert_eq!(link_from(client, &bed.server(address, port)), wanted, "{} {address} {port}", client.name());
        }
    }
}

#[test]
fn rules_match_devices() {
    need_lab!();
    let lab = Bed::builder(&[30, 2]).build();
    let guest = second_lan(lab.router());
    let more = format!("{SLOW}config rule\n option policy 'slow'\n option src_device 'guest0'");
    let bed = Bed::on(lab, &config(&["", ""], &more));
    let server = bed.server(SERVERS[0], 80);
    assert_eq!(link_from(&guest, &server), 1);
    assert_eq!(bed.link_taken(&server), 2);
}

#[test]
fn rules_match_only_if_every_field_does() {
    need_lab!();
    let more = format!(
        "{TWO}config rule\n option policy 'one'\n option proto 'tcp'\n list src_ip '10.77.0.0/24'\n list src_ip 'fd77::/64'
         list dest_ip '198.51.100.0/24'\n list dest_ip '2001:db8:51::/48'\n option src_port '4000-4001'
         list dest_port '80'\n list dest_port '8000-8010'\n list dest_port '8005-8020'\n option src_device 'lan0'"
    );
    let bed = Bed::with(&[0, 0], &["", ""], &more);
    bed.lab.client().sh("ip address add 10.99.0.2/32 dev eth0; ip address add fd99::2/128 dev eth0");
    bed.lab.router().sh("ip route add 10.99.0.2 dev lan0; ip route add fd99::2 dev lan0");
    bed.lab.internet().sh("ip address add 203.0.113.1/32 dev lo; ip address add 2001:db8:cb::1/128 dev lo");
    let lists = [
        ["10.77.0.2", "10.99.0.2", "198.51.100.1", "203.0.113.1"],
        ["fd77::2", "fd99::2", "2001:db8:51::1", "2001:db8:cb::1"],
    ];
    for list in lists {
        let [ours, other, server, elsewhere]: [IpAddr; 4] = list.map(|text| text.parse().unwrap());
        for (source, source_port, destination, port, wanted) in [
            (ours, 4000, server, 80, 1),
            (ours, 4001, server, 8015, 1),
            (ours, 4002, server, 80, 2),
            (ours, 4000, server, 81, 2),
            (ours, 4000, server, 8021, 2),
            (other, 4000, server, 80, 2),
            (ours, 4000, elsewhere, 80, 2),
        ] {
            let server = bed.server(destination, port);
            let what = format!("{source}:{source_port} to {destination}:{port}");
            assert_eq!(link_by(bed.lab.client(), (source, source_port).into(), &server), wanted, "{what}");
        }
        let udp = Server::udp(bed.lab.internet(), (server, 80));
        assert_eq!(bed.ask(&udp), (vec![2], true), "another protocol");
    }
}

#[test]
fn rules_match_one_family() {
    need_lab!();
    for (family, wanted) in [("ipv4", [1, 2]), ("ipv6", [2, 1]), ("any", [1, 1])] {
        let more = format!("{TWO}config rule\n option policy 'one'\n option family '{family}'");
        let bed = Bed::with(&[0, 0], &["", ""], &more);
        assert_eq!(SERVERS.map(|address| bed.link_taken(&bed.server(address, 80))), wanted, "{family}");
    }
}

#[test]
fn rules_match_icmp_and_other_protocols() {
    need_lab!();
    let more = format!(
        "{TWO}config rule\n option policy 'one'\n option proto 'icmp'
         config rule\n option policy 'one'\n option proto '99'"
    );
    let bed = Bed::with(&[0, 0], &["", ""], &more);
    for (address, icmp) in SERVERS.into_iter().zip([1, 58]) {
        let watches = [1, 2].map(|link| bed.lab.wire(link).watch());
        ping(bed.lab.client(), address, ms(2000)).unwrap();
        raw_packets(bed.lab.client(), [&other_protocol(99, address), &other_protocol(98, address)]);
        let seen = |link: usize, protocol: u8| {
            let frames = watches[link - 1].frames();
            let number = |frame: &[u8]| if address.is_ipv4() { frame[14 + 9] } else { frame[14 + 6] };
            let of_family = |frame: &[u8]| frame[14] >> 4 == if address.is_ipv4() { 4 } else { 6 };
            let up = frames.iter().filter(|seen| seen.direction == Direction::Up);
            up.filter(|seen| of_family(&seen.frame) && number(&seen.frame) == protocol).count()
        };
        eventually("they left", || seen(1, 99) + seen(2, 99) > 0 && seen(1, 98) + seen(2, 98) > 0);
        assert_eq!([(icmp, 1), (99, 1), (98, 2)].map(|(protocol, link)| seen(link, protocol)), [1; 3], "{address}");
        assert_eq!([(icmp, 2), (99, 2), (98, 1)].map(|(protocol, link)| seen(link, protocol)), [0; 3], "{address}");
    }
}

#[test]
fn rules_match_what_others_put_into_a_set() {
    need_lab!();
    let mut bed =
        Bed::with(&[0, 0], &["", ""], &format!("{TWO}config rule\n option policy 'one'\n option nftset 'video'"));
    bed.lab.internet().sh("ip address add 198.51.100.200/24 dev lo; ip address add 2001:db8:51::c8/64 dev lo");
    // As dnsmasq does, with a timeout or without.
    bed.lab.router().sh("nft add element inet cheaproute video4 '{ 198.51.100.200 timeout 1h }'
        nft add element inet cheaproute video6 '{ 2001:db8:51::c8 }'");
    let check = |bed: &Bed, port| {
        for (address, wanted) in
            [("198.51.100.200", 1), ("2001:db8:51::c8", 1), ("198.51.100.1", 2), ("2001:db8:51::1", 2)]
        {
            let server = bed.server(address.parse().unwrap(), port);
            assert_eq!(bed.link_taken(&server), wanted, "{address}");
        }
    };
    check(&bed, 80);
    // New rules keep it.
    let more = format!("{TWO}config rule 'films'\n option policy 'one'\n option nftset 'video'");
    bed.daemon.reload(&config(&["", ""], &more), ": reloaded");
    eventually("new rules", || bed.lab.router().sh("nft list chain inet cheaproute rules").contains("films"));
    check(&bed, 81);
}

#[test]
fn the_first_of_many_rules_decides_while_they_are_replaced() {
    need_lab!();
    // Names of any length; the later rules say the opposite of the earlier ones.
    let many = |note: &str| {
        let mut text = TWO.to_owned();
        for number in 0..500 {
            let policy = if number % 2 == 0 { "one" } else { "two" };
            let name = format!("rule_{number}_{note}_{}", "x".repeat(number % 200));
            let _ = write!(text, "config rule '{name}'\n option policy '{policy}'\n option proto 'tcp udp'");
            let _ = writeln!(text, "\n list dest_port '{}'\n list dest_ip '198.51.100.0/24'", 10_000 + number);
        }
        text + "config rule\n option policy 'two'\n option proto 'tcp udp'\n list dest_port '10000-10499'\n"
    };
    let bed = Bed::with(&[0, 0], &["", ""], &many("a"));
    for number in [0, 1, 249, 250, 498, 499] {
        let server = bed.server(SERVERS[0], 10_000 + number);
        assert_eq!(bed.link_taken(&server), if number % 2 == 0 { 1 } else { 2 }, "rule {number}");
    }
    // A moment without rules, or with half of them, would show: what matches none takes the other link.
    let server = bed.server(SERVERS[0], 10_498);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut taken = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let before = server.accepted();
                let stream = bed.connect(&server);
                eventually("accepted", || server.accepted() > before);
                taken.push(link_of(server.peers()[before]));
                drop(stream);
            }
            taken
        });
        for note in ["b", "c", "d", "e", "f"] {
            let router = bed.lab.router();
            bed.daemon.write(&config(&["", ""], &many(note)));
            assert!(bed.daemon.command(router, &["reload"]).status().unwrap().success());
            eventually("new rules", || {
                router.sh("nft list chain inet cheaproute rules").contains(&format!("rule_499_{note}"))
            });
        }
        done.store(true, Ordering::Relaxed);
        let taken = client.join().unwrap();
        assert!(taken.len() > 20, "{} connections", taken.len());
        assert!(taken.iter().all(|link| *link == 1), "{taken:?}");
    });
}

/// Connects from an address and port of a host, and says which link that took.
#[track_caller]
fn link_by(host: &Namespace, source: SocketAddr, server: &Server) -> usize {
    let before = server.accepted();
    let stream = connect_from(host, source, server.address()).unwrap();
    eventually("accepted", || server.accepted() > before);
    // Gone without a trace, so that the port is free for the next.
    socket2::SockRef::from(&stream).set_linger(Some(ms(0))).unwrap();
    link_of(server.peers()[before])
}

/// An IP packet of the first client that holds nothing known.
fn other_protocol(number: u8, to: IpAddr) -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = match to {
        IpAddr::V4(to) => PacketBuilder::ipv4([10, 77, 0, 2], to.octets(), 64),
        IpAddr::V6(to) => {
            PacketBuilder::ipv6("fd77::2".parse::<std::net::Ipv6Addr>().unwrap().octets(), to.octets(), 64)
        }
    };
    builder.write(&mut bytes, IpNumber(number), b"whatever").unwrap();
    bytes
}
