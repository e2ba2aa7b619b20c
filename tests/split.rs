//! Splits: one TCP connection over two addresses of its receiver, by ratio, joined there.

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use lab::{Direction, Namespace, Process, Server, Shape, Wire};
use support::{Daemon, eventually, ms, settled};

/// A sender and a receiver, joined by two wires; a client behind the sender.
///
/// ```text
/// client 10.78.0.2 ── lan0 10.78.0.1 sender wan1 10.77.1.2 ══ 10.77.1.1 in1 receiver
///        fd78::2           fd78::1          wan2 10.77.2.2 ══ 10.77.2.1 in2
/// ```
struct Pair {
    wires: [Wire; 2],
    client: Namespace,
    sender: Namespace,
    receiver: Namespace,
}

const PORT: u16 = 1234;

fn address(path: u16, ipv4: bool) -> IpAddr {
    if ipv4 { [10, 77, path as u8, 1].into() } else { [0xfd77, path, 0, 0, 0, 0, 0, 1].into() }
}

fn endpoint(path: u16, ipv4: bool) -> SocketAddr {
    (address(path, ipv4), PORT).into()
}

impl Pair {
    #[track_caller]
    fn new() -> Self {
        let [client, sender, receiver] = ["client", "sender", "receiver"].map(Namespace::new);
        lab::veth(&client, "eth0", &sender, "lan0");
        let wires = [Wire::new(&sender, "wan1", &receiver, "in1"), Wire::new(&sender, "wan2", &receiver, "in2")];
        wires.iter().for_each(|wire| wire.both(Shape::delayed(ms(5))));
        client.sh("ip address add 10.78.0.2/24 dev eth0; ip address add fd78::2/64 dev eth0
            ip route add default via 10.78.0.1; ip route add default via fd78::1");
        sender.sh("ip address add 10.78.0.1/24 dev lan0; ip address add fd78::1/64 dev lan0");
        // Strict, as many a distribution has it: only the daemon makes it work.
        receiver.sh("for d in in1 in2; do echo 1 > /proc/sys/net/ipv4/conf/$d/rp_filter; done");
        for path in 1..=2 {
            sender.sh(&format!(
                "ip address add 10.77.{path}.2/24 dev wan{path}; ip address add fd77:{path}::2/64 dev wan{path}"
            ));
            receiver.sh(&format!(
                "ip address add 10.77.{path}.1/24 dev in{path}; ip address add fd77:{path}::1/64 dev in{path}"
            ));
        }
        receiver.sh("ip route add 10.78.0.0/24 via 10.77.1.2; ip route add fd78::/64 via fd77:1::2");
        // IPv6 addresses come to the local table in their own time, and what a test finds at first must last.
        for (host, addresses) in
            [(&sender, ["fd78::1", "fd77:1::2", "fd77:2::2"].as_slice()), (&receiver, &["fd77:1::1", "fd77:2::1"])]
        {
            eventually("addresses", || {
                let local = host.sh("ip -6 route show table local");
                addresses.iter().all(|address| local.contains(&format!("local {address} ")))
            });
        }
        Pair { wires, client, sender, receiver }
    }

    /// A daemon with splits of both families, on ports of their own.
    #[track_caller]
    fn daemon(&self, side: &str, more: &str) -> Daemon {
        let (host, devices) = if side == "sender" { (&self.sender, "wan") } else { (&self.receiver, "in") };
        let mut text = "config cheaproute main\n option log_level debug\n".to_owned();
        for path in 1..=2 {
            let peer = if side == "sender" { 1 } else { 2 };
            text += &format!(
                "config link path{path}\n option device {devices}{path}\n option gateway 10.77.{path}.{peer}\n \
                 option gateway6 fd77:{path}::{peer}\n list probe icmp:10.77.{path}.{peer}\n"
            );
        }
        text += &splits(side, more);
        Daemon::start(host, &text)
    }

    fn frames(&self) -> [u64; 2] {
        [0, 1].map(|wire| self.wires[wire].counters(Direction::Up).packets)
    }

    /// Sends through a new connection; says how many frames each wire carried meanwhile.
    #[track_caller]
    fn send(&self, from: &Namespace, ipv4: bool, bytes: usize) -> [u64; 2] {
        let server = Server::sink(&self.receiver, (address(1, ipv4), PORT));
        let before = self.frames();
        let (stream, _) = lab::connect(from, endpoint(1, ipv4), ms(4000)).expect("a connection");
        upload(stream, bytes);
        assert_eq!(server.accepted(), 1);
        let after = self.frames();
        [after[0] - before[0], after[1] - before[1]]
    }

    /// The `split` command: its success, and what it said.
    #[track_caller]
    fn tool(&self, host: &Namespace, arguments: &str) -> (bool, String) {
        let mut command = host.command(env!("CARGO_BIN_EXE_cheaproute"));
        command.arg("split").args(arguments.split_whitespace());
        let mut process = Process::spawn(command);
        let status = process.wait(ms(10_000)).expect("an end");
        (status.success(), process.output())
    }

    #[track_caller]
    fn done(&self, host: &Namespace, arguments: &str) -> String {
        let (good, said) = self.tool(host, arguments);
        assert!(good, "{arguments}: {said}");
        said
    }
}

fn splits(side: &str, more: &str) -> String {
    let section = |name: &str, ipv4| {
        let (primary, secondary) = (endpoint(1, ipv4), endpoint(2, ipv4));
        format!(
            "config split {name}\n option side {side}\n option primary {primary}\n option secondary {secondary}\n {more}\n"
        )
    };
    section("four", true) + &section("six", false)
}

/// Sends all and waits until the far end has counted it.
#[track_caller]
fn upload(mut stream: TcpStream, bytes: usize) {
    stream.set_write_timeout(Some(ms(20_000))).unwrap();
    stream.write_all(&vec![7; bytes]).expect("all is sent");
    finish(stream, bytes);
}

/// Ends a connection over which so many bytes were sent, and has the far end confirm them.
#[track_caller]
fn finish(mut stream: TcpStream, bytes: usize) {
    stream.set_read_timeout(Some(ms(20_000))).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut count = [0; 8];
    stream.read_exact(&mut count).expect("the far end's count");
    assert_eq!(u64::from_be_bytes(count), bytes as u64);
}

/// Three of four, as near as acknowledgments, retransmissions and other packets allow.
#[track_caller]
fn is_three_to_one([first, second]: [u64; 2]) {
    let share = second as f64 / (first + second) as f64;
    assert!((0.15..0.35).contains(&share), "{first} and {second} frames");
}

#[test]
fn daemons_split_and_join_both_families_and_leave_nothing() {
    need_lab!();
    let pair = Pair::new();
    let (sender, receiver) = (settled(&pair.sender), settled(&pair.receiver));
    let arp = || pair.receiver.sh("cat /proc/sys/net/ipv4/conf/in1/arp_filter /proc/sys/net/ipv4/conf/in2/arp_filter");
    let forward = || {
        let names = "ipv4/ip_forward ipv6/conf/all/forwarding ipv6/conf/wan1/accept_ra ipv6/conf/lan0/accept_ra";
        pair.sender.sh(&format!("cd /proc/sys/net; echo $(cat {names})"))
    };
    // A host's default, and a router's.
    pair.sender.sysctl("net/ipv6/conf/wan1/accept_ra", "1");
    pair.sender.sysctl("net/ipv6/conf/lan0/accept_ra", "0");
    assert_eq!((arp().as_str(), forward().as_str()), ("0\n0\n", "0 0 1 0\n"));
    let mut ends = [pair.daemon("sender", "option ratio 7500:2500"), pair.daemon("receiver", "")];
    assert_eq!((arp().as_str(), forward().as_str()), ("1\n1\n", "1 1 2 0\n"));
    for ipv4 in [true, false] {
        is_three_to_one(pair.send(&pair.sender, ipv4, 3_000_000));
        is_three_to_one(pair.send(&pair.client, ipv4, 3_000_000));
    }
    let list = pair.done(&pair.sender, "-L");
    assert!(list.contains("# the daemon's: -A sender -P 10.77.1.1:1234 -S 10.77.2.1:1234 -R 7500:2500\n"), "{list}");
    // What a split asked for goes with it, at a reload already: one that has the first only, and then none.
    for end in &mut ends {
        let text = std::fs::read_to_string(end.file()).unwrap();
        end.reload(text.split("config split six").next().unwrap(), "reloaded");
    }
    eventually("no IPv6", || (arp().as_str(), forward().as_str()) == ("1\n1\n", "1 0 1 0\n"));
    for end in &mut ends {
        let text = std::fs::read_to_string(end.file()).unwrap();
        end.reload(text.split("config split").next().unwrap(), "reloaded");
    }
    eventually("no split", || (arp().as_str(), forward().as_str()) == ("0\n0\n", "0 0 1 0\n"));
    ends.iter_mut().for_each(Daemon::stop);
    assert_eq!((settled(&pair.sender), settled(&pair.receiver)), (sender, receiver));
}

#[test]
fn a_reload_changes_splits_and_takes_them_away() {
    need_lab!();
    let pair = Pair::new();
    let mut daemon = pair.daemon("sender", "option ratio 7500:2500");
    let text = std::fs::read_to_string(daemon.file()).unwrap();
    let listed = || pair.done(&pair.sender, "-L");
    daemon.reload(&text.replace("7500:2500", "1:2"), "reloaded");
    eventually("the new ratio", || listed().contains("-R 1:2"));
    assert!(!listed().contains("7500"));
    daemon.reload(&text.replace("7500:2500", "7500"), "must be two whole numbers from 1 to 65535");
    assert!(listed().contains("-R 1:2"), "nothing changed");
    daemon.reload(text.split("config split").next().unwrap(), "reloaded");
    eventually("no split", || listed().is_empty());
}

#[test]
fn everything_takes_the_first_path_while_the_second_is_down() {
    need_lab!();
    let pair = Pair::new();
    let daemon = pair.daemon("sender", "option ratio 1:1");
    let _receiver = pair.daemon("receiver", "");
    let server = Server::sink(&pair.receiver, endpoint(1, true));
    let (mut stream, _) = lab::connect(&pair.client, server.address(), ms(4000)).expect("a connection");
    stream.set_write_timeout(Some(ms(20_000))).unwrap();
    stream.write_all(&[7; 500_000]).unwrap();
    let mark = daemon.process.lines_so_far();
    pair.wires[1].blackhole(true);
    daemon.says(mark, "split four: everything takes the first path: link path2");
    eventually("the rules know", || pair.done(&pair.sender, "-L").contains("the second path is down"));
    // The connection that had both goes on, and new ones come about.
    stream.write_all(&[7; 500_000]).unwrap();
    finish(stream, 1_000_000);
    drop(server);
    pair.send(&pair.client, true, 1_000_000);
    let mark = daemon.process.lines_so_far();
    pair.wires[1].blackhole(false);
    daemon.says(mark, "split four: in use again, over both paths");
    eventually("the rules know", || !pair.done(&pair.sender, "-L").contains("the second path is down"));
    let [first, second] = pair.send(&pair.client, true, 2_000_000);
    assert!(second > first / 3, "{first} and {second} frames");
}

#[test]
fn the_command_splits_without_a_daemon_and_flush_leaves_nothing() {
    need_lab!();
    let pair = Pair::new();
    pair.receiver.sh("for d in in1 in2; do echo 2 > /proc/sys/net/ipv4/conf/$d/rp_filter; done");
    let before = (settled(&pair.sender), settled(&pair.receiver));
    for ipv4 in [true, false] {
        let ends = format!("-P {} -S {}", endpoint(1, ipv4), endpoint(2, ipv4));
        pair.done(&pair.sender, &format!("-A sender {ends} -R 7500:2500"));
        pair.done(&pair.receiver, &format!("-A receiver {ends}"));
        is_three_to_one(pair.send(&pair.sender, ipv4, 3_000_000));
    }
    assert_eq!(
        pair.done(&pair.sender, "-L"),
        "-A sender -P 10.77.1.1:1234 -S 10.77.2.1:1234 -R 7500:2500\n\
         -A sender -P [fd77:1::1]:1234 -S [fd77:2::1]:1234 -R 7500:2500\n"
    );
    pair.done(&pair.sender, "-F receiver");
    assert_eq!(pair.done(&pair.sender, "-L").lines().count(), 2, "none of that side");
    pair.done(&pair.sender, "-F sender");
    pair.done(&pair.receiver, "-F receiver");
    assert_eq!(pair.done(&pair.receiver, "-L"), "");
    assert_eq!((settled(&pair.sender), settled(&pair.receiver)), before);
    pair.done(&pair.receiver, "-F receiver");
}

#[test]
fn the_commands_splits_outlive_the_daemon_and_its_reloads() {
    need_lab!();
    let pair = Pair::new();
    let mut daemon = pair.daemon("sender", "");
    let (good, said) = pair.tool(&pair.sender, "-A sender -P 10.77.1.1:1234 -S 10.77.2.1:9");
    assert!(!good && said.contains("there is a split of these packets already"), "{said}");
    pair.done(&pair.sender, "-A sender -P 10.77.1.1:5 -S 10.77.2.1:5");
    let text = std::fs::read_to_string(daemon.file()).unwrap();
    daemon.reload(&text, "reloaded");
    daemon.stop();
    assert_eq!(pair.done(&pair.sender, "-L"), "-A sender -P 10.77.1.1:5 -S 10.77.2.1:5 -R 1:1\n");
}

#[test]
fn bad_input_is_one_clear_line_and_changes_nothing() {
    need_lab!();
    let host = Namespace::new("host");
    host.sh("ip address add 10.0.0.11/24 dev lo");
    let before = settled(&host);
    let ends = "-P 10.0.0.11:1 -S 10.0.0.12:1";
    for (line, error) in [
        (format!("-A sender {ends} -R 3"), "-R takes two whole numbers from 1 to 65535, such as 7500:2500, not '3'"),
        (format!("-A sender {ends} -R 0:1"), "not '0:1'"),
        ("-A sender -P 10.0.0.11:1 -S 10.0.0.11:1".into(), "the secondary address is the primary one"),
        ("-A sender -P 10.0.0.11:1 -S [fd00::1]:1".into(), "the other family"),
        ("-A sender -P 10.0.0.11 -S 10.0.0.12:1".into(), "-P takes a host's address and a port"),
        ("-A sender -P 10.0.0.11:1".into(), "-A needs both addresses"),
        (format!("-A both {ends}"), "-A takes sender or receiver, not 'both'"),
        (format!("-A receiver {ends}"), "this host does not have the address 10.0.0.12: a receiver needs both"),
        (format!("-A receiver {ends} -R 1:1"), "a receiver takes no ratio"),
        (format!("{ends} -R 1:1"), "go with -A"),
        ("-F all".into(), "-F takes sender or receiver"),
        ("-F sender -L".into(), "one thing at a time"),
        ("-X".into(), "-X"),
        (String::new(), "split takes one of -A, -F and -L"),
    ] {
        let mut command = host.command(env!("CARGO_BIN_EXE_cheaproute"));
        command.arg("split").args(line.split_whitespace());
        let mut process = Process::spawn(command);
        let status = process.wait(ms(10_000)).expect("an end");
        let said = process.output();
        let code = if error.starts_with("this host") { 1 } else { 2 };
        assert_eq!(status.code(), Some(code), "{line}: {said}");
        assert!(said.contains(error) && said.lines().count() == 1, "{line}: {said}");
    }
    assert_eq!(settled(&host), before);
}

#[test]
fn a_receivers_daemon_waits_for_its_addresses() {
    need_lab!();
    let pair = Pair::new();
    pair.receiver.sh("ip address del 10.77.2.1/24 dev in2; ip address add 10.77.2.3/24 dev in2");
    let daemon = pair.daemon("receiver", "");
    daemon.says(0, "split four: not in use: this host does not have the address 10.77.2.1");
    assert!(!pair.done(&pair.receiver, "-L").contains("10.77.2.1"));
    let mark = daemon.process.lines_so_far();
    pair.receiver.sh("ip address add 10.77.2.1/24 dev in2");
    daemon.says(mark, "split four: in use again");
    eventually("its rule", || pair.done(&pair.receiver, "-L").contains("10.77.2.1"));
    eventually("its table", || pair.receiver.sh("ip rule").contains("from 10.77.2.1 lookup"));
}
