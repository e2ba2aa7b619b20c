//! Packets that are too long for a datagram travel as two pieces, each a data item with a sequence of its own: the last one's follows
//! the first one's. So a device may have a larger MTU than the paths carry, for the packets whose headers cannot be squeezed.
//!
//! The receiver puts them together after [`super::order`], which has dropped duplicates and knows when to wait no longer.

use super::item::SEQUENCES;
use crate::time::{Span, Time};

/// Packets of which one piece is there: of an ordered flow both come in turn, of others a turn of repair apart.
const MAX_HALVES: usize = 32;
/// Then the other piece does not come any more. Below the time in which a flow's 2^24 sequences come again.
const LIFE: Span = Span::from_secs(1);

/// Where a packet of `length` bytes is cut, so that no piece is longer than `room`: `None` if two pieces are not enough. The cut is in
/// the middle: pieces of equal size leave the most room for a path with a smaller MTU.
pub fn cut(length: usize, room: usize) -> Option<usize> {
    let first = length.div_ceil(2);
    (first <= room && length >= 2).then_some(first)
}

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece<'i> {
    pub last: bool,
    pub flow: u8,
    pub sequence: u32,
    pub pending: bool,
    pub bytes: &'i [u8],
}

/// Packets of one peer of which one piece is there.
#[derive(Debug, Default)]
pub struct Pieces {
    halves: Vec<Half>,
}

#[derive(Debug)]
struct Half {
    /// Of the first piece, whichever this is.
    flow: u8,
    sequence: u32,
    last: bool,
    pending: bool,
    came: Time,
    bytes: Vec<u8>,
}

impl Pieces {
    /// A piece came. True: with the other one it makes a packet, which is written to `out`.
    pub fn accept(&mut self, piece: &Piece, now: Time, out: &mut Vec<u8>) -> bool {
        let sequence = piece.sequence.wrapping_sub(piece.last.into()) % SEQUENCES;
        self.expire(now);
        let same = |half: &Half| half.flow == piece.flow && half.sequence == sequence;
        if let Some(at) = self.halves.iter().position(same) {
            let fits = |half: &Half| half.last != piece.last && half.pending == piece.pending;
            let Some(half) = Some(self.halves.remove(at)).filter(fits) else { return false };
            out.clear();
            let (first, last) = if piece.last { (&*half.bytes, piece.bytes) } else { (piece.bytes, &*half.bytes) };
            out.extend_from_slice(first);
            out.extend_from_slice(last);
            return true;
        }
        if self.halves.len() >= MAX_HALVES {
            self.halves.remove(0);
        }
        self.halves.push(Half {
            flow: piece.flow,
            sequence,
            last: piece.last,
            pending: piece.pending,
            came: now,
            bytes: piece.bytes.to_vec(),
        });
        false
    }

    /// Forgets packets whose other piece does not come.
    pub fn expire(&mut self, now: Time) {
        // The oldest are in front.
        let old = self.halves.iter().take_while(|half| now.since(half.came) >= LIFE).count();
        self.halves.drain(..old);
    }

    /// Bytes of memory.
    pub fn held(&self) -> usize {
        let bytes: usize = self.halves.iter().map(|half| half.bytes.capacity()).sum();
        bytes + self.halves.capacity() * size_of::<Half>()
    }

    /// The peer begins its sequences anew.
    pub fn reset(&mut self) {
        self.halves.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn piece(last: bool, sequence: u32, bytes: &[u8]) -> Piece<'_> {
        Piece { last, flow: 200, sequence, pending: false, bytes }
    }

    fn at(ms: u64) -> Time {
        Time(ms * 1_000)
    }

    #[test]
    fn two_pieces_make_a_packet_in_either_order() {
        let (mut pieces, mut out) = (Pieces::default(), vec![9]);
        assert!(!pieces.accept(&piece(false, SEQUENCES - 1, b"ab"), at(0), &mut out));
        assert!(!pieces.accept(&piece(true, 5, b"cd"), at(1), &mut out));
        assert_eq!(out, [9]);
        assert!(pieces.accept(&piece(true, 0, b"c"), at(2), &mut out));
        assert_eq!(out, b"abc");
        assert!(pieces.accept(&piece(false, 4, b"ab"), at(3), &mut out));
        assert_eq!(out, b"abcd");
        assert!(pieces.halves.is_empty());
    }

    #[test]
    fn what_does_not_belong_together_stays_apart() {
        let (mut pieces, mut out) = (Pieces::default(), Vec::new());
        pieces.accept(&piece(false, 1, b"ab"), at(0), &mut out);
        for other in [
            piece(true, 1, b"x"),
            piece(true, 3, b"x"),
            Piece { flow: 201, ..piece(true, 2, b"x") },
            Piece { pending: true, ..piece(true, 2, b"x") },
            piece(true, 2, b"the first one is gone"),
        ] {
            assert!(!pieces.accept(&other, at(0), &mut out), "{other:?}");
        }
    }

    #[test]
    fn halves_are_bounded_in_number_and_time() {
        let (mut pieces, mut out) = (Pieces::default(), Vec::new());
        for sequence in 0..100 {
            pieces.accept(&piece(false, sequence * 2, b"ab"), at(sequence.into()), &mut out);
            assert!(pieces.halves.len() <= MAX_HALVES);
        }
        assert!(!pieces.accept(&piece(true, 1, b"c"), at(100), &mut out));
        assert!(pieces.accept(&piece(true, 199, b"c"), at(100), &mut out));
        assert!(!pieces.accept(&piece(true, 197, b"c"), at(1_099), &mut out), "too late");
        pieces.expire(at(2_099));
        assert!(pieces.halves.is_empty());
    }

    proptest! {
        #[test]
        fn what_was_cut_is_put_together(packet in proptest::collection::vec(any::<u8>(), 0..300), room in 1usize..200) {
            match cut(packet.len(), room) {
                Some(at) => {
                    let (first, last) = packet.split_at(at);
                    prop_assert!(!last.is_empty() && first.len() <= room && last.len() <= room);
                    let (mut pieces, mut out) = (Pieces::default(), Vec::new());
                    pieces.accept(&piece(true, 1, last), Time(0), &mut out);
                    prop_assert!(pieces.accept(&piece(false, 0, first), Time(0), &mut out));
                    prop_assert_eq!(out, packet);
                }
                None => prop_assert!(packet.len() < 2 || packet.len() > 2 * room),
            }
        }
    }
}
