use super::*;

/// A reply to `dump` with these interfaces, given as the JSON that `ubus call` prints. The samples are made up, after what
/// netifd's `ubus.c` writes.
pub fn reply(interfaces: &str) -> Table {
    let json = ubus_json(&format!("{{\"interface\":[{interfaces}]}}"));
    Table::parse(json.contents()).unwrap()
}

fn ubus_json(text: &str) -> ::ubus::BlobMsgTable {
    ::ubus::json::json_to_blobmsg(&text.parse().unwrap()).unwrap()
}

fn read(interfaces: &str) -> Vec<Interface> {
    super::interfaces(&reply(interfaces))
}

fn one(interface: &str) -> Interface {
    read(interface).remove(0)
}

fn via(hop: &str) -> Hop {
    Hop::Via(hop.parse().unwrap())
}

const DHCP: &str = r#"{
    "interface": "wan", "up": true, "pending": false, "available": true, "autostart": true, "dynamic": false,
    "uptime": 81, "l3_device": "eth1", "proto": "dhcp", "device": "eth1", "metric": 10, "dns_metric": 0,
    "delegation": true,
    "ipv4-address": [{"address": "192.0.2.77", "mask": 24}], "ipv6-address": [], "ipv6-prefix": [],
    "ipv6-prefix-assignment": [],
    "route": [
        {"target": "192.0.2.1", "mask": 32, "nexthop": "0.0.0.0", "source": "192.0.2.77/32"},
        {"target": "0.0.0.0", "mask": 0, "nexthop": "192.0.2.1", "source": "192.0.2.77/32"}],
    "dns-server": ["192.0.2.1"], "dns-search": [], "neighbors": [],
    "inactive": {"ipv4-address": [], "ipv6-address": [], "route": [], "dns-server": [], "dns-search": []},
    "data": {"dhcpserver": "192.0.2.1", "leasetime": 3600}}"#;

const DHCPV6: &str = r#"{
    "interface": "wan6", "up": true, "l3_device": "eth1", "proto": "dhcpv6", "metric": 0,
    "ipv6-address": [
        {"address": "fe80::1", "mask": 64},
        {"address": "2001:db8:1::7", "mask": 128, "preferred": 0, "valid": 100},
        {"address": "2001:db8:2::7", "mask": 128, "preferred": 1800, "valid": 3600}],
    "ipv6-prefix": [{"address": "2001:db8:2:100::", "mask": 56, "class": "wan6", "assigned": {"lan": {"mask": 64}}}],
    "route": [
        {"target": "::", "mask": 0, "nexthop": "fe80::ff", "metric": 512, "source": "2001:db8:2:100::/56"},
        {"target": "::", "mask": 0, "nexthop": "fe80::fe", "metric": 384, "source": "2001:db8:2::7/128"}]}"#;

#[test]
fn dhcp() {
    let wan = Interface {
        name: "wan".into(),
        up: true,
        l3_device: Some("eth1".into()),
        ipv4: vec![[192, 0, 2, 77].into()],
        device: Some("eth1".into()),
        gateway: via("192.0.2.1"),
        metric: 10,
        ..Interface::default()
    };
    let list = read(&format!("{DHCP},{DHCPV6}"));
    assert_eq!(list[0], wan);
    assert_eq!(find(&list[..1], "wan"), Some(wan));
    assert_eq!((list.len(), find(&list, "wan7")), (2, None));
}

#[test]
fn dhcpv6() {
    let wan6 = one(DHCPV6);
    let expected: [Ipv6Addr; 2] = ["2001:db8:2::7".parse().unwrap(), "2001:db8:1::7".parse().unwrap()];
    assert_eq!(wan6.ipv6, expected, "no link-local address, the old one last");
    assert_eq!(wan6.prefixes, [("2001:db8:2:100::".parse().unwrap(), 56)]);
    assert_eq!((wan6.gateway, wan6.gateway6), (Hop::Unknown, via("fe80::fe")), "the lower metric");
}

#[test]
fn gateways() {
    fn gateway(routes: &str, inactive: &str) -> Hop {
        let rest = format!(r#""route":[{routes}],"inactive":{{"route":[{inactive}]}}"#);
        one(&format!(r#"{{"interface":"wan","metric":5,{rest}}}"#)).gateway
    }
    let route = |rest: &str| format!(r#"{{"target":"0.0.0.0","mask":0,{rest}}}"#);
    let via = |hop: &str| route(&format!(r#""nexthop":"{hop}""#));
    let last = |n: u8| Hop::Via([10, 0, 0, n].into());
    assert_eq!(gateway("", ""), Hop::Unknown);
    assert_eq!(gateway("", &via("10.0.0.2")), last(2), "`defaultroute 0`");
    assert_eq!(gateway(&via("10.0.0.1"), &via("10.0.0.2")), last(1));
    assert_eq!(gateway(&via("0.0.0.0"), &via("10.0.0.2")), Hop::Direct, "point to point");
    assert_eq!(gateway(&route(r#""metric":9"#), &via("10.0.0.2")), Hop::Direct, "point to point, without a next hop");
    let six = route(r#""nexthop":"10.0.0.6","metric":6"#);
    assert_eq!(gateway(&format!("{six},{}", via("10.0.0.5")), ""), last(5), "without a metric: the interface's");
    assert_eq!(gateway(&format!("{},{}", via("10.0.0.1"), via("10.0.0.2")), ""), last(1), "the first of equal ones");
    let dead = route(r#""nexthop":"10.0.0.9","type":7,"metric":0"#);
    assert_eq!(gateway(&format!("{dead},{six}"), ""), last(6), "unreachable");
}

#[test]
fn ppp_with_its_companions() {
    let wan = r#"{"interface":"wan","up":true,"l3_device":"pppoe-wan","proto":"pppoe","device":"eth1","metric":0,
        "ipv4-address":[{"address":"198.51.100.9","mask":32,"ptpaddress":"198.51.100.1"}],
        "ipv6-address":[{"address":"fe80::9","mask":128}],
        "route":[{"target":"0.0.0.0","mask":0,"nexthop":"198.51.100.1"}]}"#;
    let wan_6 = r#"{"interface":"wan_6","up":true,"dynamic":true,"l3_device":"pppoe-wan","proto":"dhcpv6","metric":3,
        "ipv6-address":[{"address":"2001:db8::9","mask":64}],"ipv6-prefix":[{"address":"2001:db8:9::","mask":48}],
        "route":[{"target":"::","mask":0,"nexthop":"fe80::1"}]}"#;
    // DS-Lite: a device of its own.
    let wan_4 = r#"{"interface":"wan_4","up":true,"l3_device":"ds-wan_4",
        "ipv4-address":[{"address":"192.0.0.2","mask":29}]}"#;
    let list = read(&[wan_6, wan, wan_4].join(","));
    let found = find(&list, "wan").unwrap();
    assert_eq!(found.ipv4, [Ipv4Addr::new(198, 51, 100, 9)]);
    assert_eq!(found.ipv6, ["2001:db8::9".parse::<Ipv6Addr>().unwrap()]);
    assert_eq!(found.prefixes.len(), 1);
    assert_eq!((found.gateway, found.gateway6, found.metric), (via("198.51.100.1"), via("fe80::1"), 3));
    assert_eq!(find(&list, "wan_4").unwrap().l3_device.unwrap(), "ds-wan_4");

    let down = wan.replace(r#""up":true"#, r#""up":false"#);
    assert!(find(&read(&format!("{down},{wan_6}")), "wan").unwrap().ipv6.is_empty());
}

/// As OpenWrt sets up a new router: `wan` by DHCP, and `wan6` with `option device '@wan'`.
#[test]
fn wan_and_wan6() {
    let found = find(&read(&format!("{DHCP},{DHCPV6}")), "wan").unwrap();
    assert_eq!((found.ipv4.len(), found.ipv6.len(), found.gateway6), (1, 2, via("fe80::fe")));
    let tunnel = DHCPV6.replace(r#""l3_device": "eth1""#, r#""l3_device": "6in4-wan6""#);
    assert!(find(&read(&format!("{DHCP},{tunnel}")), "wan").unwrap().ipv6.is_empty());
}

/// Named otherwise, and without a lease for IPv4.
#[test]
fn an_ipv6_side_needs_neither_a_name_nor_an_ipv4_side() {
    let other = DHCPV6.replace(r#""interface": "wan6""#, r#""interface": "isp""#);
    let found = find(&read(&format!("{other},{DHCP}")), "wan").unwrap();
    assert_eq!((found.ipv4.len(), found.ipv6.len(), found.gateway6), (1, 2, via("fe80::fe")));
    assert_eq!(find(&read(&format!("{other},{DHCP}")), "isp").unwrap().ipv4.len(), 0, "what has IPv4 is nobody's side");
    let down = r#"{"interface":"wan","up":false,"device":"eth1"}"#;
    for six in [DHCPV6, &other] {
        let found = find(&read(&format!("{down},{six}")), "wan").unwrap();
        assert_eq!((found.up, found.l3_device.as_deref(), found.ipv6.len()), (true, Some("eth1"), 2));
    }
    let tunnel = DHCPV6.replace(r#""l3_device": "eth1""#, r#""l3_device": "6in4-wan6""#);
    assert!(!find(&read(&format!("{down},{tunnel}")), "wan").unwrap().up);
}

/// The provider delegates a prefix, and gives the router itself no address.
#[test]
fn an_assigned_address_is_the_links_if_it_has_no_other() {
    let bare = r#"{"interface":"wan6","up":true,"l3_device":"eth1","ipv6-address":[{"address":"fe80::1"}],
        "ipv6-prefix":[{"address":"2001:db8:2:100::","mask":56}]}"#;
    let lan = r#"{"interface":"lan","up":true,"l3_device":"br-lan","ipv6-prefix-assignment":[
        {"address":"fd00::","mask":64,"local-address":{"address":"fd00::1","mask":64}},
        {"address":"2001:db8:2:200::","mask":64,"local-address":{"address":"2001:db8:2:200::1","mask":64}},
        {"address":"2001:db8:2:1ff::","mask":64,"local-address":{"address":"2001:db8:2:1ff::1","mask":64}}]}"#;
    let ipv6 = |list: &str| find(&read(list), "wan6").unwrap().ipv6;
    assert_eq!(ipv6(&format!("{lan},{bare}")), ["2001:db8:2:1ff::1".parse::<Ipv6Addr>().unwrap()]);
    assert!(ipv6(bare).is_empty());
    assert_eq!(ipv6(&format!("{lan},{DHCPV6}")).len(), 2);
}

/// QMI: the interface has a device, its companions have the addresses.
#[test]
fn a_modem() {
    let wwan = r#"{"interface":"wwan","up":true,"l3_device":"wwan0","proto":"qmi"}"#;
    let wwan_4 = r#"{"interface":"wwan_4","up":true,"l3_device":"wwan0","ipv4-address":[{"address":"10.9.8.7"}],
        "route":[{"target":"0.0.0.0","mask":0,"nexthop":"10.9.8.8"}]}"#;
    let found = find(&read(&format!("{wwan},{wwan_4}")), "wwan").unwrap();
    assert_eq!((found.ipv4.len(), found.gateway), (1, via("10.9.8.8")));
}

#[test]
fn what_is_missing_or_odd_is_absent() {
    let down = one(r#"{"interface":"wan","up":false}"#);
    assert_eq!(down, Interface { name: "wan".into(), ..Interface::default() });
    assert_eq!(read(r#"{"up":true},7,"wan",[],null"#), [], "without names");
    let odd = r#"{"interface":"wan","up":"yes","l3_device":7,"metric":"high","ipv4-address":{"address":"192.0.2.1"},
        "ipv6-address":[7,{"address":"here"},{"mask":64},{"address":"2001:db8::1"}],
        "ipv6-prefix":[{"address":"2001:db8::","mask":129},{"address":"2001:db8::"}],
        "route":"none","inactive":[{"route":[]}]}"#;
    let expected = Interface { name: "wan".into(), ipv6: vec!["2001:db8::1".parse().unwrap()], ..Interface::default() };
    assert_eq!(one(odd), expected);
    assert_eq!(interfaces(&Table::default()), []);
}
