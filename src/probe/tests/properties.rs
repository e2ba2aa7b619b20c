//! What holds for any settings, and whatever becomes of the probes.

use super::*;

fn settings() -> impl Strategy<Value = Settings> {
    (1usize..=4, 20u64..3000, 20u64..5000, 1u8..=6, 1u8..=6, 1u8..=4).prop_map(
        |(count, interval, timeout, down, up, reliability)| Settings {
            targets: targets(count),
            interval: ms(interval),
            timeout: ms(timeout),
            down,
            up,
            reliability,
            ..Settings::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// While enough targets answer in every round, at whatever delay within the least patience, the link is not down.
    #[test]
    fn answers_keep_a_link_up(settings in settings(), delays in vec(0u64..1000, 1..40), seconds in 1u64..60) {
        let settings = settings.in_range();
        let longest = settings.timeout.min(MIN_PATIENCE);
        let (quorum, count) = (settings.reliability as usize, settings.targets.len());
        let mut lab = Lab::new(settings);
        let mut n = 0;
        // Any quorum of the targets, a different one each round; the others fail in all ways.
        lab.run(Span::from_secs(seconds), |target, at| {
            n += 1;
            // Targets of one round are asked at the same moment: it names the round.
            let answered = (target + (at.0 / MS) as usize) % count < quorum;
            match delays[n % delays.len()] {
                d if answered => Answered(Span(longest.0 * d / 1000)),
                d if d % 2 == 0 => Failed,
                _ => Lost,
            }
        });
        prop_assert!(lab.changes.iter().all(|(_, c)| c.to != State::Down), "{:?}", lab.changes);
    }

    /// Whatever came before, silence is known within the bound that the status shows.
    #[test]
    fn silence_takes_a_link_down_in_time(settings in settings(), fates in fates(), history in 0u64..20_000) {
        let mut lab = Lab::new(settings);
        let mut n = 0;
        lab.run(ms(history), |_, _| {
            n += 1;
            fates[n % fates.len()]
        });
        lab.coming.clear();
        let bound = lab.prober.status().detection.unwrap();
        lab.silence(bound);
        prop_assert_eq!(lab.state(), State::Down);
    }

    /// And when answers return, the link is up within one interval, `up` more and the hold, its round trips, and a timeout for the
    /// rounds that were on their way.
    #[test]
    fn answers_bring_a_link_up_in_time(settings in settings(), fates in fates(), history in 0u64..20_000, rtt in 0u64..100) {
        let settings = settings.in_range();
        let rtt = Span(settings.timeout.0 * rtt / 100);
        let mut lab = Lab::new(settings.clone());
        let mut n = 0;
        lab.run(ms(history), |_, _| {
            n += 1;
            fates[n % fates.len()]
        });
        lab.coming.clear();
        lab.silence(lab.prober.status().detection.unwrap());
        // A link that flapped is held until a round is good after its hold.
        let hold = lab.prober.status().hold;
        let flapped = if hold > Span::ZERO { hold + settings.interval } else { hold };
        let bound = Span(settings.interval.0 * u64::from(settings.up)) + rtt + flapped;
        lab.answers(bound, rtt);
        prop_assert_eq!(lab.state(), State::Up);
    }

    /// Any events at any times, also backwards: no panic, an end to every drain, bounded flight, no token twice.
    #[test]
    fn nothing_confuses_it(
        values in (0usize..12, any::<u64>(), any::<u64>(), any::<u8>(), any::<u8>(), any::<u8>()),
        limits in any::<Option<(u64, u64)>>(),
        events in vec((0u8..12, prop_oneof![0u64..2_000 * MS, any::<u64>()], any::<prop::sample::Index>()), 0..200),
    ) {
        let (count, interval, timeout, down, up, reliability) = values;
        let settings =
            Settings { targets: targets(count), interval: Span(interval), timeout: Span(timeout), down, up, reliability, ..Settings::default() };
        let limits = limits.map(|(down, up)| Limits { down, up });
        let settings = Settings { loss: limits, latency: limits, ..settings };
        let mut prober = Prober::new(settings.clone(), 3, Time(5));
        let (mut now, mut tokens) = (Time(5), Vec::new());
        for (event, step, pick) in events {
            now = if step > 3_000 * MS { Time(step) } else { now + Span(step) };
            let token = if tokens.is_empty() { Token(step) } else { tokens[pick.index(tokens.len())] };
            match event {
                0 | 1 => _ = prober.answered(token, now),
                2 => _ = prober.failed(token, now),
                3 => prober.evidence_of_life(now, step % 2 == 0),
                4 => prober.suspicion(),
                5 => prober.attached(now),
                6 => prober.detached(Reason::NoCarrier, now),
                7 => _ = prober.foreign(token, now),
                8 => prober.missed(Time(now.0.saturating_sub(step % 1000))),
                9 => prober.reconfigure(Settings { targets: targets(step as usize % 5), ..settings.clone() }, now),
                _ => {}
            }
            for turn in 0.. {
                match prober.poll(now) {
                    Some(Action::Send { token, .. }) => {
                        prop_assert!(!tokens.contains(&token));
                        tokens.push(token);
                    }
                    Some(_) => {}
                    None => break,
                }
                prop_assert!(turn < 2 * MAX_TARGETS + 1);
            }
            prop_assert!(prober.deadline().is_none_or(|(at, _)| at > now || now == Time(u64::MAX)));
            let _ = prober.status();
        }
    }
}
