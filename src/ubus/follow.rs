//! A thread that follows netifd: it hands over the list of interfaces, first at once and then whenever it changed.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::blob::Table;
use super::client::{Client, News};
use super::connection::Error;
use super::netifd::{self, Interface};
use crate::control::queue::Sender;
use crate::linux::thread::Thread;
use crate::linux::wait::Changes;
use crate::logging;

/// A link that comes up is several notifications: device, address, route, prefix. Together they are one change.
pub const DEBOUNCE: Duration = Duration::from_millis(100);

/// Between attempts, doubled each time.
pub const PAUSE: Duration = Duration::from_millis(500);
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A list of interfaces nests a few levels deep; its bytes are on the heap.
const STACK: usize = 256 * 1024;

const OBJECT: &str = "network.interface";

#[derive(Debug)]
pub enum Update {
    /// All of netifd's interfaces. While ubusd or netifd is away, nothing comes: the kernel keeps what they set up.
    Interfaces(Vec<Interface>),
    /// There is no ubus here, or no netifd on it. Said once, and only before the first list; the thread keeps trying.
    Missing(Error),
}

/// Asked once: within [`TIMEOUT`](super::connection::TIMEOUT), as [`Client::connect`] has it.
pub fn interfaces(paths: &[PathBuf]) -> Result<Vec<Interface>, Error> {
    dump(&mut Client::connect(paths)?)
}

fn dump(client: &mut Client) -> Result<Vec<Interface>, Error> {
    Ok(netifd::interfaces(&client.invoke(OBJECT, "dump", &Table::default())?))
}

/// Dropping it ends the thread soon after; an update may still come in between.
pub struct Follower {
    shared: Arc<Shared>,
}

impl Follower {
    /// `paths`: see [`PATHS`](super::connection::PATHS). `wake` is called after each update, from the thread.
    pub fn start(paths: Vec<PathBuf>, updates: Sender<Update>, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let worker = Worker { shared: shared.clone(), paths, updates, wake: Box::new(wake), last: None };
        Thread::start(c"ubus", STACK, Box::new(move || worker.run()))?;
        Ok(Follower { shared })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

/// What it takes to stop a thread that waits on a socket.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changes: Changes,
}

#[derive(Default)]
struct State {
    stopped: bool,
    socket: Option<UnixStream>,
}

impl State {
    fn shut(&self) {
        if let Some(socket) = &self.socket {
            let _ = socket.shutdown(Shutdown::Both); // it fails only if ubusd closed it already
        }
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        let mut state = self.open();
        state.stopped = true;
        state.shut();
        self.changes.tell();
    }

    fn stopped(&self) -> bool {
        self.open().stopped
    }

    fn set(&self, socket: Option<UnixStream>) {
        let mut state = self.open();
        state.socket = socket;
        // The stop may have come before there was a socket to shut.
        if state.stopped {
            state.shut();
        }
    }

    /// Returns early at the stop.
    fn pause(&self, time: Duration) {
        drop(self.changes.wait_while(&self.state, time, |state| !state.stopped));
    }
}

struct Worker {
    shared: Arc<Shared>,
    paths: Vec<PathBuf>,
    updates: Sender<Update>,
    wake: Box<dyn Fn() + Send>,
    last: Option<Vec<Interface>>,
}

impl Worker {
    fn run(mut self) {
        let mut pause = PAUSE;
        let mut missing_said = false;
        while !self.shared.stopped() {
            let mut listed = false;
            let Err(error) = self.session(&mut listed) else { return };
            self.shared.set(None);
            if self.shared.stopped() {
                return;
            }
            if listed {
                pause = PAUSE;
                logging::info!("ubus: {error}; trying again");
            }
            if self.last.is_none() && !missing_said {
                missing_said = true;
                if !self.report(Update::Missing(error)) {
                    return;
                }
            }
            self.shared.pause(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One connection, until it fails; `Ok` when nobody takes updates any more.
    fn session(&mut self, listed: &mut bool) -> Result<(), Error> {
        let mut client = Client::connect(&self.paths)?;
        self.shared.set(Some(client.handle()?));
        // Before the first dump, so that no change falls in between.
        client.subscribe(OBJECT)?;
        loop {
            let list = dump(&mut client)?;
            *listed = true;
            if self.last.as_ref() != Some(&list) {
                self.last = Some(list.clone());
                if !self.report(Update::Interfaces(list)) {
                    return Ok(());
                }
            }
            let mut until = None;
            // Waits for the first news, then gathers more until the time is up, which more cannot put off.
            while let Some(news) = client.news(until)? {
                if news == News::Gone {
                    return Err(Error::Status(Error::NOT_FOUND));
                }
                until = until.or(Some(Instant::now() + DEBOUNCE));
            }
        }
    }

    /// Waits for a main loop that is busy. `false` when nobody takes updates any more.
    fn report(&self, mut update: Update) -> bool {
        loop {
            update = match self.updates.send(update) {
                Ok(()) => {
                    (self.wake)();
                    return true;
                }
                Err(TrySendError::Full(update)) if !self.shared.stopped() => update,
                Err(_) => return false,
            };
            self.shared.pause(DEBOUNCE);
        }
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
