//! The system side of a bond: sockets that carry many datagrams at a time, TUN devices with offloads, and both together.

#[path = "support/pump.rs"]
mod pump;
mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cheaproute::bond::address::Address;
use cheaproute::bond::offload::Offload;
use cheaproute::family::Family;
use cheaproute::kernel::{Control, Route, Rule};
use cheaproute::linux::address;
use cheaproute::linux::batch::{Arena, Batch};
use cheaproute::linux::ether::Ether;
use cheaproute::linux::system::System;
use cheaproute::linux::tun::Tun;
use cheaproute::linux::udp::Udp;
use lab::{Namespace, Server, connect, download, ping, veth};
use pump::{End, Pump};
use support::eventually;

const PATIENCE: Duration = Duration::from_secs(20);
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Receives until there are `count` datagrams.
fn collect(socket: &mut Udp, count: usize) -> Vec<(Address, Vec<u8>)> {
    let (mut arena, mut got, start) = (Arena::new(), Vec::new(), Instant::now());
    while got.len() < count {
        socket.receive(&mut arena, &mut |from, bytes| got.push((*from, bytes.to_vec()))).expect("a socket that works");
        assert!(start.elapsed() < PATIENCE, "{} of {count}", got.len());
    }
    got
}

fn server(ip: IpAddr) -> Udp {
    Udp::server(SocketAddr::new(ip, 0), 0).expect("a socket")
}

/// Datagrams of one size with a shorter one now and then, to two ends in turn.
fn sizes() -> impl Iterator<Item = (usize, usize)> {
    (0..150).map(|index: usize| (index % 3 % 2, if index % 40 == 39 { 700 } else { 1400 }))
}

#[test]
fn batches_arrive_as_they_were_sent() {
    need_lab!();
    let host = Namespace::new("host");
    for ip in LOOPBACK {
        for plain in [false, true] {
            let (mut sender, mut ends) = host.run(|| (server(ip), [server(ip), server(ip)]));
            if plain {
                sender.set_plain().unwrap();
                ends.iter_mut().for_each(|end| end.set_plain().unwrap());
            }
            let to = ends.each_ref().map(|end| Address::udp(SocketAddr::new(ip, end.port().unwrap())));
            let (mut batch, mut wanted) = (Batch::new(), [Vec::new(), Vec::new()]);
            for (index, (end, size)) in sizes().enumerate() {
                let bytes = vec![index as u8; size];
                batch.slot(&to[end], size).expect("room").0.copy_from_slice(&bytes);
                wanted[end].push(bytes);
            }
            let sent = sender.send(&mut batch);
            assert_eq!((sent.datagrams, sent.lost, sent.too_long, sent.blocked), (150, 0, 0, false), "{sent:?}");
            assert!(batch.is_empty());
            assert_eq!(sender.segments(), !plain);
            let port = sender.port().unwrap();
            for (end, wanted) in ends.iter_mut().zip(wanted) {
                let got = collect(end, wanted.len());
                let from = Address::Udp { remote: SocketAddr::new(ip, port), local: Some(ip) };
                assert!(got.iter().all(|(address, _)| *address == from), "{:?}", got[0].0);
                assert!(got.into_iter().map(|(_, bytes)| bytes).eq(wanted));
            }
        }
    }
}

#[test]
fn a_kernel_that_refuses_segments_gets_datagrams() {
    need_lab!();
    let host = Namespace::new("host");
    let (mut sender, mut end) = host.run(|| (server(LOOPBACK[0]), server(LOOPBACK[0])));
    // Without checksums of its own the kernel does not cut.
    let on = 1i32;
    let (fd, size) = (sender.as_fd().as_raw_fd(), size_of_val(&on) as libc::socklen_t);
    // SAFETY: the option reads one int, which outlives the call.
    let done = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_NO_CHECK, (&raw const on).cast(), size) };
    assert_eq!(done, 0);
    let to = Address::udp(SocketAddr::new(LOOPBACK[0], end.port().unwrap()));
    for turn in 0..2u8 {
        let mut batch = Batch::new();
        assert!((0..100).all(|index| batch.push(&to, &[turn * 100 + index; 1000])));
        assert_eq!(sender.send(&mut batch).datagrams, 100);
        assert!(!sender.segments());
        let got = collect(&mut end, 100);
        assert!(got.iter().zip(turn * 100..).all(|((_, bytes), index)| *bytes == [index; 1000]));
    }
}

#[test]
fn what_cannot_leave_is_counted_and_the_rest_leaves() {
    need_lab!();
    let [here, there] = two_hosts("");
    let mut sender = here.run(|| server(Ipv4Addr::UNSPECIFIED.into()));
    let mut end = there.run(|| server(Ipv4Addr::UNSPECIFIED.into()));
    let to = Address::udp(SocketAddr::new([10, 5, 0, 2].into(), end.port().unwrap()));
    let nowhere = Address::udp(([10, 9, 9, 9], 9).into());
    let mut batch = Batch::new();
    for (to, size, count) in [(&to, 1600, 3), (&to, 1200, 10), (&nowhere, 1200, 4), (&to, 1472, 2), (&to, 1473, 1)] {
        (0..count).for_each(|_| assert!(batch.push(to, &vec![1; size])));
    }
    let sent = sender.send(&mut batch);
    assert_eq!((sent.datagrams, sent.too_long, sent.lost), (12, 4, 4), "{sent:?}");
    assert_eq!(sent.error, libc::ENETUNREACH);
    // It is not the joining that was to blame.
    assert!(sender.segments() && batch.is_empty());
    let lengths: Vec<usize> = collect(&mut end, 12).iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(lengths, [[1200; 10].as_slice(), &[1472; 2]].concat());
}

#[test]
fn a_server_answers_from_where_it_was_asked() {
    need_lab!();
    let [here, there] = two_hosts("ip address add 10.5.0.3/24 dev eth0; ip address add fd05::3/64 dev eth0");
    for (asked, own) in [("10.5.0.3", "0.0.0.0"), ("10.5.0.2", "0.0.0.0"), ("fd05::3", "::"), ("fd05::2", "::")] {
        let (asked, own): (IpAddr, IpAddr) = (asked.parse().unwrap(), own.parse().unwrap());
        // A port of its own each time: a child that another test forks holds the last socket until it executes its program.
        let mut socket = there.run(|| Udp::server(SocketAddr::new(own, 0), 5)).unwrap();
        let asked_at = SocketAddr::new(asked, socket.port().unwrap());
        socket.set_class(0x48).unwrap();
        let client = here.run(|| UdpSocket::bind(SocketAddr::new(own, 0))).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.send_to(b"ask", asked_at).unwrap();
        let (from, bytes) = collect(&mut socket, 1).remove(0);
        assert_eq!(bytes, b"ask");
        assert!(matches!(from, Address::Udp { local, .. } if local == Some(asked)), "{from:?}");
        let mut batch = Batch::new();
        // Two at once, and as one.
        assert!(batch.push(&from, b"answer") && batch.push(&from, b"answer"));
        assert_eq!(socket.send(&mut batch).datagrams, 2);
        for _ in 0..2 {
            let mut buffer = [0; 100];
            let (length, source) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], source), (b"answer".as_slice(), asked_at));
        }
    }
}

#[test]
fn a_paths_datagrams_leave_by_its_device_with_its_mark() {
    need_lab!();
    let [here, there] = two_hosts("");
    // The routing knows another way, and the mark is seen where it counts.
    veth(&here, "other", &there, "other");
    here.sh("ip route add 10.6.0.0/16 dev other
        ip route add 10.6.0.0/16 via 10.5.0.2 dev eth0 metric 9
        nft add table t; nft 'add chain t out { type filter hook output priority 0; policy drop; }'
        nft add rule t out oifname eth0 meta mark 0x1234 accept");
    there.sh("ip address add 10.6.0.1/32 dev lo");
    let mut end = there.run(|| server(Ipv4Addr::UNSPECIFIED.into()));
    let mut socket = here.run(|| Udp::of_device("eth0", 0x1234, false, 0)).unwrap();
    let mut batch = Batch::new();
    assert!(batch.push(&Address::udp(SocketAddr::new([10, 6, 0, 1].into(), end.port().unwrap())), b"here"));
    assert_eq!(socket.send(&mut batch).datagrams, 1);
    assert_eq!(collect(&mut end, 1)[0].1, b"here");
    assert!(here.run(|| Udp::of_device("none", 1, true, 0)).is_err());
}

#[test]
fn a_tunnel_carries_streams_whole() {
    need_lab!();
    for (offload, single) in [(true, false), (false, true)] {
        let [here, there] = two_hosts("");
        let pumps = tunnel([&here, &there], offload, single);
        for target in [IpAddr::from([10, 8, 0, 2]), "fd08::2".parse().unwrap()] {
            let server = Server::source(&there, SocketAddr::new(target, 0));
            let (mut stream, _) = connect(&here, server.address(), PATIENCE).expect("a connection through the tunnel");
            download(&mut stream, 8_000_000, PATIENCE).expect("every byte");
            ping(&here, target, PATIENCE).expect("an echo");
            // A datagram longer than the device's packets comes in fragments.
            let echo = Server::udp(&there, SocketAddr::new(target, 0));
            let (answer, _) = lab::query(&here, echo.address(), &[5; 4000], PATIENCE).expect("an answer");
            assert_eq!(answer, [5; 4000]);
        }
        let count = |of: fn(&pump::Counts) -> &AtomicU64| of(&pumps[1].counts).load(Ordering::Relaxed);
        if !offload {
            // What was read and waits in the batch is sent at the end of the turn; acknowledgements may still be coming.
            eventually("each packet that was read has gone", || {
                let reads = count(|counts| &counts.reads);
                reads == count(|counts| &counts.sent) + count(|counts| &counts.lost)
            });
        }
        // In the reverse of the order in which a pump counts them.
        let [sent, sends, reads] =
            [count(|counts| &counts.sent), count(|counts| &counts.sends), count(|counts| &counts.reads)];
        assert!(sent > 10_000, "{sent} datagrams");
        if offload {
            assert!(reads < sent / 4 && sends <= reads, "{reads} reads, {sent} datagrams, {sends} sends");
        } else {
            assert!(sends >= sent, "{reads} reads, {sent} datagrams, {sends} sends");
        }
    }
}

/// Two hosts on a cable: 10.5.0.1 and 2, fd05::1 and 2.
fn two_hosts(more: &str) -> [Namespace; 2] {
    let hosts = ["here", "there"].map(Namespace::new);
    veth(&hosts[0], "eth0", &hosts[1], "eth0");
    for (host, number) in hosts.iter().zip(1..) {
        host.sh(&format!("ip address add 10.5.0.{number}/24 dev eth0; ip address add fd05::{number}/64 dev eth0"));
    }
    hosts[1].sh(more);
    hosts
}

/// A tunnel between both: 10.8.0.1 and 2, fd08::1 and 2.
fn tunnel(hosts: [&Namespace; 2], offload: bool, single: bool) -> [Pump; 2] {
    [1u8, 2].map(|number| {
        let host = hosts[usize::from(number - 1)];
        let (tun, offload, mut udp) = host.run(|| {
            let wanted = if offload { Offload::ALL } else { Offload::default() };
            let (tun, offered) = Tun::open_large("tun0", wanted, false).expect("a device");
            assert_eq!(offered, wanted);
            tun.set_queue(100).expect("a queue");
            let udp = Udp::server(SocketAddr::new([10, 5, 0, number].into(), 7000), 0).expect("a socket");
            (tun, offered, udp)
        });
        if single {
            udp.set_plain().unwrap();
        }
        host.sh(&format!(
            "ip address add 10.8.0.{number}/24 dev tun0; ip address add fd08::{number}/64 dev tun0
             ip link set tun0 mtu 1400 up"
        ));
        let peer = Address::udp(([10, 5, 0, 3 - number], 7000).into());
        let work: [pump::Work; 2] = [Box::new(|_| {}), Box::new(|_| {})];
        Pump::start(End { tun, offload, udp, peer, work, single })
    })
}

#[test]
fn frames_arrive_as_they_were_sent() {
    need_lab!();
    let [here, there] = two_hosts("");
    let (mut sender, mut end) = (ether(&here), ether(&there));
    let (mac, other) = (mac(&there), mac(&here));
    let to = Address::Ethernet(mac);
    let mut batch = Batch::new();
    // Shorter than the shortest frame, as long as the longest, one byte longer, to somebody else, to everybody.
    let longest = 1500 - cheaproute::linux::ether::LENGTH;
    let sizes = [1, 40, longest, longest + 1, 0, 700];
    (0..).zip(sizes).for_each(|(fill, size)| assert!(batch.push(&to, &vec![fill; size])));
    assert!(batch.push(&Address::Ethernet([2, 0, 0, 0, 0, 0x99]), b"not yours"));
    assert!(batch.push(&Address::Ethernet([255; 6]), b"nobody's"));
    assert!(batch.push(&Address::udp(([10, 5, 0, 2], 1).into()), b"no frame"));
    (0..100u8).for_each(|fill| assert!(batch.push(&to, &[fill; 1000])));
    there.sh("ip link set eth0 promisc on");
    let sent = sender.send(&mut batch);
    assert_eq!((sent.datagrams, sent.too_long, sent.lost, sent.error), (107, 1, 1, libc::EAFNOSUPPORT), "{sent:?}");
    let (mut arena, mut got, start) = (Arena::new(), Vec::new(), Instant::now());
    while got.len() < 105 && start.elapsed() < PATIENCE {
        end.receive(&mut arena, &mut |from, bytes| got.push((*from, bytes.to_vec()))).expect("a socket that works");
    }
    let mut wanted: Vec<Vec<u8>> = (0..).zip(sizes).map(|(fill, size)| vec![fill; size]).collect();
    wanted.remove(3);
    wanted.extend((0..100u8).map(|fill| vec![fill; 1000]));
    assert!(got.iter().all(|(from, _)| *from == Address::Ethernet(other)));
    assert!(got.into_iter().map(|(_, bytes)| bytes).eq(wanted));
    // A device that goes down and comes back: the socket goes on.
    there.sh("ip link set eth0 down");
    assert!(end.receive(&mut arena, &mut |_, _| {}).is_ok());
    there.sh("ip link set eth0 up");
    assert!(batch.push(&to, b"again"));
    eventually("frames after the device came back", || {
        assert!(batch.push(&to, b"again"));
        sender.send(&mut batch);
        let mut heard = false;
        end.receive(&mut arena, &mut |_, bytes| heard |= bytes == b"again").is_ok() && heard
    });
}

#[test]
fn a_device_of_our_own_has_what_it_is_told() {
    need_lab!();
    let host = Namespace::new("host");
    let (_tun, mut system) = host.run(|| {
        (Tun::open_large("bond0", Offload::ALL, true).expect("a device"), System::open("".as_ref()).expect("netlink"))
    });
    // The second queue of the same device.
    let _second = host.run(|| Tun::open_large("bond0", Offload::ALL, true)).expect("another queue");
    let addresses = |list: &[&str]| -> Vec<(IpAddr, u8)> {
        list.iter()
            .map(|text| text.split_once('/').unwrap())
            .map(|(ip, n)| (ip.parse().unwrap(), n.parse().unwrap()))
            .collect()
    };
    let shown = || host.sh("ip -o address show dev bond0 scope global | awk '{ print $4 }'");
    let first = ["10.9.0.2/24", "10.9.0.3/24", "10.9.7.1/32", "fd09::2/64"];
    host.run(|| address::set_up("bond0", 1400, &addresses(&first))).expect("addresses");
    let lines: Vec<String> = shown().lines().map(str::to_owned).collect();
    assert!(first.iter().all(|wanted| lines.iter().any(|line| line == wanted)), "{lines:?}");
    // Twice is as good as once, and what is no longer wanted goes.
    for wanted in [&first[..], &first[1..2], &["fd09::5/64"]] {
        host.run(|| address::set_up("bond0", 1380, &addresses(wanted))).expect("addresses");
        let mut lines: Vec<String> = shown().lines().map(str::to_owned).collect();
        lines.sort();
        let mut wanted: Vec<String> = wanted.iter().map(|text| (*text).to_owned()).collect();
        wanted.sort();
        assert_eq!(lines, wanted);
    }
    assert!(host.sh("ip link show dev bond0").contains("mtu 1380"));
    let device = host.sh("cat /sys/class/net/bond0/ifindex 2>/dev/null || ip -o link show bond0 | cut -d: -f1");
    let route = |to: &str| Route {
        destination: addresses(&[to])[0],
        gateway: None,
        device: device.trim().parse().unwrap(),
        metric: 0,
    };
    for to in ["0.0.0.0/0", "192.0.2.0/24", "::/0", "2001:db8::/32"] {
        let of = if to.contains(':') { Family::Ipv6 } else { Family::Ipv4 };
        let family = of.version();
        system.add_route(4100, &route(to)).expect("a route");
        assert!(host.sh(&format!("ip -{family} route show table 4100")).contains("dev bond0 proto 206"));
        system.remove_routes(of, &|table| table != 4100).expect("no route");
        assert_eq!(host.sh(&format!("ip -{family} route show table 4100 2>/dev/null || true")), "");
    }
    for family in Family::BOTH {
        let rule = Rule { preference: 4090, source: None, mark: 0, mask: 0, table: 254, suppress: Some(0) };
        system.add_rule(family, &rule).expect("a rule");
        assert!(system.rules(family).unwrap().contains(&(rule, 206)));
        let shown = host.sh(&format!("ip -{} rule", family.version()));
        assert!(shown.contains("4090:\tfrom all lookup main suppress_prefixlength 0"), "{shown}");
        assert_eq!(rule.to_string(), "pref 4090 lookup 254 suppress_prefixlength 0");
        system.remove_rule(family, &rule).expect("no rule");
        assert!(!system.rules(family).unwrap().contains(&(rule, 206)));
    }
    assert!(host.run(|| address::set_up("none", 1400, &[])).is_err());
}

fn ether(host: &Namespace) -> Ether {
    host.run(|| Ether::open("eth0")).expect("a socket")
}

fn mac(host: &Namespace) -> [u8; 6] {
    let shown = host.sh("ip -o link show eth0");
    let text = shown.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
    let mut bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal"));
    std::array::from_fn(|_| bytes.next().expect("six bytes"))
}
