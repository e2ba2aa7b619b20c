//! Somebody else's ip rules.

use super::Plan;
use super::ruleset::with_devices;
use super::writer::Writer;
use crate::family::Family;
use crate::text::commas;

/// Somebody else's ip rules that lead into tables: a VPN's, or those of other policies. What they want is not steered, though ours
/// come first: marks of ours would have overridden them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Foreign {
    /// Of packets with these marks: family, value, mask.
    pub marks: Vec<(Family, u32, u32)>,
    /// Of whatever else, of each family: where the routing leads it is asked of each connection.
    pub others: [bool; 2],
    /// The devices of the main table's default routes, which are nobody's choice.
    pub defaults: Vec<String>,
}

impl Foreign {
    /// The devices that connections are steered from: those of links and peers, and what the main table leads to by default.
    pub(super) fn known_devices(&self, plan: &Plan) -> String {
        let mut devices: Vec<&str> = with_devices(plan).iter().map(|link| &*link.device).collect();
        devices.extend(self.defaults.iter().map(|device| &**device));
        devices.sort_unstable();
        devices.dedup();
        commas(&devices.iter().map(|device| format!("\"{device}\"")).collect::<Vec<_>>())
    }
}

/// What somebody else's ip rules lead away is left to them.
pub(super) fn write(out: &mut Writer, plan: &Plan) {
    let Some(foreign) = plan.foreign else { return };
    for (family, value, mask) in &foreign.marks {
        let family = family.name();
        out.rule(format_args!("meta nfproto {family} meta mark & {mask:#010x} == {value:#010x} return"));
    }
    for (family, asked) in Family::BOTH.map(Family::name).into_iter().zip(foreign.others) {
        let devices = foreign.known_devices(plan);
        if asked && !devices.is_empty() {
            let way = "fib daddr . mark oif";
            out.rule(format_args!("meta nfproto {family} {way} exists {way}name != {{ {devices} }} return"));
        }
    }
}
