//! What a second processor is worth to a router. Its own kind is not at hand, so the client is a program whose cipher was not
//! optimized: it takes as much longer as on such a processor. All else here is as fast as ever.

use std::thread;
use std::time::Duration;

use lab::Bulk;

use super::Scenario;
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
    [false, true].map(|upload| row(of, effort, &program, upload)).into()
}

fn row(of: &Scenario, effort: Effort, program: &str, upload: bool) -> Row {
    let hosts = Hosts::unshaped();
    let mut speeds = [vec![], vec![]];
    for _ in 0..effort.pick(3, 1) {
        for (processors, speeds) in ["0", "0,1"].into_iter().zip(&mut speeds) {
            let mut client = hosts.client.command("taskset");
            client.args(["-c", processors, program]);
            let pair = hosts.start_with(of.scheduler, client);
            let (from, to) = ends(&hosts, upload);
            let address = if upload { CLIENT } else { SERVER };
            let bulk = Bulk::start(from, (address, PORT), to, "cubic", PATIENCE).expect("a connection");
            thread::sleep(Duration::from_secs(4));
            speeds.extend((0..5).map(|_| bulk.rate(Duration::from_secs(1)) / 1e6));
            drop(bulk);
            pair.stop();
        }
    }
    let [one, two] = speeds.each_ref().map(|speeds| median(speeds));
    let range = |speeds: &[f64]| format!("{:.0} to {:.0}", quantile(speeds, 0.0), quantile(speeds, 1.0));
    let detail =
        format!("{two:.0} of {one:.0} Mbit/s, in single seconds {} and {}", range(&speeds[1]), range(&speeds[0]));
    let what = format!("bond slow: {} with two processors, over one", if upload { "an upload" } else { "a download" });
    Row::info(&what, format!("{:.2}", two / one), detail)
}
