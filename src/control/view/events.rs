//! `events`: what happened to links and the configuration, the newest first.

use super::page::{Page, Paint, Pieces, Table};
use super::units::seconds;
use crate::control::Value;

pub fn draw(document: &Value, page: &mut Page) {
    let events = document.list("events");
    if events.is_empty() {
        return page.line("nothing happened yet", Paint::Dim);
    }
    let mut table = Table::default();
    for event in events {
        let kind = event.text("event");
        let paint = match kind.rsplit('.').next() {
            Some("up") => Paint::Good,
            Some("down" | "failed") => Paint::Bad,
            _ => Paint::Normal,
        };
        let subject = if event.text("peer").is_empty() { "link" } else { "peer" };
        let mut row = Pieces::default();
        row.say(Paint::Dim, format_args!("{} ago", seconds(event.count("age_s"))));
        row.say(paint, format_args!("{kind}"));
        match (event.text(subject), event.text("device")) {
            (link, device) if device.is_empty() || device == link => row.say(Paint::Normal, format_args!("{link}")),
            (link, device) => row.say(Paint::Normal, format_args!("{link} ({device})")),
        }
        row.say(Paint::Normal, format_args!("{}", event.text("reason")));
        table.row(row);
    }
    (0..events.len()).for_each(|row| table.draw(row, &[0], page));
}
