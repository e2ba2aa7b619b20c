//! The receiving side of a TCP stream: order, delayed and selective acknowledgments (RFC 2018, RFC 2883, RFC 5681).

use super::NEVER;
use super::packet::{ACK, Tcp};
use crate::time::{Span, Time};

/// Linux delays by 40 ms, and not for the first of a connection.
const DELAY: Span = Span::from_millis(40);
const QUICK: u32 = 32;

#[derive(Default)]
pub struct Receiver {
    /// All bytes below came.
    pub next: u64,
    /// What came beyond, in order of its place.
    beyond: Vec<(u64, u64)>,
    /// Where the last of those began.
    recent: u64,
    twice: Option<(u64, u64)>,
    unacked: u32,
    quick: u32,
    pub due: Option<Time>,
    /// The timestamp to echo.
    echo: u32,
    /// When the last byte in order came, and the longest time between two.
    last: Time,
    pub stalled: Span,
}

impl Receiver {
    /// A segment whose first byte is in this place came. An answer is owed when it returns true.
    pub fn segment(&mut self, start: u64, tcp: &Tcp, now: Time) -> bool {
        let end = start + tcp.length as u64;
        if start <= self.next {
            self.echo = tcp.value;
        }
        let known = self.beyond.iter().any(|(left, right)| *left <= start && end <= *right);
        let at_once = if end <= self.next || known {
            self.twice = Some((start, end));
            true
        } else if start > self.next {
            self.keep(start, end);
            true
        } else {
            self.stalled = self.stalled.max(now.since(self.last));
            (self.next, self.last) = (end, now);
            let gap = !self.beyond.is_empty();
            while let Some(&(left, right)) = self.beyond.first()
                && left <= self.next
            {
                self.next = self.next.max(right);
                self.beyond.remove(0);
            }
            gap
        };
        (self.unacked, self.quick) = (self.unacked + 1, self.quick.saturating_add(1));
        if at_once || self.unacked >= 2 || self.quick < QUICK {
            return true;
        }
        self.due.get_or_insert(now + DELAY);
        false
    }

    fn keep(&mut self, start: u64, end: u64) {
        self.recent = start;
        let place = self.beyond.partition_point(|(left, _)| *left < start);
        self.beyond.insert(place, (start, end));
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(self.beyond.len());
        for (left, right) in self.beyond.drain(..) {
            match merged.last_mut() {
                Some(last) if left <= last.1 => last.1 = last.1.max(right),
                _ => merged.push((left, right)),
            }
        }
        self.beyond = merged;
    }

    /// The acknowledgment that is owed.
    pub fn answer(&mut self, now: Time) -> Tcp {
        (self.unacked, self.due) = (0, None);
        let mut sacks = heapless::Vec::new();
        let block = |(left, right): (u64, u64)| (left as u32, right as u32);
        if let Some(twice) = self.twice.take() {
            let _ = sacks.push(block(twice));
        }
        let newest = self.beyond.iter().position(|(left, right)| (*left..*right).contains(&self.recent));
        if let Some(newest) = newest {
            let _ = sacks.push(block(self.beyond[newest]));
        }
        // Of the others those that are most likely new to the sender.
        for (place, other) in self.beyond.iter().enumerate().rev() {
            if Some(place) != newest && sacks.push(block(*other)).is_err() {
                break;
            }
        }
        let value = super::bulk::milliseconds(now);
        Tcp { ack: self.next as u32, flags: ACK, value, echo: self.echo, sacks, ..Tcp::default() }
    }

    pub fn deadline(&self) -> Time {
        self.due.unwrap_or(NEVER)
    }

    pub fn mark(&mut self, now: Time) {
        (self.stalled, self.last) = (Span::ZERO, now);
    }

    /// The longest time without a byte, the present one included.
    pub fn longest(&self, now: Time) -> Span {
        self.stalled.max(now.since(self.last))
    }
}
