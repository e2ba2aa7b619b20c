use super::*;
use crate::bond::store::Store;

const SIZE: usize = 1_500 - OUTER;
const MOST: u64 = 2_000_000;

/// A queue and what its slots name; `rate` packets leave a second.
struct Bed {
    fair: Fair,
    store: Store,
    now: Time,
}

impl Bed {
    fn new() -> Self {
        Bed { fair: Fair::default(), store: Store::default(), now: Time(1_000_000) }
    }

    /// A packet of a flow comes: whether it may.
    fn comes(&mut self, tag: u8, size: usize) -> bool {
        if self.fair.admits(tag, MOST, false, self.now) != Admission::Comes {
            return false;
        }
        let slot = self.store.add(false, self.now, |item| item.push(tag)).expect("room");
        self.fair.push(tag, slot, size);
        true
    }

    /// The flow whose packet leaves, and how long that has waited.
    fn leaves(&mut self) -> Option<(u8, Span)> {
        let slot = self.fair.front()?;
        let (tag, born) = (self.store.item(slot)[0], self.store.born(slot));
        self.fair.pop(born, self.now);
        self.store.drop(slot);
        Some((tag, self.now.since(born)))
    }

    fn all(&mut self) -> Vec<u8> {
        std::iter::from_fn(|| self.leaves()).map(|(tag, _)| tag).collect()
    }
}

#[test]
fn one_flow_leaves_in_its_order() {
    let mut bed = Bed::new();
    let slots: Vec<Slot> = (0..9).filter_map(|byte| bed.store.add(false, bed.now, |item| item.push(byte))).collect();
    slots.iter().for_each(|slot| bed.fair.push(3, *slot, SIZE));
    assert_eq!((bed.fair.packets(), bed.fair.bytes()), (9, 9 * SIZE as u64));
    assert_eq!(bed.all(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(bed.fair.is_empty() && bed.fair.bytes() == 0);
}

#[test]
fn flows_take_turns_by_bytes_and_a_new_one_goes_first() {
    let mut bed = Bed::new();
    for _ in 0..4 {
        bed.comes(1, SIZE);
    }
    for _ in 0..10 {
        bed.comes(2, SIZE / 5);
    }
    assert_eq!(bed.leaves().map(|(tag, _)| tag), Some(1));
    bed.comes(3, SIZE);
    let order = bed.all();
    // 1 has 14 bytes left of its first turn, and a packet more in each. On a wire those of 2 are more than a fifth of it.
    assert_eq!(order, [1, 2, 2, 2, 2, 2, 3, 1, 2, 2, 2, 2, 1, 2]);
}

#[test]
fn who_comes_and_goes_does_not_go_first_each_time() {
    let mut bed = Bed::new();
    assert!((0..200).all(|_| bed.comes(1, SIZE)));
    let mut served = [0; 2];
    for _ in 0..100 {
        bed.comes(2, SIZE);
        let tag = bed.leaves().expect("a packet").0;
        served[usize::from(tag - 1)] += 1;
    }
    assert!(served[0] >= 45, "{served:?}");
}

/// A flow sends `percent` of what leaves (1,000 packets a second) for so many seconds: lost packets, and the longest wait of the
/// last second in milliseconds.
fn load(bed: &mut Bed, percent: u64, seconds: u64) -> (usize, u64) {
    let (mut lost, mut longest, mut owed) = (0, 0, 0);
    for step in 0..seconds * 1_000 {
        bed.now = bed.now + Span::from_millis(1);
        owed += percent;
        while owed >= 100 {
            owed -= 100;
            lost += usize::from(!bed.comes(1, SIZE));
        }
        if let Some((_, wait)) = bed.leaves()
            && step + 1_000 >= seconds * 1_000
        {
            longest = wait.as_millis().max(longest);
        }
    }
    (lost, longest)
}

#[test]
fn a_burst_loses_nothing() {
    let mut bed = Bed::new();
    assert!((0..80).all(|_| bed.comes(1, SIZE)));
    assert_eq!(load(&mut bed, 0, 1), (0, 80));
    // And leaves nothing behind.
    assert_eq!(load(&mut bed, 90, 5), (0, 0));
}

#[test]
fn a_wait_that_stays_costs_more_and_more_packets() {
    let mut bed = Bed::new();
    let (first, _) = load(&mut bed, 105, 1);
    let (later, longest) = load(&mut bed, 105, 9);
    // RFC 8289, 5.4: the n-th loss comes 100 ms / sqrt(n) after the one before.
    assert!((5..40).contains(&first), "{first}");
    assert!(later > first * 9, "{first} in the first second, {later} in the nine after it");
    assert!(longest < 400, "{longest} ms");
}

#[test]
fn others_do_not_lose_for_it() {
    let mut bed = Bed::new();
    let mut lost = 0;
    for step in 0..5_000 {
        bed.now = bed.now + Span::from_millis(1);
        bed.comes(1, SIZE);
        bed.comes(1, SIZE);
        if step % 10 == 0 {
            lost += usize::from(!bed.comes(2, SIZE));
        }
        let left = bed.leaves();
        if let Some((2, wait)) = left {
            assert!(wait <= Span::from_millis(3), "{wait:?}");
        }
    }
    assert_eq!(lost, 0);
}

#[test]
fn over_the_most_those_lose_that_have_their_share() {
    let mut bed = Bed::new();
    let most = 10 * SIZE as u64;
    let mut comes = |tag, again| {
        let may = bed.fair.admits(tag, most, again, bed.now) == Admission::Comes;
        if may {
            let slot = bed.store.add(false, bed.now, |item| item.push(tag)).unwrap();
            bed.fair.push(tag, slot, SIZE);
        }
        may
    };
    let admitted = (0..100).filter(|_| comes(1, false)).count();
    assert_eq!(admitted, 11);
    assert!(comes(2, false), "another flow");
    assert!(comes(1, true), "what is sent again");
    assert!(!comes(1, false));
    let others = (0..100).filter(|_| comes(2, false)).count();
    assert_eq!(others, 8, "up to twice the most");
    assert!(!comes(1, true) && !comes(3, false));
}

#[test]
fn memory_is_that_of_what_waits() {
    let mut bed = Bed::new();
    for tag in 0..=255 {
        assert!((0..16).all(|_| bed.comes(tag, SIZE / 4)));
    }
    assert_eq!(bed.fair.new.len(), usize::from(FLOWS));
    assert!(bed.fair.held() >= 4096 * size_of::<(Slot, u16)>(), "{}", bed.fair.held());
    assert_eq!(bed.all().len(), 4096);
    assert!(bed.fair.held() < 2_000, "{}", bed.fair.held());
}

#[test]
fn a_packet_from_behind_leaves_when_its_turn_would_come() {
    let mut bed = Bed::new();
    let slots: Vec<Slot> = (0..9).filter_map(|byte| bed.store.add(false, bed.now, |item| item.push(byte))).collect();
    slots.iter().for_each(|slot| bed.fair.push(3, *slot, SIZE));
    let size = SIZE as u64;
    assert_eq!(bed.fair.front(), Some(slots[0]));
    assert_eq!(bed.fair.queued(bed.now), (9 * size, true));
    assert_eq!(bed.fair.pop_behind(4 * size, |slot| slot != slots[4]), None, "it may not");
    assert_eq!(bed.fair.pop_behind(size - 1, |_| true), None, "that is the first one");
    assert_eq!(bed.fair.pop_behind(4 * size, |_| true), Some(slots[4]));
    assert_eq!(bed.fair.pop_behind(u64::MAX, |_| true), Some(slots[8]), "there is no later one");
    assert_eq!((bed.fair.packets(), bed.fair.bytes()), (7, 7 * size));
    assert_eq!(bed.all(), [0, 1, 2, 3, 5, 6, 7]);
    assert!(bed.fair.is_empty() && bed.fair.bytes() == 0 && bed.fair.pop_behind(0, |_| true).is_none());
}

#[test]
fn a_turn_comes_later_where_others_have_theirs_between() {
    let mut bed = Bed::new();
    for number in 0..40 {
        bed.comes(1 + number % 4, SIZE);
    }
    assert!(bed.fair.front().is_some());
    let (queued, _) = bed.fair.queued(bed.now);
    assert_eq!(queued, 40 * SIZE as u64, "ten of its own, and as many of each other one");
    let slot = bed.fair.pop_behind(20 * SIZE as u64, |_| true).expect("one that waits");
    assert_eq!(bed.store.item(slot)[0], 1);
    let before = bed.all().iter().take_while(|tag| **tag != 1).count();
    assert!(before < 4, "its credit is that of one packet: {before}");
}

#[test]
fn others_that_have_little_do_not_delay_a_turn_for_long() {
    let mut bed = Bed::new();
    for number in 0..40 {
        bed.comes(1, SIZE);
        if number < 9 {
            bed.comes(2 + number, SIZE);
        }
    }
    assert!(bed.fair.front().is_some());
    assert_eq!(bed.fair.queued(bed.now).0, 49 * SIZE as u64, "no more than there is");
    assert!(bed.fair.pop_behind(39 * SIZE as u64, |_| true).is_some());
    // 30 before it, and the nine of the others.
    let place = bed.fair.new.front().map(|flow| flow.slots.len());
    assert_eq!(place, Some(39));
    assert!(bed.all().len() == 48);
}

#[test]
fn where_a_path_lags_a_wait_may_be_longer() {
    for (lag, waits, loses) in
        [(0, 30, true), (8, 30, true), (20, 40, false), (20, 50, true), (500, 45, false), (500, 55, true)]
    {
        let mut bed = Bed::new();
        bed.fair.set_lag(Span::from_millis(lag));
        let mut lost = 0;
        // As many leave as come, after so many milliseconds.
        for _ in 0..waits {
            bed.comes(1, SIZE);
            bed.now = bed.now + Span::from_millis(1);
        }
        for _ in 0..300 {
            lost += u32::from(!bed.comes(1, SIZE));
            bed.leaves();
            bed.now = bed.now + Span::from_millis(1);
        }
        assert_eq!(lost > 0, loses, "{lag} ms of lag, {waits} ms of wait: {lost}");
    }
}
