//! The scripts on a router, under the shells of Debian and of routers.
#![allow(dead_code, reason = "each test program uses its part")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::router::{Folder, Said, said};

pub const BINARY: &str = env!("CARGO_BIN_EXE_cheaproute");

/// What there is but instances.
pub const TRIGGER: [&str; 1] = ["trigger cheaproute"];

/// Those of them that are here; OpenWrt's is busybox's.
pub fn shells() -> Vec<Vec<&'static str>> {
    let mut shells = vec![vec!["sh"]];
    match Command::new("busybox").arg("ash").args(["-c", ":"]).output() {
        Ok(_) => shells.push(vec!["busybox", "ash"]),
        Err(_) => eprintln!("skipped: no busybox"),
    }
    shells
}

pub fn which(program: &str) -> String {
    said(Command::new("sh").args(["-c", "command -v \"$0\"", program])).text.trim().to_owned()
}

/// A router's file system, as far as the scripts look into it.
pub struct Router {
    pub folder: Folder,
    shell: Vec<&'static str>,
}

impl Router {
    pub fn new(name: &str, shell: &[&'static str]) -> Self {
        let folder = Folder::new(&format!("{name}-{}", shell[0]));
        folder.write("log", "");
        folder.write("uci", "");
        folder.write("dev/log", "");
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
    pub fn place(&self, source: &str, target: &str) {
        let mut text = fs::read_to_string(source).unwrap();
        for path in [
            "/etc/config/",
            "/usr/sbin/cheaproute",
            "/usr/share/cheaproute/",
            "/etc/capabilities/",
            "/etc/init.d/mwan3",
            "/var/run/cheaproute/",
            "/dev/log",
            "/dev/kmsg",
        ] {
            text = text.replace(path, self.folder.path(&path[1..]).to_str().unwrap());
        }
        self.folder.write(target, &text);
    }

    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_by(&[], arguments)
    }

    /// By another program, to whose command line ours is appended.
    #[track_caller]
    pub fn run_by(&self, launcher: &[&str], arguments: &[&str]) -> Said {
        let words: Vec<&str> = launcher.iter().chain(&self.shell).copied().collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["tests/router/rc.sh"]).arg(self.folder.path(arguments[0]));
        let path = format!("{}:{}", self.folder.path("bin").display(), std::env::var("PATH").unwrap());
        said(command.args(&arguments[1..]).env("ROOT", self.folder.path("")).env("PATH", path))
    }

    /// Runs a command of the init script: the lines that procd would get.
    #[track_caller]
    pub fn init(&self, action: &str) -> Vec<String> {
        self.run(&["etc/init.d/cheaproute", action]).text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    pub fn set_up(&self) -> String {
        let _ = self.run(&["etc/uci-defaults/90-cheaproute"]);
        self.folder.read("log")
    }

    pub fn configure(&self, text: &str) {
        self.folder.write("etc/config/cheaproute", text);
    }

    /// Has a script stand in for the program. What it is asked is noted in the file `calls`, from here on.
    pub fn pretend(&self, script: &str) {
        let program = self.folder.path("usr/sbin/cheaproute");
        fs::remove_file(&program).unwrap();
        self.folder.write("calls", "");
        let calls = self.folder.path("calls");
        let text = format!("#!/bin/sh\necho \"$*\" >>{}\n{script}\n", calls.display());
        self.folder.write("usr/sbin/cheaproute", &text);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
