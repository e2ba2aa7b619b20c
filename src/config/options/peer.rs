//! Far ends that join links, and their clients.

use super::Shape::{self, Bool, OneOf};
use super::Without::{Default, Required};
use super::{KEY, Spec, count, list, one, otherwise, time};
use crate::bond::mtu::LARGEST_DEVICE;
use crate::time::Span;

#[rustfmt::skip]
pub(super) const OPTIONS: &[Spec] = &[
    one("role", OneOf(&["client", "server"]), Default(&["client"]),
        "client: this host has the links and calls the server. server: it is called, by one client or by many."),
    one("enabled", Bool, Default(&["1"]),
        "Whether the peer is used."),
    one("private_key", Shape::Key, otherwise("what private_key_file holds", KEY),
        "This end's key, of 'cheaproute genkey'. Nobody else must know it: mind who can read this file, and who may see \
         it in LuCI. private_key_file keeps it out of both."),
    one("private_key_file", Shape::Path, otherwise("none", &["/etc/cheaproute.key"]),
        "A file with the key, in place of private_key."),
    one("public_key", Shape::Key, otherwise("none", KEY),
        "The other end's key, as 'cheaproute pubkey' prints it there. A server with several clients has a section client for \
         each other one."),
    one("preshared_key", Shape::Key, otherwise("none", KEY),
        "A second secret, the same at both ends, of 'cheaproute genpsk'. It protects what is recorded today from computers \
         that can break the other keys one day."),
    list("endpoint", Shape::Host, otherwise("required, of role client", &["vps.example.net:7420"]),
        "Where the server is. With several, the next one is tried when one is silent for 2s. Only of role client and \
         transport udp."),
    one("listen_port", count(1, 65535, ""), otherwise("of a server required, of a client any", &["7420"]),
        "The UDP port of this end. The firewall must let it in at a server."),
    one("transport", OneOf(&["udp", "ethernet"]), Default(&["udp"]),
        "udp: through the Internet. ethernet: in frames between hosts on the same wires, without IP."),
    list("link", Shape::Local, otherwise("all links", &["wan", "wanb"]),
        "The links of a client, in the order of a failover scheduler; with transport ethernet, at both ends, the local devices."),
    list("remote_mac", Shape::Mac, otherwise("of a server: learned", &["02:00:00:00:00:01", "02:00:00:00:00:02"]),
        "The hardware address at the other end of each link, in the same order. Only of transport ethernet."),
    one("device", Shape::Device, otherwise("bond0, bond1 and so on", &["bond0"]),
        "The name of the network device. On OpenWrt it belongs into a firewall zone: list device 'bond0'."),
    list("address", Shape::Own, otherwise("none", &["10.74.20.2/24", "fd74:20::2/64"]),
        "Addresses of the device, with the length of the network's prefix."),
    list("route", Shape::Prefix, otherwise("none", &["0.0.0.0/0"]),
        "Whom to reach through the peer while it is up: 0.0.0.0/0 for all. It comes before rules and policies; connected \
         networks and other routes of the main table come first, default routes excepted. The links' own traffic keeps \
         its way. A server takes no route to all."),
    list("allowed_ips", Shape::Prefix, otherwise("of a server: the networks of address", &["10.74.20.2", "192.168.1.0/24"]),
        "What the client of this section may use as a source, and what is sent to it. Only of role server, with public_key."),
    one("mtu", count(576, LARGEST_DEVICE, "bytes"), otherwise("the largest that fits into every path", &["1400"]),
        "The largest packet inside. TCP connections are told of it by their MSS."),
    one("scheduler", OneOf(&["adaptive", "redundant", "weighted", "failover"]), Default(&["adaptive"]),
        "adaptive: each packet over the link where it arrives first; redundant: every packet over every link; weighted: by the \
         weights of the client's links; failover: the first link that works well, by their metrics or else the order of link. \
         Each end decides for what it sends."),
    one("latency_limit", time(Span::from_millis(5), Span::from_secs(2)), Default(&["150ms"]),
        "A packet that is later than this is not waited for and not sent again; scheduler failover leaves a link that is slower."),
    one("repair", Bool, Default(&["1"]),
        "Whether a packet that a link lost is sent again."),
    one("keepalive", time(Span::ZERO, Span::from_secs(300)), Default(&["10s"]),
        "How often an idle link says that it is there, so that no NAT on the way forgets it. 0: never. Only of role client."),
    one("metered_limit", Shape::Rate, otherwise("metered links only while no other is up", &["2mbit"]),
        "The rate that each metered link may carry all the time, in each direction. Only of role client."),
    one("masquerade", Bool, Default(&["0"]),
        "Whether clients reach other networks, such as the Internet, by this server's own addresses; forwarding is switched on for \
         it. Only of role server."),
];

#[rustfmt::skip]
pub(super) const CLIENT: &[Spec] = &[
    one("peer", Shape::Name, Required { example: &["vps"] },
        "The peer section, of role server, whose client it is."),
    one("public_key", Shape::Key, Required { example: KEY },
        "The client's key, as 'cheaproute pubkey' prints it there."),
    list("allowed_ips", Shape::Prefix, Required { example: &["10.74.20.3"] },
        "What the client may use as a source, and what is sent to it: its address, and networks behind it. No other client of \
         the peer may have the same."),
    one("enabled", Bool, Default(&["1"]),
        "Whether the client may come."),
    one("preshared_key", Shape::Key, otherwise("none", KEY),
        "A second secret, the same at both ends, of 'cheaproute genpsk'."),
];
