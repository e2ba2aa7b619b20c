//! Sealing and opening apart from all else: what other threads may do meanwhile, since one datagram's asks nothing of another's.

use seal::{KEY, Key};

use super::frame::{HEADER, PathId, TAG};

/// A datagram is to be sealed, or opened.
pub struct Task {
    key: Key,
    pub(super) path: PathId,
    pub(super) counter: u64,
    opens: bool,
}

impl Task {
    /// Of a datagram that is complete but for being sealed.
    pub fn seal(key: &Key, path: PathId, counter: u64) -> Self {
        Task { key: key.clone(), path, counter, opens: false }
    }

    /// Of a datagram that may be genuine.
    pub fn open(key: &Key, path: PathId, counter: u64) -> Self {
        Task { key: key.clone(), path, counter, opens: true }
    }

    /// Does it, in place. `false`: it is cut or, if it was to be opened, forged, and left as it is.
    pub fn run(&self, datagram: &mut [u8]) -> bool {
        crypt(&self.key, self.path, self.counter, self.opens, datagram)
    }
}

/// As [`Task::run`].
pub(super) fn crypt(key: &Key, path: PathId, counter: u64, opens: bool, datagram: &mut [u8]) -> bool {
    let Some((header, item, tag)) = parts(datagram) else { return false };
    // Never twice under one key: each path counts by itself, and a key is for one direction.
    let [a, b, c, d, e, f, g, h] = counter.to_be_bytes();
    let nonce = [0, 0, 0, path.number(), a, b, c, d, e, f, g, h];
    if opens {
        return key.open(&nonce, header, item, tag);
    }
    *tag = key.seal(&nonce, header, item);
    true
}

/// Header, item and tag.
pub(super) fn parts(datagram: &mut [u8]) -> Option<(&mut [u8; HEADER], &mut [u8], &mut [u8; TAG])> {
    let (header, rest) = datagram.split_first_chunk_mut()?;
    let (item, tag) = rest.split_last_chunk_mut()?;
    Some((header, item, tag))
}

/// Seals something that goes nowhere, to tell how long that takes.
pub fn sample(text: &mut [u8]) {
    Task::seal(&Key::new(&[0; KEY]), PathId::default(), 0).run(text);
}
