//! The race's thread: packets from the queues to the core, the core's actions to the kernel.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::field::Field;
use crate::kernel::Data;
use crate::link::{Link, LinkId, MAX_LINKS, Marks, Stage};
use crate::linux::clock::now;
use crate::linux::heartbeat::Heartbeat;
use crate::linux::nfqueue::{Event, Queues};
use crate::linux::passes;
use crate::linux::poll::{Poll, Waker};
use crate::linux::raw::Raw;
use crate::linux::thread::Thread;
use crate::logging;
use crate::packet::MAX_PACKET;
use crate::race::{MAX_POLICIES, Rules};
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
const RECEIVE_BUFFER: i32 = 512 * 1024;

/// `ENOENT`: the kernel dropped the packet meanwhile, since its device went away.
const NO_SUCH_PACKET: i32 = 2;

/// From the first miss of a link's answer to the main loop's bell: most are only a little later than the winner's.
const RING: Span = Span::from_millis(50);

/// Batches of packets before timers get their turn.
const BATCHES: usize = 8;

/// Batches that are taken for stale at most, lest a flood be for ever. Both receive buffers together hold fewer packets: the kernel
/// gives twice what it is asked for, and each packet costs it 768 bytes at least (`SKB_TRUESIZE`).
const STALE_BATCHES: usize = 200;

/// The thread's: packets and their copies are on it, one at a time.
const STACK: usize = 256 * 1024;

/// The real ways to the kernel.
pub struct Outlets {
    marks: Marks,
    raw: [Option<(u32, String, Raw)>; MAX_LINKS],
}

impl Outlets {
    /// A socket for each link that has a device; those of devices that stayed are kept. Whether one is to be tried again.
    fn set_links(&mut self, links: &[Link]) -> bool {
        let mut again = false;
        for id in (1..).map_while(LinkId::new) {
            let place = &mut self.raw[id.index()];
            let Some(link) = links.iter().find(|link| link.id == id && link.ifindex != 0) else {
                *place = None;
                continue;
            };
            if let Some((ifindex, device, _)) = place
                && (*ifindex, &*device) == (link.ifindex, &link.device)
            {
                continue;
            }
            match Raw::open(&link.device, self.marks.link(id) | self.marks.stage(Stage::Copy)) {
                Ok(raw) => *place = Some((link.ifindex, link.device.clone(), raw)),
                Err(error) => {
                    logging::warn!("link {}: cannot send by {}: {error}", link.name, link.device);
                    again |= passes(&error);
                    *place = None;
                }
            }
        }
        again
    }
}

impl Data for Outlets {
    fn send(&mut self, link: LinkId, packet: &[u8], to: IpAddr) -> io::Result<()> {
        match &self.raw[link.index()] {
            Some((.., raw)) => raw.send(packet, to),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

type SharedField = Arc<Mutex<Field<Outlets>>>;

/// The race's thread; it ends when this is dropped.
pub struct Racing {
    field: SharedField,
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
    heartbeat: Heartbeat,
    thread: Option<Thread>,
}

impl Racing {
    /// Takes the queues and starts the thread, which rings `bell` when a link begins to miss answers.
    pub fn start(races: usize, marks: Marks, bell: Arc<Waker>) -> io::Result<Self> {
        let outlets = Outlets { marks, raw: [const { None }; MAX_LINKS] };
        let field = Arc::new(Mutex::new(Field::new(races, marks, outlets)));
        let mut queues = claim()?;
        for policy in 0..MAX_POLICIES as u16 {
            queues.bind(QUEUE + 1 + policy, MAX_PACKET as u32, QUEUE_LENGTH)?;
        }
        let beat = marks.stage(Stage::Decided);
        let heartbeat = Heartbeat::open(beat)?;
        let (waker, stop) = (Arc::new(Waker::new()?), Arc::new(AtomicBool::new(false)));
        let poll = Poll::new()?;
        for (socket, key) in queues.sockets().iter().zip(0..) {
            poll.add(socket, key, false)?;
        }
        poll.add(&*waker, WAKER, false)?;
        let mut runner = Runner {
            field: field.clone(),
            queues,
            heartbeat,
            poll,
            waker: waker.clone(),
            stop: stop.clone(),
            bell,
            ring_at: None,
        };
        let thread = Thread::start(
            c"race",
            STACK,
            Box::new(move || {
                if let Err(error) = runner.run() {
                    logging::error!("the race ended: {error}; new connections take their plain way");
                }
            }),
        )?;
        Ok(Racing { field, waker, stop, heartbeat: Heartbeat::open(beat)?, thread: Some(thread) })
    }

    /// The race core; packets wait while it is held.
    pub fn field(&self) -> MutexGuard<'_, Field<Outlets>> {
        lock(&self.field)
    }

    /// Whether the thread still runs.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    pub fn set_policies(&self, policies: &[Rules]) {
        self.field().racer.set_policies(policies);
    }

    /// What the links are now. Whether that is to be said again, a little later.
    pub fn set_links(&self, links: &[Link]) -> bool {
        let mut field = self.field();
        field.set_links(links);
        field.data.set_links(links)
    }

    /// Tells the kernel now that the thread lives, as it must hear after a fresh ruleset.
    pub fn beat(&self) {
        if self.is_running() {
            self.heartbeat.beat();
        }
    }
}

/// Takes the queue for answers, which every daemon has: while it is held, none starts. `ResourceBusy`: one runs.
pub fn claim() -> io::Result<Queues> {
    let mut queues = Queues::open(RECEIVE_BUFFER)?;
    // The first, so that answers never wait behind openings. Of one the headers suffice: 60 bytes of IPv4 and as many of TCP at most.
    queues.bind(QUEUE, 128, QUEUE_LENGTH)?;
    Ok(queues)
}

impl Drop for Racing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            thread.join();
        }
    }
}

/// A panic in one thread (a bug) must not take the other one's data: it is consistent between calls.
fn lock(field: &Mutex<Field<Outlets>>) -> MutexGuard<'_, Field<Outlets>> {
    field.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the poll says of it; the queues have their sockets' places.
const WAKER: u64 = 2;

/// The socket of answers, by which the kernel says as well what it has against a flow.
const ANSWERS: usize = 0;

struct Runner {
    field: SharedField,
    queues: Queues,
    heartbeat: Heartbeat,
    poll: Poll,
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
    bell: Arc<Waker>,
    /// When to ring it, if a link is silent still.
    ring_at: Option<Time>,
}

impl Runner {
    fn run(&mut self) -> io::Result<()> {
        // The first beat comes when there is a ruleset that hears it.
        let mut woken = now();
        let mut next_beat = woken + BEAT;
        while !self.stop.load(Ordering::Relaxed) {
            let before = now();
            if before >= next_beat {
                self.heartbeat.beat();
                next_beat = before + BEAT;
            }
            let waits = lock(&self.field).racer.deadline().map(|(at, _)| at);
            let deadline = [waits, self.ring_at].into_iter().flatten().fold(next_beat, Time::min);
            let (queues, waker) = (&mut self.queues, &self.waker);
            self.poll.wait(Some(deadline.since(before)), |key| match key {
                WAKER => waker.reset(),
                socket => queues.wake(socket as usize),
            })?;
            let turn = woken;
            woken = now();
            // In the last turn, or while it waited.
            let stale = before.since(turn) > STALE || woken.since(before) > deadline.since(before) + STALE;
            if stale {
                logging::warn!("stood still for {}; what was queued meanwhile passes unraced", woken.since(turn));
                // Who is woken by a signal hears of nothing that waits.
                self.queues.wake_all();
            }
            self.turn(woken, stale)?;
        }
        Ok(())
    }

    fn turn(&mut self, woken: Time, stale: bool) -> io::Result<()> {
        let mut field = lock(&self.field);
        let mut more = true;
        let batches = if stale { STALE_BATCHES } else { BATCHES };
        for _ in 0..batches {
            if !more && !field.resets_wait() {
                break;
            }
            more = batch(&mut self.queues, &mut field, woken, stale)?;
        }
        let done = self.queues.verdicts(|verdicts| field.turn(woken, verdicts));
        // Time decides races as well, and answers may have kept what the kernel has against others from being read.
        if field.resets_wait() {
            batch(&mut self.queues, &mut field, woken, stale)?;
        }
        if field.ripen() {
            field.reset_losers();
        }
        // After all that a client waits for.
        if field.racer.log().suspicion() {
            self.ring_at.get_or_insert(woken + RING);
        }
        if self.ring_at.take_if(|at| *at <= woken).is_some() && field.racer.log_mut().still_missing() {
            self.bell.wake();
        }
        done
    }
}

/// A batch of packets, then the resets that wait since before; whether there may be more.
fn batch(queues: &mut Queues, field: &mut Field<Outlets>, woken: Time, stale: bool) -> io::Result<bool> {
    if field.ripen() {
        // Their flows were asked for after the socket was read, and the kernel has answered by now.
        queues.wake(ANSWERS);
    }
    let got = queues.receive(|event, verdicts| match event {
        Event::Packet(packet) if stale => field.pass(&packet, verdicts),
        Event::Packet(packet) => field.packet(woken, &packet, verdicts),
        Event::Failed(race, error) => field.failed(race, &error, verdicts),
    });
    let more = match got {
        Err(error) if error.raw_os_error() == Some(NO_SUCH_PACKET) => true,
        got => got?,
    };
    // Openings may have had their turn, or the answer may be behind packets.
    if queues.is_read(ANSWERS) {
        field.reset_losers();
    }
    Ok(more)
}
