//! The command line: what the words mean ([`args`]), what they do (here and in [`live`]), and what the help says.

mod args;
mod help;
mod import;
mod keys;
mod live;
mod mask;
pub mod playback;
mod split;
mod support;
mod why;

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

use crate::control::{Code, Exit, Form, client};
use crate::linux::{file, peer};
use crate::ubus::connection::PATHS;
use crate::{config, daemon};
use args::{Action, Common};

/// What `main` does with `arguments`, the program's name first.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.skip(1).collect();
    let done = args::parse(arguments).and_then(act);
    let Err(exit) = done else { return ExitCode::SUCCESS };
    if !exit.text.is_empty() {
        // A sentence about cheaproute needs no name in front. By hand, since eprintln panics when stderr is closed.
        let name = if exit.text.starts_with("cheaproute ") { "" } else { "cheaproute: " };
        let _ = writeln!(io::stderr(), "{name}{}", exit.text);
    }
    ExitCode::from(exit.code.number())
}

fn act(action: Action) -> Result<(), Exit> {
    match action {
        Action::Run(options) => daemon::run(&options),
        Action::DryRun(options) => print(&daemon::dry_run(&options)?),
        Action::Check { config } => check(&config),
        Action::Cleanup { socket } => daemon::cleanup(&socket),
        Action::Ask { words, common } => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            print(&client::ask(&common.socket, &words, form(&common))?)
        }
        Action::ImportMwan3 { file, output } => import::mwan3(&file, output.as_deref()),
        Action::Support { config, socket, addresses } => support::show(&config, &socket, addresses),
        Action::Keys(wanted) => keys::show(wanted),
        Action::Split(request) => split::act(request),
        Action::Why { asked, common } => {
            let words = why::words(&asked)?;
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            print(&client::ask(&common.socket, &words, form(&common))?)
        }
        Action::Live { interval, count, common } => live::show(interval, count, &common),
        Action::Help(command) => print(&help::text(command)),
        Action::Version => print(concat!("cheaproute ", env!("CARGO_PKG_VERSION"), "\n")),
    }
}

/// Every fault with its place, on stderr; or one line that says what there is.
fn check(path: &Path) -> Result<(), Exit> {
    let text = file::read(path)
        .map_err(|error| Exit::said(Code::Config, format_args!("cannot read {}: {error}", path.display())))?;
    let file = path.display().to_string();
    let (result, faults) = match config::read(text) {
        Ok((config, warnings)) => (Some(config), warnings),
        Err(faults) => (None, faults),
    };
    let mut stderr = io::stderr();
    for fault in &faults {
        let _ = writeln!(stderr, "{}", fault.in_file(&file));
    }
    let some = |number: usize, one: &str, more: &str| format!("{number} {}", if number == 1 { one } else { more });
    let Some(config) = result else {
        let wrong = faults.iter().filter(|fault| fault.severity == config::Severity::Fault).count();
        return Err(Exit::said(Code::Config, format_args!("{} in {file}", some(wrong, "fault", "faults"))));
    };
    for hint in daemon::open_keys(path, &config) {
        let _ = writeln!(stderr, "warning: {hint}");
    }
    if let Some(link) = config.links.iter().find(|link| link.attach.device().is_none())
        && !PATHS.iter().any(|path| Path::new(path).exists())
    {
        let _ = writeln!(stderr, "warning: link '{}': there is no netifd here: set option device", link.name);
    }
    let links = some(config.links.len(), "link", "links");
    let policies = some(config.policies.len(), "policy", "policies");
    let rules = some(config.rules.len(), "rule", "rules");
    let peers = match config.peers.len() {
        0 => String::new(),
        number => format!(", {}", some(number, "peer", "peers")),
    };
    let off = if config.main.enabled { "" } else { " (but cheaproute is not enabled: section main, option enabled)" };
    print(&format!("{file}: OK, {links}, {policies}, {rules}{peers}{off}\n"))
}

fn form(common: &Common) -> Form {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return Form { json: common.json, width: 0, color: false };
    }
    // no-color.org: any value but none at all.
    let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_none_or(|term| term == "dumb");
    let (width, _) = peer::terminal_size(stdout.as_fd()).unwrap_or((80, 24));
    Form { json: common.json, width, color: !plain && !common.no_color }
}

/// To stdout. Whoever closes it early, as `head` does, has seen enough: that is no failure.
fn print(text: &str) -> Result<(), Exit> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Exit::new(Code::Ok, "")),
        Err(error) => Err(Exit::said(Code::Failed, format_args!("cannot write the output: {error}"))),
        Ok(()) => Ok(()),
    }
}
