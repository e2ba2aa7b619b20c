use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// The same rules without any cleverness; sequences have 64 bits.
#[derive(Default)]
struct Model {
    flows: BTreeMap<u8, ModelFlow>,
    /// Packets so far: of two that came in the same microsecond, one came first.
    number: usize,
}

#[derive(Default)]
struct ModelFlow {
    next: u64,
    waiting: BTreeMap<u64, (Time, usize)>,
    given_up: BTreeMap<u64, Time>,
    /// Of an unordered flow.
    seen: BTreeSet<u64>,
}

impl Model {
    fn accept(&mut self, flow: u8, sequence: u64, now: Time, out: &mut Vec<(u8, u64)>) {
        let state = self.flows.get_mut(&flow).unwrap();
        self.number += 1;
        if !flow::is_ordered(flow) {
            if state.seen.insert(sequence) {
                out.push((flow, sequence));
            }
        } else if sequence < state.next {
            if state.given_up.remove(&sequence).is_some_and(|at| now.since(at) < holes::LIFE) {
                out.push((flow, sequence));
            }
        } else {
            state.waiting.entry(sequence).or_insert((now, self.number));
            state.drain(flow, out);
        }
    }

    fn expire(&mut self, now: Time, wait: Span, out: &mut Vec<(u8, u64)>) {
        loop {
            let flows = self.flows.iter();
            let all =
                flows.flat_map(|(flow, state)| state.waiting.iter().map(|(sequence, came)| (*came, *flow, *sequence)));
            let Some(((came, _), flow, sequence)) = all.min() else { return };
            if now < came + wait {
                return;
            }
            let state = self.flows.get_mut(&flow).unwrap();
            while state.next <= sequence {
                match state.waiting.remove(&state.next) {
                    Some(_) => out.push((flow, state.next)),
                    None => {
                        state.given_up.insert(state.next, now);
                    }
                }
                state.next += 1;
            }
            state.drain(flow, out);
        }
    }
}

impl ModelFlow {
    fn drain(&mut self, flow: u8, out: &mut Vec<(u8, u64)>) {
        while self.waiting.remove(&self.next).is_some() {
            out.push((flow, self.next));
            self.next += 1;
        }
    }
}

const FLOWS: [u8; 4] = [0, 191, 192, 255];

proptest! {
    /// Packets of four flows over a bad network: lost, twice, delayed by up to three waits.
    #[test]
    fn as_the_model_does(
        start in prop_oneof![Just(0u64), Just(u64::from(SEQUENCES) - 60)],
        packets in proptest::collection::vec((0usize..4, 0u64..3_000, 0u64..60_000, 0u8..10), 1..220),
    ) {
        let wait = Span::from_millis(20);
        // What arrives when.
        let mut arrivals = BTreeMap::new();
        let (mut clock, mut sent) = (1_000_000, [start; 4]);
        for (number, (flow, step, delay, luck)) in packets.iter().enumerate() {
            clock += step;
            let sequence = sent[*flow];
            sent[*flow] += 1;
            if *luck > 0 {
                let delay = if *luck < 6 { 0 } else { *delay };
                arrivals.insert((clock + delay, number, 0), (FLOWS[*flow], sequence));
            }
            if *luck % 3 == 1 {
                arrivals.insert((clock + delay / 2, number, 1), (FLOWS[*flow], sequence));
            }
        }
        let mut order = Order::new(Span::from_millis(100));
        order.set_wait(wait, false);
        let mut model = Model::default();
        for flow in FLOWS {
            model.flows.insert(flow, ModelFlow { next: start, ..ModelFlow::default() });
        }
        for bucket in &mut order.ordered {
            (bucket.next, bucket.top) = (start as u32, start as u32);
        }
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        let mut came = BTreeMap::new();
        let mut times = Vec::new();
        let unpack = |item: &[u8]| (item[0], u64::from_be_bytes(item[1..9].try_into().unwrap()));
        let last = *arrivals.last_key_value().map_or(&(0, 0, 0), |(key, _)| key);
        let arrivals = arrivals.into_iter().map(|(key, packet)| (Time(key.0), Some(packet)));
        for (now, packet) in arrivals.chain([(Time(last.0 + 10_000_000), None)]) {
            while let Some(deadline) = order.deadline().filter(|deadline| *deadline <= now) {
                let before = (order.waiting(), order.queue.slots());
                order.expire(deadline - Span(1), &mut |_| panic!("before the deadline"));
                prop_assert_eq!(before, (order.waiting(), order.queue.slots()));
                order.expire(deadline, &mut |item| out.push(unpack(item)));
                prop_assert_ne!(before, (order.waiting(), order.queue.slots()), "a deadline with a reason");
                times.resize(out.len(), deadline);
                model.expire(deadline, wait, &mut expected);
                prop_assert_eq!(&out, &expected);
            }
            let Some((flow, sequence)) = packet else { break };
            came.entry((flow, sequence)).or_insert(now);
            let mut item = vec![flow];
            item.extend(sequence.to_be_bytes());
            order.accept(flow, sequence as u32, &item, now, &mut |item| out.push(unpack(item)));
            times.resize(out.len(), now);
            model.accept(flow, sequence, now, &mut expected);
            prop_assert_eq!(&out, &expected);
        }
        // Nothing twice; all that arrived; nothing waited too long; order but for what came late.
        let unique: BTreeSet<_> = out.iter().copied().collect();
        prop_assert_eq!(unique.len(), out.len());
        prop_assert_eq!(unique, came.keys().copied().collect());
        for (packet, time) in out.iter().zip(times) {
            prop_assert!(time.since(came[packet]) <= wait);
        }
        let (mut next, mut late) = (BTreeMap::new(), 0);
        for (flow, sequence) in out.iter().filter(|(flow, _)| flow::is_ordered(*flow)) {
            let next = next.entry(flow).or_insert(0);
            late += u64::from(sequence < next);
            *next = (*next).max(sequence + 1);
        }
        prop_assert_eq!(late, order.counters().late);
        prop_assert_eq!(order.waiting(), (0, 0));
        prop_assert_eq!(order.counters().delivered, out.len() as u64);
    }

    /// Whatever a peer sends: no panic, bounded, quiet in the end.
    #[test]
    fn any_sequences_are_bounded(packets in proptest::collection::vec((any::<u8>(), any::<u32>(), 0u64..5_000), 0..300), narrow: bool) {
        let mut order = Order::new(Span::from_millis(150));
        let (mut now, mut delivered) = (Time(0), 0u64);
        for (flow, sequence, step) in &packets {
            now = now + Span(*step);
            let (flow, sequence) = if narrow { (flow % 2, sequence % 9_000) } else { (*flow, *sequence) };
            order.accept(flow, sequence, &[1], now, &mut |_| delivered += 1);
            order.expire(now, &mut |_| delivered += 1);
            prop_assert!(order.holes.len() <= holes::MOST && order.queue.length() <= MAX_WAITING);
        }
        now = now + Span::from_secs(3);
        order.expire(now, &mut |_| delivered += 1);
        order.expire(now + Span::from_secs(2), &mut |_| delivered += 1);
        prop_assert_eq!((order.waiting(), order.deadline()), ((0, 0), None));
        prop_assert_eq!(delivered + order.counters().duplicates, packets.len() as u64);
    }
}
