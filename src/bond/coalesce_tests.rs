use proptest::prelude::*;

use super::super::offload::tests::{Made, cut_all, payload};
use super::*;

const ALL: Offload = Offload::ALL;

/// What comes out, each with its header.
#[derive(Default)]
struct Out(Vec<(Virtio, Vec<u8>)>);

impl Out {
    fn take(&mut self) -> impl FnMut(&Virtio, &[u8], &[u8]) {
        |header, head, body| self.0.push((*header, [head, body].concat()))
    }

    /// What the kernel makes of it.
    fn packets(&self) -> Vec<Vec<u8>> {
        self.0.iter().flat_map(|(header, packet)| cut_all(packet, header)).collect()
    }
}

fn plain(packet: &[u8]) -> Packet<'_> {
    Packet { head: packet, body: &[], pending: false }
}

/// The packet without what may change when nobody may cut it: IPv4's identifier, and so its header's checksum.
fn known(mut packet: Vec<u8>) -> Vec<u8> {
    if packet[0] >> 4 == 4 && packet[6] & 0x40 != 0 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}

fn stream(sequence: u32) -> Made {
    Made { ipv6: false, tcp: true, flags: ACK, identifier: 9, sequence, port: 1, dont_fragment: true }
}

proptest! {
    /// Cut and joined again: the same packet.
    #[test]
    fn joining_is_the_inverse_of_cutting(mut made in Made::arbitrary(), size in 20usize..2000, count in 2usize..64, cut in 0usize..20) {
        made.flags = ACK | made.flags & PSH;
        let payload = payload((size * count - cut).min(65_000 / size * size));
        let (packet, header) = made.large(&payload, size);
        let (mut coalescer, mut out) = (Coalescer::new(ALL), Out::default());
        let parts = super::super::offload::segments(&mut packet.clone(), &header, &mut |part| coalescer.push(part, &mut out.take()));
        coalescer.flush(&mut out.take());
        prop_assert_eq!(out.0.len(), 1);
        if parts == 1 {
            prop_assert_eq!(out.packets(), [made.packet(&payload)]);
        } else {
            prop_assert_eq!(&out.0[0], &(header, packet));
        }
    }

    /// Whatever comes: of every flow the same packets in the same order, and what was broken stays so.
    #[test]
    fn of_every_flow_all_packets_leave_in_order(
        steps in prop::collection::vec((Made::arbitrary(), 0usize..5, 0u8..16, any::<bool>()), 1..120), udp in any::<bool>()
    ) {
        let mut next = std::collections::BTreeMap::new();
        let (mut coalescer, mut out) = (Coalescer::new(Offload { udp, ..ALL }), Out::default());
        let mut sent = Vec::new();
        for (mut made, size, chance, pending) in steps {
            let flow = (made.ipv6, made.tcp, made.port, made.dont_fragment);
            let (sequence, identifier) = next.entry(flow).or_insert((made.sequence, made.identifier));
            // Most of them go on where the last one ended.
            if chance > 0 {
                (made.sequence, made.identifier) = (*sequence, *identifier);
            }
            made.flags = match chance {
                1 => made.flags,
                2 => ACK | PSH,
                _ => ACK,
            };
            let body = payload([0, 10, 100, 100, 100][size]);
            (*sequence, *identifier) = (made.sequence.wrapping_add(body.len() as u32), made.identifier.wrapping_add(1));
            let mut packet = made.packet(&body);
            if pending {
                let (bytes, _) = made.pending(&body);
                let layout = Layout::of(&bytes, bytes.len()).unwrap();
                let (head, body) = bytes.split_at(layout.head);
                coalescer.push(Packet { head, body, pending }, &mut out.take());
            } else {
                if chance == 3 {
                    let sum = packet.len() - 1;
                    packet[sum] ^= 0x55;
                }
                coalescer.push(plain(&packet), &mut out.take());
            }
            sent.push((flow, packet));
            if chance == 4 {
                coalescer.flush(&mut out.take());
            }
        }
        coalescer.flush(&mut out.take());
        prop_assert!(udp || out.0.iter().all(|(header, _)| header.kind != UDP));
        let got = out.packets();
        prop_assert_eq!(got.len(), sent.len());
        for flow in next.keys() {
            let wanted: Vec<_> = sent.iter().filter(|(of, _)| of == flow).map(|(_, packet)| known(packet.clone())).collect();
            let of_flow = |packet: &&Vec<u8>| {
                let layout = Layout::of(packet, packet.len()).unwrap();
                let fragments = !layout.ipv6 && packet[6] & 0x40 == 0;
                let port = u16::from_be_bytes([packet[layout.transport], packet[layout.transport + 1]]);
                (layout.ipv6, layout.tcp, port) == (flow.0, flow.1, flow.2) && (layout.ipv6 || fragments != flow.3)
            };
            // Over IPv6 the two flows of a port are one: they are told apart by nothing.
            if !flow.0 {
                let got: Vec<_> = got.iter().filter(of_flow).map(|packet| known(packet.clone())).collect();
                prop_assert_eq!(got, wanted);
            }
        }
        let sorted = |mut packets: Vec<Vec<u8>>| {
            packets.sort();
            packets
        };
        let sent = sent.into_iter().map(|(_, packet)| known(packet)).collect();
        prop_assert_eq!(sorted(got.into_iter().map(known).collect()), sorted(sent));
    }

    #[test]
    fn no_bytes_do_harm(packets in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..100), any::<bool>(), 0usize..100), 0..20),
        checksum in any::<bool>()) {
        let (mut coalescer, mut out) = (Coalescer::new(Offload { checksum, ..ALL }), Out::default());
        for (mut bytes, pending, at) in packets {
            if let [first, .., _] = bytes.as_mut_slice() {
                *first = 0x45;
            }
            let (head, body) = bytes.split_at(at.min(bytes.len()));
            coalescer.push(Packet { head, body, pending }, &mut out.take());
        }
        coalescer.flush(&mut out.take());
    }
}

#[test]
fn a_stream_becomes_packets_of_64_kb() {
    let body = payload(1000);
    let (mut coalescer, mut out) = (Coalescer::new(ALL), Out::default());
    for index in 0..130 {
        coalescer.push(plain(&stream(index * 1000).packet(&body)), &mut out.take());
    }
    coalescer.flush(&mut out.take());
    let sizes: Vec<usize> = out.0.iter().map(|(_, packet)| packet.len() - 52).collect();
    assert_eq!(sizes, [64_000, 64_000, 2000]);
    // And no longer than an IP packet can be.
    out.0.clear();
    let body = payload(1448);
    for index in 0..50 {
        coalescer.push(plain(&stream(index * 1448).packet(&body)), &mut out.take());
    }
    coalescer.flush(&mut out.take());
    assert_eq!(out.0[0].1.len(), 45 * 1448 + 52);
    assert_eq!(out.packets().len(), 50);
}

#[test]
fn what_the_receiver_shall_see_at_once_is_not_held() {
    let (mut coalescer, mut out) = (Coalescer::new(ALL), Out::default());
    let push = |coalescer: &mut Coalescer, out: &mut Out, made: Made, body: &[u8]| {
        coalescer.push(plain(&made.packet(body)), &mut out.take());
        out.0.len()
    };
    let with = |flags: u8, sequence: u32| Made { flags, ..stream(sequence) };
    // A pure acknowledgment, a SYN, a question: at once. Data waits for more, up to a push.
    assert_eq!(push(&mut coalescer, &mut out, with(ACK, 0), &[]), 1);
    assert_eq!(push(&mut coalescer, &mut out, with(2, 0), &[]), 2);
    assert_eq!(push(&mut coalescer, &mut out, with(ACK | PSH, 0), &[1; 9]), 3);
    assert_eq!(push(&mut coalescer, &mut out, with(ACK, 9), &[1; 9]), 3);
    assert_eq!(push(&mut coalescer, &mut out, with(ACK | PSH, 18), &[1; 9]), 4);
    // What does not continue what waits goes after it.
    assert_eq!(push(&mut coalescer, &mut out, with(ACK, 27), &[1; 9]), 4);
    assert_eq!(push(&mut coalescer, &mut out, with(ACK | 1, 36), &[1; 9]), 6);
    assert_eq!(out.packets().len(), 7);
}

#[test]
fn many_flows_push_out_the_oldest() {
    let (mut coalescer, mut out) = (Coalescer::new(ALL), Out::default());
    for port in 1..=2 * FLOWS as u16 {
        coalescer.push(plain(&Made { port, ..stream(1) }.packet(&[5; 50])), &mut out.take());
    }
    assert_eq!(out.0.len(), FLOWS);
    coalescer.flush(&mut out.take());
    let ports: Vec<u8> = out.0.iter().map(|(_, packet)| packet[21]).collect();
    assert_eq!(ports, (1..=2 * FLOWS as u8).collect::<Vec<_>>());
}

#[test]
fn without_offload_checksums_are_made_here() {
    let (mut coalescer, mut out) = (Coalescer::new(Offload::default()), Out::default());
    for made in [stream(1), Made { tcp: false, ..stream(1) }, Made { ipv6: true, ..stream(1) }] {
        let (bytes, _) = made.pending(&[3; 77]);
        let (head, body) = bytes.split_at(28);
        coalescer.push(
            Packet {
                head: if made.tcp { &bytes } else { head },
                body: if made.tcp { &[] } else { body },
                pending: true,
            },
            &mut out.take(),
        );
        assert_eq!(out.0.pop(), Some((Virtio::default(), made.packet(&[3; 77]))));
    }
}
