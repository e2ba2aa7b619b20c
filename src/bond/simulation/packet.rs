//! Inner packets: IPv4 with TCP, UDP and ICMP echo, as Linux sends them.

use super::Side;

pub const SYN: u8 = 2;
pub const PUSH: u8 = 8;
pub const ACK: u8 = 16;

/// A TCP segment. Times are milliseconds of the sender's clock.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tcp {
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    /// With SYN.
    pub mss: Option<u16>,
    pub value: u32,
    pub echo: u32,
    pub sacks: heapless::Vec<(u32, u32), 3>,
    pub length: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    Tcp(Tcp),
    Udp { payload: Vec<u8> },
    Echo { reply: bool, sequence: u16, payload: Vec<u8> },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parsed {
    /// The side that sent it.
    pub from: Side,
    pub app: usize,
    pub id: u16,
    pub body: Body,
}

fn sum(bytes: &[u8], start: u32) -> u32 {
    // 2^16 words at most: no overflow of 32 bits.
    bytes.chunks(2).fold(start, |sum, pair| sum + (u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))))
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum of a packet's pseudo-header and transport part; for ICMP of the message alone.
fn transport_sum(packet: &[u8]) -> u16 {
    let (header, rest) = packet.split_at(20);
    let pseudo = if header[9] == 1 { 0 } else { sum(&header[12..20], u32::from(header[9]) + rest.len() as u32) };
    fold(sum(rest, pseudo))
}

fn address(side: Side) -> [u8; 4] {
    [10, 9, 0, side as u8 + 1]
}

/// The port of an app at a side.
fn port(side: Side, app: usize) -> u16 {
    (if side == 0 { 40_000 } else { 5_000 }) + app as u16
}

impl Parsed {
    pub fn write(&self) -> Vec<u8> {
        let (from, to) = (self.from, 1 - self.from);
        let protocol = match self.body {
            Body::Tcp(_) => 6,
            Body::Udp { .. } => 17,
            Body::Echo { .. } => 1,
        };
        let mut out = vec![0x45, 0, 0, 0];
        out.extend(self.id.to_be_bytes());
        out.extend([0x40, 0, 64, protocol, 0, 0]);
        out.extend(address(from));
        out.extend(address(to));
        if protocol != 1 {
            out.extend(port(from, self.app).to_be_bytes());
            out.extend(port(to, self.app).to_be_bytes());
        }
        let checksum = match &self.body {
            Body::Tcp(tcp) => {
                write_tcp(tcp, &mut out);
                20 + 16
            }
            Body::Udp { payload } => {
                out.extend((payload.len() as u16 + 8).to_be_bytes());
                out.extend([0, 0]);
                out.extend(payload);
                20 + 6
            }
            Body::Echo { reply, sequence, payload } => {
                out.extend([if *reply { 0 } else { 8 }, 0, 0, 0]);
                out.extend((self.app as u16).to_be_bytes());
                out.extend(sequence.to_be_bytes());
                out.extend(payload);
                20 + 2
            }
        };
        let length = out.len() as u16;
        out[2..4].copy_from_slice(&length.to_be_bytes());
        let ip = !fold(sum(&out[..20], 0));
        out[10..12].copy_from_slice(&ip.to_be_bytes());
        // A segment's text needs no adding up, which unoptimized tests would spend their time with.
        let whole = match &self.body {
            Body::Tcp(tcp) if tcp.length > 4 => {
                let (text, filler) = (tcp.length - 4, u32::from(filler(tcp)));
                let known = text as u32 / 2 * (filler << 8 | filler) + text as u32 % 2 * (filler << 8);
                let pseudo = sum(&out[12..20], 6 + out.len() as u32 - 20);
                !fold(sum(&out[20..out.len() - text], pseudo + known))
            }
            _ => !transport_sum(&out),
        };
        out[checksum..checksum + 2].copy_from_slice(&whole.to_be_bytes());
        out
    }

    /// Whether the IPv4 header's checksum is good.
    pub fn verify_header(packet: &[u8]) -> bool {
        packet.len() > 20 && fold(sum(&packet[..20], 0)) == 0xffff
    }

    /// Whether both checksums are good.
    pub fn verify(packet: &[u8]) -> bool {
        packet.len() > 20 && fold(sum(&packet[..20], 0)) == 0xffff && transport_sum(packet) == 0xffff
    }

    /// `None`: not a packet of this world.
    pub fn read(packet: &[u8]) -> Option<Parsed> {
        let length = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
        let whole = packet.len() >= 28 && packet[0] == 0x45 && length == packet.len();
        if !whole {
            return None;
        }
        let from = usize::from(packet[15].checked_sub(1)?);
        let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        let id = word(4);
        let (app, body) = match packet[9] {
            6 if packet.len() >= 40 => (word(20) % 1_000, Body::Tcp(read_tcp(packet)?)),
            17 => (word(20) % 1_000, Body::Udp { payload: packet[28..].to_vec() }),
            1 if matches!(packet[20], 0 | 8) => {
                let (reply, sequence) = (packet[20] == 0, word(26));
                (word(24), Body::Echo { reply, sequence, payload: packet[28..].to_vec() })
            }
            _ => return None,
        };
        (from <= 1 && packet[19] == 2 - from as u8).then_some(Parsed { from, app: usize::from(app), id, body })
    }
}

fn write_tcp(tcp: &Tcp, out: &mut Vec<u8>) {
    let mut options = Vec::with_capacity(40);
    if let Some(mss) = tcp.mss {
        options.extend([2, 4]);
        options.extend(mss.to_be_bytes());
        options.extend([4, 2]);
    } else {
        options.extend([1, 1]);
    }
    options.extend([8, 10]);
    options.extend(tcp.value.to_be_bytes());
    options.extend(tcp.echo.to_be_bytes());
    if tcp.mss.is_some() {
        options.extend([1, 3, 3, 7]);
    }
    if !tcp.sacks.is_empty() {
        options.extend([1, 1, 5, 2 + 8 * tcp.sacks.len() as u8]);
        for (left, right) in &tcp.sacks {
            options.extend(left.to_be_bytes());
            options.extend(right.to_be_bytes());
        }
    }
    out.extend(tcp.seq.to_be_bytes());
    out.extend(tcp.ack.to_be_bytes());
    out.extend([(5 + options.len() as u8 / 4) << 4, tcp.flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend(options);
    let start = out.len();
    // Copied, which is quicker than filled in where nothing is optimized.
    out.extend_from_slice(&[filler(tcp); 2_048][..tcp.length]);
    if let Some(first) = out.get_mut(start..start + 4) {
        first.copy_from_slice(&tcp.seq.to_be_bytes());
    }
}

/// Another text in each segment, and no zeros.
fn filler(tcp: &Tcp) -> u8 {
    tcp.seq as u8 | 1
}

fn read_tcp(packet: &[u8]) -> Option<Tcp> {
    let number = |at: usize| u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
    let header = 20 + usize::from(packet[32] >> 4) * 4;
    let mut tcp = Tcp {
        seq: number(24),
        ack: number(28),
        flags: packet[33],
        length: packet.len().checked_sub(header)?,
        ..Tcp::default()
    };
    let mut at = 40;
    while at < header {
        match packet[at] {
            1 => at += 1,
            2 => (tcp.mss, at) = (Some(u16::from_be_bytes([packet[at + 2], packet[at + 3]])), at + 4),
            8 => (tcp.value, tcp.echo, at) = (number(at + 2), number(at + 6), at + 10),
            5 => {
                let end = at + usize::from(packet[at + 1]);
                for block in (at + 2..end).step_by(8) {
                    let _ = tcp.sacks.push((number(block), number(block + 4)));
                }
                at = end;
            }
            _ => at += usize::from(packet[at + 1]).max(2),
        }
    }
    Some(tcp)
}

mod tests {
    use super::*;

    #[test]
    fn packets_are_read_as_written_and_add_up() {
        let tcp = |length, sacks: &[(u32, u32)], mss| Tcp {
            seq: 0xfedc_ba98,
            ack: 7,
            flags: ACK,
            mss,
            value: 1,
            echo: 2,
            sacks: sacks.iter().copied().collect(),
            length,
        };
        let bodies = [
            Body::Tcp(tcp(1_387, &[], None)),
            Body::Tcp(tcp(1_388, &[(1, 2)], None)),
            Body::Tcp(tcp(5, &[(1, 2), (3, 4), (5, 6)], None)),
            Body::Tcp(tcp(0, &[], Some(1_400))),
            Body::Udp { payload: vec![1, 2, 3] },
            Body::Echo { reply: true, sequence: 9, payload: vec![4; 40] },
        ];
        for (from, body) in [0, 1].into_iter().flat_map(|from| bodies.iter().map(move |body| (from, body.clone()))) {
            let packet = Parsed { from, app: 3, id: 77, body };
            let bytes = packet.write();
            assert!(Parsed::verify(&bytes), "{packet:?}");
            assert_eq!(Parsed::read(&bytes).as_ref(), Some(&packet));
        }
    }
}
