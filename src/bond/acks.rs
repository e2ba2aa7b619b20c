//! Acknowledgments that need not be sent: where the way up is too slow for all of a fast download's (they are one for two packets),
//! they wait, and the next one says all that the last one says. It takes its place.
//!
//! What TCP counts is kept: an acknowledgment that repeats the last number without a word about packets beyond it (RFC 5681,
//! "duplicate"), and marks of congestion (RFC 3168). A superset of selective acknowledgments (RFC 2018) says what the subset said.

use super::flow::{Layout, Packet};
use super::store::Slot;
use crate::packet::numbers::TCP;
use crate::packet::numbers::flags::ACK;

/// Waiting ones that are known, one for each flow. Where more flows wait, the oldest one's leaves as it is.
const MOST: usize = 16;
/// TCP's option with selective acknowledgments, RFC 2018.
const SACK: u8 = 5;

/// What an acknowledgment says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Said {
    /// Of the flow's addresses and ports.
    flow: u32,
    /// The next byte that is expected.
    number: u32,
    /// The blocks beyond it that have come: first byte, and the one after the last. Unused ones are empty, and at `number`.
    blocks: [(u32, u32); 4],
}

/// How far `a` is ahead of `b`.
fn ahead(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

impl Said {
    /// What a packet of this flow says, if it is an acknowledgment and nothing else.
    pub fn read(packet: &Packet, flow: u32) -> Option<Self> {
        let layout = Layout::of(packet.head).filter(|layout| layout.protocol == TCP && !layout.fragment)?;
        let header = packet.head.get(layout.transport..)?;
        let length = usize::from(header.get(12)? >> 4) * 4;
        if header.get(13) != Some(&ACK) || length != header.len() || !packet.body.is_empty() {
            return None;
        }
        let number = word(header, 8)?;
        let mut blocks = [(number, number); 4];
        let mut options = header.get(20..)?;
        while let [kind, rest @ ..] = options {
            options = match (kind, rest) {
                (0, _) => break,
                (1, _) => rest,
                (_, [length, ..]) => {
                    let option = options.get(..usize::from(*length).max(2))?;
                    if *kind == SACK {
                        for (place, block) in blocks.iter_mut().zip(option.get(2..)?.chunks_exact(8)) {
                            *place = (word(block, 0)?, word(block, 4)?);
                            // That something came twice (RFC 2883) is said once.
                            if ahead(place.0, number) <= 0 {
                                return None;
                            }
                        }
                    }
                    options.get(option.len()..)?
                }
                _ => return None,
            };
        }
        Some(Said { flow, number, blocks })
    }

    /// Whether this one says all that an older one says, and more.
    fn covers(&self, older: &Said) -> bool {
        let known = |(from, to): &(u32, u32)| {
            ahead(self.number, *to) >= 0
                || self.blocks.iter().any(|block| ahead(*from, block.0) >= 0 && ahead(block.1, *to) >= 0)
        };
        let more = ahead(self.number, older.number) > 0 || self.number == older.number && self.blocks != older.blocks;
        self.flow == older.flow && more && older.blocks.iter().all(known)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Those that wait, and where: of a flow only the last one, so that they stay in order.
#[derive(Debug, Default)]
pub struct Acks(Vec<(Slot, Said)>);

impl Acks {
    /// Where one waits that this one makes superfluous.
    pub fn superseded(&self, said: &Said) -> Option<Slot> {
        self.0.iter().find(|(_, older)| said.covers(older)).map(|(slot, _)| *slot)
    }

    /// This one waits there, maybe in another's place.
    pub fn waits(&mut self, slot: Slot, said: Said) {
        self.0.retain(|(_, older)| older.flow != said.flow);
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push((slot, said));
    }

    /// What waited there has left.
    pub fn left(&mut self, slot: Slot) {
        self.0.retain(|(waiting, _)| *waiting != slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: u32 = 7;

    /// A segment without payload, with selective acknowledgments and, behind those, timestamps.
    fn segment(flags: u8, number: u32, blocks: &[(u32, u32)]) -> Vec<u8> {
        let mut options = Vec::new();
        if !blocks.is_empty() {
            options.extend([1, 1, SACK, blocks.len() as u8 * 8 + 2]);
            blocks.iter().for_each(|(from, to)| options.extend([from.to_be_bytes(), to.to_be_bytes()].concat()));
        }
        options.extend([1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
        let mut packet =
            vec![0x45, 0, 0, 40 + options.len() as u8, 0, 0, 0x40, 0, 64, TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend([1, 2, 3, 4, 0, 0, 0, 9]);
        packet.extend(number.to_be_bytes());
        packet.extend([(5 + options.len() as u8 / 4) << 4, flags, 1, 0, 0, 0, 0, 0]);
        packet.extend(options);
        packet
    }

    fn read(packet: &[u8]) -> Option<Said> {
        Said::read(&Packet { head: packet, body: &[], pending: false }, FLOW)
    }

    fn said(number: u32, blocks: &[(u32, u32)]) -> Said {
        read(&segment(ACK, number, blocks)).unwrap()
    }

    #[test]
    fn a_later_one_says_what_the_one_before_says() {
        let near_the_end = u32::MAX - 5;
        for (older, newer, covers) in [
            (said(100, &[]), said(101, &[]), true),
            (said(near_the_end, &[]), said(10, &[]), true),
            (said(101, &[]), said(100, &[]), false),
            // One that repeats is counted.
            (said(100, &[]), said(100, &[]), false),
            (said(100, &[(200, 300)]), said(100, &[(200, 300)]), false),
            (said(100, &[]), said(100, &[(200, 300)]), true),
            (said(100, &[(200, 300)]), said(100, &[(200, 400)]), true),
            (said(100, &[(200, 300)]), said(100, &[(500, 600), (200, 300)]), true),
            (said(100, &[(200, 300)]), said(300, &[]), true),
            (said(100, &[(200, 300)]), said(150, &[]), false),
            (said(100, &[(200, 300), (500, 600)]), said(100, &[(200, 300)]), false),
            (said(100, &[(200, 300)]), said(100, &[(210, 300)]), false),
        ] {
            assert_eq!(newer.covers(&older), covers, "{older:?} {newer:?}");
        }
        let other = Said { flow: FLOW + 1, ..said(200, &[]) };
        assert!(!other.covers(&said(100, &[])));
    }

    #[test]
    fn what_says_more_than_that_is_left_alone() {
        for flags in [0, ACK | 1, ACK | 2, ACK | 4, ACK | 8, ACK | 0x40, ACK | 0x80] {
            assert_eq!(read(&segment(flags, 100, &[])), None, "{flags:x}");
        }
        assert_eq!(read(&segment(ACK, 100, &[(50, 90)])), None, "something came twice");
        let mut data = segment(ACK, 100, &[]);
        data.push(0);
        assert_eq!(read(&data), None);
        let head = segment(ACK, 100, &[]);
        assert_eq!(Said::read(&Packet { head: &head, body: &[0], pending: false }, FLOW), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80), cut in 0usize..90) {
            let mut packet = segment(ACK, 100, &[(200, 300), (400, 500)]);
            let _ = read(&packet[..cut.min(packet.len())]);
            packet.truncate(40);
            packet[32] = 0xf0;
            packet.extend(&bytes);
            let _ = read(&packet);
            let _ = read(&bytes);
        }
    }

    #[test]
    fn of_each_flow_the_last_one_that_waits_is_known() {
        let mut store = super::super::store::Store::default();
        let slots: Vec<Slot> =
            (0..4).filter_map(|_| store.add(false, crate::time::Time(0), |item| item.push(1))).collect();
        let mut acks = Acks::default();
        acks.waits(slots[0], said(100, &[]));
        acks.waits(slots[1], Said { flow: 8, ..said(100, &[]) });
        assert_eq!(acks.superseded(&said(200, &[])), Some(slots[0]));
        acks.waits(slots[2], said(200, &[]));
        assert_eq!(acks.superseded(&said(300, &[])), Some(slots[2]));
        acks.left(slots[2]);
        assert_eq!(acks.superseded(&said(300, &[])), None);
        for flow in 10..100 {
            acks.waits(slots[3], Said { flow, ..said(1, &[]) });
        }
        assert_eq!(acks.0.len(), MOST);
    }
}
