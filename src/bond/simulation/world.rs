//! Moves packets from apps through devices, ends and links, and back, in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::SocketAddr;

use super::link::{Change, Link, Way};
use super::packet::{Body, Parsed, SYN};
use super::report::Report;
use super::{App, CLIENT, Dice, End, NEVER, Out, SERVER, Side};
use crate::bond::mtu;
use crate::time::{Span, Time};

/// What a device does whose queue is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// Packets are dropped, as those of a router's clients.
    Drops,
    /// Apps wait, as programs on the peer itself.
    Waits,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// From the client and from the server, by link.
    pub links: Vec<[Way; 2]>,
    pub changes: Vec<(Time, usize, Change)>,
    /// Packets that a device holds.
    pub device: usize,
    pub full: Full,
    pub mtu: usize,
    /// What each end's clock is ahead of the world's.
    pub clocks: [Span; 2],
    /// How much later than asked an end is woken.
    pub lateness: Span,
}

impl Plan {
    /// Links by rate in Mbit/s and delay of one way in ms, the same in both directions.
    pub fn new(links: &[(u64, u64)]) -> Self {
        let way = |&(rate, delay): &(u64, u64)| Way::new(rate, Span::from_millis(delay));
        Plan {
            seed: 1,
            links: links.iter().map(|link| [way(link), way(link)]).collect(),
            changes: Vec::new(),
            device: 300,
            full: Full::Drops,
            mtu: usize::from(mtu::device(1_472)),
            // The second wraps in 32 bits of microseconds within the first five seconds.
            clocks: [Span::from_secs(77), Span(u32::MAX as u64 - 4_700_000)],
            lateness: Span::from_micros(60),
        }
    }

    /// Changes the ways of one link, in both directions.
    pub fn both(mut self, link: usize, change: impl Fn(&mut Way)) -> Self {
        self.links[link].iter_mut().for_each(change);
        self
    }

    pub fn change(mut self, ms: u64, link: usize, change: Change) -> Self {
        self.changes.push((Time(ms * 1_000), link, change));
        self
    }
}

/// A device's queue, and what its packets are known by.
#[derive(Default)]
struct Device {
    queue: VecDeque<Vec<u8>>,
    /// Was full for an app that waits.
    asked: bool,
    dropped: u64,
    /// Packets on their way from this side, by their first bytes, with their place among all. Some are alike.
    underway: BTreeMap<Vec<u8>, VecDeque<(u64, Vec<u8>)>>,
    entered: u64,
    /// Of each app's packets from this side, the last that came out.
    last: BTreeMap<usize, u64>,
}

/// What apps see of the world.
pub struct Io {
    devices: [Device; 2],
    limit: usize,
    full: Full,
    pub mtu: usize,
}

impl Io {
    /// Whether an app may send; if not it is ticked when it may.
    pub fn room(&mut self, side: Side) -> bool {
        let device = &mut self.devices[side];
        let room = self.full == Full::Drops || device.queue.len() < self.limit;
        device.asked |= !room;
        room
    }

    pub fn send(&mut self, packet: &Parsed) {
        let device = &mut self.devices[packet.from];
        if device.queue.len() >= self.limit {
            device.dropped += 1;
        } else {
            device.queue.push_back(packet.write());
        }
    }
}

enum Event {
    /// By which link, at which side, from where, to where.
    Arrival(u8, Side, [SocketAddr; 2], Vec<u8>),
    Change(usize, Change),
}

pub struct World {
    pub now: Time,
    pub ends: [Box<dyn End>; 2],
    out: [Out; 2],
    wakes: [Time; 2],
    /// What the ends said, and when.
    pub said: Vec<(Time, Side, super::super::Event)>,
    /// Ticks at this very moment.
    ticks: u32,
    pub links: Vec<Link>,
    pub io: Io,
    apps: Vec<Box<dyn App>>,
    events: BinaryHeap<Reverse<(Time, u64)>>,
    waiting: BTreeMap<u64, Event>,
    scheduled: u64,
    clocks: [Span; 2],
    lateness: Span,
    marked: Time,
    pub delivered: u64,
    /// TCP segments that came out after a later one of their stream.
    pub disordered: u64,
    pub most_memory: usize,
    settled: u64,
}

/// Memory is looked at so often, in calls of an end: it takes as long as a packet.
const SAMPLE: u64 = 13;

/// Makes the end of a side.
pub type Make<'m> = &'m dyn Fn(Side, &Plan) -> Box<dyn End>;

impl World {
    pub fn new(plan: &Plan, make: Make) -> Self {
        let links = (0..).zip(&plan.links).map(|(number, ways)| Link::new(number, ways.clone(), plan.seed)).collect();
        let out = |side: u64| Out {
            datagrams: Vec::new(),
            packets: Vec::new(),
            events: Vec::new(),
            dice: Dice(!plan.seed ^ side),
            alike: false,
        };
        let mut world = World {
            now: Time(0),
            ends: [make(CLIENT, plan), make(SERVER, plan)],
            out: [out(0), out(1)],
            wakes: [Time(0); 2],
            said: Vec::new(),
            ticks: 0,
            links,
            io: Io { devices: Default::default(), limit: plan.device, full: plan.full, mtu: plan.mtu },
            apps: Vec::new(),
            events: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            scheduled: 0,
            clocks: plan.clocks,
            lateness: plan.lateness,
            marked: Time(0),
            delivered: 0,
            disordered: 0,
            most_memory: 0,
            settled: 0,
        };
        for (at, link, change) in &plan.changes {
            world.schedule(*at, Event::Change(*link, change.clone()));
        }
        world
    }

    /// Adds an app that is made for its number.
    pub fn add<A: App + 'static>(&mut self, make: impl FnOnce(usize) -> A) {
        let app = make(self.apps.len());
        self.apps.push(Box::new(app));
    }

    /// The indexes of all sessions end with the same byte.
    pub fn alike(&mut self) {
        self.out.iter_mut().for_each(|out| out.alike = true);
    }

    /// From now on everything counts.
    pub fn mark(&mut self) {
        self.marked = self.now;
        self.apps.iter_mut().for_each(|app| app.mark(self.now));
    }

    pub fn stop(&mut self) {
        self.apps.iter_mut().for_each(|app| app.stop());
    }

    /// Everybody leaves: what is under way is delivered to nobody.
    pub fn silence(&mut self) {
        self.apps.clear();
    }

    pub fn report(&self) -> Report {
        let mut report = Report { lasted: self.now.since(self.marked), ..Report::default() };
        self.apps.iter().for_each(|app| app.measure(self.now, &mut report));
        report.disordered = self.disordered;
        report.most_memory = self.most_memory;
        report.repaired = self.ends.iter().map(|end| end.counts().repaired).sum();
        report.late = self.ends.iter().map(|end| end.counts().late).sum();
        report.dropped = self.io.devices.iter().map(|device| device.dropped).sum();
        report
    }

    /// Replaces an end, as a restart does: what its device held is gone.
    pub fn restart(&mut self, side: Side, end: Box<dyn End>) {
        self.ends[side] = end;
        self.io.devices[side].queue.clear();
        self.wakes[side] = self.now;
    }

    pub fn run_ms(&mut self, ms: u64) {
        self.run(self.now + Span::from_millis(ms));
    }

    /// Runs up to a moment.
    pub fn run(&mut self, until: Time) {
        loop {
            let event = self.events.peek().map_or(NEVER, |Reverse((at, _))| *at);
            let app = (0..self.apps.len()).min_by_key(|app| self.apps[*app].deadline());
            let app_at = app.map_or(NEVER, |app| self.apps[app].deadline());
            let next = event.min(app_at).min(self.wakes[CLIENT]).min(self.wakes[SERVER]);
            if next > until {
                self.now = self.now.max(until);
                return;
            }
            if next > self.now {
                (self.now, self.ticks) = (next, 0);
            }
            if event <= next {
                self.happen();
            } else if let Some(side) = (0..2).find(|side| self.wakes[*side] <= next) {
                self.ticks += 1;
                assert!(self.ticks < 1_000, "end {side} asks for a tick again and again at {:?}", self.now);
                let now = self.local(side);
                self.ends[side].tick(now, &mut self.out[side]);
                self.settle(side);
            } else if let Some(app) = app {
                self.ticks += 1;
                assert!(self.ticks < 1_000, "app {app} asks for a tick again and again at {:?}", self.now);
                self.apps[app].tick(self.now, &mut self.io);
            }
            self.pump();
        }
    }

    /// This end's clock jumps ahead, as that of a machine that stood still.
    pub fn jump(&mut self, side: Side, by: Span) {
        self.clocks[side] = self.clocks[side] + by;
        self.wakes[side] = self.now;
    }

    fn local(&self, side: Side) -> Time {
        self.now + self.clocks[side]
    }

    fn happen(&mut self) {
        let Some(Reverse((_, number))) = self.events.pop() else { return };
        match self.waiting.remove(&number) {
            Some(Event::Change(link, change)) => self.links[link].change(change, self.now),
            // A datagram that was under way when the link died is lost with it, or when its mapping was forgotten.
            Some(Event::Arrival(path, side, [from, to], mut datagram))
                if self.links[usize::from(path)].reaches(side, to) =>
            {
                let now = self.local(side);
                self.ends[side].datagram(path, from, &mut datagram, now, &mut self.out[side]);
                self.settle(side);
            }
            _ => {}
        }
    }

    /// Devices to ends, until nothing moves.
    fn pump(&mut self) {
        loop {
            let mut moved = false;
            for side in 0..2 {
                let now = self.local(side);
                while !self.io.devices[side].queue.is_empty() && self.ends[side].ready(now) {
                    let Some(packet) = self.io.devices[side].queue.pop_front() else { break };
                    self.enter(side, &packet);
                    self.ends[side].packet(&packet, now, &mut self.out[side]);
                    self.settle(side);
                    moved = true;
                }
                let device = &mut self.io.devices[side];
                if device.asked && device.queue.len() < self.io.limit {
                    device.asked = false;
                    self.apps.iter_mut().for_each(|app| app.tick(self.now, &mut self.io));
                    moved = true;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Carries out what an end wants, and sets its alarm.
    fn settle(&mut self, side: Side) {
        let overhead = self.ends[side].overhead();
        for (path, to, datagram) in core::mem::take(&mut self.out[side].datagrams) {
            let link = &mut self.links[usize::from(path)];
            let (from, arrivals) = link.send(side, datagram.len() + overhead, self.now);
            for at in arrivals {
                self.schedule(at, Event::Arrival(path, 1 - side, [from, to], datagram.clone()));
            }
        }
        for packet in core::mem::take(&mut self.out[side].packets) {
            self.leave(side, &packet);
        }
        let events = core::mem::take(&mut self.out[side].events);
        self.said.extend(events.into_iter().map(|event| (self.now, side, event)));
        let deadline = self.ends[side].deadline();
        self.wakes[side] = match deadline {
            NEVER => NEVER,
            at => (Time(at.0.saturating_sub(self.clocks[side].0)) + self.lateness).max(self.now),
        };
        self.settled += 1;
        if self.settled.is_multiple_of(SAMPLE) {
            self.most_memory = self.most_memory.max(self.ends[side].counts().memory);
        }
    }

    fn enter(&mut self, side: Side, packet: &[u8]) {
        let device = &mut self.io.devices[side];
        device.entered += 1;
        let alike = device.underway.entry(name(packet)).or_default();
        alike.push_back((device.entered, bare(packet)));
    }

    fn leave(&mut self, side: Side, packet: &[u8]) {
        let Some(parsed) = Parsed::read(packet) else { panic!("nobody sent this: {packet:02x?}") };
        let device = &mut self.io.devices[1 - side];
        let name = name(packet);
        let alike = device.underway.get_mut(&name).map(|alike| (alike.pop_front(), alike.is_empty()));
        if alike.as_ref().is_some_and(|(_, last)| *last) {
            device.underway.remove(&name);
        }
        if let Some((Some((place, sent)), _)) = alike {
            // An end may lower the segment size of a handshake.
            let handshake = matches!(&parsed.body, Body::Tcp(tcp) if tcp.flags & SYN != 0);
            let same = if handshake { true } else { sent == bare(packet) };
            assert!(
                Parsed::verify_header(packet) && (!handshake || Parsed::verify(packet)),
                "wrong checksum: {parsed:?}"
            );
            assert!(same, "came out another than it went in: {parsed:?}, {sent:02x?}, {packet:02x?}");
            let last = device.last.entry(parsed.app).or_default();
            // Acknowledgments may overtake one another.
            let counts = matches!(&parsed.body, Body::Tcp(tcp) if tcp.length > 0);
            self.disordered += u64::from(place < *last && counts);
            *last = place.max(*last);
        } else {
            assert!(
                !self.ends[side].strict(),
                "at {:?} side {side} came out twice, or nobody sent it: {parsed:?}",
                self.now
            );
        }
        self.delivered += 1;
        if let Some(app) = self.apps.get_mut(parsed.app) {
            app.packet(side, &parsed, self.now, &mut self.io);
        }
    }

    fn schedule(&mut self, at: Time, event: Event) {
        self.scheduled += 1;
        self.waiting.insert(self.scheduled, event);
        self.events.push(Reverse((at, self.scheduled)));
    }
}

/// A packet without what may change on the way: the identification of IPv4 packets that are never fragmented (RFC 6864, 4.1).
fn bare(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[4..6].fill(0);
    packet[10..12].fill(0);
    packet
}

/// Enough to know it by: all headers. Of a handshake not the segment size, which an end may lower, and its checksum.
fn name(packet: &[u8]) -> Vec<u8> {
    let mut name = bare(&packet[..packet.len().min(80)]);
    if name[9] == 6 && name.len() > 44 && name[33] & SYN != 0 {
        name[36..38].fill(0);
        name[40..44].fill(0);
    }
    name
}
