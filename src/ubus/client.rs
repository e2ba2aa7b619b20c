//! Calls and subscriptions over one connection, each waited for: not for the main thread.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use ::ubus::MsgType;
use ::ubus::envelope::{EnvBuilder, UbusAttr};

use super::blob::Table;
use super::connection::{Connection, Error, TIMEOUT};
use super::message::{Message, compose};

pub struct Client {
    connection: Connection,
    /// What arrived while an answer was awaited. One is enough: news say that there is something to ask for.
    news: Option<News>,
}

/// What a subscription brings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum News {
    Notified,
    /// The object subscribed to is no more.
    Gone,
}

impl Client {
    /// See [`Connection::open`].
    pub fn connect(paths: &[impl AsRef<Path>]) -> Result<Self, Error> {
        Ok(Client { connection: Connection::open(paths)?, news: None })
    }

    /// Calls a method. Objects are looked up each time: one that restarts has another number.
    pub fn invoke(&mut self, object: &str, method: &str, arguments: &Table) -> Result<Table, Error> {
        let id = self.lookup(object)?;
        let answer = self.request(MsgType::Invoke, id, |attributes| {
            attributes.push_u32(UbusAttr::ObjId, id);
            attributes.push_str(UbusAttr::Method, method);
            attributes.push_data(arguments.bytes());
        })?;
        answer.map_or(Ok(Table::default()), |data| Ok(data.table(UbusAttr::Data)?))
    }

    /// From now on, [`Client::news`] has what `object` notifies of.
    pub fn subscribe(&mut self, object: &str) -> Result<(), Error> {
        let target = self.lookup(object)?;
        // Subscribers are objects. Ours has no name and no methods: a stranger who calls it makes us ask once more.
        let added = self.request(MsgType::AddObject, 0, |_| ())?;
        let own = added.and_then(|data| data.number(UbusAttr::ObjId)).ok_or(Error::Malformed)?;
        self.request(MsgType::Subscribe, 0, |attributes| {
            attributes.push_u32(UbusAttr::ObjId, own);
            attributes.push_u32(UbusAttr::Target, target);
        })
        .map(drop)
    }

    /// Waits for news; `None` if the time is up first.
    pub fn news(&mut self, until: Option<Instant>) -> Result<Option<News>, Error> {
        loop {
            if let Some(news) = self.news.take() {
                return Ok(Some(news));
            }
            let Some(message) = self.connection.receive(until)? else { return Ok(None) };
            self.unasked(&message)?;
        }
    }

    /// See [`Connection::handle`].
    pub fn handle(&self) -> Result<UnixStream, Error> {
        Ok(self.connection.handle()?)
    }

    fn lookup(&mut self, object: &str) -> Result<u32, Error> {
        let found = self.request(MsgType::Lookup, 0, |attributes| attributes.push_str(UbusAttr::ObjPath, object))?;
        found.and_then(|data| data.number(UbusAttr::ObjId)).ok_or(Error::Status(Error::NOT_FOUND))
    }

    /// Sends a request and waits for its status; returns the last of the data before it.
    fn request(
        &mut self,
        kind: MsgType,
        peer: u32,
        fill: impl FnOnce(&mut EnvBuilder),
    ) -> Result<Option<Message>, Error> {
        let mut attributes = EnvBuilder::new();
        fill(&mut attributes);
        self.exchange(kind, peer, attributes)
    }

    #[inline(never)]
    fn exchange(&mut self, kind: MsgType, peer: u32, attributes: EnvBuilder) -> Result<Option<Message>, Error> {
        let until = Instant::now() + TIMEOUT;
        let sequence = self.connection.next_sequence();
        self.connection.send(&compose(kind, sequence, peer, attributes)?)?;
        let mut data = None;
        loop {
            let message = self.connection.receive(Some(until))?.ok_or(Error::Timeout)?;
            // Any client may send us an answer, and guess the sequence; the peer is ubusd's word.
            let ours = message.sequence == sequence && message.peer == peer;
            match message.kind {
                MsgType::Data if ours => data = Some(message),
                MsgType::Status if ours => match message.number(UbusAttr::Status).ok_or(Error::Malformed)? {
                    0 => return Ok(data),
                    status => return Err(Error::Status(status)),
                },
                _ => self.unasked(&message)?,
            }
        }
    }

    fn unasked(&mut self, message: &Message) -> Result<(), Error> {
        let news = match message.kind {
            MsgType::Invoke => News::Notified,
            MsgType::Unsubscribe => News::Gone,
            _ => return Ok(()),
        };
        self.news = self.news.max(Some(news));
        // netifd asks for no reply. Whoever does would wait for it.
        if news == News::Notified
            && !message.flag(UbusAttr::NoReply)
            && let Some(own) = message.number(UbusAttr::ObjId)
        {
            let mut attributes = EnvBuilder::new();
            attributes.push_u32(UbusAttr::ObjId, own);
            attributes.push_u32(UbusAttr::Status, 0);
            self.connection.send(&compose(MsgType::Status, message.sequence, message.peer, attributes)?)?;
        }
        Ok(())
    }
}
