use super::*;

#[path = "order_properties.rs"]
mod properties;

const FLOW: u8 = 7;
const LOOSE: u8 = 200;

fn at(ms: u64) -> Time {
    Time(ms * 1_000)
}

/// An order, and what it delivered.
struct Run {
    order: Order,
    out: Vec<u32>,
}

impl Run {
    fn new() -> Self {
        let mut order = Order::new(Span::from_millis(100));
        order.set_wait(Span::from_millis(20), false);
        Run { order, out: Vec::new() }
    }

    fn accept(&mut self, flow: u8, sequence: u32, ms: u64) -> Fate {
        let out = &mut self.out;
        let mut deliver = |item: &[u8]| out.push(u32::from_be_bytes(item.try_into().unwrap()));
        self.order.accept(flow, sequence, &sequence.to_be_bytes(), at(ms), &mut deliver)
    }

    fn expire(&mut self, ms: u64) {
        let out = &mut self.out;
        self.order.expire(at(ms), &mut |item| out.push(u32::from_be_bytes(item.try_into().unwrap())));
    }
}

#[test]
fn in_order_passes_and_early_waits_for_the_gap() {
    let mut run = Run::new();
    let fates = [0, 2, 3, 2, 1, 1].map(|sequence| run.accept(FLOW, sequence, 1));
    use Fate::*;
    assert_eq!(fates, [Delivered, Waits, Waits, Duplicate, Delivered, Duplicate]);
    assert_eq!(run.out, [0, 1, 2, 3]);
    let expected = Counters { delivered: 4, reordered: 1, duplicates: 2, given_up: 0, late: 0 };
    assert_eq!(run.order.counters(), expected);
}

#[test]
fn a_gap_is_given_up_when_a_packet_waited_long_enough() {
    let mut run = Run::new();
    assert_eq!(run.order.deadline(), None);
    for (sequence, ms) in [(0, 0), (5, 10), (3, 12), (7, 15)] {
        run.accept(FLOW, sequence, ms);
    }
    assert_eq!(run.order.deadline(), Some(at(30)));
    run.expire(29);
    assert_eq!(run.out, [0]);
    run.expire(30);
    assert_eq!(run.out, [0, 3, 5]);
    assert_eq!(run.order.deadline(), Some(at(35)));
    assert_eq!(run.order.counters().given_up, 3);
    // To TCP, late is better than lost; once.
    assert_eq!((run.accept(FLOW, 4, 31), run.accept(FLOW, 4, 31)), (Fate::Delivered, Fate::Duplicate));
    assert_eq!(run.accept(FLOW, 1, 1100), Fate::Duplicate, "too late");
    run.expire(1100);
    assert_eq!(run.out, [0, 3, 5, 4, 7]);
    assert_eq!((run.order.counters().late, run.order.counters().given_up), (1, 4));
}

#[test]
fn one_flow_stalls_no_other() {
    let mut run = Run::new();
    run.accept(FLOW, 1, 0);
    assert_eq!(run.accept(FLOW + 1, 0, 0), Fate::Delivered);
    assert_eq!(run.accept(LOOSE, 5, 0), Fate::Delivered);
    assert_eq!(run.accept(LOOSE, 3, 0), Fate::Delivered);
}

#[test]
fn unordered_flows_drop_duplicates_within_the_window() {
    let mut run = Run::new();
    for sequence in [SEQUENCES - 2, 1, SEQUENCES - 1, 0, 4000] {
        assert_eq!(run.accept(LOOSE, sequence, 0), Fate::Delivered, "{sequence}");
        assert_eq!(run.accept(LOOSE, sequence, 0), Fate::Duplicate, "{sequence}");
    }
    assert_eq!(run.accept(LOOSE, SEQUENCES - 2, 0), Fate::Duplicate);
    assert_eq!(run.accept(LOOSE, SEQUENCES - 90, 0), Fate::Delivered, "4,090 behind");
    assert_eq!(run.accept(LOOSE, SEQUENCES - 96, 0), Fate::Duplicate, "4,096 behind: nobody knows");
    assert_eq!(run.accept(LOOSE, 8_000_000, 0), Fate::Delivered);
    assert_eq!(run.accept(LOOSE, 8_000_000 - 4000, 0), Fate::Delivered, "the map began anew");
    assert_eq!(run.accept(LOOSE, 16_000_000, 0), Fate::Delivered);
    assert_eq!(run.accept(LOOSE, 4000, 0), Fate::Delivered, "the numbers wrap");
}

#[test]
fn a_jump_far_ahead_stalls_nothing() {
    let mut run = Run::new();
    for sequence in [0, 2, 4] {
        run.accept(FLOW, sequence, 0);
    }
    assert_eq!(run.accept(FLOW, 8_000_000, 0), Fate::Delivered);
    assert_eq!(run.out, [0, 2, 4, 8_000_000]);
    assert_eq!(run.order.waiting(), (0, 0));
    assert_eq!(run.accept(FLOW, 8_000_001, 0), Fate::Delivered);
    assert_eq!(run.accept(FLOW, 7_999_999, 0), Fate::Delivered, "a late one");
    assert_eq!(run.order.counters().given_up, 8_000_000 - 3);
    assert!(run.order.holes.len() <= holes::MOST);
}

#[test]
fn what_waits_is_bounded_in_packets_and_bytes() {
    let mut run = Run::new();
    for sequence in 1..=MAX_WAITING as u32 {
        assert_eq!(run.accept(FLOW, sequence, 0), Fate::Waits);
    }
    assert_eq!(run.accept(FLOW + 1, 9, 0), Fate::Waits);
    assert_eq!(run.order.waiting().0, 1, "the oldest gap was given up");
    assert_eq!(run.out.len(), MAX_WAITING);

    let mut order = Order::new(Span::from_secs(1));
    let item = vec![0; 60_000];
    let mut delivered = 0;
    for sequence in 1..200 {
        order.accept((sequence % 90) as u8, 3 * sequence, &item, at(0), &mut |_| delivered += 1);
        assert!(order.waiting().1 <= MAX_WAITING_BYTES);
    }
    assert!(delivered > 100);
}

#[test]
fn memory_is_given_back_after_a_rest() {
    let mut run = Run::new();
    for sequence in 1..1000 {
        run.accept(FLOW, sequence, 0);
    }
    run.accept(FLOW, 0, 5);
    assert!(run.order.queue.slots() >= 999);
    assert_eq!(run.order.deadline(), Some(at(1005)));
    run.expire(1005);
    assert_eq!((run.order.queue.slots(), run.order.deadline()), (0, None));
    // Slots that come back after a rest are new ones.
    run.accept(FLOW, 1001, 2000);
    run.accept(FLOW, 1000, 2000);
    assert_eq!(run.out.len(), 1002);
}

#[test]
fn a_rest_takes_little_memory() {
    let windows = (256 - usize::from(ORDERED)) * (size_of::<Window>() + BEHIND as usize / 8);
    let all = windows + usize::from(ORDERED) * size_of::<Bucket>() + 2 * 1024;
    assert!(all + size_of::<Order>() <= 60_000, "{all}");
}

#[test]
fn a_peer_that_begins_anew_is_heard_after_a_reset() {
    let mut run = Run::new();
    for flow in [FLOW, LOOSE] {
        for sequence in [0, 1, 2, 4] {
            run.accept(flow, sequence, 0);
        }
    }
    assert_eq!(run.accept(FLOW, 0, 0), Fate::Duplicate);
    let out = &mut run.out;
    run.order.reset(&mut |item| out.push(item.len() as u32));
    assert_eq!(run.out.len(), 8, "what waited was delivered");
    assert_eq!(run.order.waiting(), (0, 0));
    assert_eq!(run.order.counters().delivered, 8);
    assert_eq!((run.accept(FLOW, 0, 0), run.accept(LOOSE, 0, 0)), (Fate::Delivered, Fate::Delivered));
}

#[test]
fn a_peer_that_goes_on_with_its_numbers_is_heard_by_an_end_that_began_anew() {
    for first in [9_000, 5_000_000, SEQUENCES - 1, 9_000_000] {
        let mut run = Run::new();
        for sequence in [first, first + 1, first + 3, first + 2] {
            run.accept(FLOW, sequence % SEQUENCES, 0);
            run.accept(LOOSE, sequence % SEQUENCES, 0);
        }
        let expected = Counters { delivered: 8, reordered: 2, ..Counters::default() };
        assert_eq!(run.order.counters(), expected, "{first}");
    }
}

#[test]
fn the_wait_has_bounds() {
    let mut run = Run::new();
    run.accept(FLOW, 1, 0);
    for (wait, bound) in [(0, 2), (50, 50), (900, 100)] {
        run.order.set_wait(Span::from_millis(wait), false);
        assert_eq!(run.order.deadline(), Some(at(bound)));
    }
}

/// An order where nothing waits, and what it has let pass.
fn hurried() -> (Order, std::rc::Rc<std::cell::RefCell<Vec<u8>>>) {
    let mut order = Order::new(Span::from_millis(200));
    order.set_wait(Span::from_millis(50), true);
    (order, Default::default())
}

#[test]
fn what_tcp_sends_again_waits_for_what_is_older() {
    let (mut order, passed) = hurried();
    let at = |ms: u64| Time(ms * 1_000);
    let each = &mut |item: &[u8]| passed.borrow_mut().push(item[0]);
    order.accept(3, 0, &[0], at(0), each);
    // 1 and 2 are on the slow path; 3 overtook them. 4 is TCP's second 1.
    order.accept(3, 3, &[3], at(1), each);
    assert_eq!(order.accept_again(3, 4, &[4], at(2), each), Fate::Waits);
    assert_eq!(order.accept_again(3, 4, &[4], at(2), each), Fate::Duplicate);
    order.accept(3, 5, &[5], at(3), each);
    order.accept(3, 1, &[1], at(4), each);
    assert_eq!(*passed.borrow(), [0, 3, 5, 1]);
    order.accept(3, 2, &[2], at(5), each);
    assert_eq!(*passed.borrow(), [0, 3, 5, 1, 2, 4]);
    // With nothing older missing it passes; what never comes is waited for no longer than others.
    assert_eq!(order.accept_again(3, 6, &[6], at(6), each), Fate::Delivered);
    order.accept_again(3, 9, &[9], at(7), each);
    assert_eq!(order.deadline(), Some(at(57)));
    order.expire(at(56), each);
    assert_eq!(passed.borrow().last(), Some(&6));
    order.expire(at(57), each);
    assert_eq!((passed.borrow().last(), order.deadline()), (Some(&9), None));
    let counters = order.counters();
    assert_eq!((counters.given_up - counters.late, counters.duplicates), (2, 1));
}

#[test]
fn what_tcp_sends_again_is_bounded_and_survives_a_new_beginning() {
    let (mut order, passed) = hurried();
    let each = &mut |item: &[u8]| passed.borrow_mut().push(item[0]);
    order.accept(3, 0, &[0], Time(0), each);
    for sequence in 1..=300 {
        order.accept_again(3, sequence * 2, &[1], Time(1), each);
    }
    assert_eq!((passed.borrow().len(), order.waiting().0), (1 + 300 - MAX_AGAIN, MAX_AGAIN));
    order.reset(each);
    assert_eq!((passed.borrow().len(), order.waiting()), (301, (0, 0)));
}

#[test]
fn a_first_packet_that_tcp_sent_before_is_a_beginning() {
    let (mut order, passed) = hurried();
    let each = &mut |item: &[u8]| passed.borrow_mut().push(item[0]);
    order.accept_again(3, 5_000_000, &[1], Time(0), each);
    assert_eq!(order.accept(3, 4_999_999, &[2], Time(1), each), Fate::Duplicate);
    assert_eq!(order.accept(3, 5_000_000, &[1], Time(1), each), Fate::Duplicate);
    assert_eq!(*passed.borrow(), [1]);
}

#[test]
fn where_nothing_waits_what_is_patient_does() {
    let mut run = Run::new();
    run.order.set_wait(Span::from_millis(20), true);
    run.accept(FLOW, 0, 0);
    run.order.set_patient(true);
    assert_eq!([3, 5].map(|sequence| run.accept(FLOW, sequence, 0)), [Fate::Waits; 2]);
    run.order.set_patient(false);
    assert_eq!([1, 2].map(|sequence| run.accept(FLOW, sequence, 1)), [Fate::Delivered; 2]);
    assert_eq!(run.out, [0, 1, 2, 3]);
    // The others still overtake, and take with them what waited for those that they passed.
    assert_eq!(run.accept(FLOW, 6, 2), Fate::Delivered);
    assert_eq!(run.out, [0, 1, 2, 3, 5, 6]);
    assert_eq!(run.accept(FLOW, 4, 3), Fate::Delivered);
    run.order.set_patient(true);
    run.accept(FLOW, 8, 4);
    run.expire(23);
    assert_eq!(run.order.waiting().0, 1);
    run.expire(24);
    assert_eq!(run.out, [0, 1, 2, 3, 5, 6, 4, 8], "no longer than any");
}

/// What TCP sent again is not given to it before what is older; nor is that given up for it.
#[test]
fn what_tcp_sends_again_is_patient_too() {
    let (mut order, passed) = hurried();
    let each = &mut |item: &[u8]| passed.borrow_mut().push(item[0]);
    order.accept(3, 0, &[0], Time(0), each);
    order.set_patient(true);
    assert_eq!(order.accept(3, 2, &[2], Time(1), each), Fate::Waits);
    assert_eq!(order.accept_again(3, 3, &[3], Time(2), each), Fate::Waits);
    assert_eq!(order.accept(3, 1, &[1], Time(3), each), Fate::Delivered);
    assert_eq!(*passed.borrow(), [0, 1, 2, 3]);
    assert_eq!(order.counters().given_up, 0);
}

/// Who leaves out thousands of sequences with each packet is no more work than who leaves out none: each took 8,191 steps, and in
/// a full memory each of those moved it.
#[test]
fn what_is_left_out_takes_no_steps() {
    let mut order = Order::new(Span::from_millis(150));
    let mut delivered = 0;
    let mut next = 0;
    for turn in 0..2_000u64 {
        let (flow, now) = ((turn % u64::from(ORDERED)) as u8, Time(turn * 100));
        next = (next + AHEAD) % SEQUENCES;
        order.accept(flow, (next + AHEAD - 1) % SEQUENCES, &[1], now, &mut |_| delivered += 1);
        order.accept(flow, (next + 3 * AHEAD) % SEQUENCES, &[1], now, &mut |_| delivered += 1);
        assert!(order.holes.len() <= holes::MOST, "{}", order.holes.len());
        assert!(order.holes.len() <= 4 * (turn as usize + 1), "one for each gap: {} at {turn}", order.holes.len());
    }
    assert_eq!(delivered, 4_000);
}

/// A run of missing ones is cut by each that comes, and each comes once.
#[test]
fn of_a_run_each_may_come_once() {
    let mut run = Run::new();
    run.accept(FLOW, 0, 0);
    run.accept(FLOW, AHEAD + 10, 1);
    for late in [100, 8_000, 5_000, 11, AHEAD + 9, 101, 99] {
        let known = (10..AHEAD + 10).contains(&late);
        assert_eq!(run.accept(FLOW, late, 2), if known { Fate::Delivered } else { Fate::Duplicate }, "{late}");
        assert_eq!(run.accept(FLOW, late, 2), Fate::Duplicate, "{late} again");
    }
    assert_eq!(run.accept(FLOW, 7, 2), Fate::Duplicate, "further behind than what may come");
    assert_eq!(run.accept(FLOW, 500, 1_002), Fate::Duplicate, "too late");
}

/// Each leaps over as many as a window has, or one more, or some: what came before is known as long as it was, and no longer.
#[test]
fn a_window_forgets_what_it_leaps_over() {
    for leap in [1, 31, 32, 33, 63, 1_000, BEHIND - 1, BEHIND, BEHIND + 1] {
        let (mut window, mut came) = (Window::default(), std::collections::BTreeSet::new());
        let mut at = SEQUENCES - 5 * leap;
        for turn in 0..12 {
            assert!(window.note(at % SEQUENCES).is_some() && came.insert(at), "{at} by {leap}");
            for back in (0..BEHIND).step_by(if turn % 4 == 3 { 1 } else { 97 }).filter(|_| turn > 0) {
                assert_eq!(window.note((at - back) % SEQUENCES).is_some(), came.insert(at - back), "{at} - {back}");
            }
            assert_eq!(window.note((at - BEHIND) % SEQUENCES), None);
            at += leap;
        }
    }
}

/// One in ten is lost and one in twenty late, at 80,000 packets a second: more is missing than is known of a second, and still what is late
/// passes.
#[test]
fn where_much_is_lost_what_is_late_passes() {
    let mut order = Order::new(Span::from_millis(150));
    order.set_wait(Span::from_millis(30), true);
    let (mut late, mut came, mut dice) = (VecDeque::new(), 0, 1u64);
    for sequence in 0..40_000 {
        let now = Time(1_000_000 + u64::from(sequence) * 1_000 / 80);
        while late.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, sequence)) = late.pop_front() else { break };
            assert_eq!(order.accept(3, sequence, &[0], now, &mut |_| ()), Fate::Delivered, "{sequence}");
            came += 1;
        }
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (dice >> 33) % 100 {
            0..10 => {}
            10..15 => late.push_back((now + Span::from_millis(20), sequence)),
            _ => _ = order.accept(3, sequence, &[0], now, &mut |_| ()),
        }
        assert!(order.holes.len() <= holes::MOST);
    }
    assert!(came > 1_000, "{came}");
}

/// A copy that somebody held back while its flow went on by 2^23 is taken for one that is ahead: the flow goes on after a second. What comes by
/// a slow path late, and was here before, does not make it go back.
#[test]
fn a_packet_of_another_age_stops_a_flow_for_a_second() {
    for flow in [FLOW, 200] {
        let mut order = Order::new(Span::from_millis(150));
        let sequence = |n: u32| (SEQUENCES - 30_000 + n) % SEQUENCES;
        let mut accept = |n: u32, us: u64| order.accept(flow, sequence(n), &[1], Time(us), &mut |_| ());
        let mut now = 0;
        for n in 0..100_000 {
            now += 20;
            assert_eq!(accept(n, now), Fate::Delivered);
        }
        for n in 0..60_000 {
            now += 20;
            assert_eq!(accept(n, now), Fate::Duplicate, "{n}");
        }
        assert_eq!(accept(100_000 + 8_000_000, now), Fate::Delivered, "as if ahead");
        let mut passed = Vec::new();
        for n in 100_000..200_000 {
            now += 20;
            passed.extend((accept(n, now) == Fate::Delivered).then_some(n));
        }
        assert_eq!(passed, (150_000..200_000).collect::<Vec<_>>(), "flow {flow}");
        assert!((0..100_000).all(|n| accept(n, now) == Fate::Duplicate));
    }
}
