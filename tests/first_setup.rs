//! The first set-up, under the shells of Debian and of routers.

#[path = "router/mod.rs"]
mod router;
#[path = "router/scripts.rs"]
mod scripts;

use std::fs;
use std::process::Command;

use router::said;
use scripts::{BINARY, Router, TRIGGER, shells};

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

/// A network of guests may be masqueraded, too.
#[test]
fn of_networks_with_static_addresses_those_with_a_way_out_are_links() {
    let route = |kind: &str, text: &str| format!("network.@{kind}[0]={kind}\nnetwork.@{kind}[0].{text}\n");
    for (name, out, text) in [
        ("none", false, String::new()),
        ("gateway", true, "network.net.gateway=192.0.2.1\n".into()),
        ("six", true, "network.net.ip6gw=2001:db8::1\n".into()),
        ("default", true, route("route", "interface=net\nnetwork.@route[0].target=0.0.0.0/0")),
        (
            "mask",
            true,
            route("route", "interface=net\nnetwork.@route[0].target=0.0.0.0\nnetwork.@route[0].netmask=0.0.0.0"),
        ),
        ("default6", true, route("route6", "interface=net\nnetwork.@route6[0].target=::/0")),
        ("second", true, {
            let first = route("route", "interface=lan\nnetwork.@route[0].target=198.51.100.0/24");
            first + &route("route", "interface=net\nnetwork.@route[0].target=0.0.0.0/0").replace("[0]", "[1]")
        }),
        ("elsewhere", false, route("route", "interface=net\nnetwork.@route[0].target=198.51.100.0/24")),
        ("host", false, route("route", "interface=net")),
        ("others", false, route("route", "interface=lan\nnetwork.@route[0].target=0.0.0.0/0")),
    ] {
        for shell in shells() {
            let router = Router::new(&format!("static-{name}"), &shell);
            let zone = "firewall.@zone[0]=zone\nfirewall.@zone[0].masq=1\nfirewall.@zone[0].network=net\n";
            router.folder.write("uci", &format!("{zone}network.net.proto=static\nnetwork.net.device=eth4\n{text}"));
            let log = router.set_up();
            assert!(log.contains(if out { "links net," } else { "no WANs found" }), "{name}: {log}");
        }
    }
}

/// Sticks that speak DHCP show by their devices' names.
#[test]
fn modems_are_metered_whatever_they_speak() {
    for (device, metered) in [("eth4", false), ("usb0", true), ("wwan0", true)] {
        for shell in shells() {
            let router = Router::new(&format!("stick-{device}"), &shell);
            let zone = "firewall.@zone[0]=zone\nfirewall.@zone[0].masq=1\nfirewall.@zone[0].network=net\n";
            router.folder.write("uci", &format!("{zone}network.net.proto=dhcp\nnetwork.net.device={device}\n"));
            assert!(router.set_up().contains("links net,"));
            let text = router.folder.read("etc/config/cheaproute");
            assert_eq!(text.contains("\n\toption metered '1'"), metered, "{device}: {text}");
        }
    }
}

/// What an image has installed is set up before logd runs.
#[test]
fn what_nobody_would_log_yet_is_told_to_the_kernel() {
    for shell in shells() {
        let router = Router::new("kernel", &shell);
        router.folder.write("dev/kmsg", "");
        router.folder.write("uci", NETWORK);
        assert!(router.set_up().contains("links wan"));
        assert_eq!(router.folder.read("dev/kmsg"), "", "it would be logged twice");
        let router = Router::new("early", &shell);
        fs::remove_file(router.folder.path("dev/log")).unwrap();
        router.folder.write("uci", NETWORK);
        router.set_up();
        let told = router.folder.read("dev/kmsg");
        assert!(told.starts_with("cheaproute: set up for the links wan fibre lte,"), "{told}");
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
