//! Keys as people handle them: 32 bytes, written as 44 characters of base64 (RFC 4648, 4), as WireGuard's are.

use core::fmt;

/// Bytes of any key.
pub const KEY: usize = seal::KEY;
/// Characters of a written key; the last is `=`.
pub const WRITTEN: usize = 44;

/// Who a peer is. Anybody may know it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; KEY]);

impl PublicKey {
    /// Of its written form: as [`Secret::read`].
    pub fn read(text: &str) -> Option<Self> {
        Secret::read(text).map(|key| PublicKey(*key.bytes()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&write(&self.0)).unwrap_or_default())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A private or a pre-shared key. Wiped when dropped, and never part of what is logged.
#[derive(Clone)]
pub struct Secret([u8; KEY]);

impl Secret {
    pub const fn new(bytes: [u8; KEY]) -> Self {
        Secret(bytes)
    }

    /// `random` made a private key, with the bits set that X25519 sets (RFC 7748, 5): other programs show such keys.
    pub const fn private(mut random: [u8; KEY]) -> Self {
        random[0] &= 248;
        random[KEY - 1] = random[KEY - 1] & 127 | 64;
        Secret(random)
    }

    /// Of its written form: 44 characters, no bit that does not count.
    pub fn read(text: &str) -> Option<Self> {
        let text: &[u8; WRITTEN] = text.as_bytes().try_into().ok()?;
        let mut key = Secret([0; KEY]);
        let mut wrong = 0;
        let last = [text[WRITTEN - 4], text[WRITTEN - 3], text[WRITTEN - 2], b'A'];
        let groups = text[..WRITTEN - 4].as_chunks::<4>().0.iter().chain([&last]);
        for (group, place) in groups.zip(key.0.chunks_mut(3)) {
            let bits = group.iter().fold(0, |bits, character| {
                let value = value(*character);
                wrong |= value >> 8;
                bits << 6 | u32::from(value & 63)
            });
            place.copy_from_slice(&bits.to_be_bytes()[1..][..place.len()]);
            wrong |= if place.len() < 3 { (bits & 0xFF) as u16 } else { 0 };
        }
        (wrong == 0 && text[WRITTEN - 1] == b'=').then_some(key)
    }

    pub const fn bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(seal::public_key(&self.0))
    }

    /// The written form, for whoever asked for just that.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&write(&self.0)).into_owned()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        seal::wipe(&mut self.0);
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        seal::equal(&self.0, &other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

fn write(key: &[u8; KEY]) -> [u8; WRITTEN] {
    let mut text = [b'='; WRITTEN];
    for (bytes, place) in key.chunks(3).zip(text.as_chunks_mut::<4>().0) {
        let byte = |at: usize| u32::from(bytes.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, place) in place.iter_mut().enumerate().take(bytes.len() + 1) {
            *place = character((bits >> (18 - 6 * at)) as u8 & 63);
        }
    }
    text
}

/// All ones if `value` is from `first` to `last`, else 0. No branch and no table: how long it takes tells nothing.
const fn within(value: u8, first: u8, last: u8) -> u16 {
    let (value, first, last) = (value as i32, first as i32, last as i32);
    (((first - 1 - value) & (value - last - 1)) >> 16) as u16
}

/// The character that stands for six bits.
const fn character(value: u8) -> u8 {
    let plain = value as u16;
    ((within(value, 0, 25) & plain.wrapping_add(b'A' as u16))
        | (within(value, 26, 51) & plain.wrapping_add(b'a' as u16 - 26))
        | (within(value, 52, 61) & plain.wrapping_sub(52 - b'0' as u16))
        | (within(value, 62, 62) & b'+' as u16)
        | (within(value, 63, 63) & b'/' as u16)) as u8
}

/// The six bits that a character stands for; above 255 if it stands for none.
const fn value(character: u8) -> u16 {
    let plain = character as u16;
    let letter = within(character, b'A', b'Z') & plain.wrapping_sub(b'A' as u16)
        | within(character, b'a', b'z') & plain.wrapping_sub(b'a' as u16 - 26)
        | within(character, b'0', b'9') & plain.wrapping_add(52 - b'0' as u16)
        | within(character, b'+', b'+') & 62
        | within(character, b'/', b'/') & 63;
    let known = within(character, b'A', b'Z')
        | within(character, b'a', b'z')
        | within(character, b'0', b'9')
        | within(character, b'+', b'+')
        | within(character, b'/', b'/');
    letter | !known & 0x100
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    #[test]
    fn every_character_and_no_other() {
        for value in 0..64 {
            assert_eq!(character(value), ALPHABET[usize::from(value)]);
        }
        for byte in 0..=255 {
            let known = ALPHABET.iter().position(|known| *known == byte);
            assert_eq!(value(byte), known.map_or(0x100, |value| value as u16), "{byte}");
        }
    }

    #[test]
    fn as_others_write_them() {
        // Python's base64.
        let key = Secret::new(core::array::from_fn(|at| at as u8));
        assert_eq!(key.written(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let key = Secret::new([0xFF; KEY]);
        assert_eq!(key.written(), "//////////////////////////////////////////8=");
        // RFC 7748, 6.1: Alice's.
        let alice = Secret::read("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=").unwrap();
        assert_eq!(alice.public().to_string(), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
    }

    #[test]
    fn a_written_key_is_44_characters_exactly() {
        let right = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        assert!(Secret::read(right).is_some());
        for wrong in [
            "",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8==",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", // a bit that does not count
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh=8",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH-8=",
            " AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "äECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ] {
            assert_eq!(Secret::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn secrets_stay_out_of_logs() {
        assert_eq!(format!("{:?}", Secret::new([1; KEY])), "(secret)");
    }

    proptest! {
        #[test]
        fn writing_is_undone(key in any::<[u8; KEY]>()) {
            let text = PublicKey(key).to_string();
            prop_assert_eq!(PublicKey::read(&text), Some(PublicKey(key)));
        }

        #[test]
        fn one_text_is_one_key(text in "[A-Za-z0-9+/]{42}[A-Za-z0-9+/=]{2}") {
            if let Some(key) = Secret::read(&text) {
                prop_assert_eq!(key.written(), text);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), close in "[A-Za-z0-9+/=ä ]{40,46}") {
            let _ = (Secret::read(&text), Secret::read(&close));
        }
    }
}
