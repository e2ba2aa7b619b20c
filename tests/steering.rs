//! Which links a connection may take: link options, policies, rules, directions.

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Direction, Dual, Packet, Server, Watch, connect, download};
use support::{Bed, SERVERS, config, connect_from, datagrams, eventually, link, link_from, link_of, ms, second_lan};

const LIMIT: Duration = Duration::from_secs(20);
const CLIENT4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));
const CLIENT6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2));

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

/// OpenWrt's default routes for IPv6 are for the provider's own prefix only, and a client with another address is translated: the main table
/// leads it nowhere, but a link's does.
#[test]
fn the_main_tables_default_route_need_not_be_for_the_client() {
    need_lab!();
    let bed = Bed::new(&[30, 2]);
    let server = bed.server(SERVERS[1], 80);
    assert_eq!(bed.link_taken(&server), 2);
    bed.lab.router().sh("ip -6 route show default | while read -r _ rest; do
        ip -6 route del default $rest
        ip -6 route add default from 2001:db8:7777::/48 $rest
        done");
    // As netifd has them: what neither the router nor the LAN has a route for is prohibited.
    bed.lab.router().sh("ip -6 rule add iif lo prohibit pref 4200000001
        ip -6 rule add iif lan0 prohibit pref 4200000008");
    thread::sleep(ms(200));
    let connects = || connect(bed.lab.client(), server.address(), ms(1000)).is_ok();
    eventually("raced all the same", || connects() && bed.link_taken(&server) == 2);
}

#[test]
fn only_lan_devices_are_served() {
    need_lab!();
    let lab = Bed::builder(&[30, 2]).build();
    let guest = second_lan(lab.router());
    let text = config(&["", ""], "").replacen("option log_level", "list lan_device 'lan0'\n option log_level", 1);
    let bed = Bed::on(lab, &text);
    let server = bed.server(SERVERS[0], 80);
    assert_eq!(link_from(&guest, &server), 1);
    assert_eq!(bed.link_taken(&server), 2);
}

#[test]
fn who_is_served_no_more_keeps_the_link_of_its_connections() {
    need_lab!();
    let lab = Bed::builder(&[30, 2]).build();
    let guest = second_lan(lab.router());
    let watch = lab.wire(1).watch();
    let mut bed = Bed::on(lab, &config(&["", ""], ""));
    let server = bed.server(SERVERS[0], 80);
    let (mut stream, _) = connect(&guest, server.address(), LIMIT).unwrap();
    eventually("accepted", || server.accepted() == 1);
    assert_eq!(link_of(server.peers()[0]), 2);
    let text = config(&["", ""], "").replacen("option log_level", "list lan_device 'lan0'\n option log_level", 1);
    bed.daemon.reload(&text, "reloaded");
    assert_eq!(link_from(&guest, &server), 1, "a new one is not steered");
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    // What comes from outside is answered through the link that it came by, as for everybody.
    bed.lab.router().sh("nft add chain inet fw dstnat '{ type nat hook prerouting priority dstnat; }'
        nft add rule inet fw dstnat iifname wan2 meta nfproto ipv4 tcp dport 8080 dnat to 10.78.0.2");
    let inner = Server::tcp(&guest, ([0, 0, 0, 0], 8080));
    connect_from(bed.lab.internet(), (SERVERS[0], 0), (lab::router4(2), 8080).into()).unwrap();
    eventually("accepted", || inner.accepted() == 1);
    assert!(watch.packets(Direction::Up).iter().all(|packet| packet.source.ip() != lab::router4(2)));
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

#[test]
fn the_routers_own_servers_answer_through_the_link_that_asked() {
    need_lab!();
    for local in ["0", "1"] {
        let text = config(&["", ""], "").replacen(
            "option log_level",
            &format!("option local_traffic '{local}'\n option log_level"),
            1,
        );
        // The main table's default route leads by wan1, for good reason: wan2 is slow.
        let bed = Bed::on(Bed::builder(&[2, 20]).build(), &text);
        let watch = bed.lab.wire(1).watch();
        for (server, outer) in SERVERS.into_iter().zip([lab::router4(2), lab::router6(2)]) {
            let inner = Server::source(bed.lab.router(), (outer, 8080));
            let mut stream = connect_from(bed.lab.internet(), (server, 0), (outer, 8080).into()).unwrap();
            download(&mut stream, 100_000, LIMIT).unwrap();
            assert_eq!(inner.peers()[0].ip(), server);
            // As a VPN's server does, from the address that was asked.
            let vpn = Server::udp(bed.lab.router(), (outer, 51820));
            let socket = bed.lab.internet().run(|| UdpSocket::bind((server, 0))).unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            socket.send_to(b"hello", vpn.address()).unwrap();
            assert_eq!(socket.recv_from(&mut [0; 8]).unwrap().1, vpn.address());
        }
        let strays = watch.packets(Direction::Up);
        assert!(strays.iter().all(|packet| !packet.is_tcp() && !packet.is_udp()), "{strays:?}");
    }
}

/// A WireGuard server's answers are routed by their source, before any mark could be on them.
#[test]
fn what_has_a_links_address_is_routed_by_that_link() {
    need_lab!();
    let bed = Bed::new(&[2, 20]);
    for (address, client, server) in [(lab::router4(2), CLIENT4, SERVERS[0]), (lab::router6(2), CLIENT6, SERVERS[1])] {
        let way = |to: IpAddr| bed.lab.router().sh(&format!("ip route get {to} from {address}"));
        assert!(way(server).contains(" dev wan2 "), "{}", way(server));
        // But for neighbours.
        assert!(way(client).contains(" dev lan0 "), "{}", way(client));
    }
    let left = bed.lab.router().sh("ip rule; ip -6 rule");
    assert_eq!(left.matches("from 10.77.2.2 ").count() + left.matches("from fd77:2::2 ").count(), 4, "{left}");
}

#[test]
fn the_routers_own_errors_reach_the_client() {
    need_lab!();
    let bed = Bed::new(&[2, 20]);
    let router = bed.lab.router();
    for (address, ip) in SERVERS.into_iter().zip(["ip", "ip -6"]) {
        let server = Server::udp(bed.lab.internet(), (address, 443));
        let socket = datagrams(bed.lab.client(), server.address());
        let large = [0; 1440];
        assert!(socket.send(&large).is_ok() && socket.recv(&mut [0; 2000]).is_ok());
        router.sh("ip link set wan1 mtu 1300; ip link set wan2 mtu 1300");
        // "Too big" is about a connection that has a link, but its addressee is next door.
        eventually("the path's MTU", || {
            let _ = socket.send(&large);
            bed.lab.client().sh(&format!("{ip} route get {address}")).contains("mtu 1300")
        });
        router.sh("ip link set wan1 mtu 1500; ip link set wan2 mtu 1500");
    }
}

#[test]
fn a_firewall_that_is_loaded_anew_disturbs_nothing() {
    need_lab!();
    // In OpenWrt's manner: one transaction flushes the table and fills it again.
    let firewall = |note: u32| {
        format!(
            "table inet fw4\nflush table inet fw4\ntable inet fw4 {{
                chain forward {{ type filter hook forward priority filter; policy drop; jump handle_{note}; }}
                chain handle_{note} {{ ct state vmap {{ established : accept, related : accept }}; iifname lan0 accept; }}
                chain srcnat {{ type nat hook postrouting priority srcnat; oifname \"wan*\" masquerade; }}
                chain mangle_forward {{ type filter hook forward priority mangle; \
                    oifname \"wan*\" tcp flags syn tcp option maxseg size set rt mtu; }}
            }}"
        )
    };
    let lab = Bed::builder(&[10, 2]).without_firewall().build();
    let load = |lab: &Dual, note: u32| lab.router().sh(&format!("nft -f - <<'END'\n{}\nEND", firewall(note)));
    load(&lab, 0);
    let bed = Bed::on(lab, &config(&["", ""], ""));
    // Without the sets, which learn.
    let chains = |bed: &Bed| {
        let table = bed.lab.router().sh("nft -s list table inet cheaproute");
        table.split_once("chain").map(|(_, chains)| chains.to_owned())
    };
    let before = chains(&bed);
    let source = Server::source(bed.lab.internet(), (SERVERS[0], 90));
    let servers = SERVERS.map(|address| bed.server(address, 80));
    let mut bulk = bed.connect(&source);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for note in 1..=10 {
                load(&bed.lab, note);
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            for server in &servers {
                assert_eq!(bed.link_taken(server), 2, "raced, and at the first try");
            }
            download(&mut bulk, 200_000, LIMIT).unwrap();
        }
    });
    assert_eq!(chains(&bed), before);
}

#[test]
fn a_reload_that_changes_one_link_leaves_other_flows_alone() {
    need_lab!();
    let policy = "config policy 'p'\n option mode 'failover'\n";
    let mut bed = Bed::with(&[2, 2, 2], &["", "option weight '2'", ""], policy);
    let servers = SERVERS.map(|address| bed.server(address, 80));
    let udp = Server::udp(bed.lab.internet(), (SERVERS[0], 5000));
    let mut streams: Vec<_> = servers.iter().map(|server| bed.connect(server)).collect();
    let socket = datagrams(bed.lab.client(), udp.address());
    let mut exchange = || {
        for stream in &mut streams {
            stream.write_all(b"hello").unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
        }
        assert!(socket.send(b"?").is_ok() && socket.recv(&mut [0; 8]).is_ok());
    };
    let entries = |lab: &Dual| {
        let lines = lab.router().sh("conntrack -L -o id -f ipv4 2>/dev/null; conntrack -L -o id -f ipv6 2>/dev/null");
        let id = |line: &str| line.split_whitespace().find(|word| word.starts_with("id=")).map(str::to_owned);
        let ours = lines.lines().filter(|line| line.contains("port=80 ") || line.contains("port=5000 "));
        let mut ids: Vec<_> = ours.filter_map(id).collect();
        ids.sort();
        ids
    };
    exchange();
    let before = entries(&bed.lab);
    assert_eq!(before.len(), 3);
    let main = "config cheaproute 'main'\n";
    for (links, sign, shown) in [
        // The second changes, then it goes, and others with it; then it comes back.
        (
            [link(1, ""), link(2, "option metric '3'\n option on_down 'flush'"), link(3, "")].concat(),
            "chain link_2 ",
            true,
        ),
        ([link(1, ""), link(3, "")].concat(), "chain link_2 ", false),
        (link(1, ""), "chain link_3 ", false),
        ([link(3, ""), link(2, ""), link(1, "")].concat(), "chain link_3 ", true),
    ] {
        bed.daemon.reload(&format!("{main}{links}{policy}"), ": reloaded");
        eventually("new rules", || bed.lab.router().sh("nft list table inet cheaproute").contains(sign) == shown);
        exchange();
        assert_eq!(entries(&bed.lab), before);
    }
}

fn openings(watch: &Watch) -> Vec<Packet> {
    watch.packets(Direction::Up).into_iter().filter(Packet::is_syn).collect()
}
