//! What the table says of an option, and what becomes of it.

use super::*;
use crate::config::options::Kind;
use crate::family::Family;

#[test]
fn defaults_are_those_of_the_table() {
    let config = good(LINKS);
    let main = Main {
        enabled: true,
        log_level: log::LevelFilter::Info,
        mark_mask: Marks::default(),
        local_traffic: false,
        translate_ipv6: false,
        lan_device: vec![],
        race_ports_udp: vec![PortRange::only(53), PortRange::only(443)],
        hook: "/etc/cheaproute.user".into(),
    };
    let link = |name: &str| LinkConfig {
        name: name.into(),
        attach: Attach::Interface(name.into()),
        prefix: vec![],
        weight: 1,
        metric: 0,
        metered: false,
        handicap: Span::ZERO,
        on_down: OnDown::Reset,
        on_up: OnUp::Keep,
        probe: vec![],
        interval: Span::from_millis(300),
        timeout: Span::from_secs(1),
        down: 3,
        up: 3,
        reliability: 1,
        loss_limits: None,
        latency_limits: None,
    };
    let policy = |name: &str| PolicyConfig {
        name: name.into(),
        mode: Mode::Race,
        link: vec!["wan".into(), "wanb".into()],
        peer: None,
        remember: Span::ZERO,
        tie: Span::from_millis(2),
        sticky: Span::ZERO,
        last_resort: LastResort::Default,
    };
    let links = vec![link("wan"), link("wanb")];
    assert_eq!(
        config,
        Config { main, links, policies: vec![policy("fastest")], rules: vec![], splits: vec![], peers: vec![] }
    );

    let rule = RuleConfig {
        name: "@rule[0]".into(),
        family: None,
        proto: vec![],
        src_ip: vec![],
        dest_ip: vec![],
        src_port: vec![],
        dest_port: vec![],
        src_device: None,
        nftset: None,
        policy: "own".into(),
    };
    let config = good(&format!("{LINKS}config policy own\nconfig rule\noption policy own"));
    assert_eq!((config.policies, config.rules), (vec![policy("own")], vec![rule]));
}

#[test]
fn every_option_arrives() {
    let config = good(
        "config cheaproute main\noption enabled no\noption log_level trace\noption mark_mask 0xFC0\noption local_traffic on
        option translate_ipv6 1
        list lan_device br-lan\nlist lan_device br-guest\noption race_ports_udp '53, 8000-8100'
        config link a\noption interface wwan\noption weight 3\noption metric 9\noption metered 1\noption handicap 20ms
        option on_down flush\noption on_up return
        list probe icmp:1.1.1.1\nlist probe tcp:[2001:db8::1]:443\noption interval 500ms\noption timeout 2\noption down 5
        option up 6\noption reliability 2\nlist prefix 2001:db8::1/56\noption loss_down 20\noption loss_up 5\noption latency_down 400ms
        config link b\noption device eth1\noption gateway 192.0.2.1\noption gateway6 fe80::1
        config policy p\noption mode race\nlist link b\nlist link a\noption remember 10m\noption tie 5ms
        option last_resort blackhole
        config policy q\noption mode failover\noption sticky 10m
        config rule r\noption family ipv4\noption proto 'tcp udp'\nlist src_ip 10.0.0.0/8\nlist dest_ip 192.0.2.7
        option src_port 1-5\noption dest_port '80 443'\noption src_device br-lan\noption nftset x\noption policy p",
    );
    let main = &config.main;
    assert!(!main.enabled && main.local_traffic && main.translate_ipv6 && main.log_level == log::LevelFilter::Trace);
    assert_eq!((main.mark_mask.mask(), main.lan_device.len()), (0xFC0, 2));
    assert_eq!(main.race_ports_udp, [PortRange::only(53), PortRange { first: 8000, last: 8100 }]);
    let a = &config.links[0];
    assert_eq!((&a.attach, a.weight, a.metric, a.metered), (&Attach::Interface("wwan".into()), 3, 9, true));
    assert_eq!((a.handicap.as_millis(), a.interval.as_millis(), a.timeout.as_secs()), (20, 500, 2));
    assert_eq!((a.on_down, a.on_up, config.policies[1].sticky.as_secs()), (OnDown::Flush, OnUp::Return, 600));
    assert_eq!((a.down, a.up, a.reliability, a.probe.len()), (5, 6, 2, 2));
    assert_eq!(a.loss_limits, Some((20, 5)));
    assert_eq!(a.latency_limits, Some((Span::from_millis(400), Span::from_millis(320))));
    assert_eq!(a.prefix[0].to_string(), "2001:db8::/56");
    let (gateway, gateway6) = ("192.0.2.1".parse().ok(), "fe80::1".parse().ok());
    assert_eq!(config.links[1].attach, Attach::Device { device: "eth1".into(), gateway, gateway6 });
    let p = &config.policies[0];
    assert_eq!((p.remember.as_secs(), p.tie.as_millis(), p.last_resort), (600, 5, LastResort::Blackhole));
    assert_eq!(p.link, ["b", "a"]);
    let r = &config.rules[0];
    assert_eq!((r.family, r.proto.as_slice()), (Some(Family::Ipv4), [Protocol::Tcp, Protocol::Udp].as_slice()));
    assert_eq!((r.src_ip.len(), r.dest_ip.len(), r.src_port.len(), r.dest_port.len()), (1, 1, 1, 2));
    assert_eq!((r.src_device.as_deref(), r.policy.as_str()), (Some("br-lan"), "p"));
    assert_eq!(r.nftset.as_ref().map(NftSet::to_string).as_deref(), Some("x"));
    assert!(config.link("b").is_some());
    assert!(config.link("c").is_none() && config.policy("p").is_some() && config.policy("s").is_none());
}

#[test]
fn every_word_of_the_table_has_a_meaning() {
    let every = options::Kind::ALL.into_iter().flat_map(|kind| kind.options().map(move |spec| (kind, spec)));
    for (kind, spec) in every {
        let options::Shape::OneOf(words) = spec.shape else { continue };
        let mut seen = Vec::new();
        for word in words {
            let section = match kind {
                Kind::Main => "config cheaproute main",
                Kind::Link => "config link wan",
                Kind::Policy => "config policy p",
                Kind::Rule => "config rule r\noption policy p",
                Kind::Split => "config split s\noption primary 10.0.0.1:1\noption secondary 10.0.1.1:1",
                Kind::Peer => {
                    "config peer v\noption private_key_file /k\noption listen_port 1\noption link wan\n\
                     option public_key AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\noption endpoint a:1\n\
                     option remote_mac 02:00:00:00:00:01"
                }
                Kind::Client => continue,
            };
            let peer = "config peer w\noption private_key_file /k\noption public_key AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\
                        option endpoint a:1";
            let section = if *word == "aggregate" { &format!("{peer}\n{section}\noption peer w") } else { section };
            let text = format!("{LINKS}config policy p\n{section}\noption {} {word}", spec.name);
            let config = read(&text).unwrap().0;
            assert!(!seen.contains(&config), "{} {word}", spec.name);
            seen.push(config);
        }
    }
}
