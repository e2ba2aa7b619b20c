//! `live`: a screen of what goes on, drawn again and again: links with their recent round trips and throughput, the last
//! events, the last races. What needs two looks (rates, courses) is computed here, from one document to the next.

use std::collections::VecDeque;
use std::fmt::Write;

use super::page::{Page, Paint, Pieces, Table, length};
use super::units::{bits, count, millis, percent, permille, seconds};
use super::{events, links, races};
use crate::control::{Form, Value};
use crate::time::{Span, Time};

/// The keys of the document that this view reads.
pub const KEYS: &[&str] = &[
    "age_ms",
    "age_s",
    "answers",
    "client",
    "copies",
    "device",
    "event",
    "events",
    "in_flight",
    "interface",
    "link",
    "links",
    "links_total",
    "links_up",
    "loss_permille",
    "name",
    "outcome",
    "paths",
    "peer",
    "peers",
    "protocol",
    "queue",
    "races",
    "reason",
    "repaired",
    "rtt_us",
    "rx_bytes",
    "server",
    "since_s",
    "started",
    "state",
    "status",
    "tx_bytes",
    "us",
    "used",
    "won",
];

/// Round trips shown of each link.
const SAMPLES: usize = 30;
/// Fewer of them tell nothing.
const FEWEST: usize = 8;
/// With fewer, the bar makes room for more: so on a terminal of 80 columns.
const ENOUGH: usize = 12;
/// Events shown: what is older is in `cheaproute events` or the log.
const EVENTS: usize = 4;
/// Below this many rows links and races need all of them.
const ROWS_FOR_EVENTS: usize = 16;
/// Characters of the bar beside the share of races won.
const BAR: usize = 8;

const HEAD: [&str; 8] = ["LINK", "STATE", "RTT", "", "LOSS", "WON", "DOWN", "UP"];
const RIGHT: [usize; 4] = [2, 4, 6, 7];
const COURSE: usize = 3;
/// What a narrow terminal does without, first to last: the course has gone by then.
const EXPENDABLE: [usize; 3] = [5, 4, 2];

/// What the terminal is like.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    pub form: Form,
    pub rows: usize,
    /// It shows block elements (U+2580 to U+259F).
    pub unicode: bool,
    /// From one view to the next.
    pub interval: Span,
    /// Says how to end.
    pub ends: &'static str,
}

/// What was seen so far. The links are those of the last document.
#[derive(Default)]
pub struct Live {
    document: Option<Value>,
    seen: Option<Time>,
    tracks: Vec<Track>,
    peers: Vec<Track>,
    started: i64,
    races_per_minute: Option<i64>,
}

/// A link, or a peer, from look to look.
#[derive(Default)]
struct Track {
    name: String,
    samples: VecDeque<Sample>,
    /// Bytes received and sent.
    counters: [Option<i64>; 2],
    bits_per_second: [Option<i64>; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sample {
    Unknown,
    Down,
    /// Microseconds.
    RoundTrip(i64),
}

impl Track {
    /// `per`: a difference, scaled, in the time from the last look.
    fn count(&mut self, document: &Value, per: &dyn Fn(i64, i64) -> Option<i64>) {
        let counters = [document.int("rx_bytes"), document.int("tx_bytes")];
        for ((new, old), rate) in counters.iter().zip(self.counters).zip(&mut self.bits_per_second) {
            // A device that came anew counts from zero.
            *rate = new.zip(old).and_then(|(new, old)| per(new.saturating_sub(old), 8_000_000));
        }
        self.counters = counters;
    }
}

impl Live {
    /// Takes the document that the daemon gave at `now`.
    pub fn learn(&mut self, document: Value, now: Time) {
        let passed = self.seen.map(|seen| now.since(seen).as_micros() as i64).filter(|passed| *passed > 0);
        let per = |difference: i64, scale: i64| {
            passed.filter(|_| difference >= 0).map(|us| difference.saturating_mul(scale) / us)
        };
        let mut old = core::mem::take(&mut self.tracks);
        for link in document.list("links") {
            let at = old.iter().position(|track| track.name == link.text("name"));
            let mut track = at.map(|at| old.swap_remove(at)).unwrap_or_default();
            track.name = link.text("name").into();
            let sample = match (link.text("state"), link.int("rtt_us")) {
                ("down" | "absent", _) => Sample::Down,
                (_, Some(us)) => Sample::RoundTrip(us),
                _ => Sample::Unknown,
            };
            if track.samples.len() >= SAMPLES {
                track.samples.pop_front();
            }
            track.samples.push_back(sample);
            track.count(link, &per);
            self.tracks.push(track);
        }
        let mut old = core::mem::take(&mut self.peers);
        for peer in document.list("peers") {
            let at = old.iter().position(|track| track.name == peer.text("name"));
            let mut track = at.map(|at| old.swap_remove(at)).unwrap_or_default();
            track.name = peer.text("name").into();
            track.count(peer, &per);
            self.peers.push(track);
        }
        let started = document.get("status").get("races").count("started");
        self.races_per_minute = per(started.saturating_sub(self.started), 60_000_000);
        self.started = started;
        self.document = Some(document);
        self.seen = Some(now);
    }

    /// At most as many lines as the screen has. `trouble`: why there is no newer document.
    pub fn draw(&self, screen: &Screen, trouble: Option<&str>) -> String {
        let nothing = Value::Null;
        let document = self.document.as_ref().unwrap_or(&nothing);
        let mut page = Page::new(screen.form);
        match trouble {
            Some(trouble) => page.line(trouble, Paint::Bad),
            None => self.summary(document, screen, &mut page),
        }
        page.end_line();
        self.links(document, screen, &mut page);
        document.list("peers").iter().for_each(|peer| self.peer(peer, &mut page));
        let mut text = page.finish();
        let mut left = screen.rows.saturating_sub(text.lines().count());
        let mut section = |name: &str, most: usize, draw: &dyn Fn(usize, &mut Page)| {
            // A blank line and the section's name come first.
            let room = left.saturating_sub(2).min(most);
            if room == 0 {
                return;
            }
            let mut page = Page::new(screen.form);
            page.end_line();
            page.line(name, Paint::Dim);
            draw(room, &mut page);
            for line in page.finish().lines().take(room + 2) {
                left = left.saturating_sub(1);
                text.push_str(line);
                text.push('\n');
            }
        };
        if screen.rows >= ROWS_FOR_EVENTS && !document.list("events").is_empty() {
            section("EVENTS", EVENTS, &|room, page| events::draw(&first(document, "events", room), page));
        }
        section("RACES", usize::MAX, &|room, page| {
            races::draw(&first(document, "races", room), page);
        });
        text.split_inclusive('\n').take(screen.rows).collect()
    }

    fn summary(&self, document: &Value, screen: &Screen, page: &mut Page) {
        let (status, races) = (document.get("status"), document.get("status").get("races"));
        page.put("cheaproute", Paint::Bold);
        let (up, total) = (status.count("links_up"), status.count("links_total"));
        let paint = match up {
            0 => Paint::Bad,
            _ if up < total => Paint::Warn,
            _ => Paint::Good,
        };
        page.put("  ", Paint::Normal);
        page.put(&format!("{up} of {total} links up"), paint);
        let (started, won) = (races.count("started"), races.count("won"));
        let mut text = format!("  {} races, {} won", count(started), percent(won, started));
        if let Some(rate) = self.races_per_minute {
            let _ = write!(text, ", {}/min", count(rate));
        }
        if races.count("in_flight") > 0 {
            let _ = write!(text, ", {} in flight", count(races.count("in_flight")));
        }
        page.put(&text, Paint::Normal);
        let end = page.width().saturating_sub(length(screen.ends));
        // At the edge, and only where nothing else is.
        if screen.form.width > 0 && page.column() < end {
            page.go(end);
            page.put(screen.ends, Paint::Dim);
        }
        page.end_line();
    }

    /// A peer in a line: its traffic, and each of its paths.
    fn peer(&self, peer: &Value, page: &mut Page) {
        page.put(peer.text("name"), Paint::Bold);
        page.put("  ", Paint::Normal);
        let (text, paint) = links::state(peer);
        page.put(&text, paint);
        page.put("  ", Paint::Normal);
        let track = self.peers.iter().find(|track| track.name == peer.text("name"));
        let [down, up] = track.map_or([None; 2], |track| track.bits_per_second);
        let mut text = format!("{} down, {} up", down.map_or("-".into(), bits), up.map_or("-".into(), bits));
        for path in peer.list("paths") {
            text += &match (path.text("state"), path.int("rtt_us")) {
                ("up", Some(us)) => {
                    format!("; {} {} {}", path.text("name"), millis(us), permille(path.count("loss_permille")))
                }
                (state, _) => format!("; {} {state}", path.text("name")),
            };
        }
        for (key, word) in [("repaired", "repaired"), ("queue", "waiting")] {
            if peer.count(key) > 0 {
                let _ = write!(text, "; {} {word}", count(peer.count(key)));
            }
        }
        page.line(&text, Paint::Normal);
    }

    fn links(&self, document: &Value, screen: &Screen, page: &mut Page) {
        let links = document.list("links");
        if links.is_empty() {
            return page.line("no links: the configuration has none that is enabled", Paint::Warn);
        }
        let table = |course: usize, bar: bool| {
            let mut table = Table::default();
            let span = screen.interval.as_secs().saturating_mul(course as u64);
            let last = if course > 0 { format!("LAST {}", seconds(span as i64)) } else { String::new() };
            let mut head = HEAD;
            head[COURSE] = &last;
            table.head(&head);
            let rows = links.iter().zip(&self.tracks);
            rows.for_each(|(link, track)| table.row(figures(link, track, (course, bar), screen.unicode)));
            table
        };
        // What the other columns leave is for the course.
        let room = |bar| page.width().saturating_sub(table(0, bar).width() + 2).min(SAMPLES);
        let bar = room(true) >= ENOUGH;
        let course = room(bar);
        let mut table = table(if course < FEWEST { 0 } else { course }, bar);
        table.fit(page.width(), &EXPENDABLE);
        table.draw(0, &RIGHT, page);
        for (number, link) in links.iter().enumerate() {
            table.draw(number + 1, &RIGHT, page);
            if link.text("state") != "up" && !link.text("reason").is_empty() {
                let since = seconds(link.count("since_s"));
                page.go(2);
                page.line(&format!("{}, for {since}", link.text("reason")), Paint::Dim);
            }
        }
    }
}

/// A document with the first items of one of its lists.
fn first(document: &Value, list: &'static str, most: usize) -> Value {
    let items: Vec<Value> = document.list(list).iter().take(most).cloned().collect();
    Value::Map(vec![(list, items.into())])
}

fn figures(link: &Value, track: &Track, (course, with_bar): (usize, bool), unicode: bool) -> Pieces {
    let lossy = if link.count("loss_permille") > 0 { Paint::Warn } else { Paint::Normal };
    let races = link.get("races");
    let (won, copies) = (races.count("won"), races.count("copies"));
    let mut row = Pieces::default();
    row.say(Paint::Bold, format_args!("{}", link.text("name")));
    row.cell(links::state(link));
    // What a link was like before it went down is history.
    let rtt = link.int("rtt_us").filter(|_| link.text("state") == "up");
    row.cell((rtt.map_or("-".into(), millis), Paint::Normal));
    row.cell((spark(&track.samples, course, unicode), Paint::Normal));
    row.amount(link, "loss_permille", lossy, permille);
    let bar = if with_bar { bar(won, copies, unicode) + " " } else { String::new() };
    row.say(Paint::Normal, format_args!("{bar}{:>5}", percent(won, copies)));
    for rate in track.bits_per_second {
        row.cell((rate.map_or("-".into(), bits), Paint::Normal));
    }
    row
}

/// The newest at the right. The lowest block is the fastest round trip seen; the highest is the slowest, or twice the
/// fastest if that is more: so a steady line is flat, whatever its height.
fn spark(samples: &VecDeque<Sample>, width: usize, unicode: bool) -> String {
    let blocks: &[char] = match unicode {
        true => &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
        false => &['_', '.', '-', '~', '=', '+', '*', '#'],
    };
    let shown = samples.iter().skip(samples.len().saturating_sub(width));
    let known = shown.clone().filter_map(|sample| if let Sample::RoundTrip(us) = sample { Some(*us) } else { None });
    let (low, high) = (known.clone().min().unwrap_or(0), known.max().unwrap_or(0));
    let range = (high - low).max(low).max(1);
    let mut text = " ".repeat(width.saturating_sub(samples.len()));
    text.extend(shown.map(|sample| match sample {
        Sample::Unknown => ' ',
        Sample::Down => 'x',
        Sample::RoundTrip(us) => {
            // Eight blocks: times that would overflow are so long that three bits less do not show.
            let shift = if range > i64::MAX / 8 { 3 } else { 0 };
            let level = ((us - low) >> shift) * (blocks.len() as i64 - 1) / (range >> shift);
            blocks.get(level as usize).copied().unwrap_or(' ')
        }
    }));
    text
}

fn bar(part: i64, whole: i64, unicode: bool) -> String {
    let (full, empty) = if unicode { ("█", "░") } else { ("#", ".") };
    let filled = match whole {
        1.. => (part.saturating_mul(BAR as i64).saturating_add(whole / 2) / whole).clamp(0, BAR as i64) as usize,
        _ => 0,
    };
    full.repeat(filled) + &empty.repeat(BAR - filled)
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
