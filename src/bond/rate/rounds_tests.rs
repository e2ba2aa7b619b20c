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
    /// Packets lost in a round.
    lost: u32,
}

/// What packets wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Nothing,
    Turn,
    Window,
}

impl Radio {
    /// It is known for one by the few packets of a path with little to do.
    fn new() -> Self {
        let mut radio = Radio { rate: Rate::new(0), at: 0, bytes: 0, rounds: 0, queue: 0, lost: 0 };
        (0..40).for_each(|_| radio.round(100, Waits::Nothing));
        assert!(radio.rate.varies() > 1_000 && radio.rate.is_starting());
        radio
    }

    /// A round trip of the path, in which so many bytes arrive.
    fn round(&mut self, bytes: u64, waits: Waits) {
        self.rounds += 1;
        // Every other round no packet is as quick as it may be.
        let late = self.queue + if self.rounds.is_multiple_of(2) { 20_000 } else { 0 };
        self.at += 75_000;
        self.bytes += bytes;
        if waits != Waits::Nothing {
            self.rate.note_wait(waits == Waits::Window);
            self.rate.note_flying(self.rate.window());
        }
        let heard = Heard {
            feedback: Span::from_micros(50_000 + late),
            one_way: 25_000 + late as i32,
            at: self.at as u32,
            bytes: Some(self.bytes as u32),
            arrived: (bytes / 1_500) as u32,
            lost: self.lost,
        };
        self.rate.heard(&heard, Time(self.at));
    }

    /// Rounds in which as much arrives, until the start is over; `None`: it goes on.
    fn rounds_of_start(&mut self, bytes: u64) -> Option<u32> {
        (1..=20).find(|_| {
            self.round(bytes, Waits::Window);
            !self.rate.is_starting()
        })
    }

    fn window(&self) -> u64 {
        self.rate.window()
    }
}

/// A queue grows with the window; one round that brings no more may be chance.
#[test]
fn a_start_does_not_end_by_delays_that_vary() {
    let mut radio = Radio::new();
    assert_eq!(radio.rounds_of_start(300_000), None);
}

/// What waits for its turn only makes no larger window than it needs.
#[test]
fn a_start_goes_on_only_where_that_brings_more() {
    let mut radio = Radio::new();
    (0..5).for_each(|_| radio.round(140_000, Waits::Turn));
    let before = radio.window();
    (0..20).for_each(|_| radio.round(140_000, Waits::Turn));
    assert!(radio.rate.is_starting());
    assert!(radio.window() == before && before < 150_000, "{before}, {}", radio.window());
    (0..3).for_each(|_| radio.round(radio.window(), Waits::Window));
    assert!(radio.window() > 2 * before, "{} after {before}", radio.window());
}

/// ... but by a long queue, by losses where there is no room for one, and by a short one that stays.
#[test]
fn a_start_ends_where_the_path_is_full() {
    for (queue, lost, rounds) in [(60_000, 0, 2..=6), (0, 60, 1..=6), (18_000, 0, 8..=14)] {
        let mut radio = Radio { queue, lost, ..Radio::new() };
        let ended = radio.rounds_of_start(300_000);
        assert!(ended.is_some_and(|ended| rounds.contains(&ended)), "{queue} {lost}: {ended:?}");
    }
}

/// Who comes to use such a window would fill a queue at once.
#[test]
fn a_window_of_which_half_is_not_used_does_not_grow() {
    let mut radio = Radio { queue: 60_000, ..Radio::new() };
    assert!(radio.rounds_of_start(300_000).is_some());
    radio.queue = 0;
    let before = radio.window();
    (0..40).for_each(|_| radio.round(before / 4, Waits::Turn));
    assert!((before / 4..=before).contains(&radio.window()), "{} after {before}", radio.window());
}

/// ... and of one that nothing fills, what is under way stays and a quarter: packets come later the more there are.
#[test]
fn a_window_that_nothing_fills_becomes_what_is_under_way() {
    let mut radio = Radio::new();
    while radio.window() < 400_000 {
        radio.round(radio.window(), Waits::Window);
    }
    (0..10).for_each(|_| radio.round(90_000, Waits::Nothing));
    assert!((90_000..150_000).contains(&radio.window()), "{}", radio.window());
}

/// What people are told of a path's queue: what packets wait for, not what the radio makes of them; and nothing of long ago.
#[test]
fn the_queue_is_what_packets_wait_for() {
    let mut radio = Radio::new();
    let queue = |radio: &Radio, later: u64| radio.rate.queue(Time(radio.at + later));
    // Of each two rounds, one has a packet that is as quick as it may be.
    radio.round(100, Waits::Nothing);
    assert_eq!(queue(&radio, 0), 0);
    radio.queue = 60_000;
    (0..2).for_each(|_| radio.round(300_000, Waits::Window));
    assert!((35_000..=60_000).contains(&queue(&radio, 0)), "{}", queue(&radio, 0));
    assert_eq!(queue(&radio, 1_000_000), 0);
    radio.queue = 0;
    (0..2).for_each(|_| radio.round(300_000, Waits::Window));
    assert_eq!(queue(&radio, 0), 0);
}
