//! Hosts: anonymous network namespaces, and the virtual cables between them.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::panic;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::process::Process;
use crate::sys;

/// Longer than any set-up line takes on a loaded machine, and short enough for a test to fail in good time.
const SHELL_LIMIT: Duration = Duration::from_secs(10);

/// What every host of the lab wants: addresses that work at once, silence of the kernel's own making, and ping for all.
const QUIET: [(&str, &str); 7] = [
    ("net/ipv6/conf/*/accept_dad", "0"),
    ("net/ipv6/conf/*/dad_transmits", "0"),
    ("net/ipv6/conf/*/accept_ra", "0"),
    ("net/ipv6/conf/*/router_solicitations", "0"),
    ("net/ipv4/conf/*/rp_filter", "0"),
    ("net/ipv4/conf/*/send_redirects", "0"),
    ("net/ipv4/ping_group_range", "0 2147483647"),
];

/// A host: a network namespace without a name in the file system, held by an open file.
///
/// The kernel removes it, with its devices, addresses and rules, once the last holder is gone: clones of this value,
/// wires into it, sockets and processes inside it. A process that dies, however it dies, leaves nothing behind.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
    net: Arc<File>,
}

impl Namespace {
    /// A new host with `lo` up and nothing else. The name only serves messages.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        let open = || {
            sys::unshare_network()?;
            // `thread-self`, because `self` would be the namespace of the process.
            File::open("/proc/thread-self/ns/net")
        };
        let net = in_thread(open).unwrap_or_else(|e| panic!("no network namespace for {name}: {e}"));
        let namespace = Self { name: name.to_owned(), net: Arc::new(net) };
        namespace.run(|| {
            for (key, value) in QUIET {
                // Each device takes `default` when it is born, and some switches obey `all` only.
                for scope in ["all", "default"] {
                    set(&key.replace('*', scope), value);
                }
            }
        });
        namespace.sh("ip link set lo up");
        namespace
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kernel's number of this namespace, as in `/proc/PID/ns/net`.
    pub fn inode(&self) -> u64 {
        self.net.metadata().expect("an open namespace has an inode").ino()
    }

    /// Runs `work` inside the namespace, in a thread of its own, and hands back its value, or its panic.
    ///
    /// A socket stays in the namespace where it was opened: open it here, use it anywhere. A [`Command`] must not be
    /// spawned here if its process is to outlive `work`: see [`Namespace::command`].
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_thread(|| {
            sys::enter(&self.net).unwrap_or_else(|e| panic!("cannot enter {}: {e}", self.name));
            work()
        })
    }

    /// A command that will start inside the namespace.
    ///
    /// Its process dies with the *thread* that spawns it (the kernel's `PR_SET_PDEATHSIG` looks at threads). Spawned by
    /// a test's own thread, it thus never outlives its test.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        sys::confine(&mut command, self.net.clone());
        command
    }

    /// Runs shell lines inside the namespace until the first that fails, and hands back what they printed.
    ///
    /// Panics with the lines and their output if one fails, or if they take longer than ten seconds.
    #[track_caller]
    pub fn sh(&self, lines: &str) -> String {
        let mut command = self.command("sh");
        command.args(["-ec", lines]);
        let mut process = Process::spawn(command);
        let status = process.wait(SHELL_LIMIT);
        if !status.is_some_and(|s| s.success()) {
            let verdict = status.map_or("no end in time".to_owned(), |s| s.to_string());
            let output = process.output();
            // Dropped before the panic, or it would print its output once more.
            drop(process);
            panic!("{}: {verdict}\n  {}\n{output}", self.name, lines.trim().replace('\n', "\n  "));
        }
        process.stdout()
    }

    /// Writes a kernel setting of the namespace: `sysctl("net/ipv4/ip_forward", "1")`.
    #[track_caller]
    pub fn sysctl(&self, key: &str, value: &str) {
        self.run(|| set(key, value));
    }
}

/// Joins two hosts by a virtual Ethernet cable, and sets both ends up. It is as fast as memory: see [`crate::Wire`] for
/// one that takes its time.
#[track_caller]
pub fn veth(a: &Namespace, name_a: &str, b: &Namespace, name_b: &str) {
    // `ip` finds the other namespace through a file of this process, which outlives the command.
    let (pid, fd) = (std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&*b.net));
    a.sh(&format!(
        "ip link add {name_a} type veth peer name {name_b} netns /proc/{pid}/fd/{fd}
         ip link set {name_a} up"
    ));
    b.sh(&format!("ip link set {name_b} up"));
}

fn set(key: &str, value: &str) {
    let path = format!("/proc/sys/{key}");
    fs::write(&path, value).unwrap_or_else(|e| panic!("{path} = {value}: {e}"));
}

/// A namespace belongs to a thread, so a throw-away thread keeps the caller where it is.
fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|cause| panic::resume_unwind(cause))
}
