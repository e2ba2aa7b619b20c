//! The kernel's settings that stand in our way: changed while we run, and given back.
//!
//! What they were is also written down outside this process ([`Control::keep`]): should it be killed, the next one knows what to
//! give back. Rules and routes need no such note: they bear our number.

use std::fmt::Write;

use crate::family::Family;
use crate::kernel::Control;
use crate::link::Link;
use crate::logging;
use crate::steer::Plan;

/// No more than devices have, on any router; of a note from elsewhere, more is not read.
const MOST: usize = 512;

const FILTER: &str = "net/ipv4/conf/all/rp_filter";
const IPV6_FORWARD: &str = "net/ipv6/conf/all/forwarding";

/// Settings that we changed, in the order of the changes.
#[derive(Debug)]
pub struct Settings {
    changed: Vec<Changed>,
    /// What is written down.
    kept: String,
    /// That it cannot be written down has been said, and that answers are lost.
    told: [bool; 2],
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
        Settings { changed: parse(&kept).filter(stands).collect(), kept, told: [false; 2] }
    }

    /// Changes the settings that stand in the plan's way, and gives back those that no longer do.
    pub fn adjust(&mut self, kernel: &mut impl Control, plan: &Plan) {
        self.see_filter(kernel, plan);
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
                // It was changed after us, or the device is a new one; or we want something else than before.
                Some(known) => {
                    if own != known.to {
                        known.before = own;
                    }
                    known.to = to.into();
                }
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
                Ok(()) => (self.kept, self.told[0]) = (text, false),
                Err(_) if self.told[0] => {}
                Err(error) => {
                    logging::warn!(
                        "cannot note what settings were, for the next start if this daemon is killed: {error}"
                    );
                    self.told[0] = true;
                }
            }
        }
    }

    /// Says so where no device's own setting helps: the filter that holds for all drops what a link's table alone leads back to.
    fn see_filter(&mut self, kernel: &mut impl Control, plan: &Plan) {
        let works = |link: &Link| link.usable(Family::Ipv4) && !plan.is_peer(link.id);
        let lost = plan.links.iter().any(works)
            && !plan.links.iter().any(|link| link.is_main(Family::Ipv4))
            && kernel.setting(FILTER).is_ok_and(|filter| filter != "0")
            && kernel.snapshot().is_ok_and(|now| !now.routes.iter().any(|route| route.is_default(Family::Ipv4)));
        if lost && !self.told[1] {
            logging::warn!(
                "{FILTER} is on, and the main table has no default route: the kernel drops all IPv4 answers; set it to 0"
            );
        }
        self.told[1] = lost;
    }

    fn wishes(&mut self, kernel: &mut impl Control, plan: &Plan) -> Vec<Wish> {
        let mut wishes: Vec<Wish> = Vec::new();
        let mut wish = |name: String, from, to, or_else| wishes.push(Wish { name, from, to, or_else });
        let mut all = |name: &str| kernel.setting(&format!("net/ipv4/conf/all/{name}")).unwrap_or_default();
        // A strict reverse path filter (RFC 3704) drops every answer that comes in by another link than the main table's
        // default route; loose is what several links need. The kernel applies the larger of `all` and the device's own.
        let filter = all("rp_filter");
        let strict: &[&str] = if filter == "1" { &["0", "1"] } else { &["1"] };
        // Even a loose one drops what no route of the main table leads back to: all answers, while the link is down that had
        // the only default route. With one, it drops nothing; so a link needs none.
        let (from, to): (&[&str], _) = if matches!(&*filter, "1" | "2") { (strict, "2") } else { (&["1", "2"], "0") };
        let links = plan.links.iter().filter(|link| link.ifindex != 0).map(|link| (&link.device, from, to));
        let split: &[String] = plan.splits.map_or(&[], |place| &place.devices);
        // A peer's device has no default route in the main table either; those of servers are no links.
        let servers = plan.tunnels.iter().filter(|tunnel| tunnel.way.is_none() && tunnel.index != 0);
        let others = split.iter().chain(servers.map(|tunnel| &tunnel.device)).map(|device| (device, strict, "2"));
        for (device, from, to) in links.chain(others) {
            wish(format!("net/ipv4/conf/{device}/rp_filter"), from, to, "answers may be lost");
        }
        // The two addresses of a receiver may be in one network: each device is to answer for its own only.
        let filtered = all("arp_filter") == "1";
        for device in split.iter().filter(|_| !filtered) {
            wish(format!("net/ipv4/conf/{device}/arp_filter"), &["0"], "1", "one device may take both paths");
        }
        // Clients of a peer that are masqueraded are forwarded.
        let masquerades =
            |family| plan.tunnels.iter().flat_map(|tunnel| &tunnel.masquerade).any(|prefix| prefix.family() == family);
        if masquerades(Family::Ipv4) || plan.splits.is_some_and(|place| place.forwards) {
            wish("net/ipv4/ip_forward".into(), &["0"], "1", "only this host's connections are split or reach a peer");
        }
        let forwards = masquerades(Family::Ipv6) || plan.splits.is_some_and(|place| place.forwards6);
        let is_ours = self.changed.iter().any(|known| known.name == IPV6_FORWARD);
        if forwards && (is_ours || kernel.setting(IPV6_FORWARD).is_ok_and(|own| own == "0")) {
            let mut advertised = plan.splits.map(|place| place.advertised.clone()).unwrap_or_default();
            if masquerades(Family::Ipv6) {
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
