//! Telling everybody who wants to hear what happened to links and splits.

use crate::config::Attach;
use crate::control::Value;
use crate::kernel::Snapshot;
use crate::link::{Link, LinkId};
use crate::linux::clock::now;
use crate::logging;
use crate::probe::State;
use crate::split::place::place;

use super::Daemon;
use super::events::{Event, Kind};

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

    /// The links that new connections may take now.
    pub(super) fn used(&self) -> Vec<LinkId> {
        self.attached.iter().filter(|attached| attached.link.up).map(|attached| attached.link.id).collect()
    }

    /// Tells which links are used now and were not before, or the other way round.
    pub(super) fn tell(&mut self, before: &[LinkId]) {
        let mut events = Vec::new();
        for ((attached, probes), config) in self.attached.iter().zip(&self.probes).zip(&self.config.links) {
            let kind = match (before.contains(&attached.link.id), attached.link.up) {
                (false, true) => Kind::LinkUp,
                (true, false) => Kind::LinkDown,
                _ => continue,
            };
            let reason = match &attached.lacks {
                Some(lack) => lack.to_string(),
                None if probes.prober.state() == State::Unknown => "used until its probes decide".to_owned(),
                None => probes.prober.status().reason.to_string(),
            };
            let interface = match &config.attach {
                Attach::Interface(name) => name.clone(),
                Attach::Device { .. } => String::new(),
            };
            let (link, device) = (attached.link.name.clone(), attached.link.device.clone());
            events.push(Event { link, device, interface, ..Event::of(kind, now(), reason) });
        }
        events.into_iter().for_each(|event| self.happened(event));
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
