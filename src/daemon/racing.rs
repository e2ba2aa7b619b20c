//! The race's thread: packets from the queues to the core, the core's actions to the kernel.

use std::hash::RandomState;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::link::{Link, LinkId, MAX_LINKS, Marks, Stage};
use crate::linux::clock::now;
use crate::linux::conntrack::Conntrack;
use crate::linux::heartbeat::Heartbeat;
use crate::linux::nfqueue::{Packet, Queues, Verdicts};
use crate::linux::poll::{Poll, Waker};
use crate::linux::raw::Raw;
use crate::packet::{self, Buffer, MAX_PACKET};
use crate::race::{Action, Actions, Held, MAX_POLICIES, Racer, Rules, Verdict};
use crate::steer::QUEUE;
use crate::time::{Span, Time};

/// Between heartbeats: four fit into the time that the kernel waits for one.
const BEAT: Span = Span::from_millis(500);

/// A loop that comes back later than this was stopped, and not by load: what waits in the queues is stale. Clients have
/// repeated their SYNs and gone the plain way by then.
const STALE: Span = Span::from_secs(1);

/// Packets that wait at most, in each queue. Past that the kernel lets them pass.
const QUEUE_LENGTH: u32 = 1024;

/// The queues' receive buffer: a burst of 300 SYNs.
const RECEIVE_BUFFER: u32 = 512 * 1024;

/// Batches of packets before timers get their turn.
const BATCHES: usize = 8;

/// The race core and its ways to the kernel, shared by its thread and the main loop.
pub struct Field {
    pub racer: Racer<RandomState>,
    marks: Marks,
    ways: [Option<Way>; MAX_LINKS],
    conntrack: Conntrack,
    buffer: Buffer,
    complained: bool,
}

/// A link as packets see it.
struct Way {
    link: Link,
    raw: Raw,
}

/// The race's thread; it ends when this is dropped.
pub struct Racing {
    field: Arc<Mutex<Field>>,
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Racing {
    /// Takes the queues and starts the thread.
    pub fn start(races: usize, marks: Marks) -> io::Result<Self> {
        let field = Arc::new(Mutex::new(Field {
            racer: Racer::new(races, RandomState::new()),
            marks,
            ways: [const { None }; MAX_LINKS],
            conntrack: Conntrack::open()?,
            buffer: Buffer::new(),
            complained: false,
        }));
        let mut queues = Queues::open(RECEIVE_BUFFER)?;
        // Of an answer the headers suffice: 60 bytes of IPv4 and as many of TCP at most.
        queues.bind(QUEUE, 128, QUEUE_LENGTH)?;
        for policy in 0..MAX_POLICIES as u16 {
            queues.bind(QUEUE + 1 + policy, MAX_PACKET as u32, QUEUE_LENGTH)?;
        }
        let heartbeat = Heartbeat::open(marks.stage(Stage::Decided))?;
        let (waker, stop) = (Arc::new(Waker::new()?), Arc::new(AtomicBool::new(false)));
        let poll = Poll::new()?;
        poll.add(&queues, 0, false)?;
        poll.add(&*waker, 1, false)?;
        let mut runner =
            Runner { field: field.clone(), queues, heartbeat, poll, waker: waker.clone(), stop: stop.clone() };
        let thread = thread::Builder::new().name("race".into()).stack_size(256 * 1024).spawn(move || {
            if let Err(error) = runner.run() {
                log::error!("the race ended: {error}; new connections take their plain way");
            }
        })?;
        Ok(Racing { field, waker, stop, thread: Some(thread) })
    }

    /// The race core; packets wait while it is held.
    pub fn field(&self) -> MutexGuard<'_, Field> {
        lock(&self.field)
    }

    /// Whether the thread still runs.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    pub fn set_policies(&self, policies: &[Rules]) {
        self.field().racer.set_policies(policies);
    }

    /// What the links are now.
    pub fn set_links(&self, links: &[Link]) {
        let mut field = self.field();
        let marks = field.marks;
        for id in (1..).map_while(LinkId::new) {
            let place = &mut field.ways[id.index()];
            let Some(link) = links.iter().find(|link| link.id == id && link.ifindex != 0) else {
                *place = None;
                continue;
            };
            match place {
                Some(way) if (way.link.ifindex, &way.link.device) == (link.ifindex, &link.device) => {
                    way.link = link.clone();
                }
                place => match Raw::open(&link.device, marks.link(id) | marks.stage(Stage::Copy)) {
                    Ok(raw) => *place = Some(Way { link: link.clone(), raw }),
                    Err(error) => {
                        log::warn!("link {}: cannot send by {}: {error}", link.name, link.device);
                        *place = None;
                    }
                },
            }
        }
        field.racer.set_links(links);
    }
}

impl Drop for Racing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A panic in one thread (a bug) must not take the other one's data: it is consistent between calls.
fn lock(field: &Mutex<Field>) -> MutexGuard<'_, Field> {
    field.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Runner {
    field: Arc<Mutex<Field>>,
    queues: Queues,
    heartbeat: Heartbeat,
    poll: Poll,
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
}

impl Runner {
    fn run(&mut self) -> io::Result<()> {
        let mut next_beat = now();
        while !self.stop.load(Ordering::Relaxed) {
            let before = now();
            if before >= next_beat {
                self.heartbeat.beat();
                next_beat = before + BEAT;
            }
            let deadline = lock(&self.field).racer.deadline().map_or(next_beat, |(at, _)| at.min(next_beat));
            self.poll.wait(Some(deadline.since(before)), |key| {
                if key == 1 {
                    self.waker.reset();
                }
            })?;
            let woken = now();
            let stale = woken.since(before) > deadline.since(before) + STALE;
            if stale {
                log::warn!("stood still for {}; what was queued meanwhile passes unraced", woken.since(before));
            }
            self.turn(woken, stale)?;
        }
        Ok(())
    }

    fn turn(&mut self, woken: Time, stale: bool) -> io::Result<()> {
        let mut field = lock(&self.field);
        for _ in 0..BATCHES {
            let got = self.queues.receive(|packet, verdicts| {
                if stale {
                    verdicts.accept(packet.queue, packet.id, field.cleared(packet.mark));
                } else {
                    field.packet(woken, &packet, verdicts);
                }
            });
            match got {
                Ok(1..) => {}
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The kernel dropped the packet meanwhile (its device went away): nothing to answer.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        self.queues.verdicts(|verdicts| {
            let mut actions = Actions::new();
            while field.racer.poll(woken, &mut actions) {
                field.perform(&mut actions, &[], verdicts);
            }
        })
    }
}

impl Field {
    fn packet(&mut self, now: Time, packet: &Packet, verdicts: &mut Verdicts) {
        let mut actions = Actions::new();
        let held = Held { queue: packet.queue, packet: packet.id, mark: packet.mark };
        if packet.queue == QUEUE {
            let link = self.ways.iter().flatten().find(|way| way.link.ifindex == packet.in_device);
            let answer = packet::answer(packet.bytes);
            match (link, answer) {
                (Some(way), Some(answer)) if way.link.address(answer.local.ip()) == Some(answer.local.ip()) => {
                    let id = way.link.id;
                    self.racer.answer(now, id, &answer, held, &mut actions);
                }
                _ => verdicts.accept(packet.queue, packet.id, self.cleared(packet.mark)),
            }
        } else {
            match packet::opening(packet.bytes) {
                Some(opening) => {
                    let policy = usize::from(packet.queue.wrapping_sub(QUEUE + 1));
                    self.racer.open(now, (&opening, packet.bytes), policy, held, &mut actions);
                }
                None => {
                    self.racer.not_raced();
                    verdicts.accept(packet.queue, packet.id, self.unqueued(packet.mark));
                }
            }
        }
        self.perform(&mut actions, packet.bytes, verdicts);
    }

    /// Does what the core says, in its order. `packet`: the one in hand.
    fn perform(&mut self, actions: &mut Actions, packet: &[u8], verdicts: &mut Verdicts) {
        for action in core::mem::take(actions) {
            match action {
                Action::Copy { links, port, kept } => {
                    let bytes = kept.as_deref().unwrap_or(packet);
                    let Some(opening) = packet::opening(bytes) else { continue };
                    for way in self.ways.iter().flatten().filter(|way| links.contains(way.link.id)) {
                        let Some(source) = way.link.address(opening.server.ip()) else { continue };
                        if packet::copy_of(bytes, source, port, way.link.mtu, &mut self.buffer) {
                            // A link that cannot send simply loses; its health is the probes' business.
                            let _ = way.raw.send(&self.buffer, opening.server.ip());
                        }
                    }
                }
                Action::Reset { links, port, opening } => {
                    for way in self.ways.iter().flatten().filter(|way| links.contains(way.link.id)) {
                        let Some(source) = way.link.address(opening.server.ip()) else { continue };
                        packet::reset(&opening, source, port, &mut self.buffer);
                        let _ = way.raw.send(&self.buffer, opening.server.ip());
                    }
                }
                Action::Establish { race, link, opening, port } => {
                    let way = self.ways[link.index()].as_ref();
                    let source = way.and_then(|way| way.link.address(opening.server.ip()));
                    let made = source.map(|source| {
                        self.conntrack.establish(&opening, SocketAddr::new(source, port), self.marks.link(link))
                    });
                    let mut next = Actions::new();
                    if let Some(Ok(())) = made {
                        self.racer.established(race, &mut next);
                    } else {
                        self.complain(made);
                        self.racer.taken(race, &mut next);
                    }
                    self.perform(&mut next, packet, verdicts);
                }
                Action::Verdict { held, verdict } => {
                    let Held { queue, packet, mark } = held;
                    let answer = queue == QUEUE;
                    match verdict {
                        Verdict::Drop => verdicts.drop(queue, packet),
                        Verdict::Pass if answer => verdicts.accept(queue, packet, self.cleared(mark)),
                        Verdict::Pass => verdicts.accept(queue, packet, self.unqueued(mark)),
                        Verdict::Decide => {
                            let decided = self.marks.put(mark, self.marks.stage(Stage::Decided));
                            verdicts.accept(queue, packet, decided);
                        }
                    }
                }
            }
        }
    }

    /// Says once what keeps races from being won, other than a tuple that is taken.
    fn complain(&mut self, made: Option<io::Result<()>>) {
        if let Some(Err(error)) = made
            && error.kind() != io::ErrorKind::AlreadyExists
            && !core::mem::replace(&mut self.complained, true)
        {
            log::error!("cannot create conntrack entries: {error}; races cannot be won");
        }
    }

    /// A mark without our bits.
    fn cleared(&self, mark: u32) -> u32 {
        self.marks.put(mark, 0)
    }

    /// A mark that keeps its link, and is not to be queued any more.
    fn unqueued(&self, mark: u32) -> u32 {
        mark & !self.marks.stage_mask()
    }
}
