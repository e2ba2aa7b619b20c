//! Programs under test: their output, their signals and their certain end.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::sys;

/// How often `wait` looks; a program's end has no event that `std` could wait for with a limit.
const LOOK: Duration = Duration::from_millis(1);

/// After a program's end its last lines are still in the pipe for a moment. A grandchild that keeps the pipe open must
/// not hold up the test for longer.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A running program whose output is kept. Dropped, it is killed, along with the processes of its group; if that
/// happens because the test failed, its output is printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Arc<Log>,
}

impl Process {
    /// Starts the program. The command's stdout and stderr become pipes; it reads nothing from stdin unless the command
    /// says otherwise.
    ///
    /// A command of [`crate::Namespace::command`] dies with the spawning thread: spawn it where it is used.
    #[track_caller]
    pub fn spawn(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        let log = Arc::new(Log::default());
        log.follow(child.stdout.take().expect("stdout is a pipe"), Stream::Out);
        log.follow(child.stderr.take().expect("stderr is a pipe"), Stream::Err);
        Self { name, child, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of either stream that contains `pattern`, from the start of the output on.
    ///
    /// Panics with the whole output if none came in time.
    #[track_caller]
    pub fn wait_for_line(&self, pattern: &str, timeout: Duration) -> String {
        self.wait_for_line_after(0, pattern, timeout)
    }

    /// Like [`Process::wait_for_line`], for lines that came after [`Process::lines_so_far`] said `mark`.
    #[track_caller]
    pub fn wait_for_line_after(&self, mark: usize, pattern: &str, timeout: Duration) -> String {
        match self.log.find(mark, pattern, timeout) {
            Some(line) => line,
            None => panic!("{}: no line with {pattern:?} within {timeout:?}\n{}", self.name, self.output()),
        }
    }

    pub fn lines_so_far(&self) -> usize {
        self.log.state.lock().unwrap().lines.len()
    }

    /// Everything printed so far, both streams in the order of arrival.
    pub fn output(&self) -> String {
        self.log.text(|_| true)
    }

    /// Everything printed to stdout so far.
    pub fn stdout(&self) -> String {
        self.log.text(|stream| stream == Stream::Out)
    }

    /// Sends a signal to the program itself, unless it has ended.
    #[track_caller]
    pub fn signal(&mut self, signal: i32) {
        if self.wait(Duration::ZERO).is_none() {
            sys::kill(self.child.id() as i32, signal)
                .unwrap_or_else(|e| panic!("signal {signal} to {}: {e}", self.name));
        }
    }

    /// Ends the program and its group at once.
    pub fn kill(&mut self) {
        // An unreaped child keeps its group's number from being given to others.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = sys::kill(-(self.child.id() as i32), libc::SIGKILL);
        }
        let _ = self.child.wait();
        self.log.wait_for_end(LAST_WORDS);
    }

    /// Waits for the program's end; `None` if it still runs after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let limit = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child can be waited for") {
                self.log.wait_for_end(LAST_WORDS);
                return Some(status);
            }
            if Instant::now() >= limit {
                return None;
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("---- output of {}\n{}----", self.name, self.output());
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

#[derive(Debug, Default)]
struct Log {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<(Stream, String)>,
    open_streams: usize,
}

impl Log {
    fn follow(self: &Arc<Self>, pipe: impl Read + Send + 'static, stream: Stream) {
        self.state.lock().unwrap().open_streams += 1;
        let log = self.clone();
        // Not joined: a grandchild may hold the pipe for ever.
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                log.change(|state| state.lines.push((stream, text)));
                line.clear();
            }
            log.change(|state| state.open_streams -= 1);
        });
    }

    fn change(&self, edit: impl FnOnce(&mut State)) {
        edit(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn find(&self, mark: usize, pattern: &str, timeout: Duration) -> Option<String> {
        let hit =
            |state: &State| state.lines.iter().skip(mark).find(|(_, l)| l.contains(pattern)).map(|(_, l)| l.clone());
        let state = self.state.lock().unwrap();
        // The end of both streams ends the wait as well: no line can come any more.
        let going_on = |state: &mut State| hit(state).is_none() && state.open_streams > 0;
        let (state, _) = self.changed.wait_timeout_while(state, timeout, going_on).unwrap();
        hit(&state)
    }

    fn wait_for_end(&self, timeout: Duration) {
        let state = self.state.lock().unwrap();
        let _ = self.changed.wait_timeout_while(state, timeout, |state| state.open_streams > 0);
    }

    fn text(&self, wanted: impl Fn(Stream) -> bool) -> String {
        let state = self.state.lock().unwrap();
        state.lines.iter().filter(|(stream, _)| wanted(*stream)).map(|(_, line)| format!("{line}\n")).collect()
    }
}
