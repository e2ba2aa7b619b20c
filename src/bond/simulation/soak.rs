//! An hour of a household: keys change thirty times, mostly under load, a link comes and goes, another loses packets, and each end
//! is started anew once. The world sees to it that nothing comes out forged or twice.

use std::collections::BTreeSet;

use super::bonded::{Bonded, Choice};
use super::bulk::Bulk;
use super::congestion::Control;
use super::link::percent;
use super::scenario::dead;
use super::streams::{Ping, Voice};
use super::world::{Plan, World};
use super::{CLIENT, SERVER, Side};
use crate::time::{Span, Time};

/// Seconds.
const HOUR: u64 = 3_600;
const REKEY: u64 = crate::bond::session::REKEY_AFTER.as_millis() / 1_000;
/// When the server is started anew, and the client: under load, and so that the keys' beat stays as it was.
const RESTARTS: [(u64, Side); 2] = [(15 * REKEY - 1, SERVER), (22 * REKEY - 1, CLIENT)];
/// What a restart may take, in milliseconds.
const BACK: u64 = 2_000;
/// What an end may take, bytes: some times what these links make it take, and little beside its limits.
const MOST_MEMORY: usize = 1 << 20;

fn plan() -> Plan {
    let plan = Plan::new(&[(3, 10), (1, 30), (2, 20)]).both(1, |way| way.loss = percent(2.0));
    // Five seconds of each minute and a bit: every part of the keys' beat meets it.
    (0..HOUR / 67).fold(plan, |plan, turn| dead(plan, 2, turn * 67_000 + 30_000, turn * 67_000 + 35_000))
}

#[test]
fn an_hour_of_keys_losses_and_restarts() {
    let plan = plan();
    let mut world = World::new(&plan, &Bonded::usual);
    world.add(|app| Ping::new(app).every(Span::from_millis(500)));
    world.run_ms(2_000);
    for side in [CLIENT, SERVER] {
        world.add(|app| Voice::new(app, side).every(Span::from_millis(250)));
    }
    // Up and down in turns, from some seconds before the keys change to some after.
    for turn in 1..HOUR / REKEY {
        let begins = Time(0) + Span::from_secs(turn * REKEY - 3);
        let bulk = |app| Bulk::new(app, turn as Side % 2, Control::Cubic);
        world.add(|app| bulk(app).starting(begins).until(begins + Span::from_secs(7)));
    }
    let (mut late, mut keys, mut moved) = (0, 0, BTreeSet::new());
    for (at, side) in RESTARTS {
        moved.extend(undisturbed(&mut world, at));
        let counts = world.ends[side].counts();
        (late, keys) = (late + counts.late, keys + counts.keys);
        world.restart(side, Box::new(Bonded::new(side, &plan, Choice::default(), 100 + side as u16)));
        world.run_ms(BACK);
    }
    moved.extend(undisturbed(&mut world, HOUR));
    let report = world.report();
    late += report.late;
    assert!(report.disordered <= late, "{} out of order, {late} given up and late", report.disordered);
    assert!(report.most_memory <= MOST_MEMORY, "{} bytes", report.most_memory);
    assert_eq!(moved.len(), report.streams.len(), "not all streams moved: {moved:?}");
    keys += world.ends.iter().map(|end| end.counts().keys).sum::<u32>();
    assert!(u64::from(keys) >= 2 * (HOUR / REKEY - 1), "{keys} changes of keys");
    println!("{} KB, {late} late, {} repaired, {keys} keys", report.most_memory / 1_000, report.repaired);
}

/// Reports name a session by the last byte of its index, which one in 256 has of the one before.
#[test]
fn keys_whose_indexes_end_alike_change_unnoticed() {
    let mut world = World::new(&Plan::new(&[(2, 10), (1, 30)]), &Bonded::usual);
    world.alike();
    world.run_ms(2_000);
    let said = world.said.len();
    for side in [CLIENT, SERVER] {
        world.add(|app| Voice::new(app, side).every(Span::from_millis(50)));
    }
    world.mark();
    world.run_ms(3 * REKEY * 1_000);
    world.stop();
    world.run_ms(1_000);
    let report = world.report();
    assert!(report.voices.iter().all(|voice| voice.lost() == 0), "{report:?}");
    assert!(world.ends[CLIENT].counts().keys > 3 && world.said.len() == said, "{:?}", world.said);
}

/// Up to a second of the hour, next to nothing is lost but what TCP sends again. Returns the streams that moved.
fn undisturbed(world: &mut World, until: u64) -> Vec<usize> {
    world.mark();
    world.run(Time(0) + Span::from_secs(until));
    let report = world.report();
    for voice in &report.voices {
        assert!(voice.lost() * 1_000 <= voice.sent, "{voice:?}");
    }
    let ping = &report.pings[0];
    assert!((ping.sent - ping.received) * 500 <= ping.sent, "{ping:?}");
    // A tenth of what two links carry in the time.
    let moved = report.streams.iter().enumerate().filter(|(_, stream)| stream.bytes > 200_000);
    moved.map(|(number, _)| number).collect()
}
