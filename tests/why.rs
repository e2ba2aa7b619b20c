//! What `why` says against what the kernel does, so that the two cannot drift apart.

mod support;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::{Direction, Dual, Namespace, Server};
use support::{Bed, SERVERS, config, connect_from, eventually, link_of, ms, raw_packets, second_lan};

/// Policies that take one link each, after one that races. wan2 is the faster one; wan1 has the default route.
const POLICIES: &str = "config policy 'fast'
config policy 'one'\n option mode 'failover'\n list link 'wan1'
config policy 'two'\n option mode 'failover'\n list link 'wan2'\n list link 'wan1'
config policy 'spread'\n option mode 'weighted'
config policy 'silent'\n option mode 'blackhole'
config policy 'refused'\n option mode 'unreachable'\n";

/// A rule for each field, and some that overlap.
const RULES: &str = "config rule 'silence'\n option policy 'silent'\n list proto 'tcp'\n list dest_port '81'
config rule 'refusal'\n option policy 'refused'\n list dest_port '82'\n option proto 'tcp udp'
config rule 'six'\n option policy 'one'\n option family 'ipv6'\n list proto 'tcp'\n list dest_port '666'
config rule 'udp'\n option policy 'one'\n option proto 'udp'\n list dest_port '53'
config rule 'range'\n option policy 'one'\n option proto 'tcp'\n list dest_port '8000-8002'\n list dest_port '9000'
config rule 'number'\n option policy 'one'\n option proto '17'\n list dest_port '70-71'
config rule 'source_port'\n option policy 'one'\n option proto 'tcp'\n list src_port '4000-4001'
config rule 'source'\n option policy 'one'\n list src_ip '10.77.0.3'\n list src_ip 'fd77::3'\n list dest_ip '198.51.100.0/24'
config rule 'guest'\n option policy 'one'\n option src_device 'guest0'
config rule 'films'\n option policy 'one'\n option nftset 'films'
config rule 'net'\n option policy 'one'\n list dest_ip '198.51.100.128/26'\n list dest_ip '2001:db8:51::80/121'
config rule 'other'\n option policy 'two'\n option proto 'tcp'\n list dest_port '9001'
config rule 'dealt'\n option policy 'spread'\n option proto 'tcp'\n list dest_port '9002'
config rule 'local'\n option policy 'one'\n list dest_ip '203.0.113.0/24'\n list dest_ip '10.77.0.0/16'\n";

/// What a connection takes: a link's device, `here`, or `nothing`.
type Taken = String;

/// One connection.
#[derive(Clone, Copy)]
struct Case<'a> {
    host: &'a Namespace,
    /// As the router sees it.
    from: &'a str,
    from_port: u16,
    to: &'a str,
    port: u16,
    tcp: bool,
}

impl Case<'_> {
    /// In the words of `why`; what it can mean.
    fn predicted(&self, bed: &Bed) -> (Vec<Taken>, String) {
        let to = SocketAddr::new(self.to.parse().unwrap(), self.port).to_string();
        let from = match self.from_port {
            0 => self.from.to_owned(),
            port => SocketAddr::new(self.from.parse().unwrap(), port).to_string(),
        };
        let proto = if self.tcp { "tcp" } else { "udp" };
        let arguments = ["why", &to, "--from", &from, "--proto", proto, "--json"];
        let output = bed.daemon.command(bed.lab.router(), &arguments).output().unwrap();
        let json = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let value = |key: &str| {
            let (_, rest) = json.split_once(&format!("\"{key}\":\"")).unwrap_or(("", "none\""));
            rest.split('"').next().unwrap().to_owned()
        };
        let taken = match &*value("way") {
            "link" => vec![value("name")],
            "share" => vec!["wan1".into(), "wan2".into()],
            "race" => vec!["wan2".into()],
            "main" => vec![value("route").rsplit(' ').next().unwrap().to_owned()],
            "local" => vec!["here".into()],
            "drop" | "reject" => vec!["nothing".into()],
            other => panic!("{other}: {json}"),
        };
        (taken, json)
    }

    /// What the kernel does with it.
    fn happens(&self, bed: &Bed) -> Taken {
        let to = SocketAddr::new(self.to.parse().unwrap(), self.port);
        let internet = self.to.starts_with("198.") || self.to.starts_with("2001:") || self.to.starts_with("203.");
        let at = if internet { bed.lab.internet() } else { bed.lab.router() };
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
        let peer = if self.tcp {
            let server = Server::tcp(at, to);
            let stream = match self.from_port {
                0 => lab::connect(self.host, to, ms(1500)).map(|(stream, _)| stream),
                port => connect_from(self.host, SocketAddr::new(any, port), to),
            };
            if stream.is_err() {
                return "nothing".into();
            }
            eventually("accepted", || server.accepted() > 0);
            server.peers()[0]
        } else {
            let server = Server::udp(at, to);
            // Nothing comes back from the internet by a route that masquerades and is not ours; it arrives all the same.
            let _ = lab::query(self.host, to, b"?", ms(500));
            match server.peers().first() {
                Some(peer) => *peer,
                None => return "nothing".into(),
            }
        };
        if internet { format!("wan{}", link_of(peer)) } else { "here".into() }
    }

    #[track_caller]
    fn agrees(&self, bed: &Bed) -> Taken {
        let (predicted, json) = self.predicted(bed);
        let taken = self.happens(bed);
        assert!(
            predicted.contains(&taken),
            "{} port {} to {} port {}: {taken}\n{json}",
            self.from,
            self.from_port,
            self.to,
            self.port
        );
        taken
    }
}

/// Two clients, a guest behind another device, and a bed without its daemon.
fn network() -> (Dual, Namespace) {
    let lab = Bed::builder(&[30, 2]).clients(2).build();
    lab.internet().sh("ip address add 198.51.100.150/24 dev lo; ip address add 2001:db8:51::c8/64 dev lo
         ip address add 198.51.100.77/24 dev lo; ip address add 2001:db8:51::77/64 dev lo
         ip address add 203.0.113.9/24 dev lo
         ip route add 10.78.0.0/24 via 10.77.2.2");
    // A network that the main table knows a way to, as a VPN's.
    lab.router().sh("ip route add 203.0.113.0/24 via 10.77.2.1 dev wan2");
    let guest = second_lan(lab.router());
    (lab, guest)
}

#[test]
fn every_rule_and_way_is_told_as_it_goes() {
    need_lab!();
    let (lab, guest) = network();
    let bed = Bed::on(lab, &config(&["", ""], &format!("{POLICIES}{RULES}")));
    bed.lab.router().sh("nft add element inet cheaproute films4 '{ 198.51.100.64-198.51.100.79 }'
        nft add element inet cheaproute films6 '{ 2001:db8:51::77 }'");
    let (first, second) = (&bed.lab.clients()[0], &bed.lab.clients()[1]);
    let mut all = Vec::new();
    for (host, from, to) in [
        (first, "10.77.0.2", "198.51.100.1"),
        (first, "fd77::2", "2001:db8:51::1"),
        (first, "10.77.0.2", "198.51.100.150"),
        (first, "fd77::2", "2001:db8:51::c8"),
        (first, "10.77.0.2", "198.51.100.77"),
        (first, "fd77::2", "2001:db8:51::77"),
        (second, "10.77.0.3", "198.51.100.1"),
        (second, "fd77::3", "2001:db8:51::1"),
        (&guest, "10.78.0.2", "198.51.100.1"),
        (first, "10.77.0.2", "203.0.113.9"),
        (first, "10.77.0.2", "10.77.0.1"),
    ] {
        let case = Case { host, from, from_port: 0, to, port: 80, tcp: true };
        all.push(case.agrees(&bed));
        for port in [666, 8002, 8003, 9000, 9001, 9002] {
            all.push(Case { port, ..case }.agrees(&bed));
        }
        for from_port in [4001, 4002] {
            Case { from_port, ..case }.agrees(&bed);
        }
        for port in [53, 71, 72, 443] {
            all.push(Case { port, tcp: false, ..case }.agrees(&bed));
        }
    }
    for address in SERVERS {
        let to = address.to_string();
        let from = if address.is_ipv4() { "10.77.0.2" } else { "fd77::2" };
        for port in [81, 82] {
            all.push(Case { host: first, from, from_port: 0, to: &to, port, tcp: true }.agrees(&bed));
        }
    }
    for taken in ["wan1", "wan2", "here", "nothing"] {
        assert!(all.iter().any(|one| one == taken), "no case took {taken}");
    }
}

#[test]
fn protocols_without_ports() {
    need_lab!();
    let rules = "config rule 'echo'\n option policy 'one'\n option proto 'icmp'\n list dest_ip '198.51.100.77'\n list dest_ip '2001:db8:51::77'
        config rule 'number'\n option policy 'two'\n option proto '253'
        config rule 'six'\n option policy 'two'\n option proto '58'\n option family 'ipv4'
        config rule 'ports'\n option policy 'silent'\n list dest_port '1-65535'\n option proto 'tcp udp'";
    let bed = Bed::on(network().0, &config(&["", ""], &format!("{POLICIES}{rules}")));
    for (from, to) in [
        ("10.77.0.2", "198.51.100.1"),
        ("10.77.0.2", "198.51.100.77"),
        ("fd77::2", "2001:db8:51::1"),
        ("fd77::2", "2001:db8:51::77"),
    ] {
        let icmp = if to.contains(':') { 58 } else { 1 };
        for (number, name) in [(icmp, "icmp"), (253, "253"), (254, "254"), (132, "132")] {
            let watches: Vec<_> = bed.lab.wires().iter().map(lab::Wire::watch).collect();
            let arguments = ["why", to, "--from", from, "--proto", name, "--json"];
            let output = bed.daemon.command(bed.lab.router(), &arguments).output().unwrap();
            let json = String::from_utf8(output.stdout).unwrap();
            let told: Vec<&str> = json.split("\"name\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            let packet = packet(from.parse().unwrap(), to.parse().unwrap(), number);
            assert_eq!(raw_packets(bed.lab.client(), [&packet]), 1);
            let is_it = |packet: &lab::Packet| packet.protocol == number && packet.destination.ip().to_string() == to;
            let carried = || -> Vec<String> {
                let some = |watch: &lab::Watch| watch.packets(Direction::Up).iter().any(is_it);
                (1..).zip(&watches).filter(|(_, watch)| some(watch)).map(|(link, _)| format!("wan{link}")).collect()
            };
            eventually("all of it", || carried().len() >= told.len());
            // Another link would have had it by now.
            std::thread::sleep(ms(20));
            let mut told: Vec<&str> = told.clone();
            told.sort_unstable();
            assert_eq!(carried(), told, "{name} to {to}: {json}");
        }
    }
}

/// A first packet of a protocol: of ICMP, an echo request.
fn packet(from: IpAddr, to: IpAddr, protocol: u8) -> Vec<u8> {
    use etherparse::PacketBuilder;
    let mut bytes = Vec::new();
    let builder = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => panic!("of two families"),
    };
    match protocol {
        1 => builder.icmpv4_echo_request(7, 1).write(&mut bytes, b"12345678"),
        58 => builder.icmpv6_echo_request(7, 1).write(&mut bytes, b"12345678"),
        other => builder.write(&mut bytes, other.into(), b"12345678abcdefgh"),
    }
    .expect("a packet");
    bytes
}

#[test]
fn links_that_are_down_or_metered_and_the_last_resort() {
    need_lab!();
    let (lab, _guest) = network();
    let more = format!(
        "{POLICIES}config policy 'only'\n list link 'wan2'\n option last_resort 'unreachable'
        config rule 'last'\n option policy 'only'\n option proto 'tcp'\n list dest_port '7000'
        config rule 'other'\n option policy 'two'\n option proto 'tcp'\n list dest_port '9001'"
    );
    let bed = Bed::on(lab, &config(&["option metered '1'", ""], &more));
    let case =
        |port| Case { host: bed.lab.client(), from: "10.77.0.2", from_port: 0, to: "198.51.100.1", port, tcp: true };
    let ports = [80, 7000, 9001];
    assert_eq!(ports.map(|port| case(port).agrees(&bed)), ["wan2", "wan2", "wan2"]);
    let mark = bed.daemon.process.lines_so_far();
    bed.lab.wire(2).unplug();
    bed.daemon.says(mark, "link wan2 is down");
    eventually("the rules without it", || case(7000).happens(&bed) == "nothing");
    assert_eq!(ports.map(|port| case(port).agrees(&bed)), ["wan1", "nothing", "wan1"]);
    let output = bed.daemon.command(bed.lab.router(), &["why", "198.51.100.1:7000"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = [
        "tcp to 198.51.100.1 port 7000, from any client",
        "  takes  no link: it is refused",
        "  why    rule 'last' matches: proto tcp, dest_port 7000: policy 'only'",
        "         link wan2 is absent: no carrier",
        "         no link of policy 'only' can carry it; its last_resort: it is refused",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn the_routers_own_connections() {
    need_lab!();
    for local in ["0", "1"] {
        let rules = "config rule 'other'\n option policy 'two'\n option proto 'tcp'\n list dest_port '9001'
            config rule 'guest'\n option policy 'silent'\n option src_device 'lan0'";
        let text = config(&["", ""], &format!("{POLICIES}{rules}"));
        let option = format!("option local_traffic '{local}'\n option log_level");
        let bed = Bed::on(network().0, &text.replacen("option log_level", &option, 1));
        for (from, to) in [("10.77.1.2", SERVERS[0]), ("fd77:1::2", SERVERS[1])] {
            let to = to.to_string();
            for port in [80, 9001] {
                Case { host: bed.lab.router(), from, from_port: 0, to: &to, port, tcp: true }.agrees(&bed);
            }
        }
        // Bound to the address of another link than the main table's; what happens then, tests/steering.rs shows.
        for (from, to) in [("10.77.2.2", SERVERS[0]), ("fd77:2::2", SERVERS[1])] {
            let to = to.to_string();
            let case = Case { host: bed.lab.router(), from, from_port: 0, to: &to, port: 80, tcp: true };
            let (predicted, json) = case.predicted(&bed);
            assert!(predicted == ["wan2"] && json.contains("asks for link wan2's address"), "{json}");
        }
    }
}

/// The links' own tables lead there; the main one need not.
#[test]
fn without_a_default_route_both_families_are_steered() {
    need_lab!();
    let (lab, _guest) = network();
    let bed = Bed::on(lab, &config(&["", ""], POLICIES));
    bed.lab.router().sh("ip route del default; ip -6 route del default");
    for (from, to) in [("fd77::2", "2001:db8:51::1"), ("10.77.0.2", "198.51.100.1")] {
        let case = Case { host: bed.lab.client(), from, from_port: 0, to, port: 80, tcp: true };
        let (predicted, json) = case.predicted(&bed);
        assert!(predicted.iter().any(|way| way.starts_with("wan")), "{json}");
        case.agrees(&bed);
    }
}

#[test]
fn a_global_address_leaves_by_the_link_that_delegated_it() {
    need_lab!();
    let lab = Bed::builder(&[2, 20]).build();
    lab.client().sh("ip address add 2001:db8:2::5/64 dev eth0; ip address add 2001:db8:3::5/64 dev eth0");
    // Untranslated, so the wires tell what left where.
    lab.router().sh("ip route add 2001:db8:2::/64 dev lan0; ip route add 2001:db8:3::/64 dev lan0
        nft flush chain inet fw srcnat
        nft add rule inet fw srcnat oifname 'wan*' meta nfproto ipv4 masquerade");
    lab.internet().sh("ip route add 2001:db8:2::/64 via fd77:2::2 dev isp2
        ip route add 2001:db8:3::/64 via fd77:1::2 dev isp1");
    let bed = Bed::on(lab, &config(&["", "list prefix '2001:db8:2::/48'"], ""));
    let server = bed.server(SERVERS[1], 80);
    for (from, link) in [("2001:db8:2::5", "wan2"), ("2001:db8:3::5", "wan1")] {
        let to = SERVERS[1].to_string();
        let case = Case { host: bed.lab.client(), from, from_port: 0, to: &to, port: 80, tcp: true };
        assert_eq!(case.predicted(&bed).0, [link]);
        let watches: Vec<_> = bed.lab.wires().iter().map(lab::Wire::watch).collect();
        let _stream = connect_from(bed.lab.client(), (from.parse::<IpAddr>().unwrap(), 0), server.address()).unwrap();
        let carried = |watch: &lab::Watch| watch.packets(Direction::Up).iter().any(lab::Packet::is_syn);
        let links: Vec<String> =
            (1..).zip(&watches).filter(|(_, w)| carried(w)).map(|(n, _)| format!("wan{n}")).collect();
        assert_eq!(links, [link], "{from}");
    }
}

#[test]
fn races_and_names_are_told() {
    need_lab!();
    let bed = Bed::with(&[20, 2], &["", ""], "config policy 'fast'\n option remember '1h'");
    let server = bed.server(SERVERS[0], 80);
    assert_eq!(bed.link_taken(&server), 2);
    std::thread::sleep(Duration::from_millis(100)); // the loser's answer
    let ask = |arguments: &[&str]| {
        let output = bed.daemon.command(bed.lab.router(), arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr))
    };
    let (code, text) = ask(&["why", "198.51.100.1:80", "--from", "10.77.0.2"]);
    assert_eq!(code, Some(0));
    let told = [
        "tcp to 198.51.100.1 port 80, from 10.77.0.2 by lan0\n",
        "  takes  the fastest of wan1 and wan2, in a race\n",
        "races to its neighbourhood took: wan1 ",
        "wan2 alone gets the first packet",
        "s ago, was won by wan2",
        "wan1: mark 0x01000000, routing table 4001",
    ];
    assert!(told.iter().all(|part| text.contains(part)), "{text}");
    // Both families of a name.
    let (code, text) = ask(&["why", "localhost"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("127.0.0.1 is the router's own address"), "{text}");
    let (code, text) = ask(&["why", "198.51.100.1", "--from", "fd77::2"]);
    assert!(code == Some(2) && text.contains("not of one address family"), "{text}");
}
