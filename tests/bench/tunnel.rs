//! How fast the system side of a bond is, both its ends on this machine: one TCP stream through two TUN devices and a cable, in
//! datagrams that are copied, or sealed and opened.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cheaproute::bond::address::Address;
use cheaproute::bond::offload::Offload;
use cheaproute::linux::tun::Tun;
use cheaproute::linux::udp::Udp;
use lab::{Namespace, veth};

use crate::Effort;
use crate::pump::{Counts, End, Pump, Work};
use crate::stats::{median, spread};
use crate::table::Row;

/// As a bond's data thread would set it on a path of 1,500 bytes.
const MTU: usize = 1443;
const PORT: u16 = 7000;

#[derive(Clone, Copy)]
struct Way {
    offload: bool,
    /// Datagrams are sent and received several as one.
    joined: bool,
    seal: bool,
}

pub fn rows(effort: Effort) -> Vec<Row> {
    let all = Way { offload: true, joined: true, seal: true };
    let ways = [
        ("a sealed tunnel, one TCP stream", all),
        ("the same, not sealed", Way { seal: false, ..all }),
        ("the same, sealed, datagrams one by one", Way { joined: false, ..all }),
        ("the same, sealed, without offloads", Way { offload: false, joined: true, ..all }),
        ("the same, sealed, without either", Way { offload: false, joined: false, ..all }),
    ];
    let runs = effort.pick(5, 1);
    let mut rows = vec![];
    for (what, way) in ways {
        let results: Vec<(f64, String)> = (0..runs).map(|_| run(way, effort)).collect();
        let speeds: Vec<f64> = results.iter().map(|(speed, _)| *speed).collect();
        let figure = median(&speeds);
        let detail = format!("{}; {}", spread(&speeds, 0), results.last().map_or("", |(_, detail)| detail));
        let text = format!("{figure:.0} Mbit/s");
        rows.push(match what {
            "a sealed tunnel, one TCP stream" => Row::goal(what, text, ">= 2000 Mbit/s", figure >= 2000.0, detail),
            _ => Row::info(what, text, detail),
        });
    }
    let [sealed, opened] = crypto();
    rows.push(Row::info(
        "sealing alone, in datagrams of 1,472 bytes",
        format!("{sealed:.0} Mbit/s"),
        format!("one core; opening {opened:.0}"),
    ));
    rows
}

/// Mbit/s of one core that seals, and of one that opens: by processor time, so that other work on the machine matters little.
fn crypto() -> [f64; 2] {
    const COUNT: u32 = 40_000;
    let [mut seal, mut open] = sealing();
    let nanos = || -> f64 {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        stat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0)
    };
    let mut sealed = [5; 1472];
    seal(&mut sealed);
    let mut datagram = sealed;
    let mut speed = |work: &mut Work| {
        let start = nanos();
        for _ in 0..COUNT {
            datagram.copy_from_slice(&sealed);
            work(&mut datagram);
        }
        f64::from(COUNT) * 1472.0 * 8e3 / (nanos() - start).max(1.0)
    };
    [speed(&mut seal), speed(&mut open)]
}

fn run(way: Way, effort: Effort) -> (f64, String) {
    let hosts = ["here", "there"].map(Namespace::new);
    veth(&hosts[0], "eth0", &hosts[1], "eth0");
    let pumps = [1u8, 2].map(|number| end(&hosts[usize::from(number - 1)], number, way));
    let target = SocketAddr::new(IpAddr::from([10, 8, 0, 2]), 5001);
    let listener = hosts[1].run(|| TcpListener::bind(target)).expect("a listener");
    let (received, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let count = received.clone();
    let sink = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut buffer = vec![0; 256 * 1024];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            count.fetch_add(length as u64, Ordering::Relaxed);
        }
    });
    let (mut stream, _) = lab::connect(&hosts[0], target, Duration::from_secs(5)).expect("a connection");
    let stopped = stop.clone();
    let source = thread::spawn(move || {
        let block = vec![7; 256 * 1024];
        while stopped.load(Ordering::Relaxed) == 0 && stream.write_all(&block).is_ok() {}
    });
    thread::sleep(Duration::from_millis(300));
    let before = (received.load(Ordering::Relaxed), totals(&pumps), processor(), Instant::now());
    thread::sleep(Duration::from_millis(effort.pick(2000, 700)));
    let time = before.3.elapsed().as_secs_f64();
    let speed = (received.load(Ordering::Relaxed) - before.0) as f64 * 8e-6 / time;
    let (after, busy) = (totals(&pumps), processor());
    stop.store(1, Ordering::Relaxed);
    source.join().expect("the source");
    sink.join().expect("the sink");
    drop(pumps);
    let [reads, sent, sends, received, writes, lost] = std::array::from_fn(|index| after[index] - before.1[index]);
    let per = |a: u64, b: u64| a as f64 / b.max(1) as f64;
    let detail = format!(
        "datagrams a read {:.1}, a send {:.1}, a write {:.1}; lost {lost}; processor {:.2} of it in user space, {:.2} in the kernel",
        per(sent, reads),
        per(sent, sends),
        per(received, writes),
        (busy.0 - before.2.0) as f64 / 100.0 / time,
        (busy.1 - before.2.1) as f64 / 100.0 / time,
    );
    (speed, detail)
}

fn totals(pumps: &[Pump; 2]) -> [u64; 6] {
    let of = |counts: &Counts| {
        [&counts.reads, &counts.sent, &counts.sends, &counts.received, &counts.writes, &counts.lost]
            .map(|count| count.load(Ordering::Relaxed))
    };
    let [here, there] = [of(&pumps[0].counts), of(&pumps[1].counts)];
    std::array::from_fn(|index| here[index] + there[index])
}

/// This process's time in user space and in the kernel, in ticks of 10 ms.
fn processor() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let mut fields = stat.rsplit(") ").next().unwrap_or("").split(' ').skip(11).map(|field| field.parse().unwrap_or(0));
    (fields.next().unwrap_or(0), fields.next().unwrap_or(0))
}

fn end(host: &Namespace, number: u8, way: Way) -> Pump {
    host.sh(&format!("ip address add 10.5.0.{number}/24 dev eth0"));
    let (tun, offload, mut udp) = host.run(|| {
        let wanted = if way.offload { Offload::ALL } else { Offload::default() };
        let (tun, offload) = Tun::open_large("tun0", wanted, false).expect("a device");
        tun.set_queue(500).expect("a queue");
        let udp = Udp::server(SocketAddr::new([10, 5, 0, number].into(), PORT), 0).expect("a socket");
        (tun, offload, udp)
    });
    host.sh(&format!("ip address add 10.8.0.{number}/24 dev tun0; ip link set tun0 mtu {MTU} up"));
    if !way.joined {
        udp.set_plain().expect("an option");
    }
    let peer = Address::udp(([10, 5, 0, 3 - number], PORT).into());
    let single = !way.offload && !way.joined;
    Pump::start(End { tun, offload, udp, peer, work: if way.seal { sealing() } else { copying() }, single })
}

fn copying() -> [Work; 2] {
    [Box::new(|_| {}), Box::new(|_| {})]
}

/// The header is associated data, the tag is last.
fn sealing() -> [Work; 2] {
    let key = || seal::Key::new(&[7; 32]);
    let (out, into) = (key(), key());
    let seal = move |datagram: &mut [u8]| {
        let Some((head, rest)) = datagram.split_at_mut_checked(8) else { return };
        let Some((text, room)) = rest.split_last_chunk_mut::<16>() else { return };
        *room = out.seal(&[0; 12], head, text);
    };
    let open = move |datagram: &mut [u8]| {
        let Some((head, rest)) = datagram.split_at_mut_checked(8) else { return };
        let Some((text, tag)) = rest.split_last_chunk_mut::<16>() else { return };
        assert!(into.open(&[0; 12], head, text, tag), "a forged datagram");
    };
    [Box::new(seal), Box::new(open)]
}
