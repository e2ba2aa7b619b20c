//! Random worlds: whatever links do, nothing comes out twice, forged or changed (the world panics), order is kept within a stream,
//! memory is bounded, traffic comes back when links do, and rest comes when traffic ends.

use proptest::collection::vec;
use proptest::prelude::*;

use super::bulk::Bulk;
use super::congestion::Control;
use super::ends::Numbered;
use super::link::{Change, Loss, Way};
use super::report::Report;
use super::streams::{Ping, Voice};
use super::world::{Full, Make, Plan, World};
use super::{CLIENT, SERVER, Side};
use crate::time::{Span, Time};

/// When nothing changes any more, links are whole, and streams stop; in ms.
const HEALS: u64 = 2_500;

/// How long a TCP may then wait before it tries again, in seconds: three round trips (RFC 6298, 2.2), of which a full queue of these
/// links makes 5 s each.
const LONGEST_TIMEOUT: u64 = 20;

fn way() -> impl Strategy<Value = Way> {
    let loss = prop_oneof![
        4 => Just(Loss::Random(0)),
        2 => (0..300_000u32).prop_map(Loss::Random),
        1 => (0..20_000u32, 50_000..500_000u32).prop_map(|(begin, end)| Loss::Bursts { begin, end }),
    ];
    let some = |most: u64| prop_oneof![2 => Just(0), 1 => 0..most];
    let times = (0..100_000u64, some(30_000), any::<bool>());
    let queue = (5_000..300_000u64, prop::bool::weighted(0.2));
    (500_000..8_000_000u64, times, loss, queue, some(50_000)).prop_map(
        |(rate, (delay, jitter, overtake), loss, (queue, policed), twice)| Way {
            rate,
            mtu: 1_500,
            delay: Span(delay),
            jitter: Span(jitter),
            overtake,
            loss,
            queue,
            policed,
            twice: twice as u32,
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => any::<bool>().prop_map(Change::Dead),
        1 => Just(Change::Rebind),
        1 => (0..2usize, way()).prop_map(|(side, way)| Change::Way(side, way)),
    ]
}

/// What flows: streams by side and control, and whether there is a voice.
type Traffic = (Vec<(Side, bool)>, bool);

pub fn plan() -> impl Strategy<Value = (Plan, Traffic)> {
    let links = vec([way(), way()], 1..=4);
    let changes = vec((0..HEALS, 0..4usize, change()), 0..8);
    let device = (10..200usize, prop_oneof![Just(Full::Drops), Just(Full::Waits)]);
    let clocks = [any::<u32>(), any::<u32>()].prop_map(|clocks| clocks.map(|clock| Span(u64::from(clock))));
    let lateness = prop_oneof![Just(60u64), 0..2_000u64];
    let traffic = (vec((0..2usize, any::<bool>()), 0..4), any::<bool>());
    (any::<u64>(), links, changes, device, clocks, lateness, traffic).prop_map(
        |(seed, links, changes, (device, full), clocks, lateness, traffic)| {
            let count = links.len();
            let mut plan = Plan { seed, links, device, full, clocks, lateness: Span(lateness), ..Plan::new(&[]) };
            for (at, link, change) in changes {
                plan = plan.change(at, link % count, change);
            }
            for link in 0..count {
                plan = plan.change(HEALS, link, Change::Dead(false));
                for side in 0..2 {
                    plan = plan.change(HEALS, link, Change::Way(side, Way::new(8, Span::from_millis(20))));
                }
            }
            (plan, traffic)
        },
    )
}

/// Runs a world and checks all of it but what the world itself does.
pub fn keeps_its_promises((plan, (streams, voice)): &(Plan, Traffic), make: Make, most_memory: usize) -> Report {
    let mut world = World::new(plan, make);
    world.add(|app| Ping::new(app).every(Span::from_millis(100)));
    for (side, bbr) in streams {
        let control = if *bbr { Control::Bbr } else { Control::Cubic };
        world.add(|app| Bulk::new(app, *side, control));
    }
    if *voice {
        world.add(|app| Voice::new(app, CLIENT));
        world.add(|app| Voice::new(app, SERVER));
    }
    world.run(Time(HEALS * 1_000));
    // Two seconds are what a restarted peer may take; streams go on meanwhile.
    world.run_ms(2_000);
    world.mark();
    world.run_ms(1_000);
    // A host whose segments were lost again and again waits twice as long before the next, whatever links do.
    let moves = |world: &World| streams.is_empty() || world.report().streams.iter().any(|stream| stream.bytes > 0);
    for _ in 0..LONGEST_TIMEOUT {
        if moves(&world) {
            break;
        }
        world.run_ms(1_000);
    }
    assert!(moves(&world), "links are whole, and no stream moves: {:?}", world.report());
    world.stop();
    world.run_ms(1_000);
    let report = world.report();
    let ping = &report.pings[0];
    // A full device drops pings like anything else.
    let returns = report.dropped > 0 || ping.received * 10 >= ping.sent * 8;
    assert!(returns, "links are whole, traffic does not return: {report:?}");
    assert!(report.disordered <= report.late, "streams are out of order: {report:?}");
    assert!(report.most_memory <= most_memory, "{} bytes held: {report:?}", report.most_memory);
    world.silence();
    world.run_ms(2_000);
    let (delivered, datagrams) = (world.delivered, sent(&world));
    world.run_ms(5_000);
    assert_eq!(world.delivered, delivered, "packets come out long after the last went in");
    // Probes and reports of that.
    let most = 5 * 20 * world.links.len() as u64;
    assert!(sent(&world) - datagrams <= most, "{} datagrams in 5 s of rest", sent(&world) - datagrams);
    report
}

fn sent(world: &World) -> u64 {
    world.links.iter().flat_map(|link| link.carried).map(|carried| carried.datagrams + carried.dropped).sum()
}

/// An hour of a quiet line, thirty changes of keys: not one packet may be missing.
pub fn an_hour_passes(make: Make) -> Report {
    let mut world = World::new(&Plan::new(&[(2, 10), (1, 30)]), make);
    world.add(|app| Ping::new(app).every(Span::from_secs(1)));
    world.run_ms(2_000);
    for side in [CLIENT, SERVER] {
        world.add(|app| Voice::new(app, side).every(Span::from_millis(200)));
    }
    world.mark();
    world.run_ms(3_600_000);
    world.stop();
    world.run_ms(1_000);
    let report = world.report();
    for voice in &report.voices {
        assert!(voice.sent >= 17_900 && voice.lost() == 0, "{voice:?}");
        assert!(voice.longest < Span::from_millis(60), "{voice:?}");
    }
    let ping = &report.pings[0];
    assert_eq!(ping.sent, ping.received);
    report
}

/// A stream that is longer than three keys are good for.
pub fn a_stream_outlives_keys(make: Make) -> Report {
    let plan = Plan::new(&[(1, 10), (1, 30)]);
    let mut world = World::new(&plan, make);
    world.add(|app| Ping::new(app).every(Span::from_secs(1)));
    world.run_ms(1_000);
    world.add(|app| Bulk::new(app, SERVER, Control::Cubic).starting(Time(1_000_000)));
    world.run_ms(5_000);
    world.mark();
    world.run_ms(400_000);
    let report = world.report();
    assert!(report.streams[0].stalled < Span::from_millis(500), "{report:?}");
    report
}

/// So many worlds, or as many as `PROPTEST_CASES` says.
fn cases(cases: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: std::env::var_os("PROPTEST_CASES").map_or(cases, |_| usual.cases), ..usual }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn one_path_keeps_its_promises_in_any_world(world in plan()) {
        keeps_its_promises(&world, &|side, _| Box::new(Numbered::new(side)), 0);
    }
}

#[test]
fn an_hour_passes_on_one_path() {
    an_hour_passes(&|side, _| Box::new(Numbered::new(side)));
    a_stream_outlives_keys(&|side, _| Box::new(Numbered::new(side)));
}

/// A link of three loses 30 %, and packets leave by all: nothing is missing, and nothing comes twice.
pub fn redundant_paths_lose_nothing(make: Make) {
    let three = Plan::new(&[(20, 10), (20, 15), (20, 20)]).both(0, |way| way.loss = Loss::Random(300_000));
    let dies = three.clone().change(6_000, 1, Change::Dead(true));
    for plan in [three, dies] {
        let mut world = World::new(&plan, make);
        world.add(Ping::new);
        world.run_ms(2_000);
        world.add(|app| Voice::new(app, CLIENT));
        world.add(|app| Voice::new(app, SERVER));
        world.mark();
        world.run_ms(14_000);
        world.stop();
        world.run_ms(1_000);
        for voice in world.report().voices {
            assert!(voice.sent >= 2_800 && voice.lost() == 0, "{voice:?}");
        }
    }
}

/// The bond itself, in random worlds.
mod bond {
    use super::super::bonded::{Bonded, Choice, LINKS};
    use super::*;
    use crate::bond::schedule::Scheduler;

    /// What an end may hold: the sender's and the receiver's limits.
    const MOST_MEMORY: usize = 16 << 20;

    proptest! {
        #![proptest_config(cases(16))]

        #[test]
        fn the_bond_keeps_its_promises_in_any_world(world in plan()) {
            keeps_its_promises(&world, &Bonded::usual, MOST_MEMORY);
        }

        #[test]
        fn other_schedulers_keep_them_too(
            world in plan(),
            scheduler in prop_oneof![Just(Scheduler::Redundant), Just(Scheduler::Weighted), Just(Scheduler::Failover)],
            weights in proptest::array::uniform4(1..5u16),
        ) {
            let weights: [u16; LINKS] = weights;
            let choice = Choice { scheduler, weights, ..Choice::USUAL };
            keeps_its_promises(&world, &Bonded::chosen(choice), MOST_MEMORY);
        }
    }

    #[test]
    fn an_hour_passes_on_the_bond() {
        an_hour_passes(&Bonded::usual);
    }

    #[test]
    fn a_stream_outlives_the_bonds_keys() {
        a_stream_outlives_keys(&Bonded::usual);
    }

    #[test]
    fn redundant_paths_of_the_bond_lose_nothing() {
        redundant_paths_lose_nothing(&Bonded::redundant);
    }
}
