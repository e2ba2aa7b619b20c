//! Which connections take which policy.

use super::Shape::{self, Bool, OneOf};
use super::Without::{Default, Required};
use super::{Spec, list, one, otherwise};

#[rustfmt::skip]
pub(super) const OPTIONS: &[Spec] = &[
    one("policy", Shape::Name, Required { example: &["fastest"] },
        "The policy that the connections take."),
    one("enabled", Bool, Default(&["1"]),
        "Whether the rule is used."),
    one("family", OneOf(&["any", "ipv4", "ipv6"]), Default(&["any"]),
        "The address family."),
    list("proto", Shape::Protocol, otherwise("all", &["tcp"]),
        "Protocols. icmp means that of either family."),
    list("src_ip", Shape::Prefix, otherwise("any", &["192.168.1.0/24", "2001:db8::10"]),
        "The client's address."),
    list("dest_ip", Shape::Prefix, otherwise("any", &["198.51.100.7", "2001:db8:2::/48"]),
        "The server's address."),
    list("src_port", Shape::Ports, otherwise("any", &["1024-65535"]),
        "The client's port. It needs proto tcp, udp or both."),
    list("dest_port", Shape::Ports, otherwise("any", &["80", "8000-8100"]),
        "The server's port. It needs proto tcp, udp or both."),
    one("src_device", Shape::Device, otherwise("any", &["br-guest"]),
        "The device that the connection comes in by."),
    one("nftset", Shape::NftSet, otherwise("none", &["video"]),
        "The server's address is in one of the nft sets of this name, with 4 or 6 added, in table inet cheaproute. \
         dnsmasq-full fills them: nftset=/example.com/4#inet#cheaproute#video4,6#inet#cheaproute#video6. (OpenWrt's plain \
         dnsmasq does not start with such a line.) They are empty after a restart of cheaproute: killall -HUP dnsmasq makes \
         dnsmasq ask anew."),
];
