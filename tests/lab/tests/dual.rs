//! The standard network works, on every link and in both families, several times at once.

use std::io::{Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use lab::{Direction, Dual, SERVER4, SERVER6, Server, connect, gateway4, gateway6, ping, ping_via, router4, router6};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn every_link_reaches_the_servers_in_both_families() {
    if !lab::ready() {
        return;
    }
    let lab = Dual::builder().links(3).backup_routes().build();
    for (link, wire) in (1..).zip(lab.wires()) {
        let device = format!("wan{link}");
        let before = wire.counters(Direction::Down).packets;
        for target in [gateway4(link), gateway6(link), IpAddr::from(SERVER4), IpAddr::from(SERVER6)] {
            ping_via(lab.router(), Some(&device), target, SECOND).unwrap_or_else(|e| panic!("{target}, {device}: {e}"));
        }
        assert!(wire.counters(Direction::Down).packets >= before + 4, "the answers take the same wire");
    }
}

#[test]
fn clients_are_masqueraded_behind_the_first_link() {
    if !lab::ready() {
        return;
    }
    let lab = Dual::builder().clients(2).build();
    let watch = lab.wire(2).watch();
    for server in [IpAddr::from(SERVER4), IpAddr::from(SERVER6)] {
        let server = Server::tcp(lab.internet(), (server, 80));
        for client in lab.clients() {
            let (mut stream, _) = connect(client, server.address(), SECOND).unwrap();
            stream.set_read_timeout(Some(SECOND)).unwrap();
            stream.write_all(b"ping").unwrap();
            stream.read_exact(&mut [0; 4]).unwrap();
        }
        let outside = if server.address().is_ipv4() { router4(1) } else { router6(1) };
        assert_eq!(server.accepted(), 2);
        assert!(server.peers().iter().all(|peer| peer.ip() == outside), "{:?}", server.peers());
    }
    let entries = lab::conntrack_entries(lab.router());
    for client in ["src=10.77.0.2 ", "src=10.77.0.3 ", "src=fd77::2 ", "src=fd77::3 "] {
        assert_eq!(entries.iter().filter(|e| e.contains(client)).count(), 1, "{client}: {entries:#?}");
    }
    assert!(!watch.packets(Direction::Up).iter().any(|p| p.is_tcp()), "nothing leaves by the second link");
}

#[test]
fn two_labs_stand_side_by_side() {
    if !lab::ready() {
        return;
    }
    let build = |ms| Dual::builder().delays(&[Duration::from_millis(ms)]).build();
    let (near, far) = (build(0), build(20));
    let time = |lab: &Dual| ping(lab.client(), SERVER4, SECOND).unwrap();
    assert!(time(&near) < Duration::from_millis(20));
    assert!(time(&far) >= Duration::from_millis(40));
    near.wire(1).blackhole(true);
    assert!(ping(near.client(), SERVER4, Duration::from_millis(50)).is_err());
    time(&far);
}
