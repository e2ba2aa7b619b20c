//! A cable between two hosts with a mind of its own: a TAP device at either end, and a thread that carries the frames.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::namespace::Namespace;
use crate::shape::{Counters, Direction, Lane, Shape};
use crate::sys;
use crate::watch::{Recorder, Watch};

/// Frames read from one end before the other end, and those that are due, get their turn: some 50 µs of work.
const BATCH: usize = 16;

/// Room for a device's MTU of up to 65,521 bytes and the Ethernet header.
const LARGEST_FRAME: usize = 65_535;

/// Frames that a device keeps while the relay is busy or not scheduled: 100 ms at 1 Gbit/s. The kernel's default of
/// 1,000 would lose frames of its own accord.
const DEVICE_QUEUE: usize = 10_000;

/// How a wire is built; its [`Shape`] can change at any time.
#[derive(Clone, Debug)]
pub struct WireOptions {
    /// The same seed and the same frames make for the same losses.
    pub seed: u64,
    /// Burn the processor for this long before a frame is due rather than sleep. It buys precision where the machine
    /// wakes up late.
    pub spin: Duration,
}

impl Default for WireOptions {
    fn default() -> Self {
        Self { seed: 1, spin: Duration::ZERO }
    }
}

/// A cable between two hosts. All changes take effect before the call returns; frames on the way keep the times that
/// they got when they entered.
#[derive(Debug)]
pub struct Wire {
    jobs: Sender<Job>,
    wake: Arc<File>,
    thread: Option<JoinHandle<()>>,
}

/// Something for the relay thread to do: it alone owns the lanes, so no lock slows the frames down.
type Job = Box<dyn FnOnce(&mut Relay) + Send>;

impl Wire {
    /// An ideal wire; both devices are up.
    #[track_caller]
    pub fn new(a: &Namespace, name_a: &str, b: &Namespace, name_b: &str) -> Self {
        Self::with_options(a, name_a, b, name_b, WireOptions::default())
    }

    #[track_caller]
    pub fn with_options(a: &Namespace, name_a: &str, b: &Namespace, name_b: &str, options: WireOptions) -> Self {
        let taps = [tap(a, name_a), tap(b, name_b)];
        let wake = Arc::new(sys::event().expect("an event descriptor"));
        let (jobs, inbox) = mpsc::channel();
        let now = Instant::now();
        let relay = Relay {
            // Two lanes must not lose the same frames.
            lanes: [Lane::new(options.seed, now), Lane::new(!options.seed, now)],
            gone: [false; 2],
            plugged: true,
            recorders: Vec::new(),
            stopped: false,
            taps,
            inbox,
            wake: wake.clone(),
            spin: options.spin,
        };
        let thread = thread::Builder::new().name(format!("wire {name_a}")).spawn(|| relay.run());
        Self { jobs, wake, thread: Some(thread.expect("a thread")) }
    }

    /// Gives one direction its shape.
    #[track_caller]
    pub fn set(&self, direction: Direction, shape: Shape) {
        self.ask(move |relay| relay.lanes[direction as usize].shape = shape);
    }

    /// Gives both directions the same shape.
    #[track_caller]
    pub fn both(&self, shape: Shape) {
        for direction in Direction::BOTH {
            self.set(direction, shape.clone());
        }
    }

    /// Loses all frames of both directions without a sign, those on the way included; or ends this.
    #[track_caller]
    pub fn blackhole(&self, on: bool) {
        for direction in Direction::BOTH {
            self.blackhole_one(direction, on);
        }
    }

    /// Like [`Wire::blackhole`], for one direction only.
    #[track_caller]
    pub fn blackhole_one(&self, direction: Direction, on: bool) {
        self.ask(move |relay| {
            let lane = &mut relay.lanes[direction as usize];
            lane.blackhole = on;
            lane.clear(Instant::now());
        });
    }

    /// Pulls the plug: both devices lose their carrier, and all frames are lost.
    #[track_caller]
    pub fn unplug(&self) {
        self.ask(|relay| relay.plug(false)).expect("a TAP device gives up its carrier");
    }

    #[track_caller]
    pub fn plug(&self) {
        self.ask(|relay| relay.plug(true)).expect("a TAP device gets its carrier back");
    }

    #[track_caller]
    pub fn counters(&self, direction: Direction) -> Counters {
        self.ask(move |relay| relay.lanes[direction as usize].counters)
    }

    /// Records the frames that enter the wire from now on.
    #[track_caller]
    pub fn watch(&self) -> Watch {
        let (watch, recorder) = Watch::new();
        self.ask(move |relay| relay.recorders.push(recorder));
        watch
    }

    /// Has the relay thread do something, and waits for its answer.
    #[track_caller]
    fn ask<T: Send + 'static>(&self, job: impl FnOnce(&mut Relay) -> T + Send + 'static) -> T {
        let (answer, answered) = mpsc::channel();
        let job: Job = Box::new(move |relay| drop(answer.send(job(relay))));
        self.jobs.send(job).expect("the wire's thread runs");
        let _ = (&*self.wake).write(&1u64.to_ne_bytes());
        answered.recv_timeout(Duration::from_secs(5)).expect("the wire's thread answers")
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Not `ask`: a wire whose thread is gone must still drop in silence.
        let _ = self.jobs.send(Box::new(|relay| relay.stopped = true));
        let _ = (&*self.wake).write(&1u64.to_ne_bytes());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[track_caller]
fn tap(namespace: &Namespace, name: &str) -> File {
    let opened = namespace.run(|| sys::open_tap(name));
    let tap = opened.unwrap_or_else(|e| panic!("{}: no TAP device {name}: {e}", namespace.name()));
    namespace.sh(&format!("ip link set {name} txqueuelen {DEVICE_QUEUE} up"));
    tap
}

/// The thread's side of a wire. Lane `Up` goes from tap 0 to tap 1, lane `Down` back.
struct Relay {
    taps: [File; 2],
    lanes: [Lane; 2],
    /// The device was removed from outside.
    gone: [bool; 2],
    plugged: bool,
    recorders: Vec<Recorder>,
    inbox: Receiver<Job>,
    wake: Arc<File>,
    spin: Duration,
    stopped: bool,
}

impl Relay {
    fn run(mut self) {
        sys::tighten_timers();
        let mut buffer = vec![0; LARGEST_FRAME];
        while !self.stopped {
            let mut busy = false;
            for direction in Direction::BOTH {
                busy |= self.receive(direction, &mut buffer);
                self.deliver(direction);
            }
            if !busy {
                self.sleep();
            }
            // After the sleep, so that a stop never has to wait for the next frame.
            while let Ok(job) = self.inbox.try_recv() {
                job(&mut self);
            }
        }
    }

    /// Takes in a batch of frames; tells if there may be more.
    fn receive(&mut self, direction: Direction, buffer: &mut [u8]) -> bool {
        let from = direction as usize;
        if self.gone[from] {
            return false;
        }
        for _ in 0..BATCH {
            match (&self.taps[from]).read(buffer) {
                Ok(len) => self.take(direction, &buffer[..len]),
                Err(e) => {
                    self.gone[from] = !matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
                    return false;
                }
            }
        }
        true
    }

    fn take(&mut self, direction: Direction, frame: &[u8]) {
        let now = Instant::now();
        let lane = &mut self.lanes[direction as usize];
        let due = lane.admit(frame.len(), now);
        for recorder in &self.recorders {
            recorder.note(now, direction, frame, due.is_some());
        }
        match due {
            None => {}
            Some(due) if lane.is_immediate(due, now) => self.put(direction, frame),
            Some(due) => lane.hold(due, frame.to_vec()),
        }
    }

    fn deliver(&mut self, direction: Direction) {
        let now = Instant::now();
        while let Some(frame) = self.lanes[direction as usize].pop_due(now) {
            self.put(direction, &frame);
        }
    }

    fn put(&mut self, direction: Direction, frame: &[u8]) {
        let counters = &mut self.lanes[direction as usize].counters;
        // A device that is down, unplugged or gone refuses the frame: then it is lost, as on a real wire.
        if self.plugged && (&self.taps[1 - direction as usize]).write(frame).is_ok() {
            counters.packets += 1;
            counters.bytes += frame.len() as u64;
        } else {
            counters.dropped += 1;
        }
    }

    fn sleep(&mut self) {
        self.recorders.retain(Recorder::is_wanted);
        let due = self.lanes.iter().filter_map(Lane::next_due).min();
        let timeout = due.map(|due| due.saturating_duration_since(Instant::now()).saturating_sub(self.spin));
        let tap = |end: usize| if self.gone[end] { -1 } else { self.taps[end].as_raw_fd() };
        let ready = sys::wait_readable([tap(0), tap(1), self.wake.as_raw_fd()], timeout).expect("ppoll");
        if ready[2] {
            let _ = (&*self.wake).read(&mut [0; 8]);
        }
    }

    fn plug(&mut self, plugged: bool) -> io::Result<()> {
        self.plugged = plugged;
        for lane in &mut self.lanes {
            lane.clear(Instant::now());
        }
        self.taps.iter().try_for_each(|tap| sys::set_carrier(tap, plugged))
    }
}
