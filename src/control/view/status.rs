//! `status`: the daemon at a glance.

use super::page::{Page, Paint};
use super::units::{count, memory, plural, seconds};
use crate::control::Value;

/// Where the values stand.
const VALUES: usize = 13;

pub fn draw(document: &Value, page: &mut Page) {
    page.put("cheaproute ", Paint::Bold);
    page.put(document.text("version"), Paint::Bold);
    let (since, pid) = (seconds(document.count("uptime_s")), document.count("pid"));
    page.line(&format!(", running for {since}, pid {pid}"), Paint::Normal);

    let (up, total) = (document.count("links_up"), document.count("links_total"));
    let paint = match up {
        0 => Paint::Bad,
        _ if up < total => Paint::Warn,
        _ => Paint::Good,
    };
    row(page, "links", vec![(format!("{up} of {total} up"), paint)]);
    let (up, total) = (document.count("peers_up"), document.count("peers_total"));
    if total > 0 {
        row(page, "peers", vec![(format!("{up} of {total} up"), if up < total { Paint::Warn } else { Paint::Good })]);
    }
    races(document.get("races"), page);
    let resident = format!("{} resident", memory(document.count("resident_bytes")));
    let entries = format!("{} remembered", plural(document.count("memory_entries"), "destination"));
    row(page, "memory", normal([resident, entries]));
    let local = if document.is("local_traffic") { "raced too" } else { "not raced" };
    row(
        page,
        "queueing",
        normal([
            format!("by {}", document.text("queueing")),
            format!("mark mask {}", document.text("mark_mask")),
            format!("the router's own traffic is {local}"),
        ]),
    );
    row(page, "config", normal([document.text("config").to_string()]));
    let faults = document.list("config_error");
    if !faults.is_empty() {
        let refused = format!("not in use: {}; what was there before still runs", plural(faults.len() as i64, "fault"));
        row(page, "", vec![(refused, Paint::Bad)]);
    }
    for fault in faults {
        if let Value::Text(text) = fault {
            page.go(VALUES);
            page.line(text, Paint::Bad);
        }
    }
}

fn races(races: &Value, page: &mut Page) {
    let said = |key: &str, as_what: &str| format!("{} {as_what}", count(races.count(key)));
    row(
        page,
        "races",
        normal([
            said("started", "started"),
            said("won", "won"),
            said("refused", "refused"),
            said("silent", "unanswered"),
            said("fell_back", "fell back"),
        ]),
    );
    let in_flight = format!("{} of {} in flight", count(races.count("in_flight")), count(races.count("capacity")));
    row(page, "", normal([in_flight, said("repeats", "repeated"), said("resets", "losers reset")]));
    let passed = [
        ("passed_no_link", "no link"),
        ("passed_full", "table full"),
        ("passed_fast_open", "fast open"),
        ("passed_other", "other"),
    ];
    let total: i64 = passed.iter().map(|(key, _)| races.count(key)).sum();
    let mut pieces = normal([count(total)]);
    for (key, why) in passed {
        let bad = matches!(key, "passed_no_link" | "passed_full");
        if races.count(key) > 0 {
            pieces.push((said(key, why), if bad { Paint::Warn } else { Paint::Normal }));
        }
    }
    row(page, "not raced", pieces);
}

fn normal<const N: usize>(texts: [String; N]) -> Vec<(String, Paint)> {
    Vec::from(texts.map(|text| (text, Paint::Normal)))
}

fn row(page: &mut Page, name: &str, pieces: Vec<(String, Paint)>) {
    page.go(2);
    page.put(name, Paint::Dim);
    page.flow(VALUES, &pieces);
}
