//! A thread that offers the object `cheaproute`: it hands calls in at the daemon's desk, and tells subscribers what happened.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ::ubus::MsgType;
use ::ubus::envelope::{EnvBuilder, UbusAttr};

use super::blob::Table;
use super::connection::{Connection, Error, TIMEOUT};
use super::follow::{LONGEST_PAUSE, PAUSE};
use super::message::{Message, compose};
use super::object::{self, Status};
use crate::control::Value;
use crate::control::desk::{self, Answer, Desk};
use crate::linux::poll::{Poll, Waker};
use crate::linux::thread::Thread;
use crate::logging;
use crate::time::Span;

/// Calls under way. Past that, those that follow wait in the socket, and then in ubusd.
const MAX_CALLS: usize = 8;

/// What happened and was not told yet: a thread that waits for ubusd to take a message misses none in an ordinary burst.
const MAX_NOTICES: usize = 64;

/// Answering documents takes little.
const STACK: usize = 256 * 1024;

/// Longer than the daemon's own patience, since it says better what is the matter.
const PATIENCE: Duration = desk::PATIENCE.saturating_add(Duration::from_secs(1));

/// Keys of the [`Poll`].
const SOCKET: u64 = 0;
const WAKER: u64 = 1;

type Notice = (&'static str, Value);

/// Dropping it ends the thread soon after.
pub struct Object {
    inbox: Arc<Inbox>,
}

/// What the daemon has for the thread. (Channels, one for each kind, would cost 10 KB of code more.)
struct Inbox {
    mail: Mutex<Mail>,
    waker: Waker,
}

#[derive(Default)]
struct Mail {
    /// At most [`MAX_NOTICES`].
    notices: Vec<Notice>,
    /// By ticket; no more than calls are under way.
    answers: Vec<(u32, Answer)>,
    ended: bool,
}

impl Inbox {
    fn put(&self, change: impl FnOnce(&mut Mail)) {
        change(&mut self.open());
        self.waker.wake();
    }

    fn open(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that there is.
    fn take(&self) -> Mail {
        self.waker.reset();
        let mut mail = self.open();
        let ended = mail.ended;
        core::mem::replace(&mut *mail, Mail { ended, ..Mail::default() })
    }
}

impl Object {
    /// Starts the thread. Where there is no ubus, it keeps looking for one, and says so once.
    /// `paths`: see [`PATHS`](super::connection::PATHS).
    pub fn start(paths: Vec<PathBuf>, desk: Desk) -> io::Result<Self> {
        let inbox = Arc::new(Inbox { mail: Mutex::default(), waker: Waker::new()? });
        let woken = Poll::new()?;
        woken.add(&inbox.waker, WAKER, false)?;
        let mut worker =
            Worker { paths, desk, inbox: inbox.clone(), woken, calls: Vec::new(), tickets: 0, told: false };
        Thread::start(c"ubus object", STACK, Box::new(move || worker.run()))?;
        Ok(Object { inbox })
    }

    /// Tells the subscribers, if there are any. Never blocks; what finds no place is dropped.
    pub fn notify(&self, name: &'static str, data: Value) {
        self.inbox.put(|mail| {
            if mail.notices.len() < MAX_NOTICES {
                mail.notices.push((name, data));
            }
        });
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        self.inbox.put(|mail| mail.ended = true);
    }
}

/// A call that the daemon has not answered yet.
struct Call {
    ticket: u32,
    caller: Caller,
    until: Instant,
}

/// Where an answer goes.
#[derive(Clone, Copy)]
struct Caller {
    peer: u32,
    sequence: u16,
    wants_reply: bool,
}

struct Worker {
    paths: Vec<PathBuf>,
    desk: Desk,
    inbox: Arc<Inbox>,
    /// Has the inbox' waker alone.
    woken: Poll,
    calls: Vec<Call>,
    tickets: u32,
    /// That the object is not there has been said.
    told: bool,
}

impl Worker {
    fn run(&mut self) {
        let mut pause = PAUSE;
        loop {
            let begun = Instant::now();
            let mut registered = false;
            let Err(error) = self.session(&mut registered) else { return };
            self.calls.clear();
            match (&error, registered) {
                (_, true) => logging::info!("ubus: {error}; trying again"),
                (Error::Status(status), false) if !self.told => {
                    // ubusd's own word for both is that the message was wrong.
                    let why = if *status == 2 { ": the name is taken, or this user may not publish it" } else { "" };
                    logging::warn!("ubus does not take the object {}: status {status}{why}", object::NAME);
                }
                (_, false) if !self.told => logging::info!("no ubus yet: {error}"),
                _ => {}
            }
            self.told = true;
            // One that breaks again and again is as bad as none.
            if registered && begun.elapsed() > LONGEST_PAUSE {
                pause = PAUSE;
            }
            if !self.rest(pause) {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits. What happens meanwhile is told to nobody: whoever had subscribed has to do it anew. `false` at the end.
    fn rest(&mut self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        loop {
            if self.inbox.take().ended {
                return false;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            if self.woken.wait(Some(span(left)), |_| {}).is_err() {
                sleep(left);
            }
        }
    }

    /// One connection, until it fails; `Ok` at the end.
    fn session(&mut self, registered: &mut bool) -> Result<(), Error> {
        let mut connection = Connection::open(&self.paths)?;
        let own = register(&mut connection)?;
        *registered = true;
        // Whoever was told that it was not wants to know; to others it is what they expect.
        let level = if self.told { log::Level::Info } else { log::Level::Debug };
        log::log!(level, "ubus: the object {} is there", object::NAME);
        let both = Poll::new()?;
        both.add(&self.inbox.waker, WAKER, false)?;
        both.add(&connection, SOCKET, false)?;
        loop {
            while self.calls.len() < MAX_CALLS
                && let Some(message) = connection.take()?
            {
                self.incoming(&mut connection, own, &message)?;
            }
            let poll = if self.calls.len() < MAX_CALLS { &both } else { &self.woken };
            let until = self.calls.iter().map(|call| call.until).min();
            let left = until.map(|until| span(until.saturating_duration_since(Instant::now())));
            let mut readable = false;
            poll.wait(left, |key| readable |= key == SOCKET)?;
            if readable {
                connection.fill()?;
            }
            let Mail { notices, answers, ended } = self.inbox.take();
            self.outgoing(&mut connection, own, answers)?;
            for (name, data) in &notices {
                notify(&mut connection, own, name, data)?;
            }
            if ended {
                return Ok(());
            }
        }
    }

    fn incoming(&mut self, connection: &mut Connection, own: u32, message: &Message) -> Result<(), Error> {
        if message.kind != MsgType::Invoke || message.number(UbusAttr::ObjId) != Some(own) {
            return Ok(()); // who subscribes, and answers to nothing that we asked
        }
        let wants_reply = !message.flag(UbusAttr::NoReply);
        let caller = Caller { peer: message.peer, sequence: message.sequence, wants_reply };
        let method = message.text(UbusAttr::Method).unwrap_or_default();
        let request = match message.table(UbusAttr::Data) {
            Ok(arguments) => object::request(method, &arguments),
            Err(malformed) => Err((Status::InvalidArgument, malformed.to_string())),
        };
        let words = match request {
            Ok(words) => words,
            Err((status, text)) => return send(connection, own, caller, object::error(status, &text)),
        };
        self.tickets = self.tickets.wrapping_add(1);
        let (ticket, inbox) = (self.tickets, self.inbox.clone());
        match self.desk.submit(words, move |answer| inbox.put(|mail| mail.answers.push((ticket, answer)))) {
            Ok(()) => self.calls.push(Call { ticket, caller, until: Instant::now() + PATIENCE }),
            Err(exit) => send(connection, own, caller, object::reply(Err(exit)))?,
        }
        Ok(())
    }

    /// Sends what the daemon answered, and gives up on what it did not.
    fn outgoing(&mut self, connection: &mut Connection, own: u32, answers: Vec<(u32, Answer)>) -> Result<(), Error> {
        for (ticket, answer) in answers {
            if let Some(at) = self.calls.iter().position(|call| call.ticket == ticket) {
                let call = self.calls.swap_remove(at);
                send(connection, own, call.caller, object::reply(answer))?;
            }
        }
        let now = Instant::now();
        while let Some(at) = self.calls.iter().position(|call| call.until <= now) {
            let call = self.calls.swap_remove(at);
            send(connection, own, call.caller, object::error(Status::Timeout, "the daemon does not answer"))?;
        }
        Ok(())
    }
}

/// Makes the object known; its number.
fn register(connection: &mut Connection) -> Result<u32, Error> {
    let until = Instant::now() + TIMEOUT;
    let sequence = connection.next_sequence();
    let mut attributes = EnvBuilder::new();
    attributes.push_str(UbusAttr::ObjPath, object::NAME);
    attributes.push_signature(object::signature().bytes());
    connection.send(&compose(MsgType::AddObject, sequence, 0, attributes)?)?;
    let mut own = None;
    loop {
        let message = connection.receive(Some(until))?.ok_or(Error::Timeout)?;
        if message.sequence != sequence || message.peer != 0 {
            continue;
        }
        match message.kind {
            MsgType::Data => own = message.number(UbusAttr::ObjId),
            MsgType::Status => match message.number(UbusAttr::Status).ok_or(Error::Malformed)? {
                0 => return own.ok_or(Error::Malformed),
                status => return Err(Error::Status(status)),
            },
            _ => {}
        }
    }
}

fn send(
    connection: &mut Connection,
    own: u32,
    caller: Caller,
    (data, status): (Option<Table>, Status),
) -> Result<(), Error> {
    if !caller.wants_reply {
        return Ok(());
    }
    let mut answer = |kind, fill: &dyn Fn(&mut EnvBuilder)| {
        let mut attributes = EnvBuilder::new();
        attributes.push_u32(UbusAttr::ObjId, own);
        fill(&mut attributes);
        connection.send(&compose(kind, caller.sequence, caller.peer, attributes)?)
    };
    if let Some(data) = data {
        answer(MsgType::Data, &|attributes| attributes.push_data(data.bytes()))?;
    }
    answer(MsgType::Status, &|attributes| attributes.push_u32(UbusAttr::Status, status as u32))
}

fn notify(connection: &mut Connection, own: u32, name: &str, data: &Value) -> Result<(), Error> {
    let Some(data) = object::table(data) else { return Ok(()) };
    let mut attributes = EnvBuilder::new();
    attributes.push_u32(UbusAttr::ObjId, own);
    attributes.push_str(UbusAttr::Method, name);
    attributes.push_u8(UbusAttr::NoReply, 1);
    attributes.push_data(data.bytes());
    let sequence = connection.next_sequence();
    connection.send(&compose(MsgType::Notify, sequence, own, attributes)?)
}

fn span(duration: Duration) -> Span {
    Span::from_micros(duration.as_secs() * 1_000_000 + u64::from(duration.subsec_micros()))
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
