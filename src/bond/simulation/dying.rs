//! A link dies while a download has it: a call beside that is not to suffer.

use super::SERVER;
use super::bonded::{Bonded, Choice};
use super::bulk::Bulk;
use super::congestion::Control;
use super::report::Report;
use super::scenario::{dead, usual};
use super::streams::{Ping, Voice};
use super::world::{Plan, World};
use crate::bond::schedule::Scheduler;
use crate::time::{Span, Time};

/// A call of ten seconds, whose quick link is gone for six of them.
fn call(scheduler: Scheduler, seed: u64) -> Report {
    let plan = Plan { seed, lateness: Span::from_micros(40 + 10 * seed), ..dead(usual(), 0, 6_000, 12_000) };
    let mut world = World::new(&plan, &Bonded::chosen(Choice { scheduler, ..Choice::USUAL }));
    world.add(Ping::new);
    world.run_ms(1_500);
    world.add(|app| Bulk::new(app, SERVER, Control::Cubic).starting(Time(1_500_000)));
    world.run_ms(2_500);
    world.add(|app| Voice::new(app, SERVER));
    world.run_ms(10_000);
    world.stop();
    world.run_ms(1_000);
    world.report()
}

/// What was lost of the download waits to be sent again, and takes its time: a call's packets that were lost or are new do not wait behind it
/// (156 to 164 ms at most), and all paths have room for their copies (132 to 172).
#[test]
fn a_call_does_not_wait_for_what_a_download_lost() {
    for (scheduler, most) in [(Scheduler::Adaptive, 120), (Scheduler::Redundant, 70)] {
        for seed in 1..=4 {
            let voice = call(scheduler, seed).voices[0];
            let case = format!("{scheduler:?} {seed}: {} at most", voice.longest);
            assert_eq!(voice.lost(), 0, "{case}");
            assert!(voice.longest < Span::from_millis(most), "{case}");
        }
    }
}
