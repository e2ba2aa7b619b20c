//! Servers that answer as a test wants: pages, and a resolver.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lab::Namespace;

/// How often a server looks whether it is to end.
const TURN: Duration = Duration::from_millis(5);

struct Worker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Calls `turn` over and over.
    fn start(mut turn: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                turn();
            }
        });
        Worker { stop, thread: Some(thread) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Answers every request with the same text.
pub struct Pages {
    reply: Arc<Mutex<String>>,
    requests: Arc<Mutex<Vec<String>>>,
    _worker: Worker,
}

impl Pages {
    #[track_caller]
    pub fn start(host: &Namespace, address: impl Into<SocketAddr>, reply: &str) -> Self {
        let address = address.into();
        let listener = lab::bind(host, || TcpListener::bind(address)).expect("a listener");
        listener.set_nonblocking(true).expect("a listener that does not wait");
        let (reply, requests) = (Arc::new(Mutex::new(reply.to_owned())), Arc::<Mutex<Vec<String>>>::default());
        let (text, notes) = (reply.clone(), requests.clone());
        let worker = Worker::start(move || match listener.accept() {
            Ok((stream, _)) => {
                if let Some(request) = serve(stream, &text.lock().unwrap()) {
                    notes.lock().unwrap().push(request);
                }
            }
            Err(_) => thread::sleep(TURN),
        });
        Pages { reply, requests, _worker: worker }
    }

    pub fn answer(&self, reply: &str) {
        *self.reply.lock().unwrap() = reply.to_owned();
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, reply: &str) -> Option<String> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(length) => request.extend(&buffer[..length]),
        }
    }
    stream.write_all(reply.as_bytes()).ok()?;
    String::from_utf8(request).ok()
}

/// Answers every question with the same address, or in the ways of an enemy.
pub struct Resolver {
    hostile: Arc<AtomicBool>,
    questions: Arc<AtomicUsize>,
    _worker: Worker,
}

impl Resolver {
    #[track_caller]
    pub fn start(host: &Namespace, at: impl Into<SocketAddr>, address: [u8; 4]) -> Self {
        let at = at.into();
        let socket = lab::bind(host, || UdpSocket::bind(at)).expect("a socket");
        socket.set_read_timeout(Some(TURN)).expect("a limit");
        let (hostile, questions) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (evil, count) = (hostile.clone(), questions.clone());
        let worker = Worker::start(move || {
            let mut buffer = [0; 512];
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { return };
            count.fetch_add(1, Ordering::Relaxed);
            let honest = answer(&buffer[..length], address);
            let packets = if evil.load(Ordering::Relaxed) { lies(&honest) } else { vec![honest] };
            packets.iter().for_each(|packet| drop(socket.send_to(packet, from)));
        });
        Resolver { hostile, questions, _worker: worker }
    }

    pub fn hostile(&self, hostile: bool) {
        self.hostile.store(hostile, Ordering::Relaxed);
    }

    pub fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }
}

fn answer(question: &[u8], address: [u8; 4]) -> Vec<u8> {
    let mut bytes = question.to_vec();
    bytes[2] |= 0x80;
    // Type A?
    if bytes[bytes.len() - 3] == 1 {
        bytes[7] = 1;
        bytes.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        bytes.extend(address);
    }
    bytes
}

/// Near misses of an answer.
fn lies(honest: &[u8]) -> Vec<Vec<u8>> {
    let changed = |at: usize, by: u8| {
        let mut bytes = honest.to_vec();
        bytes[at] ^= by;
        bytes
    };
    let mut endless = honest.to_vec();
    endless[7] = 200;
    endless.extend([1, b'a'].repeat(200));
    vec![
        Vec::new(),
        vec![0xFF; 512],
        changed(0, 1),
        changed(1, 0x80),
        changed(2, 0x80),
        changed(5, 3),
        changed(honest.len().min(17) - 1, 0x40),
        honest[..honest.len() - 1].to_vec(),
        endless,
    ]
}
