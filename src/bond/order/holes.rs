//! Sequences that were given up and may come nevertheless.

use std::collections::VecDeque;

use super::ahead;
use super::queue::Key;
use crate::bond::sorted::Sorted;
use crate::time::{Span, Time};

/// How long, and how many of them are known: 40 ms at a gigabit. The time is far below what 2^24 packets of one flow take.
pub const LIFE: Span = Span::from_secs(1);
pub const MOST: usize = 4096;

#[derive(Debug, Default)]
pub struct Holes {
    since: Sorted<Key, Time>,
    /// In the order of their times; those that were filled among them.
    order: VecDeque<Key>,
}

impl Holes {
    pub fn add(&mut self, key: Key, now: Time) {
        // Those of the last second are few, as a rule.
        while let Some(oldest) = self.order.front() {
            let lives = self.since.get(oldest).is_some_and(|since| now.since(*since) < LIFE);
            if lives && self.order.len() < MOST {
                break;
            }
            self.since.remove(oldest);
            self.order.pop_front();
        }
        self.order.push_back(key);
        self.since.insert(key, now);
    }

    /// Bytes of memory, as good as.
    pub fn held(&self) -> usize {
        self.since.len() * size_of::<(Key, Time)>() + self.order.capacity() * size_of::<Key>()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether one of this flow's before this one may come yet: it is younger than `limit`.
    pub fn open_before(&self, key: Key, now: Time, limit: Span) -> bool {
        let before = |hole: Key| ahead(key.sequence(), hole.sequence()) > 0;
        let mut of_flow =
            self.since.from(&Key::new(key.flow(), 0)).iter().take_while(|(hole, _)| hole.flow() == key.flow());
        of_flow.any(|(hole, since)| before(*hole) && now.since(*since) < limit)
    }

    /// Whether this one is among them; from now on it is not.
    pub fn fill(&mut self, key: Key, now: Time) -> bool {
        let known = self.since.remove(&key).is_some_and(|since| now.since(since) < LIFE);
        if self.since.is_empty() {
            self.order.clear();
        }
        known
    }
}
