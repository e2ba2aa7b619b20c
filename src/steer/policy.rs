//! A policy: from its mode and the links that are up to the rules that write the mark.

use crate::config::{Config, LastResort, Mode, PolicyConfig};
use crate::family::Family;
use crate::link::{Link, Stage};
use crate::prefix::Prefix;
use crate::race::Rules;
use crate::text::commas;
use crate::time::Span;

use super::global::{delegated, write_prefixes};
use super::ruleset::{REFUSE, widest};
use super::writer::Writer;
use super::{Plan, known};

/// TCP ports whose helpers must see the whole connection (`nf_conntrack_helper`): FTP, RTSP, H.323, PPTP, SIP, SANE, IRC.
/// A conntrack entry that we make has no helper, so these take the best link instead.
pub(super) const HELPED_PORTS: [u16; 7] = [21, 554, 1720, 1723, 5060, 6566, 6667];

/// Traceroute's packets live for so many hops at most (mtr and tracert: 30); systems' usual ones for 64 and more.
const TRACED_HOPS: u8 = 32;

/// More clients than a home or an office has; 100 bytes each. One that finds no room is dealt anew each time.
const STICKY_CLIENTS: usize = 4096;

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
pub fn best<'l>(links: &'l [Link], policy: &PolicyConfig, family: Family) -> (Vec<&'l Link>, usize) {
    let own = own_links(links, policy);
    let mut links: Vec<&Link> = Vec::new();
    for link in own.filter(|link| link.usable(family)) {
        // Among equals, the order of the list. Metered links come last, so they are used when nothing else is up.
        let at = links.partition_point(|one| (one.metered, one.metric) <= (link.metered, link.metric));
        links.insert(at, link);
    }
    let equal = |link: &&&Link| (link.metered, link.metric) == (links[0].metered, links[0].metric);
    let sharing = match policy.mode {
        Mode::Weighted => links.iter().filter(|link| link.metered == links[0].metered).count(),
        // Without metrics the order of the list decides, so nothing is shared.
        Mode::Failover if links.first().is_some_and(|link| link.metric > 0) => links.iter().filter(equal).count(),
        _ => links.len().min(1),
    };
    (links, sharing)
}

/// Global unicast addresses of IPv6 (RFC 4291, section 2.4).
const GLOBAL: &str = "ip6 saddr 2000::/3";

/// The links that a policy names, in its order.
fn own_links<'l>(links: &'l [Link], policy: &PolicyConfig) -> impl Iterator<Item = &'l Link> {
    policy.link.iter().filter_map(move |name| links.iter().find(|link| link.name == *name))
}

/// Where a global address comes from that leaves by a link: its clients, and the router itself if that is steered.
pub(super) fn prefixes(plan: &Plan, link: &Link) -> Vec<Prefix> {
    let own = link.ipv6.filter(|_| plan.config.main.local_traffic);
    let own = own.and_then(|side| Prefix::new(side.address.into(), 128));
    delegated(link).into_iter().chain(own).collect()
}

/// Writes the chain of a policy: `number` counts all policies, `raced` those in mode race.
pub(super) fn write(out: &mut Writer, plan: &Plan, policy: &PolicyConfig, number: usize, raced: Option<usize>) {
    let sticky = policy.sticky > Span::ZERO && policy.mode.uses_links();
    if sticky {
        write_sticky(out, plan, policy, number);
    }
    out.chain(format_args!("policy_{number}"), None);
    match policy.mode {
        Mode::Blackhole => return out.rule(format_args!("drop")),
        Mode::Unreachable => return out.rule(format_args!("{REFUSE}")),
        Mode::Race | Mode::Weighted | Mode::Failover | Mode::Aggregate => {}
    }
    let refuse = match policy.last_resort {
        LastResort::Default => None,
        LastResort::Unreachable => Some(REFUSE),
        LastResort::Blackhole => Some("drop"),
    };
    if plan.config.main.translate_ipv6 {
        // They are as good as local.
    } else if let Some(refuse) = refuse {
        // Whoever wants no other way than the policy's links gets none.
        for link in own_links(plan.links, policy).filter(|link| link.usable(Family::Ipv6)) {
            write_prefixes(out, &widest(&prefixes(plan, link), Family::Ipv6), format_args!("goto link_{}", link.id));
        }
        out.rule(format_args!("{GLOBAL} {refuse}"));
    } else {
        out.rule(format_args!("{GLOBAL} goto global"));
    }
    for family in Family::BOTH {
        let of_family = format!("meta nfproto {}", family.name());
        let (links, sharing) = best(plan.links, policy, family);
        let Some(first) = links.first() else {
            out.rule(format_args!("{of_family} {}", refuse.unwrap_or("return")));
            continue;
        };
        if known::is_displaced(plan, policy, first, family) {
            let displaced = plan.config.main.mark_mask.displaced();
            let set = out.set_ct_mark(displaced, displaced);
            out.rule(format_args!("{of_family} {set}"));
        }
        let to = if sticky { format!("stick_{number}") } else { "link".into() };
        if sticky {
            let (ip, four) = (family.ip(), family.version());
            let allowed =
                |link: &&&Link| link.metered == first.metered && !known::is_outdone(plan, policy, link, family);
            for link in links.iter().filter(allowed) {
                out.rule(format_args!("{ip} saddr @sticky_{number}_{}_{four} goto {to}_{}", link.id, link.id));
            }
        }
        if sharing > 1 {
            let mut at = 0;
            let shares: Vec<String> = links
                .iter()
                .take(sharing)
                .map(|link| {
                    let from = at;
                    at += u32::from(link.weight.max(1));
                    format!("{from}-{} : goto {to}_{}", at - 1, link.id)
                })
                .collect();
            // Each connection is dealt by itself: only its first packet comes here. By chance, not in turn: programs open
            // connections in patterns, and a turn that meets them would give one link all that is heavy.
            out.rule(format_args!("{of_family} numgen random mod {at} vmap {{ {} }}", commas(&shares)));
            continue;
        }
        // Metered links race only when there is no other, and a race needs two.
        let racing: Vec<&Link> = links.iter().copied().take_while(|link| link.metered == first.metered).collect();
        if let (Some(raced), [_, second, ..]) = (raced, &*racing) {
            // The errors that such a packet is sent for would find no connection: a copy has none.
            let hops = match family {
                Family::Ipv4 => "ip ttl",
                Family::Ipv6 => "ip6 hoplimit",
            };
            out.rule(format_args!("{hops} <= {TRACED_HOPS} goto {to}_{}", first.id));
            let others = racing.iter().any(|link| plan.spares_own(link)).then(|| format!("{of_family} iif != 0"));
            // A program that is bound to the main table's device cannot be told from one that is not, until the mark leads elsewhere.
            if plan.config.main.local_traffic && first.is_main(family) && others.is_none() {
                write_race(out, plan, (&format!("{of_family} oifname \"{}\"", first.device), family), raced, second);
            }
            write_race(out, plan, (others.as_deref().unwrap_or(&of_family), family), raced, first);
        }
        out.rule(format_args!("{of_family} goto {to}_{}", first.id));
    }
}

/// The sets that say which client has which link, and a chain for each link that notes it. An address is in one of them at
/// most: whoever had to move stays where it went.
fn write_sticky(out: &mut Writer, plan: &Plan, policy: &PolicyConfig, number: usize) {
    let links: Vec<&Link> = own_links(plan.links, policy).collect();
    for link in &links {
        for family in Family::BOTH {
            let about = format!("{} {}", policy.name, link.name);
            let set = format!("sticky_{number}_{}_{}", link.id, family.version());
            out.memory(&set, &about, &format!("type {}_addr", family.name()), STICKY_CLIENTS);
        }
    }
    let seconds = policy.sticky.as_secs().max(1);
    for link in &links {
        out.chain(format_args!("stick_{number}_{}", link.id), None);
        for family in Family::BOTH {
            let (ip, four) = (family.ip(), family.version());
            for other in links.iter().filter(|other| other.id != link.id) {
                out.rule(format_args!("delete @sticky_{number}_{}_{four} {{ {ip} saddr }}", other.id));
            }
            // In a rule by itself: with the set full it ends here, and the connection still takes the link.
            out.rule(format_args!("update @sticky_{number}_{}_{four} {{ {ip} saddr timeout {seconds}s }}", link.id));
        }
        out.rule(format_args!("goto link_{}", link.id));
    }
}

/// What is raced gets the best link's mark all the same: that is the way it takes when the daemon cannot race it.
fn write_race(out: &mut Writer, plan: &Plan, (matching, family): (&str, Family), raced: usize, best: &Link) {
    let marks = plan.config.main.mark_mask;
    let goto = {
        let mark = marks.link(best.id) | marks.stage(Stage::Queue);
        // Until its fate is known, a connection's own mark says which policy's queue it is for.
        let policy = (raced as u32 + 1) << marks.mask().trailing_zeros();
        format!("{} {} accept", out.set_ct_mark(marks.link_mask(), policy), out.set_mark(marks.mask(), mark))
    };
    let helped = commas(&HELPED_PORTS.map(|port| port.to_string()));
    out.rule(format_args!("{matching} tcp flags & (syn | ack) == syn tcp dport != {{ {helped} }} {goto}"));
    let ports: Vec<String> = plan.config.main.race_ports_udp.iter().map(ToString::to_string).collect();
    if !ports.is_empty() {
        out.rule(format_args!("{matching} udp dport {{ {} }} {goto}", commas(&ports)));
    }
    out.rule(format_args!("{matching} {} type echo-request {goto}", family.icmp_header()));
}
