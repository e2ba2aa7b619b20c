use super::*;
use crate::config::{self, PolicyConfig};
use crate::link::Side;

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
    assert_eq!(texts("six"), ["meta nfproto ipv6 meta l4proto { 58 }"]);
}

#[test]
fn the_best_link_is_up_unmetered_and_of_low_metric() {
    let (config, mut links) = sample();
    let policy = |name: &str| config.policy(name).unwrap().clone();
    let best = |links: &[Link], policy: &PolicyConfig, family: Family| {
        let (order, sharing) = policy::best(links, policy, family);
        (names(&order), sharing)
    };
    let race = policy("fastest");
    assert_eq!(best(&links, &race, Family::Ipv4), (vec!["wan".into(), "wanb".into(), "lte".into()], 1));
    assert_eq!(best(&links, &race, Family::Ipv6), (vec!["wan".into(), "lte".into()], 1), "wanb has no IPv6");
    assert_eq!(best(&links, &policy("spread"), Family::Ipv4).1, 2, "the metered link takes no share");
    links[0].metric = 20;
    links[1].metric = 10;
    assert_eq!(best(&links, &race, Family::Ipv4).0, ["wanb", "wan", "lte"]);
    let mut failover = race.clone();
    failover.mode = config::Mode::Failover;
    assert_eq!(best(&links, &failover, Family::Ipv4).1, 1);
    links[0].metric = 10;
    assert_eq!(best(&links, &failover, Family::Ipv4).1, 2, "an equal metric is shared by weight");
    links[0].up = false;
    links[1].up = false;
    assert_eq!(best(&links, &race, Family::Ipv4), (vec!["lte".into()], 1));
    links[2].up = false;
    assert_eq!(best(&links, &race, Family::Ipv4), (vec![], 0));
}

#[test]
fn policies_become_chains() {
    let (config, mut links) = sample();
    let text = |links: &[Link]| ruleset(&Plan::example(&config, links)).fresh();
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
    let bound = ["ip6 saddr { 2001:db8:1::/56 } goto link_1", "ip6 saddr 2000::/3 drop"];
    assert_eq!(chain(&all, "policy_1"), [bound[0], bound[1], shares, "meta nfproto ipv6 goto link_1"]);
    assert_eq!(chain(&all, "policy_2"), ["reject with icmpx type no-route"]);
    links.iter_mut().for_each(|link| link.up = false);
    let none = text(&links);
    assert_eq!(chain(&none, "policy_0"), [global, "meta nfproto ipv4 return", "meta nfproto ipv6 return"]);
    assert_eq!(chain(&none, "policy_1"), [bound[1], "meta nfproto ipv4 drop", "meta nfproto ipv6 drop"]);
}

#[test]
fn rules_end_with_the_first_policy_and_global_addresses_keep_their_link() {
    let (config, mut links) = sample();
    let text = |links: &[Link]| ruleset(&Plan::example(&config, links)).fresh();
    let all = text(&links);
    let rules = chain(&all, "rules");
    assert_eq!((rules.len(), rules.last()), (5, Some(&"goto policy_0")));
    assert_eq!(chain(&all, "global"), ["ip6 saddr { 2001:db8:1::/56 } goto link_1", "return"]);
    links[0].up = false;
    let told = "ip6 saddr { 2001:db8:1::/56 } reject with icmpx type no-route";
    assert_eq!(chain(&text(&links), "global"), [told, "return"]);
    links[2].delegated = links[0].delegated.clone();
    assert_eq!(chain(&text(&links), "global"), ["ip6 saddr { 2001:db8:1::/56 } goto link_3", told, "return"]);
    links.iter_mut().for_each(|link| link.up = false);
    assert_eq!(chain(&text(&links), "global"), ["return"], "there is no other");
}

#[test]
fn the_routers_own_global_address_is_its_links() {
    let (mut config, mut links) = sample();
    config.main.local_traffic = true;
    links[2].ipv6 =
        Link::example(9).ipv6.map(|side| Side { address: [0x2001, 0xdb8, 9, 0, 0, 0, 0, 9].into(), ..side });
    let all = ruleset(&Plan::example(&config, &links)).fresh();
    let of_third = "ip6 saddr { 2001:db8:9::9/128 } goto link_3";
    assert_eq!(chain(&all, "policy_1")[..2], ["ip6 saddr { 2001:db8:1::/56 } goto link_1", of_third]);
}

#[test]
fn a_device_that_is_unknown_or_shared_stands_in_no_set_twice() {
    let (config, mut links) = sample();
    links[1].device = links[0].device.clone();
    links[2].device.clear();
    let plan = Plan::example(&config, &links);
    let all = ruleset(&plan).fresh();
    assert!(all.contains("elements = { \"wan1\" }\n"), "{all}");
    assert_eq!(chain(&all, "save").last(), Some(&"oifname vmap { \"wan1\" : jump save_1 }"));
}

#[test]
fn an_update_keeps_what_the_kernel_learned() {
    let (config, links) = sample();
    let plan = Plan::example(&config, &links);
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
    let plan = Plan { queueing: Queueing::Xtables, ..Plan::example(&config, &links) };
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
    // What a kernel without IPsec has no word for is not said.
    assert_eq!(chain(&text, "queues")[0], "rt ipsec exists goto plain");
    assert!(!ruleset(&Plan { ipsec: false, ..plan }).fresh().contains("ipsec"));
    // Targets that no policy wants any more go with their chains.
    assert!(native.after(&rules).contains("delete chain inet cheaproute queue_1\n"));
}

#[test]
fn a_sticky_policy_asks_who_it_is_before_it_deals() {
    let text = SAMPLE.replace("option mode 'weighted'", "option mode 'weighted'\n\toption sticky '10m'");
    let (config, _) = config::read(text).unwrap();
    let mut links = links(&config);
    let old = ruleset(&Plan::example(&config, &links));
    let all = old.fresh();
    let ask = |link: u8, ip: &str, four: u8| format!("{ip} saddr @sticky_1_{link}_{four} goto stick_1_{link}");
    let shares = "meta nfproto ipv4 numgen random mod 4 vmap { 0-0 : goto stick_1_1, 1-3 : goto stick_1_2 }";
    assert_eq!(
        chain(&all, "policy_1"),
        [
            "ip6 saddr { 2001:db8:1::/56 } goto link_1",
            "ip6 saddr 2000::/3 drop",
            &ask(1, "ip", 4),
            &ask(2, "ip", 4),
            shares,
            &ask(1, "ip6", 6),
            "meta nfproto ipv6 goto stick_1_1",
        ],
        "the metered link keeps nobody"
    );
    assert_eq!(
        chain(&all, "stick_1_2")[..3],
        [
            "delete @sticky_1_1_4 { ip saddr }",
            "delete @sticky_1_3_4 { ip saddr }",
            "update @sticky_1_2_4 { ip saddr timeout 600s }",
        ]
    );
    assert_eq!(chain(&all, "stick_1_2").last(), Some(&"goto link_2"));
    assert!(!chain(&all, "policy_0").iter().any(|rule| rule.contains("stick")));
    // What is known stays known, until its policy or link is another.
    links[1].up = false;
    assert!(!ruleset(&Plan::example(&config, &links)).after(&old).contains("delete set"));
    links[1].name = "other".into();
    assert!(ruleset(&Plan::example(&config, &links)).after(&old).contains("delete set inet cheaproute sticky_1_2_4\n"));
}

#[test]
fn packets_of_links_that_are_well_pay_nothing_for_others() {
    let text = SAMPLE.replace("config link 'wan'\n", "config link 'wan'\n\toption on_up 'return'\n");
    let (config, _) = config::read(text + "config policy 'first'\n\toption mode 'failover'\n").unwrap();
    let links = links(&config);
    let plan = Plan::example(&config, &links);
    let text = |plan: &Plan| ruleset(plan).fresh();
    let known = |all: &str| {
        chain(all, "classify").iter().filter(|rule| rule.contains("accept") && rule.contains("ct mark")).count()
    };
    let all = text(&plan);
    assert_eq!(known(&all), 1, "wan; of the others, some may go back to it");
    let [mark, reset] = ["ct mark & 0x10000000 == 0x10000000", "reject with tcp reset"];
    for number in [2, 3] {
        let rule = chain(&all, &format!("moved_{number}"))[0];
        assert!(rule.starts_with(&format!("{mark} tcp flags & rst == 0")) && rule.ends_with(reset), "{rule}");
    }
    // A link that wants connections back, but has no IPv6, gets IPv4's.
    let mut four = links.clone();
    four[0].ipv6 = None;
    let all = text(&Plan::example(&config, &four));
    assert!(chain(&all, "moved_3")[0].starts_with(&format!("meta nfproto ipv4 {mark}")));
    // A link that is down, but was never up, is left alone.
    let mut links = links.clone();
    links[0].up = false;
    let plan = Plan { links: &links, ..plan };
    assert_eq!(known(&text(&plan)), 3);
    let lost = [LinkSet::only(links[0].id); 2];
    let all = text(&Plan { lost, ..plan });
    assert_eq!(known(&all), 2);
    assert_eq!(chain(&all, "save").last(), Some(&"oifname vmap { \"wan2\" : jump save_2, \"wan3\" : jump save_3 }"));
    assert!(!chain(&all, "local").iter().any(|rule| rule.contains("moved")), "the router's own are its own affair");
    assert!(
        chain(&all, "moved_1")[0].starts_with("tcp flags & rst == 0") && chain(&all, "moved_1")[0].ends_with(reset)
    );
}

#[test]
fn what_others_rules_lead_away_is_not_steered() {
    let (mut config, links) = sample();
    config.main.local_traffic = true;
    let new = |plan: &Plan| {
        let all = ruleset(plan).fresh();
        let rules = |name| chain(&all, name).iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>();
        (rules("new"), rules("asked"))
    };
    let plan = Plan::example(&config, &links);
    let (before, own) = new(&plan);
    let mut foreign =
        Foreign { marks: vec![(Family::Ipv4, 1, 3)], others: [false, true], defaults: vec!["usb0".into()] };
    let (rules, asked) = new(&Plan { foreign: Some(&foreign), ..plan });
    let devices = r#"{ "usb0", "wan1", "wan2", "wan3" }"#;
    let added = [
        "meta nfproto ipv4 meta mark & 0x00000003 == 0x00000001 return".to_owned(),
        format!("meta nfproto ipv6 fib daddr . mark oif exists fib daddr . mark oifname != {devices} return"),
    ];
    let at = before.len() - 1;
    assert_eq!(rules, [&before[..at], &added, &before[at..]].concat());
    let at = own.len() - 1;
    assert_eq!(asked, [&own[..at], &[format!("oifname != {devices} return")], &own[at..]].concat());
    // An empty set is no set.
    foreign.defaults.clear();
    let none = new(&Plan { foreign: Some(&foreign), links: &[], ..plan });
    assert!(![none.0, none.1].concat().iter().any(|rule| rule.contains("oifname")));
}

/// Two modems of one make: each packet of the router's own by the main one met the rule of the other.
#[test]
fn an_address_that_two_links_have_asks_for_none() {
    let (config, mut links) = sample();
    links[1].ipv4 = links[0].ipv4;
    let all = ruleset(&Plan::example(&config, &links)).fresh();
    let asked = chain(&all, "asked").join("\n");
    assert!(!asked.contains("saddr 203.0.113.1 ") && asked.contains("saddr 203.0.113.3 "), "{asked}");
}

#[test]
fn the_routers_own_programs_get_the_link_that_they_ask_for() {
    let (mut config, mut links) = sample();
    links.truncate(2);
    links[0].main = [true, true];
    let asked = |config: &Config| {
        let all = ruleset(&Plan::example(config, &links)).fresh();
        assert_eq!(chain(&all, "local").last(), Some(&"goto asked"));
        chain(&all, "asked")[4..].iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>()
    };
    let by_address = [
        "ip saddr 203.0.113.1 oifname != \"wan1\" oifname @links goto link_1",
        "ip6 saddr 2001:db8:1:1::1 oifname != \"wan1\" oifname @links goto link_1",
        "ip saddr 203.0.113.2 oifname != \"wan2\" oifname @links goto link_2",
    ];
    config.main.local_traffic = false;
    assert_eq!(asked(&config), by_address);
    // Steered as a whole, what goes to a link that the main table does not lead to was told to.
    config.main.local_traffic = true;
    let tunnels = [
        "meta l4proto != { tcp, udp, 1 } ip saddr 203.0.113.1 goto link_1",
        "meta l4proto != { tcp, udp, 58 } ip6 saddr 2001:db8:1:1::1 goto link_1",
        "meta l4proto != { tcp, udp, 1 } ip saddr 203.0.113.2 goto link_2",
    ];
    let mut wanted: Vec<&str> = tunnels.into_iter().zip(by_address).flat_map(|(a, b)| [a, b]).collect();
    wanted.extend(["meta nfproto ipv4 oifname \"wan2\" goto link_2", "goto rules"]);
    assert_eq!(asked(&config), wanted);
}
