//! A kernel that does nothing but remember.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::{Control, Data, Failure, Flow, Judge, PROTOCOL, Picked, Route, Rule, Snapshot};
use crate::family::Family;
use crate::link::LinkId;
use crate::packet::Opening;
use crate::race::RaceId;

/// What it was told, and what it shall say.
#[derive(Clone, Default, Debug)]
pub struct Fake {
    pub snapshot: Snapshot,
    /// (family, rule, who made it)
    pub rules: Vec<(Family, Rule, u8)>,
    /// (family, table, device, gateway)
    pub routes: Vec<(Family, u32, u32, Option<IpAddr>)>,
    /// Those that are no default routes of links: (table, route)
    pub copied: Vec<(u32, Route)>,
    pub settings: Vec<(String, String)>,
    /// The note for the next daemon.
    pub note: String,
    /// Rulesets loaded, in their order.
    pub loaded: Vec<String>,
    /// The kernel lacks `nft_compat`.
    pub no_target: bool,
    pub targets: Vec<(String, String, u16)>,
    /// Somebody removed what was loaded.
    pub no_table: bool,
    /// Text that no ruleset may contain.
    pub refuses: Option<String>,
    /// Conntrack's entries, by their marks.
    pub flows: Vec<(u32, Flow)>,
    /// It has no memory for it: so many times.
    pub forgets_not: u32,
    /// Why it does not read IPv6 rules, and why it sets no default route, if so: errors' numbers.
    pub no_rules6: Option<i32>,
    pub no_default: Option<i32>,
    pub sent: Vec<(LinkId, Vec<u8>)>,
}

impl Control for Fake {
    fn snapshot(&mut self) -> io::Result<Snapshot> {
        Ok(self.snapshot.clone())
    }

    fn rules(&mut self, family: Family) -> io::Result<Vec<(Rule, u8)>> {
        refuse(self.no_rules6.filter(|_| family == Family::Ipv6))?;
        let of_family = self.rules.iter().filter(|(known, ..)| *known == family);
        Ok(of_family.map(|(_, rule, protocol)| (*rule, *protocol)).collect())
    }

    fn add_rule(&mut self, family: Family, rule: &Rule) -> io::Result<()> {
        if !self.rules.contains(&(family, *rule, PROTOCOL)) {
            self.rules.push((family, *rule, PROTOCOL));
        }
        Ok(())
    }

    fn remove_rule(&mut self, family: Family, rule: &Rule) -> io::Result<()> {
        self.rules.retain(|known| *known != (family, *rule, PROTOCOL));
        Ok(())
    }

    fn set_default(&mut self, table: u32, device: u32, gateway: Option<IpAddr>, family: Family) -> io::Result<()> {
        refuse(self.no_default)?;
        self.routes.retain(|(of, known, ..)| (*of, *known) != (family, table));
        self.routes.push((family, table, device, gateway));
        Ok(())
    }

    fn add_route(&mut self, table: u32, route: &Route) -> io::Result<()> {
        self.copied.push((table, *route));
        Ok(())
    }

    fn remove_routes(&mut self, family: Family, wanted: &dyn Fn(u32) -> bool) -> io::Result<()> {
        self.routes.retain(|(of, table, ..)| *of != family || wanted(*table));
        self.copied.retain(|(table, route)| Family::of(route.destination.0) != family || wanted(*table));
        Ok(())
    }

    fn load(&mut self, ruleset: &str) -> Result<(), Failure> {
        self.would_load(ruleset)?;
        self.loaded.push(ruleset.to_owned());
        self.no_table = false;
        Ok(())
    }

    fn would_load(&mut self, ruleset: &str) -> Result<(), Failure> {
        match &self.refuses {
            Some(text) if ruleset.contains(text.as_str()) => Err(format!("no {text} here")),
            _ => Ok(()),
        }
    }

    fn has_target(&mut self) -> io::Result<()> {
        if self.no_target { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    }

    fn has_table(&mut self, _: &str) -> bool {
        !self.no_table
    }

    fn add_target(&mut self, table: &str, chain: &str, queue: u16) -> io::Result<()> {
        self.has_target()?;
        self.targets.push((table.to_owned(), chain.to_owned(), queue));
        Ok(())
    }

    fn forget(&mut self, mark: u32, mask: u32, picked: Option<Picked>) -> io::Result<()> {
        if let Some(left) = self.forgets_not.checked_sub(1) {
            self.forgets_not = left;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.flows.retain(|(known, flow)| known & mask != mark || picked.is_some_and(|picked| !picked(flow)));
        Ok(())
    }

    fn setting(&mut self, name: &str) -> io::Result<String> {
        let known = self.settings.iter().rev().find(|(known, _)| known == name);
        known.map(|(_, value)| value.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn set(&mut self, name: &str, value: &str) -> io::Result<()> {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    fn keep(&mut self, note: &str) -> io::Result<()> {
        self.note = note.to_owned();
        Ok(())
    }

    fn kept(&mut self) -> String {
        self.note.clone()
    }
}

fn refuse(error: Option<i32>) -> io::Result<()> {
    error.map_or(Ok(()), |number| Err(io::Error::from_raw_os_error(number)))
}

impl Data for Fake {
    fn send(&mut self, link: LinkId, packet: &[u8], _to: IpAddr) -> io::Result<()> {
        self.sent.push((link, packet.to_vec()));
        Ok(())
    }
}

/// What a [`Judge`] was told.
#[derive(Clone, Default, Debug)]
pub struct FakeJudge {
    /// Verdicts by (queue, id): the mark that a packet goes on with, or `None` if it was dropped.
    pub verdicts: Vec<((u16, u32), Option<u32>)>,
    /// Those of them that meet the rules once more.
    pub repeated: Vec<(u16, u32)>,
    pub established: Vec<(RaceId, Opening, SocketAddr, u32)>,
}

impl Judge for FakeJudge {
    fn establish(&mut self, race: RaceId, opening: &Opening, source: SocketAddr, mark: u32) {
        self.established.push((race, *opening, source, mark));
    }

    fn accept(&mut self, queue: u16, id: u32, mark: u32) {
        self.verdicts.push(((queue, id), Some(mark)));
    }

    fn repeat(&mut self, queue: u16, id: u32, mark: u32) {
        self.accept(queue, id, mark);
        self.repeated.push((queue, id));
    }

    fn drop(&mut self, queue: u16, id: u32) {
        self.verdicts.push(((queue, id), None));
    }
}
