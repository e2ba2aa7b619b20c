//! The whole ruleset.

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::Prefix;
use crate::link::{Link, Stage};
use crate::split;
use crate::text::commas;

use super::writer::Writer;
use super::{
    ALIVE_SECONDS, EXPECT_SECONDS, Plan, QUEUE, Queueing, TABLE, foreign, known, policy, raced_policies, rule,
    translated, tunnel,
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

/// ICMP errors in a second that the daemon looks at: a flood of them must not fill the queue of answers.
const ERRORS: u32 = 100;

/// What takes the table away.
pub fn removal() -> String {
    format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")
}

/// The ruleset for a plan.
pub fn ruleset(plan: &Plan) -> Ruleset {
    let mut out = Writer::new();
    write_sets(&mut out, plan);
    write_link_chains(&mut out, plan);
    for family in FAMILIES {
        write_tuples(&mut out, plan, family);
    }
    write_global(&mut out, plan);
    let raced = raced_policies(plan.config, plan.links);
    write_queues(&mut out, plan, raced.len());
    write_answers(&mut out, plan);
    write_sent(&mut out, plan);
    for (number, policy) in plan.config.policies.iter().enumerate() {
        let place = raced.iter().position(|(index, _)| *index == number);
        policy::write(&mut out, plan, policy, number, place);
    }
    write_rules(&mut out, plan);
    known::write_moved(&mut out, plan);
    write_classify(&mut out, plan);
    write_leave(&mut out, plan, raced.len());
    tunnel::write_chains(&mut out, plan);
    for (name, hook, rules) in plan.splits.map(|place| split::chains(&place.splits)).unwrap_or_default() {
        out.chain(format_args!("{name}"), Some(hook));
        rules.iter().for_each(|rule| out.rule(format_args!("{rule}")));
    }
    out.finish()
}

/// The families of connections that were forgotten with their link, for the minute after the rules are loaded.
fn fallen(plan: &Plan) -> Vec<String> {
    let lost = |words: &Words| plan.links.iter().any(|link| known::is_reset(plan, link, words.ipv4));
    FAMILIES.iter().filter(|words| lost(words)).map(|words| format!("{} timeout 60s", words.ipv)).collect()
}

/// nft's words for a family.
struct Words {
    ip: &'static str,
    ipv: &'static str,
    icmp: &'static str,
    ipv4: bool,
}

const FAMILIES: [Words; 2] = [
    Words { ip: "ip", ipv: "ipv4", icmp: "icmp", ipv4: true },
    Words { ip: "ip6", ipv: "ipv6", icmp: "icmpv6", ipv4: false },
];

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
    for Words { ip, ipv, icmp, ipv4 } in FAMILIES {
        let direct: Vec<String> = widest(plan.direct, ipv4).iter().map(ToString::to_string).collect();
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
pub(super) const OWN: &str = "iif 0";

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

/// Three chains a family: the tuple of a copy is noted, that of an answer is known or not, or is forgotten.
fn write_tuples(out: &mut Writer, plan: &Plan, Words { ip, ipv, icmp, ipv4 }: Words) {
    let marks = plan.config.main.mark_mask;
    out.chain(format_args!("{ipv}_note"), None);
    // A link that is a tunnel of the kernel's leaves a copy's mark on the packet around it: that one is no copy.
    out.rule(format_args!("{} return", not_raced(ipv4)));
    // A reset expects no answer.
    out.rule(format_args!("tcp flags rst notrack accept"));
    out.rule(format_args!(
        "meta l4proto {{ tcp, udp }} update @{ipv}_answers {{ meta l4proto . {ip} daddr . th dport . {ip} saddr . th sport }}"
    ));
    out.rule(format_args!("{icmp} type echo-request update @{ipv}_echoes {{ {ip} daddr . {icmp} id . {ip} saddr }}"));
    out.rule(format_args!("notrack accept"));
    let answer = format!("meta l4proto . {ip} saddr . th sport . {ip} daddr . th dport");
    let echo = format!("{ip} saddr . {icmp} id . {ip} daddr");
    out.chain(format_args!("{ipv}_answer"), None);
    // The daemon sends it here once more.
    let decided = format!("meta mark & {:#010x} == {:#010x}", marks.stage_mask(), marks.stage(Stage::Decided));
    out.rule(format_args!("{decided} goto {ipv}_forget"));
    // A tuple is expected for longer than a daemon that hangs counts as alive: meanwhile its client's repeated SYN, which
    // goes the plain way from the same port, needs that answer.
    let queue = "meta nfproto @alive goto queue_0";
    // Any protocol may look: none but these two are in the set.
    out.rule(format_args!("{answer} @{ipv}_answers {queue}"));
    out.rule(format_args!("{icmp} type echo-reply {echo} @{ipv}_echoes {queue}"));
    // An error about a copy, which conntrack knows nothing of. nft cannot look up what is quoted there.
    let error =
        if icmp == "icmp" { "destination-unreachable icmp code != frag-needed" } else { "destination-unreachable" };
    out.rule(format_args!("{icmp} type {error} limit rate {ERRORS}/second {queue}"));
    out.chain(format_args!("{ipv}_forget"), None);
    out.rule(format_args!("meta l4proto udp delete @{ipv}_answers {{ {answer} }}"));
    out.rule(format_args!("{icmp} type echo-reply delete @{ipv}_echoes {{ {echo} }}"));
    let clear = out.set_mark(marks.mask(), 0);
    out.rule(format_args!("{clear} accept"));
}

/// A global IPv6 address is its client's own: it is not translated, so it leaves by the link that it was delegated over, or as
/// the main table says (which may look at the source, as netifd's does).
fn write_global(out: &mut Writer, plan: &Plan) {
    out.chain(format_args!("global"), None);
    for link in first_up(plan) {
        let prefixes = widest(&delegated(link), false);
        if link.usable(false) {
            write_prefixes(out, &prefixes, format_args!("goto link_{}", link.id));
        } else if strands(plan, link) {
            // The main table's way is that link still: whoever hears of it has another address or family.
            write_prefixes(out, &prefixes, format_args!("{REFUSE}"));
        }
    }
    out.rule(format_args!("return"));
}

/// All links, those that are up before the others, for a prefix that two of them have.
pub(super) fn first_up<'p>(plan: &Plan<'p>) -> impl Iterator<Item = &'p Link> {
    let links = plan.links;
    links.iter().filter(|link| link.up).chain(links.iter().filter(|link| !link.up))
}

/// The prefixes of a link's clients.
pub(super) fn delegated(link: &Link) -> Vec<Prefix> {
    link.delegated.iter().filter_map(|(address, length)| Prefix::new((*address).into(), *length)).collect()
}

/// Whether a link's global addresses are of no use now, and others are.
pub(super) fn strands(plan: &Plan, link: &Link) -> bool {
    !link.up && plan.links.iter().any(|other| other.up)
}

/// The verdict on what comes from one of these.
pub(super) fn write_prefixes(out: &mut Writer, prefixes: &[Prefix], verdict: fmt::Arguments) {
    if !prefixes.is_empty() {
        let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
        out.rule(format_args!("ip6 saddr {{ {} }} {verdict}", commas(&prefixes)));
    }
}

/// Tells its sender that there is no way.
pub(super) const REFUSE: &str = "reject with icmpx type no-route";

/// A chain for each queue: the first for answers, then one for each policy that races.
fn write_queues(out: &mut Writer, plan: &Plan, raced: usize) {
    for number in 0..=raced as u16 {
        let (name, queue) = (format!("queue_{number}"), QUEUE + number);
        match plan.queueing {
            Queueing::Nft => {
                out.chain(format_args!("{name}"), None);
                out.rule(format_args!("queue num {queue} bypass"));
            }
            Queueing::Xtables => out.target(&name, queue),
        }
    }
}

fn write_answers(out: &mut Writer, plan: &Plan) {
    out.chain(format_args!("arrived"), None);
    out.rules(&["meta nfproto ipv4 goto ipv4_answer", "meta nfproto ipv6 goto ipv6_answer"]);
    out.chain(format_args!("answers"), Some("filter hook prerouting priority raw - 10"));
    // Of TCP, only a SYN-ACK or a RST decides a race. First, since most packets are neither, and every packet comes by here.
    out.rule(format_args!("tcp flags & (syn | rst) == 0 accept"));
    // Two or three comparisons cost a packet less than a look into a set of names.
    for link in racing(plan) {
        out.rule(format_args!("iifname \"{}\" goto arrived", link.device));
    }
}

fn write_sent(out: &mut Writer, plan: &Plan) {
    let marks = plan.config.main.mark_mask;
    let stage = format!("meta mark & {:#010x} ==", marks.stage_mask());
    out.chain(format_args!("sent"), Some("filter hook output priority raw - 10"));
    out.rule(format_args!("{stage} {:#010x} meta nfproto ipv4 goto ipv4_note", marks.stage(Stage::Copy)));
    out.rule(format_args!("{stage} {:#010x} meta nfproto ipv6 goto ipv6_note", marks.stage(Stage::Copy)));
    // The daemon's heartbeat, one for both families, goes no further.
    let beat = marks.stage(Stage::Decided);
    out.rule(format_args!("{stage} {beat:#010x} update @alive {{ ipv4 }} update @alive {{ ipv6 }} drop"));
}

fn write_rules(out: &mut Writer, plan: &Plan) {
    out.chain(format_args!("rules"), None);
    for rule in &plan.config.rules {
        let Some(number) = plan.config.policies.iter().position(|policy| policy.name == rule.policy) else { continue };
        for matches in rule::matches(rule) {
            // nft keeps up to 128 bytes of a comment.
            let name: String = rule.name.chars().take(100).collect();
            out.rule(format_args!("{matches} goto policy_{number} comment \"{name}\""));
        }
    }
    if !plan.config.policies.is_empty() {
        out.rule(format_args!("goto policy_0"));
    }
}

/// What is no single host's address elsewhere. (Neither `!= unicast` nor `prohibit`: for IPv6 nft asks all of the routing, as if the router itself
/// sent the packet with its client's source. OpenWrt's default route is none for clients whose address the router has to translate, and an ip
/// rule of netifd's prohibits what then is left. A link's table has a route. What the main table prohibits is among the direct ones.)
pub(super) const NO_HOST: &str = "fib daddr type { local, broadcast, anycast, multicast, blackhole }";

/// Protocols of which no copy is ever sent.
const fn not_raced(ipv4: bool) -> &'static str {
    if ipv4 { "meta l4proto != { tcp, udp, icmp }" } else { "meta l4proto != { tcp, udp, ipv6-icmp }" }
}

fn write_classify(out: &mut Writer, plan: &Plan) {
    let (marks, main) = (plan.config.main.mark_mask, &plan.config.main);
    out.chain(format_args!("new"), None);
    // What began before us keeps the way that it has.
    out.rule(format_args!("ct state != new return"));
    out.rule(format_args!("{NO_HOST} return"));
    out.rules(&["ip daddr @ipv4_direct return", "ip6 daddr @ipv6_direct return"]);
    foreign::write(out, plan);
    tunnel::write_routes(out, plan);
    // Of a lost link's connections, those in a flowtable were forgotten: they are reset here, before a server finds them a stranger's, or
    // keeps silent about that. Not for long: what conntrack forgot by its timeout may go on.
    if !fallen(plan).is_empty() {
        out.rule(format_args!("tcp flags & (syn | rst) == 0 meta nfproto @fallen reject with tcp reset"));
    }
    out.rule(format_args!("goto rules"));
    // Who is not served keeps what it has: from when it was, or what came to it from outside.
    out.chain(format_args!("unserved"), None);
    known::write(out, plan, false);
    out.chain(format_args!("classify"), Some("filter hook prerouting priority mangle + 1"));
    for link in with_devices(plan) {
        out.rule(format_args!("iifname \"{}\" accept", link.device));
    }
    if !main.lan_device.is_empty() {
        let devices: Vec<String> = main.lan_device.iter().map(|device| format!("\"{device}\"")).collect();
        out.rule(format_args!("iifname != {{ {} }} goto unserved", commas(&devices)));
    }
    known::write(out, plan, true);
    out.rule(format_args!("goto new"));
    for link in with_devices(plan) {
        // A connection from outside is answered through the link that it came in by, unless from next door.
        out.chain(format_args!("outside_{}", link.id), None);
        out.rules(&["ct state != new return", "ip saddr @ipv4_direct return", "ip6 saddr @ipv6_direct return"]);
        out.rule(format_args!("goto save_{}", link.id));
    }
    translated::write(out, plan);
    // Chains of type nat see a flow's first packet only: what happens here costs the others nothing. A race's winner is
    // translated as its conntrack entry says, but only where any such chain stands: it puts up the hooks of both families
    // (nf_nat_register_fn). The user's firewall may have none, or only IPv4's.
    out.chain(format_args!("begins"), Some("nat hook prerouting priority dstnat - 10"));
    let links = with_devices(plan);
    if !links.is_empty() {
        out.rule(format_args!("iifname vmap {{ {} }}", by_device(&links, "goto outside")));
    }
    // An error or a reset that the router itself sends about a connection: its client's is not to leave by the connection's link.
    out.chain(format_args!("about"), None);
    out.rule(format_args!("{NO_HOST} accept"));
    out.rules(&["ip daddr @ipv4_direct accept", "ip6 daddr @ipv6_direct accept"]);
    known::write(out, plan, false);
    write_asked(out, plan);
    out.chain(format_args!("local"), Some("route hook output priority mangle"));
    // The daemon's own packets know their way.
    out.rule(format_args!("meta mark & {:#010x} != 0 return", marks.mask()));
    out.rule(format_args!("ct state related goto about"));
    known::write(out, plan, main.local_traffic);
    out.rule(format_args!("goto asked"));
}

/// The router's own connections keep the link that their program asked for: by the address of another link than the one that
/// the main table leads them to, or by a device that it does not lead them to. (Of its own device nobody can tell.)
fn write_asked(out: &mut Writer, plan: &Plan) {
    let local = plan.config.main.local_traffic;
    out.chain(format_args!("asked"), None);
    out.rule(format_args!("ct state != new return"));
    out.rule(format_args!("{NO_HOST} return"));
    out.rules(&["ip daddr @ipv4_direct return", "ip6 daddr @ipv6_direct return"]);
    for link in with_devices(plan) {
        for (ip, ipv4) in [("ip", true), ("ip6", false)] {
            let like = if ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let Some(address) = link.address(like) else { continue };
            let (device, id) = (&link.device, link.id);
            let to = if plan.spares_own(link) { "asked" } else { "link" };
            if !plan.is_shared(link, address) {
                if local {
                    // A tunnel's far end knows this address alone; its program need not have asked for more than the main table's way.
                    out.rule(format_args!("{} {ip} saddr {address} goto {to}_{id}", not_raced(ipv4)));
                }
                out.rule(format_args!("{ip} saddr {address} oifname != \"{device}\" oifname @links goto {to}_{id}"));
                // Nor does a peer's route lead it elsewhere.
                for tunnel in plan.tunnels.iter().filter(|tunnel| tunnel.way.is_some_and(|way| way != id)) {
                    if !tunnel.routes(ipv4).is_empty() {
                        let tunnel = &tunnel.device;
                        out.rule(format_args!("{ip} saddr {address} oifname \"{tunnel}\" goto {to}_{id}"));
                    }
                }
            }
            if local && !link.is_main(ipv4) {
                out.rule(format_args!(
                    "meta nfproto ipv{} oifname \"{device}\" goto {to}_{id}",
                    if ipv4 { 4 } else { 6 }
                ));
            }
        }
    }
    if local {
        let foreign = plan.foreign.map(|foreign| foreign.known_devices(plan)).filter(|devices| !devices.is_empty());
        if let Some(devices) = foreign {
            out.rule(format_args!("oifname != {{ {devices} }} return"));
        }
        out.rule(format_args!("goto rules"));
    }
}

/// One chain for all that leaves, after the user's firewall. Packets of known flows pass its first rule.
fn write_leave(out: &mut Writer, plan: &Plan, raced: usize) {
    let marks = plan.config.main.mark_mask;
    out.chain(format_args!("save"), None);
    // Marked packets are looked up in their link's table alone, which has no way next door.
    out.rules(&["ip daddr @ipv4_direct return", "ip6 daddr @ipv6_direct return"]);
    // What leaves by a link that is down does so by the default route, whatever we think of the link: it is not to be reset.
    let reset = |link: &Link| [true, false].map(|ipv4| known::is_reset(plan, link, ipv4));
    let (saved, lost): (Vec<_>, Vec<_>) =
        with_devices(plan).into_iter().partition(|link| reset(link) == [false, false]);
    if !saved.is_empty() {
        out.rule(format_args!("oifname vmap {{ {} }}", by_device(&saved, "jump save")));
    }
    for link in lost.iter().filter(|link| reset(link) != [true, true]) {
        let family = if reset(link) == [true, false] { "ipv6" } else { "ipv4" };
        out.rule(format_args!("meta nfproto {family} oifname \"{}\" jump save_{}", link.device, link.id));
    }
    out.chain(format_args!("plain"), None);
    let clear = out.set_mark(marks.stage_mask(), 0);
    out.rule(format_args!("{clear}"));
    // What leaves by no link is no link's, whatever its policy has written there.
    let clear = out.set_ct_mark(marks.link_mask(), 0);
    out.rule(format_args!("{clear}"));
    out.rule(format_args!("goto save"));
    let policies = (1..=raced as u32).map(|number| (number, number << marks.mask().trailing_zeros()));
    for (number, _) in policies.clone() {
        out.chain(format_args!("race_{number}"), None);
        // Should the daemon let it pass, or be gone, it goes on as one that was never raced.
        out.rule(format_args!("jump save"));
        out.rule(format_args!("goto queue_{number}"));
    }
    out.chain(format_args!("queues"), None);
    // What a policy of IPsec's takes is seen here before it is encrypted: copies would go as they are.
    if plan.ipsec {
        out.rule(format_args!("rt ipsec exists goto plain"));
    }
    // Another route than a link's, such as a VPN's: there is nothing to race.
    out.rules(&["oifname != @links goto plain", "meta nfproto != @alive goto plain"]);
    if raced > 0 {
        // Nor where it leaves by another link than its mark's: its program is bound to that device, and would not hear what comes in by
        // another; or an ip rule before ours leads there.
        for link in racing(plan) {
            let mark = marks.link(link.id);
            let marked = format!("meta mark & {:#010x} == {mark:#010x}", marks.link_mask());
            out.rule(format_args!("{marked} oifname != \"{}\" goto plain", link.device));
        }
        let to: Vec<String> = policies.map(|(number, policy)| format!("{policy:#010x} : goto race_{number}")).collect();
        out.rule(format_args!("ct mark & {:#010x} vmap {{ {} }}", marks.link_mask(), commas(&to)));
    }
    out.rule(format_args!("goto plain"));
    out.chain(format_args!("leave"), Some("filter hook postrouting priority mangle - 10"));
    out.rule(format_args!("ct state != new return"));
    let queued = format!("meta mark & {:#010x} == {:#010x}", marks.stage_mask(), marks.stage(Stage::Queue));
    out.rule(format_args!("{queued} goto queues"));
    out.rule(format_args!("goto save"));
}

/// The elements of a map from a link's device to `verdict`, whose chain ends in the link's number.
fn by_device(links: &[&Link], verdict: &str) -> String {
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
fn racing<'p>(plan: &Plan<'p>) -> Vec<&'p Link> {
    let mut links = with_devices(plan);
    links.retain(|link| !plan.is_peer(link.id));
    links
}

/// The prefixes of a family, without those inside another.
pub(super) fn widest(prefixes: &[Prefix], ipv4: bool) -> Vec<Prefix> {
    let mut kept: Vec<Prefix> = Vec::new();
    // In the order of their lengths, without the code that sorting takes.
    for length in 0..=128 {
        for prefix in prefixes {
            let ours = prefix.is_ipv4() == ipv4 && prefix.length() == length;
            if ours && !kept.iter().any(|wider| wider.overlaps(*prefix)) {
                kept.push(*prefix);
            }
        }
    }
    kept
}
