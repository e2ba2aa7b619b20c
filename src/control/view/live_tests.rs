//! The screen as a terminal shows it.

use super::*;

fn link(name: &str, state: &str, rtt: Option<u32>, (received, sent): (u64, u64)) -> Value {
    let reason = if state == "up" { "answers came" } else { "targets stopped answering" };
    Value::Map(vec![
        ("name", name.into()),
        ("state", state.into()),
        ("reason", reason.into()),
        ("since_s", 12u32.into()),
        ("rtt_us", rtt.into()),
        ("loss_permille", if state == "up" { 0u32 } else { 1000 }.into()),
        ("races", Value::Map(vec![("copies", 100u32.into()), ("won", if state == "up" { 62u32 } else { 0 }.into())])),
        ("rx_bytes", received.into()),
        ("tx_bytes", sent.into()),
    ])
}

fn document(links: Vec<Value>, started: u32) -> Value {
    let races =
        Value::Map(vec![("started", started.into()), ("won", (started / 2).into()), ("in_flight", 2u32.into())]);
    let status = [("links_up", 1u32.into()), ("links_total", 2u32.into()), ("races", races)];
    let event = |kind: &'static str, link: &'static str, reason: &'static str| {
        Value::Map(vec![
            ("age_s", 12u32.into()),
            ("event", kind.into()),
            ("link", link.into()),
            ("reason", reason.into()),
        ])
    };
    let events = vec![event("link.down", "lte", "targets stopped answering"), event("reload", "", "")];
    let race = |age: u32| {
        let answers = Value::Map(vec![("link", "wan".into()), ("us", 21_300u32.into())]);
        Value::Map(vec![
            ("age_ms", (age * 1000).into()),
            ("protocol", "tcp".into()),
            ("client", "192.168.1.7:51234".into()),
            ("server", "192.0.2.1:443".into()),
            ("outcome", "won".into()),
            ("link", "wan".into()),
            ("answers", vec![answers].into()),
        ])
    };
    Value::Map(vec![
        ("status", Value::Map(status.into())),
        ("links", links.into()),
        ("races", (1..=60).map(race).collect::<Vec<_>>().into()),
        ("events", events.into()),
    ])
}

fn at(seconds: u64) -> Time {
    Time(0) + Span::from_secs(seconds)
}

fn screen(width: u16, rows: usize, unicode: bool) -> Screen {
    let form = Form { json: false, width, color: false };
    Screen { form, rows, unicode, interval: Span::from_secs(2), ends: "q ends" }
}

fn seen() -> Live {
    let mut live = Live::default();
    for (turn, rtt) in [20_000, 21_000, 30_000, 40_000, 20_000].into_iter().enumerate() {
        let turn = turn as u64;
        let lte = if turn < 3 { link("lte", "up", None, (0, 0)) } else { link("lte", "down", Some(9), (0, 0)) };
        let wan = link("wan", "up", Some(rtt), (turn * 3_000_000, turn * 25_000));
        live.learn(document(vec![wan, lte], 1_000 + turn as u32 * 10), at(turn * 2));
    }
    live
}

#[test]
fn a_screen_at_work() {
    let expected = "\
cheaproute  1 of 2 links up  1040 races, 50 % won, 300/min, 2 in flight        q ends

LINK  STATE      RTT  LAST 60 s          LOSS  WON                  DOWN          UP
wan   up     20.0 ms            ▁▁▄█▁   0.0 %  █████░░░ 62 %  12.0 Mbit/s  100 kbit/s
lte   down    -               xx  100.0 %  ░░░░░░░░ 0 %       0 bit/s     0 bit/s
  targets stopped answering, for 12 s
";
    let text = seen().draw(&screen(110, 24, true), None);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let got: Vec<_> = text.lines().take(6).map(words).collect();
    assert_eq!(got, expected.lines().map(words).collect::<Vec<_>>(), "{text}");
    assert_eq!(text.lines().count(), 24);
    assert_eq!(text.lines().nth(7), Some("EVENTS"));
    assert_eq!(text.lines().nth(8), Some("12 s ago  link.down  lte  targets stopped answering"));
    assert_eq!(text.lines().nth(11), Some("RACES"));
    assert!(text.lines().last().is_some_and(|line| line.starts_with("12 s")), "{text}");
}

#[test]
fn eighty_columns_have_room_for_a_course() {
    let text = seen().draw(&screen(80, 24, false), None);
    assert!(text.lines().next().is_some_and(|line| line.ends_with("2 in flight   q ends")), "{text}");
    let line = text.lines().nth(3).unwrap_or_default();
    assert!(line.contains("__~#_    0.0 %   62 %  12.0 Mbit/s"), "{text}");
}

#[test]
fn every_size_is_kept() {
    let live = seen();
    for (width, rows) in [(200, 60), (80, 24), (60, 16), (40, 15), (20, 5), (1, 1), (90, 2), (0, 3)] {
        for unicode in [true, false] {
            let text = live.draw(&screen(width, rows, unicode), None);
            assert!(text.lines().count() <= rows, "{width} {rows}\n{text}");
            let fits = |line: &str| width == 0 || line.chars().count() <= usize::from(width);
            assert!(text.lines().all(fits), "{width} {rows}\n{text}");
            assert!(unicode || text.is_ascii(), "{text}");
        }
    }
}

#[test]
fn trouble_stands_above_what_was() {
    let text = seen().draw(&screen(80, 24, true), Some("cheaproute is not running"));
    assert!(text.starts_with("cheaproute is not running\n") && text.contains("wan"), "{text}");
    assert!(Live::default().draw(&screen(80, 24, true), None).contains("no links"));
}

#[test]
fn courses_are_drawn_from_their_fastest() {
    let drawn = |samples: &[i64], width, unicode| {
        let sample = |us: &i64| match us {
            0 => Sample::Unknown,
            -1 => Sample::Down,
            us => Sample::RoundTrip(*us),
        };
        spark(&samples.iter().map(sample).collect(), width, unicode)
    };
    // Steady: flat. Twice as slow: the top. Slower still: the top is the slowest.
    assert_eq!(drawn(&[100, 101, 100], 5, true), "  ▁▁▁");
    assert_eq!(drawn(&[100, 200, 150], 3, true), "▁█▄");
    assert_eq!(drawn(&[100, 1100, 200], 3, false), "_#_");
    assert_eq!(drawn(&[1, 0, -1, i64::MAX], 4, false), "_ x#");
    // Only the newest fit.
    assert_eq!(drawn(&[100, 100, 200], 1, false), "_");
    assert_eq!(
        (bar(1, 2, false), bar(0, 0, true), bar(9, 8, false)),
        ("####....".into(), "░".repeat(8), "#".repeat(8))
    );
}

#[test]
fn counters_that_begin_anew_have_no_rate() {
    let mut live = Live::default();
    for (turn, bytes) in [5_000, 1_000, 2_000].into_iter().enumerate() {
        live.learn(document(vec![link("wan", "up", None, (bytes, 0))], 0), at(turn as u64));
        let expected = if turn == 2 { Some(8_000) } else { None };
        assert_eq!(live.tracks[0].bits_per_second[0], expected, "{turn}");
    }
    assert_eq!(live.races_per_minute, Some(0));
    // A document of a daemon that has no links, and one that is none at all.
    live.learn(Value::Null, at(9));
    assert!(live.tracks.is_empty());
}

#[test]
fn a_peer_takes_a_line() {
    let peer = |bytes: u32| {
        let path = |name: &'static str, state: &'static str| {
            let rtt = (state == "up").then_some(21_300u32);
            Value::Map(vec![
                ("name", name.into()),
                ("state", state.into()),
                ("rtt_us", rtt.into()),
                ("loss_permille", 4u32.into()),
            ])
        };
        let peer = Value::Map(vec![
            ("name", "vps".into()),
            ("state", "up".into()),
            ("rx_bytes", bytes.into()),
            ("tx_bytes", 0u32.into()),
            ("repaired", 12u32.into()),
            ("paths", vec![path("wan", "up"), path("lte", "down")].into()),
        ]);
        let Value::Map(mut entries) = document(vec![link("wan", "up", Some(21_000), (0, 0))], 1) else {
            unreachable!()
        };
        entries.push(("peers", vec![peer].into()));
        Value::Map(entries)
    };
    let mut live = Live::default();
    live.learn(peer(0), at(0));
    live.learn(peer(2_500_000), at(2));
    let text = live.draw(&screen(100, 24, false), None);
    let line = text.lines().find(|line| line.starts_with("vps")).unwrap_or_default();
    assert_eq!(line, "vps  up  10.0 Mbit/s down, 0 bit/s up; wan 21.3 ms 0.4 %; lte down; 12 repaired", "{text}");
}
