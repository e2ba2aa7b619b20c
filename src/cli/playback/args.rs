//! Arguments of `playbacktun` to what it does.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use crate::control::{Code, Exit};
use crate::time::Span;

#[derive(PartialEq, Eq, Debug)]
pub enum Action {
    Play { device: String, file: PathBuf, how: How },
    Check { file: PathBuf },
    ToPcap { file: PathBuf, pcap: PathBuf, interval: Span },
    FromPcap { pcap: PathBuf, output: Option<PathBuf> },
    Record { device: String, count: Option<u64>, output: Option<PathBuf> },
    Help,
    Version,
}

/// How packets are played.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct How {
    pub addresses: Vec<(IpAddr, u8)>,
    pub up: bool,
    pub interval: Option<Span>,
    /// How often; `None`: for ever.
    pub rounds: Option<u64>,
    pub expect: Option<PathBuf>,
    pub wait: Option<Span>,
}

#[derive(Default)]
struct Given {
    words: Vec<OsString>,
    how: How,
    again: bool,
    count: Option<u64>,
    check: bool,
    record: bool,
    to_pcap: Option<PathBuf>,
    from_pcap: Option<PathBuf>,
    output: Option<PathBuf>,
    /// Letters of the options that there are.
    seen: Vec<char>,
}

/// Letter, name, and the modes that take it: `p`lay, `c`heck, `t`o-pcap, `f`rom-pcap, `r`ecord.
const OPTIONS: [(char, &str, &str); 12] = [
    ('a', "address", "p"),
    ('u', "up", "p"),
    ('i', "interval", "pt"),
    ('l', "loop", "p"),
    ('n', "count", "pr"),
    ('e', "expect", "p"),
    ('w', "wait", "p"),
    ('c', "check", "c"),
    ('t', "to-pcap", "t"),
    ('f', "from-pcap", "f"),
    ('r', "record", "r"),
    ('o', "output", "fr"),
];

/// `arguments` without the program's name.
pub fn parse(arguments: Vec<OsString>) -> Result<Action, Exit> {
    let mut given = Given::default();
    let mut parser = Parser::from_args(arguments);
    let wrong = |error: lexopt::Error| usage(format_args!("{error}"));
    while let Some(argument) = parser.next().map_err(wrong)? {
        let letter = match argument {
            Arg::Value(word) => {
                given.words.push(word);
                continue;
            }
            Arg::Long("help") | Arg::Short('h') => return Ok(Action::Help),
            Arg::Long("version") | Arg::Short('V') => return Ok(Action::Version),
            Arg::Short(short) => OPTIONS.iter().find(|(letter, ..)| *letter == short).map(|(letter, ..)| *letter),
            Arg::Long(long) => OPTIONS.iter().find(|(_, name, _)| *name == long).map(|(letter, ..)| *letter),
        };
        let Some(letter) = letter else {
            return Err(usage(format_args!("{}", argument.unexpected())));
        };
        let mut value = || parser.value().map_err(wrong);
        match letter {
            'a' => given.how.addresses.push(address(value()?)?),
            'u' => given.how.up = true,
            'i' => given.how.interval = Some(Span::from_millis(number("--interval", 0, 86_400_000, value()?)?)),
            'l' => given.again = true,
            'n' => given.count = Some(number("--count", 1, u64::from(u32::MAX), value()?)?),
            'e' => given.how.expect = Some(value()?.into()),
            'w' => given.how.wait = Some(Span::from_millis(number("--wait", 0, 86_400_000, value()?)?)),
            'c' => given.check = true,
            't' => given.to_pcap = Some(value()?.into()),
            'f' => given.from_pcap = Some(value()?.into()),
            'r' => given.record = true,
            _ => given.output = Some(value()?.into()),
        }
        given.seen.push(letter);
    }
    action(given)
}

fn action(given: Given) -> Result<Action, Exit> {
    let Given { words, mut how, again, count, check, record, to_pcap, from_pcap, output, seen } = given;
    let modes = [(check, 'c'), (to_pcap.is_some(), 't'), (from_pcap.is_some(), 'f'), (record, 'r')];
    let mut modes = modes.iter().filter(|(on, _)| *on).map(|(_, letter)| *letter);
    let (mode, second) = (modes.next().unwrap_or('p'), modes.next());
    let name = |letter: char| OPTIONS.iter().find(|(known, ..)| *known == letter).map_or("", |(_, name, _)| name);
    if let Some(second) = second {
        return Err(usage(format_args!("expected either --{} or --{}", name(mode), name(second))));
    }
    let strange = |letter: &&char| !OPTIONS.iter().any(|(known, _, modes)| known == *letter && modes.contains(mode));
    if let Some(letter) = seen.iter().find(strange) {
        return Err(usage(format_args!(
            "{}",
            match mode {
                'p' => format!("--{} is of no use here", name(*letter)),
                mode => format!("--{} takes no --{}", name(mode), name(*letter)),
            }
        )));
    }
    if count.is_some() && !record && !again {
        return Err(usage(format_args!("--count goes with --loop or --record")));
    }
    let takes = |line: &str| usage(format_args!("it takes: playbacktun {line}"));
    let device = |word: &OsString| word.to_string_lossy().into_owned();
    match (mode, words.as_slice(), to_pcap, from_pcap) {
        ('c', [file], ..) => Ok(Action::Check { file: file.into() }),
        ('c', ..) => Err(takes("--check FILE")),
        ('t', [file], Some(pcap), _) => {
            Ok(Action::ToPcap { file: file.into(), pcap, interval: how.interval.unwrap_or_default() })
        }
        ('t', ..) => Err(takes("--to-pcap PCAP FILE")),
        ('f', [], _, Some(pcap)) => Ok(Action::FromPcap { pcap, output }),
        ('f', ..) => Err(takes("--from-pcap PCAP")),
        ('r', [name], ..) => Ok(Action::Record { device: device(name), count, output }),
        ('r', ..) => Err(takes("--record IFACE")),
        (_, [name, file], ..) => {
            how.rounds = if again { count } else { Some(1) };
            Ok(Action::Play { device: device(name), file: file.into(), how })
        }
        _ => Err(takes("IFACE FILE")),
    }
}

fn address(text: OsString) -> Result<(IpAddr, u8), Exit> {
    let text = text.to_string_lossy();
    let (address, length) = text.split_once('/').unwrap_or((&text, ""));
    let parsed = address.parse::<IpAddr>().ok().and_then(|address| {
        let most = if address.is_ipv6() { 128 } else { 32 };
        let length = if length.is_empty() { Some(most) } else { length.parse().ok() };
        length.filter(|length| *length <= most).map(|length| (address, length))
    });
    parsed.ok_or_else(|| usage(format_args!("--address takes one such as 192.168.1.1/24, not '{text}'")))
}

fn number(option: &str, least: u64, most: u64, text: OsString) -> Result<u64, Exit> {
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| {
        usage(format_args!("{option} takes a whole number from {least} to {most}, not '{}'", text.to_string_lossy()))
    })
}

fn usage(text: fmt::Arguments) -> Exit {
    Exit::said(Code::Usage, format_args!("{text} (see playbacktun --help)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Action, String> {
        parse(line.split_whitespace().map(OsString::from).collect()).map_err(|exit| {
            assert_eq!(exit.code, Code::Usage);
            exit.text.replace(" (see playbacktun --help)", "")
        })
    }

    #[test]
    fn lines_and_their_actions() {
        let play = |how| Action::Play { device: "t0".into(), file: "f".into(), how };
        let once = || How { rounds: Some(1), ..How::default() };
        let addresses = vec![("10.0.0.1".parse().unwrap(), 24), ("fd00::1".parse().unwrap(), 128)];
        for (line, action) in [
            ("t0 f", play(once())),
            ("-u t0 f -i 5", play(How { up: true, interval: Some(Span::from_millis(5)), ..once() })),
            ("t0 f -l", play(How { rounds: None, ..once() })),
            ("t0 f --loop -n 3", play(How { rounds: Some(3), ..once() })),
            ("t0 f -a 10.0.0.1/24 --address fd00::1", play(How { addresses, ..once() })),
            (
                "t0 f -e x --wait 70",
                play(How { expect: Some("x".into()), wait: Some(Span::from_millis(70)), ..once() }),
            ),
            ("--check f", Action::Check { file: "f".into() }),
            ("f -t p", Action::ToPcap { file: "f".into(), pcap: "p".into(), interval: Span::ZERO }),
            ("-f p -o x", Action::FromPcap { pcap: "p".into(), output: Some("x".into()) }),
            ("--record t0 -n 5", Action::Record { device: "t0".into(), count: Some(5), output: None }),
            ("t0 f -h", Action::Help),
            ("-V", Action::Version),
        ] {
            assert_eq!(parsed(line), Ok(action), "{line}");
        }
    }

    #[test]
    fn wrong_lines_are_explained() {
        for (line, error) in [
            ("", "it takes: playbacktun IFACE FILE"),
            ("t0", "it takes: playbacktun IFACE FILE"),
            ("--check", "it takes: playbacktun --check FILE"),
            ("--record t0 -t p", "expected either --to-pcap or --record"),
            ("--check f -e x", "--check takes no --expect"),
            ("t0 f -o x", "--output is of no use here"),
            ("t0 f -n 2", "--count goes with --loop or --record"),
            ("t0 f -a 10.0.0.1/33", "--address takes one such as 192.168.1.1/24, not '10.0.0.1/33'"),
            ("t0 f -i x", "--interval takes a whole number from 0 to 86400000, not 'x'"),
            ("t0 f --lop", "invalid option '--lop'"),
        ] {
            assert_eq!(parsed(line), Err(error.into()), "{line}");
        }
    }

    #[test]
    fn help_names_every_option_and_fits() {
        let help = super::super::help::HELP;
        for (letter, name, _) in OPTIONS {
            assert!(help.contains(&format!("\n  -{letter}, --{name} ")), "{name}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 90));
        for spec in &crate::playback::field::FIELDS {
            let other = ["trafficClass", "hopLimit"].contains(&spec.name);
            assert!(other || help.contains(spec.name), "{}", spec.name);
        }
    }
}
