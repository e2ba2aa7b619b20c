//! Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s: the two handshake messages of the Noise Protocol Framework, revision 34.
//!
//! ```text
//! <- s
//! ...
//! -> e, es, s, ss
//! <- e, ee, se, psk
//! ```
//! Names are the framework's. It is written out by hand, checked against published vectors, because a general implementation
//! costs more bytes than all of a bond's cryptography.

use seal::{KEY, Key, TAG};

const NAME: &[u8] = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";

/// The first message's bytes besides its payload: ephemeral key, sealed static key, tag of the payload.
pub const FIRST: usize = KEY + KEY + TAG + TAG;
/// The second one's.
pub const SECOND: usize = KEY + TAG;

/// A private key with its public one. Wiped when dropped.
#[derive(Clone)]
pub struct Pair {
    private: [u8; KEY],
    public: [u8; KEY],
}

impl Pair {
    pub fn new(private: &[u8; KEY]) -> Self {
        Pair { private: *private, public: seal::public_key(private) }
    }

    pub const fn public(&self) -> &[u8; KEY] {
        &self.public
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        seal::wipe(&mut self.private);
    }
}

/// What a handshake amounts to: a key for each direction.
pub struct Split {
    /// For what the initiator sends.
    pub first: Key,
    /// For what the responder sends.
    pub second: Key,
    /// The transcript's hash: the same at both ends, and at no other handshake's.
    pub hash: [u8; KEY],
}

/// The initiator between its message and the answer.
pub struct Sent {
    state: Symmetric,
    ephemeral: Pair,
}

/// `None` if `remote` is no key that anybody can have.
pub fn write_first(
    own: &Pair,
    ephemeral: Pair,
    remote: &[u8; KEY],
    prologue: &[&[u8]],
    payload: &[u8],
) -> Option<(Sent, Vec<u8>)> {
    let mut state = Symmetric::new(prologue, remote);
    let mut out = Vec::with_capacity(FIRST + payload.len());
    state.mix_ephemeral(&ephemeral.public);
    out.extend_from_slice(&ephemeral.public);
    state.mix_agreed(&ephemeral, remote)?;
    state.encrypt(&own.public, &mut out);
    state.mix_agreed(own, remote)?;
    state.encrypt(payload, &mut out);
    Some((Sent { state, ephemeral }, out))
}

/// The responder between the first message and its answer.
pub struct Received {
    state: Symmetric,
    /// Whose message it is: authentic.
    pub remote: [u8; KEY],
    ephemeral: [u8; KEY],
    pub payload: Vec<u8>,
}

/// `known` is asked about the sender before its key has been proven.
pub fn read_first(
    own: &Pair,
    prologue: &[&[u8]],
    message: &[u8],
    known: impl FnOnce(&[u8; KEY]) -> bool,
) -> Option<Received> {
    let mut state = Symmetric::new(prologue, &own.public);
    let (ephemeral, rest) = message.split_first_chunk::<KEY>()?;
    let (fixed, payload) = rest.split_at_checked(KEY + TAG)?;
    state.mix_ephemeral(ephemeral);
    state.mix_agreed(own, ephemeral)?;
    let remote = state.decrypt(fixed)?.try_into().ok()?;
    if !known(&remote) {
        return None;
    }
    state.mix_agreed(own, &remote)?;
    let payload = state.decrypt(payload)?;
    Some(Received { state, remote, ephemeral: *ephemeral, payload })
}

/// The answer and the keys.
pub fn write_second(received: Received, ephemeral: &Pair, psk: &[u8; KEY], payload: &[u8]) -> Option<(Vec<u8>, Split)> {
    let Received { mut state, remote, ephemeral: theirs, .. } = received;
    let mut out = Vec::with_capacity(SECOND + payload.len());
    state.mix_ephemeral(&ephemeral.public);
    out.extend_from_slice(&ephemeral.public);
    state.mix_agreed(ephemeral, &theirs)?;
    state.mix_agreed(ephemeral, &remote)?;
    state.mix_key_and_hash(psk);
    state.encrypt(payload, &mut out);
    Some((out, state.split()))
}

/// The payload and the keys. What is no answer to `sent` changes nothing; the real one may still come.
pub fn read_second(own: &Pair, sent: &Sent, psk: &[u8; KEY], message: &[u8]) -> Option<(Vec<u8>, Split)> {
    let (theirs, payload) = message.split_first_chunk::<KEY>()?;
    let mut state = sent.state.clone();
    state.mix_ephemeral(theirs);
    state.mix_agreed(&sent.ephemeral, theirs)?;
    state.mix_agreed(own, theirs)?;
    state.mix_key_and_hash(psk);
    let payload = state.decrypt(payload)?;
    Some((payload, state.split()))
}

/// The framework's SymmetricState with its CipherState.
#[derive(Clone)]
struct Symmetric {
    chaining: [u8; KEY],
    hash: [u8; KEY],
    cipher: Key,
    nonce: u64,
}

impl Symmetric {
    /// With the prologue and the responder's key, which both know before.
    fn new(prologue: &[&[u8]], responder: &[u8; KEY]) -> Self {
        // NAME is longer than a hash, so that its hash stands for it.
        let name = seal::hash(&[NAME]);
        let parts: Vec<&[u8]> = core::iter::once(&name[..]).chain(prologue.iter().copied()).collect();
        let mut state = Symmetric { chaining: name, hash: seal::hash(&parts), cipher: Key::new(&[0; KEY]), nonce: 0 };
        state.mix_hash(responder);
        state
    }

    fn mix_hash(&mut self, data: &[u8]) {
        self.hash = seal::hash(&[&self.hash, data]);
    }

    /// Token `e`; with a psk somewhere, it counts towards the key as well (section 9.2).
    fn mix_ephemeral(&mut self, public: &[u8; KEY]) {
        self.mix_hash(public);
        self.mix_key(public);
    }

    fn mix_agreed(&mut self, own: &Pair, public: &[u8; KEY]) -> Option<()> {
        let mut agreed = seal::agree(&own.private, public)?;
        self.mix_key(&agreed);
        seal::wipe(&mut agreed);
        Some(())
    }

    fn mix_key(&mut self, input: &[u8]) {
        let [chaining, mut key, _] = derive(&self.chaining, input);
        self.chaining = chaining;
        self.rekey(&mut key);
    }

    fn mix_key_and_hash(&mut self, input: &[u8]) {
        let [chaining, hash, mut key] = derive(&self.chaining, input);
        self.chaining = chaining;
        self.mix_hash(&hash);
        self.rekey(&mut key);
    }

    fn rekey(&mut self, key: &mut [u8; KEY]) {
        self.cipher = Key::new(key);
        self.nonce = 0;
        seal::wipe(key);
    }

    fn encrypt(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(plain);
        let nonce = self.next_nonce();
        if let Some(text) = out.get_mut(start..) {
            let tag = self.cipher.seal(&nonce, &self.hash, text);
            out.extend_from_slice(&tag);
        }
        self.hash = seal::hash(&[&self.hash, out.get(start..).unwrap_or_default()]);
    }

    fn decrypt(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (text, tag) = sealed.split_last_chunk::<TAG>()?;
        let mut text = text.to_vec();
        let nonce = self.next_nonce();
        let authentic = self.cipher.open(&nonce, &self.hash, &mut text, tag);
        self.mix_hash(sealed);
        authentic.then_some(text)
    }

    const fn next_nonce(&mut self) -> [u8; 12] {
        let [a, b, c, d, e, f, g, h] = self.nonce.to_le_bytes();
        self.nonce = self.nonce.saturating_add(1);
        [0, 0, 0, 0, a, b, c, d, e, f, g, h]
    }

    fn split(self) -> Split {
        let [mut first, mut second, _] = derive(&self.chaining, &[]);
        let split = Split { first: Key::new(&first), second: Key::new(&second), hash: self.hash };
        seal::wipe(&mut first);
        seal::wipe(&mut second);
        split
    }
}

impl Drop for Symmetric {
    fn drop(&mut self) {
        seal::wipe(&mut self.chaining);
    }
}

/// The framework's HKDF (RFC 5869 without info), three outputs.
fn derive(chaining: &[u8; KEY], input: &[u8]) -> [[u8; KEY]; 3] {
    let mut key = seal::hmac(chaining, &[input]);
    let first = seal::hmac(&key, &[&[1]]);
    let second = seal::hmac(&key, &[&first, &[2]]);
    let third = seal::hmac(&key, &[&second, &[3]]);
    seal::wipe(&mut key);
    [first, second, third]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn pair(hex: &str) -> Pair {
        Pair::new(&bytes(hex).try_into().unwrap())
    }

    /// The vector for this protocol in vectors/cacophony.txt of github.com/haskell-cryptography/cacophony.
    #[test]
    fn the_published_vector() {
        let initiator = pair("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1");
        let responder = pair("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893");
        let remote = bytes("31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62");
        assert_eq!(&responder.public[..], &remote[..]);
        let psk: [u8; KEY] = *b"This is my Austrian perspective!";
        let prologue: &[&[u8]] = &[b"John", b" Galt"];

        let ephemeral = pair("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a");
        let (sent, first) =
            write_first(&initiator, ephemeral, &responder.public, prologue, b"Ludwig von Mises").unwrap();
        let expected = "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de9f98ddd8e2ad57527207feb5\
            6253c9c94a9e496782ecfcb2a75fbcaf1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985464cf17e51\
            ee93109008399a21f7e13f";
        assert_eq!(first, bytes(expected));

        let received = read_first(&responder, prologue, &first, |_| true).unwrap();
        assert_eq!(received.remote, initiator.public);
        assert_eq!(received.payload, b"Ludwig von Mises");
        let ephemeral = pair("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b");
        let (second, responders) = write_second(received, &ephemeral, &psk, b"Murray Rothbard").unwrap();
        let expected = "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2caef0751b8f007572dab03222\
            17755c0632f365717edbf34d33e87a";
        assert_eq!(second, bytes(expected));

        let (payload, initiators) = read_second(&initiator, &sent, &psk, &second).unwrap();
        assert_eq!(payload, b"Murray Rothbard");
        for split in [initiators, responders] {
            let hash = "f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5";
            assert_eq!(&split.hash[..], &bytes(hash)[..]);
            // Its four transport messages, two each way, with the framework's nonces.
            for (key, nonce, text, sealed) in [
                (&split.first, 0, &b"F. A. Hayek"[..], "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7"),
                (&split.second, 0, b"Carl Menger", "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef"),
                (
                    &split.first,
                    1,
                    b"Jean-Baptiste Say",
                    "6ab1467c0448cc78394494abaaf23afce0e234315d6e2624dcbfa8a21c1c4d073d",
                ),
                (
                    &split.second,
                    1,
                    b"Eugen B\xf6hm von Bawerk",
                    "dfc346c0d2296ae6cf1acf6f12b8456a1dba228cf8d8b774aacf1c47fc53aa80ebc7a4c292",
                ),
            ] {
                let mut text = text.to_vec();
                let tag = key.seal(&[0, 0, 0, 0, nonce, 0, 0, 0, 0, 0, 0, 0], &[], &mut text);
                text.extend_from_slice(&tag);
                assert_eq!(text, bytes(sealed));
            }
        }
    }

    #[test]
    fn nothing_that_differs_agrees() {
        let (one, other, third) = (Pair::new(&[1; KEY]), Pair::new(&[2; KEY]), Pair::new(&[3; KEY]));
        let first = |to: &Pair| write_first(&one, Pair::new(&[4; KEY]), &to.public, &[b"p"], b"x").unwrap();
        let (sent, message) = first(&other);
        assert!(read_first(&other, &[b"q"], &message, |_| true).is_none(), "another prologue");
        assert!(read_first(&third, &[b"p"], &message, |_| true).is_none(), "another responder");
        assert!(read_first(&other, &[b"p"], &message, |_| false).is_none(), "an unknown initiator");
        let answer = |psk| {
            let received = read_first(&other, &[b"p"], &message, |key| *key == one.public).unwrap();
            write_second(received, &Pair::new(&[5; KEY]), psk, b"y").unwrap().0
        };
        assert!(read_second(&one, &sent, &[0; KEY], &answer(&[9; KEY])).is_none(), "another psk");
        assert!(read_second(&one, &first(&third).0, &[0; KEY], &answer(&[0; KEY])).is_none(), "another handshake");
        assert!(read_second(&third, &sent, &[0; KEY], &answer(&[0; KEY])).is_none(), "another identity");
        assert!(read_second(&one, &sent, &[0; KEY], &answer(&[0; KEY])).is_some());
        assert!(write_first(&one, Pair::new(&[4; KEY]), &[0; KEY], &[], b"").is_none(), "a point of low order");
    }
}
