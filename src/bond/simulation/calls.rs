//! A call beside a download is not to suffer: neither where a link dies, nor where the download's acknowledgments fill an upload.

use super::bonded::{Bonded, Choice};
use super::bulk::Bulk;
use super::congestion::Control;
use super::report::Report;
use super::scenario::{dead, narrow, usual};
use super::streams::{Ping, Voice};
use super::world::{Plan, World};
use super::{CLIENT, SERVER};
use crate::bond::schedule::Scheduler;
use crate::time::{Span, Time};

/// Both sides talk for six seconds, and the client downloads.
fn talk(plan: Plan, choice: Choice, seed: u64) -> Report {
    let plan = Plan { seed, lateness: Span::from_micros(40 + 10 * seed), ..plan };
    let mut world = World::new(&plan, &Bonded::chosen(choice));
    world.add(Ping::new);
    world.run_ms(1_500);
    world.add(|app| Bulk::new(app, SERVER, Control::Cubic).starting(Time(1_500_000)));
    world.run_ms(2_500);
    world.add(|app| Voice::new(app, SERVER));
    world.add(|app| Voice::new(app, CLIENT));
    world.run_ms(6_000);
    world.stop();
    world.run_ms(1_000);
    world.report()
}

fn is_heard(report: &Report, most: u64, case: &str) {
    for (side, voice) in ["down", "up"].iter().zip(&report.voices) {
        assert_eq!(voice.lost(), 0, "{case}, {side}");
        assert!(voice.longest < Span::from_millis(most), "{case}, {side}: {} at most", voice.longest);
    }
}

/// What was lost of the download waits to be sent again, and takes its time: a call's packets that were lost or are new do not wait behind it
/// (156 to 164 ms at most), and all paths have room for their copies (132 to 172).
#[test]
fn a_call_does_not_wait_for_what_a_download_lost() {
    for (scheduler, most) in [(Scheduler::Adaptive, 145), (Scheduler::Redundant, 70)] {
        for seed in 1..=2 {
            let report = talk(dead(usual(), 0, 6_000, 12_000), Choice { scheduler, ..Choice::USUAL }, seed);
            is_heard(&report, most, &format!("{scheduler:?}, {seed}"));
        }
    }
}

/// The acknowledgments of 150 Mbit/s are more than 3 Mbit/s of upload: all that was not among them waited for up to five seconds (weighted 1.3),
/// some of it was lost, and pings took up to 229 ms in the mean.
#[test]
fn a_call_has_its_share_of_a_narrow_upload() {
    let by = |scheduler| Choice { scheduler, weights: [2, 1, 1, 1], ..Choice::USUAL };
    for scheduler in [Scheduler::Adaptive, Scheduler::Failover, Scheduler::Weighted] {
        for seed in 1..=2 {
            let report = talk(narrow(), by(scheduler), seed);
            let case = format!("{scheduler:?}, {seed}");
            is_heard(&report, 100, &case);
            assert!(report.pings[0].mean < Span::from_millis(60), "{case}: {}", report.pings[0].mean);
        }
    }
}
