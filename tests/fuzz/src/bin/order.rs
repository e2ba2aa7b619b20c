//! The order of a bond's packets: nothing twice, nothing made up, nothing kept for longer than is allowed.
#![no_main]

use std::collections::BTreeSet;

use cheaproute::bond::order::{Fate, LONGEST_WAIT, MAX_WAITING, MAX_WAITING_BYTES, Order};
use cheaproute::time::{Span, Time};
use fuzz::{Unstructured, number};
use libfuzzer_sys::fuzz_target;

/// Sequences around the wrap of 24 bits, near enough to each other that none is taken for one of the next round.
const FIRST: u32 = (1 << 24) - 700;

fuzz_target!(|bytes: &[u8]| {
    let script = &mut Unstructured::new(bytes);
    let mut order = Order::new(Span::from_millis(100));
    let mut now = Time(1);
    let (mut sent, mut came) = (BTreeSet::new(), BTreeSet::new());
    let check = |item: &[u8], sent: &BTreeSet<[u8; 5]>, came: &mut BTreeSet<[u8; 5]>| {
        let item: [u8; 5] = item.try_into().expect("an item of ours");
        assert!(sent.contains(&item) && came.insert(item), "{item:?}");
    };
    while !script.is_empty() {
        let step = number(script, 16);
        let flow = [3, 4, 200][number(script, 3) as usize];
        let sequence = (FIRST + number(script, 1_400)) % (1 << 24);
        let item = [&[flow], &sequence.to_be_bytes()[..]].concat();
        match step {
            0 => now = now + Span::from_millis(u64::from(number(script, 400))),
            1 => order.set_wait(Span::from_millis(u64::from(number(script, 200))), number(script, 2) == 1),
            2 => order.expire(now, &mut |item| check(item, &sent, &mut came)),
            3 => {
                sent.insert(item.clone().try_into().expect("five bytes"));
                order.accept_again(flow, sequence, &item, now, &mut |item| check(item, &sent, &mut came));
            }
            _ => {
                sent.insert(item.clone().try_into().expect("five bytes"));
                let before = came.len();
                let fate = order.accept(flow, sequence, &item, now, &mut |item| check(item, &sent, &mut came));
                assert!(fate != Fate::Delivered || came.len() > before);
            }
        }
        let (packets, bytes) = order.waiting();
        assert!(packets <= MAX_WAITING && bytes <= MAX_WAITING_BYTES);
        assert!(order.deadline().is_none_or(|at| at <= now + Span::from_secs(2)));
    }
    order.expire(now + LONGEST_WAIT + Span::from_secs(2), &mut |item| check(item, &sent, &mut came));
    assert_eq!(order.waiting(), (0, 0));
});
