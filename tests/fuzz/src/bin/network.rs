//! Somebody between two peers: datagrams are lost, repeated, turned round, changed, cut, made up, and sent from elsewhere. What comes
//! out went in, once; who has no key gets no longer answer than the question.
#![no_main]

use std::collections::BTreeSet;

use cheaproute::bond::Event;
use cheaproute::bond::flow::Packet;
use cheaproute::bond::frame::PathId;
use cheaproute::bond::hub::Hub;
use cheaproute::time::{Span, Time};
use fuzz::{CLIENT, MEMORY, MOST, Out, SERVER, Unstructured, bytes, member, number, via};
use libfuzzer_sys::fuzz_target;

/// Datagrams that wait on their way, each way. Older ones are lost.
const WAITING: usize = 64;

struct End {
    hub: Hub,
    out: Out,
    /// What is on its way to the other one.
    way: Vec<(u16, Vec<u8>)>,
    /// What the other one sent, and what of it came.
    sent: BTreeSet<Vec<u8>>,
    came: BTreeSet<Vec<u8>>,
}

fuzz_target!(|input: &[u8]| {
    let script = &mut Unstructured::new(input);
    let mut now = Time(1_000_000);
    let mut ends = [CLIENT, SERVER].map(|side| End {
        hub: Hub::new(&[], vec![member(side, Vec::new())], now),
        out: Out { seed: side as u64 + 1, ..Out::default() },
        way: Vec::new(),
        sent: BTreeSet::new(),
        came: BTreeSet::new(),
    });
    for path in 0..2 {
        let End { hub, out, .. } = &mut ends[CLIENT];
        let id = PathId::new(path).expect("a path");
        hub.set_path(0, id, Some(via(SERVER, path, false)), 1, 0, MOST, now, out);
    }
    let mut packets = 0u32;
    // Half of the scripts begin with an undisturbed handshake.
    let mut undisturbed = if number(script, 2) == 0 { 12 } else { 0 };
    while undisturbed > 0 || !script.is_empty() {
        let side = if undisturbed > 0 { undisturbed as usize % 2 } else { number(script, 2) as usize };
        let step = if undisturbed > 0 { 4 + undisturbed / 2 % 2 } else { number(script, 10) };
        undisturbed = undisturbed.saturating_sub(1);
        let other = 1 - side;
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
            (5, Some((path, datagram))) => {
                ends[side].way.remove(at);
                arrive(&mut ends[other], side, path, datagram, false, now);
            }
            (6, Some((path, datagram))) => arrive(&mut ends[other], side, path, datagram, number(script, 2) == 1, now),
            (7, Some((path, mut datagram))) => {
                let place = number(script, u32::from(MOST)) as usize % datagram.len();
                datagram[place] ^= number(script, 255) as u8 + 1;
                let is_data = datagram[0] >> 4 == 4;
                arrive(&mut ends[other], side, path, datagram, false, now);
                assert!(!is_data || ends[other].out.datagrams.is_empty(), "an answer to what nobody sealed");
            }
            (8, Some((path, mut datagram))) => {
                datagram.truncate(number(script, u32::from(MOST)) as usize);
                arrive(&mut ends[other], side, path, datagram, false, now);
            }
            (9, Some((_, datagram))) => arrive(&mut ends[side], other, 0, datagram, false, now),
            _ => {}
        }
        for End { hub, out, way, sent, came } in &mut ends {
            way.append(&mut out.datagrams);
            way.drain(..way.len().saturating_sub(WAITING));
            for (packet, pending) in out.packets.drain(..) {
                assert!(!pending && sent.contains(&packet), "nobody sent {packet:?}");
                assert!(came.insert(packet), "twice");
            }
            assert!(hub.held() < MEMORY);
        }
    }
});

/// A datagram comes in, true or not.
fn arrive(end: &mut End, from: usize, path: u16, mut datagram: Vec<u8>, moved: bool, now: Time) {
    let length = datagram.len();
    let never_up = !end.out.events.contains(&Event::Up);
    let initiation = datagram.first().is_some_and(|first| first >> 4 == 1);
    end.hub.datagram(&via(from, path as u8, moved), &mut datagram, None, now, &mut end.out);
    let answered: usize = end.out.datagrams.iter().map(|datagram| datagram.1.len()).sum();
    assert!(!(never_up && initiation) || answered <= length, "{answered} bytes for {length}");
}
