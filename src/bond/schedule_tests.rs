use super::super::frame::PathId;
use super::super::path::State;
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

const LOAD: Load = Load { size: 1_000, urgent: false, waited: Span::ZERO };

/// Which path a packet takes then.
fn taken(schedule: &mut Schedule, paths: &mut Paths, now: Time) -> usize {
    match schedule.choose(paths, LOAD, now) {
        Choice::Take(taken) if taken.is_power_of_two() => taken.trailing_zeros() as usize,
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
