//! Which counters of a path have arrived: each opens once.
//!
//! A bitmap over the last counters below the highest one, as in RFC 6479: it moves by whole words, so that nothing is shifted.

/// How far a packet may be behind the newest of its path. Reordering within one path is a few packets; 2,048 are 25 ms at
/// 1 Gbit/s, and what is later than that is no use any more.
pub const WINDOW: u64 = 2048;

/// One word more than the window: the newest word is only partly in use.
const WORDS: usize = WINDOW as usize / 64 + 1;

#[derive(Clone, Debug)]
pub struct Window {
    /// The highest counter that was noted, plus 1; 0: none yet.
    next: u64,
    seen: [u64; WORDS],
}

impl Default for Window {
    fn default() -> Self {
        Window { next: 0, seen: [0; WORDS] }
    }
}

impl Window {
    /// The whole counter of which `low` is the lower half: the one closest to what comes next.
    pub const fn whole(&self, low: u32) -> u64 {
        // The distance as a signed number: half of all counters are ahead of the next, half behind it.
        let ahead = low.wrapping_sub(self.next as u32) as i32;
        match self.next.checked_add_signed(ahead as i64) {
            Some(counter) => counter,
            // Before the first of all: it must be one of the first 2^32, then.
            None => low as u64,
        }
    }

    /// Whether it is neither too old nor noted already.
    pub fn fresh(&self, counter: u64) -> bool {
        counter >= self.next || (self.next - counter <= WINDOW && self.word(counter) & bit(counter) == 0)
    }

    /// To be called for what is authentic only. False, and nothing changes, if it is not [`fresh`](Self::fresh).
    pub fn note(&mut self, counter: u64) -> bool {
        if !self.fresh(counter) || counter == u64::MAX {
            return false;
        }
        if counter >= self.next {
            // Words between the last one in use and this one's hold bits of a turn ago.
            let last = self.next.saturating_sub(1) / 64;
            for word in (last + 1..=counter / 64).take(WORDS) {
                self.set(word, 0);
            }
            self.next = counter + 1;
        }
        self.set(counter / 64, self.word(counter) | bit(counter));
        true
    }

    /// Counters from 0 to below this have been sent, as far as is known.
    pub const fn next(&self) -> u64 {
        self.next
    }

    fn word(&self, counter: u64) -> u64 {
        self.seen.get((counter / 64 % WORDS as u64) as usize).copied().unwrap_or(u64::MAX)
    }

    fn set(&mut self, word: u64, bits: u64) {
        if let Some(place) = self.seen.get_mut((word % WORDS as u64) as usize) {
            *place = bits;
        }
    }
}

const fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Naive(BTreeSet<u64>);

    impl Naive {
        fn note(&mut self, counter: u64) -> bool {
            let old = self.0.last().is_some_and(|last| last + 1 > counter && last + 1 - counter > WINDOW);
            !old && self.0.insert(counter)
        }
    }

    proptest! {
        #[test]
        fn it_is_the_naive_one(
            start in prop_oneof![Just(0), 0..1u64 << 40],
            steps in prop::collection::vec(prop_oneof![-70i64..70, -2100i64..2100, -3000i64..70_000], 0..600),
        ) {
            let (mut window, mut naive) = (Window::default(), Naive::default());
            let mut at = start;
            for step in steps {
                at = at.saturating_add_signed(step);
                prop_assert_eq!(window.fresh(at), naive.0.last().is_none_or(|last| *last < at)
                    || (naive.0.last().unwrap() + 1 - at <= WINDOW && !naive.0.contains(&at)));
                prop_assert_eq!(window.note(at), naive.note(at), "{}", at);
                prop_assert!(!window.note(at));
            }
        }

        #[test]
        fn half_a_counter_is_enough(next in 0..1u64 << 50, ahead in -0x7FFF_FFFFi64..0x7FFF_FFFF) {
            let mut window = Window::default();
            prop_assert!(next == 0 || window.note(next - 1));
            if let Some(counter) = next.checked_add_signed(ahead) {
                prop_assert_eq!(window.whole(counter as u32), counter);
            }
        }

        #[test]
        fn no_counter_makes_it_panic(counters in prop::collection::vec(any::<u64>(), 0..20), low in any::<u32>()) {
            let mut window = Window::default();
            for counter in counters {
                window.whole(low);
                window.note(counter);
            }
        }
    }

    #[test]
    fn halves_around_their_turn() {
        let mut window = Window::default();
        assert_eq!(window.whole(u32::MAX), u64::from(u32::MAX));
        assert!(window.note(0xFFFF_FFF0));
        assert_eq!(window.whole(5), 0x1_0000_0005);
        assert!(window.note(0x1_0000_0005));
        assert_eq!(window.whole(0xFFFF_FFFF), 0xFFFF_FFFF);
    }

    #[test]
    fn the_edge_of_the_window() {
        let mut window = Window::default();
        assert!(window.note(WINDOW));
        assert!(window.note(1) && !window.note(1) && !window.note(0));
        assert!(!window.note(u64::MAX));
    }
}
