//! A tunnel without a bond: packets of a TUN device in datagrams, each as it is behind a byte, and back. It is what the system
//! side of a bond does, and nothing else.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use cheaproute::bond::address::Address;
use cheaproute::bond::coalesce::Coalescer;
use cheaproute::bond::flow::Packet;
use cheaproute::bond::offload::{Offload, segments};
use cheaproute::linux::batch::{Arena, Batch};
use cheaproute::linux::poll::Poll;
use cheaproute::linux::tun::Tun;
use cheaproute::linux::udp::Udp;
use cheaproute::time::Span;

/// Before the packet, as many bytes as a bond's header and item have; behind it, a tag.
const FRONT: usize = 13;
const TAG: usize = 16;
/// Packets read from the device, and system calls that take datagrams, before the other side has its turn.
const TURNS: usize = 8;

/// What happens to a datagram's bytes on the way out, or in.
pub type Work = Box<dyn FnMut(&mut [u8]) + Send>;

pub struct End {
    pub tun: Tun,
    pub offload: Offload,
    pub udp: Udp,
    pub peer: Address,
    /// Outbound and inbound.
    pub work: [Work; 2],
    /// System calls are made one by one, and packets are neither joined nor sent together.
    pub single: bool,
}

/// How often what was done.
#[derive(Default)]
pub struct Counts {
    pub reads: AtomicU64,
    pub sent: AtomicU64,
    pub sends: AtomicU64,
    pub received: AtomicU64,
    pub writes: AtomicU64,
    pub lost: AtomicU64,
}

/// A running end; it stops when this is dropped.
pub struct Pump {
    stop: Arc<AtomicBool>,
    pub counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    pub fn start(end: End) -> Self {
        let (stop, counts) = (Arc::<AtomicBool>::default(), Arc::<Counts>::default());
        let (stopped, count) = (stop.clone(), counts.clone());
        let thread = Some(thread::spawn(move || run(end, &stopped, &count)));
        Pump { stop, counts, thread }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run(mut end: End, stop: &AtomicBool, counts: &Counts) {
    let poll = Poll::new().expect("epoll");
    poll.add(end.tun.as_fd(), 0, false).expect("the device");
    poll.add(end.udp.as_fd(), 1, false).expect("the socket");
    let (mut batch, mut arena, mut buffer) = (Batch::new(), Arena::new(), vec![0; 65_536 + 512]);
    let mut coalescer = Coalescer::new(if end.single { Offload { tcp: false, ..end.offload } } else { end.offload });
    while !stop.load(Ordering::Relaxed) {
        poll.wait(Some(Span::from_millis(50)), |_| {}).expect("epoll");
        for _ in 0..TURNS {
            let Ok(Some((header, packet))) = end.tun.read(&mut buffer) else { break };
            add(&counts.reads, 1);
            let (udp, peer, work, single) = (&mut end.udp, &end.peer, &mut end.work[0], end.single);
            segments(packet, &header, &mut |packet| {
                let length = packet.head.len() + packet.body.len() + FRONT + TAG;
                if !batch.has_room(length) || single && !batch.is_empty() {
                    send(udp, &mut batch, counts);
                }
                let Some((slot, _)) = batch.slot(peer, length) else { return };
                let (front, rest) = slot.split_at_mut(FRONT);
                front[FRONT - 1] = u8::from(packet.pending);
                let (head, rest) = rest.split_at_mut(packet.head.len());
                head.copy_from_slice(packet.head);
                rest[..packet.body.len()].copy_from_slice(packet.body);
                work(slot);
            });
        }
        if !batch.is_empty() {
            send(&mut end.udp, &mut batch, counts);
        }
        for _ in 0..TURNS {
            let (tun, work, single) = (&end.tun, &mut end.work[1], end.single);
            let mut write = |header: &_, head: &[u8], body: &[u8]| {
                add(&counts.writes, 1);
                let _ = tun.write(header, head, body);
            };
            let more = end.udp.receive(&mut arena, &mut |_, datagram| {
                add(&counts.received, 1);
                work(datagram);
                let Some((front, packet)) = datagram.split_first_chunk::<FRONT>() else { return };
                let Some((packet, _)) = packet.split_last_chunk::<TAG>() else { return };
                coalescer.push(Packet { head: packet, body: &[], pending: front[FRONT - 1] != 0 }, &mut write);
                if single {
                    coalescer.flush(&mut write);
                }
            });
            coalescer.flush(&mut write);
            if !more.expect("a socket that works") {
                break;
            }
        }
    }
}

fn send(udp: &mut Udp, batch: &mut Batch, counts: &Counts) {
    let sent = udp.send(batch);
    add(&counts.sends, 1);
    add(&counts.sent, sent.datagrams);
    add(&counts.lost, sent.lost + sent.too_long + batch.len());
    batch.clear();
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}
