use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::frame::TAG;
use super::super::handshake::tests::{A, B, handshake};
use super::*;

fn path(number: u8) -> PathId {
    PathId::new(number).unwrap()
}

fn datagram(session: &mut Session, number: u8, item: &[u8]) -> Vec<u8> {
    let mut buffer = [&[0; HEADER][..], item, &[0; TAG]].concat();
    session.seal(path(number), &mut buffer).unwrap();
    buffer
}

fn at(seconds: u64) -> Time {
    Time(seconds * 1_000_000)
}

#[test]
fn what_is_sealed_opens_once_at_the_other_end_only() {
    let (mut one, mut other) = handshake(A, B, 1, 2);
    for number in [0, 15] {
        for count in 0..3 {
            let mut sent = datagram(&mut one, number, b"item");
            assert_eq!(sent.len(), HEADER + 4 + TAG);
            assert_eq!(sent[..HEADER], [0x40 | number, 0, 0, 2, 0, 0, 0, count]);
            let copy = sent.clone();
            assert_eq!(one.open(&mut sent, None), None, "its own");
            let opened = other.open(&mut sent, None).unwrap();
            assert_eq!((opened.path, opened.counter, &*opened.item), (path(number), u64::from(count), &b"item"[..]));
            assert_eq!(other.open(&mut copy.clone(), None), None, "a replay");
        }
    }
    let mut back = datagram(&mut other, 3, b"");
    assert_eq!(one.open(&mut back, None).map(|opened| opened.item.len()), Some(0));
    let (_, mut third) = handshake(A, B, 1, 2);
    assert_eq!(third.open(&mut datagram(&mut one, 0, b"item"), None), None, "the same people, but another handshake");
}

#[test]
fn sealed_and_opened_by_others_is_the_same() {
    let (mut one, mut other) = handshake(A, B, 1, 2);
    let mut sent = [&[0; HEADER][..], b"item", &[0; TAG]].concat();
    let (counter, sealing) = one.seal_later(path(2), &mut sent).unwrap();
    sealing.run(&mut sent);
    assert_eq!((counter, sent.len()), (0, HEADER + 4 + TAG));
    assert_ne!(sent[HEADER..HEADER + 4], *b"item");
    let mut second = datagram(&mut one, 2, b"next");
    assert_eq!(second[HEADER - 1], 1, "it has a number of its own");

    // Both copies look new, until one was taken.
    let mut copy = sent.clone();
    let openings = [&sent, &copy].map(|datagram| other.opening(datagram).unwrap());
    assert!(openings[0].run(&mut sent) && openings[1].run(&mut copy));
    let opened = other.open(&mut sent, Some(&openings[0])).unwrap();
    assert_eq!((opened.path, opened.counter, &*opened.item), (path(2), 0, &b"item"[..]));
    assert_eq!(other.open(&mut copy, Some(&openings[1])), None, "a replay");
    assert!(other.opening(&copy).is_none(), "a replay that is known for one");
    assert!(one.opening(&second).is_none(), "its own");

    second[HEADER] ^= 1;
    let before = second.clone();
    assert!(!other.opening(&second).unwrap().run(&mut second) && second == before, "forged: left as it was");
    assert!(other.opening(&second[..HEADER - 1]).is_none());
    let cut = &mut second[..HEADER + TAG];
    assert!(!other.opening(cut).unwrap().run(cut));
}

#[test]
fn counters_go_on_where_half_of_them_begins_anew() {
    let (mut one, mut other) = handshake(A, B, 1, 2);
    let start = (1u64 << 32) - 3;
    one.pretend_sent(path(1), start);
    for counter in start..start + 6 {
        let mut sent = datagram(&mut one, 1, b"x");
        assert_eq!(sent[4..HEADER], (counter as u32).to_be_bytes());
        assert_eq!(other.open(&mut sent, None).map(|opened| opened.counter), Some(counter));
    }
}

#[test]
fn a_session_wears_out() {
    let (mut one, mut other) = handshake(A, B, 1, 2);
    let mut buffer = [0; HEADER + TAG];
    one.pretend_sent(path(1), WORN_OUT - 1);
    assert_eq!(one.seal(path(1), &mut buffer), Some(WORN_OUT - 1));
    assert_eq!(one.seal(path(1), &mut buffer), None);
    assert_eq!(one.seal(path(2), &mut buffer), Some(0));
    assert_eq!(one.seal(path(2), &mut buffer[1..]), None, "no room");
    assert_eq!(one.seal(path(2), &mut buffer), Some(1), "which took no counter");
    let mut sessions = Sessions::default();
    sessions.adopt(one, false, at(0));
    assert!(sessions.stale(at(0)));
    other.pretend_sent(path(0), REKEY_AT - 1);
    let mut sessions = Sessions::default();
    let (one, _) = handshake(A, B, 1, 2);
    sessions.adopt(one, false, at(0));
    assert!(!sessions.stale(at(0)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn forged_never_opens(item in prop::collection::vec(any::<u8>(), 0..200), flip in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>()) {
        let (mut one, mut other) = handshake(A, B, 1, 2);
        let sent = datagram(&mut one, 5, &item);
        let bit = flip.index(sent.len() * 8);
        let mut forged = sent.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let before = forged.clone();
        prop_assert_eq!(other.open(&mut forged, None), None);
        prop_assert_eq!(forged, before, "it is left as it was");
        let mut short = sent[..cut.index(sent.len())].to_vec();
        prop_assert_eq!(other.open(&mut short, None), None);
        let mut long = [&sent[..], &[0]].concat();
        prop_assert_eq!(other.open(&mut long, None), None);
        let mut sent = sent;
        prop_assert_eq!(&*other.open(&mut sent, None).unwrap().item, &item[..]);
    }

    #[test]
    fn each_opens_once_in_whatever_order(order in prop::collection::vec((0..4u8, 0..40usize), 0..200)) {
        let (mut one, mut other) = handshake(A, B, 1, 2);
        let sent: Vec<Vec<Vec<u8>>> =
            (0..4).map(|number| (0..40).map(|count| datagram(&mut one, number, &[number, count])).collect()).collect();
        let mut seen = BTreeSet::new();
        for (number, count) in order {
            let mut copy = sent[usize::from(number)][count].clone();
            let opened = other.open(&mut copy, None);
            prop_assert_eq!(opened.is_some(), seen.insert((number, count)));
            if let Some(opened) = opened {
                prop_assert_eq!(&*opened.item, &[number, count as u8][..]);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100), first in 0x40u8..0x50) {
        let (_, mut other) = handshake(A, B, 1, 2);
        prop_assert_eq!(other.open(&mut bytes, None), None);
        if let Some(head) = bytes.first_chunk_mut() {
            *head = [first, 0, 0, 2];
        }
        prop_assert_eq!(other.open(&mut bytes, None), None);
    }
}

/// Two ends' sessions, and a datagram from one to the other.
fn goes(from: &mut Sessions, to: &mut Sessions, now: Time) -> bool {
    let mut buffer = vec![7; HEADER + 10 + TAG];
    from.seal(path(0), &mut buffer, now).is_some()
        && to.open(&mut buffer, None, now).is_some_and(|opened| *opened.item == [7; 10])
}

#[test]
fn a_thousand_rekeys_lose_nothing() {
    let (mut client, mut server) = (Sessions::default(), Sessions::default());
    let mut now = at(0);
    for round in 0..1000 {
        let (one, other) = handshake(A, B, 2 * round, 2 * round + 1);
        server.adopt(other, false, now);
        // What was on its way under the old keys, before and after the answer is there.
        assert_eq!(goes(&mut client, &mut server, now), round > 0);
        let mut late = vec![7; HEADER + TAG];
        let was_sent = server.seal(path(3), &mut late, now).is_some();
        client.adopt(one, false, now);
        assert_eq!(was_sent && client.open(&mut late, None, now).is_some(), round > 0);
        assert_eq!(server.current(now).map(Session::index), (round > 0).then(|| 2 * round - 1), "not yet");
        assert!(goes(&mut client, &mut server, now) && goes(&mut server, &mut client, now));
        assert_eq!(server.current(now).map(Session::index), Some(2 * round + 1));
        assert!(!client.stale(now + Span::from_secs(119)) && client.stale(now + Span::from_secs(120)));
        assert!(!server.stale(now + Span::from_secs(179)), "it is up to the client");
        now = now + Span::from_secs(125);
        client.expire(now);
        server.expire(now);
        assert!(client.indexes().count() <= 2 && server.indexes().count() <= 2);
    }
}

#[test]
fn old_keys_expire() {
    let (mut client, mut server) = (Sessions::default(), Sessions::default());
    assert_eq!((client.deadline(at(0)), client.seal(path(0), &mut [0; 50], at(0))), (None, None));
    let (one, other) = handshake(A, B, 1, 2);
    client.adopt(one, false, at(0));
    server.adopt(other, false, at(0));
    assert_eq!((client.deadline(at(0)), server.deadline(at(0))), (Some(at(120)), Some(at(180))));
    assert_eq!(client.deadline(at(120)), Some(at(180)), "it is no use to be told again and again");
    assert!(goes(&mut client, &mut server, at(179)));
    let mut late = vec![7; HEADER + TAG];
    assert!(client.seal(path(0), &mut late, at(179)).is_some());
    assert!(server.open(&mut late, None, at(180)).is_none() && !goes(&mut client, &mut server, at(180)));
    assert!(client.current(at(180)).is_none());
    let changes = client.changes();
    client.expire(at(179));
    assert_eq!((client.indexes().collect::<Vec<_>>(), client.changes()), (vec![1], changes));
    client.expire(at(180));
    assert_eq!((client.indexes().count(), client.deadline(at(180))), (0, None));
    assert_ne!(client.changes(), changes);
}

#[test]
fn pending_sessions_displace_nothing() {
    let (mut client, mut server) = (Sessions::default(), Sessions::default());
    let (one, other) = handshake(A, B, 1, 2);
    client.adopt(one, false, at(0));
    server.adopt(other, false, at(0));
    assert!(goes(&mut client, &mut server, at(0)));
    for replayed in 0..40 {
        server.adopt(handshake(A, B, 1, 100 + replayed).1, false, at(1));
        assert!(server.indexes().count() <= 1 + PENDING);
        assert!(goes(&mut client, &mut server, at(1)) && goes(&mut server, &mut client, at(1)));
    }
    // What was asked for where the peer is stays.
    let (mut renewed, other) = handshake(A, B, 3, 4);
    server.adopt(other, true, at(1));
    for replayed in 140..180 {
        server.adopt(handshake(A, B, 1, replayed).1, false, at(1));
    }
    assert!(server.open(&mut datagram(&mut renewed, 0, b"new"), None, at(1)).is_some());
    server.adopt(handshake(A, B, 1, 199).1, true, at(1));
    // Something forged under a pending session's index does not make it current.
    let mut forged = [0; HEADER + TAG];
    forged[..4].copy_from_slice(&frame::prefix(Kind::Data { path: path(0), index: 199 }));
    assert!(server.open(&mut forged, None, at(1)).is_none());
    assert_eq!(server.current(at(1)).map(Session::index), Some(4));
    server.clear();
    assert_eq!(server.indexes().count(), 0);
}
