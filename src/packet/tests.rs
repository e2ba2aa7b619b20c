use std::net::{IpAddr, SocketAddr};

use etherparse::{PacketBuilder, TcpOptionElement};
use proptest::prelude::*;

use super::super::{Answer, Protocol, Says, answer, opening};
use super::{Buffer, copy_of, reset};

const MTU: u16 = 1500;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn syn(version: u8, payload: &[u8]) -> Vec<u8> {
    let ip = if version == 4 {
        PacketBuilder::ipv4([10, 0, 0, 2], [192, 0, 2, 1], 63)
    } else {
        PacketBuilder::ipv6(address6("fd00::2"), address6("2001:db8::1"), 63)
    };
    let builder = ip
        .tcp(40_000, 443, 0xFFFF_FFFF, 64_240)
        .syn()
        .options(&[
            TcpOptionElement::MaximumSegmentSize(1460),
            TcpOptionElement::SelectiveAcknowledgementPermitted,
            TcpOptionElement::Noop,
            TcpOptionElement::WindowScale(7),
        ])
        .unwrap();
    let mut bytes = Vec::new();
    builder.write(&mut bytes, payload).unwrap();
    bytes
}

fn address6(text: &str) -> [u8; 16] {
    text.parse::<std::net::Ipv6Addr>().unwrap().octets()
}

fn udp(version: u8, payload: &[u8]) -> Vec<u8> {
    let ip = if version == 4 {
        PacketBuilder::ipv4([10, 0, 0, 2], [192, 0, 2, 1], 63)
    } else {
        PacketBuilder::ipv6(address6("fd00::2"), address6("2001:db8::1"), 63)
    };
    let mut bytes = Vec::new();
    ip.udp(40_000, 53).write(&mut bytes, payload).unwrap();
    bytes
}

fn echo(version: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    if version == 4 {
        let builder = PacketBuilder::ipv4([10, 0, 0, 2], [192, 0, 2, 1], 63).icmpv4_echo_request(77, 1);
        builder.write(&mut bytes, b"payload").unwrap();
    } else {
        let builder = PacketBuilder::ipv6(address6("fd00::2"), address6("2001:db8::1"), 63).icmpv6_echo_request(77, 1);
        builder.write(&mut bytes, b"payload").unwrap();
    }
    bytes
}

/// The sum over IP header (IPv4) and transport with pseudo-header: 0 in both places if the checksums are right.
fn verify(packet: &[u8]) {
    let rewritten = etherparse::PacketHeaders::from_ip_slice(packet).unwrap();
    let payload = rewritten.payload.slice();
    if let Some(etherparse::NetHeaders::Ipv4(ip, _)) = &rewritten.net {
        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
    }
    let (v4, v6) = match &rewritten.net {
        Some(etherparse::NetHeaders::Ipv4(ip, _)) => (Some(ip.clone()), None),
        Some(etherparse::NetHeaders::Ipv6(ip, _)) => (None, Some(ip.clone())),
        _ => panic!("no IP header"),
    };
    match rewritten.transport.unwrap() {
        etherparse::TransportHeader::Tcp(tcp) => {
            let sum = match (&v4, &v6) {
                (Some(ip), _) => tcp.calc_checksum_ipv4(ip, payload),
                (_, Some(ip)) => tcp.calc_checksum_ipv6(ip, payload),
                _ => unreachable!(),
            };
            assert_eq!(tcp.checksum, sum.unwrap());
        }
        etherparse::TransportHeader::Udp(udp) => {
            let sum = match (&v4, &v6) {
                (Some(ip), _) => udp.calc_checksum_ipv4(ip, payload),
                (_, Some(ip)) => udp.calc_checksum_ipv6(ip, payload),
                _ => unreachable!(),
            };
            assert_eq!(udp.checksum, sum.unwrap());
        }
        etherparse::TransportHeader::Icmpv4(icmp) => {
            assert_eq!(icmp.checksum, icmp.icmp_type.calc_checksum(payload));
        }
        etherparse::TransportHeader::Icmpv6(icmp) => {
            let ip = v6.unwrap();
            assert_eq!(icmp.checksum, icmp.icmp_type.calc_checksum(ip.source, ip.destination, payload).unwrap());
        }
        other => panic!("{other:?} is not raced"),
    }
}

#[test]
fn an_opening_says_what_the_race_needs() {
    let seen = opening(&syn(4, b"")).unwrap();
    assert_eq!(seen.protocol, Protocol::Tcp);
    assert_eq!(seen.client, "10.0.0.2:40000".parse::<SocketAddr>().unwrap());
    assert_eq!(seen.server, "192.0.2.1:443".parse::<SocketAddr>().unwrap());
    let said = seen.syn.unwrap();
    assert_eq!((said.isn, said.window_scale, said.sack_permitted), (u32::MAX, Some(7), true));
    assert!(!said.carries_data);
    assert!(opening(&syn(6, b"early")).unwrap().syn.unwrap().carries_data);
    assert_eq!(opening(&udp(6, b"query")).unwrap().server.port(), 53);
    assert_eq!(opening(&echo(6)).unwrap().client.port(), 77);
}

#[test]
fn what_cannot_be_raced_is_no_opening() {
    let mut fragment = udp(4, b"query");
    fragment[6] = 0x20;
    let mut acked = syn(4, b"");
    acked[33] |= 0x10;
    let mut reply = echo(4);
    reply[20] = 0;
    let mut short = syn(4, b"");
    short.pop();
    for packet in [fragment, acked, reply, short, vec![], vec![0x45], udp(4, &[0; 1600])] {
        assert_eq!(opening(&packet), None, "{packet:02x?}");
    }
}

#[test]
fn a_copy_leaves_from_the_link_with_good_checksums() {
    for (packet, source) in [
        (syn(4, b""), "203.0.113.9"),
        (syn(6, b""), "2001:db8:9::9"),
        (udp(4, b"query"), "203.0.113.9"),
        (udp(6, b"odd"), "2001:db8:9::9"),
        (echo(4), "203.0.113.9"),
        (echo(6), "2001:db8:9::9"),
    ] {
        let mut out = Buffer::new();
        assert!(copy_of(&packet, address(source), 50_000, MTU, &mut out));
        verify(&out);
        let (before, after) = (opening(&packet).unwrap(), opening(&out).unwrap());
        assert_eq!(after.client, SocketAddr::new(address(source), 50_000));
        assert_eq!((after.server, after.syn), (before.server, before.syn));
    }
}

#[test]
fn the_mss_is_clamped_to_the_link_and_never_raised() {
    for (mtu, mss) in [(1500, 1460), (1492, 1452), (9000, 1460), (300, 536)] {
        let mut out = Buffer::new();
        assert!(copy_of(&syn(4, b""), address("203.0.113.9"), 1, mtu, &mut out));
        assert_eq!(&out[40..44], [2, 4, (mss >> 8) as u8, mss as u8], "MTU {mtu}");
        verify(&out);
    }
    let mut out = Buffer::new();
    assert!(!copy_of(&udp(4, &[0; 1400]), address("203.0.113.9"), 1, 1280, &mut out), "does not fit");
    assert!(!copy_of(&syn(4, b""), address("2001:db8::9"), 1, 1500, &mut out), "other family");
}

#[test]
fn no_udp_checksum_stays_none() {
    let mut packet = udp(4, b"query");
    packet[26..28].fill(0);
    let mut out = Buffer::new();
    assert!(copy_of(&packet, address("203.0.113.9"), 1, MTU, &mut out));
    assert_eq!(out[26..28], [0, 0]);
}

#[test]
fn a_reset_is_what_the_server_expects_next() {
    for (version, source) in [(4, "203.0.113.9"), (6, "2001:db8:9::9")] {
        let mut out = Buffer::new();
        reset(&opening(&syn(version, b"")).unwrap(), address(source), 50_000, &mut out);
        verify(&out);
        let parsed = etherparse::PacketHeaders::from_ip_slice(&out).unwrap();
        let tcp = parsed.transport.unwrap().tcp().unwrap();
        assert_eq!((tcp.rst, tcp.ack, tcp.syn), (true, false, false));
        assert_eq!((tcp.source_port, tcp.destination_port), (50_000, 443));
        assert_eq!(tcp.sequence_number, 0, "the sequence number after u32::MAX");
    }
}

#[test]
fn answers_are_told_apart() {
    let make = |flags: fn(etherparse::PacketBuilderStep<etherparse::TcpHeader>) -> _| {
        let builder = PacketBuilder::ipv4([192, 0, 2, 1], [203, 0, 113, 9], 60).tcp(443, 50_000, 1, 100);
        let mut bytes = Vec::new();
        let builder: etherparse::PacketBuilderStep<etherparse::TcpHeader> = flags(builder);
        builder.write(&mut bytes, b"").unwrap();
        answer(&bytes)
    };
    let seen: Answer = make(|tcp| tcp.syn().ack(9)).unwrap();
    assert_eq!(seen.says, Says::SynAck(9));
    assert_eq!(seen.local, "203.0.113.9:50000".parse::<SocketAddr>().unwrap());
    assert_eq!(make(|tcp| tcp.rst().ack(9)).unwrap().says, Says::Reset(9));
    assert_eq!(make(|tcp| tcp.rst()), None);
    assert_eq!(make(|tcp| tcp.ack(9)), None);
    assert_eq!(make(|tcp| tcp.syn()), None);
}

/// Eight bytes of the transport header are all that a router of before RFC 1812 quotes.
#[test]
fn errors_answer_what_they_quote() {
    use etherparse::icmpv4::DestUnreachableHeader;
    use etherparse::{Icmpv4Type, Icmpv6Type, icmpv6};
    let quote = |udp: bool, cut: usize| {
        let builder = PacketBuilder::ipv4([203, 0, 113, 9], [192, 0, 2, 1], 5);
        let mut bytes = Vec::new();
        match udp {
            true => builder.udp(50_000, 443).write(&mut bytes, b"hello").unwrap(),
            false => builder.tcp(50_000, 443, 99, 100).syn().write(&mut bytes, b"").unwrap(),
        }
        bytes.truncate(cut);
        bytes
    };
    let error = |code: DestUnreachableHeader, quoted: &[u8]| {
        let builder = PacketBuilder::ipv4([198, 51, 100, 1], [203, 0, 113, 9], 60);
        let mut bytes = Vec::new();
        builder.icmpv4(Icmpv4Type::DestinationUnreachable(code)).write(&mut bytes, quoted).unwrap();
        answer(&bytes)
    };
    let port = DestUnreachableHeader::Port;
    let tcp = error(port.clone(), &quote(false, 28)).unwrap();
    assert_eq!((tcp.protocol, tcp.says), (Protocol::Tcp, Says::Unreachable(Some(100))));
    assert_eq!((tcp.server.to_string(), tcp.local.to_string()), ("192.0.2.1:443".into(), "203.0.113.9:50000".into()));
    let udp = error(DestUnreachableHeader::FilterProhibited, &quote(true, 28)).unwrap();
    assert_eq!((udp.protocol, udp.says, udp.local), (Protocol::Udp, Says::Unreachable(None), tcp.local));
    assert_eq!(error(port.clone(), &quote(false, 27)), None);
    assert_eq!(error(port, b""), None);
    let smaller = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: 1400 };
    assert_eq!(error(smaller, &quote(false, 28)), None, "no refusal");
    let mut quoted = Vec::new();
    let (here, there) = ("2001:db8::9".parse::<std::net::Ipv6Addr>().unwrap().octets(), [0x20; 16]);
    PacketBuilder::ipv6(here, there, 5).tcp(50_000, 443, u32::MAX, 1).syn().write(&mut quoted, b"").unwrap();
    let kind = Icmpv6Type::DestinationUnreachable(icmpv6::DestUnreachableCode::Prohibited);
    let mut bytes = Vec::new();
    PacketBuilder::ipv6(there, here, 60).icmpv6(kind).write(&mut bytes, &quoted).unwrap();
    let six = answer(&bytes).unwrap();
    assert_eq!((six.says, six.local.to_string()), (Says::Unreachable(Some(0)), "[2001:db8::9]:50000".into()));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 4u8..=6, protocol in any::<u8>()) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() { *first = version << 4 | *first & 0x0F; }
        if let Some(at) = bytes.get_mut(if version == 4 { 9 } else { 6 }) { *at = protocol % 64; }
        let mut out = Buffer::new();
        let _ = answer(&bytes);
        let _ = opening(&bytes);
        let _ = copy_of(&bytes, address("203.0.113.9"), 1, MTU, &mut out);
        let _ = copy_of(&bytes, address("2001:db8::9"), 1, MTU, &mut out);
    }

    #[test]
    fn a_damaged_opening_is_refused_or_copied_whole(at in 0usize..60, bit in 0u8..8, version in prop::sample::select(vec![4u8, 6])) {
        let mut packet = syn(version, b"");
        let Some(byte) = packet.get_mut(at) else { return Ok(()) };
        *byte ^= 1 << bit;
        let source = address(if version == 4 { "203.0.113.9" } else { "2001:db8::9" });
        let mut out = Buffer::new();
        if let Some(seen) = opening(&packet) && copy_of(&packet, source, 5, MTU, &mut out) {
            prop_assert_eq!(out.len(), usize::from(seen.length));
            prop_assert_eq!(opening(&out).map(|o| o.server), Some(seen.server));
        }
    }
}
