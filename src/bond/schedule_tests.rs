use super::super::frame::PathId;
use super::super::path::State;
use super::super::rate::{Heard, Rate};
use super::*;

const LIMIT: Span = Span::from_millis(100);

/// Paths that are up, by their weights.
fn paths(weights: &[u16]) -> Paths {
    let mut paths: Paths = Default::default();
    for (number, weight) in weights.iter().enumerate() {
        let mut path = Path::new(PathId::new(number as u8).unwrap(), *weight, 0);
        path.state = State::Up;
        paths[number] = Some(Box::new(path));
    }
    paths
}

fn at(ms: u64) -> Time {
    Time(100_000_000 + ms * 1_000)
}

const LOAD: Load = Load::plain(1_000);

/// Which path a packet takes then.
fn taken(schedule: &mut Schedule, paths: &mut Paths, now: Time) -> usize {
    match schedule.choose(paths, LOAD, now) {
        Choice::Take { paths: taken, behind: 0 } if taken.is_power_of_two() => taken.trailing_zeros() as usize,
        choice => panic!("{choice:?}"),
    }
}

/// A probe's answer comes then and took so long.
fn answer(paths: &mut Paths, path: usize, took: u64, now: Time) {
    paths[path].as_mut().unwrap().answered(now - Span::from_millis(took), now);
}

#[test]
fn weights_are_kept_to_the_packet() {
    let (mut schedule, mut paths) = (Schedule::new(Scheduler::Weighted, LIMIT), paths(&[3, 1]));
    let turns: Vec<usize> = (0..400).map(|turn| taken(&mut schedule, &mut paths, at(turn))).collect();
    for four in turns.chunks(4) {
        assert_eq!(four.iter().sum::<usize>(), 1, "three by the first, one by the other: {turns:?}");
    }
    paths[0].as_mut().unwrap().state = State::Silent;
    assert_eq!(taken(&mut schedule, &mut paths, at(500)), 1);
    paths[1] = None;
    assert_eq!(schedule.choose(&mut paths, LOAD, at(501)), Choice::Nowhere);
}

#[test]
fn failover_returns_when_a_path_is_known_to_be_quick_again() {
    let (mut schedule, mut paths) = (Schedule::new(Scheduler::Failover, LIMIT), paths(&[1, 1]));
    for path in 0..2 {
        answer(&mut paths, path, 20, at(0));
    }
    assert_eq!(taken(&mut schedule, &mut paths, at(1)), 0);
    answer(&mut paths, 0, 300, at(1_000));
    assert_eq!(taken(&mut schedule, &mut paths, at(1_001)), 0, "one late answer is chance");
    answer(&mut paths, 0, 300, at(2_000));
    assert_eq!(taken(&mut schedule, &mut paths, at(2_001)), 1);
    // Nobody asked it in the meantime; then it was still slow; then it no longer was.
    assert_eq!(taken(&mut schedule, &mut paths, at(8_000)), 1, "nothing is known of it");
    answer(&mut paths, 0, 300, at(12_900));
    assert_eq!(taken(&mut schedule, &mut paths, at(13_001)), 1);
    answer(&mut paths, 0, 20, at(17_000));
    assert_eq!(taken(&mut schedule, &mut paths, at(17_500)), 1, "too soon");
    assert_eq!(taken(&mut schedule, &mut paths, at(18_100)), 0);
}

#[test]
fn failover_asks_the_path_in_use_once_a_second_and_the_one_it_left_before_it_returns() {
    let (mut schedule, mut paths) = (Schedule::new(Scheduler::Failover, LIMIT), paths(&[1, 1]));
    let far = at(3_600_000);
    for path in 0..2 {
        answer(&mut paths, path, 20, at(0));
        paths[path].as_mut().unwrap().probing.next = far;
    }
    let next = |paths: &Paths, path: usize| paths[path].as_ref().unwrap().probing.next;
    taken(&mut schedule, &mut paths, at(1));
    assert_eq!([next(&paths, 0), next(&paths, 1)], [at(1_000), far]);
    answer(&mut paths, 0, 300, at(1_000));
    answer(&mut paths, 0, 300, at(2_000));
    paths[0].as_mut().unwrap().probing.next = far;
    taken(&mut schedule, &mut paths, at(2_001));
    assert_eq!([next(&paths, 0), next(&paths, 1)], [at(6_001), at(1_000)], "the other at once: who knows how it is");
}

#[test]
fn where_no_path_is_well_one_is_taken_nevertheless() {
    let (mut schedule, mut paths) = (Schedule::new(Scheduler::Failover, LIMIT), paths(&[1, 1]));
    for path in 0..2 {
        answer(&mut paths, path, 300, at(0));
    }
    assert_eq!(taken(&mut schedule, &mut paths, at(1)), 0);
    answer(&mut paths, 1, 300, at(4_900));
    answer(&mut paths, 0, 300, at(4_900));
    assert_eq!(taken(&mut schedule, &mut paths, at(5_002)), 0);
}

/// Path 0 is full; path 1 lags behind it by so many milliseconds, and has room.
fn full(lag: u64) -> Paths {
    let mut paths = paths(&[1, 1]);
    for (path, way) in [(0, 10), (1, 10 + lag)] {
        let feedback = Span::from_millis(2 * way);
        let heard = Heard { feedback, one_way: way as i32 * 1_000, at: 0, bytes: Some(0), arrived: 1, lost: 0 };
        paths[path].as_mut().unwrap().rate.heard(&heard, at(0));
    }
    let first = paths[0].as_mut().unwrap();
    while first.opens(1_500).is_some() {
        first.left(1_500, None, at(0));
    }
    paths
}

/// What becomes of a packet then; what path 0 carries until it would arrive by path 1; and by how much later than by path 0 that is.
fn choice(lag: u64, queued: impl Fn(u64) -> u64, waited: u64, urgent: bool) -> (Choice, u64, u64) {
    let mut full = full(lag);
    let [first, second] = [0, 1].map(|path: usize| full[path].as_deref().unwrap());
    let later = (second.arrival(LOAD.size, at(0)) - first.arrival(LOAD.size, at(0))) as u64;
    let behind = first.rate.estimate() * (later + LEAD as u64) / 1_000_000;
    let load = Load { queued: queued(behind), waited: Span::from_millis(waited), urgent, ..LOAD };
    (Schedule::new(Scheduler::Adaptive, LIMIT).choose(&mut full, load, at(0)), behind, later)
}

#[test]
fn what_leaves_by_a_path_that_lags_is_what_arrives_when_its_turn_comes() {
    let (enough, behind, later) = choice(30, |behind| behind, 0, false);
    assert_eq!(enough, Choice::Take { paths: 2, behind });
    assert!((10_000..30_000).contains(&later) && behind > 0, "{later}, {behind}");
    // What does not wait yet will come; or it will not, and a little is overtaken.
    let half = |behind| behind / 2;
    assert!(matches!(choice(30, half, 0, false).0, Choice::Wait(_)));
    assert_eq!(choice(30, half, 11, false).0, Choice::Take { paths: 2, behind });
    // Much is not, unless it waits for longer.
    let quarter = |behind| behind / 4;
    let (waits, _, later) = choice(60, quarter, 11, false);
    assert!(later * 3 / 4 > CLOSE as u64 && matches!(waits, Choice::Wait(_)), "{later}, {waits:?}");
    assert!(matches!(choice(60, quarter, later * 3 / 8_000 + 1, false).0, Choice::Take { paths: 2, behind: 1.. }));
}

#[test]
fn what_itself_has_to_leave_does() {
    assert_eq!(choice(30, |_| 0, 11, false).0, this(2), "a repair");
    assert_eq!(choice(30, |behind| behind, 11, true).0, this(2));
    // Somebody waits for it: not by a long way round.
    assert!(matches!(choice(30, |behind| behind, 0, true).0, Choice::Wait(_)));
    assert!(matches!(choice(90, |_| 0, 11, false).0, Choice::Wait(_)));
}

#[test]
fn what_lags_beyond_the_limit_carries_nothing() {
    let load = Load { queued: u64::MAX, waited: LIMIT, ..LOAD };
    let choice = Schedule::new(Scheduler::Adaptive, LIMIT).choose(&mut full(101), load, at(0));
    assert!(matches!(choice, Choice::Wait(None)), "{choice:?}");
    // Nor is anything compared with it.
    let mut paths = paths(&[1, 1]);
    for (path, cap, way) in [(0, 5_000, 10), (1, 0, 111)] {
        let path = paths[path].as_mut().unwrap();
        path.rate = Rate::new(cap);
        let feedback = Span::from_millis(2 * way);
        path.rate
            .heard(&Heard { feedback, one_way: way as i32 * 1_000, at: 0, bytes: Some(0), arrived: 1, lost: 0 }, at(0));
    }
    let arrivals = [0, 1].map(|path: usize| paths[path].as_ref().unwrap().arrival(LOAD.size, at(0)));
    assert!(arrivals[0] > arrivals[1], "{arrivals:?}");
    assert_eq!(Schedule::new(Scheduler::Adaptive, LIMIT).choose(&mut paths, LOAD, at(0)), this(1));
}
