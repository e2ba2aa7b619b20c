//! The Internet checksum (RFC 1071), wherever one is made or looked at.

/// The sum of 16-bit words as they are in memory: its bytes' order is memory's as well (RFC 1071, 2 B). An odd byte at the end is a
/// word's first.
pub fn words(bytes: &[u8]) -> u64 {
    let mut sum = 0u64;
    let mut rest = bytes;
    // A chunk adds less than 2³⁴, a packet less than 2⁴⁶ then.
    while let Some((chunk, left)) = rest.split_first_chunk::<16>() {
        let number = u128::from_ne_bytes(*chunk);
        sum += (number & 0xffff_ffff) as u64 + (number >> 32 & 0xffff_ffff) as u64;
        sum += (number >> 64 & 0xffff_ffff) as u64 + (number >> 96) as u64;
        rest = left;
    }
    while let Some((chunk, left)) = rest.split_first_chunk::<2>() {
        sum += u64::from(u16::from_ne_bytes(*chunk));
        rest = left;
    }
    rest.first().map_or(sum, |last| sum + u64::from(u16::from_ne_bytes([*last, 0])))
}

/// What the pseudo-header adds (RFC 9293 3.1, RFC 8200 8.1): `addresses` are both, as a header has them; `length` is that of the
/// transport header and what follows, in bytes.
pub fn pseudo(addresses: &[u8], protocol: u8, length: usize) -> u64 {
    let [high, low] = [(length >> 16) as u16, length as u16];
    words(addresses) + [protocol.into(), high, low].map(|word: u16| u64::from(word.to_be())).iter().sum::<u64>()
}

/// A sum in one word, not yet complemented: zero only if everything was.
pub fn fold(sum: u64) -> u16 {
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// The checksum itself, of all words that it covers.
pub fn closed(sum: u64) -> [u8; 2] {
    (!fold(sum)).to_ne_bytes()
}

/// The same for a header that may be UDP's: there zero means none (RFC 768), and to the other protocols all ones say as much.
pub fn closed_transport(sum: u64) -> [u8; 2] {
    match closed(sum) {
        [0, 0] => [0xff; 2],
        sum => sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_rfc_1071s() {
        let sum = |bytes: &[u8]| fold(words(bytes)).to_ne_bytes();
        // RFC 1071, section 3.
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), [0xdd, 0xf2]);
        assert_eq!((sum(&[]), sum(&[0xAB]), sum(&[0xFF; 65_535])), ([0, 0], [0xAB, 0], [0xFF, 0]));
        for length in 0..70 {
            let bytes: Vec<u8> = (0..length).map(|n: u8| n.wrapping_mul(37)).collect();
            let by_two = bytes
                .chunks(2)
                .fold(0u64, |sum, two| sum + (u64::from(two[0]) << 8) + two.get(1).map_or(0, |low| u64::from(*low)));
            assert_eq!(sum(&bytes), fold(by_two).to_be_bytes(), "{length}");
        }
    }

    #[test]
    fn a_length_of_more_than_a_word_counts_whole() {
        assert_eq!(fold(pseudo(&[], 6, 0x0001_0002)).to_ne_bytes(), [0, 9]);
    }
}
