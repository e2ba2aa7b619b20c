//! Other programs: `nft` loads the ruleset.
//!
//! They run at start, at stop, at a reload and when a link's state changes; never for a connection. [`read`] is for the
//! command line.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::thread::sleep;
use std::time::Duration;

use super::check;
use super::clock::now;
use super::process::{Command, Process, Status};
use crate::kernel::Failure;
use crate::time::{Span, Time};

/// How long a program may take: loading 1,000 rules takes 2 s on the slowest router that we know of.
const PATIENCE: Span = Span::from_secs(20);

/// What is kept of what a program says: more than nft has to tell.
const MOST: usize = 64 * 1024;

/// How often a program is looked at whose output does not end: some other process may have inherited that.
const LOOK: Span = Span::from_millis(50);

/// Runs a program with `input` and returns what it printed, the first 64 KB of it; it failed if it says so, cannot be
/// started, or takes longer than [`PATIENCE`].
pub fn run(command: &[&str], input: &str) -> Result<String, Failure> {
    talk(command, input, MOST, false, PATIENCE)
}

/// What a program prints on stdout, at most `most` bytes of it. One that prints more, or takes longer than `patience`, is
/// ended; in the former case what there is counts.
pub fn read(command: &[&str], most: usize, patience: Span) -> Result<String, Failure> {
    talk(command, "", most, true, patience)
}

fn talk(command: &[&str], input: &str, most: usize, enough: bool, patience: Span) -> Result<String, Failure> {
    let (program, arguments) = command.split_first().ok_or("no program to run")?;
    let mut running = start(program, arguments, input).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("the program `{program}` is not installed"),
        _ => format!("cannot start `{program}`: {error}"),
    })?;
    let end = now() + patience;
    let status = running.until(end, most, enough);
    if !matches!(status, Ok(Some(_))) {
        running.process.kill();
        while let Ok(None) = running.process.ended() {
            sleep(Duration::from_millis(1));
        }
    }
    let text = |part: &Part| String::from_utf8_lossy(part.bytes.get(..most).unwrap_or(&part.bytes)).into_owned();
    match status {
        Ok(Some(status)) if !status.success() => {
            let complaint = text(&running.complaint);
            let first = complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
            Err(format!("`{}` failed: {}", command.join(" "), first.trim()))
        }
        Ok(None) if !enough || running.printed.bytes.len() < most => {
            Err(format!("`{program}` did not end within {patience}"))
        }
        Ok(_) => Ok(text(&running.printed)),
        Err(error) => Err(format!("cannot wait for `{program}`: {error}")),
    }
}

struct Running<'a> {
    process: Process,
    /// What is still to be written, and where to; nobody to write to when there is no more.
    input: (&'a [u8], Option<PipeWriter>),
    printed: Part,
    complaint: Part,
}

/// What came of a stream, and where from; no source after its end.
struct Part {
    bytes: Vec<u8>,
    pipe: Option<PipeReader>,
}

fn start<'a>(program: &str, arguments: &[&str], input: &'a str) -> io::Result<Running<'a>> {
    let ((stdin, writer), (printed, stdout), (complaint, stderr)) = (io::pipe()?, io::pipe()?, io::pipe()?);
    for fd in [writer.as_fd(), printed.as_fd(), complaint.as_fd()] {
        // SAFETY: passes integers only.
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    }
    let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let process = Command { program, arguments, variables: &[], apart: false, streams }.start()?;
    let part = |pipe| Part { bytes: Vec::new(), pipe: Some(pipe) };
    let input = (input.as_bytes(), Some(writer));
    Ok(Running { process, input, printed: part(printed), complaint: part(complaint) })
}

impl Running<'_> {
    /// Writes and reads until the program ends; `None` if the time is up, or if it has printed `most` and that is `enough`.
    fn until(&mut self, end: Time, most: usize, enough: bool) -> io::Result<Option<Status>> {
        loop {
            let status = self.process.ended()?;
            self.write();
            self.printed.read(most);
            self.complaint.read(most);
            if enough && self.printed.bytes.len() >= most {
                return Ok(None);
            }
            // What it printed before its end has been read just now.
            let now = now();
            if status.is_some() || now >= end {
                return Ok(status);
            }
            self.wait(end.since(now).min(LOOK));
        }
    }

    /// A program that stops reading says why when it ends.
    fn write(&mut self) {
        let (bytes, writer) = &mut self.input;
        while let Some(pipe) = writer {
            match pipe.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(count) if count > 0 => *bytes = bytes.get(count..).unwrap_or_default(),
                _ => *writer = None,
            }
        }
    }

    /// Until one of the pipes is ready. After the last one's end, the program's own is near.
    fn wait(&self, time: Span) {
        let entry = |fd: Option<i32>, events| libc::pollfd { fd: fd.unwrap_or(-1), events, revents: 0 };
        let mut entries = [
            entry(self.input.1.as_ref().map(PipeWriter::as_raw_fd), libc::POLLOUT),
            entry(self.printed.pipe.as_ref().map(PipeReader::as_raw_fd), libc::POLLIN),
            entry(self.complaint.pipe.as_ref().map(PipeReader::as_raw_fd), libc::POLLIN),
        ];
        let closed = entries.iter().all(|entry| entry.fd < 0);
        let millis = if closed { 1 } else { time.as_micros().div_ceil(1_000) as libc::c_int };
        // SAFETY: `entries` are three valid ones. A negative descriptor is passed over (poll(2)).
        unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, millis) };
    }
}

impl Part {
    /// Takes what is there; keeps `most` bytes of it, or a few more.
    fn read(&mut self, most: usize) {
        let mut piece = [0; 4096];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(count) if count > 0 => {
                    if self.bytes.len() < most {
                        self.bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
                    }
                }
                _ => self.pipe = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Span = Span::from_secs(10);

    fn shell(script: &str, input: &str) -> Result<String, Failure> {
        run(&["sh", "-c", script], input)
    }

    #[test]
    fn input_output_and_complaints() {
        let much = "0123456789abcde\n".repeat(40_000);
        assert_eq!(shell("cat", "some text"), Ok("some text".into()));
        assert_eq!(shell("cat", &much).as_deref(), Ok(&much[..MOST]), "both ways at once, and no more than is kept");
        assert_eq!(shell("exec <&-; echo done", &much), Ok("done\n".into()), "one that does not read");
        assert_eq!(
            shell("echo; echo ' no' >&2; exit 3", ""),
            Err("`sh -c echo; echo ' no' >&2; exit 3` failed: no".into())
        );
        assert_eq!(shell("kill -9 $$", ""), Err("`sh -c kill -9 $$` failed: it gave no reason".into()));
        assert_eq!(run(&["no-such-program"], ""), Err("the program `no-such-program` is not installed".into()));
        assert_eq!(run(&["/"], "").unwrap_err().split(':').next(), Some("cannot start `/`"));
        // What it leaves behind does not keep us.
        assert_eq!(shell("sleep 1000 & echo $!", "").map(|id| shell(&format!("kill {id}"), "")), Ok(Ok(String::new())));
    }

    #[test]
    fn signals_and_descriptors_are_as_a_program_expects_them() {
        let mask = |name| {
            let text = shell(&format!("sed -n 's/^{name}:.//p' /proc/self/status"), "").unwrap_or_default();
            u64::from_str_radix(text.trim(), 16)
        };
        assert_eq!(mask("SigBlk"), Ok(0));
        assert_eq!(mask("SigIgn").map(|ignored| ignored >> (libc::SIGPIPE - 1) & 1), Ok(0));
        let _ours = std::fs::File::open("/etc/passwd").expect("a file");
        let files = shell("ls -l /proc/self/fd", "").unwrap_or_default();
        assert!(files.contains("/proc/") && !files.contains("passwd"), "{files}");
    }

    #[test]
    fn one_that_prints_much_or_takes_long_is_ended() {
        assert_eq!(read(&["yes"], 100, LONG).as_deref(), Ok(&*"y\n".repeat(50)));
        assert_eq!(read(&["echo", "a"], 100, LONG), Ok("a\n".into()));
        let late = read(&["sleep", "1000"], 100, Span::from_millis(100));
        assert_eq!(late, Err("`sleep` did not end within 100 ms".into()));
    }
}
