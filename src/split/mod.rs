//! Split: the packets of TCP connections to a host with two addresses go to both by a ratio, and are joined there. No tunnel, no
//! header: a sender rewrites the destination of some packets to the second address, the receiver rewrites it back before
//! anything looks at it. nft does both, in the kernel; here are its rules as text, for the daemon's table and for one of the
//! command's own.
//!
//! # Where
//! | hook, priority | chain | what happens |
//! |---|---|---|
//! | output and prerouting, mangle - 5 | `split_local`, `split_forward` | every so many packets get the second address; the routing looks at that |
//! | prerouting, raw - 5 | `split_join` | what came to the second address is meant for the first |
//!
//! conntrack (priority -200) sees one ordinary connection at either end: the sender rewrites after it, the receiver before it.
//! A SYN always takes the first path, so that a connection comes about whatever the second one does.

use crate::text::{Invalid, commas, number};

use core::fmt::{self, Write};
use core::str::FromStr;
use std::net::{IpAddr, SocketAddr};

pub mod place;

/// The nft table of `cheaproute split`, family `inet`. The daemon's splits are in the daemon's table, so that neither takes
/// the other's away.
pub const TABLE: &str = "cheaproute_split";

/// Each is two rules that every packet passes, and two routing tables at a receiver.
pub const MAX_SPLITS: usize = 32;

/// The parts of a ratio as packets: a longer period would not come closer to it than what losses change of it.
const LONGEST_PERIOD: u32 = 128;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Sender,
    Receiver,
}

/// What goes to the primary address and what to the secondary: `7500:2500` is three packets of four.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ratio {
    pub primary: u16,
    pub secondary: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Split {
    pub side: Side,
    /// Where clients connect to.
    pub primary: SocketAddr,
    pub secondary: SocketAddr,
    /// A receiver needs none.
    pub ratio: Ratio,
}

/// A split, and whether its second path is to be used: always true of a receiver.
pub type Used = (Split, bool);

impl Split {
    /// What no kernel can do. The error names one of `primary` and `secondary` as "the secondary address".
    pub fn check(&self) -> Result<(), &'static str> {
        if self.primary.ip() == self.secondary.ip() {
            return Err("the secondary address is the primary one: each path needs its own");
        }
        if self.primary.is_ipv4() != self.secondary.is_ipv4() {
            return Err("the secondary address is of the other family: both must be IPv4, or both IPv6");
        }
        Ok(())
    }

    /// Whether both would rewrite the same packets.
    pub fn collides(&self, other: &Split) -> bool {
        self.side == other.side
            && match self.side {
                Side::Sender => self.primary == other.primary,
                Side::Receiver => self.secondary == other.secondary,
            }
    }

    fn rule(&self, both: bool) -> String {
        let Split { side, primary, secondary, ratio } = self;
        let ip = if primary.is_ipv4() { "ip" } else { "ip6" };
        let (from, to) = match side {
            Side::Sender => (primary, secondary),
            Side::Receiver => (secondary, primary),
        };
        let mut rule = format!("{ip} daddr {} tcp dport {} ", from.ip(), from.port());
        if both {
            if *side == Side::Sender {
                let (period, slots) = ratio.slots();
                let slots: Vec<String> = slots.iter().map(u32::to_string).collect();
                let _ = write!(rule, "tcp flags & syn == 0 numgen inc mod {period} {{ {} }} ", commas(&slots));
            }
            let _ = write!(rule, "{ip} daddr set {} ", to.ip());
            if from.port() != to.port() {
                let _ = write!(rule, "tcp dport set {} ", to.port());
            }
        }
        // What is listed is read from here.
        let _ = write!(rule, "comment \"{self}{}\"", if both { "" } else { DOWN });
        rule
    }
}

const DOWN: &str = " down";

impl Ratio {
    /// A period, and which packets of it go to the secondary address: spread evenly, since a run of packets on one path
    /// fills its queue.
    fn slots(self) -> (u32, Vec<u32>) {
        let (secondary, sum) = (u32::from(self.secondary), u32::from(self.primary) + u32::from(self.secondary));
        // The shortest period that comes closest: the error of `part / period` against `secondary / sum`, times `sum`.
        let fits = (2..=LONGEST_PERIOD).map(|period| {
            let part = ((secondary * period + sum / 2) / sum).clamp(1, period - 1);
            let error = u64::from((part * sum).abs_diff(secondary * period));
            (period, part, error)
        });
        let best = fits.min_by(|(a, _, error_a), (b, _, error_b)| {
            (error_a * u64::from(*b)).cmp(&(error_b * u64::from(*a))).then(a.cmp(b))
        });
        let (period, part, _) = best.unwrap_or((2, 1, 0));
        (period, (0..period).filter(|slot| (slot + 1) * part / period > slot * part / period).collect())
    }
}

/// The chains of some splits: name, hook, rules. Those without a rule are left out.
pub fn chains(splits: &[Used]) -> Vec<(&'static str, &'static str, Vec<String>)> {
    let all = [
        ("split_local", "route hook output priority mangle - 5", Side::Sender),
        ("split_forward", "filter hook prerouting priority mangle - 5", Side::Sender),
        ("split_join", "filter hook prerouting priority raw - 5", Side::Receiver),
    ];
    let rules =
        |side| splits.iter().filter(move |(split, _)| split.side == side).map(|(split, both)| split.rule(*both));
    let all = all.into_iter().map(|(name, hook, side)| (name, hook, rules(side).collect::<Vec<_>>()));
    all.filter(|(_, _, rules)| !rules.is_empty()).collect()
}

/// What makes the command's own table hold these splits, in one transaction; with none, no table.
pub fn table(splits: &[Split]) -> String {
    let mut text = format!("add table inet {TABLE}\ndelete table inet {TABLE}\n");
    let used: Vec<Used> = splits.iter().map(|split| (*split, true)).collect();
    for (name, hook, rules) in chains(&used) {
        let _ = writeln!(text, "table inet {TABLE} {{\n\tchain {name} {{\n\t\ttype {hook}; policy accept;");
        rules.iter().for_each(|rule| _ = writeln!(text, "\t\t{rule}"));
        text += "\t}\n}\n";
    }
    text
}

/// The splits in what `nft list table` prints.
pub fn listed(text: &str) -> Vec<Used> {
    // A sender's rules stand in two chains.
    let mut found: Vec<Used> = Vec::new();
    for line in text.lines() {
        let line = line.trim_end().trim_end_matches('"');
        let Some((at, found_it)) = line.match_indices("comment \"").last() else { continue };
        let comment = line.get(at + found_it.len()..).unwrap_or_default();
        let (split, both) = comment.strip_suffix(DOWN).map_or((comment, true), |split| (split, false));
        if let Ok(split) = split.parse::<Split>()
            && !found.contains(&(split, both))
        {
            found.push((split, both));
        }
    }
    found
}

/// `sender` or `receiver`.
impl FromStr for Side {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "sender" => Ok(Side::Sender),
            "receiver" => Ok(Side::Receiver),
            _ => Err(Invalid),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Side::Sender { "sender" } else { "receiver" })
    }
}

/// Two numbers from 1 to 65535.
impl FromStr for Ratio {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let part = |text: &str| number(text).filter(|part: &u16| *part > 0).ok_or(Invalid);
        let (primary, secondary) = text.split_once(':').ok_or(Invalid)?;
        Ok(Ratio { primary: part(primary)?, secondary: part(secondary)? })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.primary, self.secondary)
    }
}

/// What a split's `primary` and `secondary` can be: a host's address and a port.
pub fn endpoint(text: &str) -> Option<SocketAddr> {
    crate::probe::target::with_port(text).filter(|address| !is_link_local(address.ip()))
}

/// Such an address means another host on each device.
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    }
}

/// As in its rules' comments: side, primary, secondary, ratio.
impl FromStr for Split {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let words: Vec<&str> = text.split(' ').collect();
        let [side, primary, secondary, ratio] = words[..] else { return Err(Invalid) };
        let address = |text| endpoint(text).ok_or(Invalid);
        Ok(Split {
            side: side.parse()?,
            primary: address(primary)?,
            secondary: address(secondary)?,
            ratio: ratio.parse()?,
        })
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.side, self.primary, self.secondary, self.ratio)
    }
}

#[cfg(test)]
mod tests;
