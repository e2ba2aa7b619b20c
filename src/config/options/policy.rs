//! How connections choose among links.

use super::Shape::{self, OneOf};
use super::Without::Default;
use super::{DAY, Spec, list, one, otherwise, time};
use crate::time::Span;

#[rustfmt::skip]
pub(super) const OPTIONS: &[Spec] = &[
    one("mode", OneOf(&["race", "weighted", "failover", "aggregate", "blackhole", "unreachable"]), Default(&["race"]),
        "race: the link that answers first; weighted: by the links' weights; failover: the first link that is up; \
         aggregate: all links at once, by way of a peer; blackhole: drop in silence; unreachable: refuse."),
    list("link", Shape::Name, otherwise("all links", &["wan", "wanb"]),
        "The links to choose from, in order of preference. Clients with a global IPv6 address leave by the link that it was \
         delegated over, whatever stands here, unless last_resort is another than default."),
    one("peer", Shape::Name, otherwise("none", &["vps"]),
        "The peer, of role client, whose device the connections take while it is up. Only in mode aggregate. Clients with a \
         global IPv6 address are not sent there: they leave by the link that it was delegated over, or as last_resort says."),
    one("remember", time(Span::ZERO, DAY), Default(&["0"]),
        "For how long the winner of a race is tried first by later connections to the same service. 0 races each of \
         them. Only in mode race."),
    one("tie", time(Span::ZERO, Span::from_secs(1)), Default(&["2ms"]),
        "Links whose remembered times differ by less than this, or by less than 10 %, are equal, and weight decides. \
         Only in mode race."),
    one("sticky", time(Span::ZERO, DAY), Default(&["0"]),
        "For how long after its last new connection a client keeps its link, while that is up: for servers that dislike \
         a change of address. 0 chooses for each connection. Only in modes weighted and failover; 4096 clients of \
         either family."),
    one("last_resort", OneOf(&["default", "unreachable", "blackhole"]), Default(&["default"]),
        "What happens while no link of the policy, or its peer, is up. default: the router's default route. The others \
         refuse or drop; that is also what becomes of clients with a global IPv6 address that none of the policy's links, as far \
         as they are up, delegated."),
];
