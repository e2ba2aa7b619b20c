//! The emulated routers' verdict and checks, without an emulator.

#[path = "router/mod.rs"]
mod router;

use std::process::Command;

use router::{Folder, Said, said};

#[track_caller]
fn shell(script: &str, argument: &std::path::Path) -> Said {
    said(Command::new("sh").args(["-c", script, "sh"]).arg(argument))
}

const GOOD: &str = "vm: kernel 6.1\nvm: boot 3\nvm: ok it starts\nvm: rss 1500\nvm: passed 24 of 24 at 71\nvm: end\n";

#[test]
fn only_a_log_to_the_end_has_passed() {
    let folder = Folder::new("verdict");
    let passes = |log: &str| {
        folder.write("log", log);
        shell(". cross/vm/verdict.sh; all_passed \"$1\"", &folder.path("log")).success
    };
    assert!(passes(GOOD));
    for (part, instead) in [
        ("vm: end\n", ""),
        ("vm: end\n", "vm: endless\n"),
        ("vm: passed 24 of 24 at 71\n", ""),
        ("24 of 24", "23 of 24"),
        ("24 of 24", "0 of 0"),
        ("vm: ok it starts\n", "vm: FAILED it starts\n"),
        (GOOD, "Kernel panic - not syncing\n"),
        (GOOD, ""),
    ] {
        assert!(!passes(&GOOD.replace(part, instead)), "{part:?} {instead:?}");
    }
    folder.write("log", GOOD);
    let told =
        shell(". cross/vm/verdict.sh; counted \"$1\"; said \"$1\" rss; said \"$1\" missing", &folder.path("log"));
    assert_eq!(told.text, "24 of 24\n1500\n");
}

/// The check of memory, on what the kernel says of a process.
#[test]
fn memory_is_a_number_and_small() {
    let folder = Folder::new("memory");
    let script = std::fs::read_to_string("cross/vm/guest/checks.sh").unwrap();
    let check = script.split("\nis_small() {").nth(1).and_then(|rest| rest.split("\n}").next()).expect("is_small");
    let (status, console) = (folder.path("status"), folder.path("console"));
    let check = check.replace("/proc/$daemon/status", status.to_str().unwrap());
    folder.write("check", &check.replace("/dev/console", console.to_str().unwrap()));
    for (text, small) in [
        ("VmRSS:\t    1500 kB\n", true),
        ("VmRSS:\t    3072 kB\n", true),
        ("VmRSS:\t    3073 kB\n", false),
        ("VmRSS:\t   13072 kB\n", false),
        ("VmRSS:\t       0 kB\n", false),
        ("Name:\tcheaproute\n", false),
        ("", false),
    ] {
        folder.write("status", text);
        assert_eq!(shell(". \"$1\"", &folder.path("check")).success, small, "{text}");
    }
    assert!(script.contains("\ncheck 'it takes 3 MB of memory at most' is_small\n"));
}
