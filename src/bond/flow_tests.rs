use super::*;
use etherparse::PacketBuilder;
use proptest::prelude::*;

fn tcp(port: u16, payload: usize) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4([10, 0, 0, 1], [192, 0, 2, 9], 64).tcp(port, 443, 7, 1000).ack(5);
    builder.write(&mut packet, &vec![0; payload]).unwrap();
    packet
}

fn udp(v6: bool, to: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    match v6 {
        true => PacketBuilder::ipv6([1; 16], [2; 16], 64).udp(4000, to).write(&mut packet, &[1, 2]).unwrap(),
        false => PacketBuilder::ipv4([1; 4], [2; 4], 64).udp(4000, to).write(&mut packet, &[1, 2]).unwrap(),
    }
    packet
}

fn of(packet: &[u8]) -> Option<Nature> {
    nature(&Packet { head: packet, body: &[], pending: false })
}

#[test]
fn tcp_is_ordered_and_the_rest_is_not() {
    let segment = of(&tcp(1000, 10)).unwrap();
    assert!(segment.ordered && is_ordered(segment.flow) && !segment.urgent);
    for v6 in [false, true] {
        let datagram = of(&udp(v6, 4500)).unwrap();
        assert!(!datagram.ordered && !is_ordered(datagram.flow) && !datagram.urgent);
    }
}

#[test]
fn what_costs_a_timeout_is_urgent() {
    for (flags, urgent) in [(0x10, false), (0x18, false), (0x02, true), (0x11, true), (0x04, true)] {
        let mut segment = tcp(1000, 0);
        segment[33] = flags;
        assert_eq!(of(&segment).unwrap().urgent, urgent, "flags {flags:x}");
    }
    assert!(of(&udp(false, 53)).unwrap().urgent && of(&udp(true, 53)).unwrap().urgent);
    let mut echo = Vec::new();
    PacketBuilder::ipv4([1; 4], [2; 4], 64).icmpv4_echo_request(1, 1).write(&mut echo, &[]).unwrap();
    assert!(of(&echo).unwrap().urgent);
}

#[test]
fn a_payload_apart_makes_no_difference() {
    let whole = tcp(1000, 700);
    let (head, body) = whole.split_at(40);
    assert_eq!(nature(&Packet { head, body, pending: true }), of(&whole));
}

#[test]
fn fragments_of_a_packet_stay_together() {
    let mut first = udp(false, 4500);
    first[6] = 0x20;
    let mut second = first.clone();
    (second[6], second[7]) = (0, 90);
    second[20..24].copy_from_slice(b"data");
    assert_eq!(of(&first), of(&second));
    let mut first = vec![0x60, 0, 0, 0, 0, 12, 44, 64];
    first.extend([1; 32]);
    first.extend([17, 0, 0, 1, 0, 0, 0, 1]);
    let mut second = first.clone();
    second[42] = 8;
    first.extend([1, 2, 0, 53]);
    second.extend([9, 9, 9, 9]);
    assert_eq!(of(&first), of(&second));
    assert!(!of(&first).unwrap().urgent);
}

#[test]
fn headers_before_udp_are_looked_behind() {
    let mut packet = vec![0x60, 0, 0, 0, 0, 16, 0, 64];
    packet.extend([1; 32]);
    packet.extend([17, 0, 1, 4, 0, 0, 0, 0]);
    packet.extend([0, 9, 0, 53, 0, 8, 0, 0]);
    assert!(of(&packet).unwrap().urgent);
}

#[test]
fn flows_spread_over_the_buckets() {
    let mut buckets = [0; 256];
    for port in 1000..1000 + 192 * 20 {
        buckets[usize::from(of(&tcp(port, 1)).unwrap().flow)] += 1;
    }
    let (ordered, rest) = buckets.split_at(ORDERED.into());
    assert!(ordered.iter().all(|count| (3..60).contains(count)), "{ordered:?}");
    assert!(rest.iter().all(|count| *count == 0));
}

#[test]
fn a_flow_starts_once_and_after_each_silence() {
    let mut starts = Flows::default();
    let nature = of(&tcp(1000, 9)).unwrap();
    let mut count = |from: u64| (0..10).filter(|i| starts.note(&nature, Time(from + i * 1_000)).start).count();
    assert_eq!((count(5_000_000), count(5_500_000), count(9_000_000)), (3, 0, 3));
}

#[test]
fn what_tcp_sends_again_is_known() {
    let mut flows = Flows::default();
    let nature = of(&tcp(1000, 9)).unwrap();
    let mut again = |end, ms: u64| flows.note(&Nature { end, ..nature }, Time(5_000_000 + ms * 1_000)).again;
    // Sequence numbers go round; a pure acknowledgement has no bytes.
    let ends = [u32::MAX - 5, 10, 20, 10, 20, u32::MAX, 30];
    let known: Vec<bool> = (0..).zip(ends).map(|(ms, end)| again(Some(end), ms)).collect();
    assert_eq!(known, [false, false, false, true, true, true, false]);
    assert!(!again(None, 8) && again(Some(30), 9));
    assert!(!again(Some(20), 2_000), "another connection may have these ports");
}

#[test]
fn two_busy_flows_in_one_place_are_no_starts_forever() {
    let mut starts = Flows::default();
    let one = of(&tcp(1000, 9)).unwrap();
    let other = Nature { hash: one.hash ^ 1 << 31, ..one };
    let firsts = (0..1000).filter(|i| starts.note(if i % 2 == 0 { &one } else { &other }, Time(i * 10_000)).start);
    assert_eq!(firsts.count(), 3);
}

proptest! {
    #[test]
    fn any_bytes_have_a_nature_or_none(
        head in proptest::collection::vec(any::<u8>(), 0..120),
        version in prop_oneof![Just(0x45u8), Just(0x60), any::<u8>()],
        protocol in prop_oneof![Just(0u8), Just(6), Just(43), Just(44), Just(60), any::<u8>()],
    ) {
        let mut head = head;
        for (at, byte) in [(0, version), (6, protocol), (9, protocol)] {
            if let Some(place) = head.get_mut(at) {
                *place = byte;
            }
        }
        if let Some(nature) = of(&head) {
            prop_assert_eq!(is_ordered(nature.flow), nature.ordered);
        }
    }
}
