//! What was lost leaves again: small packets first.

use std::collections::VecDeque;

use crate::time::Time;

use super::super::Output;
use super::super::frame::{HEADER, TAG};
use super::super::item;
use super::super::path::Outcome;
use super::super::schedule::Choice;
use super::super::store::{Slot, Store};
use super::Peer;
use super::sending::SMALL;

/// Items that wait to be sent again, in the order in which they were found lost. A path that dies under a download loses hundreds of full
/// packets, which the others carry in as many milliseconds: a call's few do not wait behind them.
#[derive(Default)]
pub(super) struct Again {
    small: VecDeque<Slot>,
    large: VecDeque<Slot>,
}

impl Again {
    pub fn len(&self) -> usize {
        self.small.len() + self.large.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn has_large(&self) -> bool {
        !self.large.is_empty()
    }

    /// Bytes of memory.
    pub fn held(&self) -> usize {
        (self.small.capacity() + self.large.capacity()) * size_of::<Slot>()
    }

    pub fn push(&mut self, slot: Slot, store: &Store) {
        let is_small = store.item(slot).len() <= SMALL + item::OVERHEAD;
        if is_small { self.small.push_back(slot) } else { self.large.push_back(slot) }
    }

    /// What was on its way by a path that is silent or doubtful.
    pub fn settle(&mut self, outcome: Outcome, store: &mut Store) {
        if let Outcome::Lost(slot) = outcome
            && store.settled(slot, false)
        {
            if item::is_loose(store.item(slot)) { store.drop(slot) } else { self.push(slot, store) }
        }
    }

    fn queue(&mut self, small: bool) -> &mut VecDeque<Slot> {
        if small { &mut self.small } else { &mut self.large }
    }
}

impl Peer {
    /// Sends the small ones, or the others. Whether none is left that has to wait for a path's window.
    pub(super) fn send_again(&mut self, small: bool, now: Time, out: &mut dyn Output) -> bool {
        while let Some(slot) = self.again.queue(small).front().copied() {
            if self.store.has_arrived(slot) || self.store.is_flying(slot) {
                // Another copy made it, or may yet.
                if !self.store.is_flying(slot) {
                    self.forget(slot);
                }
                self.again.queue(small).pop_front();
                continue;
            }
            if now.since(self.store.born(slot)) > self.settings.limit {
                self.totals.dropped += 1;
                self.forget(slot);
                self.again.queue(small).pop_front();
                continue;
            }
            let size = self.store.item(slot).len() + HEADER + TAG;
            let choice = if small {
                self.schedule.prompt(&mut self.paths, size, now)
            } else {
                self.schedule.quickest(&mut self.paths, size, now)
            };
            match choice {
                Choice::Take { paths, .. } => {
                    self.again.queue(small).pop_front();
                    self.totals.repaired += 1;
                    self.transmit(slot, paths, small, now, out);
                }
                Choice::Wait(opens) => {
                    self.wakes(opens);
                    return false;
                }
                Choice::Nowhere if self.is_too_long(size) => {
                    self.again.queue(small).pop_front();
                    self.totals.dropped += 1;
                    self.forget(slot);
                }
                Choice::Nowhere => break,
            }
        }
        true
    }
}
