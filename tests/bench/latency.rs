//! How much longer connect() takes through a race than through the fastest link alone.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Dual, Namespace};

use crate::Effort;
use crate::daemon::Daemon;
use crate::plain::{PORT, Plain, SERVER};
use crate::stats::{median, millis, quantile};
use crate::sys;
use crate::table::Row;

pub fn rows(effort: Effort) -> Vec<Row> {
    // Wires of 20 ms and 60 ms there and back.
    let dual = Dual::builder().delays(&[10, 30].map(Duration::from_millis)).build();
    let far = compare((dual.client(), dual.router(), dual.internet()), true, effort.pick((8, 70), (2, 40)));
    drop(dual);
    let plain = Plain::new();
    let near = compare((&plain.client, &plain.router, &plain.internet), false, effort.pick((8, 500), (2, 250)));
    let median = |times: &Times| (times.median(), times.detail());
    let p99 = |times: &Times| (times.p99(), times.detail());
    let row = |what, (figure, detail): (f64, String), goal, limit| {
        Row::goal(what, format!("{figure:+.3} ms"), goal, figure <= limit, detail)
    };
    vec![
        row("connect() by a race over 20 and 60 ms, less the fast link's: median", median(&far), "<= 0.3 ms", 0.3),
        row("the same: p99", p99(&far), "<= 1 ms", 1.0),
        row("connect() by a race over two cables without delay, less one's: median", median(&near), "<= 0.3 ms", 0.3),
        row("the same: p99", p99(&near), "<= 1 ms", 1.0),
    ]
}

/// Milliseconds of every connect().
struct Times {
    plain: Vec<f64>,
    raced: Vec<f64>,
}

impl Times {
    fn median(&self) -> f64 {
        median(&self.raced) - median(&self.plain)
    }

    /// Less the median: the plain way's own stragglers count against us, too.
    fn p99(&self) -> f64 {
        quantile(&self.raced, 0.99) - median(&self.plain)
    }

    fn detail(&self) -> String {
        let of = |times: &[f64]| format!("{:.3} / {:.3} ms", median(times), quantile(times, 0.99));
        format!("median / p99: raced {}, plain {}, of {} each", of(&self.raced), of(&self.plain), self.raced.len())
    }
}

/// Blocks of so many connections with the daemon and without, in turn.
fn compare(hosts: (&Namespace, &Namespace, &Namespace), ipv6: bool, (blocks, each): (usize, usize)) -> Times {
    let (client, router, internet) = hosts;
    let server = SocketAddr::from((SERVER, PORT));
    let listener = internet.run(|| TcpListener::bind(server)).expect("a listener");
    // Ends with this program.
    thread::spawn(move || while listener.accept().is_ok() {});
    let mut times = Times { plain: Vec::new(), raced: Vec::new() };
    connects(client, server, 20);
    for _ in 0..blocks {
        times.plain.extend(connects(client, server, each));
        let daemon = Daemon::start(router, ipv6, "");
        connects(client, server, 5);
        times.raced.extend(connects(client, server, each));
        daemon.stop();
    }
    times
}

fn connects(client: &Namespace, server: SocketAddr, count: usize) -> Vec<f64> {
    let one = || {
        let start = Instant::now();
        let stream = TcpStream::connect_timeout(&server, Duration::from_secs(5)).expect("a connection");
        let time = start.elapsed();
        sys::reset(stream).expect("a reset");
        // A person's browser does not connect in a loop either; what the last connection left is done by now.
        thread::sleep(Duration::from_micros(500));
        time
    };
    client.run(|| millis(&(0..count).map(|_| one()).collect::<Vec<_>>()))
}
