//! What decides which link a new connection takes: the policies as they stand, and the races' memory.

use crate::config::{LastResort, Mode, PolicyConfig};
use crate::control::Value;
use crate::family::Family;
use crate::link::{Link, LinkId};
use crate::race::Remembered;
use crate::steer::best;
use crate::time::{Span, Time};

use super::Daemon;

/// Destinations told at most. With answers of every link that is half of what a ubus message can hold.
const MAX_MEMORY: usize = 512;

impl Daemon {
    /// Every policy with the links that it uses now, by family.
    pub(super) fn policies(&self) -> Value {
        let links = self.ways();
        let policies = self.config.policies.iter().map(|policy| {
            let mut reserve: Vec<Value> = Vec::new();
            for (links, _) in Family::BOTH.map(|family| best(&links, policy, family)) {
                let metered = |link: &&&Link| link.metered && links.first().is_some_and(|first| !first.metered);
                for link in links.iter().filter(metered) {
                    let named = Value::Map(vec![("link", link.name.as_str().into())]);
                    if !reserve.contains(&named) {
                        reserve.push(named);
                    }
                }
            }
            Value::Map(vec![
                ("name", policy.name.as_str().into()),
                ("mode", mode(policy.mode).into()),
                ("ipv4", self.shares(&links, policy, Family::Ipv4)),
                ("ipv6", self.shares(&links, policy, Family::Ipv6)),
                ("last_resort", last_resort(policy.last_resort).into()),
                // Up, and of no use while another is.
                ("reserve", reserve.into()),
            ])
        });
        Value::Map(vec![("policies", policies.collect::<Vec<_>>().into())])
    }

    /// The links that share new connections, the best first, and their shares: by weight, or, where they race, by the
    /// races won so far, as nobody knows who wins the next one.
    fn shares(&self, links: &[Link], policy: &PolicyConfig, family: Family) -> Value {
        let (links, sharing) = best(links, policy, family);
        // As the ruleset has it: metered links race only when there is no other.
        let racing = match (policy.mode, links.first()) {
            (Mode::Race, Some(first)) => links.iter().filter(|link| link.metered == first.metered).count(),
            _ => 0,
        };
        let used = racing.max(sharing);
        let weight = |link: &&Link| match policy.mode {
            Mode::Race if used > 1 => self.racing.field().racer.log().tally(link.id).won,
            _ => link.weight.max(1).into(),
        };
        let weights: Vec<(&Link, u64)> = links.iter().take(used).map(|link| (*link, weight(link))).collect();
        let total: u64 = weights.iter().map(|(_, weight)| weight).sum();
        let share = |(link, weight): &(&Link, u64)| {
            let percent = weight.saturating_mul(100).checked_div(total);
            Value::Map(vec![("link", link.name.as_str().into()), ("percent", percent.into())])
        };
        weights.iter().map(share).collect::<Vec<_>>().into()
    }

    /// What the races remember, the newest first, at most `most`.
    pub(super) fn memory(&self, now: Time, most: usize) -> Value {
        let field = self.racing.field();
        let memory = field.racer.memory();
        let entries = memory.newest().take(most.min(MAX_MEMORY)).map(|entry| self.remembered(now, entry));
        let entries = entries.collect::<Vec<_>>();
        Value::Map(vec![("total", memory.entries().len().into()), ("memory", entries.into())])
    }

    fn remembered(&self, now: Time, entry: &Remembered) -> Value {
        let length = if entry.prefix.is_ipv4() { 24 } else { 48 };
        // The fastest first. Too few to be worth the code of a sort.
        let mut answers: Vec<(LinkId, Span)> = Vec::new();
        for link in (1..).map_while(LinkId::new) {
            if let Some(round_trip) = entry.round_trip(link) {
                let place = answers.partition_point(|(_, other)| *other <= round_trip);
                answers.insert(place, (link, round_trip));
            }
        }
        let fastest = answers.first().map(|(link, _)| self.name(*link));
        let answers = answers.iter().map(|(link, round_trip)| {
            Value::Map(vec![("link", self.name(*link).into()), ("rtt_us", round_trip.as_micros().into())])
        });
        Value::Map(vec![
            ("destination", format!("{}/{length}", entry.prefix).into()),
            ("protocol", entry.protocol.name().into()),
            ("port", entry.port.into()),
            ("link", fastest.into()),
            ("age_s", entry.raced.map(|raced| now.since(raced).as_secs()).into()),
            ("links", answers.collect::<Vec<_>>().into()),
        ])
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Race => "race",
        Mode::Weighted => "weighted",
        Mode::Failover => "failover",
        Mode::Aggregate => "aggregate",
        Mode::Blackhole => "blackhole",
        Mode::Unreachable => "unreachable",
    }
}

fn last_resort(last_resort: LastResort) -> &'static str {
    match last_resort {
        LastResort::Default => "default",
        LastResort::Unreachable => "unreachable",
        LastResort::Blackhole => "blackhole",
    }
}
