//! Connections that the router's firewall translates, or somebody's ip rules lead elsewhere: what the client asked for is not where
//! they go.

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::Duration;

use lab::{Namespace, Server, connect, veth};
use support::{Bed, SERVERS, config, datagrams, eventually, second_lan};

const LIMIT: Duration = Duration::from_secs(4);

/// Not raced: the first link that is up.
const FIRST: &str = "config policy 'first'\n option mode 'failover'";

/// Who is asked for, and another host out there.
const ASKED: IpAddr = SERVERS[0];
const OTHER: [u8; 4] = [198, 51, 100, 7];

/// In the second LAN.
const NEIGHBOUR: [u8; 4] = [10, 78, 0, 2];

#[test]
fn what_the_firewall_sends_elsewhere_arrives_there() {
    need_lab!();
    for more in ["", FIRST] {
        let bed = Bed::with(&[5, 10], &["", ""], more);
        let (router, internet) = (bed.lab.router(), bed.lab.internet());
        let near = second_lan(router);
        internet.sh("ip address add 198.51.100.7/32 dev lo");
        router.sh("nft add chain inet fw dstnat '{ type nat hook prerouting priority dstnat; }'
            nft add rule inet fw dstnat iifname lan0 meta l4proto { tcp, udp } th dport 53 redirect to :5353
            nft add rule inet fw dstnat iifname lan0 meta nfproto ipv4 meta l4proto { tcp, udp } th dport 443 dnat to 198.51.100.7
            nft add rule inet fw dstnat iifname lan0 meta nfproto ipv4 tcp dport 83 dnat to 10.78.0.2");
        let any: [u8; 4] = Ipv4Addr::UNSPECIFIED.octets();
        let here = (Server::tcp(router, (any, 5353)), Server::udp(router, (any, 5353)));
        let there = (Server::tcp(internet, (OTHER, 443)), Server::udp(internet, (OTHER, 443)));
        let by = Server::tcp(&near, (NEIGHBOUR, 83));
        for (port, tcp, udp) in [(53, &here.0, Some(&here.1)), (443, &there.0, Some(&there.1)), (83, &by, None)] {
            let (mut stream, _) = connect(bed.lab.client(), (ASKED, port), LIMIT)
                .unwrap_or_else(|error| panic!("port {port}, {more}: {error}"));
            echo(&mut stream);
            assert_eq!(tcp.accepted(), 1, "port {port}");
            let Some(udp) = udp else { continue };
            let socket = datagrams(bed.lab.client(), (ASKED, port).into());
            socket.send(b"?").unwrap();
            let answer = socket.recv(&mut [0; 8]);
            assert!(answer.is_ok(), "port {port}, {more}: {answer:?}");
            assert_eq!(udp.peers().len(), 1);
        }
    }
}

/// As a VPN's table comes before ours.
#[test]
fn what_another_programs_rules_lead_away_is_no_links() {
    need_lab!();
    for more in ["", FIRST] {
        let lab = Bed::builder(&[5, 10]).build();
        let near = second_lan(lab.router());
        near.sh("ip address add 192.0.2.1/32 dev lo");
        lab.router()
            .sh("ip route add 192.0.2.0/24 via 10.78.0.2 dev guest0 table 220; ip rule add lookup 220 priority 220");
        let bed = Bed::on(lab, &config(&["", ""], more));
        let server = Server::tcp(&near, ([192, 0, 2, 1], 80));
        let (mut stream, _) = connect(bed.lab.client(), server.address(), LIMIT).unwrap();
        echo(&mut stream);
        let marked = |line: &String| line.contains("dst=192.0.2.1 ") && !line.contains("mark=0 ");
        assert!(!lab::conntrack_entries(bed.lab.router()).iter().any(marked), "it is no link's");
    }
}

/// Our rules come before theirs, so that what they lead away must have no mark of ours: Tailscale's table, wg-quick's, and those of
/// policies by marks.
#[test]
fn what_other_programs_rules_lead_elsewhere_goes_there() {
    need_lab!();
    for more in ["", FIRST] {
        let lab = Bed::builder(&[5, 10]).build();
        let near = second_lan(lab.router());
        near.sh("ip address add 192.0.2.1/32 dev lo; ip address add 198.51.100.1/32 dev lo; ip -6 address add 2001:db8:51::1 dev lo");
        lab.router()
            .sh("ip route add 192.0.2.0/24 via 10.78.0.2 dev guest0 table 52; ip rule add lookup 52 priority 5270");
        let text =
            config(&["", ""], more).replacen("option log_level", "option local_traffic '1'\n option log_level", 1);
        let bed = Bed::on(lab, &text);
        let (client, router) = (bed.lab.client(), bed.lab.router());
        let server = Server::tcp(&near, ([192, 0, 2, 1], 80));
        for host in [client, router] {
            let connected = connect(host, server.address(), LIMIT);
            assert!(connected.is_ok(), "{more}, {}: {connected:?}", host.name());
        }
        // All else takes the links as ever.
        let outside = bed.server(ASKED, 80);
        assert_eq!(bed.link_taken(&outside), 1);
        // What comes later counts as well: a policy by marks, of which the client's firewall knows.
        router.sh("nft add chain inet fw pbr '{ type filter hook prerouting priority mangle; }'
            nft add rule inet fw pbr iifname lan0 tcp dport 81 meta mark set 0x10000
            ip route add default via 10.78.0.2 dev guest0 table 53; ip rule add fwmark 0x10000/0xff0000 lookup 53 priority 29999");
        eventually("new rules", || router.sh("nft list chain inet cheaproute new").contains("0x00ff0000"));
        let there = Server::tcp(&near, (ASKED, 81));
        let connected = connect(client, there.address(), LIMIT);
        assert!(connected.is_ok(), "{more}: {connected:?}");
        // A tunnel for all that its own packets do not have the mark of.
        router.sh("ip rule add not fwmark 0xca6c lookup 53 priority 32764
            ip rule add lookup main suppress_prefixlength 0 priority 32763");
        eventually("new rules", || connect(client, (ASKED, 82), LIMIT).is_err());
        assert!(router.sh("nft list chain inet cheaproute new").contains("fib daddr . mark"));
        let all = Server::tcp(&near, (ASKED, 83));
        eventually("through the tunnel", || connect(client, all.address(), LIMIT).is_ok());
        router.sh("ip rule del priority 32764; ip rule del priority 29999; ip rule del priority 5270; ip rule del priority 32763");
        eventually("the links", || !router.sh("nft list chain inet cheaproute new").contains("fib daddr . mark"));
        assert_eq!(bed.link_taken(&outside), 1);
    }
}

/// Each hop answers by an error, which must find the connection: a race's copies have none.
#[test]
fn traceroute_sees_the_hops() {
    need_lab!();
    let bed = Bed::new(&[5, 10]);
    let internet = bed.lab.internet();
    let beyond = Namespace::new("beyond");
    veth(&beyond, "eth0", internet, "far0");
    beyond.sh("ip address add 192.0.2.2/24 dev eth0; ip route add default via 192.0.2.1");
    internet.sh("ip address add 192.0.2.1/24 dev far0");
    internet.sysctl("net/ipv4/ip_forward", "1");
    let ping = |hops: u8| bed.lab.client().sh(&format!("ping -n -c 1 -W 2 -t {hops} 192.0.2.2 || true"));
    let (second, third) = (ping(2), ping(3));
    assert!(second.contains(&format!("From {}", lab::gateway4(1))) && second.contains("exceeded"), "{second}");
    assert!(third.contains("1 received"), "{third}");
}

fn echo(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
}
