//! How soon a link that falls silent is left out of the race, with the defaults for probes.

use std::thread;
use std::time::{Duration, Instant};

use lab::{Dual, SERVER4};

use crate::Effort;
use crate::daemon::Daemon;
use crate::stats::{median, quantile};
use crate::table::Row;

pub fn rows(effort: Effort) -> Vec<Row> {
    let dual = Dual::builder().delays(&[10, 30].map(Duration::from_millis)).build();
    let probes = format!("\tlist probe 'icmp:{SERVER4}'\n");
    let times: Vec<f64> = (0..effort.pick(20, 4)).map(|round| silence(&dual, &probes, round)).collect();
    let most = quantile(&times, 1.0);
    let detail = format!(
        "median {:.2} s, of {}; no connection is raced by then, probes alone notice",
        median(&times),
        times.len()
    );
    vec![Row::goal("a silent loss is known after at most", format!("{most:.2} s"), "<= 1 s", most <= 1.0, detail)]
}

/// Seconds from the moment when a link drops everything, in both directions, to the daemon's word that it is down.
fn silence(dual: &Dual, probes: &str, round: u32) -> f64 {
    // A new daemon each time: one that saw a link fall thrice would hold it back.
    let daemon = Daemon::start(dual.router(), false, probes);
    daemon.wait_for("link wan2 is up: answers");
    // Not always at the same place between two probes.
    thread::sleep(Duration::from_millis(700) + Duration::from_millis(17) * round);
    dual.wire(2).blackhole(true);
    let start = Instant::now();
    daemon.wait_for("link wan2 is down");
    let time = start.elapsed();
    dual.wire(2).blackhole(false);
    daemon.stop();
    time.as_secs_f64()
}
