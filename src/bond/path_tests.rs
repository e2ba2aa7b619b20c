use super::super::store::Store;
use super::*;
use crate::bond::control::{MAP, Report};

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

/// A route that mixes its packets for a moment is no reason to wait for those of all that come after it.
#[test]
fn how_late_a_packet_may_be_is_forgotten() {
    let mut path = path();
    path.begin_session(1, 0);
    let mut lost = 0;
    // Of four packets the first is missing, and is then said to have arrived after so many milliseconds.
    let mut round = |path: &mut Path, session: u8, first: u32, begun: u64, late: &[u64]| {
        (0..4).for_each(|_| path.left(1_000, None, at(begun)));
        let (mut missing, all) = ([0xff; MAP], [0xff; MAP]);
        missing[0] = 0xfb;
        for (map, ms) in late.iter().map(|ms| (&missing, *ms)).chain(late.last().map(|ms| (&all, ms + 1))) {
            let report = Report { path: path.id, session, highest: first + 3, at: 0, bytes: 0, map };
            let before = path.counts.lost;
            path.reported(&report, &mut None, at(begun + ms), &mut |_| ());
            lost += path.counts.lost - before;
        }
        core::mem::take(&mut lost)
    };
    assert_eq!(round(&mut path, 1, 0, 0, &[20, 100]), 1, "taken for lost at once, and here 80 ms later");
    assert_eq!(round(&mut path, 1, 4, 200, &[20, 60, 100]), 0, "it may be as late again");
    (2..=9).for_each(|session| path.begin_session(session, 0));
    assert_eq!(round(&mut path, 9, 0, 400, &[20, 40]), 1);
}

/// A peer may ask for as many answers as it likes, and report nothing.
#[test]
fn words_behind_a_packet_are_bounded_and_go_with_it() {
    let mut path = path();
    let mut lost = 0;
    let slot = Store::default().add(false, at(0), |item| item.push(0));
    path.left(1_000, slot, at(0));
    let mut words = 0;
    while !path.is_full(at(1)) {
        path.left(0, None, at(1));
        words += 1;
    }
    assert_eq!(words, MOST + MOST_WORDS - 1);
    path.doubt(at(2_000), &mut |outcome| lost += u32::from(matches!(outcome, Outcome::Lost(_))));
    assert!(lost == 1 && !path.is_full(at(4_000)) && path.opens(1_000).is_some());
}
