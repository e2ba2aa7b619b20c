//! The user's script at the events of links.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Instant;

use support::{Bed, SERVERS, config, eventually, ms};

/// A script in a directory of its own, which goes with it.
struct Script {
    directory: PathBuf,
}

impl Script {
    fn new(name: &str, text: &str, mode: u32) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hook-{name}-{}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        let text = text.replace("DIRECTORY", directory.to_str().unwrap());
        fs::write(directory.join("script"), text).unwrap();
        fs::set_permissions(directory.join("script"), Permissions::from_mode(mode)).unwrap();
        Script { directory }
    }

    /// A configuration of two links with this script.
    fn config(&self) -> String {
        let option = format!("option hook '{}'\n option log_level", self.directory.join("script").display());
        config(&["", ""], "").replacen("option log_level", &option, 1)
    }

    fn wrote(&self, file: &str) -> String {
        fs::read_to_string(self.directory.join(file)).unwrap_or_default()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // A zombie that its adopter has yet to collect is as good as gone.
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn a_script_hears_of_links() {
    need_lab!();
    let text = "echo \"$ACTION $LINK $DEVICE <$INTERFACE> $REASON\" >> DIRECTORY/calls
        echo to the log
        grep -E 'Sig(Blk|Ign)' /proc/self/status > DIRECTORY/signals
        for fd in /proc/$$/fd/*; do readlink $fd; done > DIRECTORY/files
        echo end >> DIRECTORY/ends";
    let script = Script::new("hears", text, 0o644);
    let mut bed = Bed::on(Bed::builder(&[2, 2]).build(), &script.config());
    let calls = |count: usize| {
        eventually("calls", || script.wrote("calls").lines().count() >= count);
        script.wrote("calls").lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let first = calls(2);
    assert!(first[0].starts_with("connected wan1 wan1 <> "), "{first:?}");
    assert!(first[1].starts_with("connected wan2 wan2 <> "), "{first:?}");
    bed.lab.wire(2).unplug();
    assert_eq!(calls(3)[2], "disconnected wan2 wan2 <> no carrier");
    bed.lab.wire(2).plug();
    assert!(calls(4)[3].starts_with("connected wan2 wan2 <> "), "{:?}", calls(4));
    // Another takes its place in one reload.
    let replaced = script.config().replacen("link 'wan2'", "link 'other'", 1);
    bed.daemon.reload(&replaced, ": reloaded");
    assert_eq!(calls(6)[4], "disconnected wan2 wan2 <> left the configuration");
    assert!(calls(6)[5].starts_with("connected other wan2 <> "), "{:?}", calls(6));
    eventually("the last one's end", || script.wrote("ends").lines().count() == 6);
    bed.daemon.says(0, "hook for wan2 disconnected: to the log");
    // Nothing of ours leaks into it: no signal is blocked or ignored, and no socket is open.
    let signals = script.wrote("signals");
    let mask = |name: &str| {
        let line = signals.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("none");
        u64::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("{signals}"))
    };
    assert_eq!((mask("SigBlk:"), mask("SigIgn:") & 1 << (libc::SIGPIPE - 1)), (0, 0), "{signals}");
    let files = script.wrote("files");
    assert!(files.lines().count() >= 4 && !files.contains("socket:") && !files.contains("anon_inode"), "{files}");
}

#[test]
fn an_executable_runs_by_itself_and_may_print_much() {
    need_lab!();
    let text = "#!/bin/sh
        [ -n \"$LINK\" ] && head -c 1000000 /dev/zero | tr '\\0' 'x' 2>/dev/null
        echo $0 > DIRECTORY/done.$LINK\nexit 3";
    let script = Script::new("prints", text, 0o755);
    let bed = Bed::on(Bed::builder(&[2, 2]).build(), &script.config());
    for link in ["wan1", "wan2"] {
        eventually("its end", || script.wrote(&format!("done.{link}")).contains("/script"));
    }
    let line = bed.daemon.says(0, "hook for wan1 connected: xxx");
    assert!(line.len() < 5000, "{}", line.len());
    bed.daemon.says(0, "exit status: 3");
}

#[test]
fn a_script_that_hangs_stops_nothing() {
    need_lab!();
    // One that no signal but the last stops, with a child of its own.
    let text = "trap '' TERM INT HUP
        sleep 1000 &
        echo $! > DIRECTORY/child
        echo $$ > DIRECTORY/shell
        echo $LINK >> DIRECTORY/calls
        while :; do sleep 1; done";
    let script = Script::new("hangs", text, 0o644);
    let mut bed = Bed::on(Bed::builder(&[2, 20]).build(), &script.config());
    eventually("a call", || script.wrote("calls").contains("wan1"));
    for (address, link) in [(SERVERS[0], 1), (SERVERS[1], 1)] {
        assert_eq!(bed.link_taken(&bed.server(address, 80)), link);
    }
    let mark = bed.daemon.process.lines_so_far();
    bed.lab.wire(1).unplug();
    bed.daemon.says(mark, "link wan1 is down");
    eventually("the other link", || bed.link_taken(&bed.server(SERVERS[0], 81)) == 2);
    // The call that hangs is still the only one.
    assert_eq!(script.wrote("calls"), "wan1\n");
    let (shell, child) = (script.wrote("shell"), script.wrote("child"));
    assert!(alive(&shell) && alive(&child));
    let start = Instant::now();
    bed.daemon.stop();
    assert!(start.elapsed() < ms(5000), "{:?}", start.elapsed());
    eventually("the end of all of them", || !alive(&shell) && !alive(&child));
}
