use crate::bond::rate::{Heard, Rate};
use crate::time::{Span, Time};

/// A path whose packets take 50 ms, and up to 20 ms more, as a radio's; what comes of a window is said.
struct Radio {
    rate: Rate,
    at: u64,
    bytes: u64,
    rounds: u64,
    /// Microseconds that packets wait for others.
    queue: u64,
}

impl Radio {
    /// It is known for one by the few packets of a path with little to do.
    fn new() -> Self {
        let mut radio = Radio { rate: Rate::new(0), at: 0, bytes: 0, rounds: 0, queue: 0 };
        (0..40).for_each(|_| radio.round(100, false));
        assert!(radio.rate.varies() > 1_000 && radio.rate.is_starting());
        radio
    }

    /// A round trip of the path, in which so many bytes arrive; `limited`: packets wait for their turn.
    fn round(&mut self, bytes: u64, limited: bool) {
        self.rounds += 1;
        // Every other round no packet is as quick as it may be.
        let late = self.queue + if self.rounds.is_multiple_of(2) { 20_000 } else { 0 };
        self.at += 75_000;
        self.bytes += bytes;
        if limited {
            self.rate.delays(false);
        }
        self.rate.is_used(if limited { self.rate.window() } else { 0 });
        let heard = Heard {
            feedback: Span::from_micros(50_000 + late),
            one_way: 25_000 + late as i32,
            at: self.at as u32,
            bytes: Some(self.bytes as u32),
            arrived: (bytes / 1_500) as u32,
            lost: 0,
        };
        self.rate.heard(&heard, Time(self.at));
    }

    fn window(&self) -> u64 {
        self.rate.window()
    }
}

/// A queue grows with the window; one round that brings no more may be chance.
#[test]
fn a_start_does_not_end_by_delays_that_vary() {
    let mut radio = Radio::new();
    (0..20).for_each(|_| radio.round(300_000, true));
    assert!(radio.rate.is_starting());
    // Nor does it go on by itself.
    assert!(radio.window() < 2_000_000, "{}", radio.window());
}

/// Who comes to use such a window would fill a queue at once.
#[test]
fn a_window_of_which_half_is_not_used_does_not_grow() {
    let mut radio = Radio::new();
    radio.queue = 40_000;
    let ended = (0..20).any(|_| {
        radio.round(300_000, true);
        !radio.rate.is_starting()
    });
    assert!(ended);
    radio.queue = 0;
    let before = radio.window();
    (0..40).for_each(|_| radio.round(before / 4, true));
    assert!(radio.window() <= before, "{} after {before}", radio.window());
}

/// ... and of one that nothing fills, what is under way stays and a quarter: packets come later the more there are.
#[test]
fn a_window_that_nothing_fills_becomes_what_is_under_way() {
    let mut radio = Radio::new();
    while radio.window() < 400_000 {
        radio.round(radio.window(), true);
    }
    (0..10).for_each(|_| radio.round(90_000, false));
    assert!((90_000..150_000).contains(&radio.window()), "{}", radio.window());
}
