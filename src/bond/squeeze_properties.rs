use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A context, or a squeezed packet (is its checksum pending?); its bytes; the packet.
type Flying = (Result<Name, bool>, Vec<u8>, Vec<u8>);

fn segments() -> impl Strategy<Value = Segment> {
    let stamp = prop_oneof![5_000u32..6_000, any::<u32>()];
    let first =
        (any::<bool>(), 1u16..8, prop_oneof![4 => Just(64u8), 1 => Just(63)], 0u8..4, any::<u16>(), any::<bool>());
    let second = (
        prop_oneof![0u32..9, any::<u32>()],
        prop_oneof![0u32..3, any::<u32>()],
        prop_oneof![4 => Just(ACK), 1 => any::<u8>()],
    );
    let third =
        (0u16..3, proptest::option::weighted(0.8, (stamp.clone(), stamp)), 0usize..4, 0usize..40, any::<bool>());
    (first, second, third).prop_map(|((v6, port, ttl, tos, id, df), (sequence, acknowledgment, flags), third)| {
        let (window, stamps, options, payload, pending) = third;
        let options = vec![1; 4 * options];
        Segment {
            v6,
            port,
            ttl,
            tos,
            id,
            df,
            sequence,
            acknowledgment,
            flags,
            window,
            stamps,
            options,
            payload,
            pending,
        }
    })
}

proptest! {
    /// Flows that share a tag, over a network that loses, delays and repeats squeezed packets and contexts alike: what comes out is
    /// what went in, or nothing.
    #[test]
    fn never_a_wrong_packet(steps in proptest::collection::vec((segments(), 0u64..80_000, 0u64..2_000_000, 0u8..8), 1..300)) {
        let (mut squeezer, mut expander) = (Squeezer::default(), Expander::default());
        let mut flying = BTreeMap::<(u64, usize), Flying>::new();
        let mut now = 0;
        let end = steps.len();
        let steps = steps.into_iter().map(Some).chain([None]);
        for (number, step) in steps.enumerate() {
            now += step.as_ref().map_or(10_000_000, |(_, wait, ..)| *wait);
            while let Some(first) = flying.first_entry().filter(|first| first.key().0 <= now) {
                let (what, bytes, expected) = first.remove();
                match what {
                    Ok(name) => {
                        if expander.learn(name, &bytes) {
                            squeezer.confirmed(name);
                        }
                    }
                    Err(pending) => {
                        let mut out = Vec::new();
                        if let Some(payload) = expander.expand(&bytes, 5, pending, &mut out) {
                            out.extend(payload);
                            prop_assert_eq!(out, expected);
                        }
                    }
                }
            }
            let Some((segment, _, delay, luck)) = step else { break };
            let (head, body) = segment.build();
            let packet = Packet { head: &head, body: &body, pending: segment.pending };
            let mut out = Vec::new();
            let squeezed = squeezer.squeeze(&packet, 5, Time(now), &mut out);
            prop_assert_eq!(squeezed.done, !out.is_empty());
            let delay = if luck < 4 { delay / 50 } else { delay };
            if squeezed.done {
                if luck > 0 {
                    flying.insert((now + delay, number), (Err(segment.pending), out.clone(), segment.expected()));
                }
                flying.insert((now + delay * 2, number + end), (Err(segment.pending), out, segment.expected()));
            }
            if let Some(name) = squeezed.announce {
                let head = squeezer.context(name).unwrap().to_vec();
                if luck != 3 {
                    flying.insert((now + delay / 3, number + 2 * end), (Ok(name), head.clone(), Vec::new()));
                }
                if luck > 5 {
                    flying.insert((now + delay, number + 3 * end), (Ok(name), head, Vec::new()));
                }
            }
        }
    }

    /// Any segment that is squeezed comes back, whatever the context has.
    #[test]
    fn what_was_squeezed_is_expanded(context in segments(), segment in segments()) {
        let segment = Segment { v6: context.v6, port: context.port, ttl: context.ttl, df: context.df, ..segment };
        let mut ends = Ends::new();
        for _ in 0..3 {
            ends.send(&context);
        }
        if let Some(squeezed) = ends.send(&segment) {
            prop_assert_eq!(ends.expand(&squeezed, segment.pending), Some(segment.expected()));
        } else {
            let odd = [&context, &segment].iter().any(|segment| segment.flags & (SYN | URG) != 0);
            prop_assert!(odd || context.stamps.is_some() != segment.stamps.is_some());
        }
    }

    #[test]
    fn any_bytes_are_expanded_or_refused(
        mut head in proptest::collection::vec(any::<u8>(), 0..90), mut squeezed in proptest::collection::vec(any::<u8>(), 0..60),
        at in 0usize..80, byte: u8, v6: bool, pending: bool,
    ) {
        let (mut good, _) = Segment { v6, ..PLAIN }.build();
        if let Some(place) = good.get_mut(at) {
            *place = byte;
        }
        let mut expander = Expander::default();
        if head.len() % 2 == 0 {
            head = good;
        }
        let learned = expander.learn(Name::new(5, 0, 1), &head);
        if let Some(first) = squeezed.first_mut() {
            *first = 1;
        }
        let mut out = Vec::new();
        let expanded = expander.expand(&squeezed, 5, pending, &mut out);
        prop_assert!(learned || expanded.is_none());
        if let Some(payload) = expanded {
            // What comes out is a good packet.
            let packet = Packet { head: &out, body: payload, pending };
            prop_assert!(Mould::of(&packet).is_some());
        }
        for (at, piece) in [&head, &squeezed].into_iter().enumerate() {
            let packet = Packet { head: piece, body: &[], pending: at == 0 };
            Squeezer::default().squeeze(&packet, byte, Time(0), &mut Vec::new());
        }
    }
}
