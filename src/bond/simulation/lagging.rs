//! A path that lags: what leaves by it comes when those before it have.

use super::SERVER;
use super::bonded::Bonded;
use super::bulk::Bulk;
use super::congestion::Control;
use super::report::Report;
use super::scenario::usual;
use super::streams::Ping;
use super::world::{Plan, World};
use crate::time::{Span, Time};

/// A download over the usual links, from one second after its beginning on. `seen`: before, somebody asked for echoes.
fn download(control: Control, late: u64, seen: bool) -> Report {
    let plan = Plan { lateness: Span::from_micros(late), seed: late, ..usual() };
    let mut world = World::new(&plan, &Bonded::usual);
    if seen {
        world.add(Ping::new);
    }
    world.run_ms(1_500);
    let begins = Time(1_500_000);
    world.add(|app| Bulk::new(app, SERVER, control).starting(begins));
    world.run(begins + Span::from_secs(1));
    world.mark();
    world.run_ms(7_000);
    world.report()
}

/// Packets that are the next ones, by either path: 16,000 of 60,000 overtaken. Where the delay of a path that nothing is known of was
/// compared across two clocks: .74 of the links' rate.
#[test]
fn a_stream_fills_both_links_within_a_second_and_less_is_overtaken() {
    for late in [40, 80, 120, 160] {
        for seen in [false, true] {
            let report = download(Control::Cubic, late, seen);
            let (share, again) = (report.share(100_000_000), report.streams[0].retransmitted);
            assert!(share >= 910 && again <= 5, "{late} {seen}: {share}, {again} sent again");
            assert!((1..=9_000).contains(&report.disordered), "{late} {seen}: {}", report.disordered);
        }
    }
}

/// It keeps no queue, and is not to wait for one.
#[test]
fn a_bbr_fills_both_links_within_a_second() {
    for late in [40, 160] {
        for seen in [false, true] {
            let share = download(Control::Bbr, late, seen).share(100_000_000);
            assert!(share >= 900, "{late} {seen}: {share}");
        }
    }
}
