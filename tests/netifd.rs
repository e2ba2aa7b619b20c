//! Links by their names in netifd, which a real broker and a netifd of our own stand in for.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lab::{gateway4, router4};
use support::{Bed, Daemon, SERVERS, ms};
use ubus::blobmsg::BlobMsgTable;
use ubus::client::UbusClient;
use ubus::envelope::{EnvBuilder, UbusAttr, find};
use ubus::unix::UnixUbusTransport;
use ubus::wire::Frame;
use ubus::{MsgType, Transport};

const CONFIG: &str = "config cheaproute 'main'\nconfig link 'wan1'\nconfig link 'second'\n option interface 'wan2'\n";

/// A router's bus: the broker and netifd, until dropped.
struct Bus {
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    /// Whether netifd says that wan2 is up.
    second: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Bus {
    fn start(name: &str) -> Self {
        let socket = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.sock", std::process::id()));
        let socket_path = socket.to_str().unwrap().to_owned();
        let mut broker = ubusd::Broker::bind(ubusd::Config { socket_path, ..Default::default() }).unwrap();
        let (stop, second) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        let ended = stop.clone();
        let broker = thread::spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                broker.poll_once(5).unwrap();
            }
        });
        let (path, ended, up) = (socket.clone(), stop.clone(), second.clone());
        let netifd = thread::spawn(move || netifd(&path, &ended, &up));
        Bus { socket, stop, second, threads: vec![broker, netifd] }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Serves `network.interface dump`, and notifies whenever `second` changes.
fn netifd(path: &Path, stop: &AtomicBool, second: &AtomicBool) {
    let mut client = UbusClient::connect(UnixUbusTransport::connect(path.to_str().unwrap()).unwrap()).unwrap();
    let mut attributes = EnvBuilder::new();
    attributes.push_str(UbusAttr::ObjPath, "network.interface");
    attributes.push_signature(&[]);
    let mut object = 0;
    let added = client.request(MsgType::AddObject, 0, attributes, |frame| {
        object = find(&frame.payload, UbusAttr::ObjId).unwrap().as_u32().unwrap();
        Ok(())
    });
    added.unwrap();
    let mut told = second.load(Ordering::SeqCst);
    while !stop.load(Ordering::SeqCst) {
        let up = second.load(Ordering::SeqCst);
        if up != told {
            told = up;
            let mut attributes = EnvBuilder::new();
            attributes.push_u32(UbusAttr::ObjId, object);
            attributes.push_str(UbusAttr::Method, "interface.update");
            attributes.push_u8(UbusAttr::NoReply, 1);
            attributes.push_data(BlobMsgTable::build(|b| b.put_str(Some("interface"), "wan2")).contents());
            let news = Frame::to_broker(MsgType::Notify, 99, attributes.finish());
            client.transport_mut().send(&news).unwrap();
        }
        let Ok(Some(frame)) = client.recv_frame() else {
            thread::sleep(Duration::from_millis(2));
            continue;
        };
        if frame.hdr.ty != MsgType::Invoke {
            continue;
        }
        let table = dump(up);
        let mut attributes = EnvBuilder::new();
        attributes.push_u32(UbusAttr::ObjId, object);
        attributes.push_data(table.contents());
        let reply = Frame::to_peer(MsgType::Data, frame.hdr.seq, frame.hdr.peer, attributes.finish());
        client.transport_mut().send(&reply).unwrap();
        client.acknowledge(&frame, 0).unwrap();
    }
}

fn dump(second: bool) -> BlobMsgTable {
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
    daemon.await_heartbeat(lab.router());
    let bed = Bed { daemon, lab };
    let server = bed.server(SERVERS[0], 80);
    support::eventually("the faster link wins", || bed.link_taken(&server) == 2);
    let mark = bed.daemon.process.lines_so_far();
    bus.second.store(false, Ordering::SeqCst);
    bed.daemon.says(mark, "link second is down");
    support::eventually("the other link is left", || bed.link_taken(&server) == 1);
    bus.second.store(true, Ordering::SeqCst);
    support::eventually("and it is back", || bed.link_taken(&server) == 2);
}

#[test]
fn without_netifd_the_daemon_says_what_to_do() {
    need_lab!();
    let lab = Bed::builder(&[2, 2]).build();
    let daemon = Daemon::launch(lab.router(), CONFIG, |command| _ = command.arg("--ubus").arg("/nowhere/ubus.sock"));
    daemon.says(0, "link second is down");
    let bed = Bed { daemon, lab };
    support::eventually("a reason", || {
        let output = bed.daemon.command(bed.lab.router(), &["links"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("set option device")
    });
    // Connections take the plain way.
    let server = bed.server(SERVERS[0], 80);
    assert_eq!(bed.link_taken(&server), 1);
    std::thread::sleep(ms(10));
}
