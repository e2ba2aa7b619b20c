use proptest::prelude::*;

use crate::config::*;

#[path = "arrival_tests.rs"]
mod arrival;

const LINKS: &str = "config link wan\nconfig link wanb\n";

fn good(text: &str) -> Config {
    let (config, warnings) = read(text).unwrap_or_else(|faults| panic!("{text}\n{faults:#?}"));
    assert_eq!(warnings, [], "{text}");
    config
}

fn lines(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(|fault| fault.in_file("cheaproute").to_string()).collect()
}

/// Everything said about a file that cannot be used.
fn wrong(text: &str) -> Vec<String> {
    lines(&read(text).expect_err(text))
}

fn warned(text: &str) -> Vec<String> {
    lines(&read(text).unwrap_or_else(|faults| panic!("{text}\n{faults:#?}")).1)
}

/// The texts are pairs of what is appended to [`LINKS`], whose next line is 3, and the start of the only message.
fn each(cases: &[(&str, &str)], said: fn(&str) -> Vec<String>) {
    for (text, message) in cases {
        let said = said(&format!("{LINKS}{text}"));
        assert!(said.len() == 1 && said.iter().all(|said| said.starts_with(message)), "{text}\n{message}\n{said:#?}");
    }
}

#[test]
fn options_that_do_not_fit() {
    each(
        &[
            (
                "config link c\noption weight 0",
                "cheaproute:4: link 'c': option 'weight': must be a whole number from 1 to 1000 (got '0')",
            ),
            ("config policy p\noption sticky 5m", "cheaproute:4: policy 'p': option 'sticky': a race decides"),
            (
                "config link c\noption wieght 1",
                "cheaproute:4: link 'c': option 'wieght': is unknown; did you mean 'weight'?",
            ),
            (
                "config link c\noption foo 1",
                "cheaproute:4: link 'c': option 'foo': is unknown; a link has interface, device, ",
            ),
            ("config lnik c\noption x y", "cheaproute:3: unknown section type 'lnik'; did you mean 'link'?"),
            (
                "config interface wan",
                "cheaproute:3:18: section 'wan' is already a 'link' (line 1); 'interface' is mwan3's",
            ),
            (
                "config policy p\nlist use_member c",
                "cheaproute:4: policy 'p': option 'use_member': is unknown; did you mean 'list link'?",
            ),
            (
                "config link c\noption wieght ''",
                "cheaproute:4: link 'c': option 'wieght': is unknown; did you mean 'weight'?",
            ),
            ("config link c\noption weight='2'", "cheaproute:4:8: a name is of letters, digits and '_', with a blank"),
            (
                "config link c\nlist weight 1",
                "cheaproute:4: link 'c': option 'weight': takes one value: write option weight",
            ),
            (
                "config link c\nlist probe icmp:google.com",
                "cheaproute:4: link 'c': option 'probe': must be icmp:ADDRESS, tcp:ADDRESS:PORT, dns:ADDRESS or http:HOST/PATH, \
                 such as icmp:1.1.1.1 or http:connectivitycheck.gstatic.com/generate_204 (got 'icmp:google.com'); names \
                 only with http:",
            ),
            ("config link c\nlist prefix ' '", "cheaproute:4: link 'c': option 'prefix': has no value"),
            ("config link c\nlist probe 1.1.1.1", "cheaproute:4: link 'c': option 'probe': must be icmp:ADDRESS, "),
            (
                "config link c\noption device e\noption gateway ::1",
                "cheaproute:5: link 'c': option 'gateway': must be the IPv4",
            ),
            (
                "config link c\nlist prefix 2001:db8::/56\nlist prefix 10.0.0.0/8",
                "cheaproute:5: link 'c': option 'prefix'",
            ),
            ("config policy p\noption mode fast", "cheaproute:4: policy 'p': option 'mode': must be one of race, "),
            ("config rule r", "cheaproute:3: rule 'r': option 'policy' is missing"),
            ("config link", "cheaproute:3: link '@link[2]': a link needs a name"),
            ("config policy", "cheaproute:3: policy '@policy[0]': a policy needs a name"),
            ("config link 'a b'", "cheaproute:3: link 'a b': the section's name must be a name of up to 255"),
            ("config cheaproute", "cheaproute:3: cheaproute '@cheaproute[0]': the only section of this type is"),
            ("config cheaproute main\nconfig cheaproute x", "cheaproute:4: cheaproute 'x': the only section"),
            (
                "config cheaproute main\noption mark_mask 0xFF",
                "cheaproute:4: cheaproute 'main': option 'mark_mask': must be six",
            ),
            ("option", "cheaproute:3:7: option needs a name"),
            (
                "config link c\noption gateway6 192.0.2.1\noption device e",
                "cheaproute:4: link 'c': option 'gateway6': must be",
            ),
        ],
        wrong,
    );
}

#[test]
fn hints_name_the_way_out() {
    for (text, hint) in [
        ("config link c\nlist probe 1.1.1.1", "did you mean 'icmp:1.1.1.1'?"),
        ("config link c\noption device e\noption gateway 2001:db8::1", "goes into 'gateway6'"),
        ("config policy p\noption mode wieghted", "did you mean 'weighted'?"),
        ("config policy p\nlist link wann", "did you mean 'wan'?"),
        ("config policy p\nlist link modem", "the file has 'wan', 'wanb'"),
        ("config rule r\noption policy fastset", "the file has no policy"),
    ] {
        let said = wrong(&format!("{LINKS}{text}"));
        assert!(said.len() == 1 && said[0].ends_with(hint), "{said:?}");
    }
}

#[test]
fn sections_that_do_not_fit_together() {
    each(
        &[
            (
                "config link c\noption interface wan",
                "cheaproute:4: link 'c': option 'interface': 'wan' is already that of link",
            ),
            (
                "config link c\noption device e\nconfig link d\noption device e\nconfig link f\noption enabled 0\noption device e",
                "cheaproute:6: link 'd': option 'device': 'e' is already that of link 'c'",
            ),
            (
                "config link c\noption device e\noption interface i",
                "cheaproute:4: link 'c': option 'device': cannot stand beside",
            ),
            ("config link c\noption gateway 192.0.2.1", "cheaproute:4: link 'c': option 'gateway': needs 'device'"),
            (
                "config link c\nlist probe icmp:1.1.1.1\noption reliability 2",
                "cheaproute:5: link 'c': option 'reliability': must",
            ),
            (
                "config link c\nlist probe icmp:1.1.1.1\noption loss_down 20\noption loss_up 30",
                "cheaproute:6: link 'c': option 'loss_up': must not exceed 'loss_down'",
            ),
            (
                "config link c\noption probe 'icmp:1.1.1.1 icmp:1.1.1.2 icmp:1.1.1.3 icmp:1.1.1.4 icmp:1.1.1.5 icmp:1.1.1.6 \
                 icmp:1.1.1.7 icmp:1.1.1.8 icmp:1.1.1.9'",
                "cheaproute:4: link 'c': option 'probe': takes at most 8 values (got 9)",
            ),
            (
                "config link c\nlist prefix 2001:db8::/48\nconfig link d\nlist prefix 2001:db8:0:1::/64",
                "cheaproute:6: link 'd': option 'prefix': 2001:db8:0:1::/64 overlaps a prefix of link 'c'",
            ),
            (
                "config link c\noption device e\nconfig cheaproute main\nlist lan_device a\nlist lan_device e",
                "cheaproute:7: cheaproute 'main': option 'lan_device': 'e' is the device of link 'c'",
            ),
            (
                "config policy p\nlist link wan\nlist link x",
                "cheaproute:5: policy 'p': option 'link': there is no link 'x'",
            ),
            (
                "config policy p\nlist link wan\nlist link wan",
                "cheaproute:5: policy 'p': option 'link': names 'wan' twice",
            ),
            (
                "config policy p\nconfig rule\noption policy q",
                "cheaproute:5: rule '@rule[0]': option 'policy': there is no policy",
            ),
            (
                "config rule r\noption policy fastest\noption dest_port 80",
                "cheaproute:5: rule 'r': option 'dest_port': only TCP",
            ),
            (
                "config rule r\noption policy fastest\noption proto 'tcp all'",
                "cheaproute:5: rule 'r': option 'proto': 'all'",
            ),
            (
                "config rule r\noption policy fastest\noption family ipv6\noption src_ip 10.0.0.1",
                "cheaproute:6: rule 'r': option 'src_ip': 10.0.0.1/32 is not of the rule's 'family'",
            ),
            (
                "config rule r\noption policy fastest\noption dest_ip ::1\noption src_ip 10.0.0.1",
                "cheaproute:5: rule 'r': option 'dest_ip': matches nothing",
            ),
        ],
        wrong,
    );
    assert_eq!(wrong("").len(), 1);
    assert_eq!(wrong("config link wan\noption enabled 0").len(), 1);
    assert!(wrong("")[0].starts_with("cheaproute: there is no link: add config link 'wan'"));
}

#[test]
fn numbers_of_sections_are_bounded() {
    let many = |kind: &str, count: usize, body: &str| -> String {
        (0..count).map(|n| format!("config {kind} {kind}{n}\n{body}")).collect()
    };
    assert_eq!(good(&many("link", 15, "")).links.len(), 15);
    assert_eq!(
        wrong(&many("link", 17, "")),
        ["cheaproute:16: link 'link15': at most 15 links can be enabled; there are 17"]
    );
    assert_eq!(good(&(LINKS.to_owned() + &many("policy", 15, ""))).policies.len(), 15);
    assert_eq!(wrong(&(LINKS.to_owned() + &many("policy", 16, ""))).len(), 1);
    assert_eq!(good(&(LINKS.to_owned() + &many("policy", 40, "option mode weighted\n"))).policies.len(), 40);
    let rule = "option policy fastest\noption proto tcp\n";
    assert_eq!(good(&(LINKS.to_owned() + &many("rule", MAX_RULES, rule))).rules.len(), MAX_RULES);
    assert_eq!(wrong(&(LINKS.to_owned() + &many("rule", MAX_RULES + 2, rule))).len(), 1);
    let values = "10.0.0.1 ".repeat(MAX_RULES + 1);
    assert_eq!(wrong(&format!("{LINKS}config rule r\noption policy fastest\noption src_ip '{values}'")).len(), 1);
    assert!(wrong(&"x\n".repeat(100_000)).len() <= 501);
}

#[test]
fn a_byte_order_mark_is_one_fault() {
    let utf_16: Vec<u8> = "\u{feff}config link wan\n".repeat(9).encode_utf16().flat_map(u16::to_le_bytes).collect();
    for text in [b"\xef\xbb\xbfconfig link wan\n", &utf_16[..]] {
        let said = lines(&read(text).expect_err("a mark"));
        assert_eq!(said, ["cheaproute: begins with a byte order mark: save it as UTF-8 without one"]);
    }
}

#[test]
fn warnings() {
    each(
        &[
            ("config globals c", "cheaproute:3: warning: unknown section type 'globals'; 'globals' is mwan3's: see"),
            (
                "config policy p\noption mode failover\noption sticky 1",
                "cheaproute:5: warning: policy 'p': option 'sticky': is a time, here of one second: write 600s, say",
            ),
            ("config tunnel c", "cheaproute:3: warning: unknown section type 'tunnel'; there are cheaproute, link, "),
            (
                "config link c\noption loss_down 20",
                "cheaproute:4: warning: link 'c': option 'loss_down': has no effect without 'probe'",
            ),
            (
                "config link c\nlist probe icmp:1.1.1.1\noption latency_up 20ms",
                "cheaproute:5: warning: link 'c': option 'latency_up': has no effect without 'latency_down'",
            ),
            (
                "config link c\nlist probe icmp:1.1.1.1\noption latency_down 1s",
                "cheaproute:5: warning: link 'c': option 'latency_down': has no effect: after 'timeout' (1s) a probe is lost",
            ),
            ("config link a-b", "cheaproute:3: warning: link 'a-b': the uci command and LuCI refuse a '-'"),
            (
                "config policy p\noption mode failover\noption tie 1ms",
                "cheaproute:5: warning: policy 'p': option 'tie': has no effect in this policy's mode",
            ),
            (
                "config link c\noption enabled 0\nconfig policy p\noption link c",
                "cheaproute:6: warning: policy 'p': option 'link': all of its links are disabled",
            ),
            (
                "config link c\noption enabled 0\nconfig policy p\nlist link c\noption last_resort unreachable",
                "cheaproute:6: warning: policy 'p': option 'link': all of its links are disabled",
            ),
            (
                "config rule\noption policy fastest\nconfig rule r\noption policy fastest\noption proto udp",
                "cheaproute:3: warning: rule '@rule[0]': matches every connection: 'r' and later rules never do",
            ),
        ],
        warned,
    );
}

/// How often probes are sent unless the file says.
#[test]
fn the_interval_follows_what_a_probe_costs() {
    for (options, millis) in [
        ("", 300),
        ("list probe icmp:1.1.1.1\nlist probe dns:1.1.1.1", 300),
        ("list probe icmp:1.1.1.1\nlist probe http:a.example", 5_000),
        ("list probe icmp:1.1.1.1\noption metered 1", 10_000),
        ("list probe http:a.example\noption metered 1\noption interval 1s", 1_000),
    ] {
        let config = good(&format!("config link c\n{options}"));
        assert_eq!(config.links[0].interval.as_millis(), millis, "{options}");
    }
}

#[test]
fn what_is_disabled_is_left_out() {
    let text = format!(
        "{LINKS}config link c\noption enabled 0\noption interface wan\nconfig policy p\noption link 'c wanb'\nconfig policy b
        option mode blackhole\nconfig rule a\noption enabled 0\noption policy p\nconfig rule\noption policy b"
    );
    let config = good(&text);
    assert_eq!(config.links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["wan", "wanb"]);
    assert_eq!((&config.policies[0].link, &config.policies[1].link), (&vec!["wanb".to_string()], &vec![]));
    assert_eq!(config.rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["@rule[1]"]);
    let off = good("config cheaproute main\noption enabled 0");
    assert!(!off.main.enabled && off.links.is_empty() && off.policies.len() == 1);
}

#[test]
fn a_lost_header_is_one_fault() {
    assert_eq!(wrong("confgi link wan\noption weight 3\nconfig policy p\nlist link wan").len(), 1);
    assert_eq!(wrong("config link wan x\nconfig link wanb\nconfig policy p\nlist link wan").len(), 1);
}

/// A fault that no other one hides, in a section of its own.
fn fault() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "config link # \noption weight 0\n",
        "config link #\noption metric x\n",
        "config link #\noption intervall 1s\n",
        "config link #\nlist probe 'dns:example'\n",
        "config link #\nlist down 3\n",
        "config link #\noption gateway 192.0.2.1\n",
        "config policy #\noption mode rase\n",
        "config policy #\nlist link nowhere\n",
        "config policy #\noption last_resort none\n",
        "config rule #\n",
        "config rule #\noption policy nowhere\n",
        "config rule #\noption policy first\noption dest_port 80\n",
        "config rule #\noption policy first\nlist src_ip 10.0.0.256\n",
        "config rule #\noption policy first\noption proto foo\noption dest_port 80\n",
    ])
}

proptest! {
    #[test]
    fn every_fault_is_reported(faults in prop::collection::vec(fault(), 0..12)) {
        let mut text = String::from("config policy first\n");
        for (index, fault) in faults.iter().enumerate() {
            text += &fault.replacen('#', &format!("s{index}"), 1);
        }
        text += LINKS;
        let found = match read(&text) {
            Ok(_) => Vec::new(),
            Err(found) => found.into_iter().filter(|fault| fault.severity == Severity::Fault).collect(),
        };
        prop_assert_eq!(found.len(), faults.len(), "{}\n{:#?}", text, found);
        prop_assert!(found.is_sorted_by_key(|fault| fault.line));
        for (index, fault) in found.iter().enumerate() {
            let section = fault.section.as_deref().unwrap_or_default();
            prop_assert!(section.contains(&format!("'s{index}'")), "{}", section);
        }
    }
}

#[test]
fn splits() {
    let good = "config split s\noption side sender\noption primary 10.0.0.1:1\noption secondary 10.0.1.1:1\n";
    let (config, warnings) = read(format!("{LINKS}{good}")).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.splits[0].split.to_string(), "sender 10.0.0.1:1 10.0.1.1:1 1:1");
    each(
        &[
            (
                "config split s\noption side sender\noption primary 10.0.0.1:1\noption secondary 10.0.0.1:1",
                "cheaproute:6: split 's': option 'secondary': the secondary address is the primary one",
            ),
            (
                "config split s\noption side sender\noption primary 10.0.0.1:1\noption secondary 10.0.1.1:1\noption ratio 3",
                "cheaproute:7: split 's': option 'ratio': must be two whole numbers from 1 to 65535",
            ),
            (
                "config split s\noption side both\noption primary 10.0.0.1:1\noption secondary 10.0.1.1:1",
                "cheaproute:4: split 's': option 'side': must be one of sender, receiver",
            ),
            (
                &format!("{good}{}", good.replace("split s", "split t")),
                "cheaproute:9: split 't': option 'primary': is already that of",
            ),
        ],
        wrong,
    );
}
