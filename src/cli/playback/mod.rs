//! `playbacktun`: what its words mean ([`args`]), what they do (here and in [`play`]), and what the help says.

mod args;
mod help;
mod play;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::control::{Code, Exit};
use crate::linux::clock::now;
use crate::linux::listen::Listener;
use crate::playback::read::Read as Placed;
use crate::playback::{self, Field, build, dissect, pcap, schedule, write};
use crate::time::Span;
use args::Action;

/// More than fits a router's memory twice: a file that is longer was not meant.
const LARGEST: u64 = 64 << 20;

/// What `main` does with `arguments`, the program's name first.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let done = args::parse(arguments.skip(1).collect()).and_then(act);
    let Err(exit) = done else { return ExitCode::SUCCESS };
    say(&exit.text);
    ExitCode::from(exit.code.number())
}

/// A line on stderr. By hand, since eprintln panics when stderr is closed.
fn say(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(io::stderr(), "playbacktun: {text}");
    }
}

fn act(action: Action) -> Result<(), Exit> {
    match action {
        Action::Help => print(help::HELP),
        Action::Version => print(concat!("playbacktun ", env!("CARGO_PKG_VERSION"), "\n")),
        Action::Check { file } => {
            let packets = packets(&file, true)?;
            print(&format!("{}: OK, {}\n", file.display(), counted(packets.len())))
        }
        Action::ToPcap { file, pcap, interval } => to_pcap(&file, &pcap, interval),
        Action::FromPcap { pcap, output } => from_pcap(&pcap, output),
        Action::Record { device, count, output } => record(&device, count, output),
        Action::Play { device, file, how } => play::play(&device, &file, &how),
    }
}

/// `3 packets`.
fn counted(number: usize) -> String {
    format!("{number} packet{}", if number == 1 { "" } else { "s" })
}

fn unreadable(file: &Path, error: &dyn core::fmt::Display) -> Exit {
    Exit::said(Code::Config, format_args!("cannot read {}: {error}", file.display()))
}

fn contents(file: &Path) -> Result<Vec<u8>, Exit> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
    };
    match read {
        Err(error) => Err(unreadable(file, &error)),
        Ok(length) if length as u64 > LARGEST => Err(unreadable(file, &"it is longer than 64 MB")),
        Ok(_) => Ok(bytes),
    }
}

/// The packets of a file of JSON, `whole` or with any field missing. Faults are said with their places.
fn packets(file: &Path, whole: bool) -> Result<Vec<Placed>, Exit> {
    let text = String::from_utf8(contents(file)?).map_err(|_| unreadable(file, &"it is not text in UTF-8"))?;
    playback::read(&text, whole).map_err(|faults| {
        let name = file.display();
        for fault in &faults {
            let _ = writeln!(io::stderr(), "{name}:{fault}");
        }
        let plural = if faults.len() == 1 { "fault" } else { "faults" };
        Exit::said(Code::Config, format_args!("{} {plural} in {name}", faults.len()))
    })
}

/// A packet's bytes: that it can be built was seen when it was read.
fn bytes(placed: &Placed) -> Result<Vec<u8>, Exit> {
    build(&placed.packet).map_err(|text| Exit::new(Code::Config, text))
}

fn unwritable(file: &Path) -> impl Fn(io::Error) -> Exit + '_ {
    move |error| Exit::said(Code::Failed, format_args!("cannot write {}: {error}", file.display()))
}

fn to_pcap(file: &Path, pcap: &Path, interval: Span) -> Result<(), Exit> {
    let packets = packets(file, true)?;
    let times = schedule(packets.iter().map(|placed| &placed.packet), interval);
    let mut out = pcap::header();
    for (placed, time) in packets.iter().zip(times) {
        out.extend(pcap::record(time.as_micros(), &bytes(placed)?));
    }
    std::fs::write(pcap, out).map_err(unwritable(pcap))
}

fn from_pcap(file: &Path, output: Option<PathBuf>) -> Result<(), Exit> {
    let bytes = contents(file)?;
    let capture =
        pcap::read(&bytes).map_err(|text| Exit::said(Code::Config, format_args!("{} {text}", file.display())))?;
    let start = capture.packets.first().map_or(0, |packet| packet.time);
    let mut out = open(output)?;
    for captured in &capture.packets {
        let mut packet = dissect(captured.bytes);
        packet.set_number(Field::Time, captured.time.saturating_sub(start));
        if !out.put(&write(&packet))? {
            break;
        }
    }
    if capture.others > 0 {
        say(&format!("{} left out, being none of IP", counted(capture.others)));
    }
    if capture.torn {
        say("the last packet is not all there, and is left out");
    }
    Ok(())
}

fn record(device: &str, count: Option<u64>, output: Option<PathBuf>) -> Result<(), Exit> {
    let failed =
        |error: io::Error| Exit::said(Code::System, format_args!("cannot hear {device}: {error}{}", hint(&error)));
    let listener = Listener::open(device).map_err(failed)?;
    say(&format!("hearing {device}"));
    let mut out = open(output)?;
    let mut buffer = vec![0; playback::LONGEST];
    let (mut left, mut start) = (count, None);
    while left != Some(0) {
        let Some(bytes) = listener.receive(&mut buffer).map_err(failed)? else { continue };
        let mut packet = dissect(pcap::without_padding(bytes));
        let at = now();
        packet.set_number(Field::Time, at.since(*start.get_or_insert(at)).as_micros());
        // Each as it comes: whoever is interrupted has a file that plays.
        if !out.put(&write(&packet))? {
            break;
        }
        left = left.map(|left| left - 1);
    }
    Ok(())
}

/// What helps against a refusal.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ": run it as root",
        io::ErrorKind::NotFound => ": is the kernel module tun there (on OpenWrt the package kmod-tun)?",
        _ => "",
    }
}

/// Where JSON goes.
struct Output {
    to: Box<dyn Write>,
}

fn open(file: Option<PathBuf>) -> Result<Output, Exit> {
    match file {
        None => Ok(Output { to: Box::new(io::stdout()) }),
        Some(file) => Ok(Output { to: Box::new(File::create(&file).map_err(unwritable(&file))?) }),
    }
}

impl Output {
    /// Whether there is more to be put: who closes the other end, as `head` does, has seen enough.
    fn put(&mut self, text: &str) -> Result<bool, Exit> {
        match self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Exit::said(Code::Failed, format_args!("cannot write the output: {error}"))),
            Ok(()) => Ok(true),
        }
    }
}

fn print(text: &str) -> Result<(), Exit> {
    open(None)?.put(text).map(drop)
}
