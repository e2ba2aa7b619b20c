//! Steady traffic to measure by: a bulk stream, and one like a telephone call's.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::namespace::Namespace;
use crate::sys;

/// A TCP connection that carries as much as it can, until it is dropped.
#[derive(Debug)]
pub struct Bulk {
    received: Arc<AtomicUsize>,
    ends: [TcpStream; 2],
    threads: Vec<JoinHandle<()>>,
}

impl Bulk {
    /// From `sender`, which listens at `address` and sends by this congestion control, to `receiver`, which connects.
    pub fn start(
        sender: &Namespace,
        address: impl Into<SocketAddr>,
        receiver: &Namespace,
        congestion: &str,
        timeout: Duration,
    ) -> io::Result<Self> {
        let address = address.into();
        let listener = crate::bind(sender, || TcpListener::bind(address))?;
        sys::set_congestion(&listener, congestion)?;
        let (mut into, _) = crate::connect(receiver, listener.local_addr()?, timeout)?;
        let (mut out, _) = listener.accept()?;
        let ends = [out.try_clone()?, into.try_clone()?];
        let received = Arc::<AtomicUsize>::default();
        let count = received.clone();
        let sending = thread::spawn(move || {
            let block = vec![7; 256 * 1024];
            while out.write_all(&block).is_ok() {}
        });
        let receiving = thread::spawn(move || {
            let mut buffer = vec![0; 256 * 1024];
            while let Ok(length @ 1..) = into.read(&mut buffer) {
                count.fetch_add(length, Ordering::Relaxed);
            }
        });
        Ok(Self { received, ends, threads: vec![sending, receiving] })
    }

    /// Bytes that came out so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed) as u64
    }

    /// Bits a second that come out during this time.
    pub fn rate(&self, time: Duration) -> f64 {
        let (before, start) = (self.received(), Instant::now());
        thread::sleep(time);
        (self.received() - before) as f64 * 8.0 / start.elapsed().as_secs_f64()
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        for end in &self.ends {
            // What still waits to be sent goes as well: a socket that lingers would keep its host.
            let _ = sys::reset_on_close(end);
            let _ = end.shutdown(Shutdown::Both);
        }
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// A stream of small datagrams, such as a call's.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub per_second: u32,
    pub count: u32,
    /// Of the payload; at least 12.
    pub bytes: usize,
}

/// What came of a [`Call`].
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub sent: u32,
    pub lost: u32,
    /// The longest run of lost ones: its first, and its length.
    pub gap: (u32, u32),
    /// Came more than once.
    pub doubled: u32,
    /// Came after a later one.
    pub overtaken: u32,
    /// The time on the way of each that came, in order of arrival.
    pub transits: Vec<Duration>,
}

impl Heard {
    /// The mean difference between the times on the way of one datagram and the next (RFC 3550's jitter, unsmoothed).
    pub fn jitter(&self) -> Duration {
        let differences = self.transits.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
        differences.sum::<Duration>() / (self.transits.len().max(2) as u32 - 1)
    }

    fn judged(mut self, seen: &[bool]) -> Self {
        let mut run = (0, 0);
        for (number, seen) in (0..).zip(seen) {
            if *seen {
                run = (number + 1, 0);
                continue;
            }
            self.lost += 1;
            run.1 += 1;
            if run.1 > self.gap.1 {
                self.gap = run;
            }
        }
        self
    }

    /// How much longer than the quickest datagram this share of them took at most.
    pub fn late(&self, share: f64) -> Duration {
        let mut sorted = self.transits.clone();
        sorted.sort_unstable();
        let place = (sorted.len() as f64 * share) as usize;
        let at = sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default();
        at.saturating_sub(sorted.first().copied().unwrap_or_default())
    }
}

/// Those who come later than this after the last was sent are lost.
const LAST: Duration = Duration::from_millis(1_500);

impl Call {
    /// From `from` to `address` of `to`. Takes as long as the call, and a moment more.
    pub fn run(self, from: &Namespace, to: &Namespace, address: impl Into<SocketAddr>) -> io::Result<Heard> {
        let address = address.into();
        let any: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        let (out, into) = (from.run(|| UdpSocket::bind(any))?, crate::bind(to, || UdpSocket::bind(address))?);
        into.set_read_timeout(Some(Duration::from_millis(50)))?;
        out.connect(into.local_addr()?)?;
        let epoch = Instant::now();
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let receiving = scope.spawn(|| receive(&into, epoch, self.count, &ended));
            let mut payload = vec![0; self.bytes.max(12)];
            for number in 0..self.count {
                let due = epoch + Duration::from_secs(1) * number / self.per_second.max(1);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                payload[..4].copy_from_slice(&number.to_be_bytes());
                payload[4..12].copy_from_slice(&(epoch.elapsed().as_nanos() as u64).to_be_bytes());
                // Refused while there is no way: lost, then.
                let _ = out.send(&payload);
            }
            ended.store(true, Ordering::Relaxed);
            Ok(receiving.join().expect("the receiver"))
        })
    }
}

fn receive(socket: &UdpSocket, epoch: Instant, count: u32, ended: &AtomicBool) -> Heard {
    let mut seen = vec![false; count as usize];
    let mut heard = Heard { sent: count, ..Heard::default() };
    let (mut buffer, mut highest, mut since) = ([0; 2048], 0, None);
    loop {
        if ended.load(Ordering::Relaxed) {
            let start = *since.get_or_insert_with(Instant::now);
            if start.elapsed() > LAST || heard.transits.len() == seen.len() {
                return heard.judged(&seen);
            }
        }
        let Ok(12..) = socket.recv(&mut buffer) else { continue };
        let now = epoch.elapsed();
        let number = u32::from_be_bytes(buffer[..4].try_into().expect("four bytes"));
        let sent = u64::from_be_bytes(buffer[4..12].try_into().expect("eight bytes"));
        let Some(seen) = seen.get_mut(number as usize) else { continue };
        if std::mem::replace(seen, true) {
            heard.doubled += 1;
            continue;
        }
        heard.overtaken += u32::from(number < highest);
        highest = highest.max(number);
        heard.transits.push(now.saturating_sub(Duration::from_nanos(sent)));
    }
}
