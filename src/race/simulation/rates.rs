//! Win rates of a few shapes of links, as text: a race that behaves differently shows as a difference.

use std::fmt::Write;

use super::plan::{Path, Plan, Router, Server, Start};
use super::run;
use super::world::Fate;
use crate::packet::Protocol;
use crate::race::tests::script::{id, ms};
use crate::time::Span;

const RACES: u64 = 500;

/// In percent: the clients that each link's win connected, those who were refused, those who still wait. Half of the
/// connections took no longer than the median.
const EXPECTED: &str = "
shape                                wan1 wan2 wan3 refused waiting   median
20 and 60 ms                          100    0    -       0       0  20.0 ms
20 ms twice, 20 ms of jitter           52   48    -       0       0  27.5 ms
20 and 25 ms, 20 ms of jitter          81   19    -       0       0  29.1 ms
20, 40 and 60 ms, 60 ms of jitter      88   12    0       0       0  48.6 ms
the same, 20 ms of handicap on wan1    48   48    4       0       0  61.9 ms
20 ms losing 30 %, 60 ms               46   54    -       0       0  60.0 ms
20 ms metered, 60 ms                    0  100    -       0       0  60.0 ms
20 ms dead, 60 ms                       0  100    -       0       0  60.0 ms
20 ms refusing, 60 ms                   0  100    -       0       0  60.0 ms
20 ms refusing, 300 ms                  0    0    -     100       0        -
20 ms censored, 60 ms                 100    0    -       0       0  20.0 ms
20 and 21 ms, remembered               50   50    -       0       0  21.0 ms
20 and 40 ms, remembered              100    0    -       0       0  20.0 ms
";

fn shapes() -> Vec<(&'static str, Span, Vec<Path>)> {
    // A path's delay is one way, its jitter comes twice.
    let path = |round_trip: u64, jitter: u64| Path { jitter: Span(jitter * 500), ..Path::good(Span(round_trip * 500)) };
    let never = Span::ZERO;
    vec![
        ("20 and 60 ms", never, vec![path(20, 0), path(60, 0)]),
        ("20 ms twice, 20 ms of jitter", never, vec![path(20, 20), path(20, 20)]),
        ("20 and 25 ms, 20 ms of jitter", never, vec![path(20, 20), path(25, 20)]),
        ("20, 40 and 60 ms, 60 ms of jitter", never, vec![path(20, 60), path(40, 60), path(60, 60)]),
        (
            "the same, 20 ms of handicap on wan1",
            never,
            vec![Path { handicap: ms(20), ..path(20, 60) }, path(40, 60), path(60, 60)],
        ),
        ("20 ms losing 30 %, 60 ms", never, vec![Path { loss: 30, ..path(20, 0) }, path(60, 0)]),
        ("20 ms metered, 60 ms", never, vec![Path { metered: true, ..path(20, 0) }, path(60, 0)]),
        ("20 ms dead, 60 ms", never, vec![Path { server: Server::Silent, ..path(20, 0) }, path(60, 0)]),
        ("20 ms refusing, 60 ms", never, vec![Path { server: Server::Refuses, ..path(20, 0) }, path(60, 0)]),
        ("20 ms refusing, 300 ms", never, vec![Path { server: Server::Refuses, ..path(20, 0) }, path(300, 0)]),
        ("20 ms censored, 60 ms", never, vec![Path { server: Server::Censored, ..path(20, 0) }, path(60, 0)]),
        ("20 and 21 ms, remembered", Span::from_secs(60), vec![path(20, 0), path(21, 0)]),
        ("20 and 40 ms, remembered", Span::from_secs(60), vec![path(20, 0), path(40, 0)]),
    ]
}

fn rates() -> String {
    let mut table = String::from("\nshape                                wan1 wan2 wan3 refused waiting   median\n");
    for (name, remember, paths) in shapes() {
        let starts =
            (0..RACES).map(|n| Start { at: ms(n * 50), client: 4, server: 1, protocol: Protocol::Tcp, length: 60 });
        let links = paths.len() as u8;
        let plan = Plan {
            seed: 1,
            capacity: 1024,
            remember,
            paths,
            starts: starts.collect(),
            flaps: Vec::new(),
            router: Router::PERFECT,
        };
        let world = run(&plan);
        let share = |wanted: &dyn Fn(Fate) -> bool| {
            let count = world.clients.iter().filter(|client| wanted(client.fate)).count() as u64;
            (count * 100 + RACES / 2) / RACES
        };
        write!(table, "{name:<36}").unwrap();
        for number in 1..=3 {
            let won = share(&|fate| matches!(fate, Fate::Connected(link, _) if link == id(number)));
            if number > links { write!(table, "    -") } else { write!(table, " {won:>4}") }.unwrap();
        }
        let (refused, waiting) = (share(&|fate| fate == Fate::Refused), share(&|fate| fate == Fate::Trying));
        let mut took: Vec<Span> = Vec::new();
        took.extend(world.clients.iter().filter_map(|client| match client.fate {
            Fate::Connected(_, took) => Some(took),
            _ => None,
        }));
        took.sort();
        let median = took.get(took.len() / 2).map_or("-".to_owned(), Span::to_string);
        writeln!(table, " {refused:>7} {waiting:>7} {median:>8}").unwrap();
    }
    table
}

#[test]
fn win_rates_are_as_they_were() {
    let rates = rates();
    assert!(rates == EXPECTED, "expected:{EXPECTED}\nfound:{rates}");
}
