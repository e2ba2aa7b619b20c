//! Links that work badly: limits on loss and latency, portals, flapping, suspicion, and new settings meanwhile.

use super::*;

fn limited(loss: Option<(u64, u64)>, latency: Option<(u64, u64)>) -> Settings {
    let limits = |(down, up)| Limits { down, up };
    Settings { loss: loss.map(limits), latency: latency.map(limits), down: 5, ..defaults() }
}

/// Every `n`-th probe is lost, the others take 20 ms.
fn every(n: u64) -> impl FnMut(usize, Time) -> Fate {
    let mut count = 0;
    move |_, _| {
        count += 1;
        if count % n == 0 { Lost } else { Answered(ms(20)) }
    }
}

fn states(lab: &Lab) -> Vec<State> {
    lab.changes.iter().map(|(_, changed)| changed.to).collect()
}

#[test]
fn loss_beyond_the_limit_takes_a_link_down_until_it_is_low() {
    let mut lab = Lab::new(limited(Some((200, 100)), None));
    lab.run(Span::from_secs(60), every(10));
    assert_eq!(states(&lab), [State::Up], "10 % of loss are permitted");
    lab.run(Span::from_secs(60), every(3));
    assert_eq!(states(&lab), [State::Up, State::Down]);
    assert!(matches!(lab.changes[1].1.reason, Reason::Lossy(201..=400)), "{:?}", lab.changes);
    assert!(lab.prober.status().good_rounds < 3 && !lab.prober.status().burst);
    // 14 % is too much for a return, with whatever good rounds in a row.
    lab.run(Span::from_secs(120), every(7));
    assert_eq!(lab.state(), State::Down);
    let back = lab.now;
    lab.run(Span::from_secs(60), every(20));
    let (at, changed) = *lab.changes.last().unwrap();
    assert_eq!(changed.reason, Reason::Recovered);
    // Of the last 32 the losses of before must have gone.
    assert!(at.since(back) <= ms(32 * 300 + 300), "{}", at.since(back));
}

/// Without limits, loss and latency are nobody's business; and a silent link returns at once, whatever it lost.
#[test]
fn loss_has_no_say_in_what_it_did_not_cause() {
    let mut lab = Lab::new(defaults());
    lab.run(Span::from_secs(60), every(3));
    assert_eq!(states(&lab), [State::Up]);
    let mut lab = Lab::new(limited(Some((200, 100)), None));
    lab.answers(Span::from_secs(30), ms(20));
    lab.silence(Span::from_secs(60));
    assert!(matches!(lab.changes.last().unwrap().1.reason, Reason::Silent), "sooner known than a loss of a fifth");
    let back = lab.now;
    lab.answers(Span::from_secs(2), ms(20));
    assert_eq!(lab.state(), State::Up);
    assert!(lab.changes.last().unwrap().0.since(back) <= ms(3 * 300 + 20));
}

#[test]
fn the_best_target_counts() {
    let mut lab = Lab::new(Settings { targets: targets(2), ..limited(Some((200, 100)), Some((50_000, 40_000))) });
    lab.run(Span::from_secs(60), |target, _| if target == 0 { Lost } else { Answered(ms(20)) });
    lab.run(Span::from_secs(60), |target, _| Answered(ms(if target == 0 { 200 } else { 20 })));
    assert_eq!(states(&lab), [State::Up]);
}

/// What a dead target took before it died says nothing of the path.
#[test]
fn a_dead_target_hides_no_latency() {
    let mut lab = Lab::new(Settings { targets: targets(2), ..limited(None, Some((100_000, 80_000))) });
    lab.answers(Span::from_secs(30), ms(20));
    lab.run(Span::from_secs(30), |target, _| if target == 0 { Lost } else { Answered(ms(350)) });
    let (_, changed) = *lab.changes.last().unwrap();
    assert!(matches!(changed.reason, Reason::Slow(span) if span > ms(100)), "{changed:?}");
}

/// A short silence is seen by many probes, which are sent because of it: they are no measure of loss.
#[test]
fn a_burst_is_no_loss() {
    for offset in (0..300).step_by(20) {
        let mut lab = Lab::new(limited(Some((90, 45)), None));
        lab.answers(ms(30_000 + offset), ms(20));
        lab.silence(ms(450));
        lab.answers(Span::from_secs(30), ms(20));
        assert_eq!(states(&lab), [State::Up], "{offset}");
    }
}

#[test]
fn usual_latency_takes_a_link_down_and_outliers_do_not() {
    let mut lab = Lab::new(limited(None, Some((100_000, 80_000))));
    let mut count = 0;
    lab.run(Span::from_secs(60), |_, _| {
        count += 1;
        Answered(ms(if count % 5 == 0 { 900 } else { 20 }))
    });
    assert_eq!(states(&lab), [State::Up]);
    let start = lab.now;
    lab.answers(Span::from_secs(20), ms(150));
    let (at, changed) = *lab.changes.last().unwrap();
    assert!(matches!(changed.reason, Reason::Slow(_)), "{changed:?}");
    assert!(at.since(start) <= ms(9 * 300 + 150), "{}", at.since(start));
    lab.answers(Span::from_secs(20), ms(90));
    assert_eq!(lab.state(), State::Down, "between the limits");
    lab.answers(Span::from_secs(20), ms(70));
    assert_eq!(lab.state(), State::Up);
}

/// Probes that a portal answers take a link down though races are won over it, and good ones bring it back.
#[test]
fn a_portal_is_no_proof_of_life() {
    let mut lab = Lab::new(defaults());
    lab.answers(Span::from_secs(5), ms(20));
    let foreign = |lab: &mut Lab, span: Span| {
        let end = lab.now + span;
        while lab.now < end {
            while let Some(action) = lab.prober.poll(lab.now) {
                match action {
                    Action::Send { token, .. } => assert!(lab.prober.foreign(token, lab.now)),
                    Action::Changed(changed) => lab.changes.push((lab.now, changed)),
                }
            }
            lab.now = lab.now + ms(50);
            lab.prober.evidence_of_life(lab.now, false);
        }
    };
    foreign(&mut lab, Span::from_secs(3));
    assert_eq!(lab.changes.last().unwrap().1.reason, Reason::Portal);
    foreign(&mut lab, Span::from_secs(30));
    assert_eq!((lab.state(), lab.changes.len()), (State::Down, 2));
    lab.answers(Span::from_secs(2), ms(20));
    assert_eq!(lab.state(), State::Up);
}

/// Ten seconds of silence, three of answers, over and over.
#[test]
fn a_flapping_link_is_used_ever_more_rarely() {
    let mut lab = Lab::new(defaults());
    for _ in 0..100 {
        lab.answers(Span::from_secs(3), ms(20));
        lab.silence(Span::from_secs(10));
    }
    assert_eq!(states(&lab).iter().filter(|state| **state == State::Down).count(), 3, "the fourth outlasts no hold");
    lab.answers(Span::from_secs(4), ms(20));
    assert_eq!(lab.prober.status().reason, Reason::Flapping(Span::from_secs(5)));
    lab.answers(Span::from_secs(2), ms(20));
    assert_eq!(lab.state(), State::Up);
    // A minute of answers at a time comes back each time, but by and by later.
    let mut waits = Vec::new();
    for _ in 0..6 {
        lab.silence(Span::from_secs(2));
        let back = lab.now;
        while lab.state() == State::Down {
            lab.answers(ms(100), ms(20));
        }
        waits.push(lab.now.since(back).as_secs());
    }
    assert!(waits.is_sorted() && waits[0] >= 5 && (60..=62).contains(&waits[5]), "{waits:?}");
}

/// A path that loses a few packets, or delivers some late, is held no longer than a perfect one: each loss began the hold anew.
#[test]
fn a_hold_forgives_what_does_not_take_a_link_down() {
    for (n, late) in [(50, None), (20, None), (10, None), (10, Some(380))] {
        let mut lab = Lab::new(defaults());
        // It is the only link meanwhile.
        for _ in 0..9 {
            lab.answers(Span::from_secs(3), ms(20));
            lab.prober.pardon(lab.now);
            lab.silence(Span::from_secs(2));
        }
        assert_eq!((lab.state(), lab.prober.status().hold), (State::Down, Span::from_secs(60)));
        let (back, mut count) = (lab.now, 0);
        lab.run(Span::from_secs(70), |_, _| {
            count += 1;
            match late {
                Some(late) if count % n == 0 => Answered(ms(late)),
                None if count % n == 0 => Lost,
                _ => Answered(ms(50)),
            }
        });
        assert_eq!(lab.state(), State::Up, "every {n}th: {:?}", lab.now.since(back));
    }
}

/// A modem without a network that answers for it wins races, and no probe comes back by it.
#[test]
fn races_alone_prove_no_life_for_long_where_other_links_targets_answer() {
    for (others, state) in [(true, State::Down), (false, State::Up)] {
        let mut lab = Lab::new(defaults());
        lab.answers(Span::from_secs(5), ms(20));
        let dead = lab.now;
        for _ in 0..58 * 2 {
            lab.silence(ms(500));
            lab.prober.evidence_of_life(lab.now, others);
        }
        assert_eq!(lab.state(), State::Up, "{others}: it may be the targets");
        for _ in 0..10 {
            lab.silence(ms(500));
            lab.prober.evidence_of_life(lab.now, others);
        }
        assert_eq!(lab.state(), state, "{others}");
        assert!(!lab.prober.targets_answer(lab.now));
        if others {
            assert!(lab.down_after(dead).unwrap() <= 63_000);
        }
    }
}

#[test]
fn an_outage_costs_a_long_interval_once() {
    let mut lab = Lab::new(Settings { interval: Span::from_secs(10), ..defaults() });
    lab.answers(Span::from_secs(95), ms(20));
    lab.prober.missed(lab.now);
    lab.silence(ms(1_500));
    assert_eq!(lab.state(), State::Down);
    let back = lab.now;
    lab.answers(Span::from_secs(30), ms(20));
    let (at, changed) = *lab.changes.last().unwrap();
    assert_eq!(changed.to, State::Up);
    assert!(at.since(back) <= ms(10_000 + 2 * 1_000 + 20), "{}", at.since(back));
}

/// Health is not unknown to be bad only because nobody has said yet where the link is.
#[test]
fn a_link_that_waits_for_its_place_is_judged_by_its_first_answer() {
    let mut lab = Lab::new(Settings { interval: Span::from_secs(10), ..defaults() });
    lab.prober.waits();
    lab.silence(Span::from_secs(1));
    assert_eq!((lab.state(), lab.sent.len()), (State::Unknown, 0));
    lab.prober.attached(lab.now);
    lab.answers(ms(30), ms(20));
    assert_eq!((lab.state(), lab.changes.len()), (State::Up, 1));
}

#[test]
fn a_carrier_that_flaps_is_held_back_without_targets() {
    let mut lab = Lab::new(Settings::default());
    lab.silence(ms(1));
    for _ in 0..3 {
        assert_eq!(lab.state(), State::Up);
        lab.prober.detached(Reason::NoCarrier, lab.now);
        lab.silence(ms(500));
        lab.prober.attached(lab.now);
        lab.silence(ms(500));
    }
    assert_eq!(lab.state(), State::Down);
    assert_eq!(lab.prober.status().reason, Reason::Flapping(Span::from_secs(5)));
    // It goes and comes while it is held: the hold begins anew.
    lab.silence(Span::from_secs(4));
    lab.prober.detached(Reason::NoCarrier, lab.now);
    lab.prober.attached(lab.now);
    lab.silence(Span::from_secs(4));
    assert_eq!(lab.state(), State::Down);
    lab.silence(Span::from_secs(2));
    assert_eq!((lab.state(), lab.prober.deadline()), (State::Up, None));
}

/// Where no other link is left, one that works is used though it flaps; one that does not, is not.
#[test]
fn a_held_link_is_pardoned_when_it_works() {
    let mut lab = Lab::new(defaults());
    for _ in 0..3 {
        lab.answers(Span::from_secs(3), ms(20));
        lab.silence(Span::from_secs(2));
    }
    assert!(!lab.prober.pardon(lab.now));
    lab.answers(Span::from_secs(2), ms(20));
    assert_eq!(lab.state(), State::Down);
    assert!(lab.prober.pardon(lab.now));
    lab.answers(ms(1), ms(20));
    let (_, changed) = *lab.changes.last().unwrap();
    assert_eq!((changed.to, changed.reason), (State::Up, Reason::Recovered));
    lab.silence(Span::from_secs(2));
    assert_eq!(lab.prober.status().hold, Span::from_secs(10), "and not forgiven");
}

/// What races miss is asked for by a probe once it is overdue, though the next round is far away.
#[test]
fn a_missed_answer_is_probed_though_the_interval_is_long() {
    let mut lab = Lab::new(Settings { interval: Span::from_secs(10), ..defaults() });
    lab.answers(Span::from_secs(95), ms(20));
    let (before, start) = (lab.sent.len(), lab.now);
    lab.prober.missed(start);
    lab.silence(Span::from_secs(2));
    let first = lab.sent[before].0.since(start);
    assert!(first >= ms(100) && first <= ms(150), "{first}");
    let took = lab.down_after(start).unwrap();
    assert!(took <= 150 + 100 + 100 + 1000 + 50, "{took}");
}

/// An answer that is only slower than the others' asks for nothing, and neither does an old story.
#[test]
fn an_answer_that_comes_late_is_no_suspicion() {
    let mut lab = Lab::new(Settings { interval: Span::from_secs(10), ..defaults() });
    lab.answers(Span::from_secs(95), ms(20));
    let before = lab.sent.len();
    for _ in 0..20 {
        let since = lab.now;
        lab.prober.missed(since);
        lab.answers(ms(50), ms(20));
        lab.prober.evidence_of_life(lab.now, false);
        lab.prober.missed(since);
        lab.answers(ms(50), ms(20));
    }
    assert_eq!(lab.sent.len(), before);
    // A service that does not answer here, though others do: a probe now and then, and no verdict.
    for _ in 0..100 {
        lab.prober.missed(lab.now);
        lab.answers(ms(10), ms(20));
    }
    assert!(lab.sent.len() - before <= 5, "{}", lab.sent.len() - before);
    assert_eq!(lab.state(), State::Up);
}

#[test]
fn new_settings_forget_nothing() {
    let mut lab = Lab::new(Settings { targets: targets(2), ..defaults() });
    lab.answers(Span::from_secs(20), ms(20));
    let known = lab.prober.status();
    // Another schedule, and the first target goes.
    let second = Settings { targets: targets(2).split_off(1), interval: ms(500), ..defaults() };
    lab.prober.reconfigure(second.clone(), lab.now);
    let status = lab.prober.status();
    assert_eq!((status.state, status.since, status.link), (State::Up, known.since, known.link));
    assert_eq!(status.targets, known.targets[1..]);
    // Down stays down until rounds are good, and what is on its way to old targets counts for nothing.
    lab.silence(Span::from_secs(5));
    let (_, _, token) = *lab.sent.last().unwrap();
    lab.prober.reconfigure(Settings { targets: targets(3), ..second.clone() }, lab.now);
    assert_eq!(lab.state(), State::Down);
    assert!(!lab.prober.answered(token, lab.now));
    lab.answers(Span::from_secs(3), ms(20));
    assert_eq!(lab.state(), State::Up);
    // The same again changes nothing at all.
    let before = format!("{:?}", lab.prober);
    lab.prober.reconfigure(Settings { targets: targets(3), ..second.clone() }, lab.now);
    assert_eq!(format!("{:?}", lab.prober), before);
    // No targets, and some again: up all the while.
    lab.prober.reconfigure(Settings::default(), lab.now);
    lab.silence(Span::from_secs(5));
    assert_eq!((lab.state(), lab.prober.status().reason), (State::Up, Reason::Unprobed));
    lab.prober.reconfigure(second, lab.now);
    assert_eq!(lab.state(), State::Up);
    lab.answers(Span::from_secs(1), ms(20));
    assert_eq!((lab.state(), lab.prober.status().reason), (State::Up, Reason::Answered));
    assert_eq!(states(&lab), [State::Up, State::Down, State::Up]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the limits, the path and the settings in between: a path that turns perfect brings the link up within the
    /// longest hold and what the limits want to see.
    #[test]
    fn a_perfect_path_always_brings_a_link_back(
        loss in 0u64..1000, latency in 1u64..1000,
        fates in fates(), seconds in 1u64..200, change in any::<bool>(),
    ) {
        let wanted = Settings { interval: ms(200), ..limited(Some((loss, loss / 2)), Some((latency * MS, latency * 800))) };
        let first = if change { Settings { targets: targets(2), ..defaults() } } else { wanted.clone() };
        let mut lab = Lab::new(first);
        let mut n = 0;
        lab.run(Span::from_secs(seconds), |_, _| {
            n += 1;
            fates[n % fates.len()]
        });
        lab.prober.reconfigure(wanted, lab.now);
        lab.answers(Span::from_secs(60 + 12), Span(latency * 100));
        prop_assert_eq!(lab.state(), State::Up, "{:?}", lab.prober);
    }
}
