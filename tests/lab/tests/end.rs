//! Nothing is left behind, and nothing takes for ever.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use lab::{Dual, Namespace, Process, veth};

const SECOND: Duration = Duration::from_secs(1);

/// The kernel takes its time to remove a namespace.
fn soon(what: &str, done: impl Fn() -> bool) {
    let limit = Instant::now() + 5 * SECOND;
    while !done() {
        assert!(Instant::now() < limit, "{what}: not within 5 s");
        thread::sleep(Duration::from_millis(10));
    }
}

/// True if `host` has a device of this name. The far end of a cable goes when the near end's namespace goes.
fn has_device(host: &Namespace, name: &str) -> bool {
    host.sh("ip -o link").contains(&format!(" {name}@"))
}

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_dropped_namespace_vanishes() {
    if !lab::ready() {
        return;
    }
    let witness = Namespace::new("witness");
    let host = Namespace::new("host");
    veth(&witness, "cable", &host, "eth0");
    assert!(has_device(&witness, "cable"));
    drop(host);
    soon("the namespace vanishes", || !has_device(&witness, "cable"));
}

#[test]
fn a_panic_leaves_nothing() {
    if !lab::ready() {
        return;
    }
    let witness = Namespace::new("witness");
    let mut pid = 0;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let lab = Dual::new();
        veth(&witness, "cable", lab.router(), "extra");
        let mut command = lab.router().command("sh");
        command.args(["-c", "echo started; sleep 1000"]);
        let process = Process::spawn(command);
        process.wait_for_line("started", SECOND);
        pid = process.id();
        assert!(runs(pid) && has_device(&witness, "cable"));
        panic!("on purpose: the output of `sh` follows");
    }));
    assert!(outcome.is_err());
    assert!(!runs(pid), "the process is gone at once");
    soon("the lab vanishes", || !has_device(&witness, "cable"));
}

/// Marks the run that is to be killed.
const VICTIM: &str = "LAB_VICTIM";

/// Not a test of its own: the next one runs it in a process that it kills.
#[test]
fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let lab = Dual::new();
    let mut command = lab.router().command("sleep");
    command.arg("60");
    let process = Process::spawn(command);
    println!("ready {} {}", process.id(), lab.router().inode());
    thread::sleep(60 * SECOND);
}

#[test]
fn a_killed_run_leaves_nothing() {
    if !lab::ready() {
        return;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "victim", "--nocapture"]).env(VICTIM, "1");
    let mut run = Process::spawn(command);
    let line = run.wait_for_line("ready ", 5 * SECOND);
    let (_, numbers) = line.split_once("ready ").unwrap();
    let (pid, inode) = numbers.split_once(' ').unwrap();
    let (pid, inode): (u32, u64) = (pid.parse().unwrap(), inode.trim().parse().unwrap());
    let held = || {
        let threads = fs::read_dir("/proc").unwrap().flatten().filter(|e| e.path().join("ns/net").exists());
        threads.filter_map(|e| fs::metadata(e.path().join("ns/net")).ok()).any(|m| m.ino() == inode)
    };
    assert!(runs(pid) && held());
    run.signal(9);
    soon("the program in the lab dies", || !runs(pid));
    soon("the namespace has no holder", || !held());
}

#[test]
fn a_process_is_heard_signalled_and_awaited() {
    if !lab::ready() {
        return;
    }
    let host = Namespace::new("host");
    let mut command = host.command("sh");
    command.args(["-c", "trap 'echo bye >&2; exit 3' TERM; echo hello; while :; do sleep 0.01; done"]);
    let mut process = Process::spawn(command);
    assert_eq!(process.wait_for_line("hell", SECOND), "hello");
    let mark = process.lines_so_far();
    assert_eq!(process.wait(Duration::from_millis(10)), None);
    process.signal(15);
    assert_eq!(process.wait_for_line_after(mark, "bye", SECOND), "bye");
    assert_eq!(process.wait(SECOND).and_then(|status| status.code()), Some(3));
    assert_eq!(process.stdout(), "hello\n");
}

#[test]
fn a_failed_line_panics_with_its_words() {
    if !lab::ready() {
        return;
    }
    let host = Namespace::new("host");
    let cause = catch_unwind(|| host.sh("echo one\nip link show nowhere\necho two")).unwrap_err();
    let words = cause.downcast_ref::<String>().unwrap();
    assert!(words.contains("nowhere") && words.contains("does not exist"), "{words}");
}
