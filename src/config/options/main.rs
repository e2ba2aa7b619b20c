//! The daemon itself.

use super::Shape::{self, Bool, OneOf};
use super::Without::Default;
use super::{Spec, list, one, otherwise};

#[rustfmt::skip]
pub(super) const OPTIONS: &[Spec] = &[
    one("enabled", Bool, Default(&["1"]),
        "Whether the daemon runs."),
    one("log_level", OneOf(&["error", "warn", "info", "debug", "trace"]), Default(&["info"]),
        "How much is logged: this level and the graver ones. Addresses of clients appear only in debug and trace."),
    one("mark_mask", Shape::Mask, Default(&["0x3F000000"]),
        "The six adjacent bits of the packet mark that are cheaproute's. Move them if another program uses the same \
         ones. A change needs a restart (on OpenWrt, reloading the service restarts it); connections under way then lose \
         their links."),
    one("local_traffic", Bool, Default(&["0"]),
        "Whether the router's own connections are handled as those of clients are; among them its DNS forwarder's, which \
         asks for all clients. A program that asks for a link's address leaves by that link in any case."),
    one("translate_ipv6", Bool, Default(&["0"]),
        "Whether the firewall translates global IPv6 addresses too on every link (masq6 on OpenWrt): their clients are then raced \
         and steered as those with unique local ones, and need not leave by the link of their prefix."),
    list("lan_device", Shape::Device, otherwise("all devices but the links", &["br-lan"]),
        "Devices whose clients are served."),
    list("race_ports_udp", Shape::Ports, Default(&["53", "443"]),
        "UDP ports whose flows are raced by their first datagram; DNS and QUIC unless changed. Other UDP takes the \
         best link."),
    one("hook", Shape::Path, Default(&["/etc/cheaproute.user"]),
        "A script to run when a link or a peer comes (ACTION=connected) or goes (ACTION=disconnected), with LINK or PEER, \
         DEVICE, INTERFACE and REASON in its environment. Nothing happens if there is no such file."),
];
