//! The daemon: wires configuration, links, probes, races and the kernel together.
//!
//! Two threads do the work. The race's own thread ([`racing`]) takes packets from the queues and never waits for anything
//! else. The main loop, here, waits for signals, changes of links and routes, probes' answers and requests; it alone
//! changes rules and routes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{self, Config};
use crate::kernel::{Control, Failure};
use crate::link::{Link, LinkId, Marks};
use crate::linux::clock::now;
use crate::linux::poll::Poll;
use crate::linux::route::Changes;
use crate::linux::signal::{Signal, Signals};
use crate::linux::sysctl;
use crate::linux::system::System;
use crate::race::MAX_RACES;
use crate::steer::{Plan, raced_policies};
use crate::time::{Span, Time};

pub mod attach;
pub mod field;
pub mod install;
pub mod probes;
pub mod racing;

use attach::{Attached, attach, direct, number};
use install::Installation;
use probes::Probes;
use racing::Racing;

/// Where things are.
#[derive(Clone, Debug)]
pub struct Options {
    pub config: PathBuf,
    pub socket: PathBuf,
}

/// Changes of links and routes come in bursts; the first one waits this long for the others.
const SETTLE: Span = Span::from_millis(50);

/// What could not be loaded is tried again after this.
const RETRY: Span = Span::from_secs(2);

/// Keys of the main loop's [`Poll`].
const SIGNALS: u64 = 0;
const CHANGES: u64 = 1;

/// Runs until SIGTERM or SIGINT.
pub fn run(options: &Options) -> Result<(), Failure> {
    let config = load(&options.config)?;
    log::set_max_level(config.main.log_level);
    if !config.main.enabled {
        log::info!("disabled: set option enabled '1' in section main");
        return Ok(());
    }
    let signals = Signals::open().map_err(|error| format!("cannot take signals: {error}"))?;
    let mut daemon = Daemon::start(config)?;
    let result = daemon.serve(options, &signals);
    daemon.installation.remove();
    log::info!("stopped");
    result
}

/// Reads the configuration and logs its warnings.
fn load(path: &Path) -> Result<Config, Failure> {
    let text = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let name = path.display().to_string();
    match config::read(text) {
        Ok((config, warnings)) => {
            warnings.iter().for_each(|fault| log::warn!("{}", fault.in_file(&name)));
            Ok(config)
        }
        Err(faults) => {
            faults.iter().for_each(|fault| log::error!("{}", fault.in_file(&name)));
            Err(format!("{name} has faults"))
        }
    }
}

struct Daemon {
    config: Config,
    marks: Marks,
    races: usize,
    ids: Vec<LinkId>,
    /// Every link's number by name, of links that went as well: a link that returns gets its old one.
    names: Vec<(String, LinkId)>,
    attached: Vec<Attached>,
    probes: Vec<Probes>,
    racing: Racing,
    installation: Installation<System>,
    /// When the kernel is to be looked at again, and brought in line.
    settle: Option<Time>,
    poll: Poll,
    changes: Changes,
}

impl Daemon {
    fn start(config: Config) -> Result<Self, Failure> {
        let marks = config.main.mark_mask;
        let open = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "not permitted: run as root, or with CAP_NET_ADMIN and CAP_NET_RAW".to_owned()
            }
            io::ErrorKind::ResourceBusy => {
                "another program has our packet queues: is another cheaproute running?".to_owned()
            }
            _ => format!("cannot talk to the kernel: {error}"),
        };
        let installation = Installation::survey(System::open().map_err(open)?, marks)?;
        let races = capacity(sysctl::memory());
        let racing = Racing::start(races, marks).map_err(open)?;
        let changes = Changes::open().map_err(open)?;
        let poll = Poll::new().map_err(open)?;
        let mut daemon = Daemon {
            config,
            marks,
            races,
            ids: Vec::new(),
            names: Vec::new(),
            attached: Vec::new(),
            probes: Vec::new(),
            racing,
            installation,
            settle: None,
            poll,
            changes,
        };
        daemon.adopt();
        daemon.refresh().inspect_err(|_| daemon.installation.remove())?;
        let queueing = daemon.installation.queueing();
        log::info!("racing over {} links, queueing by {queueing:?}, up to {races} races", daemon.ids.len());
        Ok(daemon)
    }

    /// Takes over what the configuration says of links and policies.
    fn adopt(&mut self) {
        self.ids = number(&self.config, &self.names);
        let named = self.config.links.iter().zip(&self.ids).map(|(link, id)| (link.name.clone(), *id));
        self.names = named.collect();
        let mut old = core::mem::take(&mut self.probes);
        for (link, id) in self.config.links.iter().zip(&self.ids) {
            let kept = old.iter().position(|probes| probes.id == *id && probes.fit(link));
            let probes = match kept {
                Some(at) => old.swap_remove(at),
                None => Probes::new(link, *id, self.marks, now()),
            };
            self.probes.push(probes);
        }
    }

    fn serve(&mut self, options: &Options, signals: &Signals) -> Result<(), Failure> {
        let failed = |error: io::Error| format!("cannot wait for events: {error}");
        self.poll.add(signals, SIGNALS, false).map_err(failed)?;
        self.poll.add(&self.changes, CHANGES, false).map_err(failed)?;
        loop {
            let probes = self.probes.iter().filter_map(|probes| probes.prober.deadline()).map(|(at, _)| at).min();
            let deadline = [self.settle, probes].into_iter().flatten().min();
            let mut changed = false;
            self.poll.wait(deadline.map(|at| at.since(now())), |key| changed |= key == CHANGES).map_err(failed)?;
            while let Some(signal) = signals.next() {
                match signal {
                    Signal::Stop => return Ok(()),
                    Signal::Reload => self.reload(&options.config),
                }
            }
            if changed && self.changes.drain() {
                self.settle.get_or_insert(now() + SETTLE);
            }
            if self.probe() {
                self.settle = Some(now());
            }
            if self.settle.is_some_and(|at| at <= now()) {
                self.settle = None;
                if let Err(why) = self.refresh() {
                    log::error!("{why}; trying again in {RETRY}");
                    self.settle = Some(now() + RETRY);
                }
            }
            if !self.racing.is_running() {
                return Err("the race's thread ended".into());
            }
        }
    }

    /// Gives every link's probes their turn; `true` if a link's state changed.
    fn probe(&mut self) -> bool {
        let at = now();
        let tallies: Vec<_> = {
            let field = self.racing.field();
            self.ids.iter().map(|id| *field.racer.log().tally(*id)).collect()
        };
        let mut any = false;
        for ((probes, tally), link) in self.probes.iter_mut().zip(&tallies).zip(&self.config.links) {
            probes.learn(tally);
            if let Some(changed) = probes.turn(at, &self.poll) {
                any = true;
                log::warn!("link {} is {}: {}", link.name, changed.to, changed.reason);
            }
        }
        any
    }

    /// Looks at the kernel's links and routes, and brings races, probes and rules in line.
    fn refresh(&mut self) -> Result<(), Failure> {
        let snapshot = self.installation.kernel.snapshot().map_err(|error| format!("cannot read links: {error}"))?;
        let at = now();
        self.attached = attach(&self.config, &self.ids, &snapshot, None);
        for (attached, probes) in self.attached.iter_mut().zip(&mut self.probes) {
            probes.follow(attached, at);
            attached.link.up = attached.lacks.is_none() && probes.prober.state().usable();
        }
        let links: Vec<Link> = self.attached.iter().map(|attached| attached.link.clone()).collect();
        let raced: Vec<_> = raced_policies(&self.config, &links).into_iter().map(|(_, rules)| rules).collect();
        // The race first: it knows its policies before the rules send it their packets.
        self.racing.set_policies(&raced);
        self.racing.set_links(&links);
        let direct = direct(&snapshot);
        let queueing = self.installation.queueing();
        let plan = Plan { config: &self.config, links: &links, queueing, direct: &direct, races: self.races };
        let done = self.installation.apply(&plan);
        self.racing.beat();
        done
    }

    fn reload(&mut self, path: &Path) {
        let config = match load(path) {
            Ok(config) => config,
            Err(why) => return log::error!("{why}: the old configuration stays"),
        };
        if config.main.mark_mask != self.marks {
            return log::error!("mark_mask changes only at a restart: the old configuration stays");
        }
        log::set_max_level(config.main.log_level);
        self.config = config;
        self.adopt();
        self.settle = Some(now());
        log::info!("reloaded");
    }
}

/// The most races in flight: 1 for every 16 KB of the machine's memory, so that a full table takes about 1 % of it.
fn capacity(memory: Option<u64>) -> usize {
    let fair = memory.unwrap_or(0) / (16 * 1024);
    usize::try_from(fair).unwrap_or(MAX_RACES).clamp(1024, MAX_RACES)
}
