//! The links' probes: sockets for the cores of [`crate::probe`].

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;

use crate::config::LinkConfig;
use crate::link::{Link, LinkId, Marks};
use crate::linux::connect::Handshake;
use crate::linux::echo::Echo;
use crate::linux::poll::Poll;
use crate::probe::{self, Action, Changed, Prober, Reason, Settings, Target, Token, icmp};
use crate::race::record::Tally;
use crate::time::Time;

use super::attach::{Attached, Lack};

/// What the main loop's [`Poll`] reports for any socket of a probe.
pub const KEY: u64 = 100;

/// One link's probes.
pub struct Probes {
    pub prober: Prober,
    pub id: LinkId,
    settings: Settings,
    /// The device that the sockets are bound to.
    device: String,
    ifindex: u32,
    mark: u32,
    /// For ICMP and ICMPv6, as far as targets ask for them.
    echoes: [Option<Echo>; 2],
    identifier: u16,
    handshakes: Vec<(Token, Handshake)>,
    /// What the races said last.
    seen: Tally,
}

impl Probes {
    pub fn new(config: &LinkConfig, id: LinkId, marks: Marks, now: Time) -> Self {
        let settings = settings(config);
        let seed = RandomState::new().hash_one(id);
        Probes {
            prober: Prober::new(settings.clone(), seed, now),
            id,
            settings,
            device: String::new(),
            ifindex: 0,
            mark: marks.link(id),
            echoes: [None, None],
            identifier: seed as u16,
            handshakes: Vec::new(),
            seen: Tally::default(),
        }
    }

    /// Whether a changed configuration asks for other probes than these.
    pub fn fit(&self, config: &LinkConfig) -> bool {
        self.settings == settings(config)
    }

    /// Follows the link's device and addresses.
    pub fn follow(&mut self, attached: &Attached, now: Time) {
        let Link { device, ifindex, .. } = &attached.link;
        if (&self.device, self.ifindex) != (device, *ifindex) {
            self.device.clone_from(device);
            self.ifindex = *ifindex;
            self.echoes = [None, None];
            self.handshakes.clear();
        }
        match &attached.lacks {
            None => self.prober.attached(now),
            Some(Lack::Admin) => self.prober.detached(Reason::Admin, now),
            Some(Lack::Carrier) => self.prober.detached(Reason::NoCarrier, now),
            Some(Lack::Address(_)) => self.prober.detached(Reason::NoAddress, now),
        }
    }

    /// Takes the races as evidence: a link that answers lives; one that is silent where others answer is suspect.
    pub fn learn(&mut self, tally: &Tally) {
        if tally.last_answer > self.seen.last_answer {
            self.prober.evidence_of_life(tally.last_answer);
        } else if tally.silent > self.seen.silent {
            self.prober.suspicion();
        }
        self.seen = *tally;
    }

    /// Collects answers, then does what is due; changes of the link's state are returned.
    pub fn turn(&mut self, now: Time, poll: &Poll) -> Option<Changed> {
        self.collect(now);
        let mut changed = None;
        while let Some(action) = self.prober.poll(now) {
            match action {
                Action::Changed(change) => changed = Some(change),
                Action::Send { target, sequence, token, .. } => {
                    if let Err(error) = self.send(target, sequence, token, poll) {
                        log::debug!("probe of {target} over {}: {error}", self.device);
                        self.prober.failed(token, now);
                    }
                }
            }
        }
        changed
    }

    fn send(&mut self, target: Target, sequence: u16, token: Token, poll: &Poll) -> io::Result<()> {
        match target {
            Target::Icmp(to) => {
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
            Target::Tcp(to) => {
                // Those that nobody waits for any more. The core waits for this many at most.
                let most = probe::MAX_ROUNDS * probe::MAX_TARGETS;
                if self.handshakes.len() >= most {
                    self.handshakes.remove(0);
                }
                let handshake = Handshake::begin(&self.device, self.mark, to)?;
                poll.add(&handshake, KEY, true)?;
                self.handshakes.push((token, handshake));
                Ok(())
            }
        }
    }

    fn collect(&mut self, now: Time) {
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
        let prober = &mut self.prober;
        self.handshakes.retain(|(token, handshake)| match handshake.ended() {
            None => true,
            Some(answered) => {
                if answered {
                    prober.answered(*token, now)
                } else {
                    prober.failed(*token, now)
                };
                false
            }
        });
    }

    fn asks(&self, address: IpAddr) -> bool {
        self.settings.targets.contains(&Target::Icmp(address))
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
    }
}
