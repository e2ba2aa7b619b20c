//! Whether the paths work: probes, and what follows from their answers.

use std::collections::VecDeque;

use crate::time::{Span, Time};

use super::super::control::{self, Control};
use super::super::frame::{HEADER, PathId, TAG};
use super::super::item;
use super::super::mtu::Search;
use super::super::path::{Outcome, Path, State};
use super::super::store::{Slot, Store};
use super::super::{Event, Output, Via};
use super::{CALM, GIVEN_UP, Peer, QUIET, RETRY, URGENT, sending};

impl Peer {
    /// When a client that was receiving packets all the time will have heard nothing for too long.
    pub(super) fn quiet(&self) -> Option<Time> {
        let (first, last) = self.stream.filter(|_| self.settings.client && self.is_up)?;
        (last.since(first) >= QUIET).then(|| self.heard + QUIET)
    }

    /// That a server began anew shows by packets of ours that get no word. Who only receives has none on their way: where a
    /// stream of packets ends, all paths are asked, once.
    pub(super) fn wonder(&mut self, now: Time) {
        if self.quiet().is_none_or(|at| now < at) {
            return;
        }
        let ended = self.stream.take().is_some_and(|(_, last)| self.heard.since(last) < QUIET);
        for path in self.paths.iter_mut().flatten().filter(|path| ended && path.probing.asked.is_none()) {
            path.probing.next = now;
        }
    }

    /// Probes a path, and finds it silent.
    pub(super) fn tend(&mut self, id: PathId, now: Time, out: &mut dyn Output) {
        let at = id.index();
        let Some(path) = self.paths[at].as_mut() else { return };
        if self.sessions.current(now).is_none() {
            return;
        }
        if path.overdue().is_some_and(|due| due <= now) {
            let (store, repairs) = (&mut self.store, &mut self.repairs);
            path.doubt(now, &mut |outcome| again(outcome, store, repairs));
        }
        let Some(path) = self.paths[at].as_mut() else { return };
        let search = &mut self.searches[at];
        if let Some(asked) = path.probing.asked {
            if now < asked + path.probing_patience() {
                return;
            }
            if path.probing.size > 0 {
                // A large one: maybe it was that.
                path.probing.asked = None;
                if let Some(search) = search {
                    search.failed(path.probing.size, now);
                }
                path.probing.next = now;
            } else if path.missed() {
                self.abandon(id, State::Silent, out);
                self.update(now, out);
            } else if path.is_up() && (path.is_doubtful || path.probing.unanswered == 1) {
                // It was asked as one that is well: the next time was far away.
                path.probing.next = now;
            }
        }
        let Some(path) = self.paths[at].as_mut() else { return };
        if now < path.probing.next {
            return;
        }
        let Some(via) = path.address else { return };
        let size = self.searches[at].as_ref().filter(|_| path.is_up()).and_then(|search| search.wanted(now));
        if path.probing.key == 0 {
            let mut key = [0; 4];
            out.random(&mut key);
            path.probing.key = u32::from_be_bytes(key);
        }
        path.probing.size = size.unwrap_or(0);
        path.probing.asked = Some(now);
        let lively = path.is_up() && path.probing.unanswered == 0;
        let gone = path.probing.answered.is_none_or(|answered| now.since(answered) > GIVEN_UP);
        path.probing.next = now
            + if lively {
                self.settings.keepalive
            } else if gone {
                CALM
            } else {
                URGENT
            };
        let probe = Control::Probe { token: path.probing.token(now) };
        let fill = size.map_or(0, |size| usize::from(size) - HEADER - TAG);
        self.say(id, &via, &probe, fill, now, out);
    }

    /// A path carries nothing any more: what is on its way leaves again by others.
    pub(super) fn abandon(&mut self, id: PathId, state: State, out: &mut dyn Output) {
        let Some(path) = self.paths[id.index()].as_mut() else { return };
        if path.is_up() {
            out.event(self.number, Event::PathDown(id));
        }
        path.state = state;
        let (store, repairs) = (&mut self.store, &mut self.repairs);
        path.abandon(&mut |outcome| again(outcome, store, repairs));
    }

    /// A path came or went.
    pub(super) fn update(&mut self, now: Time, out: &mut dyn Output) {
        let is_up = self.sessions.current(now).is_some() && self.paths.iter().flatten().any(|path| path.is_up());
        if is_up != self.is_up {
            self.is_up = is_up;
            self.since = now;
            self.heard = now;
            self.greet = now + if is_up { CALM } else { Span::from_millis(300) };
            self.retry = RETRY;
            out.event(self.number, if is_up { Event::Up } else { Event::Down });
        }
        let sizes = self.paths.iter().flatten().filter(|path| path.is_up()).map(|path| path.id.index());
        let size = sizes.filter_map(|at| self.searches[at].as_ref()).map(Search::confirmed).min();
        if let Some(size) = size.filter(|size| *size != self.size) {
            self.size = size;
            out.event(self.number, Event::Mtu(sending::device_mtu(size)));
        }
    }

    /// Sends a control item. It is not repaired, and does not count as in flight.
    pub(super) fn say(&mut self, id: PathId, via: &Via, what: &Control, fill: usize, now: Time, out: &mut dyn Output) {
        let mut item = std::mem::take(&mut self.scratch);
        control::write(what, fill, &mut item);
        if let Some(path) = self.paths[id.index()].as_mut() {
            let counter = sending::seal(&mut self.sessions, path, via, &item, None, now, out);
            if counter.is_some_and(|counter| path.parity.sent(counter, &item)) {
                self.parity(id, via, now, out);
            }
        }
        self.scratch = item;
    }
}

/// What was on its way by a path that is silent or doubtful leaves again.
fn again(outcome: Outcome, store: &mut Store, repairs: &mut VecDeque<Slot>) {
    if let Outcome::Lost(slot) = outcome
        && store.settled(slot, false)
    {
        if item::is_loose(store.item(slot)) { store.drop(slot) } else { repairs.push_back(slot) }
    }
}

impl Path {
    /// How long an answer to a probe may take.
    pub fn probing_patience(&self) -> Span {
        if self.is_doubtful {
            return self.due();
        }
        let (rtt, deviation) = self.probing.rtt.unwrap_or((200_000, 50_000));
        Span::from_micros((rtt * 3 / 2 + 4 * deviation).clamp(100_000, 2_000_000))
    }
}
