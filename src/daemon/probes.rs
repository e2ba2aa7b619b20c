//! The links' probes: sockets for the cores of [`crate::probe`].

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;

use crate::config::LinkConfig;
use crate::link::{Link, LinkId, Marks};
use crate::linux::echo::Echo;
use crate::linux::poll::Poll;
use crate::linux::sysctl;
use crate::logging;
use crate::probe::{self, Action, Changed, Limits, Prober, Reason, Settings, State, Target, Token, icmp};
use crate::race::record::Tally;
use crate::time::Time;

use super::asking::{Asking, Names, Outcome, Way};
use super::attach::{Attached, Lack};

/// What the main loop's [`Poll`] reports for any socket of a probe.
pub const KEY: u64 = 100;

/// One link's probes.
pub struct Probes {
    pub prober: Prober,
    pub id: LinkId,
    /// The link's.
    name: String,
    /// The device that the sockets are bound to.
    device: String,
    ifindex: u32,
    mark: u32,
    /// The link has an IPv4 address.
    ipv4: bool,
    /// For ICMP and ICMPv6, as far as targets ask for them.
    echoes: [Option<Echo>; 2],
    identifier: u16,
    asking: Vec<Asking>,
    names: Names,
    /// What the races said last.
    seen: Tally,
}

impl Probes {
    pub fn new(config: &LinkConfig, id: LinkId, marks: Marks, now: Time) -> Self {
        let seed = RandomState::new().hash_one(id);
        Probes {
            prober: Prober::new(settings(config), seed, now),
            id,
            name: config.name.clone(),
            device: String::new(),
            ifindex: 0,
            mark: marks.link(id),
            ipv4: true,
            echoes: [None, None],
            identifier: seed as u16,
            asking: Vec::new(),
            names: Names::default(),
            seen: Tally::default(),
        }
    }

    /// Whether they are a link's: its number may have been another's.
    pub fn are_of(&self, config: &LinkConfig, id: LinkId) -> bool {
        (self.id, &self.name) == (id, &config.name)
    }

    /// Goes on as a changed configuration asks.
    pub fn reconfigure(&mut self, config: &LinkConfig, now: Time) {
        let settings = settings(config);
        if settings.targets != self.prober.settings().targets {
            // Their numbers are those of other targets now.
            self.asking.clear();
        }
        self.prober.reconfigure(settings, now);
    }

    /// Follows the link's device and addresses.
    pub fn follow(&mut self, attached: &Attached, now: Time) {
        let Link { device, ifindex, .. } = &attached.link;
        if (&self.device, self.ifindex) != (device, *ifindex) {
            self.device.clone_from(device);
            self.ifindex = *ifindex;
            self.echoes = [None, None];
            self.asking.clear();
            self.names.clear();
        }
        self.ipv4 = attached.link.ipv4.is_some();
        match &attached.lacks {
            None => self.prober.attached(now),
            Some(Lack::Admin) => self.prober.detached(Reason::Admin, now),
            Some(Lack::Carrier) => self.prober.detached(Reason::NoCarrier, now),
            // No news is no bad news: else each start would have links down for as long as they take to prove themselves.
            Some(Lack::Waits) if self.prober.state() == State::Unknown => self.prober.waits(),
            Some(Lack::Address(_) | Lack::Waits) => self.prober.detached(Reason::NoAddress, now),
        }
    }

    /// Takes the races as evidence: a link that answers lives; one that is silent where others answer is suspect. `others`:
    /// another link's targets answer.
    pub fn learn(&mut self, tally: &Tally, others: bool) {
        if tally.last_answer > self.seen.last_answer {
            self.prober.evidence_of_life(tally.last_answer, others);
        }
        if tally.missed > tally.last_answer {
            self.prober.missed(tally.missed);
        }
        self.seen = *tally;
    }

    /// Collects answers, then does what is due; changes of the link's state are returned.
    pub fn turn(&mut self, now: Time, poll: &Poll) -> Option<Changed> {
        self.collect(now, poll);
        self.prober.listen(|| sysctl::received(&self.device));
        let mut changed = None;
        while let Some(action) = self.prober.poll(now) {
            match action {
                Action::Changed(change) => changed = Some(change),
                Action::Send { index, sequence, token } => {
                    if let Err(error) = self.send(index, sequence, token, now, poll) {
                        logging::debug!("probe {} over {}: {error}", index + 1, self.device);
                        self.prober.failed(token, now);
                    }
                }
            }
        }
        changed
    }

    fn send(&mut self, index: usize, sequence: u16, token: Token, now: Time, poll: &Poll) -> io::Result<()> {
        let settings = self.prober.settings();
        match settings.targets.get(index) {
            Some(&Target::Icmp(to)) => {
                let message = icmp::Echo { identifier: self.identifier, sequence, token }.request(to);
                let place = &mut self.echoes[usize::from(to.is_ipv6())];
                let echo = match place {
                    Some(echo) => echo,
                    None => {
                        let echo = Echo::open(to.is_ipv6(), &self.device, self.mark)?;
                        poll.add(&echo, KEY, false)?;
                        place.insert(echo)
                    }
                };
                echo.send(&message, to)
            }
            _ => {
                // The core waits for this many at most.
                if self.asking.len() >= probe::MAX_ROUNDS * probe::MAX_TARGETS {
                    self.asking.remove(0);
                }
                let (device, mark, ipv4) = (self.device.as_str(), self.mark, self.ipv4);
                let way = Way { device, mark, ipv4, targets: &settings.targets, poll };
                let until = now + settings.timeout;
                self.asking.push(Asking::begin(index, token, until, &mut self.names, &way, now)?);
                Ok(())
            }
        }
    }

    fn collect(&mut self, now: Time, poll: &Poll) {
        let mut buffer = [0; 256];
        for echo in self.echoes.iter().flatten() {
            // A flood of replies gets no more of a turn than this.
            for _ in 0..64 {
                let Ok(bytes) = echo.receive(&mut buffer) else { break };
                let reply = match echo.is_ipv6() {
                    true => icmp::Echo::reply_v6(bytes),
                    false => {
                        icmp::Echo::reply_v4(bytes).filter(|(from, _)| self.asks((*from).into())).map(|(_, echo)| echo)
                    }
                };
                if let Some(reply) = reply.filter(|reply| reply.identifier == self.identifier) {
                    self.prober.answered(reply.token, now);
                }
            }
        }
        if self.asking.is_empty() {
            return;
        }
        let mut outcomes = Vec::new();
        let (device, mark, ipv4) = (self.device.as_str(), self.mark, self.ipv4);
        let way = Way { device, mark, ipv4, targets: &self.prober.settings().targets, poll };
        let names = &mut self.names;
        self.asking.retain_mut(|asking| match asking.turn(names, &way, now) {
            None if asking.until <= now => {
                asking.lost(names, way.targets, now);
                false
            }
            None => true,
            Some(outcome) => {
                outcomes.push((asking.token, outcome));
                false
            }
        });
        for (token, outcome) in outcomes {
            match outcome {
                Outcome::Answered => self.prober.answered(token, now),
                Outcome::Failed => self.prober.failed(token, now),
                Outcome::Foreign => self.prober.foreign(token, now),
            };
        }
    }

    fn asks(&self, address: IpAddr) -> bool {
        self.prober.settings().targets.contains(&Target::Icmp(address))
    }
}

fn settings(config: &LinkConfig) -> Settings {
    let byte = |number: u16| u8::try_from(number).unwrap_or(u8::MAX);
    Settings {
        targets: config.probe.clone(),
        interval: config.interval,
        timeout: config.timeout,
        down: byte(config.down),
        up: byte(config.up),
        reliability: byte(config.reliability),
        loss: config.loss_limits.map(|(down, up)| Limits { down: u64::from(down) * 10, up: u64::from(up) * 10 }),
        latency: config.latency_limits.map(|(down, up)| Limits { down: down.as_micros(), up: up.as_micros() }),
    }
}
