use super::mould::STAMPS;
use super::*;

#[path = "squeeze_properties.rs"]
mod properties;

/// A TCP packet as a sender makes it.
#[derive(Clone, Debug)]
struct Segment {
    v6: bool,
    port: u16,
    ttl: u8,
    tos: u8,
    id: u16,
    df: bool,
    sequence: u32,
    acknowledgment: u32,
    flags: u8,
    window: u16,
    stamps: Option<(u32, u32)>,
    options: Vec<u8>,
    payload: usize,
    pending: bool,
}

const PLAIN: Segment = Segment {
    v6: false,
    port: 443,
    ttl: 64,
    tos: 0,
    id: 9,
    df: true,
    sequence: 1_000,
    acknowledgment: 77,
    flags: ACK,
    window: 500,
    stamps: Some((5_000, 6_000)),
    options: Vec::new(),
    payload: 1400,
    pending: false,
};

impl Segment {
    /// Header, payload.
    fn build(&self) -> (Vec<u8>, Vec<u8>) {
        let mut options = Vec::new();
        if let Some((value, echo)) = self.stamps {
            options.extend(STAMPS);
            options.extend(value.to_be_bytes());
            options.extend(echo.to_be_bytes());
        }
        options.extend(&self.options);
        let tcp = 20 + options.len();
        let mut head = Vec::new();
        if self.v6 {
            head.extend([0x60 | self.tos >> 4, self.tos << 4 | 3, 0x12, 0x34]);
            head.extend(((tcp + self.payload) as u16).to_be_bytes());
            head.extend([6, self.ttl]);
            head.extend([1; 16]);
            head.extend([2; 16]);
        } else {
            head.extend([0x45, self.tos]);
            head.extend(((20 + tcp + self.payload) as u16).to_be_bytes());
            head.extend(self.id.to_be_bytes());
            head.extend([if self.df { 0x40 } else { 0 }, 0, self.ttl, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 9]);
            let check = closed(words(&head));
            head[10..12].copy_from_slice(&check);
        }
        let ip = head.len();
        head.extend([0x12, 0x34]);
        head.extend(self.port.to_be_bytes());
        head.extend(self.sequence.to_be_bytes());
        head.extend(self.acknowledgment.to_be_bytes());
        head.extend([((tcp / 4) << 4) as u8, self.flags]);
        head.extend(self.window.to_be_bytes());
        let check = match self.pending {
            true => u16::from_be_bytes(pseudo(&head, ip, tcp + self.payload).unwrap()),
            false => self.sequence as u16 ^ 0x1d0f,
        };
        head.extend(check.to_be_bytes());
        head.extend([0, 0]);
        head.extend(options);
        (head, vec![self.sequence as u8; self.payload])
    }

    /// As it comes back.
    fn expected(&self) -> Vec<u8> {
        let id = if self.df { 0 } else { self.id };
        let (head, body) = Segment { id, ..self.clone() }.build();
        [head, body].concat()
    }
}

struct Ends {
    squeezer: Squeezer,
    expander: Expander,
    now: Time,
}

impl Ends {
    fn new() -> Self {
        Ends { squeezer: Squeezer::default(), expander: Expander::default(), now: Time(0) }
    }

    /// Squeezes, and makes a context known at once: the squeezed packet, if it is one.
    fn send(&mut self, segment: &Segment) -> Option<Vec<u8>> {
        self.now = self.now + Span::from_millis(1);
        let (head, body) = segment.build();
        let packet = Packet { head: &head, body: &body, pending: segment.pending };
        let mut out = Vec::new();
        let squeezed = self.squeezer.squeeze(&packet, 5, self.now, &mut out);
        if let Some(name) = squeezed.announce {
            assert!(self.expander.learn(name, self.squeezer.context(name).unwrap()));
            self.squeezer.confirmed(name);
        }
        assert_eq!(squeezed.done, !out.is_empty());
        squeezed.done.then_some(out)
    }

    fn expand(&self, squeezed: &[u8], pending: bool) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let payload = self.expander.expand(squeezed, 5, pending, &mut out)?;
        out.extend(payload);
        Some(out)
    }

    /// A flow with a context like this segment.
    fn settle(&mut self, segment: &Segment) {
        for _ in 0..3 {
            assert_eq!(self.send(segment), None);
        }
    }

    fn overhead(&mut self, segment: &Segment) -> usize {
        let squeezed = self.send(segment).unwrap();
        assert_eq!(self.expand(&squeezed, segment.pending), Some(segment.expected()));
        squeezed.len() - segment.payload
    }
}

#[test]
fn a_bulk_segment_has_twelve_bytes_of_headers() {
    for v6 in [false, true] {
        let mut ends = Ends::new();
        let first = Segment { v6, ..PLAIN };
        ends.settle(&first);
        let next = Segment { sequence: 90_000_000, stamps: Some((25_000, 26_000)), id: 10, ..first };
        assert_eq!(ends.overhead(&next), USUAL);
        assert_eq!(ends.overhead(&Segment { flags: ACK | PSH, ..next.clone() }), USUAL);
        ends.settle(&Segment { pending: true, port: 80, ..next.clone() });
        assert_eq!(ends.overhead(&Segment { pending: true, port: 80, sequence: 5, ..next }), 8);
    }
}

#[test]
fn what_moves_is_carried() {
    let sack = [1, 1, 5, 10, 1, 2, 3, 4, 5, 6, 7, 8].to_vec();
    for (segment, bytes) in [
        (PLAIN, 6),
        (Segment { acknowledgment: 78, window: 3, payload: 0, ..PLAIN }, 12),
        (Segment { stamps: Some((5_000 + 70_000, 6_001)), ..PLAIN }, 12),
        (Segment { stamps: Some((4_999, 6_000)), ..PLAIN }, 8),
        (Segment { flags: 0x11, ..PLAIN }, 8),
        (Segment { tos: 3, ..PLAIN }, 8),
        (Segment { options: sack, ..PLAIN }, 19),
    ] {
        let mut ends = Ends::new();
        ends.settle(&PLAIN);
        assert_eq!(ends.overhead(&segment), bytes, "{segment:?}");
    }
    let mut ends = Ends::new();
    let plain = Segment { df: false, stamps: None, ..PLAIN };
    ends.settle(&plain);
    assert_eq!(ends.overhead(&Segment { id: 700, ..plain }), 6);
}

#[test]
fn what_does_not_fit_travels_whole() {
    let mut ends = Ends::new();
    ends.settle(&PLAIN);
    for segment in [
        Segment { flags: SYN, ..PLAIN },
        Segment { flags: ACK | URG, ..PLAIN },
        Segment { ttl: 63, ..PLAIN },
        Segment { stamps: None, ..PLAIN },
        Segment { df: false, ..PLAIN },
        Segment { port: 1, ..PLAIN },
        Segment { v6: true, ..PLAIN },
    ] {
        assert_eq!(ends.send(&segment), None, "{segment:?}");
    }
    // Reserved bits, a fragment, IP options, an urgent pointer, a wrong length or checksum.
    for (at, byte) in [(32, 0x81), (6, 0x60), (7, 1), (0, 0x46), (39, 1), (3, 0), (10, 0x55)] {
        let (mut head, body) = PLAIN.build();
        head[at] = byte;
        let packet = Packet { head: &head, body: &body, pending: false };
        assert_eq!(ends.squeezer.squeeze(&packet, 5, Time(9_000), &mut Vec::new()), Squeezed::default(), "{at}");
    }
    assert!(ends.send(&PLAIN).is_some());
    // Flow label, hop limit, addresses.
    let mut ends = Ends::new();
    let v6 = Segment { v6: true, port: 80, ..PLAIN };
    ends.settle(&v6);
    for at in [1, 2, 3, 7, 8, 39] {
        let (mut head, body) = v6.build();
        head[at] ^= 1;
        let packet = Packet { head: &head, body: &body, pending: false };
        assert!(!ends.squeezer.squeeze(&packet, 5, ends.now, &mut Vec::new()).done, "{at}");
    }
    assert!(ends.send(&v6).is_some());
}

#[test]
fn a_pending_checksum_must_be_the_pseudo_headers_sum() {
    let (mut head, body) = Segment { pending: true, ..PLAIN }.build();
    let good = |head: &[u8]| Mould::of(&Packet { head, body: &body, pending: true }).is_some();
    assert!(good(&head));
    head[36] ^= 1;
    assert!(!good(&head));
}

#[test]
fn the_payload_may_be_in_the_head() {
    let mut ends = Ends::new();
    ends.settle(&PLAIN);
    let (head, body) = PLAIN.build();
    let whole = [head, body].concat();
    let mut out = Vec::new();
    assert!(ends.squeezer.squeeze(&Packet { head: &whole, body: &[], pending: false }, 5, Time(9_000), &mut out).done);
    assert_eq!(ends.expand(&out, false), Some(PLAIN.expected()));
}

#[test]
fn nothing_is_squeezed_before_it_is_confirmed() {
    let mut ends = Ends::new();
    let (head, body) = PLAIN.build();
    let packet = Packet { head: &head, body: &body, pending: false };
    let mut out = Vec::new();
    let mut announced = Vec::new();
    for ms in 0..250 {
        let squeezed = ends.squeezer.squeeze(&packet, 5, Time(ms * 1_000), &mut out);
        assert!(!squeezed.done);
        announced.extend(squeezed.announce.map(|name| (ms, name)));
    }
    let times: Vec<_> = announced.iter().map(|(ms, _)| *ms).collect();
    assert_eq!(times, [2, 102, 202]);
    assert!(announced.iter().all(|(_, name)| *name == announced[0].1));
    ends.squeezer.confirmed(announced[0].1);
    assert!(ends.squeezer.squeeze(&packet, 5, Time(300_000), &mut out).done);
    // The peer that lost it says so.
    assert_eq!(ends.expand(&out, false), None);
    ends.squeezer.refused(announced[0].1);
    out.clear();
    assert!(!ends.squeezer.squeeze(&packet, 5, Time(300_000), &mut out).done && out.is_empty());
}

#[test]
fn a_new_context_follows_a_flow_that_moved() {
    // Timestamps that are far away.
    let mut ends = Ends::new();
    ends.settle(&PLAIN);
    let far = Segment { sequence: 3, stamps: Some((80_000, 80_000)), ..PLAIN };
    assert_eq!(ends.overhead(&far), 16);
    assert_eq!(ends.overhead(&Segment { sequence: 4, ..far }), 10);
    // Another acknowledgment for good.
    let mut ends = Ends::new();
    ends.settle(&PLAIN);
    let sizes: Vec<_> =
        (0..12).map(|i| ends.overhead(&Segment { sequence: i, acknowledgment: 900, ..PLAIN })).collect();
    assert_eq!((sizes[0], sizes[11]), (14, 10), "{sizes:?}");
    // One that moves on with every segment does not settle.
    let before = ends.squeezer.buckets[5].as_ref().unwrap().iter().filter(|way| way.state != State::Free).count();
    for i in 0..40 {
        ends.overhead(&Segment { sequence: i, acknowledgment: i, ..PLAIN });
    }
    let after = ends.squeezer.buckets[5].as_ref().unwrap().iter().filter(|way| way.state != State::Free).count();
    assert_eq!((before, after), (2, 2));
}

#[test]
fn an_old_context_replaces_no_newer_one() {
    let mut expander = Expander::default();
    let head = |port| {
        let (mut head, _) = Segment { port, ..PLAIN }.build();
        head.truncate(52);
        head
    };
    assert!(expander.learn(Name::new(5, 1, 63), &head(1)));
    assert!(expander.learn(Name::new(5, 1, 0), &head(2)), "generations wrap");
    assert!(!expander.learn(Name::new(5, 1, 63), &head(1)));
    assert!(expander.learn(Name::new(5, 1, 0), &head(2)), "again");
    assert!(!expander.learn(Name::new(5, 1, 1), &head(2)[..51]));
    assert!(!expander.learn(Name::new(200, 1, 1), &head(2)), "no ordered flow");
}
