//! Links by their names in netifd, which a real broker and a netifd of our own stand in for.

mod support;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lab::{gateway4, gateway6, router4, router6};
use support::bus::{Running, broker, bus_socket, client, table};
use support::{Bed, Daemon, SERVERS, ms};
use ubus::blobmsg::BlobMsgTable;
use ubus::envelope::{EnvBuilder, UbusAttr, find};
use ubus::wire::Frame;
use ubus::{MsgType, Transport};

const CONFIG: &str = "config cheaproute 'main'\nconfig link 'wan1'\nconfig link 'second'\n option interface 'wan2'\n";

/// A router's bus: the broker and netifd, until dropped.
struct Bus {
    socket: PathBuf,
    state: Arc<State>,
    netifd: Option<Running>,
    broker: Option<Running>,
}

/// What netifd says.
struct State {
    /// Whether wan2 is up.
    second: AtomicBool,
    /// The prefix delegated to wan1 is `2001:db8:PREFIX::/48`; 0: none.
    prefix: AtomicUsize,
    /// Interfaces as JSON in place of all that, unless empty.
    other: Mutex<String>,
}

impl Bus {
    fn start(name: &str) -> Self {
        let state = Arc::new(State { second: true.into(), prefix: 0.into(), other: Mutex::default() });
        let mut bus = Bus { socket: bus_socket(name), state, netifd: None, broker: None };
        bus.start_broker();
        bus.start_netifd();
        bus
    }

    fn start_broker(&mut self) {
        self.broker = Some(broker(&self.socket));
    }

    fn start_netifd(&mut self) {
        let (socket, state) = (self.socket.clone(), self.state.clone());
        self.netifd = Some(Running::start(move |stop| netifd(&socket, stop, &state)));
    }
}

/// Serves `network.interface dump`, and notifies whenever the state changes.
fn netifd(path: &Path, stop: &AtomicBool, state: &State) {
    let mut client = client(path);
    let mut attributes = EnvBuilder::new();
    attributes.push_str(UbusAttr::ObjPath, "network.interface");
    attributes.push_signature(&[]);
    let mut object = 0;
    let added = client.request(MsgType::AddObject, 0, attributes, |frame| {
        object = find(&frame.payload, UbusAttr::ObjId).unwrap().as_u32().unwrap();
        Ok(())
    });
    added.unwrap();
    let now = || (state.second.load(Ordering::SeqCst), state.prefix.load(Ordering::SeqCst));
    let mut told = now();
    while !stop.load(Ordering::SeqCst) {
        let (up, prefix) = now();
        if (up, prefix) != told {
            told = (up, prefix);
            let mut attributes = EnvBuilder::new();
            attributes.push_u32(UbusAttr::ObjId, object);
            attributes.push_str(UbusAttr::Method, "interface.update");
            attributes.push_u8(UbusAttr::NoReply, 1);
            attributes.push_data(BlobMsgTable::build(|b| b.put_str(Some("interface"), "wan2")).contents());
            let news = Frame::to_broker(MsgType::Notify, 99, attributes.finish());
            client.transport_mut().send(&news).unwrap();
        }
        let frame = match client.recv_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                thread::sleep(Duration::from_millis(2));
                continue;
            }
            Err(_) => return, // the broker is gone
        };
        if frame.hdr.ty != MsgType::Invoke {
            continue;
        }
        let other = state.other.lock().unwrap();
        let table = if other.is_empty() { dump(up, prefix) } else { table(&other) };
        let mut attributes = EnvBuilder::new();
        attributes.push_u32(UbusAttr::ObjId, object);
        attributes.push_data(table.contents());
        let reply = Frame::to_peer(MsgType::Data, frame.hdr.seq, frame.hdr.peer, attributes.finish());
        client.transport_mut().send(&reply).unwrap();
        client.acknowledge(&frame, 0).unwrap();
    }
}

fn dump(second: bool, prefix: usize) -> BlobMsgTable {
    BlobMsgTable::build(|b| {
        b.open_array(Some("interface"));
        for link in 1..=2 {
            b.open_table(None);
            b.put_str(Some("interface"), &format!("wan{link}"));
            let up = link == 1 || second;
            b.put_bool(Some("up"), up);
            if up {
                b.put_str(Some("l3_device"), &format!("wan{link}"));
                b.open_array(Some("ipv4-address"));
                b.open_table(None);
                b.put_str(Some("address"), &router4(link).to_string());
                b.put_i32(Some("mask"), 24);
                b.close_table();
                b.close_array();
                b.open_array(Some("route"));
                b.open_table(None);
                b.put_str(Some("target"), "0.0.0.0");
                b.put_i32(Some("mask"), 0);
                b.put_str(Some("nexthop"), &gateway4(link).to_string());
                b.close_table();
                b.close_array();
                if link == 1 && prefix > 0 {
                    b.open_array(Some("ipv6-address"));
                    b.open_table(None);
                    b.put_str(Some("address"), &router6(link).to_string());
                    b.put_i32(Some("mask"), 64);
                    b.close_table();
                    b.close_array();
                    b.open_array(Some("ipv6-prefix"));
                    b.open_table(None);
                    b.put_str(Some("address"), &format!("2001:db8:{prefix}::"));
                    b.put_i32(Some("mask"), 48);
                    b.close_table();
                    b.close_array();
                }
            }
            b.close_table();
        }
        b.close_array();
    })
}

#[test]
fn links_follow_their_interfaces() {
    need_lab!();
    let bus = Bus::start("follow");
    let lab = Bed::builder(&[20, 2]).build();
    let daemon = Daemon::launch(lab.router(), CONFIG, |command| _ = command.arg("--ubus").arg(&bus.socket));
    daemon.says(0, "link second is up");
    // That nothing is known before netifd's first word alarms nobody.
    assert!(!daemon.process.output().contains("warning: link second is down"), "{}", daemon.process.output());
    daemon.await_heartbeat(lab.router());
    let bed = Bed { daemon, lab };
    let server = bed.server(SERVERS[0], 80);
    support::eventually("the faster link wins", || bed.link_taken(&server) == 2);
    let mark = bed.daemon.process.lines_so_far();
    bus.state.second.store(false, Ordering::SeqCst);
    bed.daemon.says(mark, "link second is down");
    support::eventually("the other link is left", || bed.link_taken(&server) == 1);
    let events = bed.daemon.command(bed.lab.router(), &["events", "--json"]).output().unwrap().stdout;
    let down =
        r#""event":"link.down","link":"second","device":"","interface":"wan2","reason":"interface wan2 is down""#;
    assert!(String::from_utf8_lossy(&events).contains(down), "{}", String::from_utf8_lossy(&events));
    bus.state.second.store(true, Ordering::SeqCst);
    support::eventually("and it is back", || bed.link_taken(&server) == 2);
}

#[test]
fn without_netifd_the_daemon_says_what_to_do() {
    need_lab!();
    let lab = Bed::builder(&[2, 2]).build();
    let daemon = Daemon::launch(lab.router(), CONFIG, |command| _ = command.arg("--ubus").arg("/nowhere/ubus.sock"));
    daemon.says(0, "set option device");
    let bed = Bed { daemon, lab };
    support::eventually("a reason", || {
        let output = bed.daemon.command(bed.lab.router(), &["links"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("set option device")
    });
    // Connections take the plain way.
    let server = bed.server(SERVERS[0], 80);
    assert_eq!(bed.link_taken(&server), 1);
}

#[test]
fn links_stay_as_they_are_while_the_bus_is_away() {
    need_lab!();
    let mut bus = Bus::start("away");
    let lab = Bed::builder(&[20, 2]).build();
    let daemon = Daemon::launch(lab.router(), CONFIG, |command| _ = command.arg("--ubus").arg(&bus.socket));
    daemon.says(0, "link second is up");
    daemon.await_heartbeat(lab.router());
    let bed = Bed { daemon, lab };
    let server = bed.server(SERVERS[0], 80);
    support::eventually("the faster link wins", || bed.link_taken(&server) == 2);
    let mark = bed.daemon.process.lines_so_far();
    let downs = || bed.daemon.process.output().matches("is down").count();
    let before = downs();
    // netifd first, then ubusd as well.
    bus.netifd = None;
    assert_eq!(bed.links_taken(&server, 3), [2; 3]);
    bus.broker = None;
    bed.daemon.says(mark, "ubus: ");
    std::thread::sleep(ms(1500)); // more than one attempt to come back
    assert_eq!(bed.links_taken(&server, 3), [2; 3]);
    assert_eq!(downs(), before, "{}", bed.daemon.process.output());
    bus.start_broker();
    bus.start_netifd();
    bus.state.second.store(false, Ordering::SeqCst);
    let line = bed.daemon.says(mark, "link second is down");
    assert!(line.contains("interface wan2 is down"), "{line}");
    support::eventually("followed again", || bed.link_taken(&server) == 1);
}

#[test]
fn a_delegated_prefix_that_changes_is_followed() {
    need_lab!();
    let bus = Bus::start("prefix");
    bus.state.prefix.store(1, Ordering::SeqCst);
    let lab = Bed::builder(&[2, 2]).build();
    let daemon = Daemon::launch(lab.router(), CONFIG, |command| _ = command.arg("--ubus").arg(&bus.socket));
    daemon.says(0, "link second is up");
    let bed = Bed { daemon, lab };
    let steered = |prefix: &str| bed.lab.router().sh("nft list table inet cheaproute").contains(prefix);
    support::eventually("the first prefix is steered", || steered("2001:db8:1::/48"));
    bus.state.prefix.store(2, Ordering::SeqCst);
    support::eventually("the second is, and the first no more", || {
        steered("2001:db8:2::/48") && !steered("2001:db8:1::/48")
    });
}

#[test]
fn a_dry_run_asks_it_once() {
    need_lab!();
    let bus = Bus::start("dry");
    let lab = Bed::builder(&[0, 0]).build();
    for (socket, said) in [(&*bus.socket, "wan2"), (Path::new("/nowhere/ubus.sock"), "# link second: no netifd")] {
        let mut daemon =
            Daemon::launch(lab.router(), CONFIG, |command| _ = command.arg("--dry-run").arg("--ubus").arg(socket));
        daemon.process.wait_for_line(said, ms(5000));
        assert!(daemon.end().success());
        let text = daemon.process.output();
        assert!(text.contains(said) && text.contains("# link") == said.starts_with('#'), "{text}");
    }
}

/// The members of an interface that is up on a link's device.
fn up(link: usize, more: &str) -> String {
    format!(r#""up":true,"l3_device":"wan{link}",{more}"#)
}

/// With an address and a default route.
fn side(link: usize, ipv4: bool) -> String {
    let (key, any) = if ipv4 { ("ipv4-address", "0.0.0.0") } else { ("ipv6-address", "::") };
    let (address, gateway) = if ipv4 { (router4(link), gateway4(link)) } else { (router6(link), gateway6(link)) };
    let route = format!(r#"{{"target":"{any}","mask":0,"nexthop":"{gateway}"}}"#);
    up(link, &format!(r#""{key}":[{{"address":"{address}"}}],"route":[{route}]"#))
}

fn with_interfaces(name: &str, delays: &[u64], interfaces: &[String], links: &[&str]) -> (Bus, Bed) {
    let bus = Bus::start(name);
    let list: Vec<String> = interfaces.iter().map(|members| format!("{{{members}}}")).collect();
    *bus.state.other.lock().unwrap() = format!(r#"{{"interface":[{}]}}"#, list.join(","));
    let lab = Bed::builder(delays).build();
    let links: String = links.iter().map(|link| format!("config link '{link}'\n")).collect();
    let config = format!("config cheaproute 'main'\n{links}");
    let daemon = Daemon::launch(lab.router(), &config, |command| _ = command.arg("--ubus").arg(&bus.socket));
    daemon.says(0, "link wan2 is up");
    daemon.await_heartbeat(lab.router());
    (bus, Bed { daemon, lab })
}

/// IPv6 as interfaces of their own, which are links or not.
#[test]
fn a_device_is_one_link_whatever_its_interfaces_are_called() {
    need_lab!();
    let interfaces: Vec<String> = [("wan1", 1, true), ("six1", 1, false), ("wan2", 2, true), ("six2", 2, false)]
        .map(|(name, link, ipv4)| format!(r#""interface":"{name}",{}"#, side(link, ipv4)))
        .into();
    for links in [&["wan1", "wan2"][..], &["wan1", "wan2", "six1", "six2"]] {
        let name = format!("sides{}", links.len());
        let (_bus, bed) = with_interfaces(&name, &[30, 2], &interfaces, links);
        for address in SERVERS {
            let server = bed.server(address, 80);
            support::eventually("all sides are known", || bed.link_taken(&server) == 2);
            assert_eq!(bed.link_taken(&server), 2, "{links:?}, {address}");
        }
        let output = bed.daemon.command(bed.lab.router(), &["links"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text.contains("carries both families"), links.len() > 2, "{text}");
    }
}

#[test]
fn a_link_without_an_ipv6_address_of_its_own_takes_one_of_its_prefix() {
    need_lab!();
    let prefix = up(
        1,
        r#""ipv6-prefix":[{"address":"2001:db8:aa::","mask":48}],"route":[{"target":"::","mask":0,"nexthop":"fd77:1::1"}]"#,
    );
    let assigned = r#""ipv6-prefix-assignment":[{"local-address":{"address":"2001:db8:aa::1"}}]"#;
    let interfaces = [
        format!(r#""interface":"wan1",{}"#, side(1, true)),
        format!(r#""interface":"wan1_6",{prefix}"#),
        format!(r#""interface":"wan2",{}"#, side(2, true)),
        format!(r#""interface":"wan2_6",{}"#, side(2, false)),
        format!(r#""interface":"lan","up":true,"l3_device":"lan0",{assigned}"#),
    ];
    let (_bus, bed) = with_interfaces("assigned", &[2, 30], &interfaces, &["wan1", "wan2"]);
    bed.lab.router().sh("ip address add 2001:db8:aa::1/64 dev lan0 nodad; ip address del fd77:1::2/64 dev wan1
        ip -6 route replace fd77:1::1 dev wan1");
    bed.lab.internet().sh("ip -6 route add 2001:db8:aa::/48 via fd77:1::2");
    let server = bed.server(SERVERS[1], 80);
    let local = lab::connect(bed.lab.client(), server.address(), ms(4000));
    local.expect("a race");
    support::eventually("accepted", || server.accepted() == 1);
    assert_eq!(server.peers()[0].ip().to_string(), "2001:db8:aa::1");
}
