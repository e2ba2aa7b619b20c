//! The kernel's settings that stand in our way: changed while we run, and given back.
//!
//! What they were is also written down outside this process ([`Control::keep`]): should it be killed, the next one knows what to
//! give back. Rules and routes need no such note: they bear our number.

use std::fmt::Write;

use crate::kernel::Control;
use crate::logging;
use crate::steer::Plan;

/// No more than devices have, on any router; of a note from elsewhere, more is not read.
const MOST: usize = 512;

const IPV6_FORWARD: &str = "net/ipv6/conf/all/forwarding";

/// Settings that we changed, in the order of the changes.
#[derive(Debug)]
pub struct Settings {
    changed: Vec<Changed>,
    /// What is written down.
    kept: String,
}

#[derive(Debug)]
struct Changed {
    name: String,
    before: String,
    to: String,
}

/// A setting that is to be changed, if it has one of these values.
struct Wish {
    name: String,
    from: &'static [&'static str],
    to: &'static str,
    /// What is the matter if it cannot be changed.
    or_else: &'static str,
}

impl Settings {
    /// What a killed daemon left, and nobody has changed since. Changes nothing.
    pub fn of(kernel: &mut impl Control) -> Self {
        let kept = kernel.kept();
        let stands = |left: &Changed| kernel.setting(&left.name).is_ok_and(|is| is == left.to);
        Settings { changed: parse(&kept).filter(stands).collect(), kept }
    }

    /// Changes the settings that stand in the plan's way, and gives back those that no longer do.
    pub fn adjust(&mut self, kernel: &mut impl Control, plan: &Plan) {
        let wishes = self.wishes(kernel, plan);
        self.give_back(kernel, &wishes);
        let mut changes: Vec<(String, &str, &str)> = Vec::new();
        for Wish { name, from, to, or_else } in wishes {
            let Ok(own) = kernel.setting(&name) else { continue };
            // A device may be wished for twice: as a link, and as a split's.
            if !from.contains(&own.as_str()) || changes.iter().any(|(known, ..)| *known == name) {
                continue;
            }
            changes.push((name.clone(), to, or_else));
            match self.changed.iter_mut().find(|known| known.name == name) {
                // It was changed after us, or the device is a new one.
                Some(known) => known.before = own,
                None => self.changed.push(Changed { name, before: own, to: to.into() }),
            }
        }
        // Before the changes: then no moment is left in which a kill leaves one that nobody knows of.
        self.keep(kernel);
        for (name, to, or_else) in changes {
            if let Err(error) = kernel.set(&name, to) {
                logging::warn!("cannot set {name} to {to}: {error}; {or_else}");
                self.changed.retain(|known| known.name != name);
            }
        }
        self.keep(kernel);
    }

    /// Gives all of them back.
    pub fn restore(&mut self, kernel: &mut impl Control) {
        self.give_back(kernel, &[]);
        self.keep(kernel);
    }

    /// Gives back the settings that nobody wishes for, the last one first.
    fn give_back(&mut self, kernel: &mut impl Control, wishes: &[Wish]) {
        for at in (0..self.changed.len()).rev() {
            let is_wished = |changed: &Changed| wishes.iter().any(|wish| wish.name == changed.name);
            if !self.changed.get(at).is_some_and(is_wished) {
                let Changed { name, before, .. } = self.changed.remove(at);
                // The device may be gone, and its settings with it.
                let _ = kernel.set(&name, &before);
            }
        }
    }

    /// Writes down what there is to give back: a line for each, with its name, what it was, and what it is now.
    fn keep(&mut self, kernel: &mut impl Control) {
        let mut text = String::new();
        for Changed { name, before, to } in &self.changed {
            let _ = writeln!(text, "{name} {before} {to}");
        }
        if text != self.kept {
            match kernel.keep(&text) {
                Ok(()) => self.kept = text,
                Err(error) => logging::debug!("cannot note what settings were: {error}"),
            }
        }
    }

    fn wishes(&mut self, kernel: &mut impl Control, plan: &Plan) -> Vec<Wish> {
        let mut wishes: Vec<Wish> = Vec::new();
        let mut wish = |name: String, from, to, or_else| wishes.push(Wish { name, from, to, or_else });
        let mut all = |name: &str| kernel.setting(&format!("net/ipv4/conf/all/{name}")).is_ok_and(|own| own == "1");
        // A strict reverse path filter (RFC 3704) drops every answer that comes in by another link than the main table's
        // default route; loose is what several links need. The kernel applies the larger of `all` and the device's own.
        let strict: &[&str] = if all("rp_filter") { &["0", "1"] } else { &["1"] };
        let split: &[String] = plan.splits.map_or(&[], |place| &place.devices);
        let links = plan.links.iter().filter(|link| link.ifindex != 0).map(|link| &link.device);
        // A peer's device has no default route in the main table either; those of servers are no links.
        let servers = plan.tunnels.iter().filter(|tunnel| tunnel.way.is_none() && tunnel.index != 0);
        for device in links.chain(split).chain(servers.map(|tunnel| &tunnel.device)) {
            wish(format!("net/ipv4/conf/{device}/rp_filter"), strict, "2", "answers may be lost");
        }
        // The two addresses of a receiver may be in one network: each device is to answer for its own only.
        let filtered = all("arp_filter");
        for device in split.iter().filter(|_| !filtered) {
            wish(format!("net/ipv4/conf/{device}/arp_filter"), &["0"], "1", "one device may take both paths");
        }
        // Clients of a peer that are masqueraded are forwarded.
        let masquerades =
            |ipv4| plan.tunnels.iter().flat_map(|tunnel| &tunnel.masquerade).any(|prefix| prefix.is_ipv4() == ipv4);
        if masquerades(true) || plan.splits.is_some_and(|place| place.forwards) {
            wish("net/ipv4/ip_forward".into(), &["0"], "1", "only this host's connections are split or reach a peer");
        }
        let forwards = masquerades(false) || plan.splits.is_some_and(|place| place.forwards6);
        let is_ours = self.changed.iter().any(|known| known.name == IPV6_FORWARD);
        if forwards && (is_ours || kernel.setting(IPV6_FORWARD).is_ok_and(|own| own == "0")) {
            let mut advertised = plan.splits.map(|place| place.advertised.clone()).unwrap_or_default();
            if masquerades(false) {
                let devices = kernel.snapshot().map(|snapshot| snapshot.devices).unwrap_or_default();
                advertised.extend(devices.into_iter().map(|device| device.name));
            }
            // Whoever forwards heeds router advertisements only when told twice (accept_ra, ip-sysctl.rst): its own way out may
            // depend on them. First this, since the change itself forgets what they said.
            for device in advertised {
                wish(format!("net/ipv6/conf/{device}/accept_ra"), &["1"], "2", "its IPv6 routes may get lost");
            }
            wish(IPV6_FORWARD.into(), &["0"], "1", "only this host's own connections go over IPv6");
        }
        wishes
    }
}

/// Reads what [`Settings::keep`] wrote. Of another hand's note, nothing but what we might have changed.
fn parse(text: &str) -> impl Iterator<Item = Changed> {
    let read = |line: &str| {
        let mut words = line.split(' ');
        let (name, before, to) = (words.next()?, words.next()?, words.next()?);
        let is_value = |word: &str| (1..=2).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
        let known = is_ours(name) && is_value(before) && is_value(to) && words.next().is_none();
        known.then(|| Changed { name: name.into(), before: before.into(), to: to.into() })
    };
    text.lines().take(MOST).filter_map(read)
}

/// Whether it is one that a [`Wish`] may be about.
fn is_ours(name: &str) -> bool {
    match name.split('/').collect::<Vec<_>>().as_slice() {
        ["net", "ipv4", "ip_forward"] | ["net", "ipv6", "conf", "all", "forwarding"] => true,
        ["net", "ipv4", "conf", device, "rp_filter" | "arp_filter"] => is_device(device),
        ["net", "ipv6", "conf", device, "accept_ra"] => is_device(device),
        _ => false,
    }
}

fn is_device(name: &str) -> bool {
    !matches!(name, "" | "." | ".." | "all" | "default")
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
