//! The whole ruleset.

use std::fmt::Write;

use crate::config::Prefix;
use crate::link::{Link, Marks, Stage};

use super::{ALIVE_SECONDS, EXPECT_SECONDS, Plan, QUEUE, Queueing, TABLE, policy, raced_policies, rule};

/// A ruleset, to be loaded in one of two ways.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ruleset {
    table: String,
    chains: Vec<String>,
}

impl Ruleset {
    /// Replaces whatever table of ours is there.
    pub fn fresh(&self) -> String {
        format!("add table inet {TABLE}\ndelete table inet {TABLE}\n{}", self.table)
    }

    /// Replaces the rules that `old` loaded and keeps what the kernel learned: races in flight go on.
    pub fn after(&self, old: &Ruleset) -> String {
        let mut text = format!("flush table inet {TABLE}\n");
        for set in STATIC_SETS {
            let _ = writeln!(text, "flush set inet {TABLE} {set}");
        }
        text += &self.table;
        for chain in old.chains.iter().filter(|chain| !self.chains.contains(chain)) {
            let _ = writeln!(text, "delete chain inet {TABLE} {chain}");
        }
        text
    }
}

/// Sets whose elements stand in the ruleset; the others learn theirs.
const STATIC_SETS: [&str; 3] = ["links", "ipv4_direct", "ipv6_direct"];

/// A race is kept for 4 s; the kernel's tuples of its copies live for [`EXPECT_SECONDS`], and until its garbage collection
/// comes by they take room: 7 s and more, measured on 6.18. In a full set a copy's answer is not noted, and is lost.
const LINGER: usize = 3;

/// What takes the table away.
pub fn removal() -> String {
    format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")
}

/// The ruleset for a plan.
pub fn ruleset(plan: &Plan) -> Ruleset {
    let mut out = Writer { text: format!("table inet {TABLE} {{\n"), chains: Vec::new(), open: false };
    write_sets(&mut out, plan);
    write_link_chains(&mut out, plan);
    for family in FAMILIES {
        write_tuples(&mut out, plan, family);
    }
    write_global(&mut out, plan);
    write_answers(&mut out, plan);
    write_sent(&mut out, plan);
    let raced = raced_policies(plan.config, plan.links);
    for (number, policy) in plan.config.policies.iter().enumerate() {
        let place = raced.iter().position(|(index, _)| *index == number);
        policy::write(&mut out, plan, policy, number, place);
    }
    write_rules(&mut out, plan);
    write_classify(&mut out, plan);
    write_leave(&mut out, plan, raced.len());
    out.close();
    out.text += "}\n";
    Ruleset { table: out.text, chains: out.chains }
}

/// A table's text as it grows.
pub(super) struct Writer {
    text: String,
    chains: Vec<String>,
    open: bool,
}

impl Writer {
    /// Begins a chain; `hook`: where it hangs, `None` for one that is jumped to.
    pub fn chain(&mut self, name: &str, hook: Option<&str>) {
        self.close();
        self.open = true;
        self.chains.push(name.to_owned());
        let _ = writeln!(self.text, "\tchain {name} {{");
        if let Some(hook) = hook {
            let _ = writeln!(self.text, "\t\ttype {hook}; policy accept;");
        }
    }

    pub fn rule(&mut self, rule: &str) {
        let _ = writeln!(self.text, "\t\t{rule}");
    }

    /// The statement that replaces the bits of `mask` in the packet's mark.
    pub fn set_mark(&self, mask: u32, value: u32) -> String {
        format!("meta mark set meta mark & {:#010x} | {value:#010x}", !mask)
    }

    pub fn set_ct_mark(&self, mask: u32, value: u32) -> String {
        format!("ct mark set ct mark & {:#010x} | {value:#010x}", !mask)
    }

    fn close(&mut self) {
        if core::mem::take(&mut self.open) {
            self.text += "\t}\n";
        }
    }

    fn set(&mut self, name: &str, kind: &str, flags: &str, more: &str, elements: &[String]) {
        let _ = write!(self.text, "\tset {name} {{\n\t\t{kind};\n");
        if !flags.is_empty() {
            let _ = writeln!(self.text, "\t\tflags {flags};");
        }
        self.text += more;
        if !elements.is_empty() {
            let _ = writeln!(self.text, "\t\telements = {{ {} }}", elements.join(", "));
        }
        self.text += "\t}\n";
    }
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
    let devices: Vec<String> = with_devices(plan).map(|link| format!("\"{}\"", link.device)).collect();
    out.set("links", "type ifname", "", "", &devices);
    out.set(
        "alive",
        "typeof meta nfproto",
        "dynamic, timeout",
        &format!("\t\ttimeout {ALIVE_SECONDS}s;\n\t\tsize 4;\n"),
        &[],
    );
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

/// Where a connection's fate is known: its packets' mark names the link, or its own does.
fn write_link_chains(out: &mut Writer, plan: &Plan) {
    let marks = plan.config.main.mark_mask;
    for link in plan.links {
        let mark = marks.link(link.id);
        out.chain(&format!("link_{}", link.id), None);
        let set = out.set_mark(marks.mask(), mark);
        out.rule(&format!("{set} accept"));
        out.chain(&format!("save_{}", link.id), None);
        let set = out.set_ct_mark(marks.link_mask(), mark);
        out.rule(&set);
    }
}

/// Three chains a family: the tuple of a copy is noted, that of an answer is known or not, or is forgotten.
fn write_tuples(out: &mut Writer, plan: &Plan, Words { ip, ipv, icmp, .. }: Words) {
    let marks = plan.config.main.mark_mask;
    out.chain(&format!("{ipv}_note"), None);
    // A reset expects no answer.
    out.rule("tcp flags rst notrack accept");
    out.rule(&format!(
        "meta l4proto {{ tcp, udp }} update @{ipv}_answers {{ meta l4proto . {ip} daddr . th dport . {ip} saddr . th sport }}"
    ));
    out.rule(&format!("{icmp} type echo-request update @{ipv}_echoes {{ {ip} daddr . {icmp} id . {ip} saddr }}"));
    out.rule("notrack accept");
    let answer = format!("meta l4proto . {ip} saddr . th sport . {ip} daddr . th dport");
    let echo = format!("{ip} saddr . {icmp} id . {ip} daddr");
    out.chain(&format!("{ipv}_answer"), None);
    let queue = match plan.queueing {
        Queueing::Nft => format!("queue num {QUEUE} bypass"),
        Queueing::Xtables => format!("{} accept", out.set_mark(marks.mask(), marks.stage(Stage::Queue))),
    };
    // A tuple is expected for longer than a daemon that hangs counts as alive: meanwhile its client's repeated SYN, which
    // goes the plain way from the same port, needs that answer.
    let queue = format!("meta nfproto @alive {queue}");
    out.rule(&format!("meta l4proto {{ tcp, udp }} {answer} @{ipv}_answers {queue}"));
    out.rule(&format!("{icmp} type echo-reply {echo} @{ipv}_echoes {queue}"));
    out.chain(&format!("{ipv}_forget"), None);
    out.rule(&format!("meta l4proto udp delete @{ipv}_answers {{ {answer} }}"));
    out.rule(&format!("{icmp} type echo-reply delete @{ipv}_echoes {{ {echo} }}"));
}

/// A global IPv6 address is its client's own: it is not translated, so it leaves by the link that it was delegated over, or as
/// the main table says (which may look at the source, as netifd's does).
fn write_global(out: &mut Writer, plan: &Plan) {
    out.chain("global", None);
    for link in plan.links {
        let delegated = link.delegated.iter().filter_map(|(address, length)| Prefix::new((*address).into(), *length));
        let delegated = widest(&delegated.collect::<Vec<_>>(), false);
        if link.up && link.ipv6.is_some() && !delegated.is_empty() {
            let prefixes: Vec<String> = delegated.iter().map(ToString::to_string).collect();
            out.rule(&format!("ip6 saddr {{ {} }} goto link_{}", prefixes.join(", "), link.id));
        }
    }
    out.rule("return");
}

fn write_answers(out: &mut Writer, plan: &Plan) {
    let marks = plan.config.main.mark_mask;
    out.chain("answers", Some("filter hook prerouting priority raw - 10"));
    // Of TCP, only a SYN-ACK or a RST decides a race. First, since most packets are neither, and every packet comes by here.
    out.rule("tcp flags & (syn | rst) == 0 accept");
    out.rule("iifname != @links return");
    out.rule("meta nfproto ipv4 goto ipv4_answer");
    out.rule("meta nfproto ipv6 goto ipv6_answer");
    out.chain("decided", None);
    let decided = format!("meta mark & {:#010x} == {:#010x}", marks.stage_mask(), marks.stage(Stage::Decided));
    out.rule(&format!("{decided} meta nfproto ipv4 jump ipv4_forget"));
    out.rule(&format!("{decided} meta nfproto ipv6 jump ipv6_forget"));
    let clear = out.set_mark(marks.mask(), 0);
    out.rule(&clear);
}

fn write_sent(out: &mut Writer, plan: &Plan) {
    let marks = plan.config.main.mark_mask;
    let stage = format!("meta mark & {:#010x} ==", marks.stage_mask());
    out.chain("sent", Some("filter hook output priority raw - 10"));
    out.rule(&format!("{stage} {:#010x} meta nfproto ipv4 goto ipv4_note", marks.stage(Stage::Copy)));
    out.rule(&format!("{stage} {:#010x} meta nfproto ipv6 goto ipv6_note", marks.stage(Stage::Copy)));
    // The daemon's heartbeat goes no further.
    out.rule(&format!("{stage} {:#010x} update @alive {{ meta nfproto }} drop", marks.stage(Stage::Decided)));
}

fn write_rules(out: &mut Writer, plan: &Plan) {
    out.chain("rules", None);
    for rule in &plan.config.rules {
        let Some(number) = plan.config.policies.iter().position(|policy| policy.name == rule.policy) else { continue };
        for matches in rule::matches(rule) {
            // nft keeps up to 128 bytes of a comment.
            let name: String = rule.name.chars().take(100).collect();
            out.rule(&format!("{matches} goto policy_{number} comment \"{name}\""));
        }
    }
    if !plan.config.policies.is_empty() {
        out.rule("goto policy_0");
    }
}

fn write_classify(out: &mut Writer, plan: &Plan) {
    let (marks, main) = (plan.config.main.mark_mask, &plan.config.main);
    // What conntrack remembers; others go on to the next rule.
    let to = plan.links.iter().map(|link| format!("{:#010x} : goto link_{}", marks.link(link.id), link.id));
    let to = to.collect::<Vec<_>>().join(", ");
    let known = format!("ct mark & {:#010x} vmap {{ {to} }}", marks.link_mask());
    // A connection from outside is answered through the link that it came in by, unless from next door.
    out.chain("arriving", None);
    out.rule(&format!("meta mark & {:#010x} != 0 jump decided", marks.mask()));
    out.rule(&format!("ct state != new return\n\t\tct mark & {:#010x} != 0 return", marks.link_mask()));
    out.rule("ip saddr @ipv4_direct return");
    out.rule("ip6 saddr @ipv6_direct return");
    if with_devices(plan).next().is_some() {
        out.rule(&format!("iifname vmap {{ {} }}", by_device(plan, "save")));
    }
    out.chain("new", None);
    // What began before us keeps the way that it has.
    out.rule("ct state != new return");
    out.rule("fib daddr type != unicast return");
    out.rule("ip daddr @ipv4_direct return");
    out.rule("ip6 daddr @ipv6_direct return");
    out.rule("goto rules");
    out.chain("classify", Some("filter hook prerouting priority mangle"));
    // Two or three comparisons cost a packet less than a look into a set of names.
    for link in with_devices(plan) {
        out.rule(&format!("iifname \"{}\" goto arriving", link.device));
    }
    if !main.lan_device.is_empty() {
        let devices: Vec<String> = main.lan_device.iter().map(|device| format!("\"{device}\"")).collect();
        out.rule(&format!("iifname != {{ {} }} return", devices.join(", ")));
    }
    if !plan.links.is_empty() {
        out.rule(&known);
    }
    out.rule("goto new");
    out.chain("local", Some("route hook output priority mangle"));
    // The daemon's own packets know their way.
    out.rule(&format!("meta mark & {:#010x} != 0 return", marks.mask()));
    if !plan.links.is_empty() {
        out.rule(&known);
    }
    if main.local_traffic {
        out.rule("goto new");
    }
}

/// One chain for all that leaves, after the user's firewall. Packets of known flows pass its first rule.
fn write_leave(out: &mut Writer, plan: &Plan, raced: usize) {
    let marks = plan.config.main.mark_mask;
    out.chain("save", None);
    // Marked packets are looked up in their link's table alone, which has no way next door.
    out.rule("ip daddr @ipv4_direct return");
    out.rule("ip6 daddr @ipv6_direct return");
    if with_devices(plan).next().is_some() {
        out.rule(&format!("oifname vmap {{ {} }}", by_device(plan, "save")));
    }
    out.chain("plain", None);
    let clear = out.set_mark(marks.stage_mask(), 0);
    out.rule(&clear);
    out.rule("goto save");
    let policies = (1..=raced as u32).map(|number| (number, number << marks.mask().trailing_zeros()));
    for (number, policy) in policies.clone() {
        out.chain(&format!("queue_{number}"), None);
        // Should the daemon let it pass, or be gone, it goes on as one that was never raced.
        out.rule("jump save");
        match plan.queueing {
            Queueing::Nft => out.rule(&format!("queue num {} bypass", QUEUE + number as u16)),
            Queueing::Xtables => {
                // It has its route: the mark may say which queue it is for.
                let set = out.set_mark(marks.mask(), marks.stage(Stage::Queue) | policy);
                out.rule(&set);
            }
        }
    }
    out.chain("queues", None);
    // Another route than a link's, such as a VPN's: there is nothing to race.
    out.rule("oifname != @links goto plain");
    out.rule("meta nfproto != @alive goto plain");
    if raced > 0 {
        let to: Vec<String> =
            policies.map(|(number, policy)| format!("{policy:#010x} : goto queue_{number}")).collect();
        out.rule(&format!("ct mark & {:#010x} vmap {{ {} }}", marks.link_mask(), to.join(", ")));
    }
    out.rule("goto plain");
    out.chain("leave", Some("filter hook postrouting priority mangle - 10"));
    out.rule("ct state != new return");
    let queued = format!("meta mark & {:#010x} == {:#010x}", marks.stage_mask(), marks.stage(Stage::Queue));
    out.rule(&format!("{queued} goto queues"));
    out.rule("goto save");
    // A race's winner is translated as its conntrack entry says, but only where any chain of type nat stands: it puts up
    // the hooks of both families (nf_nat_register_fn). The user's firewall may have none, or only IPv4's.
    out.chain("translate", Some("nat hook postrouting priority srcnat + 10"));
}

fn by_device(plan: &Plan, chain: &str) -> String {
    let to: Vec<String> =
        with_devices(plan).map(|link| format!("\"{}\" : jump {chain}_{}", link.device, link.id)).collect();
    to.join(", ")
}

/// Links whose device is known; of two that share one, the first.
fn with_devices<'p>(plan: &Plan<'p>) -> impl Iterator<Item = &'p Link> {
    let links = plan.links;
    let first = |at: usize| links.iter().position(|link| link.device == links[at].device) == Some(at);
    links.iter().enumerate().filter(move |(at, link)| !link.device.is_empty() && first(*at)).map(|(_, link)| link)
}

/// The prefixes of a family, without those inside another.
fn widest(prefixes: &[Prefix], ipv4: bool) -> Vec<Prefix> {
    let mut ours: Vec<Prefix> = prefixes.iter().copied().filter(|prefix| prefix.is_ipv4() == ipv4).collect();
    ours.sort_by_key(|prefix| prefix.length());
    let mut kept: Vec<Prefix> = Vec::new();
    for prefix in ours {
        if !kept.iter().any(|wider| wider.overlaps(prefix)) {
            kept.push(prefix);
        }
    }
    kept
}

/// The commands that queue by mark, for kernels without `nft_queue`, and those that take them away again; each a program and
/// its arguments. Our own chains run just before those of these tables.
pub fn xtables(marks: Marks, raced: usize) -> (Vec<String>, Vec<String>) {
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    let stage = format!("-m mark --mark {:#x}/{:#x}", marks.stage(Stage::Queue), marks.stage_mask());
    for program in ["iptables", "ip6tables"] {
        for (table, hook) in [("raw", "PREROUTING"), ("mangle", "POSTROUTING")] {
            let run = format!("{program} -w -t {table}");
            add.push(format!("{run} -N {TABLE}"));
            if table == "raw" {
                add.push(format!("{run} -A {TABLE} -j NFQUEUE --queue-num {QUEUE} --queue-bypass"));
            } else {
                for number in 1..=raced as u32 {
                    let policy = number << marks.mask().trailing_zeros();
                    let mark = format!("-m mark --mark {policy:#x}/{:#x}", marks.link_mask());
                    let queue = QUEUE + number as u16;
                    add.push(format!("{run} -A {TABLE} {mark} -j NFQUEUE --queue-num {queue} --queue-bypass"));
                }
            }
            add.push(format!("{run} -A {hook} {stage} -j {TABLE}"));
            remove.push(format!("{run} -D {hook} {stage} -j {TABLE}"));
            remove.push(format!("{run} -F {TABLE}"));
            remove.push(format!("{run} -X {TABLE}"));
        }
    }
    (add, remove)
}
