extern crate std;

use std::vec::Vec;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

fn up_from<const N: usize>(first: u8) -> [u8; N] {
    core::array::from_fn(|at| first.wrapping_add(at as u8))
}

const SUNSCREEN: &[u8] =
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
    sunscreen would be it.";
const AD: &str = "50515253c0c1c2c3c4c5c6c7";

#[test]
fn chacha20_poly1305_of_rfc_8439_2_8_2() {
    let (key, nonce, ad) = (Key::new(&up_from(0x80)), array("070000004041424344454647"), bytes(AD));
    let mut text = SUNSCREEN.to_vec();
    let tag = key.seal(&nonce, &ad, &mut text);
    let sealed = "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b\
        1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7\
        a9de576d26586cec64b6116";
    assert_eq!(text, bytes(sealed));
    assert_eq!(tag, array("1ae10b594f09e26a7e902ecbd0600691"));
    assert!(key.open(&nonce, &ad, &mut text, &tag));
    assert_eq!(text, SUNSCREEN);
}

#[test]
fn xchacha20_poly1305_of_the_draft_a_3_1() {
    // draft-irtf-cfrg-xchacha-03
    let (key, nonce, ad) = (up_from(0x80), up_from(0x40), bytes(AD));
    let mut text = SUNSCREEN.to_vec();
    let tag = long_seal(&key, &nonce, &ad, &mut text);
    let sealed = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39\
        ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637\
        da9768812f615c68b13b52e";
    assert_eq!(text, bytes(sealed));
    assert_eq!(tag, array("c0875924c1c7987947deafd8780acf49"));
    assert!(!long_open(&key, &nonce, &[], &mut text, &tag));
    assert!(long_open(&key, &nonce, &ad, &mut text, &tag));
    assert_eq!(text, SUNSCREEN);
}

/// Sizes around the blocks of every way the cipher is computed in.
#[test]
fn one_bit_anywhere_is_noticed_and_nothing_is_changed() {
    let (key, nonce) = (Key::new(&up_from(1)), [7; 12]);
    for size in [0, 1, 15, 16, 17, 63, 64, 65, 255, 256, 257, 511, 513, 1400] {
        let plain: Vec<u8> = (0..size).map(|at: usize| at as u8).collect();
        let mut sealed = plain.clone();
        let tag = key.seal(&nonce, b"head", &mut sealed);
        assert!(size < 15 || sealed != plain);
        for bit in (0..size * 8).step_by(7) {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let before = forged.clone();
            assert!(!key.open(&nonce, b"head", &mut forged, &tag), "bit {bit} of {size} bytes");
            assert_eq!(forged, before);
        }
        for bit in 0..128 {
            let mut other = tag;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.open(&nonce, b"head", &mut sealed, &other));
        }
        assert!(!key.open(&nonce, b"heaD", &mut sealed, &tag) && !key.open(&[8; 12], b"head", &mut sealed, &tag));
        assert!(key.open(&nonce, b"head", &mut sealed, &tag));
        assert_eq!(sealed, plain);
    }
}

#[test]
fn x25519_of_rfc_7748_5_2() {
    for (scalar, point, product) in [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ] {
        assert_eq!(agree(&array(scalar), &array(point)), Some(array(product)));
    }
    let mut nine = [0; 32];
    nine[0] = 9;
    assert_eq!(public_key(&nine), array("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
    let (mut scalar, mut point) = (nine, nine);
    for _ in 0..1000 {
        (scalar, point) = (agree(&scalar, &point).unwrap(), scalar);
    }
    assert_eq!(scalar, array("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

#[test]
fn points_of_low_order_agree_with_nobody() {
    // Their list: cr.yp.to/ecdh.html, "validate public keys".
    for point in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        assert_eq!(agree(&up_from(1), &array(point)), None, "{point}");
    }
    assert!(agree(&up_from(1), &public_key(&up_from(2))).is_some());
}

/// RFC 7693, appendix B; the others are Python's hashlib's and hmac's.
#[test]
fn blake2s() {
    assert_eq!(hash(&[b"a", b"", b"bc"]), array("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"));
    let text: [u8; 200] = up_from(0);
    let (first, second) = text.split_at(77);
    assert_eq!(mac(&up_from::<32>(0), &[first, second]), array("42a6f8ff590af21b512e9e088257aa34"));
    assert_eq!(mac(&up_from::<16>(0), &[]), array("af4e5d3bb230e9ff9096ca6f7c501f76"));
    let long = array("543eec9b22646365ef782d72dae137cc761d018005f8d33d0f20bfbd01e62974");
    assert_eq!(hmac(&up_from::<32>(0), &[first, second]), long);
    assert_eq!(hmac(&[], &[]), array("eaf4bb25938f4d20e72656bbbc7a9bf63c0c18537333c35bdb67db1402661acd"));
}

#[test]
fn equal_is_equal() {
    assert!(equal(b"", b"") && equal(b"abc", b"abc"));
    assert!(!equal(b"abc", b"abd") && !equal(b"abc", b"ab") && !equal(b"", b"a"));
}

#[test]
fn wiped_is_zero() {
    let mut secret = [7; 40];
    wipe(&mut secret);
    assert_eq!(secret, [0; 40]);
}

/// Another implementation agrees, whatever the key, and for every number of blocks and of bytes left over.
mod oracle {
    use chacha20poly1305::aead::inout::InOutBuf;
    use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, XChaCha20Poly1305};
    use proptest::prelude::*;

    use super::*;

    fn same(key: [u8; 32], nonce: [u8; 24], ad: &[u8], plain: &[u8]) {
        let [short @ .., _, _, _, _, _, _, _, _, _, _, _, _] = nonce;
        let (mut ours, mut theirs) = (plain.to_vec(), plain.to_vec());
        let tag = Key::new(&key).seal(&short, ad, &mut ours);
        let cipher = ChaCha20Poly1305::new(&key.into());
        let other = cipher.encrypt_inout_detached(&short.into(), ad, InOutBuf::from(&mut theirs[..])).unwrap();
        assert_eq!((&ours, tag.as_slice()), (&theirs, other.as_slice()));
        assert!(Key::new(&key).open(&short, ad, &mut theirs, &tag));
        assert_eq!(theirs, plain);
        let (mut ours, mut theirs) = (plain.to_vec(), plain.to_vec());
        let tag = long_seal(&key, &nonce, ad, &mut ours);
        let cipher = XChaCha20Poly1305::new(&key.into());
        let other = cipher.encrypt_inout_detached(&nonce.into(), ad, InOutBuf::from(&mut theirs[..])).unwrap();
        assert_eq!((&ours, tag.as_slice()), (&theirs, other.as_slice()));
    }

    #[test]
    fn agrees_on_texts_of_every_size() {
        let plain: Vec<u8> = (0..2200usize).map(|at| (at * at) as u8).collect();
        for size in 0..plain.len() {
            same(up_from(size as u8), up_from(9), &plain[..size % 50], &plain[..size]);
        }
        let long: Vec<u8> = (0..70_000usize).map(|at| ((at * at) >> 3) as u8).collect();
        same(up_from(1), up_from(2), b"", &long);
    }

    proptest! {
        #[test]
        fn agrees_on_any_text(key: [u8; 32], nonce: [u8; 24],
            ad in prop::collection::vec(any::<u8>(), 0..40), text in prop::collection::vec(any::<u8>(), 0..2000)) {
            same(key, nonce, &ad, &text);
        }
    }
}
