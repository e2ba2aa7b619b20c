//! What the router itself sends: `local_traffic`.

mod support;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cheaproute::linux::tun::Tun;
use lab::{Direction, Namespace, Server};
use socket2::{Domain, Socket, Type};
use support::{Bed, SERVERS, config, connect_from, eventually, link_from, link_of, ms};

const LIMIT: Duration = Duration::from_secs(20);
const CLIENT4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));
const CLIENT6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2));

/// A configuration with `option local_traffic`.
fn local(local: &str, links: &[&str], more: &str) -> String {
    config(links, more).replacen("option log_level", &format!("option local_traffic '{local}'\n option log_level"), 1)
}

#[test]
fn the_routers_own_connections_are_raced_if_wanted() {
    need_lab!();
    for (wish, wanted) in [("0", 1), ("1", 2)] {
        let bed = Bed::on(Bed::builder(&[30, 2]).build(), &local(wish, &["", ""], ""));
        for address in SERVERS {
            let server = bed.server(address, 80);
            assert_eq!(link_from(bed.lab.router(), &server), wanted, "local_traffic {wish}, {address}");
            let dns = Server::udp(bed.lab.internet(), (address, 53));
            assert!(lab::query(bed.lab.router(), dns.address(), b"?", ms(1000)).is_ok());
            eventually("all copies", || dns.accepted() == wanted);
        }
    }
}

/// A VPN's end with an address of its own, a program that is told its interface.
#[test]
fn the_routers_own_connections_keep_the_link_that_they_ask_for() {
    need_lab!();
    for wish in ["0", "1"] {
        // Both what the main table prefers and what is faster is the other link.
        let bed = Bed::on(Bed::builder(&[2, 20]).backup_routes().build(), &local(wish, &["", ""], ""));
        for (address, outer) in SERVERS.into_iter().zip([lab::router4(2), lab::router6(2)]) {
            let server = bed.server(address, 80);
            let _stream = connect_from(bed.lab.router(), (outer, 0), server.address()).expect("bound to an address");
            let _other = connect_by(bed.lab.router(), "wan2", server.address()).expect("bound to a device");
            eventually("both are accepted", || server.accepted() == 2);
            let taken: Vec<usize> = server.peers().into_iter().map(link_of).collect();
            assert_eq!(taken, [2, 2], "local_traffic {wish}, {address}");
            // Next door no link is asked for.
            let inner = Server::tcp(bed.lab.client(), (if address.is_ipv4() { CLIENT4 } else { CLIENT6 }, 81));
            let _inner = connect_from(bed.lab.router(), (outer, 0), inner.address()).expect("a neighbour");
        }
    }
}

/// Nothing in its packets tells of that: only where the routing leads them.
#[test]
fn a_program_that_is_bound_to_the_main_tables_device_is_answered_by_it() {
    need_lab!();
    let bed = Bed::on(Bed::builder(&[30, 2]).build(), &local("1", &["", ""], ""));
    for address in SERVERS {
        let server = bed.server(address, 80);
        let _bound = connect_by(bed.lab.router(), "wan1", server.address()).expect("bound to a device");
        eventually("it is accepted", || server.accepted() == 1);
        assert_eq!(link_of(server.peers()[0]), 1, "{address}");
        lab::ping_via(bed.lab.router(), Some("wan1"), address, ms(1000)).expect("an answer to the echo");
    }
}

/// 6in4 by the kernel: its far end knows the tunnel by this address, and no program asks for a link.
#[test]
fn the_kernels_tunnels_keep_their_address() {
    need_lab!();
    let bed =
        Bed::on(Bed::builder(&[2, 2]).build(), &local("1", &["", ""], "config policy 'w'\n option mode 'weighted'"));
    let watch = bed.lab.wire(2).watch();
    for host in 100..120 {
        bed.lab.router().run(|| {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(41.into())).unwrap();
            socket.bind(&SocketAddr::new(lab::router4(1), 0).into()).unwrap();
            let bare = [0x60, 0, 0, 0, 0, 0, 59, 64];
            socket.send_to(&bare, &SocketAddr::from(([198, 51, 100, host], 0)).into()).unwrap();
        });
    }
    // What comes last is seen last.
    bed.lab.router().run(|| UdpSocket::bind((lab::router4(2), 0)).unwrap().send_to(b"!", (SERVERS[0], 9)).unwrap());
    let mut seen = Vec::new();
    eventually("the last one", || {
        seen = watch.packets(Direction::Up).iter().map(|packet| packet.protocol).collect::<Vec<_>>();
        seen.contains(&17)
    });
    assert!(!seen.contains(&41), "{seen:?}");
}

/// DS-Lite and its like as a link: the packet around a copy has the copy's mark.
#[test]
fn the_packet_around_a_copy_is_no_copy() {
    need_lab!();
    let bed = Bed::new(&[2, 2]);
    bed.lab.router().sh("nft add table inet seen
        nft add chain inet seen out '{ type filter hook output priority 100; }'
        nft add rule inet seen out meta l4proto 4 ct state new counter");
    for (domain, to) in [(Domain::IPV4, SERVERS[0]), (Domain::IPV6, SERVERS[1])] {
        bed.lab.router().run(|| {
            let socket = Socket::new(domain, Type::RAW, Some(4.into())).unwrap();
            // A copy's by link 1.
            socket.set_mark(0x2100_0000).unwrap();
            socket.send_to(&[0x45; 40], &SocketAddr::new(to, 0).into()).unwrap();
        });
    }
    let seen = bed.lab.router().sh("nft list chain inet seen out");
    assert!(seen.contains("new counter packets 2"), "a stateful firewall lets its answer in: {seen}");
}

/// A VPN's program between its device and its server. It ends with this.
struct Vpn {
    stop: Arc<AtomicBool>,
    program: Option<JoinHandle<Vec<u16>>>,
}

impl Vpn {
    /// Its server's port, which is raced.
    const PORT: u16 = 443;
    /// More than any test sends.
    const MOST: usize = 1000;

    fn start(router: &Namespace) -> Self {
        let tun = router.run(|| Tun::open("vpn0")).expect("a device");
        router.sh("ip address add 10.9.0.2/30 dev vpn0; ip link set vpn0 up");
        let socket = router.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).expect("a socket");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let program = thread::spawn(move || {
            let (mut ports, mut buffer) = (Vec::new(), [0; 2000]);
            while !stopped.load(Ordering::Relaxed) && ports.len() < Vpn::MOST {
                match tun.receive(&mut buffer).expect("a packet") {
                    Some(packet) if packet[0] >> 4 == 4 => {
                        ports.push(u16::from_be_bytes([packet[22], packet[23]]));
                        let _ = socket.send_to(packet, (SERVERS[0], Vpn::PORT));
                    }
                    Some(_) => {}
                    None => thread::sleep(ms(1)),
                }
            }
            ports
        });
        Vpn { stop, program: Some(program) }
    }

    /// The ports of TCP and UDP that its device was given packets to.
    fn carried(mut self) -> Vec<u16> {
        self.stop.store(true, Ordering::Relaxed);
        self.program.take().expect("not asked twice").join().expect("the VPN's program")
    }
}

impl Drop for Vpn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// OpenVPN's with `route-nopull`, as one of the links: no route leads its packets to its server, policies do.
#[test]
fn a_tunnels_own_packets_do_not_go_through_it() {
    need_lab!();
    for mode in ["race", "weighted", "failover"] {
        let lab = Bed::builder(&[2]).build();
        let vpn = Vpn::start(lab.router());
        let policy = format!("config policy 'all'\n option mode '{mode}'\n list link 'vpn'\n list link 'wan1'");
        let more = format!(
            "config link 'vpn'\n option device 'vpn0'\n option gateway '10.9.0.1'\n option weight '100'\n{policy}"
        );
        let bed = Bed::on(lab, &local("1", &[""], &more));
        let server = Server::udp(bed.lab.internet(), (SERVERS[0], Vpn::PORT));
        let other = bed.server(SERVERS[0], 70);
        for port in 0..20 {
            let _ = lab::query(bed.lab.client(), (SERVERS[0], 5000 + port), b"?", ms(20));
        }
        eventually("the tunnel's packets arrive", || server.accepted() > 0);
        // And whatever else the router sends has a way.
        assert_eq!(link_from(bed.lab.router(), &other), 1, "{mode}");
        let carried = vpn.carried();
        assert!(carried.iter().any(|port| *port >= 5000), "{mode}: {carried:?}");
        assert!(!carried.contains(&Vpn::PORT), "{mode}: {carried:?}");
    }
}

fn connect_by(host: &Namespace, device: &str, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = host.run(|| Socket::new(Domain::for_address(to), Type::STREAM, None))?;
    socket.bind_device(Some(device.as_bytes()))?;
    socket.connect_timeout(&to.into(), LIMIT)?;
    Ok(socket.into())
}
