//! What begins, on its way in: which rule, policy and link it is for. Known connections keep theirs.

use crate::family::Family;
use crate::text::commas;

use super::copies::not_raced;
use super::ruleset::{by_device, fallen, with_devices};
use super::writer::Writer;
use super::{Plan, foreign, known, rule, translated, tunnel};

pub(super) fn write_rules(out: &mut Writer, plan: &Plan) {
    out.chain(format_args!("rules"), None);
    for rule in &plan.config.rules {
        let Some(number) = plan.config.policies.iter().position(|policy| policy.name == rule.policy) else { continue };
        for matches in rule::matches(rule) {
            // nft keeps up to 128 bytes of a comment.
            let name: String = rule.name.chars().take(100).collect();
            out.rule(format_args!("{matches} goto policy_{number} comment \"{name}\""));
        }
    }
    if !plan.config.policies.is_empty() {
        out.rule(format_args!("goto policy_0"));
    }
}

/// What is no single host's address elsewhere. (Neither `!= unicast` nor `prohibit`: for IPv6 nft asks all of the routing, as if the router itself
/// sent the packet with its client's source. OpenWrt's default route is none for clients whose address the router has to translate, and an ip
/// rule of netifd's prohibits what then is left. A link's table has a route. What the main table prohibits is among the direct ones.)
pub(super) const NO_HOST: &str = "fib daddr type { local, broadcast, anycast, multicast, blackhole }";

pub(super) fn write(out: &mut Writer, plan: &Plan) {
    let (marks, main) = (plan.config.main.mark_mask, &plan.config.main);
    out.chain(format_args!("new"), None);
    // What began before us keeps the way that it has.
    out.rule(format_args!("ct state != new return"));
    out.rule(format_args!("{NO_HOST} return"));
    out.rules(&["ip daddr @ipv4_direct return", "ip6 daddr @ipv6_direct return"]);
    foreign::write(out, plan);
    tunnel::write_routes(out, plan);
    // Of a lost link's connections, those in a flowtable were forgotten: they are reset here, before a server finds them a stranger's, or
    // keeps silent about that. Not for long: what conntrack forgot by its timeout may go on.
    if !fallen(plan).is_empty() {
        out.rule(format_args!("tcp flags & (syn | rst) == 0 meta nfproto @fallen reject with tcp reset"));
    }
    out.rule(format_args!("goto rules"));
    // Who is not served keeps what it has: from when it was, or what came to it from outside.
    out.chain(format_args!("unserved"), None);
    known::write(out, plan, false);
    out.chain(format_args!("classify"), Some("filter hook prerouting priority mangle + 1"));
    for link in with_devices(plan) {
        out.rule(format_args!("iifname \"{}\" accept", link.device));
    }
    if !main.lan_device.is_empty() {
        let devices: Vec<String> = main.lan_device.iter().map(|device| format!("\"{device}\"")).collect();
        out.rule(format_args!("iifname != {{ {} }} goto unserved", commas(&devices)));
    }
    known::write(out, plan, true);
    out.rule(format_args!("goto new"));
    for link in with_devices(plan) {
        // A connection from outside is answered through the link that it came in by, unless from next door.
        out.chain(format_args!("outside_{}", link.id), None);
        out.rules(&["ct state != new return", "ip saddr @ipv4_direct return", "ip6 saddr @ipv6_direct return"]);
        out.rule(format_args!("goto save_{}", link.id));
    }
    translated::write(out, plan);
    // Chains of type nat see a flow's first packet only: what happens here costs the others nothing. A race's winner is
    // translated as its conntrack entry says, but only where any such chain stands: it puts up the hooks of both families
    // (nf_nat_register_fn). The user's firewall may have none, or only IPv4's.
    out.chain(format_args!("begins"), Some("nat hook prerouting priority dstnat - 10"));
    let links = with_devices(plan);
    if !links.is_empty() {
        out.rule(format_args!("iifname vmap {{ {} }}", by_device(&links, "goto outside")));
    }
    // An error or a reset that the router itself sends about a connection: its client's is not to leave by the connection's link.
    out.chain(format_args!("about"), None);
    out.rule(format_args!("{NO_HOST} accept"));
    out.rules(&["ip daddr @ipv4_direct accept", "ip6 daddr @ipv6_direct accept"]);
    known::write(out, plan, false);
    write_asked(out, plan);
    out.chain(format_args!("local"), Some("route hook output priority mangle"));
    // The daemon's own packets know their way.
    out.rule(format_args!("meta mark & {:#010x} != 0 return", marks.mask()));
    out.rule(format_args!("ct state related goto about"));
    known::write(out, plan, main.local_traffic);
    out.rule(format_args!("goto asked"));
}

/// The router's own connections keep the link that their program asked for: by the address of another link than the one that
/// the main table leads them to, or by a device that it does not lead them to. (Of its own device nobody can tell.)
fn write_asked(out: &mut Writer, plan: &Plan) {
    let local = plan.config.main.local_traffic;
    out.chain(format_args!("asked"), None);
    out.rule(format_args!("ct state != new return"));
    out.rule(format_args!("{NO_HOST} return"));
    out.rules(&["ip daddr @ipv4_direct return", "ip6 daddr @ipv6_direct return"]);
    for link in with_devices(plan) {
        for family in Family::BOTH {
            let Some(address) = link.address(family) else { continue };
            let (device, id, ip) = (&link.device, link.id, family.ip());
            let to = if plan.spares_own(link) { "asked" } else { "link" };
            if !plan.is_shared(link, address) {
                if local {
                    // A tunnel's far end knows this address alone; its program need not have asked for more than the main table's way.
                    out.rule(format_args!("{} {ip} saddr {address} goto {to}_{id}", not_raced(family)));
                }
                out.rule(format_args!("{ip} saddr {address} oifname != \"{device}\" oifname @links goto {to}_{id}"));
                // Nor does a peer's route lead it elsewhere.
                for tunnel in plan.tunnels.iter().filter(|tunnel| tunnel.way.is_some_and(|way| way != id)) {
                    if !tunnel.routes(family).is_empty() {
                        let tunnel = &tunnel.device;
                        out.rule(format_args!("{ip} saddr {address} oifname \"{tunnel}\" goto {to}_{id}"));
                    }
                }
            }
            if local && !link.is_main(family) {
                out.rule(format_args!("meta nfproto {} oifname \"{device}\" goto {to}_{id}", family.name()));
            }
        }
    }
    if local {
        let foreign = plan.foreign.map(|foreign| foreign.known_devices(plan)).filter(|devices| !devices.is_empty());
        if let Some(devices) = foreign {
            out.rule(format_args!("oifname != {{ {devices} }} return"));
        }
        out.rule(format_args!("goto rules"));
    }
}
