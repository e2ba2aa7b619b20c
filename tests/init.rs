//! The init script and the first set-up, under the shells of Debian and of routers.

#[path = "router/mod.rs"]
mod router;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use router::{Folder, Said, said};

const BINARY: &str = env!("CARGO_BIN_EXE_cheaproute");

/// Those of them that are here; OpenWrt's is busybox's.
fn shells() -> Vec<Vec<&'static str>> {
    let mut shells = vec![vec!["sh"]];
    match Command::new("busybox").arg("ash").args(["-c", ":"]).output() {
        Ok(_) => shells.push(vec!["busybox", "ash"]),
        Err(_) => eprintln!("skipped: no busybox"),
    }
    shells
}

fn which(program: &str) -> String {
    said(Command::new("sh").args(["-c", "command -v \"$0\"", program])).text.trim().to_owned()
}

/// A router's file system, as far as the scripts look into it.
struct Router {
    folder: Folder,
    shell: Vec<&'static str>,
}

impl Router {
    fn new(name: &str, shell: &[&'static str]) -> Self {
        let folder = Folder::new(&format!("{name}-{}", shell[0]));
        folder.write("log", "");
        folder.write("uci", "");
        fs::create_dir_all(folder.path("etc/config")).unwrap();
        fs::create_dir_all(folder.path("usr/sbin")).unwrap();
        std::os::unix::fs::symlink(BINARY, folder.path("usr/sbin/cheaproute")).unwrap();
        folder.write("usr/share/cheaproute/cheaproute.config", &fs::read_to_string("files/cheaproute.config").unwrap());
        let router = Router { folder, shell: shell.to_vec() };
        // What the scripts use besides the shell: busybox' awk, say, is silent about writes that fail.
        fs::create_dir(router.folder.path("bin")).unwrap();
        for tool in ["awk", "cmp", "mv", "rm", "chmod", "wc"].iter().filter(|_| shell[0] == "busybox") {
            std::os::unix::fs::symlink(which("busybox"), router.folder.path("bin").join(tool)).unwrap();
        }
        router.place("files/cheaproute.init", "etc/init.d/cheaproute");
        router.place("files/cheaproute.defaults", "etc/uci-defaults/90-cheaproute");
        router
    }

    /// A script, with the router's paths made those of the test's folder.
    fn place(&self, source: &str, target: &str) {
        let mut text = fs::read_to_string(source).unwrap();
        for path in [
            "/etc/config/",
            "/usr/sbin/cheaproute",
            "/usr/share/cheaproute/",
            "/etc/capabilities/",
            "/var/run/cheaproute/",
        ] {
            text = text.replace(path, self.folder.path(&path[1..]).to_str().unwrap());
        }
        self.folder.write(target, &text);
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Said {
        self.run_by(&[], arguments)
    }

    /// By another program, to whose command line ours is appended.
    #[track_caller]
    fn run_by(&self, launcher: &[&str], arguments: &[&str]) -> Said {
        let words: Vec<&str> = launcher.iter().chain(&self.shell).copied().collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["tests/router/rc.sh"]).arg(self.folder.path(arguments[0]));
        let path = format!("{}:{}", self.folder.path("bin").display(), std::env::var("PATH").unwrap());
        said(command.args(&arguments[1..]).env("ROOT", self.folder.path("")).env("PATH", path))
    }

    /// Runs a command of the init script: the lines that procd would get.
    #[track_caller]
    fn init(&self, action: &str) -> Vec<String> {
        self.run(&["etc/init.d/cheaproute", action]).text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn set_up(&self) -> String {
        let _ = self.run(&["etc/uci-defaults/90-cheaproute"]);
        self.folder.read("log")
    }

    fn configure(&self, text: &str) {
        self.folder.write("etc/config/cheaproute", text);
    }

    /// Has a script stand in for the program. What it is asked is noted in the file `calls`, from here on.
    fn pretend(&self, script: &str) {
        let program = self.folder.path("usr/sbin/cheaproute");
        fs::remove_file(&program).unwrap();
        self.folder.write("calls", "");
        let calls = self.folder.path("calls");
        let text = format!("#!/bin/sh\necho \"$*\" >>{}\n{script}\n", calls.display());
        self.folder.write("usr/sbin/cheaproute", &text);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn links(text: &str) -> String {
    format!("config cheaproute 'main'\n{text}\nconfig link 'wan'\nconfig link 'wanb'\n")
}

/// What there is but instances.
const TRIGGER: [&str; 1] = ["trigger cheaproute"];

#[test]
fn it_starts_an_instance_that_reloads_by_a_signal() {
    for shell in shells() {
        let router = Router::new("start", &shell);
        router.configure(&links(""));
        let lines = router.init("start");
        let has = |line: &str| assert!(lines.iter().any(|found| found == line), "no {line} in {lines:#?}");
        has(&format!("command {} run --syslog", router.folder.path("usr/sbin/cheaproute").display()));
        has("reload_signal HUP");
        has(&format!("file {}", router.folder.path("etc/config/cheaproute").display()));
        has("respawn 60 5 5");
        has("jail cheaproute");
        has(&format!("capabilities {}", router.folder.path("etc/capabilities/cheaproute.json").display()));
        has("no_new_privs 1");
        // ujail forgets the environment, and nft is in /usr/sbin.
        has("env PATH=/usr/sbin:/usr/bin:/sbin:/bin");
        has("trigger cheaproute");
        assert_eq!(router.folder.read("log"), "");
    }
}

#[test]
fn switched_off_it_starts_nothing_and_says_nothing() {
    for shell in shells() {
        let router = Router::new("off", &shell);
        for text in ["\toption enabled '0'", "\toption enabled 'no'", "\toption enabled '0'\n\toption log_level 'loud'"]
        {
            router.configure(&links(text));
            assert_eq!(router.init("start"), TRIGGER);
        }
        assert_eq!(router.folder.read("log"), "");
    }
}

/// procd only forgets the instance of one that is dead.
#[test]
fn stopping_takes_away_what_a_killed_daemon_left() {
    for shell in shells() {
        let router = Router::new("stop", &shell);
        // It has been told to end, and does so in a while.
        let calls = router.folder.path("calls");
        router.pretend(&format!("[ $(wc -l <{}) -gt 2 ] || {{ echo running; exit 5; }}", calls.display()));
        assert_eq!(router.init("stop"), ["kill"]);
        assert_eq!(router.folder.read("calls"), "cleanup\n".repeat(3));
        assert_eq!(router.folder.read("log"), "");
        // By hand somebody started another one: not for ever.
        for (script, times) in [("echo it is running; exit 5", 12), ("echo it is not permitted; exit 4", 1)] {
            router.pretend(script);
            router.folder.write("log", "");
            assert_eq!(router.init("stop"), ["kill"]);
            assert_eq!(router.folder.read("calls"), "cleanup\n".repeat(times));
            assert!(router.folder.read("log").starts_with("it is "), "{}", router.folder.read("log"));
        }
    }
}

#[test]
fn switching_off_takes_away_what_a_killed_daemon_left() {
    for shell in shells() {
        let router = Router::new("remains", &shell);
        router.configure(&links("\toption enabled '0'"));
        router.pretend("");
        assert_eq!(router.init("start"), TRIGGER);
        assert_eq!(router.folder.read("calls"), "", "nothing is left");
        router.folder.write("var/run/cheaproute/control.sock", "");
        assert_eq!(router.init("start"), TRIGGER);
        assert_eq!(router.folder.read("calls"), "cleanup\n");
    }
}

#[test]
fn faults_are_logged_and_nothing_starts() {
    for shell in shells() {
        let router = Router::new("faults", &shell);
        router.configure(&links("\toption log_level 'loud'\n\toption mark_mask 'x'"));
        assert_eq!(router.init("start"), TRIGGER);
        let log = router.folder.read("log");
        assert!(log.contains("cheaproute:2:") && log.contains("log_level") && log.contains("mark_mask"), "{log}");
        assert!(log.contains("2 faults in"), "{log}");
    }
}

/// procd stops an instance that it is not told of again: a mistake in LuCI would take the links away.
#[test]
fn faults_leave_a_running_daemon_alone() {
    for shell in shells() {
        let router = Router::new("running", &shell);
        router.configure(&links("\toption log_level 'loud'"));
        router.folder.write("running", "");
        let lines = router.init("reload");
        assert!(lines.iter().any(|line| line.starts_with("command ")), "{lines:#?}");
        // The daemon complains itself.
        assert_eq!(router.folder.read("log"), "");
        router.configure(&links("\toption enabled '0'"));
        assert_eq!(router.init("reload"), TRIGGER);
    }
}

/// The daemon refuses such a reload, and all that is changed with it.
#[test]
fn a_reload_with_other_mark_bits_is_a_restart() {
    for shell in shells() {
        let router = Router::new("marks", &shell);
        router.folder.write("running", "");
        let runs = "status) echo '{\"version\":\"0.1.0\",\"mark_mask\":\"0x3f000000\",\"links_up\":2}' ;;";
        let faulty = format!("check) ! grep -q loud {} ;;", router.folder.path("etc/config/cheaproute").display());
        let other = "\toption mark_mask '0x3F0000'";
        for (daemon, text, restarts) in [
            (runs, "", false),
            (runs, "\toption mark_mask '0x3F000000'", false),
            (runs, other, true),
            // The daemon complains, and goes on.
            (runs, "\toption mark_mask '0x3F0000'\n\toption log_level 'loud'", false),
            ("status) exit 6 ;;", other, false),
        ] {
            router.pretend(&format!("case $1 in\n{daemon}\n{faulty}\nesac"));
            router.configure(&links(text));
            let lines = router.init("reload");
            let kills = lines.iter().position(|line| line == "kill");
            assert_eq!(kills, restarts.then_some(0), "{text}: {lines:#?}");
            assert_eq!(lines.iter().filter(|line| line.starts_with("command ")).count(), 1, "{text}: {lines:#?}");
        }
    }
}

#[test]
fn without_a_configuration_it_says_what_to_do() {
    for shell in shells() {
        let router = Router::new("none", &shell);
        assert_eq!(router.init("start"), TRIGGER);
        let log = router.folder.read("log");
        assert!(log.contains("there is no") && log.contains("usr/share/cheaproute/cheaproute.config"), "{log}");
    }
}

#[test]
fn status_tells_why_nothing_runs() {
    for shell in shells() {
        let router = Router::new("status", &shell);
        // The daemon's own words, of a socket that is not there.
        let text = fs::read_to_string(router.folder.path("etc/init.d/cheaproute")).unwrap();
        let socket = router.folder.path("socket");
        let (status, check) = (format!("status -s {}", socket.display()), config_argument(&router));
        let text = text.replace("\"$PROG\" status ", &format!("\"$PROG\" {status} "));
        router
            .folder
            .write("etc/init.d/cheaproute", &text.replace("\"$PROG\" check\n", &format!("\"$PROG\" check {check}\n")));
        router.configure(&links("\toption enabled '0'"));
        let said = router.run(&["etc/init.d/cheaproute", "status"]);
        assert!(!said.success);
        assert!(said.text.contains("not running") && said.text.contains("not enabled"), "{}", said.text);
        let said = router.run(&["etc/init.d/cheaproute", "check"]);
        assert!(said.success && said.text.contains("OK, 2 links"), "{}", said.text);
    }
}

fn config_argument(router: &Router) -> String {
    format!("-c {}", router.folder.path("etc/config/cheaproute").display())
}

const NETWORK: &str = "\
network.lan.proto=static
network.lan.device=br-lan
network.wan.proto=dhcp
network.wan.device=eth1
network.wan6.proto=dhcpv6
network.wan6.device=@wan
network.fibre.proto=pppoe
network.fibre.device=eth2
network.lte.proto=qmi
network.lte.device=/dev/cdc-wdm0
network.old.proto=dhcp
network.old.device=eth3
network.old.disabled=1
network.vpn.proto=wireguard
firewall.@zone[0]=zone
firewall.@zone[0].network=lan
firewall.@zone[1]=zone
firewall.@zone[1].masq=1
firewall.@zone[1].network=wan wan6 fibre old
firewall.@zone[2]=zone
firewall.@zone[2].masq=1
firewall.@zone[2].network=lte vpn
";

#[test]
fn the_first_set_up_takes_the_wans_and_switches_off() {
    for shell in shells() {
        let router = Router::new("setup", &shell);
        router.folder.write("uci", NETWORK);
        let log = router.set_up();
        assert!(log.contains("links wan fibre lte"), "{log}");
        let text = router.folder.read("etc/config/cheaproute");
        let sections: Vec<&str> = text.lines().filter(|line| line.starts_with("config link")).collect();
        assert_eq!(sections, ["config link 'wan'", "config link 'fibre'", "config link 'lte'"]);
        // Mobile traffic is paid for.
        let lte = text.split("\n\n").find(|section| section.starts_with("config link 'lte'\n")).expect("a link lte");
        assert!(lte.contains("\n\toption interface 'lte'\n\toption metered '1'"), "{lte}");
        // The sample's settings are for each of them.
        let probes = |text: &str| text.matches("\n\tlist probe ").count();
        assert_eq!(probes(&text), 3 * probes(lte), "{text}");
        assert_eq!(text.matches("\toption metered '1'").count(), 1 + text.matches("#option metered '1'").count());
        assert_eq!(router.folder.mode("etc/config/cheaproute"), 0o600);
        let check = said(Command::new(BINARY).args(["check", "-c"]).arg(router.folder.path("etc/config/cheaproute")));
        assert!(check.success && check.text.contains("OK, 3 links, 1 policy"), "{}", check.text);
        assert!(check.text.contains("not enabled"), "{}", check.text);
        // All that the sample explains is still explained.
        let sample = fs::read_to_string("files/cheaproute.config").unwrap();
        let comments =
            |text: &str| text.lines().filter(|line| line.contains('#')).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(comments(&text), comments(&sample));
        assert_eq!(router.init("start"), TRIGGER);
        assert!(!router.folder.path("etc/uci-defaults/90-cheaproute").exists());
    }
}

#[test]
fn set_up_leaves_what_is_there() {
    for shell in shells() {
        let router = Router::new("again", &shell);
        router.folder.write("uci", NETWORK);
        router.configure("mine");
        assert_eq!(router.set_up(), "");
        assert_eq!(router.folder.read("etc/config/cheaproute"), "mine");
    }
}

#[test]
fn without_wans_the_sample_is_what_there_is() {
    for shell in shells() {
        let router = Router::new("nowan", &shell);
        let log = router.set_up();
        assert!(log.contains("no WANs found"), "{log}");
        let text = router.folder.read("etc/config/cheaproute");
        let sample = fs::read_to_string("files/cheaproute.config").unwrap();
        let own = "\toption enabled '0'\n\toption local_traffic '1'\n";
        assert!(text.contains(own), "{text}");
        assert_eq!(text.replacen(own, "", 1).trim_end(), sample.trim_end());
    }
}

/// As when the overlay is full: nothing half-written stays, and so nothing starts.
#[test]
fn a_full_overlay_is_named() {
    for shell in shells() {
        let router = Router::new("full", &shell);
        router.folder.write("uci", NETWORK);
        // Root may write anywhere but to a full device.
        std::os::unix::fs::symlink("/dev/full", router.folder.path("etc/config/cheaproute.new")).unwrap();
        let log = router.set_up();
        assert!(log.contains("is the overlay full"), "{log}");
        assert_eq!(fs::read_dir(router.folder.path("etc/config")).unwrap().count(), 0);
        // It stays, for the next start.
        assert!(router.folder.path("etc/uci-defaults/90-cheaproute").exists());
        assert_eq!(router.init("start"), TRIGGER);
    }
}

/// The same where some of it fits: what is cut off would be a configuration too.
#[test]
fn an_overlay_that_is_nearly_full_is_named() {
    if !lab::ready() {
        return;
    }
    let room = "mount -t tmpfs -o size=$1 tmpfs \"$2\"; shift 2; \"$@\" || echo failed; ls \"$ROOT/etc/config\"";
    for (shell, (size, fits)) in shells()
        .into_iter()
        .flat_map(|shell| [("4k", false), ("8k", false), ("64k", true)].map(|size| (shell.clone(), size)))
    {
        let router = Router::new("room", &shell);
        router.folder.write("uci", NETWORK);
        let place = router.folder.path("etc/config");
        let launcher = ["unshare", "--mount", "sh", "-c", room, "sh", size, place.to_str().unwrap()];
        let said = router.run_by(&launcher, &["etc/uci-defaults/90-cheaproute"]);
        let log = router.folder.read("log");
        let lines: Vec<&str> = said.text.lines().filter(|line| !line.starts_with("awk: ")).collect();
        assert_eq!(lines, [if fits { "cheaproute" } else { "failed" }], "{size}: {log}");
        assert_eq!(log.contains("is the overlay full"), !fits, "{size}: {log}");
        assert_eq!(router.folder.path("etc/uci-defaults/90-cheaproute").exists(), !fits, "{size}");
    }
}
