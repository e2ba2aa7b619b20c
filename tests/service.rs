//! The daemon as a service: with the users, capabilities and environment that procd and systemd leave it; the unit; `make install`.

#[path = "router/mod.rs"]
mod router;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use lab::{Dual, Process};
use router::{Folder, said};
use support::{SERVERS, config, eventually, ms, settled};

const BINARY: &str = env!("CARGO_BIN_EXE_cheaproute");
const START_LIMIT: Duration = Duration::from_secs(10);

/// Runs our program with just these capabilities and no others to be had, as `user`.
fn confined(router: &lab::Namespace, program: &str, user: &str, capabilities: &[String]) -> Command {
    let set = format!("-all,{}", capabilities.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(","));
    let mut command = router.command("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs", "--bounding-set", &set]);
    command.args(["--inh-caps", &set, "--ambient-caps", &set, program]).env_clear();
    command
}

/// `CAP_NET_RAW` to `net_raw`, of what stands between the ends.
fn capabilities(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    words.filter_map(|word| word.strip_prefix("CAP_")).map(str::to_lowercase).collect()
}

/// Races, reloads by a signal, and leaves nothing behind.
#[track_caller]
fn works(lab: &Dual, folder: &Folder, mut command: Command) {
    let before = settled(lab.router());
    folder.write("config", &config(&["", ""], ""));
    // Of the two, root:cheaproute 0640 on a server; readable here by who runs the daemon.
    fs::set_permissions(folder.path("config"), fs::Permissions::from_mode(0o644)).unwrap();
    command.arg("run").arg("-c").arg(folder.path("config")).arg("-s").arg(folder.path("run/socket"));
    let mut process = Process::spawn(command);
    process.wait_for_line("racing over 2 links", START_LIMIT);
    eventually("a heartbeat", || {
        lab.router().sh("nft list set inet cheaproute alive 2>/dev/null || true").contains("expires")
    });
    for address in SERVERS {
        let server = lab::Server::tcp(lab.internet(), (address, 80));
        let (_stream, _) = lab::connect(lab.client(), server.address(), Duration::from_secs(4)).unwrap();
        eventually("a connection", || server.accepted() == 1);
        assert_eq!(support::link_of(server.peers()[0]), 2);
    }
    // Root and the daemon's own user may ask.
    let status = said(Command::new(BINARY).arg("status").arg("-s").arg(folder.path("run/socket")));
    assert!(status.success && status.text.contains("2 of 2 up"), "{}", status.text);
    folder.write("config", &config(&[""], ""));
    let mark = process.lines_so_far();
    process.signal(libc::SIGHUP);
    process.wait_for_line_after(mark, "reloaded", START_LIMIT);
    process.signal(libc::SIGTERM);
    let status = process.wait(START_LIMIT);
    assert!(status.is_some_and(|status| status.success()), "{}", process.output());
    let output = process.output();
    assert!(!output.lines().any(|line| line.starts_with("error") || line.contains("cannot")), "{output}");
    assert_eq!(settled(lab.router()), before);
}

/// A copy of our program where other users can reach it, and a folder for the socket that is `user`'s.
fn installed(folder: &Folder, user: &str) -> String {
    fs::copy(BINARY, folder.path("cheaproute")).unwrap();
    fs::create_dir(folder.path("run")).unwrap();
    let owned = said(Command::new("chown").arg(user).arg(folder.path("run")));
    assert!(owned.success, "{}", owned.text);
    folder.path("cheaproute").to_str().unwrap().to_owned()
}

/// A strict filter, for which the daemon has to write a setting.
fn strict() -> Dual {
    let lab = Dual::builder().links(2).delays(&[ms(20), ms(2)]).build();
    support::filter_strictly(lab.router(), &["wan1", "wan2"]);
    lab
}

/// Root without any capability but those in the file, and an environment of nothing but what the init script sets.
#[test]
fn it_works_as_procd_starts_it() {
    need_lab!();
    let (lab, folder) = (strict(), Folder::new("procd"));
    let program = installed(&folder, "root");
    let file = fs::read_to_string("files/cheaproute.capabilities.json").unwrap();
    let bounding = file.lines().find(|line| line.contains("bounding")).unwrap();
    let mut command = confined(lab.router(), &program, "0", &capabilities(bounding));
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    works(&lab, &folder, command);
}

/// A user of its own, with what the unit gives it.
#[test]
fn it_works_as_systemd_starts_it() {
    need_lab!();
    let (lab, folder) = (strict(), Folder::new("systemd"));
    let program = installed(&folder, "65534");
    let unit = fs::read_to_string("files/cheaproute.service").unwrap();
    let ambient = unit.lines().find(|line| line.starts_with("AmbientCapabilities=")).unwrap();
    let mut command = confined(lab.router(), &program, "65534", &capabilities(ambient));
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin");
    works(&lab, &folder, command);
}

/// By the unit's user; and by root, who did not write the note of settings.
#[test]
fn what_a_killed_one_left_is_taken_away_by_its_user_and_by_root() {
    need_lab!();
    let (lab, folder) = (strict(), Folder::new("killed"));
    let program = installed(&folder, "65534");
    folder.write("config", &config(&["", ""], ""));
    fs::set_permissions(folder.path("config"), fs::Permissions::from_mode(0o644)).unwrap();
    let rights = |unit: &str| {
        let unit = fs::read_to_string(unit).unwrap();
        capabilities(unit.lines().find(|line| line.starts_with("AmbientCapabilities=")).unwrap())
    };
    let (daemons, cleanups) = (rights("files/cheaproute.service"), rights("files/cheaproute-cleanup.service"));
    let before = settled(lab.router());
    for root in [false, true] {
        let mut command = confined(lab.router(), &program, "65534", &daemons);
        command.env("PATH", "/usr/sbin:/usr/bin").arg("run").arg("-c").arg(folder.path("config"));
        let mut process = Process::spawn(command_at(command, &folder));
        process.wait_for_line("racing over 2 links", START_LIMIT);
        process.kill();
        assert_ne!(settled(lab.router()), before);
        let mut command = match root {
            true => lab.router().command(&program),
            false => confined(lab.router(), &program, "65534", &cleanups),
        };
        command.env("PATH", "/usr/sbin:/usr/bin").arg("cleanup");
        let said = said(&mut command_at(command, &folder));
        assert!(said.success && said.text.is_empty(), "root {root}: {}", said.text);
        assert_eq!(settled(lab.router()), before, "root {root}");
        // The connections are still there, and bear these numbers.
        let left = fs::read_dir(folder.path("run")).unwrap().map(|file| file.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["socket.links"], "root {root}");
    }
}

fn command_at(mut command: Command, folder: &Folder) -> Command {
    command.arg("-s").arg(folder.path("run/socket"));
    command
}

/// The unit has systemd try again after other codes.
#[test]
fn a_file_without_permission_is_one_code_to_all_commands() {
    need_lab!();
    let folder = Folder::new("denied");
    let program = installed(&folder, "65534");
    folder.write("config", &config(&["", ""], ""));
    fs::set_permissions(folder.path("config"), fs::Permissions::from_mode(0o600)).unwrap();
    for words in [&["run", "-c"][..], &["run", "--dry-run", "-c"], &["check", "-c"], &["import-mwan3"]] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", &program]).args(words);
        let output = command.arg(folder.path("config")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("cannot read ") && said.contains("Permission denied"), "{words:?}: {said}");
        assert_eq!(output.status.code(), Some(3), "{words:?}: {said}");
    }
}

#[test]
fn make_install_puts_a_service_in_place_and_uninstall_takes_it_away() {
    let folder = Folder::new("install");
    let stage = folder.path("stage");
    let make = |goal: &str| {
        let mut command = Command::new("make");
        command.args(["--no-print-directory", goal, "PREFIX=/opt/x", &format!("BINARY={BINARY}")]);
        let said = said(command.arg(format!("DESTDIR={}", stage.display())));
        assert!(said.success, "{}", said.text);
        said.text
    };
    assert!(make("install").contains("/opt/x/share/doc/cheaproute/vps.config"));
    for file in [
        "opt/x/sbin/cheaproute",
        "opt/x/bin/playbacktun",
        "opt/x/lib/sysusers.d/cheaproute.conf",
        "opt/x/share/doc/cheaproute/vps.config",
        "etc/config/cheaproute",
    ] {
        assert!(stage.join(file).is_file(), "{file}");
    }
    assert_eq!(folder.mode("stage/etc/config/cheaproute"), 0o640);
    let unit = folder.read("stage/opt/x/lib/systemd/system/cheaproute.service");
    assert!(unit.contains("\nExecStart=/opt/x/sbin/cheaproute run\n"), "{unit}");
    let unit = folder.read("stage/opt/x/lib/systemd/system/cheaproute-cleanup.service");
    assert!(unit.contains("\nExecStop=/opt/x/sbin/cheaproute cleanup\n"), "{unit}");
    folder.write("stage/etc/config/cheaproute", "mine");
    make("install");
    assert_eq!(folder.read("stage/etc/config/cheaproute"), "mine");
    let said = make("uninstall");
    assert!(said.contains("/etc/config/cheaproute"), "{said}");
    let left = router::said(Command::new("find").arg(&stage).args(["-type", "f"])).text;
    let mut left: Vec<&str> = left.lines().map(|file| file.strip_prefix(stage.to_str().unwrap()).unwrap()).collect();
    left.sort_unstable();
    assert_eq!(left, ["/etc/cheaproute.user", "/etc/config/cheaproute"]);
}

/// Told, not done: it is about this machine's own.
#[test]
fn uninstall_stops_cleans_up_and_has_systemd_forget() {
    let said = said(Command::new("make").args(["--no-print-directory", "--dry-run", "uninstall", "PREFIX=/opt/x"]));
    assert!(said.success, "{}", said.text);
    let steps = [
        "systemctl disable --now cheaproute",
        "/opt/x/sbin/cheaproute cleanup",
        "rm -f /opt/x/sbin/cheaproute",
        "rm -f /opt/x/lib/systemd/system/cheaproute.service /opt/x/lib/systemd/system/cheaproute-cleanup.service",
        "systemctl daemon-reload",
    ];
    let places: Vec<usize> = steps.iter().map(|step| said.text.find(step).expect(step)).collect();
    assert!(places.is_sorted(), "{}", said.text);
}

#[test]
fn systemd_understands_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: no systemd-analyze");
        return;
    }
    let folder = Folder::new("unit");
    let mut command = Command::new("systemd-analyze");
    command.arg("verify");
    for name in ["cheaproute.service", "cheaproute-cleanup.service"] {
        let unit = fs::read_to_string(format!("files/{name}")).unwrap();
        // Else the table stays after every fifth stop or so.
        assert_eq!(unit.contains("\nKillMode=mixed\n"), name == "cheaproute.service", "{unit}");
        folder.write(name, &unit.replace("/usr/local/sbin/cheaproute", "/bin/true"));
        command.arg(folder.path(name));
    }
    let said = said(&mut command);
    assert!(said.success && said.text.is_empty(), "{}", said.text);
}
