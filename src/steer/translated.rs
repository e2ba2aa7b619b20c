//! Connections whose destination the router's firewall changed.

use super::Plan;
use super::classify::NO_HOST;
use super::writer::Writer;

/// What a firewall sends elsewhere, after it was classified by the address that the client asked for: to the router itself or
/// to a neighbour, it goes the plain way; to another host, it keeps its link, and is not raced, since the daemon would ask that
/// host in the name of the one that the client knows.
pub(super) fn write(out: &mut Writer, plan: &Plan) {
    let marks = plan.config.main.mark_mask;
    let (mark, link) = (out.set_mark(marks.mask(), 0), out.set_ct_mark(marks.link_mask(), 0));
    let stage = out.set_mark(marks.stage_mask(), 0);
    out.chain(format_args!("near"), None);
    out.rule(format_args!("{link}"));
    out.rule(format_args!("{mark} accept"));
    let write = |out: &mut Writer, name: &str, hook: &str| {
        out.chain(format_args!("{name}"), Some(hook));
        out.rules(&["ct state != new accept", "ct status & dnat == 0 accept"]);
        out.rule(format_args!("meta mark & {:#010x} == 0 accept", marks.mask()));
        out.rule(format_args!("{NO_HOST} goto near"));
        out.rules(&["ip daddr @ipv4_direct goto near", "ip6 daddr @ipv6_direct goto near"]);
        out.rule(format_args!("{link}"));
        out.rule(format_args!("{stage}"));
    };
    // None of type nat: such ones are not called any more once a translation is set up.
    write(out, "translated", "filter hook prerouting priority dstnat + 1");
    if plan.config.main.local_traffic {
        write(out, "translated_local", "route hook output priority -99");
    }
}
