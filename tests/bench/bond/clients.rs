//! A server's many clients: 200 peers of fifteen hosts, each host with a daemon and a cable of its own.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cheaproute::bond::keys::Secret;
use lab::{Bulk, Namespace, SERVER4, ping, veth};
use socket2::{Domain, Socket, Type};

use super::beside::{Two, delay, spoken};
use super::pair::End;
use crate::Effort;
use crate::table::Row;

const CLIENTS: usize = 200;
/// As many as a daemon may have beside a link.
const EACH: usize = 14;
const THERE: Ipv4Addr = Ipv4Addr::new(10, 74, 0, 1);
const PORT: u16 = 5001;
const PATIENCE: Duration = Duration::from_secs(30);

/// A private key; the server's is number 0.
fn secret(number: usize) -> Secret {
    let mut bytes = [7; 32];
    // Not in the first byte: X25519 ignores its low bits (RFC 7748, 5).
    bytes[1] = number as u8;
    Secret::private(bytes)
}

/// A client's address inside, counted from 1.
fn inside(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 74, 1, number as u8)
}

fn server_text() -> String {
    let mut text = format!(
        "config cheaproute 'main'\nconfig peer 'home'\n\toption role 'server'\n\toption private_key '{}'
        option listen_port '7420'\n\tlist address '{THERE}/16'\n",
        secret(0).written()
    );
    for number in 1..=CLIENTS {
        let (public, address) = (secret(number).public(), inside(number));
        let _ = write!(
            text,
            "config client 'c{number}'\n\toption peer 'home'\n\toption public_key '{public}'
            list allowed_ips '{address}'\n"
        );
    }
    text
}

/// Of the clients from `first` on; the first one's device carries what goes to the server's inner address.
fn host_text(first: usize, gateway: Ipv4Addr) -> String {
    let mut text =
        format!("config cheaproute 'main'\nconfig link 'wan'\n\toption device 'wan'\n\toption gateway '{gateway}'\n");
    for number in peers(first) {
        let route = if number == first { format!("\tlist route '{THERE}'\n") } else { String::new() };
        let _ = write!(
            text,
            "config peer 'p{number}'\n\toption device 'bond{number}'\n\toption private_key '{}'
            option public_key '{}'\n\tlist endpoint '{SERVER4}:7420'\n\tlist address '{}/32'\n{route}",
            secret(number).written(),
            secret(0).public(),
            inside(number)
        );
    }
    text
}

/// Until the server counts all of them, from `start` on.
#[track_caller]
fn await_all(server: &End, start: Instant) -> Duration {
    let all = format!(r#""clients_up":{CLIENTS},"#);
    loop {
        let peers = server.peers();
        let passed = start.elapsed();
        if peers.contains(&all) {
            return passed;
        }
        assert!(passed < PATIENCE, "not all are there:\n{peers}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The peers of a host, from `first` on.
fn peers(first: usize) -> std::ops::Range<usize> {
    first..(first + EACH).min(CLIENTS + 1)
}

/// A socket whose datagrams go to the server by this client's device.
fn socket(number: usize) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    socket.bind_device(Some(format!("bond{number}").as_bytes())).expect("its device");
    socket.bind(&SocketAddr::from((inside(number), 0)).into()).expect("its address");
    socket.connect(&SocketAddr::from((THERE, 9)).into()).expect("a way");
    socket.into()
}

/// Says so at its end, even that of a panic.
struct Stopping<'s>(&'s AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub fn rows(effort: Effort) -> Vec<Row> {
    let there = Namespace::new("internet");
    there.sh(&format!("ip address add {SERVER4}/32 dev lo"));
    let hosts: Vec<Namespace> =
        (0..CLIENTS.div_ceil(EACH)).map(|number| Namespace::new(&format!("c{number}"))).collect();
    for (number, host) in hosts.iter().enumerate() {
        veth(host, "wan", &there, &format!("c{number}"));
        host.sh(&format!("ip address add 10.77.{number}.2/24 dev wan; ip route add default via 10.77.{number}.1"));
        there.sh(&format!("ip address add 10.77.{number}.1/24 dev c{number}"));
    }
    let server = End::start(&there, &server_text(), "listening on UDP port");
    let start = Instant::now();
    let clients: Vec<End> = (0..)
        .zip(&hosts)
        .map(|(number, host)| {
            End::start(host, &host_text(number * EACH + 1, Ipv4Addr::new(10, 77, number as u8, 1)), "racing over")
        })
        .collect();
    let first = await_all(&server, start);
    thread::sleep(Duration::from_secs(2));
    let (before, time) = (server.busy(), effort.pick(10, 4));
    thread::sleep(Duration::from_secs(time));
    let busy = (server.busy() - before) * 1e3 / time as f64;
    let memory = server.memory() as f64 / 1024.0;
    let answered =
        (0..hosts.len()).filter(|host| ping(&there, inside(host * EACH + 1), Duration::from_secs(1)).is_ok()).count();
    // One downloads what it can; another one's call and echoes are those of a neighbour.
    let two = Two { here: (&hosts[1], inside(EACH + 1).into()), there: (&there, THERE.into()) };
    let idle = two.idle();
    let bulk = Bulk::start(&there, (IpAddr::V4(THERE), PORT), &hosts[0], "cubic", PATIENCE).expect("a connection");
    thread::sleep(Duration::from_secs(2));
    let (speed, loaded, heard) = two.notice(time, || bulk.rate(Duration::from_secs(time)));
    drop(bulk);
    let sockets: Vec<UdpSocket> = (0..)
        .zip(&hosts)
        .flat_map(|(number, host)| host.run(|| peers(number * EACH + 1).map(socket).collect::<Vec<_>>()))
        .collect();
    let stop = AtomicBool::new(false);
    let (server, again) = thread::scope(|scope| {
        // Each client has a packet for the server five times a second.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                sockets.iter().for_each(|socket| drop(socket.send(&[0; 100])));
                thread::sleep(Duration::from_millis(200));
            }
        });
        let _stopping = Stopping(&stop);
        thread::sleep(Duration::from_secs(1));
        server.kill();
        let start = Instant::now();
        let server = End::start(&there, &server_text(), "listening on UDP port");
        let again = await_all(&server, start);
        (server, again)
    });
    clients.into_iter().for_each(End::stop);
    server.stop();
    let hosts = hosts.len();
    let busy_one = format!("one of the others downloads {:.0} Mbit/s", speed / 1e6);
    let beside = [delay("clients", &idle, &loaded), spoken("clients", &heard)];
    let mut rows = vec![
        Row::info(
            "bond clients: memory of a server with 200 of them",
            format!("{memory:.2} MB"),
            format!(
                "all there {:.1} s after the first of {hosts} daemons began; {answered} of {hosts} answer",
                first.as_secs_f64()
            ),
        ),
        Row::info("bond clients: its processor time while they rest", format!("{busy:.1} ms/s"), String::new()),
        Row::goal(
            "bond clients: killed and started again, it has all of them after",
            format!("{:.2} s", again.as_secs_f64()),
            "<= 2 s",
            again <= Duration::from_secs(2) && answered == hosts,
            "from the start of the new one; each has a packet for it five times a second".to_owned(),
        ),
    ];
    rows.extend(beside.map(|row| Row { detail: format!("{busy_one}; {}", row.detail), ..row }));
    rows
}
