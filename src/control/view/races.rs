//! `races`: the newest first: who raced to where, who answered when, who won.

use super::page::{Cell, Page, Paint, Pieces, Table, length};
use super::units::{count, millis, seconds};
use crate::control::Value;
use crate::text::commas;

pub fn draw(document: &Value, page: &mut Page) {
    let races = document.list("races");
    if races.is_empty() {
        return page.line("no races yet (a race takes two links that are up and not metered)", Paint::Dim);
    }
    for layout in [Layout::Full, Layout::Short] {
        let table = table(layout, races);
        if table.width() <= page.width() {
            return (0..races.len()).for_each(|number| table.draw(number, &[AGE], page));
        }
    }
    races.iter().for_each(|race| two_lines(race, page));
}

/// How much of a race stands in its line. Where not even the short form fits, a race takes two lines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Full,
    /// Without what tells least: the client's port, the third and later answers, and "won by" after the first answer.
    Short,
}

/// The column of numbers, aligned at its end.
const AGE: usize = 0;

fn table(layout: Layout, races: &[Value]) -> Table {
    let full = layout == Layout::Full;
    let client = |race: &Value| -> String {
        let client = race.text("client");
        if full { client.into() } else { without_port(client).into() }
    };
    let widest = races.iter().map(|race| length(&client(race))).max().unwrap_or(0);
    let kinds = races.iter().map(|race| race.text("protocol").len()).max().unwrap_or(0) + 1;
    let mut table = Table::default();
    for race in races {
        let mut answers = answers(race);
        if !full && answers.len() > 2 {
            answers.truncate(2);
            answers.push("..".into());
        }
        let said = !full && !answers.is_empty() && race.text("outcome") == "won";
        let outcome = if said { Default::default() } else { outcome(race).0 };
        let paint = self::outcome(race).1;
        let mut row = Pieces::default();
        row.say(Paint::Dim, format_args!("{}{}", age(race), if full { " ago" } else { "" }));
        let (protocol, server) = (race.text("protocol"), race.text("server"));
        row.say(Paint::Normal, format_args!("{protocol:<kinds$}{:<widest$} -> {server}", client(race)));
        if full {
            row.cell((commas(&answers), Paint::Normal));
        }
        // Else one column for both: few races have much of each.
        row.cell((if full || !outcome.is_empty() { outcome } else { commas(&answers) }, paint));
        table.row(row);
    }
    table
}

fn two_lines(race: &Value, page: &mut Page) {
    const INDENT: usize = 10;
    page.put(&age(race), Paint::Dim);
    page.put(" ago", Paint::Dim);
    page.go(INDENT);
    page.line(&format!("{:<4} {}", race.text("protocol"), race.text("server")), Paint::Normal);
    let mut pieces = Pieces::default();
    pieces.say(Paint::Dim, format_args!("from {}", race.text("client")));
    answers(race).into_iter().for_each(|text| pieces.cell((text, Paint::Normal)));
    pieces.cell(outcome(race));
    page.flow(INDENT, &pieces);
}

fn age(race: &Value) -> String {
    seconds(race.count("age_ms") / 1_000)
}

/// The winner's time first, then how much later the others came: `wan 21.3 ms`, `wanb +38.9 ms`.
fn answers(race: &Value) -> Vec<String> {
    let list = race.list("answers");
    // A handicap lets a link win whose answer came second.
    let winner = list.iter().position(|answer| answer.text("link") == race.text("link")).unwrap_or(0);
    let Some(first) = list.get(winner) else { return Vec::new() };
    let base = first.count("us");
    let mut said = vec![format!("{} {}", first.text("link"), millis(base))];
    for (_, answer) in list.iter().enumerate().filter(|(number, _)| *number != winner) {
        let later = answer.count("us").saturating_sub(base);
        let sign = if later >= 0 { "+" } else { "" };
        said.push(format!("{} {sign}{}", answer.text("link"), millis(later)));
    }
    said
}

fn outcome(race: &Value) -> Cell {
    let (outcome, link) = (race.text("outcome"), race.text("link"));
    let by = |what: &str| if link.is_empty() { what.to_string() } else { format!("{what} by {link}") };
    match outcome {
        "won" => (by("won"), Paint::Good),
        "refused" => (by("refused"), Paint::Warn),
        "no answer" => match race.count("copies") {
            1 => ("no answer to 1 copy".into(), Paint::Bad),
            copies => (format!("no answer to {} copies", count(copies)), Paint::Bad),
        },
        "running" => (outcome.into(), Paint::Dim),
        _ => (outcome.into(), Paint::Warn),
    }
}

/// `192.168.1.7:51234` without `:51234`, `[2001:db8::7]:51234` without that and the brackets.
fn without_port(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}
