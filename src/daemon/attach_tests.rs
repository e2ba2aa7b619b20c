use super::*;
use crate::config;
use crate::kernel::Address;

fn config(text: &str) -> Config {
    config::read(text).unwrap_or_else(|faults| panic!("{faults:?}")).0
}

fn route(to: &str, gateway: Option<&str>, device: u32, metric: u32) -> Route {
    let (address, length) = to.split_once('/').unwrap();
    let gateway = gateway.map(|gateway| gateway.parse().unwrap());
    Route { destination: (address.parse().unwrap(), length.parse().unwrap()), gateway, device, metric }
}

fn snapshot() -> Snapshot {
    let address = |device, text: &str, global| Address { device, address: text.parse().unwrap(), global };
    Snapshot {
        devices: vec![
            Device::example(1, "lo"),
            Device::example(2, "eth1"),
            Device::example(3, "pppoe-wan"),
            Device::example(4, "eth9"),
        ],
        addresses: vec![
            address(2, "192.0.2.10", true),
            address(2, "fe80::1", false),
            address(2, "2001:db8::10", true),
            address(3, "198.51.100.10", true),
        ],
        routes: vec![
            route("0.0.0.0/0", Some("192.0.2.254"), 2, 50),
            route("0.0.0.0/0", Some("192.0.2.1"), 2, 10),
            route("0.0.0.0/0", None, 3, 20),
            route("::/0", Some("fe80::fe"), 2, 512),
            route("192.168.1.0/24", None, 9, 0),
            route("10.0.0.0/8", Some("192.168.1.2"), 9, 0),
        ],
    }
}

fn ids(config: &Config) -> Vec<LinkId> {
    number(config, &[])
}

const BY_DEVICE: &str = "
config cheaproute 'main'
config link 'cable'
	option device 'eth1'
config link 'dsl'
	option device 'pppoe-wan'
config link 'none'
	option device 'eth7'
config link 'bare'
	option device 'eth9'
";

#[test]
fn a_device_brings_its_address_and_best_default_route() {
    let config = config(BY_DEVICE);
    let found = attach(&config, &ids(&config), &snapshot(), &Netifd::Missing("no ubus".into()));
    let cable = &found[0].link;
    assert_eq!(cable.ipv4, Some(Side { address: [192, 0, 2, 10].into(), gateway: Some([192, 0, 2, 1].into()) }));
    assert_eq!(cable.ipv6.unwrap().gateway, Some("fe80::fe".parse().unwrap()));
    assert_eq!((cable.ifindex, cable.mtu, &found[0].lacks), (2, 1500, &None));
    let dsl = &found[1].link;
    assert_eq!(dsl.ipv4, Some(Side { address: [198, 51, 100, 10].into(), gateway: None }), "point to point");
    assert_eq!(found[2].lacks, Some(Lack::Address("there is no device eth7".into())));
    assert_eq!(found[3].lacks, Some(Lack::Address("eth9 has no address".into())));
}

#[test]
fn a_link_without_carrier_or_way_out_is_lacking() {
    let config = config(BY_DEVICE);
    let mut now = snapshot();
    now.devices[1].running = false;
    now.routes.retain(|route| route.device != 3);
    let found = attach(&config, &ids(&config), &now, &Netifd::Missing("no ubus".into()));
    assert_eq!(found[0].lacks, Some(Lack::Carrier));
    assert_eq!(found[1].lacks, Some(Lack::Address("no default route through pppoe-wan: set option gateway".into())));
}

#[test]
fn a_local_address_is_the_last_choice() {
    let config = config(BY_DEVICE);
    let mut now = snapshot();
    let chosen = |now: &Snapshot| attach(&config, &ids(&config), now, &Netifd::Unknown)[0].link.ipv6.unwrap().address;
    let local = |text: &str| Address { device: 2, address: text.parse().unwrap(), global: true };
    now.addresses.insert(0, local("fd12:3456::10"));
    assert_eq!(chosen(&now), "2001:db8::10".parse::<Ipv6Addr>().unwrap());
    now.addresses.retain(|address| address.address != local("2001:db8::10").address);
    now.addresses.push(local("fc00::10"));
    assert_eq!(chosen(&now), "fd12:3456::10".parse::<Ipv6Addr>().unwrap(), "there is no other; the first of two");
}

#[test]
fn netifd_names_the_device() {
    let config = config("config cheaproute 'main'\nconfig link 'wan'\nconfig link 'wanb'\n");
    let wan = Interface {
        name: "wan".into(),
        up: true,
        l3_device: Some("eth1".into()),
        ipv4: vec![[192, 0, 2, 10].into()],
        gateway: Hop::Via([192, 0, 2, 1].into()),
        prefixes: vec![("2001:db8:1::".parse().unwrap(), 56)],
        ipv6: ["fd12:3456::10", "2001:db8::10"].map(|text| text.parse().unwrap()).into(),
        ..Interface::default()
    };
    let netifd = Netifd::Interfaces(vec![wan.clone()]);
    let found = attach(&config, &ids(&config), &snapshot(), &netifd);
    assert_eq!((found[0].link.device.as_str(), found[0].lacks.clone()), ("eth1", None));
    assert_eq!(found[0].link.delegated, wan.prefixes);
    assert_eq!(found[0].link.ipv6.map(|side| side.address), Some(wan.ipv6[1]), "fc00::/7 leads nowhere");
    assert_eq!(found[1].lacks, Some(Lack::Address("netifd has no interface wanb".into())));
    let found = attach(&config, &ids(&config), &snapshot(), &Netifd::Missing("no ubus".into()));
    assert!(matches!(&found[0].lacks, Some(Lack::Address(why)) if why.contains("set option device")));
}

/// As mwan3 has them.
#[test]
fn a_device_is_one_link_of_both_families() {
    let config = config(
        "config cheaproute 'main'\nconfig link 'wan'\nconfig link 'wan6'\nconfig link 'six'\nconfig link 'four'\n",
    );
    let interface = |name: &str, device: &str| Interface {
        name: name.into(),
        up: true,
        l3_device: Some(device.into()),
        ..Interface::default()
    };
    let four = |name: &str, device: &str| Interface {
        ipv4: vec![[192, 0, 2, 10].into()],
        gateway: Hop::Via([192, 0, 2, 1].into()),
        ..interface(name, device)
    };
    let six = |name: &str, device: &str| Interface {
        ipv6: vec!["2001:db8::10".parse().unwrap()],
        gateway6: Hop::Direct,
        prefixes: vec![("2001:db8:1::".parse().unwrap(), 56)],
        ..interface(name, device)
    };
    let list = [four("wan", "eth1"), six("wan6", "eth1"), six("six", "eth9"), four("four", "eth9")];
    let found = attach(&config, &ids(&config), &snapshot(), &Netifd::Interfaces(list.into()));
    for (first, second) in [(0, 1), (2, 3)] {
        let link = &found[first].link;
        assert_eq!((&found[first].lacks, link.ipv4.is_some(), link.ipv6.is_some()), (&None, true, true));
        assert!(link.delegated.contains(&("2001:db8:1::".parse().unwrap(), 56)));
        let Attached { link, lacks, .. } = &found[second];
        assert_eq!((link.ipv4, link.ipv6, link.delegated.len()), (None, None, 0));
        let says = format!("is that of link {}, which carries both families", found[first].link.name);
        assert!(lacks.as_ref().unwrap().to_string().ends_with(&says), "{lacks:?}");
    }
}

#[test]
fn an_address_without_a_default_route_is_no_way_out() {
    let config = config("config cheaproute 'main'\nconfig link 'wan'\n");
    let wan = |device: &str| Interface {
        name: "wan".into(),
        up: true,
        l3_device: Some(device.into()),
        ipv6: vec!["2001:db8::10".parse().unwrap()],
        ..Interface::default()
    };
    let found =
        |now: &Snapshot, wan: Interface| attach(&config, &ids(&config), now, &Netifd::Interfaces(vec![wan])).remove(0);
    let mut now = snapshot();
    let lacking = found(&now, wan("eth9"));
    assert_eq!(lacking.lacks, Some(Lack::Address("interface wan has no default route".into())));
    // The kernel's own, by a router's advertisement.
    let gateway = |found: Attached| found.link.ipv6.map(|side| side.gateway);
    assert_eq!(gateway(found(&now, wan("eth1"))), Some(Some("fe80::fe".parse().unwrap())));
    // WireGuard's.
    now.devices[3].neighbours = false;
    assert_eq!(gateway(found(&now, wan("eth9"))), Some(None));
}

#[test]
fn links_keep_their_numbers() {
    let named = |names: &[&str]| {
        let links: String =
            names.iter().map(|name| format!("config link '{name}'\n\toption device '{name}'\n")).collect();
        config(&format!("config cheaproute 'main'\n{links}"))
    };
    let id = |number| LinkId::new(number).unwrap();
    let old: Vec<(String, LinkId)> = vec![("a".into(), id(1)), ("b".into(), id(2)), ("c".into(), id(3))];
    assert_eq!(number(&named(&["new", "c", "a"]), &old), [id(4), id(3), id(1)], "not what b's flows are marked with");
    assert_eq!(number(&named(&["x", "y"]), &[]), [id(1), id(2)]);
    // Once all were somebody's, that of who went first is given away, and none twice.
    let all: Vec<String> = (1..=MAX_LINKS).map(|number| format!("l{number}")).collect();
    let all: Vec<(String, LinkId)> = all.into_iter().zip((1..).map_while(LinkId::new)).collect();
    let names = remember(vec![("l2".into(), id(2)), ("l1".into(), id(1))], &all);
    assert_eq!(number(&named(&["x", "l2", "y"]), &names), [id(15), id(2), id(14)]);
}

#[test]
fn numbers_of_those_that_went_are_remembered_until_another_has_them() {
    let id = |number| LinkId::new(number).unwrap();
    let named = |names: &[(&str, u8)]| names.iter().map(|(name, number)| ((*name).to_owned(), id(*number))).collect();
    let old: Vec<(String, LinkId)> = named(&[("a", 1), ("b", 2), ("c", 3)]);
    let now: Vec<(String, LinkId)> = named(&[("x", 4), ("b", 2), ("y", 3)]);
    assert_eq!(remember(now, &old), named(&[("x", 4), ("b", 2), ("y", 3), ("a", 1)]) as Vec<_>);
}

#[test]
fn direct_is_all_but_default_routes() {
    let found: Vec<String> = direct(&snapshot(), &[], &[]).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["10.0.0.0/8", "192.168.1.0/24"]);
}

#[test]
fn numbers_outlive_a_daemon() {
    let id = |number| LinkId::new(number).unwrap();
    let names = vec![("wan".to_owned(), id(2)), ("wan_b".to_owned(), id(15)), ("vps".to_owned(), id(1))];
    assert_eq!(noted(&note(&names)), names);
    let alien = "a 1\nb 1\na 2\nc 0\nd 16\ne 300\nf -1\ng\nh 3 4\n/ 5\n\n 6\ni 7\n";
    assert_eq!(noted(alien), [("a".to_owned(), id(1)), ("i".to_owned(), id(7))]);
    assert_eq!(noted("").len(), 0);
}
