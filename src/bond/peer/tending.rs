//! Whether the paths work: probes, and what follows from their answers.

use crate::time::{Span, Time};

use super::super::control::{self, Control, Terms};
use super::super::frame::{HEADER, PathId, TAG};
use super::super::mtu;
use super::super::path::{Path, State};
use super::super::{Event, Output, Via};
use super::{CALM, GIVEN_UP, Peer, QUIET, RETRY, STOPPED, STRANGE, URGENT, sending};

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
            let (store, again) = (&mut self.store, &mut self.again);
            path.doubt(now, &mut |outcome| again.settle(outcome, store));
        }
        let Some(path) = self.paths[at].as_mut() else { return };
        if let Some(asked) = path.probing.asked {
            if now < asked + path.probing_patience() {
                return;
            }
            if path.probing.size > 0 {
                // A large one: maybe it was that.
                path.probing.asked = None;
                path.probing.next = now;
                let known = path.search.confirmed();
                path.search.failed(path.probing.size, now);
                if path.search.confirmed() != known {
                    self.resized(id, now, out);
                }
            } else if path.missed() {
                path.probing.silent = now;
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
        // Of a doubtful one it is asked first whether anything passes.
        let size = path.search.wanted(now).filter(|_| path.is_up() && !path.is_doubtful);
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
        let terms = self.has_terms.then(|| path.terms());
        if !self.settings.client && !path.is_up() && now.since(path.probing.silent) > STRANGE {
            path.probing.next = STOPPED;
        }
        let probe = Control::Probe { token: path.probing.token(now), terms };
        let fill = size.map_or(0, |size| usize::from(size).saturating_sub(HEADER + TAG));
        self.say(id, &via, &probe, fill, now, out);
    }

    /// A path carries nothing any more: what is on its way leaves again by others.
    pub(super) fn abandon(&mut self, id: PathId, state: State, out: &mut dyn Output) {
        let Some(path) = self.paths[id.index()].as_mut() else { return };
        if path.is_up() {
            out.event(self.number, Event::PathDown(id));
        }
        path.state = state;
        if path.is_narrow() {
            // Maybe it was dying already.
            path.search.doubt();
        }
        let (store, again) = (&mut self.store, &mut self.again);
        path.abandon(&mut |outcome| again.settle(outcome, store));
    }

    /// The kernel itself takes no datagram of this length to there. Whether that is a path of ours.
    pub(in super::super) fn too_long(&mut self, via: &Via, length: usize, now: Time, out: &mut dyn Output) -> bool {
        let Some(path) = self.paths.iter_mut().flatten().find(|path| path.address == Some(*via)) else { return false };
        let known = path.search.confirmed();
        path.search.refused(length as u16, now);
        // A probe of that size has not left.
        let size = usize::from(path.probing.size);
        path.probing.asked.take_if(|_| size >= length);
        path.probing.next = now;
        let id = path.id;
        if path.search.confirmed() != known {
            self.resized(id, now, out);
        }
        true
    }

    /// A path carries another size than was known.
    pub(super) fn resized(&mut self, id: PathId, now: Time, out: &mut dyn Output) {
        if self.paths[id.index()].as_deref().is_some_and(Path::is_narrow) {
            out.event(self.number, Event::Narrow(id));
        }
        self.update(now, out);
    }

    /// A path came or went, or carries another size.
    pub(super) fn update(&mut self, now: Time, out: &mut dyn Output) {
        // One that carries nothing of use does not count.
        let sizes = self.paths.iter().flatten().filter(|path| path.is_usable());
        let size = sizes.map(|path| path.search.confirmed()).min();
        let is_up = self.sessions.current(now).is_some() && size.is_some();
        if is_up != self.is_up {
            self.is_up = is_up;
            self.since = now;
            self.heard = now;
            self.greet = now + if is_up { CALM } else { Span::from_millis(300) };
            self.retry = RETRY;
            out.event(self.number, if is_up { Event::Up } else { Event::Down });
        }
        if let Some(size) = size.filter(|size| *size != self.size) {
            self.size = size;
            out.event(self.number, Event::Mtu(mtu::device(size)));
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

impl Path {
    /// What the link's owner allows.
    pub fn terms(&self) -> Terms {
        Terms { weight: self.weight, cap: self.rate.cap() }
    }

    pub fn set_terms(&mut self, terms: Terms) {
        self.weight = terms.weight;
        self.rate.set_cap(terms.cap);
    }

    /// How long an answer to a probe may take.
    pub fn probing_patience(&self) -> Span {
        if self.is_doubtful || self.search.is_suspect() {
            return self.due();
        }
        let (rtt, deviation) = self.probing.rtt.unwrap_or((200_000, 50_000));
        Span::from_micros((rtt * 3 / 2 + 4 * deviation).clamp(100_000, 2_000_000))
    }
}
