//! Other programs: `nft` loads the ruleset.
//!
//! They run at start, at stop, at a reload and when a link's state changes; never for a connection. [`read`] is for the
//! command line.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, sleep};
use std::time::Duration;

use super::clock::now;
use crate::kernel::Failure;
use crate::time::Span;

/// How long a program may take: loading 1,000 rules takes 2 s on the slowest router that we know of.
const PATIENCE: Span = Span::from_secs(20);

/// Runs a program with `input` and returns what it printed; it failed if it says so, cannot be started, or takes longer than
/// [`PATIENCE`].
pub fn run(command: &[&str], input: &str) -> Result<String, Failure> {
    let (program, arguments) = command.split_first().ok_or("no program to run")?;
    let mut child = start(program, arguments)?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that stops reading says why when it ends.
        let _ = pipe.write_all(input.as_bytes());
    }
    // Its output is bounded by what a pipe holds (64 KB, pipe(7)): one that prints more would wait for us, and run out of time.
    let end = now() + PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if now() < end => sleep(Duration::from_millis(1)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("`{program}` did not end within {PATIENCE}"));
            }
            Err(error) => return Err(format!("cannot wait for `{program}`: {error}")),
        }
    };
    let text = |pipe: Option<&mut dyn Read>| {
        let mut bytes = Vec::new();
        pipe.map(|pipe| pipe.take(64 * 1024).read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let printed = text(child.stdout.as_mut().map(|pipe| pipe as &mut dyn Read));
    if status.success() {
        return Ok(printed);
    }
    let complaint = text(child.stderr.as_mut().map(|pipe| pipe as &mut dyn Read));
    let first = complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    Err(format!("`{}` failed: {}", command.join(" "), first.trim()))
}

/// What a program prints on stdout, at most `most` bytes of it. One that prints more, or takes longer than `patience`, is
/// ended; in the former case what there is counts.
pub fn read(command: &[&str], most: usize, patience: Span) -> Result<String, Failure> {
    let (program, arguments) = command.split_first().ok_or("no program to run")?;
    let mut child = start(program, arguments)?;
    drop(child.stdin.take());
    // Threads, since a pipe that is read here would be waited for without end.
    let (printed, complaint) = (drain(child.stdout.take(), most), drain(child.stderr.take(), 1024));
    let end = now() + patience;
    let left = || Duration::from_micros(end.since(now()).as_micros());
    let bytes = printed.recv_timeout(left());
    let mut status = child.try_wait();
    // Its end follows that of its output, unless there was too much of that.
    while bytes.as_ref().is_ok_and(|bytes| bytes.len() < most) && matches!(status, Ok(None)) && !left().is_zero() {
        sleep(Duration::from_millis(1));
        status = child.try_wait();
    }
    if let Ok(None) = status {
        let _ = child.kill();
        let _ = child.wait();
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    match (bytes, status) {
        (Ok(_), Ok(Some(status))) if !status.success() => {
            let complaint = complaint.recv_timeout(Duration::from_millis(100)).map(text).unwrap_or_default();
            let first = complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
            Err(format!("`{}` failed: {}", command.join(" "), first.trim()))
        }
        (Ok(bytes), _) => Ok(text(bytes)),
        (Err(_), _) => Err(format!("`{program}` did not end within {patience}")),
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>, most: usize) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.map(|pipe| pipe.take(most as u64).read_to_end(&mut bytes));
        let _ = sender.try_send(bytes);
    });
    receiver
}

fn start(program: &str, arguments: &[&str]) -> Result<Child, Failure> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: between fork and exec it only changes the child's signal mask, which is async-signal-safe.
    unsafe { command.pre_exec(super::signal::unblock_all) };
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("the program `{program}` is not installed"),
        _ => format!("cannot start `{program}`: {error}"),
    })
}
