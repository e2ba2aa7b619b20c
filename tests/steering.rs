//! Which links a connection may take: link options, policies, rules, directions.

mod support;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use lab::{Direction, Dual, Namespace, Packet, Server, Watch, connect, veth};
use support::{Bed, SERVERS, config, connect_from, eventually, link, link_of, ms};

#[test]
fn a_metered_link_is_used_only_alone() {
    need_lab!();
    let bed = Bed::with(&[20, 2], &["", "option metered '1'"], "");
    let watch = bed.lab.wire(2).watch();
    for address in SERVERS {
        assert_eq!(bed.link_taken(&bed.server(address, 80)), 1);
    }
    assert!(openings(&watch).is_empty());
    let mark = bed.daemon.process.lines_so_far();
    bed.lab.wire(1).unplug();
    bed.daemon.says(mark, "link wan1 is down");
    thread::sleep(ms(200));
    for address in SERVERS {
        let server = bed.server(address, 81);
        eventually("the metered link", || bed.link_taken(&server) == 2);
    }
}

#[test]
fn a_handicap_holds_an_answer_back() {
    need_lab!();
    let bed = Bed::with(&[40, 2], &["", "option handicap '500ms'"], "");
    for address in SERVERS {
        let server = bed.server(address, 80);
        assert_eq!(bed.links_taken(&server, 2), [1, 1], "{address}");
    }
    // Alone, it comes late, but it comes.
    bed.lab.wire(1).blackhole(true);
    let server = bed.server(SERVERS[0], 81);
    let start = Instant::now();
    assert_eq!(bed.link_taken(&server), 2);
    assert!(start.elapsed() > ms(450), "{:?}", start.elapsed());
}

#[test]
fn failover_takes_the_first_link_that_is_up() {
    need_lab!();
    let policy = "config policy 'first'\n option mode 'failover'\n list link 'wan1'\n list link 'wan2'";
    let bed = Bed::with(&[10, 0], &["", ""], policy);
    let server = bed.server(SERVERS[0], 80);
    let watch = bed.lab.wire(2).watch();
    assert_eq!(bed.links_taken(&server, 3), [1, 1, 1]);
    assert!(openings(&watch).is_empty());
    let mark = bed.daemon.process.lines_so_far();
    bed.lab.wire(1).unplug();
    bed.daemon.says(mark, "link wan1 is down");
    thread::sleep(ms(200));
    assert_eq!(bed.link_taken(&server), 2);
    bed.lab.wire(1).plug();
    eventually("the first link again", || bed.link_taken(&server) == 1);
}

#[test]
fn metrics_order_a_failover() {
    need_lab!();
    let policy = "config policy 'first'\n option mode 'failover'";
    let bed = Bed::with(&[0, 0], &["option metric '20'", "option metric '10'"], policy);
    for address in SERVERS {
        assert_eq!(bed.links_taken(&bed.server(address, 80), 3), [2, 2, 2]);
    }
}

#[test]
fn a_blackhole_is_silent_and_unreachable_is_not() {
    need_lab!();
    let more = "config policy 'fast'
config policy 'silent'\n option mode 'blackhole'
config policy 'refused'\n option mode 'unreachable'
config rule\n option proto 'tcp'\n list dest_port '81'\n option policy 'silent'
config rule\n option proto 'tcp'\n list dest_port '82'\n option policy 'refused'";
    let bed = Bed::with(&[0, 0], &["", ""], more);
    let watches: Vec<Watch> = bed.lab.wires().iter().map(lab::Wire::watch).collect();
    for address in SERVERS {
        let silent = connect(bed.lab.client(), (address, 81), ms(700)).unwrap_err();
        assert_eq!(silent.kind(), std::io::ErrorKind::TimedOut, "{address}");
        let start = Instant::now();
        let refused = connect(bed.lab.client(), (address, 82), Duration::from_secs(4)).unwrap_err();
        assert_ne!(refused.kind(), std::io::ErrorKind::TimedOut, "{address}: {refused}");
        // An answer that comes while connect() is still sending is only remembered (tcp_v6_err), until the next SYN's.
        assert!(start.elapsed() < ms(2000), "{address}: {:?}", start.elapsed());
    }
    assert!(watches.iter().all(|watch| openings(watch).is_empty()));
    bed.connect(&bed.server(SERVERS[0], 80));
}

#[test]
fn the_last_resort_decides_without_links() {
    need_lab!();
    for (last_resort, wanted) in [("default", true), ("unreachable", false), ("blackhole", false)] {
        let more = format!("config policy 'p'\n list link 'wan2'\n option last_resort '{last_resort}'");
        let bed = Bed::with(&[0, 0], &["", ""], &more);
        let server = bed.server(SERVERS[0], 80);
        assert_eq!(bed.link_taken(&server), 2);
        let mark = bed.daemon.process.lines_so_far();
        bed.lab.wire(2).unplug();
        bed.daemon.says(mark, "link wan2 is down");
        let works = || connect(bed.lab.client(), server.address(), ms(500)).is_ok();
        eventually("the last resort", || works() == wanted);
        if wanted {
            assert_eq!(bed.link_taken(&server), 1);
        }
    }
}

#[test]
fn only_lan_devices_are_served() {
    need_lab!();
    let lab = Bed::builder(&[30, 2]).build();
    let guest = second_lan(&lab);
    let text = config(&["", ""], "").replacen("option log_level", "list lan_device 'lan0'\n option log_level", 1);
    let bed = Bed::on(lab, &text);
    let server = bed.server(SERVERS[0], 80);
    assert_eq!(link_from(&guest, &server), 1);
    assert_eq!(bed.link_taken(&server), 2);
}

#[test]
fn a_connection_from_outside_is_answered_through_its_link() {
    need_lab!();
    let bed = Bed::new(&[2, 20]);
    bed.lab.router().sh("nft add chain inet fw dstnat '{ type nat hook prerouting priority dstnat; }'
        nft add rule inet fw dstnat iifname wan2 meta nfproto ipv4 tcp dport 8080 dnat to 10.77.0.2
        nft add rule inet fw dstnat iifname wan2 meta nfproto ipv6 tcp dport 8080 dnat to fd77::2");
    let watch = bed.lab.wire(1).watch();
    for (server, outer) in SERVERS.into_iter().zip([lab::router4(2), lab::router6(2)]) {
        let inner = Server::tcp(
            bed.lab.client(),
            (if server.is_ipv4() { "0.0.0.0" } else { "::" }.parse::<std::net::IpAddr>().unwrap(), 8080),
        );
        // From an address that the main table reaches by wan1.
        connect_from(bed.lab.internet(), (server, 0), (outer, 8080).into()).unwrap();
        eventually("accepted", || inner.accepted() == 1);
        assert_eq!(inner.peers()[0].ip(), server);
    }
    assert!(watch.packets(Direction::Up).iter().all(|packet| !packet.is_tcp()));
}

#[test]
fn the_routers_own_connections_are_raced_if_wanted() {
    need_lab!();
    for (local, wanted) in [("0", 1), ("1", 2)] {
        let text = config(&["", ""], "").replacen(
            "option log_level",
            &format!("option local_traffic '{local}'\n option log_level"),
            1,
        );
        let bed = Bed::on(Bed::builder(&[30, 2]).build(), &text);
        for address in SERVERS {
            let server = bed.server(address, 80);
            assert_eq!(link_from(bed.lab.router(), &server), wanted, "local_traffic {local}, {address}");
            let dns = Server::udp(bed.lab.internet(), (address, 53));
            assert!(lab::query(bed.lab.router(), dns.address(), b"?", ms(1000)).is_ok());
            eventually("all copies", || dns.accepted() == wanted);
        }
    }
}

#[test]
fn a_links_own_prefix_leaves_by_it() {
    need_lab!();
    let lab = Bed::builder(&[2, 20]).build();
    lab.client().sh("ip address add 2001:db8:2::5/64 dev eth0");
    lab.router().sh("ip route add 2001:db8:2::/64 dev lan0
        nft flush chain inet fw srcnat
        nft add rule inet fw srcnat oifname 'wan*' meta nfproto ipv4 masquerade");
    lab.internet().sh("ip route add 2001:db8:2::/64 via fd77:2::2 dev isp2");
    let bed = Bed::on(lab, &config(&["", "list prefix '2001:db8:2::/48'"], ""));
    let watches: Vec<Watch> = bed.lab.wires().iter().map(lab::Wire::watch).collect();
    let server = bed.server(SERVERS[1], 80);
    let source: SocketAddr = "[2001:db8:2::5]:0".parse().unwrap();
    let _stream = connect_from(bed.lab.client(), source, server.address()).unwrap();
    assert_eq!(watches.iter().map(|watch| openings(watch).len()).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_link_number_stays_when_links_are_added() {
    need_lab!();
    let mut bed = Bed::on(Bed::builder(&[60, 30, 2]).build(), &config(&["", ""], ""));
    let server = bed.server(SERVERS[0], 80);
    assert_eq!(bed.link_taken(&server), 2);
    let _old = bed.connect(&server);
    let text = format!("config cheaproute 'main'\n{}{}", link(3, ""), link(2, ""));
    bed.daemon.reload(&text, ": reloaded");
    eventually("the new link", || bed.link_taken(&server) == 3);
    assert!(bed.lab.router().sh("ip route show table 4002").contains("wan2"));
}

/// Connects a host, and says which link that took.
fn link_from(host: &Namespace, server: &Server) -> usize {
    let before = server.accepted();
    let _stream = connect(host, server.address(), Duration::from_secs(4)).unwrap();
    eventually("accepted", || server.accepted() > before);
    link_of(server.peers()[before])
}

/// A host behind another device of the router.
fn second_lan(lab: &Dual) -> Namespace {
    let guest = Namespace::new("guest");
    veth(&guest, "eth0", lab.router(), "guest0");
    guest.sh("ip address add 10.78.0.2/24 dev eth0; ip route add default via 10.78.0.1");
    lab.router().sh("ip address add 10.78.0.1/24 dev guest0");
    guest
}

fn openings(watch: &Watch) -> Vec<Packet> {
    watch.packets(Direction::Up).into_iter().filter(Packet::is_syn).collect()
}
