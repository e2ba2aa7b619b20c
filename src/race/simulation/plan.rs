//! Plans: what a simulated world is like and what happens in it. Everything else follows from the seed.

use crate::packet::Protocol;
use crate::time::Span;

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub capacity: usize,
    pub remember: Span,
    /// One for each link, from link 1 on.
    pub paths: Vec<Path>,
    pub starts: Vec<Start>,
    pub flaps: Vec<Flap>,
    pub router: Router,
}

/// A link, and what lies behind it.
#[derive(Clone, Debug)]
pub struct Path {
    /// One way.
    pub delay: Span,
    /// Up to this much is added to the delay, anew for each packet: it may overtake another.
    pub jitter: Span,
    /// Percent, until the world heals.
    pub loss: u8,
    /// Percent of packets that arrive twice.
    pub twice: u8,
    pub server: Server,
    pub handicap: Span,
    pub metered: bool,
    pub ipv6: bool,
    pub mtu: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    Accepts,
    Refuses,
    Silent,
    /// Accepts, but somebody on the way says no before it can.
    Censored,
}

/// A client begins a connection, or sends another datagram. All clients use the same port.
#[derive(Clone, Debug)]
pub struct Start {
    pub at: Span,
    /// The last one, number 3, speaks IPv6.
    pub client: u8,
    pub server: u8,
    pub protocol: Protocol,
    pub length: u16,
}

#[derive(Clone, Debug)]
pub struct Flap {
    pub at: Span,
    /// An index into the paths, modulo their number.
    pub link: usize,
    pub up: bool,
}

/// How well the router does its part.
#[derive(Clone, Debug)]
pub struct Router {
    /// Percent of flows that cannot be established for no visible reason.
    pub fails: u8,
    /// Establishing takes up to this long; zero: it is done at once.
    pub settling: Span,
    /// Flows are taken for established at once, as the daemon does; that one is not becomes known within `settling`.
    pub trusts: bool,
    /// Polls come this much later than the deadline.
    pub lateness: Span,
}

impl Router {
    pub const PERFECT: Router = Router { fails: 0, settling: Span::ZERO, trusts: false, lateness: Span::ZERO };
}

impl Path {
    /// A faultless path.
    pub fn good(delay: Span) -> Self {
        Path {
            delay,
            jitter: Span::ZERO,
            loss: 0,
            twice: 0,
            server: Server::Accepts,
            handicap: Span::ZERO,
            metered: false,
            ipv6: true,
            mtu: 1500,
        }
    }
}

/// SplitMix64: small, and the same everywhere.
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn up_to(&mut self, span: Span) -> Span {
        Span(self.next() % (span.0 + 1))
    }

    pub fn hits(&mut self, percent: u8) -> bool {
        self.next() % 100 < u64::from(percent)
    }
}
