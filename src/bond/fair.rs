//! The large packets that wait for a path: their flows take turns, and a flow whose packets wait too long loses one now and then.
//!
//! Nothing in the kernel does this for a TUN device: its ring takes packets in the order in which they come, and drops what does
//! not fit, so a queueing discipline above it never has anything to order (`tun_net_xmit`, drivers/net/tun.c; measured: of 201
//! packets for a ring of 10 the device dropped 191, and the discipline kept none). So the device is read at once, and packets wait
//! here. Turns are those of RFC 8290: a flow that just came goes first, then all in a circle, each a full packet's worth.
//! Losses are those of CoDel (RFC 8289), except that the packet which comes is lost instead of the one that leaves: that has its
//! number already, and a hole would hold up those behind it at the far end. Where a flow's ends know marks, it gets one instead.
//!
//! By a path that lags, one leaves from behind before its turn, so as to arrive in its turn ([`Fair::pop_behind`]).

use std::collections::VecDeque;

use crate::time::{Span, Time};

use super::frame::OUTER;
use super::store::Slot;

mod growth;

use growth::Growth;

/// What a flow may send in its turn: a full packet.
const QUANTUM: i32 = 1_514;
/// Flows are told apart by so many tags. Those that share one share its turns.
const FLOWS: u8 = 64;
/// A wait that is well, and for how long one may be longer (RFC 8289, 4.3 and 4.2). It is a flow's own: others have their turns,
/// and small packets do not come here at all. With the RFC's 5 ms a stream never waits for long enough that a path which lags
/// by 20 ms would help it: .82 of two links' rates in the simulation, .90 with 25 ms, and no more with 50.
const TARGET: Span = Span::from_millis(25);
const INTERVAL: Span = Span::from_millis(100);
/// Where a path lags, a wait may be longer, up to this: twice the lag, for what leaves early by that path comes from so far behind, and a
/// TCP that makes its queue shorter by a third still has as much.
const MOST_TARGET: Span = Span::from_millis(50);
/// A flow that is back within so many intervals of its last loss goes on where it was (RFC 8289, 5.4).
const AGAIN: u64 = 16;
/// The losses' rate grows no further than with so many (25 ms apart): a flow that heeds none of them, heeds no more.
const HARDEST: u32 = 16;
/// Memory of flows that are gone, for those to come.
const SPARE: usize = 4;

/// Whether a packet may come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    Comes,
    /// If a mark can tell its sender to slow down; else it is lost.
    Marked,
    Lost,
}

#[derive(Debug)]
struct Flow {
    tag: u8,
    slots: VecDeque<(Slot, u16)>,
    bytes: u64,
    credit: i32,
    /// Since when each packet that left in its turn had waited longer than is well.
    above: Option<Time>,
    /// It loses packets: how many so far, and when the next.
    losing: bool,
    losses: u32,
    next: Time,
    /// How long the last one that left had waited: so much later its sender hears of a loss.
    waited: Span,
}

/// See the module.
#[derive(Debug)]
pub struct Fair {
    /// Flows that just came, and those that had a turn.
    new: VecDeque<Flow>,
    old: VecDeque<Flow>,
    spare: Vec<VecDeque<(Slot, u16)>>,
    packets: usize,
    bytes: u64,
    /// A wait that is well.
    target: Span,
    growth: Growth,
}

impl Default for Fair {
    fn default() -> Self {
        let (new, old, growth) = (VecDeque::new(), VecDeque::new(), Growth::default());
        Fair { new, old, spare: Vec::new(), packets: 0, bytes: 0, target: TARGET, growth }
    }
}

impl Fair {
    /// How far one path lags behind another that packets take as well.
    pub fn set_lag(&mut self, lag: Span) {
        let target = Span::from_micros(lag.as_micros().saturating_mul(2).saturating_add(5_000));
        self.target = target.clamp(TARGET, MOST_TARGET);
    }

    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Whether a packet of this flow waits.
    pub fn waits(&mut self, tag: u8) -> bool {
        self.flow(tag).is_some_and(|flow| !flow.slots.is_empty())
    }

    /// Packets that wait.
    pub fn packets(&self) -> usize {
        self.packets
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of memory.
    pub fn held(&self) -> usize {
        let slots = |flows: &VecDeque<Flow>| flows.iter().map(|flow| flow.slots.capacity()).sum::<usize>();
        let spare: usize = self.spare.iter().map(VecDeque::capacity).sum();
        (slots(&self.new) + slots(&self.old) + spare) * size_of::<(Slot, u16)>()
            + (self.new.capacity() + self.old.capacity()) * size_of::<Flow>()
            + self.growth.held()
    }

    /// Whether a flow's next packet may come in. Where more than `most` bytes wait, those flows lose it that have their share of
    /// them. What TCP sends `again` is not lost a second time as long as there is room: it would wait for a whole timeout.
    pub fn admits(&mut self, tag: u8, most: u64, again: bool, now: Time) -> Admission {
        let (bytes, flows) = (self.bytes, (self.new.len() + self.old.len()) as u64);
        if bytes > most * 2 {
            return Admission::Lost;
        }
        let Some(flow) = self.flow(tag) else { return Admission::Comes };
        let shares = bytes > most && flow.bytes * flows >= bytes;
        match () {
            () if again => Admission::Comes,
            () if shares => Admission::Lost,
            () if flow.loses(now) => Admission::Marked,
            () => Admission::Comes,
        }
    }

    /// A packet that waits.
    pub fn push(&mut self, tag: u8, slot: Slot, size: usize) {
        let size = size.min(u16::MAX.into()) as u16;
        (self.packets, self.bytes) = (self.packets + 1, self.bytes + u64::from(size));
        if let Some(flow) = self.flow(tag) {
            flow.bytes += u64::from(size);
            return flow.slots.push_back((slot, size));
        }
        let mut slots = self.spare.pop().unwrap_or_default();
        slots.push_back((slot, size));
        self.new.push_back(Flow {
            tag: tag % FLOWS,
            slots,
            bytes: size.into(),
            credit: QUANTUM,
            above: None,
            losing: false,
            losses: 0,
            next: Time(0),
            waited: Span::ZERO,
        });
    }

    /// Whose turn it is.
    pub fn front(&mut self) -> Option<Slot> {
        loop {
            let (new, others) = (!self.new.is_empty(), !self.old.is_empty());
            let flows = if new { &mut self.new } else { &mut self.old };
            let flow = flows.front_mut()?;
            match flow.slots.front() {
                Some((slot, _)) if flow.credit > 0 => return Some(*slot),
                Some(_) => flow.credit += QUANTUM,
                // Coming back at once, it would go first each time.
                None if new && others => {}
                None => {
                    let slots = flows.pop_front().map(|flow| flow.slots);
                    self.spare.extend(slots.filter(|_| self.spare.len() < SPARE));
                    continue;
                }
            }
            let flow = flows.pop_front();
            self.old.extend(flow);
        }
    }

    /// Of the flow whose turn [`Fair::front`] just gave: how many bytes leave until all that waits of it has left, others' turns between
    /// its own; and whether that grows.
    pub fn queued(&mut self, now: Time) -> (u64, bool) {
        let flows = (self.new.len() + self.old.len()) as u64;
        let Some(flow) = self.new.front().or(self.old.front()) else { return (0, true) };
        let first = flow.slots.front().map_or(0, |(_, size)| u64::from(*size));
        let grows = self.growth.grows(flow.tag, flow.bytes.saturating_sub(first), now);
        (flow.bytes.saturating_mul(flows).min(self.bytes), grows)
    }

    /// What [`Fair::front`] just gave leaves; it came at `born`.
    pub fn pop(&mut self, born: Time, now: Time) {
        let flows = if self.new.is_empty() { &mut self.old } else { &mut self.new };
        let Some(flow) = flows.front_mut() else { return };
        let Some((_, size)) = flow.slots.pop_front() else { return };
        (self.packets, self.bytes) = (self.packets - 1, self.bytes - u64::from(size));
        flow.bytes -= u64::from(size);
        flow.credit -= i32::from(size) + OUTER as i32;
        flow.waited = now.since(born);
        if flow.waited < self.target || flow.slots.is_empty() {
            (flow.above, flow.losing) = (None, false);
        } else {
            flow.above.get_or_insert(now);
        }
        if self.packets == 0 && self.old.capacity() > usize::from(FLOWS) / 4 {
            (self.new, self.old, self.spare) = Default::default();
        }
    }

    /// Instead of what [`Fair::front`] just gave, the packet of its flow leaves whose turn it will be after about so many bytes, or the
    /// last one. `None`: that is the one which `front` gave, or it `may` not.
    pub fn pop_behind(&mut self, bytes: u64, may: impl FnOnce(Slot) -> bool) -> Option<Slot> {
        let (all, flows) = (self.bytes, (self.new.len() + self.old.len()).max(1) as u64);
        let list = if self.new.is_empty() { &mut self.old } else { &mut self.new };
        let flow = list.front_mut()?;
        // Others have their turns between its own, as long as they have something.
        let own = (bytes / flows).max(bytes.saturating_sub(all - flow.bytes));
        // Packets that wait are of one size, or nearly: a queue may be too long to be looked through for each.
        let last = flow.slots.len().checked_sub(1)?;
        let at = (own.saturating_mul(flow.slots.len() as u64) / flow.bytes.max(1)).min(last as u64) as usize;
        flow.slots.get(at).filter(|(slot, _)| at > 0 && may(*slot))?;
        let (slot, size) = flow.slots.remove(at)?;
        (self.packets, self.bytes) = (self.packets - 1, self.bytes - u64::from(size));
        flow.bytes -= u64::from(size);
        flow.credit -= i32::from(size) + OUTER as i32;
        Some(slot)
    }

    fn flow(&mut self, tag: u8) -> Option<&mut Flow> {
        let tag = tag % FLOWS;
        self.new.iter_mut().chain(&mut self.old).find(|flow| flow.tag == tag)
    }
}

impl Flow {
    /// Whether it loses the packet that comes now: more and more often as long as its packets wait too long. Those before it
    /// leave first, so its sender hears of the loss by so much later than of CoDel's own, and the next one waits for that.
    fn loses(&mut self, now: Time) -> bool {
        if self.above.is_none_or(|since| now.since(since) < INTERVAL) {
            return false;
        }
        if !self.losing {
            let soon = self.losses > 2 && now.since(self.next).as_micros() < INTERVAL.as_micros() * AGAIN;
            (self.losing, self.losses, self.next) = (true, if soon { self.losses - 2 } else { 0 }, now);
        }
        if now < self.next {
            return false;
        }
        self.losses = (self.losses + 1).min(HARDEST);
        let interval = INTERVAL.as_micros().saturating_add(self.waited.as_micros());
        self.next = now + Span::from_micros((interval.saturating_mul(interval) / u64::from(self.losses)).isqrt());
        true
    }
}

#[cfg(test)]
#[path = "fair_tests.rs"]
mod tests;
