//! Other programs' configurations as ours: mwan3's, so far.
//!
//! The result is complete and passes `check`. What cannot be said in our words, or means something else here, becomes a
//! note with its line and its reason: nothing is lost in silence.
//!
//! [`source`] reads a section and remembers what of it was used, [`links`], [`policies`] and [`rules`] translate, and
//! [`output`] writes only what our own option table takes.

mod links;
mod output;
mod policies;
mod rules;
mod source;

use crate::config::options::Kind;
use crate::config::{self, Fault, Severity, syntax_faults, uci};

use links::Network;
use output::Output;
use source::{Notes, Source};

/// A translated configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Import {
    /// For `/etc/config/cheaproute`, with the notes as comments at its top.
    pub config: String,
    /// What was left out or changed, in the order of the source.
    pub notes: Vec<Fault>,
}

/// Translates `/etc/config/mwan3`. `network` is `/etc/config/network`, if it is known: it tells which device an interface
/// has. The error: why nothing could be made of it.
pub fn mwan3(text: impl AsRef<[u8]>, network: Option<&[u8]>) -> Result<Import, Vec<Fault>> {
    let text = String::from_utf8_lossy(text.as_ref());
    let (sections, errors) = uci::parse(&text);
    if !errors.is_empty() {
        return Err(syntax_faults(errors));
    }
    let network = network.map(|text| uci::parse(&String::from_utf8_lossy(text)).0).unwrap_or_default();
    let mut notes = Notes::default();
    let mut names = output::Names::default();
    let of_kind = |kind: &'static str| -> Vec<Source<'_>> {
        let ours = sections.iter().filter(|section| section.kind == kind);
        ours.enumerate().map(|(index, section)| Source::new(kind, section, index)).collect()
    };
    for section in &sections {
        if !["globals", "interface", "member", "policy", "rule"].contains(&section.kind.as_str()) {
            Source::new("section", section, 0).note(
                &mut notes,
                None,
                format_args!("is no section of mwan3's: left out"),
            );
        }
    }
    for mut globals in of_kind("globals") {
        for (option, why) in GLOBALS {
            globals.drop_option(&mut notes, option, "", why);
        }
        // Of no effect on what the rules do.
        for option in ["enabled", "rtmon_interval", "local_source"] {
            let _ = globals.text(option);
        }
        globals.drop_rest(&mut notes);
    }
    let mut links = links::read(of_kind("interface"), &Network(&network), &mut names, &mut notes);
    if links.all.is_empty() {
        return Err(vec![Fault::of_file("there is no config interface: is this mwan3's configuration?")]);
    }
    let mut policies = policies::read(of_kind("policy"), of_kind("member"), &links, &mut names, &mut notes);
    let rules = rules::read(of_kind("rule"), &Network(&network), &mut policies, &mut names, &mut notes);
    policies::share_out(&mut links, &mut policies, &mut notes);

    let mut out = Output::new();
    out.section(Kind::Main, Some("main"));
    out.put("enabled", if links.all.iter().any(|link| link.enabled) { "1" } else { "0" });
    out.comment("mwan3 steers the router's own connections too.");
    out.put("local_traffic", "1");
    links::write(&mut links, &mut out, &mut notes);
    policies::write(&policies, &links, &mut out, &mut names);
    rules::write(&rules, &policies, &mut out);

    let notes = notes.sorted();
    let mut config = String::from(HEAD);
    if !notes.is_empty() {
        config += "#\n# Left out or changed:\n";
    }
    for note in &notes {
        let mut lines = String::new();
        config::comment(&mut lines, "#   ", &note.to_string());
        config += &lines.replacen("#   ", "# - ", 1);
    }
    config += &out.finish();
    // A file of the largest size can have become larger than what we read.
    let faults = config::read(&config).err().unwrap_or_default();
    match faults.into_iter().find(|fault| fault.severity == Severity::Fault) {
        Some(fault) => Err(vec![Fault::of_file(&format!("the result cannot be used: {}", fault.text))]),
        None => Ok(Import { config, notes }),
    }
}

const HEAD: &str = "\
# Made of mwan3's configuration by cheaproute import-mwan3.
#
# To start: /etc/init.d/mwan3 disable; /etc/init.d/mwan3 stop; cheaproute check; /etc/init.d/cheaproute restart.
# Scripts in /etc/mwan3.user are not carried over.
#
# The policies do what they did. To let links race instead, so that each new connection takes the one that answers first,
# set option mode 'race' in a policy, and take out its option sticky; its links' order and weights then decide only
# between equals.
# Clients with a global IPv6 address leave by the link that delegated it, whichever links a policy has.
";

/// Options of the section globals, and why they are not needed.
const GLOBALS: &[(&str, &str)] = &[
    ("mmx_mask", "is not needed: cheaproute marks packets with bits of its own (section main, option mark_mask)"),
    ("logging", "is left out: rules do not log; see cheaproute races, and why for a single connection"),
    ("loglevel", "is left out: section main, option log_level sets how much the daemon logs"),
    ("rt_table_lookup", "is left out: what these routing tables reach is steered, unless the main table has it too"),
    ("source_routing", "is not needed"),
];

#[cfg(test)]
mod effect_tests;
#[cfg(test)]
mod tests;
