//! Packets into the device, on time, and what comes back.

use std::io;
use std::path::Path;

use super::args::How;
use super::{Placed, bytes, counted, hint, packets, print, say};
use crate::control::{Code, Exit};
use crate::linux::clock::now;
use crate::linux::poll::Poll;
use crate::linux::tun::Tun;
use crate::playback::expect::{MOST, Matching, differences};
use crate::playback::{Field, LONGEST, Value, schedule};
use crate::time::{Span, Time};

/// Rounds without an interval of their own are this far apart: a loop is not meant as a flood.
const ROUND: Span = Span::from_secs(1);
/// How long expected packets have got, unless the user says something else: several round trips of the slowest link.
const WAIT: Span = Span::from_secs(1);
/// How often a device that is down is tried.
const RETRY: Span = Span::from_millis(100);
/// Packets kept to be compared. What comes later is compared as well, but cannot be named as the closest.
const KEPT: usize = 4_096;
/// Packets taken in before the clock is looked at again: a flood must not keep a run from its end.
const BATCH: usize = 64;

pub fn play(device: &str, file: &Path, how: &How) -> Result<(), Exit> {
    let sent = packets(file, true)?;
    let expected = how.expect.as_ref().map(|file| packets(file, false)).transpose()?;
    if let Some(many) = expected.as_ref().map(Vec::len).filter(|many| *many > MOST) {
        let text = format!("{many} packets are expected, and at most {MOST} can be: play the file in parts");
        return Err(Exit::new(Code::Config, text));
    }
    let times = schedule(sent.iter().map(|placed| &placed.packet), how.interval.unwrap_or_default());
    let sent: Vec<(Span, Vec<u8>)> =
        times.into_iter().zip(sent.iter().map(bytes).collect::<Result<Vec<_>, _>>()?).collect();
    let failed = |error: io::Error| {
        let busy = error.raw_os_error() == Some(libc::EBUSY);
        let why = if busy { ": it is in use, or is another kind of device" } else { hint(&error) };
        Exit::said(Code::System, format_args!("cannot use {device}: {error}{why}"))
    };
    let tun = Tun::open(device).map_err(failed)?;
    for (address, length) in &how.addresses {
        tun.add_address(*address, *length).map_err(failed)?;
    }
    if how.up || !how.addresses.is_empty() {
        tun.set_up().map_err(failed)?;
    }
    let poll = Poll::new().map_err(failed)?;
    poll.add(&tun, 0, false).map_err(failed)?;
    let expected = expected.unwrap_or_default();
    let mut stage = Stage {
        tun,
        poll,
        device,
        matching: Matching::new(expected.len()),
        expected,
        came: Vec::new(),
        refused: 0,
        buffer: vec![0; LONGEST],
    };
    let mut rounds = how.rounds;
    let mut count = 0;
    let mut start = now();
    while rounds != Some(0) && !sent.is_empty() {
        for (due, bytes) in &sent {
            stage.wait(start + *due, false)?;
            count += usize::from(stage.send(bytes, &mut start)?);
        }
        rounds = rounds.map(|left| left - 1);
        start = start + sent.last().map_or(Span::ZERO, |(due, _)| *due) + how.interval.unwrap_or(ROUND);
    }
    let wait = how.wait.unwrap_or(if how.expect.is_some() { WAIT } else { Span::ZERO });
    stage.wait(now() + wait, how.expect.is_some())?;
    stage.report(count, wait, how.expect.as_deref())
}

struct Stage<'a> {
    tun: Tun,
    poll: Poll,
    device: &'a str,
    expected: Vec<Placed>,
    matching: Matching,
    /// Numbers and bytes of what came back, as far as it is to be compared.
    came: Vec<(usize, Vec<u8>)>,
    refused: usize,
    buffer: Vec<u8>,
}

impl Stage<'_> {
    /// Takes in what comes until `limit`, or until everything expected came.
    fn wait(&mut self, limit: Time, only_expected: bool) -> Result<(), Exit> {
        loop {
            self.receive()?;
            let left = limit.since(now());
            if left == Span::ZERO || only_expected && self.matching.is_complete() {
                return Ok(());
            }
            self.poll.wait(Some(left), |_| ()).map_err(|error| self.lost(&error))?;
        }
    }

    fn receive(&mut self) -> Result<(), Exit> {
        for _ in 0..BATCH {
            let came = self.tun.receive(&mut self.buffer).map_err(|error| lost(self.device, &error))?;
            let Some(bytes) = came else { break };
            let fits =
                |at: &usize| self.expected.get(*at).is_some_and(|placed| differences(&placed.packet, bytes).is_empty());
            let number = self.matching.add((0..self.expected.len()).filter(fits));
            if !self.expected.is_empty() && self.came.len() < KEPT {
                self.came.push((number, bytes.to_vec()));
            }
        }
        Ok(())
    }

    /// Tells whether the kernel took it. A device that is down is waited for, and time with it.
    fn send(&mut self, packet: &[u8], start: &mut Time) -> Result<bool, Exit> {
        let mut waited = false;
        let since = now();
        loop {
            match self.tun.send(packet) {
                Ok(()) => {
                    if waited {
                        *start = *start + now().since(since);
                    }
                    return Ok(true);
                }
                // tun_get_user: the device is down.
                Err(error) if error.raw_os_error() == Some(libc::EIO) => {
                    if !waited {
                        let device = self.device;
                        say(&format!("waiting for {device}: set it up with `ip link set {device} up`, or say --up"));
                    }
                    waited = true;
                    // The descriptor does not tell when the device is up.
                    std::thread::sleep(std::time::Duration::from_micros(RETRY.as_micros()));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.refused += 1;
                    return Ok(false);
                }
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    fn lost(&self, error: &io::Error) -> Exit {
        lost(self.device, error)
    }

    fn report(&self, count: usize, wait: Span, file: Option<&Path>) -> Result<(), Exit> {
        let mut text = format!("{} sent", counted(count));
        if self.refused > 0 {
            text += &format!(", {} refused by the kernel: no IP header", self.refused);
        }
        let Some(file) = file else { return print(&(text + "\n")) };
        let missing: Vec<usize> = self.matching.missing().collect();
        let (all, here) = (self.expected.len(), self.expected.len() - missing.len());
        text += &format!(", {here} of {all} expected came\n");
        for at in &missing {
            text += &self.absence(*at, wait, file);
        }
        print(&text)?;
        if missing.is_empty() { Ok(()) } else { Err(Exit::new(Code::Failed, "")) }
    }

    /// What is to be said of an expected packet that did not come: the one that comes closest to it, field by field.
    fn absence(&self, at: usize, wait: Span, file: &Path) -> String {
        let Some(placed) = self.expected.get(at) else { return String::new() };
        let comment = match placed.packet.get(Field::Comment) {
            Some(Value::Text(comment)) => format!(" ({comment})"),
            _ => String::new(),
        };
        let (line, number) = (placed.place.line, at + 1);
        let mut text = format!("{}:{line}: packet {number}{comment} did not come within {wait}\n", file.display());
        let free = self.came.iter().filter(|(number, _)| !self.matching.is_taken(*number));
        let closest = free
            .map(|(number, bytes)| (differences(&placed.packet, bytes), number))
            .min_by_key(|(lines, _)| lines.len());
        match closest {
            Some((lines, number)) => {
                text += &format!("  closest is number {number} of {} that came:\n", self.matching.count());
                lines.iter().for_each(|line| text += &format!("    {line}\n"));
            }
            None => text += "  nothing else came\n",
        }
        text
    }
}

fn lost(device: &str, error: &io::Error) -> Exit {
    Exit::said(Code::System, format_args!("{device} is of no use any more: {error}"))
}
