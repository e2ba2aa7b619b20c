//! From the device to the paths.

use crate::time::{Span, Time, earliest};

use super::super::acks::Said;
use super::super::control;
use super::super::ecn;
use super::super::fair::Admission;
use super::super::flow::{self, Packet};
use super::super::frame::{HEADER, OUTER, PathId, TAG};
use super::super::item::{self, Form, SEQUENCES};
use super::super::path::Path;
use super::super::pieces;
use super::super::schedule::{Choice, Load, Scheduler};
use super::super::session::Sessions;
use super::super::squeeze::Name;
use super::super::store::Slot;
use super::super::{Output, Via};
use super::Peer;

/// A queue that stands for this long, and does not grow, is no burst: all paths are wanted.
const STANDING: Span = Span::from_millis(10);
/// A packet that waits for longer is the next to leave, by whatever path: the one that it waits for may carry nothing any more.
const LONGEST: Span = Span::from_millis(100);
/// A queue that was empty for this long is gone.
const EMPTY: Span = Span::from_millis(3);
/// Contexts that may be on their way at a time: one for each flow that begins within a round trip.
const ANNOUNCED: usize = 64;
/// Bytes of a packet that leaves before larger ones: calls, acknowledgements, questions, echoes.
pub(super) const SMALL: usize = 256;
/// So many of them wait at most, and of one flow: 40 ms of a call. Of acknowledgments, which take one another's place, there are few.
const EXPRESS: usize = 64;
const EXPRESS_EACH: usize = 8;

impl Peer {
    /// A packet from the device.
    pub fn packet(&mut self, packet: Packet, now: Time, out: &mut dyn Output) {
        let nature = flow::nature(&packet).filter(|_| self.is_up && self.store.has_room());
        let Some(nature) = nature else {
            self.totals.dropped += 1;
            return;
        };
        self.totals.sent_packets += 1;
        self.totals.sent_bytes += packet.length() as u64;
        let place = self.flows.note(&nature, now);
        let small = packet.length() <= SMALL;
        // The first ones of a flow are somebody's only ones; and of several copies all would come out.
        let loose = small && !place.start && self.settings.scheduler != Scheduler::Redundant;
        let said = if loose { Said::read(&packet, nature.hash) } else { None };
        let superseded = said.and_then(|said| self.acks.superseded(&said));
        let small = small && self.may_overtake(nature.flow);
        let most = self.most_waiting();
        let admission = if small || superseded.is_some() {
            Admission::Comes
        } else {
            self.fair.admits(nature.flow, most, place.again, now)
        };
        let marked = if admission == Admission::Marked { ecn::marked(packet.head) } else { None };
        if marked.is_none() && admission != Admission::Comes {
            self.totals.dropped += 1;
            return;
        }
        let packet = Packet { head: marked.as_deref().unwrap_or(packet.head), ..packet };
        let urgent = place.start || nature.urgent;
        let room = self.room();
        let sequence = self.sequences[usize::from(nature.flow)];
        let (flow, pending) = (nature.flow, packet.pending);
        let mut item = self.written(&packet, flow, said.is_none().then_some(sequence), now);
        if place.again {
            item::mark_again(&mut item);
        }
        let mut waits = superseded;
        let mut sequences = u32::from(said.is_none());
        if let Some(slot) = superseded {
            self.store.replace(slot, &item);
        } else if item.len() <= room {
            waits = self.enqueue(&mut item, flow, urgent, small, now);
        } else if let Some(cut) = pieces::cut(packet.length(), room - item::OVERHEAD) {
            sequences = 2;
            let whole = item.split_off(item::OVERHEAD);
            let (first, last) = whole.split_at_checked(cut).unwrap_or((&whole, &[]));
            for (form, sequence, bytes) in [(Form::First, sequence, first), (Form::Last, sequence + 1, last)] {
                item.clear();
                item::begin(form, pending, flow, sequence % SEQUENCES, &mut item);
                item.extend_from_slice(bytes);
                self.enqueue(&mut item, flow, urgent, false, now);
            }
        } else {
            self.totals.dropped += 1;
        }
        self.scratch = item;
        self.sequences[usize::from(flow)] = (sequence + sequences) % SEQUENCES;
        self.pump(now, out);
        if let Some((slot, said)) = waits.zip(said).filter(|(slot, _)| self.express.contains(slot)) {
            self.acks.waits(slot, said);
        }
    }

    /// The item that carries a packet: squeezed if that fits into a datagram, else whole. One without a `sequence` is loose.
    fn written(&mut self, packet: &Packet, flow: u8, sequence: Option<u32>, now: Time) -> Vec<u8> {
        let begin = |form, item: &mut Vec<u8>| {
            item.clear();
            match sequence {
                None => item::begin_loose(form, packet.pending, flow, item),
                Some(sequence) => item::begin(form, packet.pending, flow, sequence, item),
            }
        };
        let mut item = std::mem::take(&mut self.scratch);
        item.clear();
        item.reserve(item::OVERHEAD + packet.length());
        begin(Form::Squeezed, &mut item);
        let squeezed = self.squeezer.squeeze(packet, flow, now, &mut item);
        if !squeezed.done || item.len() > self.room() {
            begin(Form::Whole, &mut item);
            item.extend_from_slice(packet.head);
            item.extend_from_slice(packet.body);
        }
        if let Some(name) = squeezed.announce.filter(|_| self.announced.len() < ANNOUNCED) {
            self.announce(name, now);
        }
        item
    }

    /// Bytes of an item that every path carries.
    fn room(&self) -> usize {
        usize::from(self.size) - HEADER - TAG
    }

    /// Whether a small packet of this flow leaves before all large ones. A flood of small ones is no better than one of large ones.
    fn may_overtake(&mut self, flow: u8) -> bool {
        // Of a flow whose order nobody restores none overtakes another: QUIC would take that for a loss (RFC 9002, 6.1.1).
        if self.express.len() >= EXPRESS || !flow::is_ordered(flow) && self.fair.waits(flow) {
            return false;
        }
        let of_it = |slot: &&Slot| item::flow(self.store.item(**slot)) == flow;
        self.express.iter().filter(of_it).count() < EXPRESS_EACH
    }

    /// `item`: afterwards anything.
    fn enqueue(&mut self, item: &mut Vec<u8>, flow: u8, urgent: bool, small: bool, now: Time) -> Option<Slot> {
        let length = item.len();
        // A large one's memory changes hands instead of its bytes, unless it is much more than the packet needs.
        let moves = length > SMALL && item.capacity() <= 2 * length;
        let slot = self.store.add(urgent, now, |place| match moves {
            true => std::mem::swap(place, item),
            false => place.extend_from_slice(item),
        });
        match slot {
            Some(slot) if small => self.express.push_back(slot),
            Some(slot) => self.fair.push(flow, slot, length),
            None => self.totals.dropped += 1,
        }
        slot
    }

    fn announce(&mut self, name: Name, now: Time) {
        let Some(head) = self.squeezer.context(name) else { return };
        let slot = self.store.add(true, now, |place| item::context(name, head, place));
        if let Some(slot) = slot {
            self.announced.push((slot, name));
            self.express.push_back(slot);
        }
    }

    /// Says of what leaves, if it leaves `early` or any may be overtaken, that it waits for those before it.
    fn mark(&mut self, slot: Slot, early: bool) {
        if self.mixes || early {
            item::mark_patient(self.store.item_mut(slot));
        }
    }

    /// Sends what may leave: first what is small, and of that what was lost.
    pub(super) fn pump(&mut self, now: Time, out: &mut dyn Output) {
        self.opens = None;
        self.send_again(true, now, out);
        loop {
            self.send_express(now, out);
            let waited = self.fair.packets();
            if self.send_again(false, now, out) {
                self.send_fair(now, out);
            }
            // It was the others' turn, and now it is theirs.
            if self.express.is_empty() || self.fair.packets() == waited {
                break;
            }
        }
    }

    /// Something may leave then.
    pub(super) fn wakes(&mut self, opens: Option<Time>) {
        self.opens = earliest(&[self.opens, opens]);
    }

    fn send_express(&mut self, now: Time, out: &mut dyn Output) {
        while let Some(slot) = self.express.front().copied() {
            let size = self.store.item(slot).len() + HEADER + TAG;
            let load = Load { urgent: self.store.is_urgent(slot), ..Load::plain(size) };
            match self.schedule.express(&mut self.paths, load, now) {
                Choice::Take { paths, .. } => {
                    self.express.pop_front();
                    self.acks.left(slot);
                    self.mark(slot, false);
                    self.transmit(slot, paths, true, now, out);
                }
                Choice::Wait(opens) => {
                    self.wakes(opens);
                    break;
                }
                Choice::Nowhere if now.since(self.store.born(slot)) > self.settings.limit => {
                    self.express.pop_front();
                    self.acks.left(slot);
                    self.totals.dropped += 1;
                    self.forget(slot);
                }
                Choice::Nowhere => break,
            }
        }
    }

    /// The large ones, in their flows' turns.
    fn send_fair(&mut self, now: Time, out: &mut dyn Output) {
        while let Some(slot) = self.fair.front() {
            let (born, item) = (self.store.born(slot), self.store.item(slot));
            let (size, ordered) = (item.len() + HEADER + TAG, flow::is_ordered(item::flow(item)));
            let (queued, grows) = self.fair.queued(now);
            // Where it grows, there will be enough to take from further behind.
            let stands = self.waiting.filter(|_| !grows).map(|(since, _)| now.since(since));
            let busy = stands.is_some_and(|stands| stands >= self.standing(now));
            let waited = if busy { now.since(born) } else { Span::ZERO };
            // What is behind does not leave before this one again and again.
            let queued = if now.since(born) > LONGEST { 0 } else { queued };
            let load = Load { size, urgent: self.store.is_urgent(slot), waited, queued, ordered };
            match self.schedule.choose(&mut self.paths, load, now) {
                Choice::Take { paths, behind } => {
                    let later = if behind > 0 { self.pop_behind(paths, behind) } else { None };
                    if later.is_none() {
                        self.fair.pop(born, now);
                    }
                    let leaves = later.unwrap_or(slot);
                    self.mark(leaves, ordered && later.is_some());
                    self.transmit(leaves, paths, false, now, out);
                }
                Choice::Wait(opens) => {
                    let (since, _) = self.waiting.unwrap_or((now, now));
                    self.waiting = Some((since, now));
                    // Where it grows, it is looked at again with each packet that comes; if none does, it does not grow.
                    let from = if grows { now } else { since };
                    let again = if busy { None } else { Some(from + self.standing(now)) };
                    self.wakes(earliest(&[opens, again]));
                    return;
                }
                Choice::Nowhere if now.since(born) > self.settings.limit || self.is_too_long(size) => {
                    self.fair.pop(born, now);
                    self.totals.dropped += 1;
                    self.forget(slot);
                }
                Choice::Nowhere => {
                    self.opens = Some(born + self.settings.limit + Span(1));
                    return;
                }
            }
        }
        if self.waiting.is_some_and(|(_, last)| now.since(last) >= EMPTY) {
            self.waiting = None;
        }
    }

    /// For so long a queue stands that is no burst.
    fn standing(&self, now: Time) -> Span {
        // A TCP that begins makes longer ones.
        if self.schedule.is_starting(&self.paths, now) { STANDING + STANDING + STANDING } else { STANDING }
    }

    /// Instead of the next one, the packet of its flow whose turn comes so many bytes later, if it may leave by this path.
    fn pop_behind(&mut self, paths: u16, bytes: u64) -> Option<Slot> {
        let (store, path) = (&self.store, self.paths.get(paths.trailing_zeros() as usize)?.as_ref()?);
        // What TCP sends again is not to be overtaken, nor to overtake.
        let may = |slot| !item::is_again(store.item(slot)) && path.carries(store.item(slot).len() + HEADER + TAG);
        self.fair.pop_behind(bytes, may)
    }

    /// Whether an item cannot leave any more, though there are paths: it was made when they carried longer ones. TCP sends its bytes again, in
    /// packets that are cut then.
    pub(super) fn is_too_long(&self, size: usize) -> bool {
        let mut up = self.paths.iter().flatten().filter(|path| path.is_up()).peekable();
        up.peek().is_some() && !up.any(|path| path.carries(size))
    }

    /// `ahead`: of those that wait for their turn.
    pub(super) fn transmit(&mut self, slot: Slot, paths: u16, ahead: bool, now: Time, out: &mut dyn Output) {
        let waits = !self.fair.is_empty() || self.again.has_large();
        for id in PathId::all().filter(|id| paths >> id.number() & 1 == 1) {
            let Some(path) = self.paths[id.index()].as_mut() else { continue };
            let Some(via) = path.address else { continue };
            let item = self.store.item(slot);
            if let Some(counter) = seal(&mut self.sessions, path, &via, item, Some(slot), now, out) {
                let ends = path.parity.sent(counter, item);
                let size = item.len() + OUTER;
                if ahead {
                    path.left_ahead(size, waits)
                } else {
                    path.left_in_turn(size)
                }
                self.store.left(slot);
                if ends {
                    self.parity(id, &via, now, out);
                }
            }
        }
        if !self.store.is_flying(slot) {
            self.totals.dropped += 1;
            self.forget(slot);
        }
    }

    /// A group of a path's packets is complete.
    pub(super) fn parity(&mut self, id: PathId, via: &Via, now: Time, out: &mut dyn Output) {
        let room = self.room();
        let Some(path) = self.paths[id.index()].as_mut() else { return };
        let mut pieces = std::mem::take(&mut self.parities);
        path.parity.write(room, &mut pieces);
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            if let Some(counter) = seal(&mut self.sessions, path, via, piece, None, now, out) {
                path.parity.sent(counter, piece);
            }
        }
        self.parities = pieces;
    }

    /// An item will not be sent again.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.announced.retain(|(announced, _)| *announced != slot);
        self.store.drop(slot);
    }
}

/// Sends an item by a path; its counter. With no `slot` it is not sent again. `None`: there is no session, or too much is under way.
pub(super) fn seal(
    sessions: &mut Sessions,
    path: &mut Path,
    via: &Via,
    item: &[u8],
    slot: Option<Slot>,
    now: Time,
    out: &mut dyn Output,
) -> Option<u64> {
    sessions.current(now).filter(|_| !path.is_full(now))?;
    let length = HEADER + item.len() + TAG;
    let room = out.slot(via, length);
    if let Some(text) = room.bytes.get_mut(HEADER..HEADER + item.len()) {
        text.copy_from_slice(item);
    }
    let counter = match room.later {
        None => sessions.seal(path.id, room.bytes, now),
        Some(later) => sessions.seal_later(path.id, room.bytes, now).map(|(counter, sealing)| {
            *later = Some(sealing);
            counter
        }),
    };
    if counter.is_none() {
        // It leaves nevertheless: nobody is to read it.
        room.bytes.fill(0);
        return None;
    }
    path.counts.sent_packets += 1;
    path.counts.sent_bytes += length as u64;
    // Of control items no word comes back.
    path.left(if control::is_control(item) { 0 } else { length }, slot, now);
    counter
}
