//! Goodput as text: what got better or worse shows as a difference of `goodput.txt` and `scenarios.txt`.

use std::fmt::Write;

use super::bonded::Bonded;
use super::congestion::Control;
use super::link::{Loss, Way, percent};
use super::scenario::{Outcome, Scenario, all, narrow, radios};
use super::shallow::shallow;
use super::world::{Make, Plan};
use crate::time::Span;

/// Compares with a file beside this one. With `CHEAPROUTE_WRITE_SAMPLE=1` it writes the file instead.
fn is_as_committed(name: &str, text: &str) {
    let path = format!("{}/src/bond/simulation/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("CHEAPROUTE_WRITE_SAMPLE").is_some() {
        return std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{name} is not what came out; CHEAPROUTE_WRITE_SAMPLE=1 writes it:\n{text}");
}

fn thousandths(share: u64) -> String {
    format!("{}.{:03}", share / 1_000, share % 1_000)
}

/// One column for a contender: share, and what a ping took longer.
fn cell(outcome: &Outcome) -> String {
    let tenths = (outcome.added.0 + 50) / 100;
    format!("{} {:>4}.{}", thousandths(outcome.share), tenths / 10, tenths % 10)
}

/// The columns of a contender in the long table.
fn line(name: &str, outcome: &Outcome, out: &mut String) {
    let report = &outcome.report;
    let lost: u64 = report.voices.iter().map(|voice| voice.lost()).sum();
    let jitter = report.voices.iter().map(|voice| voice.jitter).max().unwrap_or_default();
    let longest = report.voices.iter().map(|voice| voice.longest).max().unwrap_or_default();
    let stalled = report.streams.iter().map(|stream| stream.stalled).max().unwrap_or_default();
    let again: u64 = report.streams.iter().map(|stream| stream.retransmitted).sum();
    let timeouts: u64 = report.streams.iter().map(|stream| stream.timeouts).sum();
    let voice = if report.voices.is_empty() { "-".to_owned() } else { format!("{lost} / {jitter} / {longest}") };
    let kilobytes = report.most_memory / 1_000;
    writeln!(
        out,
        "  {name:<8} {} {:>8} {:>9} {again:>6} {timeouts:>4} {:>6} {:>6} {voice:>23} {kilobytes:>7}",
        cell(outcome),
        outcome.report.pings[0].slow.to_string(),
        stalled.to_string(),
        report.disordered,
        report.repaired,
    )
    .unwrap();
}

const HEAD: &str = "\
Share: goodput of TCP over the links' summed rates. Added: what a ping takes longer under load, ms. Slow: 95 of 100 pings took less.
Stall: the longest time in which a stream did not move. Again: segments sent again, out: by
timeouts. Late: packets out of order. Held: KB in the ends.

             share  added     slow     stall  again  out   late repair   voice lost, ±, longest    held
";

/// Each scenario with the best link alone and with a contender.
pub fn scenarios(contender: Option<(&str, Make)>) -> String {
    let mut text = String::from(HEAD);
    for scenario in all() {
        writeln!(text, "{}", scenario.name).unwrap();
        line("alone", &scenario.alone(), &mut text);
        if let Some((name, make)) = contender {
            line(name, &scenario.run(make), &mut text);
        }
    }
    text
}

/// Two links of 20 and 10 Mbit/s: loss on both against delay of both.
pub fn goodput(name: &str, make: Make) -> String {
    let mut text = format!("{name}: share and ms added of a stream over 20 + 10 Mbit/s, by loss and round trip\n\n");
    for control in [Control::Cubic, Control::Bbr] {
        write!(text, "{:<8}", format!("{control:?}").to_lowercase()).unwrap();
        let trips = [2, 20, 60, 150];
        trips.iter().for_each(|trip| write!(text, "{:>15}", format!("{trip} ms")).unwrap());
        text.push('\n');
        for loss in [0.0, 0.1, 1.0, 3.0, 10.0] {
            write!(text, "{:<8}", format!("{loss} %")).unwrap();
            for trip in trips {
                let mut plan = Plan::new(&[(20, trip / 2), (10, trip / 2 + 5)]);
                for link in 0..2 {
                    plan = plan.both(link, |way| way.loss = percent(loss));
                }
                let scenario = Scenario::new("", plan).with(control).seconds(6);
                write!(text, "{:>15}", cell(&scenario.run(make))).unwrap();
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// One stream over the bond's two links, of which the second loses packets and is later. Their rates are those that a test build
/// simulates in seconds.
fn unlike(control: Control) -> String {
    let mut text = format!("\n{:<8}", format!("{control:?}").to_lowercase());
    let lags = [0, 5, 20, 80];
    lags.iter().for_each(|lag| write!(text, "{:>15}", format!("{lag} ms")).unwrap());
    text.push('\n');
    for loss in [0.0, 0.1, 1.0, 3.0, 10.0] {
        write!(text, "{:<8}", format!("{loss} %")).unwrap();
        for lag in lags {
            let plan = Plan::new(&[(15, 10), (5, 10 + lag)]).both(1, |way| way.loss = percent(loss));
            let outcome = Scenario::new("", plan).with(control).seconds(3).run(&Bonded::usual);
            write!(text, "{:>15}", cell(&outcome)).unwrap();
        }
        text.push('\n');
    }
    text
}

/// With all that it shows, for a person who looks for a fault.
#[test]
#[ignore = "prints only"]
fn what_the_bond_does() {
    println!("{}", scenarios(Some(("bond", &Bonded::usual))));
    println!("{}", goodput("bond", &Bonded::usual));
}

/// The mean, least and most share over runs that differ by chance alone: where packets are lost, single runs tell little.
#[test]
#[ignore = "prints only"]
fn what_the_bond_does_by_many_seeds() {
    let lossy = |links: &[(u64, u64)], first: f64, second: f64| {
        Plan::new(links).both(0, |way| way.loss = percent(first)).both(1, |way| way.loss = percent(second))
    };
    let (usual, even) = (&[(75, 10), (25, 30)], &[(20, 30), (10, 35)]);
    let burst = |way: &mut Way| way.loss = Loss::Bursts { begin: 1_000, end: 100_000 };
    let bursts = lossy(usual, 0.0, 0.0).both(0, burst).both(1, burst);
    let plans = [
        ("usual", lossy(usual, 0.0, 0.0)),
        ("1 % on the second", lossy(usual, 0.0, 1.0)),
        ("1 % on both", lossy(usual, 1.0, 1.0)),
        ("3 % on both", lossy(usual, 3.0, 3.0)),
        ("50, 30, 10", Plan::new(&[(50, 10), (30, 25), (10, 50)])),
        ("jitter on the second", Plan::new(usual).both(1, |way| way.jitter = Span::from_millis(20))),
        ("1 % on both of 20 and 10, 60 ms", lossy(even, 1.0, 1.0)),
        ("3 % on both of 20 and 10, 60 ms", lossy(even, 3.0, 3.0)),
        ("bursts of ten lost on both", bursts),
        ("two radios", radios()),
        ("two narrow uploads", narrow()),
        ("queues of 5 ms", shallow(5, false)),
        ("queues of 10 ms", shallow(10, false)),
        ("no queues, bursts of 10 ms", shallow(10, true)),
        ("no queues, bursts of 50 ms", shallow(50, true)),
    ];
    for control in [Control::Cubic, Control::Bbr] {
        for (name, plan) in &plans {
            let run = |seed: u64| {
                let plan = Plan { seed, lateness: Span::from_micros(40 + 20 * seed), ..plan.clone() };
                Scenario::new("", plan).with(control).seconds(8).run(&Bonded::usual).share
            };
            let shares: Vec<u64> = std::thread::scope(|scope| {
                let halves = [1, 5].map(|from| scope.spawn(move || (from..from + 4).map(run).collect::<Vec<u64>>()));
                halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
            });
            let (least, most) = (shares.iter().min().copied().unwrap(), shares.iter().max().copied().unwrap());
            let mean = shares.iter().sum::<u64>() / shares.len() as u64;
            println!("{control:?} {name:<34} {} ({} to {})", thousandths(mean), thousandths(least), thousandths(most));
        }
    }
}

#[test]
fn scenarios_come_out_as_they_did() {
    is_as_committed("scenarios.txt", &scenarios(None));
}

#[test]
fn goodput_by_loss_and_delay_is_as_it_was() {
    let (bbr, cubic) = std::thread::scope(|scope| {
        let cubic = scope.spawn(|| unlike(Control::Cubic));
        (unlike(Control::Bbr), cubic.join().unwrap())
    });
    let head = "Share, and ms added, of a stream over 15 Mbit/s, 10 ms one way, and 5 Mbit/s: by its loss, and how much later it is.";
    is_as_committed("goodput.txt", &format!("{head}\n{cubic}{bbr}"));
}
