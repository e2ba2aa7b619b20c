//! A TCP stream that sends as much as it can in one direction.

use super::congestion::Control;
use super::packet::{ACK, Body, PUSH, Parsed, SYN, Tcp};
use super::receiver::Receiver;
use super::report::{Report, Stream};
use super::sender::{Next, Sender};
use super::world::Io;
use super::{App, NEVER, Side};
use crate::time::{Span, Time};

/// A host's timestamps.
pub fn milliseconds(now: Time) -> u32 {
    (now.0 / 1_000) as u32
}

/// The first sequence number of each side: near the end, so that they wrap soon.
const FIRST: u32 = 0xfff0_0000;

pub struct Bulk {
    app: usize,
    from: Side,
    start: Time,
    end: Time,
    sender: Sender,
    receiver: Receiver,
    connected: bool,
    /// When the SYN is sent again, and how often it was.
    syn: (Time, u32),
    ids: [u16; 2],
    /// What the sender echoes.
    echo: u32,
    marked: (u64, u64, u64),
    due: Time,
}

impl Bulk {
    pub fn new(app: usize, from: Side, control: Control) -> Self {
        Bulk {
            app,
            from,
            start: Time(0),
            end: NEVER,
            sender: Sender::new(control, 1_000),
            receiver: Receiver::default(),
            connected: false,
            syn: (Time(0), 0),
            ids: [0; 2],
            echo: 0,
            marked: (0, 0, 0),
            due: Time(0),
        }
    }

    /// Begins then instead of at once.
    pub fn starting(self, start: Time) -> Self {
        Bulk { start, due: start, ..self }
    }

    /// Sends nothing new from then on.
    pub fn until(self, end: Time) -> Self {
        Bulk { end, ..self }
    }

    fn emit(&mut self, side: Side, mut tcp: Tcp, io: &mut Io) {
        // Each side's numbers begin at FIRST; the SYN has the one before.
        tcp.seq = tcp.seq.wrapping_add(FIRST);
        tcp.ack = tcp.ack.wrapping_add(FIRST);
        for block in &mut tcp.sacks {
            *block = (block.0.wrapping_add(FIRST), block.1.wrapping_add(FIRST));
        }
        self.ids[side] = self.ids[side].wrapping_add(1);
        io.send(&Parsed { from: side, app: self.app, id: self.ids[side], body: Body::Tcp(tcp) });
    }

    fn work(&mut self, now: Time, io: &mut Io) {
        if now < self.start {
            return;
        }
        if now >= self.end {
            self.sender.stopped = true;
        }
        if !self.connected {
            if now >= self.syn.0 && !self.sender.stopped {
                self.syn = (now + Span::from_secs(1 << self.syn.1.min(5)), self.syn.1 + 1);
                let mss = Some((io.mtu - 40) as u16);
                let value = milliseconds(now);
                let syn = Tcp { seq: u32::MAX, flags: SYN, mss, value, ..Tcp::default() };
                self.emit(self.from, syn, io);
            }
            self.due = if self.sender.stopped { NEVER } else { self.syn.0 };
            return;
        }
        if self.receiver.due.is_some_and(|due| due <= now) {
            let answer = self.receiver.answer(now);
            self.emit(1 - self.from, answer, io);
        }
        self.sender.tick(now);
        while io.room(self.from) {
            let Next::Segment { start, length } = self.sender.next(now) else { break };
            let (value, echo) = (milliseconds(now), self.echo);
            let flags = if length < self.sender.size as usize { ACK | PUSH } else { ACK };
            let tcp = Tcp { seq: start as u32, flags, value, echo, length, ..Tcp::default() };
            self.emit(self.from, tcp, io);
        }
        self.due = self.sender.deadline(now).min(self.receiver.deadline());
    }
}

impl App for Bulk {
    fn tick(&mut self, now: Time, io: &mut Io) {
        self.work(now, io);
    }

    fn packet(&mut self, side: Side, packet: &Parsed, now: Time, io: &mut Io) {
        let Body::Tcp(tcp) = &packet.body else { panic!("not of a TCP stream: {packet:?}") };
        let mut tcp = tcp.clone();
        (tcp.seq, tcp.ack) = (tcp.seq.wrapping_sub(FIRST), tcp.ack.wrapping_sub(FIRST));
        for block in &mut tcp.sacks {
            *block = (block.0.wrapping_sub(FIRST), block.1.wrapping_sub(FIRST));
        }
        if side != self.from {
            if tcp.flags & SYN != 0 {
                let (mss, value, echo) = (Some((io.mtu - 40) as u16), milliseconds(now), tcp.value);
                let flags = SYN | ACK;
                self.size(&tcp);
                self.emit(side, Tcp { seq: u32::MAX, flags, mss, value, echo, ..Tcp::default() }, io);
            } else {
                let away = tcp.seq.wrapping_sub(self.receiver.next as u32) as i32;
                let start = self.receiver.next.wrapping_add_signed(i64::from(away));
                if self.receiver.segment(start, &tcp, now) {
                    let answer = self.receiver.answer(now);
                    self.emit(side, answer, io);
                }
            }
        } else if tcp.flags & SYN != 0 {
            self.echo = tcp.value;
            self.size(&tcp);
            self.connected = true;
        } else {
            self.echo = tcp.value;
            self.sender.acknowledged(&tcp, now);
        }
        self.work(now, io);
    }

    fn deadline(&self) -> Time {
        self.due
    }

    fn mark(&mut self, now: Time) {
        self.marked = (self.receiver.next, self.sender.retransmitted, self.sender.timeouts);
        self.receiver.mark(now);
    }

    fn stop(&mut self) {
        self.sender.stopped = true;
    }

    fn measure(&self, now: Time, report: &mut Report) {
        report.streams.push(Stream {
            bytes: self.receiver.next - self.marked.0,
            retransmitted: self.sender.retransmitted - self.marked.1,
            timeouts: self.sender.timeouts - self.marked.2,
            stalled: self.receiver.longest(now),
        });
    }
}

impl Bulk {
    /// The segment size of a handshake's packet, which ends on the way may have lowered; timestamps take 12 bytes.
    fn size(&mut self, tcp: &Tcp) {
        let size = u64::from(tcp.mss.unwrap_or(536)) - 12;
        if !self.connected {
            self.sender.size = if self.sender.size == 1_000 { size } else { self.sender.size.min(size) };
        }
    }
}
