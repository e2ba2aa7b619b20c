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

/// More than any of both handles. A block is so short that the table of races does not fill.
const OVERLOAD: u32 = 100_000;
const BLOCK: Duration = Duration::from_millis(500);

/// A busy router's worth. The races of a block fit into the table.
const MODERATE: u32 = 5_000;

pub fn rows(effort: Effort) -> Vec<Row> {
    let plain = Plain::new();
    let listener = plain.internet.run(|| TcpListener::bind((SERVER, PORT))).expect("a listener");
    let mut bench = Bench { plain: &plain, first: 0 };
    let (mut rates, mut costs) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..effort.pick(7, 2) {
        for (who, rates) in [Who::Bare, Who::Race].into_iter().zip(&mut rates) {
            rates.push(bench.block(who, OVERLOAD, BLOCK).answers_per_second);
        }
    }
    // The daemon's own work only: another core does what follows a frame's arrival.
    plain.receive_on(0);
    bench.first = 0;
    for _ in 0..effort.pick(3, 1) {
        for (who, costs) in [Who::Bare, Who::Race].into_iter().zip(&mut costs) {
            costs.push(bench.block(who, MODERATE, Duration::from_millis(2_000)));
        }
    }
    drop(listener);
    let [bare, race] = &rates;
    let ratio = median(race) / median(bare);
    let micros = |blocks: &[Block]| blocks.iter().map(|block| block.micros).collect::<Vec<_>>();
    let answered = |blocks: &[Block]| blocks.iter().map(|block| block.answered).fold(1.0, f64::min);
    let [bare_cost, race_cost] = &costs;
    vec![
        Row::goal(
            "races a second, of what an accept-all loop handles",
            format!("{ratio:.2}"),
            ">= 0.5",
            ratio >= 0.5,
            format!("{} races/s, {} accepted/s, offered {OVERLOAD}/s", spread(race, 0), spread(bare, 0)),
        ),
        Row::info(
            "processor time a race, of what an accept-all loop takes",
            format!("{:.1} x", median(&micros(race_cost)) / median(&micros(bare_cost))),
            format!(
                "race {} µs, bare {} µs, at {MODERATE}/s, at least {:.1} and {:.1} % answered",
                spread(&micros(race_cost), 1),
                spread(&micros(bare_cost), 1),
                answered(race_cost) * 100.0,
                answered(bare_cost) * 100.0
            ),
        ),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Race,
    Bare,
}

struct Bench<'a> {
    plain: &'a Plain,
    /// The next SYN's number.
    first: u32,
}

struct Block {
    answers_per_second: f64,
    /// Processor time for each answer.
    micros: f64,
    /// Share of the SYNs.
    answered: f64,
}

impl Bench<'_> {
    fn block(&mut self, who: Who, per_second: u32, time: Duration) -> Block {
        let Plain { client, router, .. } = self.plain;
        self.plain.flush();
        let daemon = match who {
            Who::Race => {
                // What the daemon lets pass unraced would be answered, too: it is not a race.
                router.sh("nft 'table ip bench { chain passed { type filter hook forward priority 200; iifname lan0 drop; }; }'");
                Daemon::start(router, false, "")
            }
            Who::Bare => {
                bare::rules(router, true);
                Daemon::bare(router)
            }
        };
        daemon.pin(1);
        let flood = Flood { to: SERVER, per_second, time, first: self.first };
        let before = daemon.busy();
        let moments = client.run(|| {
            sys::pin(0, 0);
            flood.run()
        });
        let busy = daemon.busy() - before;
        daemon.stop();
        match who {
            Who::Race => drop(router.sh("nft delete table ip bench")),
            Who::Bare => bare::rules(router, false),
        }
        let last = moments[moments.len() - 1];
        self.first += last.sent;
        if std::env::var_os("BENCH_TRACE").is_some() {
            eprintln!(
                "{} sent {} answers {} busy {busy:?}",
                if who == Who::Race { "race" } else { "bare" },
                last.sent,
                last.answers
            );
        }
        Block {
            answers_per_second: rate(&moments, time),
            micros: busy.as_secs_f64() * 1e6 / last.answers as f64,
            answered: last.answers as f64 / f64::from(last.sent),
        }
    }
}

/// Of the time in which SYNs were sent, without its first fifth.
fn rate(moments: &[Moment], time: Duration) -> f64 {
    let within: Vec<&Moment> = moments.iter().filter(|moment| moment.at >= time / 5 && moment.at <= time).collect();
    let (Some(first), Some(last)) = (within.first(), within.last()) else { return 0.0 };
    (last.answers - first.answers) as f64 / (last.at - first.at).as_secs_f64()
}
