use super::Kind::{Link, Main, Policy, Rule};
use super::*;
use crate::config::form::form;
use crate::config::read;
use crate::config::values::is_name;

fn every() -> impl Iterator<Item = (Kind, &'static Spec)> {
    Kind::ALL.into_iter().flat_map(|kind| kind.options().map(move |spec| (kind, spec)))
}

const COMMITTED: &str = include_str!("../../files/cheaproute.config");

/// Run with `CHEAPROUTE_WRITE_SAMPLE=1` to write the file instead.
#[test]
fn the_sample_is_the_table() {
    if std::env::var_os("CHEAPROUTE_WRITE_SAMPLE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/files/cheaproute.config"), sample()).unwrap();
        return;
    }
    let how = "CHEAPROUTE_WRITE_SAMPLE=1 cargo test the_sample_is_the_table";
    assert!(sample() == COMMITTED, "files/cheaproute.config differs from the option table; write it anew with: {how}");
}

const FORM: &str = "openwrt/luci-app-cheaproute/htdocs/luci-static/resources/cheaproute/options.js";

/// Run with `CHEAPROUTE_WRITE_SAMPLE=1` to write the file instead.
#[test]
fn the_form_is_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FORM);
    if std::env::var_os("CHEAPROUTE_WRITE_SAMPLE").is_some() {
        std::fs::write(path, form()).unwrap();
        return;
    }
    let how = "CHEAPROUTE_WRITE_SAMPLE=1 cargo test the_form_is_the_table";
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(form() == committed, "{FORM} differs from the option table; write it anew with: {how}");
}

#[test]
fn the_sample_can_be_read() {
    let (config, warnings) = read(sample()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["wan", "wanb"]);
    assert_eq!(config.policies.len(), 1);
    assert_eq!(config.policies[0].link, ["wan", "wanb"]);
    assert!(config.rules.is_empty());
    assert!(sample().lines().all(|line| line.chars().count() <= 120));
}

#[test]
fn the_sample_shows_every_option() {
    let sample = sample();
    for (_, spec) in every() {
        let keyword = if spec.list { "list" } else { "option" };
        for value in spec.example() {
            let line = format!("{keyword} {} '{value}'", spec.name);
            assert!(sample.lines().any(|shown| shown.trim_start_matches(['#', '\t']) == line), "{line}");
        }
    }
}

/// Each option's commented line can be put in force alone.
#[test]
fn what_the_sample_comments_out_can_be_used() {
    let sample = sample();
    for (kind, spec) in
        every().filter(|(_, spec)| !matches!(spec.name, "interface" | "gateway" | "gateway6" | "policy"))
    {
        let mut text = sample.replace(&format!("\t#option {} ", spec.name), &format!("\toption {} ", spec.name));
        text = text.replace(&format!("\t#list {} ", spec.name), &format!("\tlist {} ", spec.name));
        text = text.replace("#config rule", "config rule").replace("#\toption policy", "\toption policy");
        if kind == Rule {
            text = text.replace(&format!("#\tlist {} ", spec.name), &format!("\tlist {} ", spec.name));
            text = text.replace(&format!("#\toption {} ", spec.name), &format!("\toption {} ", spec.name));
            text = text.replace("#\tlist proto ", "\tlist proto ");
        }
        if matches!(kind, Kind::Peer | Kind::Client) {
            continue; // sections of their own: the next test
        }
        if spec.name == "device" {
            text = text.replace("\toption interface 'wan'\n", "");
        }
        assert!(read(&text).is_ok(), "{}: {:?}", spec.name, read(&text));
    }
}

/// A rule's options go together, too.
#[test]
fn what_the_sample_says_of_rules_can_be_used() {
    let sample = sample();
    let rule = sample.lines().skip_while(|line| !line.starts_with("#config rule")).take_while(|line| !line.is_empty());
    let rule: String = rule.map(|line| line.replacen('#', "", 1) + "\n").collect();
    let (config, warnings) = read(sample.clone() + &rule).unwrap_or_else(|faults| panic!("{rule}{faults:#?}"));
    assert_eq!((config.rules.len(), warnings.len()), (1, 0), "{warnings:#?}");
}

/// A peer's options with their defaults or examples, but for those that exclude each other.
#[test]
fn what_the_sample_says_of_peers_can_be_used() {
    let sample = sample();
    let peer: String = sample
        .lines()
        .skip_while(|line| !line.starts_with("#config peer"))
        .filter(|line| !line.starts_with("# "))
        .map(|line| line.replacen('#', "", 1) + "\n")
        .collect();
    let text = peer.replace("\toption private_key_file", "\t#option private_key_file");
    let text = text
        .replace("\toption preshared_key", "\t#option preshared_key")
        .replace("\toption public_key", "\t#option public_key");
    let server = text.replace("role 'client'", "role 'server'").replace("\tlist allowed_ips '10.74.20.2'\n", "");
    let server = server
        .replacen("\tlist allowed_ips '192.168.1.0/24'\n", "", 1)
        .replace("\t#option public_key", "\toption public_key");
    // This end's key and its first client's: the sample has the same everywhere.
    let sample = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let server = server.replacen(sample, "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", 1);
    let server = server.replacen("\toption public_key 'AA", "\toption public_key 'BA", 1);
    let (config, _) = read(&server).unwrap_or_else(|faults| panic!("{server}{faults:#?}"));
    assert_eq!((config.peers.len(), config.peers[0].remotes.len()), (1, 2));
}

#[test]
fn the_table_fits_itself() {
    for (kind, spec) in every() {
        assert!(!spec.example().is_empty(), "{}", spec.name);
        assert!(spec.list || spec.example().len() == 1, "{}", spec.name);
        for value in spec.example() {
            assert!(spec.shape.parse(value).is_some(), "{} {value}", spec.name);
        }
        assert_eq!(kind.options().filter(|other| other.name == spec.name).count(), 1, "{}", spec.name);
        assert!(is_name(spec.name) && spec.doc.ends_with('.') && !spec.doc.contains("  "), "{}", spec.name);
    }
    for kind in Kind::ALL {
        assert_eq!(Kind::from_name(kind.name()), Some(kind));
    }
}

#[test]
fn ranges_hold() {
    for (kind, name, good, bad) in [
        (Link, "weight", vec!["1", "1000"], vec!["0", "1001", "-1", "+1", "1.5", "", "65537"]),
        (Link, "metric", vec!["0", "65535"], vec!["65536"]),
        (Link, "handicap", vec!["0", "2s", "2000ms", "2"], vec!["2001ms", "3", "1us"]),
        (Link, "interval", vec!["100ms", "1h", "60m"], vec!["99ms", "0", "61m"]),
        (Link, "timeout", vec!["50ms", "1m"], vec!["49ms", "61s"]),
        (Policy, "remember", vec!["0", "1d", "24h"], vec!["25h", "forever"]),
        (Policy, "mode", vec!["race", "aggregate"], vec!["Race", "bond", ""]),
        (
            Main,
            "enabled",
            vec!["1", "on", "yes", "true", "enabled", "0", "off", "no", "false", "disabled"],
            vec!["2", "ON", ""],
        ),
        (Main, "mark_mask", vec!["0x3F", "0xfc000000"], vec!["0x7F", "63", "0x3E000001", "0"]),
        (Main, "hook", vec!["/etc/cheaproute.user"], vec!["", "hook.sh", "/etc/", "/a\nb"]),
        (Main, "lan_device", vec!["br-lan"], vec!["eth*", "a b", "0123456789abcdef"]),
        (Link, "gateway", vec!["192.0.2.1"], vec!["0.0.0.0", "fe80::1", "127.0.0.1", "192.0.2.1/24", "01.2.3.4"]),
        (Link, "gateway6", vec!["fe80::1", "2001:db8::1"], vec!["::", "192.0.2.1", "ff02::1", "fe80::1%eth0"]),
        (Link, "prefix", vec!["2001:db8::/56"], vec!["10.0.0.0/8", "::/0"]),
        (Rule, "proto", vec!["all", "tcp", "UDP", "47"], vec!["0", "sctp"]),
    ] {
        let shape = kind.option(name).unwrap().shape;
        good.iter().for_each(|text| assert!(shape.parse(text).is_some(), "{name} {text}"));
        bad.iter().for_each(|text| assert!(shape.parse(text).is_none(), "{name} {text}"));
    }
}
