//! `policies`: a line for each family of each policy: which links new connections take now, and in what shares.

use super::page::{Page, Paint, Pieces};
use crate::control::Value;

pub fn draw(document: &Value, page: &mut Page) {
    let policies = document.list("policies");
    let widest = policies.iter().map(|policy| policy.text("name").chars().count()).max().unwrap_or(0);
    let values = widest + 2;
    for policy in policies {
        page.put(policy.text("name"), Paint::Bold);
        page.go(values);
        let mode = policy.text("mode");
        if matches!(mode, "blackhole" | "unreachable") {
            let meaning = if mode == "blackhole" { "drops all" } else { "refuses all" };
            let mut pieces = Pieces::default();
            pieces.say(Paint::Normal, format_args!("{mode}"));
            pieces.say(Paint::Dim, format_args!("{meaning}"));
            page.flow(values, &pieces);
            continue;
        }
        page.line(mode, Paint::Normal);
        for (key, family) in [("ipv4", "IPv4"), ("ipv6", "IPv6")] {
            page.go(values);
            page.put(family, Paint::Dim);
            page.go(values + 6);
            page.flow(values + 6, &shares(policy, key, family));
        }
        for link in policy.list("reserve") {
            page.go(values);
            page.put(link.text("link"), Paint::Normal);
            page.line(": metered, left out", Paint::Dim);
        }
    }
}

fn shares(policy: &Value, key: &str, family: &str) -> Pieces {
    let links = policy.list(key);
    let mut pieces = Pieces::default();
    if links.is_empty() {
        let then = match policy.text("last_resort") {
            "unreachable" => "refused",
            "blackhole" => "dropped",
            _ => "the main routing table decides",
        };
        if !policy.list("ipv4").is_empty() || !policy.list("ipv6").is_empty() {
            pieces.say(Paint::Warn, format_args!("no link that is up has {family}"));
        } else {
            let none = if policy.text("mode") == "aggregate" { "the peer is down" } else { "no link is up" };
            pieces.say(Paint::Bad, format_args!("{none}"));
        }
        pieces.say(Paint::Normal, format_args!("{then}"));
    }
    for link in links {
        match link.int("percent") {
            Some(percent) => pieces.say(Paint::Normal, format_args!("{} {percent} %", link.text("link"))),
            None => pieces.say(Paint::Normal, format_args!("{}", link.text("link"))),
        }
    }
    pieces
}
