//! With 32-bit words.

/// The bits that may be set in r's words.
const CLAMP: [u32; 4] = [0x0fff_ffff, 0x0fff_fffc, 0x0fff_fffc, 0x0fff_fffc];

pub(super) struct Sum {
    h: [u32; 5],
    r: [u32; 4],
}

#[inline(always)]
fn product(one: u32, other: u32) -> u64 {
    u64::from(one) * u64::from(other)
}

const fn low(value: u64) -> u32 {
    value as u32
}

const fn high(value: u64) -> u64 {
    value >> 32
}

#[inline(always)]
fn words(bytes: &[u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

impl Sum {
    #[inline(always)]
    pub(super) fn new(r: &[u8; 16]) -> Self {
        let mut r = words(r);
        r.iter_mut().zip(CLAMP).for_each(|(word, clamp)| *word &= clamp);
        Sum { h: [0; 5], r }
    }

    /// Whole blocks.
    #[inline(never)]
    pub(super) fn add(&mut self, blocks: &[[u8; 16]]) {
        let ([mut h0, mut h1, mut h2, mut h3, mut h4], [r0, r1, r2, r3]) = (self.h, self.r);
        // What 2^128 times each is, modulo 2^130 - 5: their lowest two bits are none.
        let (s1, s2, s3) = (r1 + (r1 >> 2), r2 + (r2 >> 2), r3 + (r3 >> 2));
        for block in blocks {
            let [m0, m1, m2, m3] = words(block);
            let sum0 = u64::from(h0) + u64::from(m0);
            let sum1 = u64::from(h1) + u64::from(m1) + high(sum0);
            let sum2 = u64::from(h2) + u64::from(m2) + high(sum1);
            let sum3 = u64::from(h3) + u64::from(m3) + high(sum2);
            (h0, h1, h2, h3) = (low(sum0), low(sum1), low(sum2), low(sum3));
            h4 += low(high(sum3)) + 1;
            // r's words are below 2^28, s's below 2^29 and h4 is below 8, so nothing overflows.
            let d0 = product(h0, r0) + product(h1, s3) + product(h2, s2) + product(h3, s1);
            let d1 = product(h0, r1) + product(h1, r0) + product(h2, s3) + product(h3, s2) + u64::from(h4 * s1);
            let d2 = product(h0, r2) + product(h1, r1) + product(h2, r0) + product(h3, s3) + u64::from(h4 * s2);
            let d3 = product(h0, r3) + product(h1, r2) + product(h2, r1) + product(h3, r0) + u64::from(h4 * s3);
            let d1 = d1 + high(d0);
            let d2 = d2 + high(d1);
            let d3 = d3 + high(d2);
            let d4 = h4 * r0 + low(high(d3));
            // All above 2^130 counts five times, below.
            let sum0 = u64::from(low(d0)) + u64::from((d4 >> 2) + (d4 & !3));
            let sum1 = u64::from(low(d1)) + high(sum0);
            let sum2 = u64::from(low(d2)) + high(sum1);
            let sum3 = u64::from(low(d3)) + high(sum2);
            (h0, h1, h2, h3, h4) = (low(sum0), low(sum1), low(sum2), low(sum3), (d4 & 3) + low(high(sum3)));
        }
        self.h = [h0, h1, h2, h3, h4];
    }

    #[inline(always)]
    pub(super) fn finish(self, s: &[u8; 16]) -> [u8; 16] {
        let [low_words @ .., h4] = self.h;
        let h = low_words.iter().rev().fold(0, |sum: u128, word| sum << 32 | u128::from(*word));
        // h is below 2 p: less p, if it is not below p. That is, if 5 more reach 2^130.
        let (less, carry) = h.overflowing_add(5);
        let mask = 0u128.wrapping_sub(u128::from((h4 + u32::from(carry)) >> 2 & 1));
        let reduced = h & !mask | less & mask;
        reduced.wrapping_add(u128::from_le_bytes(*s)).to_le_bytes()
    }
}
