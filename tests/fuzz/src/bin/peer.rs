//! A peer that has the keys and says what it likes: nothing panics, memory is bounded, and what it may not say that it is, it is not.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use cheaproute::bond::coalesce::Coalescer;
use cheaproute::bond::flow::Packet;
use cheaproute::bond::frame::{HEADER, PathId, TAG};
use cheaproute::bond::handshake::{Identity, Initiator};
use cheaproute::bond::hub::Hub;
use cheaproute::bond::keys::Secret;
use cheaproute::bond::offload::{Offload, Virtio};
use cheaproute::bond::session::Session;
use cheaproute::prefix::Prefix;
use cheaproute::time::{Span, Time};
use fuzz::{CLIENT, MEMORY, MOST, Out, SERVER, Unstructured, bytes, member, number, secret, via};
use libfuzzer_sys::fuzz_target;

const INDEX: u32 = 0x12_3456;

fuzz_target!(|input: &[u8]| {
    let script = &mut Unstructured::new(input);
    let mut now = Time(1_000_000);
    let allowed = Prefix::new([10, 0, 0, 0].into(), 8).expect("a prefix");
    let mut hub = Hub::new(&[], vec![member(SERVER, CLIENT, 2, vec![allowed])], now);
    let mut out = Out { seed: 1, ..Out::default() };
    let mut session = greet(&mut hub, now, &mut out);
    let mut coalescer = Coalescer::new(Offload::ALL);
    while !script.is_empty() {
        match number(script, 8) {
            0 => now = now + Span::from_micros(u64::from(number(script, 300_000))),
            1 => hub.tick(now, &mut out),
            2 => {
                // Something to report on: a packet for the peer.
                let length = 28 + number(script, 1_300) as usize;
                let mut packet = vec![0; length];
                packet[..4].copy_from_slice(&[0x45, 0, (length >> 8) as u8, length as u8]);
                packet[8..10].copy_from_slice(&[64, if number(script, 2) == 0 { 6 } else { 17 }]);
                packet[16..20].copy_from_slice(&[10, 1, 2, 3]);
                hub.packet(Packet { head: &packet, body: &[], pending: false }, now, &mut out);
            }
            _ => {
                let path = number(script, 3) as u8;
                let item = bytes(script, 300);
                let mut datagram = vec![0; HEADER + item.len() + TAG];
                datagram[HEADER..][..item.len()].copy_from_slice(item);
                let id = PathId::new(path).expect("a path");
                if session.seal(id, &mut datagram).is_some() {
                    hub.datagram(&via(CLIENT, path, false), &mut datagram, None, now, &mut out);
                }
            }
        }
        for (packet, pending) in out.packets.drain(..) {
            let source = match packet[0] >> 4 {
                4 => IpAddr::V4(Ipv4Addr::new(packet[12], packet[13], packet[14], packet[15])),
                _ => panic!("only IPv4 is allowed: {packet:?}"),
            };
            assert!(allowed.contains(source), "{source}");
            let mut each = |_: &Virtio, head: &[u8], body: &[u8]| assert!(head.len() + body.len() <= 65_535);
            coalescer.push(Packet { head: &packet, body: &[], pending }, &mut each);
            if number(script, 4) == 0 {
                coalescer.flush(&mut each);
            }
        }
        for (_, mut datagram) in out.datagrams.drain(..) {
            // A word for us, unless it begins a handshake of its own.
            if datagram[0] >> 4 == 4 {
                assert!(session.open(&mut datagram, None).is_some());
            }
        }
        assert!(hub.held() < MEMORY);
    }
});

/// The handshake, as the peer's program would do it.
fn greet(hub: &mut Hub, now: Time, out: &mut Out) -> Session {
    let identity = Identity::new(&secret(CLIENT), 1);
    let mut random = |bytes: &mut [u8]| bytes.fill(0x5a);
    let begun = Initiator::begin(&identity, &secret(SERVER).public(), &Secret::new([0; 32]), INDEX, &mut random);
    let (mut initiator, mut message) = begun.expect("a key");
    hub.datagram(&via(CLIENT, 0, false), &mut message, None, now, out);
    let (_, response) = out.datagrams.first().expect("a response");
    assert!(response.len() <= message.len() && message.len() <= usize::from(MOST));
    let session = initiator.finish(response).expect("a session");
    out.datagrams.clear();
    session
}
