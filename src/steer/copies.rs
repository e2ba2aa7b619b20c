//! What a race sends and hears: its copies' tuples, the answers to them, and the queues.

use crate::family::Family;
use crate::link::Stage;

use super::ruleset::racing;
use super::writer::Writer;
use super::{Plan, QUEUE, Queueing};

/// ICMP errors in a second that the daemon looks at: a flood of them must not fill the queue of answers.
const ERRORS: u32 = 100;

/// Three chains a family: the tuple of a copy is noted, that of an answer is known or not, or is forgotten.
pub(super) fn write_tuples(out: &mut Writer, plan: &Plan, family: Family) {
    let (ip, ipv, icmp) = (family.ip(), family.name(), family.icmp_header());
    let marks = plan.config.main.mark_mask;
    out.chain(format_args!("{ipv}_note"), None);
    // A link that is a tunnel of the kernel's leaves a copy's mark on the packet around it: that one is no copy.
    out.rule(format_args!("{} return", not_raced(family)));
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
    let error = match family {
        Family::Ipv4 => "destination-unreachable icmp code != frag-needed",
        Family::Ipv6 => "destination-unreachable",
    };
    out.rule(format_args!("{icmp} type {error} limit rate {ERRORS}/second {queue}"));
    out.chain(format_args!("{ipv}_forget"), None);
    out.rule(format_args!("meta l4proto udp delete @{ipv}_answers {{ {answer} }}"));
    out.rule(format_args!("{icmp} type echo-reply delete @{ipv}_echoes {{ {echo} }}"));
    let clear = out.set_mark(marks.mask(), 0);
    out.rule(format_args!("{clear} accept"));
}

/// Protocols of which no copy is ever sent. ICMP by its numbers: for the names nft may need /etc/protocols.
pub(super) const fn not_raced(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "meta l4proto != { tcp, udp, 1 }",
        Family::Ipv6 => "meta l4proto != { tcp, udp, 58 }",
    }
}

/// A chain for each queue: the first for answers, then one for each policy that races.
pub(super) fn write_queues(out: &mut Writer, plan: &Plan, raced: usize) {
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

pub(super) fn write_answers(out: &mut Writer, plan: &Plan) {
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

pub(super) fn write_sent(out: &mut Writer, plan: &Plan) {
    let marks = plan.config.main.mark_mask;
    let stage = format!("meta mark & {:#010x} ==", marks.stage_mask());
    out.chain(format_args!("sent"), Some("filter hook output priority raw - 10"));
    out.rule(format_args!("{stage} {:#010x} meta nfproto ipv4 goto ipv4_note", marks.stage(Stage::Copy)));
    out.rule(format_args!("{stage} {:#010x} meta nfproto ipv6 goto ipv6_note", marks.stage(Stage::Copy)));
    // The daemon's heartbeat, one for both families, goes no further.
    let beat = marks.stage(Stage::Decided);
    out.rule(format_args!("{stage} {beat:#010x} update @alive {{ ipv4 }} update @alive {{ ipv6 }} drop"));
}
