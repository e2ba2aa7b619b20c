//! With the processor's vectors. Their functions are unsafe for one reason, that a processor may lack them: none here takes a
//! pointer.
#![allow(unsafe_code)]
#![expect(clippy::missing_transmute_annotations, reason = "the fields and signatures beside it say both types")]

#[cfg(target_arch = "aarch64")]
use core::arch::aarch64::*;
#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::*;
use core::mem::transmute;

use super::Lanes;
use crate::chacha::{BLOCK, Block, blocks};

/// Blocks that are made at once, at most.
pub(crate) const WIDE: usize = 8;

#[cfg(target_arch = "x86_64")]
cpufeatures::new!(avx2, "avx2");

/// Makes the blocks that `size` bytes need, or all that `out` takes.
#[inline(always)]
pub(crate) fn fill(state: &[u32; 16], out: &mut [Block; WIDE], size: usize) {
    // Fewer than four cost less by fours, which wake no wider vectors up.
    #[cfg(target_arch = "x86_64")]
    if avx2::get() {
        // SAFETY: the processor has AVX2.
        return unsafe { eight(state, out) };
    }
    let mut state = *state;
    for out in out.as_chunks_mut::<4>().0.iter_mut().take(size.div_ceil(4 * BLOCK)) {
        four(&state, out);
        state[12] = state[12].wrapping_add(4);
    }
}

#[inline(never)]
fn four(state: &[u32; 16], out: &mut [Block; 4]) {
    let rows = blocks::<Four>(state);
    for (at, rows) in rows.as_chunks::<4>().0.iter().enumerate() {
        for (block, four) in out.iter_mut().zip(turned(rows, Four::zip)) {
            put(block, at, four.bytes());
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx2")]
fn eight(state: &[u32; 16], out: &mut [Block; 8]) {
    let rows = blocks::<Eight>(state);
    let [first, second] = out.as_chunks_mut::<4>().0 else { return };
    for (at, rows) in rows.as_chunks::<4>().0.iter().enumerate() {
        for ((low, high), eight) in first.iter_mut().zip(&mut *second).zip(turned(rows, Eight::zip)) {
            let [first, second] = eight.bytes();
            put(low, at, first);
            put(high, at, second);
        }
    }
}

#[inline(always)]
fn put(block: &mut Block, at: usize, words: [u8; 16]) {
    if let Some(place) = block.as_chunks_mut::<16>().0.get_mut(at) {
        *place = words;
    }
}

/// Rows of lanes become lanes of rows, four by four. `zip` takes lanes of one and of the other by turns: the first half of all,
/// and the second.
#[inline(always)]
fn turned<V: Copy>(&[a, b, c, d]: &[V; 4], zip: impl Fn(V, V) -> (V, V)) -> [V; 4] {
    let ((ac, ac_high), (bd, bd_high)) = (zip(a, c), zip(b, d));
    let ((first, second), (third, fourth)) = (zip(ac, bd), zip(ac_high, bd_high));
    [first, second, third, fourth]
}

/// Calls what computes with vectors.
macro_rules! vector {
    ($computation:expr) => {
        // SAFETY: SSE2 is a part of x86_64, as NEON is of aarch64; and what uses `Eight` is compiled for AVX2. Of `transmute`:
        // any bytes are valid, and the low one is the first on both.
        unsafe { $computation }
    };
}

#[cfg(target_arch = "x86_64")]
macro_rules! x86 {
    ($name:ident, $vector:ty, $bytes:ty, $all:ident, $plus:ident, $xor:ident, $or:ident, $left:ident, $right:ident, $low:ident,
        $high:ident) => {
        #[derive(Clone, Copy)]
        struct $name($vector);

        impl $name {
            #[inline(always)]
            fn zip(self, other: Self) -> (Self, Self) {
                vector!(($name($low(self.0, other.0)), $name($high(self.0, other.0))))
            }

            #[inline(always)]
            fn bytes(self) -> $bytes {
                vector!(transmute(self.0))
            }
        }

        impl Lanes for $name {
            #[inline(always)]
            fn numbers() -> Self {
                let mut numbers = [0; size_of::<$vector>() / 4];
                numbers.iter_mut().zip(0..).for_each(|(lane, number): (&mut u32, u32)| *lane = number);
                $name(vector!(transmute(numbers)))
            }

            #[inline(always)]
            fn all(word: u32) -> Self {
                $name(vector!($all(word as i32)))
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                $name(vector!($plus(self.0, other.0)))
            }

            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                $name(vector!($xor(self.0, other.0)))
            }

            #[inline(always)]
            fn turn<const LEFT: i32, const RIGHT: i32>(self) -> Self {
                $name(vector!($or($left::<LEFT>(self.0), $right::<RIGHT>(self.0))))
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
x86!(
    Four,
    __m128i,
    [u8; 16],
    _mm_set1_epi32,
    _mm_add_epi32,
    _mm_xor_si128,
    _mm_or_si128,
    _mm_slli_epi32,
    _mm_srli_epi32,
    _mm_unpacklo_epi32,
    _mm_unpackhi_epi32
);
#[cfg(target_arch = "x86_64")]
x86!(
    Eight,
    __m256i,
    [[u8; 16]; 2],
    _mm256_set1_epi32,
    _mm256_add_epi32,
    _mm256_xor_si256,
    _mm256_or_si256,
    _mm256_slli_epi32,
    _mm256_srli_epi32,
    _mm256_unpacklo_epi32,
    _mm256_unpackhi_epi32
);

#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy)]
struct Four(uint32x4_t);

#[cfg(target_arch = "aarch64")]
impl Four {
    #[inline(always)]
    fn zip(self, other: Self) -> (Self, Self) {
        vector!((Four(vzip1q_u32(self.0, other.0)), Four(vzip2q_u32(self.0, other.0))))
    }

    #[inline(always)]
    fn bytes(self) -> [u8; 16] {
        vector!(transmute(self.0))
    }
}

#[cfg(target_arch = "aarch64")]
impl Lanes for Four {
    #[inline(always)]
    fn numbers() -> Self {
        Four(vector!(transmute([0u32, 1, 2, 3])))
    }

    #[inline(always)]
    fn all(word: u32) -> Self {
        Four(vector!(vdupq_n_u32(word)))
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Four(vector!(vaddq_u32(self.0, other.0)))
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Four(vector!(veorq_u32(self.0, other.0)))
    }

    #[inline(always)]
    fn turn<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        Four(vector!(vsliq_n_u32::<LEFT>(vshrq_n_u32::<RIGHT>(self.0), self.0)))
    }
}
