//! What others in the tunnel notice while something has the links: round trips, and a telephone call.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Call, Heard, Namespace};

use super::pair::{CLIENT, Hosts, SERVER};
use crate::stats::{median, millis, quantile};
use crate::table::Row;

pub const CALL_PORT: u16 = 5002;
const PING_EVERY: Duration = Duration::from_millis(50);

/// A telephone call's, in one direction.
pub const fn talk(seconds: u32) -> Call {
    Call { per_second: 200, count: 200 * seconds, bytes: 160 }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Round trips during this time; `None` for each that was not answered.
fn pings(host: &Namespace, to: IpAddr, time: Duration) -> Vec<Option<Duration>> {
    let start = Instant::now();
    let mut found = Vec::new();
    while start.elapsed() < time {
        found.push(ping(host, to));
    }
    found
}

fn ping(host: &Namespace, to: IpAddr) -> Option<Duration> {
    let answer = lab::ping(host, to, seconds(1)).ok();
    thread::sleep(PING_EVERY.saturating_sub(answer.unwrap_or_default()));
    answer
}

pub fn while_pinging<T>(host: &Namespace, to: IpAddr, work: impl FnOnce() -> T) -> (T, Vec<Option<Duration>>) {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let pinging = scope.spawn(|| {
            let mut found = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                found.push(ping(host, to));
            }
            found
        });
        let result = work();
        ended.store(true, Ordering::Relaxed);
        (result, pinging.join().expect("pings"))
    })
}

pub fn delay(name: &str, idle: &[Option<Duration>], loaded: &[Option<Duration>]) -> Row {
    let times = |found: &[Option<Duration>]| millis(&found.iter().flatten().copied().collect::<Vec<_>>());
    let (before, after) = (times(idle), times(loaded));
    let figure = median(&after) - median(&before);
    let detail = format!(
        "{:.1} ms idle, {:.1} ms loaded in the median, {:.1} ms in 95 of 100; {} of {} unanswered",
        median(&before),
        median(&after),
        quantile(&after, 0.95),
        loaded.len() - after.len(),
        loaded.len()
    );
    let what = format!("bond {name}: what the load adds to a round trip");
    Row::goal(what, format!("{figure:+.1} ms"), "<= 10 ms", figure <= 10.0, detail)
}

pub fn without_goal(row: Row) -> Row {
    Row::info(row.what, row.figure, row.detail)
}

pub fn spoken(name: &str, heard: &Heard) -> Row {
    let what = format!("bond {name}: a call beside it");
    Row::info(what, format!("{} of {} lost", heard.lost, heard.sent), timing(heard))
}

/// Two who talk: the first asks for echoes, and hears the other.
#[derive(Clone, Copy)]
pub struct Two<'h> {
    pub here: (&'h Namespace, IpAddr),
    pub there: (&'h Namespace, IpAddr),
}

impl<'h> Two<'h> {
    /// The ends of the tunnel.
    pub fn of(hosts: &'h Hosts) -> Self {
        Two { here: (&hosts.client, CLIENT), there: (&hosts.server, SERVER) }
    }

    /// Round trips of a second.
    pub fn idle(&self) -> Vec<Option<Duration>> {
        pings(self.here.0, self.there.1, seconds(1))
    }

    /// What they notice of this work, which takes so many seconds: the round trips, and a call.
    pub fn notice<T>(&self, time: u64, work: impl FnOnce() -> T) -> (T, Vec<Option<Duration>>, Heard) {
        thread::scope(|scope| {
            let (here, there) = (self.here, self.there);
            let call =
                scope.spawn(move || talk(time as u32).run(there.0, here.0, (here.1, CALL_PORT)).expect("a call"));
            let (result, loaded) = while_pinging(here.0, there.1, work);
            (result, loaded, call.join().expect("a call"))
        })
    }
}

pub fn timing(heard: &Heard) -> String {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    format!(
        "jitter {:.2} ms, {:.1} ms later than the first in 99 of 100, {:.1} at most; {} overtaken, {} doubled; {} lost in a row after {:.1} s",
        millis(heard.jitter()),
        millis(heard.late(0.99)),
        millis(heard.late(1.0)),
        heard.overtaken,
        heard.doubled,
        heard.gap.1,
        f64::from(heard.gap.0) / 200.0
    )
}
