use super::*;
use crate::config::{self, Config};
use crate::kernel::Device;
use crate::kernel::fake::Fake;
use crate::prefix::Prefix;
use crate::split::place::Place;
use crate::steer::Tunnel;

const MARKS: fn() -> Marks = Marks::default;

fn config() -> Config {
    let text =
        "config cheaproute 'main'\nconfig link 'a'\n\toption device 'wan1'\nconfig link 'b'\n\toption device 'wan2'\n";
    config::read(text).unwrap().0
}

fn links() -> Vec<Link> {
    let link = |number: u8, name: &str| Link {
        name: name.into(),
        device: format!("wan{number}"),
        ipv6: None,
        ..Link::example(number)
    };
    vec![link(1, "a"), link(2, "b")]
}

fn plan<'a>(config: &'a Config, links: &'a [Link], queueing: Queueing) -> Plan<'a> {
    Plan { queueing, ..Plan::example(config, links) }
}

#[test]
fn what_is_put_up_is_taken_down() {
    let mut kernel = Fake::default();
    kernel.set("net/ipv4/conf/all/rp_filter", "0").unwrap();
    kernel.set("net/ipv4/conf/wan1/rp_filter", "1").unwrap();
    kernel.set("net/ipv4/conf/wan2/rp_filter", "0").unwrap();
    let foreign = Rule { preference: 100, source: None, mark: 0, mask: 0, table: 77, suppress: None };
    kernel.rules.push((Family::Ipv4, foreign, 3));
    let before = kernel.clone();
    let (config, links) = (config(), links());
    let mut installation = Installation::survey(kernel, MARKS()).unwrap();
    installation.apply(&plan(&config, &links, Queueing::Nft)).unwrap();
    let kernel = &installation.kernel;
    assert_eq!(
        kernel.rules.len(),
        1 + 2 * 2 + 2 * 2,
        "one rule for each link in each family, and two for its IPv4 address"
    );
    assert_eq!(kernel.routes.iter().map(|(_, table, ..)| *table).collect::<Vec<_>>(), [4001, 4002]);
    assert_eq!(kernel.loaded.len(), 1);
    assert!(kernel.settings.contains(&("net/ipv4/conf/wan1/rp_filter".into(), "0".into())));
    assert!(kernel.settings.contains(&("net/ipv4/conf/wan2/rp_filter".into(), "0".into())));
    installation.remove();
    let mut after = installation.kernel;
    assert_eq!(after.rules, before.rules);
    assert_eq!(after.routes, []);
    assert!(after.loaded.last().unwrap().ends_with("delete table inet cheaproute\n"));
    assert_eq!(after.setting("net/ipv4/conf/wan1/rp_filter").unwrap(), "1");
}

#[test]
fn only_what_changed_is_loaded() {
    let (config, mut links) = (config(), links());
    let mut installation = Installation::survey(Fake::default(), MARKS()).unwrap();
    installation.apply(&plan(&config, &links, Queueing::Nft)).unwrap();
    installation.apply(&plan(&config, &links, Queueing::Nft)).unwrap();
    assert_eq!(installation.kernel.loaded.len(), 1);
    links[0].up = false;
    installation.apply(&plan(&config, &links, Queueing::Nft)).unwrap();
    assert!(installation.kernel.loaded[1].starts_with("flush chain inet cheaproute "));
    links.remove(0);
    installation.apply(&plan(&config, &links, Queueing::Nft)).unwrap();
    let tables: Vec<u32> = installation.kernel.routes.iter().map(|(_, table, ..)| *table).collect();
    assert_eq!(tables, [4002], "the link that left takes its route along");
    assert!(!installation.kernel.rules.iter().any(|(_, rule, _)| rule.table == 4001));
}

#[test]
fn a_table_that_somebody_removed_is_loaded_again() {
    let (config, mut links) = (config(), links());
    let mut installation = Installation::survey(Fake::default(), MARKS()).unwrap();
    installation.apply(&plan(&config, &links, Queueing::Nft)).unwrap();
    for up in [true, false] {
        installation.kernel.no_table = true;
        assert!(!installation.stands());
        links[0].up = up;
        installation.apply(&plan(&config, &links, Queueing::Nft)).unwrap();
        assert!(installation.stands());
        assert!(installation.kernel.loaded.last().unwrap().starts_with("add table inet cheaproute\ndelete table"));
    }
}

/// As nft that was killed after its transaction: what changes which rules is not known any more.
#[test]
fn after_a_load_that_failed_everything_is_loaded_anew() {
    let (config, mut links) = (config(), links());
    let mut installation = Installation::survey(Fake::default(), MARKS()).unwrap();
    installation.apply(&plan(&config, &links, Queueing::Nft)).unwrap();
    links[0].up = false;
    installation.kernel.refuses = Some("flush chain".into());
    assert!(installation.apply(&plan(&config, &links, Queueing::Nft)).is_err());
    installation.apply(&plan(&config, &links, Queueing::Nft)).unwrap();
    let loaded = &installation.kernel.loaded;
    assert!(loaded.len() == 2 && loaded[1].starts_with("add table inet cheaproute\ndelete table"));
}

#[test]
fn a_route_is_kept_while_the_kernel_has_no_memory_and_goes_with_its_device() {
    let (config, links) = (config(), links());
    let mut installation = Installation::survey(Fake::default(), MARKS()).unwrap();
    installation.apply(&plan(&config, &links, Queueing::Nft)).unwrap();
    for (number, left) in [(libc::ENOBUFS, 2), (libc::ENETDOWN, 0)] {
        installation.kernel.no_default = Some(number);
        let done = installation.apply(&plan(&config, &links, Queueing::Nft));
        assert_eq!((done.is_ok(), installation.kernel.routes.len()), (left == 0, left));
    }
}

#[test]
fn a_kernel_without_ipv6_is_no_error_and_one_without_memory_is() {
    for (number, starts) in [(libc::EAFNOSUPPORT, true), (libc::ENOMEM, false)] {
        let survey = Installation::survey(Fake { no_rules6: Some(number), ..Fake::default() }, MARKS());
        assert_eq!(survey.is_ok(), starts);
        assert!(survey.is_err() || survey.is_ok_and(|one| one.families == [Family::Ipv4]));
    }
}

#[test]
fn the_remains_of_a_crash_are_taken_over() {
    let mut kernel = Fake::default();
    let stale = Rule { preference: 4009, source: None, mark: 9 << 24, mask: 0x0F00_0000, table: 4009, suppress: None };
    kernel.add_rule(Family::Ipv4, &stale).unwrap();
    kernel.set_default(4009, 9, None, Family::Ipv4).unwrap();
    let (config, links) = (config(), links());
    let mut installation = Installation::survey(kernel, MARKS()).unwrap();
    installation.apply(&plan(&config, &links, Queueing::Nft)).unwrap();
    assert!(!installation.kernel.rules.iter().any(|(_, rule, _)| rule.table == 4009));
    assert!(!installation.kernel.routes.iter().any(|(_, table, ..)| *table == 4009));
    assert!(installation.kernel.loaded[0].starts_with("add table inet cheaproute\ndelete table"));
}

#[test]
fn the_remains_of_a_crash_are_taken_away_without_a_daemon() {
    let mut kernel = Fake::default();
    kernel.set("net/ipv4/conf/all/rp_filter", "1").unwrap();
    kernel.set("net/ipv4/conf/wan1/rp_filter", "0").unwrap();
    let mwan3 = Rule { preference: 2001, source: None, mark: 0x100, mask: 0x3F00, table: 1, suppress: None };
    let before = kernel.clone();
    let (config, links) = (config(), links());
    let mut killed = Installation::survey(kernel, MARKS()).unwrap();
    killed.apply(&plan(&config, &links, Queueing::Nft)).unwrap();
    // What stands in a daemon's way is no reason to leave anything.
    let mut kernel = Fake { refuses: Some("hook".into()), ..killed.kernel };
    kernel.rules.push((Family::Ipv4, mwan3, 0));
    let mut left = Installation::left(kernel);
    assert!(left.remove());
    assert_eq!((left.kernel.rules.as_slice(), left.kernel.routes.len()), (&[(Family::Ipv4, mwan3, 0)][..], 0));
    assert!(left.kernel.loaded.last().unwrap().ends_with("delete table inet cheaproute\n"));
    assert_eq!((left.kernel.settings, left.kernel.note), (before.settings, String::new()));
    let deaf = Fake { refuses: Some("table".into()), ..Fake::default() };
    assert!(!Installation::left(deaf).remove(), "something stays");
}

#[test]
fn what_has_a_links_address_alone_is_routed_by_it() {
    let (config, mut links) = (config(), links());
    let installation = Installation::survey(Fake::default(), MARKS()).unwrap();
    let by_address = |links: &[Link], splits| {
        let plan = Plan { splits, ..plan(&config, links, Queueing::Nft) };
        let rules = installation.rules(&plan).into_iter().filter(|rule| rule.mask == 0);
        rules.map(|rule| (rule.preference, rule.table, rule.suppress)).collect::<Vec<_>>()
    };
    let all = [(4016, 254, Some(0)), (4017, 4001, None), (4018, 254, Some(0)), (4019, 4002, None)];
    assert_eq!(by_address(&links, None), all);
    // A split's receiver has a table for it.
    let source = links[0].ipv4.unwrap().address.into();
    let table = Table { number: 4052, source, routes: Vec::new() };
    let place = Place { tables: vec![table], ..Place::default() };
    assert_eq!(by_address(&links, Some(&place)), [(4052, 4052, None), all[2], all[3]]);
    // Of two modems of one make nobody knows which is meant.
    links[1].ipv4 = links[0].ipv4;
    assert_eq!(by_address(&links, None), []);
}

#[test]
fn rules_of_others_are_told_apart() {
    let rule = |preference, mark, mask, table| Rule { preference, source: None, mark, mask, table, suppress: None };
    let mut kernel = Fake::default();
    kernel.snapshot.devices.push(Device::example(9, "usb0"));
    let mut installation = Installation::survey(kernel, MARKS()).unwrap();
    // The kernel's own, ours, and what leads nowhere; and who comes before us need not be asked for.
    for (rule, by) in [
        (rule(32766, 0, 0, 254), 2),
        (rule(4001, 1, 1, 4001), PROTOCOL),
        (rule(5000, 0, 0, 0), 0),
        (rule(220, 0, 0, 220), 0),
    ] {
        installation.kernel.rules.push((Family::Ipv4, rule, by));
    }
    let now = installation.kernel.snapshot().unwrap();
    assert_eq!(installation.foreign(&now).unwrap(), None);
    installation.kernel.rules.push((Family::Ipv6, rule(5270, 0, 0, 52), 0));
    installation.kernel.rules.push((Family::Ipv4, rule(100, 0x10000, 0xff0000, 7), 0));
    let mut now = now;
    let (destination, gateway) = (([0, 0, 0, 0].into(), 0), None);
    now.routes.push(Route { destination, gateway, device: 9, metric: 0 });
    let defaults = vec!["usb0".to_owned()];
    let wanted = Foreign { marks: vec![(Family::Ipv4, 0x10000, 0xff0000)], others: [false, true], defaults };
    assert_eq!(installation.foreign(&now).unwrap(), Some(wanted));
}

#[test]
fn a_kernel_without_ipsec_is_no_hindrance() {
    assert!(Installation::survey(Fake::default(), MARKS()).unwrap().ipsec());
    let kernel = Fake { refuses: Some("rt ipsec".into()), ..Fake::default() };
    assert!(!Installation::survey(kernel, MARKS()).unwrap().ipsec());
}

#[test]
fn a_kernel_without_nft_queue_queues_by_xtables() {
    let kernel = Fake { refuses: Some("queue num 1 ".into()), ..Fake::default() };
    let mut installation = Installation::survey(kernel, MARKS()).unwrap();
    assert_eq!(installation.queueing(), Queueing::Xtables);
    let (config, mut links) = (config(), links());
    let target = |chain: &str, queue| ("cheaproute".to_owned(), chain.to_owned(), queue);
    for up in [true, false] {
        links[0].up = up;
        installation.apply(&plan(&config, &links, Queueing::Xtables)).unwrap();
        assert_eq!(
            installation.kernel.targets,
            [target("queue_0", 0x6372), target("queue_1", 0x6373)],
            "once, not twice"
        );
    }
    // What the text cannot say, no text takes away either.
    assert!(!installation.kernel.loaded[1].contains("flush chain inet cheaproute queue_"));
    let none = Fake { refuses: Some("queue num 1 ".into()), no_target: true, ..Fake::default() };
    let why = Installation::survey(none, MARKS()).err().unwrap();
    assert!(why.contains("kmod-nft-queue"), "{why}");
}

#[test]
fn a_missing_module_is_named_by_its_package() {
    for (what, package) in [("ct mark", "kmod-nft-core"), ("fib ", "kmod-nft-fib"), ("type nat", "kmod-nft-nat")] {
        let kernel = Fake { refuses: Some(what.into()), ..Fake::default() };
        let why = Installation::survey(kernel, MARKS()).err().unwrap();
        assert!(why.contains(package), "{what}: {why}");
    }
}

#[test]
fn what_stands_in_the_way_is_named_and_nothing_is_changed() {
    let rule = |preference, mark, mask| Rule { preference, source: None, mark, mask, table: 1, suppress: None };
    for (rule, word) in [
        (rule(2001, 0x100, 0x3F00), "mwan3 is running"),
        (rule(30, 0x0100_0000, 0xFF00_0000), "mark_mask"),
        (rule(1, 0x3000_0000, 0x3000_0000), "ip rule 1 "),
        // Another option mmx_mask of mwan3's; and one whole mark, which `ip rule` means by no mask.
        (Rule { table: 3, ..rule(2003, 0x30000, 0xF0000) }, "mwan3 is running"),
        (rule(2, 0x0100_0000, u32::MAX), "mark_mask"),
    ] {
        let kernel = Fake { rules: vec![(Family::Ipv4, rule, 0)], ..Fake::default() };
        let why = Installation::survey(kernel, MARKS()).err().unwrap();
        assert!(why.contains(word), "{why}");
    }
    // Somebody who numbers rules like tables is not mwan3 yet.
    let numbered = Rule { table: 100, ..rule(2100, 0x100, 0xFF00) };
    for harmless in [rule(30, 0x100, 0x3F00), rule(5, 0x80000, 0xFF0000), rule(9, 7, u32::MAX), numbered] {
        let kernel = Fake { rules: vec![(Family::Ipv6, harmless, 0)], ..Fake::default() };
        assert!(Installation::survey(kernel, MARKS()).is_ok(), "{harmless:?}");
    }
}

/// mwan3 comes later at boot: its rules with its interfaces.
#[test]
fn what_comes_into_the_way_later_is_said_once() {
    let mut installation = Installation::survey(Fake::default(), MARKS()).unwrap();
    let rule = Rule { preference: 2001, source: None, mark: 0x100, mask: 0x3F00, table: 1, suppress: None };
    installation.foreign(&Snapshot::default()).unwrap();
    assert!(!installation.told);
    installation.kernel.rules = vec![(Family::Ipv6, rule, 0)];
    installation.foreign(&Snapshot::default()).unwrap();
    assert!(installation.told);
}

#[test]
fn peers_have_a_table_and_a_server_forwards() {
    let mut kernel = Fake::default();
    for (name, value) in [
        ("net/ipv4/ip_forward", "0"),
        ("net/ipv6/conf/all/forwarding", "0"),
        ("net/ipv6/conf/wan1/accept_ra", "1"),
        ("net/ipv4/conf/all/rp_filter", "1"),
        ("net/ipv4/conf/bond1/rp_filter", "0"),
    ] {
        kernel.set(name, value).unwrap();
    }
    kernel.snapshot.devices = vec![Device::example(1, "wan1")];
    let before = kernel.settings.clone();
    let (config, links) = (config(), links());
    let prefixes: Vec<Prefix> = ["10.9.0.0/24", "fd09::/64"].iter().map(|prefix| prefix.parse().unwrap()).collect();
    let tunnel = Tunnel {
        name: "site".into(),
        device: "bond1".into(),
        index: 8,
        up: true,
        mtu: 1400,
        way: None,
        routes: prefixes.clone(),
        masquerade: prefixes,
    };
    let mut installation = Installation::survey(kernel, MARKS()).unwrap();
    let (up, down) = ([tunnel.clone()], [Tunnel { up: false, ..tunnel }]);
    let plan = plan(&config, &links, Queueing::Nft);
    installation.apply(&Plan { tunnels: &up, ..plan }).unwrap();
    let kernel = &mut installation.kernel;
    assert_eq!(
        kernel.copied.iter().map(|(table, route)| (*table, route.device)).collect::<Vec<_>>(),
        [(4051, 8), (4051, 8)]
    );
    for family in Family::BOTH {
        let ours = kernel.rules.iter().filter(|(of, rule, _)| *of == family && rule.mask == 0 && rule.source.is_none());
        let ours: Vec<(u32, u32, Option<u32>)> =
            ours.map(|(_, rule, _)| (rule.preference, rule.table, rule.suppress)).collect();
        assert_eq!(ours, [(4050, 254, Some(0)), (4051, 4051, None)]);
    }
    for (name, value) in [
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv6/conf/all/forwarding", "1"),
        ("net/ipv6/conf/wan1/accept_ra", "2"),
        ("net/ipv4/conf/bond1/rp_filter", "2"),
    ] {
        assert_eq!(kernel.setting(name).unwrap(), value, "{name}");
    }
    installation.apply(&Plan { tunnels: &down, ..plan }).unwrap();
    assert_eq!(installation.kernel.copied, []);
    assert!(installation.kernel.rules.iter().all(|(_, rule, _)| rule.mask != 0 || rule.source.is_some()));
    installation.apply(&Plan { tunnels: &up, ..plan }).unwrap();
    installation.remove();
    let mut after = installation.kernel;
    assert_eq!((after.copied.len(), after.rules.len()), (0, 0));
    before.iter().for_each(|(name, value)| assert_eq!(after.setting(name).unwrap(), *value, "{name}"));
}
