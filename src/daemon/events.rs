//! What happened to links and to the configuration: for the list of the last events, and for whoever else is to
//! hear of it. (The log hears of it where it happens.)

use std::collections::VecDeque;

use crate::control::Value;
use crate::time::Time;

/// How many are remembered: a flapping link fills a screen or two, and a bug report stays short.
const MAX_EVENTS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// New connections may take this link again.
    LinkUp,
    LinkDown,
    Reload,
    /// The configuration had faults, so the old one stays.
    ReloadFailed,
}

impl Kind {
    /// As it is called in JSON and on ubus.
    pub fn name(self) -> &'static str {
        match self {
            Kind::LinkUp => "link.up",
            Kind::LinkDown => "link.down",
            Kind::Reload => "reload",
            Kind::ReloadFailed => "reload.failed",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub at: Time,
    pub kind: Kind,
    /// The link's name; empty where it is about none, and so are the next two.
    pub link: String,
    /// The kernel's device, as far as it is known.
    pub device: String,
    /// The interface of `/etc/config/network`, if the link is one.
    pub interface: String,
    pub reason: String,
}

impl Event {
    /// One that is about no link.
    pub fn of(kind: Kind, at: Time, reason: String) -> Self {
        Event { at, kind, link: String::new(), device: String::new(), interface: String::new(), reason }
    }

    /// All but what and when.
    pub fn about(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("link", self.link.as_str().into()),
            ("device", self.device.as_str().into()),
            ("interface", self.interface.as_str().into()),
            ("reason", self.reason.as_str().into()),
        ]
    }
}

/// The last events, the oldest first.
#[derive(Default)]
pub struct Events(VecDeque<Event>);

impl Events {
    pub fn push(&mut self, event: Event) {
        if self.0.len() == MAX_EVENTS {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    /// The newest first.
    pub fn document(&self, now: Time) -> Value {
        let event = |event: &Event| {
            let mut entries =
                vec![("age_s", now.since(event.at).as_secs().into()), ("event", event.kind.name().into())];
            entries.extend(event.about());
            Value::Map(entries)
        };
        Value::Map(vec![("events", self.0.iter().rev().map(event).collect::<Vec<_>>().into())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let mut events = Events::default();
        for second in 0..100 {
            events.push(Event::of(Kind::Reload, Time(second * 1_000_000), String::new()));
        }
        assert_eq!(events.0.len(), MAX_EVENTS);
        assert_eq!(events.0.back().map(|event| event.at), Some(Time(99_000_000)));
    }
}
