//! Races a second, and processor time a race, against a program that merely accepts the same packets.

use std::net::TcpListener;
use std::time::Duration;

use crate::Effort;
use crate::bare;
use crate::daemon::Daemon;
use crate::flood::{Flood, Moment};
use crate::plain::{PORT, Plain, SERVER};
use crate::stats::{median, spread};
use crate::sys;
use crate::table::Row;

const HALF: Duration = Duration::from_millis(500);

/// As many as can be handled: the next SYN leaves when an answer came. Enough are open for large batches, and too few to
/// overflow a queue. A block is over before the table of races is full.
const SATURATION: Load = Load { per_second: 100_000, open: 128, time: HALF };

/// More than can be handled.
const OVERLOAD: Load = Load { open: u32::MAX, ..SATURATION };

/// A busy router's worth. The races of a block fit into the table.
const MODERATE: Load = Load { per_second: 5_000, open: u32::MAX, time: Duration::from_secs(2) };

/// How long a race is kept.
const LIFETIME: Duration = Duration::from_secs(4);

/// More than the table of races takes in the long run.
const LASTING: Load = Load { per_second: 6_000, open: u32::MAX, time: Duration::from_secs(9) };

pub fn rows(effort: Effort) -> Vec<Row> {
    let plain = Plain::new();
    let listener = plain.internet.run(|| TcpListener::bind((SERVER, PORT))).expect("a listener");
    let mut bench = Bench { plain: &plain, first: 0 };
    let saturated = bench.pairs(SATURATION, effort.pick(7, 2));
    let overloaded = bench.pairs(OVERLOAD, effort.pick(5, 2));
    let lasting = bench.block(Who::Race, LASTING);
    // The daemon's own work only: another core does what follows a frame's arrival.
    plain.receive_on(0);
    let moderate = bench.pairs(MODERATE, effort.pick(3, 1));
    drop(listener);
    let cost = moderate.median(micros);
    let [bare, race] = &moderate.0;
    vec![
        saturated.rates("races a second, of what an accept-all loop handles", "128 SYNs open"),
        overloaded.rates("the same, overloaded", "100,000 SYNs/s offered"),
        Row::info(
            "processor time a race, of what an accept-all loop takes",
            format!("{:.1} x", cost[1] / cost[0]),
            format!(
                "{} of {} µs, at 5,000/s, {:.1} and {:.1} % answered",
                spread(&each(race, micros), 1),
                spread(&each(bare, micros), 1),
                median(&each(race, |block| block.answered() * 100.0)),
                median(&each(bare, |block| block.answered() * 100.0)),
            ),
        ),
        Row::info(
            "races a second in the long run",
            format!("{:.0}", lasting.rate(LASTING.time - LIFETIME, LASTING.time)),
            "6,000 SYNs/s offered; the table of races holds 16,384 for 4 s each: 4,096".to_owned(),
        ),
    ]
}

#[derive(Clone, Copy)]
struct Load {
    per_second: u32,
    open: u32,
    time: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Bare,
    Race,
}

/// The accept-all loop's blocks and ours.
struct Pairs([Vec<Block>; 2]);

impl Pairs {
    fn rates(&self, what: &'static str, load: &str) -> Row {
        let [bare, race] = &self.0;
        let cost = self.median(micros);
        // Both fill their core, so this is the rates' ratio on a machine that does nothing else, and still is on others.
        let ratio = cost[0] / cost[1];
        let detail = format!(
            "{:.1} of {:.1} µs of processor time each; {} of {} a second; {load}",
            cost[1],
            cost[0],
            spread(&each(race, Block::all), 0),
            spread(&each(bare, Block::all), 0),
        );
        Row::goal(what, format!("{ratio:.2}"), ">= 0.5", ratio >= 0.5, detail)
    }

    fn median(&self, of: impl Fn(&Block) -> f64) -> [f64; 2] {
        [0, 1].map(|who| median(&each(&self.0[who], &of)))
    }
}

struct Block {
    moments: Vec<Moment>,
    busy: Duration,
}

impl Block {
    /// Answers a second, between the first tenth of them and the last.
    fn all(&self) -> f64 {
        let all = self.last().answers;
        let when =
            |share: u64| self.moments.iter().find(|moment| moment.answers >= all * share / 10).map(|moment| moment.at);
        self.rate(when(1).unwrap_or_default(), when(9).unwrap_or_default())
    }

    fn rate(&self, from: Duration, to: Duration) -> f64 {
        let mut within = self.moments.iter().filter(|moment| (from..=to).contains(&moment.at));
        let (Some(first), Some(last)) = (within.next(), within.next_back()) else { return 0.0 };
        (last.answers - first.answers) as f64 / (last.at - first.at).as_secs_f64()
    }

    fn answered(&self) -> f64 {
        self.last().answers as f64 / f64::from(self.last().sent)
    }

    fn last(&self) -> Moment {
        *self.moments.last().expect("a flood has an end")
    }
}

/// Processor time for each answer.
fn micros(block: &Block) -> f64 {
    block.busy.as_secs_f64() * 1e6 / block.last().answers as f64
}

fn each(blocks: &[Block], of: impl Fn(&Block) -> f64) -> Vec<f64> {
    blocks.iter().map(of).collect()
}

struct Bench<'a> {
    plain: &'a Plain,
    /// The next SYN's number.
    first: u32,
}

impl Bench<'_> {
    fn pairs(&mut self, load: Load, pairs: usize) -> Pairs {
        let mut blocks = Pairs([Vec::new(), Vec::new()]);
        for _ in 0..pairs {
            blocks.0[0].push(self.block(Who::Bare, load));
            blocks.0[1].push(self.block(Who::Race, load));
        }
        blocks
    }

    fn block(&mut self, who: Who, load: Load) -> Block {
        let Plain { client, router, .. } = self.plain;
        self.plain.flush();
        let daemon = match who {
            Who::Race => {
                // What the daemon lets pass unraced would be answered, too: it is not a race. After the queue.
                let drop = "chain passed { type filter hook postrouting priority 0; ip saddr 10.78.0.0/16 drop; }";
                router.sh(&format!("nft 'table ip bench {{ {drop}; }}'"));
                Daemon::start(router, false, "")
            }
            Who::Bare => {
                bare::rules(router, true);
                Daemon::bare(router)
            }
        };
        daemon.pin(1);
        let Load { per_second, open, time } = load;
        let flood = Flood { to: SERVER, per_second, open, time, first: self.first };
        let before = daemon.busy();
        let moments = client.run(|| {
            sys::pin(0, 0);
            flood.run()
        });
        let block = Block { moments, busy: daemon.busy() - before };
        daemon.stop();
        match who {
            Who::Race => drop(router.sh("nft delete table ip bench")),
            Who::Bare => bare::rules(router, false),
        }
        self.first += block.last().sent;
        block
    }
}
