//! What `weighted` and `failover` promise, and what a client's links' terms are to its server: in both directions.

use super::bonded::{Bonded, Choice, LINKS};
use super::bulk::Bulk;
use super::congestion::Control;
use super::link::{Change, Way, percent};
use super::streams::Voice;
use super::world::{Plan, World};
use super::{CLIENT, SERVER};
use crate::bond::Event;
use crate::bond::schedule::Scheduler;
use crate::time::Span;

const FAILOVER: Choice = Choice { scheduler: Scheduler::Failover, ..Choice::USUAL };

fn weighted(weights: [u16; LINKS]) -> Choice {
    Choice { scheduler: Scheduler::Weighted, weights, ..Choice::USUAL }
}

/// Of two links that are much alike the first is the quicker one.
fn two() -> Plan {
    Plan::new(&[(10, 10), (10, 20)])
}

/// Bytes and datagrams, from each side.
type Carried = [(u64, u64); 2];

/// What left by each link in so many milliseconds.
fn carried(world: &mut World, ms: u64) -> Vec<Carried> {
    let look = |world: &World| -> Vec<Carried> {
        world.links.iter().map(|link| link.carried.map(|carried| (carried.bytes, carried.datagrams))).collect()
    };
    let before = look(world);
    world.run_ms(ms);
    let less = |side: usize, after: &Carried, before: &Carried| {
        (after[side].0 - before[side].0, after[side].1 - before[side].1)
    };
    look(world)
        .iter()
        .zip(&before)
        .map(|(after, before)| [CLIENT, SERVER].map(|side| less(side, after, before)))
        .collect()
}

/// How much of that the first link has, by bytes and in thousandths, from each side.
fn shares(world: &mut World, ms: u64) -> [u64; 2] {
    let carried = carried(world, ms);
    [CLIENT, SERVER].map(|side| {
        let sum: u64 = carried.iter().map(|link| link[side].0).sum();
        carried[0][side].0 * 1_000 / sum.max(1)
    })
}

fn fill(world: &mut World) {
    for side in [CLIENT, SERVER] {
        world.add(|app| Bulk::new(app, side, Control::Bbr));
    }
}

fn calls(world: &mut World) {
    for side in [CLIENT, SERVER] {
        world.add(|app| Voice::new(app, side));
    }
}

/// For so long it is the first link that carries, or it is not, from both sides.
#[track_caller]
fn carries(world: &mut World, ms: u64, first: bool) {
    let shares = shares(world, ms);
    // Reports go by the quickest path, whatever the scheduler.
    let right = |share: &u64| if first { *share > 800 } else { *share < 250 };
    assert!(shares.iter().all(right), "until {:?} the first link has {shares:?}, should it? {first}", world.now);
}

/// A plan whose first link is another from 5 to 15 seconds.
fn changes(to: Way) -> Plan {
    [CLIENT, SERVER].into_iter().fold(two(), |plan, side| {
        let back = Change::Way(side, plan.links[0][side].clone());
        plan.change(5_000, 0, Change::Way(side, to.clone())).change(15_000, 0, back)
    })
}

#[test]
fn weights_are_kept_to_in_both_directions() {
    for (weights, least, most) in [([3, 1, 1, 1], 720, 780), ([1, 1, 1, 1], 470, 530), ([1, 4, 1, 1], 170, 230)] {
        let mut world = World::new(&Plan::new(&[(10, 10), (10, 10)]), &Bonded::chosen(weighted(weights)));
        world.run_ms(1_500);
        fill(&mut world);
        world.run_ms(1_000);
        let shares = shares(&mut world, 4_000);
        assert!(shares.iter().all(|share| (least..=most).contains(share)), "{weights:?}: {shares:?}");
    }
}

/// What the server knew of the links' terms was the former client's.
#[test]
fn a_client_that_begins_anew_has_terms_of_its_own() {
    let plan = Plan::new(&[(10, 10), (10, 10)]);
    let mut world = World::new(&plan, &Bonded::chosen(weighted([1, 4, 1, 1])));
    world.run_ms(1_500);
    fill(&mut world);
    for (instance, weights, least, most) in [(8, [1; LINKS], 450, 550), (9, [4, 1, 1, 1], 750, 830)] {
        world.restart(CLIENT, Box::new(Bonded::new(CLIENT, &plan, weighted(weights), instance)));
        world.run_ms(3_000);
        let share = shares(&mut world, 4_000)[SERVER];
        assert!((least..=most).contains(&share), "{weights:?}: {share}");
    }
}

#[test]
fn weighted_goes_on_without_a_dead_link() {
    let plan = two().change(3_000, 0, Change::Dead(true)).change(8_000, 0, Change::Dead(false));
    let mut world = World::new(&plan, &Bonded::chosen(weighted([3, 1, 1, 1])));
    world.run_ms(2_000);
    calls(&mut world);
    world.run_ms(2_000);
    carries(&mut world, 4_000, false);
    world.run_ms(2_000);
    let back = shares(&mut world, 4_000);
    assert!(back.iter().all(|share| *share > 600), "{back:?}");
    world.stop();
    world.run_ms(1_000);
    for voice in world.report().voices {
        assert!(voice.lost() < 20, "{voice:?}");
    }
}

#[test]
fn failover_leaves_a_link_that_loses_packets_and_returns() {
    let lossy = Way { loss: percent(25.0), ..Way::new(10, Span::from_millis(10)) };
    let mut world = World::new(&changes(lossy), &Bonded::chosen(FAILOVER));
    world.run_ms(1_500);
    calls(&mut world);
    world.run_ms(500);
    carries(&mut world, 3_000, true);
    world.run_ms(1_000);
    // It is tried again now and then, and left again.
    carries(&mut world, 9_000, false);
    world.run_ms(6_000);
    carries(&mut world, 5_000, true);
}

#[test]
fn failover_leaves_a_slow_link_within_a_second_and_returns_when_it_is_quick() {
    // As the daemon's defaults: idle paths are asked every ten seconds; and less than half the way of the limit.
    let choice = Choice { keepalive: Span::from_secs(10), ..FAILOVER };
    for delay in [90, 200, 400] {
        let mut world = World::new(&changes(Way::new(10, Span::from_millis(delay))), &Bonded::chosen(choice));
        world.run_ms(1_500);
        calls(&mut world);
        world.run_ms(500);
        carries(&mut world, 3_000, true);
        world.run_ms(if delay < 150 { 2_200 } else { 1_200 });
        // Not once is it returned to.
        for _ in 0..7 {
            carries(&mut world, 1_000, false);
        }
        world.run(crate::time::Time(26_000_000));
        carries(&mut world, 5_000, true);
    }
}

#[test]
fn failover_does_without_a_dead_link() {
    let plan = two().change(3_000, 0, Change::Dead(true)).change(8_000, 0, Change::Dead(false));
    let mut world = World::new(&plan, &Bonded::chosen(FAILOVER));
    world.run_ms(1_500);
    calls(&mut world);
    world.mark();
    world.run_ms(2_000);
    carries(&mut world, 4_500, false);
    world.run_ms(1_000);
    carries(&mut world, 3_000, true);
    world.stop();
    world.run_ms(1_000);
    for voice in world.report().voices {
        assert!(voice.lost() < 20 && voice.longest < Span::from_millis(300), "{voice:?}");
    }
}

/// A stream that fills it makes no link slow.
#[test]
fn failover_stays_on_a_busy_link() {
    for (rate, queue) in [(2, 150_000), (20, 1_250_000)] {
        let plan = Plan::new(&[(rate, 15), (rate, 20)]).both(0, |way| way.queue = queue);
        let mut world = World::new(&plan, &Bonded::chosen(FAILOVER));
        world.run_ms(1_500);
        for side in [CLIENT, SERVER] {
            world.add(|app| Bulk::new(app, side, Control::Cubic));
        }
        carries(&mut world, 10_000, true);
    }
}

/// As many bytes a second as a person allows for the second link, in both directions, large and small packets alike.
#[test]
fn a_cap_is_kept_in_both_directions() {
    const CAP: u64 = 25_000;
    for scheduler in [Scheduler::Adaptive, Scheduler::Weighted, Scheduler::Redundant, Scheduler::Failover] {
        for large in [true, false] {
            let choice = Choice { scheduler, caps: [0, CAP, 0, 0], ..Choice::USUAL };
            // The capped one is the quicker by far, and all that there is after a while.
            let plan = Plan::new(&[(10, 40), (10, 5)]).change(6_000, 0, Change::Dead(true));
            let mut world = World::new(&plan, &Bonded::chosen(choice));
            world.run_ms(1_500);
            for side in [CLIENT, SERVER] {
                match large {
                    true => world.add(|app| Bulk::new(app, side, Control::Cubic)),
                    false => (0..2).for_each(|_| world.add(|app| Voice::new(app, side))),
                }
            }
            for ms in [4_000, 4_000] {
                let second = carried(&mut world, ms)[1];
                // Headers outside, probes and reports are beside it: the latter every 20 ms.
                let most = CAP * ms / 1_000;
                for (bytes, datagrams) in second {
                    let inside = bytes - datagrams * 42;
                    assert!(inside <= most + most / 4, "{scheduler:?}, large {large}: {inside} bytes, not {most}");
                }
            }
        }
    }
}

/// The server hears of a link's end before it misses it, and sends nothing there.
#[test]
fn a_link_that_is_given_up_carries_nothing_in_either_direction() {
    let choice = Choice { gone: Some((0, Span::from_secs(4))), ..Choice::USUAL };
    let mut world = World::new(&two(), &Bonded::chosen(choice));
    world.run_ms(1_500);
    calls(&mut world);
    world.run_ms(2_540);
    let after = carried(&mut world, 30_000)[0];
    assert!(after.iter().all(|(_, datagrams)| *datagrams == 0), "{after:?}");
    world.stop();
    world.run_ms(1_000);
    for voice in world.report().voices {
        assert!(voice.lost() == 0, "{voice:?}");
    }
}

/// It is up to the client to find out.
#[test]
fn a_server_stops_asking_a_dead_path_until_it_hears_of_it() {
    let plan = two().change(3_000, 0, Change::Dead(true)).change(80_000, 0, Change::Dead(false));
    let mut world = World::new(&plan, &Bonded::usual);
    world.run_ms(1_500);
    calls(&mut world);
    world.run_ms(13_500);
    let asks = carried(&mut world, 10_000)[0];
    assert!(asks.iter().all(|(_, datagrams)| *datagrams >= 8), "both ask: {asks:?}");
    world.run_ms(15_000);
    let asks = carried(&mut world, 20_000)[0];
    assert!(asks[CLIENT].1 >= 15 && asks[SERVER].1 == 0, "only the client asks: {asks:?}");
    let before = world.said.len();
    world.run(crate::time::Time(82_000_000));
    let ups = world.said[before..].iter().filter(|(.., event)| matches!(event, Event::PathUp(_))).count();
    assert_eq!(ups, 2, "{:?}", &world.said[before..]);
}
