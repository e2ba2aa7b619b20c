//! TCP connections of a client, raced through the real kernel.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lab::{Direction, Packet, Server, Shape, connect, half_open};
use socket2::SockRef;
use support::{Bed, SERVERS, connect_from, eventually, link_of, ms, mss, window_scale};

const LIMIT: Duration = Duration::from_secs(4);

/// When a client repeats its SYN (RFC 6298 2.1).
const REPETITION: Duration = Duration::from_secs(1);

#[test]
fn the_faster_link_wins_whichever_it_is() {
    need_lab!();
    let bed = Bed::new(&[60, 10]);
    for address in SERVERS {
        let server = bed.server(address, 80);
        assert_eq!(bed.links_taken(&server, 3), [2, 2, 2], "{address}");
        bed.lab.wire(2).both(Shape::delayed(ms(120)));
        assert_eq!(bed.links_taken(&server, 3), [1, 1, 1], "{address}");
        bed.lab.wire(2).both(Shape::delayed(ms(10)));
        // A wire keeps its frames in order, those on the way with the longer delay included.
        thread::sleep(ms(300));
    }
}

#[test]
fn a_connection_carries_data_both_ways() {
    need_lab!();
    let bed = Bed::new(&[30, 5]);
    for address in SERVERS {
        let server = bed.server(address, 80);
        let mut stream = bed.connect(&server);
        assert_carries(&mut stream, b"hello");
    }
}

#[test]
fn a_silent_link_harms_nobody() {
    need_lab!();
    const ROUND_TRIP: Duration = ms(40);
    let bed = Bed::new(&[20, 20]);
    for dead in [1, 2] {
        bed.lab.wire(dead).blackhole(true);
        for address in SERVERS {
            let server = bed.server(address, 80);
            let watch = bed.lab.wire(dead).watch();
            let times = [(); 5].map(|()| connect(bed.lab.client(), server.address(), LIMIT).unwrap().1);
            // Load delays some of them, a wait in the daemon would delay all of them.
            assert!(*times.iter().min().unwrap() < 2 * ROUND_TRIP, "{address} without link {dead}: {times:?}");
            assert!(times.iter().all(|time| *time < REPETITION), "{address} without link {dead}: {times:?}");
            eventually("the silent link's copies", || syns(&watch).len() == times.len());
        }
        bed.lab.wire(dead).blackhole(false);
    }
}

#[test]
fn with_all_links_silent_the_client_times_out_and_later_connects() {
    need_lab!();
    let bed = Bed::new(&[5, 5]);
    // SYNs after 0, 1 and 3 s, and 4 s more until the client gives up: by then its race is over.
    let client = bed.lab.client();
    client.sysctl("net/ipv4/tcp_syn_retries", "2");
    // Linux 6.5 and later repeat it four times more before that, a second apart.
    if Path::new("/proc/sys/net/ipv4/tcp_syn_linear_timeouts").exists() {
        client.sysctl("net/ipv4/tcp_syn_linear_timeouts", "0");
    }
    let servers = SERVERS.map(|address| bed.server(address, 80));
    bed.lab.wires().iter().for_each(|wire| wire.blackhole(true));
    thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| {
                let to = server.address();
                let socket = support::socket_from(client, (any(to.ip()), 0).into()).unwrap();
                // Should the kernel's own time-out not come, this one does, as another error.
                socket.set_write_timeout(Some(Duration::from_secs(12))).unwrap();
                let start = Instant::now();
                let error = socket.connect(&to.into()).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::ETIMEDOUT), "{to}: {error}");
                assert!((ms(6500)..ms(9000)).contains(&start.elapsed()), "{to}: {:?}", start.elapsed());
            });
        }
    });
    eventually("both races are over", || ended(&bed, "silent") == 2);
    bed.lab.wires().iter().for_each(|wire| wire.blackhole(false));
    for server in &servers {
        let (_stream, time) = connect(client, server.address(), LIMIT).unwrap();
        assert!(time < REPETITION, "{}: {time:?}", server.address());
    }
}

#[test]
fn a_repeated_syn_repeats_its_copies() {
    need_lab!();
    let bed = Bed::new(&[5, 5]);
    let server = bed.server(SERVERS[0], 80);
    bed.lab.wires().iter().for_each(|wire| wire.blackhole(true));
    let watches = bed.lab.wires().iter().map(lab::Wire::watch).collect::<Vec<_>>();
    let _ = connect(bed.lab.client(), server.address(), ms(1500));
    for watch in watches {
        let sources: Vec<_> = syns(&watch).iter().map(|syn| (syn.source.port(), syn.sequence)).collect();
        assert!(sources.len() >= 2 && sources.iter().all(|source| *source == sources[0]), "{sources:?}");
    }
}

#[test]
fn a_closed_port_is_refused_promptly() {
    need_lab!();
    let bed = Bed::new(&[20, 5]);
    for address in SERVERS {
        let start = std::time::Instant::now();
        let error = connect(bed.lab.client(), (address, 81), LIMIT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{address}");
        assert!(start.elapsed() < ms(900), "{:?}", start.elapsed());
    }
}

/// As a firewall refuses by default, and a router that knows no way: a race's copies are nobody's connection, so its error is told
/// to their race.
#[test]
fn an_error_refuses_as_a_reset_does() {
    need_lab!();
    let bed = Bed::new(&[20, 5]);
    let internet = bed.lab.internet();
    internet.sh("nft 'table inet guard { chain input { type filter hook input priority 0;
            tcp dport 81 reject with icmpx type admin-prohibited;
            ip saddr 10.77.1.2 tcp dport 80 reject with icmp type port-unreachable;
            ip6 saddr fd77:1::2 tcp dport 80 reject with icmpv6 type port-unreachable; }; }'");
    for address in SERVERS {
        let start = std::time::Instant::now();
        let error = connect(bed.lab.client(), (address, 81), LIMIT).unwrap_err();
        assert_ne!(error.kind(), ErrorKind::TimedOut, "{address}");
        assert!(start.elapsed() < ms(900), "{address}: {:?}", start.elapsed());
        // Nobody listens there.
        let socket = support::datagrams(bed.lab.client(), (address, 443).into());
        socket.send(b"?").unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionRefused, "{address}");
        // One link's error gives way to the other's answer.
        let server = bed.server(address, 80);
        assert_eq!(bed.links_taken(&server, 2), [2, 2], "{address}");
    }
}

#[test]
fn one_links_refusal_gives_way_to_the_others_acceptance() {
    need_lab!();
    // The refusal is back after 10 ms, the acceptance after 60 ms: within the grace.
    let bed = Bed::new(&[5, 30]);
    bed.lab.internet().sh("nft 'table inet censor { chain input { type filter hook input priority 0;
            ip saddr 10.77.1.2 tcp dport 80 reject with tcp reset;
            ip6 saddr fd77:1::2 tcp dport 80 reject with tcp reset; }; }'");
    for address in SERVERS {
        let server = bed.server(address, 80);
        assert_eq!(bed.links_taken(&server, 2), [2, 2], "{address}");
    }
}

#[test]
fn a_refusal_is_believed_when_the_others_stay_silent() {
    need_lab!();
    let bed = Bed::new(&[5, 5]);
    bed.lab.wire(1).blackhole(true);
    for address in SERVERS {
        let start = std::time::Instant::now();
        let error = connect(bed.lab.client(), (address, 81), LIMIT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{address}");
        assert!((ms(100)..ms(900)).contains(&start.elapsed()), "{:?}", start.elapsed());
    }
}

#[test]
fn what_the_firewall_forbids_is_not_raced() {
    need_lab!();
    let bed = Bed::new(&[5, 5]);
    bed.lab.router().sh("nft insert rule inet fw forward tcp dport 666 drop");
    let watches = bed.lab.wires().iter().map(lab::Wire::watch).collect::<Vec<_>>();
    for address in SERVERS {
        let server = bed.server(address, 666);
        let error = connect(bed.lab.client(), server.address(), ms(1300)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{address}");
    }
    assert!(watches.iter().all(|watch| syns(watch).is_empty()));
}

#[test]
fn two_clients_with_the_same_port_both_connect() {
    need_lab!();
    let bed = Bed::on(Bed::builder(&[20, 5]).clients(2).build(), &support::config(&["", ""], ""));
    for (address, sources) in SERVERS.into_iter().zip([["10.77.0.2", "10.77.0.3"], ["fd77::2", "fd77::3"]]) {
        let server = bed.server(address, 80);
        let mut streams = Vec::new();
        for (client, source) in bed.lab.clients().iter().zip(sources) {
            let source = SocketAddr::new(source.parse().unwrap(), 40_000);
            streams.push(connect_from(client, source, server.address()).unwrap());
        }
        for (stream, word) in streams.iter_mut().zip([b"one", b"two"]) {
            assert_carries(stream, word);
        }
    }
}

#[test]
fn a_port_that_an_unknown_connection_has_at_one_link_leaves_the_other_link() {
    need_lab!();
    let bed = Bed::new(&[20, 5]);
    for address in SERVERS {
        let server = bed.server(address, 80);
        // The router's own connections are not raced: nobody notes their ports.
        let held = SocketAddr::new(router(address, 2), 40_000);
        let mut own = connect_from(bed.lab.router(), held, server.address()).unwrap();
        let watch = bed.lab.wire(2).watch();
        let start = Instant::now();
        let mut stream = connect_from(bed.lab.client(), (any(address), held.port()), server.address()).unwrap();
        assert!(start.elapsed() < REPETITION / 2, "{address}: {:?}", start.elapsed());
        assert_eq!(syns(&watch)[0].source, held, "no copy from that port");
        assert_carries(&mut stream, b"mine");
        assert_carries(&mut own, b"own");
    }
}

#[test]
fn a_port_that_unknown_connections_have_at_all_links_is_changed() {
    need_lab!();
    let bed = Bed::new(&[20, 5]);
    for address in SERVERS {
        let server = bed.server(address, 80);
        let held = [1, 2].map(|link| SocketAddr::new(router(address, link), 40_000));
        let mut own = held.map(|held| connect_from(bed.lab.router(), held, server.address()).unwrap());
        let start = Instant::now();
        let mut stream = connect_from(bed.lab.client(), (any(address), held[0].port()), server.address()).unwrap();
        // To the server the copies are its connections' strays, which it answers with what no race takes for an answer.
        assert!(start.elapsed() < ms(4500), "{address}: {:?}", start.elapsed());
        assert_carries(&mut stream, b"mine");
        own.iter_mut().for_each(|own| assert_carries(own, b"own"));
    }
}

#[test]
fn a_port_that_only_conntrack_believes_taken_costs_one_repetition() {
    need_lab!();
    // Decided by the answer, and by time.
    let beds = ["", "option handicap '50ms'"].map(|handicap| Bed::with(&[5, 20], &[handicap, ""], ""));
    for (bed, (done, address)) in beds.iter().flat_map(|bed| SERVERS.into_iter().enumerate().map(move |one| (bed, one)))
    {
        let listener = lab::bind(bed.lab.internet(), || TcpListener::bind((address, 80))).unwrap();
        let held = SocketAddr::new(router(address, 1), 40_000);
        SockRef::from(&listener).set_read_timeout(Some(LIMIT)).unwrap();
        let own = connect_from(bed.lab.router(), held, listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        // The server forgets the connection, and its word of that is lost.
        let wire = bed.lab.wire(1);
        let watch = wire.watch();
        wire.blackhole(true);
        SockRef::from(&accepted).set_linger(Some(Duration::ZERO)).unwrap();
        drop((accepted, listener));
        watch.wait_for(Direction::Down, LIMIT, Packet::is_rst).expect("the server's reset");
        wire.blackhole(false);
        watch.clear();
        // What is sent to the loser is the race's, and not the router's answer to the loser's answer.
        let loser = bed.lab.wire(2);
        let losers = loser.watch();
        loser.blackhole(true);
        let server = bed.server(address, 80);
        let start = Instant::now();
        let mut stream = connect_from(bed.lab.client(), (any(address), held.port()), server.address()).unwrap();
        // The kernel refuses the winner's entry. The repeated SYN takes the plain way, from a port that the kernel chooses.
        assert!(start.elapsed() < REPETITION + ms(500), "{address}: {:?}", start.elapsed());
        assert_eq!(syns(&watch)[0].source, held, "no copy from that port");
        assert_eq!(ended(bed, "fell_back"), done + 1);
        assert!(!syns(&losers).is_empty() && !losers.packets(Direction::Up).iter().any(Packet::is_rst), "a reset");
        loser.blackhole(false);
        assert_carries(&mut stream, b"hello");
        drop(own);
    }
}

#[test]
fn a_syn_with_data_takes_one_link() {
    need_lab!();
    const MSG_FASTOPEN: i32 = 0x2000_0000;
    let bed = Bed::new(&[20, 5]);
    bed.lab.client().sysctl("net/ipv4/tcp_fastopen", "1");
    // Server side, for every listener (ip-sysctl, tcp_fastopen: 0x2 and 0x400).
    bed.lab.internet().sysctl("net/ipv4/tcp_fastopen", "1026");
    for (address, any) in SERVERS.into_iter().zip(["0.0.0.0:0", "[::]:0"]) {
        let server = bed.server(address, 80);
        let watches = bed.lab.wires().iter().map(lab::Wire::watch).collect::<Vec<_>>();
        // The first connection gets a cookie, the others use it.
        for _ in 0..3 {
            let socket = support::socket_from(bed.lab.client(), any.parse().unwrap()).unwrap();
            socket.set_nonblocking(false).unwrap();
            socket.send_to_with_flags(b"early", &server.address().into(), MSG_FASTOPEN).unwrap();
            let mut stream = std::net::TcpStream::from(socket);
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            let mut back = [0; 5];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(&back, b"early");
        }
        let with_data: Vec<Vec<_>> = watches
            .iter()
            .map(|watch| syns(watch).iter().filter(|syn| !syn.payload.is_empty()).map(|syn| syn.sequence).collect())
            .collect();
        let all: Vec<_> = with_data.concat();
        assert!(!all.is_empty(), "no SYN to {address} carried data");
        assert!(with_data[0].iter().all(|sequence| !with_data[1].contains(sequence)), "{with_data:?}");
    }
}

#[test]
fn losers_leave_nothing_behind() {
    need_lab!();
    const RACES: usize = 50;
    let bed = Bed::new(&[10, 2]);
    for address in SERVERS {
        let server = bed.server(address, 80);
        let watches = bed.lab.wires().iter().map(lab::Wire::watch).collect::<Vec<_>>();
        let streams: Vec<_> = (0..RACES).map(|_| bed.connect(&server)).collect();
        eventually("all accepted", || server.accepted() == RACES);
        eventually("no half-open socket", || half_open(bed.lab.internet()) == 0);
        let lost = if address.is_ipv4() { format!("dst={} ", lab::router4(1)) } else { "dst=fd77:1:".into() };
        let entries = lab::conntrack_entries(bed.lab.router());
        let kept: Vec<_> = entries.iter().filter(|entry| entry.contains(&lost)).collect();
        let winners = server.peers();
        let on_loser = winners.iter().filter(|peer| link_of(**peer) == 1).count();
        assert_eq!(kept.len(), on_loser, "{kept:?}");
        for watch in watches {
            let copies = syns(&watch);
            assert!(copies.len() >= RACES, "{} copies", copies.len());
            for syn in copies.iter().filter(|syn| !winners.contains(&syn.source)) {
                let reset = |packet: &Packet| {
                    packet.is_rst() && packet.source == syn.source && packet.sequence == syn.sequence.wrapping_add(1)
                };
                assert!(watch.wait_for(Direction::Up, LIMIT, reset).is_some(), "no reset for {syn:?}");
            }
        }
        drop(streams);
    }
}

#[test]
fn each_copy_is_clamped_to_its_links_mtu() {
    need_lab!();
    let lab = Bed::builder(&[5, 5]).build();
    lab.router().sh("ip link set wan2 mtu 1400");
    let bed = Bed::on(lab, &support::config(&["", ""], ""));
    for (address, limits) in SERVERS.into_iter().zip([[1460, 1360], [1440, 1340]]) {
        let server = bed.server(address, 80);
        let watches = bed.lab.wires().iter().map(lab::Wire::watch).collect::<Vec<_>>();
        bed.connect(&server);
        let sizes: Vec<_> = watches.iter().filter_map(|watch| mss(watch, Direction::Up, Packet::is_syn)).collect();
        assert_eq!(sizes, limits);
    }
}

#[test]
fn a_large_download_keeps_its_window_scale() {
    need_lab!();
    const SIZE: u64 = 100 << 20;
    let bed = Bed::new(&[40, 10]);
    for address in SERVERS {
        let server = Server::source(bed.lab.internet(), (address, 80));
        let watch = bed.lab.wire(2).watch();
        let mut stream = bed.connect(&server);
        for (direction, wanted) in
            [(Direction::Up, Packet::is_syn as fn(&Packet) -> bool), (Direction::Down, Packet::is_syn_ack)]
        {
            assert!(window_scale(&watch, direction, wanted).is_some_and(|scale| scale > 0), "{address} {direction:?}");
        }
        drop(watch);
        let time = lab::download(&mut stream, SIZE, Duration::from_secs(30)).unwrap();
        // Without scaling, 64 KB a round trip of 20 ms: 32 s.
        assert!(time < Duration::from_secs(20), "{address}: {time:?}");
        eventually("accepted", || server.accepted() == 1);
        assert_eq!(link_of(server.peers()[0]), 2);
    }
}

fn syns(watch: &lab::Watch) -> Vec<Packet> {
    watch.packets(Direction::Up).into_iter().filter(Packet::is_syn).collect()
}

/// What a client binds to that leaves its address to the kernel.
fn any(server: IpAddr) -> IpAddr {
    if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// The router's address at a link, of the server's family.
fn router(server: IpAddr, link: usize) -> IpAddr {
    if server.is_ipv4() { lab::router4(link) } else { lab::router6(link) }
}

/// Words go to an echo server and come back.
#[track_caller]
fn assert_carries(stream: &mut TcpStream, words: &[u8]) {
    let mut back = vec![0; words.len()];
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(words).unwrap();
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, words);
}

/// How many races ended like this.
fn ended(bed: &Bed, outcome: &str) -> usize {
    bed.counted(&format!("races_ended_total{{outcome=\"{outcome}\"}}"))
}
