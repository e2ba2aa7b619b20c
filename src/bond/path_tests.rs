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

/// What a report need not look at would say nothing: the other path looks at all.
#[test]
fn reports_pass_over_what_is_settled() {
    let mut dice = 1u64;
    let mut below = |most: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % most
    };
    let (mut passed_over, mut losses) = (0, 0);
    for _ in 0..40 {
        let (mut paths, mut store, mut now) = ([path(), path()], Store::default(), at(0));
        paths.iter_mut().for_each(|path| path.begin_session(1, 0));
        paths.iter_mut().for_each(|path| path.probing.rtt = Some((300_000, 0)));
        let (mut session, mut base, mut left) = (1, 0, 0u64);
        for _ in 0..60 {
            now = now + Span::from_micros(below(8_000));
            let mut outcomes = [Vec::new(), Vec::new()];
            match below(20) {
                0 => paths
                    .iter_mut()
                    .zip(&mut outcomes)
                    .for_each(|(path, to)| path.doubt(now, &mut |each| to.push(each))),
                1 if left > base => {
                    (session, base) = (session + 1, left);
                    paths.iter_mut().for_each(|path| path.begin_session(session, 0));
                }
                2..9 => {
                    for _ in 0..below(600) {
                        let size = if below(5) == 0 { 0 } else { 100 };
                        let slot = store.add(false, now, |item| item.push(0)).filter(|_| size > 0);
                        paths.iter_mut().for_each(|path| path.left(size, slot, now));
                        left += 1;
                    }
                }
                _ if left > base => {
                    let highest = (left - base - 1).saturating_sub(below(500) * below(2)) as u32;
                    let kind = below(3);
                    let map: Vec<u8> = (0..[MAP as u64, MAP as u64, below(20)][kind as usize])
                        .map(|_| [0xff, 0, below(256) as u8][below(3) as usize])
                        .collect();
                    for (path, to) in paths.iter_mut().zip(&mut outcomes) {
                        let report = Report { path: path.id, session, highest, at: 0, bytes: 0, map: &map };
                        path.reported(&report, &mut None, now, &mut |each| to.push(each));
                    }
                }
                _ => {}
            }
            let [quick, plain] = &mut paths;
            passed_over += usize::from(quick.flown > quick.first + 8 * MAP as u64);
            losses += usize::from(quick.counts.lost > 0);
            assert_eq!(outcomes[0], outcomes[1]);
            let seen = |path: &Path| format!("{:?} {} {:?} {:?}", path.sent, path.flying, path.counts, path.disorder);
            assert_eq!(seen(quick), seen(plain));
            plain.flown = 0;
        }
    }
    assert!(passed_over > 20 && losses > 100, "{passed_over}, {losses}");
}
