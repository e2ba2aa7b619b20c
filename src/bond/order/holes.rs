//! Sequences that were given up and may come nevertheless.
//!
//! A flow gives them up in their order, so those of a flow are runs one behind the other, and as many steps as there are packets
//! are enough, whatever a peer leaves out.

use super::ahead;
use super::queue::Key;
use crate::bond::item::SEQUENCES;
use crate::bond::sorted::Sorted;
use crate::time::{Span, Time};

/// How long they are known: far below what 2^24 packets of one flow take.
pub const LIFE: Span = Span::from_secs(1);
/// How many runs of them are: 40 ms at a gigabit where every other packet is missing.
pub const MOST: usize = 2048;
/// A run that begins so far behind the next one is of another age of its sequence.
const FAR: i32 = SEQUENCES as i32 / 4;

#[derive(Debug, Default)]
pub struct Holes {
    /// By flow, in the order of their sequences and of their times.
    runs: Sorted<u8, Vec<Run>>,
    length: usize,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    first: u32,
    count: u32,
    since: Time,
}

impl Run {
    fn lives(&self, now: Time) -> bool {
        now.since(self.since) < LIFE
    }
}

impl Holes {
    /// `count` sequences, from this one on.
    pub fn add(&mut self, first: Key, count: u32, now: Time) {
        if self.length >= MOST {
            self.make_room(now);
        }
        let (flow, first) = (first.flow(), first.sequence());
        if self.runs.get(&flow).is_none() {
            self.runs.insert(flow, Vec::new());
        }
        let Some(runs) = self.runs.get_mut(&flow) else { return };
        // They end in the order of their beginnings.
        if runs.first().is_some_and(|old| !old.lives(now) || ahead(first, old.first) > FAR) {
            self.length -= runs.len();
            runs.retain(|run| run.lives(now) && ahead(first, run.first) <= FAR);
            self.length += runs.len();
        }
        match runs.last_mut() {
            Some(last) if last.since == now && ahead(first, last.first) == last.count as i32 => last.count += count,
            _ => {
                runs.push(Run { first, count, since: now });
                self.length += 1;
            }
        }
    }

    /// All that live no more go; if hardly any do, those that are older than half of that, and so on: what comes late comes soon.
    fn make_room(&mut self, now: Time) {
        let mut life = LIFE;
        loop {
            let mut left = 0;
            self.runs.retain(|runs| {
                runs.retain(|run| now.since(run.since) < life);
                left += runs.len();
                !runs.is_empty()
            });
            self.length = left;
            // After twenty turns nothing is younger.
            if left <= MOST / 4 * 3 {
                return;
            }
            life = Span::from_micros(life.as_micros() / 2);
        }
    }

    /// Bytes of memory, as good as.
    pub fn held(&self) -> usize {
        let runs = self.runs.from(&0).iter().map(|(_, runs)| runs.capacity() * size_of::<Run>());
        runs.sum::<usize>() + self.runs.len() * size_of::<(u8, Vec<Run>)>()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether one of this flow's before this one may come yet: it is younger than `limit`.
    pub fn open_before(&self, key: Key, now: Time, limit: Span) -> bool {
        let Some(runs) = self.runs.get(&key.flow()) else { return false };
        let before = runs.partition_point(|run| ahead(key.sequence(), run.first) > 0);
        // The last one is the youngest.
        before.checked_sub(1).and_then(|at| runs.get(at)).is_some_and(|run| now.since(run.since) < limit)
    }

    /// Whether this one is among them; from now on it is not.
    pub fn fill(&mut self, key: Key, now: Time) -> bool {
        let Some(runs) = self.runs.get_mut(&key.flow()) else { return false };
        let up_to = runs.partition_point(|run| ahead(key.sequence(), run.first) >= 0);
        let Some(at) = up_to.checked_sub(1) else { return false };
        let Some(run) = runs.get_mut(at).filter(|run| run.lives(now)) else { return false };
        let passed = ahead(key.sequence(), run.first) as u32;
        let Some(behind) = run.count.checked_sub(passed + 1) else { return false };
        let rest = Run { first: (key.sequence() + 1) % SEQUENCES, count: behind, since: run.since };
        run.count = passed;
        match (passed, behind) {
            (0, 0) => {
                runs.remove(at);
                self.length -= 1;
            }
            (0, _) => *run = rest,
            (_, 0) => {}
            _ if self.length < MOST => {
                runs.insert(up_to, rest);
                self.length += 1;
            }
            // Rather the longer part than both.
            _ if behind > passed => *run = rest,
            _ => {}
        }
        if runs.is_empty() {
            self.runs.remove(&key.flow());
        }
        true
    }
}
