//! Before the daemon runs: its configuration, what the machine affords, and what would be loaded. And after one that was killed.

use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use log::LevelFilter;

use super::Options;
use super::attach::{Netifd, attach, direct, number, number_peers};
use super::install::Installation;
use super::peers::Peers;
use super::racing;
use crate::config::{self, Config, Fault, PeerConfig, PrivateKey, Severity};
use crate::control::server::vacate;
use crate::control::{Code, Exit};
use crate::kernel::Control;
use crate::link::{Link, LinkSet};
use crate::linux::clock::now;
use crate::linux::file;
use crate::linux::sysctl;
use crate::linux::system::System;
use crate::logging;
use crate::race::MAX_RACES;
use crate::split::place::place;
use crate::steer::{self, Plan};
use crate::ubus::follow::interfaces;

/// The nft ruleset that [`super::run`] would load now, and the ip rules that go with it as comments.
pub fn dry_run(options: &Options) -> Result<String, Exit> {
    let config = load(&options.config).map_err(|faults| Exit::new(Code::Config, faults.join("\n")))?;
    let system = System::open(Path::new("")).map_err(cannot)?;
    let survey = Installation::survey(system, config.main.mark_mask);
    let mut installation = survey.map_err(|why| Exit::new(Code::System, why))?;
    let snapshot = installation.kernel.snapshot().map_err(cannot)?;
    let mut links: Vec<Link> = Vec::new();
    let mut text = String::new();
    let ids = number(&config, &[]);
    let netifd = match config.links.iter().all(|link| link.attach.device().is_some()) {
        true => Netifd::Unknown,
        false => match interfaces(&options.ubus) {
            Ok(interfaces) => Netifd::Interfaces(interfaces),
            Err(why) => Netifd::Missing(why.to_string()),
        },
    };
    for attached in attach(&config, &ids, &snapshot, &netifd) {
        if let Some(lack) = &attached.lacks {
            let _ = writeln!(text, "# link {}: {lack}", attached.link.name);
        }
        links.push(Link { up: attached.lacks.is_none(), ..attached.link });
    }
    let mut peers = Peers::default();
    peers.adopt(&config, number_peers(&config, &ids, &[]), now());
    let tunnels = peers.tunnels(&config);
    let direct = direct(&snapshot, &config.splits, &tunnels);
    let place = place(&config.splits, &links, &snapshot);
    for way in peers.ways() {
        let _ = writeln!(text, "# peer {}: not started yet", way.name);
        links.push(way);
    }
    let races = capacity(sysctl::memory());
    let foreign = installation.foreign(&snapshot).map_err(cannot)?;
    let (lost, queueing) = ([LinkSet::EMPTY; 2], installation.queueing());
    let plan = Plan {
        config: &config,
        links: &links,
        lost,
        queueing,
        ipsec: installation.ipsec(),
        direct: &direct,
        tunnels: &tunnels,
        foreign: foreign.as_ref(),
        splits: Some(&place),
        races,
    };
    for rule in installation.rules(&plan) {
        let family = if rule.source.is_none() { ", both families" } else { "" };
        let _ = writeln!(text, "# ip rule{family}: {rule}");
    }
    text += &steer::ruleset(&plan).fresh();
    Ok(text)
}

/// Takes away what a daemon that was killed left in the kernel, and its socket. Changes nothing while one runs, be it at another
/// socket, or hanging: that is an error of [`Code::Running`].
pub fn cleanup(socket: &Path) -> Result<(), Exit> {
    logging::start(LevelFilter::Warn, false);
    sysctl::may_rule_networks().map_err(|why| Exit::new(Code::System, why))?;
    let claimed = racing::claim();
    // Held to the end, so that none starts meanwhile.
    let _queue = match claimed.map_err(|error| (error.kind(), error)) {
        Err((io::ErrorKind::ResourceBusy, _)) => {
            return Err(Exit::new(Code::Running, "cheaproute is running: it takes its rules away when it stops"));
        }
        // The kernel has no such queues: none can have started.
        Err((io::ErrorKind::InvalidInput, _)) => None,
        Err((_, error)) => return Err(cannot(error)),
        Ok(queue) => Some(queue),
    };
    vacate(socket)?;
    let system = System::open(&file::beside(socket, ".settings")).map_err(cannot)?;
    match Installation::left(system).remove() {
        true => Ok(()),
        false => Err(Exit::new(Code::Failed, "something stays of what a killed daemon left")),
    }
}

/// What to tell of a kernel that does not talk to us.
pub(super) fn cannot(error: io::Error) -> Exit {
    let text = match error.kind() {
        io::ErrorKind::PermissionDenied => "not permitted: run as root, or with CAP_NET_ADMIN and CAP_NET_RAW".into(),
        io::ErrorKind::ResourceBusy => {
            let text = "another program has our packet queues: is another cheaproute running?";
            return Exit::new(Code::Running, text);
        }
        _ => format!("cannot talk to the kernel: {error}"),
    };
    Exit::new(Code::System, text)
}

/// Reads the configuration and logs its warnings. The error: every fault, with its place.
pub(super) fn load(path: &Path) -> Result<Config, Vec<String>> {
    let text = file::read(path).map_err(|error| vec![format!("cannot read {}: {error}", path.display())])?;
    let name = path.display().to_string();
    let warn = |faults: &[Fault]| {
        let warnings = faults.iter().filter(|fault| fault.severity == Severity::Warning);
        warnings.for_each(|fault| logging::warn!("{}", fault.in_file(&name)));
    };
    let (config, warnings) = config::read(text).map_err(|faults| {
        warn(&faults);
        let graver = faults.iter().filter(|fault| fault.severity == Severity::Fault);
        graver.map(|fault| fault.in_file(&name).to_string()).collect::<Vec<_>>()
    })?;
    warn(&warnings);
    open_keys(path, &config).iter().for_each(|hint| logging::warn!("{hint}"));
    Ok(config)
}

/// Files with keys that others than their owner can read, and what to do about it.
pub fn open_keys(path: &Path, config: &Config) -> Vec<String> {
    let mut files: Vec<&Path> = Vec::new();
    let same = |one: &&Path, other: &Path| one.as_os_str() == other.as_os_str();
    let here = |peer: &PeerConfig| {
        matches!(peer.private_key, PrivateKey::Here(_))
            || peer.remotes.iter().any(|remote| remote.preshared_key.is_some())
    };
    if config.peers.iter().any(here) {
        files.push(path);
    }
    for peer in &config.peers {
        if let PrivateKey::File(file) = &peer.private_key {
            let file = Path::new(file);
            if !files.iter().any(|known| same(known, file)) {
                files.push(file);
            }
        }
    }
    let others = |file: &&Path| fs::metadata(file).is_ok_and(|about| about.permissions().mode() & 0o007 != 0);
    let hint = |file: &Path| {
        let name = file.display();
        format!("{name} holds a secret key that everybody can read: chmod o= {name}")
    };
    files.into_iter().filter(others).map(hint).collect()
}

/// The most races in flight: 1 for every 16 KB of the machine's memory, so that a full table takes about 1 % of it.
pub(super) fn capacity(memory: Option<u64>) -> usize {
    let fair = memory.unwrap_or(0) / (16 * 1024);
    usize::try_from(fair).unwrap_or(MAX_RACES).clamp(1024, MAX_RACES)
}
