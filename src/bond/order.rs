//! The receiving side of the flows: order, and no packet twice.
//!
//! Each flow tag has a sequence of its own, so one flow's loss stalls no other. Of an ordered flow, what comes in order passes at
//! once, without a copy. What comes too early waits until the gap before it is filled, or until it has waited as long as is allowed:
//! then the gap is given up. What was given up and comes nevertheless within [`holes::LIFE`] passes at once: to TCP, late is better
//! than lost. Where paths' delays differ, only what is patient waits for a gap: it left early by a later one, or by one whose delay
//! varies. Of the other flows everything passes as it comes, once.

use std::collections::VecDeque;

use super::flow::{self, ORDERED};
use super::item::SEQUENCES;
use crate::time::{Span, Time, earliest};

mod holes;
mod queue;
mod stuck;
mod window;

use holes::Holes;
use queue::{Key, Queue};
use stuck::Stuck;
use window::Window;

/// Bounds of the wait for a gap. Below, a timer's own delay would give gaps up; above, TCP has a timeout of its own.
pub const SHORTEST_WAIT: Span = Span::from_millis(2);
pub const LONGEST_WAIT: Span = Span::from_millis(150);
/// Packets and bytes that may wait, over all flows: 300 Mbit/s for 100 ms, 2 Gbit/s for 15 ms. Beyond it the oldest gap is given up.
pub const MAX_WAITING: usize = 4096;
pub const MAX_WAITING_BYTES: usize = 4 << 20;
/// An ordered flow's sequence this far ahead of the next one is no gap: what lies between is not waited for. Twice what may wait. Of it,
/// so many may still come.
const AHEAD: u32 = 2 * MAX_WAITING as u32;
/// Sequences of an unordered flow whose duplicates are known, behind the highest; what is older is taken for one.
const BEHIND: u32 = 4096;
/// Packets that TCP sent again and that wait for older ones, over all flows; beyond it the first one passes.
const MAX_AGAIN: usize = 256;
/// Sequences that are asked for one by one.
const FEW: usize = 64;
/// After this time without a waiting packet the memory is given back.
const REST: Span = Span::from_secs(1);

/// What became of packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    pub delivered: u64,
    /// Arrived after a later packet of their flow.
    pub reordered: u64,
    pub duplicates: u64,
    /// Packets that others did not wait for, or in vain.
    pub given_up: u64,
    /// Of those, delivered after all.
    pub late: u64,
}

/// What became of one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Delivered,
    Waits,
    /// Dropped: it was here before, or is so old that nobody knows.
    Duplicate,
}

/// The flows of one peer.
#[derive(Debug)]
pub struct Order {
    limit: Span,
    wait: Span,
    ordered: Vec<Bucket>,
    unordered: Vec<Window>,
    queue: Queue,
    /// When the last waiting packet left, if slots are still there.
    emptied: Option<Time>,
    holes: Holes,
    stuck: Stuck,
    /// Nothing waits ...
    hurry: bool,
    /// ... but what is patient: those before it are about to come ...
    patient: bool,
    /// ... and these: what TCP sent again, in the order in which it came.
    again: VecDeque<(Key, Time, Vec<u8>)>,
    counters: Counters,
}

/// An ordered flow.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// The first sequence that was neither delivered nor given up.
    next: u32,
    /// After the highest that arrived; `next` if nothing waits.
    top: u32,
    waiting: u16,
    /// Something has come.
    begun: bool,
}

/// How far `a` is ahead of `b`, of 24 bits; negative: behind.
fn ahead(a: u32, b: u32) -> i32 {
    (a.wrapping_sub(b) << 8) as i32 >> 8
}

fn after(sequence: u32) -> u32 {
    (sequence + 1) % SEQUENCES
}

impl Order {
    /// `limit`: no packet ever waits longer.
    pub fn new(limit: Span) -> Self {
        Order {
            limit,
            wait: LONGEST_WAIT.min(limit),
            ordered: vec![Bucket::default(); ORDERED.into()],
            unordered: vec![Window::default(); 256 - usize::from(ORDERED)],
            queue: Queue::default(),
            emptied: None,
            holes: Holes::default(),
            stuck: Stuck::default(),
            hurry: false,
            patient: false,
            again: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// The longest that a packet waits for the gap before it, from now on: the paths' spread of delays, four times their jitter and
    /// one turn of repair.
    pub fn set_wait(&mut self, wait: Span, hurry: bool) {
        self.hurry = hurry;
        self.wait = wait.clamp(SHORTEST_WAIT, LONGEST_WAIT).min(self.limit);
    }

    /// Whether what comes now waits for those before it, whatever else does: its sender knows that they are about to come.
    pub fn set_patient(&mut self, patient: bool) {
        self.patient = patient;
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Packets that wait, and their bytes.
    pub fn waiting(&self) -> (usize, usize) {
        let again: usize = self.again.iter().map(|(_, _, item)| item.len()).sum();
        (self.queue.length() + self.again.len(), self.queue.bytes() + again)
    }

    /// Bytes of memory.
    pub fn held(&self) -> usize {
        let maps: usize = self.unordered.iter().map(Window::held).sum();
        let tables = size_of_val(&*self.ordered) + size_of_val(&*self.unordered);
        let again: usize = self.again.iter().map(|(_, _, item)| item.capacity()).sum();
        self.queue.held() + self.holes.held() + maps + tables + again
    }

    /// The peer begins its sequences anew. What waits is delivered.
    pub fn reset(&mut self, deliver: &mut dyn FnMut(&[u8])) {
        while self.queue.length() > 0 {
            self.release_oldest(Time(0), deliver);
        }
        while let Some((_, _, item)) = self.again.pop_front() {
            self.deliver(&item, deliver);
        }
        let counters = self.counters;
        *self = Order { wait: self.wait, counters, ..Order::new(self.limit) };
    }

    /// A packet came. `sequence` counts modulo [`SEQUENCES`]. Packets that can pass are given to `deliver`, in order.
    pub fn accept(&mut self, flow: u8, sequence: u32, item: &[u8], now: Time, deliver: &mut dyn FnMut(&[u8])) -> Fate {
        let sequence = sequence % SEQUENCES;
        if !flow::is_ordered(flow) {
            return self.accept_unordered(Key::new(flow, sequence), item, now, deliver);
        }
        let Some(bucket) = self.ordered.get_mut(usize::from(flow)) else { return Fate::Duplicate };
        let mut gap = ahead(sequence, bucket.next);
        if !bucket.begun && !(0..AHEAD as i32).contains(&gap) {
            // This end began anew, and the peer goes on with its numbers.
            (bucket.next, bucket.top, gap) = (sequence, sequence, 0);
        }
        bucket.begun = true;
        if gap < 0 {
            let key = Key::new(flow, sequence);
            if bucket.waiting > 0 || !self.stuck.ends(key, bucket.next, now) {
                return self.accept_late(key, item, now, deliver);
            }
            (bucket.next, bucket.top, gap) = (sequence, sequence, 0);
        }
        if gap == 0 && bucket.waiting == 0 {
            bucket.next = after(sequence);
            bucket.top = bucket.next;
            return self.deliver(item, deliver);
        }
        if self.queue.contains(Key::new(flow, sequence)) {
            self.counters.duplicates += 1;
            return Fate::Duplicate;
        }
        let Some(bucket) = self.ordered.get_mut(usize::from(flow)) else { return Fate::Duplicate };
        if ahead(sequence, bucket.top) < 0 {
            self.counters.reordered += 1;
        } else {
            bucket.top = after(sequence);
        }
        if gap == 0 || gap as u32 >= AHEAD || self.hurry && !self.patient {
            self.advance(flow, sequence, now, deliver);
            self.pass(flow, sequence);
            self.deliver(item, deliver);
            self.follow(flow, now, deliver);
            return Fate::Delivered;
        }
        bucket.waiting += 1;
        self.emptied = None;
        self.queue.keep(Key::new(flow, sequence), item, now);
        while self.queue.length() > MAX_WAITING || self.queue.bytes() > MAX_WAITING_BYTES {
            self.release_oldest(now, deliver);
        }
        if self.queue.contains(Key::new(flow, sequence)) { Fate::Waits } else { Fate::Delivered }
    }

    /// As [`accept`](Self::accept), of a packet with bytes that TCP has sent before. It waits for older packets that may yet come, even
    /// where others do not: let it pass, and its newer timestamp makes TCP refuse all of those (PAWS, RFC 7323 5.3).
    pub fn accept_again(
        &mut self,
        flow: u8,
        sequence: u32,
        item: &[u8],
        now: Time,
        deliver: &mut dyn FnMut(&[u8]),
    ) -> Fate {
        let key = Key::new(flow, sequence % SEQUENCES);
        let next = self.ordered.get(usize::from(flow)).filter(|bucket| bucket.begun).map(|bucket| bucket.next);
        let is_next = next.is_some_and(|next| (0..AHEAD as i32).contains(&ahead(key.sequence(), next)));
        // A quicker path has skipped what it overtook: that is known as holes only then.
        let jumps = next.is_some_and(|next| next != key.sequence());
        let waits = jumps || self.holes.open_before(key, now, self.wait);
        if !self.hurry || self.patient || !is_next || !waits || self.queue.contains(key) {
            return self.accept(flow, sequence, item, now, deliver);
        }
        self.advance(flow, key.sequence(), now, deliver);
        self.pass(flow, key.sequence());
        self.again.push_back((key, now, item.to_vec()));
        if self.again.len() > MAX_AGAIN
            && let Some((_, _, first)) = self.again.pop_front()
        {
            self.deliver(&first, deliver);
        }
        self.follow(flow, now, deliver);
        Fate::Waits
    }

    /// Delivers what TCP sent again once nothing older is missing, or will not come any more.
    fn release_again(&mut self, now: Time, deliver: &mut dyn FnMut(&[u8])) {
        let mut at = 0;
        while let Some((key, came, _)) = self.again.get(at) {
            if now < *came + self.wait && self.holes.open_before(*key, now, self.wait) {
                at += 1;
            } else if let Some((_, _, item)) = self.again.remove(at) {
                self.counters.reordered += 1;
                self.counters.given_up += 1;
                self.counters.late += 1;
                self.deliver(&item, deliver);
            }
        }
    }

    /// When [`expire`](Self::expire) has something to do.
    pub fn deadline(&self) -> Option<Time> {
        let again = self.again.front().map(|(_, came, _)| *came + self.wait);
        let waits = match self.queue.oldest() {
            Some((_, came)) => Some(came + self.wait),
            None => self.emptied.map(|at| at + REST),
        };
        earliest(&[again, waits])
    }

    /// Gives up the gaps before packets that waited long enough.
    pub fn expire(&mut self, now: Time, deliver: &mut dyn FnMut(&[u8])) {
        while self.queue.oldest().is_some_and(|(_, came)| now >= came + self.wait) {
            self.release_oldest(now, deliver);
        }
        if self.again.front().is_some_and(|(_, came, _)| now >= *came + self.wait) {
            self.release_again(now, deliver);
        }
        if self.emptied.is_some_and(|at| now >= at + REST) {
            (self.queue, self.emptied) = (Queue::default(), None);
        }
    }

    fn deliver(&mut self, item: &[u8], deliver: &mut dyn FnMut(&[u8])) -> Fate {
        self.counters.delivered += 1;
        deliver(item);
        Fate::Delivered
    }

    fn accept_unordered(&mut self, key: Key, item: &[u8], now: Time, deliver: &mut dyn FnMut(&[u8])) -> Fate {
        let Some(window) = self.unordered.get_mut(usize::from(key.flow() - ORDERED)) else { return Fate::Duplicate };
        let mut noted = window.note(key.sequence());
        if noted.is_none() && self.stuck.ends(key, window.highest, now) {
            *window = Window::default();
            noted = window.note(key.sequence());
        }
        match noted {
            None => {
                self.counters.duplicates += 1;
                Fate::Duplicate
            }
            Some(reordered) => {
                self.counters.reordered += u64::from(reordered);
                self.deliver(item, deliver)
            }
        }
    }

    /// Before what is next: it was delivered, or given up.
    fn accept_late(&mut self, key: Key, item: &[u8], now: Time, deliver: &mut dyn FnMut(&[u8])) -> Fate {
        match self.holes.fill(key, now) {
            true => {
                self.counters.late += 1;
                self.counters.reordered += 1;
                self.deliver(item, deliver);
                if self.again.iter().any(|(again, ..)| again.flow() == key.flow()) {
                    self.release_again(now, deliver);
                }
                Fate::Delivered
            }
            false => {
                self.counters.duplicates += 1;
                Fate::Duplicate
            }
        }
    }

    /// Delivers what waits of a flow before `sequence`, and gives up what is missing there.
    fn advance(&mut self, flow: u8, sequence: u32, now: Time, deliver: &mut dyn FnMut(&[u8])) {
        let mut misses = 0;
        loop {
            let Some(bucket) = self.ordered.get_mut(usize::from(flow)) else { return };
            let next = Key::new(flow, bucket.next);
            let missing = ahead(sequence, next.sequence());
            if missing <= 0 {
                return;
            }
            if bucket.waiting == 0 {
                bucket.next = sequence;
                return self.give_up(next, missing as u32, now);
            }
            if self.take(next, now, deliver) {
                self.pass(flow, next.sequence());
                misses = 0;
                continue;
            }
            misses += 1;
            // After some steps in vain it is less work to look at all that wait.
            let far = misses >= FEW.min(self.queue.length());
            let reach = if far { self.queue.distance(next).unwrap_or(missing as u32).min(missing as u32) } else { 1 };
            self.pass(flow, (next.sequence() + reach - 1) % SEQUENCES);
            self.give_up(next, reach, now);
        }
    }

    /// Delivers what waited for nothing but what has just passed.
    fn follow(&mut self, flow: u8, now: Time, deliver: &mut dyn FnMut(&[u8])) {
        while let Some(bucket) = self.ordered.get(usize::from(flow)).copied() {
            if bucket.waiting == 0 || !self.take(Key::new(flow, bucket.next), now, deliver) {
                return;
            }
            self.pass(flow, bucket.next);
        }
    }

    fn pass(&mut self, flow: u8, sequence: u32) {
        if let Some(bucket) = self.ordered.get_mut(usize::from(flow)) {
            bucket.next = after(sequence);
        }
    }

    fn release_oldest(&mut self, now: Time, deliver: &mut dyn FnMut(&[u8])) {
        let Some((key, _)) = self.queue.oldest() else { return };
        let (flow, sequence) = (key.flow(), key.sequence());
        self.advance(flow, after(sequence), now, deliver);
        self.follow(flow, now, deliver);
    }

    /// So many, from this one on.
    fn give_up(&mut self, first: Key, count: u32, now: Time) {
        self.counters.given_up += u64::from(count);
        let far = count.saturating_sub(AHEAD);
        self.holes.add(Key::new(first.flow(), (first.sequence() + far) % SEQUENCES), count - far, now);
    }

    /// Delivers a packet if it waits.
    fn take(&mut self, key: Key, now: Time, deliver: &mut dyn FnMut(&[u8])) -> bool {
        let Some((slot, item)) = self.queue.take(key) else { return false };
        if let Some(bucket) = self.ordered.get_mut(usize::from(key.flow())) {
            bucket.waiting -= 1;
        }
        if self.queue.length() == 0 {
            self.emptied = Some(now);
        }
        self.deliver(&item, deliver);
        self.queue.reuse(slot, item);
        true
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
