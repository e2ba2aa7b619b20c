use super::*;
use crate::config::{self, PolicyConfig};

const SAMPLE: &str = "
config cheaproute 'main'
config link 'wan'
	option device 'wan1'
	list prefix '2001:db8:1::/56'
config link 'wanb'
	option device 'wan2'
	option weight '3'
config link 'lte'
	option device 'wan3'
	option metered '1'
config policy 'fastest'
config policy 'spread'
	option mode 'weighted'
	option last_resort 'blackhole'
config policy 'no'
	option mode 'unreachable'
config rule 'voip'
	option policy 'spread'
	list proto udp
	list dest_port '5060'
	list dest_port '10000-20000'
	list dest_port '15000-25000'
	list dest_ip '192.0.2.0/24'
	list dest_ip '192.0.2.7'
	list dest_ip '2001:db8:9::/48'
	option src_device 'br-lan'
config rule 'films'
	option policy 'no'
	option nftset 'films'
	list src_ip '192.168.1.0/24'
config rule 'six'
	option policy 'spread'
	option family 'ipv6'
	option proto 'icmp'
";

fn sample() -> (Config, Vec<Link>) {
    let (config, warnings) = config::read(SAMPLE).unwrap();
    assert_eq!(warnings, []);
    let links = links(&config);
    (config, links)
}

/// The configuration's links, all up; the second has no IPv6.
fn links(config: &Config) -> Vec<Link> {
    let numbered = config.links.iter().zip(1..);
    numbered
        .map(|(link, number)| {
            let example = Link::example(number);
            Link {
                name: link.name.clone(),
                device: format!("wan{number}"),
                ipv6: example.ipv6.filter(|_| number != 2),
                weight: link.weight,
                metric: link.metric,
                metered: link.metered,
                delegated: if number == 1 { vec![("2001:db8:1::".parse().unwrap(), 56)] } else { Vec::new() },
                ..example
            }
        })
        .collect()
}

fn names(links: &[&Link]) -> Vec<String> {
    links.iter().map(|link| link.name.clone()).collect()
}

fn chain<'t>(ruleset: &'t str, name: &str) -> Vec<&'t str> {
    let from = ruleset.split_once(&format!("\tchain {name} {{\n")).unwrap_or_else(|| panic!("no chain {name}")).1;
    from.split_once("\t}\n").unwrap().0.lines().map(str::trim).collect()
}

#[test]
fn rules_become_matches_of_each_family_they_can_match() {
    let (config, _) = sample();
    let texts = |name: &str| rule::matches(config.rules.iter().find(|rule| rule.name == name).unwrap());
    assert_eq!(
        texts("voip"),
        [
            "meta nfproto ipv4 ip daddr { 192.0.2.0/24 } iifname \"br-lan\" meta l4proto { udp } th dport { 5060, 10000-25000 }",
            "meta nfproto ipv6 ip6 daddr { 2001:db8:9::/48 } iifname \"br-lan\" meta l4proto { udp } th dport { 5060, 10000-25000 }",
        ]
    );
    assert_eq!(texts("films"), ["meta nfproto ipv4 ip saddr { 192.168.1.0/24 } ip daddr @films4"]);
    assert_eq!(texts("six"), ["meta nfproto ipv6 meta l4proto { ipv6-icmp }"]);
}

#[test]
fn the_best_link_is_up_unmetered_and_of_low_metric() {
    let (config, mut links) = sample();
    let policy = |name: &str| config.policy(name).unwrap().clone();
    let best = |links: &[Link], policy: &PolicyConfig, ipv4: bool| {
        let plan =
            Plan { config: &config, links, queueing: Queueing::Nft, lost: LinkSet::EMPTY, direct: &[], races: 10 };
        let (order, sharing) = policy::best(&plan, policy, ipv4);
        (names(&order), sharing)
    };
    let race = policy("fastest");
    assert_eq!(best(&links, &race, true), (vec!["wan".into(), "wanb".into(), "lte".into()], 1));
    assert_eq!(best(&links, &race, false), (vec!["wan".into(), "lte".into()], 1), "wanb has no IPv6");
    assert_eq!(best(&links, &policy("spread"), true).1, 2, "the metered link takes no share");
    links[0].metric = 20;
    links[1].metric = 10;
    assert_eq!(best(&links, &race, true).0, ["wanb", "wan", "lte"]);
    let mut failover = race.clone();
    failover.mode = config::Mode::Failover;
    assert_eq!(best(&links, &failover, true).1, 1);
    links[0].metric = 10;
    assert_eq!(best(&links, &failover, true).1, 2, "an equal metric is shared by weight");
    links[0].up = false;
    links[1].up = false;
    assert_eq!(best(&links, &race, true), (vec!["lte".into()], 1));
    links[2].up = false;
    assert_eq!(best(&links, &race, true), (vec![], 0));
}

#[test]
fn policies_become_chains() {
    let (config, mut links) = sample();
    let text = |links: &[Link]| {
        ruleset(&Plan { config: &config, links, queueing: Queueing::Nft, lost: LinkSet::EMPTY, direct: &[], races: 10 })
            .fresh()
    };
    let all = text(&links);
    let fastest = chain(&all, "policy_0");
    assert!(
        fastest.iter().any(|rule| rule.contains("tcp flags") && rule.contains("| 0x11000000 accept")),
        "{fastest:#?}"
    );
    assert!(fastest.iter().any(|rule| rule.contains("udp dport { 53, 443 }")), "{fastest:#?}");
    let ipv6 = fastest.iter().filter(|rule| rule.contains("nfproto ipv6")).collect::<Vec<_>>();
    assert_eq!(ipv6, [&"meta nfproto ipv6 goto link_1"], "one unmetered link with IPv6: nobody to race");
    let shares = "meta nfproto ipv4 numgen random mod 4 vmap { 0-0 : goto link_1, 1-3 : goto link_2 }";
    let global = "ip6 saddr 2000::/3 goto global";
    assert_eq!(chain(&all, "policy_1"), [global, shares, "meta nfproto ipv6 goto link_1"]);
    assert_eq!(chain(&all, "policy_2"), ["reject with icmpx type no-route"]);
    links.iter_mut().for_each(|link| link.up = false);
    let none = text(&links);
    assert_eq!(chain(&none, "policy_0"), [global, "meta nfproto ipv4 return", "meta nfproto ipv6 return"]);
    assert_eq!(chain(&none, "policy_1"), [global, "meta nfproto ipv4 drop", "meta nfproto ipv6 drop"]);
}

#[test]
fn rules_end_with_the_first_policy_and_global_addresses_keep_their_link() {
    let (config, mut links) = sample();
    let text = |links: &[Link]| {
        ruleset(&Plan { config: &config, links, queueing: Queueing::Nft, lost: LinkSet::EMPTY, direct: &[], races: 10 })
            .fresh()
    };
    let all = text(&links);
    let rules = chain(&all, "rules");
    assert_eq!((rules.len(), rules.last()), (5, Some(&"goto policy_0")));
    assert_eq!(chain(&all, "global"), ["ip6 saddr { 2001:db8:1::/56 } goto link_1", "return"]);
    links[0].up = false;
    assert_eq!(chain(&text(&links), "global"), ["return"]);
}

#[test]
fn a_device_that_is_unknown_or_shared_stands_in_no_set_twice() {
    let (config, mut links) = sample();
    links[1].device = links[0].device.clone();
    links[2].device.clear();
    let plan =
        Plan { config: &config, links: &links, queueing: Queueing::Nft, lost: LinkSet::EMPTY, direct: &[], races: 10 };
    let all = ruleset(&plan).fresh();
    assert!(all.contains("elements = { \"wan1\" }\n"), "{all}");
    assert_eq!(chain(&all, "save").last(), Some(&"oifname vmap { \"wan1\" : jump save_1 }"));
}

#[test]
fn an_update_keeps_what_the_kernel_learned() {
    let (config, links) = sample();
    let plan =
        Plan { config: &config, links: &links, queueing: Queueing::Nft, lost: LinkSet::EMPTY, direct: &[], races: 10 };
    let old = ruleset(&plan);
    let new = ruleset(&Plan { links: &links[..1], ..plan });
    let text = new.after(&old);
    assert!(text.starts_with("flush chain inet cheaproute link_1\n"));
    for set in ["alive", "ipv4_answers", "ipv6_echoes", "films4"] {
        assert!(!text.contains(&format!("flush set inet cheaproute {set}")), "{set}");
    }
    assert!(
        text.contains("delete chain inet cheaproute link_2\n")
            && !text.contains("delete chain inet cheaproute link_1\n")
    );
}

#[test]
fn without_nft_queue_the_queues_chains_are_left_for_targets() {
    let (config, links) = sample();
    let plan = Plan {
        config: &config,
        links: &links,
        queueing: Queueing::Xtables,
        lost: LinkSet::EMPTY,
        direct: &[],
        races: 10,
    };
    let rules = ruleset(&plan);
    let target = |number| Target { chain: format!("queue_{number}"), queue: QUEUE + number };
    assert_eq!(rules.targets(None).cloned().collect::<Vec<_>>(), [target(0), target(1)]);
    assert_eq!(rules.targets(Some(&rules)).count(), 0);
    let text = rules.fresh();
    assert!(!text.contains("queue num"));
    for number in 0..2 {
        assert!(chain(&text, &format!("queue_{number}")).is_empty());
    }
    // With nft's own there is nothing to add.
    let native = ruleset(&Plan { queueing: Queueing::Nft, ..plan });
    assert_eq!(native.targets(None).count(), 0);
    assert_eq!(chain(&native.fresh(), "queue_1"), ["queue num 25459 bypass"]);
    // Targets that no policy wants any more go with their chains.
    assert!(native.after(&rules).contains("delete chain inet cheaproute queue_1\n"));
}
