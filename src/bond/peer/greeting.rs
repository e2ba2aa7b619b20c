//! A peer's handshakes: when one is due, and what a new session changes.

use super::super::control::Terms;
use super::super::session::Session;
use super::super::{Output, Via};
use super::{CALM, Peer, RETRY, STOPPED};
use crate::time::Time;

impl Peer {
    /// It is for us to call, and there is a path to do so.
    pub(super) fn calls(&self) -> bool {
        self.settings.client && self.paths.iter().flatten().next().is_some()
    }

    /// Whether a handshake should begin now. Asked once for each.
    pub(in crate::bond) fn greets(&mut self, now: Time) -> bool {
        if !self.calls() || now < self.greet {
            return false;
        }
        let lost = self.sessions.current(now).is_none() || !self.is_up;
        if !lost && !self.sessions.stale(now) {
            return false;
        }
        self.greet = now + self.retry;
        self.retry = (self.retry + self.retry).min(CALM);
        true
    }

    /// A handshake is done: its last message came by `via`.
    pub(in crate::bond) fn adopt(&mut self, session: Session, via: &Via, now: Time, out: &mut dyn Output) {
        let here = self.addresses().any(|here| here == *via);
        self.sessions.adopt(session, here, now);
        self.retry = RETRY;
        self.greet = now + CALM;
        self.follow_session(now, out);
    }

    /// The session in use has changed: counters begin anew; if the peer itself began anew, so do all numbers.
    pub(in crate::bond) fn follow_session(&mut self, now: Time, out: &mut dyn Output) {
        let Some(session) = self.sessions.current(now) else { return };
        let (index, instance) = (session.index(), session.hello().instance);
        if self.session == Some(index) {
            return;
        }
        self.session = Some(index);
        // Reports name a session by what its datagrams say: the receiver's index.
        let named = session.remote_index() as u8;
        for path in self.paths.iter_mut().flatten() {
            path.begin_session(named, session.next(path.id));
            if path.probing.next != STOPPED {
                path.probing.next = now;
            }
        }
        if self.instance != Some(instance) {
            // Its machine may have another clock by now.
            self.clock = None;
            if self.instance.is_some() {
                if !self.settings.client {
                    // It speaks of them again if they are others.
                    self.paths.iter_mut().flatten().for_each(|path| path.set_terms(Terms::USUAL));
                }
                // Or copies of what has passed would pass again: the order knows none of it any more.
                self.sessions.forget_others();
                self.deliver(now, out, |order, each| order.reset(each));
            }
            self.expander.reset();
            self.pieces.reset();
            self.squeezer.reset();
            self.announced.clear();
            self.instance = Some(instance);
        }
        self.heard = now;
    }
}
