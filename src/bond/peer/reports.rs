//! Reports of what came, and what follows from those that the other end makes.

use crate::time::{Span, Time};

use super::super::Output;
use super::super::control::{Control, MAP, Report};
use super::super::frame::PathId;
use super::super::item;
use super::super::path::{Outcome, Path};
use super::{Peer, Scheduler};

/// Reports go by a path that nothing came by for longer only if they are about it: shorter than the time in
/// which a sender wants word (`LEAST_DUE` in `path::fate`).
const LIVELY: Span = Span::from_millis(25);
/// Time that a repair takes beside the round trip: three later packets, a report, a free path.
const TURN: u64 = 10_000;
/// Paths whose delays differ by no more are as one.
const SPREAD: Span = Span::from_millis(5);

impl Peer {
    /// The shortest and the longest of the paths' round trips, with their deviations.
    fn turns(&self) -> [(u64, u64); 2] {
        let turns = || self.paths.iter().flatten().filter(|path| path.is_up()).filter_map(|path| path.probing.rtt);
        [turns().min(), turns().max()].map(Option::unwrap_or_default)
    }

    /// How long a packet waits for those before it: for a repair of the slowest path. Where paths differ, only what is patient does.
    pub(super) fn set_wait(&mut self) {
        let [(quickest, deviation), (slowest, most)] = self.turns();
        let spread = slowest.saturating_sub(quickest) / 2;
        let wait = slowest + spread + 4 * deviation.max(most) + TURN;
        // Where paths differ by more, waiting would make the longest one's round trip everybody's: TCP's slow start would end with
        // the first packet on it (HyStart). That a few are overtaken it bears (RFC 8985).
        let hurry = spread > SPREAD.as_micros() && self.settings.scheduler != Scheduler::Redundant;
        self.order.set_wait(Span::from_micros(wait), hurry);
    }

    /// Whether our paths' delays vary by as much as they differ. Then the longest one's round trip is everybody's anyway, and any number
    /// of packets would be overtaken. Only this end knows it of its own ways; the other end's may vary for its acknowledgments.
    fn mix(&mut self) {
        let [(quickest, _), (slowest, _)] = self.turns();
        let varies = self.paths.iter().flatten().filter(|path| path.is_up()).map(|path| path.rate.varies()).max();
        self.mixes = self.settings.repair && (slowest - quickest) / 2 < varies.unwrap_or(0);
    }

    /// How far paths lag behind one another, for those who reckon with it.
    pub(super) fn spread(&mut self, now: Time) {
        self.mix();
        // The two clocks differ by anything: a path that nothing is known of yet is compared by another one's.
        let known = |path: &Path| Some((path.rate.one_way(now)?, path.probing.rtt?.0 as i64));
        if let Some((way, turn)) = self.paths.iter().flatten().filter(|path| path.is_up()).find_map(|path| known(path))
        {
            for path in self.paths.iter_mut().flatten() {
                path.assumed = path.probing.rtt.map(|(rtt, _)| way + (rtt as i64 - turn) / 2);
            }
        }
        let ways = || self.paths.iter().flatten().filter(|path| path.is_up()).filter_map(|path| path.one_way(now));
        let Some(nearest) = ways().min().filter(|_| self.settings.scheduler == Scheduler::Adaptive) else { return };
        let lag = |way: i64| Span::from_micros((way - nearest).max(0) as u64);
        let most = ways().map(lag).filter(|lag| *lag <= self.settings.limit).max();
        self.fair.set_lag(most.unwrap_or(Span::ZERO));
        // Where much more waits than makes up for the lag (a BBR that begins has three round trips to see what there is), all hurry.
        let enough = self.rate().saturating_mul(most.unwrap_or(Span::ZERO).as_micros()) / 2_000_000;
        let calm = self.fair.bytes() / 3 < enough;
        for path in self.paths.iter_mut().flatten() {
            let lags = path.one_way(now).is_some_and(|way| lag(way) > SPREAD);
            path.rate.set_calm(calm && lags);
        }
    }

    pub(super) fn reported(&mut self, report: &Report, now: Time) {
        let Some(path) = self.paths[report.path.index()].as_mut() else { return };
        let (store, again, announced) = (&mut self.store, &mut self.again, &mut self.announced);
        let (squeezer, settings, totals) = (&mut self.squeezer, &self.settings, &mut self.totals);
        let redundant = settings.scheduler == Scheduler::Redundant;
        path.reported(report, &mut self.clock, now, &mut |outcome| match outcome {
            Outcome::Arrived(slot) => {
                if let Some(at) = announced.iter().position(|(announced, _)| *announced == slot) {
                    squeezer.confirmed(announced.swap_remove(at).1);
                }
                store.settled(slot, true);
            }
            Outcome::Lost(slot) => {
                if store.settled(slot, false) {
                    if item::is_loose(store.item(slot)) {
                        store.drop(slot);
                    } else if settings.repair || announced.iter().any(|(announced, _)| *announced == slot) {
                        again.push(slot, store);
                    } else {
                        totals.dropped += 1;
                        store.drop(slot);
                    }
                }
            }
        });
        path.parity.loss(if settings.repair && !redundant { path.rate.loss() } else { 0 });
    }

    /// Sends the reports that are due.
    pub(super) fn report(&mut self, now: Time, out: &mut dyn Output) {
        for at in 0..self.tallies.len() {
            let Some(tally) = self.tallies[at].as_mut() else { continue };
            if tally.due().is_none_or(|due| due > now) {
                continue;
            }
            let mut map = [0; MAP];
            let Some(report) = tally.report(&mut map, now) else { continue };
            // By the quickest: the sooner a loss is known, and the steadier the time that this takes, the better. Unless nothing
            // comes by it: it may be dead, which we, who send reports only, learn late; without reports, the sender would take
            // every path for dead.
            let nearest = self.schedule.nearest(&self.paths, now);
            let heard = |id: &PathId| self.tallies[id.index()].as_ref().and_then(|tally| tally.heard());
            let lively = nearest.filter(|id| heard(id).is_some_and(|at| now.since(at) <= LIVELY));
            let by = lively.or_else(|| self.paths[at].as_ref().map(|path| path.id));
            let Some(path) = by.and_then(|by| self.paths[by.index()].as_ref()) else { continue };
            if let Some(via) = path.address {
                let rate = path.rate.known();
                self.say(path.id, &via, &Control::Report(report), 0, now, out);
                self.tallies[at].as_mut().into_iter().for_each(|tally| tally.returns_by(rate));
            }
        }
    }
}
