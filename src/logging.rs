//! Log messages: to stderr, as a terminal, systemd's journal or a file wants them; or to the system's log by `/dev/log`.
//!
//! The `syslog` crate would do it for 65 KB more. Nothing in here blocks on the log daemon, and nothing panics: a message that
//! cannot be written now goes to stderr, or is lost.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, process};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::linux::poll::has_room;

/// The longest line: with its end, a pipe that has room takes it at once (`PIPE_BUF`).
const MOST: usize = 4095;

/// Sends all messages up to `level` to stderr, or to the system's log. To be called once.
pub fn start(level: LevelFilter, syslog: bool) {
    let (terminal, journal) = (io::stderr().is_terminal(), env::var_os("JOURNAL_STREAM").is_some());
    let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let target = match (syslog, journal) {
        (true, _) => Target::Syslog(Mutex::new(None)),
        (_, true) if !terminal => Target::Journal,
        _ => Target::Terminal { color: terminal && !plain },
    };
    // It fails if there is a logger already: then that one stays.
    let _ =
        log::set_logger(Box::leak(Box::new(Logger { target, socket: Path::new("/dev/log"), lost: AtomicU32::new(0) })));
    set_level(level);
}

pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// A message. The macros below stand for those of the `log` crate, which put what nobody reads here, the module, the file and
/// the line, beside every message.
#[inline(never)]
pub fn tell(level: Level, text: fmt::Arguments) {
    log::log!(level, "{text}");
}

macro_rules! tell_error {
    ($($text:tt)*) => { $crate::logging::tell(::log::Level::Error, ::core::format_args!($($text)*)) };
}
macro_rules! tell_warn {
    ($($text:tt)*) => { $crate::logging::tell(::log::Level::Warn, ::core::format_args!($($text)*)) };
}
macro_rules! tell_info {
    ($($text:tt)*) => { $crate::logging::tell(::log::Level::Info, ::core::format_args!($($text)*)) };
}
macro_rules! tell_debug {
    ($($text:tt)*) => { $crate::logging::tell(::log::Level::Debug, ::core::format_args!($($text)*)) };
}
pub(crate) use {tell_debug as debug, tell_error as error, tell_info as info, tell_warn as warn};

struct Logger {
    target: Target,
    socket: &'static Path,
    /// Lines that stderr did not take.
    lost: AtomicU32,
}

enum Target {
    Terminal {
        color: bool,
    },
    /// Levels in front of each line, as sd-daemon(3) has it.
    Journal,
    Syslog(Mutex<Option<UnixDatagram>>),
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = record.level();
        // One message is one line, whatever a program or a peer had to say in it.
        let text: String = record.args().to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line = match &self.target {
            Target::Terminal { color: true } => format!("{}{}\x1b[0m {text}", color(level), name(level)),
            Target::Terminal { color: false } => format!("{} {text}", name(level)),
            Target::Journal => format!("<{}>{text}", severity(level)),
            Target::Syslog(socket) if self.send(socket, level, &text) => return,
            Target::Syslog(_) => format!("{} {text}", name(level)),
        };
        put(&mut io::stderr().lock(), &self.lost, line);
    }

    fn flush(&self) {}
}

impl Logger {
    /// Whether the message is off our hands: sent, or lost because the log daemon does not keep up.
    fn send(&self, socket: &Mutex<Option<UnixDatagram>>, level: Level, text: &str) -> bool {
        const DAEMON: u8 = 3 << 3; // LOG_DAEMON, syslog(3)
        // Without a time: whoever receives it adds one. OpenWrt's logd takes 16 characters away as such if the 16th is a
        // blank, and behind a process number of two digits it would be one.
        let message = format!("<{}>cheaproute[{:03}]: {text}", DAEMON | severity(level), process::id());
        let Ok(mut socket) = socket.lock() else { return false };
        // A log daemon that was restarted listens at a new socket: connect again, once.
        for _ in 0..2 {
            if socket.is_none() {
                *socket = connect(self.socket).ok();
            }
            let Some(connected) = socket.as_ref() else { return false };
            match connected.send(message.as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => *socket = None,
                Ok(_) => return true,
            }
        }
        false
    }
}

/// Writes a line, or loses it: who reads may have stopped, as a terminal does upon Ctrl-S, and everything would wait for that. `lost`:
/// how many lines were before, which is told once there is room.
fn put(to: &mut (impl Write + AsFd), lost: &AtomicU32, line: String) {
    if !has_room(&*to) {
        lost.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let mut bytes = match lost.swap(0, Ordering::Relaxed) {
        0 => line,
        lost => format!("{lost} messages were lost\n{line}"),
    }
    .into_bytes();
    bytes.truncate(MOST);
    bytes.push(b'\n');
    let _ = to.write_all(&bytes);
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

/// RFC 5424 6.2.1.
const fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

const fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error:",
        Level::Warn => "warning:",
        Level::Info => "info:",
        Level::Debug => "debug:",
        Level::Trace => "trace:",
    }
}

const fn color(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[31m",
        Level::Warn => "\x1b[33m",
        Level::Info => "\x1b[32m",
        Level::Debug | Level::Trace => "\x1b[2m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;

    fn logger(path: &Path) -> Logger {
        Logger { target: Target::Journal, socket: Box::leak(path.into()), lost: AtomicU32::new(0) }
    }

    /// A write that waits would wait for ever.
    #[test]
    fn a_full_pipe_does_not_block_and_what_was_lost_is_counted() -> io::Result<()> {
        let (mut reader, mut writer) = io::pipe()?;
        let (lost, line) = (AtomicU32::new(0), "x".repeat(5_000));
        (0..100).for_each(|_| put(&mut writer, &lost, line.clone()));
        let count = lost.load(Ordering::Relaxed);
        assert!(count > 50);
        let mut bytes = vec![0; (100 - count as usize) * (MOST + 1)];
        reader.read_exact(&mut bytes)?;
        put(&mut writer, &lost, "again".into());
        put(&mut writer, &lost, "and again".into());
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text)?;
        assert_eq!(text, format!("{count} messages were lost\nagain\nand again\n"));
        Ok(())
    }

    #[test]
    fn a_log_daemon_may_come_and_go() -> io::Result<()> {
        let path = env::temp_dir().join(format!("cheaproute-log-{}", process::id()));
        let _ = fs::remove_file(&path);
        let logger = logger(&path);
        let socket = Mutex::new(None);
        assert!(!logger.send(&socket, Level::Info, "nobody listens"));
        for _ in 0..2 {
            let daemon = UnixDatagram::bind(&path)?;
            assert!(logger.send(&socket, Level::Warn, "link wan: down"));
            let mut message = [0; 100];
            let length = daemon.recv(&mut message)?;
            let expected = format!("<28>cheaproute[{:03}]: link wan: down", process::id());
            assert_eq!(message.get(..length), Some(expected.as_bytes()));
            fs::remove_file(&path)?;
        }
        assert!(!logger.send(&socket, Level::Info, "gone again"));
        Ok(())
    }

    #[test]
    fn a_stuck_log_daemon_does_not_block() -> io::Result<()> {
        let path = env::temp_dir().join(format!("cheaproute-stuck-{}", process::id()));
        let _ = fs::remove_file(&path);
        let _daemon = UnixDatagram::bind(&path)?;
        let logger = logger(&path);
        let socket = Mutex::new(None);
        assert!((0..2_000).all(|_| logger.send(&socket, Level::Info, "too much")));
        fs::remove_file(&path)
    }
}
