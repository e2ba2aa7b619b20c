//! Which packets of an unordered flow came.

use super::{BEHIND, ahead};

/// An unordered flow. Without a map nothing has come yet.
#[derive(Clone, Debug, Default)]
pub struct Window {
    pub highest: u32,
    /// Bit `s % BEHIND`: whether sequence s came.
    map: Option<Box<[u32; BEHIND as usize / 32]>>,
}

impl Window {
    /// Bytes of memory, beside its own.
    pub fn held(&self) -> usize {
        if self.map.is_some() { BEHIND as usize / 8 } else { 0 }
    }

    /// Notes a sequence: whether it came after a later one, `None` if it came before or is too old.
    pub fn note(&mut self, sequence: u32) -> Option<bool> {
        let distance = match self.map {
            Some(_) => ahead(sequence, self.highest),
            None => BEHIND as i32,
        };
        let map = self.map.get_or_insert_with(|| Box::new([0; BEHIND as usize / 32]));
        if distance <= -(BEHIND as i32) {
            return None;
        }
        if distance >= BEHIND as i32 {
            map.fill(0);
        } else {
            // Word by word: a peer's packets may all leap as far as can be.
            let (mut at, end) = (self.highest + 1, self.highest + 1 + distance.max(0) as u32);
            while at < end {
                let count = (32 - at % 32).min(end - at);
                *map.get_mut(place(at).0)? &= !((u32::MAX >> (32 - count)) << (at % 32));
                at += count;
            }
        }
        let (word, bit) = place(sequence);
        let word = map.get_mut(word)?;
        if *word & bit != 0 {
            return None;
        }
        *word |= bit;
        if distance > 0 {
            self.highest = sequence;
        }
        Some(distance < 0)
    }
}

fn place(sequence: u32) -> (usize, u32) {
    ((sequence % BEHIND / 32) as usize, 1 << (sequence % 32))
}
