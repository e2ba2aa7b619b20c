//! What the kernel queues: a LAN's first packets, and the Internet's answers. Copies and resets are made of what is taken for one.
#![no_main]

use std::net::IpAddr;

use cheaproute::packet::{Buffer, answer, copy_of, opening, reset};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    if let Some(answer) = answer(packet) {
        assert_eq!(answer.server.is_ipv4(), answer.local.is_ipv4());
    }
    let Some(first) = opening(packet) else { return };
    let source: IpAddr =
        if first.server.is_ipv4() { [192, 0, 2, 7].into() } else { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7].into() };
    let mut out = Buffer::new();
    for mtu in [68, 1280, 1500] {
        if copy_of(packet, source, 4_321, mtu, &mut out) {
            assert!(out.len() <= usize::from(mtu));
            let copy = opening(&out).expect("a copy is an opening");
            assert_eq!((copy.protocol, copy.client.ip(), copy.client.port()), (first.protocol, source, 4_321));
            assert_eq!((copy.server, copy.syn.map(|syn| syn.isn)), (first.server, first.syn.map(|syn| syn.isn)));
        }
    }
    reset(&first, source, 4_321, &mut out);
    assert_eq!(out.is_empty(), first.syn.is_none());
});
