//! Packets as JSON: what fits on a line stands on one.

use std::fmt::Write;

use super::field::{FIELDS, Field, Kind, Packet, Section, Value};
use super::names::{self, Names};
use super::options::{TcpOption, padded, split};
use super::read::spec;
use crate::control::json::push_text;

/// No line is longer than this if it can be broken.
const WIDTH: usize = 110;

/// One object and a newline.
pub fn write(packet: &Packet) -> String {
    let mut out = String::new();
    document(packet).render(&mut out, 0, true);
    out.push('\n');
    out
}

/// A field's value as it is written, on one line.
pub(super) fn value(packet: &Packet, field: Field, value: &Value) -> String {
    let mut out = String::new();
    if let Some(spec) = spec(field) {
        node(packet, spec.kind, value).flat(&mut out);
    }
    out
}

enum Node {
    /// As it stands.
    Plain(String),
    Text(String),
    List(Vec<Node>),
    /// Lines of data: each on its own if there are several.
    Lines(Vec<Node>),
    Map(Vec<(&'static str, Node)>),
}

fn document(packet: &Packet) -> Node {
    let mut entries = Vec::new();
    let mut written = [false; Section::ALL.len()];
    // In the table's order; a section stands where its first field does, and those without fields stand there too.
    for spec in &FIELDS {
        if spec.section != Section::Top {
            let done = written.get_mut(spec.section as usize).is_none_or(|done| core::mem::replace(done, true));
            if !done && packet.has(spec.section) {
                entries.push((spec.section.name(), section(packet, spec.section)));
            }
            continue;
        }
        if let Some(value) = packet.get(spec.field) {
            entries.push((spec.name, node(packet, spec.kind, value)));
        }
    }
    Node::Map(entries)
}

fn section(packet: &Packet, section: Section) -> Node {
    let fields = packet.values().iter().filter_map(|(field, value)| Some((spec(*field)?, value)));
    let ours = fields.filter(|(spec, _)| spec.section == section);
    Node::Map(ours.map(|(spec, value)| (spec.name, node(packet, spec.kind, value))).collect())
}

fn node(packet: &Packet, kind: Kind, value: &Value) -> Node {
    let named = |names: Names, number: u64| match names::name(names, number) {
        Some(name) => Node::Text(name.into()),
        None => Node::Plain(number.to_string()),
    };
    match (kind, value) {
        (Kind::Seconds, Value::Number(micros)) => Node::Plain(seconds(*micros)),
        (Kind::Hex(_), Value::Number(number)) => Node::Text(format!("{number:#06x}")),
        (Kind::Flags(names), Value::Number(flags)) => {
            let set = names.iter().filter(|(_, bit)| flags & bit != 0);
            Node::List(set.map(|(name, _)| Node::Text((*name).into())).collect())
        }
        (Kind::Protocol, Value::Number(number)) => named(names::PROTOCOLS, *number),
        (Kind::Type, Value::Number(number)) => named(names::icmp_types(packet.is_ipv6()), *number),
        (Kind::Code, Value::Number(number)) => named(names::icmp_codes(packet.is_ipv6(), packet.icmp_type()), *number),
        (Kind::Options, Value::Bytes(bytes)) => {
            // As they are in a header: what seems to pad them here is theirs, and padded again.
            Node::List(split(&padded(bytes)).unwrap_or_default().iter().map(option).collect())
        }
        (Kind::Digits, Value::Bytes(bytes)) => Node::Text(digits(bytes)),
        (_, Value::Bytes(bytes)) => lines(bytes),
        (_, Value::Number(number)) => Node::Plain(number.to_string()),
        (_, Value::Address(address)) => Node::Text(address.to_string()),
        (_, Value::Text(text)) => Node::Text(text.clone()),
        (_, Value::Packet(packet)) => document(packet),
    }
}

fn option(option: &TcpOption) -> Node {
    let number = |number: u32| Node::Plain(number.to_string());
    let pair = |(a, b): (u32, u32)| Node::List(vec![number(a), number(b)]);
    let entry = |name, node| Node::Map(vec![(name, node)]);
    match option {
        TcpOption::Eol => Node::Text("EOL".into()),
        TcpOption::Nop => Node::Text("NOP".into()),
        TcpOption::SackPermitted => Node::Text("sackPermitted".into()),
        TcpOption::MaxSegmentSize(size) => entry("maxSegmentSize", number((*size).into())),
        TcpOption::WindowScale(scale) => entry("windowScale", number((*scale).into())),
        TcpOption::SelectedAck(edges) => {
            entry("selectedAck", Node::List(edges.iter().map(|edge| pair(*edge)).collect()))
        }
        TcpOption::Timestamp(value, echo) => entry("timestamp", pair((*value, *echo))),
        TcpOption::Other(kind, data) => {
            Node::Map(vec![("kind", number((*kind).into())), ("data", Node::Text(digits(data)))])
        }
    }
}

fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text if all of it is readable, else 16 bytes a line.
fn lines(bytes: &[u8]) -> Node {
    let readable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t');
    let (kind, lines): (&str, Vec<String>) = if !bytes.is_empty() && bytes.iter().all(readable) {
        (
            "text",
            bytes.split_inclusive(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).into()).collect(),
        )
    } else {
        ("hex", bytes.chunks(16).map(digits).collect())
    };
    let lines = Node::Lines(lines.into_iter().map(Node::Text).collect());
    Node::Map(vec![("type", Node::Text(kind.into())), ("data", lines)])
}

fn digits(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 3);
    for (at, byte) in bytes.iter().enumerate() {
        let gap = match at {
            0 => "",
            at if at % 8 == 0 => "  ",
            _ => " ",
        };
        let _ = write!(out, "{gap}{byte:02x}");
    }
    out
}

impl Node {
    fn flat(&self, out: &mut String) {
        match self {
            Node::Plain(text) => out.push_str(text),
            Node::Text(text) => push_text(out, text),
            Node::List(items) | Node::Lines(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    item.flat(out);
                }
                out.push(']');
            }
            Node::Map(entries) => {
                out.push('{');
                for (at, (name, item)) in entries.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { ", " });
                    push_text(out, name);
                    out.push_str(": ");
                    item.flat(out);
                }
                out.push('}');
            }
        }
    }

    /// Whether it is to be broken even if it fits.
    fn is_tall(&self) -> bool {
        match self {
            Node::Lines(items) => items.len() > 1,
            Node::Map(entries) => entries.iter().any(|(_, item)| item.is_tall()),
            _ => false,
        }
    }

    fn render(&self, out: &mut String, depth: usize, tall: bool) {
        let used = out.len() - out.rfind('\n').map_or(0, |at| at + 1);
        let start = out.len();
        if !tall && !self.is_tall() {
            self.flat(out);
            if used + out.len() - start <= WIDTH {
                return;
            }
            out.truncate(start);
        }
        let mut first = true;
        let mut begin = |out: &mut String| {
            out.push_str(if core::mem::take(&mut first) { "\n" } else { ",\n" });
            (0..=depth).for_each(|_| out.push_str("  "));
        };
        let close = match self {
            Node::List(items) | Node::Lines(items) if !items.is_empty() => {
                out.push('[');
                for item in items {
                    begin(out);
                    item.render(out, depth + 1, false);
                }
                ']'
            }
            Node::Map(entries) if !entries.is_empty() => {
                out.push('{');
                for (name, item) in entries {
                    begin(out);
                    push_text(out, name);
                    out.push_str(": ");
                    item.render(out, depth + 1, false);
                }
                '}'
            }
            _ => return self.flat(out),
        };
        out.push('\n');
        (0..depth).for_each(|_| out.push_str("  "));
        out.push(close);
    }
}
