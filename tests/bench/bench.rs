//! What racing costs, measured on this machine and printed as one table.
//!
//! `cargo bench --bench bench` measures all, `-- NAME` one of [`PARTS`], `-- bond SCENARIO` one of [`bond::SCENARIOS`],
//! `-- --quick` less of each. Every figure compares two things of the same run; tests/bench/RESULTS.md says how, and keeps the figures of known machines. Needs root.

mod bare;
mod bond;
mod capacity;
mod daemon;
mod detection;
mod flood;
mod idle;
mod latency;
mod leftovers;
mod memory;
mod packets;
mod plain;
#[path = "../support/pump.rs"]
mod pump;
mod sharing;
mod split;
mod stats;
mod sys;
mod table;
mod throughput;
mod tunnel;

use std::time::Instant;

use table::Row;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    pub quick: bool,
    /// The bond's scenarios that were asked for by name; none: all.
    pub scenarios: &'static [String],
}

impl Effort {
    /// One of two amounts.
    pub fn pick<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

type Part = (&'static str, fn(Effort) -> Vec<Row>);

const PARTS: [Part; 11] = [
    ("latency", latency::rows),
    ("capacity", capacity::rows),
    ("throughput", throughput::rows),
    ("memory", memory::rows),
    ("leftovers", leftovers::rows),
    ("detection", detection::rows),
    ("idle", idle::rows),
    ("split", split::rows),
    ("tunnel", tunnel::rows),
    ("sharing", sharing::rows),
    ("bond", bond::rows),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    if flag(bare::FLAG) {
        return bare::run();
    }
    // `cargo test --all-targets` runs benches too, without this flag.
    if !flag("--bench") {
        return println!("skipped: run it by cargo bench");
    }
    if let Err(why) = lab::available() {
        return println!("skipped: {why}");
    }
    let names = arguments.iter().filter(|argument| !argument.starts_with('-')).cloned();
    let (mut parts, scenarios): (Vec<String>, Vec<String>) =
        names.partition(|name| PARTS.iter().any(|(part, _)| part == name));
    if let Some(unknown) = scenarios.iter().find(|name| !bond::SCENARIOS.iter().any(|known| known.name == **name)) {
        let scenarios: Vec<&str> = bond::SCENARIOS.iter().map(|scenario| scenario.name).collect();
        let parts = PARTS.map(|(part, _)| part).join(", ");
        eprintln!("no part {unknown}; there are: {parts}; and scenarios of bond: {}", scenarios.join(", "));
        std::process::exit(2);
    }
    if !scenarios.is_empty() && !parts.iter().any(|part| part == "bond") {
        parts.push("bond".to_owned());
    }
    let effort = Effort { quick: flag("--quick"), scenarios: scenarios.leak() };
    let mut rows = Vec::new();
    for (name, part) in PARTS {
        if parts.is_empty() || parts.iter().any(|wanted| wanted == name) {
            let start = Instant::now();
            eprintln!("measuring {name} ...");
            rows.extend(part(effort));
            eprintln!("measuring {name} took {:.0} s", start.elapsed().as_secs_f32());
        }
    }
    println!("{}\n\n{}", table::machine(), table::text(&rows));
}
