//! The program under test.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lab::{Namespace, Process, gateway4, gateway6};

const BINARY: &str = env!("CARGO_BIN_EXE_cheaproute");

/// Longer than a start takes on a loaded machine: it runs a dozen small programs.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A configuration: a link for each text, which holds more options of that link, and further sections.
pub fn config(links: &[&str], more: &str) -> String {
    let mut text = "config cheaproute 'main'\n option log_level 'debug'\n".to_owned();
    for (index, options) in links.iter().enumerate() {
        text += &link(index + 1, options);
    }
    text + more + "\n"
}

/// Link number `number` of the lab: section and device are called `wan` and the number.
pub fn link(number: usize, options: &str) -> String {
    let mut text = String::new();
    let (gateway, gateway6) = (gateway4(number), gateway6(number));
    let _ = writeln!(text, "config link 'wan{number}'\n option device 'wan{number}'");
    let _ = writeln!(text, " option gateway '{gateway}'\n option gateway6 '{gateway6}'\n {options}");
    text
}

/// A daemon in a router. Its directory goes with it.
pub struct Daemon {
    pub process: Process,
    directory: PathBuf,
}

impl Daemon {
    /// Starts it and waits until it races.
    #[track_caller]
    pub fn start(router: &Namespace, config: &str) -> Self {
        let daemon = Self::launch(router, config, |_| ());
        daemon.races(router);
        daemon
    }

    /// Starts the next one at the place of one that ended, as an init system does, and waits until it races.
    #[track_caller]
    pub fn start_again(&mut self, router: &Namespace, config: &str) {
        self.write(config);
        let mut command = router.command(BINARY);
        command.arg("run").arg("-c").arg(self.file()).arg("-s").arg(self.directory.join("socket"));
        self.process = Process::spawn(command);
        self.races(router);
    }

    #[track_caller]
    fn races(&self, router: &Namespace) {
        self.process.wait_for_line("racing over", START_LIMIT);
        self.await_heartbeat(router);
    }

    /// Waits until the kernel knows that the daemon lives: only then does it queue.
    #[track_caller]
    pub fn await_heartbeat(&self, router: &Namespace) {
        super::eventually("a heartbeat", || self.is_alive(router));
    }

    /// Whether the kernel has heard of it of late.
    pub fn is_alive(&self, router: &Namespace) -> bool {
        router.sh("nft list set inet cheaproute alive 2>/dev/null || true").contains("expires")
    }

    /// Starts it, with changes to its command, and waits for nothing.
    #[track_caller]
    pub fn launch(router: &Namespace, config: &str, change: impl FnOnce(&mut Command)) -> Self {
        Self::launch_by(&[], router, config, change)
    }

    /// Like [`Daemon::launch`], by another program: `launcher` is its command line, to which ours is appended.
    #[track_caller]
    pub fn launch_by(launcher: &[&str], router: &Namespace, config: &str, change: impl FnOnce(&mut Command)) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).expect("a directory for the test");
        let (file, socket) = (directory.join("cheaproute"), directory.join("socket"));
        fs::write(&file, config).expect("a file for the configuration");
        let mut command = router.command(launcher.first().unwrap_or(&BINARY));
        if let Some(arguments) = launcher.get(1..) {
            command.args(arguments).arg(BINARY);
        }
        command.arg("run").arg("-c").arg(file).arg("-s").arg(socket);
        change(&mut command);
        Daemon { process: Process::spawn(command), directory }
    }

    /// Changes the configuration, and tells nobody.
    #[track_caller]
    pub fn write(&self, config: &str) {
        fs::write(self.file(), config).expect("the file of the configuration");
    }

    /// Where its configuration is.
    pub fn file(&self) -> PathBuf {
        self.directory.join("cheaproute")
    }

    /// Another command that talks to this daemon: its name first.
    pub fn command(&self, router: &Namespace, arguments: &[&str]) -> Command {
        let mut command = router.command(BINARY);
        command.args(arguments).arg("-s").arg(self.directory.join("socket"));
        command
    }

    /// Changes the configuration, and waits for a line that contains `answer`.
    #[track_caller]
    pub fn reload(&mut self, config: &str, answer: &str) -> String {
        self.write(config);
        let mark = self.process.lines_so_far();
        self.process.signal(libc::SIGHUP);
        self.process.wait_for_line_after(mark, answer, START_LIMIT)
    }

    /// Waits for a line that contains `pattern`, written after `mark`.
    #[track_caller]
    pub fn says(&self, mark: usize, pattern: &str) -> String {
        self.process.wait_for_line_after(mark, pattern, START_LIMIT)
    }

    /// Ends it in good order.
    #[track_caller]
    pub fn stop(&mut self) {
        self.process.signal(libc::SIGTERM);
        assert!(self.end().success(), "{}", self.process.output());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        self.process.wait(START_LIMIT).unwrap_or_else(|| panic!("no end\n{}", self.process.output()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
