use super::*;
use crate::config::SplitConfig;
use crate::kernel::{Address, Device, Route, Snapshot};
use crate::link::Link;
use place::place;

fn split(text: &str) -> Split {
    text.parse().unwrap()
}

fn text(splits: &[Used]) -> String {
    chains(splits).into_iter().flat_map(|(name, hook, rules)| [name.into(), hook.into()].into_iter().chain(rules)).fold(
        String::new(),
        |mut text, line: String| {
            text += &line;
            text.push('\n');
            text
        },
    )
}

#[test]
fn slots_keep_to_the_ratio_and_apart() {
    for (ratio, period, slots) in
        [("3:1", 4, vec![3]), ("7500:2500", 4, vec![3]), ("1:1", 2, vec![1]), ("1:2", 3, vec![1, 2])]
    {
        assert_eq!(ratio.parse::<Ratio>().unwrap().slots(), (period, slots), "{ratio}");
    }
    let (period, slots) = Ratio { primary: 3, secondary: 2 }.slots();
    assert_eq!((period, slots.len()), (5, 2));
    assert_ne!(slots[1] - slots[0], 1, "one after the other fills a queue");
    for (primary, secondary) in [(7501, 2499), (1, 65535), (65535, 1), (65535, 65534), (1000, 1), (997, 331)] {
        let (period, slots) = Ratio { primary, secondary }.slots();
        assert!(period <= LONGEST_PERIOD && !slots.is_empty() && slots.len() < period as usize);
        let wanted = f64::from(secondary) / (f64::from(primary) + f64::from(secondary));
        let error = (slots.len() as f64 / f64::from(period) - wanted).abs();
        assert!(error < 1.0 / f64::from(LONGEST_PERIOD), "{primary}:{secondary} by {error}");
    }
}

#[test]
fn a_sender_splits_what_leaves_and_what_it_forwards() {
    let used = (split("sender 10.0.0.11:1234 10.0.0.12:80 3:1"), true);
    assert_eq!(
        text(&[used]),
        "split_local\nroute hook output priority mangle - 5\n\
         ip daddr 10.0.0.11 tcp dport 1234 tcp flags & syn == 0 numgen inc mod 4 { 3 } ip daddr set 10.0.0.12 \
         tcp dport set 80 comment \"sender 10.0.0.11:1234 10.0.0.12:80 3:1\"\n\
         split_forward\nfilter hook prerouting priority mangle - 5\n\
         ip daddr 10.0.0.11 tcp dport 1234 tcp flags & syn == 0 numgen inc mod 4 { 3 } ip daddr set 10.0.0.12 \
         tcp dport set 80 comment \"sender 10.0.0.11:1234 10.0.0.12:80 3:1\"\n"
    );
}

#[test]
fn a_receiver_joins_before_anything_looks() {
    assert_eq!(
        text(&[(split("receiver [fd00::11]:80 [fd00::12]:80 1:1"), true)]),
        "split_join\nfilter hook prerouting priority raw - 5\n\
         ip6 daddr fd00::12 tcp dport 80 ip6 daddr set fd00::11 comment \"receiver [fd00::11]:80 [fd00::12]:80 1:1\"\n"
    );
}

#[test]
fn what_is_listed_is_what_was_made() {
    let longest = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535";
    let (a, b) = (split("sender 10.0.0.11:1 10.0.1.11:1 7500:2500"), split("receiver 10.0.0.11:2 10.0.1.11:3 1:1"));
    let c = split(&format!("sender {longest} {} 65535:65534", longest.replace("6666", "7777")));
    assert!(c.to_string().len() + DOWN.len() <= 128, "nft keeps up to 128 bytes of a comment");
    assert_eq!(listed(&table(&[a, b, c])), [(a, true), (c, true), (b, true)]);
    assert_eq!(listed(&text(&[(a, false), (b, true)])), [(a, false), (b, true)]);
    assert!(!text(&[(a, false)]).contains(" set "), "everything takes the first path");
    assert_eq!(listed("comment \"something else\"\ncomment \"\"\ncomment \""), []);
    assert_eq!(table(&[]), "add table inet cheaproute_split\ndelete table inet cheaproute_split\n");
}

#[test]
fn what_cannot_be() {
    for bad in ["", ":", "1", "1:", "0:1", "1:0", "a:b", "1:65536", "-1:2", "+1:2", "1:2:3", "1.5:2", " 1:2"] {
        assert!(bad.parse::<Ratio>().is_err(), "{bad}");
    }
    for bad in [
        "10.0.0.1",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "fd00::1",
        "[fd00::1]",
        "[fe80::1%3]:1",
        "fe80::1",
        "[fe80::1]:1",
        "127.0.0.1:1",
        "0.0.0.0:1",
        "224.0.0.1:1",
        "169.254.1.1:1",
        "host:1",
        "",
    ] {
        assert_eq!(endpoint(bad), None, "{bad}");
    }
    let wrong = |text: &str| split(text).check().unwrap_err();
    assert!(wrong("sender 10.0.0.1:1 10.0.0.1:2 1:1").contains("is the primary one"));
    assert!(wrong("sender 10.0.0.1:1 [fd00::1]:1 1:1").contains("other family"));
    let collide = |a: &str, b: &str| split(a).collides(&split(b));
    assert!(collide("sender 10.0.0.1:1 10.0.1.1:1 1:1", "sender 10.0.0.1:1 10.0.2.1:1 1:1"));
    assert!(!collide("sender 10.0.0.1:1 10.0.1.1:1 1:1", "sender 10.0.0.1:2 10.0.1.1:1 1:1"));
    assert!(collide("receiver 10.0.0.1:1 10.0.1.1:1 1:1", "receiver 10.0.0.1:2 10.0.1.1:1 1:1"));
    assert!(!collide("receiver 10.0.0.1:1 10.0.1.1:1 1:1", "sender 10.0.0.1:1 10.0.1.1:1 1:1"));
}

/// Two devices, 10.0.1.2 and 10.0.2.2, each with its network; the default route through the first.
fn snapshot() -> Snapshot {
    let device = |index: u32| Device::example(index, &format!("eth{index}"));
    let address = |device: u32| Address { device, address: [10, 0, device as u8, 2].into(), global: true };
    let route = |to: [u8; 4], length, gateway: Option<[u8; 4]>, device| Route {
        destination: (to.into(), length),
        gateway: gateway.map(Into::into),
        device,
        metric: 0,
    };
    Snapshot {
        devices: vec![device(1), device(2)],
        addresses: vec![address(1), address(2)],
        routes: vec![
            route([10, 0, 1, 0], 24, None, 1),
            route([10, 0, 2, 0], 24, None, 2),
            route([0; 4], 0, Some([10, 0, 1, 1]), 1),
            route([192, 0, 2, 0], 24, Some([10, 0, 2, 1]), 2),
        ],
    }
}

fn config(text: &str) -> Vec<SplitConfig> {
    vec![SplitConfig { name: "bulk".into(), split: split(text) }]
}

#[test]
fn a_receiver_has_a_table_for_each_address() {
    let config = config("receiver 10.0.1.2:80 10.0.2.2:80 1:1");
    let placed = place(&config, &[], &snapshot());
    assert_eq!(placed.devices, ["eth1", "eth2"]);
    assert!(placed.troubles.is_empty() && !placed.forwards);
    let [first, second] = &placed.tables[..] else { panic!("{:?}", placed.tables) };
    assert_eq!((first.number, first.source, first.routes.len()), (4100, [10, 0, 1, 2].into(), 2));
    assert_eq!((second.number, second.source, second.routes.len()), (4101, [10, 0, 2, 2].into(), 2));
    assert!(second.routes.iter().all(|route| route.device == 2 && route.destination.1 == 24));
    // The link knows a gateway that the main table does not.
    let gatewayed = place(&config, &[Link::example(2)], &snapshot());
    let default = gatewayed.tables[1].routes[0];
    assert_eq!((default.destination.1, default.gateway), (0, Some([203, 0, 113, 254].into())));
}

#[test]
fn a_receiver_without_its_address_is_not_put_up() {
    let placed = place(&config("receiver 10.0.1.2:80 10.0.3.2:80 1:1"), &[], &snapshot());
    let trouble = "not in use: this host does not have the address 10.0.3.2";
    assert_eq!(placed.troubles, [("bulk".to_owned(), trouble.to_owned())]);
    assert!(placed.splits.is_empty() && placed.tables.is_empty() && placed.devices.is_empty());
}

#[test]
fn a_senders_second_path_is_that_of_its_route() {
    let near = config("sender 10.0.1.9:80 192.0.2.9:80 1:1");
    let both = |config: &[SplitConfig], links: &[Link], now: &Snapshot| {
        let placed = place(config, links, now);
        assert_eq!((placed.splits.len(), placed.troubles.is_empty()), (1, placed.splits[0].1));
        assert!(placed.tables.is_empty() && placed.forwards);
        placed.splits[0].1
    };
    assert!(both(&near, &[], &snapshot()));
    assert!(both(&near, &[Link::example(2)], &snapshot()));
    assert!(!both(&near, &[Link { up: false, ..Link::example(2) }], &snapshot()));
    assert!(both(&near, &[Link { up: false, ..Link::example(1) }], &snapshot()));
    let mut unplugged = snapshot();
    unplugged.devices[1].running = false;
    assert!(!both(&near, &[], &unplugged));
    let far = config("sender 10.0.1.9:80 198.51.100.9:80 1:1");
    assert!(both(&far, &[], &unplugged), "by the default route");
    unplugged.routes.clear();
    assert!(!both(&far, &[], &unplugged));
}
