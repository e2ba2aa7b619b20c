//! `memory`: what the races remember, the newest first: the fastest link to each destination, and how much slower the
//! others were.

use super::page::{Page, Paint, Table};
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
    table.row(HEAD.iter().map(|name| (name.to_string(), Paint::Dim)).collect());
    for entry in entries {
        let service = format!("{} {}/{}", entry.text("destination"), entry.text("protocol"), entry.count("port"));
        let service = match entry.count("port") {
            0 => format!("{} {}", entry.text("destination"), entry.text("protocol")),
            _ => service,
        };
        // Without an age the last race of one went wrong: the next is a full one.
        let (raced, doubted) = match entry.int("age_s") {
            Some(age) => (format!("{} ago", seconds(age)), Paint::Dim),
            None => ("in doubt".into(), Paint::Warn),
        };
        let fastest = match entry.text("link") {
            "" => ("-".into(), Paint::Dim),
            link => (link.into(), Paint::Good),
        };
        table.row(vec![
            (service, Paint::Normal),
            (raced, doubted),
            fastest,
            (round_trips(entry.list("links")), Paint::Normal),
        ]);
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
        said += &format!(", {} +{}", link.text("link"), millis(link.count("rtt_us").saturating_sub(first)));
    }
    said
}
