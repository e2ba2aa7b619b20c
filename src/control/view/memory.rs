//! `memory`: what the races remember, the newest first: the fastest link to each destination, and how much slower the
//! others were.

use std::fmt::Write;

use super::page::{Page, Paint, Pieces, Table};
use super::units::{count, millis, seconds};
use crate::control::Value;

const HEAD: [&str; 4] = ["DESTINATION", "RACED", "LINK", "ROUND TRIPS"];
/// The column of numbers, aligned at its end.
const RACED: usize = 1;
/// What can be done without where the line gets too long: the age.
const EXPENDABLE: [usize; 1] = [RACED];

pub fn draw(document: &Value, page: &mut Page) {
    let entries = document.list("memory");
    if entries.is_empty() {
        return page.line("nothing remembered yet", Paint::Dim);
    }
    let mut table = Table::default();
    table.head(&HEAD);
    for entry in entries {
        let mut row = Pieces::default();
        let (destination, protocol) = (entry.text("destination"), entry.text("protocol"));
        match entry.count("port") {
            0 => row.say(Paint::Normal, format_args!("{destination} {protocol}")),
            port => row.say(Paint::Normal, format_args!("{destination} {protocol}/{port}")),
        }
        // Without an age the last race of one went wrong: the next is a full one.
        match entry.int("age_s") {
            Some(age) => row.say(Paint::Dim, format_args!("{} ago", seconds(age))),
            None => row.say(Paint::Warn, format_args!("in doubt")),
        }
        match entry.text("link") {
            "" => row.say(Paint::Dim, format_args!("-")),
            link => row.say(Paint::Good, format_args!("{link}")),
        }
        row.cell((round_trips(entry.list("links")), Paint::Normal));
        table.row(row);
    }
    table.fit(page.width(), &EXPENDABLE);
    (0..=entries.len()).for_each(|row| table.draw(row, &[RACED], page));
    let more = document.count("total") - entries.len() as i64;
    if more > 0 {
        page.line(&format!("and {} more", count(more)), Paint::Dim);
    }
}

/// The fastest one's, then how much slower the others were: `21.3 ms, wanb +38.9 ms`.
fn round_trips(links: &[Value]) -> String {
    let Some(first) = links.first().map(|link| link.count("rtt_us")) else { return "-".into() };
    let mut said = millis(first);
    for link in links.iter().skip(1) {
        let _ = write!(said, ", {} +{}", link.text("link"), millis(link.count("rtt_us").saturating_sub(first)));
    }
    said
}
