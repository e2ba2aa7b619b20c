//! `links`: a line of figures a link, and below it, dimmed, its addresses and what is special about it.

use super::page::{Cell, Page, Paint, Pieces, Table};
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
    table.head(&HEAD);
    links.iter().for_each(|link| table.row(figures(link)));
    table.fit(page.width(), &EXPENDABLE);
    table.draw(0, &RIGHT, page);
    for (number, link) in links.iter().enumerate() {
        table.draw(number + 1, &RIGHT, page);
        let pieces = details(link);
        if !pieces.0.is_empty() {
            page.flow(2, &pieces);
        }
    }
}

fn figures(link: &Value) -> Pieces {
    let lossy = if link.count("loss_permille") > 0 { Paint::Warn } else { Paint::Normal };
    let races = link.get("races");
    let mut row = Pieces::default();
    row.say(Paint::Bold, format_args!("{}", link.text("name")));
    row.cell(state(link));
    row.amount(link, "since_s", Paint::Normal, seconds);
    row.say(Paint::Normal, format_args!("{}", link.text("device")));
    row.amount(link, "rtt_us", Paint::Normal, millis);
    row.amount(link, "jitter_us", Paint::Normal, millis);
    row.amount(link, "loss_permille", lossy, permille);
    row.cell((percent(races.count("won"), races.count("copies")), Paint::Normal));
    row.amount(link, "rx_bytes", Paint::Normal, bytes);
    row.amount(link, "tx_bytes", Paint::Normal, bytes);
    row
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

fn details(link: &Value) -> Pieces {
    let mut pieces = Pieces::default();
    let up = link.text("state") == "up";
    if !link.text("reason").is_empty() {
        pieces.say(if up { Paint::Dim } else { Paint::Normal }, format_args!("{}", link.text("reason")));
    }
    if up && !link.is("used") {
        pieces.say(Paint::Warn, format_args!("not used"));
    }
    if link.is("metered") {
        pieces.say(Paint::Warn, format_args!("metered"));
    }
    for (address, gateway) in [("ipv4", "gateway"), ("ipv6", "gateway6")] {
        match (link.text(address), link.text(gateway)) {
            ("", _) => {}
            (address, "") => pieces.say(Paint::Dim, format_args!("{address}")),
            (address, gateway) => pieces.say(Paint::Dim, format_args!("{address} via {gateway}")),
        }
    }
    // Only what differs from the usual: this line is about what is special.
    for (key, usual) in [("mtu", 1500), ("weight", 1), ("metric", 0)] {
        if let Some(amount) = link.int(key).filter(|amount| *amount != usual && *amount != 0) {
            pieces.say(Paint::Dim, format_args!("{key} {amount}"));
        }
    }
    if link.count("handicap_us") > 0 {
        pieces.say(Paint::Dim, format_args!("handicap {}", millis(link.count("handicap_us"))));
    }
    let races = link.get("races");
    if races.count("copies") > 0 {
        pieces.say(
            Paint::Dim,
            format_args!("won {} of {} races", count(races.count("won")), count(races.count("copies"))),
        );
    }
    if races.count("silent") > 0 {
        pieces.say(Paint::Dim, format_args!("silent in {}", count(races.count("silent"))));
    }
    if let Some(ago) = link.int("last_answer_s").filter(|_| !up) {
        pieces.say(Paint::Dim, format_args!("last answer {} ago", seconds(ago)));
    }
    pieces
}
