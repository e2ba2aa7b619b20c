//! The race: a connection's first packet goes out of every link, the first answer wins.
//!
//! # The rules
//! 1. An **opening** (a SYN, a first datagram, an echo request) starts a race among the links of its policy that are up and
//!    have an address of its family; metered links take part only when no other is left.
//! 2. Every such link carries a **copy**. All copies of a race leave from the same port, so that the **answer** names its race
//!    (but see 6).
//! 3. The first answer wins and the daemon *establishes* the flow over its link; a SYN-ACK over a link that went down
//!    meanwhile does so only if no link that is up can still answer. The **losers** are reset at once (TCP),
//!    and again should they answer later; UDP and echo losers get silence.
//! 4. A link with a **handicap** has its answer held back that long; another link's answer in that time beats it.
//! 5. A **refusal** (RST, or an ICMP error) is believed when every link refused, or when the others stay silent for [`REFUSAL_GRACE`].
//! 6. A repeated opening repeats the copies; a SYN that nobody answers for long, from another port, once: a connection of which we
//!    never knew may have that one. Without any answer the race ends after [`LIFETIME`], and the client times out as it would have
//!    without us.
//! 7. What cannot be raced is **passed**: it takes the policy's first good link, which the packet's mark already names.
//! 8. With `remember` set, a destination raced that recently gets a **race of one** over the link that was fastest there;
//!    the other copies follow when no answer came in 1.5 times its round trip and [`FOLLOW_UP_SLACK`].
//!
//! # The states of a race
//! ```text
//!              answer of any link            established
//!   Running ───────────────────────▶ (decided) ─────────▶ Won(link) or Refused(link)
//!      │                                 │ taken                      │
//!      │ LIFETIME                        ▼                            │ LIFETIME
//!      ▼                             FellBack ──── LIFETIME ────▶ forgotten
//!   forgotten
//! ```
//! A race that fell back (another connection owns its address and port at the winning link) lets the client's next opening
//! pass.
//!
//! The core takes packets and `now`, and returns [`Action`]s; [`Racer::deadline`] says when it wants [`Racer::poll`].

use crate::link::{LinkId, LinkSet};
use crate::packet::Opening;
use crate::time::Span;

mod answer;
mod memory;
mod ports;
mod racer;
pub mod record;
mod start;
mod table;

pub use memory::{Memory, Remembered};
pub use racer::Racer;

/// How long a race is kept after its last opening, answered or not: a loser's late answer must still find it. TCP repeats
/// a SYN after 1 s, then 2 s (RFC 6298 2.1), so each repetition falls into its race.
pub const LIFETIME: Span = Span::from_secs(4);

/// How long a refusal waits for another link's better answer. A censor's or captive portal's reset tends to come sooner
/// than the real server's answer; a person does not notice this delay of an error.
pub const REFUSAL_GRACE: Span = Span::from_millis(100);

/// Added to 1.5 round trips before a race of one gets its other copies: the jitter of a busy home link.
pub const FOLLOW_UP_SLACK: Span = Span::from_millis(5);

/// The most races in flight. A table of this size takes 2 MB when full; the daemon asks for less on small routers.
pub const MAX_RACES: usize = 16_384;

/// The most policies in race mode: what the mark's four link bits can name beside "none". A queued packet belongs to no link yet,
/// and has its policy's number there.
pub const MAX_POLICIES: usize = 15;

/// The most races of one that keep their packet for copies to follow: at 1,500 bytes each, 384 KB. More start as full races.
pub const MAX_KEPT: usize = 256;

/// How a policy races.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    pub links: LinkSet,
    /// For how long after a full race its destination gets races of one; zero: every connection is raced.
    pub remember: Span,
    /// Links whose round trips differ by no more than this (or by a tenth) count as equal in a race of one.
    pub tie: Span,
}

/// Names a race; one that ended is never confused with a later one in its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RaceId {
    slot: u16,
    turn: u16,
}

impl RaceId {
    /// As a number, for the kernel to hand back.
    pub const fn to_bits(self) -> u32 {
        (self.slot as u32) << 16 | self.turn as u32
    }

    pub const fn from_bits(bits: u32) -> Self {
        RaceId { slot: (bits >> 16) as u16, turn: bits as u16 }
    }
}

/// A packet that waits in a kernel queue for its verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    pub queue: u16,
    /// The kernel's id of the packet in that queue.
    pub packet: u32,
    /// The packet's mark.
    pub mark: u32,
}

/// What becomes of a held packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Goes on as if there were no race.
    Pass,
    /// Goes on, and its tuple is no longer expected: the rest of the flow stays in the kernel.
    Decide,
    Drop,
}

/// What the caller must do, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send a copy of the opening out of each link, from `port`: the packet in hand, or the one that was kept here.
    Copy {
        links: LinkSet,
        port: u16,
        kept: Option<Box<[u8]>>,
    },
    /// Create the flow's conntrack entry, then say [`Racer::established`] or [`Racer::taken`]; or the former at once, and the
    /// latter should it turn out so.
    Establish {
        race: RaceId,
        link: LinkId,
        opening: Opening,
        port: u16,
    },
    /// Send a reset out of each link.
    Reset {
        links: LinkSet,
        port: u16,
        opening: Opening,
    },
    /// No reset that has not left yet is to leave from that port.
    Spare {
        port: u16,
        opening: Opening,
    },
    Verdict {
        held: Held,
        verdict: Verdict,
    },
}

/// Room for the actions of one call.
pub type Actions = heapless::Vec<Action, 12>;

fn act(actions: &mut Actions, action: Action) {
    // No call makes more than nine; the simulation checks it.
    let full = actions.push(action).is_err();
    debug_assert!(!full, "too many actions in one call");
}

fn judge_all(actions: &mut Actions, held: &[Held], verdict: Verdict) {
    held.iter().for_each(|held| act(actions, Action::Verdict { held: *held, verdict }));
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
