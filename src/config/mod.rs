//! The configuration: `/etc/config/cheaproute`, from UCI's grammar to plain values, with every fault at once.
//!
//! Text goes through [`uci`] (grammar), [`options`] (the table of what there is) and `check` (what fits together).

pub mod options;
pub mod uci;

mod check;
mod cross;
mod fault;
#[cfg(test)]
mod form;
mod peer;
mod peer_check;
mod sample;
mod section;
mod values;

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::family::Family;
use crate::link::Marks;
use crate::prefix::Prefix;
use crate::split::Split;
use crate::time::Span;

pub(crate) use check::{sort_faults, syntax_faults};
pub use fault::{Fault, Severity};
pub(crate) use fault::{MAX_FAULTS, shown};
pub use peer::{
    ClientConfig, Endpoint, Key, MAX_CLIENTS, MAX_PEERS, Mac, OwnAddress, PeerConfig, PrivateKey, Remote, Role,
    Scheduler, Transport, Wire,
};
pub(crate) use sample::comment;
pub use values::{NftSet, PortRange, Protocol, Target, is_device};
pub(crate) use values::{is_name, parse_bool};

/// The file's content, which need not be UTF-8: comments seldom are. Either a configuration that can be used, with
/// warnings, or all that is wrong, warnings among it; both in the order of the file.
pub fn read(text: impl AsRef<[u8]>) -> Result<(Config, Vec<Fault>), Vec<Fault>> {
    let text = text.as_ref();
    // Of UTF-8 and UTF-16. In the latter, every line would be a fault.
    if [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| text.starts_with(mark)) {
        return Err(vec![Fault::of_file("begins with a byte order mark: save it as UTF-8 without one")]);
    }
    check::check(&String::from_utf8_lossy(text))
}

/// A new connection takes the policy of the first of [`rules`](Config::rules) that matches it. Where none does, it
/// takes the first of [`policies`](Config::policies): there always is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    pub main: Main,
    /// Those that are enabled, in the order of the file: at most [`MAX_LINKS`](crate::link::MAX_LINKS), and at least
    /// one while `main.enabled`.
    pub links: Vec<LinkConfig>,
    /// In the order of the file. Without any there, one named `fastest` that races all links.
    pub policies: Vec<PolicyConfig>,
    /// Those that are enabled, in the order of the file: at most [`MAX_RULES`].
    pub rules: Vec<RuleConfig>,
    /// Those that are enabled: at most [`MAX_SPLITS`](crate::split::MAX_SPLITS).
    pub splits: Vec<SplitConfig>,
    /// Those that are enabled, in the order of the file, with the clients of their own sections: at most [`MAX_PEERS`].
    pub peers: Vec<PeerConfig>,
}

/// Each is a line of nft rules that a connection's first packet may have to pass; more belong into an nft set.
pub const MAX_RULES: usize = 1_000;

impl Config {
    pub fn link(&self, name: &str) -> Option<&LinkConfig> {
        self.links.iter().find(|link| link.name == name)
    }

    pub fn policy(&self, name: &str) -> Option<&PolicyConfig> {
        self.policies.iter().find(|policy| policy.name == name)
    }
}

/// The fields of these structs are the options of the table in [`options`], which documents them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Main {
    pub enabled: bool,
    pub log_level: log::LevelFilter,
    pub mark_mask: Marks,
    pub local_traffic: bool,
    /// The firewall does so with global addresses of IPv6.
    pub translate_ipv6: bool,
    /// Empty: all devices but the links.
    pub lan_device: Vec<String>,
    pub race_ports_udp: Vec<PortRange>,
    /// A file that need not exist.
    pub hook: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkConfig {
    /// The section's.
    pub name: String,
    pub attach: Attach,
    /// Delegated IPv6 prefixes; no two links' overlap.
    pub prefix: Vec<Prefix>,
    pub weight: u16,
    pub metric: u16,
    pub metered: bool,
    pub handicap: Span,
    pub on_down: OnDown,
    pub on_up: OnUp,
    pub probe: Vec<Target>,
    pub interval: Span,
    pub timeout: Span,
    pub down: u16,
    pub up: u16,
    /// At most the number of probes, if there are any.
    pub reliability: u16,
    /// `loss_down` and `loss_up`, in percent; the second is not above the first.
    pub loss_limits: Option<(u16, u16)>,
    /// `latency_down` and `latency_up`; likewise.
    pub latency_limits: Option<(Span, Span)>,
}

/// What becomes of a link's connections when it goes down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OnDown {
    Reset,
    Flush,
    Keep,
}

/// What becomes, when a link comes up, of the connections that a failover policy gave to lesser links meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OnUp {
    Keep,
    Return,
}

/// Where a link's device, addresses and gateways come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attach {
    /// From netifd, by the interface's name.
    Interface(String),
    /// From the kernel. A gateway that is `None` is that of the default route through the device.
    Device { device: String, gateway: Option<Ipv4Addr>, gateway6: Option<Ipv6Addr> },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyConfig {
    /// The section's.
    pub name: String,
    pub mode: Mode,
    /// Names in [`Config::links`], in order of preference; without disabled ones, so it may be empty: then
    /// `last_resort` decides. Always empty in modes that use no link; in mode aggregate it is the peer's.
    pub link: Vec<String>,
    /// Of mode aggregate: a name in [`Config::peers`], unless that is disabled.
    pub peer: Option<String>,
    /// Zero: every connection is raced.
    pub remember: Span,
    pub tie: Span,
    /// Zero: every connection is dealt by itself. Always zero in mode race.
    pub sticky: Span,
    pub last_resort: LastResort,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    Race,
    Weighted,
    Failover,
    Aggregate,
    Blackhole,
    Unreachable,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LastResort {
    Default,
    Unreachable,
    Blackhole,
}

/// A connection matches if it matches every field; an empty list matches all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleConfig {
    /// The section's; `@rule[2]`, as the `uci` command says it, for an anonymous one.
    pub name: String,
    /// `None`: either.
    pub family: Option<Family>,
    pub proto: Vec<Protocol>,
    pub src_ip: Vec<Prefix>,
    pub dest_ip: Vec<Prefix>,
    pub src_port: Vec<PortRange>,
    pub dest_port: Vec<PortRange>,
    pub src_device: Option<String>,
    pub nftset: Option<NftSet>,
    /// A name in [`Config::policies`].
    pub policy: String,
}

/// It passes [`Split::check`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SplitConfig {
    /// As of a rule.
    pub name: String,
    pub split: Split,
}
