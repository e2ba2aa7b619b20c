//! Flows that went on without us.
//!
//! Sequences have 24 bits: a packet that somebody held back while its flow went on by 2^23 others looks as if it were as far ahead. Once it
//! has passed, all that come are far behind it. Nobody else's are, one after the other, while nothing passes.

use super::ahead;
use super::holes::LIFE;
use super::queue::Key;
use crate::time::Time;

/// So far behind is no copy by a slow path, of whatever rate within [`LIFE`].
const FAR: i32 = 1 << 16;
/// Packets to be refused before that: of what was under way alone there are more.
const ENOUGH: u32 = 32;

/// The flow that waits for its turn to be helped, where it is, since when, and what of it was refused since.
#[derive(Debug, Default)]
pub struct Stuck(Option<(Key, Time, u32)>);

impl Stuck {
    /// A packet was refused, since its flow is at `at`. Whether the flow is to go on from that packet.
    pub fn ends(&mut self, key: Key, at: u32, now: Time) -> bool {
        if ahead(key.sequence(), at) > -FAR {
            return false;
        }
        let at = Key::new(key.flow(), at);
        let (known, since, refused) = self.0.get_or_insert((at, now, 0));
        if *known != at && (known.flow() == key.flow() || now.since(*since) >= LIFE + LIFE) {
            (*known, *since, *refused) = (at, now, 0);
        }
        *refused += u32::from(*known == at);
        *known == at && *refused >= ENOUGH && now.since(*since) >= LIFE
    }
}
