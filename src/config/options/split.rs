//! Connections over two paths.

use super::Shape::{self, Bool, OneOf};
use super::Without::{Default, Required};
use super::{Spec, one};

#[rustfmt::skip]
pub(super) const OPTIONS: &[Spec] = &[
    one("side", OneOf(&["sender", "receiver"]), Required { example: &["sender"] },
        "Which end this host is. A receiver gets a routing table for each of the two addresses, a loose rp_filter and \
         arp_filter on their devices; a sender gets forwarding, of the addresses' family. All of it is undone when the split \
         goes."),
    one("enabled", Bool, Default(&["1"]),
        "Whether it is used."),
    one("primary", Shape::Endpoint, Required { example: &["192.0.2.11:443"] },
        "Where clients connect to: an address of the receiver, and the port."),
    one("secondary", Shape::Endpoint, Required { example: &["198.51.100.12:443"] },
        "Another address of the receiver. While the link or device that the main routing table reaches it by is down, \
         everything takes the first path. Both paths need the same MTU."),
    one("ratio", Shape::Ratio, Default(&["1:1"]),
        "How many packets take the first path and how many the second: the ratio of their bandwidths. Only of side sender."),
];
