//! Parity: on a path that loses packets, each group of them is followed by their exclusive or, so that the far end makes the one
//! that is missing itself. To send it again takes a round trip, in which a TCP stream above thinks of congestion.
//!
//! A group is 2^K packets of a path whose counters differ in the last K bits alone. Words between the two ends count as nothing, and so
//! does a parity, which follows its group at once by the same path. Two that are missing in a group are sent again, as ever.
//!
//! The item: kind (1), K and which pieces of the sum this is (1), the group's number (1, its last 8 bits), the exclusive or of the items'
//! lengths (2, big endian), then that of the items themselves, each filled up with zeros. A sum that is too long for a datagram comes in
//! two pieces.

use super::control;

/// The first byte of the item. Others are in `item` and `control`.
const KIND: u8 = 0x21;
/// Bytes before the sum.
const HEAD: usize = 5;
/// Losses in a thousand from which on parity is sent, and below which it is sent no more.
const BEGIN: u32 = 3;
const END: u32 = 1;
/// Groups of 32 cost a path 3 % and make good 73 of 100 losses where one packet in a hundred is lost. Smaller ones make good more, and cost
/// BBR more than they bring (simulated with up to ten losses in a hundred); a cubic gains nothing by them that would show, and without any
/// parity loses a fifth to a third over two links that lose (tests/bench/RESULTS.md).
const K: u8 = 5;
/// Of a counter: the packet's place in its group.
const PLACE: u64 = (1 << K) - 1;
/// Groups that a receiver knows: a path hardly mixes packets that are 32 apart.
const GROUPS: usize = 4;
/// No item is longer; what claims to be is no sum of ours.
const LONGEST: usize = 9_216;
/// Groups without a parity after which a receiver takes no sums any more.
const PATIENCE: u64 = 8;

/// The exclusive or of items, and of their lengths.
#[derive(Clone, Debug, Default)]
struct Sum {
    length: u16,
    bytes: Vec<u8>,
}

impl Sum {
    fn add(&mut self, item: &[u8]) {
        self.length ^= item.len() as u16;
        self.add_at(0, item);
    }

    fn add_at(&mut self, offset: usize, bytes: &[u8]) {
        if self.bytes.len() < offset + bytes.len() {
            self.bytes.resize(offset + bytes.len(), 0);
        }
        let Some(target) = self.bytes.get_mut(offset..offset + bytes.len()) else { return };
        // Words: this program is compiled for size, and this is done to every packet.
        let ((target, last), (bytes, rest)) = (target.as_chunks_mut::<8>(), bytes.as_chunks::<8>());
        for (target, bytes) in target.iter_mut().zip(bytes) {
            *target = (u64::from_ne_bytes(*target) ^ u64::from_ne_bytes(*bytes)).to_ne_bytes();
        }
        for (target, byte) in last.iter_mut().zip(rest) {
            *target ^= byte;
        }
    }

    fn clear(&mut self) {
        self.length = 0;
        self.bytes.clear();
    }
}

/// Which pieces of a group's sum are there: a set.
const FIRST: u8 = 1;
const LAST: u8 = 2;
const WHOLE: u8 = FIRST | LAST;

/// The sending side of a path.
#[derive(Debug, Default)]
pub struct Giver {
    gives: bool,
    /// What the next packet's counter has to be for the sum to be its group's.
    next: Option<u64>,
    sum: Sum,
}

impl Giver {
    /// How many of a thousand packets this path loses.
    pub fn loss(&mut self, permille: u32) {
        // Not to and fro with every loss.
        let gives = permille >= if self.gives { END } else { BEGIN };
        if gives != self.gives {
            *self = Giver { gives, ..Giver::default() };
        }
    }

    /// An item left with this counter. True: it was its group's last one, whose parity is to follow.
    pub fn sent(&mut self, counter: u64, item: &[u8]) -> bool {
        if !self.gives {
            return false;
        }
        let place = counter & PLACE;
        if place == 0 {
            self.sum.clear();
        } else if self.next != Some(counter) {
            self.next = None;
            return false;
        }
        self.next = Some(counter + 1);
        if counts(item) {
            self.sum.add(item);
        }
        place == PLACE && !self.sum.bytes.is_empty()
    }

    /// Bytes of memory.
    pub fn held(&self) -> usize {
        self.sum.bytes.capacity()
    }

    /// Writes the parity of the group whose last packet was just sent: one item, or two where they have `room` for no more bytes. The
    /// sum is gone then.
    pub fn write(&mut self, room: usize, pieces: &mut [Vec<u8>; 2]) {
        let group = self.next.unwrap_or(0).wrapping_sub(1) >> K;
        let cut = self.sum.bytes.len().min(room.saturating_sub(HEAD));
        let (first, last) = self.sum.bytes.split_at(cut);
        let [high, low] = self.sum.length.to_be_bytes();
        let head = |which: u8| [KIND, K << 4 | which, group as u8, high, low];
        let [one, two] = pieces;
        one.clear();
        two.clear();
        one.extend(head(if last.is_empty() { WHOLE } else { FIRST }));
        one.extend(first);
        if !last.is_empty() {
            two.extend(head(LAST));
            // Where it belongs.
            two.extend((cut as u16).to_be_bytes());
            two.extend(last);
        }
    }
}

/// The receiving side of a path, made when the first parity comes by it.
#[derive(Debug)]
pub struct Taker {
    session: u32,
    groups: [Group; GROUPS],
    /// The latest group of which a parity came.
    latest: u64,
}

#[derive(Clone, Debug, Default)]
struct Group {
    number: u64,
    /// Bit i: the i-th of its packets is in the sum.
    seen: u32,
    pieces: u8,
    sum: Sum,
}

impl Taker {
    /// Of the session in which `item`, a parity, came. `None`: it is none.
    pub fn new(session: u32, item: &[u8]) -> Option<Self> {
        parse(item)?;
        Some(Taker { session, groups: Default::default(), latest: u64::MAX })
    }

    /// Bytes of memory.
    pub fn held(&self) -> usize {
        size_of::<Self>() + self.groups.iter().map(|group| group.sum.bytes.capacity()).sum::<usize>()
    }

    /// Whether it still serves the path: `session` is the packet's.
    pub fn serves(&self, session: u32, counter: u64) -> bool {
        session == self.session && (self.latest == u64::MAX || counter >> K <= self.latest.saturating_add(PATIENCE))
    }

    /// A packet came, with this item, which may be a parity. The item that was missing, if that is known now. What is not to be trusted does
    /// not come here: items are of a session's packets.
    pub fn received(&mut self, counter: u64, item: &[u8]) -> Option<Vec<u8>> {
        let mut found = None;
        if let Some(parity) = parse(item) {
            // It is of a group before its own, as a rule the last.
            let back = (counter >> K).wrapping_sub(u64::from(parity.group)) & 0xff;
            if let Some(number) = (counter >> K).checked_sub(back)
                && let Some(group) = self.group(number)
                && group.pieces & parity.pieces == 0
            {
                group.pieces |= parity.pieces;
                if parity.pieces & FIRST != 0 {
                    group.sum.length ^= parity.length;
                }
                group.sum.add_at(parity.offset, parity.bytes);
                found = self.missing(number);
            }
            self.latest = counter >> K;
        }
        let (number, bit) = (counter >> K, 1u32 << (counter & PLACE));
        if let Some(group) = self.group(number)
            && group.seen & bit == 0
        {
            group.seen |= bit;
            if counts(item) {
                group.sum.add(item);
            }
            found = found.or_else(|| self.missing(number));
        }
        found
    }

    /// A group's place: a newer one takes an older one's.
    fn group(&mut self, number: u64) -> Option<&mut Group> {
        let group = self.groups.get_mut((number % GROUPS as u64) as usize)?;
        if group.number != number {
            if group.number > number {
                return None;
            }
            (group.number, group.seen, group.pieces) = (number, 0, 0);
            group.sum.clear();
        }
        Some(group)
    }

    /// The only packet of a group that is missing, once. An empty one did not count.
    fn missing(&mut self, number: u64) -> Option<Vec<u8>> {
        let group = self.groups.get_mut((number % GROUPS as u64) as usize)?;
        let missing = !group.seen;
        if group.pieces != WHOLE || missing.count_ones() != 1 {
            return None;
        }
        group.seen = u32::MAX;
        let length = usize::from(group.sum.length);
        (length > 0 && length <= group.sum.bytes.len()).then(|| {
            group.sum.bytes.truncate(length);
            group.sum.bytes.clone()
        })
    }
}

/// Whether an item is one of these, by its first byte.
pub fn is_parity(item: &[u8]) -> bool {
    item.first() == Some(&KIND)
}

/// Whether an item is summed up.
fn counts(item: &[u8]) -> bool {
    !control::is_control(item) && !is_parity(item)
}

struct Parsed<'i> {
    pieces: u8,
    group: u8,
    length: u16,
    offset: usize,
    bytes: &'i [u8],
}

fn parse(item: &[u8]) -> Option<Parsed<'_>> {
    let (&[kind, shape, group, high, low], bytes) = item.split_first_chunk::<HEAD>()?;
    let (k, pieces, length) = (shape >> 4, shape & 15, u16::from_be_bytes([high, low]));
    let (offset, bytes) = match pieces {
        FIRST | WHOLE => (0, bytes),
        LAST => bytes.split_first_chunk().map(|(at, bytes)| (usize::from(u16::from_be_bytes(*at)), bytes))?,
        _ => return None,
    };
    let fits = kind == KIND && k == K && offset + bytes.len() <= LONGEST;
    fits.then_some(Parsed { pieces, group, length, offset, bytes })
}

#[cfg(test)]
#[path = "parity_tests.rs"]
mod tests;
