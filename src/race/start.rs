//! The start: an opening begins a race, joins the one that it began before, or passes.

use core::hash::BuildHasher;

use super::ports::Want;
use super::record::{Outcome, Record};
use super::table::{Race, State, Waiting};
use super::{Action, Actions, FOLLOW_UP_SLACK, Held, LIFETIME, MAX_KEPT, RaceId, Racer, Rules, Verdict, act};
use crate::family::Family;
use crate::link::LinkSet;
use crate::packet::Opening;
use crate::time::{Span, Time};

/// A port that brought no answer for this long is changed: two repetitions of a SYN as most systems send them (RFC 6298 2.1 and
/// 5.5). Where answers take longer, the connection comes with the next one's.
const UNHEARD: Span = Span::from_millis(2_900);

/// Ports below are asked for on purpose: a server may take no others (RFC 1813's, for one, with `secure`).
const PRIVILEGED: u16 = 1024;

impl<S: BuildHasher> Racer<S> {
    /// An opening that waits in a queue: `packet` is what `opening` was parsed from, `policy` an index into the policies.
    pub fn open(
        &mut self,
        now: Time,
        (opening, packet): (&Opening, &[u8]),
        policy: usize,
        held: Held,
        actions: &mut Actions,
    ) {
        let verdict = match self.races.find_opening(opening.protocol, opening.client, opening.server) {
            Some(id) => match self.repeat(now, id, opening, policy, actions) {
                Some(verdict) => verdict,
                None => {
                    self.abandon(id, actions);
                    self.forget(id, actions);
                    self.start(now, opening, packet, policy, actions)
                }
            },
            None => self.start(now, opening, packet, policy, actions),
        };
        act(actions, Action::Verdict { held, verdict });
    }

    /// Counts an opening that could not be parsed, or waited too long: it passes.
    pub fn not_raced(&mut self) {
        self.log.counters.passed_other += 1;
    }

    fn start(&mut self, now: Time, opening: &Opening, packet: &[u8], policy: usize, actions: &mut Actions) -> Verdict {
        if opening.syn.is_some_and(|syn| syn.carries_data) {
            self.log.counters.passed_fast_open += 1;
            return Verdict::Pass;
        }
        let rules = self.policies.get(policy).copied();
        let links = rules.map_or(LinkSet::EMPTY, |rules| self.field(&rules, opening));
        let Some(rules) = rules.filter(|_| !links.is_empty()) else {
            self.log.counters.passed_no_link += 1;
            return Verdict::Pass;
        };
        if self.races.is_full() {
            self.log.counters.passed_full += 1;
            return Verdict::Pass;
        }
        let want = Want { protocol: opening.protocol, client: opening.client, server: opening.server, links };
        let in_flight = |port| self.races.find_answer(opening.protocol, opening.server, port).is_some();
        let Some(port) = self.ports.pick(self.races.hasher(), &want, in_flight) else {
            self.log.counters.passed_other += 1;
            return Verdict::Pass;
        };
        let alone = self.race_of_one(now, &rules, opening, links);
        let sent = alone.map_or(links, |(link, _)| link);
        let record = self.log.begin(Record {
            at: now,
            protocol: opening.protocol,
            client: opening.client,
            server: opening.server,
            outcome: Outcome::Running,
            links: sent.len() as u8,
            answers: heapless::Vec::new(),
        });
        let race = Race {
            opening: opening.into(),
            port,
            state: State::Running,
            policy: policy as u8,
            tries: 1,
            sent,
            answered: LinkSet::EMPTY,
            refused: LinkSet::EMPTY,
            began: now,
            sent_at: now,
            expires: now + LIFETIME,
            waiting: None,
            record,
        };
        let Some(id) = self.races.insert(race) else { return Verdict::Pass };
        if let Some((_, round_trip)) = alone {
            let patience = Span::from_micros(round_trip.as_micros() * 3 / 2) + FOLLOW_UP_SLACK;
            self.wait(id, Waiting::FollowUp { until: now + patience, packet: packet.into() });
        }
        self.log.counters.races += 1;
        self.send(sent, port, None, actions);
        Verdict::Drop
    }

    /// The same opening again. `None`: it belongs to a new connection, the race before it is history.
    fn repeat(
        &mut self,
        now: Time,
        id: RaceId,
        opening: &Opening,
        policy: usize,
        actions: &mut Actions,
    ) -> Option<Verdict> {
        let rules = self.policies.get(policy).copied();
        // A second datagram is not the first one again: who answered it alone would win with half of what was said. It takes a
        // link that carries both.
        let first = self.races.get(id)?.opening.unpack().length;
        let both = Opening { length: opening.length.max(first), ..*opening };
        let links = rules.map_or(LinkSet::EMPTY, |rules| self.field(&rules, &both));
        let lanes = self.lanes;
        let race = self.races.get(id)?;
        // A SYN with another initial sequence number is another connection (RFC 9293 3.4.1).
        if race.opening.syn.map(|syn| syn.isn) != opening.syn.map(|syn| syn.isn) {
            return None;
        }
        // Policies may have other numbers by now.
        race.policy = policy as u8;
        let (mut port, tcp) = (race.port, opening.syn.is_some());
        match &mut race.state {
            State::Running => {
                if links.is_empty() {
                    return Some(Verdict::Pass);
                }
                // Once: what has another port already keeps it.
                let own = opening.client.port();
                let changes = tcp && port == own && own >= PRIVILEGED && now.since(race.began) >= UNHEARD;
                if changes && race.answered.is_empty() {
                    let links = links.iter().chain(race.sent.iter()).collect();
                    port = self.change_port(id, opening, links).unwrap_or(port);
                }
                let race = self.races.get(id)?;
                if race.answered.is_empty() {
                    self.log.missed(race.sent, race.sent_at);
                }
                let rest = links.minus(race.sent);
                race.sent = links.iter().chain(race.sent.iter()).collect();
                race.tries = race.tries.saturating_add(1);
                race.sent_at = now;
                let waiting = race.waiting.take_if(|waiting| matches!(**waiting, Waiting::FollowUp { .. }));
                if let Some(Waiting::FollowUp { packet, .. }) = waiting.map(|waiting| *waiting)
                    && !tcp
                    && !rest.is_empty()
                {
                    self.send(rest, port, Some(packet), actions);
                }
                self.races.renew(id, now + LIFETIME);
                self.log.counters.repeats += 1;
                self.send(links, port, None, actions);
                Some(Verdict::Drop)
            }
            State::Won(link) if !lanes[link.index()].has(Family::of(opening.client.ip())) => None,
            // It crossed the answer on its way; the client has its connection.
            State::Won(_) | State::Deciding(_) if tcp => Some(Verdict::Drop),
            // A datagram that was queued before its flow was established: follow the winner. Of one that is too long for it the
            // kernel tells the client as soon as the flow is there.
            State::Won(link) if opening.length > lanes[link.index()].mtu => Some(Verdict::Drop),
            State::Won(link) => {
                let links = LinkSet::only(*link);
                self.send(links, port, None, actions);
                Some(Verdict::Drop)
            }
            State::Deciding(_) => Some(Verdict::Drop),
            State::FellBack { passed } => {
                *passed = true;
                Some(Verdict::Pass)
            }
            State::Refused(_) => None,
        }
    }

    /// Another port for the copies of a race that nobody answers, and has not for long: it may be that connections of which we never knew
    /// have this one, behind each link, and that the server takes the copies for their strays (RFC 5961 4). They are not ours to
    /// reset; and since a server that is down is as silent, nothing is noted of that port.
    fn change_port(&mut self, id: RaceId, opening: &Opening, links: LinkSet) -> Option<u16> {
        let own = opening.client.port();
        let want = Want { protocol: opening.protocol, client: opening.client, server: opening.server, links };
        let busy = |port| port == own || self.races.find_answer(opening.protocol, opening.server, port).is_some();
        let port = self.ports.pick(self.races.hasher(), &want, busy)?;
        self.races.change_port(id, port);
        Some(port)
    }

    /// The client gave an undecided race up: a server that still holds half of its connection would take the new SYN, from
    /// the same port, for a stray packet of the old one (RFC 9293 3.10.7.4).
    fn abandon(&mut self, id: RaceId, actions: &mut Actions) {
        let Some(race) = self.races.get(id) else { return };
        let asked = race.sent.minus(race.refused);
        match race.state {
            State::Running => self.reset(id, asked, actions),
            State::Deciding(link) => self.reset(id, asked.minus(LinkSet::only(link)), actions),
            _ => {}
        }
    }

    /// The other copies of a race of one, whose link did not answer in time.
    pub(super) fn follow_up(&mut self, now: Time, id: RaceId, packet: Box<[u8]>, actions: &mut Actions) {
        let Some(race) = self.races.get(id) else { return };
        let (opening, policy) = (race.opening.unpack(), usize::from(race.policy));
        let rules = self.policies.get(policy).copied();
        let links = rules.map_or(LinkSet::EMPTY, |rules| self.field(&rules, &opening));
        let Some(race) = self.races.get(id) else { return };
        let (rest, failed) = (links.minus(race.sent), race.sent);
        race.sent = links.iter().chain(race.sent.iter()).collect();
        // From here on nobody knows how long an answer took: the copies left at different times.
        race.tries = race.tries.saturating_add(1);
        race.sent_at = now;
        let port = race.port;
        self.memory.doubt(self.races.hasher(), (opening.protocol, opening.server), failed);
        if !rest.is_empty() {
            self.send(rest, port, Some(packet), actions);
        }
    }

    fn race_of_one(&mut self, now: Time, rules: &Rules, opening: &Opening, links: LinkSet) -> Option<(LinkSet, Span)> {
        if rules.remember == Span::ZERO || links.len() < 2 || self.waiting() >= MAX_KEPT {
            return None;
        }
        let lanes = &self.lanes;
        let to = (opening.protocol, opening.server);
        let (link, round_trip) =
            self.memory.choose(self.races.hasher(), now, to, links, (rules.remember, rules.tie), |link| {
                let lane = &lanes[link.index()];
                (lane.weight, lane.handicap)
            })?;
        Some((LinkSet::only(link), round_trip))
    }

    fn field(&self, rules: &Rules, opening: &Opening) -> LinkSet {
        // A SYN's copy is clamped to what its link takes, and never long; datagrams must fit as they are.
        let length = if opening.syn.is_some() { 0 } else { opening.length };
        self.eligible(rules.links, Family::of(opening.client.ip()), length)
    }

    fn send(&mut self, links: LinkSet, port: u16, kept: Option<Box<[u8]>>, actions: &mut Actions) {
        for link in links.iter() {
            self.log.tally_mut(link).copies += 1;
        }
        act(actions, Action::Copy { links, port, kept });
    }
}
