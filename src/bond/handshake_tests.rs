use proptest::prelude::*;

use super::super::frame::{HEADER, PathId, TAG};
use super::super::session::Opened;
use super::*;

pub(in super::super) const A: u8 = 1;
pub(in super::super) const B: u8 = 2;

/// Random enough, and the same each time.
fn numbers(mut seed: u64) -> impl FnMut(&mut [u8]) {
    move |bytes| {
        for byte in bytes {
            // Knuth's MMIX.
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (seed >> 56) as u8;
        }
    }
}

fn identity(name: u8) -> Identity {
    Identity::new(&Secret::private([name; 32]), u16::from(name))
}

fn psk(number: u8) -> Secret {
    Secret::new([number; 32])
}

fn begin(from: u8, to: u8, index: u32) -> (Initiator, Vec<u8>) {
    // Each handshake has its own numbers, as in life.
    static SEED: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(1);
    let seed = SEED.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
    Initiator::begin(&identity(from), &identity(to).public(), &psk(9), index, &mut numbers(seed.into())).unwrap()
}

/// `from`: an IPv4 address, or its first bytes. With `busy`, there are many a second.
fn receive(responder: &mut Responder, message: &[u8], from: &[u8], now: Time, busy: bool) -> Option<Verdict> {
    if !busy {
        return receive_from(responder, message, from, now, false);
    }
    let quiet = core::mem::take(&mut responder.limits);
    while !responder.limits.busy(Who::Anybody, now) {
        responder.limits.total(Who::Anybody, now);
    }
    let verdict = receive_from(responder, message, from, now, false);
    responder.limits = quiet;
    verdict
}

/// With `here`, a peer's path leads there.
fn receive_from(responder: &mut Responder, message: &[u8], from: &[u8], now: Time, here: bool) -> Option<Verdict> {
    let mut ip = [0; 4];
    ip.iter_mut().zip(from).for_each(|(to, byte)| *to = *byte);
    let from = &Address::udp((ip, 9).into());
    let known = |key: &PublicKey| (*key == identity(A).public()).then(|| (psk(9), 2));
    static SEED: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(1 << 31);
    let seed = SEED.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
    let mut random = numbers(seed.into());
    let mut asked = Asked { peer: &known, is_here: &|| here, index: &|_: Random| 2, random: &mut random };
    responder.receive(message, from, now, &mut asked)
}

fn answer(verdict: Option<Verdict>) -> (Vec<u8>, Session) {
    match verdict {
        Some(Verdict::Answer { peer, message, session }) => {
            assert_eq!(peer, identity(A).public());
            (message, session)
        }
        Some(Verdict::Again(_)) => panic!("again"),
        Some(Verdict::Cookie(_)) => panic!("a cookie"),
        None => panic!("ignored"),
    }
}

/// Two ends of a session, the initiator's first.
pub(in super::super) fn handshake(from: u8, to: u8, index: u32, other: u32) -> (Session, Session) {
    let (mut initiator, message) = begin(from, to, index);
    let known = |key: &PublicKey| (*key == identity(from).public()).then(|| (psk(9), u16::from(to)));
    let mut responder = Responder::new(identity(to));
    let mut random = numbers(u64::from(other) << 32 | u64::from(message[10]));
    let mut asked = Asked { peer: &known, is_here: &|| false, index: &|_: Random| other, random: &mut random };
    let verdict = responder.receive(&message, &Address::udp(([192, 0, 2, 1], 9).into()), Time(0), &mut asked);
    let (message, session) = answer(verdict);
    (initiator.finish(&message).unwrap(), session)
}

fn opens(one: &mut Session, other: &mut Session) -> bool {
    let mut buffer = [1; HEADER + 3 + TAG];
    one.seal(PathId::default(), &mut buffer).is_some()
        && matches!(other.open(&mut buffer, None), Some(Opened { item: [1, 1, 1], .. }))
}

#[test]
fn both_ends_have_the_same_keys() {
    let (mut one, mut other) = handshake(A, B, 0xFF_FFFF, 0xAB_CDEF);
    assert_eq!((one.index(), other.index()), (0xFF_FFFF, 0xAB_CDEF));
    assert!(one.initiator() && !other.initiator());
    assert!(opens(&mut one, &mut other) && opens(&mut other, &mut one));
}

#[test]
fn lengths_are_as_documented_and_answers_are_shorter() {
    let (mut initiator, message) = begin(A, B, 1);
    let mut responder = Responder::new(identity(B));
    assert_eq!(message.len(), INITIATION);
    let Some(Verdict::Cookie(cookie)) = receive(&mut responder, &message, &[1], Time(0), true) else { panic!() };
    assert_eq!(cookie.len(), COOKIE);
    assert_eq!(initiator.cookie(&cookie).map(|again| again.len()), Some(INITIATION));
    let (response, _) = answer(receive(&mut responder, &message, &[1], Time(0), false));
    assert_eq!(response.len(), RESPONSE);
    assert!((INITIATION, RESPONSE, COOKIE) == (136, 92, 60));
}

#[test]
fn strangers_get_no_answer() {
    let mut responder = Responder::new(identity(B));
    let (_, message) = begin(3, B, 1);
    assert!(receive(&mut responder, &message, &[1], Time(0), false).is_none(), "an unknown key");
    let (_, message) = begin(A, 3, 1);
    assert!(receive(&mut responder, &message, &[1], Time(0), false).is_none(), "meant for another");
    assert!(receive(&mut responder, &message, &[1], Time(0), true).is_none(), "not even a cookie");
    // Who knows the public key only gets a cookie under load, which is of no use.
    let (_, message) = begin(3, B, 1);
    assert!(matches!(receive(&mut responder, &message, &[1], Time(0), true), Some(Verdict::Cookie(_))));
}

#[test]
fn another_psk_makes_no_session() {
    let (from, to) = (identity(A), identity(B));
    let (mut initiator, message) = Initiator::begin(&from, &to.public(), &psk(8), 1, &mut numbers(5)).unwrap();
    let (response, _) = answer(receive(&mut Responder::new(to), &message, &[1], Time(0), false));
    assert!(initiator.finish(&response).is_none());
}

#[test]
fn one_answer_for_the_same_initiation_over_every_link() {
    let mut responder = Responder::new(identity(B));
    let (mut initiator, message) = begin(A, B, 1);
    let (response, mut session) = answer(receive(&mut responder, &message, &[1], Time(0), false));
    for _ in 0..AGAIN {
        let Some(Verdict::Again(message)) = receive(&mut responder, &message, &[2], Time(9), true) else { panic!() };
        assert!(message == response);
    }
    assert!(receive(&mut responder, &message, &[2], Time(9), false).is_none(), "that is enough");
    let mut first = initiator.finish(&response).unwrap();
    assert!(initiator.finish(&response).is_none(), "or two sessions would count from 0 under one key");
    assert!(opens(&mut first, &mut session));
    // Much later it is a replay, and makes a session that only the initiator could have used.
    let (response, mut session) = answer(receive(&mut responder, &message, &[2], Time(0) + ANSWERS_LAST, false));
    assert!(initiator.finish(&response).is_none() && !opens(&mut first, &mut session));
}

#[test]
fn a_cookie_is_for_one_address_and_two_minutes() {
    let mut responder = Responder::new(identity(B));
    let (mut initiator, message) = begin(A, B, 1);
    let (home, away) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let Some(Verdict::Cookie(reply)) = receive(&mut responder, &message, &home, Time(0), true) else { panic!() };
    let mut forged = reply.clone();
    forged[40] ^= 1;
    assert!(initiator.cookie(&forged).is_none());
    assert!(begin(A, B, 1).0.cookie(&reply).is_none(), "of another initiation");
    let proven = initiator.cookie(&reply).unwrap();
    assert!(matches!(receive(&mut responder, &proven, &away, Time(0), true), Some(Verdict::Cookie(_))));
    let late = Time(0) + SECRET_LASTS;
    let Some(Verdict::Cookie(new)) = receive(&mut responder, &proven, &home, late, true) else { panic!() };
    let proven = initiator.cookie(&new).unwrap();
    let (response, mut session) = answer(receive(&mut responder, &proven, &home, late, true));
    let mut own = initiator.finish(&response).unwrap();
    assert!(opens(&mut own, &mut session));
    assert!(initiator.cookie(&new).is_none(), "it is done");
}

#[test]
fn cookies_are_used_a_limited_number_of_times() {
    let mut responder = Responder::new(identity(B));
    let (mut initiator, message) = begin(A, B, 1);
    let Some(Verdict::Cookie(reply)) = receive(&mut responder, &message, &[1], Time(0), true) else { panic!() };
    assert_eq!((0..200).filter(|_| initiator.cookie(&reply).is_some()).count(), usize::from(COOKIES));
}

#[test]
fn wrong_responses_are_looked_at_a_limited_number_of_times() {
    let mut responder = Responder::new(identity(B));
    let (mut initiator, message) = begin(A, B, 1);
    let (response, _) = answer(receive(&mut responder, &message, &[1], Time(0), false));
    let mut other = response.clone();
    other[50] ^= 1;
    // Its mac1 is wrong: that costs nothing, and counts nothing.
    assert!((0..1000).all(|_| initiator.finish(&other).is_none()));
    let (body, _, _) = parts(&other).unwrap();
    let forged = with_macs(body.first_chunk().unwrap(), &body[PREFIX..], &identity(A).public());
    assert!((0..ATTEMPTS - 1).all(|_| initiator.finish(&forged).is_none()));
    assert!(initiator.finish(&response).is_some());
}

#[test]
fn a_flood_is_taken_up_to_its_limit_only() {
    let mut responder = Responder::new(identity(B));
    let (_, message) = begin(A, B, 1);
    let (mut answers, mut cookies) = (0, 0);
    for number in 0..400u32 {
        // The numbers within a body do not matter here: each is another initiation, and most are for nothing.
        let mut body = message[..INITIATION - MACS].to_vec();
        body[10..14].copy_from_slice(&number.to_be_bytes());
        let forged = with_macs(body.first_chunk().unwrap(), &body[PREFIX..], &identity(B).public());
        match receive(&mut responder, &forged, &number.to_be_bytes(), Time(0), false) {
            Some(Verdict::Answer { .. } | Verdict::Again(_)) => answers += 1,
            Some(Verdict::Cookie(_)) => cookies += 1,
            None => {}
        }
    }
    assert_eq!((answers, cookies), (0, 200));
    // Meanwhile who receives at its address is served.
    let (mut initiator, message) = begin(A, B, 1);
    let Some(Verdict::Cookie(reply)) = receive(&mut responder, &message, &[9, 9, 9, 9], Time(0), false) else {
        panic!()
    };
    let proven = initiator.cookie(&reply).unwrap();
    let (response, _) = answer(receive(&mut responder, &proven, &[9, 9, 9, 9], Time(0), false));
    assert!(initiator.finish(&response).is_some());
    assert!(responder.answered.len() <= ANSWERS);
}

/// Strangers with hundreds of addresses of their own take all that there is for anybody; whose path is there renews its keys all the same.
#[test]
fn strangers_with_many_addresses_keep_nobody_out_who_is_here() {
    let mut responder = Responder::new(identity(B));
    while responder.limits.total(Who::Anybody, Time(0)) {}
    let proven = |responder: &mut Responder, here| {
        let (mut initiator, message) = begin(A, B, 1);
        let verdict = receive_from(responder, &message, &[9, 9, 9, 9], Time(0), here);
        let Some(Verdict::Cookie(reply)) = verdict else { return verdict };
        receive_from(responder, &initiator.cookie(&reply).unwrap(), &[9, 9, 9, 9], Time(0), here)
    };
    assert!(proven(&mut responder, false).is_none());
    answer(proven(&mut responder, true));
    // Who writes that address on what it sends from elsewhere does not get that far.
    while !responder.limits.busy(Who::Here, Time(0)) {
        responder.limits.total(Who::Here, Time(0));
    }
    let (_, message) = begin(A, B, 1);
    assert!(matches!(receive_from(&mut responder, &message, &[9, 9, 9, 9], Time(0), true), Some(Verdict::Cookie(_))));
    answer(proven(&mut responder, true));
}

#[test]
fn a_newer_program_is_understood() {
    let (from, to) = (identity(A), identity(B));
    let prefix = frame::prefix(Kind::Initiation { index: 7 });
    let (_, body) = noise::write_first(
        &from.pair,
        ephemeral(&mut numbers(1)),
        &to.public().0,
        &[PROLOGUE, &prefix],
        &[3, 5, 0, 0, 1, 2, 3, 4, 5, 6],
    )
    .unwrap();
    let message = with_macs(&prefix, &body, &to.public());
    let (_, session) = answer(receive(&mut Responder::new(to), &message, &[1], Time(0), false));
    assert_eq!(session.hello().minor, 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn one_bit_anywhere_makes_no_session(flip in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(), with_mac in any::<bool>()) {
        let mut responder = Responder::new(identity(B));
        let (mut initiator, message) = begin(A, B, 1);
        // mac2 does not count where there is no load; everything else does, even for who makes mac1 right again.
        let spoil = |message: &[u8], receiver: u8| {
            let mut forged = message.to_vec();
            let bit = flip.index((message.len() - if with_mac { MACS } else { 16 }) * 8);
            forged[bit / 8] ^= 1 << (bit % 8);
            let (body, _, _) = parts(&forged).unwrap();
            match with_mac {
                true => with_macs(body.first_chunk().unwrap(), &body[PREFIX..], &identity(receiver).public()),
                false => forged,
            }
        };
        prop_assert!(receive(&mut responder, &spoil(&message, B), &[1], Time(0), false).is_none());
        prop_assert!(receive(&mut responder, &message[..cut.index(message.len())], &[1], Time(0), false).is_none());
        let (response, _) = answer(receive(&mut responder, &message, &[1], Time(0), false));
        prop_assert!(initiator.finish(&spoil(&response, A)).is_none());
        prop_assert!(initiator.finish(&response[..cut.index(response.len())]).is_none());
        prop_assert!(initiator.finish(&response).is_some());
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), first in prop::sample::select(vec![0x11u8, 0x21, 0x31]), busy in any::<bool>()) {
        let mut responder = Responder::new(identity(B));
        let (mut initiator, _) = begin(A, B, 1);
        for _ in 0..3 {
            prop_assert!(receive(&mut responder, &bytes, &bytes[..bytes.len().min(20)], Time(0), busy).is_none());
            prop_assert!(initiator.cookie(&bytes).is_none() && initiator.finish(&bytes).is_none());
            // Then with the first bytes right, then with mac1 right as well.
            if let Some(head) = bytes.first_chunk_mut() {
                *head = [first, 0, 0, 1];
            }
        }
        if let Some((prefix, body)) = bytes.split_first_chunk() {
            let message = with_macs(prefix, body, &identity(B).public());
            let verdict = receive(&mut responder, &message, &[1], Time(0), busy);
            prop_assert!(matches!(verdict, None | Some(Verdict::Cookie(_))));
            prop_assert!(initiator.finish(&with_macs(prefix, body, &identity(A).public())).is_none());
        }
    }
}
