//! The primitives of the bond: ChaCha20-Poly1305 (RFC 8439) and its variant with long nonces, X25519 (RFC 7748), BLAKE2s (RFC 7693)
//! and HMAC of it (RFC 2104).
//!
//! A crate of its own for one reason: the program is compiled for size, which makes the cipher several times slower. What is
//! generic is compiled where it is used, so every use is here, in functions that are neither generic nor inlined.
#![no_std]
#![deny(unsafe_code)]

use blake2::digest::consts::U16;
use blake2::digest::{FixedOutput, KeyInit, Update};
use blake2::{Blake2s256, Blake2sMac, Digest};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroize;

use chacha::Stream;

mod chacha;
mod lanes;
mod poly;

/// Bytes of a tag.
pub const TAG: usize = 16;
/// Bytes of a key, a hash, and of either side's part of a key agreement.
pub const KEY: usize = 32;

/// A key of ChaCha20-Poly1305. Wiped when dropped.
#[derive(Clone)]
pub struct Key([u8; KEY]);

impl Key {
    pub const fn new(key: &[u8; KEY]) -> Self {
        Key(*key)
    }

    /// Encrypts `text` in place. A nonce is for one text only.
    #[inline(never)]
    pub fn seal(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8]) -> [u8; TAG] {
        let stream = Stream::new(&self.0, nonce, text.len());
        let key = stream.mac_key();
        stream.apply(text);
        poly::tag(&key, ad, text)
    }

    /// Decrypts `text` in place. False, and `text` is as it was, if anything was sealed otherwise.
    #[inline(never)]
    pub fn open(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8], tag: &[u8; TAG]) -> bool {
        let stream = Stream::new(&self.0, nonce, text.len());
        let genuine = equal(&poly::tag(&stream.mac_key(), ad, text), tag);
        if genuine {
            stream.apply(text);
        }
        genuine
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// As [`Key::seal`], with XChaCha20-Poly1305: its nonces are long enough to be random.
#[inline(never)]
pub fn long_seal(key: &[u8; KEY], nonce: &[u8; 24], ad: &[u8], text: &mut [u8]) -> [u8; TAG] {
    let (key, nonce) = shorten(key, nonce);
    key.seal(&nonce, ad, text)
}

/// Undoes [`long_seal`], as [`Key::open`].
#[inline(never)]
pub fn long_open(key: &[u8; KEY], nonce: &[u8; 24], ad: &[u8], text: &mut [u8], tag: &[u8; TAG]) -> bool {
    let (key, nonce) = shorten(key, nonce);
    key.open(&nonce, ad, text, tag)
}

/// The key and the nonce that stand for one with a long nonce (draft-irtf-cfrg-xchacha-03, 2.3).
fn shorten(key: &[u8; KEY], nonce: &[u8; 24]) -> (Key, [u8; 12]) {
    let mut short = [0; 12];
    let [first @ .., a, b, c, d, e, f, g, h] = nonce;
    short[4..].copy_from_slice(&[*a, *b, *c, *d, *e, *f, *g, *h]);
    (Key(chacha::derive(key, first)), short)
}

/// The public key of a private one, which may be any bytes: X25519 fixes the five bits that must not vary.
#[inline(never)]
pub fn public_key(private: &[u8; KEY]) -> [u8; KEY] {
    // By the ladder, as agreements: no table of multiples for a handshake in two minutes.
    x25519(*private, X25519_BASEPOINT_BYTES)
}

/// What two sides have in common. `None` if `public` is one of the few points that agree on the same with everybody
/// (RFC 7748, 6.1).
#[inline(never)]
pub fn agree(private: &[u8; KEY], public: &[u8; KEY]) -> Option<[u8; KEY]> {
    let shared = x25519(*private, *public);
    (!equal(&shared, &[0; KEY])).then_some(shared)
}

/// BLAKE2s of the parts, one after the other.
#[inline(never)]
pub fn hash(parts: &[&[u8]]) -> [u8; KEY] {
    let mut hash = Blake2s256::new();
    for part in parts {
        Digest::update(&mut hash, part);
    }
    hash.finalize().into()
}

/// HMAC with BLAKE2s, as Noise derives keys with it. A key's bytes after the 64th do not count: there are none.
#[inline(never)]
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; KEY] {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let (mut inner_pad, mut outer_pad) = (pad(0x36), pad(0x5c));
    let mut inner = Blake2s256::new();
    Digest::update(&mut inner, inner_pad);
    for part in parts {
        Digest::update(&mut inner, part);
    }
    let done = hash(&[&outer_pad, &inner.finalize()]);
    wipe(&mut inner_pad);
    wipe(&mut outer_pad);
    done
}

/// BLAKE2s with a key and 16 bytes of output: the `Mac` of WireGuard's paper. A key's first 32 bytes count.
#[inline(never)]
pub fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; TAG] {
    let key = key.get(..KEY).unwrap_or(key);
    let Ok(mut mac) = <Blake2sMac<U16> as KeyInit>::new_from_slice(key) else { return [0; TAG] };
    for part in parts {
        Update::update(&mut mac, part);
    }
    mac.finalize_fixed().into()
}

/// Whether both are the same, in a time that tells nothing about where they differ.
#[inline(never)]
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    let differ = one.iter().zip(other).fold(0, |sum, (one, other)| sum | (one ^ other));
    one.len() == other.len() && core::hint::black_box(differ) == 0
}

/// Overwrites a secret, even if nothing reads it any more.
#[inline(never)]
pub fn wipe(secret: &mut [u8]) {
    secret.zeroize();
}

#[cfg(test)]
mod tests;
