//! Paths whose queue fills: all is answered, and later than was usual.

use super::*;

/// Round trips of 30 ms, which rise to `peak` by `slope` seconds a second and stay there for two: how often the link went down
/// in ten such times. The device receives a packet every `packet`, as of an upload's acknowledgments; `None`: it receives nothing.
fn downs(settings: Settings, peak: u64, slope: u64, packet: Option<Span>) -> usize {
    let mut lab = Lab::new(settings);
    for n in 0..10 {
        lab.answers(Span::from_millis(60_000 + n * 37), ms(30));
        let start = lab.now;
        while lab.now.since(start) < Span::from_secs(4) {
            let now = lab.now;
            lab.prober.listen(|| packet.map(|packet| now.0 / packet.0));
            lab.run(ms(10), |_, at| Answered(ms((30 + at.since(start).as_millis() * slope).min(peak))));
        }
    }
    lab.changes.iter().filter(|(_, changed)| changed.to == State::Down).count()
}

#[test]
fn a_queue_that_fills_takes_no_link_down_that_is_heard() {
    for (peak, slope) in [(800, 1), (800, 2), (800, 4), (950, 4), (950, 20)] {
        assert_eq!(downs(defaults(), peak, slope, Some(ms(20))), 0, "{peak} ms, {slope} s/s");
    }
    // A packet now and then is none of an upload's.
    assert!(downs(defaults(), 800, 4, None) > 0 && downs(defaults(), 800, 4, Some(ms(100))) > 0);
}

#[test]
fn what_was_measured_seconds_ago_makes_nobody_impatient() {
    for interval in [5, 10] {
        let settings = Settings { interval: Span::from_secs(interval), ..defaults() };
        for (peak, slope) in [(800, 1), (800, 4), (950, 20)] {
            assert_eq!(downs(settings.clone(), peak, slope, None), 0, "{interval} s, {peak} ms, {slope} s/s");
        }
    }
}

/// A dead link whose device still hears is known by the timeout.
#[test]
fn who_hears_is_not_believed_for_ever() {
    let mut lab = Lab::new(defaults());
    lab.answers(Span::from_secs(60), ms(30));
    let start = lab.now;
    for n in 0..300 {
        lab.prober.listen(|| Some(n));
        lab.silence(ms(10));
    }
    let took = lab.down_after(start).unwrap();
    assert!((1_000..=300 + 100 + 100 + 1_000).contains(&took), "{took}");
}
