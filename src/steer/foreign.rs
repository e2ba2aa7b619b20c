//! Somebody else's ip rules.

use super::Plan;
use super::ruleset::with_devices;
use super::writer::Writer;
use crate::text::commas;

/// Somebody else's ip rules that lead into tables: a VPN's, or those of other policies. What they want is not steered, though ours
/// come first: marks of ours would have overridden them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Foreign {
    /// Of packets with these marks: IPv4's or not, value, mask.
    pub marks: Vec<(bool, u32, u32)>,
    /// Of whatever else, in IPv4 and in IPv6: where the routing leads it is asked of each connection.
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
    for (ipv4, value, mask) in &foreign.marks {
        let family = if *ipv4 { "ipv4" } else { "ipv6" };
        out.rule(format_args!("meta nfproto {family} meta mark & {mask:#010x} == {value:#010x} return"));
    }
    for (family, asked) in [("ipv4", foreign.others[0]), ("ipv6", foreign.others[1])] {
        let devices = foreign.known_devices(plan);
        if asked && !devices.is_empty() {
            let way = "fib daddr . mark oif";
            out.rule(format_args!("meta nfproto {family} {way} exists {way}name != {{ {devices} }} return"));
        }
    }
}
