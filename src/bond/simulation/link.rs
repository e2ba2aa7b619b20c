//! A link between the two ends: two ways, and the client's NAT.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{CLIENT, Dice, SERVER_ADDRESS, Side};
use crate::time::{Span, Time};

/// One direction of a link.
#[derive(Clone, Debug)]
pub struct Way {
    /// Bits a second, Ethernet headers included.
    pub rate: u64,
    /// The largest IP packet, in bytes; what is larger vanishes.
    pub mtu: u64,
    pub delay: Span,
    /// Up to this much more delay, each datagram its own.
    pub jitter: Span,
    /// Whether a later datagram may overtake because of it.
    pub overtake: bool,
    pub loss: Loss,
    /// What waits for the rate, in bytes; what finds it full is lost.
    pub queue: u64,
    /// Nothing waits: what is above the rate is lost, but for a burst as large as `queue`.
    pub policed: bool,
    /// Datagrams that come twice, in millionths.
    pub twice: u32,
}

/// What is lost on the way, in millionths. The rate is spent on it all the same.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    Random(u32),
    /// Gilbert's model: a burst begins and ends at a datagram with these chances; within it everything is lost.
    Bursts {
        begin: u32,
        end: u32,
    },
}

pub fn percent(percent: f64) -> Loss {
    Loss::Random((percent * 10_000.0) as u32)
}

impl Way {
    /// Without faults; the queue holds 50 ms at this rate, and never less than 30 KB.
    pub fn new(megabits: u64, delay: Span) -> Self {
        Way {
            rate: megabits * 1_000_000,
            mtu: 1_500,
            delay,
            jitter: Span::ZERO,
            overtake: false,
            loss: Loss::Random(0),
            queue: (megabits * 1_000_000 / 8 / 20).max(30_000),
            policed: false,
            twice: 0,
        }
    }
}

/// What happens to a link.
#[derive(Clone, Debug)]
pub enum Change {
    /// Everything vanishes without a word, or does so no more.
    Dead(bool),
    /// The client's NAT gives it another port, and forgets the old one.
    Rebind,
    /// The way from this side is another from now on.
    Way(Side, Way),
}

/// What a way did so far.
#[derive(Clone, Copy, Default, Debug)]
pub struct Carried {
    pub datagrams: u64,
    /// Ethernet headers included.
    pub bytes: u64,
    /// Dropped by the full queue.
    pub dropped: u64,
    pub lost: u64,
    /// The longest that a datagram waited in the queue.
    pub waited: Span,
}

pub struct Link {
    number: u8,
    ways: [Way; 2],
    state: [State; 2],
    pub dead: bool,
    port: u16,
    dice: Dice,
    pub carried: [Carried; 2],
}

#[derive(Clone, Copy, Default)]
struct State {
    /// When the rate is free again, in nanoseconds: a microsecond is 1 % of a packet at 100 Mbit/s.
    free: u64,
    latest: Time,
    bursting: bool,
}

impl Link {
    /// `ways`: from the client, from the server.
    pub fn new(number: u8, ways: [Way; 2], seed: u64) -> Self {
        Link {
            number,
            ways,
            state: Default::default(),
            dead: false,
            port: 40000,
            dice: Dice(seed ^ (u64::from(number) + 1) << 32),
            carried: Default::default(),
        }
    }

    /// Where the client is, as the server sees it.
    pub fn client(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, self.number + 1)), self.port)
    }

    pub fn change(&mut self, change: Change, now: Time) {
        match change {
            Change::Dead(dead) => self.dead = dead,
            Change::Rebind => self.port += 1,
            Change::Way(side, way) => {
                // What waits is so many bytes, whatever they take now: else a slow way's queue would be too long for a fast one.
                let (free, now) = (&mut self.state[side].free, now.0 * 1_000);
                let waits = u128::from(free.saturating_sub(now)) * u128::from(self.ways[side].rate);
                *free = now + (waits / u128::from(way.rate.max(1))) as u64;
                self.ways[side] = way;
            }
        }
    }

    /// The sum of both ends' view: bits a second from this side.
    pub fn rate(&self, from: Side) -> u64 {
        self.ways[from].rate
    }

    /// Whether what was sent there by the other side arrives at this one now.
    pub fn reaches(&self, side: Side, to: SocketAddr) -> bool {
        !self.dead && to == if side == CLIENT { self.client() } else { SERVER_ADDRESS }
    }

    /// A datagram leaves a side; `size` is that on the wire. Returns its source, and when it arrives: never, once or twice.
    pub fn send(&mut self, from: Side, size: usize, now: Time) -> (SocketAddr, heapless::Vec<Time, 2>) {
        let source = if from == CLIENT { self.client() } else { SERVER_ADDRESS };
        let (way, state, carried) = (&self.ways[from], &mut self.state[from], &mut self.carried[from]);
        let mut arrivals = heapless::Vec::new();
        let (now_ns, size) = (now.0 * 1_000, size as u64);
        let waits = state.free.saturating_sub(now_ns);
        let backlog = (u128::from(waits) * u128::from(way.rate) / 8_000_000_000) as u64;
        if backlog + size > way.queue {
            carried.dropped += 1;
            return (source, arrivals);
        }
        carried.datagrams += 1;
        carried.bytes += size;
        state.free = state.free.max(now_ns) + size * 8_000_000_000 / way.rate.max(1);
        let (waited, leaves) = if way.policed { (0, now_ns) } else { (waits, state.free) };
        carried.waited = carried.waited.max(Span(waited / 1_000));
        state.bursting = match way.loss {
            Loss::Random(chance) => self.dice.hits(chance),
            Loss::Bursts { end, .. } if state.bursting => !self.dice.hits(end),
            Loss::Bursts { begin, .. } => self.dice.hits(begin),
        };
        if state.bursting || self.dead || size > way.mtu + 14 {
            carried.lost += 1;
            return (source, arrivals);
        }
        let copies = if self.dice.hits(way.twice) { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = Span(self.dice.below(way.jitter.0 + 1));
            let mut arrives = Time(leaves.div_ceil(1_000)) + way.delay + jitter;
            if !way.overtake {
                arrives = arrives.max(state.latest);
            }
            state.latest = arrives;
            let _ = arrivals.push(arrives);
        }
        (source, arrivals)
    }
}
