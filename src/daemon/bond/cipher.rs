//! The cipher's work, shared out over the processors. On a router's it is most of what a datagram costs.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::bond::address::Address;
use crate::bond::sealing::{self, Task};
use crate::linux::batch::Batch;
use crate::linux::crew::{self, MOST, processors};
use crate::linux::{clock, file};
use crate::time::{Span, Time};

/// Work that is worth waking others for, microseconds: it takes 50 to 100 until they are there.
const WORTH: usize = 250;
/// For so long nobody helps, and it is looked at what time the processors have to spare.
const LOOK: Span = Span::from_millis(500);
/// If that is one in so many parts of a processor's, others help for so long.
const SPARE: u64 = 2;
const HELP: Span = Span::from_secs(10);

/// A datagram that comes or goes.
pub struct Piece<'d> {
    pub address: Address,
    pub datagram: &'d mut [u8],
    /// What is done to it by others, or was.
    pub task: Option<Task>,
}

impl Piece<'_> {
    /// Forged ones are emptied.
    fn work(&mut self) {
        if self.task.as_ref().is_some_and(|task| !task.run(self.datagram)) {
            self.datagram = &mut [];
        }
    }
}

/// See the module. One for all sections.
pub struct Cipher {
    helpers: usize,
    /// Bytes that are worth it.
    worth: usize,
    hands: Mutex<Hands>,
}

/// Whether others help. While they do, nobody can tell whether that takes from other programs what it gives to us: all processors
/// are busy then, as they should be. So every now and then they do not.
struct Hands {
    help: bool,
    since: Time,
    /// The processors' idle time by then.
    idle: Span,
}

impl Cipher {
    /// Finds out how fast this processor is.
    pub fn new() -> Self {
        let helpers = (processors() - 1).min(MOST);
        let worth = if helpers > 0 { worth() } else { usize::MAX };
        let hands = Hands { help: false, since: Time(0), idle: Span::ZERO };
        Cipher { helpers, worth, hands: Mutex::new(hands) }
    }

    /// Whether there is anybody to share it with.
    pub const fn is_shared(&self) -> bool {
        self.helpers > 0
    }

    /// Seals what is still to be sealed.
    pub fn seal(&self, batch: &mut Batch) {
        let shares = self.shares(batch.bytes());
        let mut pieces = Vec::new();
        batch.unsealed(&mut |to, datagram, task| {
            if shares {
                pieces.push(Piece { address: *to, datagram, task: Some(task) });
            } else {
                task.run(datagram);
            }
        });
        self.work(&mut pieces);
    }

    /// Opens them as `task` says, if they are worth sharing. Forged ones are emptied.
    pub fn open(&self, pieces: &mut [Piece], task: &dyn Fn(&[u8]) -> Option<Task>) {
        if self.shares(pieces.iter().map(|piece| piece.datagram.len()).sum()) {
            for piece in pieces.iter_mut() {
                piece.task = task(piece.datagram);
            }
            self.work(pieces);
        }
    }

    fn work(&self, pieces: &mut [Piece]) {
        if !pieces.is_empty() {
            crew::share(self.helpers, pieces, &Piece::work);
        }
    }

    /// Whether others help with so many bytes.
    fn shares(&self, bytes: usize) -> bool {
        if bytes < self.worth {
            return false;
        }
        self.hands.lock().unwrap_or_else(PoisonError::into_inner).help(clock::now())
    }
}

impl Hands {
    /// Asked whenever there is work that is worth it.
    fn help(&mut self, now: Time) -> bool {
        let past = now.since(self.since);
        if past >= if self.help { HELP } else { LOOK } {
            let idle = file::text(Path::new("/proc/stat")).ok().and_then(|text| idle(&text)).unwrap_or_default();
            let spare = idle.0.saturating_sub(self.idle.0).saturating_mul(SPARE);
            // In a pause everybody has time.
            self.help = !self.help && past < LOOK + LOOK && spare >= past.0;
            (self.since, self.idle) = (now, idle);
        }
        self.help
    }
}

/// What all processors together have had to spare, by the first line of /proc/stat (proc_stat(5)): its fourth number, in
/// hundredths of a second.
fn idle(stat: &str) -> Option<Span> {
    let hundredths: u64 = stat.strip_prefix("cpu ")?.split_ascii_whitespace().nth(3)?.parse().ok()?;
    Some(Span::from_millis(hundredths.saturating_mul(10)))
}

/// Bytes that take [`WORTH`]. The quickest of a few counts: others may have been interrupted.
fn worth() -> usize {
    let mut text = [0; 16 * 1024];
    let mut seal = || {
        let from = clock::now();
        sealing::sample(&mut text);
        clock::now().since(from).as_micros() as usize
    };
    let took = (0..4).map(|_| seal()).min().unwrap_or(0).max(1);
    text.len() * WORTH / took
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bond::frame::{HEADER, PathId, TAG};

    fn cipher(worth: usize) -> Cipher {
        let hands = Hands { help: true, since: clock::now(), idle: Span::ZERO };
        Cipher { helpers: 2, worth, hands: Mutex::new(hands) }
    }

    #[test]
    fn shared_work_comes_out_as_ones_own() {
        let (key, to, path) = (seal::Key::new(&[7; 32]), Address::Ethernet([2; 6]), PathId::default());
        let sealed = [usize::MAX, 0].map(|worth| {
            let mut batch = Batch::new();
            for number in 0..200u8 {
                let (bytes, later) = batch.slot(&to, HEADER + usize::from(number) + TAG).expect("room");
                bytes[0] = number;
                // A handshake's message is none of the cipher's business.
                *later = (number % 10 != 9).then(|| Task::seal(&key, path, number.into()));
            }
            cipher(worth).seal(&mut batch);
            batch.unsealed(&mut |_, _, _| panic!("it is sealed"));
            batch.datagrams().map(<[u8]>::to_vec).collect::<Vec<_>>()
        });
        assert_eq!(sealed[0], sealed[1]);

        let mut came = sealed[0].clone();
        came[8][HEADER] ^= 1;
        let piece = |datagram| Piece { address: to, datagram, task: None };
        let mut arrived: Vec<Piece> = came.iter_mut().map(|datagram| piece(&mut **datagram)).collect();
        let opening = |datagram: &[u8]| (datagram[0] % 10 != 9).then(|| Task::open(&key, path, datagram[0].into()));
        cipher(usize::MAX).open(&mut arrived, &opening);
        assert!(arrived.iter().all(|arrival| arrival.task.is_none()), "too little to be shared");
        cipher(0).open(&mut arrived, &opening);
        for (number, Piece { datagram, task, .. }) in arrived.iter().enumerate() {
            match number {
                8 => assert!(datagram.is_empty(), "forged"),
                _ if number % 10 == 9 => assert!(task.is_none() && **datagram == sealed[0][number]),
                _ => assert!(task.is_some() && datagram[HEADER..HEADER + number].iter().all(|byte| *byte == 0)),
            }
        }
    }

    #[test]
    fn spare_time_is_read() {
        assert_eq!(idle("cpu  10 0 20 345 1 0 2 0 0 0\ncpu0 1"), Some(Span::from_millis(3_450)));
        for odd in ["", "cpu", "cpu 1 2 3", "cpu 1 2 3 x", "cpu0 1 2 3 4"] {
            assert_eq!(idle(odd), None, "{odd}");
        }
        assert!(idle(&file::text(Path::new("/proc/stat")).expect("the kernel's")) > Some(Span::ZERO));
    }
}
