//! The one option table. It drives parsing, defaults, ranges and the sample file; the documentation and the LuCI form's
//! help come from it too, so that none of them can drift apart.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::peer::{Endpoint, Key, Mac, OwnAddress, is_local, parse_rate};
use super::values::{
    NftSet, PortRange, Prefix, Protocol, Target, is_device, is_host, is_name, is_path, number, parse_bool, parse_hex,
    parse_span, span_text,
};
use crate::link::Marks;
use crate::split::{self, Ratio};
use crate::time::Span;

pub use super::sample::sample;

/// A section type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Main,
    Link,
    Policy,
    Rule,
    Split,
    Peer,
    Client,
}

/// An option of a section type.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub kind: Kind,
    pub name: &'static str,
    pub shape: Shape,
    /// Takes several values: `list` lines, or one `option` with blanks or commas between the values.
    pub list: bool,
    pub without: Without,
    /// One or two sentences for the sample file, the documentation and the form.
    pub doc: &'static str,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Bool,
    /// `unit` is what is counted; empty for a bare number.
    Integer {
        min: u16,
        max: u16,
        unit: &'static str,
    },
    Time {
        min: Span,
        max: Span,
    },
    OneOf(&'static [&'static str]),
    /// The name of a section or of an interface in `/etc/config/network`.
    Name,
    /// A network device of the kernel.
    Device,
    /// A file, by its whole path.
    Path,
    Ipv4,
    Ipv6,
    /// An address or a prefix of either family.
    Prefix,
    PrefixIpv6,
    Ports,
    Protocol,
    Target,
    NftSet,
    Mask,
    /// A host's address and a port.
    Endpoint,
    Ratio,
    Key,
    /// A host's address or name, and a port.
    Host,
    /// An address of a device of ours, with its prefix's length.
    Own,
    /// A link's name or a device.
    Local,
    Mac,
    Rate,
}

/// What holds while an option is not given.
#[derive(Clone, Copy, Debug)]
pub enum Without {
    /// These values, in UCI's words.
    Default(&'static [&'static str]),
    /// What is described; `example` is what a user might write.
    Otherwise { what: &'static str, example: &'static [&'static str] },
    /// A fault.
    Required { example: &'static [&'static str] },
}

/// A value that fits its option.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    Bool(bool),
    Integer(u16),
    Time(Span),
    Word(&'static str),
    Text(String),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    Prefix(Prefix),
    Ports(PortRange),
    /// `None` for all.
    Protocol(Option<Protocol>),
    Target(Target),
    NftSet(NftSet),
    Mask(Marks),
    Endpoint(SocketAddr),
    Ratio(Ratio),
    Key(Key),
    Host(Endpoint),
    Own(OwnAddress),
    Mac(Mac),
    /// Bits a second.
    Rate(u64),
}

impl Kind {
    pub const ALL: [Kind; 7] =
        [Kind::Main, Kind::Link, Kind::Policy, Kind::Rule, Kind::Split, Kind::Peer, Kind::Client];

    /// As the `config` line says it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Main => "cheaproute",
            Kind::Link => "link",
            Kind::Policy => "policy",
            Kind::Rule => "rule",
            Kind::Split => "split",
            Kind::Peer => "peer",
            Kind::Client => "client",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub const fn doc(self) -> &'static str {
        match self {
            Kind::Main => "The daemon itself.",
            Kind::Link => "A WAN port that connections can leave by. There may be 15.",
            Kind::Policy => "How connections choose among links.",
            Kind::Rule => {
                "Which connections take which policy. The first rule that matches decides, in the order of this \
                 file; where \
                 none does, the first policy. A rule matches if all of its options do."
            }
            Kind::Split => {
                "The packets of TCP connections to a host with two addresses, over two paths. Both ends need this section: \
                 the one with side sender spreads them, the other joins them. What this host sends is spread, and what it \
                 forwards, unless a firewall of either end translates addresses on one path only, or a flowtable takes the \
                 connection (flow offloading). There may be 32."
            }
            Kind::Peer => {
                "Another host with cheaproute, such as a VPS: between the two, even a single connection uses several links. Each \
                 has a device, through which 'list route' or a policy of mode aggregate leads; the router's firewall must let \
                 clients' traffic pass there, and masquerade it unless the server knows their addresses. There may be 15."
            }
            Kind::Client => "A client of a server's peer section, if that has more than one. There may be 1000.",
        }
    }

    /// This type's options, in the table's order.
    pub fn options(self) -> impl Iterator<Item = &'static Spec> {
        OPTIONS.iter().filter(move |spec| spec.kind == self)
    }

    pub fn option(self, name: &str) -> Option<&'static Spec> {
        self.options().find(|spec| spec.name == name)
    }
}

const fn one(kind: Kind, name: &'static str, shape: Shape, without: Without, doc: &'static str) -> Spec {
    Spec { kind, name, shape, list: false, without, doc }
}

const fn list(kind: Kind, name: &'static str, shape: Shape, without: Without, doc: &'static str) -> Spec {
    Spec { kind, name, shape, list: true, without, doc }
}

const fn count(min: u16, max: u16, unit: &'static str) -> Shape {
    Shape::Integer { min, max, unit }
}

const fn time(min: Span, max: Span) -> Shape {
    Shape::Time { min, max }
}

const fn otherwise(what: &'static str, example: &'static [&'static str]) -> Without {
    Without::Otherwise { what, example }
}

use Kind::{Client, Link, Main, Peer, Policy, Rule, Split};
use Shape::{Bool, OneOf};
use Without::{Default, Required};

const HOUR: Span = Span::from_secs(3_600);
const DAY: Span = Span::from_secs(86_400);

/// Well-formed, and nobody's: its bytes count from 0.
const KEY: &[&str] = &["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="];

/// Every option that there is.
#[rustfmt::skip]
pub static OPTIONS: &[Spec] = &[
    one(Main, "enabled", Bool, Default(&["1"]),
        "Whether the daemon runs."),
    one(Main, "log_level", OneOf(&["error", "warn", "info", "debug", "trace"]), Default(&["info"]),
        "How much is logged: this level and the graver ones. Addresses of clients appear only in debug and trace."),
    one(Main, "mark_mask", Shape::Mask, Default(&["0x3F000000"]),
        "The six adjacent bits of the packet mark that are cheaproute's. Move them if another program uses the same \
         ones."),
    one(Main, "local_traffic", Bool, Default(&["0"]),
        "Whether the router's own connections are handled as those of clients are; among them its DNS forwarder's, which \
         asks for all clients. A program that asks for a link's address leaves by that link in any case."),
    list(Main, "lan_device", Shape::Device, otherwise("all devices but the links", &["br-lan"]),
        "Devices whose clients are served."),
    list(Main, "race_ports_udp", Shape::Ports, Default(&["53", "443"]),
        "UDP ports whose flows are raced by their first datagram; DNS and QUIC unless changed. Other UDP takes the \
         best link."),
    one(Main, "hook", Shape::Path, Default(&["/etc/cheaproute.user"]),
        "A script to run when a link or a peer comes (ACTION=connected) or goes (ACTION=disconnected), with LINK or PEER, \
         DEVICE, INTERFACE and REASON in its environment. Nothing happens if there is no such file."),

    one(Link, "interface", Shape::Name, otherwise("the section's name", &["wan"]),
        "The interface in /etc/config/network. Its device, addresses and gateways are asked of netifd."),
    one(Link, "device", Shape::Device, otherwise("what netifd says of the interface", &["eth1"]),
        "The kernel's device, for systems without netifd. It stands in place of interface."),
    one(Link, "gateway", Shape::Ipv4, otherwise("the default route through the device", &["192.0.2.1"]),
        "The next hop for IPv4. Only with device."),
    one(Link, "gateway6", Shape::Ipv6, otherwise("the default route through the device", &["fe80::1"]),
        "The next hop for IPv6. Only with device."),
    list(Link, "prefix", Shape::PrefixIpv6, otherwise("none", &["2001:db8:1000::/56"]),
        "IPv6 prefixes that this link's provider delegated. Clients with such an address leave by this link and are \
         not raced."),
    one(Link, "enabled", Bool, Default(&["1"]),
        "Whether the link is used. Policies may name a link that is not."),
    one(Link, "weight", count(1, 1000, ""), Default(&["1"]),
        "The link's share of connections among links that are otherwise equal. With 3 and 1, three of four take the \
         first."),
    one(Link, "metric", count(0, 65535, ""), Default(&["0"]),
        "The link's place in a failover policy: the lowest comes first, then by weight. While all are 0, the policy's order decides."),
    one(Link, "metered", Bool, Default(&["0"]),
        "Whether traffic costs money. A metered link is used only while no other link of the policy is up."),
    one(Link, "handicap", time(Span::ZERO, Span::from_secs(2)), Default(&["0"]),
        "How long the link's answer to a race is held back in favour of the others."),
    one(Link, "on_down", OneOf(&["reset", "flush", "keep"]), Default(&["reset"]),
        "What becomes of the link's connections when it goes down. reset: while another link is up, clients' TCP \
         connections are reset when they next send, so that they reconnect over that; all else moves there by itself. \
         flush: conntrack forgets them; what they send next leaves by another link, where TCP servers refuse it. keep: \
         they wait for the link. A connection without an answer yet always moves."),
    one(Link, "on_up", OneOf(&["keep", "return"]), Default(&["keep"]),
        "What becomes of connections that failover policies gave to lesser links while this one was down, when it is up \
         again. keep: they stay there; return: they are moved as by on_down reset."),
    list(Link, "probe", Shape::Target,
        otherwise("none: only races and the carrier tell", &["icmp:1.1.1.1", "dns:9.9.9.9"]),
        "Who is asked, through this link, whether it works; up to 8 of icmp:ADDRESS, tcp:ADDRESS:PORT, dns:ADDRESS[/NAME] \
         and http:HOST[:PORT][/PATH], with IPv6 addresses in brackets where a port follows. A dns probe is good if any \
         answer comes. An http probe is good only if the page is empty (status 204, or 200 without content), so that a \
         captive portal is noticed: set reliability to the number of probes, as a portal lets others pass. The path is \
         /generate_204 unless given, and a host's name is resolved over the link by its first dns probe, or else 9.9.9.9."),
    one(Link, "interval", time(Span::from_millis(100), HOUR),
        otherwise("300ms; 5s with an http probe; 10s on a metered link", &["300ms"]),
        "The time from one round of probes to the next. At 300ms a silent loss is known within a second. Races that a link \
         does not answer have it probed at once, whatever the interval."),
    one(Link, "timeout", time(Span::from_millis(50), Span::from_secs(60)), Default(&["1s"]),
        "How long a probe's answer is waited for. It may exceed the interval."),
    one(Link, "down", count(1, 100, "rounds"), Default(&["3"]),
        "After this many failed rounds in a row the link is down."),
    one(Link, "up", count(1, 100, "rounds"), Default(&["3"]),
        "After this many good rounds in a row the link is up again."),
    one(Link, "reliability", count(1, 100, "probes"), Default(&["1"]),
        "A round is good if at least this many of the probes were answered."),
    one(Link, "loss_down", count(1, 99, "percent"), otherwise("off", &["20"]),
        "The link is down while more of its last 32 probes are lost. Of several hosts, the one that answers best counts. A \
         link that went down more than twice in a short time must work for 5s, 10s, and so on up to 1m before it is used \
         again, unless there is no other."),
    one(Link, "loss_up", count(0, 99, "percent"), otherwise("half of loss_down", &["10"]),
        "A link that is down because of loss_down is used again when no more than this are lost."),
    one(Link, "latency_down", time(Span::from_millis(1), Span::from_secs(60)), otherwise("off", &["500ms"]),
        "The link is down while most of its last 16 round trips take longer. It should be below the timeout."),
    one(Link, "latency_up", time(Span::from_millis(1), Span::from_secs(60)),
        otherwise("four fifths of latency_down", &["400ms"]),
        "A link that is down because of latency_down is used again when most round trips take no longer than this."),

    one(Policy, "mode", OneOf(&["race", "weighted", "failover", "aggregate", "blackhole", "unreachable"]), Default(&["race"]),
        "race: the link that answers first; weighted: by the links' weights; failover: the first link that is up; \
         aggregate: all links at once, by way of a peer; blackhole: drop in silence; unreachable: refuse."),
    list(Policy, "link", Shape::Name, otherwise("all links", &["wan", "wanb"]),
        "The links to choose from, in order of preference."),
    one(Policy, "peer", Shape::Name, otherwise("none", &["vps"]),
        "The peer, of role client, whose device the connections take while it is up. Only in mode aggregate. Clients with a \
         global IPv6 address are not sent there: they leave by the link that it was delegated over."),
    one(Policy, "remember", time(Span::ZERO, DAY), Default(&["0"]),
        "For how long the winner of a race is tried first by later connections to the same service. 0 races each of \
         them. Only in mode race."),
    one(Policy, "tie", time(Span::ZERO, Span::from_secs(1)), Default(&["2ms"]),
        "Links whose remembered times differ by less than this, or by less than 10 %, are equal, and weight decides. \
         Only in mode race."),
    one(Policy, "sticky", time(Span::ZERO, DAY), Default(&["0"]),
        "For how long after its last new connection a client keeps its link, while that is up: for servers that dislike \
         a change of address. 0 chooses for each connection. Only in modes weighted and failover; 4096 clients of \
         either family."),
    one(Policy, "last_resort", OneOf(&["default", "unreachable", "blackhole"]), Default(&["default"]),
        "What happens while no link of the policy, or its peer, is up. default: the router's default route."),

    one(Rule, "policy", Shape::Name, Required { example: &["fastest"] },
        "The policy that the connections take."),
    one(Rule, "enabled", Bool, Default(&["1"]),
        "Whether the rule is used."),
    one(Rule, "family", OneOf(&["any", "ipv4", "ipv6"]), Default(&["any"]),
        "The address family."),
    list(Rule, "proto", Shape::Protocol, Default(&["all"]),
        "Protocols. icmp means that of either family."),
    list(Rule, "src_ip", Shape::Prefix, otherwise("any", &["192.168.1.0/24", "2001:db8::10"]),
        "The client's address."),
    list(Rule, "dest_ip", Shape::Prefix, otherwise("any", &["198.51.100.7", "2001:db8:2::/48"]),
        "The server's address."),
    list(Rule, "src_port", Shape::Ports, otherwise("any", &["1024-65535"]),
        "The client's port. It needs proto tcp, udp or both."),
    list(Rule, "dest_port", Shape::Ports, otherwise("any", &["80", "8000-8100"]),
        "The server's port. It needs proto tcp, udp or both."),
    one(Rule, "src_device", Shape::Device, otherwise("any", &["br-guest"]),
        "The device that the connection comes in by."),
    one(Rule, "nftset", Shape::NftSet, otherwise("none", &["video"]),
        "The server's address is in one of the nft sets of this name, with 4 or 6 added, in table inet cheaproute. \
         dnsmasq fills them: nftset=/example.com/4#inet#cheaproute#video4,6#inet#cheaproute#video6."),

    one(Split, "side", OneOf(&["sender", "receiver"]), Required { example: &["sender"] },
        "Which end this host is. A receiver gets a routing table for each of the two addresses, a loose rp_filter and \
         arp_filter on their devices; a sender gets forwarding, of the addresses' family. All of it is undone when the split \
         goes."),
    one(Split, "enabled", Bool, Default(&["1"]),
        "Whether it is used."),
    one(Split, "primary", Shape::Endpoint, Required { example: &["192.0.2.11:443"] },
        "Where clients connect to: an address of the receiver, and the port."),
    one(Split, "secondary", Shape::Endpoint, Required { example: &["198.51.100.12:443"] },
        "Another address of the receiver. While the link or device that the main routing table reaches it by is down, \
         everything takes the first path. Both paths need the same MTU."),
    one(Split, "ratio", Shape::Ratio, Default(&["1:1"]),
        "How many packets take the first path and how many the second: the ratio of their bandwidths. Only of side sender."),

    one(Peer, "role", OneOf(&["client", "server"]), Default(&["client"]),
        "client: this host has the links and calls the server. server: it is called, by one client or by many."),
    one(Peer, "enabled", Bool, Default(&["1"]),
        "Whether the peer is used."),
    one(Peer, "private_key", Shape::Key, otherwise("what private_key_file holds", KEY),
        "This end's key, of 'cheaproute genkey'. Nobody else must know it: mind who can read this file."),
    one(Peer, "private_key_file", Shape::Path, otherwise("none", &["/etc/cheaproute.key"]),
        "A file with the key, in place of private_key."),
    one(Peer, "public_key", Shape::Key, otherwise("none", KEY),
        "The other end's key, as 'cheaproute pubkey' prints it there. A server with several clients has a section client for \
         each other one."),
    one(Peer, "preshared_key", Shape::Key, otherwise("none", KEY),
        "A second secret, the same at both ends, of 'cheaproute genpsk'. It protects what is recorded today from computers \
         that can break the other keys one day."),
    list(Peer, "endpoint", Shape::Host, otherwise("required, of role client", &["vps.example.net:7420"]),
        "Where the server is. With several, the next one is tried when one is silent for 2s. Only of role client and \
         transport udp."),
    one(Peer, "listen_port", count(1, 65535, ""), otherwise("of a server required, of a client any", &["7420"]),
        "The UDP port of this end. The firewall must let it in at a server."),
    one(Peer, "transport", OneOf(&["udp", "ethernet"]), Default(&["udp"]),
        "udp: through the Internet. ethernet: in frames between hosts on the same wires, without IP."),
    list(Peer, "link", Shape::Local, otherwise("all links", &["wan", "wanb"]),
        "The links of a client, in the order of a failover scheduler; with transport ethernet, at both ends, the local devices."),
    list(Peer, "remote_mac", Shape::Mac, otherwise("of a server: learned", &["02:00:00:00:00:01", "02:00:00:00:00:02"]),
        "The hardware address at the other end of each link, in the same order. Only of transport ethernet."),
    one(Peer, "device", Shape::Device, otherwise("bond0, bond1 and so on", &["bond0"]),
        "The name of the network device. On OpenWrt it belongs into a firewall zone: list device 'bond0'."),
    list(Peer, "address", Shape::Own, otherwise("none", &["10.74.20.2/24", "fd74:20::2/64"]),
        "Addresses of the device, with the length of the network's prefix."),
    list(Peer, "route", Shape::Prefix, otherwise("none", &["0.0.0.0/0"]),
        "Whom to reach through the peer while it is up: 0.0.0.0/0 for all. It comes before rules and policies; connected \
         networks and other routes of the main table come first, default routes excepted. The links' own traffic keeps \
         its way."),
    list(Peer, "allowed_ips", Shape::Prefix, otherwise("of a server: the networks of address", &["10.74.20.2", "192.168.1.0/24"]),
        "What the client of this section may use as a source, and what is sent to it. Only of role server, with public_key."),
    one(Peer, "mtu", count(576, 9000, "bytes"), otherwise("the largest that fits into every path", &["1400"]),
        "The largest packet inside. TCP connections are told of it by their MSS."),
    one(Peer, "scheduler", OneOf(&["adaptive", "redundant", "weighted", "failover"]), Default(&["adaptive"]),
        "adaptive: each packet over the link where it arrives first; redundant: every packet over every link; weighted: by the \
         links' weights; failover: the first link that works well, by the links' metrics or else the order of link. Each end \
         decides for what it sends."),
    one(Peer, "latency_limit", time(Span::from_millis(5), Span::from_secs(2)), Default(&["150ms"]),
        "A packet that is later than this is not waited for and not sent again; scheduler failover leaves a link that is slower."),
    one(Peer, "repair", Bool, Default(&["1"]),
        "Whether a packet that a link lost is sent again."),
    one(Peer, "keepalive", time(Span::ZERO, Span::from_secs(300)), Default(&["10s"]),
        "How often an idle link says that it is there, so that no NAT on the way forgets it. 0: never. Only of role client."),
    one(Peer, "metered_limit", Shape::Rate, otherwise("metered links only while no other is up", &["2mbit"]),
        "The rate that each metered link may carry all the time."),
    one(Peer, "masquerade", Bool, Default(&["0"]),
        "Whether clients reach other networks, such as the Internet, by this server's own addresses; forwarding is switched on for \
         it. Only of role server."),
    one(Peer, "plain", Bool, Default(&["0"]),
        "Leaves out encryption and authentication: whoever is on the wires reads everything, and may forge it. Only of transport \
         ethernet, and only where both ends say so."),

    one(Client, "peer", Shape::Name, Required { example: &["vps"] },
        "The peer section, of role server, whose client it is."),
    one(Client, "public_key", Shape::Key, Required { example: KEY },
        "The client's key, as 'cheaproute pubkey' prints it there."),
    list(Client, "allowed_ips", Shape::Prefix, Required { example: &["10.74.20.3"] },
        "What the client may use as a source, and what is sent to it: its address, and networks behind it. No other client of \
         the peer may have the same."),
    one(Client, "enabled", Bool, Default(&["1"]),
        "Whether the client may come."),
    one(Client, "preshared_key", Shape::Key, otherwise("none", KEY),
        "A second secret, the same at both ends, of 'cheaproute genpsk'."),
];

impl Spec {
    /// The default, or else what a user might write: never empty.
    pub fn example(&self) -> &'static [&'static str] {
        match self.without {
            Default(values) => values,
            Without::Otherwise { example, .. } | Required { example } => example,
        }
    }
}

impl Shape {
    /// `None` if `text` does not fit.
    pub fn parse(&self, text: &str) -> Option<Value> {
        match *self {
            Bool => parse_bool(text).map(Value::Bool),
            Shape::Integer { min, max, .. } => number(text).filter(|n| (min..=max).contains(n)).map(Value::Integer),
            Shape::Time { min, max } => parse_span(text).filter(|t| (min..=max).contains(t)).map(Value::Time),
            OneOf(words) => words.iter().find(|word| **word == text).map(|word| Value::Word(word)),
            Shape::Name => is_name(text).then(|| Value::Text(text.into())),
            Shape::Device => is_device(text).then(|| Value::Text(text.into())),
            Shape::Path => is_path(text).then(|| Value::Text(text.into())),
            Shape::Ipv4 => text.parse().ok().filter(|a: &Ipv4Addr| is_host((*a).into())).map(Value::Ipv4),
            Shape::Ipv6 => text.parse().ok().filter(|a: &Ipv6Addr| is_host((*a).into())).map(Value::Ipv6),
            Shape::Prefix => text.parse().ok().map(Value::Prefix),
            Shape::PrefixIpv6 => {
                let fits = |prefix: &Prefix| !prefix.is_ipv4() && prefix.length() > 0;
                text.parse().ok().filter(fits).map(Value::Prefix)
            }
            Shape::Ports => text.parse().ok().map(Value::Ports),
            Shape::Protocol if text.eq_ignore_ascii_case("all") => Some(Value::Protocol(None)),
            Shape::Protocol => text.parse().ok().map(Some).map(Value::Protocol),
            Shape::Target => text.parse().ok().map(Value::Target),
            Shape::NftSet => text.parse().ok().map(Value::NftSet),
            Shape::Mask => parse_hex(text).and_then(Marks::new).map(Value::Mask),
            Shape::Endpoint => split::endpoint(text).map(Value::Endpoint),
            Shape::Ratio => text.parse().ok().map(Value::Ratio),
            Shape::Key => text.parse().ok().map(Value::Key),
            Shape::Host => text.parse().ok().map(Value::Host),
            Shape::Own => text.parse().ok().map(Value::Own),
            Shape::Local => is_local(text).then(|| Value::Text(text.into())),
            Shape::Mac => text.parse().ok().map(Value::Mac),
            Shape::Rate => parse_rate(text).map(Value::Rate),
        }
    }

    /// What fits, in short; `None` where an example says it better.
    pub fn range(&self) -> Option<String> {
        match *self {
            Shape::Integer { min, max, .. } => Some(format!("{min} to {max}")),
            Shape::Time { min, max } => Some(format!("{} to {}", span_text(min), span_text(max))),
            OneOf(words) => Some(words.join(" | ")),
            _ => None,
        }
    }

    /// What fits, after "must be".
    pub fn describe(&self) -> String {
        match *self {
            Bool => "1 or 0 (or on, off, yes, no, true, false, enabled, disabled)".into(),
            Shape::Integer { min, max, unit: "" } => format!("a whole number from {min} to {max}"),
            Shape::Integer { min, max, unit } => format!("a whole number of {unit} from {min} to {max}"),
            Shape::Time { min, max } => {
                format!("a time from {} to {}, written like 200ms, 10s, 5m or 1h", span_text(min), span_text(max))
            }
            OneOf(words) => format!("one of {}", words.join(", ")),
            Shape::Name => "a name of up to 255 letters, digits, '_' and '-'".into(),
            Shape::Device => "a network device's name of up to 15 characters, such as eth1 or pppoe-wan".into(),
            Shape::Path => "a file's path from / on, such as /etc/cheaproute.user".into(),
            Shape::Ipv4 => "the IPv4 address of a host, such as 192.0.2.1".into(),
            Shape::Ipv6 => "the IPv6 address of a host, such as 2001:db8::1".into(),
            Shape::Prefix => "an address or prefix, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/48".into(),
            Shape::PrefixIpv6 => "an IPv6 prefix, such as 2001:db8::/56".into(),
            Shape::Ports => "a port from 1 to 65535 or a range such as 8000-8100".into(),
            Shape::Protocol => "tcp, udp, icmp, all or a protocol number from 1 to 255".into(),
            Shape::Target => "icmp:ADDRESS, tcp:ADDRESS:PORT, dns:ADDRESS or http:HOST/PATH, such as icmp:1.1.1.1 or \
                              http:connectivitycheck.gstatic.com/generate_204"
                .into(),
            Shape::NftSet => "a name for nft sets, such as video".into(),
            Shape::Mask => "six adjacent bits in hexadecimal, such as 0x3F000000".into(),
            Shape::Endpoint => "a host's address and a port, such as 192.0.2.11:443 or [2001:db8::11]:443".into(),
            Shape::Ratio => "two whole numbers from 1 to 65535, such as 7500:2500".into(),
            Shape::Key => "a key of 44 characters in base64, such as 'cheaproute genkey' makes".into(),
            Shape::Host => {
                "a host and its port, such as vps.example.net:7420, 192.0.2.1:7420 or [2001:db8::1]:7420".into()
            }
            Shape::Own => "an address with the length of its prefix, such as 10.74.20.2/24 or fd74:20::2/64".into(),
            Shape::Local => "a link's name or a network device of up to 15 characters".into(),
            Shape::Mac => "a station's hardware address, such as 02:00:00:00:00:01".into(),
            Shape::Rate => "a rate from 64kbit to 100gbit, such as 500kbit or 20mbit".into(),
        }
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
