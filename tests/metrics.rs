//! `metrics` against a strict reader of OpenMetrics 1.0: it takes nothing that the specification does not.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use cheaproute::control::{Form, Value, render};
use support::{Bed, SERVERS, eventually};

/// A family's samples: name and labels, and the value.
type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Reads an exposition whole. Panics with the line that breaks a rule.
#[track_caller]
fn read(text: &str) -> Samples {
    let body = text.strip_suffix("# EOF\n").expect("ends with # EOF and a newline");
    let mut families = BTreeSet::new();
    let mut samples = Samples::new();
    // The family that the current lines belong to: its name, its type, its unit, whether samples began.
    let mut family: Option<(String, String, String, bool)> = None;
    for line in body.split_terminator('\n') {
        let wrong = |why: &str| -> ! { panic!("{why}: {line:?}") };
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (Some(what), Some(name), Some(value)) = (words.next(), words.next(), words.next()) else {
                wrong("a descriptor is a word, a name and a value");
            };
            assert!(is_name(name), "a name of a metric: {line:?}");
            if family.as_ref().is_none_or(|(current, ..)| current != name) {
                assert!(families.insert(name.to_owned()), "a family comes once: {line:?}");
                family = Some((name.into(), "unknown".into(), String::new(), false));
            }
            let Some((_, kind, unit, began)) = &mut family else { unreachable!() };
            assert!(!*began, "descriptors come before samples: {line:?}");
            match what {
                "TYPE" if ["counter", "gauge", "info"].contains(&value) => *kind = value.into(),
                "UNIT" => {
                    assert!(name.ends_with(&format!("_{value}")), "the unit ends the name: {line:?}");
                    *unit = value.into();
                }
                "HELP" => assert!(unescaped(value).is_some(), "escapes: {line:?}"),
                _ => wrong("an unknown descriptor"),
            }
            continue;
        }
        let Some((name, kind, unit, began)) = &mut family else { wrong("a sample without a family") };
        *began = true;
        let end = line.find(['{', ' ']).unwrap_or_else(|| wrong("a sample has a value"));
        let (sample, rest) = line.split_at(end);
        let suffix = sample.strip_prefix(name.as_str()).unwrap_or_else(|| wrong("a sample of another family"));
        let (labels, value) = labels(rest).unwrap_or_else(|| wrong("labels"));
        let number: f64 = value.parse().unwrap_or_else(|_| wrong("a number"));
        assert!(value.bytes().all(|c| c.is_ascii_digit() || c == b'.'), "plain and not negative: {line:?}");
        match (kind.as_str(), suffix) {
            ("counter", "_total") | ("gauge", "") => {}
            ("info", "_info") => assert!(number == 1.0 && unit.is_empty() && !labels.is_empty(), "{line:?}"),
            _ => wrong("a suffix that the type does not have"),
        }
        let before = samples.insert((sample.to_owned(), labels), number);
        assert_eq!(before, None, "the same sample twice: {line:?}");
    }
    samples
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// What follows a sample's name: labels, if any, and after one blank the value.
fn labels(rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    let Some(mut rest) = rest.strip_prefix('{') else { return Some((labels, rest.strip_prefix(' ')?)) };
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let mut escaped = false;
        let end = after.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        let (value, after) = (after.get(..end)?, after.get(end + 1..)?);
        let unique = labels.insert(name.to_owned(), unescaped(value)?).is_none();
        if !is_name(name) || name.contains(':') || !unique {
            return None;
        }
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None => return Some((labels, after.strip_prefix("} ")?)),
        }
    }
}

fn unescaped(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                c @ ('"' | '\\') => c,
                _ => return None,
            },
            '"' => return None,
            c => c,
        });
    }
    Some(out)
}

#[track_caller]
fn value(samples: &Samples, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let found = samples.get(&(format!("cheaproute_{name}"), labels));
    *found.unwrap_or_else(|| panic!("no {name} in {samples:?}"))
}

#[test]
fn a_daemon_tells_its_figures() {
    need_lab!();
    let bed = Bed::with(&[2, 20], &["list probe 'icmp:198.51.100.1'"; 2], "");
    let server = bed.server(SERVERS[0], 80);
    for _ in 0..3 {
        assert_eq!(bed.link_taken(&server), 1);
    }
    let metrics = || {
        let output = bed.daemon.command(bed.lab.router(), &["metrics"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        read(&String::from_utf8(output.stdout).unwrap())
    };
    eventually("the losers' answers", || {
        value(&metrics(), "link_race_answers_total", &[("link", "wan2")]) == 3.0 // they are 36 ms late
    });
    eventually("a probe's answer", || {
        metrics().keys().any(|(name, labels)| name.ends_with("rtt_seconds") && labels["link"] == "wan2")
    });
    let now = metrics();
    for (name, labels, wanted) in [
        ("build_info", &[("version", env!("CARGO_PKG_VERSION"))][..], 1.0),
        ("links", &[], 2.0),
        ("races_started_total", &[], 3.0),
        ("races_ended_total", &[("outcome", "won")], 3.0),
        ("races_ended_total", &[("outcome", "silent")], 0.0),
        ("openings_passed_total", &[("reason", "full")], 0.0),
        ("link_info", &[("link", "wan2"), ("device", "wan2")], 1.0),
        ("link_up", &[("link", "wan1")], 1.0),
        ("link_transitions_total", &[("link", "wan1"), ("to", "up")], 1.0),
        ("link_transitions_total", &[("link", "wan1"), ("to", "down")], 0.0),
        ("link_race_copies_total", &[("link", "wan2")], 3.0),
        ("link_races_won_total", &[("link", "wan1")], 3.0),
        ("link_races_won_total", &[("link", "wan2")], 0.0),
    ] {
        assert_eq!(value(&now, name, labels), wanted, "{name} {labels:?}");
    }
    let rtt = value(&now, "link_rtt_seconds", &[("link", "wan2")]);
    assert!((0.02..2.0).contains(&rtt), "40 ms and the machine's load, in seconds: {rtt}");
    assert!(value(&now, "link_sent_bytes_total", &[("link", "wan1")]) > 100.0);
    assert!(value(&now, "resident_memory_bytes", &[]) > 500_000.0);
    bed.lab.wire(2).unplug();
    eventually("a link without carrier", || value(&metrics(), "link_up", &[("link", "wan2")]) == 0.0);
    assert_eq!(value(&metrics(), "link_transitions_total", &[("link", "wan2"), ("to", "down")]), 1.0);
}

fn shown(links: Vec<Value>) -> String {
    let links = Value::Map(vec![("links", links.into())]);
    let status = Value::Map(vec![("version", "1\"\\\n".into())]);
    render(&["metrics".into()], &Value::Map(vec![("status", status), ("links", links)]), Form::default())
}

#[test]
fn hostile_names_stay_labels() {
    let names = ["wan", "a\"} 1\n# EOF\n", "\\", "\\n", "\n", "\"", "", "漢,b=\"c\"", "\u{0}\u{1b}[31m\r"];
    let link = |name: &&str| {
        let name: Value = (*name).into();
        Value::Map(vec![
            ("name", name.clone()),
            ("device", name),
            ("used", true.into()),
            ("rtt_us", 1_500_000u32.into()),
        ])
    };
    let samples = read(&shown(names.iter().map(link).collect()));
    for name in names {
        assert_eq!(value(&samples, "link_info", &[("link", name), ("device", name)]), 1.0);
        assert_eq!(value(&samples, "link_rtt_seconds", &[("link", name)]), 1.5);
    }
    assert_eq!(value(&samples, "build_info", &[("version", "1\"\\\n")]), 1.0);
}

#[test]
fn what_is_not_known_is_left_out() {
    let link = |entries| Value::Map([vec![("name", "a".into()), ("used", false.into())], entries].concat());
    let samples = read(&shown(vec![link(vec![("rtt_us", Value::Null), ("loss_permille", 7u32.into())])]));
    let of_links: Vec<_> = samples.keys().filter(|(_, labels)| labels.contains_key("link")).collect();
    assert_eq!(of_links.len(), 2, "{of_links:?}");
    assert_eq!(value(&samples, "link_loss_ratio", &[("link", "a")]), 0.007);
    assert_eq!(value(&samples, "link_up", &[("link", "a")]), 0.0);
    assert!(read(&render(&["metrics".into()], &Value::Null, Form::default())).is_empty());
}
