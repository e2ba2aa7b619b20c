use super::*;

/// A path with round trips of 20 ms, and what it does with a window.
struct Link {
    brim: Brim,
    now: Time,
    window: u64,
    /// What one round carries, in packets of 1,500 bytes; what is more is lost.
    carries: u64,
    /// What the window grows to where nothing holds it.
    most: u64,
    /// One in so many is lost, whatever is sent; 0: none.
    radio: u64,
    counted: u64,
    before: u64,
    lost: u64,
    steps: Vec<Step>,
}

impl Link {
    fn new(carries: u64, most: u64, radio: u64) -> Self {
        let (now, window, steps) = (Time(100_000_000), most, Vec::new());
        Link { brim: Brim::default(), now, window, carries, most, radio, counted: 0, before: 0, lost: 0, steps }
    }

    fn round(&mut self) {
        self.now = self.now + Span::from_millis(20);
        let sent = self.window / 1_500;
        let radio = (1..=sent).filter(|at| (self.counted + at).is_multiple_of(self.radio)).count() as u64;
        self.counted += sent;
        let arrives = (sent - radio).min(self.carries);
        let (lost, arrives) = ((sent - arrives) as u32, arrives * 1_500);
        let round = Round { lost, sent: sent as u32, window: self.window, full: true, queue: 0, arrives };
        let step = self.brim.round(&round, self.now);
        match step {
            Step::Begins(most) => (self.before, self.window) = (self.window, most),
            Step::Most(most) => self.window = most,
            Step::Back => self.window = self.before,
            // As a path grows that has no queue.
            Step::Usual => self.window = (self.window + self.window / 5).min(self.most),
        }
        self.lost += u64::from(lost);
        self.steps.push(step);
    }

    fn seconds(&mut self, seconds: u64) -> &mut Self {
        (self.lost, self.steps) = (0, Vec::new());
        (0..seconds * 50).for_each(|_| self.round());
        self
    }

    fn trials(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Begins(_))).count()
    }

    fn small(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Most(_) | Step::Begins(_))).count()
    }
}

#[test]
fn what_a_policer_loses_ends_with_a_smaller_window_that_still_fills_it() {
    let mut link = Link::new(100, 200_000, 0);
    link.seconds(1);
    assert!(link.trials() == 1 && link.brim.is_small());
    link.seconds(8);
    assert!(link.lost <= 8 * 50 * 100 / 50, "{} lost", link.lost);
    assert!((90 * 1_500..=110 * 1_500).contains(&link.window), "{}", link.window);
    // Then it is asked whether there is more, the second time after twice as long.
    link.seconds(40);
    assert!((2..=3).contains(&link.trials()), "{:?}", link.steps);
}

#[test]
fn what_a_radio_loses_goes_on_and_the_window_is_given_back() {
    for (radio, most) in [(10, 15), (33, 3)] {
        let mut link = Link::new(100, 150_000, radio);
        link.seconds(30);
        assert!((1..=most).contains(&link.trials()), "{radio}: {} trials", link.trials());
        assert!(link.steps.contains(&Step::Back), "{radio}");
        assert!(link.small() <= 75, "{radio}: {} rounds of 1,500", link.small());
    }
}

#[test]
fn few_losses_and_those_of_a_long_queue_change_nothing() {
    for radio in [60, 300] {
        assert_eq!(Link::new(100, 150_000, radio).seconds(30).trials(), 0);
    }
    let mut brim = Brim::default();
    let round = Round { lost: 50, sent: 100, window: 150_000, full: true, queue: 9_000, arrives: 75_000 };
    assert!((0..100).all(|at| brim.round(&round, Time(100_000_000 + at * 20_000)) == Step::Usual));
}

#[test]
fn a_link_that_carries_more_or_less_is_found_out() {
    let mut link = Link::new(100, 200_000, 0);
    link.seconds(3);
    link.carries = 40;
    link.seconds(4);
    assert!((34 * 1_500..=46 * 1_500).contains(&link.window), "{}", link.window);
    link.seconds(5);
    assert!(link.lost < 5 * 50 * 40 / 10, "{} lost", link.lost);
    (link.carries, link.most) = (400, 800_000);
    link.seconds(25);
    assert!(link.window > 300 * 1_500, "{}", link.window);
}

#[test]
fn an_outage_is_no_reason_to_send_less() {
    let mut link = Link::new(100, 150_000, 0);
    for _ in 0..20 {
        link.carries = 20;
        link.seconds(0).round();
        link.carries = 100;
        link.seconds(1);
        assert_eq!(link.trials(), 0);
    }
}

#[test]
fn a_trial_that_nothing_fills_is_given_back() {
    let mut link = Link::new(100, 200_000, 0);
    while !link.brim.is_trying() {
        link.round();
    }
    let steps: Vec<Step> = (1..=60).map(|at| link.brim.leave(link.now + Span::from_millis(at * 20))).collect();
    assert!(matches!(steps[0], Step::Most(_)) && steps.contains(&Step::Back) && steps[59] == Step::Usual, "{steps:?}");
}

#[test]
fn a_link_that_rests_is_as_usual_when_it_returns() {
    let mut link = Link::new(100, 200_000, 0);
    link.seconds(2);
    assert!(link.brim.is_small());
    link.brim.leave(link.now + Span::from_secs(3_600));
    assert!(!link.brim.is_small());
}

#[test]
fn no_figures_are_too_large_or_too_small() {
    let some = [0, 1, 1_000, 16_384, 1 << 31];
    for (lost, window) in some.iter().flat_map(|lost| some.map(|window| (*lost, window))) {
        let (mut brim, mut steps) = (Brim::default(), Vec::new());
        for at in 0..3_000 {
            let (arrives, quiet) = (window / 2, at % 1_000 > 500);
            let (lost, window) = (if quiet { 0 } else { lost as u32 }, window.min(8 << 20));
            let round = Round { lost, sent: lost + 1, window, full: at % 2 == 0, queue: 0, arrives };
            steps.push(brim.round(&round, Time(at * 10_000)));
        }
        let begins = steps.iter().any(|step| matches!(step, Step::Begins(_)));
        assert_eq!(begins, lost > 0 && window > 1, "{lost} {window}");
        assert!(window == 0 || !steps.contains(&Step::Most(0)), "{lost} {window}");
    }
}
