//! The daemon's end of the control socket.
//!
//! A request is one line: `text|color|json`, the width, then words, with blanks between them. The answer is `ok`, or `error`
//! with an exit code and a message, on a line; after `ok`, the document until the end of the stream.
//!
//! A thread of its own reads, waits and writes, one connection at a time and each with bounds, so that a client can keep
//! other clients waiting for a moment, and the daemon's main loop never.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fs, str};

use super::desk::Desk;
use super::{Code, Exit, Form, render};
use crate::linux::peer;
use crate::linux::thread::Thread;

/// A socket that nobody else serves; its file goes away with it.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    /// The file's: by the time we go, another daemon's may be there.
    number: Option<u64>,
}

/// The longest request: a command and a few names.
pub const MAX_REQUEST: usize = 4096;
/// How long a client may take to send its request, and to read the answer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(1);
/// Rendering needs little: 200 links and races, no recursion deeper than a document.
const STACK: usize = 256 * 1024;

impl Server {
    /// Takes `path`, and makes its directory if there is none. What a dead daemon left there is replaced.
    pub fn bind(path: &Path) -> Result<Server, Exit> {
        let fail = |code, text: String| Exit::said(code, format_args!("cannot listen at {}: {text}", path.display()));
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(directory);
            made.map_err(|error| fail(Code::System, error.to_string()))?;
        }
        vacate(path)?;
        // Between these two calls anybody may connect: that is why each client's user is checked as well.
        let listener = UnixListener::bind(path).map_err(|error| fail(Code::System, error.to_string()))?;
        let closed = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
        closed.map_err(|error| fail(Code::System, error.to_string()))?;
        Ok(Server { listener, path: path.into(), number: number(path) })
    }

    /// Starts the thread, which hands in what clients ask at `desk`.
    pub fn start(&self, desk: Desk) -> io::Result<()> {
        let listener = self.listener.try_clone()?;
        let body = move || {
            loop {
                match listener.accept() {
                    // A client that goes away or misbehaves is its own trouble.
                    Ok((client, _)) => drop(serve(&desk, client)),
                    // Out of descriptors or memory: not for long, one hopes; and not a reason to spin.
                    Err(_) => sleep(Duration::from_millis(100)),
                }
            }
        };
        Thread::start(c"control", STACK, Box::new(body)).map(drop)
    }
}

/// Takes away the socket that a dead daemon left at `path`. The error: one lives there, or it is something else.
pub fn vacate(path: &Path) -> Result<(), Exit> {
    let taken = |code, text: &dyn Display| Exit::said(code, format_args!("{} is taken: {text}", path.display()));
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            Err(taken(Code::Failed, &"something else is there; remove it or use --socket"))
        }
        Ok(_) => match UnixStream::connect(path).map_err(|error| (error.kind(), error)) {
            Ok(_) => Err(Exit::said(
                Code::Running,
                format_args!("cheaproute is already running (it answers at {})", path.display()),
            )),
            Err((io::ErrorKind::ConnectionRefused, _)) => {
                fs::remove_file(path).map_err(|error| taken(Code::System, &error))
            }
            Err((io::ErrorKind::NotFound, _)) => Ok(()),
            // Somebody may live there, and not be able to say so just now.
            Err((_, error)) => Err(taken(Code::System, &error)),
        },
        Err(_) => Ok(()),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The thread waits on, for clients that cannot come any more: waking it up could block.
        if number(&self.path) == self.number {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A file's inode.
fn number(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|file| file.ino())
}

fn serve(desk: &Desk, mut client: UnixStream) -> io::Result<()> {
    let user = peer::user(client.as_fd())?;
    let answer = if user != 0 && user != peer::own_user() {
        Err(Exit::new(Code::System, "only root may ask: try again with sudo"))
    } else {
        read_request(&mut client)?.and_then(|(words, form)| {
            let document = desk.ask(words.clone())?;
            Ok(render(&words, &document, form))
        })
    };
    let text = match answer {
        Ok(document) => format!("ok\n{document}"),
        Err(exit) => format!("error {} {}\n", exit.code.number(), exit.text.replace('\n', " ")),
    };
    write_all(&mut client, text.as_bytes())
}

type Parsed = Result<(Vec<String>, Form), Exit>;

/// The first line. Time is counted for all of it, so that one byte a second is no way to stay.
fn read_request(client: &mut UnixStream) -> io::Result<Parsed> {
    let end = Instant::now() + CLIENT_PATIENCE;
    let mut line = Vec::new();
    let mut piece = [0u8; 512];
    loop {
        client.set_read_timeout(Some(left(end)?))?;
        let got = client.read(&mut piece)?;
        let piece = piece.get(..got).unwrap_or_default();
        let stop = piece.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(piece.get(..stop.unwrap_or(got)).unwrap_or_default());
        if line.len() > MAX_REQUEST {
            return Ok(Err(Exit::said(Code::Usage, format_args!("a request has at most {MAX_REQUEST} bytes"))));
        }
        if stop.is_some() || got == 0 {
            return Ok(parse(&line));
        }
    }
}

fn parse(line: &[u8]) -> Parsed {
    let malformed = || Exit::new(Code::Usage, "a request is: text|color|json WIDTH COMMAND [ARGUMENT..]");
    let mut words = str::from_utf8(line).map_err(|_| malformed())?.split_ascii_whitespace();
    let (json, color) = match words.next() {
        Some("text") => (false, false),
        Some("color") => (false, true),
        Some("json") => (true, false),
        _ => return Err(malformed()),
    };
    let width = words.next().and_then(|width| width.parse().ok()).ok_or_else(malformed)?;
    let words: Vec<String> = words.map(str::to_string).collect();
    if words.is_empty() { Err(malformed()) } else { Ok((words, Form { json, width, color })) }
}

fn write_all(client: &mut UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    let end = Instant::now() + CLIENT_PATIENCE;
    while !bytes.is_empty() {
        client.set_write_timeout(Some(left(end)?))?;
        let done = client.write(bytes)?;
        bytes = bytes.get(done..).filter(|_| done > 0).ok_or(io::ErrorKind::WriteZero)?;
    }
    Ok(())
}

/// The time left until `end`, never zero: that would mean no bound at all.
fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
