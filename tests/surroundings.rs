//! Bad surroundings: one clear line, a code that says failure, and a network as it was.

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use lab::{Dual, Namespace};
use support::{Bed, Daemon, SERVERS, config, ms, settled};

/// Exit codes, as the help has them.
const CONFIG: i32 = 3;
const SYSTEM: i32 = 4;
const RUNNING: i32 = 5;

/// Starts a daemon that cannot run, and is to end with this code: what it says.
#[track_caller]
fn refused(lab: &Dual, code: i32, start: impl FnOnce(&Namespace) -> Daemon) -> String {
    let before = settled(lab.router());
    let mut daemon = start(lab.router());
    let status = daemon.end();
    let output = daemon.process.output();
    assert_eq!(status.code(), Some(code), "{status}: {output}");
    let errors: Vec<&str> = output.lines().filter(|line| !line.starts_with("info")).collect();
    assert_eq!(errors.len(), 1, "more than one line: {output}");
    assert_eq!(settled(lab.router()), before);
    errors[0].to_owned()
}

#[test]
fn without_its_capabilities_it_says_which() {
    need_lab!();
    let lab = Dual::new();
    for (without, named) in [
        ("-net_admin", "without CAP_NET_ADMIN:"),
        ("-net_raw", "without CAP_NET_RAW:"),
        ("-net_admin,-net_raw", "without CAP_NET_ADMIN and CAP_NET_RAW:"),
    ] {
        let launcher = ["setpriv", "--bounding-set", without, "--inh-caps", without, "--"];
        let said = refused(&lab, SYSTEM, |router| Daemon::launch_by(&launcher, router, &config(&["", ""], ""), |_| ()));
        assert!(said.contains(named), "{without}: {said}");
    }
}

/// As in a container: root of a user namespace exceeds no limit of the system's.
#[test]
fn a_user_namespaces_root_is_enough() {
    need_lab!();
    let lab = Dual::new();
    let launcher = ["unshare", "--user", "--map-root-user", "--net"];
    let mut daemon = Daemon::launch_by(&launcher, lab.router(), &config(&["", ""], ""), |_| ());
    daemon.process.wait_for_line("racing over", Duration::from_secs(10));
    daemon.stop();
}

#[test]
fn without_nft_it_says_so() {
    need_lab!();
    let lab = Dual::new();
    let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("no-nft-{}", std::process::id()));
    fs::create_dir_all(&empty).unwrap();
    let said = refused(&lab, SYSTEM, |router| {
        Daemon::launch(router, &config(&["", ""], ""), |command| {
            command.env("PATH", &empty);
        })
    });
    assert!(said.contains("nft"), "{said}");
    fs::remove_dir_all(&empty).unwrap();
}

#[test]
fn a_second_daemon_goes_without_harm_to_the_first() {
    need_lab!();
    let bed = Bed::new(&[20, 2]);
    let said = refused(&bed.lab, RUNNING, |router| Daemon::launch(router, &config(&["", ""], ""), |_| ()));
    assert!(said.contains("another cheaproute"), "{said}");
    for address in SERVERS {
        assert_eq!(bed.link_taken(&bed.server(address, 80)), 2);
    }
}

#[test]
fn an_overlapping_mark_is_a_reason_not_to_start() {
    need_lab!();
    let lab = Dual::new();
    for ip in ["ip", "ip -6"] {
        lab.router().sh(&format!("{ip} rule add fwmark 0x01000000/0xff000000 table 100"));
        let said = refused(&lab, SYSTEM, |router| Daemon::launch(router, &config(&["", ""], ""), |_| ()));
        assert!(said.contains("mark_mask"), "{said}");
        lab.router().sh(&format!("{ip} rule del fwmark 0x01000000/0xff000000 table 100"));
    }
    // With other bits of our own, both can be.
    lab.router().sh("ip rule add fwmark 0x01000000/0xff000000 table 100");
    let text = config(&["", ""], "").replacen("option log_level", "option mark_mask '0x3f0000'\n option log_level", 1);
    let bed = Bed::on(lab, &text);
    bed.lab.wire(1).both(lab::Shape::delayed(ms(30)));
    assert_eq!(bed.link_taken(&bed.server(SERVERS[0], 80)), 2);
}

#[test]
fn beside_mwan3_it_does_not_start() {
    need_lab!();
    let lab = Dual::new();
    lab.router().sh("ip rule add pref 2001 fwmark 0x100/0x3f00 table 1");
    let said = refused(&lab, SYSTEM, |router| Daemon::launch(router, &config(&["", ""], ""), |_| ()));
    assert!(said.contains("mwan3"), "{said}");
}

#[test]
fn a_faulty_or_missing_file_is_a_reason_not_to_start() {
    need_lab!();
    let lab = Dual::new();
    let text = config(&["option weight 'many'", ""], "");
    let line = text.lines().position(|line| line.contains("many")).unwrap() + 1;
    let said = refused(&lab, CONFIG, |router| Daemon::launch(router, &text, |_| ()));
    assert!(said.contains(&format!(":{line}:")) && said.contains("weight"), "{said}");
    let said = refused(&lab, CONFIG, |router| {
        Daemon::launch(router, "", |command| {
            command.args(["-c", "/nonexistent/cheaproute"]);
        })
    });
    assert!(said.contains("cannot read /nonexistent/cheaproute"), "{said}");
}

#[test]
fn a_missing_device_leaves_the_others_at_work() {
    need_lab!();
    let bed = Bed::on(Bed::builder(&[2, 2]).build(), &config(&["", "", ""], ""));
    let said = bed.daemon.says(0, "link wan3");
    assert!(said.contains("down: there is no device wan3"), "{said}");
    for address in SERVERS {
        let _taken = bed.link_taken(&bed.server(address, 80));
        bed.lab.wire(1).blackhole(true);
        assert_eq!(bed.link_taken(&bed.server(address, 81)), 2);
        bed.lab.wire(1).blackhole(false);
    }
}

#[test]
fn without_masquerading_by_the_user_races_are_translated_all_the_same() {
    need_lab!();
    let bed = Bed::on(Dual::builder().without_firewall().delays(&[ms(20), ms(2)]).build(), &config(&["", ""], ""));
    for address in SERVERS {
        assert_eq!(bed.link_taken(&bed.server(address, 80)), 2);
    }
}

#[test]
fn a_firewall_that_is_reloaded_does_not_matter() {
    need_lab!();
    let bed = Bed::new(&[20, 2]);
    bed.lab.router().sh("nft delete table inet fw
        nft 'table inet fw { chain srcnat { type nat hook postrouting priority srcnat; oifname \"wan*\" masquerade; }; }'");
    for address in SERVERS {
        assert_eq!(bed.link_taken(&bed.server(address, 80)), 2);
    }
}

/// As systemd has it. The filter looks for a way back to the server without our marks.
#[test]
fn a_loose_filter_drops_nothing_while_the_main_table_has_no_default_route() {
    need_lab!();
    let lab = Bed::builder(&[2, 2]).build();
    let filters = "/proc/sys/net/ipv4/conf/wan1/rp_filter /proc/sys/net/ipv4/conf/wan2/rp_filter";
    lab.router().sh(&format!("echo 2 | tee {filters}"));
    let mut bed = Bed::on(lab, &config(&["", ""], ""));
    bed.lab.router().sh("ip link set wan1 down");
    bed.daemon.says(0, "link wan1 is down");
    assert_eq!(bed.lab.router().sh("ip route show default"), "");
    assert_eq!(bed.link_taken(&bed.server(SERVERS[0], 80)), 2);
    // The filter that holds for all is the user's: it is only told of.
    bed.lab.router().sysctl("net/ipv4/conf/all/rp_filter", "2");
    bed.lab.router().sh("ip route add 192.0.2.0/24 dev wan2");
    bed.daemon.says(0, "conf/all/rp_filter is on, and the main table has no default route");
    bed.daemon.stop();
    assert_eq!(bed.lab.router().sh(&format!("cat {filters}")), "2\n2\n");
}

/// As Debian's nftables.service does at each start.
#[test]
fn a_table_that_is_flushed_with_all_others_returns() {
    need_lab!();
    let bed = Bed::new(&[20, 2]);
    let ours = || bed.lab.router().sh("nft list tables | grep -c cheaproute || true");
    let firewall = bed.lab.router().sh("nft list table inet fw");
    bed.lab.router().sh("nft flush ruleset");
    bed.lab.router().sh(&format!("nft -f - <<'END'\n{firewall}\nEND"));
    assert_eq!(ours().trim(), "0");
    bed.daemon.says(0, "somebody removed the nft table");
    // Without nft's own queue, the rules that queue come a moment after the table.
    for address in SERVERS {
        let server = bed.server(address, 80);
        support::eventually("races", || bed.link_taken(&server) == 2);
    }
}
