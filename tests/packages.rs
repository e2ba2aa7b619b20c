//! What lands on routers: the packages, and how they are installed.
//!
//! procd, uci and opkg are stood in for (tests/router/rc.sh); their own words and ways are from their sources.

#[path = "router/mod.rs"]
mod router;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use router::{Folder, Said, said};

const BINARY: &str = env!("CARGO_BIN_EXE_cheaproute");
const VERSION: &str = env!("CARGO_PKG_VERSION");
const TARGETS: [&str; 5] = ["mips_24kc", "mipsel_24kc", "arm_cortex-a7", "aarch64_generic", "x86_64"];

/// Packs stand-ins for the programs of all targets, into the folder's `packages`; with the folder's `bin` first in the path.
#[track_caller]
fn pack(folder: &Folder, programs: &[&str]) -> Said {
    for target in TARGETS {
        for program in programs {
            folder.write(&format!("built/{target}/{program}"), &format!("{program} for {target}"));
        }
    }
    let mut command = Command::new("python3");
    command.arg("cross/package.py").arg("--binaries").arg(folder.path("built"));
    command.arg("--output").arg(folder.path("packages")).env("SOURCE_DATE_EPOCH", "1700000000");
    let said = said(command.env("PATH", with_bin(folder)));
    assert!(said.success, "{}", said.text);
    said
}

/// Where the packages of an architecture are unpacked: `control` and `data`, with the outer parts beside them.
#[track_caller]
fn unpack(folder: &Folder, ipk: &str) -> String {
    let place = format!("unpacked/{ipk}");
    for inner in ["control", "data"] {
        fs::create_dir_all(folder.path(&format!("{place}/{inner}"))).unwrap();
    }
    let script = r#"tar -xzf "$1" -C "$2"
        for inner in control data; do tar -xpzf "$2/$inner.tar.gz" -C "$2/$inner"; done"#;
    let mut command = Command::new("sh");
    command.args(["-ec", script, "sh"]).arg(folder.path(&format!("packages/{ipk}"))).arg(folder.path(&place));
    let said = said(&mut command);
    assert!(said.success, "{}", said.text);
    place
}

fn with_bin(folder: &Folder) -> String {
    format!("{}:{}", folder.path("bin").display(), std::env::var("PATH").unwrap())
}

fn ipk(architecture: &str, name: &str) -> String {
    format!("{architecture}/{name}_{VERSION}-r1_{architecture}.ipk")
}

/// The lines of the feed's Makefile that put our own files in place: mode, source, target.
fn feed_installs() -> Vec<(u32, String, String)> {
    let makefile = fs::read_to_string("openwrt/cheaproute/Makefile").unwrap();
    let mut installs = Vec::new();
    for line in makefile.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [how, source, target] = words[..] else { continue };
        let mode = match how {
            "$(INSTALL_BIN)" => 0o755,
            "$(INSTALL_CONF)" => 0o600,
            "$(INSTALL_DATA)" => 0o644,
            _ => continue,
        };
        let Some(source) = source.strip_prefix("$(PKG_BUILD_DIR)/") else { continue };
        installs.push((mode, source.to_owned(), target.replace("$(1)", "")));
    }
    installs
}

#[test]
fn versions_agree() {
    let makefile = fs::read_to_string("openwrt/cheaproute/Makefile").unwrap();
    assert!(
        makefile.contains(&format!("\nPKG_VERSION:={VERSION}\n")),
        "openwrt/cheaproute/Makefile has another version"
    );
    assert!(VERSION.bytes().all(|c| c.is_ascii_digit() || c == b'.'), "apk takes digits and dots only");
    let said = said(Command::new(BINARY).arg("--version"));
    assert_eq!(said.text, format!("cheaproute {VERSION}\n"));
}

#[test]
fn the_feed_tests_pass_what_it_installs() {
    let folder = Folder::new("feed-test");
    let script = fs::read_to_string("openwrt/cheaproute/test.sh").unwrap();
    for path in ["/usr/share/cheaproute/cheaproute.config", "/etc/init.d/cheaproute"] {
        assert!(feed_installs().iter().any(|(_, _, target)| target == path), "{path} is not installed");
    }
    let script =
        script.replace("/usr/share/cheaproute/", "files/").replace("/etc/init.d/cheaproute", "files/cheaproute.init");
    folder.write("test.sh", &script);
    let path = format!("{}:{}", Path::new(BINARY).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let run = |package, version| {
        let mut command = Command::new("sh");
        said(command.arg(folder.path("test.sh")).args([package, version]).env("PATH", &path))
    };
    for package in ["cheaproute", "playbacktun"] {
        let good = run(package, VERSION);
        assert!(good.success, "{}", good.text);
        // The feed's log is to show what was found.
        assert!(good.text.lines().any(|line| line == format!("{package} {VERSION}")), "{}", good.text);
        assert!(!run(package, "9.9").success, "{package}");
    }
}

#[test]
fn packages_hold_what_the_feed_installs() {
    let folder = Folder::new("content");
    pack(&folder, &["cheaproute"]);
    for (target, architecture) in [("mipsel_24kc", "mipsel_24kc"), ("aarch64_generic", "aarch64_cortex-a53")] {
        let place = unpack(&folder, &ipk(architecture, "cheaproute"));
        let read = |path: &str| folder.read(&format!("{place}/{path}"));
        assert_eq!(read("debian-binary"), "2.0\n");
        assert_eq!(read("data/usr/sbin/cheaproute"), format!("cheaproute for {target}"));
        for (mode, source, path) in feed_installs() {
            if source.starts_with("files/") {
                assert_eq!(read(&format!("data{path}")), fs::read_to_string(&source).unwrap(), "{path}");
                assert_eq!(folder.mode(&format!("{place}/data{path}")), mode, "{path}");
            }
        }
        let control = read("control/control");
        for line in [
            "Package: cheaproute",
            &format!("Version: {VERSION}-r1"),
            &format!("Architecture: {architecture}"),
            "Depends: kmod-nft-queue, kmod-nf-conntrack-netlink, kmod-nft-nat, kmod-nft-fib, kmod-tun, nftables",
            "License: MIT Apache-2.0",
        ] {
            assert!(control.lines().any(|found| found == line), "no {line} in\n{control}");
        }
        // Shipped, and never overwritten; made on the router, and kept by a system upgrade.
        assert_eq!(read("control/conffiles"), "/etc/cheaproute.user\n");
        assert_eq!(read("data/lib/upgrade/keep.d/cheaproute"), "/etc/config/cheaproute\n/etc/cheaproute.key\n");
    }
}

/// The feed's Makefile by make itself: the same files as in our package, and sources that cargo takes.
#[test]
fn the_feed_lays_out_the_same() {
    let folder = Folder::new("feed");
    let programs = ["cheaproute", "playbacktun"];
    pack(&folder, &programs);
    let place = unpack(&folder, &ipk("x86_64", "cheaproute"));
    for program in programs {
        folder.write(&format!("sdk/install/bin/{program}"), &format!("{program} for x86_64"));
    }
    let sdk = fs::canonicalize("tests/router/sdk").unwrap();
    let mut command = Command::new("make");
    command.args(["--no-print-directory", "-C", "openwrt/cheaproute", "all"]);
    command.arg(format!("TOPDIR={}", sdk.display())).arg(format!("INCLUDE_DIR={}/include", sdk.display()));
    let made = said(command.arg(format!("OUT={}", folder.path("sdk").display())));
    assert!(made.success, "{}", made.text);
    assert!(made.text.contains("profile router"), "{}", made.text);
    // A change in whatever the build takes is one that make sees.
    let depends = made.text.lines().find_map(|line| line.strip_prefix("depends ")).expect("a line");
    let mut known: Vec<_> = depends.split(' ').map(|path| Path::new(path).file_name().unwrap().to_owned()).collect();
    let mut taken: Vec<_> =
        fs::read_dir(folder.path("sdk/build")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    known.sort();
    taken.sort();
    assert_eq!(known, taken);
    // keep.d is the SDK's own doing.
    let listed = |path: &str| {
        let find = "cd \"$1\" && find . -type f ! -path './lib/upgrade/*' -printf '%P %m ' -exec sh -c 'cksum <\"$1\"' sh {} \\;";
        let said = said(Command::new("sh").args(["-ec", find, "sh"]).arg(folder.path(path)));
        let mut lines: Vec<String> = said.text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(listed("sdk/root/cheaproute").len(), feed_installs().len() + 1);
    assert_eq!(listed("sdk/root/cheaproute"), listed(&format!("{place}/data")));
    let script = "postinst-pkg";
    assert_eq!(folder.read(&format!("sdk/cheaproute.{script}")), folder.read(&format!("{place}/control/{script}")));
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(["metadata", "--locked", "--offline", "--no-deps", "--format-version=1", "--manifest-path"]);
    let metadata = said(command.arg(folder.path("sdk/build/Cargo.toml")));
    assert!(metadata.success, "{}", metadata.text);
}

#[test]
fn every_file_for_routers_is_installed() {
    let installs = feed_installs();
    for entry in fs::read_dir("files").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let for_servers = name.ends_with(".service") || name.ends_with(".sysusers") || name.ends_with(".vps.config");
        let installed = installs.iter().any(|(_, source, _)| *source == format!("files/{name}"));
        assert_eq!(installed, !for_servers, "files/{name}");
    }
}

#[test]
fn packages_are_of_the_form_that_opkg_reads() {
    let folder = Folder::new("form");
    pack(&folder, &["cheaproute"]);
    let file = folder.path(&format!("packages/{}", ipk("mips_24kc", "cheaproute")));
    let list = |file: &Path| said(Command::new("tar").args(["--numeric-owner", "-tvzf"]).arg(file)).text;
    let names = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split_whitespace().last().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names(&list(&file)), ["./debian-binary", "./control.tar.gz", "./data.tar.gz"]);
    let place = unpack(&folder, &ipk("mips_24kc", "cheaproute"));
    for part in ["control.tar.gz", "data.tar.gz"] {
        let part = folder.path(&format!("{place}/{part}"));
        let listed = list(&part);
        assert!(listed.lines().all(|line| line.contains(" 0/0 ")), "owners other than root:\n{listed}");
        assert!(names(&listed).iter().all(|name| name.starts_with("./")), "{listed}");
        let mut sorted = names(&listed);
        sorted.sort();
        assert_eq!(names(&listed), sorted);
        // gzip without a name and a time.
        let bytes = fs::read(&part).unwrap();
        assert_eq!(bytes[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
        // GNU's tar: "ustar" and two blanks. Of another one, opkg installs nothing and says that all is well.
        let raw = Command::new("gzip").arg("-dc").arg(&part).stdout(Stdio::piped()).output().unwrap().stdout;
        assert_eq!(&raw[257..265], b"ustar  \0");
    }
}

/// What goes into an .apk, and the call that packs it, with apk-tools or without.
#[test]
fn apk_packages_are_laid_out_with_the_call_that_packs_them() {
    let folder = Folder::new("apk");
    let stand_in = |answer: &str| {
        let script = format!("#!/bin/sh\n{answer}\nprintf '%s\\n' \"$@\" >>{}\n", folder.path("calls").display());
        folder.write("bin/apk", &script);
        fs::set_permissions(folder.path("bin/apk"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    // Version 2 knows no mkpkg.
    stand_in("exit 99");
    let said = pack(&folder, &["cheaproute"]);
    assert!(said.text.contains("no .apk files: this apk is not apk-tools 3"), "{}", said.text);
    let about =
        |what: &str| folder.read(&format!("packages/apk/mipsel_24kc/cheaproute/lib/apk/packages/cheaproute.{what}"));
    let shell = |script: &str| {
        let place = folder.path("packages/apk/mipsel_24kc/cheaproute");
        router::said(Command::new("sh").args(["-ec", script, "sh"]).arg(place)).text
    };
    let found = shell("cd \"$1\" && find . -type f ! -path './lib/apk/*' | cut -c 2- | LC_ALL=C sort");
    assert_eq!(about("list"), found);
    assert!(found.contains("\n/lib/upgrade/keep.d/cheaproute\n"), "{found}");
    assert_eq!(about("conffiles"), "/etc/config/cheaproute\n/etc/cheaproute.key\n/etc/cheaproute.user\n");
    let sum = shell("sha256sum <\"$1/etc/cheaproute.user\"");
    assert_eq!(about("conffiles_static"), format!("/etc/cheaproute.user {}\n", sum.split(' ').next().unwrap()));
    assert_eq!(folder.mode("packages/apk/mipsel_24kc/cheaproute/etc/init.d/cheaproute"), 0o755);
    let script = |name: &str| folder.read(&format!("packages/apk/mipsel_24kc/cheaproute.{name}"));
    assert!(
        script("post-upgrade").contains("export PKG_UPGRADE=1\n")
            && script("pre-deinstall").contains("\ndefault_prerm\n")
    );
    // By hand, from anywhere.
    stand_in("[ \"$2\" != --help ] || exit 0");
    let call = folder.path("packages/apk/mipsel_24kc/cheaproute.sh");
    let ran = router::said(Command::new(call).env("PATH", with_bin(&folder)).current_dir("/"));
    assert!(ran.success, "{}", ran.text);
    let control = folder.read(&format!("{}/control/control", unpack(&folder, &ipk("mipsel_24kc", "cheaproute"))));
    let told = |field: &str| control.lines().find_map(|line| line.strip_prefix(field)).unwrap().to_owned();
    let expected = [
        ("--info", "name:cheaproute".to_owned()),
        ("--info", format!("version:{VERSION}-r1")),
        ("--info", "description:".to_owned() + &told("Description: ")),
        ("--info", "arch:mipsel_24kc".to_owned()),
        ("--info", "license:MIT Apache-2.0".to_owned()),
        ("--info", "origin:openwrt/cheaproute".to_owned()),
        ("--info", "url:".to_owned() + &told("URL: ")),
        ("--info", "maintainer:".to_owned() + &told("Maintainer: ")),
        ("--script", "post-install:cheaproute.post-install".to_owned()),
        ("--script", "post-upgrade:cheaproute.post-upgrade".to_owned()),
        ("--script", "pre-deinstall:cheaproute.pre-deinstall".to_owned()),
        ("--info", "depends:".to_owned() + &told("Depends: ").replace(", ", " ")),
        ("--files", "cheaproute".to_owned()),
        ("--output", format!("../../mipsel_24kc/cheaproute-{VERSION}-r1.apk")),
    ];
    let expected: String = expected.iter().map(|(option, value)| format!("{option}\n{value}\n")).collect();
    assert_eq!(folder.read("calls"), format!("mkpkg\n{expected}"));
    // Owners are the files': nobody but root packs.
    folder.write("calls", "");
    pack(&folder, &["cheaproute"]);
    let packed = folder.read("calls").lines().filter(|line| *line == "name:cheaproute").count();
    let architectures = fs::read_dir(folder.path("packages/apk")).unwrap().count() - 1;
    assert_eq!(packed, if lab::ready() { architectures } else { 0 }, "of all but LuCI's");
}

#[test]
fn packages_are_the_same_again() {
    let (first, second) = (Folder::new("once"), Folder::new("again"));
    pack(&first, &["cheaproute"]);
    pack(&second, &["cheaproute"]);
    for name in ["mipsel_24kc", "x86_64"] {
        let read = |folder: &Folder| fs::read(folder.path(&format!("packages/{}", ipk(name, "cheaproute")))).unwrap();
        assert!(read(&first) == read(&second), "{name}");
    }
}

#[test]
fn a_program_that_is_not_built_is_not_packed() {
    let folder = Folder::new("programs");
    pack(&folder, &["cheaproute"]);
    assert!(!folder.path(&format!("packages/{}", ipk("x86_64", "playbacktun"))).exists());
    pack(&folder, &["cheaproute", "playbacktun"]);
    let place = unpack(&folder, &ipk("x86_64", "playbacktun"));
    assert_eq!(folder.read(&format!("{place}/data/usr/bin/playbacktun")), "playbacktun for x86_64");
    assert!(folder.read(&format!("{place}/control/control")).contains("\nDepends: kmod-tun\n"));
    assert!(!folder.path(&format!("{place}/control/conffiles")).exists());
}

#[test]
fn a_page_for_luci_is_packed_as_it_is() {
    for entry in fs::read_dir("openwrt").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.starts_with("luci-app-") {
            continue;
        }
        let folder = Folder::new("luci");
        pack(&folder, &["cheaproute"]);
        let file = fs::read_dir(folder.path("packages/all")).unwrap().next().unwrap().unwrap().file_name();
        let place = unpack(&folder, &format!("all/{}", file.to_str().unwrap()));
        for (source, target) in [("htdocs", "data/www"), ("root", "data")] {
            let source = format!("openwrt/{name}/{source}");
            let same = said(Command::new("sh").args([
                "-ec",
                r#"cd "$1"; find . -type f | while read -r file; do cmp "$file" "$2/$file"; done"#,
                "sh",
                &source,
                folder.path(&format!("{place}/{target}")).to_str().unwrap(),
            ]));
            assert!(same.success && same.text.is_empty(), "{}", same.text);
        }
        let control = folder.read(&format!("{place}/control/control"));
        assert!(
            control.contains("\nArchitecture: all\n") && control.contains("\nLicense: MIT Apache-2.0\n"),
            "{control}"
        );
    }
}

#[test]
fn scripts_of_a_package_do_what_openwrt_has_for_all() {
    let folder = Folder::new("scripts");
    pack(&folder, &["cheaproute"]);
    let place = unpack(&folder, &ipk("x86_64", "cheaproute"));
    for (script, does) in [("postinst", "default_postinst"), ("prerm", "default_prerm")] {
        let run = |root: &str| {
            let mut command = Command::new("sh");
            command.arg(folder.path(&format!("{place}/control/{script}"))).arg("configure");
            said(command.env("IPKG_INSTROOT", folder.path(root)))
        };
        // In an image that has no base files yet.
        let nothing = run("empty");
        assert!(nothing.success && nothing.text.is_empty(), "{}", nothing.text);
        folder.write("root/lib/functions.sh", &format!("{does}() {{ echo \"{does} ${{1##*/}} $2\"; }}\n"));
        assert_eq!(run("root").text, format!("{does} {script} configure\n"));
    }
}

/// apk stops nothing before it upgrades, and to procd a program in a new file is no change.
#[test]
fn an_upgrade_restarts_a_daemon_that_runs() {
    let folder = Folder::new("upgrade");
    pack(&folder, &["cheaproute"]);
    let place = unpack(&folder, &ipk("x86_64", "cheaproute"));
    let (init, runs) = (folder.path("init"), folder.path("runs"));
    folder.write("init", &format!("echo \"$1\"; [ \"$1\" != running ] || [ -e {} ]\n", runs.display()));
    let script = folder.read(&format!("{place}/control/postinst-pkg"));
    assert!(script.contains("/etc/init.d/cheaproute"), "{script}");
    folder.write("script", &script.replace("/etc/init.d/cheaproute", &format!("sh {}", init.display())));
    let run = |upgrade: &str, root: &str| {
        let mut command = Command::new("sh");
        command.arg(folder.path("script")).env("PKG_UPGRADE", upgrade).env("IPKG_INSTROOT", root);
        let said = said(&mut command);
        assert!(said.success, "{}", said.text);
        said.text
    };
    assert_eq!(run("1", ""), "running\n");
    folder.write("runs", "");
    assert_eq!(run("1", ""), "running\nrestart\n");
    assert_eq!(run("0", ""), "");
    assert_eq!(run("1", "/image"), "");
}

#[test]
fn json_files_are_json() {
    for (_, source, _) in feed_installs().into_iter().filter(|(_, source, _)| source.ends_with(".json")) {
        let said = said(Command::new("python3").args(["-m", "json.tool", &source]));
        assert!(said.success, "{source}: {}", said.text);
    }
}
