//! From the paths to the device.

use crate::time::{Span, Time};

use super::super::control::{self, Control, Terms};
use super::super::flow::Packet;
use super::super::frame::{self, Kind, PathId};
use super::super::item::{self, Form, Item};
use super::super::order::Order;
use super::super::parity::{self, Taker};
use super::super::path::State;
use super::super::pieces::{Piece, Pieces};
use super::super::routes::Sources;
use super::super::sealing::Task;
use super::super::squeeze::Expander;
use super::super::tally::Tally;
use super::super::{Event, Output, Via};
use super::{Candidate, Peer, QUIET, Search, Totals, URGENT, mtu};

/// How long an address may take to show that it is the peer's.
const PROOF: Span = Span::from_secs(5);
/// Between questions to different addresses.
const BETWEEN: Span = Span::from_millis(20);

impl Peer {
    /// A datagram that names one of this peer's sessions. One that is forged, replayed or cut changes nothing.
    /// `opened`: it is decrypted already.
    pub fn datagram(&mut self, via: &Via, datagram: &mut [u8], opened: Option<&Task>, now: Time, out: &mut dyn Output) {
        let length = datagram.len();
        // All of its index: one in 256 has the last byte of the one before.
        let Some(Kind::Data { index: session, .. }) = frame::kind(datagram) else { return };
        let Some(opened) = self.sessions.open(datagram, opened, now) else { return };
        self.follow_session(now, out);
        self.heard = now;
        let (id, counter, item) = (opened.path, opened.counter, &*opened.item);
        let path = self.path(id, now);
        path.counts.received_packets += 1;
        path.counts.received_bytes += length as u64;
        if !path.is_up() && path.address == Some(*via) {
            // It is there again.
            path.probing.silent = now;
            path.probing.next = path.probing.next.min(now + URGENT);
        }
        let is_control = control::is_control(item);
        let tally = self.tallies[id.index()].as_mut();
        if self.session == Some(session) && tally.as_ref().is_none_or(|tally| tally.session() != session) {
            if let Some(former) = tally {
                former.end();
                self.report(now, out);
            }
            self.tallies[id.index()] = Some(Box::new(Tally::new(id, session)));
        }
        let mut overtaken = false;
        // What comes under the former keys until the other end has the new ones is told of too.
        if let Some(tally) = self.tallies[id.index()].as_mut().filter(|tally| tally.session() == session) {
            overtaken = tally.received(counter, length, !is_control, now);
        }
        self.path(id, now).counts.reordered += u64::from(overtaken);
        self.check_address(id, via, now, out);
        if !is_control {
            let first = self.stream.filter(|(_, last)| now.since(*last) < QUIET).map_or(now, |(first, _)| first);
            self.stream = Some((first, now));
        }
        if is_control {
            if let Some(control) = control::read(item) {
                self.hear(id, via, &control, now, out);
            }
        } else if !parity::is_parity(item) {
            self.item(item, now, out);
        }
        // A loose one may yet come, and nobody would know it for the same.
        if let Some(found) = self.add_up(id, session, counter, item).filter(|found| !item::is_loose(found)) {
            self.totals.rebuilt += 1;
            self.item(&found, now, out);
        }
        self.report(now, out);
        self.pump(now, out);
    }

    fn item(&mut self, item: &[u8], now: Time, out: &mut dyn Output) {
        match item::read(item) {
            Some(Item::Context { name, head }) => {
                self.expander.learn(name, head);
            }
            Some(Item::Data(data)) => {
                let (flow, sequence) = (data.flow, data.sequence);
                self.order.set_patient(data.patient);
                self.deliver(now, out, |order, each| {
                    if data.again {
                        order.accept_again(flow, sequence, item, now, each);
                    } else {
                        order.accept(flow, sequence, item, now, each);
                    }
                });
            }
            Some(Item::Loose(_)) => self.deliver(now, out, |_, each| each(item)),
            None => self.totals.dropped += 1,
        }
    }

    /// For a path whose packets have parities: an item that was lost, if this packet tells which.
    fn add_up(&mut self, id: PathId, session: u32, counter: u64, item: &[u8]) -> Option<Vec<u8>> {
        let taker = &mut self.takers[id.index()];
        taker.take_if(|taker| !taker.serves(session, counter));
        if taker.is_none() && parity::is_parity(item) {
            *taker = Taker::new(session, item).map(Box::new);
        }
        taker.as_mut()?.received(counter, item)
    }

    /// Lets `pass` give items to the device.
    pub(super) fn deliver(
        &mut self,
        now: Time,
        out: &mut dyn Output,
        pass: impl FnOnce(&mut Order, &mut dyn FnMut(&[u8])),
    ) {
        let mut delivery = Delivery {
            expander: &self.expander,
            pieces: &mut self.pieces,
            totals: &mut self.totals,
            sources: &mut self.sources,
            head: std::mem::take(&mut self.scratch),
            peer: self.number,
            now,
            out,
        };
        pass(&mut self.order, &mut |item| delivery.item(item));
        self.scratch = delivery.head;
    }

    /// A path's far end has another address than we knew: if it answers a probe there, it has moved.
    fn check_address(&mut self, id: PathId, via: &Via, now: Time, out: &mut dyn Output) {
        let Some(path) = self.paths[id.index()].as_ref() else { return };
        if path.address == Some(*via) || self.settings.client {
            return;
        }
        let candidate = &mut self.candidates[id.index()];
        let known = candidate.filter(|candidate| candidate.via == *via && now.since(candidate.asked) < PROOF);
        let token = match known {
            Some(candidate) if now.since(candidate.again) < URGENT => return,
            // The same question once more: its first answer may yet be on its way.
            Some(candidate) => candidate.token,
            // One at a time: a flood from many addresses, each with a packet that was overheard, gets no more.
            None if candidate.is_some_and(|candidate| now.since(candidate.again) < BETWEEN) => return,
            None => {
                let mut token = [0; 4];
                out.random(&mut token);
                u32::from_be_bytes(token)
            }
        };
        let asked = known.map_or(now, |candidate| candidate.asked);
        *candidate = Some(Candidate { via: *via, token, asked, again: now });
        self.say(id, via, &Control::Probe { token, terms: None }, 0, now, out);
    }

    fn hear(&mut self, id: PathId, via: &Via, control: &Control, now: Time, out: &mut dyn Output) {
        match control {
            // The links are the client's.
            Control::Probe { terms: Some(Terms::GIVEN_UP), .. } if !self.settings.client => {
                self.give_up(id, via, now, out)
            }
            Control::Probe { token, terms } => {
                let path = self.paths[id.index()].as_mut().filter(|_| !self.settings.client);
                path.zip(*terms).into_iter().for_each(|(path, terms)| path.set_terms(terms));
                let answer = Control::Answer { token: *token, at: now.0 as u32 };
                self.say(id, via, &answer, 0, now, out);
            }
            Control::Answer { token, .. } => self.answered(id, via, *token, now, out),
            Control::Report(report) => {
                self.reported(report, now);
                self.spread(now);
            }
            Control::Close => {
                self.sessions.clear();
                for id in PathId::all() {
                    self.abandon(id, State::Trying, out);
                }
                self.update(now, out);
            }
        }
    }

    /// The client has no use for the path any more. Of one that goes elsewhere by now, the word comes late.
    fn give_up(&mut self, id: PathId, via: &Via, now: Time, out: &mut dyn Output) {
        if self.paths[id.index()].as_ref().is_none_or(|path| path.address != Some(*via)) {
            return;
        }
        self.abandon(id, State::Down, out);
        if let Some(path) = self.paths[id.index()].as_mut() {
            path.address = None;
        }
        self.candidates[id.index()] = None;
        self.update(now, out);
    }

    fn answered(&mut self, id: PathId, via: &Via, token: u32, now: Time, out: &mut dyn Output) {
        let at = id.index();
        let Some(path) = self.paths[at].as_mut() else { return };
        let was_usable = path.is_usable();
        if let Some(candidate) =
            self.candidates[at].filter(|candidate| candidate.token == token && candidate.via == *via)
        {
            self.candidates[at] = None;
            path.address = Some(*via);
            if path.state == State::Down {
                path.state = State::Trying;
            }
            path.answered(candidate.asked, now);
            path.search = Search::new(mtu::MOST);
            path.probing.next = now;
        } else if let Some(asked) = path.probing.left(token, now) {
            // Of former ones it is not known how large they were.
            let is_last = path.probing.asked == Some(asked);
            path.answered(asked, now);
            if is_last {
                path.search.passed(path.probing.size, now);
                if path.search.wanted(now).is_some() {
                    path.probing.next = now;
                }
            }
        } else {
            return;
        }
        if !was_usable && path.is_usable() {
            out.event(self.number, Event::PathUp(id));
        }
        self.set_wait();
        self.update(now, out);
    }
}

/// What turns items into packets.
struct Delivery<'p> {
    expander: &'p Expander,
    pieces: &'p mut Pieces,
    totals: &'p mut Totals,
    sources: &'p mut Sources,
    head: Vec<u8>,
    peer: usize,
    now: Time,
    out: &'p mut dyn Output,
}

impl Delivery<'_> {
    fn item(&mut self, item: &[u8]) {
        let Some(Item::Data(data) | Item::Loose(data)) = item::read(item) else { return };
        let mut packet = Packet { head: data.rest, body: &[], pending: data.pending };
        match data.form {
            Form::Whole => {}
            Form::Squeezed => {
                let Some(body) = self.expander.expand(data.rest, data.flow, data.pending, &mut self.head) else {
                    self.totals.dropped += 1;
                    return;
                };
                packet = Packet { head: &self.head, body, pending: data.pending };
            }
            Form::First | Form::Last => {
                let (flow, sequence, pending) = (data.flow, data.sequence, data.pending);
                let piece = Piece { last: data.form == Form::Last, flow, sequence, pending, bytes: data.rest };
                self.pieces.expire(self.now);
                if !self.pieces.accept(&piece, self.now, &mut self.head) {
                    return;
                }
                packet = Packet { head: &self.head, body: &[], pending };
            }
        }
        if !source(packet.head).is_some_and(|source| self.sources.admit(source)) {
            self.totals.dropped += 1;
            return;
        }
        self.totals.received_packets += 1;
        self.totals.received_bytes += packet.length() as u64;
        self.out.deliver(self.peer, packet);
    }
}

/// An IP packet's source address.
fn source(head: &[u8]) -> Option<std::net::IpAddr> {
    address(head, 12, 8)
}

/// An IP packet's destination address.
pub fn destination(head: &[u8]) -> Option<std::net::IpAddr> {
    address(head, 16, 24)
}

fn address(head: &[u8], ipv4: usize, ipv6: usize) -> Option<std::net::IpAddr> {
    match head.first()? >> 4 {
        4 => Some(<[u8; 4]>::try_from(head.get(ipv4..ipv4 + 4)?).ok()?.into()),
        6 => Some(<[u8; 16]>::try_from(head.get(ipv6..ipv6 + 16)?).ok()?.into()),
        _ => None,
    }
}
