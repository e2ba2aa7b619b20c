//! One connection over two paths, against what TCP gets out of each path alone; and what splitting costs a router.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Namespace, Process, Shape, Wire, veth};

use crate::Effort;
use crate::stats::{median, spread};
use crate::sys;
use crate::table::Row;

const PORT: u16 = 1234;
/// Mbit/s.
const RATES: [u64; 2] = [75, 25];

pub fn rows(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for ipv4 in [true, false] {
        rows.push(goodput(effort, ipv4));
    }
    rows.push(cost(effort));
    rows
}

/// A client behind a sender, two paths to the receiver; 10.77.1.1 and 10.77.2.1 are its addresses.
struct Pair {
    client: Namespace,
    sender: Namespace,
    receiver: Namespace,
    received: Arc<AtomicU64>,
    ipv4: bool,
}

impl Pair {
    /// `join` makes the paths: devices wan1 and wan2, in1 and in2.
    #[track_caller]
    fn new(ipv4: bool, join: impl FnOnce(&Namespace, &Namespace)) -> Self {
        let [client, sender, receiver] = ["client", "sender", "receiver"].map(Namespace::new);
        veth(&client, "eth0", &sender, "lan0");
        join(&sender, &receiver);
        client.sh("ip address add 10.78.0.2/24 dev eth0; ip address add fd78::2/64 dev eth0
            ip route add default via 10.78.0.1; ip route add default via fd78::1");
        sender.sh("ip address add 10.78.0.1/24 dev lan0; ip address add fd78::1/64 dev lan0
            sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        for path in 1..=2 {
            sender.sh(&format!(
                "ip address add 10.77.{path}.2/24 dev wan{path}; ip address add fd77:{path}::2/64 dev wan{path}"
            ));
            receiver.sh(&format!(
                "ip address add 10.77.{path}.1/24 dev in{path}; ip address add fd77:{path}::1/64 dev in{path}"
            ));
        }
        receiver.sh("ip route add 10.78.0.0/24 via 10.77.1.2; ip route add fd78::/64 via fd77:1::2");
        let any: IpAddr = if ipv4 { [0; 4].into() } else { [0u16; 8].into() };
        let listener = receiver.run(|| TcpListener::bind((any, PORT))).expect("a listener");
        let received = Arc::<AtomicU64>::default();
        let count = received.clone();
        // Ends with this program. A thread for each: the reset that ends a connection may be lost in a full queue.
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let count = count.clone();
                thread::spawn(move || {
                    let mut buffer = vec![0; 256 * 1024];
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        count.fetch_add(length as u64, Ordering::Relaxed);
                    }
                });
            }
        });
        Pair { client, sender, receiver, received, ipv4 }
    }

    fn endpoint(&self, path: u16) -> SocketAddr {
        let address: IpAddr =
            if self.ipv4 { [10, 77, path as u8, 1].into() } else { [0xfd77, path, 0, 0, 0, 0, 0, 1].into() };
        (address, PORT).into()
    }

    #[track_caller]
    fn tool(&self, host: &Namespace, arguments: &str) {
        let mut command = host.command(&crate::daemon::program());
        command.arg("split").args(arguments.split(' '));
        let mut process = Process::spawn(command);
        let status = process.wait(Duration::from_secs(10));
        assert!(status.is_some_and(|status| status.success()), "{}", process.output());
    }

    #[track_caller]
    fn split(&self, on: bool) {
        if !on {
            self.tool(&self.sender, "-F sender");
            return self.tool(&self.receiver, "-F receiver");
        }
        let ends = format!("-P {} -S {}", self.endpoint(1), self.endpoint(2));
        self.tool(&self.sender, &format!("-A sender {ends} -R {}:{}", RATES[0], RATES[1]));
        self.tool(&self.receiver, &format!("-A receiver {ends}"));
    }

    /// What one connection of the client gets through within `time`, after `warm`: bytes, seconds, seconds of processor.
    fn upload(&self, path: u16, warm: Duration, time: Duration) -> (f64, f64, f64) {
        let to = self.endpoint(path);
        let mut stream = self.client.run(|| TcpStream::connect(to)).expect("a connection");
        let mut writer = stream.try_clone().expect("a second handle");
        let writing = thread::spawn(move || {
            let block = vec![7; 256 * 1024];
            while writer.write_all(&block).is_ok() {}
        });
        thread::sleep(warm);
        let (start, bytes, busy) = (Instant::now(), self.received.load(Ordering::Relaxed), sys::processor_time());
        thread::sleep(time);
        let moved = self.received.load(Ordering::Relaxed) - bytes;
        let took = (moved as f64, start.elapsed().as_secs_f64(), sys::processor_time() - busy);
        let _ = stream.flush();
        let _ = stream.shutdown(std::net::Shutdown::Both);
        let _ = writing.join();
        sys::reset(stream).expect("a reset");
        took
    }
}

fn goodput(effort: Effort, ipv4: bool) -> Row {
    let mut wires = Vec::new();
    let pair = Pair::new(ipv4, |sender, receiver| {
        for (path, rate) in (1..=2).zip(RATES) {
            let wire = Wire::new(sender, &format!("wan{path}"), receiver, &format!("in{path}"));
            let rate_bits = Some(rate * 1_000_000);
            wire.both(Shape { rate_bits, ..Shape::delayed(Duration::from_millis(5)) });
            wires.push(wire);
        }
    });
    let (warm, time) = (Duration::from_secs(2), Duration::from_secs(effort.pick(4, 2)));
    let speed = |path| {
        let (bytes, seconds, _) = pair.upload(path, warm, time);
        bytes * 8e-6 / seconds
    };
    let rounds = |_| {
        let alone = [speed(1), speed(2)];
        pair.split(true);
        let both = speed(1);
        pair.split(false);
        (alone, both)
    };
    let rounds: Vec<([f64; 2], f64)> = (0..effort.pick(3, 2)).map(rounds).collect();
    let ratios: Vec<f64> = rounds.iter().map(|([a, b], both)| both / (a + b)).collect();
    let of = |pick: fn(&([f64; 2], f64)) -> f64| median(&rounds.iter().map(pick).collect::<Vec<_>>());
    let (a, b, both) = (of(|r| r.0[0]), of(|r| r.0[1]), of(|r| r.1));
    let what = if ipv4 { "one split connection over the sum of both paths" } else { "the same over IPv6" };
    let detail = format!("{}: {both:.1} of {a:.1} and {b:.1} Mbit/s, each path alone", spread(&ratios, 3));
    Row::goal(what, format!("{:.3}", median(&ratios)), ">= 0.95", median(&ratios) >= 0.95, detail)
}

fn cost(effort: Effort) -> Row {
    let pair = Pair::new(true, |sender, receiver| {
        veth(sender, "wan1", receiver, "in1");
        veth(sender, "wan2", receiver, "in2");
    });
    let per_gb = || {
        let (bytes, _, busy) = pair.upload(1, Duration::from_millis(300), Duration::from_millis(700));
        busy / bytes * 1e9
    };
    let round = |number: usize| {
        let with = || {
            pair.split(true);
            let with = per_gb();
            pair.split(false);
            with
        };
        // Every second pair the other way round: a drift of the machine's speed then evens out.
        if number.is_multiple_of(2) {
            (per_gb(), with())
        } else {
            let with = with();
            (per_gb(), with)
        }
    };
    per_gb();
    let rounds: Vec<(f64, f64)> = (0..effort.pick(21, 4)).map(round).collect();
    let ratios: Vec<f64> = rounds.iter().map(|(plain, split)| split / plain).collect();
    let (plain, split): (Vec<f64>, Vec<f64>) = rounds.iter().copied().unzip();
    let detail = format!(
        "{}: {:.2} and {:.2} s a GB, both ends and the router; segments of 64 KB",
        spread(&ratios, 3),
        median(&split),
        median(&plain)
    );
    let figure = median(&ratios);
    Row::goal("processor time of split traffic over plain", format!("{figure:.3}"), "<= 1.10", figure <= 1.1, detail)
}
