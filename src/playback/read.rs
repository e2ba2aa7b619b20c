//! JSON to packets, with all that is wrong at once.

use std::net::IpAddr;

use super::field::{FIELDS, Field, Kind, Packet, Section, Spec, Value};
use super::json::{self, Entry, Fault, Node, Place, Tree};
use super::names::{self, Names};
use super::options::TcpOption;
use super::{LONGEST, NESTED, build};

/// More than anybody reads at once.
const FAULTS: usize = 20;

/// A packet and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    pub place: Place,
    pub packet: Packet,
}

/// The packets of a text: objects in an array or one after another. If `whole`, each can be built; else any field may miss.
pub fn read(text: &str, whole: bool) -> Result<Vec<Read>, Vec<Fault>> {
    let nodes = json::read(text).map_err(|fault| vec![fault])?;
    let mut reader = Reader { faults: Vec::new(), path: Vec::new() };
    let mut packets = Vec::new();
    for node in nodes {
        let before = reader.faults.len();
        let Some(packet) = reader.packet(&node, NESTED) else { continue };
        if whole && reader.faults.len() == before {
            build(&packet).map_err(|text| reader.fault(node.place, text)).ok();
        }
        packets.push(Read { place: node.place, packet });
    }
    if reader.faults.is_empty() { Ok(packets) } else { Err(reader.faults) }
}

struct Reader {
    faults: Vec<Fault>,
    path: Vec<&'static str>,
}

impl Reader {
    fn fault(&mut self, place: Place, text: impl Into<String>) {
        if self.faults.len() < FAULTS {
            self.faults.push(Fault { place, path: self.path.join("."), text: text.into() });
        }
    }

    /// What was expected instead of `node`.
    fn expected<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        let found = match &node.tree {
            Tree::Null => "null".into(),
            Tree::Bool(value) => value.to_string(),
            Tree::Number(number) => number.clone(),
            Tree::Text(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
            Tree::List(_) => "a list".into(),
            Tree::Map(_) => "an object".into(),
        };
        self.fault(node.place, format!("expected {what}, not {found}"));
        None
    }

    fn packet(&mut self, node: &Node, nested: usize) -> Option<Packet> {
        let Some(nested) = nested.checked_sub(1) else {
            self.fault(node.place, "expected no packet in here: it stands in too many others");
            return None;
        };
        let mut packet = Packet::default();
        // IP comes first: ICMP's names depend on its version. The rest follows in the order of the table.
        for section in [Section::Ip, Section::Tcp, Section::Udp, Section::Icmp, Section::Top] {
            if section == Section::Top {
                self.section(&mut packet, section, node, nested);
                continue;
            }
            let Tree::Map(entries) = &node.tree else { return self.expected(node, "an object, which is a packet") };
            let Some(entry) = entries.iter().find(|entry| entry.key == section.name()) else { continue };
            packet.add(section);
            self.path.push(section.name());
            self.section(&mut packet, section, &entry.node, nested);
            self.path.pop();
        }
        Some(packet)
    }

    fn section(&mut self, packet: &mut Packet, section: Section, node: &Node, nested: usize) {
        let Tree::Map(entries) = &node.tree else {
            return self.expected::<()>(node, "an object").unwrap_or_default();
        };
        for spec in FIELDS.iter().filter(|spec| spec.section == section) {
            let Some(Entry { node, place, .. }) = entries.iter().find(|entry| entry.key == spec.name) else { continue };
            self.path.push(spec.name);
            if packet.get(spec.field).is_some() {
                self.fault(*place, "stands here already, by its other name");
            } else if let Some(value) = self.value(packet, spec, node, nested) {
                packet.set(spec.field, value);
            }
            self.path.pop();
        }
        for Entry { key, place, .. } in entries {
            let known = FIELDS.iter().any(|spec| spec.section == section && spec.name == key);
            let top =
                section == Section::Top && Section::ALL.iter().any(|other| !key.is_empty() && other.name() == key);
            if !known && !top {
                self.fault(*place, format!("there is no field {key:?} here: expected one of {}", known_names(section)));
            }
        }
    }

    fn value(&mut self, packet: &Packet, spec: &Spec, node: &Node, nested: usize) -> Option<Value> {
        match spec.kind {
            Kind::Text => match &node.tree {
                Tree::Text(text) => Some(Value::Text(text.clone())),
                _ => self.expected(node, "a text"),
            },
            Kind::Seconds => match &node.tree {
                Tree::Number(number) if micros(number).is_some() => micros(number).map(Value::Number),
                _ => self.expected(node, "seconds, with up to six decimals, such as 1.25"),
            },
            Kind::Number(most) | Kind::Hex(most) => self.number(node, most).map(Value::Number),
            Kind::Flags(names) => self.flags(node, names).map(Value::Number),
            Kind::Protocol => self.named(node, names::PROTOCOLS, "protocol").map(Value::Number),
            Kind::Type => {
                let types = names::icmp_types(packet.is_ipv6());
                self.named(node, types, "type of ICMP").map(Value::Number)
            }
            Kind::Code => {
                let codes = names::icmp_codes(packet.is_ipv6(), packet.icmp_type());
                self.named(node, codes, "code").map(Value::Number)
            }
            Kind::Address => match &node.tree {
                Tree::Text(text) if text.parse::<IpAddr>().is_ok() => text.parse().ok().map(Value::Address),
                _ => self.expected(node, "an IPv4 or IPv6 address between quotes"),
            },
            Kind::Digits => self.digits(node).map(Value::Bytes),
            Kind::Bytes => self.bytes(node).map(Value::Bytes),
            Kind::Options => self.options(node).map(Value::Bytes),
            Kind::Packet => self.packet(node, nested).map(|packet| Value::Packet(Box::new(packet))),
        }
    }

    fn number(&mut self, node: &Node, most: u64) -> Option<u64> {
        let number = match &node.tree {
            Tree::Number(number) => number.parse().ok(),
            Tree::Text(text) => text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        match number.filter(|number| *number <= most) {
            Some(number) => Some(number),
            None => self.expected(node, &format!("a whole number from 0 to {most} (or \"0x..\")")),
        }
    }

    fn named(&mut self, node: &Node, names: Names, what: &str) -> Option<u64> {
        match &node.tree {
            Tree::Text(text) if !text.starts_with("0x") => match names::number(names, text) {
                Some(number) => Some(number),
                None if names.is_empty() => self.expected(node, &format!("a number: this {what} has no names")),
                None => self.expected(node, &format!("a {what} by number, or one of {}", list(names))),
            },
            _ => self.number(node, 255),
        }
    }

    fn flags(&mut self, node: &Node, names: Names) -> Option<u64> {
        let Tree::List(items) = &node.tree else {
            return self.expected(node, &format!("a list of flags, such as [\"{}\"]", names.first()?.0));
        };
        items.iter().try_fold(0, |flags, item| {
            let number = match &item.tree {
                Tree::Text(text) => names::number(names, text),
                _ => None,
            };
            match number {
                Some(bit) => Some(flags | bit),
                None => self.expected(item, &format!("one of {}", list(names))),
            }
        })
    }

    fn bytes(&mut self, node: &Node) -> Option<Vec<u8>> {
        let Tree::Map(entries) = &node.tree else {
            return self.expected(node, "an object with type (\"text\" or \"hex\") and data (a list of lines)");
        };
        let find = |name: &str| entries.iter().find(|entry| entry.key == name).map(|entry| &entry.node);
        if let Some(entry) = entries.iter().find(|entry| !["type", "data"].contains(&&*entry.key)) {
            self.fault(entry.place, format!("there is no field {:?} here: expected type and data", entry.key));
            return None;
        }
        let (Some(kind), Some(data)) = (find("type"), find("data")) else {
            return self.expected(node, "both type (\"text\" or \"hex\") and data (a list of lines) in it");
        };
        match &kind.tree {
            Tree::Text(kind) if kind == "hex" => self.digits(data),
            Tree::Text(kind) if kind == "text" => {
                let mut bytes = Vec::new();
                for line in lines(data) {
                    match &line.tree {
                        Tree::Text(text) => bytes.extend(text.as_bytes()),
                        _ => return self.expected(line, "a line of text"),
                    }
                }
                self.fitting(data, bytes)
            }
            _ => self.expected(kind, "\"text\" or \"hex\""),
        }
    }

    fn digits(&mut self, node: &Node) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for line in lines(node) {
            let Tree::Text(text) = &line.tree else { return self.expected(line, "a line of hexadecimal digits") };
            let digits: Option<Vec<u32>> =
                text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect();
            let Some(digits) = digits.filter(|digits| digits.len() % 2 == 0) else {
                return self.expected(line, "two hexadecimal digits for each byte");
            };
            bytes
                .extend(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8)));
        }
        self.fitting(node, bytes)
    }

    fn fitting(&mut self, node: &Node, bytes: Vec<u8>) -> Option<Vec<u8>> {
        if bytes.len() > LONGEST {
            self.fault(node.place, format!("expected at most {LONGEST} bytes, not {}", bytes.len()));
            return None;
        }
        Some(bytes)
    }

    fn options(&mut self, node: &Node) -> Option<Vec<u8>> {
        let Tree::List(items) = &node.tree else { return self.expected(node, "a list of options") };
        let mut bytes = Vec::new();
        for item in items {
            self.option(item)?.write(&mut bytes);
        }
        self.fitting(node, bytes)
    }

    fn option(&mut self, node: &Node) -> Option<TcpOption> {
        const KNOWN: &str = "\"NOP\", \"EOL\", \"sackPermitted\", {\"maxSegmentSize\": 1460}, {\"windowScale\": 7}, \
                             {\"selectedAck\": [[1, 2]]}, {\"timestamp\": [1, 0]} or {\"kind\": 254, \"data\": \"00\"}";
        let entries = match &node.tree {
            Tree::Text(text) if text.eq_ignore_ascii_case("NOP") => return Some(TcpOption::Nop),
            Tree::Text(text) if text.eq_ignore_ascii_case("EOL") => return Some(TcpOption::Eol),
            Tree::Text(text) if text.eq_ignore_ascii_case("sackPermitted") => return Some(TcpOption::SackPermitted),
            Tree::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        match entries {
            [Entry { key, node, .. }] if key == "maxSegmentSize" => {
                self.number(node, 0xFFFF).map(|size| TcpOption::MaxSegmentSize(size as u16))
            }
            [Entry { key, node, .. }] if key == "windowScale" => {
                self.number(node, 0xFF).map(|scale| TcpOption::WindowScale(scale as u8))
            }
            [Entry { key, node, .. }] if key == "timestamp" => {
                self.pair(node).map(|(value, echo)| TcpOption::Timestamp(value, echo))
            }
            [Entry { key, node, .. }] if key == "selectedAck" => match &node.tree {
                // Four take 34 of the 40 bytes.
                Tree::List(edges) if edges.len() <= 4 => {
                    edges.iter().map(|edge| self.pair(edge)).collect::<Option<_>>().map(TcpOption::SelectedAck)
                }
                _ => self.expected(node, "a list of up to four pairs of edges"),
            },
            [a, b] if (&*a.key, &*b.key) == ("kind", "data") || (&*b.key, &*a.key) == ("kind", "data") => {
                let (kind, data) = if a.key == "kind" { (a, b) } else { (b, a) };
                let number = self.number(&kind.node, 255)?;
                let bytes = self.digits(&data.node)?;
                if number < 2 || bytes.len() > 38 {
                    return self.expected(node, "a kind from 2 to 255 and at most 38 bytes of data");
                }
                Some(TcpOption::Other(number as u8, bytes))
            }
            _ => self.expected(node, KNOWN),
        }
    }

    fn pair(&mut self, node: &Node) -> Option<(u32, u32)> {
        match &node.tree {
            Tree::List(items) => match items.as_slice() {
                [a, b] => {
                    let most = u64::from(u32::MAX);
                    Some((self.number(a, most)? as u32, self.number(b, most)? as u32))
                }
                _ => self.expected(node, "a list of two numbers"),
            },
            _ => self.expected(node, "a list of two numbers"),
        }
    }
}

/// A list's items; anything else is its own only line.
fn lines(node: &Node) -> &[Node] {
    match &node.tree {
        Tree::List(items) => items,
        _ => core::slice::from_ref(node),
    }
}

fn list(names: Names) -> String {
    names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn known_names(section: Section) -> String {
    let fields = FIELDS.iter().filter(|spec| spec.section == section).map(|spec| spec.name);
    let sections =
        Section::ALL.iter().map(|other| other.name()).filter(|name| section == Section::Top && !name.is_empty());
    sections.chain(fields).collect::<Vec<_>>().join(", ")
}

/// `1.25` in microseconds. More decimals than six are of no use, and up to a day is enough.
fn micros(number: &str) -> Option<u64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
        return None;
    }
    let whole: u64 = whole.parse().ok().filter(|seconds| *seconds <= 86_400)?;
    let decimals: u64 = format!("{decimals:0<6}").parse().ok()?;
    Some(whole * 1_000_000 + decimals)
}

/// The field's row that is written.
pub(super) fn spec(field: Field) -> Option<&'static Spec> {
    FIELDS.iter().find(|spec| spec.field == field)
}
