use super::super::store::Store;
use super::*;

fn at(ms: u64) -> Time {
    Time(100_000_000 + ms * 1_000)
}

fn path() -> Path {
    Path { state: State::Up, ..Path::new(PathId::default(), 1, 0) }
}

/// No report comes of them: after a day of probes alone, or minutes of reports, nothing else could leave.
#[test]
fn words_alone_are_not_remembered() {
    let mut path = path();
    (0..40_000).for_each(|ms| path.left(0, None, at(ms)));
    assert!(path.opens(1_000).is_some() && path.opens_express(100, at(40_000)).is_some());
    assert!(path.held() < 10_000, "{} bytes", path.held());
}

/// A peer may ask for as many answers as it likes, and report nothing.
#[test]
fn words_behind_a_packet_are_bounded_and_go_with_it() {
    let mut path = path();
    let mut lost = 0;
    let slot = Store::default().add(false, at(0), |item| item.push(0));
    path.left(1_000, slot, at(0));
    let mut words = 0;
    while !path.is_full() {
        path.left(0, None, at(1));
        words += 1;
    }
    assert_eq!(words, MOST + MOST_WORDS - 1);
    path.doubt(at(2_000), &mut |outcome| lost += u32::from(matches!(outcome, Outcome::Lost(_))));
    path.left(0, None, at(4_000));
    assert!(lost == 1 && !path.is_full() && path.opens(1_000).is_some());
}
