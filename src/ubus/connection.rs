//! A connection to ubusd: messages over a Unix socket.

use core::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use ::ubus::MsgType;

use super::blob::Malformed;
use super::message::Message;

/// Where ubusd listens; the second one in older releases of OpenWrt.
pub const PATHS: [&str; 2] = ["/var/run/ubus/ubus.sock", "/var/run/ubus.sock"];

/// For one request and its answer: far longer than a dump takes, short enough to notice a process that hangs.
pub const TIMEOUT: Duration = Duration::from_secs(2);

pub struct Connection {
    stream: UnixStream,
    received: Vec<u8>,
    sequence: u16,
}

#[derive(Debug)]
pub enum Error {
    Io(io::Error),
    /// ubusd or the object's owner stays silent.
    Timeout,
    /// ubusd hung up.
    Closed,
    Malformed,
    /// The request's status, `UBUS_STATUS_*` of `ubusmsg.h`.
    Status(u32),
}

impl Error {
    /// There is no such object. Without a right to it, ubusd says the same.
    pub const NOT_FOUND: u32 = 4;
}

impl Connection {
    /// Connects to the first of `paths` that someone listens at. This waits without a limit while ubusd hangs and its
    /// queue of new clients is full: for the main thread, that is no place to wait.
    pub fn open(paths: &[impl AsRef<Path>]) -> Result<Self, Error> {
        let mut result = Err(io::ErrorKind::NotFound.into());
        for path in paths {
            result = UnixStream::connect(path);
            if result.is_ok() {
                break;
            }
        }
        let stream = result?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut connection = Connection { stream, received: Vec::new(), sequence: 0 };
        match connection.receive(Some(Instant::now() + TIMEOUT))? {
            Some(hello) if hello.kind == MsgType::Hello => Ok(connection),
            Some(_) => Err(Error::Malformed),
            None => Err(Error::Timeout),
        }
    }

    pub fn next_sequence(&mut self) -> u16 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    pub fn send(&mut self, message: &[u8]) -> Result<(), Error> {
        Ok(self.stream.write_all(message)?)
    }

    /// The next message; `None` if the time is up first. Without `until` this waits for as long as it takes.
    pub fn receive(&mut self, until: Option<Instant>) -> Result<Option<Message>, Error> {
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            self.stream.set_read_timeout(left)?;
            self.fill()?;
        }
    }

    /// The next message that is here in full.
    pub fn take(&mut self) -> Result<Option<Message>, Error> {
        let Some((message, length)) = Message::split(&self.received)? else { return Ok(None) };
        self.received.drain(..length);
        if self.received.is_empty() {
            self.received = Vec::new(); // a dump may have made it large
        }
        Ok(Some(message))
    }

    /// Reads once: for [`take`](Connection::take), when there is something to read.
    pub fn fill(&mut self) -> Result<(), Error> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(Error::Closed),
            Ok(length) => self.received.extend(chunk.iter().take(length)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                _ => return Err(error.into()),
            },
        }
        Ok(())
    }

    /// A second handle on the socket, to shut it down from another thread.
    pub fn handle(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl From<Malformed> for Error {
    fn from(_: Malformed) -> Self {
        Error::Malformed
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout,
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Error::Closed,
            _ => Error::Io(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => error.fmt(f),
            Error::Timeout => f.write_str("no answer in time"),
            Error::Closed => f.write_str("ubusd closed the connection"),
            Error::Malformed => Malformed.fmt(f),
            Error::Status(Error::NOT_FOUND) => f.write_str("no such object on ubus"),
            Error::Status(status) => write!(f, "ubus status {status}"),
        }
    }
}

impl core::error::Error for Error {}
