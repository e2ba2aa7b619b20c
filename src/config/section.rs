//! A section of the file against the option table: what does not fit is reported once, and the rest is read with its
//! type.

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::fault::{Fault, MAX_FAULTS, Severity, nearest, shown};
use super::options::{Kind, Shape, Spec, Value, Without};
use super::peer::{Endpoint, Key, Mac, Medium, OwnAddress};
use super::uci::{Entry, Section};
use super::values::{NftSet, PortRange, Protocol, Target, is_name};
use super::{LastResort, MAX_RULES, Mode, OnDown, OnUp};
use super::{Role, Scheduler};
use crate::family::Family;
use crate::link::Marks;
use crate::prefix::Prefix;
use crate::split::{Ratio, Side};
use crate::text::{commas, is_host_name};
use crate::time::Span;

/// Values of one list: as many as rules, and for the same reason.
pub const MAX_VALUES: usize = MAX_RULES;

/// What mwan3 calls an option, and what it is here.
const MWAN3: [(&str, &str); 6] = [
    ("use_policy", "policy"),
    ("src_iface", "src_device"),
    ("ipset", "nftset"),
    ("use_member", "list link"),
    ("track_ip", "list probe"),
    ("sticky", "sticky 600s of the policy"),
];

/// A section of a known type.
pub struct Known<'a> {
    pub kind: Kind,
    /// `@rule[2]` for an anonymous section.
    pub name: String,
    section: &'a Section,
}

impl<'a> Known<'a> {
    /// `index` counts the sections of this type from 0.
    pub fn new(kind: Kind, section: &'a Section, index: usize) -> Self {
        let name = section.name.clone().unwrap_or_else(|| format!("@{}[{index}]", kind.name()));
        Known { kind, name, section }
    }

    /// Reports every option that does not fit the table, and a name that cannot be one.
    pub fn check(&self, faults: &mut Vec<Fault>) {
        self.check_name(faults);
        for entry in &self.section.entries {
            match self.kind.option(&entry.name) {
                Some(_) if entry.values.is_empty() => {}
                Some(spec) => self.check_entry(entry, spec, faults),
                None => {
                    let known: Vec<&str> = self.kind.options().map(|spec| spec.name).collect();
                    let theirs = MWAN3.iter().find(|(theirs, _)| *theirs == entry.name).map(|(_, ours)| *ours);
                    let hint = match theirs.or_else(|| nearest(&entry.name, &known)) {
                        Some(near) => format!("did you mean '{near}'?"),
                        None => format!("a {} has {}", self.kind.name(), commas(&known)),
                    };
                    let (line, option) = (entry.place.line, Some(&*entry.name));
                    self.report(faults, Severity::Fault, line, option, format_args!("is unknown; {hint}"));
                }
            }
        }
        for spec in self.kind.options() {
            if matches!(spec.without, Without::Required { .. }) && self.entry(spec.name).is_none() {
                self.fault(faults, format_args!("option '{}' is missing: {}", spec.name, spec.doc));
            }
        }
    }

    fn check_name(&self, faults: &mut Vec<Fault>) {
        let kind = self.kind.name();
        match (self.kind, &self.section.name) {
            (Kind::Main, name) if name.as_deref() != Some("main") => {
                self.fault(faults, format_args!("the only section of this type is config {kind} 'main'"));
            }
            (Kind::Link | Kind::Policy | Kind::Peer | Kind::Client, None) => {
                self.fault(faults, format_args!("a {kind} needs a name: config {kind} 'name'"));
            }
            (_, Some(name)) if !is_name(name) => {
                self.fault(faults, format_args!("the section's name must be {}", Shape::Name.describe()));
            }
            (_, Some(name)) if name.contains('-') => {
                self.warn(faults, format_args!("the uci command and LuCI refuse a '-' in a section's name; write '_'"));
            }
            _ => {}
        }
    }

    fn check_entry(&self, entry: &Entry, spec: &Spec, faults: &mut Vec<Fault>) {
        if entry.list && !spec.list {
            self.fault_of(
                faults,
                spec.name,
                format_args!("takes one value: write option {0}, not list {0}", spec.name),
            );
            return;
        }
        let words = words(entry, spec);
        if words.len() > MAX_VALUES {
            self.fault_of(
                faults,
                spec.name,
                format_args!("takes at most {MAX_VALUES} values; larger sets of addresses belong into an nftset"),
            );
            return;
        }
        for (word, line) in &words {
            if faults.len() < MAX_FAULTS && spec.shape.parse(word).is_none() {
                let secret = matches!(spec.shape, Shape::Key) || word.parse::<Key>().is_ok();
                let got = if secret { wrong_key(word) } else { format!("got {}", shown(word)) };
                let (must, hint) = (spec.shape.describe(), hint(spec.shape, word));
                let text = format!("must be {must} ({got}){hint}");
                self.report(faults, Severity::Fault, *line, Some(spec.name), format_args!("{text}"));
            }
        }
        if words.is_empty() {
            self.fault_of(faults, spec.name, format_args!("has no value; leave it out for the default"));
        }
    }

    /// The option's values as far as they fit; else its default.
    pub fn list<T: FromValue>(&self, name: &'static str) -> Vec<T> {
        let mut list = Vec::new();
        for value in &self.values(name) {
            if let Some(value) = T::from_value(value) {
                list.push(value);
            }
        }
        list
    }

    /// The option's value if it fits; else its default, if it has one.
    pub fn one<T: FromValue>(&self, name: &'static str) -> Option<T> {
        T::from_value(&self.value(name)?)
    }

    fn values(&self, name: &str) -> Vec<Value> {
        let mut values = Vec::new();
        let Some(spec) = self.kind.option(name) else { return values };
        match (self.entry(name), spec.without) {
            (Some(entry), _) if entry.list && !spec.list => {}
            (Some(entry), _) => words(entry, spec).iter().for_each(|(word, _)| values.extend(spec.shape.parse(word))),
            (None, Without::Default(texts)) => texts.iter().for_each(|text| values.extend(spec.shape.parse(text))),
            (None, _) => {}
        }
        values
    }

    fn value(&self, name: &str) -> Option<Value> {
        self.values(name).pop().or_else(|| {
            let spec = self.kind.option(name)?;
            if let Without::Default([text]) = spec.without { spec.shape.parse(text) } else { None }
        })
    }

    /// No value of it is reported by [`Known::check`].
    pub fn is_sound(&self, name: &str) -> bool {
        let (Some(entry), Some(spec)) = (self.entry(name), self.kind.option(name)) else { return true };
        let words = words(entry, spec);
        let fits = |(word, _): &(&str, u32)| spec.shape.parse(word).is_some();
        (spec.list || !entry.list) && (1..=MAX_VALUES).contains(&words.len()) && words.iter().all(fits)
    }

    pub fn is_given(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Reports a fault of the section. It is text that is yet to be formatted, here and below: that takes the least room where
    /// a fault is found.
    #[inline(never)]
    pub fn fault(&self, faults: &mut Vec<Fault>, text: fmt::Arguments) {
        self.report(faults, Severity::Fault, self.section.place.line, None, text);
    }

    /// Reports a warning about the section.
    #[inline(never)]
    pub fn warn(&self, faults: &mut Vec<Fault>, text: fmt::Arguments) {
        self.report(faults, Severity::Warning, self.section.place.line, None, text);
    }

    /// Reports a fault of an option; at the section's header if it is not given.
    #[inline(never)]
    pub fn fault_of(&self, faults: &mut Vec<Fault>, option: &str, text: fmt::Arguments) {
        self.report(faults, Severity::Fault, self.line_of(option), Some(option), text);
    }

    /// Reports a warning about an option.
    #[inline(never)]
    pub fn warn_of(&self, faults: &mut Vec<Fault>, option: &str, text: fmt::Arguments) {
        self.report(faults, Severity::Warning, self.line_of(option), Some(option), text);
    }

    /// Reports a fault of one value of an option.
    #[inline(never)]
    pub fn fault_at(&self, faults: &mut Vec<Fault>, option: &str, value: &str, text: fmt::Arguments) {
        let line = self.entry(option).zip(self.kind.option(option)).and_then(|(entry, spec)| {
            // The last one: of two equal values the second is the one too many.
            words(entry, spec).iter().rev().find(|(word, _)| *word == value).map(|(_, line)| *line)
        });
        let line = line.unwrap_or_else(|| self.line_of(option));
        self.report(faults, Severity::Fault, line, Some(option), text);
    }

    #[inline(never)]
    fn report(
        &self,
        faults: &mut Vec<Fault>,
        severity: Severity,
        line: u32,
        option: Option<&str>,
        text: fmt::Arguments,
    ) {
        faults.push(Fault {
            severity,
            line: Some(line),
            column: None,
            section: Some(format!("{} {}", self.kind.name(), shown(&self.name))),
            option: option.map(str::to_owned),
            text: text.to_string(),
        });
    }

    fn line_of(&self, option: &str) -> u32 {
        self.entry(option).map_or(self.section.place.line, |entry| entry.place.line)
    }

    fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.section.entries.iter().find(|entry| entry.name == name && !entry.values.is_empty())
    }
}

/// The values of an option with their lines, at most one more than allowed. No value that lists hold has blanks or
/// commas in it.
fn words<'a>(entry: &'a Entry, spec: &Spec) -> Vec<(&'a str, u32)> {
    let mut words = Vec::new();
    for value in &entry.values {
        let line = value.place.line;
        if spec.list {
            let parts = value.text.split(|c: char| c.is_whitespace() || c == ',');
            let room = (MAX_VALUES + 1).saturating_sub(words.len());
            words.extend(parts.filter(|part| !part.is_empty()).map(|part| (part, line)).take(room));
        } else {
            words.push((value.text.as_str(), line));
        }
    }
    words
}

/// What is wrong with a key, or with its place, without a character of it: faults end in logs, and before people who may see
/// no more than the status.
fn wrong_key(text: &str) -> String {
    match text.chars().count() {
        _ if text.parse::<Key>().is_ok() => "got a key".into(),
        44 => "these 44 characters are not of base64, or were cut and joined".into(),
        length => format!("got {length} characters"),
    }
}

/// What the user may have had in mind.
fn hint(shape: Shape, text: &str) -> String {
    match shape {
        Shape::Ipv4 if text.parse::<Ipv6Addr>().is_ok() => "; an IPv6 gateway goes into 'gateway6'".into(),
        Shape::Ipv6 if text.parse::<Ipv4Addr>().is_ok() => "; an IPv4 gateway goes into 'gateway'".into(),
        Shape::Target if text.parse::<IpAddr>().is_ok() => format!("; did you mean 'icmp:{text}'?"),
        Shape::Target => match text.split_once(':') {
            Some(("https", _)) => "; of pages only http:".into(),
            Some(("icmp" | "tcp" | "dns", host))
                if host.split([':', '/']).next().is_some_and(|host| host.contains('.') && is_host_name(host)) =>
            {
                "; names only with http:".into()
            }
            _ => String::new(),
        },
        Shape::OneOf(words) => match nearest(text, words) {
            Some(near) => format!("; did you mean '{near}'?"),
            None => String::new(),
        },
        _ => String::new(),
    }
}

/// A value of the table as a field's type. `None` where the table and the field disagree, which the tests would show.
pub trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($variant:ident => $field:ty),* $(,)?) => {$(
        impl FromValue for $field {
            #[inline(never)] // read for each option, it would be there as often
            fn from_value(value: &Value) -> Option<Self> {
                if let Value::$variant(value) = value { Some(value.clone()) } else { None }
            }
        }
    )*};
}

from_value! {
    Bool => bool, Integer => u16, Time => Span, Text => String, Ipv4 => Ipv4Addr, Ipv6 => Ipv6Addr, Prefix => Prefix,
    Ports => PortRange, Protocol => Option<Protocol>, Target => Target, NftSet => NftSet, Mask => Marks,
    Endpoint => SocketAddr, Ratio => Ratio, Key => Key, Host => Endpoint, Own => OwnAddress, Mac => Mac, Rate => u64,
}

#[inline(never)]
fn place(value: &Value, words: &[&str]) -> Option<usize> {
    let Value::Word(word) = value else { return None };
    words.iter().position(|known| known == word)
}

macro_rules! from_word {
    ($($field:ty { $($word:literal => $variant:ident),* })*) => {$(
        impl FromValue for $field {
            fn from_value(value: &Value) -> Option<Self> {
                const ALL: &[$field] = &[$(<$field>::$variant),*];
                ALL.get(place(value, &[$($word),*])?).copied()
            }
        }
    )*};
}

from_word! {
    Mode {
        "race" => Race, "weighted" => Weighted, "failover" => Failover, "aggregate" => Aggregate,
        "blackhole" => Blackhole, "unreachable" => Unreachable
    }
    Role { "client" => Client, "server" => Server }
    Medium { "udp" => Udp, "ethernet" => Ethernet }
    Scheduler { "redundant" => Redundant, "weighted" => Weighted, "failover" => Failover, "adaptive" => Adaptive }
    LastResort { "default" => Default, "unreachable" => Unreachable, "blackhole" => Blackhole }
    OnDown { "reset" => Reset, "flush" => Flush, "keep" => Keep }
    Side { "sender" => Sender, "receiver" => Receiver }
    OnUp { "keep" => Keep, "return" => Return }
}

/// `any` is none.
impl FromValue for Option<Family> {
    fn from_value(value: &Value) -> Option<Self> {
        let place = place(value, &["any", Family::Ipv4.name(), Family::Ipv6.name()])?;
        Some(place.checked_sub(1).map(|index| Family::BOTH[index]))
    }
}

impl FromValue for log::LevelFilter {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Word(word) = value { Self::from_str(word).ok() } else { None }
    }
}
