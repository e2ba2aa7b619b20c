//! Every packet over every link, where links lose many.

mod support;

use lab::{Call, Dual, Shape};
use support::bond::{
    MEGABYTE, THERE, answers, await_paths, client_section, fetch, inside, secret, server_text, start_server,
};
use support::{Daemon, config, eventually, ms};

const REDUNDANT: &str = "option scheduler 'redundant'";

/// A second and a half of a call.
const CALL: Call = Call { per_second: 200, count: 300, bytes: 160 };

fn lossy(delay: u64) -> Shape {
    Shape { loss_ppm: 300_000, ..Shape::delayed(ms(delay)) }
}

/// A call each way, of which nothing may be lost.
#[track_caller]
fn calls_lose_nothing(lab: &Dual) {
    let (here, there) = (lab.router(), lab.internet());
    for (from, to, address) in [(there, here, inside(1)), (here, there, THERE)] {
        let heard = CALL.run(from, to, (address, 5004)).expect("a call");
        assert_eq!((heard.lost, heard.doubled), (0, 0), "{heard:?}");
    }
}

#[test]
fn one_of_three_links_loses_a_third_and_nothing_is_lost_inside() {
    need_lab!();
    let lab = Dual::builder().links(3).delays(&[ms(5), ms(10), ms(8)]).build();
    let server = start_server(lab.internet(), &server_text(&[""], REDUNDANT));
    let client = Daemon::start(lab.router(), &config(&["", "", ""], &client_section(1, REDUNDANT)));
    await_paths(&client, lab.router(), 3);
    lab.wire(2).both(lossy(10));
    calls_lose_nothing(&lab);
    // Nor if another one goes without a sign.
    lab.wire(1).blackhole(true);
    calls_lose_nothing(&lab);
    drop(server);
}

#[test]
fn frames_between_neighbours_are_redundant_too() {
    need_lab!();
    let lab = Dual::new();
    let wires = |name: &str| -> String { (1..=2).map(|link| format!("list link '{name}{link}'\n")).collect() };
    let macs: String = (1..=2).map(|link| format!("list remote_mac '02:77:00:00:0{link}:01'\n")).collect();
    let transport = "option transport 'ethernet'";
    let strip = |text: String, word: &str| -> String {
        text.lines().filter(|line| !line.contains(word)).map(|line| format!("{line}\n")).collect()
    };
    let text = server_text(&[], &format!("{REDUNDANT}\n{transport}\n{}", wires("isp")));
    let public = format!("config peer 'home'\n option public_key '{}'", secret(1).public());
    let text = strip(text, "listen_port").replace("config peer 'home'", &public);
    let server = Daemon::launch(lab.internet(), &text, |_| ());
    let section = client_section(1, &format!("{REDUNDANT}\n{transport}\n{}{macs}", wires("wan")));
    let client = Daemon::start(lab.router(), &config(&["", ""], &strip(section, "endpoint")));
    await_paths(&client, lab.router(), 2);
    eventually("an answer", || answers(lab.router(), THERE));
    lab.wire(1).both(lossy(2));
    calls_lose_nothing(&lab);
    fetch(lab.router(), lab.internet(), THERE, MEGABYTE);
    lab.wire(1).blackhole(true);
    calls_lose_nothing(&lab);
    drop(server);
}
