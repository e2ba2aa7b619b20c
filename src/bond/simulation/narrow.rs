//! Paths that carry smaller datagrams of a sudden, or too small ones, and say nothing.

use super::bonded::Bonded;
use super::bulk::Bulk;
use super::congestion::Control;
use super::link::{Change, percent};
use super::packet::{Body, Parsed};
use super::world::{Plan, World};
use super::{CLIENT, SERVER, Side};
use crate::bond::Event;
use crate::bond::frame::PathId;
use crate::bond::mtu::{self, LARGEST_DEVICE};
use crate::time::Span;

/// From this millisecond on, the link takes IP packets of so many bytes.
fn narrowed(plan: Plan, at: u64, link: usize, mtu: u64) -> Plan {
    let ways = plan.links[link].clone();
    [CLIENT, SERVER].into_iter().fold(plan, |plan, side| {
        let way = super::link::Way { mtu, ..ways[side].clone() };
        plan.change(at, link, Change::Way(side, way))
    })
}

/// The sizes that an end wanted for its device, in their order.
fn sizes(world: &World, end: Side) -> Vec<u16> {
    let said = world.said.iter().filter(|(_, side, _)| *side == end);
    said.filter_map(|(.., event)| if let Event::Mtu(size) = event { Some(*size) } else { None }).collect()
}

#[test]
fn a_path_that_shrinks_stops_no_transfer() {
    // After a timeout this world's CUBIC sends again what was lost a packet at a time: no window of many is to be lost.
    for (links, from, control) in [
        (&[(8, 10)][..], CLIENT, Control::Cubic),
        (&[(8, 10), (4, 20)], SERVER, Control::Cubic),
        (&[(8, 10), (4, 20)], CLIENT, Control::Bbr),
        (&[(4, 60)], SERVER, Control::Bbr),
        (&[(3, 30)], SERVER, Control::Bbr),
    ] {
        let mut world = World::new(&narrowed(Plan::new(links), 4_000, 0, 1_400), &Bonded::usual);
        world.run_ms(1_500);
        world.add(|app| Bulk::new(app, from, control));
        world.run_ms(2_400);
        world.mark();
        world.run_ms(4_000);
        let stalled = world.report().streams[0].stalled;
        assert!(stalled < Span::from_millis(1_200), "{links:?} {control:?}: {stalled}");
        world.mark();
        world.run_ms(4_000);
        let rate = links.iter().map(|(rate, _)| rate * 1_000_000).sum();
        let share = world.report().share(rate);
        assert!(share > 600, "{links:?} {control:?}: {share}");
        // Only who sends much finds out at once.
        assert_eq!(sizes(&world, from).last(), Some(&mtu::device(1_372)), "{links:?} {control:?}");
    }
}

#[test]
fn losses_and_cuts_are_not_taken_for_it() {
    let lossy = |permille: f64| Plan::new(&[(8, 10), (4, 20)]).both(0, |way| way.loss = percent(permille));
    let cut = (0..10).fold(Plan::new(&[(8, 10)]), |plan, turn| {
        super::scenario::dead(plan, 0, 4_000 + 700 * turn, 4_200 + 700 * turn)
    });
    for plan in [lossy(3.0), lossy(10.0), cut] {
        let mut world = World::new(&plan, &Bonded::usual);
        world.run_ms(3_800);
        let before = [CLIENT, SERVER].map(|side| sizes(&world, side));
        world.add(|app| Bulk::new(app, SERVER, Control::Bbr));
        world.run_ms(10_000);
        assert_eq!([CLIENT, SERVER].map(|side| sizes(&world, side)), before);
        assert_eq!(before[SERVER].last(), Some(&mtu::device(1_472)));
    }
}

#[test]
fn a_path_that_carries_less_than_the_least_is_not_used() {
    let mut world = World::new(&Plan::new(&[(8, 10), (4, 20)]).both(0, |way| way.mtu = 1_250), &Bonded::usual);
    world.run_ms(10_000);
    let narrow = Event::Narrow(PathId::new(0).unwrap());
    for end in [CLIENT, SERVER] {
        assert!(world.said.iter().any(|(_, side, event)| (*side, *event) == (end, narrow)), "{:?}", world.said);
        assert_eq!(sizes(&world, end).last(), Some(&mtu::device(1_472)));
    }
    world.add(|app| Bulk::new(app, SERVER, Control::Cubic));
    world.run_ms(2_000);
    world.mark();
    world.run_ms(4_000);
    let share = world.report().share(4_000_000);
    assert!(share > 850, "as by the other alone: {share}");
    // It carries more one day.
    let plan = narrowed(Plan::new(&[(8, 10)]).both(0, |way| way.mtu = 1_250), 20_000, 0, 1_500);
    let mut world = World::new(&plan, &Bonded::usual);
    world.run_ms(10_000);
    assert_eq!(world.said.last().map(|(.., event)| *event), Some(Event::Down), "{:?}", world.said);
    world.run_ms(630_000);
    assert_eq!(world.said.last().map(|(.., event)| *event), Some(Event::Mtu(mtu::device(1_472))), "{:?}", world.said);
}

#[test]
fn the_largest_packet_that_a_device_may_take_passes_the_narrowest_path() {
    let mut world = World::new(&Plan::new(&[(8, 10)]).both(0, |way| way.mtu = 1_260), &Bonded::usual);
    world.run_ms(10_000);
    for (length, delivered) in [(LARGEST_DEVICE, 1), (LARGEST_DEVICE + 1, 1)] {
        let payload = vec![7; usize::from(length) - 28];
        world.io.send(&Parsed { from: CLIENT, app: 0, id: length, body: Body::Udp { payload } });
        world.run_ms(200);
        assert_eq!(world.delivered, delivered, "{length} bytes");
    }
}
