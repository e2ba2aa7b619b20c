//! Poly1305 (RFC 8439, 2.5), in words of the machine: `h`, three of 64 bits or five of 32, is below 2^131 between blocks. No
//! branch and no index depends on a key or a text.

#[cfg(target_pointer_width = "64")]
mod wide;
#[cfg(target_pointer_width = "64")]
use wide as limbs;

#[cfg(not(target_pointer_width = "64"))]
mod narrow;
#[cfg(not(target_pointer_width = "64"))]
use narrow as limbs;

use limbs::Sum;

/// The tag of RFC 8439, 2.8: of `ad`, of `text` and of their sizes.
#[inline(always)]
pub(crate) fn tag(key: &[u8; 32], ad: &[u8], text: &[u8]) -> [u8; 16] {
    let (halves, _) = key.as_chunks::<16>();
    let (r, s) = (halves.first().copied().unwrap_or_default(), halves.last().copied().unwrap_or_default());
    let mut sum = Sum::new(&r);
    padded(&mut sum, ad);
    padded(&mut sum, text);
    let sizes = (text.len() as u128) << 64 | ad.len() as u128;
    sum.add(&[sizes.to_le_bytes()]);
    sum.finish(&s)
}

/// With zeros up to a whole block.
#[inline(always)]
fn padded(sum: &mut Sum, bytes: &[u8]) {
    let (blocks, rest) = bytes.as_chunks();
    sum.add(blocks);
    if !rest.is_empty() {
        let mut block = [0; 16];
        block.iter_mut().zip(rest).for_each(|(byte, rest)| *byte = *rest);
        sum.add(&[block]);
    }
}
