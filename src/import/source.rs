//! A section of the other program's file: what it says, and which of it has been used.

use core::fmt;

use crate::config::uci::{Entry, Section};
use crate::config::{Fault, MAX_FAULTS, Severity, shown, sort_faults};

/// Things to know about the translation, at most [`MAX_FAULTS`] of them.
#[derive(Default)]
pub struct Notes(Vec<Fault>);

pub struct Source<'a> {
    kind: &'static str,
    section: &'a Section,
    index: usize,
    used: Vec<&'static str>,
}

impl Notes {
    pub fn push(&mut self, note: Fault) {
        if self.0.len() < MAX_FAULTS {
            self.0.push(note);
        } else if self.0.len() == MAX_FAULTS {
            self.0.push(Fault { severity: Severity::Note, ..Fault::of_file("there is more to note than is shown") });
        }
    }

    /// In the order of the file.
    pub fn sorted(mut self) -> Vec<Fault> {
        sort_faults(&mut self.0);
        self.0
    }
}

impl<'a> Source<'a> {
    /// `index` counts the sections of this kind from 0.
    pub fn new(kind: &'static str, section: &'a Section, index: usize) -> Self {
        Source { kind, section, index, used: Vec::new() }
    }

    pub fn name(&self) -> Option<&'a str> {
        self.section.name.as_deref()
    }

    /// An option's value; the last of a list's.
    pub fn text(&mut self, option: &'static str) -> Option<&'a str> {
        self.entry(option)?.values.last().map(|word| word.text.as_str())
    }

    /// An option's words, whether it is written as a list or as one value with blanks or commas.
    pub fn words(&mut self, option: &'static str) -> Vec<&'a str> {
        let values = self.entry(option).map_or(&[][..], |entry| &entry.values);
        let split = values.iter().flat_map(|word| word.text.split(|c: char| c.is_whitespace() || c == ','));
        split.filter(|word| !word.is_empty()).collect()
    }

    /// `default` if it is absent or neither yes nor no, as mwan3 has it.
    pub fn is(&mut self, option: &'static str, default: bool) -> bool {
        self.text(option).and_then(crate::config::parse_bool).unwrap_or(default)
    }

    /// A whole number; one that is none is noted and counts as absent.
    pub fn number(&mut self, notes: &mut Notes, option: &'static str) -> Option<u32> {
        let text = self.text(option)?;
        let number = text.parse().ok().filter(|_| text.bytes().all(|c| c.is_ascii_digit()));
        if number.is_none() {
            self.note(notes, Some(option), format_args!("is no number ({}): the default applies", shown(text)));
        }
        number
    }

    fn entry(&mut self, option: &'static str) -> Option<&'a Entry> {
        self.used.push(option);
        self.section.entries.iter().find(|entry| entry.name == option)
    }

    /// About the section or one of its options; `text` goes on from its name.
    #[inline(never)] // text that is yet to be formatted takes the least room where there is something to note
    pub fn note(&self, notes: &mut Notes, option: Option<&str>, text: fmt::Arguments) {
        let entry = option.and_then(|option| self.section.entries.iter().find(|entry| entry.name == option));
        let name = self.name().map_or_else(|| format!("@{}[{}]", self.kind, self.index), str::to_owned);
        notes.push(Fault {
            severity: Severity::Note,
            line: Some(entry.map_or(self.section.place.line, |entry| entry.place.line)),
            column: None,
            section: Some(format!("{} {}", self.kind, shown(&name))),
            option: option.map(str::to_owned),
            text: text.to_string(),
        });
    }

    /// Notes that an option, if it is there and not just as it `usual`ly is, is not carried over.
    pub fn drop_option(&mut self, notes: &mut Notes, option: &'static str, usual: &str, why: &str) {
        if self.text(option).is_some_and(|text| text != usual) {
            self.note(notes, Some(option), format_args!("{why}"));
        }
    }

    /// Notes every option that nobody asked for.
    pub fn drop_rest(&mut self, notes: &mut Notes) {
        for entry in &self.section.entries {
            if !self.used.contains(&entry.name.as_str()) && !entry.values.is_empty() {
                self.note(notes, Some(&entry.name), format_args!("is left out: it has no equivalent"));
            }
        }
    }
}
