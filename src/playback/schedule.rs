//! When each packet goes.

use super::{Field, Packet};
use crate::time::Span;

/// For each packet its time since the start: what it says itself, or `interval` after the one before. None overtakes another.
pub fn schedule<'p>(packets: impl Iterator<Item = &'p Packet>, interval: Span) -> Vec<Span> {
    let mut last = None;
    let next = |packet: &Packet| {
        let after = last.map_or(Span::ZERO, |last: Span| last + interval);
        let due = match (packet.number(Field::Time), last) {
            (Some(time), last) => Span(time).max(last.unwrap_or_default()),
            (None, _) => after,
        };
        last = Some(due);
        due
    };
    packets.map(next).collect()
}
