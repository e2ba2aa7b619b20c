//! The init script, under the shells of Debian and of routers.

#[path = "router/mod.rs"]
mod router;
#[path = "router/scripts.rs"]
mod scripts;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use scripts::{Router, TRIGGER, shells};

fn links(text: &str) -> String {
    format!("config cheaproute 'main'\n{text}\nconfig link 'wan'\nconfig link 'wanb'\n")
}

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
fn a_new_key_in_its_file_is_a_reload() {
    for shell in shells() {
        let router = Router::new("keys", &shell);
        router.pretend("");
        let keys = ["/etc/a.key", "/etc/b.key"];
        let peer = |name, key| format!("config peer '{name}'\n\toption private_key_file '{key}'\n");
        let peers = [peer("a", keys[0]), "config peer 'none'\n".into(), peer("b", keys[1])];
        router.configure(&links(&peers.concat()));
        let file = router.folder.path("etc/config/cheaproute");
        let wanted = format!("file {} {}", file.display(), keys.join(" "));
        let lines = router.init("start");
        assert!(lines.contains(&wanted), "no {wanted} in {lines:#?}");
    }
}

/// At boot, mwan3's rules come later than the daemon looks for them.
#[test]
fn beside_an_mwan3_that_is_enabled_nothing_starts() {
    for shell in shells() {
        let router = Router::new("mwan3", &shell);
        router.configure(&links(""));
        for (status, refused) in [(0, true), (1, false)] {
            let script = format!("#!/bin/sh\n[ \"$*\" = enabled ] && exit {status}\n");
            router.folder.write("etc/init.d/mwan3", &script);
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(router.folder.path("etc/init.d/mwan3"), mode).unwrap();
            assert_eq!(router.init("start") == TRIGGER, refused);
            let log = router.folder.read("log");
            assert!(log.contains("service mwan3 disable; service mwan3 stop"), "{log}");
        }
        // What runs is left alone.
        router.folder.write("etc/init.d/mwan3", "#!/bin/sh\nexit 0\n");
        router.folder.write("running", "");
        assert_ne!(router.init("reload"), TRIGGER);
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
