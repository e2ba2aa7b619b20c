//! `probe`: a link's state, and who answered over it just now.

use super::page::{Page, Paint, Pieces, Table};
use super::units::{millis, permille};
use crate::control::Value;

pub fn draw(document: &Value, page: &mut Page) {
    let state = document.text("state");
    let paint = match state {
        "up" => Paint::Good,
        "down" | "absent" => Paint::Bad,
        _ => Paint::Warn,
    };
    page.put(&format!("{} is ", document.text("link")), Paint::Bold);
    page.put(state, paint);
    page.line(&format!(": {}", document.text("reason")), Paint::Normal);
    let targets = document.list("targets");
    let mut table = Table::default();
    for target in targets {
        let mut row = Pieces::default();
        row.say(Paint::Normal, format_args!("  {}", target.text("target")));
        match (target.get("answered"), target.int("rtt_us")) {
            (Value::Bool(true), Some(rtt)) => row.cell((millis(rtt), Paint::Good)),
            (Value::Bool(true), None) => row.say(Paint::Good, format_args!("answered")),
            (Value::Bool(false), _) => row.say(Paint::Bad, format_args!("no answer")),
            _ => row.say(Paint::Dim, format_args!("not probed")),
        }
        if let Some(loss) = target.int("loss_permille") {
            row.say(Paint::Dim, format_args!("{} lost", permille(loss)));
        }
        table.row(row);
    }
    (0..targets.len()).for_each(|row| table.draw(row, &[1, 2], page));
}
