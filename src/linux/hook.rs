//! A user's script, run beside us: it is looked at, never waited for.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::check;
use super::clock::now;
use super::process::{Command, Process, Status};
use crate::time::Span;

/// What is kept of a script's output: enough for a complaint, and no log is flooded. The rest is refused to the script.
const OUTPUT: usize = 4096;

/// How long a killed script is waited for at the daemon's end. Only one stuck in the kernel takes longer.
const FAREWELL: Span = Span::from_millis(500);

/// `ENOEXEC`: executable, but without a `#!` line.
const NO_FORMAT: i32 = 8;

/// A script that runs, in a process group of its own. Dropped before its end, it is killed with all of its group.
pub struct Hook {
    process: Process,
    output: Option<File>,
}

impl Hook {
    /// Starts the script with these variables besides our own: by itself if it is executable, else by `/bin/sh`.
    pub fn start(path: &str, variables: &[(&str, &str)]) -> io::Result<Hook> {
        let executable = Path::new(path).metadata()?.permissions().mode() & 0o111 != 0;
        let nothing = File::options().read(true).write(true).open("/dev/null")?;
        let output = page();
        let out = output.as_ref().unwrap_or(&nothing).as_fd();
        let streams = [nothing.as_fd(), out, out];
        let by_shell = || Command { program: "/bin/sh", arguments: &[path], variables, apart: true, streams }.start();
        let process = match executable {
            true => match (Command { program: path, arguments: &[], variables, apart: true, streams }).start() {
                Err(error) if error.raw_os_error() == Some(NO_FORMAT) => by_shell(),
                other => other,
            },
            false => by_shell(),
        }?;
        Ok(Hook { process, output })
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> io::Result<Option<Status>> {
        self.process.ended()
    }

    /// Kills it and all of its group.
    pub fn kill(&mut self) {
        self.process.kill_group();
    }

    /// What it printed so far, as text.
    pub fn output(&self) -> String {
        let mut bytes = vec![0; OUTPUT];
        let got = self.output.as_ref().map_or(0, |page| page.read_at(&mut bytes, 0).unwrap_or(0));
        let text = bytes.get(..got).unwrap_or_default();
        String::from_utf8_lossy(text).trim_end_matches('\0').to_owned()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.kill();
        let end = now() + FAREWELL;
        while matches!(self.ended(), Ok(None)) && now() < end {
            sleep(Duration::from_millis(1));
        }
    }
}

/// A file in memory that cannot grow (memfd_create(2)). A pipe would have to be read all the time, and would end a script's
/// own background jobs with SIGPIPE once nobody does. `None` if the kernel has none: then there is no output.
fn page() -> Option<File> {
    // SAFETY: the name ends with a zero; a result that is not negative is a descriptor nobody else owns.
    let file = unsafe {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        File::from_raw_fd(check(libc::memfd_create(c"hook".as_ptr(), flags)).ok()?)
    };
    file.set_len(OUTPUT as u64).ok()?;
    // SAFETY: passes integers only.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_GROW) }).ok()?;
    Some(file)
}
