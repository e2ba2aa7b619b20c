//! Rule 8: races of one.

use super::script::{Stage, id, link, ms};
use super::two;
use crate::link::Link;
use crate::time::Span;

const MINUTE: Span = Span::from_secs(60);

/// A stage on which link 2 is known to be the faster one to the neighbourhood.
fn raced(links: &[Link]) -> Stage {
    let mut stage = Stage::new(links, 16, MINUTE);
    stage.play(
        "0 syn         | copy 1 2, drop #1
         20 2 syn-ack  | establish 2, pass #2, reset 1
         60 1 syn-ack  | reset 1, drop #3",
    );
    stage
}

#[test]
fn rule_8_a_remembered_destination_gets_a_race_of_one() {
    raced(&two()).play(
        "5000 syn isn=200   | copy 2, drop #4
         5034 2 syn-ack     | establish 2, pass #5
         60061 syn isn=300  | copy 1 2, drop #6",
    );
}

#[test]
fn rule_8_the_other_copies_follow_on_silence() {
    let mut stage = raced(&two());
    stage.play(
        "5000 syn isn=200   | copy 2, drop #4
         5035 poll          | copy 1 kept
         5040 2 syn-ack     | establish 2, pass #5, reset 1
         9999 syn isn=300   | copy 1 2, drop #6",
    );
    // Karn: the answer after the follow-up taught nothing.
    let known = &stage.racer.memory().entries()[0];
    assert_eq!((known.round_trip(id(1)), known.raced), (Some(ms(60)), None));
}

#[test]
fn rule_8_a_link_that_failed_is_not_chosen_again_before_it_answers() {
    raced(&two()).play(
        "5000 syn isn=200   | copy 2, drop #4
         5035 poll          | copy 1 kept
         5095 1 syn-ack     | establish 1, pass #5, reset 2
         10000 syn isn=300  | copy 1 2, drop #6
         10060 1 syn-ack    | establish 1, pass #7, reset 2
         15000 syn isn=400  | copy 1, drop #8
         15060 1 syn-ack    | establish 1, pass #9",
    );
}

#[test]
fn rule_8_the_other_copies_follow_on_a_refusal() {
    raced(&two()).play(
        "5000 syn isn=200   | copy 2, drop #4
         5020 2 rst         | copy 1 kept
         5080 1 syn-ack     | drop #5, establish 1, pass #6",
    );
    raced(&two()).play(
        "5000 syn isn=200   | copy 2, drop #4
         5010 down 1        |
         5020 2 rst         | establish 2, pass #5",
    );
}

#[test]
fn rule_8_a_repeated_opening_ends_the_race_of_one() {
    raced(&two()).play(
        "5000 syn isn=200   | copy 2, drop #4
         5010 syn isn=200   | copy 1 2, drop #5
         5060 2 syn-ack     | establish 2, pass #6, reset 1",
    );
}

#[test]
fn rule_8_equals_are_dealt_by_weight() {
    let mut stage = Stage::new(&[Link { weight: 3, ..link(1) }, link(2)], 16, MINUTE);
    stage.play(
        "0 syn         | copy 1 2, drop #1
         20 2 syn-ack  | establish 2, pass #2, reset 1
         21 1 syn-ack  | reset 1, drop #3
         5000 syn isn=1  | copy 1, drop #4
         5020 1 syn-ack  | establish 1, pass #5
         5100 syn isn=2  | copy 1, drop #6
         5120 1 syn-ack  | establish 1, pass #7
         5200 syn isn=3  | copy 1, drop #8
         5220 1 syn-ack  | establish 1, pass #9
         5300 syn isn=4  | copy 2, drop #10",
    );
}

/// A QUIC client's hello may be two datagrams: who had the second alone is not to win with it.
#[test]
fn rule_8_another_datagram_takes_the_first_along() {
    let mut stage = Stage::new(&two(), 16, MINUTE);
    stage.play(
        "0 udp          | copy 1 2, drop #1
         20 2 data      | establish 2, decide #2
         9000 udp       | copy 2, drop #3
         9001 udp       | copy 1 kept, copy 1 2, drop #4
         9010 1 data    | establish 1, decide #5",
    );
}

#[test]
fn rule_8_the_first_follows_only_where_it_fits() {
    let mut stage = Stage::new(&[Link { mtu: 1280, ..link(1) }, link(2), link(3)], 16, MINUTE);
    stage.play(
        "0 udp             | copy 1 2 3, drop #1
         20 2 data         | establish 2, decide #2
         9000 udp length=1400 | copy 2, drop #3
         9001 udp          | copy 3 kept, copy 2 3, drop #4",
    );
}

/// What it won for being fast it would have lost for its handicap.
#[test]
fn rule_8_minds_handicaps() {
    let mut stage = Stage::new(&[Link { handicap: ms(50), ..link(1) }, link(2)], 16, MINUTE);
    stage.play(
        "0 syn          | copy 1 2, drop #1
         20 1 syn-ack   |
         40 2 syn-ack   | drop #2, establish 2, pass #3, reset 1
         5000 syn isn=2 | copy 2, drop #4",
    );
}

#[test]
fn a_link_that_gets_the_number_of_another_begins_anew() {
    let mut stage = raced(&two());
    let other = Link { name: "other".into(), ..link(2) };
    let known = |stage: &Stage| {
        let (memory, log) = (&stage.racer.memory().entries()[0], stage.racer.log());
        [1, 2].map(|number| (memory.round_trip(id(number)), log.tally(id(number)).copies))
    };
    stage.racer.set_links(&[link(1), Link { up: false, device: "usb0".into(), ..link(2) }]);
    assert_eq!(known(&stage), [(Some(ms(60)), 1), (Some(ms(20)), 1)], "of the same name");
    stage.racer.set_links(&[link(1), other]);
    assert_eq!(known(&stage), [(Some(ms(60)), 1), (None, 0)]);
    stage.racer.set_links(&[]);
    assert_eq!(known(&stage), [(None, 0), (None, 0)]);
}
