//! Telling everybody who wants to hear what happened to links, peers and splits.

use crate::control::Value;
use crate::kernel::Snapshot;
use crate::link::Link;
use crate::linux::clock::now;
use crate::logging;
use crate::probe::State;
use crate::split::place::place;

use super::Daemon;
use super::attach::Attached;
use super::events::{Event, Kind, LEFT};
use super::peers::Turn;

impl Daemon {
    /// Places the splits anew, and tells what changed about them.
    pub(super) fn place(&mut self, links: &[Link], snapshot: &Snapshot) {
        let place = place(&self.config.splits, links, snapshot);
        let old = core::mem::replace(&mut self.place, place);
        for (name, trouble) in self.place.troubles.iter().filter(|trouble| !old.troubles.contains(trouble)) {
            logging::warn!("split {name}: {trouble}");
        }
        let now_in_use = |name: &str| self.place.troubles.iter().all(|(troubled, _)| troubled != name);
        let is_there = |name: &str| self.config.splits.iter().any(|split| split.name == name);
        for (name, _) in old.troubles.iter().filter(|(name, _)| now_in_use(name) && is_there(name)) {
            logging::warn!("split {name}: in use again, over both paths");
        }
    }

    /// Tells which links are used now and were not `before`, or the other way round. By name: a number may be another's now.
    pub(super) fn tell(&mut self, before: &[Attached]) {
        let was_used = |name: &str| before.iter().any(|old| old.link.up && old.link.name == name);
        let event = |kind, attached: &Attached, reason| {
            let Attached { link, interface, .. } = attached;
            let (link, device, interface) = (link.name.clone(), link.device.clone(), interface.clone());
            Event { link, device, interface, ..Event::of(kind, now(), reason) }
        };
        let mut events = Vec::new();
        for old in before.iter().filter(|old| old.link.up && self.config.link(&old.link.name).is_none()) {
            logging::warn!("link {} is down: {LEFT}", old.link.name);
            events.push(event(Kind::LinkDown, old, LEFT.to_owned()));
        }
        for (attached, probes) in self.attached.iter().zip(&self.probes) {
            let kind = match (was_used(&attached.link.name), attached.link.up) {
                (false, true) => Kind::LinkUp,
                (true, false) => Kind::LinkDown,
                _ => continue,
            };
            let reason = match &attached.lacks {
                Some(lack) => lack.to_string(),
                None if probes.prober.state() == State::Unknown => "used until its probes decide".to_owned(),
                None => probes.prober.status().reason.to_string(),
            };
            events.push(event(kind, attached, reason));
        }
        events.into_iter().for_each(|event| self.happened(event));
    }

    /// Takes what the data thread posted, and tells of it; `true` if connections are to take other ways.
    pub(super) fn hear_of_peers(&mut self) -> bool {
        let turns = self.peers.learn();
        let any = !turns.is_empty() | self.peers.have_moved();
        self.tell_of_peers(turns);
        any
    }

    pub(super) fn tell_of_peers(&mut self, turns: Vec<Turn>) {
        for Turn { name, device, up, reason } in turns {
            logging::warn!("peer {name} is {}: {reason}", if up { "up" } else { "down" });
            let kind = if up { Kind::PeerUp } else { Kind::PeerDown };
            self.happened(Event { peer: name, device, ..Event::of(kind, now(), reason) });
        }
    }

    /// The one place that everybody who wants to hear of events hears them from.
    pub(super) fn happened(&mut self, event: Event) {
        self.hooks.happened(&event);
        if let Some(object) = &self.object {
            object.notify(event.kind.name(), Value::Map(event.about()));
        }
        self.events.push(event);
    }
}
