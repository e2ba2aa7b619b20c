//! Our configuration's text: only what the option table takes is ever written.

use crate::config::options::{Kind, Spec};
use crate::config::uci::quote;

pub struct Output {
    text: String,
    kind: Kind,
}

impl Output {
    pub fn new() -> Self {
        Output { text: String::new(), kind: Kind::Main }
    }

    pub fn section(&mut self, kind: Kind, name: Option<&str>) {
        self.kind = kind;
        self.text += "\nconfig ";
        self.text += kind.name();
        if let Some(name) = name {
            self.text.push(' ');
            self.text += &quote(name);
        }
        self.text.push('\n');
    }

    /// An option, or one more value of a list. If the table does not take it, nothing is written and the error says why.
    pub fn put(&mut self, option: &str, value: &str) -> bool {
        let Ok(spec) = fits(self.kind, option, value) else { return false };
        self.text += if spec.list { "\tlist " } else { "\toption " };
        self.text += option;
        self.text.push(' ');
        self.text += &quote(value);
        self.text.push('\n');
        true
    }

    /// A line for people; without line breaks.
    pub fn comment(&mut self, text: &str) {
        self.text += "\t# ";
        self.text += text;
        self.text.push('\n');
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn finish(self) -> String {
        self.text
    }
}

/// The option's entry in the table; else why it cannot be written, to go on from the other program's option.
pub fn fits(kind: Kind, option: &str, value: &str) -> Result<&'static Spec, String> {
    let Some(spec) = kind.option(option) else {
        return Err(format!("is left out: this version of cheaproute has no option {option}"));
    };
    match spec.shape.parse(value) {
        Some(_) => Ok(spec),
        None => Err(format!("is left out: {option} must be {}", spec.shape.describe())),
    }
}

/// Names of sections, which are all different, whatever their kind.
#[derive(Default)]
pub struct Names(Vec<String>);

impl Names {
    /// `wanted`, or what comes closest to it and is free.
    pub fn take(&mut self, wanted: &str) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        // A name may have 255 characters; the rest is for the number.
        let base: String = wanted.chars().take(240).map(letter).collect();
        let base = if base.is_empty() || base == "main" { base + "_" } else { base };
        let mut name = base.clone();
        let mut number = self.0.iter().filter(|taken| taken.starts_with(&base)).count();
        while self.0.contains(&name) {
            number += 1;
            name = format!("{base}_{number}");
        }
        self.0.push(name.clone());
        name
    }
}
