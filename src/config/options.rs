//! The one option table, in a file for each section type. It drives parsing, defaults, ranges and the sample file; the documentation and the LuCI form's
//! help come from it too, so that none of them can drift apart.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::peer::{Endpoint, Key, Mac, OwnAddress};
use super::values::{NftSet, PortRange, Protocol, Target};
use crate::link::Marks;
use crate::prefix::Prefix;
use crate::split::Ratio;
use crate::time::Span;

mod link;
mod main;
mod peer;
mod policy;
mod rule;
mod shape;
mod split;

pub use super::sample::sample;
pub use shape::Shape;

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
    pub name: &'static str,
    pub shape: Shape,
    /// Takes several values: `list` lines, or one `option` with blanks or commas between the values.
    pub list: bool,
    pub without: Without,
    /// One or two sentences for the sample file, the documentation and the form.
    pub doc: &'static str,
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
            Kind::Link => {
                "A WAN port that connections can leave by. There may be 15, together with the peers of role client."
            }
            Kind::Policy => "How connections choose among links. There may be 15 of mode race.",
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
                 clients' traffic pass there, and masquerade it unless the server knows their addresses. There may be \
                 15; links and those of role client together can be 15, too."
            }
            Kind::Client => "A client of a server's peer section, if that has more than one. There may be 1000.",
        }
    }

    /// This type's options, in the table's order.
    pub fn options(self) -> impl Iterator<Item = &'static Spec> {
        let table = match self {
            Kind::Main => main::OPTIONS,
            Kind::Link => link::OPTIONS,
            Kind::Policy => policy::OPTIONS,
            Kind::Rule => rule::OPTIONS,
            Kind::Split => split::OPTIONS,
            Kind::Peer => peer::OPTIONS,
            Kind::Client => peer::CLIENT,
        };
        table.iter()
    }

    pub fn option(self, name: &str) -> Option<&'static Spec> {
        self.options().find(|spec| spec.name == name)
    }
}

const fn one(name: &'static str, shape: Shape, without: Without, doc: &'static str) -> Spec {
    Spec { name, shape, list: false, without, doc }
}

const fn list(name: &'static str, shape: Shape, without: Without, doc: &'static str) -> Spec {
    Spec { name, shape, list: true, without, doc }
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

const HOUR: Span = Span::from_secs(3_600);
const DAY: Span = Span::from_secs(86_400);

/// Well-formed, and nobody's: its bytes count from 0.
pub(super) const KEY: &[&str] = &["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="];

impl Spec {
    /// The default, or else what a user might write: never empty.
    pub fn example(&self) -> &'static [&'static str] {
        match self.without {
            Without::Default(values) => values,
            Without::Otherwise { example, .. } | Without::Required { example } => example,
        }
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
