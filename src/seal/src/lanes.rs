//! One 32-bit word of several blocks, side by side in a vector: 8 with AVX2, which is asked for at run time, 4 with SSE2 and
//! NEON, which every x86_64 and aarch64 has, and one elsewhere.

/// What ChaCha20 does with words.
pub(crate) trait Lanes: Copy {
    /// Each lane's number.
    fn numbers() -> Self;
    fn all(word: u32) -> Self;
    fn plus(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    /// Rotates to the left. Both together are 32.
    fn turn<const LEFT: i32, const RIGHT: i32>(self) -> Self;
}

impl Lanes for u32 {
    #[inline(always)]
    fn numbers() -> Self {
        0
    }

    #[inline(always)]
    fn all(word: u32) -> Self {
        word
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn turn<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        self.rotate_left(LEFT as u32)
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vectors;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use vectors::{WIDE, fill};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod scalar {
    use crate::chacha::{Block, blocks};

    /// Blocks that are made at once, at most.
    pub(crate) const WIDE: usize = 1;

    /// Makes the blocks that `size` bytes need, or all that `out` takes.
    #[inline(never)]
    pub(crate) fn fill(state: &[u32; 16], out: &mut [Block; WIDE], _size: usize) {
        let words = blocks::<u32>(state);
        for (out, word) in out.as_flattened_mut().as_chunks_mut().0.iter_mut().zip(words) {
            *out = word.to_le_bytes();
        }
    }
}
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) use scalar::{WIDE, fill};
