//! The command line's end of the control socket; [`server`](super::server) says what goes over it.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Code, Exit, Form};
use crate::linux::file;

/// Longer than the daemon's own patience, so that it is the daemon who says what is the matter.
const PATIENCE: Duration = Duration::from_secs(10);

/// The daemon's answer to `words`, as text to print.
pub fn ask(path: &Path, words: &[&str], form: Form) -> Result<String, Exit> {
    let request = request(words, form)?;
    let mut stream = UnixStream::connect(path).map_err(|error| no_connection(path, &error))?;
    let text = talk(&mut stream, &request).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            Exit::new(Code::Failed, "cheaproute does not answer; it may hang: look at its log")
        }
        _ => Exit::said(Code::Failed, format_args!("lost the connection to cheaproute: {error}")),
    })?;
    let (status, document) = text.split_once('\n').unwrap_or((&text, ""));
    match status.split_once(' ') {
        None if status == "ok" => Ok(document.into()),
        Some(("error", why)) => {
            let (code, text) = why.split_once(' ').unwrap_or((why, ""));
            Err(Exit::new(code.parse().ok().and_then(Code::from_number).unwrap_or(Code::Failed), text))
        }
        _ => Err(Exit::new(Code::Failed, "cheaproute closed the connection without an answer; ask again")),
    }
}

fn request(words: &[&str], form: Form) -> Result<String, Exit> {
    let look = match form {
        Form { json: true, .. } => "json",
        Form { color: true, .. } => "color",
        _ => "text",
    };
    let mut line = format!("{look} {}", form.width);
    for word in words {
        if word.is_empty() || word.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Exit::said(Code::Usage, format_args!("{word:?} is no name: it is empty or has blanks in it")));
        }
        line.push(' ');
        line.push_str(word);
    }
    line.push('\n');
    Ok(line)
}

fn talk(stream: &mut UnixStream, request: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // A server that refuses may close before it has read all: its reason still arrives.
    let sent = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let read = file::drain(stream, usize::MAX, &mut answer);
    if answer.is_empty() {
        sent.and(read.map(drop))?;
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn no_connection(path: &Path, error: &io::Error) -> Exit {
    let path = path.display();
    let (code, text) = match error.kind() {
        io::ErrorKind::NotFound => (Code::NotRunning, format!("cheaproute is not running (no {path})")),
        io::ErrorKind::ConnectionRefused => {
            (Code::NotRunning, format!("cheaproute is not running (nobody listens at {path})"))
        }
        io::ErrorKind::PermissionDenied => {
            (Code::System, format!("only root may ask cheaproute (at {path}): try again with sudo"))
        }
        _ => (Code::Failed, format!("cannot connect to {path}: {error}")),
    };
    Exit::new(code, text)
}
