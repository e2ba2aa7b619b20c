//! The keeper of all races: what it knows of links and policies, and the passing of time.

use core::cmp::Reverse;
use core::hash::BuildHasher;
use std::collections::BinaryHeap;

use super::memory::Memory;
use super::ports::Ports;
use super::record::{Log, Outcome, Tally};
use super::table::{State, Table, Waiting};
use super::{Actions, Held, MAX_POLICIES, RaceId, Rules, Verdict, judge_all};
use crate::family::Family;
use crate::link::{Link, LinkId, LinkSet, MAX_LINKS};
use crate::time::{Span, Time};

/// Runs every race of the router. `S` hashes the tables' keys: give it a secret seed, since the keys come from outside.
pub struct Racer<S> {
    pub(super) races: Table<S>,
    pub(super) memory: Memory,
    pub(super) ports: Ports,
    pub(super) log: Log,
    pub(super) lanes: [Lane; MAX_LINKS],
    /// Whose numbers they are.
    names: [String; MAX_LINKS],
    pub(super) policies: heapless::Vec<Rules, MAX_POLICIES>,
    /// When running races wait for something: entries of races that moved on are skipped.
    timers: BinaryHeap<Reverse<(Time, RaceId)>>,
}

/// What a race needs to know of a link.
#[derive(Clone, Copy, Default)]
pub(super) struct Lane {
    pub up: bool,
    /// Which it has an address of.
    pub families: [bool; 2],
    pub metered: bool,
    pub mtu: u16,
    pub weight: u16,
    pub handicap: Span,
}

impl Lane {
    /// Whether packets of this family leave by it.
    pub fn has(&self, family: Family) -> bool {
        self.up && self.families[family.index()]
    }
}

impl<S: BuildHasher> Racer<S> {
    /// `capacity`: the most races in flight, up to [`super::MAX_RACES`].
    pub fn new(capacity: usize, hasher: S) -> Self {
        Racer {
            races: Table::new(capacity, hasher),
            memory: Memory::new(),
            ports: Ports::new(),
            log: Log::new(),
            lanes: [Lane::default(); MAX_LINKS],
            names: [const { String::new() }; MAX_LINKS],
            policies: heapless::Vec::new(),
            timers: BinaryHeap::new(),
        }
    }

    /// What the links are like now. Races in flight go on. What is known of a number is forgotten if it is another link's now.
    pub fn set_links(&mut self, links: &[Link]) {
        for id in (1..).map_while(LinkId::new) {
            let name = links.iter().find(|link| link.id == id).map_or("", |link| &link.name);
            let known = &mut self.names[id.index()];
            if known != name {
                name.clone_into(known);
                *self.log.tally_mut(id) = Tally::default();
                self.memory.forget(id);
            }
        }
        self.lanes = [Lane::default(); MAX_LINKS];
        for link in links {
            self.lanes[link.id.index()] = Lane {
                up: link.up,
                families: [link.ipv4.is_some(), link.ipv6.is_some()],
                metered: link.metered,
                mtu: link.mtu,
                weight: link.weight,
                handicap: link.handicap,
            };
        }
    }

    /// The policies in race mode, in the order of their queues; those past [`MAX_POLICIES`] are left out.
    pub fn set_policies(&mut self, policies: &[Rules]) {
        self.policies = policies.iter().take(MAX_POLICIES).copied().collect();
    }

    /// Races in flight.
    pub fn in_flight(&self) -> usize {
        self.races.len()
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// When [`Self::poll`] has something to do, and what.
    pub fn deadline(&self) -> Option<(Time, &'static str)> {
        let timer = self.timers.peek().map(|Reverse((at, _))| (*at, "a race waits"));
        let expiry = self.races.oldest().map(|(_, at)| (at, "a race expires"));
        match (timer, expiry) {
            (Some(timer), Some(expiry)) => Some(timer.min(expiry)),
            (timer, expiry) => timer.or(expiry),
        }
    }

    /// Does one thing that is due at `now`; `false` when nothing is. Call it until then, and carry out the actions of each
    /// call before the next: a race decided at its very end expires in the next one, settled or not.
    pub fn poll(&mut self, now: Time, actions: &mut Actions) -> bool {
        if let Some(&Reverse((at, id))) = self.timers.peek()
            && at <= now
        {
            self.timers.pop();
            self.waited(now, id, actions);
            return true;
        }
        match self.races.oldest() {
            Some((id, expires)) if expires <= now => {
                self.forget(id, actions);
                true
            }
            _ => false,
        }
    }

    /// What [`super::Action::Establish`] asked for is done.
    pub fn established(&mut self, id: RaceId, actions: &mut Actions) {
        self.settle(id, actions, true);
    }

    /// What [`super::Action::Establish`] asked for cannot be: the address and port belong to another connection. Who learns this
    /// late may have said [`Racer::established`] before.
    pub fn taken(&mut self, id: RaceId, actions: &mut Actions) {
        self.settle(id, actions, false);
    }

    pub(super) fn wait(&mut self, id: RaceId, waiting: Waiting) {
        if let Some(race) = self.races.get(id) {
            self.timers.push(Reverse((waiting.until(), id)));
            race.waiting = Some(Box::new(waiting));
        }
    }

    /// No more races than this wait for anything.
    pub(super) fn waiting(&self) -> usize {
        self.timers.len()
    }

    pub(super) fn lane(&self, link: LinkId) -> &Lane {
        &self.lanes[link.index()]
    }

    /// The links of `links` that can carry a packet of `length` bytes in this family; metered ones if there is no other.
    pub(super) fn eligible(&self, links: LinkSet, family: Family, length: u16) -> LinkSet {
        let fit = |link: &LinkId| {
            let lane = self.lane(*link);
            lane.has(family) && length <= lane.mtu
        };
        let able: LinkSet = links.iter().filter(fit).collect();
        let free: LinkSet = able.iter().filter(|link| !self.lane(*link).metered).collect();
        if free.is_empty() { able } else { free }
    }

    /// Ends a race: a packet that it still held is dropped.
    pub(super) fn forget(&mut self, id: RaceId, actions: &mut Actions) {
        let Some(race) = self.races.remove(id) else { return };
        let waits: &[Held] = match race.waiting.as_deref() {
            Some(Waiting::Handicap { held, .. } | Waiting::Flow { held, .. }) => held,
            Some(Waiting::Refusal { held, .. }) => core::slice::from_ref(held),
            Some(Waiting::FollowUp { .. }) | None => &[],
        };
        judge_all(actions, waits, Verdict::Drop);
        match race.state {
            State::Running | State::Deciding(_) => {
                self.log.counters.silent += 1;
                self.tell(race.record, Outcome::Silent);
            }
            State::Won(_) => {
                for link in race.sent.minus(race.answered).iter() {
                    self.log.tally_mut(link).silent += 1;
                }
            }
            State::Refused(_) | State::FellBack { .. } => {}
        }
    }

    pub(super) fn tell(&mut self, record: u32, outcome: Outcome) {
        if let Some(record) = self.log.continue_(record) {
            record.outcome = outcome;
        }
    }

    fn waited(&mut self, now: Time, id: RaceId, actions: &mut Actions) {
        let Some(race) = self.races.get(id) else { return };
        let Some(waiting) = race.waiting.take_if(|waiting| waiting.until() <= now) else { return };
        match *waiting {
            Waiting::Flow { .. } => {}
            Waiting::FollowUp { packet, .. } => self.follow_up(now, id, packet, actions),
            Waiting::Handicap { link, held, .. } => self.decide(id, link, held, false, actions),
            Waiting::Refusal { link, held, .. } => self.decide(id, link, [held].into_iter().collect(), true, actions),
        }
    }
}
