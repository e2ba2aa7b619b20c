//! Against brokers that are none: silent, mad, flooding; and against a daemon that does not answer.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;

use super::*;
use crate::control::desk::Request;
use crate::control::queue::Receiver;

/// No step may take longer; the longest is one pause after the other.
const PATIENCE: Duration = Duration::from_secs(20);

const OWN: u32 = 0x1234_5678;

struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cheaproute-{}-{name}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Socket { listener: UnixListener::bind(&path).unwrap(), path }
    }

    /// The object's next connection, after ubusd's greeting.
    fn accept(&self) -> UnixStream {
        let (mut stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&message(MsgType::Hello, 0, 77, |_| ())).unwrap();
        stream
    }

    /// One that has registered its object, too.
    fn registered(&self) -> Peer {
        let mut peer = Peer { stream: self.accept(), received: Vec::new() };
        let added = peer.receive();
        assert_eq!((added.kind, added.text(UbusAttr::ObjPath)), (MsgType::AddObject, Some("cheaproute")));
        assert_eq!(added.table(UbusAttr::Signature).as_ref(), Ok(&object::signature()));
        let id = |attributes: &mut EnvBuilder| attributes.push_u32(UbusAttr::ObjId, OWN);
        peer.send(&message(MsgType::Data, added.sequence, 0, id));
        let status = |attributes: &mut EnvBuilder| attributes.push_u32(UbusAttr::Status, 0);
        peer.send(&message(MsgType::Status, added.sequence, 0, status));
        peer
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

struct Peer {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Peer {
    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn receive(&mut self) -> Message {
        loop {
            if let Some((message, length)) = Message::split(&self.received).unwrap() {
                self.received.drain(..length);
                return message;
            }
            let mut chunk = [0; 4096];
            let length = self.stream.read(&mut chunk).expect("a message in time");
            assert_ne!(length, 0, "hung up");
            self.received.extend(&chunk[..length]);
        }
    }

    /// The answer to a call: its text or data as JSON, and its status.
    fn answer(&mut self, sequence: u16) -> (String, u32) {
        let mut data = String::new();
        loop {
            let message = self.receive();
            assert_eq!((message.sequence, message.peer), (sequence, 99));
            match message.kind {
                MsgType::Data => data = json(&message.table(UbusAttr::Data).unwrap()),
                MsgType::Status => return (data, message.number(UbusAttr::Status).unwrap()),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn json(table: &Table) -> String {
    ::ubus::blobmsg::to_json(table.bytes(), true)
}

fn message(kind: MsgType, sequence: u16, peer: u32, fill: impl FnOnce(&mut EnvBuilder)) -> Vec<u8> {
    let mut attributes = EnvBuilder::new();
    fill(&mut attributes);
    compose(kind, sequence, peer, attributes).unwrap()
}

fn call(sequence: u16, method: &str) -> Vec<u8> {
    message(MsgType::Invoke, sequence, 99, |attributes| {
        attributes.push_u32(UbusAttr::ObjId, OWN);
        attributes.push_str(UbusAttr::Method, method);
        attributes.push_data(Table::build(|b| b.put_str(Some("ubus_rpc_session"), "0")).bytes());
    })
}

fn object(path: &Path) -> (Object, Receiver<Request>) {
    let (desk, requests) = Desk::new(|| {});
    (Object::start(vec!["/nowhere/ubus.sock".into(), path.into()], desk).unwrap(), requests)
}

/// A main loop that answers any words with those words.
fn echo(requests: Receiver<Request>) {
    thread::spawn(move || {
        while let Ok(request) = requests.recv_timeout(Duration::from_secs(60)) {
            let words = request.words.join(" ");
            request.answer(Ok(words.into()));
        }
    });
}

#[test]
fn calls_and_notices() {
    let socket = Socket::new("object");
    let (object, requests) = object(&socket.path);
    let mut peer = socket.registered();
    echo(requests);
    peer.send(&call(1, "status"));
    assert_eq!(peer.answer(1), (r#"{"result":"status"}"#.into(), 0));
    peer.send(&call(2, "fly"));
    assert_eq!(peer.answer(2), (String::new(), 3));
    peer.send(&call(3, "probe"));
    assert_eq!(peer.answer(3), (r#"{"error":"argument link must be a link's name"}"#.into(), 2));
    // For another object, an event of subscription, an answer to nothing: no reason to say anything.
    let other = |attributes: &mut EnvBuilder| {
        attributes.push_u32(UbusAttr::ObjId, 7);
        attributes.push_str(UbusAttr::Method, "status");
    };
    peer.send(&message(MsgType::Invoke, 4, 99, other));
    peer.send(&message(MsgType::Notify, 5, OWN, |attributes| {
        attributes.push_u32(UbusAttr::ObjId, OWN);
        attributes.push_u8(UbusAttr::Active, 1);
    }));
    peer.send(&message(MsgType::Data, 6, 99, |_| ()));
    // Without a reply.
    peer.send(&message(MsgType::Invoke, 7, 99, |attributes| {
        attributes.push_u32(UbusAttr::ObjId, OWN);
        attributes.push_str(UbusAttr::Method, "reload");
        attributes.push_u8(UbusAttr::NoReply, 1);
    }));
    object.notify("link.down", Value::Map(vec![("link", "wan".into())]));
    let told = peer.receive();
    assert_eq!((told.kind, told.peer, told.text(UbusAttr::Method)), (MsgType::Notify, OWN, Some("link.down")));
    assert_eq!((told.number(UbusAttr::ObjId), told.flag(UbusAttr::NoReply)), (Some(OWN), true));
    assert_eq!(json(&told.table(UbusAttr::Data).unwrap()), r#"{"link":"wan"}"#);
    drop(object);
    assert_eq!(peer.stream.read(&mut [0; 16]).unwrap(), 0, "the thread ended");
}

#[test]
fn what_arrives_in_pieces_is_one_call() {
    let socket = Socket::new("pieces");
    let (_object, requests) = object(&socket.path);
    let mut peer = socket.registered();
    echo(requests);
    for byte in call(1, "links") {
        peer.send(&[byte]);
    }
    assert_eq!(peer.answer(1).1, 0);
    let both = [call(2, "links"), call(2, "links")].concat();
    peer.send(&both[..both.len() - 3]);
    assert_eq!(peer.answer(2).1, 0);
    peer.send(&both[both.len() - 3..]);
    assert_eq!(peer.answer(2).1, 0);
}

#[test]
fn garbage_costs_a_connection_and_no_more() {
    // An unknown kind, a length above the limit, one below its own header's.
    let kinds: [&[u8]; 3] =
        [b"\0\xC8\0\x01\0\0\0\0\0\0\0\x04", b"\0\x05\0\x01\0\0\0\0\0\xFF\xFF\xFF", b"\0\x05\0\x01\0\0\0\0\0\0\0\x01"];
    for (number, garbage) in kinds.into_iter().enumerate() {
        let socket = Socket::new(&format!("garbage-{number}"));
        let (_object, requests) = object(&socket.path);
        echo(requests);
        let mut peer = socket.registered();
        peer.send(garbage);
        let mut rest = Vec::new();
        let _ = peer.stream.read_to_end(&mut rest);
        assert_eq!(rest, b"", "no answer to garbage");
        let mut peer = socket.registered();
        peer.send(&call(1, "status"));
        assert_eq!(peer.answer(1).1, 0);
    }
}

#[test]
fn garbage_in_place_of_a_welcome() {
    let socket = Socket::new("deranged");
    let (_object, requests) = object(&socket.path);
    echo(requests);
    let mut deranged = socket.accept();
    deranged.write_all(&[0xFF; 4096]).unwrap();
    let _ = deranged.read_to_end(&mut Vec::new());
    drop(socket.accept());
    // What is sound outside and not inside concerns one call.
    let mut peer = socket.registered();
    peer.send(&message(MsgType::Invoke, 1, 99, |attributes| {
        attributes.push_u32(UbusAttr::ObjId, OWN);
        attributes.push_str(UbusAttr::Method, "races");
        attributes.push_data(b"\x85\0\0\xFF\0\x05count\0");
    }));
    assert_eq!(peer.answer(1).1, 2);
    peer.send(&call(2, "status"));
    assert_eq!(peer.answer(2).1, 0, "and the next one is answered");
}

#[test]
fn a_flood_of_calls_waits_outside() {
    const CALLS: u16 = 2_000;
    let socket = Socket::new("flood");
    let (_object, requests) = object(&socket.path);
    let mut peer = socket.registered();
    let mut writer = peer.stream.try_clone().unwrap();
    let flood = thread::spawn(move || (0..CALLS).for_each(|n| writer.write_all(&call(n, "status")).unwrap()));
    // The daemon is busy: no more than a few reach it.
    let mut taken: Vec<Request> = Vec::new();
    while taken.len() < MAX_CALLS {
        taken.push(requests.recv_timeout(PATIENCE).unwrap());
    }
    assert!(matches!(requests.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout)));
    taken.into_iter().for_each(|request| request.answer(Ok(Value::Null)));
    echo(requests);
    let mut answered = vec![false; usize::from(CALLS)];
    while answered.contains(&false) {
        let message = peer.receive();
        if message.kind == MsgType::Status {
            assert_eq!(message.number(UbusAttr::Status), Some(0));
            answered[usize::from(message.sequence)] = true;
        }
    }
    flood.join().unwrap();
}

#[test]
fn a_broker_that_does_not_read_stops_nobody() {
    let socket = Socket::new("deaf");
    let (object, requests) = object(&socket.path);
    let served = Arc::new(AtomicUsize::new(0));
    let (count, large) = (served.clone(), "x".repeat(500_000));
    thread::spawn(move || {
        while let Ok(request) = requests.recv_timeout(Duration::from_secs(60)) {
            count.fetch_add(1, Ordering::SeqCst);
            request.answer(Ok(large.as_str().into()));
        }
    });
    let mut deaf = socket.registered();
    (0..4).for_each(|n| deaf.send(&call(n, "status")));
    // More than there is room for: what is told must not wait.
    let done = Arc::new(AtomicBool::new(false));
    let seen = done.clone();
    let teller = thread::spawn(move || {
        (0..10_000).for_each(|_| object.notify("reload", Value::Map(vec![])));
        seen.store(true, Ordering::SeqCst);
        object
    });
    let limit = Instant::now() + PATIENCE;
    while !done.load(Ordering::SeqCst) {
        assert!(Instant::now() < limit, "notify() waits");
        thread::sleep(Duration::from_millis(5));
    }
    // The object gives up on this broker, and finds the next.
    let mut peer = socket.registered();
    assert!(served.load(Ordering::SeqCst) >= 1);
    peer.send(&call(9, "status"));
    assert_eq!(peer.answer(9).1, 0);
    drop(teller.join().unwrap());
}

#[test]
fn a_daemon_that_stops_says_so() {
    let socket = Socket::new("stopping");
    let (_object, requests) = object(&socket.path);
    let mut peer = socket.registered();
    drop(requests);
    peer.send(&call(1, "status"));
    assert_eq!(peer.answer(1), (r#"{"error":"the daemon is about to stop"}"#.into(), 9));
}
