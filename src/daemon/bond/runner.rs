//! The data thread: all sections in one loop.

use std::io;
use std::sync::Arc;

use crate::bond::offload::Virtio;
use crate::linux::batch::Arena;
use crate::linux::clock::now;
use crate::linux::poll::{Poll, Timer, Waker};
use crate::linux::random;
use crate::time::{Span, Time};

use super::super::peers::Board;
use super::Shared;
use super::cipher::Cipher;
use super::device::Device;
use super::orders::Wanted;
use super::section::Section;

/// Keys of the [`Poll`]: these, and for each section from the next multiple of [`EACH`] on, its device and its sockets.
const WAKER: u64 = 0;
const TIMER: u64 = 1;
const EACH: u64 = 64;

/// Between two reports to the board; and at least, however much happens.
const POST: Span = Span::from_secs(1);
const POST_AGAIN: Span = Span::from_millis(50);

/// A deadline that is this far away need not be met to the microsecond: the poll's own timeout does.
const COARSE: Span = Span::from_millis(50);

pub struct Runner {
    shared: Arc<Shared>,
    board: Board,
    bell: Arc<Waker>,
    poll: Poll,
    timer: Timer,
    sections: Vec<Section>,
    cipher: Arc<Cipher>,
    arena: Arena,
    buffer: Vec<u8>,
    posted: Time,
}

impl Runner {
    pub fn new(shared: Arc<Shared>, board: Board, bell: Arc<Waker>) -> io::Result<Self> {
        // Without it nothing is secret.
        random::fill(&mut [0; 1])?;
        Ok(Runner {
            poll: Poll::new()?,
            timer: Timer::new()?,
            shared,
            board,
            bell,
            sections: Vec::new(),
            cipher: Arc::new(Cipher::new()),
            arena: Arena::new(),
            buffer: vec![0; 65_536 + Virtio::LENGTH],
            posted: Time(0),
        })
    }

    pub fn run(&mut self) -> io::Result<()> {
        self.wire()?;
        loop {
            self.wait()?;
            let (wanted, found, stop) = {
                let mut letters = self.shared.letters();
                (letters.wanted.take(), core::mem::take(&mut letters.found), letters.stop)
            };
            let at = now();
            if stop {
                self.sections.iter_mut().for_each(|section| section.close(at));
                return Ok(());
            }
            if let Some(wanted) = wanted {
                self.follow(wanted, at);
            }
            for found in found {
                if let Some(section) = self.sections.iter_mut().find(|section| section.name() == found.section) {
                    section.found(found, at);
                }
            }
            for section in &mut self.sections {
                section.turn(&self.shared, &mut self.arena, &mut self.buffer);
            }
            if self.sections.iter().any(|section| section.rewired) {
                self.wire()?;
            }
            self.post(now());
        }
    }

    /// Waits for something to do.
    fn wait(&mut self) -> io::Result<()> {
        let at = now();
        let mut deadline = self.posted + if self.changed() { POST_AGAIN } else { POST };
        for (number, section) in self.sections.iter_mut().enumerate() {
            deadline = section.deadline(at).map_or(deadline, |due| deadline.min(due));
            let ready = section.ready();
            let Some(device) = section.out.device.as_mut().filter(|device| device.muted == ready) else { continue };
            device.muted = !ready;
            if ready {
                self.poll.change(&device.tun, key(number), false)?;
            } else {
                self.poll.mute(&device.tun, key(number))?;
            }
        }
        let left = deadline.since(at);
        if left > Span::ZERO && left < COARSE {
            self.timer.set(deadline)?;
        }
        let (sections, timer, shared) = (&mut self.sections, &mut self.timer, &self.shared);
        self.poll.wait(Some(left), |key| match key {
            WAKER => shared.waker.reset(),
            TIMER => timer.reset(),
            _ => {
                let Some(section) = sections.get_mut((key / EACH - 1) as usize) else { return };
                match (key % EACH) as usize {
                    0 => section.device_readable = true,
                    port => {
                        if let Some(port) = section.out.ports.get_mut(port - 1) {
                            port.readable = true;
                        }
                    }
                }
            }
        })
    }

    fn changed(&self) -> bool {
        self.sections.iter().any(|section| section.changed)
    }

    /// Watches all descriptors there are.
    fn wire(&mut self) -> io::Result<()> {
        self.poll = Poll::new()?;
        self.poll.add(&self.shared.waker, WAKER, false)?;
        self.poll.add(&self.timer, TIMER, false)?;
        for (number, section) in self.sections.iter_mut().enumerate() {
            section.rewired = false;
            if let Some(device) = &mut section.out.device {
                device.muted = false;
                self.poll.add(&device.tun, key(number), false)?;
            }
            for (port, socket) in section.out.ports.iter().enumerate() {
                if let Some(socket) = &socket.socket {
                    self.poll.add(socket, key(number) + 1 + port as u64, false)?;
                }
            }
        }
        Ok(())
    }

    /// Takes over what the main loop wants. A section stays unless something of it changed that it cannot take over as it runs.
    fn follow(&mut self, wanted: Vec<Wanted>, at: Time) {
        let same = |section: &Section, wanted: &Wanted| section.wanted.is_same(wanted);
        let old = core::mem::take(&mut self.sections);
        let (mut kept, mut gone): (Vec<Section>, Vec<Section>) =
            old.into_iter().partition(|section| wanted.iter().any(|wanted| same(section, wanted)));
        // Before any takes its place: ports and names are free then. A device that is wanted again stays.
        gone.iter_mut().for_each(|section| section.close(at));
        let mut devices: Vec<Device> = gone.iter_mut().filter_map(|section| section.out.device.take()).collect();
        devices.retain(|device| wanted.iter().any(|wanted| wanted.config.device == device.tun.name()));
        for wanted in wanted {
            let mut section = match kept.iter().position(|section| same(section, &wanted)) {
                Some(place) => {
                    let mut section = kept.swap_remove(place);
                    section.follow(wanted, at);
                    section
                }
                None => {
                    let device = devices.iter().position(|device| device.tun.name() == wanted.config.device);
                    let device = device.map(|place| devices.swap_remove(place));
                    let mut section = Section::new(wanted, device, self.cipher.clone(), at);
                    if let Some(before) = gone.iter_mut().find(|before| before.name() == section.name()) {
                        section.succeed(before, at);
                    }
                    section
                }
            };
            // Its number may be another one.
            section.rewired = true;
            self.sections.push(section);
        }
    }

    fn post(&mut self, at: Time) {
        let changed = self.changed();
        if at.since(self.posted) < if changed { POST_AGAIN } else { POST } {
            return;
        }
        self.posted = at;
        let mut turned = changed;
        let mut told = Vec::with_capacity(self.sections.len());
        for section in &mut self.sections {
            section.changed = false;
            let (status, other) = section.tell(at);
            turned |= other;
            told.push(status);
        }
        self.board.post(told);
        if turned {
            self.bell.wake();
        }
    }
}

/// A section's device's.
fn key(number: usize) -> u64 {
    (number as u64 + 1) * EACH
}
