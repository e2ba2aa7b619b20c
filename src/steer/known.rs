//! Connections that have a link: conntrack remembers it, and their packets take it; or they are told to begin anew.

use crate::config::{LinkConfig, Mode, OnDown, OnUp, PolicyConfig};
use crate::family::Family;
use crate::link::Link;

use super::writer::Writer;
use super::{Plan, policy};

/// What conntrack remembers goes its way; others go on to the next rule. A map would cost a packet more than two or three
/// comparisons. `movable`: unless it is to begin anew.
pub(super) fn write(out: &mut Writer, plan: &Plan, movable: bool) {
    let marks = plan.config.main.mark_mask;
    for link in plan.links {
        let mark = marks.link(link.id);
        let moves = Family::BOTH.iter().any(|family| is_reset(plan, link, *family) || returns(plan, link, *family));
        let fate = match movable && moves {
            true => format!("goto moved_{}", link.id),
            false => format!("{} accept", out.set_mark(marks.mask(), mark)),
        };
        out.rule(format_args!("ct mark & {:#010x} == {mark:#010x} {fate}", marks.link_mask()));
    }
}

/// The chains that [`fn@write`] leads to: only links whose connections are to move have one, so that others' packets pay nothing.
pub(super) fn write_moved(out: &mut Writer, plan: &Plan) {
    let marks = plan.config.main.mark_mask;
    // To the one who began it, and who can begin anew. What came from outside is left to its far end; a RST goes its way,
    // which spares the far end a dead connection if the link carries anything; and a SYN without answer is no connection yet.
    let reset = "tcp flags & rst == 0 ct direction original ct status seen-reply reject with tcp reset";
    let displaced = format!("ct mark & {0:#010x} == {0:#010x} ", marks.displaced());
    for link in plan.links {
        let whose = |family| match () {
            () if is_reset(plan, link, family) => Some(""),
            () if returns(plan, link, family) => Some(&*displaced),
            () => None,
        };
        let both = Family::BOTH.map(whose);
        if both == [None; 2] {
            continue;
        }
        out.chain(format_args!("moved_{}", link.id), None);
        if both[0] == both[1] {
            out.rule(format_args!("{}{reset}", both[0].unwrap_or_default()));
        } else {
            for (family, whose) in Family::BOTH.iter().zip(both) {
                if let Some(whose) = whose {
                    out.rule(format_args!("meta nfproto {} {whose}{reset}", family.name()));
                }
            }
        }
        let set = out.set_mark(marks.mask(), marks.link(link.id));
        out.rule(format_args!("{set} accept"));
    }
}

/// Whether the TCP connections of a family, whose link no longer carries them, are to begin anew, and can.
pub(super) fn is_reset(plan: &Plan, link: &Link, family: Family) -> bool {
    plan.lost[family.index()].contains(link.id)
        && settings(plan, link).map_or(plan.is_peer(link.id), |settings| settings.on_down == OnDown::Reset)
        && can_move(plan, link, family)
}

/// Whether connections of a family that a link no longer carries have somewhere to go: another link. From one that is down, they
/// may go over to the other family as well.
pub fn can_move(plan: &Plan, link: &Link, family: Family) -> bool {
    plan.links.iter().any(|other| other.usable(family) || other.up && !link.up)
}

/// Whether connections that a failover policy gave to this link, for want of a better one, are to go back to that. Another
/// policy that still makes do with this link keeps them all here: they would only come again.
pub fn returns(plan: &Plan, link: &Link, family: Family) -> bool {
    let mut wanted = false;
    for policy in &plan.config.policies {
        let (links, sharing) = policy::best(plan.links, policy, family);
        let is_used = links.iter().take(sharing).any(|used| used.id == link.id);
        if is_used && is_displaced(plan, policy, link, family) {
            return false;
        }
        wanted |= is_outdone(plan, policy, link, family);
    }
    wanted
}

/// Whether a connection that takes `link` by this policy does so for want of a better one that wants it back.
pub(super) fn is_displaced(plan: &Plan, policy: &PolicyConfig, link: &Link, family: Family) -> bool {
    better(plan, policy, link).any(|better| !better.usable(family))
}

/// Whether this policy has a better one for connections of this link, which wants them back.
pub(super) fn is_outdone(plan: &Plan, policy: &PolicyConfig, link: &Link, family: Family) -> bool {
    better(plan, policy, link).any(|better| better.usable(family))
}

/// The links that a failover policy prefers to this one, up or not, and that want their connections back; none if the
/// policy does not use this one.
fn better<'p>(plan: &Plan<'p>, policy: &'p PolicyConfig, link: &'p Link) -> impl Iterator<Item = &'p Link> {
    let plan = *plan;
    let rank = |link: &Link| (link.metered, link.metric);
    let own = policy.link.iter().position(|name| *name == link.name && policy.mode == Mode::Failover);
    policy.link.iter().enumerate().filter_map(move |(place, name)| {
        let other = plan.links.iter().find(|other| other.name == *name)?;
        // Of an equal metric, links share; without metrics the list's order decides.
        let earlier = rank(other) == rank(link) && link.metric == 0 && place < own?;
        let wants = settings(&plan, other).is_some_and(|settings| settings.on_up == OnUp::Return);
        (own.is_some() && wants && (rank(other) < rank(link) || earlier)).then_some(other)
    })
}

fn settings<'p>(plan: &Plan<'p>, link: &Link) -> Option<&'p LinkConfig> {
    plan.config.links.iter().find(|settings| settings.name == link.name)
}
