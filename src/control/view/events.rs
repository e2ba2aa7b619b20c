//! `events`: what happened to links and the configuration, the newest first.

use super::page::{Page, Paint, Table};
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
        let link = match (event.text(subject), event.text("device")) {
            (link, device) if device.is_empty() || device == link => link.into(),
            (link, device) => format!("{link} ({device})"),
        };
        table.row(vec![
            (format!("{} ago", seconds(event.count("age_s"))), Paint::Dim),
            (kind.into(), paint),
            (link, Paint::Normal),
            (event.text("reason").into(), Paint::Normal),
        ]);
    }
    (0..events.len()).for_each(|row| table.draw(row, &[0], page));
}
