//! What begins, on its way out, after the user's firewall: it is queued for its race, or its link is noted.

use crate::family::Family;
use crate::link::{Link, Stage};
use crate::text::commas;

use super::ruleset::{by_device, racing, with_devices};
use super::writer::Writer;
use super::{Plan, known};

/// One chain for all that leaves, after the user's firewall. Packets of known flows pass its first rule.
pub(super) fn write(out: &mut Writer, plan: &Plan, raced: usize) {
    let marks = plan.config.main.mark_mask;
    out.chain(format_args!("save"), None);
    // Marked packets are looked up in their link's table alone, which has no way next door.
    out.rules(&["ip daddr @ipv4_direct return", "ip6 daddr @ipv6_direct return"]);
    // What leaves by a link that is down does so by the default route, whatever we think of the link: it is not to be reset.
    let reset = |link: &Link| Family::BOTH.map(|family| known::is_reset(plan, link, family));
    let (saved, lost): (Vec<_>, Vec<_>) =
        with_devices(plan).into_iter().partition(|link| reset(link) == [false, false]);
    if !saved.is_empty() {
        out.rule(format_args!("oifname vmap {{ {} }}", by_device(&saved, "jump save")));
    }
    for link in lost.iter().filter(|link| reset(link) != [true, true]) {
        let family = if reset(link) == [true, false] { Family::Ipv6 } else { Family::Ipv4 }.name();
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
