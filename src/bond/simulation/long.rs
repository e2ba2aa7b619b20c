//! What only time shows: paths by which nothing but the two ends' own words leave for hours, that were slow once, or whose end has
//! another clock since.

use super::bonded::{Bonded, Choice};
use super::bulk::Bulk;
use super::congestion::Control;
use super::link::{Change, Way, percent};
use super::scenario::dead;
use super::streams::{Ping, Voice};
use super::world::{Plan, World};
use super::{CLIENT, SERVER};
use crate::bond::schedule::Scheduler;
use crate::time::{Span, Time};

/// After 16,384 probes and answers, which are a day's, a reserve was up and took nothing.
#[test]
fn a_reserve_that_was_idle_for_a_day_carries() {
    let plan = dead(Plan::new(&[(10, 1), (10, 2)]), 0, 120_000, 130_000);
    let choice = Choice { scheduler: Scheduler::Failover, keepalive: Span::from_millis(5), ..Choice::USUAL };
    let mut world = World::new(&plan, &Bonded::chosen(choice));
    for side in [CLIENT, SERVER] {
        world.add(|app| Voice::new(app, side).every(Span::from_millis(40)));
    }
    world.run_ms(121_000);
    world.mark();
    world.run_ms(8_000);
    for voice in world.report().voices {
        assert!(voice.lost() <= 1, "{voice:?}");
    }
}

/// ... and after as many reports, which are some minutes', an end that only listened could not speak.
#[test]
fn who_listens_for_minutes_may_speak() {
    let plan = Plan::new(&[(10, 10)]);
    let mut world = World::new(&plan, &Bonded::chosen(Choice::USUAL));
    world.add(|app| Voice::new(app, SERVER));
    world.run_ms(360_000);
    world.add(Ping::new);
    world.run_ms(2_000);
    world.mark();
    world.run_ms(2_000);
    world.stop();
    world.run_ms(500);
    let ping = world.report().pings[0];
    assert!(ping.received == ping.sent && ping.sent >= 39, "{ping:?}");
}

/// Three links of 10 Mbit/s, with a stream down from now on, for so long; how much of it each carries, in thousandths.
fn shares(world: &mut World, ms: u64) -> Vec<u64> {
    let now = world.now;
    world.add(|app| Bulk::new(app, SERVER, Control::Bbr).starting(now).until(now + Span::from_millis(ms)));
    world.run_ms(ms / 2);
    let carried = |world: &World| -> Vec<u64> { world.links.iter().map(|link| link.carried[SERVER].bytes).collect() };
    let before = carried(world);
    world.run_ms(ms / 2);
    let bytes: Vec<u64> = carried(world).iter().zip(&before).map(|(now, before)| now - before).collect();
    let sum: u64 = bytes.iter().sum();
    bytes.iter().map(|bytes| bytes * 1_000 / sum.max(1)).collect()
}

fn three() -> Plan {
    Plan::new(&[(10, 10), (10, 15), (10, 20)])
}

/// Of a path that is left out no report comes that would tell that it is quick again: it was left out for ever.
#[test]
fn a_third_path_that_was_slow_for_a_minute_is_used_again() {
    let (slow, usual) = (Way::new(10, Span::from_millis(400)), Way::new(10, Span::from_millis(20)));
    let plan = three().change(5_000, 2, Change::Way(SERVER, slow)).change(45_000, 2, Change::Way(SERVER, usual));
    let mut world = World::new(&plan, &Bonded::usual);
    world.run_ms(2_000);
    world.add(|app| Bulk::new(app, SERVER, Control::Bbr).starting(Time(2_000_000)).until(Time(45_000_000)));
    world.run_ms(68_000);
    let shares = shares(&mut world, 6_000);
    assert!(shares[2] > 200, "{shares:?}");
}

/// ... nor that the other end's machine has begun anew, and its clock with it.
#[test]
fn all_paths_are_used_after_the_other_end_has_another_clock() {
    for (at, by) in [(CLIENT, 300), (SERVER, 300), (CLIENT, 3_000), (SERVER, 3_000)] {
        let mut world = World::new(&three(), &Bonded::usual);
        world.run_ms(2_000);
        shares(&mut world, 4_000);
        world.run_ms(30_000);
        world.jump(at, Span::from_secs(by));
        world.run_ms(30_000);
        let shares = shares(&mut world, 8_000);
        assert!(shares.iter().all(|share| *share > 200), "{by} s at {at}: {shares:?}");
    }
}

/// ... or is about to be that far ahead that its difference to ours changes its sign, for a slow path earlier than for a quick one.
#[test]
fn all_paths_are_used_where_the_clocks_difference_wraps() {
    let plan = Plan { clocks: [Span(77_000_000 + (1 << 31) - 14_000), Span::from_secs(77)], ..three() };
    let mut world = World::new(&plan, &Bonded::usual);
    world.run_ms(2_000);
    let shares = shares(&mut world, 6_000);
    assert!(shares.iter().all(|share| *share > 200), "{shares:?}");
}

/// What a reserve's round trip was hours ago is no measure of its queue.
#[test]
fn an_idle_reserve_whose_way_became_longer_is_filled_at_once() {
    for more in [100, 150] {
        let plan = dead(Plan::new(&[(20, 10), (20, 20)]), 1, 8_000, 8_400);
        let plan = dead(plan, 0, 3_000, 8_000);
        let longer = Change::Way(SERVER, Way::new(20, Span::from_millis(20 + more)));
        let plan = dead(plan.change(200_000, 1, longer), 0, 210_000, 230_000);
        let limit = Span::from_millis(1_000);
        let choice = Choice { scheduler: Scheduler::Failover, limit, ..Choice::USUAL };
        let mut world = World::new(&plan, &Bonded::chosen(choice));
        world.run_ms(2_000);
        world.add(|app| Bulk::new(app, SERVER, Control::Bbr).starting(Time(2_000_000)).until(Time(8_000_000)));
        world.run_ms(210_000);
        world.add(|app| Bulk::new(app, SERVER, Control::Bbr).starting(Time(212_000_000)));
        world.run_ms(2_500);
        world.mark();
        world.run_ms(3_000);
        let share = world.report().share(20_000_000);
        assert!(share > 500, "{more} ms more: {share}");
    }
}

/// A parity of the packets that left before it died was never reported, and all that the two ends said behind it was kept: after some
/// hours nothing could leave any more.
#[test]
fn a_lossy_path_that_was_dead_for_hours_comes_back() {
    let plan = Plan::new(&[(10, 10), (10, 20)]).both(1, |way| way.loss = percent(2.0));
    let (from, to) = (8_000, 6 * 3_600_000);
    let mut world = World::new(&dead(plan, 1, from, to), &Bonded::usual);
    world.run_ms(1_500);
    for side in [CLIENT, SERVER] {
        world.add(|app| Bulk::new(app, side, Control::Bbr).starting(Time(1_500_000)).until(Time((from + 500) * 1_000)));
    }
    world.add(|app| Ping::new(app).every(Span::from_secs(2)));
    world.run(Time(to * 1_000));
    world.run_ms(3_000);
    let before = world.links[1].carried;
    shares(&mut world, 4_000);
    let after = world.links[1].carried;
    for side in [CLIENT, SERVER] {
        assert!(after[side].datagrams > before[side].datagrams + 20, "from {side}: {before:?} {after:?}");
    }
}
