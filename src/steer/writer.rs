//! nft's text, chain by chain.

use crate::text::commas;

use std::fmt::{self, Write};

use super::TABLE;
use super::ruleset::{Memory, Ruleset, Target};

/// A table's text as it grows.
pub struct Writer {
    text: String,
    chains: Vec<String>,
    targets: Vec<Target>,
    memories: Vec<Memory>,
    open: bool,
}

impl Writer {
    pub fn new() -> Self {
        let text = format!("table inet {TABLE} {{\n");
        Writer { text, chains: Vec::new(), targets: Vec::new(), memories: Vec::new(), open: false }
    }

    pub fn finish(mut self) -> Ruleset {
        self.close();
        Ruleset { table: self.text + "}\n", chains: self.chains, targets: self.targets, memories: self.memories }
    }

    /// Begins a chain; `hook`: where it hangs, `None` for one that is jumped to.
    #[inline(never)]
    pub fn chain(&mut self, name: fmt::Arguments, hook: Option<&str>) {
        self.close();
        self.open = true;
        let _ = writeln!(self.text, "\tchain {name} {{");
        self.chains.push(name.to_string());
        if let Some(hook) = hook {
            let _ = writeln!(self.text, "\t\ttype {hook}; policy accept;");
        }
    }

    /// A chain for the target that leads to `queue`.
    pub fn target(&mut self, name: &str, queue: u16) {
        self.close();
        self.targets.push(Target { chain: name.to_owned(), queue });
        let _ = writeln!(self.text, "\tchain {name} {{\n\t}}");
    }

    /// A set that packets fill, whose elements outlive the ruleset as long as they are `about` the same.
    pub fn memory(&mut self, name: &str, about: &str, kind: &str, size: usize) {
        self.close();
        self.set(name, kind, "dynamic, timeout", &format!("\t\tsize {size};\n"), &[]);
        self.memories.push(Memory { set: name.to_owned(), about: about.to_owned() });
    }

    /// Rules of the open chain that are always the same.
    pub fn rules(&mut self, rules: &[&str]) {
        rules.iter().for_each(|rule| self.rule(format_args!("{rule}")));
    }

    /// A rule of the open chain.
    #[inline(never)] // text that is yet to be formatted takes the least room where rules are made
    pub fn rule(&mut self, rule: fmt::Arguments) {
        let _ = writeln!(self.text, "\t\t{rule}");
    }

    /// The statement that replaces the bits of `mask` in the packet's mark.
    pub fn set_mark(&self, mask: u32, value: u32) -> String {
        format!("meta mark set meta mark & {:#010x} | {value:#010x}", !mask)
    }

    pub fn set_ct_mark(&self, mask: u32, value: u32) -> String {
        format!("ct mark set ct mark & {:#010x} | {value:#010x}", !mask)
    }

    fn close(&mut self) {
        if core::mem::take(&mut self.open) {
            self.text += "\t}\n";
        }
    }

    pub fn set(&mut self, name: &str, kind: &str, flags: &str, more: &str, elements: &[String]) {
        let _ = write!(self.text, "\tset {name} {{\n\t\t{kind};\n");
        if !flags.is_empty() {
            let _ = writeln!(self.text, "\t\tflags {flags};");
        }
        self.text += more;
        if !elements.is_empty() {
            let _ = writeln!(self.text, "\t\telements = {{ {} }}", commas(elements));
        }
        self.text += "\t}\n";
    }
}
