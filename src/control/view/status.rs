//! `status`: the daemon at a glance.

use core::fmt;

use super::page::{Page, Paint, Pieces};
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
    row(page, "links", &[(paint, format_args!("{up} of {total} up"))]);
    let (up, total) = (document.count("peers_up"), document.count("peers_total"));
    if total > 0 {
        let paint = if up < total { Paint::Warn } else { Paint::Good };
        row(page, "peers", &[(paint, format_args!("{up} of {total} up"))]);
    }
    races(document.get("races"), page);
    let (resident, entries) = (memory(document.count("resident_bytes")), document.count("memory_entries"));
    let entries = plural(entries, "destination");
    row(page, "memory", &[normal(format_args!("{resident} resident")), normal(format_args!("{entries} remembered"))]);
    let local = if document.is("local_traffic") { "raced too" } else { "not raced" };
    row(
        page,
        "queueing",
        &[
            normal(format_args!("by {}", document.text("queueing"))),
            normal(format_args!("mark mask {}", document.text("mark_mask"))),
            normal(format_args!("the router's own traffic is {local}")),
        ],
    );
    row(page, "config", &[normal(format_args!("{}", document.text("config")))]);
    let faults = document.list("config_error");
    if !faults.is_empty() {
        let count = plural(faults.len() as i64, "fault");
        row(page, "", &[(Paint::Bad, format_args!("not in use: {count}; what was there before still runs"))]);
    }
    for fault in faults {
        if let Value::Text(text) = fault {
            page.go(VALUES);
            page.line(text, Paint::Bad);
        }
    }
}

fn races(races: &Value, page: &mut Page) {
    let mut say = |name: &str, counts: &[(&str, &str)], mut pieces: Pieces| {
        for (key, what) in counts {
            pieces.say(Paint::Normal, format_args!("{} {what}", count(races.count(key))));
        }
        flow(page, name, &pieces);
    };
    say("races", &COUNTS, Pieces::default());
    let mut in_flight = Pieces::default();
    let (flying, capacity) = (count(races.count("in_flight")), count(races.count("capacity")));
    in_flight.say(Paint::Normal, format_args!("{flying} of {capacity} in flight"));
    say("", &[("repeats", "repeated"), ("resets", "resets to losers")], in_flight);
    let total: i64 = PASSED.iter().map(|(key, ..)| races.count(key)).sum();
    let mut pieces = Pieces::default();
    pieces.cell((count(total), Paint::Normal));
    for (key, why, paint) in PASSED {
        if races.count(key) > 0 {
            pieces.say(paint, format_args!("{} {why}", count(races.count(key))));
        }
    }
    flow(page, "not raced", &pieces);
}

const COUNTS: [(&str, &str); 5] = [
    ("started", "started"),
    ("won", "won"),
    ("refused", "refused"),
    ("silent", "unanswered"),
    ("fell_back", "fell back"),
];

const PASSED: [(&str, &str, Paint); 4] = [
    ("passed_no_link", "no link", Paint::Warn),
    ("passed_full", "table full", Paint::Warn),
    ("passed_fast_open", "fast open", Paint::Normal),
    ("passed_other", "other", Paint::Normal),
];

fn normal(text: fmt::Arguments<'_>) -> (Paint, fmt::Arguments<'_>) {
    (Paint::Normal, text)
}

fn row(page: &mut Page, name: &str, texts: &[(Paint, fmt::Arguments)]) {
    let mut pieces = Pieces::default();
    texts.iter().for_each(|(paint, text)| pieces.say(*paint, *text));
    flow(page, name, &pieces);
}

fn flow(page: &mut Page, name: &str, pieces: &Pieces) {
    page.go(2);
    page.put(name, Paint::Dim);
    page.flow(VALUES, pieces);
}
