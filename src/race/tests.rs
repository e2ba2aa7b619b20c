//! The rules of the front page, one by one, as scripts: see [`script`] for how to read them.

mod course;
mod remember;
pub(super) mod script;

use crate::link::Link;
use script::{link, ms, play};

fn two() -> [Link; 2] {
    [link(1), link(2)]
}

fn three() -> [Link; 3] {
    [link(1), link(2), link(3)]
}

#[test]
fn rule_1_an_opening_races_over_the_links_that_are_up() {
    play(
        &three(),
        "0 down 2 |
         1 syn    | copy 1 3, drop #1",
    );
    play(
        &two(),
        "0 down 1 |
         0 down 2 |
         1 syn    | pass #1",
    );
}

#[test]
fn rule_1_metered_links_race_only_when_no_other_is_left() {
    let metered = Link { metered: true, ..link(1) };
    play(
        &[metered, link(2), link(3)],
        "0 syn             | copy 2 3, drop #1
         5000 down 2       |
         5000 syn isn=200  | copy 3, drop #2
         10000 down 3      |
         10000 syn isn=300 | copy 1, drop #3",
    );
}

#[test]
fn rule_1_only_links_with_an_address_of_the_family_race() {
    let ipv4_only = Link { ipv6: None, ..link(1) };
    let ipv6_only = Link { ipv4: None, ..link(2) };
    play(
        &[ipv4_only, ipv6_only, link(3)],
        "0 syn  | copy 1 3, drop #1
         0 syn6 | copy 2 3, drop #2",
    );
}

#[test]
fn rule_1_long_datagrams_skip_links_with_a_small_mtu_but_syns_do_not() {
    let small = Link { mtu: 1280, ..link(1) };
    play(
        &[small, link(2)],
        "0 udp length=1400      | copy 2, drop #1
         5000 udp length=1280   | copy 1 2, drop #2
         5000 syn length=1400   | copy 1 2, drop #3",
    );
    let small = Link { mtu: 1280, ..link(1) };
    play(&[small], "0 udp length=1281 | pass #1");
}

#[test]
fn rule_3_the_first_answer_wins_and_the_losers_are_reset_now_and_later() {
    play(
        &three(),
        "0 syn          | copy 1 2 3, drop #1
         20 2 syn-ack   | establish 2, pass #2, reset 1 3
         30 1 syn-ack   | reset 1, drop #3
         40 2 syn-ack   | pass #4
         50 3 rst       | drop #5
         60 2 rst       | pass #6
         70 1 syn-ack   | reset 1, drop #7
         80 syn         | drop #8
         9000 end       |",
    );
}

#[test]
fn rule_3_a_loser_that_answers_after_the_end_is_the_kernels() {
    play(
        &two(),
        "0 syn          | copy 1 2, drop #1
         20 1 syn-ack   | establish 1, pass #2, reset 2
         3999 2 syn-ack | reset 2, drop #3
         4000 2 syn-ack | pass #4",
    );
}

#[test]
fn rule_3_what_does_not_answer_the_syn_passes_untouched() {
    play(
        &two(),
        "0 syn                | copy 1 2, drop #1
         5 1 syn-ack ack=100  | pass #2
         5 1 syn-ack ack=102  | pass #3
         5 1 rst ack=7        | pass #4
         5 3 syn-ack          | pass #5
         5 1 data             | pass #6
         6 1 syn-ack          | establish 1, pass #7, reset 2",
    );
    // The acknowledgment wraps with the sequence number.
    play(
        &two(),
        "0 syn isn=4294967295 | copy 1 2, drop #1
         6 1 syn-ack ack=0    | establish 1, pass #2, reset 2",
    );
}

#[test]
fn rule_3_answers_while_establishing_are_dropped_and_their_links_reset() {
    play(
        &three(),
        "0 kernel later |
         0 syn          | copy 1 2 3, drop #1
         20 1 syn-ack   | establish 1
         21 2 syn-ack   | drop #3
         21 1 syn-ack   | drop #4
         22 syn         | drop #5
         23 settle ok   | pass #2, reset 2 3",
    );
}

#[test]
fn rule_3_datagrams_and_echoes_decide_in_silence() {
    for what in ["udp", "echo"] {
        play(
            &two(),
            &format!(
                "0 {what}    | copy 1 2, drop #1
                 20 2 data   | establish 2, decide #2
                 25 2 data   | decide #3
                 30 1 data   | drop #4",
            ),
        );
    }
}

#[test]
fn rule_4_a_handicapped_answer_is_held_back() {
    let slow = Link { handicap: ms(50), ..link(1) };
    // Beaten in its time.
    play(
        &[slow.clone(), link(2)],
        "0 syn         | copy 1 2, drop #1
         20 1 syn-ack  |
         69 2 syn-ack  | drop #2, establish 2, pass #3, reset 1
         90 1 syn-ack  | reset 1, drop #4",
    );
    // Not beaten.
    play(
        &[slow.clone(), link(2)],
        "0 syn         | copy 1 2, drop #1
         20 1 syn-ack  |
         30 1 syn-ack  | drop #3
         70 poll       | establish 1, pass #2, reset 2
         80 2 syn-ack  | reset 2, drop #4",
    );
    // Second anyway.
    play(
        &[slow.clone(), link(2)],
        "0 syn         | copy 1 2, drop #1
         20 2 syn-ack  | establish 2, pass #2, reset 1
         30 1 syn-ack  | reset 1, drop #3",
    );
    // Alone, it need not wait.
    play(
        &[slow],
        "0 syn         | copy 1, drop #1
         20 1 syn-ack  | establish 1, pass #2",
    );
}

#[test]
fn rule_4_of_two_handicapped_answers_the_one_that_comes_of_age_first_wins() {
    let links = [Link { handicap: ms(50), ..link(1) }, Link { handicap: ms(10), ..link(2) }];
    play(
        &links,
        "0 syn         | copy 1 2, drop #1
         20 1 syn-ack  |
         40 2 syn-ack  | drop #2
         50 poll       | establish 2, pass #3, reset 1",
    );
    play(
        &links,
        "0 syn         | copy 1 2, drop #1
         20 1 syn-ack  |
         65 2 syn-ack  | drop #3
         70 poll       | establish 1, pass #2, reset 2",
    );
}

/// Datagrams are sent once: all that came while the first was held goes on with it, or is of no use without it.
#[test]
fn rule_4_a_held_answer_keeps_what_follows_it() {
    let slow = || Link { handicap: ms(50), ..link(1) };
    play(
        &[slow(), link(2)],
        "0 udp          | copy 1 2, drop #1
         20 1 data      |
         21 1 data      |
         22 1 data      |
         23 1 data      |
         24 1 data      | drop #6
         70 poll        | establish 1, decide #2, decide #3, decide #4, decide #5",
    );
    play(
        &[slow(), link(2)],
        "0 udp          | copy 1 2, drop #1
         20 1 data      |
         21 1 data      |
         40 2 data      | drop #2, drop #3, establish 2, decide #4",
    );
}

#[test]
fn rule_4_a_held_answer_is_not_lost_when_its_race_ends() {
    let slow = Link { handicap: ms(500), ..link(1) };
    play(
        &[slow, link(2)],
        "0 syn           | copy 1 2, drop #1
         3900 1 syn-ack  |
         4000 poll       | establish 1, pass #2, reset 2",
    );
}

#[test]
fn rule_5_a_refusal_by_all_is_believed_at_once() {
    play(
        &two(),
        "0 syn       | copy 1 2, drop #1
         20 1 rst    |
         60 2 rst    | drop #2, establish 2, pass #3
         61 2 rst    | pass #4
         61 1 rst    | drop #5",
    );
    play(
        &[link(1)],
        "0 syn       | copy 1, drop #1
         20 1 rst    | establish 1, pass #2",
    );
}

#[test]
fn rule_5_a_refusal_is_believed_when_the_others_stay_silent() {
    play(
        &three(),
        "0 syn         | copy 1 2 3, drop #1
         20 1 rst      |
         30 1 rst      | drop #3
         40 2 rst      | drop #4
         120 poll      | establish 1, pass #2, reset 3
         130 3 syn-ack | reset 3, drop #5",
    );
}

#[test]
fn rule_5_another_links_answer_beats_a_refusal() {
    play(
        &two(),
        "0 syn         | copy 1 2, drop #1
         20 1 rst      |
         119 2 syn-ack | drop #2, establish 2, pass #3
         130 1 rst     | drop #4",
    );
    // The same link's too: the refusal was a censor's.
    play(
        &two(),
        "0 syn         | copy 1 2, drop #1
         20 1 rst      |
         30 1 syn-ack  | drop #2, establish 1, pass #3, reset 2",
    );
}

#[test]
fn rule_5_refusals_end_the_wait_of_a_handicapped_answer() {
    let slow = Link { handicap: ms(50), ..link(1) };
    play(
        &[slow, link(2), link(3)],
        "0 syn         | copy 1 2 3, drop #1
         20 1 syn-ack  |
         30 2 rst      | drop #3
         40 3 rst      | establish 1, pass #2, drop #4",
    );
}

#[test]
fn rule_5_a_link_that_refuses_and_accepts_is_reset_when_it_loses() {
    let slow = Link { handicap: ms(50), ..link(1) };
    for (first, second) in [("rst", "syn-ack"), ("syn-ack", "rst")] {
        let mut stage = play(
            &[slow.clone(), link(2)],
            &format!(
                "0 syn        | copy 1 2, drop #1
                 20 1 {first} |"
            ),
        );
        let (dropped, held) = if first == "rst" { (2, 3) } else { (3, 2) };
        stage.play(&format!(
            "30 1 {second} | drop #{dropped}
             40 2 syn-ack  | drop #{held}, establish 2, pass #4, reset 1"
        ));
    }
}
