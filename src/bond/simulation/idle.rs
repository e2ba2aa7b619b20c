//! Paths by which nothing but the two ends' own words leave for a long time, and then a packet.

use super::bonded::{Bonded, Choice};
use super::scenario::dead;
use super::streams::{Ping, Voice};
use super::world::{Plan, World};
use super::{CLIENT, SERVER};
use crate::bond::schedule::Scheduler;
use crate::time::Span;

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
