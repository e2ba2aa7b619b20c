//! `links`: a line of figures a link, and below it, dimmed, its addresses and what is special about it.

use super::page::{Cell, Page, Paint, Table};
use super::units::{bytes, count, millis, percent, permille, seconds};
use crate::control::Value;

const HEAD: [&str; 10] = ["LINK", "STATE", "SINCE", "DEVICE", "RTT", "JITTER", "LOSS", "WON", "RX", "TX"];
/// Numbers are compared by their last digits.
const RIGHT: [usize; 7] = [2, 4, 5, 6, 7, 8, 9];
/// What can be done without where the line gets too long: jitter, then the byte counts, then the device.
const EXPENDABLE: [usize; 4] = [5, 9, 8, 3];

pub fn draw(document: &Value, page: &mut Page) {
    let links = document.list("links");
    if links.is_empty() {
        return page.line("no links: the configuration has none that is enabled", Paint::Warn);
    }
    let mut table = Table::default();
    table.row(HEAD.iter().map(|name| (name.to_string(), Paint::Dim)).collect());
    links.iter().for_each(|link| table.row(figures(link)));
    table.fit(page.width(), &EXPENDABLE);
    table.draw(0, &RIGHT, page);
    for (number, link) in links.iter().enumerate() {
        table.draw(number + 1, &RIGHT, page);
        let pieces = details(link);
        if !pieces.is_empty() {
            page.flow(2, &pieces);
        }
    }
}

fn figures(link: &Value) -> Vec<Cell> {
    let known = |key: &str, say: fn(i64) -> String| (link.int(key).map_or("-".into(), say), Paint::Normal);
    let lossy = if link.count("loss_permille") > 0 { Paint::Warn } else { Paint::Normal };
    let races = link.get("races");
    vec![
        (link.text("name").into(), Paint::Bold),
        state(link),
        known("since_s", seconds),
        (link.text("device").into(), Paint::Normal),
        known("rtt_us", millis),
        known("jitter_us", millis),
        (known("loss_permille", permille).0, lossy),
        (percent(races.count("won"), races.count("copies")), Paint::Normal),
        known("rx_bytes", bytes),
        known("tx_bytes", bytes),
    ]
}

pub fn state(link: &Value) -> Cell {
    let state = link.text("state");
    let paint = match state {
        "up" => Paint::Good,
        "down" | "absent" => Paint::Bad,
        _ => Paint::Warn,
    };
    (state.into(), paint)
}

fn details(link: &Value) -> Vec<Cell> {
    let mut pieces = Vec::new();
    let mut say = |text: String, paint| pieces.push((text, paint));
    let up = link.text("state") == "up";
    if !link.text("reason").is_empty() {
        say(link.text("reason").into(), if up { Paint::Dim } else { Paint::Normal });
    }
    if up && !link.is("used") {
        say("not used".into(), Paint::Warn);
    }
    if link.is("metered") {
        say("metered".into(), Paint::Warn);
    }
    for (address, gateway) in [("ipv4", "gateway"), ("ipv6", "gateway6")] {
        match (link.text(address), link.text(gateway)) {
            ("", _) => {}
            (address, "") => say(address.into(), Paint::Dim),
            (address, gateway) => say(format!("{address} via {gateway}"), Paint::Dim),
        }
    }
    // Only what differs from the usual: this line is about what is special.
    for (key, usual) in [("mtu", 1500), ("weight", 1), ("metric", 0)] {
        if let Some(amount) = link.int(key).filter(|amount| *amount != usual && *amount != 0) {
            say(format!("{key} {amount}"), Paint::Dim);
        }
    }
    if link.count("handicap_us") > 0 {
        say(format!("handicap {}", millis(link.count("handicap_us"))), Paint::Dim);
    }
    let races = link.get("races");
    if races.count("copies") > 0 {
        say(format!("won {} of {} races", count(races.count("won")), count(races.count("copies"))), Paint::Dim);
    }
    if races.count("silent") > 0 {
        say(format!("silent in {}", count(races.count("silent"))), Paint::Dim);
    }
    if let Some(ago) = link.int("last_answer_s").filter(|_| !up) {
        say(format!("last answer {} ago", seconds(ago)), Paint::Dim);
    }
    pieces
}
