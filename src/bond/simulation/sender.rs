//! The sending side of a TCP stream: what is under way, what of it is lost (RACK and TLP, RFC 8985; RFC 6298 timeouts; undo by
//! timestamps, RFC 3522), and what may be sent.

use std::collections::VecDeque;

use super::NEVER;
use super::bulk::milliseconds;
use super::congestion::{Ack, Control, Window};
use super::packet::Tcp;
use crate::time::{Span, Time};

struct Segment {
    start: u64,
    end: u64,
    sent: Time,
    tries: u32,
    sacked: bool,
    lost: bool,
    /// What was delivered when it was sent, and when that was.
    delivered: u64,
    since: Time,
}

pub struct Sender {
    pub size: u64,
    /// Keeps this many bytes under way at most: Linux's default tcp_wmem.
    most: u64,
    segments: VecDeque<Segment>,
    pub una: u64,
    pub next: u64,
    window: Window,
    /// Bytes neither delivered nor lost; segments sacked; segments lost and not yet sent again.
    pipe: u64,
    sacked: u32,
    lost: u32,
    highest_sacked: u64,
    srtt: Span,
    variation: Span,
    backoff: u32,
    min_rtt: (Span, Time),
    /// The latest sent segment that was delivered: when it was sent, its end, its round trip.
    rack: (Time, u64, Span),
    reordered: bool,
    steps: u64,
    recovery: Option<u64>,
    /// When the first repetition of this recovery left, until it is known whether it was needed.
    doubt: Option<Time>,
    /// A loss was just found: one segment leaves at once, whatever the window (`fast_rexmit` in net/ipv4/tcp_input.c).
    fast: bool,
    delivered: u64,
    since: Time,
    round_ends: u64,
    /// When pacing allows the next, in nanoseconds.
    paced: u64,
    rack_due: Option<Time>,
    timeout: Option<Time>,
    probed: bool,
    pub stopped: bool,
    pub retransmitted: u64,
    pub timeouts: u64,
}

/// What to send next.
pub enum Next {
    Segment {
        start: u64,
        length: usize,
    },
    /// Nothing before the deadline or an acknowledgment.
    Wait,
}

impl Sender {
    pub fn new(control: Control, size: u64) -> Self {
        Sender {
            size,
            most: 4 << 20,
            segments: VecDeque::new(),
            una: 0,
            next: 0,
            window: Window::new(control),
            pipe: 0,
            sacked: 0,
            lost: 0,
            highest_sacked: 0,
            srtt: Span::ZERO,
            variation: Span::ZERO,
            backoff: 0,
            min_rtt: (Span(u64::MAX), Time(0)),
            rack: (Time(0), 0, Span::ZERO),
            reordered: false,
            steps: 1,
            recovery: None,
            doubt: None,
            fast: false,
            delivered: 0,
            since: Time(0),
            round_ends: 0,
            paced: 0,
            rack_due: None,
            timeout: None,
            probed: false,
            stopped: false,
            retransmitted: 0,
            timeouts: 0,
        }
    }

    pub fn acknowledged(&mut self, tcp: &Tcp, now: Time) {
        let ack = self.una + u64::from(tcp.ack.wrapping_sub(self.una as u32));
        // Older ones, which come late, are below.
        let ack = if ack <= self.next { ack } else { self.una };
        let (delivered_before, mut rtt, mut newest) = (self.delivered, None, None::<(u64, Time, Time)>);
        let flight_before = self.pipe;
        while self.segments.front().is_some_and(|segment| segment.end <= ack) {
            let Some(segment) = self.segments.pop_front() else { break };
            if segment.sacked {
                self.sacked -= 1;
            } else {
                self.reordered |= segment.tries == 0 && segment.end < self.highest_sacked;
                self.arrived(&segment, now, &mut rtt, &mut newest);
            }
            self.lost -= u32::from(segment.lost);
        }
        let advanced = ack > self.una;
        self.una = self.una.max(ack);
        self.read_sacks(tcp, now, &mut rtt, &mut newest);
        if advanced {
            (self.backoff, self.probed) = (0, false);
            // The original came: what was sent again was not needed.
            if let Some(first) = self.doubt.take()
                && (tcp.echo.wrapping_sub(milliseconds(first)) as i32) < 0
            {
                self.undo();
            }
        }
        if let Some(rtt) = rtt {
            self.measure(rtt, now);
        }
        if self.recovery.is_some_and(|until| self.una >= until) {
            self.recovery = None;
        }
        self.detect(now);
        let delivered = self.delivered - delivered_before;
        let round = newest.is_some_and(|(delivered, ..)| delivered >= self.round_ends);
        if round {
            self.round_ends = self.delivered;
        }
        let rate = newest.map(|(before, since, sent)| {
            let took = now.since(since).0.max(sent.since(since).0).max(1);
            (self.delivered - before) as f64 * 1e6 / took as f64 / self.size as f64
        });
        if delivered > 0 {
            self.window.acked(&Ack {
                now,
                delivered: delivered.div_ceil(self.size),
                flight: self.pipe / self.size,
                rtt,
                min_rtt: self.min_rtt.0,
                rate,
                round,
                recovering: self.recovery.is_some(),
                limited: flight_before + 2 * self.size >= self.window.size() * self.size,
            });
        }
        self.rearm(now);
    }

    fn arrived(
        &mut self,
        segment: &Segment,
        now: Time,
        rtt: &mut Option<Span>,
        newest: &mut Option<(u64, Time, Time)>,
    ) {
        let length = segment.end - segment.start;
        self.delivered += length;
        self.since = now;
        if !segment.lost {
            self.pipe -= length;
        }
        let took = now.since(segment.sent);
        if segment.tries == 0 {
            *rtt = Some(took);
        } else if took < self.min_rtt.0 {
            // The answer to an earlier copy.
            return;
        }
        if (segment.sent, segment.end) > (self.rack.0, self.rack.1) {
            self.rack = (segment.sent, segment.end, took);
        }
        if newest.is_none_or(|(delivered, ..)| segment.delivered >= delivered) {
            *newest = Some((segment.delivered, segment.since, segment.sent));
        }
    }

    fn read_sacks(&mut self, tcp: &Tcp, now: Time, rtt: &mut Option<Span>, newest: &mut Option<(u64, Time, Time)>) {
        for (left, right) in &tcp.sacks {
            let start = self.una.wrapping_add(left.wrapping_sub(self.una as u32) as i32 as i64 as u64);
            let end = start.wrapping_add(u64::from(right.wrapping_sub(*left)));
            if start < self.una || start > self.next {
                // It came twice: reordering was taken for loss.
                self.steps = (self.steps + 1).min(20);
                continue;
            }
            let first = self.segments.partition_point(|segment| segment.start < start);
            for place in first..self.segments.len() {
                let Some(mut segment) = self.segments.get_mut(place) else { break };
                if segment.end > end {
                    break;
                }
                if segment.sacked {
                    continue;
                }
                segment.sacked = true;
                let copy = Segment { ..*segment };
                segment = &mut self.segments[place];
                self.lost -= u32::from(core::mem::take(&mut segment.lost));
                self.sacked += 1;
                self.reordered |= copy.tries == 0 && copy.end < self.highest_sacked;
                self.highest_sacked = self.highest_sacked.max(copy.end);
                self.arrived(&copy, now, rtt, newest);
            }
        }
    }

    fn measure(&mut self, rtt: Span, now: Time) {
        // Linux takes the least of five minutes.
        if rtt <= self.min_rtt.0 {
            self.min_rtt = (rtt, now);
        }
        if self.srtt == Span::ZERO {
            (self.srtt, self.variation) = (rtt, Span(rtt.0 / 2));
        } else {
            self.variation = Span((self.variation.0 * 3 + self.srtt.0.abs_diff(rtt.0)) / 4);
            self.srtt = Span((self.srtt.0 * 7 + rtt.0) / 8);
        }
    }

    /// What was sent before something that arrived, and should have arrived too.
    fn detect(&mut self, now: Time) {
        self.rack_due = None;
        let patient = self.reordered || self.recovery.is_none() && self.sacked < 3;
        let patience =
            if patient { Span((self.min_rtt.0.0 / 4).saturating_mul(self.steps).min(self.srtt.0)) } else { Span::ZERO };
        let before = (self.rack.0, self.rack.1);
        let (mut found, mut due) = (false, NEVER);
        for segment in &mut self.segments {
            // Those sent first come first: the first copy of what was sent after it ends the search.
            if segment.tries == 0 && (segment.sent, segment.end) >= before {
                break;
            }
            if segment.sacked || segment.lost || (segment.sent, segment.end) >= before {
                continue;
            }
            let until = segment.sent + self.rack.2 + patience;
            if until <= now {
                (segment.lost, found) = (true, true);
                self.lost += 1;
                self.pipe -= segment.end - segment.start;
            } else {
                due = due.min(until);
            }
        }
        self.rack_due = (due != NEVER).then_some(due);
        if found && self.recovery.is_none() {
            self.recovery = Some(self.next);
            (self.doubt, self.fast) = (None, true);
            self.window.lost();
        }
    }

    fn undo(&mut self) {
        for segment in &mut self.segments {
            if core::mem::take(&mut segment.lost) {
                self.pipe += segment.end - segment.start;
            }
        }
        self.lost = 0;
        self.recovery = None;
        self.reordered = true;
        self.window.undo();
    }

    fn rearm(&mut self, now: Time) {
        let mut rto = Span((self.srtt.0 + (4 * self.variation.0).max(200_000)).clamp(200_000, 120_000_000));
        if self.srtt == Span::ZERO {
            rto = Span::from_secs(1);
        }
        let rto = Span(rto.0 << self.backoff.min(8));
        let probe = self.recovery.is_none() && self.sacked == 0 && !self.probed && self.srtt != Span::ZERO;
        let wait = if probe { Span(2 * self.srtt.0 + 2_000).min(rto) } else { rto };
        self.timeout = (!self.segments.is_empty()).then(|| now + wait);
    }

    /// A deadline came.
    pub fn tick(&mut self, now: Time) {
        if self.rack_due.is_some_and(|due| due <= now) {
            self.detect(now);
        }
        if self.timeout.is_some_and(|due| due <= now) {
            let probe = self.recovery.is_none() && self.sacked == 0 && !self.probed && self.srtt != Span::ZERO;
            if probe {
                self.probed = true;
                if let Some(last) = self.segments.back_mut()
                    && !last.lost
                {
                    last.lost = true;
                    self.lost += 1;
                    self.pipe -= last.end - last.start;
                }
            } else {
                self.timeouts += 1;
                self.backoff += 1;
                for segment in self.segments.iter_mut().filter(|segment| !segment.sacked && !segment.lost) {
                    segment.lost = true;
                    self.lost += 1;
                }
                (self.pipe, self.doubt) = (0, None);
                self.recovery = Some(self.next);
                self.window.timed_out();
            }
            self.rearm(now);
        }
    }

    /// The next segment to send now; it counts as sent.
    pub fn next(&mut self, now: Time) -> Next {
        let fast = core::mem::take(&mut self.fast) && self.lost > 0;
        let room = fast || self.pipe + self.size <= self.window.size() * self.size;
        let paced = !fast && self.paced > now.0 * 1_000;
        let more = !self.stopped && self.next - self.una + self.size <= self.most;
        if !room || paced || (self.lost == 0 && !more) {
            return Next::Wait;
        }
        if let Some(pace) = self.window.pace() {
            self.paced = self.paced.max(now.0.saturating_sub(1_000) * 1_000) + pace;
        }
        if self.timeout.is_none() {
            self.rearm(now);
            self.timeout = self.timeout.or(Some(now + Span::from_millis(200)));
        }
        if self.pipe == 0 {
            self.since = now;
        }
        let (delivered, since) = (self.delivered, self.since);
        if self.lost > 0
            && let Some(segment) = self.segments.iter_mut().find(|segment| segment.lost)
        {
            self.lost -= 1;
            self.retransmitted += 1;
            segment.lost = false;
            segment.tries += 1;
            (segment.sent, segment.delivered, segment.since) = (now, delivered, since);
            self.pipe += segment.end - segment.start;
            self.doubt.get_or_insert(now);
            return Next::Segment { start: segment.start, length: (segment.end - segment.start) as usize };
        }
        let (start, end) = (self.next, self.next + self.size);
        self.segments.push_back(Segment {
            start,
            end,
            sent: now,
            tries: 0,
            sacked: false,
            lost: false,
            delivered,
            since,
        });
        self.next = end;
        self.pipe += self.size;
        Next::Segment { start, length: self.size as usize }
    }

    pub fn deadline(&self, now: Time) -> Time {
        let pace = Time(self.paced.div_ceil(1_000));
        let room = self.pipe + self.size <= self.window.size() * self.size;
        let more = self.lost > 0 || !self.stopped && self.next - self.una + self.size <= self.most;
        let paced = if pace > now && room && more { pace } else { NEVER };
        paced.min(self.rack_due.unwrap_or(NEVER)).min(self.timeout.unwrap_or(NEVER))
    }
}
