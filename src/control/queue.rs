//! A queue from some threads to one, with a bound. (std's channels come in three kinds, 12 KB of code more.)

use std::collections::VecDeque;
use std::sync::mpsc::{RecvTimeoutError, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::linux::wait::Changes;

pub struct Sender<T>(Arc<Shared<T>>);

/// When it is dropped, what waits is dropped with it.
pub struct Receiver<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    changes: Changes,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// The most that may wait.
    bound: usize,
    senders: usize,
    received: bool,
}

pub fn queue<T>(bound: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { waiting: VecDeque::new(), bound, senders: 1, received: true };
    let shared = Arc::new(Shared { state: Mutex::new(state), changes: Changes::default() });
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Shared<T> {
    fn open(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<T> {
    /// Never blocks.
    pub fn send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut state = self.0.open();
        if !state.received {
            return Err(TrySendError::Disconnected(value));
        }
        if state.waiting.len() >= state.bound {
            return Err(TrySendError::Full(value));
        }
        state.waiting.push_back(value);
        self.0.changes.tell();
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.open().senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.open().senders -= 1;
        self.0.changes.tell();
    }
}

impl<T> Receiver<T> {
    /// The next one, if there is one now.
    pub fn take(&self) -> Option<T> {
        self.0.open().waiting.pop_front()
    }

    /// The next one; waits for it. `Disconnected` if there will be none.
    pub fn recv_timeout(&self, patience: Duration) -> Result<T, RecvTimeoutError> {
        let idle = |state: &State<T>| state.waiting.is_empty() && state.senders > 0;
        let mut state = self.0.changes.wait_while(&self.0.state, patience, idle);
        match state.waiting.pop_front() {
            Some(value) => Ok(value),
            None if state.senders == 0 => Err(RecvTimeoutError::Disconnected),
            None => Err(RecvTimeoutError::Timeout),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.open();
            state.received = false;
            core::mem::take(&mut state.waiting)
        };
        // Not under the lock: a value may hold a sender.
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn what_is_sent_arrives_in_order_up_to_the_bound() {
        let (sender, receiver) = queue(2);
        assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
        assert_eq!((sender.send(1), sender.send(2), sender.send(3)), (Ok(()), Ok(()), Err(TrySendError::Full(3))));
        let other = sender.clone();
        assert_eq!((receiver.take(), other.send(4)), (Some(1), Ok(())));
        drop(sender);
        assert_eq!((receiver.recv_timeout(LONG), receiver.take(), receiver.take()), (Ok(2), Some(4), None));
        drop(other);
        assert_eq!(receiver.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn who_waits_is_woken() {
        let (sender, receiver) = queue(1);
        let waits = thread::spawn(move || (receiver.recv_timeout(LONG), receiver.recv_timeout(LONG)));
        sender.send(7).unwrap();
        thread::sleep(Duration::from_millis(20));
        drop(sender);
        assert_eq!(waits.join().unwrap(), (Ok(7), Err(RecvTimeoutError::Disconnected)));
    }

    #[test]
    fn nobody_receives_any_more() {
        let (sender, receiver) = queue(2);
        let (held, holder) = queue::<()>(1);
        assert!(sender.send(held).is_ok());
        drop(receiver);
        assert_eq!(holder.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
        assert!(matches!(sender.send(queue(1).0), Err(TrySendError::Disconnected(_))));
    }
}
