//! The outside of a datagram: what can be told of it without any key.
//!
//! | bytes | data | initiation | response | cookie |
//! |---|---|---|---|---|
//! | 0, high nibble | 4 | 1 | 2 | 3 |
//! | 0, low nibble | path | version, 1 | version, 1 | version, 1 |
//! | 1–3 | receiver's index | sender's index | receiver's index | receiver's index |
//! | then | counter (4), item, tag (16) | see [`handshake`](super::handshake) | | |
//!
//! Everything is big endian. The counter is the low half of one of 64 bits; header and whole counter are authenticated.

/// Bytes before a data datagram's item.
pub const HEADER: usize = 8;
/// Bytes after it.
pub const TAG: usize = seal::TAG;
/// What the tunnel adds to an item on a wire: header and tag, UDP's, IPv4's and Ethernet's. Of small packets it is the greater part.
pub const OUTER: usize = HEADER + TAG + 8 + 20 + 14;
/// Bytes before a handshake message.
pub const PREFIX: usize = 4;
/// A counter's path is in the low nibble of the first byte.
pub const MAX_PATHS: usize = 16;
/// A receiver's index has 24 bits.
pub const MAX_INDEX: u32 = 0xFF_FFFF;

/// Changes when an older program could not read a newer one's handshake at all.
pub const VERSION: u8 = 1;

/// One link to a peer, as both ends number it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PathId(u8);

impl PathId {
    /// `None` from [`MAX_PATHS`] on.
    pub const fn new(number: u8) -> Option<Self> {
        if (number as usize) < MAX_PATHS { Some(PathId(number)) } else { None }
    }

    /// Below [`MAX_PATHS`].
    pub const fn index(self) -> usize {
        (self.0 & 0xF) as usize
    }

    pub const fn number(self) -> u8 {
        self.0 & 0xF
    }

    pub fn all() -> impl Iterator<Item = PathId> {
        (0..MAX_PATHS as u8).map(PathId)
    }
}

/// What a datagram claims to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `index` is its sender's, for the answer.
    Initiation {
        index: u32,
    },
    /// `index` is its receiver's, as in the other two: that of the initiation it answers.
    Response {
        index: u32,
    },
    Cookie {
        index: u32,
    },
    Data {
        path: PathId,
        index: u32,
    },
}

/// `None` for what is none of ours: too short, another version, another type.
pub fn kind(datagram: &[u8]) -> Option<Kind> {
    let [first, index @ ..] = *datagram.first_chunk::<PREFIX>()?;
    let [high, middle, low] = index;
    let index = u32::from_be_bytes([0, high, middle, low]);
    let (kind, rest) = (first >> 4, first & 0xF);
    match (kind, rest) {
        (DATA, path) if datagram.len() >= HEADER + TAG => Some(Kind::Data { path: PathId(path), index }),
        (INITIATION, VERSION) => Some(Kind::Initiation { index }),
        (RESPONSE, VERSION) => Some(Kind::Response { index }),
        (COOKIE, VERSION) => Some(Kind::Cookie { index }),
        _ => None,
    }
}

/// The version of a handshake message that is of another than ours.
pub fn other_version(datagram: &[u8]) -> Option<u8> {
    let [first, ..] = *datagram.first_chunk::<PREFIX>()?;
    let (kind, version) = (first >> 4, first & 0xF);
    (matches!(kind, INITIATION | RESPONSE | COOKIE) && version != VERSION).then_some(version)
}

const INITIATION: u8 = 1;
const RESPONSE: u8 = 2;
const COOKIE: u8 = 3;
const DATA: u8 = 4;

/// The first four bytes of a datagram. An index's upper byte is cut off.
pub const fn prefix(kind: Kind) -> [u8; PREFIX] {
    let (first, index) = match kind {
        Kind::Initiation { index } => (INITIATION << 4 | VERSION, index),
        Kind::Response { index } => (RESPONSE << 4 | VERSION, index),
        Kind::Cookie { index } => (COOKIE << 4 | VERSION, index),
        Kind::Data { path, index } => (DATA << 4 | path.number(), index),
    };
    let [_, high, middle, low] = index.to_be_bytes();
    [first, high, middle, low]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_says_what_it_is() {
        let path = PathId::new(15).unwrap();
        for kind in [
            Kind::Initiation { index: 1 },
            Kind::Response { index: 0x01_0203 },
            Kind::Cookie { index: 0 },
            Kind::Data { path, index: MAX_INDEX },
        ] {
            let mut datagram = prefix(kind).to_vec();
            datagram.resize(HEADER + TAG, 0);
            assert_eq!(super::kind(&datagram), Some(kind));
        }
        assert_eq!(prefix(Kind::Data { path, index: 0xAB_CDEF }), [0x4F, 0xAB, 0xCD, 0xEF]);
        assert_eq!(PathId::new(16), None);
        assert_eq!(PathId::all().count(), MAX_PATHS);
    }

    #[test]
    fn other_versions_types_and_lengths_are_not_ours() {
        let long = |first: u8| [&[first, 0, 0, 1][..], &[0; 40]].concat();
        for first in [0x00, 0x10, 0x12, 0x22, 0x3F, 0x51, 0xFF] {
            assert_eq!(kind(&long(first)), None, "{first:#x}");
        }
        assert!(kind(&long(0x40)).is_some());
        let versions = [0x22, 0x3F, 0x10, 0x21, 0x42, 0x02].map(|first| other_version(&long(first)));
        assert_eq!(versions, [Some(2), Some(15), Some(0), None, None, None]);
        assert_eq!(other_version(&[0x22, 0, 0]), None);
        assert_eq!(kind(&long(0x40)[..HEADER + TAG - 1]), None);
        assert_eq!(kind(&[0x11, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(known) = kind(&bytes) {
                prop_assert_eq!(&prefix(known)[..], &bytes[..PREFIX]);
            }
        }
    }
}
