//! `support`: what a bug report needs is there, and what is nobody's business is not.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{Bed, SERVERS, bond, config};

const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const OTHER: &str = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";

fn peer() -> String {
    format!(
        "config peer 'vps'\n option enabled '0'\n option private_key '{KEY}'\n option public_key '{OTHER}'\n \
         option endpoint '192.0.2.1:7420'\n# option password 'open sesame'\n# option preshared_key '{KEY}'\n"
    )
}

/// A path of its own: tests run side by side.
fn path(name: &str) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("support-{name}-{}-{number}", std::process::id()))
}

/// What it prints with the configuration `text` and these further arguments.
#[track_caller]
fn report(bed: &Bed, text: &str, arguments: &[&str]) -> String {
    let file = path("config");
    fs::write(&file, text).unwrap();
    let all: Vec<&str> = ["support", "-c", file.to_str().unwrap()].iter().chain(arguments).copied().collect();
    let output = bed.daemon.command(bed.lab.router(), &all).output().unwrap();
    fs::remove_file(file).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{said}");
    for secret in [KEY, &KEY[..20], "sesame"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    said
}

/// The part of this name.
#[track_caller]
fn part<'a>(report: &'a str, name: &str) -> &'a str {
    let start = report.find(&format!("\n== {name}\n")).unwrap_or_else(|| panic!("no part {name}: {report}"));
    let rest = &report[start + name.len() + 5..];
    rest.split("\n== ").next().unwrap()
}

#[test]
fn a_running_daemon_with_its_secrets() {
    need_lab!();
    let text = config(&["", ""], &peer());
    let mut bed = Bed::with(&[2, 20], &["", ""], &peer());
    let server = bed.server(SERVERS[0], 80);
    assert_eq!(bed.link_taken(&server), 1);
    let masked = report(&bed, &text, &[]);
    for (name, words) in [
        ("system", &[env!("CARGO_PKG_VERSION"), "kernel: "][..]),
        ("daemon", &["VmRSS"]),
        ("status", &["2 of 2 up", "1 won"]),
        ("links", &["wan1", "won 1 of 1 race"]),
        ("events", &["link.up"]),
        ("races 40", &["10.77.0.2:", "won by wan1", "-> ipv4-"]),
        ("ip rules", &["4001"]),
        ("routes of the main table and ours", &["table 4001: 0.0.0.0/0 dev wan1", "table main: "]),
        ("nft: our table", &["table inet cheaproute {", "set links"]),
        ("queues", &["queue port"]),
        ("settings", &["ip_forward = 1", "rp_filter = "]),
    ] {
        for word in words {
            assert!(part(&masked, name).contains(word), "{name}: {word}: {}", part(&masked, name));
        }
    }
    assert!(masked.contains("option private_key '(secret)'"), "{masked}");
    assert!(!masked.contains("198.51.100.1"), "where clients connect to: {masked}");
    let open = report(&bed, &text, &["--addresses"]);
    assert!(part(&open, "races 40").contains("-> 198.51.100.1:80"), "{open}");

    // A reload that fails: the complaint about the line quotes it, in status and in the events.
    let broken = format!("{text}config peer 'b'\n option private_key {KEY} {KEY}\n option password open sesame\n");
    bed.daemon.reload(&broken, "not reloaded");
    let masked = report(&bed, &broken, &[]);
    assert!(part(&masked, "events").contains("reload.failed"), "{masked}");
    assert!(masked.contains("cannot be read"), "{masked}");
}

#[test]
fn peers_policies_and_their_tables() {
    need_lab!();
    let split = "config split 'web'\n option side 'receiver'\n option primary '10.77.1.2:443'\n \
                 option secondary '10.77.2.2:443'\n";
    let more = bond::client_section(1, "list route '10.99.0.0/16'") + split;
    let bed = Bed::with(&[2, 20], &["", ""], &more);
    let _server = bond::start_server(bed.lab.internet(), &bond::server_text(&[""], ""));
    bond::await_paths(&bed.daemon, bed.lab.router(), 2);
    let masked = report(&bed, &config(&["", ""], &more), &[]);
    for (name, words) in [
        ("peers", &["vps", "endpoint ipv4-"][..]),
        ("policies", &["fastest"]),
        ("routes of the main table and ours", &["table 4051: 10.99.0.0/16 dev bond0", "table 4100: ", "table 4101: "]),
    ] {
        for word in words {
            assert!(part(&masked, name).contains(word), "{name}: {word}: {}", part(&masked, name));
        }
    }
    assert!(!masked.contains("198.51.100.1"), "where the server is: {masked}");
}

#[test]
fn a_stopped_daemon_and_no_programs() {
    need_lab!();
    let mut bed = Bed::new(&[2]);
    bed.daemon.stop();
    let said = report(&bed, "config link 'wan1'\n option weihgt '3'\n", &[]);
    assert!(part(&said, "status").contains("not running"), "{said}");
    assert!(part(&said, "settings").contains("ip_forward"), "{said}");
    assert!(said.contains("did you mean 'weight'") && !said.contains("\n== links"), "{said}");
}

#[test]
fn programs_that_hang_or_never_end() {
    need_lab!();
    let bed = Bed::new(&[2]);
    let directory = path("programs");
    fs::create_dir_all(&directory).unwrap();
    for (name, script) in
        [("nft", "#!/bin/sh\nexec /bin/sleep 60\n"), ("ip", "#!/bin/sh\nexec /usr/bin/yes 198.51.100.9\n")]
    {
        fs::write(directory.join(name), script).unwrap();
        fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let start = Instant::now();
    let mut command = bed.daemon.command(bed.lab.router(), &["support", "-c", "/nowhere"]);
    let said = String::from_utf8(command.env("PATH", &directory).output().unwrap().stdout).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    assert!(start.elapsed() < Duration::from_secs(40), "two programs of 3 s: {:?}", start.elapsed());
    assert!(part(&said, "nft: our table").contains("did not end within"), "{said}");
    assert!(part(&said, "ip rules").contains("bytes more)") && said.len() < 400_000, "{said}");
    assert!(!said.contains("198.51.100.9") && part(&said, "/nowhere").contains("no such file"));
}
