use super::*;
use crate::prefix::Prefix;

fn same<T: FromStr + fmt::Display>(texts: &[(&str, &str)]) {
    for (text, printed) in texts {
        let value = text.parse::<T>().ok().map(|value| value.to_string());
        assert_eq!(value.as_deref(), Some(*printed), "{text}");
    }
}

fn none<T: FromStr>(texts: &[&str]) {
    for text in texts {
        assert!(text.parse::<T>().is_err(), "{text}");
    }
}

#[test]
fn prefixes() {
    same::<Prefix>(&[
        ("10.0.0.1", "10.0.0.1/32"),
        ("192.168.1.1/24", "192.168.1.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("2001:db8:1:2::1/56", "2001:db8:1::/56"),
        ("::/0", "::/0"),
    ]);
    none::<Prefix>(&["", "/", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "10.0.0", "fe80::1%eth0"]);
    let prefix = |text: &str| text.parse::<Prefix>().unwrap();
    assert!(prefix("10.0.0.0/8").overlaps(prefix("10.1.0.0/16")));
    assert!(prefix("10.1.0.0/16").overlaps(prefix("10.0.0.0/8")));
    assert!(!prefix("10.1.0.0/16").overlaps(prefix("10.2.0.0/16")));
    assert!(!prefix("0.0.0.0/0").overlaps(prefix("::/0")));
}

#[test]
fn ports() {
    same::<PortRange>(&[("80", "80"), ("8000-8100", "8000-8100"), ("1-65535", "1-65535"), ("5-5", "5")]);
    none::<PortRange>(&["", "0", "65536", "2-1", "-", "1-", "-1", "+1", "http", "0-5"]);
}

#[test]
fn protocols() {
    same::<Protocol>(&[("tcp", "tcp"), ("UDP", "udp"), ("6", "tcp"), ("17", "udp"), ("icmp", "icmp"), ("47", "47")]);
    none::<Protocol>(&["", "0", "256", "gre", "-1"]);
}

#[test]
fn sets() {
    same::<NftSet>(&[("video", "video"), ("a-b_c.d", "a-b_c.d")]);
    none::<NftSet>(&["", "#", "a#b", "inet#fw4#video", "a b", "a;b", "4a", "inet#a#b#c", "@a"]);
    // With a 4 or 6 behind it: a word of nft's, a set of ours, too long.
    same::<NftSet>(&[("ipv", "ipv"), ("IP", "IP"), ("sticky", "sticky")]);
    none::<NftSet>(&["ip", "icmpv", "sticky_1_2_", &"a".repeat(MAX_NAME)]);
    assert!("a".repeat(MAX_NAME - 1).parse::<NftSet>().is_ok());
}

#[test]
fn names() {
    assert!(is_name("wan_6-b") && is_name(&"a".repeat(255)));
    assert!(!is_name("") && !is_name("a b") && !is_name("ä") && !is_name(&"a".repeat(256)));
    assert!(is_device("eth0.2") && is_device("pppoe-wan") && is_device("a23456789012345"));
    for bad in ["", ".", "..", "a234567890123456", "a b", "a/b", "eth*", "a\"b", "eth0:1"] {
        assert!(!is_device(bad), "{bad}");
    }
}

#[test]
fn spans() {
    for (text, millis) in
        [("200ms", 200), ("10s", 10_000), ("10", 10_000), ("5m", 300_000), ("1h", 3_600_000), ("0", 0)]
    {
        assert_eq!(parse_span(text), Some(Span::from_millis(millis)), "{text}");
    }
    for (text, short) in
        [("1000ms", "1s"), ("90s", "90s"), ("60m", "1h"), ("24h", "1d"), ("0ms", "0"), ("1500ms", "1500ms")]
    {
        assert_eq!(parse_span(text).map(span_text).as_deref(), Some(short));
    }
    for bad in ["", "s", "-1s", "1.5s", "1 s", "1us", "1S", "99999999999999999999s", "18446744073709551615d"] {
        assert_eq!(parse_span(bad), None, "{bad}");
    }
}

#[test]
fn numbers_in_hex() {
    assert_eq!(parse_hex("0x3F000000"), Some(0x3F00_0000));
    for bad in ["", "0x", "3F", "0x+1", "0x123456789", "0xG"] {
        assert_eq!(parse_hex(bad), None, "{bad}");
    }
}
