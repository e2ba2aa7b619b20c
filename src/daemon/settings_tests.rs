use super::*;
use crate::config::{self, Config};
use crate::kernel::fake::Fake;
use crate::link::Link;
use crate::split::place::Place;

fn config() -> Config {
    config::read("config link 'a'\n\toption device 'wan1'\n").unwrap().0
}

fn links() -> Vec<Link> {
    [1, 2].map(|number| Link { device: format!("wan{number}"), ..Link::example(number) }).into()
}

fn values(kernel: &mut Fake, names: &[&str]) -> String {
    let values = names.iter().map(|name| kernel.setting(name).unwrap());
    values.collect::<Vec<_>>().join(" ")
}

const NAMES: [&str; 6] = [
    "net/ipv4/conf/wan1/rp_filter",
    "net/ipv4/conf/wan1/arp_filter",
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/wan1/accept_ra",
    "net/ipv6/conf/wan2/accept_ra",
];

fn kernel() -> Fake {
    let mut kernel = Fake::default();
    for (name, value) in NAMES.iter().zip(["1", "0", "0", "0", "1", "0"]) {
        kernel.set(name, value).unwrap();
    }
    kernel
}

fn place() -> Place {
    Place {
        devices: vec!["wan1".into()],
        forwards: true,
        forwards6: true,
        advertised: vec!["wan1".into(), "wan2".into()],
        ..Place::default()
    }
}

#[test]
fn settings_are_given_back_with_what_needed_them() {
    let mut kernel = kernel();
    let mut settings = Settings::of(&mut kernel);
    let (config, links, place) = (config(), links(), place());
    let with = Plan { splits: Some(&place), ..Plan::example(&config, &links) };
    for _ in 0..2 {
        settings.adjust(&mut kernel, &with);
        assert_eq!(values(&mut kernel, &NAMES), "0 1 1 1 2 0", "who heeds no advertisements goes on so");
    }
    // A device that was made anew: its setting is kept once.
    kernel.set("net/ipv4/conf/wan1/rp_filter", "1").unwrap();
    settings.adjust(&mut kernel, &with);
    assert_eq!((values(&mut kernel, &NAMES).as_str(), settings.changed.len()), ("0 1 1 1 2 0", 5));
    settings.adjust(&mut kernel, &Plan::example(&config, &links));
    assert_eq!(values(&mut kernel, &NAMES), "0 0 0 0 1 0", "the links are still there");
    settings.adjust(&mut kernel, &Plan::example(&config, &[]));
    assert_eq!(values(&mut kernel, &NAMES), "1 0 0 0 1 0");
    // What was on is nobody's business.
    for name in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        kernel.set(name, "1").unwrap();
    }
    settings.adjust(&mut kernel, &with);
    settings.restore(&mut kernel);
    assert_eq!(values(&mut kernel, &NAMES), "1 0 1 1 1 0");
}

#[test]
fn a_killed_daemons_settings_are_given_back_by_the_next() {
    let mut kernel = kernel();
    let (config, links, place) = (config(), links(), place());
    let with = Plan { splits: Some(&place), ..Plan::example(&config, &links) };
    Settings::of(&mut kernel).adjust(&mut kernel, &with);
    assert_eq!(values(&mut kernel, &NAMES), "0 1 1 1 2 0");
    // Somebody else had a say meanwhile: that stands.
    kernel.set("net/ipv4/ip_forward", "0").unwrap();
    kernel.set("net/ipv6/conf/wan1/accept_ra", "0").unwrap();
    let mut next = Settings::of(&mut kernel);
    next.adjust(&mut kernel, &Plan::example(&config, &links));
    assert_eq!(values(&mut kernel, &NAMES), "0 0 0 0 0 0", "it has no splits");
    assert_eq!(kernel.note, "net/ipv4/conf/wan1/rp_filter 1 0\n");
    next.restore(&mut kernel);
    assert_eq!((values(&mut kernel, &NAMES).as_str(), kernel.note.as_str()), ("1 0 0 0 0 0", ""));
}

/// A device's own filter counts only as far as it is stricter than that for all.
#[test]
fn a_links_filter_is_off_or_loose_as_that_for_all_permits() {
    let (mut kernel, config, links) = (kernel(), config(), links());
    let (all, own) = ("net/ipv4/conf/all/rp_filter", NAMES[0]);
    let mut settings = Settings::of(&mut kernel);
    for before in ["0", "1", "2"] {
        kernel.set(own, before).unwrap();
        for (filter, is) in [("0", "0"), ("1", "2"), ("0", "0")] {
            kernel.set(all, filter).unwrap();
            settings.adjust(&mut kernel, &Plan::example(&config, &links));
            assert_eq!(kernel.setting(own).unwrap(), is, "{before} {filter}");
        }
        settings.restore(&mut kernel);
        assert_eq!(kernel.setting(own).unwrap(), before);
    }
}

#[test]
fn of_a_note_only_what_is_ours_is_read() {
    let good = "net/ipv4/ip_forward 0 1\nnet/ipv6/conf/br-lan.7/accept_ra 1 2\n";
    let names = |text: &str| parse(text).map(|changed| changed.name).collect::<Vec<_>>();
    assert_eq!(names(good), ["net/ipv4/ip_forward", "net/ipv6/conf/br-lan.7/accept_ra"]);
    for bad in [
        "kernel/core_pattern 0 1",
        "net/ipv4/conf/../rp_filter 0 1",
        "net/ipv4/conf/a/b/rp_filter 0 1",
        "net/ipv4/conf/all/rp_filter 0 1",
        "net/ipv4/ip_forward/../../../kernel/panic 0 1",
        "net/ipv4/ip_forward 0",
        "net/ipv4/ip_forward 0 1 2",
        "net/ipv4/ip_forward x 1",
        "net/ipv4/ip_forward  1",
        "net/ipv4/ip_forward 100 1",
    ] {
        assert_eq!(names(bad), [""; 0], "{bad}");
    }
    assert_eq!(names(&good.repeat(MOST)).len(), MOST);
}
