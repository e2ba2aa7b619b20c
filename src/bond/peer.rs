//! One remote end: what is known of it, and what is due.

use std::collections::VecDeque;

use crate::prefix::Prefix;
use crate::time::{Span, Time};

use self::again::Again;
use super::acks::Acks;
use super::control::{Control, Terms};
use super::fair::Fair;
use super::flow::Flows;
use super::frame::{MAX_PATHS, PathId};
use super::mtu::{self, Search};
use super::order::Order;
use super::parity::Taker;
use super::path::{Path, State};
use super::pieces::Pieces;
use super::routes::Sources;
use super::schedule::{Paths, Schedule, Scheduler};
use super::session::Sessions;
use super::squeeze::{Expander, Name, Squeezer};
use super::store::{self, Slot, Store};
use super::tally::Tally;
use super::{Event, Output, Via};

mod again;
mod greeting;
mod receiving;
mod reports;
mod sending;
mod telling;
mod tending;

pub use receiving::destination;

/// The largest packet that the kernel hands over at once, in segments of a TCP that knows of no larger ones (RFC 9293, 3.7.1).
const BURST: usize = 65_536 / 536 + 1;
/// Bytes that may wait however little the paths carry: such a packet's.
const LEAST_WAITING: u64 = 65_536;

/// Something is always due some time.
const IDLE: Span = Span::from_secs(10);
/// A path that answers nothing is asked ten times a second.
const URGENT: Span = Span::from_millis(100);
/// ... until it has been silent for so long; then once a second.
const GIVEN_UP: Span = Span::from_secs(10);
const CALM: Span = Span::from_secs(1);
/// A server asks no more who has been silent for so long: it is the client who calls.
const STRANGE: Span = Span::from_secs(30);
/// Never, unless something happens.
const STOPPED: Time = Time(u64::MAX);
/// Without a word for this long, another endpoint may do better.
const SILENCE: Span = Span::from_secs(2);
/// A handshake is repeated after this, each time twice as long, up to [`CALM`].
const RETRY: Span = Span::from_millis(250);
/// Whoever sent packets for so long, and then nothing for so long, may have begun anew: a server does not know its clients then.
const QUIET: Span = Span::from_secs(1);

/// What the configuration says of a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub scheduler: Scheduler,
    /// A packet older than this is not sent again, and no path may lag further behind.
    pub limit: Span,
    /// Lost packets are sent again.
    pub repair: bool,
    /// An idle path is asked whether it lives.
    pub keepalive: Span,
    /// It is up to us to begin.
    pub client: bool,
    /// Source addresses that the peer's packets may have, unless a longer prefix is another peer's; empty: any.
    pub allowed: Vec<Prefix>,
}

/// Totals since the daemon's start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Packets and bytes from the device, and to it.
    pub sent_packets: u64,
    pub sent_bytes: u64,
    pub received_packets: u64,
    pub received_bytes: u64,
    /// Packets that were sent again, and that were made here of a parity.
    pub repaired: u64,
    pub rebuilt: u64,
    /// Packets that found no path, no room or no shape, or grew too old.
    pub dropped: u64,
}

/// See the module.
pub struct Peer {
    pub(super) number: usize,
    pub(super) settings: Settings,
    sources: Sources,
    pub(super) sessions: Sessions,
    pub(super) paths: Paths,
    tallies: [Option<Box<Tally>>; MAX_PATHS],
    takers: [Option<Box<Taker>>; MAX_PATHS],
    /// Another address than a path's wrote to us: whether it is the peer's, a probe finds out.
    candidates: [Option<Candidate>; MAX_PATHS],
    pub(super) schedule: Schedule,
    pub(super) store: Store,
    /// What somebody waits for, and it is little: it leaves before the others, and by the quickest path.
    express: VecDeque<Slot>,
    acks: Acks,
    fair: Fair,
    /// See [`Path::reported`].
    clock: Option<u32>,
    /// Since when large packets had to wait for a path again and again, and when one last had to.
    waiting: Option<(Time, Time)>,
    /// The delays of our paths vary by as much as they differ: what leaves waits for what left before it.
    mixes: bool,
    again: Again,
    /// When a path has room again.
    opens: Option<Time>,
    /// The next sequence of each flow tag.
    sequences: Box<[u32; 256]>,
    flows: Flows,
    squeezer: Squeezer,
    announced: Vec<(Slot, Name)>,
    pub(super) order: Order,
    expander: Expander,
    pieces: Pieces,
    /// The peer's instance: a new one has begun its numbers anew.
    instance: Option<u16>,
    /// The session by which paths count.
    session: Option<u32>,
    /// Datagrams' largest size by any path in use.
    size: u16,
    pub(super) is_up: bool,
    pub(super) since: Time,
    heard: Time,
    /// The peer's packets that came without a pause: the first, and the last.
    stream: Option<(Time, Time)>,
    told: Time,
    /// The next handshake, and the wait after it.
    greet: Time,
    retry: Span,
    pub totals: Totals,
    /// A link had other terms than the usual ones: the server is told of all from then on.
    has_terms: bool,
    scratch: Vec<u8>,
    parities: [Vec<u8>; 2],
}

/// A link, as a client's path has it.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub via: Via,
    /// The server is told, and sends by them as well.
    pub terms: Terms,
    /// The largest UDP payload that the link itself takes.
    pub most: u16,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    via: Via,
    token: u32,
    /// First, and last.
    asked: Time,
    again: Time,
}

impl Peer {
    /// `number`: what [`Output`] calls it.
    pub fn new(number: usize, settings: Settings, sources: Sources, now: Time) -> Self {
        Peer {
            number,
            schedule: Schedule::new(settings.scheduler, settings.limit),
            order: Order::new(settings.limit),
            settings,
            sources,
            sessions: Sessions::default(),
            paths: Default::default(),
            tallies: Default::default(),
            takers: Default::default(),
            candidates: Default::default(),
            store: Store::default(),
            express: VecDeque::new(),
            acks: Acks::default(),
            fair: Fair::default(),
            clock: None,
            waiting: None,
            mixes: false,
            again: Again::default(),
            opens: None,
            sequences: Box::new([0; 256]),
            flows: Flows::default(),
            squeezer: Squeezer::default(),
            announced: Vec::new(),
            expander: Expander::default(),
            pieces: Pieces::default(),
            instance: None,
            session: None,
            size: mtu::LEAST,
            is_up: false,
            since: now,
            heard: now,
            stream: None,
            told: now,
            greet: now,
            retry: RETRY,
            totals: Totals::default(),
            has_terms: false,
            scratch: Vec::new(),
            parities: Default::default(),
        }
    }

    /// It is called by another number, and may have other sources.
    pub(super) fn renumber(&mut self, number: usize, sources: Sources) {
        (self.number, self.sources) = (number, sources);
    }

    /// Idle paths are asked so often from now on: nobody waits for the end of a longer pause.
    pub(super) fn set_keepalive(&mut self, keepalive: Span, now: Time) {
        self.settings.keepalive = keepalive;
        for path in self.paths.iter_mut().flatten().filter(|path| path.probing.next != STOPPED) {
            path.probing.next = path.probing.next.min(now + keepalive);
        }
    }

    /// Sets where a client's path goes; `None`: its link is down.
    pub fn set_path(&mut self, id: PathId, line: Option<Line>, now: Time, out: &mut dyn Output) {
        let Some(Line { via, terms, most }) = line else { return self.close_path(id, now, out) };
        self.has_terms |= terms != Terms::USUAL;
        if self.paths.iter().flatten().next().is_none() {
            // Nobody could be heard before.
            self.told = now;
        }
        let path = self.path(id, now);
        if path.terms() != terms {
            path.set_terms(terms);
            // By a probe the server hears of it.
            path.probing.next = now;
        }
        if path.address != Some(via) {
            self.abandon(id, State::Trying, out);
            let path = self.path(id, now);
            path.address = Some(via);
            path.probing.next = now;
            path.probing.unanswered = 0;
            path.search = Search::new(most);
            if path.is_narrow() {
                out.event(self.number, Event::Narrow(id));
            }
            self.greet = self.greet.min(now);
        } else if path.search.limit(most) {
            path.probing.next = now;
            self.resized(id, now, out);
        }
    }

    /// The path of a number; a new one has no address.
    fn path(&mut self, id: PathId, now: Time) -> &mut Path {
        let current = self.sessions.current(now);
        self.paths[id.index()].get_or_insert_with(|| {
            let mut path = Path::new(id, 1, 0);
            path.probing.next = now;
            if let Some(session) = current {
                path.begin_session(session.remote_index() as u8, session.next(id));
            }
            Box::new(path)
        })
    }

    fn close_path(&mut self, id: PathId, now: Time, out: &mut dyn Output) {
        if let Some(via) = self.paths[id.index()].as_ref().and_then(|path| path.address) {
            // Or the server would send by it until it misses our reports.
            self.say(id, &via, &Control::Probe { token: 0, terms: Some(Terms::GIVEN_UP) }, 0, now, out);
        }
        self.abandon(id, State::Down, out);
        self.paths[id.index()] = None;
        self.update(now, out);
    }

    /// Where its paths lead.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Via> {
        self.paths.iter().flatten().filter_map(|path| path.address)
    }

    /// Says that we stop: the other end need not find out.
    pub(super) fn close(&mut self, now: Time, out: &mut dyn Output) {
        for id in PathId::all() {
            if let Some(via) = self.paths[id.index()].as_ref().and_then(|path| path.address) {
                self.say(id, &via, &Control::Close, 0, now, out);
            }
        }
    }

    /// Whether the device may be read: whatever it hands over at once finds room.
    pub fn ready(&self) -> bool {
        self.store.used() + BURST <= store::MOST
    }

    /// Bytes that may wait: a burst; where paths carry more, a tenth of a second of it.
    fn most_waiting(&self) -> u64 {
        // Most of the time there are few, and that is all that is looked at.
        if self.fair.bytes() <= LEAST_WAITING { LEAST_WAITING } else { LEAST_WAITING.max(self.rate() / 10) }
    }

    /// Bytes a second that all paths carry.
    pub(super) fn rate(&self) -> u64 {
        self.paths.iter().flatten().filter(|path| path.is_up()).map(|path| path.rate.known()).sum()
    }

    /// Bytes that wait for a path.
    pub fn queue(&self) -> u64 {
        self.fair.bytes()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Time, out: &mut dyn Output) {
        if self.sessions.deadline(now).is_some_and(|deadline| deadline <= now) {
            self.sessions.expire(now);
        }
        self.follow_session(now, out);
        self.wonder(now);
        for id in PathId::all() {
            self.tend(id, now, out);
        }
        self.report(now, out);
        if self.order.deadline().is_some_and(|deadline| deadline <= now) {
            self.deliver(now, out, |order, each| order.expire(now, each));
        }
        self.pump(now, out);
        if !self.is_up && self.calls() && now.since(self.heard.max(self.told)) >= SILENCE {
            self.told = now;
            out.event(self.number, Event::Silent);
        }
    }

    /// When [`Peer::tick`] has something to do.
    pub fn deadline(&self, now: Time) -> Time {
        let mut first = now + IDLE;
        let mut at = |time: Option<Time>| first = first.min(time.unwrap_or(first));
        at(self.sessions.deadline(now));
        at(self.order.deadline());
        if !self.fair.is_empty() || !self.again.is_empty() || !self.express.is_empty() {
            at(self.opens);
        }
        if self.calls() && (!self.is_up || self.sessions.stale(now)) {
            at(Some(self.greet));
        }
        if self.sessions.current(now).is_some() {
            at(self.quiet());
            for path in self.paths.iter().flatten() {
                at(path.overdue());
                if path.address.is_some() {
                    at(path.probing.asked.map(|asked| asked + path.probing_patience()).or(Some(path.probing.next)));
                }
            }
            for tally in self.tallies.iter().flatten() {
                at(tally.due());
            }
        }
        first
    }
}
