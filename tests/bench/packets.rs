//! What the router's rules cost a packet of a known flow: small datagrams as fast as one core forwards them.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::flood::checksum;
use crate::plain::{Plain, SILENT, received};
use crate::sys::{self, BATCH, Frames};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Up,
    Down,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Segments with the flags of data: ACK and no other.
    Tcp,
    Udp,
}

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
const PORTS: (u16, u16) = (5_000, 9_999);

/// Nanoseconds a packet, all the way from the sender's socket to the receiving host, of which the rules are a part.
pub fn nanos(plain: &Plain, kind: Kind, way: Way) -> f64 {
    plain.flush();
    let up = frame(kind, 0, (CLIENT, PORTS.0), (SILENT, PORTS.1));
    // Makes the flow known, in both directions.
    plain.client.run(|| Frames::open("eth0").and_then(|frames| frames.send(&[up])).expect("a packet"));
    let down = frame(kind, 1, (SILENT, PORTS.1), (ROUTER, PORTS.0));
    plain.internet.run(|| Frames::open("isp1").and_then(|frames| frames.send(&[down])).expect("a packet"));
    let (from, device, to, arrival, frame) = match way {
        Way::Up => (&plain.client, "eth0", &plain.internet, "isp1", up),
        Way::Down => (&plain.internet, "isp1", &plain.client, "eth0", down),
    };
    let before = to.run(|| received(arrival));
    let time = from.run(|| blast(device, frame));
    let arrived = to.run(|| received(arrival)) - before;
    time.as_secs_f64() * 1e9 / arrived as f64
}

fn blast(device: &str, frame: [u8; 60]) -> Duration {
    const TIME: Duration = Duration::from_millis(500);
    // The core that sends does all the rest, too.
    sys::pin(0, 1);
    let frames = Frames::open(device).expect("a packet socket");
    let batch = [frame; BATCH];
    let start = Instant::now();
    while start.elapsed() < TIME {
        frames.send(&batch).expect("packets");
    }
    start.elapsed()
}

/// A packet with as many bytes of data as make the shortest frame, by link `net`.
fn frame(kind: Kind, net: u8, from: (Ipv4Addr, u16), to: (Ipv4Addr, u16)) -> [u8; 60] {
    let mut bytes = [0; 60];
    // The router's end of the link to the client is 1, of those to the internet 2.
    let (router, peer) = if net == 0 { (1, 2) } else { (2, 1) };
    let protocol = if kind == Kind::Tcp { 6 } else { 17 };
    bytes[..14].copy_from_slice(&[2, 0x77, 0, 0, net, router, 2, 0x77, 0, 0, net, peer, 8, 0]);
    bytes[14..26].copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, protocol, 0, 0]);
    bytes[26..30].copy_from_slice(&from.0.octets());
    bytes[30..34].copy_from_slice(&to.0.octets());
    let sum = checksum(&bytes[14..34], 0);
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    bytes[34..36].copy_from_slice(&from.1.to_be_bytes());
    bytes[36..38].copy_from_slice(&to.1.to_be_bytes());
    if kind == Kind::Udp {
        // Without a checksum.
        bytes[38..40].copy_from_slice(&26u16.to_be_bytes());
        return bytes;
    }
    // Both directions at the same place: each acknowledges all that the other sent.
    bytes[38..42].copy_from_slice(&1_000u32.to_be_bytes());
    bytes[42..46].copy_from_slice(&1_000u32.to_be_bytes());
    bytes[46..50].copy_from_slice(&[0x50, 0x10, 0xff, 0xff]);
    let sum = checksum(&bytes[26..], u32::from(protocol) + 26);
    bytes[50..52].copy_from_slice(&sum.to_be_bytes());
    bytes
}
