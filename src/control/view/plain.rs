//! Any document, key by key.

use super::page::{Page, Paint, length};
use crate::control::Value;

pub fn draw(document: &Value, page: &mut Page) {
    match document {
        Value::Map(_) | Value::List(_) => entries(document, 0, page),
        one => page.line(&scalar(one), Paint::Normal),
    }
}

fn entries(value: &Value, indent: usize, page: &mut Page) {
    match value {
        Value::Map(map) => {
            let width = map.iter().map(|(key, _)| length(key)).max().unwrap_or(0);
            for (key, item) in map {
                page.go(indent);
                page.put(key, Paint::Dim);
                page.go(indent + width + 2);
                nested(item, indent, page);
            }
        }
        Value::List(items) => {
            for item in items {
                page.go(indent);
                page.put("-", Paint::Dim);
                page.go(indent + 2);
                nested(item, indent, page);
            }
        }
        _ => {}
    }
}

/// What stands behind a key or a dash: a scalar in the same line, the rest below it.
fn nested(item: &Value, indent: usize, page: &mut Page) {
    match item {
        Value::Map(_) | Value::List(_) => {
            page.end_line();
            entries(item, indent + 2, page);
        }
        one => {
            page.line(&scalar(one), Paint::Normal);
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        _ => "-".into(),
    }
}
