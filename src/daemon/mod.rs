//! The daemon: wires configuration, links, probes, races and the kernel together.
//!
//! Two threads do the work. The race's own thread ([`racing`]) takes packets from the queues and never waits for anything
//! else. The main loop, here, waits for signals, changes of links and routes, probes' answers and requests; it alone
//! changes rules and routes.

use core::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use log::{Level, LevelFilter};

use crate::config::{Attach, Config};
use crate::control::desk::Desk;
use crate::control::queue::{Receiver, queue};
use crate::control::server::Server;
use crate::control::{Code, Exit};
use crate::kernel::Failure;
use crate::link::{Link, LinkId, LinkSet, Marks};
use crate::linux::clock::now;
use crate::linux::file;
use crate::linux::poll::{Poll, Waker};
use crate::linux::process::end_with_parent;
use crate::linux::route::Changes;
use crate::linux::signal::{Signal, Signals};
use crate::linux::sysctl;
use crate::linux::system::System;
use crate::logging;
use crate::split::place::Place;
use crate::steer::Queueing;
use crate::time::{Span, Time, earliest};
use crate::ubus::follow::{Follower, Update};
use crate::ubus::serve::Object;

mod admin;
mod asking;
pub mod attach;
mod bond;
mod choices;
pub mod events;
pub mod field;
pub mod flows;
pub mod hooks;
pub mod install;
pub mod peers;
pub mod probes;
pub mod racing;
mod report;
mod requests;
mod settings;
mod settle;
mod start;
mod telling;
mod why;

use admin::Asked;
use attach::{Attached, Lack, Netifd, note, noted, number, number_peers, remember};
use bond::Bond;
use events::Events;
use flows::Flows;
use hooks::Hooks;
use install::Installation;
use peers::Peers;
use probes::Probes;
use racing::Racing;
use start::{cannot, capacity, load};
pub use start::{cleanup, dry_run, open_keys};

/// Where things are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    pub config: PathBuf,
    pub socket: PathBuf,
    /// Log to the system's log instead of stderr.
    pub syslog: bool,
    /// Where ubusd listens: the first that answers.
    pub ubus: Vec<PathBuf>,
}

/// Changes of links and routes come in bursts; the first one waits this long for the others.
const SETTLE: Span = Span::from_millis(50);

/// What could not be loaded is tried again after this; and ever more seldom, down to this.
const RETRY: Span = Span::from_secs(2);
const SELDOM: Span = Span::from_secs(60);

/// Requests answered in one turn: clients who ask without a pause must not keep the rest waiting.
const REQUESTS: usize = 16;

/// Lists of netifd's that a busy main loop finds when it returns; more wait in the thread that follows it.
const UPDATES: usize = 8;

/// Keys of the main loop's [`Poll`].
const SIGNALS: u64 = 0;
const CHANGES: u64 = 1;
const BELL: u64 = 2;

/// Runs until SIGTERM or SIGINT.
pub fn run(options: &Options) -> Result<(), Exit> {
    logging::start(LevelFilter::Info, options.syslog);
    // First of all: until then, the SIGHUP of an impatient reload would end us.
    let signals =
        Signals::open().map_err(|error| Exit::said(Code::System, format_args!("cannot take signals: {error}")))?;
    let config = load(&options.config).map_err(|mut faults| {
        let last = faults.pop().unwrap_or_default();
        faults.iter().for_each(|fault| logging::error!("{fault}"));
        Exit::new(Code::Config, last)
    })?;
    logging::set_level(config.main.log_level);
    if !config.main.enabled {
        logging::info!("not enabled: section main, option enabled");
        return Ok(());
    }
    // procd knows its jail only. Killed, as for want of memory, that would leave us behind, where neither `stop` nor a new one's start
    // gets rid of us: ujail takes its child along since 2026 only.
    if std::env::var_os("container").is_some_and(|jail| jail == "ujail") && !end_with_parent() {
        return Err(Exit::new(Code::Failed, "the jail has ended"));
    }
    let server = Server::bind(&options.socket)?;
    let mut daemon = Daemon::start(config, options)?;
    let result = daemon.serve(&server, &signals);
    daemon.hooks.stop();
    daemon.installation.remove();
    daemon.bond.stop();
    logging::info!("stopped");
    result.map_err(|why| Exit::new(Code::Failed, why))
}

struct Daemon {
    config: Config,
    marks: Marks,
    races: usize,
    ids: Vec<LinkId>,
    /// Every link's and peer's number by name, of those that went as well: one that returns gets its old one.
    names: Vec<(String, LinkId)>,
    /// Where they are written down for the next daemon: conntrack's marks outlive this one.
    numbers: PathBuf,
    attached: Vec<Attached>,
    probes: Vec<Probes>,
    racing: Racing,
    installation: Installation<System>,
    /// When the kernel is to be looked at again, and brought in line.
    settle: Option<Time>,
    /// When to see whether our table stands. To follow nftables' own news would cost each race: its sets' elements are news, too.
    look: Time,
    /// When the kernel, which refused the last time, is asked again; zero: it did not.
    pause: Span,
    poll: Poll,
    changes: Changes,
    netifd: Netifd,
    /// Asks netifd, once a link needs it.
    follower: Option<(Follower, Receiver<Update>)>,
    /// Rings when netifd or a client of the socket has something for the main loop.
    bell: Arc<Waker>,
    path: PathBuf,
    ubus: Vec<PathBuf>,
    /// The splits.
    place: Place,
    flows: Flows,
    /// Far ends that join links.
    peers: Peers,
    bond: Bond,
    events: Events,
    hooks: Hooks,
    /// Our object on ubus.
    object: Option<Object>,
    /// Links that the administrator took out, by name.
    taken_out: Vec<String>,
    /// Requests that wait for a probe's answer.
    asked: Vec<Asked>,
    /// What the last reload stumbled over, if it did.
    config_error: Option<Vec<String>>,
    /// A reload found that it is not to run any more.
    off: bool,
    started: Time,
}

impl Daemon {
    fn start(config: Config, options: &Options) -> Result<Self, Exit> {
        let marks = config.main.mark_mask;
        let lacks = |why| Exit::new(Code::System, why);
        sysctl::may_rule_networks().map_err(lacks)?;
        // Beside the socket, which nobody else has.
        let numbers = file::beside(&options.socket, ".links");
        let system = System::open(&file::beside(&options.socket, ".settings")).map_err(cannot)?;
        let installation = Installation::survey(system, marks).map_err(lacks)?;
        let races = capacity(sysctl::memory());
        let changes = installation.kernel.changes().map_err(cannot)?;
        let poll = Poll::new().map_err(cannot)?;
        let bell = Arc::new(Waker::new().map_err(cannot)?);
        let racing = Racing::start(races, marks, bell.clone()).map_err(cannot)?;
        let peers = Peers::default();
        let bond = Bond::new(peers.board.clone(), bell.clone());
        let mut daemon = Daemon {
            config,
            marks,
            races,
            ids: Vec::new(),
            names: noted(&file::own(&numbers)),
            numbers,
            attached: Vec::new(),
            probes: Vec::new(),
            racing,
            installation,
            settle: None,
            look: now(),
            pause: Span::ZERO,
            poll,
            changes,
            netifd: Netifd::Unknown,
            follower: None,
            bell,
            path: options.config.clone(),
            ubus: options.ubus.clone(),
            place: Place::default(),
            flows: Flows::default(),
            peers,
            bond,
            events: Events::default(),
            hooks: Hooks::default(),
            object: None,
            taken_out: Vec::new(),
            asked: Vec::new(),
            config_error: None,
            off: false,
            started: now(),
        };
        daemon.adopt();
        if let Err(why) = daemon.refresh() {
            daemon.installation.remove();
            return Err(lacks(why));
        }
        let queueing = if daemon.installation.queueing() == Queueing::Nft { "nft" } else { "xtables" };
        logging::info!("racing over {} links, queueing by {queueing}, up to {races} races", daemon.ids.len());
        Ok(daemon)
    }

    /// Takes over what the configuration says of links and policies.
    fn adopt(&mut self) {
        self.ids = number(&self.config, &self.names);
        let named = self.config.links.iter().zip(&self.ids).map(|(link, id)| (link.name.clone(), *id));
        let ways = number_peers(&self.config, &self.ids, &self.names);
        self.names = remember(named.chain(ways.iter().cloned()).collect(), &self.names);
        // A server may have neither links nor ways: an empty note is none, and not there to be taken away.
        if !self.names.is_empty()
            && let Err(error) = file::replace(&self.numbers, &note(&self.names))
        {
            logging::warn!("cannot note the links' numbers for the next start: {error}");
        }
        let turns = self.peers.adopt(&self.config, ways, now());
        self.tell_of_peers(turns);
        self.bond.adopt(&self.config);
        self.peers.public_keys = self.bond.public_keys();
        self.taken_out.retain(|name| self.config.link(name).is_some());
        let mut old = core::mem::take(&mut self.probes);
        for (link, id) in self.config.links.iter().zip(&self.ids) {
            let probes = match old.iter().position(|probes| probes.are_of(link, *id)) {
                Some(at) => {
                    let mut probes = old.swap_remove(at);
                    probes.reconfigure(link, now());
                    probes
                }
                None => Probes::new(link, *id, self.marks, now()),
            };
            self.probes.push(probes);
        }
        self.follow_netifd();
    }

    /// Hears of netifd's interfaces, if a link is one.
    fn follow_netifd(&mut self) {
        let asks = self.config.links.iter().any(|link| matches!(link.attach, Attach::Interface(_)));
        if asks && self.follower.is_none() {
            let (sender, updates) = queue(UPDATES);
            let bell = self.bell.clone();
            match Follower::start(self.ubus.clone(), sender, move || bell.wake()) {
                Ok(follower) => self.follower = Some((follower, updates)),
                Err(error) => logging::error!("cannot follow netifd: {error}; trying again"),
            }
        }
    }

    fn serve(&mut self, server: &Server, signals: &Signals) -> Result<(), Failure> {
        let failed = |error: io::Error| format!("cannot wait for events: {error}");
        let bell = self.bell.clone();
        let (desk, requests) = Desk::new(move || bell.wake());
        server.start(desk.clone()).map_err(failed)?;
        self.poll.add(signals, SIGNALS, false).map_err(failed)?;
        self.poll.add(&self.changes, CHANGES, false).map_err(failed)?;
        self.poll.add(&*self.bell, BELL, false).map_err(failed)?;
        loop {
            let probes = self.probes.iter().filter_map(|probes| probes.prober.deadline()).map(|(at, _)| at).min();
            let asked = self.asked.iter().map(|asked| asked.until).min();
            let deadline = earliest(&[self.settle, Some(self.look), probes, asked, self.hooks.deadline(now())]);
            let mut changed = false;
            self.poll.wait(deadline.map(|at| at.since(now())), |key| changed |= key == CHANGES).map_err(failed)?;
            while let Some(signal) = signals.next() {
                match signal {
                    Signal::Stop => return Ok(()),
                    Signal::Reload => drop(self.reload()),
                }
            }
            self.bell.reset();
            // Before requests: who asks is told the latest.
            if self.hear_of_peers() {
                self.settle = Some(now());
            }
            if let Some((_, updates)) = &self.follower {
                for update in std::iter::from_fn(|| updates.take()) {
                    self.netifd = match update {
                        Update::Interfaces(interfaces) => Netifd::Interfaces(interfaces),
                        Update::Missing(why) => {
                            logging::warn!(
                                "all links with an interface are down: no netifd ({why}): set option device"
                            );
                            Netifd::Missing(why.to_string())
                        }
                    };
                    self.settle = Some(now());
                }
            }
            for (number, request) in std::iter::from_fn(|| requests.take()).take(REQUESTS).enumerate() {
                self.take(request);
                if number + 1 == REQUESTS {
                    self.bell.wake(); // there may be more
                }
            }
            if self.off {
                return Ok(());
            }
            if changed && self.changes.drain() {
                self.settle = earliest(&[self.settle, Some(now() + SETTLE)]);
            }
            if self.probe() {
                self.settle = Some(now());
            }
            self.answer_asked();
            self.look(&desk);
            if self.settle.is_some_and(|at| at <= now()) {
                let _ = self.settle();
            }
            self.hooks.turn(now(), &self.config.main.hook);
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
        let mut changes = Vec::new();
        if !self.probes.iter().any(|probes| probes.prober.state().usable()) {
            // The first that works is enough.
            let _ = self.probes.iter_mut().any(|probes| probes.prober.pardon(at));
        }
        let answer: LinkSet =
            self.probes.iter().filter(|probes| probes.prober.targets_answer(at)).map(|probes| probes.id).collect();
        for ((probes, tally), attached) in self.probes.iter_mut().zip(&tallies).zip(&self.attached) {
            probes.learn(tally, !answer.minus(LinkSet::only(probes.id)).is_empty());
            changes.extend(probes.turn(at, &self.poll).map(|changed| (attached, changed)));
        }
        if !changes.is_empty() {
            self.leave_out();
        }
        for (Attached { link, lacks, .. }, changed) in &changes {
            // That netifd has not spoken yet alarms nobody.
            let level = if *lacks == Some(Lack::Waits) { Level::Debug } else { Level::Warn };
            let reason: &dyn fmt::Display = match lacks {
                Some(lack) => lack,
                None => &changed.reason,
            };
            logging::tell(level, format_args!("link {} is {}: {reason}", link.name, changed.to));
        }
        !changes.is_empty()
    }

    /// Has races leave out links that just fell, before the rules do: whoever connects meanwhile is not to win over a link whose
    /// connections are about to be reset.
    fn leave_out(&self) {
        let works = |link: &Link| {
            let mut own = self.probes.iter().filter(|probes| probes.id == link.id);
            link.up && own.all(|probes| probes.prober.state().usable())
        };
        let now = |attached: &Attached| Link { up: works(&attached.link), ..attached.link.clone() };
        let links: Vec<Link> = self.attached.iter().map(now).collect();
        self.racing.set_links(&links);
    }
}
