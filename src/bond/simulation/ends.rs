//! Ends that are no bond: a link alone, and packets dealt out to links in turn, without order or repair.

use std::net::SocketAddr;

use super::{CLIENT, End, NEVER, Out, SERVER_ADDRESS, Side};
use crate::time::Time;

/// Deals packets out by weight. With one path it is that path alone.
pub struct Dealer {
    /// A path, its weight, its balance, and where the other side is.
    paths: Vec<(u8, i64, i64, Option<SocketAddr>)>,
    overhead: usize,
}

impl Dealer {
    /// One path without a tunnel: only the Ethernet header is added.
    pub fn bare(side: Side, path: u8) -> Self {
        Dealer { overhead: 14, ..Self::new(side, &[(path, 1)]) }
    }

    /// Several paths with a header of their own.
    pub fn new(side: Side, paths: &[(u8, i64)]) -> Self {
        let to = (side == CLIENT).then_some(SERVER_ADDRESS);
        Dealer { paths: paths.iter().map(|(path, weight)| (*path, *weight, 0, to)).collect(), overhead: 42 + 16 }
    }
}

impl End for Dealer {
    fn packet(&mut self, packet: &[u8], _now: Time, out: &mut Out) {
        let total: i64 = self.paths.iter().map(|path| path.1).sum();
        self.paths.iter_mut().for_each(|path| path.2 += path.1);
        let Some(path) = self.paths.iter_mut().max_by_key(|path| path.2) else { return };
        path.2 -= total;
        if let Some(to) = path.3 {
            out.datagrams.push((path.0, to, packet.to_vec()));
        }
    }

    fn datagram(&mut self, path: u8, from: SocketAddr, datagram: &mut [u8], _now: Time, out: &mut Out) {
        if let Some(known) = self.paths.iter_mut().find(|known| known.0 == path) {
            known.3 = Some(from);
        }
        out.packets.push(datagram.to_vec());
    }

    fn tick(&mut self, _now: Time, _out: &mut Out) {}

    fn deadline(&mut self) -> Time {
        NEVER
    }

    fn ready(&self, _now: Time) -> bool {
        true
    }

    fn strict(&self) -> bool {
        false
    }

    fn overhead(&self) -> usize {
        self.overhead
    }
}

/// One path whose packets are numbered: none comes out twice, or after a later one.
pub struct Numbered {
    end: Dealer,
    sent: u64,
    came: u64,
}

impl Numbered {
    pub fn new(side: Side) -> Self {
        Numbered { end: Dealer::bare(side, 0), sent: 0, came: 0 }
    }
}

impl End for Numbered {
    fn packet(&mut self, packet: &[u8], now: Time, out: &mut Out) {
        self.sent += 1;
        self.end.packet(&[packet, &self.sent.to_be_bytes()].concat(), now, out);
    }

    fn datagram(&mut self, path: u8, from: SocketAddr, datagram: &mut [u8], now: Time, out: &mut Out) {
        let Some((packet, number)) = datagram.split_last_chunk_mut() else { return };
        let number = u64::from_be_bytes(*number);
        if number > self.came {
            self.came = number;
            self.end.datagram(path, from, packet, now, out);
        }
    }

    fn tick(&mut self, _now: Time, _out: &mut Out) {}

    fn deadline(&mut self) -> Time {
        NEVER
    }

    fn ready(&self, _now: Time) -> bool {
        true
    }

    fn overhead(&self) -> usize {
        self.end.overhead()
    }
}

/// An end that takes a packet only so often.
pub struct Slow<E> {
    end: E,
    every: u64,
    next: Time,
    due: Time,
}

impl<E: End> Slow<E> {
    pub fn new(end: E, microseconds: u64) -> Self {
        Slow { end, every: microseconds, next: Time(0), due: NEVER }
    }
}

impl<E: End> End for Slow<E> {
    fn packet(&mut self, packet: &[u8], now: Time, out: &mut Out) {
        self.next = Time(now.0 + self.every);
        self.due = self.next;
        self.end.packet(packet, now, out);
    }

    fn datagram(&mut self, path: u8, from: SocketAddr, datagram: &mut [u8], now: Time, out: &mut Out) {
        self.end.datagram(path, from, datagram, now, out);
    }

    fn tick(&mut self, now: Time, _out: &mut Out) {
        if self.due <= now {
            self.due = NEVER;
        }
    }

    fn deadline(&mut self) -> Time {
        self.due
    }

    fn ready(&self, now: Time) -> bool {
        self.next <= now
    }

    fn overhead(&self) -> usize {
        self.end.overhead()
    }

    fn strict(&self) -> bool {
        false
    }
}
