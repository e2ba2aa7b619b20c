//! ChaCha20 (RFC 8439, 2.3 and 2.4), several blocks at once where the processor has the registers for it. Nothing depends on
//! the bytes of a key or of a text: only additions, exclusive ors and rotations by constants.

use crate::lanes::{Lanes, WIDE};

/// Bytes of a block of the key stream.
pub(crate) const BLOCK: usize = 64;
pub(crate) type Block = [u8; BLOCK];

/// A key stream, from its block 0 on.
pub(crate) struct Stream {
    state: [u32; 16],
    /// The latest blocks.
    blocks: [Block; WIDE],
}

impl Stream {
    /// The stream that encrypts a text of `size` bytes, and makes its Poly1305 key.
    #[inline(always)]
    pub(crate) fn new(key: &[u8; 32], nonce: &[u8; 12], size: usize) -> Self {
        let [one, two, three] = words(nonce);
        let mut stream = Stream { state: state(key, [0, one, two, three]), blocks: [[0; BLOCK]; WIDE] };
        stream.next(size.saturating_add(BLOCK));
        stream
    }

    /// The Poly1305 key (RFC 8439, 2.6): of block 0, before [`Stream::apply`].
    #[inline(always)]
    pub(crate) fn mac_key(&self) -> [u8; 32] {
        let (keys, _) = self.blocks.as_flattened().as_chunks::<32>();
        keys.first().copied().unwrap_or_default()
    }

    /// Encrypts or decrypts from block 1 on.
    #[inline(always)]
    pub(crate) fn apply(mut self, text: &mut [u8]) {
        let ahead = self.blocks.as_flattened().get(BLOCK..).unwrap_or_default();
        let (first, rest) = text.split_at_mut(ahead.len().min(text.len()));
        mix(first, ahead);
        for part in rest.chunks_mut(WIDE * BLOCK) {
            self.next(part.len());
            mix(part, self.blocks.as_flattened());
        }
    }

    /// The blocks that `size` bytes need, [`WIDE`] at most.
    #[inline(always)]
    fn next(&mut self, size: usize) {
        crate::lanes::fill(&self.state, &mut self.blocks, size);
        // RFC 8439 leaves open what follows block 2^32 - 1, after 256 GB: no datagram has them.
        self.state[12] = self.state[12].wrapping_add(WIDE as u32);
    }
}

/// By words: where the program around this is compiled for size, nothing else makes them of single bytes.
#[inline(always)]
fn mix(text: &mut [u8], stream: &[u8]) {
    let ((words, last), (keys, _)) = (text.as_chunks_mut::<16>(), stream.as_chunks::<16>());
    let done = words.len() * 16;
    for (word, key) in words.iter_mut().zip(keys) {
        *word = (u128::from_ne_bytes(*word) ^ u128::from_ne_bytes(*key)).to_ne_bytes();
    }
    let rest = stream.get(done..).unwrap_or_default();
    last.iter_mut().zip(rest).for_each(|(byte, key)| *byte ^= key);
}

/// HChaCha20 (draft-irtf-cfrg-xchacha-03, 2.2): the key for the rest of a long nonce.
pub(crate) fn derive(key: &[u8; 32], nonce: &[u8; 16]) -> [u8; 32] {
    let mut rows = state(key, words(nonce));
    rounds(&mut rows);
    let mut derived = [0; 32];
    let (first, last) = (&rows[..4], &rows[12..]);
    for (out, word) in derived.as_chunks_mut().0.iter_mut().zip(first.iter().chain(last)) {
        *out = word.to_le_bytes();
    }
    derived
}

fn state(key: &[u8; 32], end: [u32; 4]) -> [u32; 16] {
    let mut state = [0; 16];
    // "expand 32-byte k"
    state[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    state[4..12].copy_from_slice(&words::<8>(key));
    state[12..].copy_from_slice(&end);
    state
}

#[inline(always)]
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// As many blocks as `L` has lanes: of `state`, and with the next numbers.
#[inline(always)]
pub(crate) fn blocks<L: Lanes>(state: &[u32; 16]) -> [L; 16] {
    let mut start = state.map(L::all);
    start[12] = start[12].plus(L::numbers());
    let mut rows = start;
    rounds(&mut rows);
    for (row, start) in rows.iter_mut().zip(start) {
        *row = row.plus(start);
    }
    rows
}

#[inline(always)]
fn rounds<L: Lanes>(rows: &mut [L; 16]) {
    for _ in 0..10 {
        quarter(rows, 0, 4, 8, 12);
        quarter(rows, 1, 5, 9, 13);
        quarter(rows, 2, 6, 10, 14);
        quarter(rows, 3, 7, 11, 15);
        quarter(rows, 0, 5, 10, 15);
        quarter(rows, 1, 6, 11, 12);
        quarter(rows, 2, 7, 8, 13);
        quarter(rows, 3, 4, 9, 14);
    }
}

#[inline(always)]
fn quarter<L: Lanes>(rows: &mut [L; 16], a: usize, b: usize, c: usize, d: usize) {
    rows[a] = rows[a].plus(rows[b]);
    rows[d] = rows[d].xor(rows[a]).turn::<16, 16>();
    rows[c] = rows[c].plus(rows[d]);
    rows[b] = rows[b].xor(rows[c]).turn::<12, 20>();
    rows[a] = rows[a].plus(rows[b]);
    rows[d] = rows[d].xor(rows[a]).turn::<8, 24>();
    rows[c] = rows[c].plus(rows[d]);
    rows[b] = rows[b].xor(rows[c]).turn::<7, 25>();
}
