use std::net::IpAddr;

use etherparse::PacketBuilder;

use super::*;
use crate::kernel::fake::{Fake, FakeJudge};
use crate::link::LinkSet;
use crate::race::Rules;
use crate::time::Span;

const SYN_MARK: u32 = 0xC011_0000 | 0x1100_0000;

fn id(number: u8) -> LinkId {
    LinkId::new(number).unwrap()
}

fn field() -> Field<Fake> {
    let mut field = Field::new(16, Marks::default(), Fake::default());
    field.set_links(&[Link::example(1), Link::example(2)]);
    let links: LinkSet = [id(1), id(2)].into_iter().collect();
    field.racer.set_policies(&[Rules { links, remember: Span::ZERO, tie: Span::ZERO }]);
    field
}

fn syn() -> Vec<u8> {
    syn_of(40_000, 1000)
}

fn syn_of(port: u16, isn: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let tcp = PacketBuilder::ipv4([192, 168, 1, 7], [198, 51, 100, 1], 63).tcp(port, 443, isn, 64_000).syn();
    let mss = etherparse::TcpOptionElement::MaximumSegmentSize(1460);
    tcp.options(&[mss]).unwrap().write(&mut bytes, &[]).unwrap();
    bytes
}

/// The server's answer to link `number`.
fn syn_ack(number: u8) -> Vec<u8> {
    syn_ack_to(number, 40_000)
}

fn syn_ack_to(number: u8, port: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let ip = PacketBuilder::ipv4([198, 51, 100, 1], [203, 0, 113, number], 60);
    ip.tcp(443, port, 77, 64_000).syn().ack(1001).write(&mut bytes, &[]).unwrap();
    bytes
}

fn give(field: &mut Field<Fake>, queue: u16, id: u32, in_device: u32, bytes: &[u8], judge: &mut FakeJudge) {
    let mark = if queue == QUEUE { 0x1000_0000 } else { SYN_MARK };
    field.packet(Time(1), &Queued { queue, id, mark, in_device, bytes }, judge);
}

#[test]
fn a_race_from_the_first_byte_to_the_last() {
    let (mut field, mut judge) = (field(), FakeJudge::default());
    give(&mut field, QUEUE + 1, 1, 9, &syn(), &mut judge);
    assert_eq!(judge.verdicts, [((QUEUE + 1, 1), None)], "the client's own SYN goes no further");
    let copies: Vec<_> = field.data.sent.iter().map(|(link, bytes)| (*link, packet::opening(bytes).unwrap())).collect();
    assert_eq!(copies.iter().map(|(link, _)| *link).collect::<Vec<_>>(), [id(1), id(2)]);
    for (link, copy) in &copies {
        assert_eq!(copy.client.ip(), IpAddr::from([203, 0, 113, link.number()]));
    }
    give(&mut field, QUEUE, 5, 2, &syn_ack(2), &mut judge);
    let (_, opening, source, mark) = judge.established[0];
    assert_eq!(opening.client, "192.168.1.7:40000".parse().unwrap());
    assert_eq!((source, mark), ("203.0.113.2:40000".parse().unwrap(), 0x0200_0000));
    assert_eq!(judge.verdicts.last(), Some(&((QUEUE, 5), Some(0))), "the answer goes on, without a mark of ours");
    field.ripen();
    field.reset_losers();
    assert_eq!(field.data.sent.len(), 3, "and the loser is reset");
    assert_eq!(field.data.sent[2].0, id(1));
}

#[test]
fn an_answer_counts_only_on_the_link_that_it_is_for() {
    let (mut field, mut judge) = (field(), FakeJudge::default());
    give(&mut field, QUEUE + 1, 1, 9, &syn(), &mut judge);
    give(&mut field, QUEUE, 5, 1, &syn_ack(2), &mut judge);
    give(&mut field, QUEUE, 6, 77, &syn_ack(2), &mut judge);
    assert_eq!(judge.verdicts[1..], [((QUEUE, 5), Some(0)), ((QUEUE, 6), Some(0))]);
    assert!(judge.established.is_empty());
}

#[test]
fn what_cannot_be_raced_passes_with_others_marks() {
    let (mut field, mut judge) = (field(), FakeJudge::default());
    give(&mut field, QUEUE + 1, 1, 9, &[0x45, 0, 0], &mut judge);
    give(&mut field, QUEUE + 9, 2, 9, &syn(), &mut judge);
    let passed = Some(0xC011_0000);
    assert_eq!(judge.verdicts, [((QUEUE + 1, 1), passed), ((QUEUE + 9, 2), passed)]);
    assert!(field.data.sent.is_empty());
}

/// And whatever has the port is left alone: it may be the client's own connection, made by a SYN that nobody queued.
#[test]
fn a_taken_port_sends_the_client_the_plain_way() {
    let (mut field, mut judge) = (field(), FakeJudge::default());
    give(&mut field, QUEUE + 1, 1, 9, &syn(), &mut judge);
    give(&mut field, QUEUE, 5, 2, &syn_ack(2), &mut judge);
    let (race, ..) = judge.established[0];
    field.failed(race, &io::ErrorKind::AlreadyExists.into(), &mut judge);
    field.ripen();
    field.reset_losers();
    assert_eq!(field.data.sent.len(), 2, "the copies");
    give(&mut field, QUEUE + 1, 2, 9, &syn(), &mut judge);
    assert_eq!(judge.verdicts.last(), Some(&((QUEUE + 1, 2), Some(0xC011_0000))));
}

/// What is known of one flow says nothing of another, which was asked for later.
#[test]
fn a_reset_waits_for_the_word_on_its_own_flow() {
    let (mut field, mut judge) = (field(), FakeJudge::default());
    let ports = [40_000, 40_001, 40_002];
    for port in ports {
        if port == ports[2] {
            assert!(field.ripen());
        }
        give(&mut field, QUEUE + 1, 1, 9, &syn_of(port, 1000), &mut judge);
        give(&mut field, QUEUE, 5, 2, &syn_ack_to(2, port), &mut judge);
    }
    field.data.sent.clear();
    field.failed(judge.established[0].0, &io::ErrorKind::AlreadyExists.into(), &mut judge);
    field.reset_losers();
    field.reset_losers();
    assert_eq!(field.data.sent.len(), 1);
    assert_eq!(
        field.data.sent[0].1[20..22],
        ports[1].to_be_bytes(),
        "neither the first, which is spared, nor the third"
    );
    assert!(field.ripen());
}

#[test]
fn a_server_is_told_to_forget_before_it_is_asked_anew() {
    let (mut field, mut judge) = (field(), FakeJudge::default());
    give(&mut field, QUEUE + 1, 1, 9, &syn(), &mut judge);
    // The client gave up, and begins again from the same port, in the same batch.
    give(&mut field, QUEUE + 1, 2, 9, &syn_of(40_000, 5000), &mut judge);
    field.ripen();
    field.reset_losers();
    let sent: Vec<_> =
        field.data.sent.iter().map(|(link, bytes)| (link.number(), packet::opening(bytes).is_some())).collect();
    assert_eq!(sent, [(1, true), (2, true), (1, false), (2, false), (1, true), (2, true)]);
}
