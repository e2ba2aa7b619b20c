//! The course of a race beyond its first answer: repetitions, rules 6 and 7, fallback, ports, records.

use super::script::{Stage, id, link, ms, play};
use super::{three, two};
use crate::link::Link;
use crate::race::MAX_RACES;
use crate::race::record::{Counters, Outcome, Tally};
use crate::race::table::Race;
use crate::time::{Span, Time};

#[test]
fn rule_6_a_repeated_syn_repeats_the_copies() {
    let stage = play(
        &two(),
        "0 syn          | copy 1 2, drop #1
         1000 syn       | copy 1 2, drop #2
         2800 syn       | copy 1 2, drop #3
         6799 1 syn-ack | establish 1, pass #4, reset 2",
    );
    assert_eq!(stage.racer.log().counters.repeats, 2);
    // Over the links as they are now.
    play(
        &two(),
        "0 syn          | copy 1 2, drop #1
         10 down 1      |
         1000 syn       | copy 2, drop #2
         1001 2 syn-ack | establish 2, pass #3, reset 1",
    );
}

#[test]
fn rule_6_a_port_that_brings_no_answer_for_long_is_changed_once() {
    let stage = play(
        &two(),
        "0 syn          | copy 1 2, drop #1
         1000 syn       | copy 1 2, drop #2
         3000 syn       | copy 1 2 from another port, drop #3
         4000 syn       | copy 1 2 from another port, drop #4
         7900 syn       | copy 1 2 from another port, drop #5
         7950 1 syn-ack | establish 1, pass #6, reset 2",
    );
    let counters = stage.racer.log().counters;
    assert_eq!((counters.races, counters.won, counters.resets), (1, 1, 1));
    // A server that is down is as silent: the next connection has the client's port.
    play(
        &two(),
        "0 syn          | copy 1 2, drop #1
         3000 syn       | copy 1 2 from another port, drop #2
         9000 syn isn=7 | copy 1 2, drop #3",
    );
}

#[test]
fn a_link_that_went_down_wins_only_if_no_other_can() {
    // Its connections are about to be reset.
    play(
        &two(),
        "0 syn          | copy 1 2, drop #1
         10 down 1      |
         11 1 syn-ack   | reset 1, drop #2
         20 2 syn-ack   | establish 2, pass #3, reset 1",
    );
    play(
        &two(),
        "0 syn          | copy 1 2, drop #1
         10 down 1      |
         11 2 rst       |
         12 1 syn-ack   | drop #2, establish 1, pass #3",
    );
    play(
        &two(),
        "0 syn          | copy 1 2, drop #1
         10 down 1      |
         10 down 2      |
         12 1 syn-ack   | establish 1, pass #2, reset 2",
    );
    // Others' connections are not: they go on over the next link.
    play(
        &two(),
        "0 udp          | copy 1 2, drop #1
         10 down 1      |
         11 1 data      | establish 1, decide #2",
    );
}

#[test]
fn rule_6_a_race_without_answers_ends() {
    let mut stage = play(
        &two(),
        "0 syn      | copy 1 2, drop #1
         3999 down 1 |",
    );
    assert_eq!(stage.racer.in_flight(), 1);
    stage.play("4000 end |");
    assert_eq!((stage.racer.in_flight(), stage.racer.deadline()), (0, None));
    assert_eq!(stage.racer.log().counters.silent, 1);
    assert_eq!(stage.racer.log().newest().next().unwrap().outcome, Outcome::Silent);
}

#[test]
fn rule_6_a_second_datagram_follows_the_first() {
    play(
        &two(),
        "0 udp          | copy 1 2, drop #1
         5 udp          | copy 1 2, drop #2
         20 1 data      | establish 1, decide #3
         21 udp         | copy 1, drop #4
         30 down 1      |
         31 udp         | copy 2, drop #5",
    );
}

#[test]
fn rule_6_a_second_datagram_takes_links_that_carry_both() {
    let small = Link { mtu: 1280, ..link(1) };
    play(
        &[small.clone(), link(2), link(3)],
        "0 udp length=1400 | copy 2 3, drop #1
         5 udp            | copy 2 3, drop #2",
    );
    // What the winner does not carry.
    play(
        &[small, link(2)],
        "0 udp             | copy 1 2, drop #1
         20 1 data         | establish 1, decide #2
         21 udp length=1281 | drop #3
         22 udp length=1280 | copy 1, drop #4",
    );
}

#[test]
fn another_sequence_number_is_another_connection() {
    // The first one's copies may have left half a connection behind, which would not understand the second one's SYN.
    play(
        &two(),
        "0 syn                  | copy 1 2, drop #1
         10 syn isn=200         | reset 1 2, copy 1 2, drop #2
         20 1 syn-ack ack=101   | pass #3
         21 1 syn-ack           | establish 1, pass #4, reset 2
         500 syn isn=300        | copy 1 2, drop #5",
    );
    // What was held for it is let go.
    play(
        &[Link { handicap: ms(50), ..link(1) }, link(2)],
        "0 syn           | copy 1 2, drop #1
         20 1 syn-ack    |
         30 syn isn=200  | reset 1 2, drop #2, copy 1 2, drop #3",
    );
    play(
        &two(),
        "0 kernel later  |
         0 syn           | copy 1 2, drop #1
         20 1 syn-ack    | establish 1
         30 syn isn=200  | reset 2, drop #2, copy 1 2, drop #3
         31 settle ok    |",
    );
}

#[test]
fn rule_7_what_cannot_be_raced_passes() {
    let stage = play(&two(), "0 syn fast-open | pass #1");
    assert_eq!(stage.racer.log().counters, Counters { passed_fast_open: 1, ..Counters::default() });
    let mut stage = Stage::new(&two(), 1, Span::ZERO);
    stage.play(
        "0 syn       | copy 1 2, drop #1
         1 syn b     | pass #2
         1 syn       | copy 1 2, drop #3
         4001 syn b  | copy 1 2, drop #4",
    );
    assert_eq!(stage.racer.log().counters.passed_full, 1);
    stage.racer.not_raced();
    assert_eq!(stage.racer.log().counters.passed_other, 1);
}

#[test]
fn a_race_that_falls_back_lets_the_next_opening_pass() {
    let mut stage = play(
        &two(),
        "0 kernel taken |
         0 syn          | copy 1 2, drop #1
         20 1 syn-ack   | establish 1, drop #2, reset 1
         30 2 syn-ack   | reset 2, drop #3
         1000 syn       | pass #4
         1020 1 syn-ack | pass #5
         1030 2 syn-ack | pass #6
         9000 end       |",
    );
    assert_eq!(stage.racer.log().counters.fell_back, 1);
    // A refusal leaves nothing to reset.
    stage.play(
        "10000 syn      | copy 1 2, drop #7
         10020 1 rst    |
         10021 2 rst    | drop #8, establish 2, drop #9
         10022 syn      | pass #10",
    );
    // Nobody who answered is left half open.
    play(
        &[Link { handicap: ms(50), ..link(1) }, link(2), link(3)],
        "0 kernel taken |
         0 syn          | copy 1 2 3, drop #1
         20 1 syn-ack   |
         30 2 syn-ack   | drop #2, establish 2, drop #3, reset 1 2",
    );
}

#[test]
fn two_clients_with_one_port_get_two() {
    // In flight.
    play(
        &two(),
        "0 syn           | copy 1 2, drop #1
         1 syn b isn=200 | copy 1 2 from another port, drop #2
         20 1 syn-ack b  | establish 1, pass #3, reset 2
         21 2 syn-ack    | establish 2, pass #4, reset 1",
    );
    // After a win, while anybody may still own the port there; the owner keeps it.
    play(
        &two(),
        "0 syn             | copy 1 2, drop #1
         20 1 syn-ack      | establish 1, pass #2, reset 2
         9000 syn b        | copy 1 2 from another port, drop #3
         9001 syn isn=300  | copy 1 2, drop #4",
    );
}

#[test]
fn links_are_tallied_and_races_recorded() {
    let mut stage = play(
        &three(),
        "0 syn         | copy 1 2 3, drop #1
         20 2 syn-ack  | establish 2, pass #2, reset 1 3
         60 1 syn-ack  | reset 1, drop #3
         61 1 syn-ack  | reset 1, drop #4",
    );
    let record = stage.racer.log().newest().next().unwrap().clone();
    assert_eq!((record.outcome, record.links), (Outcome::Won(id(2)), 3));
    assert_eq!(record.answers[..], [(id(2), ms(20)), (id(1), ms(60))]);
    stage.play("9000 end |");
    let at = |ms: u64| Time(ms * 1000);
    for (number, tally) in [
        (1, Tally { copies: 1, answers: 1, won: 0, silent: 0, last_answer: at(60), missed: at(0) }),
        (2, Tally { copies: 1, answers: 1, won: 1, silent: 0, last_answer: at(20), missed: at(0) }),
        (3, Tally { copies: 1, answers: 0, won: 0, silent: 1, last_answer: at(0), missed: at(0) }),
    ] {
        assert_eq!(stage.racer.log().tally(id(number)), &tally, "link {number}");
    }
    assert_eq!(stage.racer.log().counters, Counters { races: 1, won: 1, resets: 4, ..Counters::default() });
}

/// Who is silent where others answer is noted, for its probes; so is everybody where the client asks in vain.
#[test]
fn missed_answers_are_noted() {
    let mut stage = play(
        &three(),
        "1000 syn         | copy 1 2 3, drop #1
         1010 1 syn-ack   | establish 1, pass #2, reset 2 3
         1020 2 syn-ack   | reset 2, drop #3",
    );
    let at = |ms: u64| Time(ms * 1000);
    let missed = |stage: &Stage| [1, 2, 3].map(|number| stage.racer.log().tally(id(number)).missed);
    assert_eq!(missed(&stage), [at(0), at(1000), at(1000)]);
    assert!(stage.racer.log().suspicion());
    assert!(stage.racer.log_mut().still_missing() && !stage.racer.log().suspicion());
    stage.play(
        "2000 syn b   | copy 1 2 3 from another port, drop #4
         3000 syn b   | copy 1 2 3 from another port, drop #5",
    );
    assert_eq!(missed(&stage), [at(2000); 3]);
    assert!(stage.racer.log().suspicion());
}

/// The front page promises 2 MB.
#[test]
fn a_full_table_stays_within_its_promise() {
    let slot = size_of::<(u16, Option<Race>)>();
    // Beside the slot: its place in the free list, in two chains with a head each, and in the order of expiry.
    let total = (slot + 2 + 2 * (2 + 2) + 4) * MAX_RACES;
    println!("a race: {} bytes, its slot: {slot}; a full table: {total}", size_of::<Race>());
    assert!(total <= 2 << 20, "{total}");
}
