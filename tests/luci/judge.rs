//! The form's judgement beside the daemon's own: of values, and of options and sections that are seen together.

use std::fmt::Write;

use cheaproute::config::options::Kind;
use cheaproute::config::uci::{Section, parse};
use cheaproute::config::{Severity, read};
use serde_json::{Map, Value, json};

use super::browser::Browser;
use super::pages::Router;
use super::rights::ADMIN;
use crate::support::bond::secret;

/// Something of every shape, good and bad.
#[rustfmt::skip]
const TEXTS: &[&str] = &[
    "", "0", "1", "2", "7", "-1", "+1", "1.5", "100", "101", "1000", "1001", "65535", "65536", "007", "on", "off",
    "ON", "true", "0x3F000000", "0x3f", "0xfc000000", "0x7F", "63", "0x3E000001", "0x", "1s", "2s", "99ms", "100ms",
    "61s", "1h", "1d", "25h", "24h", "60m", "1 s", "ms", "1us", "forever", "race", "Race", "failover", "info", "any",
    "ipv4", "wan", "a b", "a-b_c", "a.b", "br-lan", "eth0.2", "eth*", ".", "..", "pppoe-wan", "0123456789abcdef",
    "@x~+", "192.0.2.1", "192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/", "0.0.0.0", "0.0.0.0/0", "127.0.0.1",
    "224.0.0.1", "255.255.255.255", "01.2.3.4", "1.2.3", "1.2.3.4.5", "256.1.1.1", "2001:db8::1", "2001:db8::/56",
    "2001:DB8::1", "::", "::1", "::/0", "::ffff:192.0.2.1", "fe80::1", "fe80::1%eth0", "ff02::1", "1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7::", "1::2::3", "12345::", "2001:db8::/129", "[2001:db8::1]", "53", "80-90", "90-80", "0-5", "80-",
    "-80", "1-2-3", "tcp", "UDP", "icmp", "all", "6", "255", "256", "sctp", "icmp:1.1.1.1", "icmp:2001:db8::1",
    "icmp:[2001:db8::1]", "icmp:[1.1.1.1]", "icmp:0.0.0.0", "icmp:", "tcp:9.9.9.9:443", "tcp:9.9.9.9",
    "tcp:9.9.9.9:0", "tcp:9.9.9.9:65536", "tcp:[2001:db8::1]:443", "tcp:2001:db8::1:443", "tcp:[fe80::1%1]:1",
    "video", "_v.4", "4video", "video!", "/etc/x", "x/y", "é", "/", "/a", "/a/", "/a b", "//", "/x/../y", "/\u{7f}",
    "/\u{85}x", "/é", "a/b", "/etc/cheaproute.key", "dns:1.1.1.1", "dns:1.1.1.1/", "dns:1.1.1.1/example.net",
    "dns:1.1.1.1:5353/a.b", "dns:1.1.1.1:0", "dns:[2001:db8::1]:53/x", "dns:2001:db8::1/x", "dns:[2001:db8::1]",
    "dns:a.example", "dns:", "dns:/x", "dns:1.1.1.1/a..b", "dns:1.1.1.1/-a", "dns:1.1.1.1/a-", "dns:1.1.1.1/_sip.a",
    "dns:1.1.1.1/a.1", "dns:1.1.1.1/a.", "dns:1.1.1.1/a/b", "dns:127.0.0.1", "dns:255.255.255.255", "http:a.example",
    "http:a.example/", "http://a.example:8080/x?y=z", "http:a.example:/", "http:a.example:0/", "http:a.example:080/x",
    "http:a.example:65536/", "http:a.example:+80/", "http:a.example/b c", "http:a.example/b#c", "http:a.example/é", "http:a.example/b,c", "http:a.example/b-c.d+e", "http:a.example/\"'%2C()*",
    "http:192.0.2.1", "http:192.0.2.1:81/", "http:192.0.2", "http:127.0.0.1/", "http:[2001:db8::1]/",
    "http:[2001:db8::1]:81", "http:2001:db8::1/", "http:[::1]/", "http:", "http:/x", "http:///x", "http:a:b:80/",
    "http:-a/", "http:a_b/x", "https:a.example/", "HTTP:a.example", "icmp:a.example", "tcp:[2001:db8::1]:00443",
    "tcp:127.0.0.1:80", "tcp:[2001:db8::1%0]:443", "tcp:[fe80::1]:443", "tcp:169.254.1.1:443", "192.0.2.1:443",
    "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:0080", "127.0.0.1:443", "255.255.255.255:1", "224.0.0.1:1",
    "169.254.1.1:443", "0.0.0.0:443", "[2001:db8::1]:443", "[fe80::1]:443", "[::1]:443", "[::]:443", "[ff02::1]:443",
    "[2001:db8::1%0]:443", "[fe80::1%1]:443", "2001:db8::1:443", "[192.0.2.1]:443", "[2001:db8::1]443", "192.0.2.1:",
    "192.0.2.1:4 3", "192.0.2.1:+43", "vps.example.net:7420", "vps.example.net.:7420", "vps.example.net..:7420",
    "VPS:7420", "vps", "vps:", "vps:0", "vps:70000", "-vps:1", "vps-:1", "v-p-s:1", "v_s:1", ".vps:1", "1.2.3:1",
    "1234:1", "1a:1", "a.1:1", "é:1", "a b:1", "a:b:1", ":7420", ".:7420", "1:1", "7500:2500", "0:1", "1:0",
    "65535:65535", "65536:1", "1:1:1", "1:", "a:b", "01:02", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHha=",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHhA=", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8==", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH===",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH+8/", "++++/+++////+++++++++++++++++++++++++++++++A=",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH_8=", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHhé=", "10.74.20.2/24",
    "10.74.20.2", "10.74.20.2/0", "10.74.20.2/33", "0.0.0.0/8", "127.0.0.1/8", "224.0.0.1/24", "169.254.1.1/16",
    "fd74:20::2/64", "fd74:20::2", "fd74:20::2/0", "fd74:20::2/129", "::/64", "::1/128", "ff02::1/64", "fe80::1/64",
    "10.74.20.2/024", "02:00:00:00:00:01", "02:AB:cd:EF:00:01", "00:00:00:00:00:00", "03:00:00:00:00:01",
    "ff:ff:ff:ff:ff:ff", "2:0:0:0:0:1", "02:00:00:00:00", "02:00:00:00:00:01:02", "02-00-00-00-00-01",
    "0g:00:00:00:00:01", "00:00:00:00:00:10", "64kbit", "63kbit", "500kbit", "20mbit", "1gbit", "100gbit", "101gbit",
    "100000001kbit", "0mbit", "mbit", "1Mbit", "1.5mbit", "1 mbit", "064kbit", "99999999999999999999gbit",
    "0123456789abcdefg", "a.b.c.d.e.f.g.h", "wan_1", "wan/1", "a@b",
];

/// The longest that fit, and what is one longer.
fn long() -> Vec<String> {
    let texts = [("/a", 4095), ("/é/", 4096), ("http:a/", 5 + 1 + 256), ("video", 255), ("wan", 255)].into_iter();
    let mut long: Vec<String> = texts
        .flat_map(|(start, most)| [most, most + 1].map(|length| start.to_owned() + &"b".repeat(length - start.len())))
        .collect();
    let labels = "a.".repeat(126);
    for name in ["b".repeat(63), "b".repeat(64), format!("{labels}b"), format!("{labels}bb")] {
        long.extend([
            format!("dns:1.1.1.1/{name}"),
            format!("http:{name}/"),
            format!("{name}:1"),
            format!("{name}.:1"),
        ]);
    }
    long
}

/// The form takes of every option what the daemon takes, and nothing else.
pub fn values(router: &Router, browser: &mut Browser) {
    router.open(browser, "cheaproute/config", ADMIN);
    browser.until("all('.cbi-map tr[data-sid]').length >= 3");
    let examples = Kind::ALL.into_iter().flat_map(Kind::options).flat_map(|spec| spec.example());
    let texts: Vec<String> = TEXTS.iter().chain(examples).map(|text| (*text).to_owned()).chain(long()).collect();
    let judge = format!(
        "(async () => {{ const check = await L.require('cheaproute.check'), options = await L.require('cheaproute.options'); \
         return options.kinds.flatMap((kind) => kind.options.map((option) => [ kind.name, option.name, \
         {}.filter((text) => check.fits(option, text)) ])) }})()",
        json!(texts)
    );
    let judged = browser.value(&judge);
    let judged = judged.as_array().unwrap();
    assert_eq!(judged.len(), Kind::ALL.into_iter().flat_map(Kind::options).count());
    let mut wrong = String::new();
    for answer in judged {
        let kind = Kind::from_name(answer[0].as_str().unwrap()).unwrap();
        let spec = kind.option(answer[1].as_str().unwrap()).unwrap();
        let accepted: Vec<&str> = answer[2].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(!accepted.is_empty(), "{}: no text here fits", spec.name);
        // The daemon takes a list's values apart at these before it looks at them.
        let parted = |text: &&str| text.contains(|c: char| c.is_whitespace() || c == ',');
        assert_eq!(accepted.iter().find(|text| spec.list && parted(text)), None, "{}", spec.name);
        for text in &texts {
            let (form, daemon) = (accepted.contains(&text.as_str()), spec.shape.parse(text).is_some());
            if form != daemon {
                let _ = writeln!(wrong, "{} {text:?}: the form says {form}, the daemon {daemon}", spec.name);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A file without a fault. `$0` and so on are private keys, `@0` their public ones.
const BASE: &[&str] = &[
    "config cheaproute 'main'",
    "config link 'wan'; option device 'eth1'; list probe 'icmp:1.1.1.1'; list probe 'icmp:9.9.9.9'",
    "config link 'wanb'; list prefix '2001:db8:1::/48'",
    "config policy 'fastest'",
    "config policy 'bonded'; option mode 'aggregate'; option peer 'vps'",
    "config rule 'web'; option policy 'fastest'",
    "config split 'one'; option side 'sender'; option primary '192.0.2.1:80'; option secondary '192.0.2.2:80'",
    "config peer 'vps'; option private_key '$0'; option public_key '@1'; option endpoint 'a.example:1'; option address '10.1.0.2/24'",
    "config peer 'home'; option role 'server'; option private_key '$2'; option listen_port '7420'; option address '10.2.0.1/24'",
    "config client 'laptop'; option peer 'home'; option public_key '@3'; option allowed_ips '10.2.0.3'",
];

/// Sections that take the place of those of their name, or come after all: what the daemon takes.
const SOUND: &[&str] = &[
    "config link 'wan'; option enabled 'no'",
    "config link 'wan'; option device 'eth1'; option gateway '192.0.2.1'; option gateway6 'fe80::1'",
    "config link 'wan'; list probe 'icmp:1.1.1.1'; option reliability '1'",
    "config link 'wan'; option reliability '9'",
    "config link 'wan'; option loss_up '30'; option latency_up '5s'",
    "config link 'wan'; list probe 'icmp:1.1.1.1'; option loss_down '30'; option loss_up '30'; option latency_down '1s'; option latency_up '1000ms'",
    "config link 'wan'; option interface 'wanb'; option enabled '0'",
    "config link 'wan'; option prefix '2001:db8:2::/48'",
    "config link 'wan'; option prefix '2001:db8:1::/56'; option enabled '0'",
    "config cheaproute 'main'; option lan_device 'eth2'",
    "config cheaproute 'main'; option enabled '0' | config link 'wan'; option enabled '0' | config link 'wanb'; option enabled '0'",
    "config link 'wan'; option enabled '0' | config link 'wanb'; option enabled '0' | config peer 'vps'; option private_key '$0'; option public_key '@1'; option endpoint 'a.example:1'; option address '10.1.0.2/24'; option enabled '0'",
    "config policy 'calm'; option mode 'weighted'; option sticky '1h'; option peer 'home'",
    "config policy 'calm'; option sticky '0'; option peer 'gone'",
    "config policy 'calm'; option link 'wan wanb'",
    "config rule 'web'; option policy 'fastest'; option proto 'tcp udp'; option dest_port '80,443'",
    "config rule 'web'; option policy 'fastest'; option proto 'ALL'; option family 'ipv4'; option src_ip '10.0.0.0/8'",
    "config rule 'web'; option policy 'fastest'; option family 'ipv6'; option dest_ip '::ffff:1.2.3.4'",
    "config rule 'web'; option policy 'fastest'; list src_ip '10.0.0.0/8'; list src_ip '2001:db8::/32'; option dest_ip '2001:db8:1::1'",
    "config split 'two'; option side 'sender'; option primary '192.0.2.1:81'; option secondary '192.0.2.2:80'",
    "config split 'two'; option side 'receiver'; option primary '192.0.2.1:80'; option secondary '192.0.2.2:80'",
    "config split 'two'; option side 'sender'; option primary '192.0.2.1:80'; option secondary '192.0.2.1:80'; option enabled '0'",
    "config split 'two'; option side 'sender'; option primary '[2001:db8::1]:80'; option secondary '[2001:db8::2]:80'",
    "config peer 'home'; option role 'server'; option private_key_file '/etc/key'; option listen_port '7420'; option public_key '@4'; option preshared_key '$5'; option allowed_ips '10.2.0.9'",
    "config peer 'wire'; option transport 'ethernet'; option private_key '$0'; option public_key '@1'; option link 'eth3 eth4'; option remote_mac '02:00:00:00:00:01 02:00:00:00:00:02'",
    "config peer 'wire'; option role 'server'; option transport 'ethernet'; option private_key '$0'; option link 'eth3'",
    "config peer 'vpsb'; option private_key '$0'; option public_key '@1'; option endpoint 'b.example:1'; option address '10.3.0.2/24'; option link 'wanb'; option device 'bond7'; option listen_port '7421'",
    "config peer 'vpsb'; option private_key '$0'; option public_key '@1'; option endpoint 'b.example:1'; option address '10.1.0.3/24'; option enabled '0'; option listen_port '7420'",
    "config client 'phone'; option peer 'home'; option public_key '@4'; option allowed_ips '10.2.0.4 10.2.0.0/24'",
    "config client 'phone'; option peer 'home'; option public_key '@3'; option allowed_ips '10.2.0.3'; option enabled 'off'",
];

/// And what makes it refuse the whole file.
const UNSOUND: &[&str] = &[
    "config link 'wan'; option device 'eth1'; option interface 'wan'",
    "config link 'wan'; option gateway '192.0.2.1'",
    "config link 'wan'; option gateway6 'fe80::1'; option enabled '0'",
    "config link 'wan'; list probe 'icmp:1.1.1.1'; option reliability '2'",
    "config link 'wan'; option probe 'icmp:1.0.0.1 icmp:1.0.0.2 icmp:1.0.0.3 icmp:1.0.0.4 icmp:1.0.0.5 icmp:1.0.0.6 icmp:1.0.0.7 icmp:1.0.0.8 icmp:1.0.0.9'",
    "config link 'wan'; list probe 'icmp:1.1.1.1'; option loss_down '30'; option loss_up '31'",
    "config link 'wan'; list probe 'icmp:1.1.1.1'; option latency_down '1s'; option latency_up '1001ms'",
    "config link 'wan'; option interface 'wanb'",
    "config link 'wanb'; option device 'eth1'",
    "config link 'wan'; option prefix '2001:db8:1:2::/64'",
    "config link 'wan'; option prefix '2001:db8::/32'",
    "config cheaproute 'main'; option lan_device 'eth0 eth1'",
    "config link 'wan'; option enabled '0' | config link 'wanb'; option enabled '0'",
    "config policy 'calm'; option sticky '1h'",
    "config policy 'calm'; option mode 'aggregate'",
    "config policy 'calm'; option mode 'aggregate'; option peer 'home'",
    "config policy 'calm'; option mode 'aggregate'; option peer 'gone'",
    "config policy 'calm'; list link 'wan'; list link 'wan'",
    "config rule 'web'; option policy 'fastest'; option proto 'tcp all'",
    "config rule 'web'; option policy 'fastest'; option dest_port '80'",
    "config rule 'web'; option policy 'fastest'; option proto 'tcp icmp'; option src_port '80'",
    "config rule 'web'; option policy 'fastest'; option family 'ipv4'; option src_ip '2001:db8::/32'",
    "config rule 'web'; option policy 'fastest'; option family 'ipv6'; option dest_ip '2001:db8::1 10.0.0.1'",
    "config rule 'web'; option policy 'fastest'; option src_ip '10.0.0.0/8'; option dest_ip '2001:db8:1::1'",
    "config split 'two'; option side 'sender'; option primary '192.0.2.1:80'; option secondary '192.0.2.3:80'",
    "config split 'two'; option side 'receiver'; option primary '192.0.2.1:80'; option secondary '192.0.2.2:80' | config split 'one'; option side 'receiver'; option primary '192.0.2.9:80'; option secondary '192.0.2.2:80'",
    "config split 'two'; option side 'sender'; option primary '192.0.2.7:80'; option secondary '192.0.2.7:81'",
    "config split 'two'; option side 'sender'; option primary '[2001:db8::1]:80'; option secondary '[2001:DB8:0::1]:81'",
    "config split 'two'; option side 'sender'; option primary '[2001:db8::1]:80'; option secondary '192.0.2.7:81'",
    "config peer 'vps'; option public_key '@1'; option endpoint 'a.example:1'; option address '10.1.0.2/24'",
    "config peer 'vps'; option private_key '$0'; option private_key_file '/etc/key'; option public_key '@1'; option endpoint 'a.example:1'; option address '10.1.0.2/24'",
    "config peer 'vps'; option private_key '$0'; option endpoint 'a.example:1'; option address '10.1.0.2/24'",
    "config peer 'vps'; option private_key '$0'; option public_key '@1'; option address '10.1.0.2/24'; option enabled '0'",
    "config peer 'vps'; option private_key '$0'; option public_key '$0'; option endpoint 'a.example:1'; option address '10.1.0.2/24'",
    "config peer 'vps'; option private_key '$0'; option public_key '@1'; option preshared_key '$0'; option endpoint 'a.example:1'; option address '10.1.0.2/24'",
    "config peer 'vps'; option private_key '$0'; option public_key '@1'; option preshared_key '@1'; option endpoint 'a.example:1'; option address '10.1.0.2/24'",
    "config peer 'vps'; option role 'server'; option private_key '$0'; option public_key '@1'; option listen_port '1'; option address '10.1.0.2/24'",
    "config peer 'vps'; option private_key '$0'; option public_key '@1'; option endpoint 'a.example:1'; option address '10.1.0.2/24'; option link 'wan eth1'",
    "config peer 'vps'; option private_key '$0'; option public_key '@1'; option endpoint 'a.example:1'; option address '10.1.0.2/24'; option link 'wan wan'",
    "config peer 'home'; option role 'server'; option private_key '$2'; option address '10.2.0.1/24'",
    "config peer 'home'; option role 'server'; option private_key '$2'; option listen_port '7420'; option preshared_key '$5'; option address '10.2.0.1/24'",
    "config peer 'home'; option role 'server'; option private_key '$2'; option listen_port '7420'; option allowed_ips '10.2.0.9'; option address '10.2.0.1/24'",
    "config peer 'home'; option private_key '$2'; option public_key '@1'; option endpoint 'a.example:1'; option address '10.2.0.1/24'",
    "config peer 'home'; option role 'server'; option private_key '$2'; option listen_port '7420'; option address '10.1.0.1/16'",
    "config peer 'wire'; option transport 'ethernet'; option private_key '$0'; option public_key '@1'; option remote_mac '02:00:00:00:00:01'",
    "config peer 'wire'; option role 'server'; option transport 'ethernet'; option private_key '$0'",
    "config peer 'wire'; option transport 'ethernet'; option private_key '$0'; option public_key '@1'; option link 'eth3'",
    "config peer 'wire'; option transport 'ethernet'; option private_key '$0'; option public_key '@1'; option link 'eth3 eth4'; option remote_mac '02:00:00:00:00:01'",
    "config peer 'vpsb'; option private_key '$0'; option public_key '@1'; option endpoint 'b.example:1'; option listen_port '07420'",
    "config peer 'vpsb'; option private_key '$0'; option public_key '@1'; option endpoint 'b.example:1'; option device 'bond7' | config peer 'vpsc'; option private_key '$0'; option public_key '@1'; option endpoint 'b.example:1'; option device 'bond7'",
    "config client 'phone'; option peer 'vps'; option public_key '@4'; option allowed_ips '10.2.0.4'",
    "config client 'phone'; option peer 'gone'; option public_key '@4'; option allowed_ips '10.2.0.4'; option enabled '0'",
    "config client 'phone'; option peer 'home'; option public_key '@3'; option allowed_ips '10.2.0.4'",
    "config client 'phone'; option peer 'home'; option public_key '@4'; option allowed_ips '10.2.0.3/32'",
    "config client 'phone'; option peer 'home'; option public_key '@4'; option allowed_ips '10.2.1.1/24 10.2.1.2/24'",
    "config peer 'home'; option role 'server'; option private_key '$2'; option public_key '@3'; option listen_port '7420'; option address '10.2.0.1/24'",
    "config peer 'home'; option role 'server'; option private_key '$2'; option public_key '@5'; option listen_port '7420'; option allowed_ips '10.2.0.3'",
    "config peer 'home'; option role 'server'; option private_key '$2'; option public_key '@5'; option listen_port '7420'; option address '10.2.0.3/32'",
];

/// The file that a case makes of [`BASE`].
fn file(case: &str) -> String {
    let name = |section: &str| section.split('\'').nth(1).unwrap().to_owned();
    let changed: Vec<&str> = case.split(" | ").filter(|section| !section.is_empty()).collect();
    let mut sections: Vec<&str> = BASE.to_vec();
    for section in changed {
        match sections.iter().position(|known| name(known) == name(section)) {
            Some(at) => sections[at] = section,
            None => sections.push(section),
        }
    }
    let mut text = sections.join("\n").replace("; ", "\n\t");
    for number in 0..6 {
        text = text.replace(&format!("${number}"), &secret(number).written());
        text = text.replace(&format!("@{number}"), &secret(number).public().to_string());
    }
    text + "\n"
}

/// As rpcd tells it.
fn told(section: &Section) -> Value {
    let values = section.entries.iter().map(|entry| {
        let texts: Vec<&str> = entry.values.iter().map(|word| word.text.as_str()).collect();
        (entry.name.clone(), if entry.list { json!(texts) } else { json!(texts[0]) })
    });
    let mut told: Map<String, Value> = values.collect();
    told.insert(".name".into(), json!(section.name));
    told.insert(".type".into(), json!(section.kind));
    Value::Object(told)
}

/// What only shows when options and sections are seen together is told in the form as by the daemon.
pub fn together(browser: &mut Browser) {
    let cases = || [""].iter().chain(SOUND).map(|case| (*case, true)).chain(UNSOUND.iter().map(|case| (*case, false)));
    let files: Vec<Value> = cases().map(|(case, _)| parse(&file(case)).0.iter().map(told).collect()).collect();
    let judge = format!(
        "(async () => {{ const together = await L.require('cheaproute.together'), options = await L.require('cheaproute.options'); \
         return {}.map((sections) => sections.flatMap((section) => options.kinds.find((kind) => kind.name == section['.type']).options \
         .map((option) => together.fault(section['.type'], option.name, section['.name'], (name) => section[name], \
         (kind) => sections.filter((other) => other['.type'] == kind))).filter((fault) => fault))) }})()",
        json!(files)
    );
    let judged = browser.value(&judge);
    let mut wrong = String::new();
    for ((case, sound), said) in cases().zip(judged.as_array().unwrap()) {
        let faults = read(file(case)).err().unwrap_or_default();
        let fault = faults.iter().find(|fault| fault.severity == Severity::Fault);
        assert_eq!(fault.is_none(), sound, "{case}: {fault:?}");
        if said.as_array().unwrap().is_empty() != sound {
            let _ = writeln!(wrong, "{case}: the form says {said}, the daemon {:?}", fault.map(ToString::to_string));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
