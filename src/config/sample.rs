//! The sample file, from the option table.

use std::fmt::Write;

use super::options::{Kind, Spec, Without};
use super::uci::quote;

/// What `files/cheaproute.config` must be.
pub fn sample() -> String {
    let mut out = String::from(
        "# cheaproute: /etc/config/cheaproute. Every option is shown with its default or with an example.\n\
         # Times are written 200ms, 10s, 5m, 1h or 1d; a bare number counts seconds. Yes is 1, on, yes, true or enabled;\n\
         # no is 0, off, no, false or disabled. A list can also be one option with blanks or commas between its values.\n",
    );
    header(&mut out, Kind::Main, "", "main");
    options(&mut out, Kind::Main, "", &[]);
    header(&mut out, Kind::Link, "", "wan");
    options(&mut out, Kind::Link, "", &["interface", "probe"]);
    out += "\nconfig link 'wanb'\n\toption interface 'wanb'\n";
    let probe = Kind::Link.option("probe").map_or(&[][..], Spec::example);
    probe.iter().for_each(|target| _ = writeln!(out, "\tlist probe {}", quote(target)));
    header(&mut out, Kind::Policy, "", "fastest");
    options(&mut out, Kind::Policy, "", &["mode"]);
    header(&mut out, Kind::Rule, "#", "web");
    options(&mut out, Kind::Rule, "#", &[]);
    header(&mut out, Kind::Split, "#", "bulk");
    options(&mut out, Kind::Split, "#", &[]);
    header(&mut out, Kind::Peer, "#", "vps");
    options(&mut out, Kind::Peer, "#", &[]);
    header(&mut out, Kind::Client, "#", "home");
    options(&mut out, Kind::Client, "#", &[]);
    out
}

/// The widest line of comment; a tab counts as one.
const WIDTH: usize = 110;

fn header(out: &mut String, kind: Kind, off: &str, name: &str) {
    out.push('\n');
    comment(out, "# ", kind.doc());
    let _ = writeln!(out, "{off}config {} {}", kind.name(), quote(name));
}

/// Those in `active` are in force, the others commented out.
fn options(out: &mut String, kind: Kind, off: &str, active: &[&str]) {
    for spec in kind.options() {
        comment(out, &format!("{off}\t# "), &help(spec));
        let mark = if active.contains(&spec.name) || !off.is_empty() { "" } else { "#" };
        let keyword = if spec.list { "list" } else { "option" };
        for value in spec.example() {
            let _ = writeln!(out, "{off}\t{mark}{keyword} {} {}", spec.name, quote(value));
        }
    }
}

fn help(spec: &Spec) -> String {
    let without = match spec.without {
        Without::Default(values) => format!("default: {}", values.join(" ")),
        Without::Otherwise { what, .. } => format!("default: {what}"),
        Without::Required { .. } => "required".into(),
    };
    match spec.shape.range() {
        Some(range) => format!("{} ({range}; {without})", spec.doc),
        None => format!("{} ({without})", spec.doc),
    }
}

/// `text` in lines of bounded width, each after `start`.
pub(crate) fn comment(out: &mut String, start: &str, text: &str) {
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width == 0 || width + 1 + length > WIDTH {
            if width != 0 {
                out.push('\n');
            }
            *out += start;
            width = start.chars().count();
        } else {
            out.push(' ');
            width += 1;
        }
        *out += word;
        width += length;
    }
    out.push('\n');
}
