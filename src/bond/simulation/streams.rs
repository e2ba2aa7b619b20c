//! Small traffic: a voice stream and a ping.

use super::packet::{Body, Parsed};
use super::report::{self, Report};
use super::world::Io;
use super::{App, CLIENT, NEVER, SERVER, Side};
use crate::time::{Span, Time};

/// Datagrams at fixed intervals in one direction.
pub struct Voice {
    app: usize,
    from: Side,
    next: Time,
    every: Span,
    sent: u64,
    marked: u64,
    /// Of those since the mark: delays in their order.
    delays: Vec<Span>,
    jitter: u64,
}

const VOICE: Span = Span::from_millis(5);

impl Voice {
    /// 200 datagrams a second of 172 bytes: 20 ms of speech would be 50; this is a call of four.
    pub fn new(app: usize, from: Side) -> Self {
        Voice { app, from, next: Time(0), every: VOICE, sent: 0, marked: 0, delays: Vec::new(), jitter: 0 }
    }

    /// A slower one.
    pub fn every(self, every: Span) -> Self {
        Voice { every, ..self }
    }
}

impl App for Voice {
    fn tick(&mut self, now: Time, io: &mut Io) {
        if now < self.next {
            return;
        }
        self.next = now + self.every;
        let mut payload = vec![0x5a; 172];
        payload[..8].copy_from_slice(&self.sent.to_be_bytes());
        payload[8..16].copy_from_slice(&now.0.to_be_bytes());
        io.send(&Parsed { from: self.from, app: self.app, id: self.sent as u16, body: Body::Udp { payload } });
        self.sent += 1;
    }

    fn packet(&mut self, _side: Side, packet: &Parsed, now: Time, _io: &mut Io) {
        let Body::Udp { payload } = &packet.body else { panic!("not of a voice: {packet:?}") };
        let number = |at: usize| payload[at..at + 8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let delay = now.since(Time(number(8)));
        if number(0) < self.marked {
            return;
        }
        if let Some(before) = self.delays.last() {
            // RFC 3550, 6.4.1, in sixteenths.
            self.jitter += before.0.abs_diff(delay.0);
            self.jitter -= self.jitter / 16;
        }
        self.delays.push(delay);
    }

    fn deadline(&self) -> Time {
        self.next
    }

    fn mark(&mut self, _now: Time) {
        self.marked = self.sent;
        self.delays.clear();
    }

    fn stop(&mut self) {
        self.next = NEVER;
    }

    /// What is still under way counts as lost: stop, and wait before measuring.
    fn measure(&self, _now: Time, report: &mut Report) {
        let longest = self.delays.iter().max().copied().unwrap_or_default();
        report.voices.push(report::Voice {
            sent: self.sent - self.marked,
            received: self.delays.len() as u64,
            jitter: Span(self.jitter / 16),
            longest,
        });
    }
}

/// Echo requests from the client at fixed intervals.
pub struct Ping {
    app: usize,
    next: Time,
    every: Span,
    sent: u64,
    marked: u64,
    times: Vec<Span>,
}

impl Ping {
    pub fn new(app: usize) -> Self {
        Ping { app, next: Time(0), every: Span::from_millis(50), sent: 0, marked: 0, times: Vec::new() }
    }

    pub fn every(self, every: Span) -> Self {
        Ping { every, ..self }
    }
}

impl App for Ping {
    fn tick(&mut self, now: Time, io: &mut Io) {
        if now < self.next {
            return;
        }
        self.next = now + self.every;
        let mut payload = vec![0xa5; 56];
        payload[..8].copy_from_slice(&self.sent.to_be_bytes());
        payload[8..16].copy_from_slice(&now.0.to_be_bytes());
        let body = Body::Echo { reply: false, sequence: self.sent as u16, payload };
        io.send(&Parsed { from: CLIENT, app: self.app, id: self.sent as u16, body });
        self.sent += 1;
    }

    fn packet(&mut self, side: Side, packet: &Parsed, now: Time, io: &mut Io) {
        let Body::Echo { reply, sequence, payload } = &packet.body else { panic!("not of a ping: {packet:?}") };
        if side == SERVER {
            let body = Body::Echo { reply: true, sequence: *sequence, payload: payload.clone() };
            return io.send(&Parsed { from: SERVER, app: self.app, id: packet.id, body });
        }
        assert!(reply, "a request came to its sender");
        let number = |at: usize| payload[at..at + 8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        if number(0) >= self.marked {
            self.times.push(now.since(Time(number(8))));
        }
    }

    fn deadline(&self) -> Time {
        self.next
    }

    fn mark(&mut self, _now: Time) {
        self.marked = self.sent;
        self.times.clear();
    }

    fn stop(&mut self) {
        self.next = NEVER;
    }

    fn measure(&self, _now: Time, report: &mut Report) {
        let (mean, slow) = summary(&self.times);
        let (sent, received) = (self.sent - self.marked, self.times.len() as u64);
        report.pings.push(report::Ping { sent, received, mean, slow });
    }
}

/// Mean and 95th percentile.
fn summary(times: &[Span]) -> (Span, Span) {
    let mut sorted = times.to_vec();
    sorted.sort();
    let sum: u64 = sorted.iter().map(|time| time.0).sum();
    let slow = sorted.get(sorted.len() * 95 / 100).copied().unwrap_or_default();
    (Span(sum / sorted.len().max(1) as u64), slow)
}
