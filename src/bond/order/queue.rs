//! Packets that wait, in the order of their arrival, and found by flow and sequence.

use crate::bond::item::SEQUENCES;
use crate::time::Time;

/// Chains of the table of packets, a power of two: consecutive sequences fall into different ones.
const CHAINS: usize = 1024;
/// No slot.
const NONE: u16 = u16::MAX;

/// Flow and sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Key(u32);

impl Key {
    pub fn new(flow: u8, sequence: u32) -> Self {
        Key(u32::from(flow) << 24 | sequence)
    }

    pub fn flow(self) -> u8 {
        (self.0 >> 24) as u8
    }

    pub fn sequence(self) -> u32 {
        self.0 % SEQUENCES
    }

    fn chain(self) -> usize {
        (self.0 ^ (self.0 >> 24).wrapping_mul(0x9e5)) as usize % CHAINS
    }
}

/// The packets, a few thousand at most: the caller sees to that.
#[derive(Debug)]
pub struct Queue {
    /// In the order of their arrival by `before` and `after`.
    slots: Vec<Slot>,
    oldest: u16,
    newest: u16,
    /// Unused slots, chained by `after`.
    free: u16,
    /// Waiting packets by flow and sequence.
    chains: Box<[u16; CHAINS]>,
    length: usize,
    bytes: usize,
    /// What the items' memory takes, of unused slots as well.
    held: usize,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    came: Time,
    before: u16,
    after: u16,
    /// The next one of its chain.
    chain: u16,
    item: Vec<u8>,
}

impl Default for Queue {
    fn default() -> Self {
        Queue {
            slots: Vec::new(),
            oldest: NONE,
            newest: NONE,
            free: NONE,
            chains: Box::new([NONE; CHAINS]),
            length: 0,
            bytes: 0,
            held: 0,
        }
    }
}

impl Queue {
    pub fn length(&self) -> usize {
        self.length
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory.
    pub fn held(&self) -> usize {
        self.held + self.slots.capacity() * size_of::<Slot>() + size_of_val(&*self.chains)
    }

    /// Slots that take memory, used or not.
    #[cfg(test)]
    pub fn slots(&self) -> usize {
        self.slots.capacity()
    }

    /// The packet that came first, and when.
    pub fn oldest(&self) -> Option<(Key, Time)> {
        self.slots.get(usize::from(self.oldest)).map(|slot| (slot.key, slot.came))
    }

    pub fn contains(&self, key: Key) -> bool {
        self.find(key).is_some()
    }

    /// How many sequences after this one the next packet of its flow waits. `None`: none does. It looks at all that wait.
    pub fn distance(&self, from: Key) -> Option<u32> {
        let (mut at, mut least) = (self.oldest, None);
        while let Some(slot) = self.slots.get(usize::from(at)) {
            let distance = slot.key.sequence().wrapping_sub(from.sequence()) % SEQUENCES;
            if slot.key.flow() == from.flow() && distance > 0 {
                least = Some(least.map_or(distance, |least: u32| least.min(distance)));
            }
            at = slot.after;
        }
        least
    }

    /// The slot where a packet waits.
    fn find(&self, key: Key) -> Option<u16> {
        let mut at = *self.chains.get(key.chain())?;
        while let Some(slot) = self.slots.get(usize::from(at)) {
            if slot.key == key {
                return Some(at);
            }
            at = slot.chain;
        }
        None
    }

    /// Makes a packet wait.
    pub fn keep(&mut self, key: Key, item: &[u8], now: Time) {
        let at = self.free;
        let at = match self.slots.get_mut(usize::from(at)) {
            Some(slot) => {
                self.free = slot.after;
                (slot.key, slot.came) = (key, now);
                let before = slot.item.capacity();
                slot.item.clear();
                slot.item.extend_from_slice(item);
                self.held = self.held + slot.item.capacity() - before;
                at
            }
            None => {
                // Far below NONE: the caller sees to that.
                let slot = Slot { key, came: now, before: NONE, after: NONE, chain: NONE, item: item.to_vec() };
                self.held += slot.item.capacity();
                self.slots.push(slot);
                (self.slots.len() - 1) as u16
            }
        };
        let newest = self.newest;
        let Some(chain) = self.chains.get_mut(key.chain()) else { return };
        if let Some(slot) = self.slots.get_mut(usize::from(at)) {
            (slot.before, slot.after, slot.chain) = (newest, NONE, *chain);
        }
        *chain = at;
        match self.slots.get_mut(usize::from(newest)) {
            Some(before) => before.after = at,
            None => self.oldest = at,
        }
        self.newest = at;
        self.length += 1;
        self.bytes += item.len();
    }

    /// Takes a packet out. Its buffer should come back to [`Queue::reuse`].
    pub fn take(&mut self, key: Key) -> Option<(u16, Vec<u8>)> {
        let at = self.find(key)?;
        let slot = self.slots.get_mut(usize::from(at))?;
        let (before, after, chain) = (slot.before, slot.after, slot.chain);
        slot.after = self.free;
        let item = core::mem::take(&mut slot.item);
        self.free = at;
        match self.slots.get_mut(usize::from(before)) {
            Some(slot) => slot.after = after,
            None => self.oldest = after,
        }
        match self.slots.get_mut(usize::from(after)) {
            Some(slot) => slot.before = before,
            None => self.newest = before,
        }
        self.unchain(key, at, chain);
        self.length -= 1;
        self.bytes -= item.len();
        Some((at, item))
    }

    /// The buffer goes back to its slot: no allocation while packets keep coming out of order.
    pub fn reuse(&mut self, at: u16, item: Vec<u8>) {
        if let Some(slot) = self.slots.get_mut(usize::from(at)) {
            slot.item = item;
        }
    }

    fn unchain(&mut self, key: Key, at: u16, then: u16) {
        let Some(first) = self.chains.get_mut(key.chain()) else { return };
        if *first == at {
            *first = then;
            return;
        }
        let mut before = *first;
        while let Some(slot) = self.slots.get_mut(usize::from(before)) {
            if slot.chain == at {
                slot.chain = then;
                return;
            }
            before = slot.chain;
        }
    }
}
