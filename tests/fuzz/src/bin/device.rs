//! What a bond's device hands over: a header of the kernel's, and a packet of somebody in the LAN. Cut, joined and cut again, the
//! same packets come out.
#![no_main]

use cheaproute::bond::coalesce::Coalescer;
use cheaproute::bond::flow::Packet;
use cheaproute::bond::offload::{Offload, Virtio, segments};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(header) = Virtio::read(bytes) else { return };
    let packet = &mut bytes[Virtio::LENGTH..].to_vec();
    // The kernel's are of 64 KB at most; of one byte a segment they would be as many.
    let header = Virtio { size: header.size.max(64), ..header };
    let mut cut = Vec::new();
    let number = segments(packet, &header, &mut |part: Packet| cut.push(whole(part)));
    assert_eq!(number, cut.len());
    for offload in [Offload::default(), Offload::CHECKSUM, Offload::ALL] {
        let mut joined = Vec::new();
        let mut each = |header: &Virtio, head: &[u8], body: &[u8]| joined.push((*header, [head, body].concat()));
        let mut coalescer = Coalescer::new(offload);
        for (packet, pending) in &cut {
            coalescer.push(Packet { head: packet, body: &[], pending: *pending }, &mut each);
        }
        coalescer.flush(&mut each);
        let mut again = 0;
        for (header, packet) in &mut joined {
            assert!(packet.len() <= 65_535);
            again += segments(packet, header, &mut |_| ());
        }
        assert!(again <= number && (again == number || !offload.checksum), "{again} of {number}");
    }
});

fn whole(part: Packet) -> (Vec<u8>, bool) {
    ([part.head, part.body].concat(), part.pending)
}
