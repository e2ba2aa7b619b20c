//! What the races leave behind for people: counters, and the story of the last ones.

use std::net::SocketAddr;

use crate::link::{LinkId, LinkSet, MAX_LINKS};
use crate::packet::Protocol;
use crate::time::{Span, Time};

/// Races whose story is kept: a screenful or two.
pub const CAPACITY: usize = 128;

/// Answers told of each race: the winner and the first losers.
pub const ANSWERS: usize = 4;

/// The story of a race.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub at: Time,
    pub protocol: Protocol,
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub outcome: Outcome,
    /// Copies sent by the first opening.
    pub links: u8,
    /// Who answered, and how long after its copy left, in the order of arrival.
    pub answers: heapless::Vec<(LinkId, Span), ANSWERS>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Running,
    Won(LinkId),
    Refused(LinkId),
    FellBack,
    Silent,
}

/// Counts since the daemon's start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    pub races: u64,
    /// Openings seen again.
    pub repeats: u64,
    pub won: u64,
    pub refused: u64,
    pub silent: u64,
    pub fell_back: u64,
    /// Openings that were not raced, by reason.
    pub passed_full: u64,
    pub passed_fast_open: u64,
    pub passed_no_link: u64,
    pub passed_other: u64,
    pub resets: u64,
}

/// A link's part in the races since the daemon's start, or since it came into the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    pub copies: u64,
    pub answers: u64,
    pub won: u64,
    /// Races that another link won while this one never answered.
    pub silent: u64,
    /// When it last answered any race.
    pub last_answer: Time,
    /// When the newest copy left that another link answered, or none, while this one did not.
    pub missed: Time,
}

/// The last [`CAPACITY`] races, counters, and each link's tally.
pub struct Log {
    records: Vec<Record>,
    told: u32,
    pub counters: Counters,
    tallies: [Tally; MAX_LINKS],
    suspicion: bool,
}

impl Log {
    pub(super) fn new() -> Self {
        Log {
            records: Vec::with_capacity(CAPACITY),
            told: 0,
            counters: Counters::default(),
            tallies: [Tally::default(); MAX_LINKS],
            suspicion: false,
        }
    }

    pub fn tally(&self, link: LinkId) -> &Tally {
        &self.tallies[link.index()]
    }

    /// The last races, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Record> {
        let next = self.told as usize % CAPACITY;
        let (older, oldest) = self.records.split_at(next.min(self.records.len()));
        older.iter().rev().chain(oldest.iter().rev())
    }

    /// Races begun so far, modulo 2^32: the number that the next one gets.
    pub fn told(&self) -> u32 {
        self.told
    }

    pub(super) fn tally_mut(&mut self, link: LinkId) -> &mut Tally {
        &mut self.tallies[link.index()]
    }

    /// These links have not answered copies that left at `sent_at`, though others did, or the client asks again.
    pub(super) fn missed(&mut self, links: LinkSet, sent_at: Time) {
        for link in links.iter() {
            let tally = self.tally_mut(link);
            if tally.last_answer < sent_at && tally.missed < sent_at {
                tally.missed = sent_at;
                self.suspicion = true;
            }
        }
    }

    /// Whether some link's [`Tally::missed`] is news.
    pub fn suspicion(&self) -> bool {
        self.suspicion
    }

    /// Asked a little later: whether some link is silent still. What [`suspicion`](Self::suspicion) told is no news then.
    pub fn still_missing(&mut self) -> bool {
        self.suspicion = false;
        self.tallies.iter().any(|tally| tally.missed > tally.last_answer)
    }

    pub(super) fn begin(&mut self, record: Record) -> u32 {
        let number = self.told;
        let place = number as usize % CAPACITY;
        match self.records.get_mut(place) {
            Some(old) => *old = record,
            None => self.records.push(record),
        }
        self.told = number.wrapping_add(1);
        number
    }

    /// The story with that number, unless a later one took its place.
    pub(super) fn continue_(&mut self, number: u32) -> Option<&mut Record> {
        let age = self.told.wrapping_sub(number) as usize;
        if age == 0 || age > CAPACITY { None } else { self.records.get_mut(number as usize % CAPACITY) }
    }
}
