//! A router's bus: a real broker, and a client to talk to what is on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ubus::blobmsg::{BlobMsgTable, to_json};
use ubus::client::UbusClient;
use ubus::envelope::{UbusAttr, find};
use ubus::unix::UnixUbusTransport;
use ubus::wire::Frame;
use ubus::{MsgType, Transport};

/// A thread that ends with its handle.
pub struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(work: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        Running { stop, thread: Some(thread::spawn(move || work(&seen))) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_none_or(|ended| ended.is_ok()), "a thread of the bus panicked");
    }
}

/// Where the bus of this test listens.
pub fn bus_socket(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.sock", std::process::id()))
}

/// ubusd, until dropped; its socket goes with it.
pub fn broker(socket: &Path) -> Running {
    let socket_path = socket.to_str().unwrap().to_owned();
    let mut broker = ubusd::Broker::bind(ubusd::Config { socket_path, ..Default::default() }).unwrap();
    Running::start(move |stop| {
        while !stop.load(Ordering::SeqCst) {
            broker.poll_once(5).unwrap();
        }
    })
}

pub fn client(socket: &Path) -> UbusClient<UnixUbusTransport> {
    UbusClient::connect(UnixUbusTransport::connect(socket.to_str().unwrap()).unwrap()).unwrap()
}

/// A table from JSON.
pub fn table(json: &str) -> BlobMsgTable {
    ubus::json::json_to_blobmsg(&json.parse().unwrap()).unwrap()
}

/// The data of a message, as JSON.
pub fn data(frame: &Frame) -> String {
    to_json(find(&frame.payload, UbusAttr::Data).map(|data| data.payload).unwrap_or_default(), true)
}

/// The next message that `wanted` says yes to.
#[track_caller]
pub fn await_frame(client: &mut UbusClient<UnixUbusTransport>, wanted: impl Fn(&Frame) -> bool) -> Frame {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        match client.recv_frame().unwrap() {
            Some(frame) if wanted(&frame) => return frame,
            Some(_) => {}
            None => {
                assert!(Instant::now() < limit, "no such message in time");
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

/// Calls a method of `cheaproute` on a connection of its own: data as JSON, and the status.
#[track_caller]
pub fn call(socket: &Path, method: &str, arguments: &str) -> (String, u32) {
    let mut client = client(socket);
    let object = client.lookup("cheaproute").unwrap();
    let sequence = client.send_invoke(object, method, &table(arguments)).unwrap();
    client.forget_invoke(sequence);
    let mut json = String::new();
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        let Some(frame) = client.transport_mut().recv().unwrap() else {
            assert!(Instant::now() < limit, "no answer to {method} in time");
            continue;
        };
        match frame.hdr.ty {
            _ if frame.hdr.seq != sequence => {}
            MsgType::Data => json = data(&frame),
            MsgType::Status => return (json, find(&frame.payload, UbusAttr::Status).unwrap().as_u32().unwrap()),
            _ => {}
        }
    }
}
