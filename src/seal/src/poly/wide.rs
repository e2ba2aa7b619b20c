//! With 64-bit words.

/// The bits that may be set in r.
const CLAMP: u128 = 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff;

pub(super) struct Sum {
    h: [u64; 3],
    r: [u64; 2],
}

#[inline(always)]
fn product(one: u64, other: u64) -> u128 {
    u128::from(one) * u128::from(other)
}

const fn low(value: u128) -> u64 {
    value as u64
}

const fn high(value: u128) -> u64 {
    (value >> 64) as u64
}

impl Sum {
    #[inline(always)]
    pub(super) fn new(r: &[u8; 16]) -> Self {
        let r = u128::from_le_bytes(*r) & CLAMP;
        Sum { h: [0; 3], r: [low(r), high(r)] }
    }

    /// Whole blocks.
    #[inline(never)]
    pub(super) fn add(&mut self, blocks: &[[u8; 16]]) {
        let ([mut h0, mut h1, mut h2], [r0, r1]) = (self.h, self.r);
        // What 2^128 r1 is, modulo 2^130 - 5: the lowest two bits of r1 are none.
        let s1 = r1 + (r1 >> 2);
        for block in blocks {
            let block = u128::from_le_bytes(*block);
            let sum0 = u128::from(h0) + u128::from(low(block));
            let sum1 = u128::from(h1) + u128::from(high(block)) + u128::from(high(sum0));
            (h0, h1) = (low(sum0), low(sum1));
            h2 += high(sum1) + 1;
            // r's words are below 2^60 and h2 is below 8, so nothing overflows.
            let d0 = product(h0, r0) + product(h1, s1);
            let d1 = product(h0, r1) + product(h1, r0) + u128::from(h2 * s1) + u128::from(high(d0));
            let d2 = h2 * r0 + high(d1);
            // All above 2^130 counts five times, below.
            let five = u128::from((d2 >> 2) + (d2 & !3));
            let sum0 = u128::from(low(d0)) + five;
            let sum1 = u128::from(low(d1)) + u128::from(high(sum0));
            (h0, h1, h2) = (low(sum0), low(sum1), (d2 & 3) + high(sum1));
        }
        self.h = [h0, h1, h2];
    }

    #[inline(always)]
    pub(super) fn finish(self, s: &[u8; 16]) -> [u8; 16] {
        let [h0, h1, h2] = self.h;
        let h = u128::from(h1) << 64 | u128::from(h0);
        // h is below 2 p: less p, if it is not below p. That is, if 5 more reach 2^130.
        let (less, carry) = h.overflowing_add(5);
        let mask = 0u128.wrapping_sub(u128::from((h2 + u64::from(carry)) >> 2 & 1));
        let reduced = h & !mask | less & mask;
        reduced.wrapping_add(u128::from_le_bytes(*s)).to_le_bytes()
    }
}
