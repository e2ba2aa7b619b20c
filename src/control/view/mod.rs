//! Documents as text for people.
//!
//! [`page`] draws: columns, colours, and a cut at the terminal's edge. [`units`] says amounts the way people do. Each
//! further file is one view.

mod events;
mod links;
pub mod live;
mod memory;
mod metrics;
mod page;
mod peers;
mod plain;
mod policies;
mod probe;
mod races;
mod status;
#[cfg(test)]
mod tests;
mod units;
mod why;

use super::{Form, Value};
use page::Page;

/// The document that the request `name` is answered with. One that has no view of its own is listed key by key.
pub fn render(name: &str, document: &Value, form: Form) -> String {
    if name == "metrics" {
        return metrics::text(document); // not for people
    }
    let mut page = Page::new(form);
    match (name, document) {
        ("status", Value::Map(_)) => status::draw(document, &mut page),
        ("links", Value::Map(_)) => links::draw(document, &mut page),
        ("live", Value::Map(_)) => {
            links::draw(document, &mut page);
            page.end_line();
            if !document.list("peers").is_empty() {
                peers::draw(document, &mut page);
                page.end_line();
            }
            races::draw(document, &mut page);
            page.end_line();
        }
        ("why", Value::Map(_)) => why::draw(document, &mut page),
        ("races", Value::Map(_)) => races::draw(document, &mut page),
        ("memory", Value::Map(_)) => memory::draw(document, &mut page),
        ("peers", Value::Map(_)) => peers::draw(document, &mut page),
        ("policies", Value::Map(_)) => policies::draw(document, &mut page),
        ("events", Value::Map(_)) => events::draw(document, &mut page),
        ("probe", Value::Map(_)) => probe::draw(document, &mut page),
        _ => plain::draw(document, &mut page),
    }
    page.finish()
}
