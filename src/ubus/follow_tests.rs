//! Against a real broker, and a netifd that serves what it is told.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::thread::{self, JoinHandle};

use ::ubus::blobmsg::BlobMsgTable;
use ::ubus::client::UbusClient;
use ::ubus::envelope::{EnvBuilder, UbusAttr, find};
use ::ubus::unix::UnixUbusTransport;
use ::ubus::wire::Frame;
use ::ubus::{MsgType, Transport, UbusError};

use super::*;
use crate::control::queue::{Receiver, queue};

/// No step may take longer; the longest is one pause after the other.
const PATIENCE: Duration = Duration::from_secs(4);

/// A thread that ends with its handle.
struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(work: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        Running { stop, thread: Some(thread::spawn(move || work(&seen))) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.thread.take().unwrap().join();
    }
}

fn socket(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("cheaproute-{}-{name}.sock", std::process::id()))
}

fn broker(path: &Path) -> Running {
    let socket_path = path.to_str().unwrap().to_owned();
    // Everyone is root, so that the tests need not be.
    let config = ubusd::Config { socket_path, peer_uid_override: Some(0), ..Default::default() };
    let mut broker = ubusd::Broker::bind(config).unwrap();
    Running::start(move |stop| {
        while !stop.load(Ordering::SeqCst) {
            broker.poll_once(5).unwrap();
        }
    })
}

/// Its own waits may end at once: on 32-bit machines rustix (1.1) hands its 64-bit times to the `ppoll` of 32, and who waits a
/// number of times has given up before the broker's thread has run.
struct Patient(UnixUbusTransport);

impl Transport for Patient {
    fn send(&mut self, frame: &Frame) -> Result<(), UbusError> {
        self.0.send(frame)
    }

    fn recv(&mut self) -> Result<Option<Frame>, UbusError> {
        self.0.recv()
    }

    fn wait_recv(&mut self) {
        thread::sleep(Duration::from_millis(20));
    }
}

struct Netifd {
    state: Arc<State>,
    _running: Running,
}

#[derive(Default)]
struct State {
    address: AtomicUsize,
    dumps: AtomicUsize,
    notify: AtomicUsize,
    acknowledged: AtomicUsize,
    wants_replies: AtomicBool,
}

impl Netifd {
    fn start(path: &Path, address: usize) -> Self {
        let transport = Patient(UnixUbusTransport::connect(path.to_str().unwrap()).unwrap());
        let mut client = UbusClient::connect(transport).unwrap();
        let mut object = 0;
        let mut attributes = EnvBuilder::new();
        attributes.push_str(UbusAttr::ObjPath, OBJECT);
        attributes.push_signature(&[]);
        let added = client.request(MsgType::AddObject, 0, attributes, |frame| {
            object = find(&frame.payload, UbusAttr::ObjId).unwrap().as_u32().unwrap();
            Ok(())
        });
        added.unwrap();
        let state = Arc::new(State { address: address.into(), ..State::default() });
        let shared = state.clone();
        let running = Running::start(move |stop| {
            while !stop.load(Ordering::SeqCst) {
                if shared.notify.load(Ordering::SeqCst) > 0 {
                    shared.notify.fetch_sub(1, Ordering::SeqCst);
                    let notification = notification(object, !shared.wants_replies.load(Ordering::SeqCst));
                    client.transport_mut().send(&notification).unwrap();
                }
                match client.recv_frame() {
                    Ok(Some(frame)) => answer(&mut client, &frame, object, &shared),
                    Ok(None) => thread::sleep(Duration::from_millis(2)),
                    Err(_) => return,
                }
            }
        });
        Netifd { state, _running: running }
    }

    fn change(&self, address: usize) {
        self.state.address.store(address, Ordering::SeqCst);
        self.state.notify.fetch_add(1, Ordering::SeqCst);
    }
}

fn notification(object: u32, no_reply: bool) -> Frame {
    let mut attributes = EnvBuilder::new();
    attributes.push_u32(UbusAttr::ObjId, object);
    attributes.push_str(UbusAttr::Method, "interface.update");
    attributes.push_u8(UbusAttr::NoReply, no_reply.into());
    attributes.push_data(BlobMsgTable::build(|b| b.put_str(Some("interface"), "wan")).contents());
    Frame::to_broker(MsgType::Notify, 99, attributes.finish())
}

fn answer(client: &mut UbusClient<Patient>, frame: &Frame, object: u32, state: &State) {
    if frame.hdr.ty == MsgType::Status && frame.hdr.peer != 0 && frame.hdr.peer != object {
        state.acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    if frame.hdr.ty != MsgType::Invoke {
        return;
    }
    match find(&frame.payload, UbusAttr::Method).unwrap().as_str().unwrap() {
        "dump" => {
            state.dumps.fetch_add(1, Ordering::SeqCst);
            let address = state.address.load(Ordering::SeqCst);
            let table = BlobMsgTable::build(|b| {
                b.open_array(Some("interface"));
                b.open_table(None);
                b.put_str(Some("interface"), "wan");
                b.put_bool(Some("up"), true);
                b.put_i32(Some("uptime"), state.dumps.load(Ordering::SeqCst) as i32);
                b.put_str(Some("l3_device"), "eth1");
                b.open_array(Some("ipv4-address"));
                b.open_table(None);
                b.put_str(Some("address"), &format!("192.0.2.{address}"));
                b.close_table();
                b.close_array();
                b.put_str(Some("padding"), &"x".repeat(40_000)); // more than one read
                b.close_table();
                b.close_array();
            });
            let mut attributes = EnvBuilder::new();
            attributes.push_u32(UbusAttr::ObjId, object);
            attributes.push_data(table.contents());
            let reply = Frame::to_peer(MsgType::Data, frame.hdr.seq, frame.hdr.peer, attributes.finish());
            client.transport_mut().send(&reply).unwrap();
            client.acknowledge(frame, 0).unwrap();
        }
        "silent" => {}
        _ => client.acknowledge(frame, 3).unwrap(),
    }
}

struct Watched {
    updates: Receiver<Update>,
    woken: Arc<AtomicUsize>,
    follower: Option<Follower>,
}

impl Watched {
    fn start(path: &Path) -> Self {
        let (sender, updates) = queue(8);
        let woken = Arc::new(AtomicUsize::new(0));
        let count = woken.clone();
        let wake = move || _ = count.fetch_add(1, Ordering::SeqCst);
        let follower = Follower::start(vec!["/nowhere/ubus.sock".into(), path.into()], sender, wake).unwrap();
        Watched { updates, woken, follower: Some(follower) }
    }

    /// The last byte of the address in the next list.
    fn next(&self) -> u8 {
        match self.updates.recv_timeout(PATIENCE) {
            Ok(Update::Interfaces(list)) => netifd::find(&list, "wan").unwrap().ipv4[0].octets()[3],
            other => panic!("{other:?} instead of a list"),
        }
    }

    fn nothing_for(&self, time: Duration) {
        let update = self.updates.recv_timeout(time);
        assert!(matches!(update, Err(RecvTimeoutError::Timeout)), "{update:?}");
    }
}

#[test]
fn calls() {
    let path = socket("calls");
    let _broker = broker(&path);
    let netifd = Netifd::start(&path, 1);
    let mut client = Client::connect(&[&path]).unwrap();
    let mut status = |object: &str, method: &str| client.invoke(object, method, &Table::default()).map(drop);
    assert!(status(OBJECT, "dump").is_ok());
    assert!(matches!(status("nobody", "dump"), Err(Error::Status(Error::NOT_FOUND))));
    assert!(matches!(status(OBJECT, "fly"), Err(Error::Status(3))));
    assert!(matches!(status(OBJECT, "silent"), Err(Error::Timeout)));
    assert!(status(OBJECT, "dump").is_ok(), "after a call that timed out");

    client.subscribe(OBJECT).unwrap();
    assert_eq!(client.news(Some(Instant::now() + Duration::from_millis(50))).unwrap(), None);
    netifd.state.wants_replies.store(true, Ordering::SeqCst);
    netifd.change(2);
    assert_eq!(client.news(Some(Instant::now() + PATIENCE)).unwrap(), Some(News::Notified));
    let until = Instant::now() + PATIENCE;
    while netifd.state.acknowledged.load(Ordering::SeqCst) == 0 && Instant::now() < until {
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(netifd.state.acknowledged.load(Ordering::SeqCst), 1, "who asks for a reply has one");
    drop(netifd);
    assert_eq!(client.news(Some(Instant::now() + PATIENCE)).unwrap(), Some(News::Gone));
}

#[test]
fn changes_and_restarts() {
    let path = socket("restarts");
    let first_broker = broker(&path);
    let netifd = Netifd::start(&path, 1);
    let mut watched = Watched::start(&path);
    assert_eq!(watched.next(), 1);

    // Several in a row are one change, and one of which nothing comes is none.
    let dumps = || netifd.state.dumps.load(Ordering::SeqCst);
    let before = dumps();
    for address in [2, 3, 4] {
        netifd.change(address);
    }
    assert_eq!(watched.next(), 4);
    assert_eq!(dumps(), before + 1);
    netifd.change(4);
    watched.nothing_for(Duration::from_millis(250));
    assert_eq!(dumps(), before + 2);

    drop(netifd);
    let netifd = Netifd::start(&path, 5);
    assert_eq!(watched.next(), 5, "after netifd's restart");

    drop(first_broker);
    drop(netifd);
    let _second_broker = broker(&path);
    let netifd = Netifd::start(&path, 6);
    assert_eq!(watched.next(), 6, "after ubusd's restart");
    netifd.change(7);
    assert_eq!(watched.next(), 7, "subscribed again");

    watched.follower = None;
    assert!(matches!(watched.updates.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected)), "the thread ended");
    assert_eq!(watched.woken.load(Ordering::SeqCst), 5, "once for each list");
}

#[test]
fn no_ubus_is_said_once() {
    let path = socket("none");
    let watched = Watched::start(&path);
    let update = watched.updates.recv_timeout(PATIENCE);
    assert!(
        matches!(&update, Ok(Update::Missing(Error::Io(error))) if error.kind() == io::ErrorKind::NotFound),
        "{update:?}"
    );
    watched.nothing_for(PAUSE + Duration::from_millis(200));
    // It appears without netifd at first.
    let _broker = broker(&path);
    let _netifd = Netifd::start(&path, 1);
    assert_eq!(watched.next(), 1);
}
