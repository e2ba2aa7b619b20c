//! `metrics`: the figures for a monitoring system, as OpenMetrics 1.0 text
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).
//!
//! One table says what there is; the document of `status` and that of `links` are where it comes from. A figure that is not
//! known is left out, as the specification wants it.

use core::fmt::Write;

use crate::control::Value;

mod families;

use families::Shape::{Counter, Gauge, Info};
use families::{DAEMON, Family, LINK, PATH, PEER, Unit};

/// The whole exposition, for a document that holds `status`, `links` and `peers`, each as the request of that name is answered.
pub fn text(document: &Value) -> String {
    let mut out = String::new();
    for family in DAEMON {
        head(&mut out, family);
        samples(&mut out, family, document, &[]);
    }
    // The samples of a family stand together.
    for family in LINK {
        head(&mut out, family);
        for link in document.get("links").list("links") {
            samples(&mut out, family, link, &[("link", link.text("name"))]);
        }
    }
    let peers = document.get("peers").list("peers");
    for family in PEER.iter().filter(|_| !peers.is_empty()) {
        head(&mut out, family);
        for peer in peers {
            samples(&mut out, family, peer, &[("peer", peer.text("name"))]);
        }
    }
    // A server's clients are many, and their paths have no lasting names.
    for family in PATH.iter().filter(|_| peers.iter().any(|peer| !peer.list("paths").is_empty())) {
        head(&mut out, family);
        for peer in peers {
            for path in peer.list("paths") {
                samples(&mut out, family, path, &[("peer", peer.text("name")), ("link", path.text("name"))]);
            }
        }
    }
    out.push_str("# EOF\n");
    out
}

fn head(out: &mut String, family: &Family) {
    let Family { name, shape, help, .. } = family;
    let (kind, unit) = match shape {
        Counter(unit) => ("counter", unit.name()),
        Gauge(unit) => ("gauge", unit.name()),
        Info => ("info", ""),
    };
    let _ = writeln!(out, "# TYPE cheaproute_{name} {kind}");
    if !unit.is_empty() {
        let _ = writeln!(out, "# UNIT cheaproute_{name} {unit}");
    }
    let _ = writeln!(out, "# HELP cheaproute_{name} {help}");
}

fn samples(out: &mut String, family: &Family, document: &Value, whose: &[(&str, &str)]) {
    for ((label, value), path) in family.samples {
        let found = path.iter().fold(document, |place, key| place.get(key));
        let (end, number, value) = match (family.shape, found) {
            (Info, Value::Text(text)) => ("_info", "1".into(), text.as_str()),
            (Counter(unit), Value::Int(number)) => ("_total", unit.write(*number), *value),
            (Gauge(unit), Value::Int(number)) => ("", unit.write(*number), *value),
            (Gauge(_), Value::Text(state)) => ("", u8::from(state == "up").to_string(), *value),
            (Gauge(_), Value::Bool(flag)) => ("", u8::from(*flag).to_string(), *value),
            _ => continue,
        };
        let labels = whose.iter().copied().chain((!label.is_empty()).then_some((*label, value)));
        let _ = write!(out, "cheaproute_{}{end}", family.name);
        let mut mark = '{';
        for (name, value) in labels {
            let _ = write!(out, "{mark}{name}=\"");
            escape(out, value);
            out.push('"');
            mark = ',';
        }
        if mark == ',' {
            out.push('}');
        }
        let _ = writeln!(out, " {number}");
    }
}

/// A label's value: any text, with three characters escaped.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '"' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Unit::None => "",
            Unit::Bytes => "bytes",
            Unit::Seconds | Unit::Micros => "seconds",
            Unit::Permille => "ratio",
        }
    }

    fn write(self, number: i64) -> String {
        let (divisor, digits) = match self {
            Unit::Micros => (1_000_000, 6),
            Unit::Permille => (1_000, 3),
            _ => return number.to_string(),
        };
        // Neither is ever negative.
        let number = number.max(0);
        format!("{}.{:0digits$}", number / divisor, number % divisor)
    }
}
