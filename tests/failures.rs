//! Daemons that die, hang, drown and restart: traffic goes on.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, iter, thread};

use etherparse::PacketBuilder;
use lab::{Direction, Namespace, Server, connect};
use support::{
    Bed, Daemon, SERVERS, Transfer, config, eventually, filter_strictly, link_of, ms, queued, raw_packets, settled, syn,
};

#[test]
fn killed_it_harms_nobody_and_starts_again() {
    need_lab!();
    let mut bed = Bed::new(&[20, 5]);
    let (servers, downloads) = downloads(&bed);
    Transfer::all_go_on(&downloads, "at first");
    bed.daemon.process.kill();
    for address in SERVERS {
        assert_eq!(bed.link_taken(&bed.server(address, 81)), 1, "plain routing");
    }
    Transfer::all_go_on(&downloads, "without a daemon");
    bed.daemon = Daemon::start(bed.lab.router(), &config(&["", ""], ""));
    for address in SERVERS {
        assert_eq!(bed.link_taken(&bed.server(address, 82)), 2, "raced again");
    }
    Transfer::all_go_on(&downloads, "with the next daemon");
    all_end(downloads, &servers);
    bed.daemon.stop();
}

#[test]
fn stopped_it_harms_nobody_and_races_again_once_it_goes_on() {
    need_lab!();
    let mut bed = Bed::new(&[20, 5]);
    let (servers, downloads) = downloads(&bed);
    Transfer::all_go_on(&downloads, "at first");
    bed.daemon.process.signal(libc::SIGSTOP);
    Transfer::all_go_on(&downloads, "while the kernel takes the daemon for alive");
    for address in SERVERS {
        assert_eq!(bed.link_taken(&bed.server(address, 80)), 1, "plain routing");
    }
    eventually("the kernel misses it", || !bed.daemon.is_alive(bed.lab.router()));
    Transfer::all_go_on(&downloads, "while the kernel misses the daemon");
    bed.daemon.process.signal(libc::SIGCONT);
    for address in SERVERS {
        let server = bed.server(address, 81);
        eventually("raced again", || bed.link_taken(&server) == 2);
    }
    Transfer::all_go_on(&downloads, "beside races");
    all_end(downloads, &servers);
}

#[test]
fn stopped_in_the_middle_of_a_race_it_harms_nobody() {
    need_lab!();
    let mut bed = Bed::new(&[100, 100]);
    for (done, address) in SERVERS.into_iter().enumerate() {
        let server = bed.server(address, 80);
        let connected = thread::scope(|scope| {
            // The copies are on their way when it stops, and the kernel expects their answers for longer than its life.
            let client = scope.spawn(|| connect(bed.lab.client(), server.address(), ms(4500)));
            thread::sleep(ms(100));
            bed.daemon.process.signal(libc::SIGSTOP);
            client.join().unwrap()
        });
        let (mut stream, _) = connected.unwrap_or_else(|error| panic!("{address}: {error}"));
        // What waited in the queue must not disturb it: it passes unraced.
        bed.daemon.process.signal(libc::SIGCONT);
        bed.daemon.await_heartbeat(bed.lab.router());
        echo(&mut stream);
        assert_eq!(bed.counted("openings_passed_total{reason=\"other\"}"), done + 1);
    }
}

#[test]
fn a_flood_of_openings_leaves_room_for_others() {
    need_lab!();
    let bed = Bed::new(&[5, 5]);
    // Nobody answers there: each of them stays a race for seconds.
    bed.lab.internet().sh("ip route add blackhole 203.0.113.0/24; ip -6 route add blackhole 2001:db8:dead::/48");
    for (address, nowhere) in SERVERS.into_iter().zip(["203.0.113.1:80", "[2001:db8:dead::1]:80"]) {
        let nowhere: SocketAddr = nowhere.parse().unwrap();
        let flood: Vec<_> = (1024..13_000).map(|port| syn(port, nowhere)).collect();
        let server = bed.server(address, 80);
        thread::scope(|scope| {
            let flooding = scope.spawn(|| raw_packets(bed.lab.client(), &flood));
            for _ in 0..5 {
                bed.connect(&server);
            }
            assert_eq!(flooding.join().unwrap(), flood.len(), "they left");
        });
        bed.connect(&server);
    }
}

/// A server that somebody asked says the same over and over, as fast as it can.
#[test]
fn a_flood_of_answers_leaves_room_for_openings() {
    need_lab!();
    let bed = Bed::new(&[5, 5]);
    bed.lab.internet().sh("ip route add blackhole 203.0.113.0/24");
    let nowhere = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 1), 80);
    let watch = bed.lab.wire(1).watch();
    raw_packets(bed.lab.client(), [&syn(1024, nowhere.into())]);
    let copies = || watch.packets(Direction::Up).into_iter().filter(|packet| packet.destination == nowhere.into());
    eventually("a copy is on its way", || copies().next().is_some());
    let SocketAddr::V4(copy) = copies().next().unwrap().source else { unreachable!("a source of the other family") };
    let mut answer = Vec::new();
    let addressed = PacketBuilder::ipv4(nowhere.ip().octets(), copy.ip().octets(), 64);
    // It acknowledges what nobody sent, and so decides nothing.
    addressed.tcp(nowhere.port(), copy.port(), 7, 64240).syn().ack(5).write(&mut answer, &[]).unwrap();
    let server = bed.server(SERVERS[0], 80);
    let flooding = AtomicBool::new(true);
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let thousand = || raw_packets(bed.lab.internet(), iter::repeat_n(&answer, 1000));
            iter::repeat_with(thousand).take_while(|_| flooding.load(Ordering::Relaxed)).count()
        });
        thread::sleep(ms(300));
        let connected: Vec<_> = (0..5).map(|_| connect(bed.lab.client(), server.address(), ms(4500))).collect();
        flooding.store(false, Ordering::Relaxed);
        flood.join().unwrap();
        connected.into_iter().for_each(|connected| echo(&mut connected.unwrap().0));
    });
    let [answers, _] = queued(bed.lab.router());
    assert!(answers > 2_000, "{answers} were queued");
}

#[test]
fn an_overflowing_queue_lets_everything_pass() {
    need_lab!();
    let mut bed = Bed::new(&[20, 5]);
    bed.lab.internet().sh("ip route add blackhole 203.0.113.0/24; ip -6 route add blackhole 2001:db8:dead::/48");
    let (servers, downloads) = downloads(&bed);
    for (address, nowhere) in SERVERS.into_iter().zip(["203.0.113.1:80", "[2001:db8:dead::1]:80"]) {
        let (server, nowhere): (_, SocketAddr) = (bed.server(address, 80), nowhere.parse().unwrap());
        let flood: Vec<_> = (1024..4000).map(|port| syn(port, nowhere)).collect();
        // It hangs, but the kernel takes it for alive, for longer than usual: what fits waits in the queue, the rest must pass.
        bed.daemon.process.signal(libc::SIGSTOP);
        bed.lab.router().sh("nft 'flush set inet cheaproute alive
            add element inet cheaproute alive { ipv4 timeout 1m, ipv6 timeout 1m }'");
        let watch = bed.lab.wire(1).watch();
        assert_eq!(raw_packets(bed.lab.client(), &flood), flood.len());
        let passed = || watch.packets(Direction::Up).iter().filter(|packet| packet.destination == nowhere).count();
        eventually("each waits or has passed", || waiting(bed.lab.router()) + passed() == flood.len());
        Transfer::all_go_on(&downloads, "beside a full queue");
        assert!(waiting(bed.lab.router()) > 100 && passed() > 1000, "{} passed", passed());
        bed.connect(&server);
        bed.daemon.process.signal(libc::SIGCONT);
        bed.connect(&server);
        bed.daemon.await_heartbeat(bed.lab.router());
        eventually("the queue is empty", || waiting(bed.lab.router()) == 0);
        Transfer::all_go_on(&downloads, "after the flood");
    }
    all_end(downloads, &servers);
    bed.daemon.stop();
}

#[test]
fn stopped_in_good_order_it_leaves_nothing() {
    need_lab!();
    let lab = Bed::builder(&[0, 0]).build();
    let router = lab.router();
    router.sh("iptables -w -t raw -A PREROUTING -s 192.0.2.9 -j DROP
        nft add table inet mine; nft add chain inet mine c '{ type filter hook forward priority 5; }'");
    filter_strictly(router, &["all", "wan1", "wan2"]);
    let before = settled(router);
    let mut bed = Bed::on(lab, &config(&["", ""], ""));
    let server = bed.server(SERVERS[0], 80);
    assert_ne!(settled(bed.lab.router()), before);
    bed.connect(&server);
    bed.daemon.stop();
    assert_eq!(settled(bed.lab.router()), before);
    bed.connect(&server);
}

/// As procd's does, whose parent the daemon's jail is: killed, it takes the daemon along, which cleans up.
#[test]
fn a_jail_that_is_killed_leaves_nothing() {
    need_lab!();
    let lab = Bed::builder(&[0, 0]).build();
    let before = settled(lab.router());
    let jail = ["sh", "-c", "container=ujail \"$@\"; exit", "jail"];
    let mut daemon = Daemon::launch_by(&jail, lab.router(), &config(&["", ""], ""), |_| ());
    daemon.says(0, "racing over");
    assert_ne!(settled(lab.router()), before);
    daemon.process.signal(libc::SIGKILL);
    eventually("nothing is left", || settled(lab.router()) == before);
}

#[test]
fn a_crashs_remains_are_cleared_by_the_next_stop() {
    need_lab!();
    let lab = Bed::builder(&[0, 0]).build();
    filter_strictly(lab.router(), &["all", "wan1", "wan2"]);
    let before = settled(lab.router());
    let mut bed = Bed::on(lab, &config(&["", ""], ""));
    bed.daemon.process.kill();
    // The next one has one link less, and finds the other's settings changed as well.
    bed.daemon.start_again(bed.lab.router(), &config(&[""], ""));
    bed.daemon.stop();
    assert_eq!(settled(bed.lab.router()), before);
}

#[test]
fn a_crashs_remains_are_cleared_without_another_start() {
    need_lab!();
    let lab = Bed::builder(&[0, 0]).build();
    filter_strictly(lab.router(), &["all", "wan1", "wan2"]);
    let before = settled(lab.router());
    let mut bed = Bed::on(lab, &config(&["", ""], ""));
    let up = settled(bed.lab.router());
    let folder = bed.daemon.file().parent().unwrap().to_owned();
    let cleanup = |socket: &str| {
        let mut command = bed.lab.router().command(env!("CARGO_BIN_EXE_cheaproute"));
        let said = command.arg("cleanup").arg("-s").arg(folder.join(socket)).output().unwrap();
        (said.status.code(), String::from_utf8([said.stdout, said.stderr].concat()).unwrap())
    };
    // While one runs, wherever its socket is, or hangs, all of it stays.
    bed.daemon.process.signal(libc::SIGSTOP);
    for socket in ["socket", "other"] {
        let (code, said) = cleanup(socket);
        assert!(code == Some(5) && said.contains("running"), "{socket}: {code:?} {said}");
    }
    assert_eq!(settled(bed.lab.router()), up);
    bed.daemon.process.kill();
    assert_ne!(settled(bed.lab.router()), before);
    for _ in 0..2 {
        assert_eq!(cleanup("socket"), (Some(0), String::new()));
        assert_eq!(settled(bed.lab.router()), before);
    }
    let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort_unstable();
    assert_eq!(left, ["cheaproute", "socket.links"], "its configuration, and the numbers that connections bear");
    bed.daemon.start_again(bed.lab.router(), &config(&["", ""], ""));
    bed.daemon.stop();
    assert_eq!(settled(bed.lab.router()), before);
}

/// As systemd-networkd does when it starts, and scripts of VPNs.
#[test]
fn rules_and_routes_that_others_remove_return() {
    need_lab!();
    let bed = Bed::new(&[20, 5]);
    let router = bed.lab.router();
    let before = settled(router);
    for removes in [
        "ip rule flush; ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default",
        "ip -6 rule flush; ip -6 rule add pref 32766 lookup main",
        "ip route flush table 4002; ip -6 route flush table 4002",
        "ip rule del pref 4001; ip -6 route del default table 4001",
    ] {
        router.sh(removes);
        eventually(removes, || settled(router) == before);
    }
    for address in SERVERS {
        assert_eq!(bed.link_taken(&bed.server(address, 80)), 2);
    }
    // What it does itself is no reason to do it again.
    assert_eq!(router.sh("timeout 1 ip monitor route rule || true"), "");
}

#[test]
fn what_nft_does_not_take_is_tried_ever_more_seldom_and_at_once_when_something_happens() {
    need_lab!();
    let lab = Bed::builder(&[20, 5]).build();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nft-{}", std::process::id()));
    let broken = folder.join("broken");
    fs::create_dir_all(&folder).unwrap();
    let text = format!("#!/bin/sh\n[ ! -e {} ] || exit 1\nPATH=${{PATH#*:}} exec nft \"$@\"\n", broken.display());
    fs::write(folder.join("nft"), text).unwrap();
    fs::set_permissions(folder.join("nft"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut daemon = Daemon::launch(lab.router(), &config(&["", ""], ""), |command| {
        command.env("PATH", path);
    });
    daemon.says(0, "racing over");
    fs::write(&broken, "").unwrap();
    let mark = daemon.process.lines_so_far();
    daemon.reload(&config(&[""], ""), "trying again in 2.0 s");
    daemon.says(mark, "trying again in 4.0 s");
    fs::remove_file(&broken).unwrap();
    let start = Instant::now();
    lab.router().sh("ip address add 192.0.2.9/32 dev lo");
    daemon.says(mark, "all that was noted is in force");
    assert!(start.elapsed() < ms(2000), "{:?}", start.elapsed());
    daemon.stop();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_download_survives_a_restart() {
    need_lab!();
    let mut bed = Bed::new(&[20, 5]);
    let (servers, downloads) = downloads(&bed);
    Transfer::all_go_on(&downloads, "before");
    bed.daemon.stop();
    Transfer::all_go_on(&downloads, "without a daemon");
    bed.daemon = Daemon::start(bed.lab.router(), &config(&["", ""], ""));
    // The lab's links take any address, and let it pass over link 1 meanwhile; other links may not.
    let own_link = || bed.lab.wire(2).counters(Direction::Up).packets;
    let before = own_link();
    Transfer::all_go_on(&downloads, "with the next daemon");
    assert!(own_link() > before + 100, "{} packets over their link", own_link() - before);
    all_end(downloads, &servers);
}

#[test]
fn malformed_packets_pass_or_end_without_harm() {
    need_lab!();
    let mut bed = Bed::new(&[10, 2]);
    for address in SERVERS {
        let whole = syn(5555, (address, 80).into());
        let head = if address.is_ipv4() { 20 } else { 40 };
        let mut bad = Vec::new();
        for cut in head..whole.len() {
            bad.push(with_length(whole[..cut].to_vec()));
        }
        for (at, value) in [(12, 0x00), (12, 0x10), (12, 0xf0), (13, 0x03), (13, 0x06), (13, 0xff)] {
            let mut packet = whole.clone();
            packet[head + at] = value;
            bad.push(packet);
        }
        // Options that run out of their header, a port 0, data behind the SYN.
        let mut options = whole.clone();
        options[head + 12] = 0x60;
        for option in [[2, 0, 0, 0], [2, 200, 5, 180], [3, 1, 1, 1]] {
            options.truncate(whole.len());
            options.extend(option);
            bad.push(with_length(options.clone()));
        }
        for port in [[0, 0], [0, 53]] {
            let mut packet = whole.clone();
            packet[head..head + 2].copy_from_slice(&port);
            bad.push(packet);
        }
        // Other protocols: cut ICMP, cut UDP, UDP with a wrong length, and extension headers or fragments.
        for (protocol, body) in [
            (17, &[0, 53, 0, 53][..]),
            (17, &[0, 53, 0, 53, 0, 200, 0, 0, 1]),
            (17, &[0, 53, 0, 53, 0, 0, 0, 0]),
            (if head == 20 { 1 } else { 58 }, &[if head == 20 { 8 } else { 128 }, 0, 0]),
            (0, &[6, 0, 1, 4, 0, 0, 0, 0]),
            (43, &[6, 200, 0, 0, 0, 0, 0, 0]),
            (44, &[6, 0, 0, 1, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8]),
            (44, &[6, 0, 0, 8, 0, 0, 0, 7]),
            (60, &[6]),
        ] {
            let mut packet = whole[..head].to_vec();
            packet[if head == 20 { 9 } else { 6 }] = protocol;
            packet.extend(body);
            bad.push(with_length(packet));
        }
        if head == 20 {
            for fragment in [[0x20, 0], [0, 1], [0x20, 2]] {
                let mut packet = whole.clone();
                packet[6..8].copy_from_slice(&fragment);
                bad.push(packet);
            }
        }
        let sent = raw_packets(bed.lab.client(), &bad);
        assert!(sent > bad.len() / 2, "{sent} of {}", bad.len());
        assert_eq!(bed.link_taken(&bed.server(address, 81)), 2);
    }
    bed.daemon.stop();
}

/// A download of either family over link 2, which has won its race.
#[track_caller]
fn downloads(bed: &Bed) -> ([Server; 2], Vec<Transfer>) {
    let servers = SERVERS.map(|address| Server::source(bed.lab.internet(), (address, 90)));
    let downloads = servers.iter().map(|server| Transfer::down(bed.connect(server))).collect();
    for server in &servers {
        eventually("accepted", || server.accepted() == 1);
        assert_eq!(link_of(server.peers()[0]), 2);
    }
    (servers, downloads)
}

/// Ends downloads without a fault, each on the connection that it began with.
#[track_caller]
fn all_end(downloads: Vec<Transfer>, servers: &[Server]) {
    downloads.into_iter().for_each(|download| drop(download.end()));
    assert!(servers.iter().all(|server| server.accepted() == 1));
}

/// How many openings wait for the daemon.
fn waiting(router: &Namespace) -> usize {
    let table = router.run(|| fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_queue")).unwrap();
    let lines = table.lines().map(|line| line.split_whitespace().map(|field| field.parse().unwrap()).collect());
    // Number, port, waiting; the first queue is for answers.
    let queues: Vec<Vec<usize>> = lines.collect();
    queues.iter().filter(|queue| queue[0] != usize::from(cheaproute::steer::QUEUE)).map(|queue| queue[2]).sum()
}

/// Corrects a packet's length field.
fn with_length(mut packet: Vec<u8>) -> Vec<u8> {
    let length = packet.len() as u16;
    if packet[0] >> 4 == 4 {
        packet[2..4].copy_from_slice(&length.to_be_bytes());
    } else {
        packet[4..6].copy_from_slice(&(length - 40).to_be_bytes());
    }
    packet
}

#[track_caller]
fn echo(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
}
