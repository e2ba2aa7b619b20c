//! Arguments to actions.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser};

use super::help::{COMMANDS, Command};
use super::keys::Wanted;
use super::split::{self, Request};
use super::why::Asked;
use crate::control::{Code, Exit, SOCKET};
use crate::daemon::Options;
use crate::ubus::connection::PATHS;

#[derive(PartialEq, Eq, Debug)]
pub enum Action {
    Run(Options),
    DryRun(Options),
    Check { config: PathBuf },
    Cleanup { socket: PathBuf },
    Ask { words: Vec<String>, common: Common },
    Support { config: PathBuf, socket: PathBuf, addresses: bool },
    Split(Request),
    Keys(Wanted),
    ImportMwan3 { file: PathBuf, output: Option<PathBuf> },
    Why { asked: Asked, common: Common },
    Live { interval: Duration, count: Option<u32>, common: Common },
    Help(Option<&'static Command>),
    Version,
}

/// What every view takes.
#[derive(PartialEq, Eq, Debug)]
pub struct Common {
    pub socket: PathBuf,
    pub json: bool,
    pub no_color: bool,
}

const CONFIG: &str = "/etc/config/cheaproute";
/// Races or destinations shown: what fits on a screen.
const ENTRIES: u32 = 20;
const MWAN3: &str = "/etc/config/mwan3";

/// `arguments` without the program's name.
pub fn parse(arguments: Vec<OsString>) -> Result<Action, Exit> {
    let mut given = read(arguments)?;
    let command = given.command;
    if given.help {
        return Ok(Action::Help(command));
    }
    if given.version {
        return Ok(Action::Version);
    }
    let Some(command) = command else {
        return Err(usage(format_args!("which command? The commonest are run, status, links and races")));
    };
    if let Some(option) = given.seen.iter().find(|option| !command.takes.contains(**option)) {
        let name = OPTIONS.iter().find(|(short, _)| short == option).map_or("", |(_, name)| name);
        return Err(usage(format_args!("{} takes no option --{name}", command.name)));
    }
    check(command, &given.words)?;
    let config = given.config.unwrap_or_else(|| CONFIG.into());
    let socket = given.socket.unwrap_or_else(|| SOCKET.into());
    let ubus = given.ubus.map_or_else(|| PATHS.iter().map(Into::into).collect(), |path| vec![path]);
    let common = |socket| Common { socket, json: given.json, no_color: given.no_color };
    Ok(match command.name {
        "run" if given.dry_run => Action::DryRun(Options { config, socket, syslog: given.syslog, ubus }),
        "run" => Action::Run(Options { config, socket, syslog: given.syslog, ubus }),
        "check" => Action::Check { config },
        "cleanup" => Action::Cleanup { socket },
        "import-mwan3" => {
            let file = given.words.first().map_or_else(|| MWAN3.into(), Into::into);
            Action::ImportMwan3 { file, output: given.output }
        }
        "split" => Action::Split(given.split.ok_or_else(|| usage(format_args!("split takes one of -A, -F and -L")))?),
        "genkey" => Action::Keys(Wanted::Private),
        "pubkey" => Action::Keys(Wanted::Public),
        "genpsk" => Action::Keys(Wanted::Shared),
        "support" => Action::Support { config, socket, addresses: given.addresses },
        "live" => {
            let interval = Duration::from_secs(given.interval.unwrap_or(2).into());
            Action::Live { interval, count: given.count, common: common(socket) }
        }
        "why" => {
            let common = common(socket);
            let to = given.words.pop().unwrap_or_default();
            let Given { from, port, proto, device, .. } = given;
            Action::Why { asked: Asked { to, from, port, proto, device }, common }
        }
        "races" | "memory" => {
            let count = given.count.unwrap_or(ENTRIES);
            Action::Ask { words: vec![command.name.into(), count.to_string()], common: common(socket) }
        }
        "help" => Action::Help(given.words.first().map(|word| find(word)).transpose()?),
        name => {
            let words = core::iter::once(name.to_owned()).chain(given.words).collect();
            Action::Ask { words, common: common(socket) }
        }
    })
}

/// Short and long names of all options but --help and --version, which every command takes. Capitals have no short form.
const OPTIONS: [(char, &str); 16] = [
    ('c', "config"),
    ('s', "socket"),
    ('j', "json"),
    ('n', "count"),
    ('i', "interval"),
    ('d', "dry-run"),
    ('l', "syslog"),
    ('u', "ubus"),
    ('o', "output"),
    ('a', "addresses"),
    ('C', "no-color"),
    ('F', "from"),
    ('P', "port"),
    ('T', "proto"),
    ('D', "device"),
    ('h', "help"),
];

#[derive(Default)]
struct Given {
    command: Option<&'static Command>,
    words: Vec<String>,
    seen: Vec<char>,
    help: bool,
    version: bool,
    config: Option<PathBuf>,
    socket: Option<PathBuf>,
    json: bool,
    no_color: bool,
    addresses: bool,
    dry_run: bool,
    syslog: bool,
    ubus: Option<PathBuf>,
    output: Option<PathBuf>,
    count: Option<u32>,
    interval: Option<u32>,
    from: Option<String>,
    port: Option<u16>,
    proto: Option<String>,
    device: Option<String>,
    split: Option<Request>,
}

fn read(arguments: Vec<OsString>) -> Result<Given, Exit> {
    let mut given = Given::default();
    let mut parser = Parser::from_args(arguments);
    let wrong = |error: lexopt::Error| usage(format_args!("{error}"));
    while let Some(argument) = parser.next().map_err(wrong)? {
        let option = match argument {
            Arg::Value(word) => {
                let word = word.to_string_lossy().into_owned();
                match given.command {
                    None => {
                        let command = given.command.insert(find(&word)?);
                        if command.name == "split" {
                            // Its options are those of NetAgg's tool.
                            split::read(&mut parser, &mut given.split, (&mut given.help, &mut given.version))?;
                        }
                    }
                    Some(_) => given.words.push(word),
                }
                continue;
            }
            Arg::Long("version") | Arg::Short('V') => {
                given.version = true;
                continue;
            }
            Arg::Short(short) => {
                OPTIONS.iter().find(|(name, _)| *name == short && !short.is_ascii_uppercase()).map(|(name, _)| *name)
            }
            Arg::Long(long) => OPTIONS.iter().find(|(_, name)| *name == long).map(|(name, _)| *name),
        };
        let Some(option) = option else {
            return Err(unknown_option(&argument));
        };
        match option {
            'h' => given.help = true,
            'j' => given.json = true,
            'a' => given.addresses = true,
            'd' => given.dry_run = true,
            'l' => given.syslog = true,
            'C' => given.no_color = true,
            'c' => given.config = Some(parser.value().map_err(wrong)?.into()),
            'u' => given.ubus = Some(parser.value().map_err(wrong)?.into()),
            'o' => given.output = Some(parser.value().map_err(wrong)?.into()),
            's' => given.socket = Some(parser.value().map_err(wrong)?.into()),
            'n' => given.count = Some(number("--count", 100_000, parser.value().map_err(wrong)?)?),
            'F' => given.from = Some(text(parser.value().map_err(wrong)?)),
            'P' => given.port = Some(number("--port", 65_535, parser.value().map_err(wrong)?)? as u16),
            'T' => given.proto = Some(text(parser.value().map_err(wrong)?)),
            'D' => given.device = Some(text(parser.value().map_err(wrong)?)),
            _ => given.interval = Some(number("--interval", 3_600, parser.value().map_err(wrong)?)?),
        }
        if option != 'h' {
            given.seen.push(option);
        }
    }
    Ok(given)
}

fn text(value: OsString) -> String {
    value.to_string_lossy().into_owned()
}

/// Whether a command's words are those that it takes.
fn check(command: &Command, words: &[String]) -> Result<(), Exit> {
    let fits = |(word, takes): (&String, &&str)| !takes.contains('|') || takes.split('|').any(|choice| choice == word);
    let least = command.words.iter().filter(|word| !word.starts_with('[')).count();
    let right = words.iter().zip(command.words).all(fits) && (least..=command.words.len()).contains(&words.len());
    match (right, words.first()) {
        (true, _) => Ok(()),
        (false, Some(word)) if command.words.is_empty() => {
            Err(usage(format_args!("{} takes no argument, but there is '{word}'", command.name)))
        }
        _ => Err(usage(format_args!("it takes: cheaproute {} {}", command.name, command.words.join(" ")))),
    }
}

fn number(option: &str, most: u32, text: OsString) -> Result<u32, Exit> {
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| {
        usage(format_args!("{option} takes a whole number from 1 to {most}, not '{}'", text.to_string_lossy()))
    })
}

fn find(word: &str) -> Result<&'static Command, Exit> {
    if let Some(command) = COMMANDS.iter().find(|command| command.name == word) {
        return Ok(command);
    }
    let meant = meant(word, &COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>());
    let hint = meant.map_or(String::new(), |name| format!("; did you mean '{name}'?"));
    Err(usage(format_args!("there is no command '{word}'{hint}")))
}

fn unknown_option(argument: &Arg<'_>) -> Exit {
    match argument {
        Arg::Long(long) => {
            let meant = meant(long, &OPTIONS.map(|(_, name)| name));
            let hint = meant.map_or(String::new(), |name| format!("; did you mean --{name}?"));
            usage(format_args!("there is no option --{long}{hint}"))
        }
        Arg::Short(short) => usage(format_args!("there is no option -{short}")),
        Arg::Value(_) => usage(format_args!("")),
    }
}

/// The name that differs from `word` in one place, by two letters at most or by their order, or that begins with it.
fn meant<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let close = |name: &&str| {
        let same_start = word.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
        let (word, name) = (word.get(same_start..).unwrap_or(word), name.get(same_start..).unwrap_or(name));
        let same_end = word.bytes().rev().zip(name.bytes().rev()).take_while(|(a, b)| a == b).count();
        let rest = |text: &str| {
            let mut rest: Vec<u8> = text.bytes().take(text.len() - same_end).collect();
            rest.sort_unstable();
            rest
        };
        let (word, name) = (rest(word), rest(name));
        let same = same_start + same_end;
        same > 0 && (word.is_empty() || word == name || same >= 2 && word.len() <= 2 && name.len() <= 2)
    };
    names.iter().copied().find(close)
}

#[inline(never)]
pub fn usage(text: fmt::Arguments) -> Exit {
    Exit::said(Code::Usage, format_args!("{text} (see cheaproute --help)"))
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
