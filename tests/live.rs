//! `live` on a terminal: what it shows, and what it leaves behind.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread;

use support::{Bed, SERVERS, eventually, ms};

/// The two ends of a pseudo-terminal, and what the program wrote to it.
struct Terminal {
    master: File,
    slave: OwnedFd,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn new(columns: u16, rows: u16) -> Self {
        let (mut master, mut slave) = (0, 0);
        let null = std::ptr::null_mut();
        // SAFETY: both results are writable, and null is allowed for the rest (openpty(3)); the descriptors are ours alone.
        let (master, slave) = unsafe {
            assert_eq!(libc::openpty(&mut master, &mut slave, null, null.cast(), null.cast()), 0);
            (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
        };
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let (mut reader, notes) = (master.try_clone().unwrap(), written.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(got @ 1..) = reader.read(&mut bytes) {
                notes.lock().unwrap().extend_from_slice(&bytes[..got]);
            }
        });
        let terminal = Terminal { master, slave, written };
        terminal.resize(columns, rows);
        terminal
    }

    fn resize(&self, ws_col: u16, ws_row: u16) {
        let size = libc::winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: `size` is readable for the time of the call.
        assert_eq!(unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &size) }, 0);
    }

    /// Echo and line mode: what a shell wants to find.
    fn mode(&self) -> u32 {
        // SAFETY: termios is plain integers, for which zeroes are valid, and writable throughout.
        let mode = unsafe {
            let mut mode: libc::termios = std::mem::zeroed();
            assert_eq!(libc::tcgetattr(self.slave.as_raw_fd(), &mut mode), 0);
            mode
        };
        mode.c_lflag & (libc::ECHO | libc::ICANON)
    }

    fn start(&self, mut command: Command) -> Child {
        let end = || self.slave.try_clone().unwrap();
        command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("it starts")
    }

    fn press(&self, keys: &[u8]) {
        (&self.master).write_all(keys).unwrap();
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// The lines of the last whole screen, without colours.
    fn screen(&self) -> Vec<String> {
        let text = self.text();
        let mut screens: Vec<&str> = text.split("\x1b[H").collect();
        if !text.ends_with("\x1b[J") && !text.contains("1049l") {
            screens.pop();
        }
        let last = screens.last().copied().unwrap_or_default();
        last.split("\r\n").map(plain).collect()
    }
}

fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        out += before;
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == '?' || c == ';').get(1..).unwrap_or("");
    }
    out + rest
}

const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

fn live(bed: &Bed, change: impl FnOnce(&mut Command)) -> Command {
    let mut command = bed.daemon.command(bed.lab.router(), &["live", "-i", "1"]);
    command.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("LC_ALL").env_remove("LC_CTYPE").env("LANG", "C");
    change(&mut command);
    command
}

#[test]
fn a_screen_shows_links_and_races_until_q() {
    need_lab!();
    let bed = Bed::with(&[2, 20], &["list probe 'icmp:198.51.100.1'\n option interval '100ms'", ""], "");
    let server = bed.server(SERVERS[0], 80);
    bed.links_taken(&server, 3);
    let terminal = Terminal::new(100, 30);
    let before = terminal.mode();
    assert_ne!(before, 0);
    let mut child = terminal.start(live(&bed, |command| _ = command.env("LC_ALL", "C.UTF-8")));
    let shows = |what: &str| terminal.screen().iter().any(|line| line.contains(what));
    eventually("a course", || terminal.screen().iter().any(|line| line.starts_with("wan1") && line.contains('▁')));
    assert!(shows("2 of 2 links up") && shows("won by wan1") && shows("q ends"), "{:#?}", terminal.screen());
    assert!(terminal.text().starts_with("\x1b[?1049h\x1b[?25l") && terminal.text().contains("\x1b[32mup\x1b[0m"));
    assert_eq!(terminal.mode(), 0);
    bed.lab.wire(2).unplug();
    eventually("the event", || shows("link.down  wan2") && shows("no carrier, for"));
    // The new size is kept to before the next second.
    terminal.resize(60, 8);
    eventually("the new size", || {
        let screen = terminal.screen();
        screen.len() <= 9 && screen.iter().all(|line| line.chars().count() <= 60) && shows("wan1")
    });
    assert!(child.try_wait().unwrap().is_none());
    terminal.press(b"q");
    eventually("its end", || child.try_wait().unwrap().is_some_and(|status| status.success()));
    eventually("the old screen", || terminal.text().ends_with(LEAVE));
    assert_eq!(terminal.mode(), before);
}

#[test]
fn signals_put_everything_back() {
    need_lab!();
    let bed = Bed::new(&[2, 20]);
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let terminal = Terminal::new(80, 24);
        let before = terminal.mode();
        let mut child = terminal.start(live(&bed, |command| _ = command.env("NO_COLOR", "1")));
        eventually("a screen", || terminal.text().contains("LINK") && terminal.mode() == 0);
        // SAFETY: passes integers only; the child has not been waited for.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        eventually("its end", || child.try_wait().unwrap().is_some());
        eventually("the old screen", || terminal.text().ends_with(LEAVE));
        assert_eq!(terminal.mode(), before);
        let text = terminal.text();
        assert!(!text.contains("\x1b[3") && !text.contains("\x1b[1m") && text.is_ascii(), "{text}");
    }
}

#[test]
fn a_daemon_that_stops_is_told_and_waited_for() {
    need_lab!();
    let mut bed = Bed::new(&[2, 20]);
    let terminal = Terminal::new(80, 24);
    let mut child = terminal.start(live(&bed, |_| ()));
    eventually("a screen", || terminal.screen().iter().any(|line| line.contains("2 of 2 links up")));
    bed.daemon.stop();
    eventually("the trouble", || {
        let screen = terminal.screen();
        screen[0].contains("not running") && screen.iter().any(|line| line.starts_with("wan2"))
    });
    terminal.press(b"xyq");
    eventually("its end", || child.try_wait().unwrap().is_some());
}

#[test]
fn a_pipe_gets_plain_text() {
    need_lab!();
    let bed = Bed::new(&[2, 20]);
    let output = bed.daemon.command(bed.lab.router(), &["live", "-i", "1", "-n", "2"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains('\x1b'), "{text}");
    let heads = text.lines().filter(|line| line.starts_with("LINK")).count();
    assert_eq!((heads, text.matches("no races yet").count()), (2, 2), "{text}");
    let mut command = bed.daemon.command(bed.lab.router(), &["live", "-i", "3600"]);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    thread::sleep(ms(50));
    // SAFETY: passes integers only; the child has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    eventually("its end", || child.try_wait().unwrap().is_some());
}
