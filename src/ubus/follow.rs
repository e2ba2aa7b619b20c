//! A thread that follows netifd: it hands over the list of interfaces, first at once and then whenever it changed.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::blob::Table;
use super::client::{Client, News};
use super::connection::Error;
use super::netifd::{self, Interface};

/// A link that comes up is several notifications: device, address, route, prefix. Together they are one change.
pub const DEBOUNCE: Duration = Duration::from_millis(100);

/// Between attempts, doubled each time.
pub const PAUSE: Duration = Duration::from_millis(500);
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);

const OBJECT: &str = "network.interface";

#[derive(Debug)]
pub enum Update {
    /// All of netifd's interfaces. While ubusd or netifd is away, nothing comes: the kernel keeps what they set up.
    Interfaces(Vec<Interface>),
    /// There is no ubus here, or no netifd on it. Said once, and only before the first list; the thread keeps trying.
    Missing(Error),
}

/// Dropping it ends the thread soon after; an update may still come in between.
pub struct Follower {
    shared: Arc<Shared>,
    thread: Thread,
}

impl Follower {
    /// `paths`: see [`PATHS`](super::connection::PATHS). `wake` is called after each update, from the thread.
    pub fn start(paths: Vec<PathBuf>, updates: Sender<Update>, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let worker = Worker { shared: shared.clone(), paths, updates, wake, last: None };
        let thread = thread::Builder::new().name("ubus".into()).spawn(move || worker.run())?;
        Ok(Follower { shared, thread: thread.thread().clone() })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stop();
        self.thread.unpark();
    }
}

/// What it takes to stop a thread that waits on a socket.
#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    socket: Mutex<Option<UnixStream>>,
}

impl Shared {
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.shut();
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    fn set(&self, socket: Option<UnixStream>) {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = socket;
        // The stop may have come before there was a socket to shut.
        if self.stopped() {
            self.shut();
        }
    }

    fn shut(&self) {
        if let Some(socket) = &*self.socket.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = socket.shutdown(Shutdown::Both); // it fails only if ubusd closed it already
        }
    }
}

struct Worker<W> {
    shared: Arc<Shared>,
    paths: Vec<PathBuf>,
    updates: Sender<Update>,
    wake: W,
    last: Option<Vec<Interface>>,
}

impl<W: Fn()> Worker<W> {
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
                log::info!("ubus: {error}; trying again");
            }
            if self.last.is_none() && !missing_said {
                missing_said = true;
                if !self.report(Update::Missing(error)) {
                    return;
                }
            }
            // A stop in the meantime has left its token: then this returns at once.
            thread::park_timeout(pause);
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
            let list = netifd::interfaces(&client.invoke(OBJECT, "dump", &Table::default())?);
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

    fn report(&self, update: Update) -> bool {
        let taken = self.updates.send(update).is_ok();
        if taken {
            (self.wake)();
        }
        taken
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
