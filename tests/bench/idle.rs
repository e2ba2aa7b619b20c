//! What the daemon takes while nothing happens.

use std::thread;
use std::time::Duration;

use lab::{Dual, SERVER4};

use crate::Effort;
use crate::daemon::Daemon;
use crate::table::Row;

pub fn rows(effort: Effort) -> Vec<Row> {
    let dual = Dual::new();
    let probes = format!("\tlist probe 'icmp:{SERVER4}'\n");
    let daemon = Daemon::start(dual.router(), true, &probes);
    thread::sleep(Duration::from_secs(1));
    let (before, time) = (daemon.busy(), Duration::from_secs(effort.pick(10, 4)));
    thread::sleep(time);
    let busy = daemon.busy() - before;
    daemon.stop();
    let millis = busy.as_secs_f64() * 1_000.0 / time.as_secs_f64();
    let detail = format!(
        "{:.2} ms in {} s: three probes a second on each of two links",
        busy.as_secs_f64() * 1_000.0,
        time.as_secs()
    );
    vec![Row::goal("processor time of an idle daemon", format!("{millis:.2} ms/s"), "<= 1 ms/s", millis <= 1.0, detail)]
}
