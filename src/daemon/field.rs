//! Between the race core and the kernel: packets in, actions out.

use std::hash::RandomState;
use std::io;
use std::net::SocketAddr;

use crate::family::Family;
use crate::kernel::{Data, Judge, Queued};
use crate::link::{Link, LinkId, LinkSet, MAX_LINKS, Marks, Stage};
use crate::logging;
use crate::packet::{self, Buffer, Opening};
use crate::race::{Action, Actions, Held, RaceId, Racer, Verdict};
use crate::steer::QUEUE;
use crate::time::Time;

/// The race core, the links as packets see them, and the way to the kernel.
pub struct Field<D> {
    pub racer: Racer<RandomState>,
    pub data: D,
    marks: Marks,
    links: [Option<Link>; MAX_LINKS],
    buffer: Buffer,
    /// Links, port and opening of copies to be reset, the oldest first; no more than a turn leads to.
    resets: Vec<(LinkSet, u16, Opening)>,
    /// The first so many of them are ripe.
    ripe: usize,
    complained: bool,
}

impl<D: Data> Field<D> {
    /// `races`: the most in flight.
    pub fn new(races: usize, marks: Marks, data: D) -> Self {
        Field {
            racer: Racer::new(races, RandomState::new()),
            data,
            marks,
            links: [const { None }; MAX_LINKS],
            buffer: Buffer::new(),
            resets: Vec::new(),
            ripe: 0,
            complained: false,
        }
    }

    /// What the links are now.
    pub fn set_links(&mut self, links: &[Link]) {
        for id in (1..).map_while(LinkId::new) {
            self.links[id.index()] = links.iter().find(|link| link.id == id && link.ifindex != 0).cloned();
        }
        self.racer.set_links(links);
    }

    /// Does what has become due.
    pub fn turn(&mut self, now: Time, verdicts: &mut impl Judge) {
        let mut actions = Actions::new();
        while self.racer.poll(now, &mut actions) {
            self.perform(&mut actions, &[], verdicts);
        }
    }

    /// The flow of a race could not be established.
    pub fn failed(&mut self, race: RaceId, error: &io::Error, verdicts: &mut impl Judge) {
        if error.kind() != io::ErrorKind::AlreadyExists && !core::mem::replace(&mut self.complained, true) {
            logging::error!("cannot create conntrack entries: {error}; races cannot be won");
        }
        let mut actions = Actions::new();
        self.racer.taken(race, &mut actions);
        self.perform(&mut actions, &[], verdicts);
    }

    /// Whether resets wait for [`Self::reset_losers`].
    pub fn resets_wait(&self) -> bool {
        !self.resets.is_empty()
    }

    /// All resets that wait are ripe: what the kernel has against their winners' flows can be read from now on. Whether there are
    /// any.
    pub fn ripen(&mut self) -> bool {
        self.ripe = self.resets.len();
        self.resets_wait()
    }

    /// Sends the resets that are ripe. Call it once the kernel's word is read.
    pub fn reset_losers(&mut self) {
        let mut resets = core::mem::take(&mut self.resets);
        resets
            .drain(..core::mem::take(&mut self.ripe))
            .for_each(|(links, port, opening)| self.reset_over(links, port, &opening));
        self.resets = resets;
    }

    fn reset_over(&mut self, links: LinkSet, port: u16, opening: &Opening) {
        for link in self.links.iter().flatten().filter(|link| links.contains(link.id)) {
            let Some(source) = link.address(Family::of(opening.server.ip())) else { continue };
            packet::reset(opening, source, port, &mut self.buffer);
            let _ = self.data.send(link.id, &self.buffer, opening.server.ip());
        }
    }

    /// Lets a packet from a queue pass, unseen.
    pub fn pass(&mut self, packet: &Queued, verdicts: &mut impl Judge) {
        if packet.queue != QUEUE {
            self.racer.not_raced();
        }
        verdicts.accept(packet.queue, packet.id, self.cleared(packet.mark));
    }

    /// A packet from a queue.
    pub fn packet(&mut self, now: Time, packet: &Queued, verdicts: &mut impl Judge) {
        let mut actions = Actions::new();
        let held = Held { queue: packet.queue, packet: packet.id, mark: packet.mark };
        if packet.queue == QUEUE {
            let link = self.links.iter().flatten().find(|link| link.ifindex == packet.in_device);
            let answer = packet::answer(packet.bytes);
            match (link, answer) {
                (Some(link), Some(answer))
                    if link.address(Family::of(answer.local.ip())) == Some(answer.local.ip()) =>
                {
                    let id = link.id;
                    self.racer.answer(now, id, &answer, held, &mut actions);
                }
                _ => self.pass(packet, verdicts),
            }
        } else {
            match packet::opening(packet.bytes) {
                Some(opening) => {
                    let policy = usize::from(packet.queue.wrapping_sub(QUEUE + 1));
                    self.racer.open(now, (&opening, packet.bytes), policy, held, &mut actions);
                }
                None => self.pass(packet, verdicts),
            }
        }
        self.perform(&mut actions, packet.bytes, verdicts);
    }

    /// Does what the core says, in its order. `packet`: the one in hand.
    fn perform(&mut self, actions: &mut Actions, packet: &[u8], verdicts: &mut impl Judge) {
        for action in core::mem::take(actions) {
            match action {
                Action::Copy { links, port, kept } => {
                    let bytes = kept.as_deref().unwrap_or(packet);
                    let Some(opening) = packet::opening(bytes) else { continue };
                    // The server is to forget the connection before it hears of the next one from that port.
                    if let Some((links, port, opening)) = self.take_deferred(port, &opening) {
                        self.reset_over(links, port, &opening);
                    }
                    for link in self.links.iter().flatten().filter(|link| links.contains(link.id)) {
                        let Some(source) = link.address(Family::of(opening.server.ip())) else { continue };
                        if packet::copy_of(bytes, source, port, link.mtu, &mut self.buffer) {
                            // A link that cannot send simply loses; its health is the probes' business.
                            let _ = self.data.send(link.id, &self.buffer, opening.server.ip());
                        }
                    }
                }
                Action::Reset { links, port, opening } => self.defer(links, port, opening),
                Action::Spare { port, opening } => {
                    self.take_deferred(port, &opening);
                }
                Action::Establish { race, link, opening, port } => {
                    let address = self.links[link.index()]
                        .as_ref()
                        .and_then(|link| link.address(Family::of(opening.server.ip())));
                    let mut next = Actions::new();
                    match address {
                        Some(address) => {
                            let source = SocketAddr::new(address, port);
                            verdicts.establish(race, &opening, source, self.marks.link(link));
                            // Nearly always so; the kernel says if not.
                            self.racer.established(race, &mut next);
                        }
                        None => self.racer.taken(race, &mut next),
                    }
                    self.perform(&mut next, packet, verdicts);
                }
                Action::Verdict { held, verdict } => {
                    let Held { queue, packet, mark } = held;
                    match verdict {
                        Verdict::Drop => verdicts.drop(queue, packet),
                        Verdict::Pass => verdicts.accept(queue, packet, self.cleared(mark)),
                        Verdict::Decide => {
                            let decided = self.marks.put(mark, self.marks.stage(Stage::Decided));
                            // The rules forget whose answer was awaited.
                            verdicts.repeat(queue, packet, decided);
                        }
                    }
                }
            }
        }
    }

    /// Resets wait until the verdicts are out: the client's answer comes first. And a loser's own answer may come until
    /// then, so that one reset does for both.
    fn defer(&mut self, links: LinkSet, port: u16, opening: Opening) {
        match self.deferred(port, &opening).and_then(|at| self.resets.get_mut(at)) {
            Some((known, ..)) => *known = known.iter().chain(links.iter()).collect(),
            None => self.resets.push((links, port, opening)),
        }
    }

    /// Where resets from that port, of that client to that server, wait.
    fn deferred(&self, port: u16, opening: &Opening) -> Option<usize> {
        let wanted = (port, opening.client, opening.server);
        self.resets.iter().position(|(_, known, other)| (*known, other.client, other.server) == wanted)
    }

    fn take_deferred(&mut self, port: u16, opening: &Opening) -> Option<(LinkSet, u16, Opening)> {
        let at = self.deferred(port, opening)?;
        self.ripe -= usize::from(at < self.ripe);
        Some(self.resets.remove(at))
    }

    /// A mark without our bits: what passes has its route already, or gets it by its conntrack entry.
    fn cleared(&self, mark: u32) -> u32 {
        self.marks.put(mark, 0)
    }
}

#[cfg(test)]
#[path = "field_tests.rs"]
mod tests;
