//! `probe`: a link's state, and who answered over it just now.

use super::page::{Page, Paint, Table};
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
        let answer = match (target.get("answered"), target.int("rtt_us")) {
            (Value::Bool(true), Some(rtt)) => (millis(rtt), Paint::Good),
            (Value::Bool(true), None) => ("answered".into(), Paint::Good),
            (Value::Bool(false), _) => ("no answer".into(), Paint::Bad),
            _ => ("not probed".into(), Paint::Dim),
        };
        let loss = target.int("loss_permille").map_or(String::new(), |loss| format!("{} lost", permille(loss)));
        table.row(vec![(format!("  {}", target.text("target")), Paint::Normal), answer, (loss, Paint::Dim)]);
    }
    (0..targets.len()).for_each(|row| table.draw(row, &[1, 2], page));
}
