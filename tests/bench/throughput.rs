//! An established connection's throughput with the daemon running over that without it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::Effort;
use crate::daemon::Daemon;
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
    let whole = compare(&plain, pairs);
    // A router forwards packets, not the 64 KB that virtual devices hand each other.
    plain.internet.sh("ip link set isp1 gso_max_segs 1\nip link set isp2 gso_max_segs 1");
    let packets = compare(&plain, pairs);
    let ratio = |speeds: &[(f64, f64)]| speeds.iter().map(|(without, with)| with / without).collect::<Vec<_>>();
    let detail = |speeds: &[(f64, f64)]| {
        let (without, with): (Vec<f64>, Vec<f64>) = speeds.iter().copied().unzip();
        format!("{} of {:.2} and {:.2} Gbit/s", spread(&ratio(speeds), 3), median(&with), median(&without))
    };
    let (figure, single) = (median(&ratio(&whole)), median(&ratio(&packets)));
    let what = "throughput with the daemon over that without";
    vec![
        Row::goal(what, format!("{figure:.3}"), ">= 0.98", figure >= 0.98, detail(&whole)),
        Row::goal("the same, packet by packet", format!("{single:.3}"), ">= 0.98", single >= 0.98, detail(&packets)),
    ]
}

/// Gbit/s without and with the daemon, in turn.
fn compare(plain: &Plain, pairs: usize) -> Vec<(f64, f64)> {
    let with = || {
        let daemon = Daemon::start(&plain.router, false, "");
        let speed = download(plain);
        daemon.stop();
        speed
    };
    download(plain);
    // Every second pair the other way round: a drift of the machine's speed then evens out.
    let pair = |number: usize| {
        if number.is_multiple_of(2) {
            let without = download(plain);
            (without, with())
        } else {
            let with = with();
            (download(plain), with)
        }
    };
    (0..pairs).map(pair).collect()
}

/// Gbit/s of one connection, once it is up to speed.
fn download(plain: &Plain) -> f64 {
    const WARM: Duration = Duration::from_millis(200);
    const TIME: Duration = Duration::from_millis(800);
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
