//! The programs under test, and what they take of the machine.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lab::{Namespace, Process};

const READY: Duration = Duration::from_secs(10);

/// The program that is measured: the one just built, or another one, as `make cross` builds it for routers.
pub fn program() -> String {
    std::env::var("CHEAPROUTE_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_cheaproute").to_owned())
}

/// A program that handles a router's new connections.
pub struct Daemon {
    process: Process,
    config: Option<PathBuf>,
}

impl Daemon {
    /// cheaproute with two links, racing all. `ipv6`: the links have it; `more`: further lines for each link.
    #[track_caller]
    pub fn start(router: &Namespace, ipv6: bool, more: &str) -> Self {
        let mut text = "config cheaproute 'main'\n".to_owned();
        for link in 1..=2 {
            text +=
                &format!("config link 'wan{link}'\n\toption device 'wan{link}'\n\toption gateway '10.77.{link}.1'\n");
            if ipv6 {
                text += &format!("\toption gateway6 'fd77:{link}::1'\n");
            }
            text += more;
        }
        text += "config policy 'fastest'\n\toption mode 'race'\n";
        let config = std::env::temp_dir().join(format!("cheaproute-bench-{}-{:x}", std::process::id(), router.inode()));
        fs::write(&config, text).expect("a configuration file");
        let mut command = router.command(&program());
        command.arg("run").arg("-c").arg(&config).arg("-s").arg(config.with_extension("sock"));
        let process = Process::spawn(command);
        process.wait_for_line("racing over", READY);
        // The first heartbeat follows at once; without it nothing is queued.
        std::thread::sleep(Duration::from_millis(50));
        Daemon { process, config: Some(config) }
    }

    /// The program that does nothing but accept: see [`crate::bare`].
    #[track_caller]
    pub fn bare(router: &Namespace) -> Self {
        let program = std::env::current_exe().expect("our own program");
        let mut command = router.command(&program.to_string_lossy());
        command.arg(crate::bare::FLAG);
        let process = Process::spawn(command);
        process.wait_for_line(crate::bare::READY, READY);
        Daemon { process, config: None }
    }

    #[track_caller]
    pub fn wait_for(&self, line: &str) {
        self.process.wait_for_line(line, READY);
    }

    /// Ends it as a user would, its rules included.
    #[track_caller]
    pub fn stop(mut self) {
        self.process.signal(libc::SIGTERM);
        assert!(self.process.wait(READY).is_some(), "it does not end:\n{}", self.process.output());
        if let Some(config) = &self.config {
            let _ = fs::remove_file(config);
        }
    }

    /// Processor time so far, of all threads. The kernel's work in their system calls is in it, and so is what it does
    /// on their way out (softirq): the receiving side of a virtual cable, if no other core does it.
    pub fn busy(&self) -> Duration {
        let threads = self.threads();
        let time = |thread: &u32| {
            let text = fs::read_to_string(format!("/proc/{}/task/{thread}/schedstat", self.process.id())).ok()?;
            text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
        };
        threads.iter().filter_map(time).sum()
    }

    /// Keeps all threads on one core.
    pub fn pin(&self, core: usize) {
        self.threads().into_iter().for_each(|thread| crate::sys::pin(thread, core));
    }

    /// Resident memory in KB: all of it, and without the files' part (the program and its libraries).
    pub fn memory(&self) -> (u64, u64) {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        (field("VmRSS:").unwrap_or(0), field("RssAnon:").unwrap_or(0))
    }

    fn threads(&self) -> Vec<u32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("a running program");
        tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok()).collect()
    }
}
