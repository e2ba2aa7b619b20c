//! A policy: from its mode and the links that are up to the rules that write the mark.

use crate::config::{Config, LastResort, Mode, PolicyConfig};
use crate::link::{Link, Stage};
use crate::race::Rules;

use super::Plan;
use super::writer::Writer;

/// TCP ports whose helpers must see the whole connection (`nf_conntrack_helper`): FTP, RTSP, H.323, PPTP, SIP, SANE. A
/// conntrack entry that we make has no helper, so these take the best link instead.
const HELPED_PORTS: &str = "21, 554, 1720, 1723, 5060, 6566";

/// The policies in mode race with the rules that the race core needs, in the order of their queues.
pub fn raced_policies(config: &Config, links: &[Link]) -> Vec<(usize, Rules)> {
    let id = |name: &String| links.iter().find(|link| link.name == *name).map(|link| link.id);
    let raced = config.policies.iter().enumerate().filter(|(_, policy)| policy.mode == Mode::Race);
    raced
        .map(|(index, policy)| {
            let links = policy.link.iter().filter_map(id).collect();
            (index, Rules { links, remember: policy.remember, tie: policy.tie })
        })
        .collect()
}

/// The links that a policy uses now in one family, the best first, with the number that share the load: more than one in
/// mode weighted, and in mode failover where the lowest metric is shared.
pub fn best<'l>(plan: &Plan<'l>, policy: &PolicyConfig, ipv4: bool) -> (Vec<&'l Link>, usize) {
    let mut links: Vec<&Link> = policy
        .link
        .iter()
        .filter_map(|name| plan.links.iter().find(|link| link.name == *name))
        .filter(|link| link.up && if ipv4 { link.ipv4.is_some() } else { link.ipv6.is_some() })
        .collect();
    // Stable: among equals, the order of the list. Metered links come last, so they are used when nothing else is up.
    links.sort_by_key(|link| (link.metered, link.metric));
    let equal = |link: &&&Link| (link.metered, link.metric) == (links[0].metered, links[0].metric);
    let sharing = match policy.mode {
        Mode::Weighted => links.iter().filter(|link| link.metered == links[0].metered).count(),
        // Without metrics the order of the list decides, so nothing is shared.
        Mode::Failover if links.first().is_some_and(|link| link.metric > 0) => links.iter().filter(equal).count(),
        _ => links.len().min(1),
    };
    (links, sharing)
}

/// Writes the chain of a policy: `number` counts all policies, `raced` those in mode race.
pub(super) fn write(out: &mut Writer, plan: &Plan, policy: &PolicyConfig, number: usize, raced: Option<usize>) {
    out.chain(&format!("policy_{number}"), None);
    match policy.mode {
        Mode::Blackhole => return out.rule("drop"),
        Mode::Unreachable => return out.rule("reject with icmpx type no-route"),
        Mode::Race | Mode::Weighted | Mode::Failover => {}
    }
    out.rule("ip6 saddr 2000::/3 goto global");
    for ipv4 in [true, false] {
        let family = if ipv4 { "meta nfproto ipv4" } else { "meta nfproto ipv6" };
        let (links, sharing) = best(plan, policy, ipv4);
        let Some(first) = links.first() else {
            match policy.last_resort {
                LastResort::Default => out.rule(&format!("{family} return")),
                LastResort::Unreachable => out.rule(&format!("{family} reject with icmpx type no-route")),
                LastResort::Blackhole => out.rule(&format!("{family} drop")),
            }
            continue;
        };
        if sharing > 1 {
            let mut at = 0;
            let shares: Vec<String> = links
                .iter()
                .take(sharing)
                .map(|link| {
                    let from = at;
                    at += u32::from(link.weight.max(1));
                    format!("{from}-{} : goto link_{}", at - 1, link.id)
                })
                .collect();
            // Each connection is dealt by itself: only its first packet comes here.
            out.rule(&format!("{family} numgen random mod {at} vmap {{ {} }}", shares.join(", ")));
            continue;
        }
        // Metered links race only when there is no other, and a race needs two.
        let racing = links.iter().filter(|link| link.metered == first.metered).count();
        if let Some(raced) = raced.filter(|_| racing > 1) {
            write_race(out, plan, (family, ipv4), raced, first);
        }
        out.rule(&format!("{family} goto link_{}", first.id));
    }
}

/// What is raced gets the best link's mark all the same: that is the way it takes when the daemon cannot race it.
fn write_race(out: &mut Writer, plan: &Plan, (family, ipv4): (&str, bool), raced: usize, best: &Link) {
    let marks = plan.config.main.mark_mask;
    let goto = {
        let mark = marks.link(best.id) | marks.stage(Stage::Queue);
        // Until its fate is known, a connection's own mark says which policy's queue it is for.
        let policy = (raced as u32 + 1) << marks.mask().trailing_zeros();
        format!("{} {} accept", out.set_ct_mark(marks.link_mask(), policy), out.set_mark(marks.mask(), mark))
    };
    out.rule(&format!("{family} tcp flags & (syn | ack) == syn tcp dport != {{ {HELPED_PORTS} }} {goto}"));
    let ports: Vec<String> = plan.config.main.race_ports_udp.iter().map(ToString::to_string).collect();
    if !ports.is_empty() {
        out.rule(&format!("{family} udp dport {{ {} }} {goto}", ports.join(", ")));
    }
    let echo = if ipv4 { "icmp type echo-request" } else { "icmpv6 type echo-request" };
    out.rule(&format!("{family} {echo} {goto}"));
}
