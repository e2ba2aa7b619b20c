//! Servers and clients for hosts. Their sockets are opened inside a host and used from plain threads outside.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::namespace::Namespace;
use crate::sys;

/// A server in a host, until it is dropped; then its connections are closed as well.
#[derive(Debug)]
pub struct Server {
    /// Of a TCP server.
    listener: Option<Arc<TcpListener>>,
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Sends back what it gets. Port 0 stands for any free port: see [`Server::address`].
    #[track_caller]
    pub fn tcp(host: &Namespace, address: impl Into<SocketAddr>) -> Self {
        Self::start_tcp(host, address.into(), echo)
    }

    /// Reads a number as eight big-endian bytes and sends that many bytes of [`pattern`], over and over: the other end
    /// of [`download`].
    #[track_caller]
    pub fn source(host: &Namespace, address: impl Into<SocketAddr>) -> Self {
        Self::start_tcp(host, address.into(), source)
    }

    /// Reads and counts, and answers the client's end of sending with the count as eight big-endian bytes.
    #[track_caller]
    pub fn sink(host: &Namespace, address: impl Into<SocketAddr>) -> Self {
        Self::start_tcp(host, address.into(), sink)
    }

    /// Sends every datagram back to where it came from.
    #[track_caller]
    pub fn udp(host: &Namespace, address: impl Into<SocketAddr>) -> Self {
        let address = address.into();
        let socket =
            bind(host, || UdpSocket::bind(address)).unwrap_or_else(|e| panic!("{}: {address}: {e}", host.name()));
        // The standard library cannot take what a receiver gets that was shut down, so this one looks up now and then.
        socket.set_read_timeout(Some(UDP_TURN)).expect("a socket takes a timeout");
        let address = socket.local_addr().expect("a bound socket has an address");
        let book = Arc::<Mutex<Book>>::default();
        let notes = book.clone();
        let thread = thread::spawn(move || {
            let mut buffer = [0; 65_535];
            loop {
                match socket.recv_from(&mut buffer) {
                    _ if notes.lock().unwrap().closed => return,
                    Ok((len, peer)) => {
                        notes.lock().unwrap().peers.push(peer);
                        let _ = socket.send_to(&buffer[..len], peer);
                    }
                    // The turn is over, or it is an ICMP error about an earlier answer.
                    Err(_) => {}
                }
            }
        });
        Self { listener: None, address, book, thread: Some(thread) }
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were accepted, or datagrams received.
    pub fn accepted(&self) -> usize {
        self.book.lock().unwrap().peers.len()
    }

    /// Who connected, or sent a datagram, in order of arrival.
    pub fn peers(&self) -> Vec<SocketAddr> {
        self.book.lock().unwrap().peers.clone()
    }

    #[track_caller]
    fn start_tcp(host: &Namespace, address: SocketAddr, serve: fn(TcpStream) -> io::Result<()>) -> Self {
        let listener = bind(host, || TcpListener::bind(address));
        let listener = Arc::new(listener.unwrap_or_else(|e| panic!("{}: {address}: {e}", host.name())));
        let book = Arc::<Mutex<Book>>::default();
        let (ours, notes) = (listener.clone(), book.clone());
        let thread = thread::spawn(move || {
            while let Ok((stream, peer)) = ours.accept() {
                let mut book = notes.lock().unwrap();
                let Ok(handle) = stream.try_clone() else { continue };
                if book.closed {
                    return;
                }
                book.peers.push(peer);
                book.streams.push(handle);
                // A client that goes away in the middle is not the server's fault, so errors only end the connection.
                thread::spawn(move || {
                    let ending = stream.try_clone();
                    let _ = serve(stream);
                    // The book's copy keeps the socket open: say the end aloud.
                    let _ = ending.and_then(|s| s.shutdown(Shutdown::Both));
                });
            }
        });
        let address = listener.local_addr().expect("a bound socket has an address");
        Self { listener: Some(listener), address, book, thread: Some(thread) }
    }
}

/// How often a UDP server looks whether it is to end.
const UDP_TURN: Duration = Duration::from_millis(50);

impl Drop for Server {
    fn drop(&mut self) {
        let streams = {
            let mut book = self.book.lock().unwrap();
            book.closed = true;
            std::mem::take(&mut book.streams)
        };
        for stream in streams {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(listener) = &self.listener {
            sys::shutdown(&**listener);
        }
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Connects from a host, and tells how long that took.
pub fn connect(
    host: &Namespace,
    address: impl Into<SocketAddr>,
    timeout: Duration,
) -> io::Result<(TcpStream, Duration)> {
    let address = address.into();
    host.run(|| {
        let start = Instant::now();
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        Ok((stream, start.elapsed()))
    })
}

/// Fetches bytes from a [`Server::source`], checks each of them, and tells how long that took.
pub fn download(stream: &mut TcpStream, bytes: u64, timeout: Duration) -> io::Result<Duration> {
    let start = Instant::now();
    stream.write_all(&bytes.to_be_bytes())?;
    let mut buffer = vec![0; 256 * 1024];
    let mut done = 0;
    while done < bytes {
        let left = timeout.checked_sub(start.elapsed()).filter(|t| !t.is_zero()).ok_or(io::ErrorKind::TimedOut)?;
        stream.set_read_timeout(Some(left))?;
        let want = buffer.len().min((bytes - done) as usize);
        let len = stream.read(&mut buffer[..want])?;
        let got = &buffer[..len];
        if got.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if got.iter().zip(done..).any(|(byte, at)| *byte != pattern(at)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("wrong bytes after {done}")));
        }
        done += got.len() as u64;
    }
    Ok(start.elapsed())
}

/// The byte that [`Server::source`] sends at this offset of an answer. Its period is a prime, so that a lost or doubled
/// segment shows.
pub fn pattern(offset: u64) -> u8 {
    (offset % PERIOD as u64) as u8
}

const PERIOD: usize = 251;

/// Sends one datagram from a host and waits for the answer; tells what it says, and how long that took.
pub fn query(
    host: &Namespace,
    address: impl Into<SocketAddr>,
    question: &[u8],
    timeout: Duration,
) -> io::Result<(Vec<u8>, Duration)> {
    let address = address.into();
    let any: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = host.run(|| UdpSocket::bind(any))?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(timeout))?;
    let mut buffer = vec![0; 65_535];
    let start = Instant::now();
    socket.send(question)?;
    let len = socket.recv(&mut buffer)?;
    let time = start.elapsed();
    buffer.truncate(len);
    Ok((buffer, time))
}

/// Opens a socket at an address of its own, in a host. A child that another test is just forking still holds what was dropped
/// a moment ago, until it executes its program: what is in use is asked for again, for a second.
pub fn bind<T: Send>(host: &Namespace, open: impl Fn() -> io::Result<T> + Sync) -> io::Result<T> {
    let start = Instant::now();
    loop {
        match host.run(&open) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && start.elapsed() < Duration::from_secs(1) => {
                thread::sleep(Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

/// One ICMP echo from a host: the round-trip time, or `WouldBlock` if no answer came in time.
pub fn ping(host: &Namespace, address: impl Into<IpAddr>, timeout: Duration) -> io::Result<Duration> {
    ping_via(host, None, address, timeout)
}

/// Like [`ping`], bound to a device if one is given: the host needs a route through it.
pub fn ping_via(
    host: &Namespace,
    device: Option<&str>,
    address: impl Into<IpAddr>,
    timeout: Duration,
) -> io::Result<Duration> {
    let address = address.into();
    let socket = host.run(|| sys::ping_socket(address, device))?;
    socket.connect((address, 0))?;
    socket.set_read_timeout(Some(timeout))?;
    // Type (8 or 128), code, checksum, identifier, sequence number: the kernel fills in what is zero.
    let request = [if address.is_ipv4() { 8 } else { 128 }, 0, 0, 0, 0, 0, 0, 1];
    let start = Instant::now();
    socket.send(&request)?;
    socket.recv(&mut [0; 64])?;
    Ok(start.elapsed())
}

#[derive(Debug, Default)]
struct Book {
    peers: Vec<SocketAddr>,
    streams: Vec<TcpStream>,
    closed: bool,
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut back = stream.try_clone()?;
    io::copy(&mut stream, &mut back).map(drop)
}

fn source(mut stream: TcpStream) -> io::Result<()> {
    // A whole number of periods: each write starts where the last one ended.
    let block: Vec<u8> = (0..PERIOD as u64 * 512).map(pattern).collect();
    let mut wanted = [0; 8];
    loop {
        stream.read_exact(&mut wanted)?;
        let mut left = u64::from_be_bytes(wanted);
        while left > 0 {
            let len = left.min(block.len() as u64);
            stream.write_all(&block[..len as usize])?;
            left -= len;
        }
    }
}

fn sink(mut stream: TcpStream) -> io::Result<()> {
    let count = io::copy(&mut stream, &mut io::sink())?;
    stream.write_all(&count.to_be_bytes())
}
