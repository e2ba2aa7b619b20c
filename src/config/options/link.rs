//! WAN ports.

use super::Shape::{self, Bool, OneOf};
use super::Without::Default;
use super::{HOUR, Spec, count, list, one, otherwise, time};
use crate::time::Span;

#[rustfmt::skip]
pub(super) const OPTIONS: &[Spec] = &[
    one("interface", Shape::Name, otherwise("the section's name", &["wan"]),
        "The interface in /etc/config/network. Its device, addresses and gateways are asked of netifd. A device has one link for \
         both address families: interfaces of IPv6 alone on it, such as wan6, are part of that."),
    one("device", Shape::Device, otherwise("what netifd says of the interface", &["eth1"]),
        "The kernel's device, for systems without netifd. It stands in place of interface."),
    one("gateway", Shape::Ipv4, otherwise("the default route through the device", &["192.0.2.1"]),
        "The next hop for IPv4. Only with device."),
    one("gateway6", Shape::Ipv6, otherwise("the default route through the device", &["fe80::1"]),
        "The next hop for IPv6. Only with device."),
    list("prefix", Shape::PrefixIpv6, otherwise("none", &["2001:db8:1000::/56"]),
        "IPv6 prefixes that this link's provider delegated. Clients with such an address leave by this link and are \
         not raced."),
    one("enabled", Bool, Default(&["1"]),
        "Whether the link is used. Policies may name a link that is not."),
    one("weight", count(1, 1000, ""), Default(&["1"]),
        "The link's share of connections among links that are otherwise equal. With 3 and 1, three of four take the \
         first."),
    one("metric", count(0, 65535, ""), Default(&["0"]),
        "The link's place in its policies: the lowest metric comes first; where it is the same, the policy's order decides. \
         Mode failover uses the first link, or by weight all that share its metric, unless that is 0. Mode race gives the \
         first link what is not raced."),
    one("metered", Bool, Default(&["0"]),
        "Whether traffic costs money. A metered link is used only while no other link of the policy is up."),
    one("handicap", time(Span::ZERO, Span::from_secs(2)), Default(&["0"]),
        "How long the link's answer to a race is held back in favour of the others."),
    one("on_down", OneOf(&["reset", "flush", "keep"]), Default(&["reset"]),
        "What becomes of the link's connections when it goes down. reset: while another link is up, clients' TCP \
         connections are reset when they next send, so that they reconnect over that; all else moves there by itself. \
         flush: conntrack forgets them; what they send next leaves by another link, where TCP servers refuse it. keep: \
         they wait for the link. A connection without an answer yet always moves."),
    one("on_up", OneOf(&["keep", "return"]), Default(&["keep"]),
        "What becomes of connections that failover policies gave to lesser links while this one was down, when it is up \
         again. keep: they stay there; return: they are moved as by on_down reset."),
    list("probe", Shape::Target,
        otherwise("none: only races and the carrier tell", &["icmp:1.1.1.1", "dns:9.9.9.9"]),
        "Who is asked, through this link, whether it works; up to 8 of icmp:ADDRESS, tcp:ADDRESS:PORT, dns:ADDRESS[/NAME] \
         and http:HOST[:PORT][/PATH], with IPv6 addresses in brackets where a port follows, and a path's commas as %2C. A \
         dns probe is good if any answer comes but SERVFAIL. An http probe is good only if the page is empty (status 204, or \
         200 without content), so that a captive portal is noticed: set reliability to the number of probes, as a portal \
         lets others pass. The path is /generate_204 unless given, and a host's name is resolved over the link by its dns probes, or else 9.9.9.9."),
    one("interval", time(Span::from_millis(100), HOUR),
        otherwise("300ms; 5s with an http probe; 10s on a metered link", &["300ms"]),
        "The time from one round of probes to the next. At 300ms a silent loss is known within a second, and one icmp and one \
         dns probe take 110 MB a day. Races that a link does not answer have it probed at once, whatever the interval."),
    one("timeout", time(Span::from_millis(50), Span::from_secs(60)), Default(&["1s"]),
        "How long a probe's answer is waited for. It may exceed the interval."),
    one("down", count(1, 100, "rounds"), Default(&["3"]),
        "After this many failed rounds in a row the link is down."),
    one("up", count(1, 100, "rounds"), Default(&["3"]),
        "After this many good rounds in a row the link is up again."),
    one("reliability", count(1, 100, "probes"), Default(&["1"]),
        "A round is good if at least this many of the probes were answered."),
    one("loss_down", count(1, 99, "percent"), otherwise("off", &["20"]),
        "The link is down while more of its last 32 probes are lost. Of several hosts, the one that answers best counts. A \
         link that went down more than twice in a short time must work for 5s, 10s, and so on up to 1m before it is used \
         again, unless there is no other."),
    one("loss_up", count(0, 99, "percent"), otherwise("half of loss_down", &["10"]),
        "A link that is down because of loss_down is used again when no more than this are lost."),
    one("latency_down", time(Span::from_millis(1), Span::from_secs(60)), otherwise("off", &["500ms"]),
        "The link is down while most of its last 16 round trips take longer. It should be below the timeout."),
    one("latency_up", time(Span::from_millis(1), Span::from_secs(60)),
        otherwise("four fifths of latency_down", &["400ms"]),
        "A link that is down because of latency_down is used again when most round trips take no longer than this."),
];
