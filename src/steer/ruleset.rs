//! The whole ruleset.

use std::fmt::Write;

use crate::family::Family;
use crate::link::Link;
use crate::prefix::Prefix;
use crate::split;
use crate::text::commas;

use super::writer::Writer;
use super::{
    ALIVE_SECONDS, EXPECT_SECONDS, Plan, TABLE, classify, copies, global, known, leave, policy, raced_policies, tunnel,
};

/// A ruleset, to be loaded in one of two ways.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ruleset {
    pub(super) table: String,
    pub(super) chains: Vec<String>,
    pub(super) targets: Vec<Target>,
    pub(super) memories: Vec<Memory>,
}

/// A set that learns for longer than rulesets live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Memory {
    pub set: String,
    /// What its elements are about: should that change, they are void.
    pub about: String,
}

/// A chain that the text leaves empty: xtables' target NFQUEUE belongs there, for which nft has no words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    pub chain: String,
    pub queue: u16,
}

impl Ruleset {
    /// Replaces whatever table of ours is there.
    pub fn fresh(&self) -> String {
        format!("add table inet {TABLE}\ndelete table inet {TABLE}\n{}", self.table)
    }

    /// Replaces the rules that `old` loaded and keeps what the kernel learned: races in flight go on.
    pub fn after(&self, old: &Ruleset) -> String {
        let mut text = String::new();
        for chain in &old.chains {
            let _ = writeln!(text, "flush chain inet {TABLE} {chain}");
        }
        for set in STATIC_SETS {
            let _ = writeln!(text, "flush set inet {TABLE} {set}");
        }
        for Memory { set, .. } in old.memories.iter().filter(|memory| !self.memories.contains(memory)) {
            let _ = writeln!(text, "delete set inet {TABLE} {set}");
        }
        text += &self.table;
        for chain in old.chains.iter().filter(|chain| !self.chains.contains(chain)) {
            let _ = writeln!(text, "delete chain inet {TABLE} {chain}");
        }
        for Target { chain, .. } in old.targets.iter().filter(|target| !self.targets.contains(target)) {
            let _ = writeln!(text, "flush chain inet {TABLE} {chain}\ndelete chain inet {TABLE} {chain}");
        }
        text
    }

    /// Which chains still want their target after the text was loaded, over `old` or afresh.
    pub fn targets<'r>(&'r self, old: Option<&'r Ruleset>) -> impl Iterator<Item = &'r Target> {
        self.targets.iter().filter(move |target| !old.is_some_and(|old| old.targets.contains(target)))
    }
}

/// Sets whose elements stand in the ruleset; the others learn theirs.
const STATIC_SETS: [&str; 4] = ["links", "ipv4_direct", "ipv6_direct", "fallen"];

/// A race is kept for 4 s; the kernel's tuples of its copies live for [`EXPECT_SECONDS`], and until its garbage collection
/// comes by they take room: 7 s and more, measured on 6.18. In a full set a copy's answer is not noted, and is lost.
const LINGER: usize = 3;

/// What takes the table away.
pub fn removal() -> String {
    format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")
}

/// The ruleset for a plan.
pub fn ruleset(plan: &Plan) -> Ruleset {
    let mut out = Writer::new();
    write_sets(&mut out, plan);
    write_link_chains(&mut out, plan);
    for family in Family::BOTH {
        copies::write_tuples(&mut out, plan, family);
    }
    global::write(&mut out, plan);
    let raced = raced_policies(plan.config, plan.links);
    copies::write_queues(&mut out, plan, raced.len());
    copies::write_answers(&mut out, plan);
    copies::write_sent(&mut out, plan);
    for (number, policy) in plan.config.policies.iter().enumerate() {
        let place = raced.iter().position(|(index, _)| *index == number);
        policy::write(&mut out, plan, policy, number, place);
    }
    classify::write_rules(&mut out, plan);
    known::write_moved(&mut out, plan);
    classify::write(&mut out, plan);
    leave::write(&mut out, plan, raced.len());
    tunnel::write_chains(&mut out, plan);
    for (name, hook, rules) in plan.splits.map(|place| split::chains(&place.splits)).unwrap_or_default() {
        out.chain(format_args!("{name}"), Some(hook));
        rules.iter().for_each(|rule| out.rule(format_args!("{rule}")));
    }
    out.finish()
}

/// The families of connections that were forgotten with their link, for the minute after the rules are loaded.
pub(super) fn fallen(plan: &Plan) -> Vec<String> {
    let lost = |family: &Family| plan.links.iter().any(|link| known::is_reset(plan, link, *family));
    Family::BOTH.iter().filter(|family| lost(family)).map(|family| format!("{} timeout 60s", family.name())).collect()
}

/// nft's words for headers.
impl Family {
    pub(super) const fn ip(self) -> &'static str {
        match self {
            Family::Ipv4 => "ip",
            Family::Ipv6 => "ip6",
        }
    }

    pub(super) const fn icmp_header(self) -> &'static str {
        match self {
            Family::Ipv4 => "icmp",
            Family::Ipv6 => "icmpv6",
        }
    }
}

fn write_sets(out: &mut Writer, plan: &Plan) {
    let devices: Vec<String> = racing(plan).iter().map(|link| format!("\"{}\"", link.device)).collect();
    out.set("links", "type ifname", "", "", &devices);
    out.set(
        "alive",
        "typeof meta nfproto",
        "dynamic, timeout",
        &format!("\t\ttimeout {ALIVE_SECONDS}s;\n\t\tsize 4;\n"),
        &[],
    );
    out.set("fallen", "typeof meta nfproto", "timeout", "", &fallen(plan));
    let size = plan.races * plan.config.links.len().max(1) * LINGER;
    let learn = format!("\t\ttimeout {EXPECT_SECONDS}s;\n\t\tsize {size};\n");
    for family in Family::BOTH {
        let (ip, ipv, icmp) = (family.ip(), family.name(), family.icmp_header());
        let direct: Vec<String> = widest(plan.direct, family).iter().map(ToString::to_string).collect();
        out.set(&format!("{ipv}_direct"), &format!("type {ipv}_addr"), "interval", "\t\tauto-merge;\n", &direct);
        let tuple = format!("type inet_proto . {ipv}_addr . inet_service . {ipv}_addr . inet_service");
        out.set(&format!("{ipv}_answers"), &tuple, "dynamic, timeout", &learn, &[]);
        let echo = format!("typeof {ip} saddr . {icmp} id . {ip} daddr");
        out.set(&format!("{ipv}_echoes"), &echo, "dynamic, timeout", &learn, &[]);
    }
    let mut named: Vec<&str> =
        plan.config.rules.iter().filter_map(|rule| rule.nftset.as_ref()).map(|set| &*set.name).collect();
    named.sort_unstable();
    named.dedup();
    for name in named {
        out.set(&format!("{name}4"), "type ipv4_addr", "interval, timeout", "\t\tauto-merge;\n", &[]);
        out.set(&format!("{name}6"), "type ipv6_addr", "interval, timeout", "\t\tauto-merge;\n", &[]);
    }
}

/// What the router itself sends: it came in by no device.
const OWN: &str = "iif 0";

/// Where a connection's fate is known: its packets' mark names the link, or its own does.
fn write_link_chains(out: &mut Writer, plan: &Plan) {
    let marks = plan.config.main.mark_mask;
    for link in plan.links {
        let mark = marks.link(link.id);
        out.chain(format_args!("link_{}", link.id), None);
        let set = out.set_mark(marks.mask(), mark);
        if plan.spares_own(link) {
            out.rule(format_args!("{OWN} accept"));
            out.rule(format_args!("{set} accept"));
            out.chain(format_args!("asked_{}", link.id), None);
        }
        out.rule(format_args!("{set} accept"));
        out.chain(format_args!("save_{}", link.id), None);
        let set = out.set_ct_mark(marks.link_mask(), mark);
        out.rule(format_args!("{set}"));
    }
}

/// Tells its sender that there is no way.
pub(super) const REFUSE: &str = "reject with icmpx type no-route";

/// The elements of a map from a link's device to `verdict`, whose chain ends in the link's number.
pub(super) fn by_device(links: &[&Link], verdict: &str) -> String {
    let to: Vec<String> = links.iter().map(|link| format!("\"{}\" : {verdict}_{}", link.device, link.id)).collect();
    commas(&to)
}

/// Links whose device is known; of two that share one, the first.
pub(super) fn with_devices<'p>(plan: &Plan<'p>) -> Vec<&'p Link> {
    let mut with: Vec<&Link> = Vec::new();
    for link in plan.links {
        if !link.device.is_empty() && with.iter().all(|other| other.device != link.device) {
            with.push(link);
        }
    }
    with
}

/// Links that copies leave by.
pub(super) fn racing<'p>(plan: &Plan<'p>) -> Vec<&'p Link> {
    let mut links = with_devices(plan);
    links.retain(|link| !plan.is_peer(link.id));
    links
}

/// The prefixes of a family, without those inside another.
pub(super) fn widest(prefixes: &[Prefix], family: Family) -> Vec<Prefix> {
    let mut kept: Vec<Prefix> = Vec::new();
    // In the order of their lengths, without the code that sorting takes.
    for length in 0..=128 {
        for prefix in prefixes {
            let ours = prefix.family() == family && prefix.length() == length;
            if ours && !kept.iter().any(|wider| wider.overlaps(*prefix)) {
                kept.push(*prefix);
            }
        }
    }
    kept
}
