//! What happened to links and to the configuration: for the list of the last events, and for whoever else is to
//! hear of it. (The log hears of it where it happens.)

use std::collections::VecDeque;

use crate::control::Value;
use crate::link::MAX_LINKS;
use crate::time::Time;

/// How many are remembered: a flapping link fills a screen or two, and a bug report stays short.
const MAX_EVENTS: usize = 64;

/// Why what a reload took away is down.
pub const LEFT: &str = "left the configuration";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// New connections may take this link again.
    LinkUp,
    LinkDown,
    /// A peer's device carries packets, or a server's client is there.
    PeerUp,
    PeerDown,
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
            Kind::PeerUp => "peer.up",
            Kind::PeerDown => "peer.down",
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
    /// The peer's name, `PEER/CLIENT` for a client of a server; empty where it is about none.
    pub peer: String,
    /// The kernel's device, as far as it is known.
    pub device: String,
    /// The interface of `/etc/config/network`, if the link is one.
    pub interface: String,
    pub reason: String,
}

impl Event {
    /// One that is about no link and no peer.
    pub fn of(kind: Kind, at: Time, reason: String) -> Self {
        Event {
            at,
            kind,
            link: String::new(),
            peer: String::new(),
            device: String::new(),
            interface: String::new(),
            reason,
        }
    }

    /// All but what and when.
    pub fn about(&self) -> Vec<(&'static str, Value)> {
        let mut about = vec![("link", self.link.as_str().into())];
        if !self.peer.is_empty() {
            about.push(("peer", self.peer.as_str().into()));
        }
        about.push(("device", self.device.as_str().into()));
        about.push(("interface", self.interface.as_str().into()));
        about.push(("reason", self.reason.as_str().into()));
        about
    }
}

/// How often a link went up and down. A link of that name which went and came back goes on counting.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Transitions {
    pub up: u64,
    pub down: u64,
}

/// Names whose transitions are counted: every link that there can be, and as many that went. Then the first is forgotten.
const MAX_NAMES: usize = 2 * MAX_LINKS;

/// The last events, the oldest first, and what is counted of all of them.
#[derive(Default)]
pub struct Events {
    last: VecDeque<Event>,
    transitions: Vec<(String, Transitions)>,
}

impl Events {
    pub fn push(&mut self, event: Event) {
        self.count(&event);
        if self.last.len() == MAX_EVENTS {
            self.last.pop_front();
        }
        self.last.push_back(event);
    }

    /// Since the daemon's start.
    pub fn transitions(&self, link: &str) -> Transitions {
        self.transitions.iter().find(|(name, _)| name == link).map(|(_, count)| count.clone()).unwrap_or_default()
    }

    fn count(&mut self, event: &Event) {
        let (up, down) = match event.kind {
            Kind::LinkUp => (1, 0),
            Kind::LinkDown => (0, 1),
            _ => return,
        };
        let mut all = self.transitions(&event.link);
        self.transitions.retain(|(name, _)| *name != event.link);
        if self.transitions.len() == MAX_NAMES {
            self.transitions.remove(0);
        }
        all.up += up;
        all.down += down;
        // The one that changed last is the last to be forgotten.
        self.transitions.push((event.link.clone(), all));
    }

    /// The newest first.
    pub fn document(&self, now: Time) -> Value {
        let event = |event: &Event| {
            let mut entries =
                vec![("age_s", now.since(event.at).as_secs().into()), ("event", event.kind.name().into())];
            entries.extend(event.about());
            Value::Map(entries)
        };
        Value::Map(vec![("events", self.last.iter().rev().map(event).collect::<Vec<_>>().into())])
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
        assert_eq!(events.last.len(), MAX_EVENTS);
        assert_eq!(events.last.back().map(|event| event.at), Some(Time(99_000_000)));
    }
    #[test]
    fn transitions_are_counted_by_link() {
        let mut events = Events::default();
        let event = |kind, link: &str| Event { link: link.into(), ..Event::of(kind, Time(0), String::new()) };
        for (kind, link) in
            [(Kind::LinkUp, "a"), (Kind::LinkUp, "b"), (Kind::LinkDown, "a"), (Kind::LinkUp, "a"), (Kind::Reload, "")]
        {
            events.push(event(kind, link));
        }
        assert_eq!(events.transitions("a"), Transitions { up: 2, down: 1 });
        assert_eq!(events.transitions("b"), Transitions { up: 1, down: 0 });
        assert_eq!(events.transitions(""), Transitions::default());
        for number in 0..MAX_NAMES - 1 {
            events.push(event(Kind::LinkUp, &number.to_string()));
        }
        assert_eq!((events.transitions.len(), events.transitions("b").up), (MAX_NAMES, 0));
        assert_eq!(events.transitions("a").up, 2);
    }
}
