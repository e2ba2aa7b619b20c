//! `why`: the way of a connection in a line, and below it the reasons in the order of the kernel's decisions.

use std::fmt::Write;

use super::page::{Page, Paint, length};
use crate::control::Value;

/// Where the texts stand.
const TEXT: usize = 9;

pub fn draw(document: &Value, page: &mut Page) {
    for (number, answer) in document.list("answers").iter().enumerate() {
        if number > 0 {
            page.end_line();
        }
        page.line(&connection(answer), Paint::Bold);
        let (way, paint) = way(answer);
        row("takes", &way, paint, page);
        for (number, reason) in answer.list("reasons").iter().enumerate() {
            if let Value::Text(reason) = reason {
                row(if number == 0 { "why" } else { "" }, reason, Paint::Normal, page);
            }
        }
        for link in answer.list("links") {
            let text =
                format!("{}: mark {}, routing table {}", link.text("name"), link.text("mark"), link.count("table"));
            row("", &text, Paint::Dim, page);
        }
    }
}

/// `tcp to 192.0.2.1 port 443, from 192.168.1.7 by br-lan`.
fn connection(answer: &Value) -> String {
    let mut text = format!("{} to {}", answer.text("protocol"), answer.text("to"));
    if let Some(port) = answer.int("port") {
        let _ = write!(text, " port {port}");
    }
    text += match (answer.text("from"), answer.is("router")) {
        (_, true) => ", from the router itself: ",
        ("", _) => ", from any client",
        _ => ", from ",
    };
    text += answer.text("from");
    if let Some(port) = answer.int("from_port") {
        let _ = write!(text, " port {port}");
    }
    if !answer.text("device").is_empty() {
        let _ = write!(text, " by {}", answer.text("device"));
    }
    text
}

fn way(answer: &Value) -> (String, Paint) {
    let links = answer.list("links");
    let names = |with_percent: bool, last: &str| {
        let mut text = String::new();
        for (number, link) in links.iter().enumerate() {
            text += match links.len() - number {
                _ if number == 0 => "",
                1 => last,
                _ => ", ",
            };
            text += link.text("name");
            if with_percent {
                let _ = write!(text, " ({} %)", link.count("percent"));
            }
        }
        text
    };
    match answer.text("way") {
        "local" => ("no link: it is for the router itself".into(), Paint::Normal),
        "main" => (format!("the router's own route: {}", answer.text("route")), Paint::Normal),
        "drop" => ("no link: it is dropped in silence".into(), Paint::Bad),
        "reject" => ("no link: it is refused".into(), Paint::Bad),
        "race" => (format!("the fastest of {}, in a race", names(false, " and ")), Paint::Good),
        "share" => (names(true, " or "), Paint::Good),
        _ => (names(false, ""), Paint::Good),
    }
}

/// A text in as many lines as it needs, behind its name.
fn row(name: &str, text: &str, paint: Paint, page: &mut Page) {
    page.go(2);
    page.put(name, Paint::Dim);
    let room = page.width().saturating_sub(TEXT);
    let mut used = 0;
    for word in text.split(' ') {
        if used > 0 && used + 1 + length(word) > room {
            page.end_line();
            used = 0;
        }
        page.go(TEXT + used + usize::from(used > 0));
        page.put(word, paint);
        used += length(word) + usize::from(used > 0);
    }
    page.end_line();
}
