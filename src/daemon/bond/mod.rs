//! The bond's thread, which carries the packets of all peers, and the main loop's hold on it.
//!
//! The main loop says what it wants ([`orders`]) and reads what there is from the [`Board`]; neither waits for the other.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bond::keys::{PublicKey, Secret};
use crate::config::{Config, Key, PrivateKey};
use crate::kernel::Snapshot;
use crate::link::Marks;
use crate::linux::file;
use crate::linux::poll::Waker;
use crate::linux::thread::Thread;
use crate::logging;

use super::attach::Attached;
use super::peers::Board;

mod cipher;
mod device;
mod endpoints;
mod orders;
mod outlet;
mod runner;
mod section;
mod telling;
mod upkeep;

use endpoints::Found;
use orders::{Wanted, ways};
use runner::Runner;

/// Of the thread: what system calls take in batches is on it.
const STACK: usize = 256 * 1024;

/// Between the main loop, the thread, and those that resolve names for it.
struct Shared {
    letters: Mutex<Letters>,
    waker: Waker,
}

#[derive(Default)]
struct Letters {
    wanted: Option<Vec<Wanted>>,
    found: Vec<Found>,
    stop: bool,
}

impl Shared {
    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The main loop's side. Without a peer there is no thread.
pub struct Bond {
    board: Board,
    bell: Arc<Waker>,
    running: Option<(Arc<Shared>, Thread)>,
    /// The peers' own keys, by section, and where they are from.
    keys: Vec<(String, PrivateKey, Result<Key, String>)>,
    told: Vec<Wanted>,
}

impl Bond {
    /// How peers are gets to `board`, and `bell` is rung when somebody should look.
    pub fn new(board: Board, bell: Arc<Waker>) -> Self {
        Bond { board, bell, running: None, keys: Vec::new(), told: Vec::new() }
    }

    /// Reads the keys of a configuration.
    pub fn adopt(&mut self, config: &Config) {
        let old = core::mem::take(&mut self.keys);
        for peer in &config.peers {
            let mut key = read_key(&peer.private_key);
            if let Err(why) = &key {
                logging::error!("peer {}: {why}", peer.name);
                // A file that is away for a moment takes no session away that works.
                let known = old.iter().find(|(_, from, known)| *from == peer.private_key && known.is_ok());
                key = known.map_or(key, |(.., known)| known.clone());
            }
            self.keys.push((peer.name.clone(), peer.private_key.clone(), key));
        }
    }

    /// The public parts of the peers' own keys, which the other ends need.
    pub fn public_keys(&self) -> Vec<(String, PublicKey)> {
        let known = self.keys.iter().filter_map(|(name, _, key)| Some((name.clone(), key.as_ref().ok()?)));
        known.map(|(name, key)| (name, Secret::new(key.0).public())).collect()
    }

    /// Has peers follow their configuration and the links. Whether that failed, and is to be tried again.
    pub fn follow(&mut self, config: &Config, attached: &[Attached], now: &Snapshot, marks: Marks) -> bool {
        let key = |name: &str| self.keys.iter().find(|(known, ..)| known == name).map(|(.., key)| key.clone());
        let wanted = config.peers.iter().filter_map(|peer| {
            let ways = ways(peer, attached, now, marks);
            Some(Wanted { config: peer.clone(), key: key(&peer.name)?, ways })
        });
        let wanted: Vec<Wanted> = wanted.collect();
        if wanted.is_empty() {
            self.stop();
            return false;
        }
        if self.running.as_ref().is_some_and(|(_, thread)| thread.is_finished()) {
            self.stop();
        }
        if self.running.is_none() {
            match self.start() {
                Ok(running) => self.running = Some(running),
                Err(error) => {
                    logging::error!("cannot start the bond's thread: {error}; trying again");
                    return true;
                }
            }
        }
        if let Some((shared, _)) = self.running.as_ref().filter(|_| wanted != self.told) {
            shared.letters().wanted = Some(wanted.clone());
            shared.waker.wake();
            self.told = wanted;
        }
        false
    }

    fn start(&self) -> io::Result<(Arc<Shared>, Thread)> {
        let shared = Arc::new(Shared { letters: Mutex::default(), waker: Waker::new()? });
        let mut runner = Runner::new(shared.clone(), self.board.clone(), self.bell.clone())?;
        let body = move || {
            if let Err(error) = runner.run() {
                logging::error!("the bond's thread ended: {error}");
            }
        };
        Ok((shared, Thread::start(c"bond", STACK, Box::new(body))?))
    }

    /// Says goodbye to all peers and takes their devices away.
    pub fn stop(&mut self) {
        self.told.clear();
        if let Some((shared, thread)) = self.running.take() {
            shared.letters().stop = true;
            shared.waker.wake();
            thread.join();
        }
    }
}

impl Drop for Bond {
    fn drop(&mut self) {
        self.stop();
    }
}

fn read_key(key: &PrivateKey) -> Result<Key, String> {
    match key {
        PrivateKey::Here(key) => Ok(*key),
        PrivateKey::File(name) => {
            let text = file::text(std::path::Path::new(name)).map_err(|error| {
                format!("cannot read private_key_file {name}: {error}{}", remedy(error.kind(), name))
            })?;
            let key =
                Secret::read(text.trim()).ok_or_else(|| format!("{name} holds no private key of 'cheaproute genkey'"));
            key.map(|key| Key(*key.bytes()))
        }
    }
}

/// What to do about a key that cannot be read. A service that is not root's may not read what root made under umask 077.
fn remedy(kind: io::ErrorKind, name: &str) -> String {
    match kind {
        io::ErrorKind::NotFound => "; 'cheaproute genkey' makes one".into(),
        io::ErrorKind::PermissionDenied => {
            format!("; the daemon's user may not read it: chgrp cheaproute {name}; chmod 640 {name}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_whose_file_is_away_for_a_moment_stays() {
        let file = std::env::temp_dir().join(format!("cheaproute-key-{}", std::process::id()));
        let key = Secret::private([7; 32]);
        let of = |file: &std::path::Path| {
            let (file, public) = (file.display(), key.public());
            let text = format!(
                "config cheaproute 'main'
                config link 'a'\n option device 'eth1'
                config peer 'far'\n option private_key_file '{file}'\n option public_key '{public}'
                list endpoint '192.0.2.1:1'\n list address '10.0.0.1/24'"
            );
            crate::config::read(&text).unwrap_or_else(|faults| panic!("{faults:?}")).0
        };
        let mut bond = Bond::new(Board::default(), Arc::new(Waker::new().expect("a waker")));
        let mut has_key = |config: &Config| {
            bond.adopt(config);
            bond.public_keys() == [("far".to_owned(), key.public())]
        };
        std::fs::write(&file, key.written()).expect("a file");
        assert!(has_key(&of(&file)));
        std::fs::remove_file(&file).expect("no file");
        assert!(has_key(&of(&file)));
        assert!(!has_key(&of("/nowhere/key".as_ref())), "another file has another key");
    }

    #[test]
    fn a_key_that_cannot_be_read_is_told_with_what_helps() {
        let why = |name: &str| read_key(&PrivateKey::File(name.into())).expect_err("no key");
        let missing = why("/nowhere/key");
        assert!(missing.starts_with("cannot read private_key_file /nowhere/key: "), "{missing}");
        assert!(missing.ends_with("; 'cheaproute genkey' makes one"), "{missing}");
        assert!(!why("/").contains(';'), "a directory is neither");
        // Root, whose tests these may be, may read everything.
        let denied = remedy(io::ErrorKind::PermissionDenied, "/k");
        assert!(denied.ends_with("chgrp cheaproute /k; chmod 640 /k") && !denied.contains("genkey"), "{denied}");
    }
}
