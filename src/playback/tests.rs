mod properties;

use super::expect::{Matching, differences};
use super::*;
use crate::time::Span;

const SEED: &str = include_str!("../../tests/packets/seed.json");
/// As the predecessor's README printed its samples, with quotes too many.
const SEED_AS_PRINTED: &str = include_str!("../../tests/packets/seed-as-printed.txt");
const KINDS: &str = include_str!("../../tests/packets/kinds.json");
const WRONG: &str = include_str!("../../tests/packets/wrong.json");

const IP: &str = r#""ip": {"source": "10.0.0.1", "destination": "10.0.0.2"}"#;

#[track_caller]
fn packets(text: &str) -> Vec<Packet> {
    let read = read(text, true).unwrap_or_else(|faults| panic!("{}", faults[0]));
    read.into_iter().map(|read| read.packet).collect()
}

#[track_caller]
fn built(text: &str) -> Vec<u8> {
    build(&packets(text)[0]).unwrap()
}

fn faults(text: &str) -> Vec<String> {
    read(text, true).expect_err(text).iter().map(ToString::to_string).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// Known bytes: what the predecessor's first ping is, as `ping` sent it.
#[test]
fn a_ping_is_what_ping_sends() {
    let bytes = build(&packets(SEED)[1]).unwrap();
    let header = hex("4500 0054 0000 4000 4001 b13e c0a8 0605 c0a8 0114  0800 e81a 6a43 000a a4fe 664e");
    assert_eq!(bytes.len(), 84);
    assert_eq!(bytes[..10], header[..10]);
    assert_eq!(bytes[12..22], header[12..22]);
    assert_eq!(bytes[24..32], header[24..]);
}

/// etherparse computes the same lengths and checksums.
#[test]
fn lengths_and_checksums_are_those_of_another_implementation() {
    use etherparse::PacketBuilder;
    let data = b"seven b";
    let (mut udp4, mut tcp6, mut echo4, mut echo6) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let v6 = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(40_000, 53).write(&mut udp4, data).unwrap();
    let builder = PacketBuilder::ipv6(v6("fd00::1"), v6("fd00::2"), 64);
    builder.tcp(40_000, 80, 1, 64_240).syn().write(&mut tcp6, data).unwrap();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).icmpv4_echo_request(1, 1).write(&mut echo4, data).unwrap();
    let builder = PacketBuilder::ipv6(v6("fd00::1"), v6("fd00::2"), 64);
    builder.icmpv6_echo_request(1, 1).write(&mut echo6, data).unwrap();
    // etherparse sets DF.
    let ip4 = r#""ip": {"source": "10.0.0.1", "destination": "10.0.0.2", "flags": ["DF"]}"#;
    let ip6 = r#""ip": {"source": "fd00::1", "destination": "fd00::2"}"#;
    let lines = r#""data": {"type": "text", "data": ["seven", " b"]}"#;
    for (wanted, text) in [
        (udp4, format!("{{{ip4}, \"udp\": {{}}, {lines}}}")),
        (tcp6, format!("{{{lines}, \"tcp\": {{}}, {ip6}}}")),
        (echo4, format!("{{{ip4}, {lines}, \"icmp\": {{}}}}")),
        (echo6, format!("{{\"icmp\": {{}}, {lines}, {ip6}}}")),
    ] {
        assert_eq!(built(&text), wanted, "{text}");
    }
}

#[test]
fn stray_quotes_are_pointed_at() {
    assert_eq!(
        faults(SEED_AS_PRINTED),
        ["13:15: tcp: this quote opens a text that does not end on its line: is it one too many?"]
    );
    let once = SEED_AS_PRINTED.replacen("\"tcp\": {\"", "\"tcp\": {", 1);
    assert_eq!(
        faults(&once),
        ["19:26: tcp.windowSize: expected ',' or '}' behind the value, but there is a '\"': is a quote too many?"]
    );
    let twice = once.replacen("115\"", "115", 1);
    assert_eq!(
        faults(&twice),
        ["21:41: data.data: this quote opens a text that does not end on its line: is it one too many?"]
    );
    let thrice = twice.replacen("[\"\n", "[\n", 1);
    assert_eq!(packets(&thrice), packets(SEED));
}

#[test]
fn faults_name_place_field_and_what_was_expected() {
    for (text, wanted) in [
        ("{", "1:2: expected a field's name between quotes, but the file ends here"),
        ("{\"ip\" 1}", "1:7: ip: expected ':' behind the field's name, but there is '1'"),
        ("[{}\n}", "2:1: expected ',' or ']' behind the value, but there is '}'"),
        ("{\"ip\": {\"ttl\": 1, \"ttl\": 2}}", "1:19: ip.ttl: stands here for the second time"),
        ("{\"ip\": nul}", "1:8: ip: nul is no value: texts stand between quotes"),
        ("{\"comment\": \"\\x\"}", r#"1:14: comment: expected one of \" \\ \/ \b \f \n \r \t \u0000"#),
        ("{\"comment\": \"\\ud800!\"}", r"1:14: comment: expected four hexadecimal digits of a character behind \u"),
        ("1", "1:1: expected an object, which is a packet, not 1"),
        ("{\n \"ip\": {\"ttl\": 256}}", "2:16: ip.ttl: expected a whole number from 0 to 255 (or \"0x..\"), not 256"),
        ("{\"ip\": {\"ttl\": -1}}", "1:16: ip.ttl: expected a whole number from 0 to 255 (or \"0x..\"), not -1"),
        ("{\"ip\": {\"ttl\": 1.5}}", "1:16: ip.ttl: expected a whole number from 0 to 255 (or \"0x..\"), not 1.5"),
        (
            "{\"ip\": {\"source\": \"10.0.0\"}}",
            "1:19: ip.source: expected an IPv4 or IPv6 address between quotes, not \"10.0.0\"",
        ),
        ("{\"ip\": {\"flags\": [\"DG\"]}}", "1:19: ip.flags: expected one of DF, MF, reserved, not \"DG\""),
        ("{\"time\": 1.1234567}", "1:10: time: expected seconds, with up to six decimals, such as 1.25, not 1.1234567"),
        ("{\"tcp\": {\"options\": [\"NO\"]}}", "1:22: tcp.options: expected \"NOP\", \"EOL\", "),
        (
            "{\"data\": \"x\"}",
            "1:10: data: expected an object with type (\"text\" or \"hex\") and data (a list of lines), not \"x\"",
        ),
        (
            "{\"raw\": {\"type\": \"hex\", \"data\": [\"0\"]}}",
            "1:34: raw: expected two hexadecimal digits for each byte, not \"0\"",
        ),
        ("{\"tpc\": {}}", "1:2: there is no field \"tpc\" here: expected one of ip, tcp, udp, icmp, comment, "),
        (
            "{\"udp\": {\"port\": 1}}",
            "1:10: udp: there is no field \"port\" here: expected one of sourcePort, destPort, ",
        ),
        (
            "{\"icmp\": {\"type\": \"pong\"}}",
            "1:19: icmp.type: expected a type of ICMP by number, or one of echoReply, ",
        ),
        ("{\"ip\": {\"ttl\": 1, \"hopLimit\": 2}}", "1:19: ip.hopLimit: stands here already, by its other name"),
        ("\n {}", "2:2: expected the section ip, with source and destination"),
        ("{\"ip\": {}, \"tcp\": {}}", "1:1: expected ip.source, an address"),
    ] {
        let faults = faults(text);
        assert!(faults[0].starts_with(wanted), "{text}\n{faults:?}");
    }
}

#[test]
fn what_contradicts_itself_is_explained() {
    for (rest, wanted) in [
        ("\"tcp\": {}, \"udp\": {}", "expected one of tcp, udp and icmp, but there is udp as well"),
        (
            "\"data\": {\"type\": \"text\", \"data\": \"x\"}",
            "expected a section tcp, udp or icmp, or ip.protocol and raw",
        ),
        (
            "\"icmp\": {\"gateway\": \"10.0.0.3\"}",
            "expected no icmp.gateway in this type of message; icmp.rest is for any",
        ),
        ("\"tcp\": {}, \"raw\": {\"type\": \"hex\", \"data\": []}", "expected either tcp or raw"),
        (
            "\"icmp\": {\"type\": 3, \"packet\": {}}",
            "in icmp.packet: expected the section ip, with source and destination",
        ),
    ] {
        assert_eq!(faults(&format!("{{{IP}, {rest}}}")), [format!("1:1: {wanted}")], "{rest}");
    }
    for (ip, wanted) in [
        (
            r#""source": "10.0.0.1", "destination": "fd00::1""#,
            "expected ip.source and ip.destination to be of IP's version",
        ),
        (
            r#""source": "10.0.0.1", "destination": "10.0.0.2", "protocol": "UDP""#,
            "expected ip.protocol to be 6, since there is tcp: for other bytes there is raw",
        ),
        (
            r#""source": "10.0.0.1", "destination": "10.0.0.2", "id": 65536"#,
            "expected an ip.id up to 65535: only IPv6 has longer ones",
        ),
        (
            r#""source": "fd00::1", "destination": "fd00::2", "flags": ["DF"]"#,
            "expected no flag but MF in ip.flags: IPv6 has no other",
        ),
    ] {
        assert_eq!(faults(&format!("{{\"ip\": {{{ip}}}, \"tcp\": {{}}}}")), [format!("1:1: {wanted}")], "{ip}");
    }
    // All at once, and no more than anybody reads.
    assert_eq!(faults(&"{\"a\": 1}\n".repeat(50)).len(), 20);
    let long = "00".repeat(65_530);
    let text = format!("{{{IP}, \"udp\": {{}}, \"data\": {{\"type\": \"hex\", \"data\": \"{long}\"}}}}");
    assert_eq!(faults(&text), ["1:1: it would be 65558 bytes long, and an IP packet has at most 65535"]);
}

#[test]
fn arrays_and_rows_of_objects_are_the_same() {
    let one = format!("{{{IP}, \"udp\": {{}}}}");
    for text in
        [format!("{one}{one}"), format!("{one}\n\n{one}\n"), format!("{one},{one}"), format!("\u{feff}[{one},\n{one}]")]
    {
        assert_eq!(packets(&text).len(), 2, "{text}");
    }
    assert_eq!(packets(" \n").len() + packets("[]").len(), 0);
}

/// Every sample: to bytes, to JSON, and to the same bytes.
#[test]
fn samples_survive_the_round_trip() {
    for text in [SEED, KINDS, WRONG] {
        for packet in packets(text) {
            let bytes = build(&packet).unwrap();
            let written = write(&dissect(&bytes));
            assert_eq!(built(&written), bytes, "{written}");
            assert_eq!(write(&dissect(&built(&written))), written);
        }
    }
}

#[test]
fn only_what_is_wrong_is_written_of_lengths_and_checksums() {
    let derived = ["checksum", "Length", "length", "dataOffset", "cut", "rest"];
    for packet in packets(SEED) {
        let written = write(&dissect(&build(&packet).unwrap()));
        assert!(!derived.iter().any(|name| written.contains(name)), "{written}");
    }
    let wrong = packets(WRONG);
    let written: Vec<String> = wrong.iter().map(|packet| write(&dissect(&build(packet).unwrap()))).collect();
    for (text, wanted) in written.iter().zip(["\"0xbad0\"", "\"totalLength\": 2000"]) {
        assert!(text.contains(wanted), "{text}");
    }
    assert!(written[5].contains("\"checksum\": \"0x0000\"") && written[6].contains("\"length\": 3"));
}

/// Some ends of a list stand for themselves, and what follows them up to the end of the word for padding.
#[test]
fn options_that_end_in_zeroes_survive_the_round_trip() {
    let tcp = r#""tcp": {"options": [{"windowScale": 7}, "NOP"]}, "data": {"type": "text", "data": ["xxxx"]}"#;
    let mut bytes = built(&format!("{{{IP}, {tcp}}}"));
    // One word more of header, which was data: 5 zeroes behind the first option.
    bytes[20 + 12] += 0x10;
    bytes[20 + 23..20 + 28].fill(0);
    let json = write(&dissect(&bytes));
    assert_eq!(build(&packets(&json)[0]).unwrap(), bytes, "{json}");
}

#[test]
fn times_follow_each_other() {
    let texts = ["{\"time\": 1.5}", "{}", "{\"time\": 0.000001}", "{\"time\": 3}"];
    let read: Vec<Packet> = texts.iter().flat_map(|text| read(text, false).unwrap()).map(|read| read.packet).collect();
    let times = schedule(read.iter(), Span::from_millis(10));
    assert_eq!(times, [1_500_000, 1_510_000, 1_510_000, 3_000_000].map(Span));
}

#[test]
fn differences_are_told_field_by_field() {
    let came = built(KINDS);
    let expected = |text: &str| read(text, false).unwrap().remove(0).packet;
    for text in [
        "{}",
        r#"{"tcp": {}, "time": 7, "cut": 1, "comment": "not looked at"}"#,
        r#"{"tcp": {"flags": ["CWR", "ECE", "SYN"], "destPort": 443}, "ip": {"protocol": 6, "totalLength": 60}}"#,
        r#"{"data": {"type": "hex", "data": []}}"#,
    ] {
        assert_eq!(differences(&expected(text), &came), [""; 0], "{text}");
    }
    let text = r#"{"ip": {"ttl": 63, "source": "10.0.0.1"}, "tcp": {"flags": ["SYN", "ACK"], "options": ["NOP"]},
                   "data": {"type": "text", "data": "x"}}"#;
    assert_eq!(
        differences(&expected(text), &came),
        [
            "ip.ttl: expected 63, came 64",
            "ip.source: expected \"10.0.0.1\", came \"192.168.1.7\"",
            "tcp.flags: expected [\"SYN\", \"ACK\"], came [\"SYN\", \"ECE\", \"CWR\"]",
            "tcp.options: expected [\"NOP\"], came [{\"maxSegmentSize\": 1460}, \"sackPermitted\", {\"timestamp\": \
         [4294967295, 0]}, \"NOP\", {\"windowScale\": 7}]",
            "data: expected {\"type\": \"text\", \"data\": [\"x\"]}, came none",
        ]
    );
    let udp = expected(r#"{"udp": {"destPort": 1}}"#);
    assert_eq!(differences(&udp, &came), ["udp: expected, but there is none"]);
    let embedded = r#"{"icmp": {"packet": {"udp": {"destPort": 54}, "ip": {"source": "192.168.1.7"}}}}"#;
    let redirect = build(&packets(KINDS)[4]).unwrap();
    assert_eq!(differences(&expected(embedded), &redirect), ["icmp.packet.udp.destPort: expected 54, came 53"]);
}

/// What matches anything comes first and takes what it can get, and must give it away.
#[test]
fn each_expected_packet_has_one_of_its_own() {
    let mut matching = Matching::new(2);
    assert_eq!(matching.add([0, 1].into_iter()), 1);
    assert!(!matching.is_complete());
    assert_eq!(matching.missing().collect::<Vec<_>>(), [1]);
    assert_eq!(matching.add([].into_iter()), 2);
    assert_eq!(matching.add([0].into_iter()), 3);
    assert!(matching.is_complete());
    assert_eq!([1, 2, 3].map(|number| matching.is_taken(number)), [true, false, true]);
}

#[test]
fn files_of_other_orders_and_links_are_read() {
    let packet = built(SEED);
    let mut ours = pcap::header();
    ours.extend(pcap::record(1_500_000, &packet));
    let capture = pcap::read(&ours).unwrap();
    assert_eq!(capture.packets, [pcap::Captured { time: 1_500_000, bytes: &packet }]);
    // Little-endian, nanoseconds, Ethernet with a VLAN and padding.
    let frame = [&[0xEE; 12][..], &[0x81, 0, 0, 7, 8, 0], &packet, &[0; 9]].concat();
    let arp = [&[0xEE; 12][..], &[8, 6], &[0; 28]].concat();
    let mut other: Vec<u8> =
        [0xA1B2_3C4D_u32, 4 << 16 | 2, 0, 0, 65_535, 1].iter().flat_map(|w| w.to_le_bytes()).collect();
    for frame in [&frame, &arp] {
        let words = [2, 250_000_999, frame.len() as u32, frame.len() as u32];
        other.extend(words.iter().flat_map(|word: &u32| word.to_le_bytes()));
        other.extend(frame);
    }
    let capture = pcap::read(&other).unwrap();
    assert_eq!(capture.packets, [pcap::Captured { time: 2_250_000, bytes: &packet }]);
    assert_eq!((capture.others, capture.torn), (1, false));
    assert!(pcap::read(&other[..other.len() - 1]).unwrap().torn);
    assert!(pcap::read(b"\x0a\x0d\x0d\x0a....").unwrap_err().contains("pcapng"));
    assert!(pcap::read(b"").is_err() && pcap::read(b"nonsense, and long enough for a header").is_err());
}
