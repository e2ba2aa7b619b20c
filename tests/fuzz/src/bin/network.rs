//! Somebody between a server and its two clients, who come and go: datagrams are lost, repeated, turned round, changed, cut, made up, and sent from elsewhere. What comes
//! out went in, once; who has no key gets no longer answer than the question.
#![no_main]

use std::collections::BTreeSet;

use cheaproute::bond::control::Terms;
use cheaproute::bond::flow::Packet;
use cheaproute::bond::frame::PathId;
use cheaproute::bond::hub::{Hub, Member};
use cheaproute::bond::peer::Line;
use cheaproute::bond::{Event, Via};
use cheaproute::prefix::Prefix;
use cheaproute::time::{Span, Time};
use fuzz::{CLIENT, MEMORY, MOST, Out, SECOND, SERVER, Unstructured, bytes, member, number, via};
use libfuzzer_sys::fuzz_target;

/// Datagrams that wait on their way, each way. Older ones are lost.
const WAITING: usize = 64;

struct End {
    hub: Hub,
    out: Out,
    /// What is on its way from it: to whom, and by which path.
    way: Vec<(usize, u16, Vec<u8>)>,
    /// What others sent to it, and what of it came.
    sent: BTreeSet<Vec<u8>>,
    came: BTreeSet<Vec<u8>>,
}

fuzz_target!(|input: &[u8]| {
    let script = &mut Unstructured::new(input);
    let mut now = Time(1_000_000);
    let mut ends = [CLIENT, SERVER, SECOND].map(|side| End {
        hub: Hub::new(&[], if side == SERVER { clients(&[CLIENT, SECOND], 2) } else { server(side) }, now),
        out: Out { seed: side as u64 + 1, ..Out::default() },
        way: Vec::new(),
        sent: BTreeSet::new(),
        came: BTreeSet::new(),
    });
    for (side, path) in [(CLIENT, 0), (CLIENT, 1), (SECOND, 0), (SECOND, 1)] {
        let End { hub, out, .. } = &mut ends[side];
        let id = PathId::new(path).expect("a path");
        let line = Line { via: via(SERVER, path, false), terms: Terms::USUAL, most: MOST };
        hub.set_path(0, id, Some(line), now, out);
    }
    let (mut packets, mut instance) = (0u32, 2);
    // Half of the scripts begin with an undisturbed handshake.
    let mut undisturbed = if number(script, 2) == 0 { 24 } else { 0 };
    while undisturbed > 0 || !script.is_empty() {
        let side = if undisturbed > 0 { undisturbed as usize % 3 } else { number(script, 3) as usize };
        let step = if undisturbed > 0 { 4 + undisturbed / 3 % 2 } else { number(script, 11) };
        undisturbed = undisturbed.saturating_sub(1);
        let other = if side == SERVER { [CLIENT, SECOND][number(script, 2) as usize] } else { SERVER };
        let at = number(script, WAITING as u32) as usize % ends[side].way.len().max(1);
        let chosen = ends[side].way.get(at).cloned();
        match (step, chosen) {
            (0, _) => now = now + Span::from_micros(u64::from(number(script, 2_000_000))),
            (1, _) => {
                let made = bytes(script, 200).to_vec();
                arrive(&mut ends[other], side, number(script, 2) as u16, made, false, now);
            }
            (2, _) => {
                let length = 60 + number(script, 1_000) as usize;
                let mut packet = vec![0; length];
                packet[..4].copy_from_slice(&[0x45, 0, (length >> 8) as u8, length as u8]);
                packet[8..10].copy_from_slice(&[64, 17]);
                packet[12..20].copy_from_slice(&[10, 1, 2, side as u8, 10, 1, 2, other as u8]);
                // Its port is its flow.
                packet[21] = number(script, 4) as u8;
                packet[28..32].copy_from_slice(&packets.to_be_bytes());
                packets += 1;
                ends[other].sent.insert(packet.clone());
                let End { hub, out, .. } = &mut ends[side];
                hub.packet(Packet { head: &packet, body: &[], pending: false }, now, out);
            }
            (3, _) => ends[side].way.clear(),
            (4, _) => {
                let End { hub, out, .. } = &mut ends[side];
                hub.tick(now, out);
            }
            (5, Some((to, path, datagram))) => {
                ends[side].way.remove(at);
                arrive(&mut ends[to], side, path, datagram, false, now);
            }
            (6, Some((to, path, datagram))) => arrive(&mut ends[to], side, path, datagram, number(script, 2) == 1, now),
            (7, Some((to, path, mut datagram))) => {
                let place = number(script, u32::from(MOST)) as usize % datagram.len();
                datagram[place] ^= number(script, 255) as u8 + 1;
                let is_data = datagram[0] >> 4 == 4;
                arrive(&mut ends[to], side, path, datagram, false, now);
                assert!(!is_data || ends[to].out.datagrams.is_empty(), "an answer to what nobody sealed");
            }
            (8, Some((to, path, mut datagram))) => {
                datagram.truncate(number(script, u32::from(MOST)) as usize);
                arrive(&mut ends[to], side, path, datagram, false, now);
            }
            (9, Some((.., datagram))) => arrive(&mut ends[side], other, 0, datagram, false, now),
            (10, _) => {
                instance += 1;
                let all: [&[usize]; 4] = [&[CLIENT, SECOND], &[CLIENT], &[SECOND, CLIENT], &[SECOND]];
                let End { hub, out, came, .. } = &mut ends[SERVER];
                hub.set_members(&[], clients(all[number(script, 4) as usize], instance), now, out);
                // Of one that was gone the server knows nothing: it cannot tell what that sends again.
                came.clear();
            }
            _ => {}
        }
        for End { hub, out, way, sent, came } in &mut ends {
            way.extend(out.datagrams.drain(..).map(|(to, datagram)| (whose(&to), to.socket, datagram)));
            way.drain(..way.len().saturating_sub(WAITING));
            for (packet, pending) in out.packets.drain(..) {
                assert!(!pending && sent.contains(&packet), "nobody sent {packet:?}");
                assert!(came.insert(packet), "twice");
            }
            assert!(hub.held() < MEMORY);
        }
    }
});

/// What the server has in its configuration: these clients, each with an address.
fn clients(sides: &[usize], instance: u16) -> Vec<Member> {
    let address = |side: usize| Prefix::new([10, 1, 2, side as u8].into(), 32).into_iter().collect();
    sides.iter().map(|side| member(SERVER, *side, instance, address(*side))).collect()
}

fn server(side: usize) -> Vec<Member> {
    vec![member(side, SERVER, 1, Vec::new())]
}

fn whose(to: &Via) -> usize {
    let leads = |side: &usize| [false, true].iter().any(|moved| via(*side, to.socket as u8, *moved) == *to);
    [CLIENT, SERVER, SECOND].into_iter().find(leads).expect("somebody's address")
}

/// A datagram comes in, true or not. Every other path's are opened by themselves, as other threads do.
fn arrive(end: &mut End, from: usize, path: u16, mut datagram: Vec<u8>, moved: bool, now: Time) {
    let length = datagram.len();
    let never_up = !end.out.events.contains(&Event::Up);
    let initiation = datagram.first().is_some_and(|first| first >> 4 == 1);
    let task = if path == 1 { end.hub.opening(&datagram, now) } else { None };
    if task.as_ref().is_none_or(|task| task.run(&mut datagram)) {
        end.hub.datagram(&via(from, path as u8, moved), &mut datagram, task.as_ref(), now, &mut end.out);
    }
    let answered: usize = end.out.datagrams.iter().map(|datagram| datagram.1.len()).sum();
    assert!(!(never_up && initiation) || answered <= length, "{answered} bytes for {length}");
}
