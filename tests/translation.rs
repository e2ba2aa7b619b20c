//! Connections that the router's firewall translates, or somebody's ip rules lead elsewhere: what the client asked for is not where
//! they go.

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lab::{Namespace, Server, connect, veth};
use support::{Bed, SERVERS, config, datagrams};

const LIMIT: Duration = Duration::from_secs(4);

/// Not raced: the first link that is up.
const FIRST: &str = "config policy 'first'\n option mode 'failover'";

/// Who is asked for, and another host out there.
const ASKED: IpAddr = SERVERS[0];
const OTHER: [u8; 4] = [198, 51, 100, 7];

/// A neighbour on another of the router's devices.
const NEIGHBOUR: [u8; 4] = [10, 78, 0, 2];

fn neighbour(router: &Namespace) -> Namespace {
    let host = Namespace::new("neighbour");
    veth(&host, "eth0", router, "near0");
    host.sh("ip address add 10.78.0.2/24 dev eth0; ip route add default via 10.78.0.1");
    router.sh("ip address add 10.78.0.1/24 dev near0");
    host
}

#[test]
fn what_the_firewall_sends_elsewhere_arrives_there() {
    need_lab!();
    for more in ["", FIRST] {
        let bed = Bed::with(&[5, 10], &["", ""], more);
        let (router, internet) = (bed.lab.router(), bed.lab.internet());
        let near = neighbour(router);
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
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.write_all(b"hello").unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
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
        let near = neighbour(lab.router());
        near.sh("ip address add 192.0.2.1/32 dev lo");
        lab.router()
            .sh("ip route add 192.0.2.0/24 via 10.78.0.2 dev near0 table 220; ip rule add lookup 220 priority 220");
        let bed = Bed::on(lab, &config(&["", ""], more));
        let server = Server::tcp(&near, ([192, 0, 2, 1], 80));
        let (mut stream, _) = connect(bed.lab.client(), server.address(), LIMIT).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        let marked = |line: &String| line.contains("dst=192.0.2.1 ") && !line.contains("mark=0 ");
        assert!(!lab::conntrack_entries(bed.lab.router()).iter().any(marked), "it is no link's");
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
