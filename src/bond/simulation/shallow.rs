//! Links that buffer little, or nothing.

use super::bonded::Bonded;
use super::congestion::Control;
use super::link::{Loss, Way, percent};
use super::scenario::{Outcome, Scenario, usual};
use super::world::Plan;
use super::{SERVER, Side};

/// The usual links, which hold so many milliseconds of their rates; or, if they are `policed`, let such a burst pass and lose the rest.
pub fn shallow(ms: u64, policed: bool) -> Plan {
    let short = move |way: &mut Way| (way.queue, way.policed) = (way.rate / 8 * ms / 1_000, policed);
    usual().both(0, short).both(1, short)
}

fn run(plan: &Plan, control: Control) -> Outcome {
    Scenario::new("", plan.clone()).with(control).seconds(4).run(&Bonded::usual)
}

/// Datagrams that found a queue full, or no rate left, of so many that passed.
fn dropped(outcome: &Outcome, from: Side) -> (u64, u64) {
    let sum = |of: fn(&super::link::Carried) -> u64| outcome.carried.iter().map(|link| of(&link[from])).sum();
    (sum(|carried| carried.dropped), sum(|carried| carried.datagrams))
}

/// Without a brim: where 5 ms wait, cubic had .35 to .76 of the rates and BBR .73 to .80; where nothing does, but bursts pass, .30 to .51
/// and .44 to .55.
#[test]
fn links_that_buffer_little_are_filled_and_lose_little() {
    let cases = [
        (5, false, Control::Cubic, 800, 40),
        (5, false, Control::Bbr, 800, 40),
        (10, true, Control::Cubic, 600, 150),
        (10, true, Control::Bbr, 780, 150),
    ];
    for (ms, policed, control, least, most) in cases {
        let outcome = run(&shallow(ms, policed), control);
        let (dropped, passed) = dropped(&outcome, SERVER);
        let case = format!("{control:?}, {ms} ms, policed: {policed}");
        assert!(outcome.share >= least, "{case}: {}", outcome.share);
        assert!(dropped * 1_000 <= passed * most, "{case}: {dropped} dropped of {passed}");
    }
}

/// A stream has what it had without a brim: .83, and .85.
#[test]
fn what_a_radio_loses_is_no_reason_to_send_less() {
    let bursts = Loss::Bursts { begin: 1_000, end: 100_000 };
    for (loss, least) in [(percent(3.0), 780), (bursts, 750)] {
        let plan = usual().both(0, |way| way.loss = loss).both(1, |way| way.loss = loss);
        let share = run(&plan, Control::Bbr).share;
        assert!(share >= least, "{loss:?}: {share}");
    }
}
