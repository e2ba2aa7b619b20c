//! What a wire promises, measured from outside: two hosts, one wire.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use lab::{Direction, Namespace, Server, Shape, Wire, connect, download, ping, query};

const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

struct Pair {
    wire: Wire,
    near: Namespace,
    far: Namespace,
    /// Tests of this file measure time: one at a time.
    _turn: MutexGuard<'static, ()>,
}

fn pair() -> Option<Pair> {
    static TURN: Mutex<()> = Mutex::new(());
    if !lab::ready() {
        return None;
    }
    let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (near, far) = (Namespace::new("near"), Namespace::new("far"));
    let wire = Wire::new(&near, "w0", &far, "w0");
    near.sh("ip address add 192.0.2.1/24 dev w0");
    far.sh("ip address add 192.0.2.2/24 dev w0");
    // Has ARP done before anything is measured or lost.
    ping(&near, FAR, SECOND).expect("an ideal wire carries a ping");
    Some(Pair { wire, near, far, _turn: turn })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn delay_is_kept() {
    let Some(pair) = pair() else { return };
    let Pair { wire, near, .. } = &pair;
    let measure = || (0..31).map(|_| ping(near, FAR, SECOND).unwrap()).collect::<Vec<_>>();
    let ideal = median(measure());
    wire.both(Shape::delayed(10 * MS));
    let times = measure();
    let (least, middle) = (*times.iter().min().unwrap(), median(times));
    println!("round trip: {ideal:?} without delay, {middle:?} with 2 x 10 ms");
    assert!(ideal < 2 * MS, "{ideal:?}");
    assert!(least >= 20 * MS, "{least:?}");
    assert!(middle < 22 * MS, "{middle:?}");

    wire.set(Direction::Up, Shape { jitter: 10 * MS, ..Shape::default() });
    let times = measure();
    assert!(times.iter().all(|t| *t >= 10 * MS), "{times:?}");
    assert!(times.iter().max().unwrap().saturating_sub(*times.iter().min().unwrap()) > 3 * MS, "{times:?}");
}

#[test]
fn loss_keeps_its_share_and_the_counters_tell() {
    let Some(pair) = pair() else { return };
    let Pair { wire, near, far, .. } = &pair;
    let server = Server::udp(far, (FAR, 7));
    let socket = near.run(|| std::net::UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.connect(server.address()).unwrap();
    wire.set(Direction::Up, Shape { loss_ppm: 200_000, ..Shape::default() });
    let before = wire.counters(Direction::Up);
    for _ in 0..2000 {
        socket.send(&[0; 100]).unwrap();
        // The server's socket must not overflow: that would be a loss of another kind.
        std::thread::sleep(Duration::from_micros(50));
    }
    std::thread::sleep(50 * MS);
    let after = wire.counters(Direction::Up);
    let (arrived, dropped) = (server.accepted(), after.dropped - before.dropped);
    assert!((1500..1700).contains(&arrived), "{arrived} of 2000 arrived");
    assert!((300..500).contains(&dropped), "{dropped} of 2000 dropped");
    assert!(after.bytes - before.bytes >= arrived as u64 * 142);
}

#[test]
fn reordering_is_only_by_order() {
    let Some(pair) = pair() else { return };
    let Pair { wire, near, far, .. } = &pair;
    let (sender, receiver) =
        (near.run(|| std::net::UdpSocket::bind("0.0.0.0:0")), far.run(|| std::net::UdpSocket::bind((FAR, 9))));
    let (sender, receiver) = (sender.unwrap(), receiver.unwrap());
    receiver.set_read_timeout(Some(SECOND)).unwrap();
    let exchange = || {
        let overtaken = |sequence: &[u16]| sequence.windows(2).filter(|w| w[0] > w[1]).count();
        let mut sequence = Vec::new();
        for number in 0..200u16 {
            sender.send_to(&number.to_be_bytes(), (FAR, 9)).unwrap();
        }
        for _ in 0..200 {
            let mut number = [0; 2];
            receiver.recv(&mut number).unwrap();
            sequence.push(u16::from_be_bytes(number));
        }
        overtaken(&sequence)
    };
    wire.set(Direction::Up, Shape { delay: 2 * MS, jitter: 5 * MS, ..Shape::default() });
    assert_eq!(exchange(), 0, "jitter alone keeps the order");
    wire.set(Direction::Up, Shape { delay: 2 * MS, reorder_ppm: 100_000, ..Shape::default() });
    assert!(exchange() >= 1);
}

#[test]
fn rate_is_kept_and_its_queue_adds_delay() {
    let Some(pair) = pair() else { return };
    let Pair { wire, near, far, .. } = &pair;
    let server = Server::source(far, (FAR, 8000));
    // 20 Mbit/s and a queue of 40 ms.
    wire.set(Direction::Down, Shape { rate_bits: Some(20_000_000), queue_bytes: 100_000, ..Shape::default() });
    let (mut stream, _) = connect(near, server.address(), SECOND).unwrap();
    let took = download(&mut stream, 2_000_000, 5 * SECOND).unwrap();
    // 1448 of 1514 bytes are payload.
    let ideal = Duration::from_secs_f64(2_000_000.0 * 8.0 / 20e6 * 1514.0 / 1448.0);
    println!("2 MB at 20 Mbit/s: {took:?}, at best {ideal:?}");
    assert!(took >= ideal.mul_f64(0.97) && took < ideal.mul_f64(1.5), "{took:?} {ideal:?}");

    // A burst fills the queue: the last answer of those that fit comes when the queue has drained.
    let echo = Server::udp(far, (FAR, 7));
    let socket = near.run(|| std::net::UdpSocket::bind("0.0.0.0:0")).unwrap();
    socket.connect(echo.address()).unwrap();
    socket.set_read_timeout(Some(200 * MS)).unwrap();
    let start = Instant::now();
    for _ in 0..200 {
        socket.send(&[0; 958]).unwrap();
    }
    let mut last = Duration::ZERO;
    let mut answers = 0;
    while socket.recv(&mut [0; 1000]).is_ok() {
        (last, answers) = (start.elapsed(), answers + 1);
    }
    println!("a burst of 200 kB into a queue of 100 kB: {answers} answers, the last after {last:?}");
    assert!((95..150).contains(&answers), "{answers}");
    assert!(last >= 38 * MS && last < 100 * MS, "{last:?}");
}

#[test]
fn an_unshaped_wire_is_fast() {
    let Some(pair) = pair() else { return };
    let Pair { near, far, .. } = &pair;
    let server = Server::sink(far, (FAR, 8000));
    let (mut stream, _) = connect(near, server.address(), SECOND).unwrap();
    stream.set_read_timeout(Some(5 * SECOND)).unwrap();
    let (start, block) = (Instant::now(), vec![0; 256 * 1024]);
    let mut sent = 0;
    while start.elapsed() < 500 * MS {
        stream.write_all(&block).unwrap();
        sent += block.len() as u64;
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut count = [0; 8];
    stream.read_exact(&mut count).unwrap();
    assert_eq!(u64::from_be_bytes(count), sent);
    let mbit = sent as f64 * 8.0 / 1e6 / start.elapsed().as_secs_f64();
    println!("TCP over an unshaped wire: {mbit:.0} Mbit/s");
    // Even on a machine with ten other things to do.
    assert!(mbit > 10.0, "{mbit} Mbit/s");
}

#[test]
fn a_black_hole_is_silent_and_can_be_one_way() {
    let Some(pair) = pair() else { return };
    let Pair { wire, near, far, .. } = &pair;
    let server = Server::tcp(far, (FAR, 80));
    let watch = wire.watch();

    wire.blackhole(true);
    let refused = connect(near, server.address(), 100 * MS).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::TimedOut, "nobody tells");
    assert_eq!(server.accepted(), 0);
    let (lost, syn) = watch.wait_for(Direction::Up, SECOND, |p| p.is_syn()).expect("the SYN was seen");
    assert!(!lost.carried);
    assert_eq!(syn.destination, server.address());

    wire.blackhole(false);
    wire.blackhole_one(Direction::Down, true);
    watch.clear();
    assert!(connect(near, server.address(), 100 * MS).is_err());
    assert!(watch.wait_for(Direction::Down, SECOND, |p| p.is_syn_ack()).is_some_and(|(seen, _)| !seen.carried));
    assert_eq!(lab::half_open(far), 1);

    wire.blackhole(false);
    let (mut stream, _) = connect(near, server.address(), SECOND).unwrap();
    stream.set_read_timeout(Some(SECOND)).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut echoed = [0; 5];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"hello");
    assert!(server.peers().contains(&stream.local_addr().unwrap()));
}

#[test]
fn an_unplugged_wire_has_no_carrier() {
    let Some(pair) = pair() else { return };
    let Pair { wire, near, far, .. } = &pair;
    let carrier = |host: &Namespace| host.sh("ip -o link show w0").contains("LOWER_UP");
    assert!(carrier(near) && carrier(far));
    wire.unplug();
    assert!(!carrier(near) && !carrier(far));
    assert!(ping(near, FAR, 50 * MS).is_err());
    wire.plug();
    assert!(carrier(near) && carrier(far));
    assert!(ping(near, FAR, 3 * SECOND).is_ok());
}

#[test]
fn a_watch_reads_packets() {
    let Some(pair) = pair() else { return };
    let Pair { wire, near, far, .. } = &pair;
    let server = Server::udp(far, (FAR, 53));
    let watch = wire.watch();
    let (answer, _) = query(near, server.address(), b"question", SECOND).unwrap();
    assert_eq!(answer, b"question");
    let (_, asked) = watch.wait_for(Direction::Up, SECOND, |p| p.is_udp()).expect("the question was seen");
    let (_, answered) = watch.wait_for(Direction::Down, SECOND, |p| p.is_udp()).expect("the answer was seen");
    assert_eq!((&asked.payload[..], asked.destination), (&b"question"[..], server.address()));
    assert_eq!((answered.source, answered.destination), (server.address(), asked.source));
    assert_eq!(server.peers(), [asked.source]);
    assert_eq!(watch.missed(), 0);
}

#[test]
fn a_device_that_goes_away_stops_the_frames_only() {
    let Some(pair) = pair() else { return };
    let Pair { wire, near, .. } = &pair;
    near.sh("ip link delete w0");
    std::thread::sleep(20 * MS);
    assert_eq!(wire.counters(Direction::Up).dropped, 0);
}
