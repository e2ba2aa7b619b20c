use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const ROOT: Question = Question { id: 0x1234, name: "", kind: Kind::NameServers };
const NAMED: Question = Question { id: 7, name: "www.example.net", kind: Kind::Ipv4 };

/// The answer to `question` with these records, each a type and data, under a pointer to the question's name.
fn reply(question: &Question, records: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = question.message().unwrap();
    bytes[2..4].copy_from_slice(&0x8180u16.to_be_bytes());
    bytes[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    for (kind, data) in records {
        bytes.extend([0xC0, 12]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 1, 44]);
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(*data);
    }
    bytes
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn questions_have_their_bytes() {
    assert_eq!(ROOT.message().unwrap(), [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1]);
    assert_eq!(NAMED.message().unwrap()[12..], *b"\x03www\x07example\x03net\0\0\x01\0\x01");
    let long = "a.".repeat(128);
    for name in ["a..b", ".", "a.", &"a".repeat(64), &long[..255]] {
        assert_eq!(Question { name, ..NAMED }.message(), None, "{name}");
    }
}

#[test]
fn any_code_of_response_answers_but_servfail() {
    for code in 0..16 {
        let mut bytes = reply(&ROOT, &[]);
        bytes[3] |= code;
        assert_eq!(ROOT.answer(&bytes), Some(Answer { address: None, fails: code == 2 }), "{code}");
    }
}

#[test]
fn addresses_are_found_behind_aliases() {
    let alias: &[u8] = b"\x03cdn\xC0\x10";
    let bytes = reply(&NAMED, &[(5, alias), (1, &[192, 0, 2, 7]), (1, &[192, 0, 2, 8])]);
    assert_eq!(NAMED.answer(&bytes).unwrap().address, Some((address("192.0.2.7"), 300)));
    let six = Question { kind: Kind::Ipv6, ..NAMED };
    let data = "2001:db8::7".parse::<Ipv6Addr>().unwrap().octets();
    assert_eq!(six.answer(&reply(&six, &[(28, &data)])).unwrap().address, Some((address("2001:db8::7"), 300)));
    // Lies about ourselves, and records of the wrong size or type, are no addresses.
    for (kind, data) in [(1, &[127, 0, 0, 1][..]), (1, &[0; 4]), (1, &[224, 0, 0, 1]), (1, &[1; 5]), (28, &[1; 16])] {
        assert_eq!(NAMED.answer(&reply(&NAMED, &[(kind, data)])), Some(Answer::default()));
    }
}

#[test]
fn letters_may_come_back_in_another_case() {
    let mut bytes = reply(&NAMED, &[]);
    bytes[13..16].copy_from_slice(b"WwW");
    assert!(NAMED.answer(&bytes).is_some());
}

#[test]
fn what_is_no_answer_is_none() {
    let whole = reply(&NAMED, &[(1, &[192, 0, 2, 7])]);
    for (at, value, what) in [
        (0, 1, "id"),
        (2, 0x01, "a question"),
        (2, 0x91, "an opcode"),
        (5, 0, "no question"),
        (5, 2, "two questions"),
        (7, 2, "fewer answers than said"),
        (12, 4, "a length in the name"),
        (13, b'x', "another name"),
        (12, 0xC0, "a compressed question"),
        (30, 28, "another type"),
        (32, 3, "another class"),
        (33, 0x40, "a label of a kind that there is not"),
        (44, 5, "data beyond the end"),
    ] {
        let mut bytes = whole.clone();
        assert_ne!(bytes[at], value, "{what}: changes nothing");
        bytes[at] = value;
        assert_eq!(NAMED.answer(&bytes), None, "{what}");
    }
    (0..whole.len()).for_each(|n| assert_eq!(NAMED.answer(&whole[..n]), None, "{n} bytes"));
    // Cut, and said to be cut.
    let mut cut = whole;
    cut[2] |= 0x02;
    cut.pop();
    assert_eq!(NAMED.answer(&cut), Some(Answer::default()));
}

#[test]
fn names_that_point_at_themselves_end() {
    let mut bytes = reply(&NAMED, &[(1, &[192, 0, 2, 7])]);
    // The record's name points at itself, and then there is one of labels without end.
    bytes[33..35].copy_from_slice(&[0xC0, 33]);
    assert!(NAMED.answer(&bytes).is_some());
    let mut bytes = reply(&NAMED, &[]);
    bytes[7] = 1;
    bytes.extend([1, b'a'].repeat(240));
    assert_eq!(NAMED.answer(&bytes), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..600)) {
        let _ = (ROOT.answer(&bytes), NAMED.answer(&bytes));
    }

    /// Nor those that are nearly an answer; none with another id is one.
    #[test]
    fn nearly_answers(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut in 0usize..100) {
        let mut bytes = reply(&NAMED, &[(5, b"\x03cdn\xC0\x10"), (1, &[192, 0, 2, 7])]);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        if NAMED.answer(&bytes).is_some() {
            prop_assert_eq!(&bytes[..2], &NAMED.id.to_be_bytes()[..]);
        }
    }
}
