use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;

/// What a test builds, and what another implementation makes of it.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    pub ipv6: bool,
    pub tcp: bool,
    pub flags: u8,
    pub identifier: u16,
    pub sequence: u32,
    pub port: u16,
    pub dont_fragment: bool,
}

impl Made {
    pub fn arbitrary() -> impl Strategy<Value = Made> {
        (any::<(bool, bool, u8, u16, u32, bool)>(), 1u16..4).prop_map(|(plain, port)| {
            let (ipv6, tcp, flags, identifier, sequence, dont_fragment) = plain;
            Made { ipv6, tcp, flags, identifier, sequence, port, dont_fragment }
        })
    }

    /// The packet with this payload and a good checksum.
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        let mut bytes = Vec::new();
        let builder = if self.ipv6 {
            PacketBuilder::ipv6([1; 16], [2; 16], 60)
        } else {
            let mut header = etherparse::Ipv4Header::new(0, 60, etherparse::IpNumber::TCP, [10; 4], [11; 4]).unwrap();
            header.identification = self.identifier;
            header.dont_fragment = self.dont_fragment;
            PacketBuilder::ip(etherparse::IpHeaders::Ipv4(header, Default::default()))
        };
        if !self.tcp {
            builder.udp(self.port, 443).write(&mut bytes, payload).unwrap();
            return bytes;
        }
        let mut header = etherparse::TcpHeader::new(self.port, 443, self.sequence, 500);
        let bit = |number: u8| self.flags >> number & 1 != 0;
        (header.fin, header.syn, header.rst, header.psh) = (bit(0), bit(1), bit(2), bit(3));
        (header.ack, header.urg, header.ece, header.cwr) = (bit(4), bit(5), bit(6), bit(7));
        header.acknowledgment_number = 7;
        header.set_options_raw(&options).unwrap();
        builder.tcp_header(header).write(&mut bytes, payload).unwrap();
        // As kernels do: all ones instead of zero, which says the same.
        let sum = bytes.len() - payload.len() - 20 - options.len() + 16;
        if bytes[sum..sum + 2] == [0, 0] {
            bytes[sum..sum + 2].fill(0xff);
        }
        bytes
    }

    /// The same as a kernel hands it over: with the pseudo-header's sum where the checksum belongs.
    pub fn pending(&self, payload: &[u8]) -> (Vec<u8>, Virtio) {
        let mut bytes = self.packet(payload);
        let layout = Layout::of(&bytes, bytes.len()).expect("a good packet");
        let sum = naive_pseudo(&bytes, &layout);
        bytes[layout.transport + layout.offset()..][..2].copy_from_slice(&sum.to_be_bytes());
        (bytes, Virtio::pending(&layout))
    }

    /// A packet to be cut into segments of `size` bytes.
    pub fn large(&self, payload: &[u8], size: usize) -> (Vec<u8>, Virtio) {
        let (bytes, header) = self.pending(payload);
        let kind = if !self.tcp {
            UDP
        } else if self.ipv6 {
            TCP6
        } else {
            TCP4
        };
        let head = Layout::of(&bytes, bytes.len()).unwrap().head as u16;
        (bytes, Virtio { kind, head, size: size as u16, ..header })
    }

    /// The packets that `large` stands for.
    pub fn naive_segments(&self, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
        let count = payload.len().div_ceil(size);
        let one = |(index, chunk): (usize, &[u8])| {
            let mut made = *self;
            made.sequence = self.sequence.wrapping_add((index * size) as u32);
            made.identifier = self.identifier.wrapping_add(index as u16);
            if index > 0 {
                made.flags &= !CWR;
            }
            if index + 1 < count {
                made.flags &= !(FIN | PSH);
            }
            made.packet(chunk)
        };
        payload.chunks(size).enumerate().map(one).collect()
    }
}

fn naive_pseudo(packet: &[u8], layout: &Layout) -> u16 {
    let addresses = if layout.ipv6 { &packet[8..40] } else { &packet[12..20] };
    let mut sum: u32 = addresses.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    sum += (packet.len() - layout.transport) as u32 + if layout.tcp { 6 } else { 17 };
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// A packet whole, its checksum filled in if it was pending.
pub fn finished(packet: Packet) -> Vec<u8> {
    let mut bytes = [packet.head, packet.body].concat();
    if packet.pending {
        let layout = Layout::of(&bytes, bytes.len()).expect("what is pending is TCP or UDP");
        assert!(complete(&mut bytes, layout.transport, layout.offset()));
    }
    bytes
}

pub fn cut_all(packet: &[u8], header: &Virtio) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let count = segments(&mut packet.to_vec(), header, &mut |packet| all.push(finished(packet)));
    assert_eq!(count, all.len());
    all
}

pub fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

proptest! {
    #[test]
    fn segments_are_those_of_another_implementation(made in Made::arbitrary(), length in 1usize..20_000, size in 1usize..3000) {
        let payload = payload(length);
        let (packet, header) = made.large(&payload, size);
        prop_assert_eq!(cut_all(&packet, &header), made.naive_segments(&payload, size));
    }

    #[test]
    fn a_whole_packet_stays_as_it_is(made in Made::arbitrary(), length in 0usize..2000, valid in any::<bool>()) {
        let payload = payload(length);
        let (good, (pending, header)) = (made.packet(&payload), made.pending(&payload));
        prop_assert_eq!(cut_all(&pending, &header), vec![good.clone()]);
        // A checksum that was looked at is made anew, and is the same.
        let flags = if valid { VALID } else { 0 };
        prop_assert_eq!(cut_all(&good, &Virtio { flags, ..Virtio::default() }), vec![good]);
    }

    #[test]
    fn no_bytes_do_harm(made in Made::arbitrary(), mut packet in prop::collection::vec(any::<u8>(), 0..200),
        bytes in any::<[u8; 10]>(), kind in 0u8..6, real in any::<bool>(), cut in 0usize..200) {
        let mut header = Virtio::read(&bytes).unwrap();
        prop_assert_eq!(header.bytes(), bytes);
        if real {
            (packet, header) = made.large(&payload(150), 60);
            packet.truncate(cut);
        } else {
            header.kind = kind;
            header.start %= 60;
            if let Some(first) = packet.first_mut() {
                *first = *first & 15 | if kind % 2 == 0 { 0x60 } else { 0x40 };
            }
        }
        let mut bytes = 0;
        segments(&mut packet.clone(), &header, &mut |packet| bytes += packet.body.len());
        prop_assert!(bytes <= packet.len());
    }
}

#[test]
fn a_packet_of_64_kb_is_cut() {
    let made = Made {
        ipv6: true,
        tcp: true,
        flags: 0x18,
        identifier: 0,
        sequence: u32::MAX - 5,
        port: 1,
        dont_fragment: true,
    };
    let payload = payload(65_000);
    let (packet, header) = made.large(&payload, 1368);
    assert_eq!(cut_all(&packet, &header), made.naive_segments(&payload, 1368));
}

#[test]
fn what_has_its_checksum_elsewhere_is_summed_up_at_once() {
    // An ICMPv6 message of which the kernel left the sum to the card: the far end could not tell where it belongs.
    let mut packet = vec![0x60, 0, 0, 0, 0, 16, 58, 64];
    packet.extend([1; 16].iter().chain(&[2; 16]).chain(&[128, 0, 0, 0]).chain(&[9; 12]));
    let header = Virtio { flags: PENDING, start: 40, offset: 2, ..Virtio::default() };
    let mut got = Vec::new();
    segments(&mut packet, &header, &mut |packet| {
        assert!(!packet.pending);
        got = [packet.head, packet.body].concat();
    });
    assert_eq!(fold(words(&got[40..])), 0xffff);
    // Where it does not even have a place, the packet is none.
    assert_eq!(segments(&mut got, &Virtio { start: 55, ..header }, &mut |_| panic!("no packet")), 0);
}

#[test]
fn behind_an_extension_header_each_segment_is_summed_up_at_once() {
    for tcp in [true, false] {
        let made = Made { ipv6: true, tcp, flags: 0x10, identifier: 0, sequence: 9, port: 1, dont_fragment: true };
        let (mut packet, header) = made.large(&payload(3_001), 1_000);
        // Destination options: the next header, no more than these eight bytes, and four of padding (RFC 8200, 4.6).
        let next = packet[6];
        packet[6] = 60;
        packet.splice(40..40, [next, 0, 1, 4, 0, 0, 0, 0]);
        let header = Virtio { start: 48, head: header.head + 8, ..header };
        let mut lengths = Vec::new();
        let count = segments(&mut packet, &header, &mut |packet| {
            assert!(!packet.pending);
            let segment = [packet.head, packet.body].concat();
            let length = (segment.len() - 40) as u16;
            assert_eq!(
                (segment[4..6].to_vec(), &segment[40..48]),
                (length.to_be_bytes().to_vec(), &[next, 0, 1, 4, 0, 0, 0, 0][..])
            );
            let pseudo = words(&segment[8..40]) + words(&[0, next]) + words(&(length - 8).to_be_bytes());
            assert_eq!(fold(pseudo + words(&segment[48..])), 0xffff);
            lengths.push(packet.body.len());
        });
        assert_eq!((count, lengths), (4, vec![1_000, 1_000, 1_000, 1]));
    }
}
