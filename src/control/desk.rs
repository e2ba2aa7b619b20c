//! The desk between the threads that clients talk to and the main loop: requests go in, answers come back.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, TrySendError};
use std::time::Duration;

use super::queue::{Receiver, Sender, queue};
use super::{Code, Exit, Value};

/// A document, or why there is none.
pub type Answer = Result<Value, Exit>;

/// What a client wants of the main loop: look at the words, then [`answer`](Request::answer), at once or later.
pub struct Request {
    /// `["races", "20"]`; never empty.
    pub words: Vec<String>,
    reply: Box<dyn FnOnce(Answer) + Send>,
}

impl Request {
    /// Never blocks. The client may be gone: then nobody reads the answer.
    pub fn answer(self, answer: Answer) {
        (self.reply)(answer);
    }
}

/// How long the main loop may take: it may be loading a ruleset, or wait for a probe's answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Requests that a busy main loop finds when it returns: a status page asks half a dozen at once.
const WAITING: usize = 16;

#[derive(Clone)]
pub struct Desk {
    sender: Sender<Request>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Desk {
    /// Each request arrives at the receiver, and then `wake` is called, by the thread that asked.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> (Self, Receiver<Request>) {
        let (sender, receiver) = queue(WAITING);
        (Desk { sender, wake: Arc::new(wake) }, receiver)
    }

    /// Hands in a request. `reply`, called by the main loop, must not block; it is dropped uncalled if the daemon ends.
    pub fn submit(&self, words: Vec<String>, reply: impl FnOnce(Answer) + Send + 'static) -> Result<(), Exit> {
        let why = match self.sender.send(Request { words, reply: Box::new(reply) }) {
            Ok(()) => {
                (self.wake)();
                return Ok(());
            }
            Err(TrySendError::Full(_)) => "the daemon is busy; try again in a moment",
            Err(TrySendError::Disconnected(_)) => "the daemon is about to stop",
        };
        Err(Exit::new(Code::Failed, why))
    }

    /// Hands in a request and waits for its answer.
    pub fn ask(&self, words: Vec<String>) -> Answer {
        let (reply, answer) = queue(1);
        self.submit(words, move |answer| _ = reply.send(answer))?;
        answer.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            let why = match error {
                RecvTimeoutError::Timeout => "the daemon does not answer; it may hang: look at its log",
                RecvTimeoutError::Disconnected => "the daemon dropped the request",
            };
            Err(Exit::new(Code::Failed, why))
        })
    }
}
