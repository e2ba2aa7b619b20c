//! Clients with a global IPv6 address, which nobody translates.

use core::fmt;

use crate::family::Family;
use crate::link::Link;
use crate::prefix::Prefix;
use crate::text::commas;

use super::Plan;
use super::ruleset::{REFUSE, widest};
use super::writer::Writer;

/// A global IPv6 address is its client's own: it is not translated, so it leaves by the link that it was delegated over, or as
/// the main table says (which may look at the source, as netifd's does).
pub(super) fn write(out: &mut Writer, plan: &Plan) {
    out.chain(format_args!("global"), None);
    for link in first_up(plan) {
        let prefixes = widest(&delegated(link), Family::Ipv6);
        if link.usable(Family::Ipv6) {
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
