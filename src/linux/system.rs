//! The real kernel, behind the daemon's [`Control`].

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::route::{Changes, Routing};
use super::{conntrack, file, nft, program, sysctl, target};
use crate::family::Family;
use crate::kernel::{Control, Failure, Picked, Route, Rule, Snapshot};

pub struct System {
    routing: Routing,
    note: PathBuf,
}

impl System {
    /// `note`: where a note for the next daemon is left.
    pub fn open(note: &Path) -> io::Result<Self> {
        Ok(System { routing: Routing::open()?, note: note.into() })
    }

    pub fn changes(&self) -> io::Result<Changes> {
        Changes::open(&self.routing)
    }
}

impl Control for System {
    fn snapshot(&mut self) -> io::Result<Snapshot> {
        self.routing.snapshot()
    }

    fn rules(&mut self, family: Family) -> io::Result<Vec<(Rule, u8)>> {
        self.routing.rules(family)
    }

    fn add_rule(&mut self, family: Family, rule: &Rule) -> io::Result<()> {
        self.routing.add_rule(family, rule)
    }

    fn remove_rule(&mut self, family: Family, rule: &Rule) -> io::Result<()> {
        self.routing.remove_rule(family, rule)
    }

    fn set_default(&mut self, table: u32, device: u32, gateway: Option<IpAddr>, family: Family) -> io::Result<()> {
        self.routing.set_default(table, device, gateway, family)
    }

    fn add_route(&mut self, table: u32, route: &Route) -> io::Result<()> {
        self.routing.add_route(table, route)
    }

    fn remove_routes(&mut self, family: Family, wanted: &dyn Fn(u32) -> bool) -> io::Result<()> {
        self.routing.remove_routes(family, wanted)
    }

    fn load(&mut self, ruleset: &str) -> Result<(), Failure> {
        program::run(&["nft", "-f", "-"], ruleset).map(drop)
    }

    fn would_load(&mut self, ruleset: &str) -> Result<(), Failure> {
        program::run(&["nft", "-c", "-f", "-"], ruleset).map(drop)
    }

    fn has_target(&mut self) -> io::Result<()> {
        target::try_out()
    }

    fn has_table(&mut self, table: &str) -> bool {
        nft::has_table(table)
    }

    fn add_target(&mut self, table: &str, chain: &str, queue: u16) -> io::Result<()> {
        target::append(table, chain, queue)
    }

    fn forget(&mut self, mark: u32, mask: u32, picked: Option<Picked>) -> io::Result<()> {
        conntrack::forget(mark, mask, picked)
    }

    fn setting(&mut self, name: &str) -> io::Result<String> {
        sysctl::read(name)
    }

    fn set(&mut self, name: &str, value: &str) -> io::Result<()> {
        sysctl::write(name, value)
    }

    fn keep(&mut self, note: &str) -> io::Result<()> {
        file::replace(&self.note, note)
    }

    fn kept(&mut self) -> String {
        file::own(&self.note)
    }
}
