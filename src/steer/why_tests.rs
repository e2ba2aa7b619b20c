//! What is decided and how it is said; whether it is true is the system test's question.

use super::*;
use crate::config::{self, Config};

const CONFIG: &str = "
config cheaproute 'main'
 list lan_device 'br-lan'
 list lan_device 'br-guest'
config link 'wan'
 option device 'eth1'
config link 'wanb'
 option device 'eth2'
 option weight '3'
config link 'lte'
 option device 'eth3'
 option metered '1'
config policy 'fastest'
 option remember '10m'
config policy 'spread'
 option mode 'weighted'
config policy 'wanb_only'
 option mode 'failover'
 list link 'wanb'
 option last_resort 'blackhole'
config policy 'no'
 option mode 'unreachable'
config rule 'voip'
 option policy 'wanb_only'
 list proto 'udp'
 list dest_port '5060'
config rule 'guests'
 option policy 'spread'
 option src_device 'br-guest'
config rule 'kid'
 option policy 'no'
 list src_ip '192.168.1.66'
config rule 'films'
 option policy 'spread'
 option nftset 'films'
";

fn question(to: &str) -> Question {
    let to = to.parse().unwrap();
    Question { to, protocol: TCP, port: Some(443), from: None, from_port: None, device: None, own: false }
}

fn links(config: &Config) -> Vec<Link> {
    let of = |(number, link): (u8, &config::LinkConfig)| Link {
        name: link.name.clone(),
        weight: link.weight,
        metered: link.metered,
        delegated: if number == 2 { vec![("2001:db8:2::".parse().unwrap(), 56)] } else { Vec::new() },
        ..Link::example(number)
    };
    (1..).zip(&config.links).map(of).collect()
}

fn ask(question: &Question, change: impl FnOnce(&mut Vec<Link>)) -> (Way, Vec<String>) {
    let (config, _) = config::read(CONFIG).unwrap();
    let mut links = links(&config);
    change(&mut links);
    let direct = ["10.0.0.0/8", "10.9.0.0/16"].map(|prefix| prefix.parse().unwrap());
    let plan = Plan { direct: &direct, ..Plan::example(&config, &links) };
    let facts = Facts {
        plan,
        now: Time(0),
        own: &["192.168.1.1".parse().unwrap()],
        memory: None,
        state: &|_| "down for 5 s: no carrier".into(),
        in_set: &mut |name| Some(name == "films4" && question.to.to_string() == "203.0.113.99"),
    };
    let why = why(question, facts);
    (why.way, why.reasons)
}

fn id(number: u8) -> LinkId {
    LinkId::new(number).unwrap()
}

#[test]
fn what_is_not_steered_says_why() {
    for (to, change, way, reason) in [
        ("192.168.1.1", "", Way::Here, "192.168.1.1 is the router's own address"),
        ("10.9.8.7", "", Way::Main, "10.9.0.0/16 is reached without the default route: never steered"),
        ("224.0.0.1", "", Way::Main, "224.0.0.1 is no single host's address: never steered"),
        ("192.0.2.1", "own", Way::Main, "the router's own connections are not steered: option local_traffic is off"),
        ("192.0.2.1", "eth2", Way::Main, "it comes in by link wanb: its answers go back through wanb"),
        ("192.0.2.1", "eth7", Way::Main, "it comes in by eth7, which is not in lan_device: not served"),
    ] {
        let device = change.starts_with("eth").then(|| change.into());
        let question = Question { own: change == "own", device, ..question(to) };
        assert_eq!(ask(&question, |_| ()), (way, vec![reason.to_owned()]));
    }
}

#[test]
fn rules_and_policies_say_what_they_looked_at() {
    let maybe =
        ["rule 'guests' may match: --device DEVICE would tell", "rule 'kid' may match: --from ADDRESS would tell"];
    let (way, reasons) = ask(&question("192.0.2.1"), |_| ());
    assert_eq!(way, Way::Race(vec![id(1), id(2)]));
    assert_eq!(reasons[..2], maybe);
    assert_eq!(
        reasons[2..],
        [
            "no rule matches: the first policy, 'fastest'",
            "link lte is metered: left out while others are up",
            "policy 'fastest' races wan, wanb: the first answer wins"
        ]
    );
    let (way, reasons) = ask(&question("203.0.113.99"), |_| ());
    assert_eq!(way, Way::Links(vec![(id(1), 25), (id(2), 75)]));
    assert_eq!(reasons[2], "rule 'films' matches: nftset films: policy 'spread'");
    assert_eq!(reasons[4], "policy 'spread' deals connections out by weight: wan 25 %, wanb 75 %");
    let sip = Question { protocol: UDP, port: Some(5060), ..question("192.0.2.1") };
    let (way, reasons) = ask(&sip, |_| ());
    assert_eq!(way, Way::Links(vec![(id(2), 100)]));
    assert_eq!(reasons[0], "rule 'voip' matches: proto udp, dest_port 5060: policy 'wanb_only'");
    let (way, reasons) = ask(&sip, |links| links[1].up = false);
    assert_eq!(way, Way::Dropped);
    assert_eq!(reasons[1], "link wanb is down for 5 s: no carrier");
    assert_eq!(reasons[2], "no link of policy 'wanb_only' can carry it; its last_resort: it is dropped");
    let kid = Question { from: Some("192.168.1.66".parse().unwrap()), ..question("192.0.2.1") };
    assert_eq!(ask(&Question { device: Some("br-lan".into()), ..kid }, |_| ()).0, Way::Refused);
    let ntp = Question { protocol: UDP, port: Some(123), ..question("192.0.2.1") };
    let (way, reasons) = ask(&ntp, |_| ());
    assert_eq!(way, Way::Links(vec![(id(1), 100)]));
    assert!(reasons.contains(&"udp port 123 is not raced: it is not in race_ports_udp".into()), "{reasons:?}");
}

#[test]
fn a_global_address_leaves_by_its_link() {
    let from = |from: &str| Question { from: Some(from.parse().unwrap()), ..question("2001:db8:51::1") };
    assert_eq!(ask(&from("2001:db8:2:1::5"), |_| ()).0, Way::Links(vec![(id(2), 100)]));
    assert_eq!(ask(&from("2001:db8:7::5"), |_| ()).0, Way::Main);
    assert_eq!(ask(&from("fd00::5"), |_| ()).0, Way::Race(vec![id(1), id(2)]));
    let (way, reasons) = ask(&from("2001:db8:2:1::5"), |links| links[1].up = false);
    assert_eq!(way, Way::Refused);
    let told = "2001:db8:2:1::5 is of 2001:db8:2::/56, which link wanb delegated, and that is not up: refused";
    assert_eq!(reasons.last().unwrap(), told);
    // A policy with a last resort knows its own links only.
    let bound = |address: &str| Question { protocol: UDP, port: Some(5060), ..from(address) };
    assert_eq!(ask(&bound("2001:db8:2:1::5"), |_| ()).0, Way::Links(vec![(id(2), 100)]));
    assert_eq!(ask(&bound("2001:db8:2:1::5"), |links| links[1].up = false).0, Way::Dropped);
    assert_eq!(ask(&bound("2001:db8:7::5"), |_| ()).0, Way::Dropped);
}

#[test]
fn a_tunnel_of_the_kernels_keeps_its_address() {
    let (mut config, _) = config::read(CONFIG).unwrap();
    config.main.local_traffic = true;
    let mut links = links(&config);
    links[0].main = [true; 2];
    let from = links[0].ipv4.map(|side| side.address.into());
    for (protocol, way) in [(41, Way::Links(vec![(id(1), 100)])), (TCP, Way::Race(vec![id(1), id(2)]))] {
        let question = Question { protocol, from, own: true, ..question("192.0.2.1") };
        let facts = Facts {
            plan: Plan::example(&config, &links),
            now: Time(0),
            own: &[],
            memory: None,
            state: &|_| String::new(),
            in_set: &mut |_| None,
        };
        assert_eq!(why(&question, facts).way, way);
    }
}
