//! Brings races, probes and rules in line with the configuration and with what the kernel has.

use crate::control::desk::Desk;
use crate::kernel::{Control, Failure};
use crate::link::Link;
use crate::linux::clock::now;
use crate::logging;
use crate::steer::{Plan, raced_policies};
use crate::time::Span;
use crate::ubus::serve::Object;

use super::attach::{Lack, attach, direct};
use super::{Daemon, RETRY, SELDOM};

/// How often is looked whether our nft table stands.
const LOOK: Span = Span::from_secs(5);

impl Daemon {
    /// Sees now and then whether somebody took our nft table away, and tries again what could not begin.
    pub(super) fn look(&mut self, desk: &Desk) {
        if self.look <= now() {
            self.look = now() + LOOK;
            self.follow_netifd();
            if self.object.is_none() {
                match Object::start(self.ubus.clone(), desk.clone()) {
                    Ok(object) => self.object = Some(object),
                    Err(error) => logging::error!("cannot serve ubus: {error}; trying again"),
                }
            }
            if !self.installation.stands() {
                self.settle = Some(now());
            }
        }
    }

    /// What connections can leave by, up or not: links and peers.
    pub(super) fn ways(&self) -> Vec<Link> {
        self.attached.iter().map(|attached| attached.link.clone()).chain(self.peers.ways()).collect()
    }

    /// Looks at the kernel, and brings all in line; if that fails, again in a while.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        self.settle = None;
        let done = self.refresh();
        match &done {
            Ok(()) => {
                if self.pause > Span::ZERO {
                    logging::info!("all that was noted is in force");
                }
                self.pause = Span::ZERO;
            }
            Err(why) => {
                self.pause = (self.pause + self.pause).clamp(RETRY, SELDOM);
                logging::error!("{why}; trying again in {}", self.pause);
                self.settle = Some(now() + self.pause);
            }
        }
        done
    }

    /// Looks at the kernel's links and routes, and brings races, probes and rules in line.
    pub(super) fn refresh(&mut self) -> Result<(), Failure> {
        let snapshot = self.installation.kernel.snapshot().map_err(|error| format!("cannot read links: {error}"))?;
        let at = now();
        let attached = attach(&self.config, &self.ids, &snapshot, &self.netifd);
        let before = core::mem::replace(&mut self.attached, attached);
        for attached in &mut self.attached {
            if self.taken_out.contains(&attached.link.name) {
                attached.lacks = Some(Lack::Admin);
            }
        }
        for (attached, probes) in self.attached.iter_mut().zip(&mut self.probes) {
            probes.follow(attached, at);
            attached.link.up = attached.lacks.is_none() && probes.prober.state().usable();
        }
        self.tell(&before);
        let mut again = self.bond.follow(&self.config, &self.attached, &snapshot, self.marks);
        let links: Vec<Link> = self.attached.iter().map(|attached| attached.link.clone()).collect();
        let (ways, tunnels) = (self.ways(), self.peers.tunnels(&self.config));
        let raced: Vec<_> = raced_policies(&self.config, &links).into_iter().map(|(_, rules)| rules).collect();
        // The race first: it knows its policies before the rules send it their packets.
        self.racing.set_policies(&raced);
        again |= self.racing.set_links(&links);
        let direct = direct(&snapshot, &self.config.splits, &tunnels);
        self.place(&links, &snapshot);
        let queueing = self.installation.queueing();
        let foreign =
            self.installation.foreign(&snapshot).map_err(|error| format!("cannot read the ip rules: {error}"))?;
        self.flows.note(&ways);
        let (config, lost) = (&self.config, self.flows.lost());
        let plan = Plan {
            config,
            links: &ways,
            lost,
            queueing,
            ipsec: self.installation.ipsec(),
            direct: &direct,
            tunnels: &tunnels,
            foreign: foreign.as_ref(),
            splits: Some(&self.place),
            races: self.races,
        };
        let done = self.installation.apply(&plan);
        if done.is_ok() {
            again |= self.flows.settle(&mut self.installation, &plan);
        }
        if again {
            self.settle = Some(now() + RETRY);
        }
        self.racing.beat();
        done
    }
}
