use proptest::prelude::*;

use super::*;
use crate::config::{Config, Mode, read};
use crate::family::Family;

const SHIPPED: &str = include_str!("../../tests/data/mwan3.config");

pub(super) fn imported(text: &str) -> (Config, Import) {
    with_network(text, None)
}

#[track_caller]
pub(super) fn with_network(text: &str, network: Option<&str>) -> (Config, Import) {
    let import = mwan3(text, network.map(str::as_bytes)).unwrap_or_else(|faults| panic!("{faults:?}"));
    let (config, _) = read(&import.config).unwrap_or_else(|faults| panic!("{faults:?}\n{}", import.config));
    (config, import)
}

fn links(config: &Config, policy: &str) -> Vec<String> {
    config.policy(policy).unwrap_or_else(|| panic!("no {policy} in {config:?}")).link.clone()
}

#[track_caller]
fn noted(import: &Import, words: &[&str]) {
    let found = import.notes.iter().any(|note| words.iter().all(|word| note.to_string().contains(word)));
    assert!(found, "{words:?}: {:#?}", import.notes.iter().map(ToString::to_string).collect::<Vec<_>>());
}

const TWO: &str = "
config interface wan
 option enabled 1
 option interval 3
 list track_ip 1.1.1.1
config interface wanb
 option enabled 1
config member a1
 option interface wan
config member b1
 option interface wanb
 option weight 3
config member b2
 option interface wanb
 option metric 2
config policy both
 list use_member a1
 list use_member b1
config policy spare
 list use_member b2
 list use_member a1
 option last_resort default
config rule all
 option use_policy spare
";

#[test]
fn the_shipped_configuration_does_what_it_did() {
    let (config, import) = imported(&SHIPPED.replace("enabled '0'", "enabled '1'"));
    let names: Vec<&str> = config.links.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["wan", "wanb"], "wan6 and wanb6 are part of them");
    let wan = config.link("wan").unwrap();
    assert_eq!((wan.probe.len(), wan.reliability, wan.weight), (4, 2, 3));
    assert_eq!(config.link("wanb").unwrap().reliability, 1);
    for (policy, mode, wanted) in [
        ("wan_only", Mode::Failover, &["wan"][..]),
        ("wanb_only", Mode::Failover, &["wanb"]),
        ("balanced", Mode::Weighted, &["wan", "wanb"]),
        ("wan_wanb", Mode::Failover, &["wan", "wanb"]),
        ("wanb_wan", Mode::Failover, &["wanb", "wan"]),
    ] {
        assert_eq!(config.policy(policy).unwrap().mode, mode, "{policy}");
        assert_eq!(links(&config, policy), wanted, "{policy}");
    }
    let rules: Vec<&str> = config.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(rules, ["https", "default_rule_v4", "default_rule_v6"]);
    assert_eq!(config.rules[0].dest_port.len(), 1);
    assert!(config.rules[0].policy.starts_with("balanced"));
    assert!(config.main.local_traffic);
    noted(&import, &["line 4", "mmx_mask", "is not needed"]);
    noted(&import, &["wan6", "part of link 'wan'"]);
    assert!(import.notes.len() < 8, "{:?}", import.notes);
    // As shipped, only wan is on.
    let (config, _) = imported(SHIPPED);
    assert_eq!(config.links.len(), 1);
    assert_eq!(links(&config, "balanced"), ["wan"]);
}

#[test]
fn members_become_order_and_weight() {
    let (config, import) = imported(TWO);
    assert_eq!(
        (links(&config, "both"), config.policy("both").unwrap().mode),
        (vec!["wan".into(), "wanb".into()], Mode::Weighted)
    );
    assert_eq!(links(&config, "spare"), ["wan", "wanb"], "by metric, not by the list");
    let weights: Vec<u16> = config.links.iter().map(|link| link.weight).collect();
    assert_eq!(weights, [1, 3]);
    assert!(config.links.iter().all(|link| link.metric == 0), "the order says it");
    assert_eq!(import.notes, []);
    // Proportions are what counts.
    let more = "config member a2\n option interface wan\n option weight 2\nconfig member b6\n option interface wanb\n\
                option weight 6\nconfig policy same\n list use_member a2\n list use_member b6\n";
    assert_eq!(imported(&format!("{TWO}{more}")).1.notes, []);
    let (config, import) = imported(&format!("{TWO}{}", more.replace("weight 6", "weight 5")));
    noted(&import, &["policy 'same'", "shared connections otherwise"]);
    assert_eq!(config.link("wanb").unwrap().weight, 3, "the first one's");
}

#[test]
fn groups_in_failover_need_metrics() {
    let third = "config interface lte\n option enabled 1\nconfig member c1\n option interface lte\n option metric 2\n\
                 config policy group\n list use_member a1\n list use_member b1\n list use_member c1\n";
    let without = TWO.replace(" list use_member b2\n list use_member a1\n", " list use_member a1\n");
    let (config, import) = imported(&format!("{without}{third}"));
    let metrics: Vec<u16> = config.links.iter().map(|link| link.metric).collect();
    assert_eq!((metrics, import.notes), (vec![2, 2, 3], vec![]));
    // `spare` wants another metric of wanb.
    let (config, import) = imported(&format!("{TWO}{third}"));
    assert!(config.links.iter().all(|link| link.metric == 0));
    noted(&import, &["policy 'group'", "equal metric"]);
    assert_eq!(links(&config, "group"), ["wan", "wanb", "lte"]);
}

#[test]
fn what_no_rule_matches_is_left_to_the_router() {
    let (config, _) = imported(&TWO.replace("use_policy spare", "use_policy spare\n option family ipv4"));
    let last = config.rules.last().unwrap();
    assert_eq!((last.name.as_str(), last.family), ("others", Some(Family::Ipv6)));
    let policy = config.policy(&last.policy).unwrap();
    assert_eq!((policy.link.len(), policy.last_resort), (0, crate::config::LastResort::Default));
    let (config, _) = imported(TWO);
    assert!(config.rules.iter().all(|rule| rule.name != "others"));
}

#[test]
fn mwan3s_own_policies() {
    for (own, mode) in [("default", Mode::Failover), ("unreachable", Mode::Unreachable), ("blackhole", Mode::Blackhole)]
    {
        let (config, _) = imported(&TWO.replace("use_policy spare", &format!("use_policy {own}")));
        let policy = config.policy(&config.rules[0].policy).unwrap();
        assert_eq!((policy.mode, policy.link.len()), (mode, 0));
    }
    // Policies without members know their last resort only.
    let (config, _) =
        imported(&format!("{TWO}config policy none\nconfig policy hole\n option last_resort blackhole\n"));
    assert_eq!(config.policy("none").unwrap().mode, Mode::Unreachable);
    assert_eq!(config.policy("hole").unwrap().mode, Mode::Blackhole);
}

/// A rule with these options: its first rule as read, or the notes.
#[track_caller]
fn rule(options: &str) -> Result<crate::config::RuleConfig, Import> {
    let (config, import) = with_network(
        &TWO.replace(
            "config rule all",
            &format!("config rule first\n option use_policy both\n{options}\nconfig rule all"),
        ),
        Some(
            "config interface guest\n option device br-guest\nconfig interface vpn\n option proto wireguard\n\
              config interface twin\n option ifname @guest\nconfig interface ring\n option device @ring\n",
        ),
    );
    config.rules.into_iter().find(|rule| rule.name == "first").ok_or(import)
}

#[test]
fn every_field_of_a_rule() {
    let first = rule(
        " option family ipv4\n option proto tcp\n option src_ip 192.168.1.0/255.255.255.0\n option dest_ip '198.51.100.7,\
                      203.0.113.0/24'\n option src_port 1024:65535\n option dest_port 80,443\n option src_iface guest\n\
                      option ipset video",
    );
    let first = first.unwrap();
    let shown = |all: &[crate::prefix::Prefix]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(first.family, Some(Family::Ipv4));
    assert_eq!(shown(&first.src_ip), "192.168.1.0/24");
    assert_eq!(shown(&first.dest_ip), "198.51.100.7/32 203.0.113.0/24");
    let ports: Vec<String> = first.src_port.iter().chain(&first.dest_port).map(ToString::to_string).collect();
    assert_eq!(ports, ["1024-65535", "80", "443"]);
    assert_eq!((first.src_device.as_deref(), first.policy.as_str()), (Some("br-guest"), "both"));
    assert_eq!(first.nftset.unwrap().name, "video");
    for (iface, device) in [("vpn", "vpn"), ("twin", "br-guest")] {
        assert_eq!(rule(&format!(" option src_iface {iface}")).unwrap().src_device.as_deref(), Some(device));
    }
    for (proto, number) in [("esp", "50"), ("GRE", "47"), ("icmp", "icmp"), ("6", "tcp"), ("99", "99")] {
        assert_eq!(rule(&format!(" option proto {proto}")).unwrap().proto[0].to_string(), number);
    }
    assert_eq!(rule(" option dest_ip ::/0").unwrap().family, Some(Family::Ipv6));
    assert_eq!(rule(" option proto udp\n option dest_port 0:99").unwrap().dest_port[0].to_string(), "1-99");
    assert!(rule(" option dest_port 80").unwrap().dest_port.is_empty(), "as mwan3 does without proto");
}

#[test]
fn rules_that_cannot_be_are_left_out_with_a_reason() {
    for (options, why) in [
        (" option proto nonsense", "proto"),
        (" option proto 'tcp udp'", "one protocol"),
        (" option dest_ip example.com", "dest_ip"),
        (" option src_ip 192.168.1.0/255.0.255.0", "src_ip"),
        (" option family ipv6\n option src_ip 192.168.1.1", "family"),
        (" option src_ip 192.168.1.1\n option dest_ip 2001:db8::1", "dest_ip"),
        (" option src_ip ::/0\n option dest_ip 0.0.0.0/0", "address family"),
        (" option proto tcp\n option dest_port http", "dest_port"),
        (" option use_policy nowhere", "no policy"),
    ] {
        noted(&rule(options).unwrap_err(), &["rule 'first'", why, "the rule is left out"]);
    }
    for iface in ["ring", "unknown"] {
        noted(&rule(&format!(" option src_iface {iface}")).unwrap_err(), &["src_device"]);
    }
}

#[test]
fn tracking_becomes_probes() {
    let probes = |options: &str| {
        let (config, import) =
            imported(&TWO.replacen("list track_ip 1.1.1.1", &format!("list track_ip 1.1.1.1\n{options}"), 1));
        let link = config.link("wan").unwrap().clone();
        (link.probe.iter().map(ToString::to_string).collect::<Vec<_>>(), link, import)
    };
    for (method, probe) in [
        ("ping", "icmp:1.1.1.1"),
        ("httping", "tcp:1.1.1.1:80"),
        ("httping\n option httping_ssl 1", "tcp:1.1.1.1:443"),
        ("nping-tcp", "tcp:1.1.1.1:80"),
        ("nping-udp", "icmp:1.1.1.1"),
        ("arping", "icmp:1.1.1.1"),
    ] {
        let (probes, _, import) = probes(&format!(" option track_method {method}"));
        assert_eq!(probes, [probe], "{method}");
        assert_eq!(import.notes.is_empty(), ["ping", "nping-tcp"].contains(&method), "{method}");
    }
    let six = probes(" option track_method httping\n list track_ip 2001:db8::1\n list track_ip example.com");
    assert_eq!(six.0, ["tcp:1.1.1.1:80", "tcp:[2001:db8::1]:80"]);
    noted(&six.2, &["track_ip", "example.com", "no address"]);
    let (_, link, import) = probes(
        " option interval 3\n option timeout 2\n option down 4\n option up 101\n option reliability 7\n option size 1000",
    );
    assert_eq!((link.interval.as_secs(), link.timeout.as_secs(), link.down, link.up), (3, 2, 4, 100));
    assert_eq!(link.reliability, 1, "as many as there are targets");
    noted(&import, &["'up'", "is 100"]);
    noted(&import, &["'reliability'", "no more targets"]);
    noted(&import, &["'size'", "left out"]);
}

/// Options that the table may not have yet are noted until it does, and written from then on.
#[test]
fn thresholds_and_stickiness_follow_the_table() {
    let quality = TWO.replacen("list track_ip", "option check_quality 1\n option failure_loss 25\n list track_ip", 1);
    let import = imported(&quality).1;
    for (option, value) in [("loss_down", "25"), ("loss_up", "10"), ("latency_down", "1000ms"), ("latency_up", "500ms")]
    {
        let written = import.config.contains(&format!("option {option} '{value}'"));
        assert_eq!(written, Kind::Link.option(option).is_some(), "{option}\n{}", import.config);
    }
    let odd = quality.replacen("failure_loss 25", "failure_loss 5", 1);
    assert!(!imported(&odd).1.config.contains("loss_up"), "below the other one");
    let flush = TWO.replacen(
        "list track_ip",
        "list flush_conntrack ifup\n list flush_conntrack disconnected\n list track_ip",
        1,
    );
    let import = imported(&flush).1;
    for (option, value) in [("on_down", "flush"), ("on_up", "return")] {
        let written = import.config.contains(&format!("option {option} '{value}'"));
        assert_eq!(written, Kind::Link.option(option).is_some(), "{option}");
    }
    let sticky = TWO.replace("use_policy spare", "use_policy both\n option sticky 1\n option timeout 300");
    let import = imported(&sticky).1;
    assert_eq!(import.config.contains("option sticky '300s'"), Kind::Policy.option("sticky").is_some());
}

#[test]
fn twins_are_told_by_their_device() {
    let text = format!("{TWO}config interface wan6\n option enabled 1\n option family ipv6\n");
    let count = |network| with_network(&text, network).0.links.len();
    assert_eq!(count(None), 2);
    assert_eq!(
        count(Some("config interface wan\n option device eth1\nconfig interface wan6\n option device @wan\n")),
        2
    );
    let tunnel = "config interface wan\n option device eth1\nconfig interface wan6\n option proto 6in4\n";
    assert_eq!(count(Some(tunnel)), 3);
}

#[test]
fn names_stay_apart() {
    let text = TWO.replace("policy both", "policy main").replace("use_policy spare", "use_policy main");
    let (config, _) = imported(&format!("{text}config policy a_very_long_name_indeed\n list use_member a1\n"));
    assert_eq!(config.rules[0].policy, config.policies[0].name);
}

#[test]
fn what_is_no_configuration_is_refused() {
    for text in ["", "config rule a\n", "config interface\n option enabled 1\n"] {
        let faults = mwan3(text, None).unwrap_err();
        assert!(faults[0].text.contains("no config interface"), "{faults:?}");
    }
    let faults = mwan3("config interface 'wan\n", None).unwrap_err();
    assert!(faults[0].text.contains("never closed") && faults[0].line == Some(1), "{faults:?}");
    let (config, import) = imported(&TWO.replace("enabled 1", "enabled 0"));
    assert!(!config.main.enabled);
    noted(&import, &["not enabled, nor is any other"]);
}

#[test]
fn comments_tell_what_was_left_out() {
    let (_, import) = imported(&TWO.replacen("enabled 1", "enabled 1\n option timeout 'a\nb'", 1));
    assert!(
        import.config.contains(r"# - line 4: interface 'wan': option 'timeout': is no number ('a\nb')"),
        "{}",
        import.config
    );
    assert!(import.config.contains("mode 'race'"));
}

/// Words that mwan3's files are made of, and some that they are not.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "wan",
            "wan6",
            "wanb",
            "a",
            "b",
            "main",
            "default",
            "unreachable",
            "blackhole",
            "1",
            "0",
            "2",
            "5",
            "300",
            "1001",
            "4294967296",
            "ipv4",
            "ipv6",
            "tcp",
            "udp",
            "icmp",
            "all",
            "esp",
            "1.1.1.1",
            "2001:db8::1",
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/8",
            "80,443",
            "0:65535",
            "httping",
            "nslookup",
            "ifdown",
            "connected",
            "lan",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,12}",
        "\\PC{0,6}",
    ]
}

fn section() -> impl Strategy<Value = String> {
    let options: &[(&str, &[&str])] = &[
        ("globals", &["mmx_mask", "logging"]),
        (
            "interface",
            &[
                "enabled",
                "family",
                "track_ip",
                "track_method",
                "reliability",
                "interval",
                "timeout",
                "down",
                "up",
                "check_quality",
                "failure_loss",
                "recovery_latency",
                "flush_conntrack",
                "size",
            ],
        ),
        ("member", &["interface", "metric", "weight"]),
        ("policy", &["use_member", "last_resort"]),
        (
            "rule",
            &[
                "family",
                "proto",
                "src_ip",
                "dest_ip",
                "src_port",
                "dest_port",
                "src_iface",
                "ipset",
                "sticky",
                "timeout",
                "use_policy",
                "logging",
            ],
        ),
    ];
    proptest::sample::select(options.to_vec()).prop_flat_map(|(kind, options)| {
        let entry = (any::<bool>(), proptest::sample::select(options.to_vec()), word());
        (word(), proptest::collection::vec(entry, 0..8)).prop_map(move |(name, entries)| {
            let mut text = format!("config {kind} {}\n", uci::quote(&name));
            for (list, option, value) in entries {
                let keyword = if list { "list" } else { "option" };
                text += &format!("\t{keyword} {option} {}\n", uci::quote(&value));
            }
            text
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_refused_or_becomes_a_configuration(text in "\\PC{0,200}") {
        if let Ok(import) = mwan3(&text, Some(text.as_bytes())) {
            prop_assert!(read(&import.config).is_ok());
        }
    }

    #[test]
    fn any_sections_become_a_configuration(sections in proptest::collection::vec(section(), 0..14)) {
        let text: String = sections.concat();
        match mwan3(&text, Some(text.as_bytes())) {
            Ok(import) => {
                let result = read(&import.config);
                prop_assert!(result.is_ok(), "{:?}\n{}", result, import.config);
                prop_assert!(import.config.lines().filter(|line| line.starts_with("# - ")).count() == import.notes.len());
                prop_assert!(import.config.lines().all(|line| !line.starts_with('#') || !line.contains('\r')));
            }
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                prop_assert!(faults.iter().all(|fault| !fault.text.contains("cannot be used")), "{:?}\n{}", faults, text);
            }
        }
    }
}
