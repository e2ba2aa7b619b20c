//! What was in force in mwan3 is in force here, and what was not is not.

use super::tests::{imported, with_network};
use super::*;
use crate::config::{Config, Mode, PolicyConfig, RuleConfig, read};
use crate::family::Family;
use crate::time::Span;

/// The rules that a connection of a family can meet, with their policies.
fn met(config: &Config, family: Family) -> Vec<(&RuleConfig, &PolicyConfig)> {
    let rules = config.rules.iter().filter(|rule| rule.family.is_none_or(|only| only == family));
    rules.map(|rule| (rule, config.policy(&rule.policy).unwrap())).collect()
}

const TUNNEL: &str = "
config interface wan
 option enabled 1
config interface wan6
 option enabled 1
 option family ipv6
config interface wg0
 option enabled 1
config member m4
 option interface wan
config member m6
 option interface wan6
config member mg
 option interface wg0
config policy vpn
 list use_member mg
config policy both
 list use_member m4
 list use_member m6
config rule guest
 option proto udp
 option use_policy vpn
config rule all
 option use_policy both
";

#[test]
fn a_family_without_members_has_the_last_resort() {
    let (config, import) = imported(TUNNEL);
    let [(guest, vpn), (all, both)] = met(&config, Family::Ipv4)[..] else { panic!("{}", import.config) };
    assert_eq!((guest.name.as_str(), &vpn.link[..]), ("guest", &["wg0".to_owned()][..]));
    assert_eq!((all.name.as_str(), all.family, &both.link[..]), ("all", None, &["wan".to_owned()][..]));
    let [(guest, vpn), _] = met(&config, Family::Ipv6)[..] else { panic!("{}", import.config) };
    assert_eq!((guest.name.as_str(), vpn.mode), ("guest_ipv6", Mode::Unreachable));
    assert_eq!(guest.proto.len(), 1, "it matches what the other one matches");
    for (last_resort, mode) in [("blackhole", Mode::Blackhole), ("default", Mode::Failover)] {
        let list = "config policy vpn\n";
        let (config, _) = imported(&TUNNEL.replace(list, &format!("{list} option last_resort {last_resort}\n")));
        let (_, vpn) = met(&config, Family::Ipv6)[0];
        assert_eq!((vpn.mode, vpn.link.len()), (mode, 0));
    }
    // The other way round, by a twin.
    let (config, _) = imported(&TUNNEL.replace("list use_member m4", ""));
    assert_eq!(met(&config, Family::Ipv4).last().unwrap().1.mode, Mode::Unreachable);
    assert_eq!(met(&config, Family::Ipv6).last().unwrap().1.link, ["wan"]);
}

#[test]
fn a_rule_of_one_family_stays_one() {
    for (options, policy) in [("family ipv4", "vpn"), ("src_ip 192.168.7.0/24", "vpn"), ("dest_ip 0.0.0.0/0", "vpn")] {
        let (config, _) = imported(&TUNNEL.replace("proto udp", options));
        let [guest, all] = &config.rules[..] else { panic!("{config:?}") };
        assert_eq!((guest.policy.as_str(), all.policy.as_str()), (policy, "both"), "{options}");
    }
    for options in ["family ipv6", "dest_ip 2001:db8::/32"] {
        let (config, _) = imported(&TUNNEL.replace("proto udp", options));
        assert_eq!(config.rules.len(), 2, "{options}");
        assert_eq!(config.policy(&config.rules[0].policy).unwrap().mode, Mode::Unreachable, "{options}");
    }
}

#[test]
fn rules_of_two_families_are_as_many_as_there_can_be() {
    let rules = "config rule\n option use_policy vpn\n option proto udp\n".repeat(crate::config::MAX_RULES);
    let (config, _) = imported(&(TUNNEL.replace("config rule all", "config rule") + &rules));
    assert!((998..=1000).contains(&config.rules.len()), "{}", config.rules.len());
}

#[track_caller]
fn noted(import: &Import, words: &[&str]) -> bool {
    import.notes.iter().any(|note| words.iter().all(|word| note.to_string().contains(word)))
}

#[test]
fn twins_are_those_that_a_link_finds() {
    let netifd = |name: &str, device: Option<&str>| crate::ubus::netifd::Interface {
        name: name.into(),
        up: true,
        l3_device: device.map(Into::into),
        ..Default::default()
    };
    for (four, six) in [
        ("wan", "wan6"),
        ("wan", "wan_6"),
        ("wan", "wan_v6"),
        ("wan", "wan_ipv6"),
        ("wan4", "wan6"),
        ("wan_4", "wan_6"),
    ] {
        let address = "2001:db8::1".parse().unwrap();
        let finds = |device| {
            let other = crate::ubus::netifd::Interface { ipv6: vec![address], ..netifd(six, device) };
            crate::ubus::netifd::find(&[netifd(four, device), other], four).unwrap().ipv6 == [address]
        };
        let text = format!(
            "config interface {four}\n option enabled 1\nconfig interface {six}\n option enabled 1\n option family ipv6\n"
        );
        let network = format!("config interface {four}\n option device e\nconfig interface {six}\n option device e\n");
        let (config, import) = with_network(&text, Some(&network));
        assert_eq!((config.links.len(), finds(Some("e"))), (1, true), "{six}");
        assert!(!noted(&import, &["another one"]), "its device is known");
        let (config, import) = imported(&text);
        assert_eq!(config.links.len() == 1, finds(None), "{six}");
        assert_eq!(noted(&import, &["If its device is another one"]), config.links.len() == 1, "{six}");
    }
}

const BALANCED: &str = "
config interface wan
 option enabled 1
config interface wanb
 option enabled 1
config interface lte
 option enabled 1
config member a1
 option interface wan
config member b1
 option interface wanb
config member c3
 option interface lte
 option metric 3
config member a2
 option interface wan
 option metric 2
config policy bal_lte
 list use_member a1
 list use_member b1
 list use_member c3
config policy wanb_wan
 list use_member a2
 list use_member b1
config policy wan_lte
 list use_member a1
 list use_member c3
config rule all
 option use_policy bal_lte
";

#[test]
fn a_policy_that_no_rule_uses_takes_nothing_from_others() {
    let (config, import) = imported(BALANCED);
    let metrics: Vec<u16> = config.links.iter().map(|link| link.metric).collect();
    assert_eq!(metrics, [2, 2, 4], "two share, the third waits");
    assert!(noted(&import, &["policy 'wanb_wan'", "does not do what it did", "no rule uses this one"]));
    assert_eq!(import.notes.len(), 1, "{:?}", import.notes);
    // One that is used counts.
    let (config, import) =
        imported(&BALANCED.replace("config rule all", "config rule b\n option use_policy wanb_wan\nconfig rule all"));
    assert!(config.links.iter().all(|link| link.metric == 0));
    assert!(noted(&import, &["policy 'bal_lte'", "equal metric"]));
    // Other metrics, but the same order: links without one come first, in the list's order.
    let more = "config interface x\nconfig interface y\nconfig member x1\n option interface x\nconfig member y2\n \
                option interface y\n option metric 2\nconfig member c9\n option interface lte\n option metric 9\nconfig \
                policy xy\n list use_member x1\n list use_member y2\n list use_member c9\n";
    assert_eq!(imported(&format!("{BALANCED}{more}")).1.notes.len(), 1);
    let more = more.replace("metric 2", "metric 1");
    assert!(noted(&imported(&format!("{BALANCED}{more}")).1, &["'xy'", "does not do what it did"]));
    let more = "config policy lte_wan\n list use_member a4\n list use_member c3\nconfig member a4\n option interface wan\n \
                option metric 4\n";
    assert!(noted(&imported(&format!("{BALANCED}{more}")).1, &["'lte_wan'", "does not do what it did"]));
    let more = more.replace("metric 4", "metric 2");
    assert!(!noted(&imported(&format!("{BALANCED}{more}")).1, &["'lte_wan'"]), "other metrics, the same order");
}

#[test]
fn backups_are_probed_as_seldom_as_they_were() {
    let tracked = BALANCED.replace("enabled 1\n", "enabled 1\n list track_ip 1.1.1.1\n");
    let (config, import) = imported(&tracked);
    let paces: Vec<_> = config.links.iter().map(|link| (link.interval, link.timeout)).collect();
    let [ours, theirs] = [(300, 1000), (10_000, 4000)].map(|(a, b)| (Span::from_millis(a), Span::from_millis(b)));
    assert_eq!(paces, [ours, ours, theirs]);
    let notes = || import.notes.iter().filter(|note| note.text.contains("every 300ms") && note.text.contains("10s"));
    assert_eq!(notes().count(), 1, "for all links one");
    // What is given counts.
    let given = tracked.replace("enabled 1\n", "enabled 1\n option interval 2\n option timeout 1\n");
    let (config, import) = imported(&given);
    assert!(config.links.iter().all(|link| link.interval.as_secs() == 2 && link.timeout.as_secs() == 1));
    assert!(!noted(&import, &["every 300ms"]));
    // With the better ones off, it is a backup no more; a mobile link costs all the same.
    let alone = tracked.replacen("enabled 1", "enabled 0", 2);
    for (network, pace) in [
        ("", ours.0),
        ("config interface lte\n option proto dhcp\n option device eth2", ours.0),
        ("config interface lte\n option proto qmi", theirs.0),
        ("config interface lte\n option proto dhcp\n option device usb0", theirs.0),
    ] {
        let (config, _) = with_network(&alone, Some(network));
        assert_eq!((config.links[0].name.as_str(), config.links[0].interval), ("lte", pace), "{network}");
    }
    // What is not tracked is not asked.
    assert!(!noted(&imported(BALANCED).1, &["every 300ms"]) && !imported(BALANCED).1.config.contains("interval"));
}

#[test]
fn a_link_tracked_by_names_says_that_it_is_not_probed() {
    let (config, import) = imported(&BALANCED.replacen(
        "enabled 1",
        "enabled 1\n list track_ip www.example.com\n list track_ip example.net\n option track_method httping\n option \
         reliability 2",
        1,
    ));
    assert_eq!(config.links[0].probe, []);
    assert!(import.config.contains("# Not probed: mwan3 asked hosts by their names."), "{}", import.config);
    assert!(noted(&import, &["'track_ip'", "not probed", "list probe 'icmp:1.1.1.1'"]));
    assert!(noted(&import, &["'reliability'", "there are no probes"]));
    assert!(!noted(&import, &["became"]) && !noted(&import, &["example.com"]), "{:?}", import.notes);
}

#[test]
fn links_that_share_before_a_backup_are_sticky() {
    let sticky = BALANCED.replace("config rule all\n", "config rule all\n option sticky 1\n");
    let (config, import) = imported(&sticky);
    assert_eq!(config.policy("bal_lte").unwrap().sticky, Span::from_secs(600));
    assert!(noted(&import, &["'sticky'", "on_up 'return'"]) && !noted(&import, &["does not spread"]));
    let (config, import) = imported(&sticky.replace("use_policy bal_lte", "use_policy wan_lte"));
    assert_eq!(config.policy("wan_lte").unwrap().sticky, Span::ZERO);
    assert!(noted(&import, &["'sticky'", "does not spread"]));
    // Its longest time is ours.
    let (config, import) = imported(&sticky.replace("sticky 1", "sticky 1\n option timeout 90000"));
    assert_eq!(config.policy("bal_lte").unwrap().sticky, Span::from_secs(24 * 3600));
    assert!(noted(&import, &["'timeout'", "is a day"]));
}

#[test]
fn what_mwan3_ignored_for_its_name_is_not_enabled() {
    let rules = "config rule a_very_long_name\n option use_policy wanb_wan\nconfig policy a_long_policy_name\n list use_member a1\n\
                 config rule short\n option use_policy a_long_policy_name\nconfig rule all\n";
    let (config, import) = imported(&BALANCED.replace("config rule all\n", rules));
    let names: Vec<&str> = config.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["all", "all_ipv6"]);
    assert_eq!(import.config.matches("Not in force in mwan3 either").count(), 4, "each for both families");
    assert!(noted(&import, &["rule 'a_very_long_name'", "not enabled", "15 characters"]));
    assert!(noted(&import, &["policy 'a_long_policy_name'", "rules that use it are not enabled"]));
    assert_eq!(config.links[0].metric, 2, "policies that they name count for nothing");
}

#[test]
fn what_is_as_usual_goes_without_saying() {
    let usual = BALANCED.replacen(
        "enabled 1",
        "enabled 1\n option count 1\n option size 56\n option max_ttl 60\n option initial_state online",
        1,
    );
    let globals = "config globals globals\n option enabled 1\n option rtmon_interval 5\n option local_source none\n";
    let notes = imported(BALANCED).1.notes.len();
    assert_eq!(imported(&(usual.clone() + globals)).1.notes.len(), notes);
    assert!(noted(&imported(&usual.replace("count 1", "count 3")).1, &["'count'", "left out"]));
}

#[test]
fn the_policy_of_the_default_route_is_no_warning() {
    let import =
        imported(&BALANCED.replace(
            "config rule all",
            "config rule x\n option proto udp\n option use_policy default\nconfig rule all",
        ))
        .1;
    let (_, warnings) = read(&import.config).unwrap();
    assert!(import.config.contains("config policy 'default'") && warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_time_that_is_too_long_is_the_longest() {
    let options = "enabled 1\n option timeout 90\n option interval 9999\n option down 0";
    let (config, import) = imported(&BALANCED.replacen("enabled 1", options, 1));
    let wan = &config.links[0];
    assert_eq!((wan.interval.as_secs(), wan.timeout.as_secs(), wan.down), (3600, 60, 3));
    assert!(noted(&import, &["'timeout'", "is 60s"]) && noted(&import, &["'interval'", "is 3600s"]));
    assert!(noted(&import, &["'down'", "from 1 to 100"]));
}
