//! What stands in the kernel while we run: the nft table, ip rules, routing tables, and a looser rp_filter. Put up and
//! changed as a whole, taken down without a trace.

use std::io;
use std::net::IpAddr;

use super::settings::Settings;
use crate::family::Family;
use crate::kernel::{Control, Device, Failure, PROTOCOL, Route, Rule, Snapshot};
use crate::link::{Link, MAX_LINKS, Marks};
use crate::linux::{lacks, passes};
use crate::logging;
use crate::split::place::Table;
use crate::steer::{self, Foreign, Plan, Queueing, Ruleset, TABLE, Target, table, tunnel};

pub struct Installation<K> {
    pub kernel: K,
    marks: Marks,
    queueing: Queueing,
    ipsec: bool,
    /// The families that the kernel has: IPv4, and mostly IPv6.
    families: Vec<Family>,
    loaded: Option<Ruleset>,
    /// The splits' tables as they stand.
    tables: Vec<Table>,
    /// The peers' routes as they stand.
    routes: Vec<Route>,
    settings: Settings,
    /// That somebody's ip rule fights with ours has been said.
    told: bool,
}

impl<K: Control> Installation<K> {
    /// Looks the kernel over and changes nothing. The error says what stands in the way, and what to do.
    pub fn survey(mut kernel: K, marks: Marks) -> Result<Self, Failure> {
        let mut families = Vec::new();
        for family in Family::BOTH {
            match kernel.rules(family) {
                Ok(rules) => {
                    families.push(family);
                    rules.iter().try_for_each(|(rule, by)| tolerate(rule, *by, marks))?;
                }
                Err(error) if family == Family::Ipv6 && lacks(&error) => logging::info!("this kernel has no IPv6"),
                Err(error) => return Err(format!("cannot read the ip rules: {error}")),
            }
        }
        let queueing = queueing(&mut kernel)?;
        // A kernel without IPsec has no word for it.
        let ipsec = kernel.would_load(&test("filter hook postrouting priority 10", "rt ipsec exists accept")).is_ok();
        Ok(Installation { marks, queueing, ipsec, families, ..Self::left(kernel) })
    }

    /// What a daemon that was killed left, as far as [`remove`](Self::remove) has to know it. Asks the kernel for nothing that it
    /// may lack, and minds nobody else's rules.
    pub fn left(mut kernel: K) -> Self {
        let has = |family: &Family| !kernel.rules(*family).is_err_and(|error| lacks(&error));
        let families = Family::BOTH.into_iter().filter(has).collect();
        let settings = Settings::of(&mut kernel);
        let (marks, queueing, ipsec) = (Marks::default(), Queueing::Nft, false);
        let (loaded, tables, routes) = (None, Vec::new(), Vec::new());
        Installation { kernel, marks, queueing, ipsec, families, loaded, tables, routes, settings, told: false }
    }

    pub fn queueing(&self) -> Queueing {
        self.queueing
    }

    /// Whether nft can ask if IPsec is going to take a packet.
    pub fn ipsec(&self) -> bool {
        self.ipsec
    }

    /// Makes the kernel's state what `plan` says; at first over whatever a crash left behind, then step by step, so that
    /// flows and races under way stay as they are.
    pub fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        self.settings.adjust(&mut self.kernel, plan);
        // Rules lead to tables, and marks to rules: in this order nothing ever points nowhere.
        self.route(plan).map_err(|error| format!("cannot set routes: {error}"))?;
        if !self.stands() {
            logging::warn!("somebody removed the nft table {TABLE}: it is loaded again");
            self.loaded = None;
        }
        let rules = steer::ruleset(plan);
        if self.loaded.as_ref() != Some(&rules) {
            // Should it fail, the next time replaces all: nft that was killed, or ran out of time, may have changed it or not.
            let old = self.loaded.take();
            let text = match &old {
                Some(old) => rules.after(old),
                None => rules.fresh(),
            };
            self.kernel.load(&text)?;
            for Target { chain, queue } in rules.targets(old.as_ref()) {
                let added = self.kernel.add_target(TABLE, chain, *queue);
                added.map_err(|error| format!("cannot queue packets: {error}"))?;
            }
            self.loaded = Some(rules);
        }
        Ok(())
    }

    /// Whether what was loaded is there still. `nft flush ruleset`, with which /etc/nftables.conf begins on Debian, takes all tables away.
    pub fn stands(&mut self) -> bool {
        self.loaded.is_none() || self.kernel.has_table(TABLE)
    }

    /// Takes everything away; whether nothing stays. Goes on after an error: as little as possible stays.
    pub fn remove(&mut self) -> bool {
        let mut all = true;
        let mut failed = |what: &str, why: String| {
            all = false;
            logging::error!("cannot remove {what}: {why}");
        };
        if let Err(why) = self.kernel.load(&steer::removal()) {
            failed("the nft table", why);
        }
        self.loaded = None;
        self.tables.clear();
        self.routes.clear();
        for family in self.families.clone() {
            let removed = self.remove_rules(family, &[]).and_then(|()| self.kernel.remove_routes(family, &|_| false));
            if let Err(error) = removed {
                failed("ip rules and routes", error.to_string());
            }
        }
        self.settings.restore(&mut self.kernel);
        all
    }

    /// What somebody else's ip rules lead away; nothing, where nobody has any. Says so if one fights with ours, which came later.
    pub fn foreign(&mut self, now: &Snapshot) -> io::Result<Option<Foreign>> {
        let mut foreign = Foreign::default();
        for family in self.families.clone() {
            for (rule, by) in self.kernel.rules(family)? {
                if !self.told
                    && let Err(why) = tolerate(&rule, by, self.marks)
                {
                    logging::warn!("{why}");
                    self.told = true;
                }
                match rule.mask {
                    _ if by == PROTOCOL || KERNELS.contains(&rule.table) => {}
                    0 => foreign.others[family.index()] |= rule.preference > tunnel::TABLE,
                    mask => foreign.marks.push((family, rule.mark, mask)),
                }
            }
        }
        if foreign == Foreign::default() {
            return Ok(None);
        }
        let is_default =
            |device: &&Device| now.routes.iter().any(|route| route.destination.1 == 0 && route.device == device.index);
        foreign.defaults = now.devices.iter().filter(is_default).map(|device| device.name.clone()).collect();
        Ok(Some(foreign))
    }

    /// The ip rules that lead from marks, and from sources, to tables.
    pub fn rules(&self, plan: &Plan) -> Vec<Rule> {
        let rule = |link: &Link| Rule {
            preference: table(link.id),
            source: None,
            mark: self.marks.link(link.id),
            mask: self.marks.link_mask(),
            table: table(link.id),
            suppress: None,
        };
        let split = |table: &Table| Rule {
            preference: table.number,
            source: Some(table.source),
            mark: 0,
            mask: 0,
            table: table.number,
            suppress: None,
        };
        let marked = plan.links.iter().map(rule).chain(split_tables(plan).iter().map(split));
        marked.chain(plan.links.iter().flat_map(|link| by_address(plan, link))).collect()
    }

    fn route(&mut self, plan: &Plan) -> io::Result<()> {
        let (rules, wanted) = (self.rules(plan), split_tables(plan));
        let renewed = self.tables != wanted;
        let peers: Vec<Route> = Family::BOTH.into_iter().flat_map(|family| tunnel::routes(plan, family)).collect();
        for family in self.families.clone() {
            let mut tables = Vec::new();
            for link in plan.links {
                if self.set_default(link, family)? {
                    tables.push(table(link.id));
                }
            }
            if self.routes == peers {
                tables.push(tunnel::TABLE);
            }
            if !renewed {
                tables.extend(wanted.iter().map(|table| table.number));
            }
            self.kernel.remove_routes(family, &|table| tables.contains(&table))?;
            for table in wanted.iter().filter(|table| Family::of(table.source) == family) {
                for route in &table.routes {
                    // The device went down meanwhile: we shall hear of it.
                    let done = self.kernel.add_route(table.number, route);
                    let _ = done.inspect_err(|error| logging::debug!("split: no route for {}: {error}", table.source));
                }
            }
            for route in peers.iter().filter(|route| Family::of(route.destination.0) == family) {
                let done = self.kernel.add_route(tunnel::TABLE, route);
                let _ = done.inspect_err(|error| logging::debug!("no route to {}: {error}", route.destination.0));
            }
            let rules: Vec<Rule> = rules.iter().copied().chain(tunnel::rules(plan, family)).collect();
            let of_family = |rule: &&Rule| rule.source.is_none_or(|source| Family::of(source) == family);
            rules.iter().filter(of_family).try_for_each(|rule| self.kernel.add_rule(family, rule))?;
            self.remove_rules(family, &rules)?;
        }
        self.tables = wanted.to_vec();
        self.routes = peers;
        Ok(())
    }

    /// Has the kernel route a link's connections of a family anew, those in a flowtable too: they come by the rules again.
    pub fn renew(&mut self, link: &Link, family: Family) -> io::Result<()> {
        let number = table(link.id);
        if self.families.contains(&family) {
            self.kernel.remove_routes(family, &|table| table != number)?;
            self.set_default(link, family)?;
        }
        Ok(())
    }

    /// Gives a link's table its default route; whether it has one. The error: it is to be tried again, and what stands is to stay.
    fn set_default(&mut self, link: &Link, family: Family) -> io::Result<bool> {
        let side = match family {
            Family::Ipv4 => link.ipv4.map(|side| side.gateway.map(Into::into)),
            Family::Ipv6 => link.ipv6.map(|side| side.gateway.map(Into::into)),
        };
        let Some(gateway) = side.filter(|_| link.ifindex != 0) else { return Ok(false) };
        match self.kernel.set_default(table(link.id), link.ifindex, gateway, family) {
            Err(error) if passes(&error) => return Err(error),
            // The device went down meanwhile: we shall hear of it.
            Err(error) => logging::debug!("link {}: no route yet: {error}", link.name),
            Ok(()) => return Ok(true),
        }
        Ok(false)
    }

    fn remove_rules(&mut self, family: Family, but: &[Rule]) -> io::Result<()> {
        for (rule, by) in self.kernel.rules(family)? {
            if by == PROTOCOL && !but.contains(&rule) {
                self.kernel.remove_rule(family, &rule)?;
            }
        }
        Ok(())
    }
}

fn split_tables<'a>(plan: &Plan<'a>) -> &'a [Table] {
    plan.splits.map_or(&[], |place| &place.tables)
}

/// What has a link's address leaves by that link, but for neighbours: a WireGuard server's answers are routed by it before any mark
/// could be on them. Not where two links have that address, or a split has a table for it.
fn by_address(plan: &Plan, link: &Link) -> Vec<Rule> {
    let first = BY_ADDRESS + 2 * (u32::from(link.id.number()) - 1);
    let sides = [link.ipv4.map(|side| IpAddr::from(side.address)), link.ipv6.map(|side| side.address.into())];
    let splits = |source: IpAddr| split_tables(plan).iter().any(|table| table.source == source);
    let own = sides
        .into_iter()
        .flatten()
        .filter(|source| !plan.is_peer(link.id) && !plan.is_shared(link, *source) && !splits(*source));
    own.flat_map(|source| {
        let rule =
            |preference, table, suppress| Rule { preference, source: Some(source), mark: 0, mask: 0, table, suppress };
        [rule(first, tunnel::MAIN, Some(0)), rule(first + 1, table(link.id), None)]
    })
    .collect()
}

/// Another tool's rule that would fight with ours over the same packets.
fn tolerate(rule: &Rule, by: u8, marks: Marks) -> Result<(), Failure> {
    if by == PROTOCOL || rule.mask == 0 {
        return Ok(());
    }
    let wants = if rule.mask == u32::MAX { rule.mark } else { rule.mask };
    // Whatever its option mmx_mask says, its rules and their marks are numbered like their tables (mwan3.sh).
    let number = rule.mark >> rule.mask.trailing_zeros();
    let is_numbered = number == rule.table && rule.preference.checked_sub(2000) == Some(number);
    if rule.mask == 0x3F00 && (1000..4000).contains(&rule.preference) || is_numbered && wants == rule.mask {
        return Err(
            "mwan3 is running, and steers the same connections: service mwan3 disable; service mwan3 stop".into()
        );
    }
    if wants & marks.mask() != 0 {
        let (preference, ours) = (rule.preference, marks.mask());
        return Err(format!(
            "ip rule {preference} uses mark bits {wants:#010x}, which overlap ours {ours:#010x}: set option mark_mask"
        ));
    }
    Ok(())
}

/// The preferences of rules by links' addresses: two for each, after those by marks and before those of peers.
const BY_ADDRESS: u32 = steer::BASE + 1 + MAX_LINKS as u32;

/// None, and the kernel's own: default, main and local (linux/rtnetlink.h).
const KERNELS: [u32; 4] = [0, 253, 254, 255];

const FILTER: &str = "filter hook forward priority 10";

/// What rules ask of nft that may be missing: a chain, a rule in it, and OpenWrt's package for it.
const NEEDS: [(&str, &str, &str); 3] = [
    (FILTER, "ct mark 1 meta mark set 1", "kmod-nft-core"),
    (FILTER, "fib daddr type local accept", "kmod-nft-fib"),
    ("nat hook postrouting priority 90", "accept", "kmod-nft-nat"),
];

fn test(chain: &str, rule: &str) -> String {
    format!("table inet cheaproute_test {{\n\tchain test {{\n\t\ttype {chain};\n\t\t{rule}\n\t}}\n}}\n")
}

fn queueing(kernel: &mut impl Control) -> Result<Queueing, Failure> {
    // First what there is on nearly every router, so that the last answer is about queueing alone.
    for (chain, rule, package) in NEEDS {
        kernel.would_load(&test(chain, rule)).map_err(|why| format!("{why} ({package} is needed, and nftables)"))?;
    }
    match kernel.would_load(&test(FILTER, "queue num 1 bypass")) {
        Ok(()) => Ok(Queueing::Nft),
        Err(why) => {
            kernel.has_target().map_err(|also| {
                format!("packets cannot be queued: {why}; nor by xtables' NFQUEUE: {also}; install kmod-nft-queue")
            })?;
            logging::info!("this kernel has no nft queue: queueing by xtables' target");
            Ok(Queueing::Xtables)
        }
    }
}

#[cfg(test)]
#[path = "install_tests.rs"]
mod tests;
