//! The handshake: two messages of [`noise`] between an initiator and a responder, and what keeps a flood of them
//! from costing much.
//!
//! | message | bytes |
//! |---|---|
//! | initiation | [prefix](super::frame) 4, ephemeral key 32, sealed public key 48, sealed payload 20 (or more), mac1 16, mac2 16 |
//! | response | prefix 4, ephemeral key 32, sealed payload 24 (or more), mac1 16, mac2 16 |
//! | cookie | prefix 4, nonce 24, sealed cookie 32 |
//!
//! Payloads begin with minor version, features, and two bytes that name the program's instance; the response's goes on with four bytes whose lower three
//! are its sender's index. What a newer program adds behind is passed over. The prologue is "cheaproute bond 1" and the
//! initiation's prefix, so that neither index can be changed on the way.
//!
//! mac1, mac2 and cookies are those of WireGuard's paper (5.4.4 and 5.4.7). There is no timestamp, since a router has no clock
//! when it boots: an initiation may be replayed, and makes a session that nobody can use, one of a few that wait for their first
//! datagram ([`session`](super::session)). No answer is longer than what it
//! answers, and who does not know the responder's public key gets none.

use super::address::Address;
use super::frame::{self, Kind, PREFIX};
use super::keys::{PublicKey, Secret};
use super::noise::{self, Pair};
use super::session::{Hello, Session};
use crate::time::{Span, Time};

mod limit;

use limit::{Limits, Who};

/// What this program says of itself, with two bytes for its instance.
const HELLO: [u8; 4] = [0, 0, 0, 0];
const PROLOGUE: &[u8] = b"cheaproute bond 1";

const MAC: usize = 16;
const MACS: usize = 2 * MAC;
/// Both ends' least lengths, and the most that a newer program's may have.
pub const INITIATION: usize = PREFIX + noise::FIRST + HELLO.len() + MACS;
pub const RESPONSE: usize = PREFIX + noise::SECOND + HELLO.len() + 4 + MACS;
pub const COOKIE: usize = PREFIX + 24 + MAC + seal::TAG;
const LONGEST: usize = 512;

/// How long a cookie's secret lasts (WireGuard's paper, 6.6).
const SECRET_LASTS: Span = Span::from_secs(120);

/// Answers that are kept, to be given again to the same initiation: it comes over every link, and perhaps once more. As many
/// as can come within a round trip when a server with hundreds of clients restarts; 50 KB.
const ANSWERS: usize = 256;
const ANSWERS_LAST: Span = Span::from_secs(5);
/// How often each is given again at most: over 16 links twice.
const AGAIN: u8 = 32;

/// Cookies that one initiation makes use of: over 16 links twice. Each costs a message.
const COOKIES: u8 = 32;
/// Responses that one initiation looks at. Each wrong one costs two key agreements, 5 ms on a slow router.
const ATTEMPTS: u8 = 64;

/// A source of random bytes, as good as the kernel's.
pub type Random<'r> = &'r mut dyn FnMut(&mut [u8]);

/// Who we are.
#[derive(Clone)]
pub struct Identity {
    pair: Pair,
    /// Another with each beginning: the other end sees by it that all numbers begin anew.
    instance: u16,
}

impl Identity {
    pub fn new(private: &Secret, instance: u16) -> Self {
        Identity { pair: Pair::new(private.bytes()), instance }
    }

    pub const fn instance(&self) -> u16 {
        self.instance
    }

    pub const fn public(&self) -> PublicKey {
        PublicKey(*self.pair.public())
    }
}

/// One initiation, until it is answered.
pub struct Initiator {
    identity: Identity,
    remote: PublicKey,
    psk: Secret,
    index: u32,
    /// `None` once answered: the same answer may come by every link, but its keys are for one session.
    sent: Option<noise::Sent>,
    message: Vec<u8>,
    cookies: u8,
    attempts: u8,
}

impl Initiator {
    /// The message may be sent over several links and more than once. `index` is what `remote` is to write to us; a psk of zeros
    /// is none. `None` if `remote` is no possible key.
    pub fn begin(
        identity: &Identity,
        remote: &PublicKey,
        psk: &Secret,
        index: u32,
        random: Random,
    ) -> Option<(Initiator, Vec<u8>)> {
        let prefix = frame::prefix(Kind::Initiation { index });
        let prologue: &[&[u8]] = &[PROLOGUE, &prefix];
        let (sent, body) =
            noise::write_first(&identity.pair, ephemeral(random), &remote.0, prologue, &our_hello(identity.instance))?;
        let message = with_macs(&prefix, &body, remote);
        let initiator = Initiator {
            identity: identity.clone(),
            remote: *remote,
            psk: psk.clone(),
            index,
            sent: Some(sent),
            message: message.clone(),
            cookies: 0,
            attempts: 0,
        };
        Some((initiator, message))
    }

    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The responder is under load and wants to see that we receive what it sends to our address: the message for the link that
    /// `reply` came by. `None` if it is no true reply.
    pub fn cookie(&mut self, reply: &[u8]) -> Option<Vec<u8>> {
        let ours = frame::kind(reply)? == Kind::Cookie { index: self.index };
        let (_, rest) = reply.split_first_chunk::<PREFIX>()?;
        let (nonce, rest) = rest.split_first_chunk::<24>()?;
        let (sealed, tag) = rest.split_first_chunk::<MAC>()?;
        let tag: &[u8; seal::TAG] = tag.try_into().ok()?;
        if !ours || self.sent.is_none() || self.cookies >= COOKIES {
            return None;
        }
        let (body, mac1, _) = parts(&self.message)?;
        let mut cookie = *sealed;
        if !seal::long_open(&cookie_key(&self.remote), nonce, mac1, &mut cookie, tag) {
            return None;
        }
        self.cookies += 1;
        let mac2 = seal::mac(&cookie, &[body, mac1]);
        Some([body, mac1, &mac2].concat())
    }

    /// The session, once. `None` for anything but the true response.
    pub fn finish(&mut self, response: &[u8]) -> Option<Session> {
        let ours = frame::kind(response)? == Kind::Response { index: self.index };
        if !ours || response.len() < RESPONSE || response.len() > LONGEST || self.attempts >= ATTEMPTS {
            return None;
        }
        let sent = self.sent.as_ref()?;
        let (body, mac1, _) = parts(response)?;
        if !seal::equal(mac1, &mac_of(body, &self.identity.public())) {
            return None;
        }
        self.attempts += 1;
        let pair = &self.identity.pair;
        let (payload, split) = noise::read_second(pair, sent, self.psk.bytes(), body.get(PREFIX..)?)?;
        let (hello, rest) = read_hello(&payload)?;
        let index = u32::from_be_bytes(*rest.first_chunk()?) & frame::MAX_INDEX;
        self.sent = None;
        Some(Session::new((split.first, split.second), (self.index, index), true, hello))
    }
}

/// What is to be done about an initiation.
#[expect(clippy::large_enum_variant, reason = "it lives for a moment, and there is one")]
pub enum Verdict {
    /// `message` goes back where it came from; `session` is pending until something arrives under it.
    Answer { peer: PublicKey, message: Vec<u8>, session: Session },
    /// The same initiation was answered a moment ago, perhaps over another link: it gets the same answer.
    Again(Vec<u8>),
    /// Goes back where it came from.
    Cookie(Vec<u8>),
}

/// What an answer depends on beside the message.
pub struct Asked<'a> {
    /// The pre-shared key (zeros: none) and our instance for whoever may have a session.
    pub peer: &'a dyn Fn(&PublicKey) -> Option<(Secret, u16)>,
    /// Whether a peer's path leads where the message came from.
    pub is_here: &'a dyn Fn() -> bool,
    /// What the other end is to write to us, once it is known that there is an answer.
    pub index: &'a dyn Fn(Random) -> u32,
    pub random: Random<'a>,
}

struct Answered {
    initiation: [u8; 32],
    message: Vec<u8>,
    since: Time,
    left: u8,
}

impl Answered {
    /// Whoever captured an initiation can have its answer again, for a while: it is of no use without the initiator's keys.
    fn again(&mut self) -> Option<Verdict> {
        self.left = self.left.checked_sub(1)?;
        Some(Verdict::Again(self.message.clone()))
    }
}

/// Answers initiations, as one of our keys.
pub struct Responder {
    identity: Identity,
    secret: Option<([u8; 32], Time)>,
    answered: Vec<Answered>,
    limits: Limits,
}

impl Responder {
    pub fn new(identity: Identity) -> Self {
        Responder { identity, secret: None, answered: Vec::new(), limits: Limits::default() }
    }

    /// An initiation came from there. Where there are many a second, sources must show by a cookie that they receive at their address, and
    /// each of them has a limit. Nothing for whoever is to get no answer.
    pub fn receive(&mut self, message: &[u8], from: &Address, now: Time, asked: &mut Asked) -> Option<Verdict> {
        let Kind::Initiation { index: theirs } = frame::kind(message)? else { return None };
        if message.len() < INITIATION || message.len() > LONGEST {
            return None;
        }
        let (body, mac1, mac2) = parts(message)?;
        if !seal::equal(mac1, &mac_of(body, &self.identity.public())) {
            return None;
        }
        let initiation = seal::hash(&[body]);
        if let Some(answered) = self.answered(&initiation, now) {
            return answered.again();
        }
        let who = if (asked.is_here)() { Who::Here } else { Who::Anybody };
        if self.limits.busy(who, now) {
            let (bytes, length) = from.bytes();
            let cookie = seal::mac(self.secret(now, asked.random), &[bytes.get(..length).unwrap_or(&bytes)]);
            if !seal::equal(mac2, &seal::mac(&cookie, &[body, mac1])) {
                return Some(Verdict::Cookie(self.cookie_reply(theirs, cookie, mac1, asked.random)));
            }
            if !self.limits.source(from, now) {
                return None;
            }
        }
        if !self.limits.total(who, now) {
            return None;
        }
        let (prefix, body) = body.split_first_chunk::<PREFIX>()?;
        let mut known = None;
        let received = noise::read_first(&self.identity.pair, &[PROLOGUE, prefix], body, |remote| {
            known = (asked.peer)(&PublicKey(*remote));
            known.is_some()
        })?;
        let (hello, _) = read_hello(&received.payload)?;
        let peer = PublicKey(received.remote);
        let (psk, instance) = known?;
        let [a, b, c, d] = our_hello(instance);
        let index = (asked.index)(asked.random) & frame::MAX_INDEX;
        let [_, high, middle, low] = index.to_be_bytes();
        let payload = [a, b, c, d, 0, high, middle, low];
        let (body, split) = noise::write_second(received, &ephemeral(asked.random), psk.bytes(), &payload)?;
        let message = with_macs(&frame::prefix(Kind::Response { index: theirs }), &body, &peer);
        let session = Session::new((split.second, split.first), (index, theirs), false, hello);
        if self.answered.len() >= ANSWERS {
            self.answered.remove(0);
        }
        self.answered.push(Answered { initiation, message: message.clone(), since: now, left: AGAIN });
        Some(Verdict::Answer { peer, message, session })
    }

    /// The answer to this initiation, if there was one a while ago.
    fn answered(&mut self, initiation: &[u8; 32], now: Time) -> Option<&mut Answered> {
        self.answered.retain(|answered| now.since(answered.since) < ANSWERS_LAST);
        self.answered.iter_mut().find(|answered| answered.initiation == *initiation)
    }

    fn secret(&mut self, now: Time, random: Random) -> &[u8; 32] {
        self.secret.take_if(|(_, since)| now.since(*since) >= SECRET_LASTS);
        let (secret, _) = self.secret.get_or_insert_with(|| {
            let mut secret = [0; 32];
            random(&mut secret);
            (secret, now)
        });
        secret
    }

    fn cookie_reply(&self, index: u32, mut cookie: [u8; MAC], mac1: &[u8; MAC], random: Random) -> Vec<u8> {
        let mut nonce = [0; 24];
        random(&mut nonce);
        let tag = seal::long_seal(&cookie_key(&self.identity.public()), &nonce, mac1, &mut cookie);
        [&frame::prefix(Kind::Cookie { index })[..], &nonce, &cookie, &tag].concat()
    }
}

fn ephemeral(random: Random) -> Pair {
    let mut private = [0; 32];
    random(&mut private);
    let pair = Pair::new(&private);
    seal::wipe(&mut private);
    pair
}

const fn our_hello(instance: u16) -> [u8; HELLO.len()] {
    let ([minor, features, ..], [high, low]) = (HELLO, instance.to_be_bytes());
    [minor, features, high, low]
}

fn read_hello(payload: &[u8]) -> Option<(Hello, &[u8])> {
    let ([minor, features, high, low], rest) = payload.split_first_chunk()?;
    let instance = u16::from_be_bytes([*high, *low]);
    Some((Hello { minor: *minor, features: *features, instance }, rest))
}

/// A message as what mac1 is of, mac1, and mac2.
fn parts(message: &[u8]) -> Option<(&[u8], &[u8; MAC], &[u8; MAC])> {
    let (rest, mac2) = message.split_last_chunk()?;
    let (body, mac1) = rest.split_last_chunk()?;
    Some((body, mac1, mac2))
}

/// A message with its mac1, and no cookie.
fn with_macs(prefix: &[u8; PREFIX], body: &[u8], receiver: &PublicKey) -> Vec<u8> {
    let mut message = [&prefix[..], body].concat();
    let mac1 = mac_of(&message, receiver);
    message.extend_from_slice(&mac1);
    message.extend_from_slice(&[0; MAC]);
    message
}

fn mac_of(body: &[u8], receiver: &PublicKey) -> [u8; MAC] {
    seal::mac(&seal::hash(&[b"mac1----", &receiver.0]), &[body])
}

fn cookie_key(responder: &PublicKey) -> [u8; 32] {
    seal::hash(&[b"cookie--", &responder.0])
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
pub(super) mod tests;
