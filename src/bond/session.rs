//! Sessions: the keys of a handshake, what has been sent and received under them, and which of a peer's are in use.

use seal::Key;

use super::frame::{self, HEADER, Kind, MAX_PATHS, PathId};
use super::replay::Window;
use super::sealing::{self, Task};
use crate::time::{Span, Time, earliest};

/// The initiator of a session asks for the next one at this age (WireGuard's paper, 6.1).
pub const REKEY_AFTER: Span = Span::from_secs(120);
/// Nothing is sealed or opened at this age. The minute between is for retries.
pub const REJECT_AFTER: Span = Span::from_secs(180);
/// Or at this many packets of one path: a year's worth, far below what the cipher bears.
pub const REKEY_AT: u64 = 1 << 48;
/// Nothing is sealed from here on.
const WORN_OUT: u64 = REKEY_AT + (1 << 40);

/// Sessions of one peer that nothing has arrived under yet. Each is one initiation; who replays old ones pushes out others'
/// sessions only if there are more of them than this within a round trip: at the 50 a second that nobody has to show a cookie for, one
/// of 640 ms. 11 KB for a peer that is attacked.
const PENDING: usize = 32;

/// What a peer said of itself in the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hello {
    /// Of the protocol: a newer one is understood, and understands.
    pub minor: u8,
    /// One bit for each thing that both must know before one uses it.
    pub features: u8,
    /// Another one has begun all its numbers anew.
    pub instance: u16,
}

/// One set of keys.
pub struct Session {
    seal: Key,
    open: Key,
    local: u32,
    remote: u32,
    initiator: bool,
    hello: Hello,
    sent: [u64; MAX_PATHS],
    /// Made when a path's first packet has arrived: a peer of two links has two.
    windows: [Option<Box<Window>>; MAX_PATHS],
}

/// A datagram's contents.
#[derive(PartialEq, Eq, Debug)]
pub struct Opened<'d> {
    pub path: PathId,
    pub counter: u64,
    pub item: &'d mut [u8],
}

impl Session {
    /// `seal` is for what we send, `open` for what we receive.
    pub(super) fn new((seal, open): (Key, Key), (local, remote): (u32, u32), initiator: bool, hello: Hello) -> Self {
        Session { seal, open, local, remote, initiator, hello, sent: [0; MAX_PATHS], windows: Default::default() }
    }

    /// The index in what we receive.
    pub const fn index(&self) -> u32 {
        self.local
    }

    /// The index in what we send.
    pub const fn remote_index(&self) -> u32 {
        self.remote
    }

    /// The counter of a path's next packet.
    pub fn next(&self, path: PathId) -> u64 {
        self.sent.get(path.index()).copied().unwrap_or(0)
    }

    /// Whether we began the handshake: it is up to us to begin the next.
    pub const fn initiator(&self) -> bool {
        self.initiator
    }

    pub const fn hello(&self) -> Hello {
        self.hello
    }

    /// Makes a datagram of `buffer`: [`HEADER`] bytes of room, the item, [`TAG`](frame::TAG) bytes of room. Its counter; `None` if there
    /// is no room or the session is worn out.
    pub fn seal(&mut self, path: PathId, buffer: &mut [u8]) -> Option<u64> {
        let counter = self.begin(path, buffer)?;
        sealing::crypt(&self.seal, path, counter, false, buffer).then_some(counter)
    }

    /// The same, but for what [`Task::run`] is still to do to it.
    pub fn seal_later(&mut self, path: PathId, buffer: &mut [u8]) -> Option<(u64, Task)> {
        let counter = self.begin(path, buffer)?;
        Some((counter, Task::seal(&self.seal, path, counter)))
    }

    /// Writes the header, with the next counter.
    fn begin(&mut self, path: PathId, buffer: &mut [u8]) -> Option<u64> {
        let (header, _, _) = sealing::parts(buffer)?;
        let sent = self.sent.get_mut(path.index()).filter(|sent| **sent < WORN_OUT)?;
        let counter = *sent;
        *sent = counter + 1;
        let [a, b, c, d] = frame::prefix(Kind::Data { path, index: self.remote });
        let [e, f, g, h] = (counter as u32).to_be_bytes();
        *header = [a, b, c, d, e, f, g, h];
        Some(counter)
    }

    /// Decrypts in place, if that was not done as `opened` says. `None` for what is forged, replayed, too old, truncated, or another
    /// session's; such is left as it is.
    pub fn open<'d>(&mut self, datagram: &'d mut [u8], opened: Option<&Task>) -> Option<Opened<'d>> {
        let (path, counter) = match opened {
            Some(task) => (task.path, task.counter),
            None => self.expects(datagram)?,
        };
        if opened.is_none() && !sealing::crypt(&self.open, path, counter, true, datagram) {
            return None;
        }
        let (_, item, _) = sealing::parts(datagram)?;
        let window = self.windows.get_mut(path.index())?.get_or_insert_default();
        window.note(counter).then_some(Opened { path, counter, item })
    }

    /// How to open it; `None` for what is another session's, too old, or replayed as far as that is known yet.
    pub fn opening(&self, datagram: &[u8]) -> Option<Task> {
        let (path, counter) = self.expects(datagram)?;
        Some(Task::open(&self.open, path, counter))
    }

    /// The counter of a datagram, if it may be a new one of this session.
    fn expects(&self, datagram: &[u8]) -> Option<(PathId, u64)> {
        let Kind::Data { path, index } = frame::kind(datagram)? else { return None };
        let [_, _, _, _, e, f, g, h] = *datagram.first_chunk::<HEADER>()?;
        let low = u32::from_be_bytes([e, f, g, h]);
        let window = self.windows.get(path.index())?.as_ref();
        let counter = window.map_or(u64::from(low), |window| window.whole(low));
        // Before the cipher: a flood of replays costs next to nothing.
        let fresh = window.is_none_or(|window| window.fresh(counter));
        (index == self.local && fresh).then_some((path, counter))
    }

    fn worn(&self) -> bool {
        self.sent.iter().any(|sent| *sent >= REKEY_AT)
    }

    #[cfg(test)]
    pub(super) fn pretend_sent(&mut self, path: PathId, sent: u64) {
        self.sent[path.index()] = sent;
    }
}

struct Held {
    session: Session,
    since: Time,
    /// It was asked for where a path of the peer leads: no replay from elsewhere pushes it out.
    here: bool,
}

impl Held {
    fn lives(&self, now: Time) -> bool {
        now.since(self.since) < REJECT_AFTER
    }
}

/// The sessions of one peer.
///
/// An initiator's new session is used at once, since the answer proves the responder. A responder's waits until something
/// arrives under it: before that, the initiation may have been a replayed one.
#[derive(Default)]
pub struct Sessions {
    current: Option<Held>,
    /// For what is still on its way.
    previous: Option<Held>,
    pending: Vec<Held>,
    changes: u32,
}

impl Sessions {
    /// A handshake is done. `here`: its message came from where a path of the peer leads.
    pub fn adopt(&mut self, session: Session, here: bool, now: Time) {
        self.changes = self.changes.wrapping_add(1);
        let held = Held { session, since: now, here };
        if held.session.initiator {
            self.previous = self.current.replace(held).or(self.previous.take());
            return;
        }
        if self.pending.len() >= PENDING {
            self.pending.remove(self.pending.iter().position(|held| !held.here).unwrap_or(0));
        }
        self.pending.push(held);
    }

    /// As [`Session::open`], by the session it is for.
    pub fn open<'d>(&mut self, datagram: &'d mut [u8], opened: Option<&Task>, now: Time) -> Option<Opened<'d>> {
        let Kind::Data { index, .. } = frame::kind(datagram)? else { return None };
        let fits = |held: &&mut Held| held.session.local == index && held.lives(now);
        let used = self.current.as_mut().filter(fits).or_else(|| self.previous.as_mut().filter(fits));
        if let Some(held) = used {
            return held.session.open(datagram, opened);
        }
        let (at, held) = self.pending.iter_mut().enumerate().find(|(_, held)| fits(held))?;
        let opened = held.session.open(datagram, opened)?;
        // The initiator has the keys, and uses them.
        let confirmed = self.pending.remove(at);
        self.previous = self.current.replace(confirmed).or(self.previous.take());
        self.changes = self.changes.wrapping_add(1);
        Some(opened)
    }

    /// As [`Session::seal`], by the current session; `None` as well if there is none.
    pub fn seal(&mut self, path: PathId, buffer: &mut [u8], now: Time) -> Option<u64> {
        self.current.as_mut().filter(|held| held.lives(now))?.session.seal(path, buffer)
    }

    /// As [`Session::seal_later`].
    pub fn seal_later(&mut self, path: PathId, buffer: &mut [u8], now: Time) -> Option<(u64, Task)> {
        self.current.as_mut().filter(|held| held.lives(now))?.session.seal_later(path, buffer)
    }

    /// As [`Session::opening`], by the session it is for.
    pub fn opening(&self, datagram: &[u8], now: Time) -> Option<Task> {
        let Kind::Data { index, .. } = frame::kind(datagram)? else { return None };
        let held = self.held().find(|held| held.session.local == index && held.lives(now))?;
        held.session.opening(datagram)
    }

    /// The current session, if it may be used.
    pub fn current(&self, now: Time) -> Option<&Session> {
        self.current.as_ref().filter(|held| held.lives(now)).map(|held| &held.session)
    }

    /// When the keys in use were agreed on.
    pub fn since(&self, now: Time) -> Option<Time> {
        self.current.as_ref().filter(|held| held.lives(now)).map(|held| held.since)
    }

    /// Whether it is time for us to begin a handshake for the sake of the keys' age. With no session at all it is not: whether one is
    /// wanted then, the caller knows.
    pub fn stale(&self, now: Time) -> bool {
        let current = self.current.as_ref().filter(|held| held.session.initiator);
        current.is_some_and(|held| now.since(held.since) >= REKEY_AFTER || held.session.worn())
    }

    /// Forgets what is too old; call it at [`deadline`](Self::deadline).
    pub fn expire(&mut self, now: Time) {
        let before = self.indexes().count();
        self.current.take_if(|held| !held.lives(now));
        self.previous.take_if(|held| !held.lives(now));
        self.pending.retain(|held| held.lives(now));
        if self.indexes().count() != before {
            self.changes = self.changes.wrapping_add(1);
        }
    }

    /// Bytes of memory beside its own.
    pub fn held_beside(&self) -> usize {
        let windows = self.held().flat_map(|held| held.session.windows.iter().flatten()).count();
        windows * size_of::<Window>() + self.pending.capacity() * size_of::<Held>()
    }

    /// Forgets all but the current one: the peer began anew, and what is still on its way was sent before.
    pub fn forget_others(&mut self) {
        self.previous = None;
        self.pending.clear();
        self.changes = self.changes.wrapping_add(1);
    }

    /// Forgets all: the other end says that it stops.
    pub fn clear(&mut self) {
        *self = Sessions { changes: self.changes.wrapping_add(1), ..Sessions::default() };
    }

    /// When [`stale`](Self::stale) or [`expire`](Self::expire) will next have something to say.
    pub fn deadline(&self, now: Time) -> Option<Time> {
        let end = self.held().map(|held| held.since + REJECT_AFTER).min();
        let current = self.current.as_ref().filter(|held| held.session.initiator);
        let rekey = current.map(|held| held.since + REKEY_AFTER).filter(|rekey| *rekey > now);
        earliest(&[end, rekey])
    }

    /// The indexes by which datagrams may come for this peer, at most 34.
    pub fn indexes(&self) -> impl Iterator<Item = u32> {
        self.held().map(|held| held.session.local)
    }

    /// Counts the changes of [`indexes`](Self::indexes).
    pub const fn changes(&self) -> u32 {
        self.changes
    }

    fn held(&self) -> impl Iterator<Item = &Held> {
        self.current.iter().chain(&self.previous).chain(&self.pending)
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
