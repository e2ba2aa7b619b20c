//! The finish: answers arrive, one decides.

use core::hash::BuildHasher;

use super::ports::Want;
use super::record::Outcome;
use super::table::{Answers, State, Waiting};
use super::{Action, Actions, Held, REFUSAL_GRACE, RaceId, Racer, Verdict, act, judge_all};
use crate::link::{LinkId, LinkSet};
use crate::packet::{Answer, Says};
use crate::time::Time;

impl<S: BuildHasher> Racer<S> {
    /// An answer that waits in a queue, as it came in on `link`.
    pub fn answer(&mut self, now: Time, link: LinkId, answer: &Answer, held: Held, actions: &mut Actions) {
        if let Some(verdict) = self.judge(now, link, answer, held, actions) {
            act(actions, Action::Verdict { held, verdict });
        }
    }

    /// `None` if the packet stays held, or its verdict is among the actions already.
    fn judge(
        &mut self,
        now: Time,
        link: LinkId,
        answer: &Answer,
        held: Held,
        actions: &mut Actions,
    ) -> Option<Verdict> {
        let found = self.races.find_answer(answer.protocol, answer.server, answer.local.port());
        let Some((id, race)) = found.and_then(|id| Some((id, self.races.get(id)?))) else { return Some(Verdict::Pass) };
        if !race.sent.contains(link) || !acknowledges(answer.says, race.opening.syn.map(|syn| syn.isn)) {
            return Some(Verdict::Pass);
        }
        let state = race.state;
        // Refused: said nothing but no. A link that also said yes holds half a connection, to be reset if it loses.
        match answer.says {
            Says::Reset(_) | Says::Unreachable(_) if !race.answered.contains(link) => race.refused.insert(link),
            Says::Reset(_) | Says::Unreachable(_) => {}
            Says::SynAck(_) | Says::Data => race.refused.remove(link),
        }
        // An error may come from next door: it is no sign of life.
        if !race.answered.contains(link) && !matches!(answer.says, Says::Unreachable(_)) {
            self.first_answer(now, id, link, answer.says);
        }
        match state {
            State::Running => match answer.says {
                Says::Reset(_) | Says::Unreachable(_) => self.refusal(now, id, link, held, actions),
                Says::SynAck(_) if self.is_left_out(id, link) => {
                    self.reset(id, LinkSet::only(link), actions);
                    Some(Verdict::Drop)
                }
                _ => self.acceptance(now, id, link, held, actions),
            },
            State::Deciding(_) => Some(Verdict::Drop),
            State::Won(winner) | State::Refused(winner) if winner == link => Some(match answer.says {
                Says::Data => Verdict::Decide,
                _ => Verdict::Pass,
            }),
            State::FellBack { passed: true } => Some(Verdict::Pass),
            State::Won(_) | State::Refused(_) | State::FellBack { passed: false } => {
                if let Says::SynAck(_) = answer.says {
                    self.reset(id, LinkSet::only(link), actions);
                }
                Some(Verdict::Drop)
            }
        }
    }

    /// Whether the link went down since its copy left, while one that is up may still say yes: a connection that began over it
    /// now would be told at once to begin anew.
    fn is_left_out(&mut self, id: RaceId, link: LinkId) -> bool {
        let lanes = self.lanes;
        let Some(race) = self.races.get(id) else { return false };
        let others = race.sent.minus(race.refused);
        !lanes[link.index()].up && others.iter().any(|other| lanes[other.index()].up)
    }

    /// A link says yes: it wins, unless its handicap gives the others time.
    fn acceptance(
        &mut self,
        now: Time,
        id: RaceId,
        link: LinkId,
        held: Held,
        actions: &mut Actions,
    ) -> Option<Verdict> {
        let handicap = self.lane(link).handicap;
        let race = self.races.get(id)?;
        // An answer still held back when its race ends is better than none.
        let due = (now + handicap).min(race.expires);
        let others = race.sent.minus(race.refused).minus(LinkSet::only(link));
        match race.waiting.as_deref_mut() {
            Some(Waiting::Handicap { link: first, held: answers, .. })
                if *first == link && race.opening.syn.is_none() =>
            {
                return answers.push(held).is_err().then_some(Verdict::Drop);
            }
            // The other handicapped answer, or this one's repetition, comes of age first.
            Some(Waiting::Handicap { until, .. }) if *until <= due => return Some(Verdict::Drop),
            Some(Waiting::Handicap { held, .. }) => judge_all(actions, held, Verdict::Drop),
            Some(Waiting::Refusal { held, .. }) => {
                act(actions, Action::Verdict { held: *held, verdict: Verdict::Drop })
            }
            Some(Waiting::FollowUp { .. } | Waiting::Flow { .. }) | None => {}
        }
        race.waiting = None;
        let held = [held].into_iter().collect();
        if due > now && !others.is_empty() {
            self.wait(id, Waiting::Handicap { until: due, link, held });
        } else {
            self.decide(id, link, held, false, actions);
        }
        None
    }

    /// A link says no: believed when nobody is left who could say yes.
    fn refusal(&mut self, now: Time, id: RaceId, link: LinkId, held: Held, actions: &mut Actions) -> Option<Verdict> {
        let race = self.races.get(id)?;
        if let Some(Waiting::FollowUp { packet, .. }) = race.waiting.as_deref_mut() {
            // One refusal is no reason to believe that link alone.
            let packet = core::mem::take(packet);
            race.waiting = None;
            self.follow_up(now, id, packet, actions);
        }
        let race = self.races.get(id)?;
        let others = race.sent.minus(race.refused);
        match race.waiting.as_deref() {
            Some(Waiting::Handicap { link: accepted, held: acceptance, .. }) => {
                let (accepted, acceptance) = (*accepted, acceptance.clone());
                if others.minus(LinkSet::only(accepted)).is_empty() {
                    race.waiting = None;
                    self.decide(id, accepted, acceptance, false, actions);
                }
                Some(Verdict::Drop)
            }
            Some(&Waiting::Refusal { held: first, .. }) if others.is_empty() => {
                race.waiting = None;
                act(actions, Action::Verdict { held: first, verdict: Verdict::Drop });
                self.decide(id, link, [held].into_iter().collect(), true, actions);
                None
            }
            Some(Waiting::Refusal { .. }) => Some(Verdict::Drop),
            _ if others.is_empty() => {
                self.decide(id, link, [held].into_iter().collect(), true, actions);
                None
            }
            _ => {
                let until = (now + REFUSAL_GRACE).min(race.expires);
                self.wait(id, Waiting::Refusal { until, link, held });
                None
            }
        }
    }

    /// Asks for the flow over `link`, whose answer is `held`.
    pub(super) fn decide(&mut self, id: RaceId, link: LinkId, held: Answers, refused: bool, actions: &mut Actions) {
        let Some(race) = self.races.get(id) else { return };
        race.state = State::Deciding(link);
        race.waiting = Some(Box::new(Waiting::Flow { held, refused }));
        act(actions, Action::Establish { race: id, link, opening: race.opening.unpack(), port: race.port });
    }

    /// What came of [`Action::Establish`].
    pub(super) fn settle(&mut self, id: RaceId, actions: &mut Actions, established: bool) {
        let Some(race) = self.races.get(id) else { return };
        let flow = race.waiting.take_if(|waiting| matches!(**waiting, Waiting::Flow { .. })).map(|waiting| *waiting);
        let (State::Deciding(link), Some(Waiting::Flow { held, refused })) = (race.state, flow) else {
            if !established {
                self.revoke(id, actions);
            }
            return;
        };
        let (record, port, opening) = (race.record, race.port, race.opening.unpack());
        let losers = race.sent.minus(race.refused).minus(LinkSet::only(link));
        let accepted = race.answered.minus(race.refused);
        let (silent, sent_at) = (race.sent.minus(race.answered), race.sent_at);
        let (state, outcome, verdict) = match (established, refused) {
            (false, _) => (State::FellBack { passed: false }, Outcome::FellBack, Verdict::Drop),
            (true, true) => (State::Refused(link), Outcome::Refused(link), Verdict::Pass),
            // Only TCP has anything more to expect: the winner's repeated SYN-ACK, the losers' first.
            (true, false) if opening.syn.is_some() => (State::Won(link), Outcome::Won(link), Verdict::Pass),
            (true, false) => (State::Won(link), Outcome::Won(link), Verdict::Decide),
        };
        race.state = state;
        judge_all(actions, &held, verdict);
        match outcome {
            Outcome::Won(_) => {
                self.log.counters.won += 1;
                self.log.tally_mut(link).won += 1;
                self.log.missed(silent, sent_at);
                let want =
                    Want { protocol: opening.protocol, client: opening.client, server: opening.server, links: losers };
                self.ports.take(self.races.hasher(), &want, link, port);
                self.reset(id, losers, actions);
            }
            Outcome::Refused(_) => {
                self.log.counters.refused += 1;
                self.reset(id, losers, actions);
            }
            _ => {
                self.log.counters.fell_back += 1;
                // The port's owner may be an honest connection of another client: only copies that were answered by a
                // SYN-ACK, and thus are connections of their own, are reset.
                self.reset(id, accepted, actions);
            }
        }
        self.tell(record, outcome);
    }

    /// A flow that was taken for established was not, and its answer has gone on. It may be the client's own connection that has its
    /// place: a repeated SYN that was not queued, since the daemon hung or no second link was left, went the plain way, over whichever
    /// link. Nothing of that may be reset; what else waits at the server times out.
    fn revoke(&mut self, id: RaceId, actions: &mut Actions) {
        let Some(race) = self.races.get(id) else { return };
        let (record, port, opening) = (race.record, race.port, race.opening.unpack());
        let counters = &mut self.log.counters;
        match race.state {
            State::Won(_) => counters.won = counters.won.saturating_sub(1),
            State::Refused(_) => counters.refused = counters.refused.saturating_sub(1),
            State::Running | State::Deciding(_) | State::FellBack { .. } => return,
        }
        counters.fell_back += 1;
        if let State::Won(link) = race.state {
            let tally = self.log.tally_mut(link);
            // Its link may have begun to count anew.
            tally.won = tally.won.saturating_sub(1);
        }
        race.state = State::FellBack { passed: true };
        act(actions, Action::Spare { port, opening });
        self.tell(record, Outcome::FellBack);
    }

    fn first_answer(&mut self, now: Time, id: RaceId, link: LinkId, says: Says) {
        let Some(race) = self.races.get(id) else { return };
        race.answered.insert(link);
        let round_trip = now.since(race.sent_at);
        // RFC 6298 3 (Karn): after a repetition nobody knows which copy was answered.
        let (certain, full_race) = (race.tries == 1, race.sent.len() > 1);
        let (record, to) = (race.record, race.opening.unpack());
        let to = (to.protocol, to.server);
        let tally = self.log.tally_mut(link);
        tally.answers += 1;
        tally.last_answer = now;
        if let Some(record) = self.log.continue_(record) {
            let _ = record.answers.push((link, round_trip)); // the fifth and later go untold
        }
        if certain && !matches!(says, Says::Reset(_)) {
            self.memory.note(self.races.hasher(), now, to, (link, round_trip), full_race);
        }
    }

    pub(super) fn reset(&mut self, id: RaceId, links: LinkSet, actions: &mut Actions) {
        let Some(race) = self.races.get(id) else { return };
        if race.opening.syn.is_none() || links.is_empty() {
            return;
        }
        self.log.counters.resets += links.len() as u64;
        act(actions, Action::Reset { links, port: race.port, opening: race.opening.unpack() });
    }
}

/// Whether an answer acknowledges the SYN (RFC 9293 3.10.7.3); other protocols have nothing to acknowledge.
fn acknowledges(says: Says, isn: Option<u32>) -> bool {
    match (says, isn) {
        (Says::SynAck(ack) | Says::Reset(ack) | Says::Unreachable(Some(ack)), Some(isn)) => ack == isn.wrapping_add(1),
        (Says::Data | Says::Unreachable(None), None) => true,
        _ => false,
    }
}
