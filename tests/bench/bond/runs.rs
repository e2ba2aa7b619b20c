//! How each sort of scenario is run.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use lab::{Bulk, Heard, Namespace};

use super::Scenario;
use super::beside::{CALL_PORT, Two, delay, spoken, talk, timing, while_pinging, without_goal};
use super::pair::{CLIENT, Hosts, Link, Pair, SERVER};
use crate::Effort;
use crate::stats::{median, quantile};
use crate::table::Row;

const PORT: u16 = 5001;
const PATIENCE: Duration = Duration::from_secs(5);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn stream(of: &Scenario, effort: Effort, congestion: &str, upload: bool, share: f64) -> Vec<Row> {
    let hosts = Hosts::new(of.links);
    let rate = |link: &Link| (if upload { link.up } else { link.down }) as f64 * 1e6;
    let whole: f64 = of.links.iter().map(rate).sum();
    let (best, best_link) = best_alone(&hosts, of.links.len(), effort, congestion, upload);
    let pair = hosts.start(of.scheduler);
    let idle = Two::of(&hosts).idle();
    let (from, to) = ends(&hosts, upload);
    let address = if upload { CLIENT } else { SERVER };
    let bulk = Bulk::start(from, (address, PORT), to, congestion, PATIENCE).expect("a connection in the tunnel");
    let [early, time] = window(effort);
    thread::sleep(early);
    let busy = pair.busy();
    let (speeds, loaded) = while_pinging(&hosts.client, SERVER, || {
        let second = |_| bulk.rate(seconds(1));
        (0..time.as_secs()).map(second).collect::<Vec<f64>>()
    });
    let (speed, costs) = (speeds.iter().sum::<f64>() / speeds.len() as f64, cost(&pair, busy, &speeds));
    // Where the stream goes, and where its acknowledgments do.
    let talk = talk(effort.pick(7, 4));
    let (with, against) = thread::scope(|scope| {
        let against = scope.spawn(move || talk.run(to, from, (address, CALL_PORT)).expect("a call"));
        let other = if upload { SERVER } else { CLIENT };
        let with = talk.run(from, to, (other, CALL_PORT)).expect("a call");
        (with, against.join().expect("a call"))
    });
    drop(bulk);
    pair.stop();
    let name = of.name;
    let figure = speed / whole;
    let detail = format!(
        "{:.1} Mbit/s, in single seconds {:.1} to {:.1}; link {best_link} alone {:.3}; {costs}",
        speed / 1e6,
        quantile(&speeds, 0.0) / 1e6,
        quantile(&speeds, 1.0) / 1e6,
        best / whole,
    );
    let good = figure >= share && speed >= best * 0.98;
    let goal = match share {
        0.0 => ">= the best link",
        0.90 => ">= .90, the best link",
        0.92 => ">= .92, the best link",
        _ => ">= .93, the best link",
    };
    let what = format!("bond {name}: one stream's share of the wires");
    let mut rows = vec![Row::goal(what, format!("{figure:.3}"), goal, good, detail)];
    let added = delay(name, &idle, &loaded);
    // Frames stay in order: under load most wait for a slow one before them, and it is the wires that add that.
    let is_wires = of.links.iter().all(|link| link.jitter > 0);
    rows.push(if is_wires { without_goal(added) } else { added });
    rows.push(spoken(name, &with));
    rows.push(Row { what: format!("bond {name}: a call the other way"), ..spoken(name, &against) });
    rows
}

/// From when on a stream is measured, and for how long. With and without a bond it is the same, since a BBR gives up a fifth of a second
/// in every ten (its PROBE_RTT).
fn window(effort: Effort) -> [Duration; 2] {
    effort.pick([5, 10], [4, 5]).map(seconds)
}

/// The most that a stream gets over one link without a bond, in bits a second, and that link.
fn best_alone(hosts: &Hosts, links: usize, effort: Effort, congestion: &str, upload: bool) -> (f64, usize) {
    let alone = |link: usize| {
        let (from, to) = ends(hosts, upload);
        let address: IpAddr = [10, 77, link as u8, if upload { 2 } else { 1 }].into();
        let bulk = Bulk::start(from, (address, PORT), to, congestion, PATIENCE).expect("a connection");
        let [early, time] = window(effort);
        thread::sleep(early);
        (bulk.rate(time), link)
    };
    (1..=links).map(alone).fold((0.0, 0), |best, this| if this.0 > best.0 { this } else { best })
}

/// Who sends and who receives.
pub fn ends(hosts: &Hosts, upload: bool) -> (&Namespace, &Namespace) {
    if upload { (&hosts.client, &hosts.server) } else { (&hosts.server, &hosts.client) }
}

/// The processor time of both daemons for what passed in single seconds.
fn cost(pair: &Pair, before: [f64; 2], speeds: &[f64]) -> String {
    let (after, gigabits) = (pair.busy(), speeds.iter().sum::<f64>() / 1e9);
    format!(
        "processor seconds a Gbit: client {:.2}, server {:.2}",
        (after[0] - before[0]) / gigabits,
        (after[1] - before[1]) / gigabits
    )
}

pub fn hole(of: &Scenario, most: u32) -> Vec<Row> {
    let hosts = Hosts::new(of.links);
    let pair = hosts.start(of.scheduler);
    thread::sleep(seconds(2));
    let dies = || {
        thread::sleep(seconds(4));
        hosts.wire(1).blackhole(true);
        thread::sleep(seconds(6));
        hosts.wire(1).blackhole(false);
        thread::sleep(seconds(4));
    };
    let ((), _, alone) = Two::of(&hosts).notice(14, dies);
    let rows = calls(of, &hosts, "lost of a call while link 1 is a black hole", most, &alone, 14, dies);
    pair.stop();
    rows
}

pub fn call(of: &Scenario, effort: Effort) -> Vec<Row> {
    let hosts = Hosts::new(of.links);
    let pair = hosts.start(of.scheduler);
    thread::sleep(seconds(2));
    let time = effort.pick(14, 5);
    let lasts = || thread::sleep(seconds(time));
    let ((), _, alone) = Two::of(&hosts).notice(time, lasts);
    let rows = calls(of, &hosts, "lost of a call", 0, &alone, time, lasts);
    pair.stop();
    rows
}

/// A call that was `alone`, and the same with a download beside it.
fn calls(
    of: &Scenario,
    hosts: &Hosts,
    what: &str,
    most: u32,
    alone: &Heard,
    time: u64,
    work: impl FnOnce(),
) -> Vec<Row> {
    let two = Two::of(hosts);
    let idle = two.idle();
    let bulk = Bulk::start(&hosts.server, (SERVER, PORT), &hosts.client, "cubic", PATIENCE).expect("a connection");
    thread::sleep(seconds(3));
    let (speed, loaded, beside) = two.notice(time, || {
        thread::scope(|scope| {
            let rate = scope.spawn(|| bulk.rate(seconds(time)));
            work();
            rate.join().expect("a rate")
        })
    });
    drop(bulk);
    let whole: f64 = of.links.iter().map(|link| link.down as f64 * 1e6).sum();
    let goal = if most == 0 { "0" } else { "<= 20" };
    let call = |what: String, heard: &Heard| {
        Row::goal(what, format!("{} of {}", heard.lost, heard.sent), goal, heard.lost <= most, timing(heard))
    };
    vec![
        call(format!("bond {}: {what}", of.name), alone),
        call(format!("bond {}: {what}, and a download has the links", of.name), &beside),
        Row::info(
            format!("bond {}: that download's share of the wires", of.name),
            format!("{:.3}", speed / whole),
            format!("{:.1} Mbit/s", speed / 1e6),
        ),
        // Some are under way when the link dies, and wait to be sent again.
        without_goal(delay(of.name, &idle, &loaded)),
    ]
}

/// Others use the same links, without the tunnel: nobody is to starve.
pub fn shared(of: &Scenario, effort: Effort) -> Vec<Row> {
    let hosts = Hosts::new(of.links);
    let pair = hosts.start(of.scheduler);
    let idle = Two::of(&hosts).idle();
    let start = |address: IpAddr, port| {
        Bulk::start(&hosts.server, (address, port), &hosts.client, "cubic", PATIENCE).expect("a connection")
    };
    let mut streams = vec![start(SERVER, PORT)];
    thread::sleep(seconds(3));
    streams.extend((1..=of.links.len() as u8).map(|link| start([10, 77, link, 1].into(), PORT + u16::from(link))));
    thread::sleep(seconds(3));
    let time = effort.pick(10, 5);
    let (speeds, loaded, heard) = Two::of(&hosts).notice(time, || {
        thread::scope(|scope| {
            let rates: Vec<_> = streams.iter().map(|stream| scope.spawn(|| stream.rate(seconds(time)))).collect();
            rates.into_iter().map(|rate| rate.join().expect("a rate")).collect::<Vec<f64>>()
        })
    });
    drop(streams);
    pair.stop();
    let whole: f64 = of.links.iter().map(|link| link.down as f64 * 1e6).sum();
    let others: Vec<String> = speeds.iter().skip(1).map(|speed| format!("{:.1}", speed / 1e6)).collect();
    let detail = format!("{:.1} Mbit/s; beside it, by the links: {}", speeds[0] / 1e6, others.join(" and "));
    let what = format!("bond {}: a stream's share beside one on each link", of.name);
    vec![
        Row::info(what, format!("{:.3}", speeds[0] / whole), detail),
        // The streams beside the tunnel fill the links' queues.
        without_goal(delay(of.name, &idle, &loaded)),
        spoken(of.name, &heard),
    ]
}

pub fn flapping(of: &Scenario, effort: Effort) -> Vec<Row> {
    let hosts = Hosts::new(of.links);
    let whole: f64 = of.links.iter().map(|link| link.down as f64 * 1e6).sum();
    let left = whole - of.links.first().map_or(0.0, |link| link.down as f64 * 1e6);
    let pair = hosts.start(of.scheduler);
    let idle = Two::of(&hosts).idle();
    let bulk = Bulk::start(&hosts.server, (SERVER, PORT), &hosts.client, "cubic", PATIENCE).expect("a connection");
    thread::sleep(seconds(effort.pick(5, 3)));
    let turn = |_| {
        hosts.wire(1).blackhole(true);
        let without = bulk.rate(seconds(2));
        hosts.wire(1).blackhole(false);
        [without, bulk.rate(seconds(3))]
    };
    let count = effort.pick(10, 3);
    let (turns, loaded, heard) = Two::of(&hosts).notice(5 * count, || (0..count).map(turn).collect::<Vec<[f64; 2]>>());
    drop(bulk);
    pair.stop();
    let column = |at: usize| turns.iter().map(|turn| turn[at]).collect::<Vec<f64>>();
    let (gone, back) = (column(0), column(1));
    // Half of what the links that are there could carry, in either part of a turn.
    let good = median(&gone) >= left / 2.0 && median(&back) >= whole / 2.0;
    let detail = format!(
        "{} turns of 2 s without link 1, {:.1} Mbit/s ({:.1} to {:.1}), and 3 s with it, {:.1} ({:.1} to {:.1})",
        turns.len(),
        median(&gone) / 1e6,
        quantile(&gone, 0.0) / 1e6,
        quantile(&gone, 1.0) / 1e6,
        median(&back) / 1e6,
        quantile(&back, 0.0) / 1e6,
        quantile(&back, 1.0) / 1e6,
    );
    let what = "bond flapping: a stream's share of the wires that are there".to_owned();
    let figure = format!("{:.2} / {:.2}", median(&gone) / left, median(&back) / whole);
    vec![
        Row::goal(what, figure, ">= .5", good, detail),
        // Some are under way when the link dies.
        without_goal(delay(of.name, &idle, &loaded)),
        spoken(of.name, &heard),
    ]
}

pub fn unshaped(of: &Scenario, effort: Effort) -> Vec<Row> {
    ["cubic", "bbr"].into_iter().flat_map(|congestion| one_unshaped(of, effort, congestion)).collect()
}

fn one_unshaped(of: &Scenario, effort: Effort, congestion: &str) -> [Row; 3] {
    let hosts = Hosts::unshaped();
    let pair = hosts.start(of.scheduler);
    let idle = Two::of(&hosts).idle();
    let bulk = Bulk::start(&hosts.server, (SERVER, PORT), &hosts.client, congestion, PATIENCE).expect("a connection");
    thread::sleep(seconds(effort.pick(5, 2)));
    let busy = pair.busy();
    let time = effort.pick(10, 4);
    let second = |_| bulk.rate(seconds(1));
    let (speeds, loaded, heard) = Two::of(&hosts).notice(time, || (0..time).map(second).collect::<Vec<f64>>());
    let costs = cost(&pair, busy, &speeds);
    drop(bulk);
    pair.stop();
    let figure = median(&speeds) / 1e6;
    let (low, high) = (quantile(&speeds, 0.0) / 1e6, quantile(&speeds, 1.0) / 1e6);
    let detail =
        format!("in single seconds {low:.0} to {high:.0}; {costs}; both daemons and both ends on this machine");
    let what = format!("bond unshaped: one stream over one cable, {congestion}");
    let name = format!("unshaped, {congestion}");
    [
        Row::goal(what, format!("{figure:.0} Mbit/s"), ">= 2000 Mbit/s", figure >= 2000.0, detail),
        delay(&name, &idle, &loaded),
        spoken(&name, &heard),
    ]
}

pub fn idle(of: &Scenario, effort: Effort) -> Vec<Row> {
    let hosts = Hosts::new(of.links);
    let pair = hosts.start(of.scheduler);
    thread::sleep(seconds(3));
    let (before, time) = (pair.busy(), effort.pick(10, 4));
    thread::sleep(seconds(time));
    let after = pair.busy();
    let busy = [0, 1].map(|end| (after[end] - before[end]) * 1e3 / time as f64);
    let memory = [&pair.client, &pair.server].map(|end| end.memory() as f64 / 1024.0);
    pair.stop();
    let most = memory[0].max(memory[1]);
    let detail = format!("client {:.2}, server {:.2} MB, with two paths", memory[0], memory[1]);
    vec![
        Row::goal("bond resting: memory", format!("{most:.2} MB"), "<= 3 MB", most <= 3.0, detail),
        Row::info(
            "bond resting: processor time",
            format!("{:.2} ms/s", busy[0].max(busy[1])),
            format!("client {:.2}, server {:.2} ms/s", busy[0], busy[1]),
        ),
    ]
}

pub fn wire(of: &Scenario, effort: Effort, congestion: &str, share: f64) -> Vec<Row> {
    let hosts = Hosts::new(of.links);
    let whole: f64 = of.links.iter().map(|link| link.down as f64 * 1e6).sum();
    let (speed, _) = best_alone(&hosts, 1, effort, congestion, false);
    let figure = speed / whole;
    // 1,448 bytes of 1,514 are the stream's.
    let detail =
        format!("{:.1} Mbit/s, of {:.1} that frames' headers leave", speed / 1e6, whole / 1e6 * 1448.0 / 1514.0);
    let what = format!("one wire of 100 Mbit/s without a bond, {congestion}: a stream's share");
    if share == 0.0 {
        return vec![Row::info(what, format!("{figure:.3}"), detail)];
    }
    vec![Row::goal(what, format!("{figure:.3}"), ">= .95", figure >= share, detail)]
}
