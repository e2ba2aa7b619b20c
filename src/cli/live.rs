//! `live`: links, events and the last races, again and again.

use std::env;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::time::Duration;

use super::args::Common;
use super::{form, print};
use crate::control::read::read;
use crate::control::view::live::{KEYS, Live, Screen};
use crate::control::{Code, Exit, Form, client};
use crate::linux::clock::now;
use crate::linux::peer;
use crate::linux::poll::Poll;
use crate::linux::signal::Signals;
use crate::linux::terminal::{Keys, Terminal};
use crate::time::{Span, Time};

/// Races asked for: a tall terminal's worth.
const RACES: &str = "60";
/// Races in a view that is not on a terminal.
const RACES_ELSEWHERE: &str = "10";

/// How soon a changed size is noticed. (SIGWINCH would tell, and needs as many lines as it saves wake-ups.)
const LOOK: Span = Span::from_millis(250);

/// Until Ctrl-C, or for `count` views.
pub fn show(interval: Duration, count: Option<u32>, common: &Common) -> Result<(), Exit> {
    let failed = |error: io::Error| Exit::said(Code::Failed, format_args!("cannot wait for signals: {error}"));
    let signals = Signals::open().map_err(failed)?;
    let poll = Poll::new().map_err(failed)?;
    poll.add(&signals, 0, false).map_err(failed)?;
    let waiting = Waiting { signals, poll, keys: None };
    let interval = Span::from_micros(u64::try_from(interval.as_micros()).unwrap_or(u64::MAX));
    match io::stdout().is_terminal() && !common.json {
        true => on_terminal(waiting, interval, count, common),
        false => elsewhere(&waiting, interval, count, common),
    }
}

/// One view after the other; with --json each on one line.
fn elsewhere(waiting: &Waiting, interval: Span, count: Option<u32>, common: &Common) -> Result<(), Exit> {
    let form = Form { width: 0, ..form(common) };
    for shown in 1.. {
        print(&client::ask(&common.socket, &["live", RACES_ELSEWHERE], form)?)?;
        if count == Some(shown) || waiting.until(now() + interval)? == Woken::Stop {
            break;
        }
    }
    Ok(())
}

fn on_terminal(mut waiting: Waiting, interval: Span, count: Option<u32>, common: &Common) -> Result<(), Exit> {
    let mut live = Live::default();
    // A daemon that does not run is a plain error, before the screen is touched. Later on it may restart.
    look(&mut live, common)?;
    let failed = |error: io::Error| Exit::said(Code::Failed, format_args!("cannot take the terminal: {error}"));
    let terminal = Terminal::enter().map_err(failed)?;
    if let Some(keys) = terminal.keys() {
        waiting.poll.add(&keys, 1, false).map_err(failed)?;
        waiting.keys = Some(keys);
    }
    let unicode = speaks_utf8();
    let ends = if waiting.keys.is_some() { "q ends" } else { "Ctrl-C ends" };
    let mut trouble: Option<String> = None;
    for shown in 1.. {
        let end = now() + interval;
        loop {
            let (width, rows) = size();
            let form = Form { width, ..form(common) };
            let screen = Screen { form, rows: usize::from(rows), unicode, interval, ends };
            print(&frame(&live.draw(&screen, trouble.as_deref()), rows))?;
            if count == Some(shown) {
                return Ok(());
            }
            match waiting.while_size_is((width, rows), end)? {
                Woken::Stop => return Ok(()),
                Woken::Late => break,
                Woken::Resized => {}
            }
        }
        trouble = look(&mut live, common).err().map(|exit| exit.text);
    }
    Ok(())
}

fn look(live: &mut Live, common: &Common) -> Result<(), Exit> {
    let form = Form { json: true, width: 0, color: false };
    let text = client::ask(&common.socket, &["live", RACES], form)?;
    let unreadable = || Exit::new(Code::Failed, "cannot read what the daemon says: are both of one version?");
    live.learn(read(&text, KEYS).ok_or_else(unreadable)?, now());
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// It is time for the next view.
    Late,
    Resized,
    /// Ctrl-C, a signal, or `q`.
    Stop,
}

struct Waiting {
    signals: Signals,
    poll: Poll,
    keys: Option<Keys>,
}

impl Waiting {
    fn until(&self, end: Time) -> Result<Woken, Exit> {
        loop {
            let left = end.since(now());
            if left == Span::ZERO {
                return Ok(Woken::Late);
            }
            let mut pressed = false;
            let wait = self.poll.wait(Some(left), |key| pressed |= key == 1);
            wait.map_err(|error| Exit::said(Code::Failed, format_args!("cannot wait: {error}")))?;
            // SIGHUP ends it as well: the terminal is gone.
            if self.signals.next().is_some() {
                return Ok(Woken::Stop);
            }
            if let Some(keys) = self.keys.as_ref().filter(|_| pressed) {
                let keys = keys.pressed();
                if keys.is_empty() || keys.iter().any(|key| matches!(key, b'q' | b'Q')) {
                    return Ok(Woken::Stop);
                }
            }
        }
    }

    fn while_size_is(&self, known: (u16, u16), end: Time) -> Result<Woken, Exit> {
        loop {
            let turn = now() + LOOK;
            match self.until(turn.min(end))? {
                Woken::Late if turn >= end => return Ok(Woken::Late),
                Woken::Late if size() != known => return Ok(Woken::Resized),
                Woken::Late => {}
                other => return Ok(other),
            }
        }
    }
}

fn size() -> (u16, u16) {
    peer::terminal_size(io::stdout().as_fd()).unwrap_or((80, 24))
}

/// Whether the locale is one of UTF-8 (locale(7): the first of these that is set decides).
fn speaks_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(env::var_os).find(|value| !value.is_empty());
    let name = set.map(|name| name.to_string_lossy().to_ascii_lowercase());
    name.is_some_and(|name| name.contains("utf-8") || name.contains("utf8"))
}

/// `view`, which has no more lines than the terminal, in place of what that shows.
fn frame(view: &str, rows: u16) -> String {
    let mut out = String::from("\x1b[H");
    let mut lines = 0;
    for line in view.lines().take(usize::from(rows)) {
        if lines > 0 {
            out.push_str("\r\n");
        }
        // Cleared first: at the end of a full line the cursor still stands on its last character.
        out.push_str("\x1b[K");
        out.push_str(line);
        lines += 1;
    }
    // On the last line there is nothing below, and a line's end would scroll.
    if lines < rows {
        out.push_str("\r\n\x1b[J");
    }
    out
}
