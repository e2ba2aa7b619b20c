//! The user's script, run when a link comes or goes: one at a time, in order, never waited for.
//!
//! A script may be slow, hang, or be missing; links may flap all the while. So what waits is at most one call a link, its
//! newest state; and a script that takes longer than [`PATIENCE`] is killed.

use std::path::Path;

use super::events::{Event, Kind};
use crate::linux::hook::Hook;
use crate::logging;
use crate::time::{Span, Time};

/// How long a script may take. One that restarts a VPN takes a few seconds.
const PATIENCE: Span = Span::from_secs(30);

/// How often a running script is looked at.
const LOOK: Span = Span::from_millis(50);

/// Calls that wait: every link's, and as many of links that a reload took away.
const MAX_WAITING: usize = 32;

/// Lines of a script's output that are logged.
const MAX_LINES: usize = 20;

/// What is to be told to the script.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Call {
    action: &'static str,
    link: String,
    peer: String,
    device: String,
    interface: String,
    reason: String,
}

impl Call {
    /// `None` for events that are about no link and no peer.
    fn of(event: &Event) -> Option<Self> {
        let action = match event.kind {
            Kind::LinkUp | Kind::PeerUp => "connected",
            Kind::LinkDown | Kind::PeerDown => "disconnected",
            _ => return None,
        };
        let Event { link, peer, device, interface, reason, .. } = event.clone();
        Some(Call { action, link, peer, device, interface, reason })
    }
}

/// The calls that wait. Pure.
#[derive(Default)]
struct Queue(Vec<Call>);

impl Queue {
    /// What it returns is told no more: an older call about the same link, or the oldest of too many.
    fn push(&mut self, call: Call) -> Option<Call> {
        let older = self.0.iter().position(|waiting| (&waiting.link, &waiting.peer) == (&call.link, &call.peer));
        let lost = match older {
            Some(older) => Some(self.0.remove(older)),
            None if self.0.len() >= MAX_WAITING => self.pop(),
            None => None,
        };
        self.0.push(call);
        lost
    }

    fn pop(&mut self) -> Option<Call> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }
}

struct Running {
    hook: Hook,
    call: Call,
    /// When it is killed, or was.
    until: Time,
    killed: bool,
}

#[derive(Default)]
pub struct Hooks {
    queue: Queue,
    running: Option<Running>,
}

impl Hooks {
    pub fn happened(&mut self, event: &Event) {
        let Some(call) = Call::of(event) else { return };
        if let Some(lost) = self.queue.push(call) {
            logging::info!("hook: not called for {}: there is newer news", lost.told());
        }
    }

    /// When [`turn`](Self::turn) wants to be called.
    pub fn deadline(&self, now: Time) -> Option<Time> {
        match self.running {
            Some(_) => Some(now + LOOK),
            None => self.queue.0.first().map(|_| now),
        }
    }

    /// Looks after the script that runs, and starts the next one.
    pub fn turn(&mut self, now: Time, path: &str) {
        if let Some(running) = &mut self.running {
            match running.hook.ended() {
                Ok(None) if now < running.until || running.killed => return,
                Ok(None) => {
                    logging::error!("hook {path} for {}: killed after {PATIENCE}", running.call.told());
                    running.hook.kill();
                    running.killed = true;
                    return;
                }
                Ok(Some(status)) => {
                    running.tell_output();
                    if !status.success() && !running.killed {
                        logging::warn!("hook {path} for {}: {status}", running.call.told());
                    }
                }
                Err(error) => logging::error!("hook {path}: cannot wait for it: {error}"),
            }
            self.running = None;
        }
        while let Some(call) = self.queue.pop() {
            // There need be none.
            if !Path::new(path).is_file() {
                continue;
            }
            match Hook::start(path, &call.variables()) {
                Ok(hook) => {
                    logging::debug!("hook {path} for {}", call.told());
                    self.running = Some(Running { hook, call, until: now + PATIENCE, killed: false });
                    return;
                }
                Err(error) => logging::error!("hook {path}: cannot start it: {error}"),
            }
        }
    }

    /// Kills the script that runs; those that wait are not called.
    pub fn stop(&mut self) {
        *self = Hooks::default();
    }
}

impl Running {
    fn tell_output(&self) {
        let output = self.hook.output();
        for line in output.lines().filter(|line| !line.trim().is_empty()).take(MAX_LINES) {
            logging::info!("hook for {}: {line}", self.call.told());
        }
    }
}

impl Call {
    fn told(&self) -> String {
        format!("{}{} {}", self.link, self.peer, self.action)
    }

    fn variables(&self) -> [(&'static str, &str); 6] {
        [
            ("ACTION", self.action),
            ("LINK", &self.link),
            ("PEER", &self.peer),
            ("DEVICE", &self.device),
            ("INTERFACE", &self.interface),
            ("REASON", &self.reason),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(link: &str, kind: Kind) -> Call {
        let event = Event { link: link.into(), ..Event::of(kind, Time(0), "why".into()) };
        Call::of(&event).expect("a link's event")
    }

    fn told(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|call| call.told()).collect()
    }

    #[test]
    fn calls_are_made_in_order() {
        let mut queue = Queue::default();
        for (link, kind) in [("b", Kind::LinkUp), ("a", Kind::LinkDown), ("c", Kind::LinkUp)] {
            assert_eq!(queue.push(call(link, kind)), None);
        }
        assert_eq!(told(&mut queue), ["b connected", "a disconnected", "c connected"]);
        assert_eq!(Call::of(&Event::of(Kind::Reload, Time(0), String::new())), None);
    }

    #[test]
    fn a_flapping_link_waits_once_with_its_newest_state() {
        let mut queue = Queue::default();
        queue.push(call("a", Kind::LinkDown));
        queue.push(call("b", Kind::LinkDown));
        assert_eq!(queue.push(call("a", Kind::LinkUp)), Some(call("a", Kind::LinkDown)));
        assert_eq!(told(&mut queue), ["b disconnected", "a connected"]);
    }

    /// Turns as the main loop takes them, at a time that stands still, until `done`.
    fn turn_until(hooks: &mut Hooks, at: Time, path: &str, done: impl Fn(&Hooks) -> bool) {
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !done(hooks) {
            assert!(std::time::Instant::now() < limit, "not in time");
            hooks.turn(at, path);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    #[test]
    fn one_that_takes_too_long_is_killed_and_the_next_is_called() {
        let directory = std::env::temp_dir().join(format!("cheaproute-hooks-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let (script, called) = (directory.join("script"), directory.join("called"));
        let text = format!("echo $LINK >> {}\n[ $LINK = slow ] && exec sleep 1000\nexit 0\n", called.display());
        std::fs::write(&script, text).expect("a script");
        let path = script.display().to_string();
        let said = || std::fs::read_to_string(&called).unwrap_or_default();

        let mut hooks = Hooks::default();
        assert_eq!(hooks.deadline(Time(5)), None);
        for link in ["slow", "next"] {
            hooks.happened(&Event { link: link.into(), ..Event::of(Kind::LinkUp, Time(0), String::new()) });
        }
        assert_eq!(hooks.deadline(Time(5)), Some(Time(5)));
        turn_until(&mut hooks, Time(0), &path, |_| said() == "slow\n");
        // Within its time nothing happens to it, and nobody else is called.
        for _ in 0..20 {
            hooks.turn(Time(0) + Span::from_secs(29), &path);
        }
        assert!(hooks.running.as_ref().is_some_and(|running| !running.killed) && hooks.queue.0.len() == 1);
        turn_until(&mut hooks, Time(0) + PATIENCE, &path, |_| said() == "slow\nnext\n");
        turn_until(&mut hooks, Time(0) + PATIENCE, &path, |hooks| hooks.running.is_none());
        assert_eq!(hooks.deadline(Time(5)), None);
        // Without a script, calls come to nothing.
        std::fs::remove_dir_all(&directory).expect("the directory");
        hooks.happened(&Event { link: "a".into(), ..Event::of(Kind::LinkUp, Time(0), String::new()) });
        hooks.turn(Time(0), &path);
        assert!(hooks.running.is_none() && hooks.queue.0.is_empty());
    }

    #[test]
    fn too_many_cost_the_oldest() {
        let mut queue = Queue::default();
        for number in 0..MAX_WAITING {
            assert_eq!(queue.push(call(&number.to_string(), Kind::LinkUp)), None);
        }
        assert_eq!(queue.push(call("last", Kind::LinkUp)), Some(call("0", Kind::LinkUp)));
        assert_eq!(queue.0.len(), MAX_WAITING);
    }
}
