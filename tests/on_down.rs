//! What becomes of connections when their link goes down, and when a better one comes up.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use lab::{Server, connect, conntrack_entries, download};
use support::{Bed, SERVERS, config, datagrams, eventually, link_of, ms};

/// The first link that is up, in the order of their numbers.
const FIRST: &str = "config policy 'first'\n option mode 'failover'";

/// Finds a link dead in a second and a half.
const PROBED: &str = "option interval '500ms'\n option timeout '500ms'\n list probe 'icmp:198.51.100.1'";

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_reset_lets_clients_reconnect_at_once() {
    need_lab!();
    // Carrier loss is all that tells of a static WAN: there are no probes.
    let bed = Bed::with(&[5, 5], &["", ""], FIRST);
    let servers = SERVERS.map(|address| bed.server(address, 80));
    let mut talking: Vec<_> = servers.iter().map(|server| bed.connect(server)).collect();
    let mut idle: Vec<_> = servers.iter().map(|server| bed.connect(server)).collect();
    idle.iter_mut().for_each(|stream| assert_eq!(echo(stream), Ok(())));
    // A server that still waits for an acknowledgment would have its client say something.
    let sockets = || bed.lab.internet().sh("cat /proc/net/tcp /proc/net/tcp6");
    let established = |line: &&str| line.split_whitespace().nth(3) == Some("01");
    eventually("all said", || sockets().lines().filter(established).all(|line| line.contains(" 01 00000000:")));
    unplug(&bed, 1);
    for (stream, server) in talking.iter_mut().zip(&servers) {
        assert_eq!(echo(stream), Err(ErrorKind::ConnectionReset), "{}", server.address());
        assert_eq!(bed.link_taken(server), 2);
    }
    let mark = bed.daemon.process.lines_so_far();
    bed.lab.wire(1).plug();
    bed.daemon.says(mark, "link wan1 is up");
    eventually("the first link again", || servers.iter().all(|server| bed.link_taken(server) == 1));
    // What had nothing to say meanwhile noticed nothing.
    idle.iter_mut().for_each(|stream| assert_eq!(echo(stream), Ok(())));
}

#[test]
fn a_silent_link_is_left_too_and_others_flows_stay() {
    need_lab!();
    let more = format!(
        "{FIRST}\nconfig policy 'other'\n option mode 'failover'\n list link 'wan2'
         config rule\n option policy 'other'\n list proto 'tcp'\n list proto 'udp'\n list dest_port '81'"
    );
    let bed = Bed::with(&[5, 5], &[PROBED, ""], &more);
    for address in SERVERS {
        let (server, other) = (bed.server(address, 80), bed.server(address, 81));
        let source = Server::source(bed.lab.internet(), (address, 82));
        let dns = Server::udp(bed.lab.internet(), (address, 81));
        let (mut stream, mut kept) = (bed.connect(&server), bed.connect(&other));
        let mut bulk = bed.connect(&source);
        let socket = datagrams(bed.lab.client(), dns.address());
        assert!(answers(&socket));
        blackhole(&bed, true);
        assert_eq!(echo(&mut stream), Err(ErrorKind::ConnectionReset), "{address}");
        assert!(download(&mut bulk, 1_000_000, LIMIT).is_err());
        assert_eq!(echo(&mut kept), Ok(()), "{address}");
        assert!(answers(&socket));
        assert!(dns.peers().iter().all(|peer| *peer == dns.peers()[0] && link_of(*peer) == 2), "{:?}", dns.peers());
        blackhole(&bed, false);
    }
}

#[test]
fn a_flow_without_connection_moves_by_itself() {
    need_lab!();
    let bed = Bed::with(&[5, 5], &["", ""], FIRST);
    let servers = SERVERS.map(|address| Server::udp(bed.lab.internet(), (address, 5000)));
    let sockets = servers.each_ref().map(|server| datagrams(bed.lab.client(), server.address()));
    sockets.iter().for_each(|socket| assert!(answers(socket)));
    unplug(&bed, 1);
    for (socket, server) in sockets.iter().zip(&servers) {
        assert!(answers(socket), "the same flow over the other link");
        let links: Vec<_> = server.peers().into_iter().map(link_of).collect();
        assert_eq!((links[0], links[links.len() - 1]), (1, 2));
    }
}

#[test]
fn an_opening_on_a_dying_link_takes_another() {
    need_lab!();
    for on_down in ["reset", "flush", "keep"] {
        let bed = Bed::with(&[5, 5], &[&format!("{PROBED}\n option on_down '{on_down}'"), ""], FIRST);
        let servers = SERVERS.map(|address| bed.server(address, 80));
        bed.lab.wire(1).blackhole(true);
        // Their SYNs are lost, and sent again after 1, 3 and 7 s.
        thread::scope(|scope| {
            let clients = servers.each_ref().map(|server| {
                let client = bed.lab.client();
                scope.spawn(move || connect(client, server.address(), Duration::from_secs(10)))
            });
            for (client, server) in clients.into_iter().zip(&servers) {
                client.join().unwrap().unwrap_or_else(|error| panic!("{on_down}, {}: {error}", server.address()));
                assert_eq!(first_link(server), 2);
            }
        });
    }
}

/// A modem whose IPv6 goes, or whose DHCP lease: the link is up all the while.
#[test]
fn a_link_that_loses_a_family_keeps_the_other() {
    need_lab!();
    for lost in [0, 1] {
        let bed = Bed::with(&[5, 5], &["", ""], FIRST);
        let servers = SERVERS.map(|address| bed.server(address, 80));
        let dns = SERVERS.map(|address| Server::udp(bed.lab.internet(), (address, 5000)));
        let mut streams: Vec<_> = servers.iter().map(|server| bed.connect(server)).collect();
        let sockets = dns.each_ref().map(|server| datagrams(bed.lab.client(), server.address()));
        sockets.iter().for_each(|socket| assert!(answers(socket)));
        bed.lab.router().sh(&format!("ip -{} address flush dev wan1 scope global", [4, 6][lost]));
        let rules = || bed.lab.router().sh("nft list table inet cheaproute");
        eventually("new rules", || rules().contains("chain moved_1"));
        for (at, stream) in streams.iter_mut().enumerate() {
            let (wanted, link) = if at == lost { (Err(ErrorKind::ConnectionReset), 2) } else { (Ok(()), 1) };
            assert_eq!(echo(stream), wanted, "{at} of {lost}");
            assert_eq!(bed.link_taken(&servers[at]), link);
            let now = || dns[at].peers().last().map(|peer| link_of(*peer));
            eventually("datagrams", || answers(&sockets[at]) && now() == Some(link));
        }
    }
}

#[test]
fn kept_connections_wait_for_their_link() {
    need_lab!();
    let bed = Bed::with(&[5, 5], &["option on_down 'keep'", ""], FIRST);
    let servers = SERVERS.map(|address| bed.server(address, 80));
    let mut streams: Vec<_> = servers.iter().map(|server| bed.connect(server)).collect();
    unplug(&bed, 1);
    for (stream, server) in streams.iter_mut().zip(&servers) {
        stream.write_all(b"hello").unwrap();
        stream.set_read_timeout(Some(ms(300))).unwrap();
        let error = stream.read(&mut [0; 5]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "neither an answer nor a reset");
        assert_eq!(bed.link_taken(server), 2);
    }
    bed.lab.wire(1).plug();
    for mut stream in streams {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
    }
}

#[test]
fn flushed_connections_are_forgotten_and_only_they() {
    need_lab!();
    let more = format!(
        "{FIRST}\nconfig policy 'other'\n option mode 'failover'\n list link 'wan2'
         config rule\n option policy 'other'\n list proto 'tcp'\n list dest_port '81'"
    );
    let bed = Bed::with(&[5, 5], &["option on_down 'flush'", ""], &more);
    let (server, other) = (bed.server(SERVERS[0], 80), bed.server(SERVERS[0], 81));
    let (mut stream, mut kept) = (bed.connect(&server), bed.connect(&other));
    assert_eq!((echo(&mut stream), echo(&mut kept)), (Ok(()), Ok(())));
    let of_link = |link: u32| {
        let mark = format!("mark={} ", link << 24);
        conntrack_entries(bed.lab.router()).iter().filter(|line| line.contains(&mark)).count()
    };
    assert_eq!((of_link(1), of_link(2)), (1, 1));
    unplug(&bed, 1);
    eventually("forgotten", || (of_link(1), of_link(2)) == (0, 1));
    // The server knows nothing of a connection from the other address, and says so.
    assert_eq!(echo(&mut stream), Err(ErrorKind::ConnectionReset));
    assert_eq!(echo(&mut kept), Ok(()));
}

/// As it forgets those in a flowtable, which come by no rule before. (The kernel of a test may have no flowtables.)
#[test]
fn what_is_forgotten_of_a_lost_link_is_reset_before_it_leaves() {
    need_lab!();
    let bed = Bed::with(&[5, 5], &["", ""], FIRST);
    // Servers that say nothing to strangers, as behind many a firewall.
    bed.lab.internet().sh("nft add table inet silent
        nft add chain inet silent out '{ type filter hook output priority 0; }'
        nft add rule inet silent out tcp flags rst drop");
    let servers = SERVERS.map(|address| bed.server(address, 80));
    let mut streams: Vec<_> = servers.iter().map(|server| bed.connect(server)).collect();
    unplug(&bed, 1);
    bed.lab.router().sh("conntrack -F");
    for (stream, server) in streams.iter_mut().zip(&servers) {
        assert_eq!(echo(stream), Err(ErrorKind::ConnectionReset), "{}", server.address());
        assert_eq!(bed.link_taken(server), 2);
    }
}

#[test]
fn the_routers_own_connections_are_reset_too() {
    need_lab!();
    let bed = Bed::on(
        Bed::builder(&[5, 5]).backup_routes().build(),
        &config(&[PROBED, ""], FIRST).replacen("option log_level", "option local_traffic '1'\n option log_level", 1),
    );
    for address in SERVERS {
        let server = bed.server(address, 80);
        let (mut stream, _) = connect(bed.lab.router(), server.address(), LIMIT).unwrap();
        assert_eq!((echo(&mut stream), first_link(&server)), (Ok(()), 1));
        blackhole(&bed, true);
        assert_eq!(echo(&mut stream), Err(ErrorKind::ConnectionReset), "{address}");
        let (mut again, _) = connect(bed.lab.router(), server.address(), LIMIT).unwrap();
        assert_eq!((echo(&mut again), link_of(server.peers()[1])), (Ok(()), 2));
        blackhole(&bed, false);
    }
}

#[test]
fn the_default_route_is_a_last_resort_even_by_a_link_that_is_down() {
    need_lab!();
    // Its probes find wan1 down, but it carries what it gets.
    let nowhere = PROBED.replace("198.51.100.1", "203.0.113.9");
    let bed = Bed::with(&[5, 5], &[&nowhere, ""], &format!("{FIRST}\n list link 'wan1'"));
    eventually("down", || bed.lab.router().sh("nft list table inet cheaproute").contains("chain moved_1"));
    for address in SERVERS {
        let server = bed.server(address, 80);
        for host in [bed.lab.client(), bed.lab.router()] {
            let (mut stream, _) = connect(host, server.address(), LIMIT).unwrap();
            assert_eq!((echo(&mut stream), first_link(&server)), (Ok(()), 1), "{}", host.name());
        }
    }
}

#[test]
fn what_came_from_outside_is_not_reset() {
    need_lab!();
    // Its probes find wan2 down, but it carries what comes from outside.
    let nowhere = PROBED.replace("198.51.100.1", "203.0.113.9");
    let bed = Bed::with(&[5, 5], &["", &nowhere], FIRST);
    bed.lab.router().sh("nft add chain inet fw dstnat '{ type nat hook prerouting priority dstnat; }'
        nft add rule inet fw dstnat iifname wan2 meta nfproto ipv4 tcp dport 8080 dnat to 10.77.0.2");
    let inner = Server::tcp(bed.lab.client(), ([0, 0, 0, 0], 8080));
    let (mut stream, _) = connect(bed.lab.internet(), (lab::router4(2), 8080), LIMIT).unwrap();
    eventually("accepted", || inner.accepted() == 1);
    eventually("down", || bed.lab.router().sh("nft list table inet cheaproute").contains("chain moved_2"));
    assert_eq!(echo(&mut stream), Ok(()));
    let (mut late, _) = connect(bed.lab.internet(), (lab::router4(2), 8080), LIMIT).unwrap();
    assert_eq!(echo(&mut late), Ok(()));
}

#[test]
fn connections_go_back_where_they_are_wanted() {
    need_lab!();
    for (on_up, back) in [("return", true), ("keep", false)] {
        let bed = Bed::with(&[5, 5], &[&format!("option on_up '{on_up}'"), ""], FIRST);
        unplug(&bed, 1);
        let servers = SERVERS.map(|address| bed.server(address, 80));
        let dns = SERVERS.map(|address| Server::udp(bed.lab.internet(), (address, 5000)));
        let mut streams: Vec<_> = servers.iter().map(|server| bed.connect(server)).collect();
        let sockets = dns.each_ref().map(|server| datagrams(bed.lab.client(), server.address()));
        sockets.iter().for_each(|socket| assert!(answers(socket)));
        bed.lab.wire(1).plug();
        // Not by connecting: what is in the making just then is moved as well.
        await_link(&bed, 1, true);
        for (stream, server) in streams.iter_mut().zip(&servers) {
            let wanted = if back { Err(ErrorKind::ConnectionReset) } else { Ok(()) };
            assert_eq!(echo(stream), wanted, "{on_up}");
            assert_eq!(bed.link_taken(server), 1);
        }
        for (socket, server) in sockets.iter().zip(&dns) {
            assert_eq!(link_of(server.peers()[0]), 2);
            // What conntrack is to forget is told after the rules.
            let now = || server.peers().last().map(|peer| link_of(*peer));
            eventually("back", || answers(socket) && (!back || now() == Some(1)));
            assert_eq!(now(), Some(if back { 1 } else { 2 }), "{on_up}");
        }
    }
}

#[test]
fn failover_and_return_under_load() {
    need_lab!();
    let bed = Bed::with(&[2, 2], &["", ""], FIRST);
    let source = Server::source(bed.lab.internet(), (SERVERS[0], 90));
    let servers = SERVERS.map(|address| bed.server(address, 80));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut made = 0;
                    for _ in 0..40 {
                        servers.iter().for_each(|server| drop(bed.connect(server)));
                        made += servers.len();
                    }
                    made
                })
            })
            .collect();
        for _ in 0..2 {
            let mut bulk = bed.connect(&source);
            unplug(&bed, 1);
            // The download's next acknowledgment, or request, tells it.
            assert!(download(&mut bulk, 3_000_000, LIMIT).is_err());
            let mut bulk = bed.connect(&source);
            bed.lab.wire(1).plug();
            // By default, what went to the other link is in peace there.
            download(&mut bulk, 3_000_000, LIMIT).unwrap();
            eventually("the first link again", || bed.link_taken(&source) == 1);
        }
        clients.into_iter().for_each(|client| assert_eq!(client.join().unwrap(), 80));
    });
}

#[test]
fn a_new_address_ends_what_had_the_old_one() {
    need_lab!();
    let bed = Bed::with(&[5, 50], &["", ""], "");
    let server = bed.server(SERVERS[0], 80);
    let mut stream = bed.connect(&server);
    assert_eq!(first_link(&server), 1);
    let old = |line: &String| line.contains("dst=10.77.1.2 ");
    eventually("an entry", || conntrack_entries(bed.lab.router()).iter().any(old));
    // A race's winner has an entry that the kernel's masquerading does not know.
    bed.lab.router().sh("ip address del 10.77.1.2/24 dev wan1; ip address add 10.77.1.9/24 dev wan1
        ip route add default via 10.77.1.1 dev wan1 metric 1");
    eventually("no entry", || !conntrack_entries(bed.lab.router()).iter().any(old));
    assert!(echo(&mut stream).is_err());
    eventually("the new address", || {
        bed.connect(&server);
        server.peers().last().unwrap().ip() == std::net::IpAddr::from([10, 77, 1, 9])
    });
}

/// Pulls a link's plug, and waits until the rules know.
#[track_caller]
fn unplug(bed: &Bed, link: usize) {
    let mark = bed.daemon.process.lines_so_far();
    bed.lab.wire(link).unplug();
    bed.daemon.says(mark, &format!("link wan{link} is down"));
    await_link(bed, link, false);
}

/// Silences wan1, or ends this, and waits until the rules know.
#[track_caller]
fn blackhole(bed: &Bed, on: bool) {
    bed.lab.wire(1).blackhole(on);
    await_link(bed, 1, !on);
}

/// Waits until new connections use a link, or do not, by the first policy.
#[track_caller]
fn await_link(bed: &Bed, link: usize, used: bool) {
    let rules = || bed.lab.router().sh("nft list chain inet cheaproute policy_0");
    eventually("new rules", || rules().contains(&format!("link_{link}")) == used);
}

/// The link of a server's first connection.
#[track_caller]
fn first_link(server: &Server) -> usize {
    eventually("accepted", || server.accepted() > 0);
    link_of(server.peers()[0])
}

/// Sends something over a connection and gets it back.
fn echo(stream: &mut TcpStream) -> Result<(), ErrorKind> {
    let mut turn = || {
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(b"hello")?;
        let mut back = [0; 5];
        stream.read_exact(&mut back)?;
        assert_eq!(&back, b"hello");
        Ok(())
    };
    turn().map_err(|error: std::io::Error| error.kind())
}

/// Whether a datagram gets its answer: one of a few tries, since each may meet a change.
fn answers(socket: &UdpSocket) -> bool {
    (0..5).any(|_| socket.send(b"?").is_ok() && socket.recv(&mut [0; 8]).is_ok())
}
