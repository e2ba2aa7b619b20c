//! `live`: the links and the last races, again and again.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::time::Duration;

use super::args::Common;
use super::{form, print};
use crate::control::{Code, Exit, client};
use crate::linux::clock::now;
use crate::linux::peer;
use crate::linux::poll::Poll;
use crate::linux::signal::{Signal, Signals};
use crate::time::Span;

/// The alternate screen without a cursor, and back (xterm's control sequences, DECSET 1049 and 25).
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Races asked for: a tall terminal's worth.
const RACES: &str = "60";
/// Races in a view that is not on a terminal.
const RACES_ELSEWHERE: &str = "10";

/// Until Ctrl-C, or for `count` views.
pub fn show(interval: Duration, count: Option<u32>, common: &Common) -> Result<(), Exit> {
    let failed = |error: io::Error| Exit::new(Code::Failed, format!("cannot wait for signals: {error}"));
    let signals = Signals::open().map_err(failed)?;
    let poll = Poll::new().map_err(failed)?;
    poll.add(&signals, 0, false).map_err(failed)?;
    let terminal = io::stdout().is_terminal() && !common.json;
    // A daemon that does not run is a plain error, before the screen is touched. Later on it may restart.
    let mut view = Ok(look(terminal, common)?);
    if terminal {
        print(ENTER)?;
    }
    let interval = Span::from_micros(u64::try_from(interval.as_micros()).unwrap_or(u64::MAX));
    let result = (|| {
        for shown in 1.. {
            match view {
                Ok(text) if terminal => print(&frame(&text, interval))?,
                Err(Exit { text, .. }) if terminal => print(&frame(&text, interval))?,
                view => print(&view?)?,
            }
            if count == Some(shown) || stopped(&signals, &poll, interval)? {
                break;
            }
            view = look(terminal, common);
        }
        Ok(())
    })();
    if terminal {
        print(LEAVE)?;
    }
    result
}

/// Waits; whether Ctrl-C came meanwhile.
fn stopped(signals: &Signals, poll: &Poll, interval: Span) -> Result<bool, Exit> {
    let end = now() + interval;
    loop {
        let left = end.since(now());
        if left == Span::ZERO {
            return Ok(false);
        }
        let wait = poll.wait(Some(left), |_| {});
        wait.map_err(|error| Exit::new(Code::Failed, format!("cannot wait: {error}")))?;
        match signals.next() {
            Some(Signal::Stop | Signal::Reload) => return Ok(true), // SIGHUP: the terminal is gone
            None => {}
        }
    }
}

/// Both views; with --json as one object on one line.
fn look(terminal: bool, common: &Common) -> Result<String, Exit> {
    let mut form = form(common);
    if form.json {
        form.width = 0;
    }
    let links = client::ask(&common.socket, &["links"], form)?;
    let races = client::ask(&common.socket, &["races", if terminal { RACES } else { RACES_ELSEWHERE }], form)?;
    match form.json {
        // {"links":[..]} and {"races":[..]} become one.
        true => {
            let links = links.trim_end();
            let (links, races) = (links.strip_suffix('}'), races.strip_prefix('{'));
            Ok(format!("{},{}", links.unwrap_or_default(), races.unwrap_or_default()))
        }
        false => Ok(format!("{links}\n{races}\n")),
    }
}

/// `view` in place of what the terminal shows: as many lines as it has, and nothing below.
fn frame(view: &str, interval: Span) -> String {
    let rows = peer::terminal_size(io::stdout().as_fd()).map_or(24, |(_, rows)| rows);
    let mut out = format!("\x1b[H\x1b[Kcheaproute, every {} s; Ctrl-C ends\r\n\x1b[K", interval.as_secs());
    let mut used = 2;
    for line in view.trim_end().lines().take(usize::from(rows).saturating_sub(2)) {
        used += 1;
        // Cleared first: at the end of a full line the cursor still stands on its last character.
        out.push_str("\r\n\x1b[K");
        out.push_str(line);
    }
    // On the last line there is nothing below, and a line's end would scroll.
    if used < usize::from(rows) {
        out.push_str("\r\n\x1b[J");
    }
    out
}
