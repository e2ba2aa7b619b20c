//! Which path a packet takes.

pub use crate::config::Scheduler;
use crate::time::{Span, Time, earliest};

use super::frame::{MAX_PATHS, PathId};
use super::path::Path;

/// The paths of a peer, by their number.
pub type Paths = [Option<Box<Path>>; MAX_PATHS];

/// What to do with a packet now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// By these paths; bit i is path i. Never empty. If `behind` is not 0, it is not this packet that leaves but the one whose turn comes so
    /// many bytes later: when it arrives, those have.
    Take { paths: u16, behind: u64 },
    /// Not before this time, or before something arrives.
    Wait(Option<Time>),
    /// There is no path.
    Nowhere,
}

/// A packet that is to leave.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub size: usize,
    /// Worth a second copy: little, and others wait for it.
    pub urgent: bool,
    /// How long it has waited because no path had room, if others wait too and have for longer than a burst takes, and will not be many
    /// more: see [`gain`].
    pub waited: Span,
    /// Bytes that leave until all has left that waits of its flow; 0: it is this packet that has to leave.
    pub queued: u64,
    /// The far end lets what leaves early wait for those before it.
    pub ordered: bool,
}

impl Load {
    /// It has not waited, nor does anything behind it.
    pub const fn plain(size: usize) -> Self {
        Load { size, urgent: false, waited: Span::ZERO, queued: 0, ordered: true }
    }
}

/// A path that `failover` left is not returned to before this, and not before an answer that is quick.
const RESPITE: Span = Span::from_secs(5);
/// ... which it is asked for after this.
const ASKED: Span = Span::from_secs(4);
/// The one in use is asked so often: it does not wait for `keepalive` to be known for slow.
const WATCHED: Span = Span::from_secs(1);
/// Permille of losses at which `failover` leaves a path.
const LOSSY: u32 = 100;

/// A lag that is always made up for where packets wait, in microseconds.
const CLOSE: i64 = 25_000;

/// By so much, in microseconds, or by as much as the path lags, a packet arrives before its turn: links' queues and timers vary. The far end
/// lets it wait.
const LEAD: i64 = 4_000;

/// When a packet of this size may take a path: [`in_turn`], or [`Path::opens_express`].
type Opens = fn(&Path, usize, Time) -> Option<Time>;

fn in_turn(path: &Path, size: usize, _now: Time) -> Option<Time> {
    path.opens(size)
}

#[derive(Debug)]
pub struct Schedule {
    pub mode: Scheduler,
    /// How far one path may lag behind another; for `failover`, the round trip at which a path is left.
    limit: Span,
    credit: [i64; MAX_PATHS],
    left: [Time; MAX_PATHS],
}

impl Schedule {
    pub fn new(mode: Scheduler, limit: Span) -> Self {
        Schedule { mode, limit, credit: [0; MAX_PATHS], left: [Time(0); MAX_PATHS] }
    }

    pub fn choose(&mut self, paths: &mut Paths, load: Load, now: Time) -> Choice {
        let choice = match self.mode {
            Scheduler::Adaptive => self.adaptive(paths, load, now),
            _ => self.dealt(paths, load, in_turn, now),
        };
        // What leaves by others waits for this one no more.
        if let Choice::Take { paths: taken, .. } = choice
            && self.mode == Scheduler::Redundant
        {
            decline(paths, !taken);
        }
        choice
    }

    /// Whether it is not known yet what the quickest path carries.
    pub fn is_starting(&self, paths: &Paths, now: Time) -> bool {
        up(paths, 0).min_by_key(|path| path.arrival(1_500, now)).is_some_and(|path| path.rate.is_starting())
    }

    /// For a small packet that somebody waits for: it does not queue behind others.
    pub fn express(&mut self, paths: &mut Paths, load: Load, now: Time) -> Choice {
        match self.mode {
            Scheduler::Adaptive => prompt(paths, load, now),
            // Where a download has the links, a call's copies would else be the first to go.
            _ => self.dealt(paths, load, Path::opens_express, now),
        }
    }

    /// By those paths that the scheduler says, however long that takes.
    fn dealt(&mut self, paths: &mut Paths, load: Load, opens: Opens, now: Time) -> Choice {
        match self.mode {
            Scheduler::Weighted => self.weighted(paths, load, opens, now),
            Scheduler::Failover => self.failover(paths, load, opens, now),
            Scheduler::Redundant | Scheduler::Adaptive => redundant(paths, load, opens, now),
        }
    }

    /// For a small packet that is sent again.
    pub fn prompt(&self, paths: &mut Paths, size: usize, now: Time) -> Choice {
        if self.mode == Scheduler::Failover {
            return take(paths, self.preferred(paths, size, now), size, Path::opens_express, now);
        }
        prompt(paths, Load::plain(size), now)
    }

    /// For a word between the two ends, which waits for no turn: the path by which it arrives first. `failover` keeps to its own, since
    /// by a slow one reports would come too late and leave all others in doubt.
    pub fn nearest(&self, paths: &Paths, now: Time) -> Option<PathId> {
        if self.mode == Scheduler::Failover {
            return self.preferred(paths, 0, now).and_then(|at| paths.get(at)?.as_ref()).map(|path| path.id);
        }
        up(paths, 0).min_by_key(|path| path.arrival(0, now)).map(|path| path.id)
    }

    /// For a packet that is sent again: the quickest way, whatever the scheduler; but `failover` keeps to its own.
    pub fn quickest(&self, paths: &mut Paths, size: usize, now: Time) -> Choice {
        if self.mode == Scheduler::Failover {
            return take(paths, self.preferred(paths, size, now), size, in_turn, now);
        }
        self.adaptive(paths, Load { waited: self.limit, ..Load::plain(size) }, now)
    }

    fn adaptive(&self, paths: &mut Paths, load: Load, now: Time) -> Choice {
        let fit = fit(paths, load.size);
        // When it would arrive by each, and how long each takes.
        let mut ways = [None; MAX_PATHS];
        for (way, path) in ways.iter_mut().zip(paths.iter()) {
            let path = path.as_ref().filter(|path| fit(path));
            *way = path.map(|path| (path.arrival(load.size, now), path.one_way(now)));
        }
        let nearest = ways.iter().flatten().filter_map(|(_, one_way)| *one_way).min();
        let limit = self.limit.as_micros() as i64;
        let lags = |one_way: Option<i64>| one_way.zip(nearest).is_some_and(|(way, nearest)| way - nearest > limit);
        let (mut best, mut wait) = (None, None);
        let mut first: Option<(i64, u16)> = None;
        let mut second: Option<(i64, u16)> = None;
        for (way, path) in ways.iter_mut().zip(paths.iter_mut()) {
            let (Some((at, one_way)), Some(path)) = (*way, path) else { continue };
            if lags(one_way) {
                // One that lags further behind would stall the others' packets at the far end.
                *way = None;
                path.decline();
                continue;
            }
            best = Some(best.map_or(at, |best: i64| best.min(at)));
            match path.opens(load.size) {
                Some(opens) if opens <= now => {
                    let this = (at, 1 << path.id.number());
                    if first.is_none_or(|first| this < first) {
                        (first, second) = (Some(this), first);
                    } else if second.is_none_or(|second| this < second) {
                        second = Some(this);
                    }
                }
                opens => {
                    path.rate.note_wait(opens.is_none());
                    wait = earliest(&[wait, opens]);
                }
            }
        }
        let Some(best) = best else { return Choice::Nowhere };
        let Some((at, bit)) = first else { return Choice::Wait(wait) };
        let lag = at - best;
        let lead = if load.ordered { lag.min(LEAD) } else { 0 };
        // What the quicker paths carry from when this packet would arrive by them until it is to arrive by this one.
        let carries = |(way, path): (&Option<(i64, _)>, &Option<Box<Path>>)| match (way, path) {
            (Some((quicker, _)), Some(path)) if *quicker < at => {
                path.rate.estimate().saturating_mul((at - quicker + lead) as u64) / 1_000_000
            }
            _ => 0,
        };
        let behind: u64 = ways.iter().zip(paths.iter()).map(carries).sum();
        // Somebody waits for an urgent one: it is not to go a long way round, whatever waits behind it.
        let queued = if load.urgent { 0 } else { load.queued };
        // By so much it is overtaken.
        let late = ((lag as u64).saturating_mul(behind.saturating_sub(queued)) / behind.max(1)) as i64;
        if late > gain(load.waited) {
            decline(paths, bit);
            return Choice::Wait(wait);
        }
        let copy = second.filter(|_| load.urgent).map_or(0, |(_, bit)| bit);
        if queued == 0 { this(bit | copy) } else { Choice::Take { paths: bit, behind } }
    }

    fn weighted(&mut self, paths: &mut Paths, load: Load, opens: Opens, now: Time) -> Choice {
        // By bytes: of packets alone, one path might get the large ones and another the acknowledgments between them.
        let share = |path: &Path| i64::from(path.weight.max(1)) * load.size as i64;
        let credit = |credits: &[i64; MAX_PATHS], path: &Path| credits[path.id.index()] + share(path);
        let Some(number) =
            up(paths, load.size).max_by_key(|path| credit(&self.credit, path)).map(|path| path.id.index())
        else {
            return Choice::Nowhere;
        };
        let Some(path) = paths[number].as_mut() else { return Choice::Nowhere };
        match opens(path, load.size, now) {
            Some(opens) if opens <= now => {
                let total: i64 = up(paths, load.size).map(share).sum();
                for path in up(paths, load.size) {
                    self.credit[path.id.index()] += share(path);
                }
                self.credit[number] -= total;
                this(1 << number)
            }
            opens => {
                path.rate.note_wait(opens.is_none());
                Choice::Wait(opens)
            }
        }
    }

    fn failover(&mut self, paths: &mut Paths, load: Load, opens: Opens, now: Time) -> Choice {
        let fit = fit(paths, load.size);
        for path in paths.iter_mut().flatten().filter(|path| fit(path)) {
            let left = &mut self.left[path.id.index()];
            if *left <= now && (path.latency.exceeds(self.limit) || path.rate.loss() > LOSSY) {
                *left = now + RESPITE;
                path.rest(now + ASKED);
            }
            if *left <= now {
                break;
            }
        }
        let preferred = self.preferred(paths, load.size, now);
        let probing = preferred.and_then(|at| paths[at].as_mut()).map(|path| &mut path.probing);
        if let Some(probing) = probing.filter(|probing| probing.asked.is_none()) {
            probing.next = probing.next.min(probing.answered.map_or(now, |at| at + WATCHED));
        }
        take(paths, preferred, load.size, opens, now)
    }

    /// The first path that is well; where none is, the one that was left longest ago.
    fn preferred(&self, paths: &Paths, size: usize, now: Time) -> Option<usize> {
        let rests = |path: &usize| Some(self.left[*path]).filter(|left| *left > now);
        up(paths, size).map(|path| path.id.index()).min_by_key(rests)
    }
}

/// This packet, by these paths.
fn this(paths: u16) -> Choice {
    Choice::Take { paths, behind: 0 }
}

/// None of the large packets wants these paths now.
fn decline(paths: &mut Paths, bits: u16) {
    let declined = paths.iter_mut().flatten().filter(|path| bits >> path.id.number() & 1 == 1);
    declined.for_each(|path| path.decline());
}

/// By this path and no other.
fn take(paths: &mut Paths, path: Option<usize>, size: usize, opens: Opens, now: Time) -> Choice {
    let Some(path) = path.and_then(|path| paths[path].as_mut()) else { return Choice::Nowhere };
    match opens(path, size, now) {
        Some(opens) if opens <= now => this(1 << path.id.number()),
        opens => {
            path.rate.note_wait(opens.is_none());
            Choice::Wait(opens)
        }
    }
}

/// By how much a packet may be overtaken that is taken nevertheless, in microseconds: by as much again as it has waited already. No
/// limit, and a third path of 8 Mbit/s would hold up two of 50 and 20 (.65 of their sum instead of .90).
fn gain(waited: Span) -> i64 {
    if waited == Span::ZERO { 0 } else { (2 * waited.as_micros() as i64).max(CLOSE) }
}

/// By the quickest path that a small packet may take before others, and if it is urgent by another as well.
fn prompt(paths: &mut Paths, load: Load, now: Time) -> Choice {
    let (mut first, mut second, mut waits, mut opens, mut soon) = (None, None, false, None, None);
    let fit = fit(paths, load.size);
    for path in paths.iter_mut().flatten().filter(|path| fit(path)) {
        let arrival = path.arrival(load.size, now);
        let this = Some((arrival, path.id.number()));
        // Many small ones fill a link, too: acknowledgements of a fast download a slow upload.
        let at = path.opens_express(load.size, now);
        if at.is_none_or(|at| at > now) {
            path.rate.note_wait(at.is_none());
            let later = at.map(|at| arrival.saturating_add(at.since(now).as_micros() as i64));
            (waits, opens, soon) = (true, earliest(&[opens, at]), later.into_iter().chain(soon).min());
        } else if first.is_none() || this < first {
            (first, second) = (this, first);
        } else if second.is_none() || this < second {
            second = this;
        }
    }
    // Another has its turn before it: no reason for a long way round.
    let far = |(arrival, _): (i64, u8)| soon.is_some_and(|soon| arrival - soon > CLOSE);
    if first.is_some_and(far) {
        return Choice::Wait(opens);
    }
    let has_room = |path: &(i64, u8)| paths[usize::from(path.1)].as_ref().is_some_and(|path| path.has_room());
    let bit = |path: Option<(i64, u8)>| path.map_or(0, |(_, number)| 1 << number);
    match bit(first) | if load.urgent { bit(second.filter(has_room)) } else { 0 } {
        0 if waits => Choice::Wait(opens),
        0 => Choice::Nowhere,
        paths => this(paths),
    }
}

/// By all paths into which it may go.
fn redundant(paths: &mut Paths, load: Load, opens: Opens, now: Time) -> Choice {
    if up(paths, load.size).next().is_none() {
        return Choice::Nowhere;
    }
    let (mut take, mut wait) = (0, None);
    for path in paths.iter_mut().flatten().filter(|path| path.is_up() && path.carries(load.size)) {
        match opens(path, load.size, now) {
            Some(opens) if opens <= now => take |= 1 << path.id.number(),
            opens => {
                path.rate.note_wait(opens.is_none());
                wait = earliest(&[wait, opens]);
            }
        }
    }
    if take == 0 { Choice::Wait(wait) } else { this(take) }
}

/// Which paths carry packets of a size: those that are up, and of them the doubtful ones only if there are no others.
fn fit(paths: &Paths, size: usize) -> impl Fn(&Path) -> bool + use<> {
    let is_fit = move |path: &Path| path.is_up() && path.carries(size);
    let is_sure = move |path: &Path| is_fit(path) && !path.is_doubtful;
    let sure = paths.iter().flatten().any(|path| is_sure(path));
    move |path| if sure { is_sure(path) } else { is_fit(path) }
}

fn up(paths: &Paths, size: usize) -> impl Iterator<Item = &Path> {
    let fit = fit(paths, size);
    paths.iter().flatten().map(|path| &**path).filter(move |path| fit(path))
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
