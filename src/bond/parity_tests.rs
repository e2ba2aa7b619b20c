use super::*;
use proptest::prelude::*;

/// A path and its receiver.
struct Ends {
    giver: Giver,
    taker: Option<Taker>,
    counter: u64,
    room: usize,
    rebuilt: Vec<Vec<u8>>,
}

impl Ends {
    fn new(permille: u32, first: u64) -> Self {
        let mut giver = Giver::default();
        giver.loss(permille);
        Ends { giver, taker: None, counter: first, room: 1_000, rebuilt: Vec::new() }
    }

    /// Sends an item, and its group's parity if it was the last one; each datagram arrives unless `arrives` denies it.
    fn send(&mut self, item: &[u8], arrives: &mut dyn FnMut(&[u8]) -> bool) {
        let ends = self.one(item, arrives);
        if ends {
            let mut pieces = Default::default();
            self.giver.write(self.room, &mut pieces);
            for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
                assert!(piece.len() <= self.room.max(HEAD + 7));
                self.one(piece, arrives);
            }
        }
    }

    fn one(&mut self, item: &[u8], arrives: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let counter = self.counter;
        self.counter += 1;
        if arrives(item) {
            if is_parity(item) && self.taker.is_none() {
                self.taker = Taker::new(1, item);
            }
            self.rebuilt.extend(self.taker.as_mut().and_then(|taker| taker.received(counter, item)));
        }
        self.giver.sent(counter, item)
    }
}

fn item(number: usize) -> Vec<u8> {
    let mut item = vec![0x10; 20 + number * 37 % 900];
    item[1] = number as u8;
    item
}

/// Sends a hundred, so that the far end knows of parities, and then 200 of which those with these numbers are lost.
fn lossy(room: usize, lost: &[usize]) -> Vec<Vec<u8>> {
    let mut ends = Ends { room, ..Ends::new(10, 5) };
    (0..100).for_each(|number| ends.send(&item(number), &mut |_| true));
    assert!(ends.taker.is_some() && ends.rebuilt.is_empty());
    (0..200).for_each(|number| {
        ends.send(&item(number), &mut |sent| is_parity(sent) || !lost.contains(&number));
    });
    ends.rebuilt
}

#[test]
fn the_one_that_is_missing_in_a_group_is_rebuilt() {
    for room in [1_000, 919, 500] {
        assert_eq!(lossy(room, &[3, 50, 120]), [item(3), item(50), item(120)]);
    }
    // Two of a group are asked for again.
    assert!(lossy(1_000, &[100, 101]).len() <= 1);
}

#[test]
fn paths_that_lose_nothing_send_none() {
    let mut giver = Giver::default();
    for (permille, gives) in
        [(0, false), (2, false), (3, true), (2, true), (1, true), (100, true), (0, false), (2, false)]
    {
        giver.loss(permille);
        assert_eq!(giver.gives, gives, "{permille}");
    }
    let mut ends = Ends::new(0, 0);
    (0..100).for_each(|number| ends.send(&item(number), &mut |sent| !is_parity(sent)));
    assert_eq!((ends.counter, ends.giver.sum.bytes.capacity()), (100, 0));
}

#[test]
fn words_between_the_ends_and_other_sessions_count_as_nothing() {
    let mut ends = Ends::new(10, 0);
    for number in 0..60 {
        ends.send(&item(number), &mut |_| true);
        // A probe as long as a path's MTU.
        ends.send(&[0xc0; 1_400], &mut |_| number % 8 != 3);
    }
    assert!(ends.rebuilt.is_empty(), "what is said between the ends is not rebuilt");
    let taker = ends.taker.unwrap();
    assert!(taker.serves(1, ends.counter) && !taker.serves(2, ends.counter));
    assert!(!taker.serves(1, ends.counter + 400), "parities have ended");
    // A new session counts anew: what was summed up is of the old one.
    let mut giver = ends.giver;
    assert!((3..32).all(|counter| !giver.sent(counter, &item(1))));
    assert!((32..63).all(|counter| !giver.sent(counter, &item(1))) && giver.sent(63, &item(1)));
}

proptest! {
    /// Whatever is lost or comes late: nothing is rebuilt that was not sent, and of groups with one loss, that.
    #[test]
    fn what_is_rebuilt_was_lost(
        first in 0u64..40, permille in 3u32..60, room in 600usize..1_000, late in 0usize..40,
        lost in proptest::collection::btree_set(0usize..400, 0..60),
    ) {
        let mut ends = Ends { room, ..Ends::new(permille, first) };
        let mut waiting = std::collections::VecDeque::new();
        for number in 0..400usize {
            let mut arrived = Vec::new();
            let counter = ends.counter;
            ends.send(&item(number), &mut |sent| {
                arrived.push(sent.to_vec());
                false
            });
            for (at, sent) in arrived.into_iter().enumerate() {
                if is_parity(&sent) && ends.taker.is_none() {
                    ends.taker = Taker::new(1, &sent);
                }
                waiting.push_back((counter + at as u64, number, sent));
            }
            while waiting.len() > late {
                // Some overtake others.
                let at = if late > 0 && number % 3 == 0 { waiting.len() - 1 } else { 0 };
                let Some((counter, number, sent)) = waiting.remove(at) else { break };
                if is_parity(&sent) || !lost.contains(&number) {
                    ends.rebuilt.extend(ends.taker.as_mut().and_then(|taker| taker.received(counter, &sent)));
                }
            }
        }
        let known: Vec<Vec<u8>> = (0..400).map(item).collect();
        for rebuilt in &ends.rebuilt {
            prop_assert!(known.contains(rebuilt));
        }
        if late == 0 {
            prop_assert!(ends.rebuilt.iter().all(|rebuilt| lost.iter().any(|number| known[*number] == *rebuilt)));
        }
    }

    #[test]
    fn any_item_is_read_without_a_panic(
        items in proptest::collection::vec((any::<u64>(), proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()), 1..60)
    ) {
        let mut taker = Taker::new(0, &[KIND, K << 4 | WHOLE, 0, 0, 0, 1]).unwrap();
        for (counter, mut item, parity) in items {
            if parity && let [first, shape, ..] = item.as_mut_slice() {
                (*first, *shape) = (KIND, *shape & 3 | K << 4);
            }
            let counter = counter >> (counter % 64);
            taker.received(counter, &item);
            prop_assert!(taker.groups.iter().all(|group| group.sum.bytes.len() <= LONGEST));
        }
    }
}
