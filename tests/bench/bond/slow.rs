//! What a second processor is worth to a router. Its own kind is not at hand, so the client is a program whose cipher was not
//! optimized: it takes as much longer as on such a processor. All else here is as fast as ever.

use std::thread;
use std::time::Duration;

use lab::Bulk;

use super::Scenario;
use super::beside::{Two, delay, spoken, without_goal};
use super::pair::{CLIENT, Hosts, SERVER};
use super::runs::ends;
use crate::Effort;
use crate::stats::{median, quantile};
use crate::table::Row;

const PORT: u16 = 5001;
const PATIENCE: Duration = Duration::from_secs(20);

pub fn rows(of: &Scenario, effort: Effort) -> Vec<Row> {
    let Ok(program) = std::env::var("CHEAPROUTE_SLOW") else {
        let why = "its program is not there: `make bench` builds it";
        return vec![Row::info("bond slow", "-".to_owned(), why.to_owned())];
    };
    [false, true].into_iter().flat_map(|upload| rows_of(of, effort, &program, upload)).collect()
}

fn rows_of(of: &Scenario, effort: Effort, program: &str, upload: bool) -> [Row; 3] {
    let hosts = Hosts::unshaped();
    let mut speeds = [vec![], vec![]];
    let (mut idle, mut loaded, mut calls) = (vec![], vec![], vec![]);
    for _ in 0..effort.pick(3, 1) {
        for (processors, speeds) in ["0", "0,1"].into_iter().zip(&mut speeds) {
            let mut client = hosts.client.command("taskset");
            client.args(["-c", processors, program]);
            let pair = hosts.start_with(of.scheduler, client);
            let two = Two::of(&hosts);
            idle.extend(two.idle());
            let (from, to) = ends(&hosts, upload);
            let address = if upload { CLIENT } else { SERVER };
            let bulk = Bulk::start(from, (address, PORT), to, "cubic", PATIENCE).expect("a connection");
            thread::sleep(Duration::from_secs(4));
            speeds.extend((0..5).map(|_| bulk.rate(Duration::from_secs(1)) / 1e6));
            // Not in those seconds: a processor that has no time to spare is what is measured in them.
            let ((), pings, heard) = two.notice(3, || thread::sleep(Duration::from_secs(3)));
            loaded.extend(pings);
            calls.push(heard);
            drop(bulk);
            pair.stop();
        }
    }
    let [one, two] = speeds.each_ref().map(|speeds| median(speeds));
    let range = |speeds: &[f64]| format!("{:.0} to {:.0}", quantile(speeds, 0.0), quantile(speeds, 1.0));
    let detail =
        format!("{two:.0} of {one:.0} Mbit/s, in single seconds {} and {}", range(&speeds[1]), range(&speeds[0]));
    let way = if upload { "an upload" } else { "a download" };
    let name = format!("slow, {way}");
    let worst = calls.iter().max_by_key(|heard| heard.lost).expect("calls");
    [
        Row::info(format!("bond slow: {way} with two processors, over one"), format!("{:.2}", two / one), detail),
        // A processor that is busy lets everybody wait.
        without_goal(delay(&name, &idle, &loaded)),
        spoken(&name, worst),
    ]
}
