use super::*;
use crate::config;
use crate::link::{Link, LinkSet};
use crate::steer::ruleset;
use crate::steer::why::{Facts, Question, Way, why};
use crate::time::Time;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

fn config() -> config::Config {
    let text = format!(
        "config link a\nconfig link b\nconfig policy fastest\nconfig policy all\noption mode aggregate\noption peer vps\n\
         option last_resort unreachable\nconfig rule r\noption policy all\nlist dest_ip 198.51.100.0/24\n\
         config peer vps\noption private_key {KEY}\noption public_key {OTHER}\noption endpoint a:1\nlist address 10.74.20.2/24\n"
    );
    config::read(text).unwrap_or_else(|faults| panic!("{faults:#?}")).0
}

/// Two links, and the peer as number 15.
fn links(up: bool) -> Vec<Link> {
    let peer = Link { name: "vps".into(), device: "bond0".into(), ipv6: None, up, ..Link::example(15) };
    let named = |number, name: &str| Link { name: name.into(), ..Link::example(number) };
    vec![named(1, "a"), named(2, "b"), peer]
}

fn tunnel(routes: &[&str]) -> Tunnel {
    Tunnel {
        name: "vps".into(),
        device: "bond0".into(),
        index: 7,
        up: true,
        mtu: 1400,
        way: LinkId::new(15),
        routes: routes.iter().map(|route| route.parse().unwrap()).collect(),
        masquerade: Vec::new(),
    }
}

fn server() -> Tunnel {
    let prefixes: Vec<Prefix> = ["10.9.0.0/24", "fd09::/64"].iter().map(|prefix| prefix.parse().unwrap()).collect();
    let (name, device) = ("site".into(), "bond1".into());
    Tunnel { name, device, index: 8, way: None, routes: prefixes.clone(), masquerade: prefixes, ..tunnel(&[]) }
}

fn plan<'a>(config: &'a config::Config, links: &'a [Link], tunnels: &'a [Tunnel]) -> Plan<'a> {
    Plan { tunnels, ..Plan::example(config, links) }
}

/// The rules of a chain.
fn chain(plan: &Plan, name: &str) -> Vec<String> {
    let text = ruleset(plan).fresh();
    let lines = text.lines().skip_while(|line| *line != format!("\tchain {name} {{")).skip(1);
    lines.take_while(|line| *line != "\t}").map(|line| line.trim().to_owned()).collect()
}

#[test]
fn an_aggregating_policy_takes_the_peer_while_it_is_up() {
    let config = config();
    let tunnels = [tunnel(&[])];
    for (up, last) in
        [(true, "meta nfproto ipv4 goto link_15"), (false, "meta nfproto ipv4 reject with icmpx type no-route")]
    {
        let links = links(up);
        let rules = chain(&plan(&config, &links, &tunnels), "policy_1");
        assert!(rules.contains(&last.to_owned()), "{rules:?}");
        assert!(
            rules.contains(&"meta nfproto ipv6 reject with icmpx type no-route".to_owned()),
            "no address: {rules:?}"
        );
    }
    let links = links(true);
    let plan = plan(&config, &links, &tunnels);
    assert!(chain(&plan, "policy_0").iter().all(|rule| !rule.contains("link_15")), "others race over links");
    let text = ruleset(&plan).fresh();
    assert!(text.contains("elements = { \"eth1\", \"eth2\" }"), "no copy leaves by the peer: {text}");
    assert!(chain(&plan, "answers").iter().all(|rule| !rule.contains("bond0")));
    assert!(chain(&plan, "classify").contains(&"iifname \"bond0\" accept".to_owned()));
    assert!(chain(&plan, "save").iter().any(|rule| rule.contains("\"bond0\" : jump save_15")));
}

#[test]
fn connections_of_a_lost_peer_begin_anew() {
    let (config, links, tunnels) = (config(), links(false), [tunnel(&[])]);
    let lost = [LinkSet::only(LinkId::new(15).unwrap()); 2];
    let plan = Plan { lost, ..plan(&config, &links, &tunnels) };
    assert!(chain(&plan, "moved_15").iter().any(|rule| rule.contains("reject with tcp reset")));
}

#[test]
fn routes_come_before_policies_the_longest_first() {
    let (config, links) = (config(), links(true));
    let tunnels = [tunnel(&["0.0.0.0/0", "192.0.2.0/24", "198.51.100.0/24", "::/0", "203.0.113.7"])];
    let rules = chain(&plan(&config, &links, &tunnels), "new");
    let at = rules.iter().position(|rule| rule == "ip6 daddr @ipv6_direct return").unwrap();
    assert_eq!(
        rules[at + 1..],
        [
            "ip daddr { 203.0.113.7/32 } goto link_15",
            "ip daddr { 192.0.2.0/24, 198.51.100.0/24 } goto link_15",
            "meta nfproto ipv4 goto link_15",
            "goto rules"
        ]
    );
    let down = [Tunnel { up: false, ..tunnels[0].clone() }];
    let rules = chain(&plan(&config, &links, &down), "new");
    assert_eq!(rules.last().map(String::as_str), Some("goto rules"));
    assert!(!rules.iter().any(|rule| rule.contains("link_15")), "{rules:?}");
}

#[test]
fn who_asks_for_a_links_address_leaves_by_that_link_in_spite_of_routes() {
    let (config, links) = (config(), links(true));
    let tunnels = [tunnel(&["0.0.0.0/0"])];
    let asked = chain(&plan(&config, &links, &tunnels), "asked");
    for number in 1..=2 {
        assert!(
            asked.iter().any(|rule| rule.ends_with(&format!("oifname \"bond0\" goto link_{number}"))),
            "{asked:#?}"
        );
    }
    assert!(!asked.iter().any(|rule| rule.ends_with("oifname \"bond0\" goto link_15")), "{asked:#?}");
    let none = chain(&plan(&config, &links, &[tunnel(&[])]), "asked");
    assert!(!none.iter().any(|rule| rule.contains("oifname \"bond0\"")), "{none:#?}");
}

#[test]
fn the_table_has_the_routes_of_all() {
    let (config, links) = (config(), links(true));
    let tunnels = [tunnel(&["0.0.0.0/0", "::/0"]), server()];
    let plan_ = plan(&config, &links, &tunnels);
    let shown = |ipv4| -> Vec<String> {
        let routes = routes(&plan_, ipv4);
        routes.iter().map(|route| format!("{}/{} {}", route.destination.0, route.destination.1, route.device)).collect()
    };
    assert_eq!(shown(Family::Ipv4), ["0.0.0.0/0 7", "10.9.0.0/24 8"]);
    assert_eq!(shown(Family::Ipv6), ["fd09::/64 8"], "the peer has no IPv6 address");
    let rules: Vec<String> = rules(&plan_, Family::Ipv4).iter().map(ToString::to_string).collect();
    assert_eq!(rules, ["pref 4050 lookup 254 suppress_prefixlength 0", "pref 4051 lookup 4051"]);
    assert_eq!(super::rules(&plan(&config, &links, &[tunnel(&[])]), Family::Ipv4), []);
}

#[test]
fn sizes_fit_and_clients_are_masqueraded() {
    let (config, links) = (config(), links(true));
    let tunnels = [tunnel(&[]), server()];
    let plan_ = plan(&config, &links, &tunnels);
    let mss = chain(&plan_, "mss");
    let syn = "tcp flags & (syn | rst) == syn tcp option maxseg size set";
    assert_eq!(
        mss[1..4],
        [
            format!("oifname \"bond0\" {syn} rt mtu"),
            format!("iifname \"bond0\" meta nfproto ipv4 {syn} 1360"),
            format!("iifname \"bond0\" meta nfproto ipv6 {syn} 1340"),
        ]
    );
    assert_eq!(
        chain(&plan_, "from_clients")[1..],
        [
            "ip saddr { 10.9.0.0/24 } oifname != \"bond1\" masquerade",
            "ip6 saddr { fd09::/64 } oifname != \"bond1\" masquerade"
        ]
    );
    let text = ruleset(&plan(&config, &links[..2], &[])).fresh();
    assert!(!text.contains("chain mss") && !text.contains("masquerade"), "nobody pays who has no peer");
}

#[test]
fn the_routers_own_connections_have_the_devices_address() {
    let (mut config, links) = (config(), links(true));
    let tunnels = [tunnel(&[])];
    assert!(!ruleset(&plan(&config, &links, &tunnels)).fresh().contains("masquerade"), "they are not steered");
    config.main.local_traffic = true;
    let address = links[2].ipv4.unwrap().address;
    assert_eq!(
        chain(&plan(&config, &links, &tunnels), "from_clients")[1..],
        [format!("oifname \"bond0\" ip saddr != {address} fib saddr type local masquerade")]
    );
    config.policies.retain(|policy| policy.mode != config::Mode::Aggregate);
    assert!(!ruleset(&plan(&config, &links, &tunnels)).fresh().contains("masquerade"), "nothing leads there");
}

#[test]
fn why_tells_of_peers() {
    let (config, up) = (config(), links(true));
    let asked = |links: &[Link], tunnels: &[Tunnel], to: &str, own: bool| {
        let question = Question {
            to: to.parse().unwrap(),
            protocol: 6,
            port: Some(443),
            from: None,
            from_port: None,
            device: None,
            own,
        };
        let facts = Facts {
            plan: plan(&config, links, tunnels),
            now: Time(0),
            own: &[],
            memory: None,
            state: &|_| "down: silent".into(),
            in_set: &mut |_| None,
        };
        let why = why(&question, facts);
        (why.way, why.reasons.join("; "))
    };
    let peer = || Way::Links(vec![(LinkId::new(15).unwrap(), 100)]);
    let (way, reasons) = asked(&up, &[tunnel(&[])], "198.51.100.9", false);
    assert_eq!(way, peer());
    assert!(reasons.ends_with("policy 'all' aggregates: it takes peer vps by bond0"), "{reasons}");
    let (way, reasons) = asked(&links(false), &[tunnel(&[])], "198.51.100.9", false);
    assert_eq!(way, Way::Refused);
    assert!(reasons.contains("peer vps is down: silent"), "{reasons}");
    for own in [false, true] {
        let (way, reasons) = asked(&up, &[tunnel(&["0.0.0.0/0"])], "192.0.2.1", own);
        assert_eq!(
            (way, reasons.as_str()),
            (peer(), "route 0.0.0.0/0 of peer vps leads there, before all policies: by bond0")
        );
    }
    assert_eq!(asked(&up, &[tunnel(&["0.0.0.0/0"])], "224.0.0.1", false).0, Way::Main);
    assert_eq!(asked(&up, &[tunnel(&["10.0.0.0/8"])], "192.0.2.1", true).0, Way::Main);
}
