//! Random worlds: whatever the network and the clients do, a race must not do certain things. The assertions are in
//! [`world`] and [`kernel`], where what they speak of happens.

mod kernel;
mod network;
mod plan;
mod rates;
mod world;

use proptest::prelude::*;

use super::tests::script::id;
use super::{Action, REFUSAL_GRACE};
use crate::link::LinkId;
use crate::packet::Protocol;
use crate::time::{Span, Time};
use plan::{Flap, Path, Plan, Router, Server, Start};
use world::{Fate, World};

fn run(plan: &Plan) -> World {
    let mut world = World::new(plan);
    world.run();
    world
}

fn micros(range: core::ops::Range<u64>) -> impl Strategy<Value = Span> {
    range.prop_map(Span)
}

fn path() -> impl Strategy<Value = Path> {
    let server = prop_oneof![
        5 => Just(Server::Accepts),
        1 => Just(Server::Refuses),
        1 => Just(Server::Silent),
        1 => Just(Server::Censored),
    ];
    let handicap = prop_oneof![3 => Just(Span::ZERO), 1 => micros(0..300_000), 1 => micros(0..6_000_000)];
    let delays = (micros(100..200_000), prop_oneof![micros(0..1), micros(0..50_000), micros(0..2_000_000)]);
    let faults = (prop_oneof![Just(0), 0..60u8], prop_oneof![Just(0), 0..40u8]);
    let bits = (prop::bool::weighted(0.2), prop::bool::weighted(0.7), prop::bool::weighted(0.2));
    (delays, faults, server, handicap, bits).prop_map(
        |((delay, jitter), (loss, twice), server, handicap, (metered, ipv6, small))| {
            let mtu = if small { 1280 } else { 1500 };
            Path { delay, jitter, loss, twice, server, handicap, metered, ipv6, mtu }
        },
    )
}

fn start() -> impl Strategy<Value = Start> {
    let protocol = prop_oneof![6 => Just(Protocol::Tcp), 2 => Just(Protocol::Udp), 1 => Just(Protocol::Echo)];
    // Often at nearly the same time.
    let at = prop_oneof![micros(0..100_000), micros(0..10_000_000)];
    let length = prop_oneof![3 => Just(60), 1 => 1200..1500u16];
    (at, 0..4u8, 1..3u8, protocol, length).prop_map(|(at, client, server, protocol, length)| Start {
        at,
        client,
        server,
        protocol,
        length,
    })
}

fn flap() -> impl Strategy<Value = Flap> {
    (micros(0..10_000_000), 0..5usize, any::<bool>()).prop_map(|(at, link, up)| Flap { at, link, up })
}

fn router() -> impl Strategy<Value = Router> {
    let some = |most| prop_oneof![2 => micros(0..1), 1 => micros(0..most)];
    let parts = (prop_oneof![Just(0), 0..60u8], some(50_000), any::<bool>(), some(20_000));
    parts.prop_map(|(fails, settling, trusts, lateness)| Router { fails, settling, trusts, lateness })
}

fn plan() -> impl Strategy<Value = Plan> {
    let remember = prop_oneof![Just(Span::ZERO), Just(Span::from_secs(60))];
    let paths = prop::collection::vec(path(), 1..=5);
    let starts = prop::collection::vec(start(), 1..12);
    let flaps = prop::collection::vec(flap(), 0..6);
    (any::<u64>(), 1..=8usize, remember, paths, starts, flaps, router()).prop_map(
        |(seed, capacity, remember, paths, starts, flaps, router)| Plan {
            seed,
            capacity,
            remember,
            paths,
            starts,
            flaps,
            router,
        },
    )
}

/// A world without faults, in which what must become of a client can be told beforehand.
fn faultless() -> impl Strategy<Value = Plan> {
    let path = (path(), micros(0..200_000)).prop_map(|(path, handicap)| Path {
        jitter: Span::ZERO,
        loss: 0,
        twice: 0,
        handicap: if path.handicap == Span::ZERO { Span::ZERO } else { handicap },
        ..path
    });
    let start = start().prop_map(|start| Start { protocol: Protocol::Tcp, ..start });
    (prop::collection::vec(path, 1..=5), prop::collection::vec(start, 1..4)).prop_map(|(paths, mut starts)| {
        // One connection a client.
        for (client, start) in (0..).zip(&mut starts) {
            start.client = 3 - client;
        }
        Plan { seed: 0, capacity: 8, remember: Span::ZERO, paths, starts, flaps: Vec::new(), router: Router::PERFECT }
    })
}

/// What must become of a client of a faultless world; `None` where it hangs on the order of simultaneous events.
fn foreseen(plan: &Plan, ipv6: bool) -> Option<(&'static str, Option<LinkId>)> {
    let able = || (1..).zip(&plan.paths).filter(|(_, path)| path.ipv6 || !ipv6);
    let free = able().any(|(_, path)| !path.metered);
    let field: Vec<_> = able().filter(|(_, path)| !(free && path.metered)).collect();
    let yes = |path: &Path| matches!(path.server, Server::Accepts | Server::Censored).then(|| path.delay + path.delay);
    let no = |path: &Path| match path.server {
        Server::Refuses => Some(path.delay + path.delay),
        Server::Censored => Some(path.delay),
        _ => None,
    };
    let first_no = field.iter().filter_map(|(_, path)| no(path)).min();
    let Some(first_yes) = field.iter().filter_map(|(_, path)| yes(path)).min() else {
        return Some((if first_no.is_some() { "refused" } else { "silent" }, None));
    };
    let last_no =
        field.iter().map(|(_, path)| no(path)).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    let believed = [first_no.map(|at| at + REFUSAL_GRACE), last_no].into_iter().flatten().min();
    match believed {
        Some(believed) if believed == first_yes => return None,
        Some(believed) if believed < first_yes => return Some(("refused", None)),
        _ => {}
    }
    // Refusals cut handicaps short: the winner is foretold only without.
    if first_no.is_some() {
        return Some(("connected", None));
    }
    let mut due: Vec<_> =
        field.iter().filter_map(|(link, path)| Some((yes(path)? + path.handicap, id(*link)))).collect();
    due.sort();
    match due[..] {
        [(first, _), (second, _), ..] if first == second => None,
        _ => Some(("connected", Some(due[0].1))),
    }
}

fn cases(cases: u32) -> ProptestConfig {
    // A file of past failures would be one more thing to keep: a failure becomes a script in `tests`.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(6000))]

    #[test]
    fn no_world_brings_a_race_to_do_what_it_must_not(plan in plan()) {
        run(&plan);
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn the_same_world_runs_the_same_way(plan in plan()) {
        let (one, other): (Vec<(Time, Action)>, _) = (run(&plan).trace, run(&plan).trace);
        prop_assert_eq!(one, other);
    }
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn clients_connect_if_and_only_if_a_path_allows_it(plan in faultless()) {
        let world = run(&plan);
        // A refused flow stays in conntrack for a while, and may be in another client's way.
        prop_assume!(world.racer.log().counters.fell_back == 0);
        for client in &world.clients {
            let is = match client.fate {
                Fate::Trying => ("silent", None),
                Fate::Refused => ("refused", None),
                Fate::Connected(link, _) => ("connected", Some(link)),
            };
            let Some(must) = foreseen(&plan, client.opening.client.is_ipv6()) else { continue };
            prop_assert_eq!(is.0, must.0, "{:?}", client);
            prop_assert!(must.1.is_none() || is.1 == must.1, "link {:?} should have won: {:?}", must.1, client);
        }
    }
}
