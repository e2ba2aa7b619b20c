//! The object `cheaproute` on a real broker: what scripts, LuCI and hotplug have of the daemon.

mod support;

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lab::Dual;
use support::bus::{Running, await_frame, broker, bus_socket, call, client, data};
use support::{Bed, Daemon, SERVERS, config, eventually, ms};
use ubus::MsgType;
use ubus::blobmsg::to_json;
use ubus::envelope::{UbusAttr, find};

/// With targets to probe: the gateways, which answer echoes.
fn probed(links: usize) -> String {
    let probe = |link| format!("list probe 'icmp:{}'", lab::gateway4(link));
    let options: Vec<String> = (1..=links).map(probe).collect();
    config(&options.iter().map(String::as_str).collect::<Vec<_>>(), "")
}

struct Router {
    bed: Bed,
    socket: PathBuf,
    broker: Option<Running>,
}

impl Router {
    fn start(name: &str, config: &str) -> Self {
        let socket = bus_socket(name);
        let broker = broker(&socket);
        let lab = Bed::builder(&[2, 20]).build();
        let daemon = launch(&lab, config, &socket);
        let router = Router { bed: Bed { daemon, lab }, socket, broker: Some(broker) };
        router.await_object();
        router
    }

    fn await_object(&self) {
        eventually("the object", || client(&self.socket).lookup("cheaproute").is_ok());
    }

    fn call(&self, method: &str, arguments: &str) -> (String, u32) {
        call(&self.socket, method, arguments)
    }

    fn json(&self, command: &[&str]) -> String {
        let output = self.bed.daemon.command(self.bed.lab.router(), command).arg("--json").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

fn launch(lab: &Dual, config: &str, socket: &Path) -> Daemon {
    let daemon = Daemon::launch(lab.router(), config, |command| _ = command.arg("--ubus").arg(socket));
    daemon.says(0, "racing over");
    daemon.await_heartbeat(lab.router());
    daemon
}

#[test]
fn methods_are_listed_with_their_arguments() {
    need_lab!();
    let router = Router::start("list", &config(&["", ""], ""));
    let objects = client(&router.socket).lookup_objects(Some("cheaproute")).unwrap();
    let signature = to_json(&objects[0].signature, true);
    for method in [
        r#""status":{}"#,
        r#""races":{"count":5}"#,
        r#""memory":{"count":5}"#,
        r#""probe":{"link":3}"#,
        r#""set_link":{"link":3,"up":7}"#,
    ] {
        assert!(signature.contains(method), "{signature}");
    }
    assert_eq!((objects.len(), objects[0].path.as_str()), (1, "cheaproute"));
}

#[test]
fn every_method_tells_what_the_command_line_does() {
    need_lab!();
    let router = Router::start("methods", &probed(2));
    let server = router.bed.server(SERVERS[0], 80);
    assert_eq!(router.bed.link_taken(&server), 1);
    // As LuCI calls it, through uhttpd.
    let session = r#"{"ubus_rpc_session":"00000000000000000000000000000000"}"#;
    eventually("both answers", || router.call("races", session).0.matches(r#""us":"#).count() == 2);
    for (method, command, word) in [
        ("status", &["status"][..], r#""links_up":2"#),
        ("links", &["links"], r#""name":"wan2""#),
        ("races", &["races"], r#""outcome":"won""#),
        ("memory", &["memory"], r#""destination":"198.51.100.0/24","protocol":"tcp","port":80,"link":"wan1""#),
        ("policies", &["policies"], r#""ipv4":[{"link":"wan1","percent":100},{"link":"wan2","percent":0}]"#),
        ("events", &["events"], r#""event":"link.up","link":"wan1","device":"wan1""#),
    ] {
        let (told, status) = router.call(method, session);
        assert!(status == 0 && told.contains(word), "{method}: {status} {told}");
        let json = router.json(command);
        // But for what moves from one moment to the next, they are the same: names, in their order, and texts.
        let still = |json: &str| json.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        assert_eq!(still(&told), still(&json), "{method}");
    }
    assert_eq!(router.call("peers", session), (r#"{"peers":[]}"#.into(), 0));
    let (told, status) = router.call("why", r#"{"to":"198.51.100.1","port":80,"ubus_rpc_session":"0"}"#);
    assert!(status == 0 && told.contains(r#""way":"race""#) && told.contains(r#""policy":"fastest""#), "{told}");
    assert_eq!(router.call("races", r#"{"count":1}"#).0.matches("age_ms").count(), 1);
    let (told, status) = router.call("probe", r#"{"link":"wan1","ubus_rpc_session":"0"}"#);
    assert!(status == 0 && told.contains(r#""state":"up""#) && told.contains(r#""answered":true"#), "{told}");
    assert_eq!(router.call("reload", session), (r#"{"result":"reloaded"}"#.into(), 0));
}

#[test]
fn wrong_calls_are_refused() {
    need_lab!();
    let router = Router::start("wrong", &config(&["", ""], ""));
    for (method, arguments, word, status) in [
        ("races", r#"{"count":"many"}"#, "whole number", 2),
        ("probe", "{}", "link's name", 2),
        ("probe", r#"{"link":"dsl"}"#, r#"there is no link \"dsl\"; there is: wan1, wan2"#, 2),
        ("set_link", r#"{"link":"wan1"}"#, "true or false", 2),
        ("set_link", r#"{"link":"wan1","up":"down"}"#, "true or false", 2),
        ("fly", "{}", "", 3),
    ] {
        let (told, got) = router.call(method, arguments);
        assert!(got == status && told.contains(word), "{method} {arguments}: {got} {told}");
    }
    router.bed.daemon.write("config cheaproute 'main'\nconfig link 'wan1'\n option weihgt '3'\n");
    let (told, status) = router.call("reload", "{}");
    assert!(status == 9 && told.contains("did you mean 'weight'"), "{status} {told}");
}

#[test]
fn subscribers_hear_of_links_and_reloads() {
    need_lab!();
    let router = Router::start("notify", &config(&["", ""], ""));
    let mut listener = client(&router.socket);
    let own = listener.add_anonymous_object().unwrap();
    let target = listener.lookup("cheaproute").unwrap();
    listener.subscribe(own, target).unwrap();
    let mut next = || {
        let frame = await_frame(&mut listener, |frame| frame.hdr.ty == MsgType::Invoke);
        let name = find(&frame.payload, UbusAttr::Method).unwrap().as_str().unwrap().to_owned();
        (name, data(&frame))
    };
    let about = |reason: &str| format!(r#"{{"link":"wan2","device":"wan2","interface":"","reason":"{reason}"}}"#);
    router.bed.lab.router().sh("ip link set wan2 down");
    assert_eq!(next(), ("link.down".into(), about("no carrier")));
    router.bed.lab.router().sh("ip link set wan2 up");
    assert_eq!(next().0, "link.up");
    assert_eq!(router.call("set_link", r#"{"link":"wan2","up":false}"#).1, 0);
    assert_eq!(next(), ("link.down".into(), about("taken out by the administrator")));
    assert_eq!(router.call("reload", "{}").1, 0);
    assert_eq!(next().0, "reload");
    router.bed.daemon.write("config link\n");
    assert_eq!(router.call("reload", "{}").1, 9);
    let (name, told) = next();
    assert!(name == "reload.failed" && told.contains("reason"), "{name} {told}");
}

#[test]
fn the_object_is_back_after_its_broker() {
    need_lab!();
    let mut router = Router::start("restart", &config(&["", ""], ""));
    let mark = router.bed.daemon.process.lines_so_far();
    router.broker = None;
    router.bed.daemon.says(mark, "ubusd closed the connection; trying again");
    assert!(router.json(&["status"]).contains(r#""links_up":2"#), "the daemon goes on");
    let server = router.bed.server(SERVERS[0], 80);
    assert_eq!(router.bed.link_taken(&server), 1);
    router.broker = Some(broker(&router.socket));
    router.await_object();
    let (told, status) = router.call("status", "{}");
    assert!(status == 0 && told.contains(r#""links_up":2"#), "{status} {told}");
}

#[test]
fn no_bus_is_said_once() {
    need_lab!();
    let lab = Bed::builder(&[2, 20]).build();
    let socket = bus_socket("late");
    let bed = Bed { daemon: launch(&lab, &config(&["", ""], ""), &socket), lab };
    bed.daemon.says(0, "no ubus yet");
    thread::sleep(ms(1800)); // more than one attempt
    assert_eq!(bed.daemon.process.output().matches("ubus").count(), 1, "{}", bed.daemon.process.output());
    let _broker = broker(&socket);
    eventually("the object", || client(&socket).lookup("cheaproute").is_ok());
}

#[test]
fn many_callers_at_once_stall_nothing() {
    need_lab!();
    let router = Router::start("many", &config(&["", ""], ""));
    let server = router.bed.server(SERVERS[0], 80);
    let callers: Vec<Running> = (0..3)
        .map(|_| {
            let socket = router.socket.clone();
            Running::start(move |stop| {
                while !stop.load(Ordering::SeqCst) {
                    assert_eq!(call(&socket, "links", "{}").1, 0);
                }
            })
        })
        .collect();
    assert_eq!(router.bed.links_taken(&server, 20), [1; 20]);
    assert_eq!(router.call("set_link", r#"{"link":"wan1","up":false}"#).1, 0);
    assert_eq!(router.bed.link_taken(&server), 2);
    assert!(router.json(&["status"]).contains(r#""links_up":1"#));
    drop(callers);
}

/// Greets, registers what is asked of it, and then is mad: half messages, noise, calls without an end, and a hang-up.
fn mad(listener: &UnixListener, stop: &AtomicBool) {
    const HELLO: &[u8] = b"\0\0\0\0\0\0\0\x4D\0\0\0\x04";
    // DATA with object number 7, then STATUS 0, both to request 1 of ubusd itself; then its call of `status`.
    const ADDED: &[u8] = b"\0\x02\0\x01\0\0\0\0\0\0\0\x0C\x03\0\0\x08\0\0\0\x07\
        \0\x01\0\x01\0\0\0\0\0\0\0\x0C\x01\0\0\x08\0\0\0\0";
    const CALL: &[u8] = b"\0\x05\0\x01\0\0\0\x63\0\0\0\x18\x03\0\0\x08\0\0\0\x07\x04\0\0\x0Bstatus\0\0";
    for round in 0.. {
        let mut stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(_) if stop.load(Ordering::SeqCst) => return,
                Err(_) => thread::sleep(ms(2)),
            }
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_write_timeout(Some(ms(200))).unwrap();
        let flood = match round % 4 {
            0 => CALL.repeat(20_000),
            1 => vec![0xFF; 1 << 20],
            2 => CALL[..CALL.len() - 5].to_vec(),
            _ => CALL.iter().cycle().step_by(7).take(100_000).copied().collect(),
        };
        // It reads nothing, so that a full socket is among what the daemon has to bear.
        let said =
            stream.write_all(HELLO).and_then(|()| stream.write_all(ADDED)).and_then(|()| stream.write_all(&flood));
        if said.is_ok() {
            thread::sleep(ms(50));
        }
    }
}

#[test]
fn a_mad_broker_is_the_threads_trouble_alone() {
    need_lab!();
    let socket = bus_socket("mad");
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let broker = Running::start(move |stop| mad(&listener, stop));
    let lab = Bed::builder(&[2, 20]).build();
    let mut bed = Bed { daemon: launch(&lab, &config(&["", ""], ""), &socket), lab };
    bed.daemon.says(0, "the object cheaproute is there");
    let server = bed.server(SERVERS[0], 80);
    for _ in 0..20 {
        assert_eq!(bed.link_taken(&server), 1);
        let status = bed.daemon.command(bed.lab.router(), &["status", "--json"]).output().unwrap();
        assert!(String::from_utf8_lossy(&status.stdout).contains(r#""links_up":2"#));
        thread::sleep(ms(100));
    }
    bed.daemon.stop();
    drop(broker);
    let _ = std::fs::remove_file(socket);
}
