//! Transfers that go on while a test does something to the daemon.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use super::bed::eventually;

const LIMIT: Duration = Duration::from_secs(10);

/// The kernel takes twice as much. It bounds what is on the way, so that no wire's queue overflows.
const BUFFER: usize = 64 * 1024;

/// More than buffers hold at either end: so much cannot have come out, or gone in, unless some of it was carried.
const STEP: u64 = 8 * BUFFER as u64;

/// A connection that carries as much as it can, until it is told to end.
pub struct Transfer {
    moved: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<TcpStream>>,
}

impl Transfer {
    /// From a [`lab::Server::source`]. Every byte is checked.
    #[track_caller]
    pub fn down(stream: TcpStream) -> Self {
        /// So many are asked for ahead, so that the server never waits for a question.
        const AHEAD: u64 = 8;
        const PIECE: u64 = BUFFER as u64;
        SockRef::from(&stream).set_recv_buffer_size(BUFFER).expect("a smaller buffer");
        Self::start(stream, |stream, moved, done| {
            (0..AHEAD).for_each(|_| stream.write_all(&PIECE.to_be_bytes()).expect("questions are sent"));
            while !done.load(Ordering::Relaxed) {
                // It asks for the piece after those that were asked for.
                lab::download(stream, PIECE, LIMIT).expect("a download that goes on");
                moved.fetch_add(PIECE, Ordering::Relaxed);
            }
            let mut rest = vec![0; (AHEAD * PIECE) as usize];
            stream.read_exact(&mut rest).expect("the rest of the download");
        })
    }

    /// To a [`lab::Server::sink`].
    #[track_caller]
    pub fn up(stream: TcpStream) -> Self {
        SockRef::from(&stream).set_send_buffer_size(BUFFER).expect("a smaller buffer");
        stream.set_write_timeout(Some(LIMIT)).expect("a limit");
        Self::start(stream, |stream, moved, done| {
            let piece = [7; BUFFER / 4];
            while !done.load(Ordering::Relaxed) {
                stream.write_all(&piece).expect("an upload that goes on");
                moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        })
    }

    fn start(
        mut stream: TcpStream,
        carry: impl FnOnce(&mut TcpStream, &AtomicU64, &AtomicBool) + Send + 'static,
    ) -> Self {
        let (moved, done) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (count, end) = (moved.clone(), done.clone());
        let thread = thread::spawn(move || {
            carry(&mut stream, &count, &end);
            stream
        });
        Transfer { moved, done, thread: Some(thread) }
    }

    /// Waits until each of them has carried something since this call.
    #[track_caller]
    pub fn all_go_on(transfers: &[Transfer], when: &str) {
        let moved = |transfer: &Transfer| transfer.moved.load(Ordering::Relaxed);
        let before: Vec<u64> = transfers.iter().map(moved).collect();
        let since = || transfers.iter().zip(&before).map(|(transfer, before)| moved(transfer) - before);
        eventually(&format!("all transfers go on {when}"), || since().all(|bytes| bytes >= STEP));
    }

    /// Ends it when all that was asked for has come, and hands back its connection.
    #[track_caller]
    pub fn end(mut self) -> TcpStream {
        self.done.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().expect("a transfer without a fault")
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        // Not joined: of a test that failed, it may wait in vain.
        self.done.store(true, Ordering::Relaxed);
    }
}
