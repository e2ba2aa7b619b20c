use super::*;

/// A path of `rate` bytes a second whose packets take `delay` and always `jitter` more, in microseconds.
struct Path {
    rate: u64,
    delay: u64,
    jitter: u64,
    at: u64,
    bytes: u64,
    window: u64,
}

impl Path {
    /// 30 Mbit/s at 60 ms, with as much under way as that takes.
    fn new(jitter: u64) -> Self {
        Path { rate: 3_750_000, delay: 60_000, jitter, at: 0, bytes: 0, window: 225_000 }
    }

    fn trip(&self) -> u64 {
        (self.window * 1_000_000 / self.rate).max(self.delay + self.jitter)
    }

    /// A round trip with this window.
    fn round(&mut self) -> Round {
        let trip = self.trip();
        self.at += trip;
        self.bytes += self.window;
        let (at, bytes) = (self.at as u32, self.bytes as u32);
        Round { window: self.window, queue: trip - self.delay, trip, full: true, at, bytes }
    }

    /// So many rounds, in which the queue may be what it wants to be.
    fn rounds(&mut self, jitter: &mut Jitter, count: usize) {
        for _ in 0..count {
            let round = self.round();
            let set = jitter.round(&round, Time(self.at));
            let (base, queue) = (self.delay + jitter.level(), round.queue.saturating_sub(jitter.level()));
            self.window = set.unwrap_or(self.window * (base + QUEUE) / (base + queue));
        }
    }
}

#[test]
fn a_queue_is_no_jitter() {
    let (mut path, mut jitter) = (Path::new(0), Jitter::default());
    let mut most = 0;
    for _ in 0..400 {
        path.rounds(&mut jitter, 1);
        most = most.max(path.trip() - path.delay);
    }
    assert_eq!(jitter.level(), 0);
    // A trial makes it longer by an eighth of all that is under way.
    assert!(most <= 13_000, "{most}");
    assert!((QUEUE - 500..QUEUE + 500).contains(&(path.trip() - path.delay)), "{}", path.window);
}

#[test]
fn jitter_is_found_and_the_path_filled() {
    for level in [2_500, 5_000, 16_000, 45_000] {
        let (mut path, mut jitter) = (Path::new(level), Jitter::default());
        path.window = 12_000;
        path.rounds(&mut jitter, 150);
        assert!(jitter.level() + 1_000 >= level && jitter.level() <= level + 5_000, "{level}: {}", jitter.level());
        let full = path.rate * (path.delay + level) / 1_000_000;
        assert!(path.window >= full * 95 / 100, "{level}: {} of {full}", path.window);
        assert!(path.window <= full * 125 / 100, "{level}: {} of {full}", path.window);
    }
}

#[test]
fn a_path_that_carries_less_than_before_has_no_jitter() {
    let (mut path, mut jitter) = (Path::new(0), Jitter::default());
    path.rounds(&mut jitter, 40);
    path.rate /= 3;
    path.rounds(&mut jitter, 100);
    assert_eq!(jitter.level(), 0);
    assert!(path.trip() - path.delay < 2 * QUEUE, "{}", path.trip());
}

#[test]
fn jitter_that_ends_is_forgotten() {
    let (mut path, mut jitter) = (Path::new(16_000), Jitter::default());
    path.rounds(&mut jitter, 100);
    assert!(jitter.level() > 10_000);
    path.jitter = 0;
    // The queue may stand where the delay was: only when it is let run dry one sees that there is none below.
    jitter.dry(0);
    path.rounds(&mut jitter, 100);
    assert!(jitter.level() <= LEEWAY && path.trip() - path.delay < 2 * QUEUE, "{} {}", jitter.level(), path.trip());
}

#[test]
fn what_an_idle_path_does_is_no_queue_and_a_window_not_used_says_nothing() {
    let (mut path, mut jitter) = (Path::new(0), Jitter::default());
    for _ in 0..20 {
        jitter.idles(9_000);
    }
    assert!((8_000..=9_000).contains(&jitter.level()), "{}", jitter.level());
    let mut jitter = Jitter::default();
    for _ in 0..50 {
        let round = Round { queue: 9_000, ..path.round() };
        // A third of what the window allows is under way.
        assert_eq!(jitter.round(&Round { window: round.window * 3, ..round }, Time(path.at)), None);
        assert_eq!(jitter.round(&Round { full: false, ..path.round() }, Time(path.at)), None);
    }
    assert_eq!(jitter.level(), 0);
}
