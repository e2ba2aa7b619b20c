//! What holds for every packet, text and file.

use std::net::IpAddr;

use proptest::prelude::*;

use super::KINDS;
use crate::playback::dissect::dissect_fully;
use crate::playback::expect::{Matching, differences};
use crate::playback::options::{self, TcpOption};
use crate::playback::{Field, Packet, Section, Value, build, dissect, pcap, read, write};

fn address(ipv6: bool) -> impl Strategy<Value = IpAddr> {
    any::<u128>().prop_map(move |bits| match ipv6 {
        true => IpAddr::V6(bits.into()),
        false => IpAddr::V4((bits as u32).into()),
    })
}

fn tcp_options() -> impl Strategy<Value = Vec<u8>> {
    let option = prop_oneof![
        Just(TcpOption::Nop),
        any::<u16>().prop_map(TcpOption::MaxSegmentSize),
        any::<u8>().prop_map(TcpOption::WindowScale),
        Just(TcpOption::SackPermitted),
        any::<(u32, u32)>().prop_map(|edge| TcpOption::SelectedAck(vec![edge])),
        any::<(u32, u32)>().prop_map(|(value, echo)| TcpOption::Timestamp(value, echo)),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(|data| TcpOption::Other(254, data)),
    ];
    prop::collection::vec(option, 0..4).prop_map(|options| {
        let mut bytes = Vec::new();
        options.iter().for_each(|option| option.write(&mut bytes));
        if bytes.len() > options::LONGEST { Vec::new() } else { bytes }
    })
}

/// Packets with every field that is written: the plain ones of each kind, with data.
fn whole_packets() -> impl Strategy<Value = Packet> {
    let numbers = (any::<[u8; 4]>(), any::<[u16; 6]>(), any::<[u32; 3]>());
    let bytes = prop::collection::vec(any::<u8>(), 0..70);
    let parts = (numbers, bytes, tcp_options(), 0..4usize, any::<bool>());
    parts.prop_flat_map(|parts| {
        let ends = (address(parts.4), address(parts.4));
        (Just(parts), ends).prop_map(|(((small, half, word), data, options, kind, ipv6), ends)| {
            let mut packet = Packet::default();
            packet.add(Section::Ip);
            packet.set_number(Field::Version, if ipv6 { 6u8 } else { 4 });
            packet.set_number(Field::Tos, small[0]);
            packet.set_number(Field::Ttl, small[1]);
            packet.set(Field::Source, Value::Address(ends.0));
            packet.set(Field::Destination, Value::Address(ends.1));
            if ipv6 && word[0] & 0xF_FFFF != 0 {
                packet.set_number(Field::FlowLabel, word[0] & 0xF_FFFF);
            }
            if !ipv6 {
                packet.set_number(Field::Id, half[0]);
                packet.set_number(Field::IpFlags, half[1] & 6);
                packet.set_number(Field::FragmentOffset, 0u8);
            }
            let icmp = if ipv6 { 58u8 } else { 1 };
            packet.set_number(Field::Protocol, [6, 17, icmp, 47][kind]);
            let field = match kind {
                0 => {
                    packet.add(Section::Tcp);
                    packet.set_number(Field::TcpSource, half[2]);
                    packet.set_number(Field::TcpDestination, half[3]);
                    packet.set_number(Field::Seq, word[1]);
                    packet.set_number(Field::Ack, word[2]);
                    packet.set_number(Field::TcpFlags, half[4] & 0x1FF);
                    packet.set_number(Field::Window, half[5]);
                    if !options.is_empty() {
                        packet.set(Field::TcpOptions, Value::Bytes(options));
                    }
                    Field::Data
                }
                1 => {
                    packet.add(Section::Udp);
                    packet.set_number(Field::UdpSource, half[2]);
                    packet.set_number(Field::UdpDestination, half[3]);
                    Field::Data
                }
                2 => {
                    packet.add(Section::Icmp);
                    packet.set_number(Field::Type, if ipv6 { 129u8 } else { 0 });
                    packet.set_number(Field::Code, small[2]);
                    packet.set_number(Field::Identifier, half[2]);
                    packet.set_number(Field::Sequence, half[3]);
                    Field::Data
                }
                _ => Field::Raw,
            };
            if !data.is_empty() || field == Field::Raw {
                packet.set(field, Value::Bytes(data));
            }
            packet
        })
    })
}

/// How many of the packets that came can stand for an expected one each, by trying all that the first of them can stand for.
fn most(came: &[Vec<usize>], free: u8) -> u32 {
    let Some((first, rest)) = came.split_first() else { return 0 };
    let placed = first.iter().filter(|at| free & 1 << **at != 0).map(|at| 1 + most(rest, free & !(1 << at)));
    placed.max().unwrap_or(0).max(most(rest, free))
}

proptest! {
    /// In any order, as many expected packets have one of their own as can have.
    #[test]
    fn no_packet_is_missed_that_came(came in prop::collection::vec(prop::collection::vec(0..5usize, 0..4), 0..9)) {
        let mut matching = Matching::new(5);
        for (number, fits) in (1..).zip(&came) {
            prop_assert_eq!(matching.add(fits.iter().copied()), number);
            let here = 5 - matching.missing().count() as u32;
            prop_assert_eq!(here, most(&came[..number], 0b1_1111));
            prop_assert_eq!((1..=number).filter(|number| matching.is_taken(*number)).count() as u32, here);
        }
    }

    #[test]
    fn json_to_bytes_to_json_is_the_identity(packet in whole_packets()) {
        let json = write(&packet);
        let read = read(&json, true).unwrap();
        prop_assert_eq!(&read[0].packet, &packet);
        let bytes = build(&packet).unwrap();
        prop_assert_eq!(write(&dissect(&bytes)), json);
        prop_assert!(differences(&packet, &bytes).is_empty());
    }

    /// In an ICMP error, and cut off anywhere.
    #[test]
    fn errors_hold_their_packets(inner in whole_packets(), cut in 0..120u16) {
        let ipv6 = inner.is_ipv6();
        let mut outer = Packet::default();
        outer.add(Section::Ip);
        outer.add(Section::Icmp);
        outer.set(Field::Source, inner.get(Field::Destination).unwrap().clone());
        outer.set(Field::Destination, inner.get(Field::Source).unwrap().clone());
        outer.set_number(Field::Type, if ipv6 { 3u8 } else { 11 });
        let mut inner = inner;
        inner.set_number(Field::Cut, cut);
        outer.set(Field::Embedded, Value::Packet(Box::new(inner)));
        let bytes = build(&outer).unwrap();
        let json = write(&dissect(&bytes));
        prop_assert_eq!(build(&read(&json, true).unwrap()[0].packet).unwrap(), bytes, "{}", json);
    }

    /// Whatever bytes there are, with headers that are often nearly right.
    #[test]
    fn bytes_to_json_to_bytes_is_the_identity(
        packet in whole_packets(),
        changes in prop::collection::vec((0..80usize, any::<u8>()), 0..4),
        length in 0..140usize,
        noise in prop::collection::vec(any::<u8>(), 0..60),
        plain: bool,
    ) {
        let mut bytes = if plain { build(&packet).unwrap() } else { noise };
        bytes.truncate(length);
        for (at, byte) in changes {
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
        }
        let json = write(&dissect(&bytes));
        prop_assert_eq!(build(&read(&json, true).unwrap()[0].packet).unwrap(), bytes.clone(), "{}", json);
        let full = dissect_fully(&bytes);
        prop_assert_eq!(build(&full).unwrap(), bytes);
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]{}:,\"\\\\u0-9a-f .-]{0,40}|.*", at in 0..2_000usize, with in "[\\[\\]{}:,\"x0]?") {
        let _ = read(&text, true);
        let mut sample: Vec<char> = KINDS.chars().collect();
        let at = at.min(sample.len());
        sample.splice(at..(at + 1).min(sample.len()), with.chars());
        let _ = read(&sample.into_iter().collect::<String>(), true);
    }

    #[test]
    fn no_file_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..120), right: bool) {
        if right {
            bytes.splice(0..0, pcap::header());
        }
        let _ = pcap::read(&bytes);
    }
}
