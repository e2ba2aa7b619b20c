//! The views as a terminal shows them.

use super::render;
use crate::control::{Form, Value};

fn map(entries: Vec<(&'static str, Value)>) -> Value {
    Value::Map(entries)
}

fn shown(name: &str, document: &Value, width: u16) -> String {
    let text = render(name, document, Form { json: false, width, color: false });
    for line in text.lines() {
        assert!(width == 0 || line.chars().count() <= usize::from(width), "wraps: {line}");
        assert_eq!(line, line.trim_end(), "ends in blanks");
    }
    format!("\n{text}")
}

fn status() -> Value {
    map(vec![
        ("version", "0.1.0".into()),
        ("pid", 1234u32.into()),
        ("uptime_s", 270_000u32.into()),
        ("config", "/etc/config/cheaproute".into()),
        ("config_error", Value::Null),
        ("queueing", "nft".into()),
        ("local_traffic", false.into()),
        ("mark_mask", "0x3f000000".into()),
        ("resident_bytes", 2_200_000u32.into()),
        ("links_up", 2u32.into()),
        ("links_total", 3u32.into()),
        (
            "races",
            map(vec![
                ("in_flight", 2u32.into()),
                ("capacity", 1024u32.into()),
                ("started", 152_300u32.into()),
                ("repeats", 310u32.into()),
                ("won", 151_900u32.into()),
                ("refused", 120u32.into()),
                ("silent", 80u32.into()),
                ("fell_back", 12u32.into()),
                ("passed_full", 1u32.into()),
                ("passed_fast_open", 2u32.into()),
                ("passed_no_link", 0u32.into()),
                ("passed_other", 12u32.into()),
                ("resets", 151_000u32.into()),
            ]),
        ),
        ("memory_entries", 310u32.into()),
    ])
}

#[test]
fn status_at_a_glance() {
    let expected = "
cheaproute 0.1.0, running for 3 d, pid 1234
  links      2 of 3 up
  races      152k started, 151k won, 120 refused, 80 unanswered, 12 fell back
             2 of 1024 in flight, 310 repeated, 151k resets to losers
  not raced  15, 1 table full, 2 fast open, 12 other
  memory     2.0 MB resident, 310 destinations remembered
  queueing   by nft, mark mask 0x3f000000, the router's own traffic is not raced
  config     /etc/config/cheaproute
";
    assert_eq!(shown("status", &status(), 80), expected);
}

#[test]
fn status_tells_of_a_refused_configuration() {
    let Value::Map(mut entries) = status() else { return };
    for (key, value) in &mut entries {
        if *key == "config_error" {
            *value = vec!["cheaproute:12: link 'wan': option 'weight': must be 1 to 1000".into()].into();
        }
    }
    let text = shown("status", &map(entries), 80);
    let expected = "  config     /etc/config/cheaproute
             not in use: 1 fault; what was there before still runs
             cheaproute:12: link 'wan': option 'weight': must be 1 to 1000
";
    assert!(text.ends_with(expected), "{text}");
}

fn link(name: &str, state: &str, entries: Vec<(&'static str, Value)>) -> Value {
    let mut all = vec![("name", name.into()), ("state", state.into())];
    all.extend(entries);
    map(all)
}

fn links() -> Value {
    let wan = vec![
        ("device", "eth1".into()),
        ("reason", "".into()),
        ("since_s", 270_000u32.into()),
        ("used", true.into()),
        ("ipv4", "203.0.113.7".into()),
        ("gateway", "203.0.113.1".into()),
        ("ipv6", "2001:db8:1234:5678:9abc:def0:1234:5678".into()),
        ("gateway6", "fe80::1".into()),
        ("mtu", 1492u32.into()),
        ("weight", 1u32.into()),
        ("metric", 0u32.into()),
        ("metered", false.into()),
        ("handicap_us", 0u32.into()),
        ("rtt_us", 21_300u32.into()),
        ("jitter_us", 1_240u32.into()),
        ("loss_permille", 0u32.into()),
        ("last_answer_s", 1u32.into()),
        (
            "races",
            map(vec![
                ("copies", 12_300u32.into()),
                ("answers", 12_000u32.into()),
                ("won", 7_700u32.into()),
                ("silent", 0u32.into()),
            ]),
        ),
        ("rx_bytes", 123_400_000_000u64.into()),
        ("tx_bytes", 9_876_000u64.into()),
    ];
    let lte = vec![
        ("device", "wwan0".into()),
        ("reason", "3 probes without answer".into()),
        ("since_s", 12u32.into()),
        ("used", false.into()),
        ("ipv4", Value::Null),
        ("mtu", 1500u32.into()),
        ("metered", true.into()),
        ("handicap_us", 5_000u32.into()),
        ("rtt_us", Value::Null),
        ("jitter_us", Value::Null),
        ("loss_permille", 1000u32.into()),
        ("last_answer_s", 15u32.into()),
        ("races", map(vec![("copies", 4u32.into()), ("won", 0u32.into()), ("silent", 4u32.into())])),
        ("rx_bytes", 0u32.into()),
        ("tx_bytes", 512u32.into()),
    ];
    map(vec![("links", vec![link("wan", "up", wan), link("lte", "down", lte)].into())])
}

#[test]
fn links_and_what_is_special_about_them() {
    let expected = "
LINK  STATE  SINCE  DEVICE      RTT  JITTER     LOSS   WON      RX      TX
wan   up       3 d  eth1    21.3 ms  1.2 ms    0.0 %  62 %  123 GB  9.8 MB
  203.0.113.7 via 203.0.113.1,
  2001:db8:1234:5678:9abc:def0:1234:5678 via fe80::1, mtu 1492,
  won 7700 of 12.3k races
lte   down    12 s  wwan0         -       -  100.0 %   0 %     0 B   512 B
  3 probes without answer, metered, handicap 5.0 ms, won 0 of 4 races,
  silent in 4, last answer 15 s ago
";
    assert_eq!(shown("links", &links(), 75), expected);
    let narrow = shown("links", &links(), 68);
    assert!(narrow.contains("  TX\n") && !narrow.contains("JITTER"), "{narrow}");
    assert!(shown("links", &links(), 20).lines().count() > 5);
    let none = map(vec![("links", vec![].into())]);
    assert!(shown("links", &none, 80).contains("no links"));
}

#[test]
fn colours_mark_states() {
    let text = render("links", &links(), Form { json: false, width: 80, color: true });
    assert!(text.contains("\x1b[32mup\x1b[0m") && text.contains("\x1b[31mdown\x1b[0m"), "{text}");
    assert!(text.contains("\x1b[33mmetered\x1b[0m"), "{text}");
}

fn race(age_ms: u32, server: &str, outcome: &str, link: Option<&str>, answers: &[(&str, u32)]) -> Value {
    let answers = answers.iter().map(|(link, us)| map(vec![("link", (*link).into()), ("us", (*us).into())]));
    map(vec![
        ("age_ms", age_ms.into()),
        ("protocol", "tcp".into()),
        ("client", "192.168.1.7:51234".into()),
        ("server", server.into()),
        ("outcome", outcome.into()),
        ("link", link.into()),
        ("copies", 2u32.into()),
        ("answers", Value::List(answers.collect())),
    ])
}

fn races() -> Vec<Value> {
    vec![
        race(12_345, "93.184.216.34:443", "won", Some("wan"), &[("wan", 21_300), ("wanb", 60_200)]),
        race(65_000, "1.1.1.1:853", "won", Some("wan"), &[("wanb", 9_000), ("wan", 9_600)]),
        race(125_000, "10.9.8.7:22", "refused", Some("wan"), &[("wan", 5_000)]),
        race(126_000, "10.9.8.7:23", "no answer", None, &[]),
        race(127_000, "10.9.8.7:24", "running", None, &[]),
        race(128_000, "10.9.8.7:25", "fell back", None, &[("wan", 5_000)]),
    ]
}

#[test]
fn races_tell_who_won_and_by_how_much() {
    let document = map(vec![("races", races().into())]);
    let wide = "
 12 s ago  tcp 192.168.1.7:51234 -> 93.184.216.34:443  wan 21.3 ms, wanb +38.9 ms  won by wan
 65 s ago  tcp 192.168.1.7:51234 -> 1.1.1.1:853        wan 9.6 ms, wanb -0.6 ms    won by wan
2 min ago  tcp 192.168.1.7:51234 -> 10.9.8.7:22        wan 5.0 ms                  refused by wan
2 min ago  tcp 192.168.1.7:51234 -> 10.9.8.7:23                                    no answer to 2 copies
2 min ago  tcp 192.168.1.7:51234 -> 10.9.8.7:24                                    running
2 min ago  tcp 192.168.1.7:51234 -> 10.9.8.7:25        wan 5.0 ms                  fell back
";
    assert_eq!(shown("races", &document, 0), wide);
    let narrow = "
 12 s  tcp 192.168.1.7 -> 93.184.216.34:443  wan 21.3 ms, wanb +38.9 ms
 65 s  tcp 192.168.1.7 -> 1.1.1.1:853        wan 9.6 ms, wanb -0.6 ms
2 min  tcp 192.168.1.7 -> 10.9.8.7:22        refused by wan
2 min  tcp 192.168.1.7 -> 10.9.8.7:23        no answer to 2 copies
2 min  tcp 192.168.1.7 -> 10.9.8.7:24        running
2 min  tcp 192.168.1.7 -> 10.9.8.7:25        fell back
";
    assert_eq!(shown("races", &document, 80), narrow);
    let mut ping = race(9_000, "192.0.2.1", "running", None, &[]);
    let Value::Map(fields) = &mut ping else { unreachable!() };
    fields.iter_mut().filter(|(key, _)| *key == "protocol").for_each(|(_, value)| *value = "icmp".into());
    let both = shown("races", &map(vec![("races", vec![ping, races().remove(0)].into())]), 0);
    assert!(both.contains("icmp 192.168.1.7") && both.contains("tcp  192.168.1.7"), "{both}");
}

#[test]
fn long_addresses_take_two_lines() {
    let server = "[2001:db8:1234:5678:9abc:def0:1234:5678]:443";
    let race = race(12_345, server, "won", Some("wan"), &[("wan", 21_300), ("wanb", 60_200)]);
    let document = map(vec![("races", vec![race].into())]);
    let expected = "
12 s ago  tcp  [2001:db8:1234:5678:9abc:def0:1234:5678]:443
          from 192.168.1.7:51234, wan 21.3 ms, wanb +38.9 ms, won by wan
";
    assert_eq!(shown("races", &document, 80), expected);
    assert_eq!(
        shown("races", &map(vec![]), 80),
        "\nno races yet (a race takes two links that are up and not metered)\n"
    );
}

#[test]
fn why_wraps_its_reasons() {
    let link = map(vec![("name", "wanb".into()), ("mark", "0x02000000".into()), ("table", 4002u32.into())]);
    let reasons = ["rule 'voip' matches: proto udp, dest_port 5060: policy 'spread'".into(), "so be it".into()];
    let answer = |way: &'static str, links: Vec<Value>| {
        map(vec![
            ("to", "192.0.2.1".into()),
            ("protocol", "udp".into()),
            ("port", 5060u32.into()),
            ("from", "192.168.1.7".into()),
            ("device", "br-lan".into()),
            ("way", way.into()),
            ("links", links.into()),
            ("route", if way == "main" { "dev tun0" } else { "" }.into()),
            ("reasons", Value::List(reasons.to_vec())),
        ])
    };
    let document = map(vec![("answers", vec![answer("link", vec![link]), answer("main", vec![])].into())]);
    let expected = "
udp to 192.0.2.1 port 5060, from 192.168.1.7 by br-lan
  takes  wanb
  why    rule 'voip' matches: proto udp, dest_port 5060:
         policy 'spread'
         so be it
         wanb: mark 0x02000000, routing table 4002

udp to 192.0.2.1 port 5060, from 192.168.1.7 by br-lan
  takes  the router's own route: dev tun0
  why    rule 'voip' matches: proto udp, dest_port 5060:
         policy 'spread'
         so be it
";
    assert_eq!(shown("why", &document, 60), expected);
    assert!(shown("why", &document, 12).lines().count() > 20);
}

#[test]
fn memory_tells_the_fastest_and_by_how_much() {
    let link = |name: &str, us: u32| map(vec![("link", name.into()), ("rtt_us", us.into())]);
    let entry = |to: &str, port: u16, age: Option<u32>, links: Vec<Value>| {
        let fastest = links.first().map(|link| link.text("link").to_owned());
        map(vec![
            ("destination", to.into()),
            ("protocol", "tcp".into()),
            ("port", port.into()),
            ("link", fastest.into()),
            ("age_s", age.into()),
            ("links", links.into()),
        ])
    };
    let entries = vec![
        entry("93.184.216.0/24", 443, Some(12), vec![link("wan", 21_300), link("wanb", 60_200)]),
        entry("2001:db8:1::/48", 0, None, vec![]),
    ];
    let document = map(vec![("total", 12u32.into()), ("memory", entries.into())]);
    let expected = "
DESTINATION                 RACED  LINK  ROUND TRIPS
93.184.216.0/24 tcp/443  12 s ago  wan   21.3 ms, wanb +38.9 ms
2001:db8:1::/48 tcp      in doubt  -     -
and 10 more
";
    assert_eq!(shown("memory", &document, 80), expected);
    assert!(!shown("memory", &document, 55).contains("ago"));
    assert_eq!(shown("memory", &map(vec![]), 80), "\nnothing remembered yet\n");
}

#[test]
fn policies_tell_who_takes_what() {
    let share = |name: &str, percent: Option<u32>| map(vec![("link", name.into()), ("percent", percent.into())]);
    let policy = |name: &str, mode: &str, ipv4: Vec<Value>, ipv6: Vec<Value>| {
        map(vec![
            ("name", name.into()),
            ("mode", mode.into()),
            ("ipv4", ipv4.into()),
            ("ipv6", ipv6.into()),
            ("last_resort", "unreachable".into()),
            ("reserve", if name == "bulk" { vec![map(vec![("link", "lte".into())])] } else { vec![] }.into()),
        ])
    };
    let policies = vec![
        policy("none", "failover", vec![], vec![]),
        policy("fastest", "race", vec![share("wan", None), share("wanb", None)], vec![share("wan", Some(100))]),
        policy("bulk", "weighted", vec![share("wanb", Some(75)), share("wan", Some(25))], vec![]),
        policy("never", "blackhole", vec![], vec![]),
    ];
    let expected = "
none     failover
         IPv4  no link is up, refused
         IPv6  no link is up, refused
fastest  race
         IPv4  wan, wanb
         IPv6  wan 100 %
bulk     weighted
         IPv4  wanb 75 %, wan 25 %
         IPv6  no link that is up has IPv6, refused
         lte: metered, left out
never    blackhole, drops all
";
    assert_eq!(shown("policies", &map(vec![("policies", policies.into())]), 80), expected);
}

#[test]
fn events_are_a_log() {
    let event = |age: u32, kind: &str, link: &str, device: &str, reason: &str| {
        map(vec![
            ("age_s", age.into()),
            ("event", kind.into()),
            ("link", link.into()),
            ("device", device.into()),
            ("reason", reason.into()),
        ])
    };
    let events = vec![
        event(5, "link.up", "wan", "eth1", "targets answer again"),
        event(65, "link.down", "wan", "eth1", "no carrier"),
        event(300, "reload", "", "", ""),
    ];
    let expected = "
  5 s ago  link.up    wan (eth1)  targets answer again
 65 s ago  link.down  wan (eth1)  no carrier
5 min ago  reload
";
    assert_eq!(shown("events", &map(vec![("events", events.into())]), 80), expected);
    assert_eq!(shown("events", &map(vec![]), 80), "\nnothing happened yet\n");
}

#[test]
fn a_probe_tells_who_answered() {
    let target = |name: &str, answered: Option<bool>, rtt: Option<u32>, loss: Option<u32>| {
        map(vec![
            ("target", name.into()),
            ("answered", answered.into()),
            ("rtt_us", rtt.into()),
            ("loss_permille", loss.into()),
        ])
    };
    let targets = vec![
        target("icmp:1.1.1.1", Some(true), Some(21_300), Some(0)),
        target("tcp:9.9.9.9:443", Some(false), None, Some(1000)),
    ];
    let document = map(vec![
        ("link", "wan".into()),
        ("state", "up".into()),
        ("reason", "answers came".into()),
        ("targets", targets.into()),
    ]);
    let expected = "
wan is up: answers came
  icmp:1.1.1.1       21.3 ms    0.0 % lost
  tcp:9.9.9.9:443  no answer  100.0 % lost
";
    assert_eq!(shown("probe", &document, 80), expected);
}

#[test]
fn other_documents_are_listed() {
    let item = map(vec![("name", "a".into()), ("on", true.into())]);
    let document = map(vec![("peers", vec![item, 7u32.into()].into()), ("total", Value::Null)]);
    assert_eq!(shown("others", &document, 80), "\npeers\n  -\n    name  a\n    on    yes\n  - 7\ntotal  -\n");
    assert_eq!(shown("reload", &"reloaded".into(), 80), "\nreloaded\n");
}

fn path(name: &str, state: &str, rtt: u32) -> Value {
    map(vec![
        ("name", name.into()),
        ("state", state.into()),
        ("rtt_us", (state == "up").then_some(rtt).into()),
        ("loss_permille", 4u32.into()),
        ("down_bps", 43_000_000u32.into()),
        ("up_bps", Value::Null),
        ("rx_bytes", 1_200_000u32.into()),
        ("tx_bytes", 300u32.into()),
        ("queue_us", (state == "up").then_some(4_200u32).into()),
        ("retransmitted", 1_234u32.into()),
        ("reordered", 5u32.into()),
    ])
}

fn peers() -> Value {
    let home = map(vec![
        ("name", "home".into()),
        ("state", "up".into()),
        ("since_s", 300u32.into()),
        ("rx_bytes", 5u32.into()),
        ("tx_bytes", 6u32.into()),
        ("paths", vec![path("0", "up", 30_000)].into()),
    ]);
    let peer = |name: &str, role: &str, state: &str, more: Vec<(&'static str, Value)>| {
        let mut entries = vec![
            ("name", name.into()),
            ("role", role.into()),
            ("device", "bond0".into()),
            ("scheduler", "adaptive".into()),
            ("addresses", vec!["10.74.20.2/24".into()].into()),
            ("mtu", 1400u32.into()),
            ("state", state.into()),
            ("since_s", 12u32.into()),
            ("rx_bytes", 2_000_000u32.into()),
            ("tx_bytes", 700u32.into()),
        ];
        entries.extend(more);
        map(entries)
    };
    let vps = vec![
        ("reason", "answers came".into()),
        ("endpoint", "192.0.2.1:7420".into()),
        ("handshake_s", 55u32.into()),
        ("repaired", 12u32.into()),
        ("dropped", 3u32.into()),
        ("queue", 0u32.into()),
        ("paths", vec![path("wan", "up", 21_300), path("lte", "down", 0)].into()),
    ];
    let site = vec![("clients_up", 1u32.into()), ("clients_total", 3u32.into()), ("clients", vec![home].into())];
    map(vec![("peers", vec![peer("vps", "client", "up", vps), peer("site", "server", "down", site)].into())])
}

#[test]
fn peers_with_paths_and_clients() {
    let expected = "
PEER    STATE  SINCE      RTT   QUEUE   LOSS         DOWN  UP      RX     TX  RESENT  REORDERED
vps     up      12 s                                           2.0 MB  700 B
  answers came, client on bond0, scheduler adaptive, 10.74.20.2/24, mtu 1400,
  endpoint 192.0.2.1:7420, keys of 55 s ago, 12 repaired, 3 dropped
  wan   up            21.3 ms  4.2 ms  0.4 %  43.0 Mbit/s   -  1.2 MB  300 B    1234          5
  lte   down                -       -  0.4 %  43.0 Mbit/s   -  1.2 MB  300 B    1234          5
site    down    12 s                                           2.0 MB  700 B
  server on bond0, 1 of 3 clients there, 2 more not shown, scheduler adaptive, 10.74.20.2/24,
  mtu 1400
  home  up     5 min                                              5 B    6 B
    0   up            30.0 ms  4.2 ms  0.4 %  43.0 Mbit/s   -  1.2 MB  300 B    1234          5
";
    assert_eq!(shown("peers", &peers(), 100), expected);
    shown("peers", &peers(), 40);
    assert_eq!(
        shown("peers", &map(vec![("peers", vec![].into())]), 80),
        "\nno peers: the configuration has none that is enabled\n"
    );
}
