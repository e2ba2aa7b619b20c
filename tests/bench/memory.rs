//! Memory with a full table and under a flood, and whether an honest client still connects.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Effort;
use crate::daemon::Daemon;
use crate::flood::Flood;
use crate::plain::{PORT, Plain, SERVER, SILENT};
use crate::stats::{median, millis};
use crate::sys;
use crate::table::Row;

/// By then the table of races is full.
const SETTLED: Duration = Duration::from_secs(2);

pub fn rows(effort: Effort) -> Vec<Row> {
    let plain = Plain::new();
    // An unanswered SYN that passes unraced leaves a conntrack entry for 120 s, as it would without us: the flood would fill
    // the kernel's table, which this machine shares.
    plain.router.sysctl("net/netfilter/nf_conntrack_tcp_timeout_syn_sent", "5");
    let listener = plain.internet.run(|| TcpListener::bind((SERVER, PORT))).expect("a listener");
    thread::spawn(move || while listener.accept().is_ok() {});
    let probes = format!("\tlist probe 'icmp:{SERVER}'\n");
    let daemon = Daemon::start(&plain.router, false, &probes);
    let fresh = daemon.memory();

    let flood = Flood { to: SILENT, per_second: 5_000, open: u32::MAX, time: Duration::from_secs(2), first: 0 };
    let copies = Plain::received(&plain.internet, "isp2");
    let sent = plain.client.run(|| flood.run()).last().map_or(0, |last| last.sent);
    let (full, copies) = (daemon.memory(), Plain::received(&plain.internet, "isp2") - copies);

    let time = Duration::from_secs(effort.pick(30, 10));
    let flood = Flood { per_second: 20_000, time, first: 10_000_000, ..flood };
    let before = plain.tracked();
    let (mut settled, mut tries) = (None, Vec::new());
    let offered = thread::scope(|scope| {
        let flooding = scope.spawn(|| plain.client.run(|| flood.run()));
        let start = Instant::now();
        while start.elapsed() < time {
            if start.elapsed() >= SETTLED {
                settled.get_or_insert_with(|| daemon.memory());
            }
            tries.push(plain.client.run(connect));
            thread::sleep(Duration::from_millis(50));
        }
        flooding.join().expect("a flood").last().map_or(0, |last| last.sent)
    });
    let (end, after) = (daemon.memory(), plain.tracked());
    daemon.stop();
    let connected: Vec<Duration> = tries.iter().flatten().copied().collect();
    let growth = end.0 as i64 - settled.unwrap_or(end).0 as i64;
    let share = connected.len() as f64 / tries.len() as f64;
    // A machine that is too busy to flood shows nothing.
    let flooded = f64::from(offered) >= 0.9 * 20_000.0 * time.as_secs_f64();
    vec![
        Row::goal(
            "memory with 10,000 races in flight",
            format!("{:.2} MB", full.0 as f64 / 1024.0),
            "<= 4 MB",
            full.0 <= 4096 && copies >= 9_900,
            format!("{} KB without the program's files, {} KB at start; {copies} raced of {sent}", full.1, fresh.0),
        ),
        Row::goal(
            "memory's growth in a flood of 20,000 SYNs/s, after 2 s",
            format!("{growth} KB"),
            "~ 0 (<= 64 KB)",
            growth <= 64 && flooded,
            format!(
                "{} s, {offered} SYNs, {} KB at the end; conntrack {before} before, {after} after",
                time.as_secs(),
                end.0
            ),
        ),
        Row::goal(
            "an honest client's connections in that flood",
            format!("{:.1} %", share * 100.0),
            "100 %",
            connected.len() == tries.len() && flooded,
            format!("{} of {} within 3 s, median {:.2} ms", connected.len(), tries.len(), median(&millis(&connected))),
        ),
    ]
}

fn connect() -> Option<Duration> {
    let start = Instant::now();
    let stream = TcpStream::connect_timeout(&SocketAddr::from((SERVER, PORT)), Duration::from_secs(3)).ok()?;
    let time = start.elapsed();
    sys::reset(stream).ok()?;
    Some(time)
}
