//! An established connection's throughput with the daemon running over that without it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Effort;
use crate::daemon::Daemon;
use crate::packets::{self, Kind, Way};
use crate::plain::{PORT, Plain, SERVER};
use crate::stats::{median, spread};
use crate::sys;
use crate::table::Row;

pub fn rows(effort: Effort) -> Vec<Row> {
    let plain = Plain::new();
    let listener = plain.internet.run(|| TcpListener::bind((SERVER, PORT))).expect("a listener");
    // Ends with this program.
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || {
                sys::pin(0, 0);
                let block = vec![7; 256 * 1024];
                while stream.write_all(&block).is_ok() {}
            });
        }
    });
    let pairs = effort.pick(7, 2);
    // One connection differs from the next by 10 %, so it takes many, for a median that repeats to 1 %.
    let connections = effort.pick(5, 2);
    let speed = || (0..connections).map(|_| download(&plain)).sum::<f64>() / f64::from(connections);
    let whole = compare(&plain, effort.pick(25, 3), &speed);
    let ratio = |speeds: &[(f64, f64)]| speeds.iter().map(|(without, with)| with / without).collect::<Vec<_>>();
    let sides = |speeds: &[(f64, f64)]| {
        let (without, with): (Vec<f64>, Vec<f64>) = speeds.iter().copied().unzip();
        (median(&with), median(&without))
    };
    let figure = median(&ratio(&whole));
    let (with, without) = sides(&whole);
    let detail = format!("{} of {with:.2} and {without:.2} Gbit/s, in segments of 64 KB", spread(&ratio(&whole), 3));
    let mut rows = vec![Row::goal(
        "throughput with the daemon over that without",
        format!("{figure:.3}"),
        ">= 0.98",
        figure >= 0.98,
        detail,
    )];
    let flows = [
        ("a known TCP flow's packets, client to server", Kind::Tcp, Way::Up),
        ("the same, server to client", Kind::Tcp, Way::Down),
        ("a known UDP flow's packets, client to server", Kind::Udp, Way::Up),
        ("the same, server to client", Kind::Udp, Way::Down),
    ];
    for (what, kind, way) in flows {
        let speeds = compare(&plain, pairs, &|| packets::nanos(&plain, kind, way));
        let (with, without) = sides(&speeds);
        let figure = format!("{:+.0} ns", with - without);
        rows.push(Row::info(
            what,
            figure,
            format!("{with:.0} and {without:.0} ns a packet, with and without the daemon"),
        ));
    }
    rows
}

/// What is measured without and with the daemon, in turn.
fn compare(plain: &Plain, pairs: usize, measure: &dyn Fn() -> f64) -> Vec<(f64, f64)> {
    let with = || {
        let daemon = Daemon::start(&plain.router, false, "");
        let speed = measure();
        daemon.stop();
        speed
    };
    measure();
    // Every second pair the other way round: a drift of the machine's speed then evens out.
    let pair = |number: usize| {
        if number.is_multiple_of(2) {
            let without = measure();
            (without, with())
        } else {
            let with = with();
            (measure(), with)
        }
    };
    (0..pairs).map(pair).collect()
}

/// Gbit/s of one connection, once it is up to speed.
fn download(plain: &Plain) -> f64 {
    const WARM: Duration = Duration::from_millis(100);
    const TIME: Duration = Duration::from_millis(300);
    plain.client.run(|| {
        sys::pin(0, 1);
        let mut stream = TcpStream::connect((SERVER, PORT)).expect("a connection");
        let mut buffer = vec![0; 256 * 1024];
        let start = Instant::now();
        let (mut bytes, mut since) = (0, None);
        loop {
            let got = stream.read(&mut buffer).expect("bytes");
            let now = start.elapsed();
            match since {
                None if now >= WARM => since = Some(now),
                Some(began) => {
                    bytes += got;
                    if now >= began + TIME {
                        sys::reset(stream).expect("a reset");
                        return bytes as f64 * 8e-9 / (now - began).as_secs_f64();
                    }
                }
                None => {}
            }
        }
    })
}
