use super::*;
use crate::config::{Config, Fault, Mode, read};

const KEYS: [&str; 3] = [
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
    "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
];

/// Nobody's.
const OTHER: &str = "ZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGQ=";

/// Lines 1 and 2 are two links.
const LINKS: &str = "config link wan\nconfig link wanb\n";

fn client(more: &str) -> String {
    let [private, public, _] = KEYS;
    format!(
        "{LINKS}config peer vps\noption private_key {private}\noption public_key {public}\nlist endpoint vps.example.net:7420\n\
         list address 10.9.0.2/24\n{more}\n"
    )
}

fn server(more: &str) -> String {
    format!(
        "config peer vps\noption role server\noption private_key_file /k\noption listen_port 7420\nlist address 10.9.0.1/24\n{more}\n"
    )
}

fn good(text: &str) -> Config {
    let (config, warnings) = read(text).unwrap_or_else(|faults| panic!("{text}\n{faults:#?}"));
    assert_eq!(warnings, [], "{text}");
    config
}

/// What is said about a file, faults and warnings alike.
fn said(text: &str) -> Vec<String> {
    let faults = read(text).map_or_else(|faults| faults, |(_, warnings)| warnings);
    faults.iter().map(|fault| fault.in_file("f").to_string()).collect()
}

#[test]
fn a_client_of_few_words() {
    let config = good(&client(""));
    let [peer] = &config.peers[..] else { panic!("{:?}", config.peers) };
    assert_eq!((peer.role, peer.scheduler, &*peer.device), (Role::Client, Scheduler::Adaptive, "bond0"));
    assert_eq!(peer.endpoint, [Endpoint::Name("vps.example.net".into(), 7420)]);
    assert_eq!(peer.transport, Transport::Udp { links: vec![] });
    assert_eq!(peer.address[0].to_string(), "10.9.0.2/24");
    assert_eq!(peer.remotes.len(), 1);
    assert_eq!((&*peer.remotes[0].name, peer.remotes[0].allowed_ips.len()), ("vps", 0));
    assert_eq!(peer.private_key, PrivateKey::Here(Key(core::array::from_fn(|at| at as u8))));
    assert_eq!((peer.latency_limit, peer.keepalive), (Span::from_millis(150), Span::from_secs(10)));
    assert_eq!((peer.repair, peer.masquerade, peer.mtu, peer.metered_limit), (true, false, None, None));
}

#[test]
fn every_option_arrives() {
    let more = "option preshared_key xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\noption device tun7\nlist link wanb\nlist link wan
        list endpoint '[2001:db8::1]:1' \nlist endpoint 192.0.2.1:2\noption listen_port 99\nlist route 0.0.0.0/0\noption mtu 1400
        option scheduler redundant\noption latency_limit 80ms\noption repair 0\noption keepalive 0\noption metered_limit 2mbit
        config policy all\noption mode aggregate\noption peer vps";
    let config = good(&client(more));
    let peer = &config.peers[0];
    assert_eq!(peer.transport, Transport::Udp { links: vec!["wanb".into(), "wan".into()] });
    assert_eq!(
        peer.endpoint[1..].iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["[2001:db8::1]:1", "192.0.2.1:2"]
    );
    assert_eq!((&*peer.device, peer.listen_port, peer.route[0].to_string().as_str()), ("tun7", 99, "0.0.0.0/0"));
    assert_eq!(
        (peer.mtu, peer.scheduler, peer.latency_limit),
        (Some(1400), Scheduler::Redundant, Span::from_millis(80))
    );
    assert_eq!((peer.repair, peer.keepalive, peer.metered_limit), (false, Span::ZERO, Some(2_000_000)));
    assert!(peer.remotes[0].preshared_key.is_some());
    assert_eq!((config.policies[0].mode, &config.policies[0].link), (Mode::Aggregate, &vec!["vps".to_owned()]));
}

#[test]
fn a_server_needs_no_link_and_has_many_clients() {
    let [_, b, c] = KEYS;
    let config = good(&server(&format!(
        "option public_key {OTHER}\noption masquerade 1\n\
         config client home\noption peer vps\noption public_key {b}\nlist allowed_ips '10.9.0.3 192.168.1.0/24'\n\
         config client gone\noption peer vps\noption public_key {c}\noption enabled 0\nlist allowed_ips 10.9.0.3"
    )));
    let remotes = &config.peers[0].remotes;
    let names: Vec<&str> = remotes.iter().map(|remote| &*remote.name).collect();
    assert_eq!(names, ["vps", "home"]);
    assert_eq!(remotes[0].allowed_ips[0].to_string(), "10.9.0.0/24");
    assert_eq!(remotes[1].allowed_ips.len(), 2);
    assert!(config.peers[0].masquerade && config.links.is_empty());
}

#[test]
fn the_example_for_a_vps_can_be_used() {
    let text = include_str!("../../files/cheaproute.vps.config");
    let used = |text: &str| {
        let (config, warnings) = read(text).expect(text);
        let warned: Vec<String> = warnings.iter().map(Fault::to_string).collect();
        assert_eq!(
            warned,
            ["line 9: warning: peer 'home': option 'public_key': is the example's: it takes the other end's"]
        );
        config.peers[0].remotes.len()
    };
    assert_eq!(used(text), 1);
    let all: String = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')).unwrap_or(line).to_owned() + "\n")
        .collect();
    assert_eq!(used(&all), 2);
}

#[test]
fn two_hosts_on_the_same_wires() {
    let [private, public, _] = KEYS;
    let config = good(&format!(
        "config peer other\noption private_key {private}\noption public_key {public}\noption transport ethernet\n\
         option link 'eth1.7 eth2'\nlist remote_mac 02:00:00:00:00:0a\nlist remote_mac 02:00:00:00:00:0B\n\
         list address 10.0.0.1/30"
    ));
    let Transport::Ethernet { wires } = &config.peers[0].transport else { panic!("{:?}", config.peers) };
    let wires: Vec<String> = wires
        .iter()
        .map(|wire| format!("{} {}", wire.local, wire.remote.map_or(String::new(), |mac| mac.to_string())))
        .collect();
    assert_eq!(wires, ["eth1.7 02:00:00:00:00:0a", "eth2 02:00:00:00:00:0b"]);
}

#[test]
fn what_does_not_fit_is_said() {
    let [a, b, c] = KEYS;
    let two = |more: &str| {
        client(&format!("config peer two\noption private_key {a}\noption public_key {b}\noption endpoint a:1\n{more}"))
    };
    let no_public = LINKS.to_owned()
        + "config peer vps\noption private_key_file /k\noption address 10.0.0.1/8\noption endpoint a:1";
    let ethernet = |more: &str| {
        format!(
            "config peer e\noption private_key_file /k\noption public_key {b}\noption address 10.0.0.1/8\noption transport ethernet\n{more}"
        )
    };
    let mut wrong = Vec::new();
    for (text, message) in [
        (no_public, "f:3: peer 'vps': option 'public_key' is missing"),
        (
            LINKS.to_owned() + &format!("config peer vps\noption public_key {b}\noption address 10.0.0.1/8\noption endpoint a:1"),
            "f:3: peer 'vps': option 'private_key' is missing: 'cheaproute genkey'",
        ),
        (client("option private_key_file /x"), "f:8: peer 'vps': option 'private_key_file': cannot stand beside"),
        (
            client("").replace(KEYS[1], &crate::bond::keys::Secret::new(core::array::from_fn(|at| at as u8)).public().to_string()),
            "f:5: peer 'vps': option 'public_key': is this end's own",
        ),
        (client("option listen_port 0"), "f:8: peer 'vps': option 'listen_port': must be a whole number from 1"),
        (client("option preshared_key x"), "f:8: peer 'vps': option 'preshared_key': must be a key of 44 characters"),
        (client(&format!("option preshared_key {a}")), "f:8: peer 'vps': option 'preshared_key': must be a key of its own"),
        (client("list link wann"), "f:8: peer 'vps': option 'link': there is no link 'wann'; did you mean 'wan'?"),
        (client("list link wan\nlist link wan"), "f:9: peer 'vps': option 'link': names 'wan' twice"),
        (client("option masquerade 1"), "f:8: warning: peer 'vps': option 'masquerade': has no effect with role client"),
        (client("list remote_mac 02:00:00:00:00:01"), "f:8: warning: peer 'vps': option 'remote_mac': has no effect"),
        (client("list endpoint 300.1.1.1:1"), "f:8: peer 'vps': option 'endpoint': must be a host and its port"),
        (client("option metered_limit 1"), "f:8: peer 'vps': option 'metered_limit': must be a rate from"),
        (client("config peer wan\noption private_key_file /k\noption public_key x"), "f:8:13: section 'wan' is already a 'link'"),
        (two("option address 10.9.0.9/16"), "f:12: peer 'two': option 'address': 10.9.0.9/16 overlaps an address of peer 'vps'"),
        (two("option address 10.8.0.1/24\noption device bond0").replace("list address 10.9.0.2/24", "list address 10.9.0.2/24 \noption device bond0"), "f:14: peer 'two': option 'device': 'bond0' is already"),
        (two("option enabled 0"), ""),
        (two(""), "f:8: warning: peer 'two': has no 'address'"),
        (server(""), "f:1: warning: peer 'vps': has no client"),
        (server("option allowed_ips 10.0.0.0/8\nconfig client c\noption peer vps\noption allowed_ips 10.1.1.1\noption public_key ").trim_end().to_owned() + " " + b,
            "f:6: peer 'vps': option 'allowed_ips': needs 'public_key'"),
        (server(&format!("option public_key {OTHER}\noption endpoint a:1")), "f:7: warning: peer 'vps': option 'endpoint': has no effect"),
        (server(&format!("option public_key {OTHER}\noption metered_limit 1mbit")), "f:7: warning: peer 'vps': option 'metered_limit': has no effect"),
        (server(&format!("option public_key {OTHER}\nconfig client c\noption peer vpn\noption public_key {b}\noption allowed_ips 10.9.0.7")),
            "f:8: client 'c': option 'peer': there is no peer 'vpn'; did you mean 'vps'?"),
        (server(&format!("option public_key {OTHER}\nconfig client c\noption peer vps\noption public_key {OTHER}\noption allowed_ips 10.9.0.7")),
            "f:9: client 'c': option 'public_key': is already that of client 'vps'"),
        (server(&format!("option public_key {OTHER}\nconfig client c\noption peer vps\noption public_key {b}\noption allowed_ips 10.9.0.0/24")),
            "f:10: client 'c': option 'allowed_ips': 10.9.0.0/24 is already that of client 'vps'"),
        (client(&format!("config client c\noption peer vps\noption public_key {c}\noption allowed_ips 10.9.0.7")),
            "f:9: client 'c': option 'peer': 'vps' is of role client"),
        (ethernet(""), "f:1: peer 'e': option 'link' is missing"),
        (ethernet("option link eth1"), "f:1: peer 'e': option 'remote_mac' is missing"),
        (ethernet("option link 'eth1 eth2'\nlist remote_mac 02:00:00:00:00:01"),
            "f:7: peer 'e': option 'remote_mac': must be one for each 'link', in the same order: there are 1 and 2"),
        (ethernet("option link eth1\nlist remote_mac 01:00:5e:00:00:01"), "f:7: peer 'e': option 'remote_mac': must be a station's"),
        (client("config policy p\noption mode aggregate"), "f:8: policy 'p': option 'peer' is missing"),
        (client("config policy p\noption mode aggregate\noption peer vpx"), "f:10: policy 'p': option 'peer': there is no peer 'vpx'"),
        (client("config policy p\noption peer vps"), "f:9: warning: policy 'p': option 'peer': has no effect in this policy's mode"),
        (client("config policy p\noption mode aggregate\noption peer vps\nlist link wan"), "f:11: warning: policy 'p': option 'link': has no"),
        (server(&format!("option public_key {OTHER}\nconfig policy p\noption mode aggregate\noption peer vps")),
            "f:9: policy 'p': option 'peer': 'vps' is of role server"),
    ] {
        let said = said(&text);
        let first = said.first().map_or("", String::as_str);
        if !first.starts_with(message) || (said.len() == 1) == message.is_empty() {
            wrong.push(format!("{text}\n{message}\n{said:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A key that is not one may be most of one.
#[test]
fn no_fault_shows_a_key() {
    for bad in [KEYS[1].replace('+', "_"), KEYS[1].replace("Bmk=", "Bml="), KEYS[1][..43].to_owned(), KEYS[1].repeat(2)]
    {
        for option in ["private_key", "preshared_key", "public_key"] {
            let text = format!("{LINKS}config peer vps\noption {option} '{bad}'\n");
            let said = said(&text).join("\n");
            assert!(said.contains(option) && !said.contains("yAnz") && !said.contains("BgB3"), "{said}");
        }
    }
    let config = good(&client(""));
    assert!(!format!("{config:?}").contains("1, 2, 3"), "{config:?}");
    // Nor one that is, in the wrong place.
    for option in ["option private_key_file", "option mtu", "list endpoint", "list address", "list remote_mac"] {
        let text = format!("{LINKS}config peer vps\n{option} '{}'\n", KEYS[1]);
        let said = said(&text).join("\n");
        assert!(said.contains("(got a key)") && !said.contains("yAnz") && !said.contains("BgB3"), "{said}");
    }
}

#[test]
fn devices_are_named_in_the_order_of_the_file() {
    let [a, b, _] = KEYS;
    let peer = |name: &str, number: u8, more: &str| {
        format!(
            "config peer {name}\noption private_key {a}\noption public_key {b}\noption endpoint a:1\noption address 10.{number}.0.1/24\n{more}\n"
        )
    };
    let text = LINKS.to_owned()
        + &peer("one", 1, "")
        + &peer("two", 2, "option enabled 0")
        + &peer("three", 3, "option device bond2")
        + &peer("four", 4, "");
    let config = good(&text);
    let devices: Vec<&str> = config.peers.iter().map(|peer| &*peer.device).collect();
    assert_eq!(devices, ["bond0", "bond2", "bond3"]);
}

#[test]
fn too_many_are_told() {
    let [a, b, _] = KEYS;
    let peers: String = (0..14)
        .map(|number| {
            format!("config peer p{number}\noption private_key {a}\noption public_key {b}\noption endpoint a:1\noption address 10.{number}.0.1/24\n")
        })
        .collect();
    let all = said(&(LINKS.to_owned() + &peers));
    assert_eq!(all, ["f:68: peer 'p13': links and peers of role client can be 15 together; there are 16"]);
}

#[test]
fn values_there_and_back() {
    for (text, good) in [
        ("10.0.0.1/24", true),
        ("fd00::1/64", true),
        ("10.0.0.1", true),
        ("0.0.0.0/0", false),
        ("10.0.0.1/0", false),
        ("127.0.0.1/8", false),
        ("10.0.0.1/33", false),
        ("224.0.0.1/24", false),
    ] {
        assert_eq!(text.parse::<OwnAddress>().is_ok(), good, "{text}");
    }
    for (text, rate) in [
        ("500kbit", Some(500_000)),
        ("20mbit", Some(20_000_000)),
        ("1gbit", Some(1_000_000_000)),
        ("63kbit", None),
        ("20", None),
        ("20 mbit", None),
        ("-1mbit", None),
        ("", None),
        ("101gbit", None),
        ("99999999999999999999gbit", None),
    ] {
        assert_eq!(parse_rate(text), rate, "{text}");
    }
    for text in [
        "",
        ":1",
        "a:0",
        "a:65536",
        "a b:1",
        "2001:db8::1:7",
        "[10.0.0.1]:1",
        "-a:1",
        "a..b:1",
        "1.2.3:4",
        "[::]:1",
        "a:+1",
    ] {
        assert!(text.parse::<Endpoint>().is_err(), "{text}");
    }
    for text in [
        "",
        "02:00:00:00:00",
        "02:00:00:00:00:01:02",
        "2:0:0:0:0:1",
        "02-00-00-00-00-01",
        "00:00:00:00:00:00",
        "0g:00:00:00:00:01",
    ] {
        assert!(text.parse::<Mac>().is_err(), "{text}");
    }
}

/// The kernel would refuse the address, and the device would never come up.
#[test]
fn ipv6_takes_packets_of_1280_bytes() {
    let mtu = |mtu: u16, address: &str| said(&client(&format!("list address {address}\noption mtu {mtu}")));
    assert_eq!(
        mtu(1279, "fd74:20::2/64"),
        ["f:9: peer 'vps': option 'mtu': must be at least 1280 beside an IPv6 'address'"]
    );
    assert!(mtu(1280, "fd74:20::2/64").is_empty() && mtu(1279, "10.74.20.2/24").is_empty());
}
