//! Probes that are more than one packet each way, under way: sockets for the codecs of [`crate::probe`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::linux::connect::Connection;
use crate::linux::poll::Poll;
use crate::logging;
use crate::probe::dns::{self, Question};
use crate::probe::http::{self, Verdict};
use crate::probe::{Host, MAX_TARGETS, Page, Target, Token};
use crate::time::{Span, Time};

use super::probes::KEY;

/// Datagrams that are looked at in a turn: a flood of them gets no more of it than this.
const DATAGRAMS: usize = 16;

/// Who resolves names for a link that probes no resolver: Quad9, which keeps no record of who asks.
const RESOLVERS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9)), IpAddr::V6(Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe))];

/// What came of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Answered,
    Failed,
    /// Answered by somebody else: a captive portal.
    Foreign,
}

/// Where the sockets of a link go out.
pub struct Way<'a> {
    pub device: &'a str,
    pub mark: u32,
    pub ipv4: bool,
    pub targets: &'a [Target],
    pub poll: &'a Poll,
}

impl Way<'_> {
    fn stream(&self, to: SocketAddr) -> io::Result<Connection> {
        let connection = Connection::stream(self.device, self.mark, to)?;
        self.poll.add(&connection, KEY, true)?;
        Ok(connection)
    }

    fn ask(&self, to: SocketAddr, question: &Question) -> io::Result<Connection> {
        let message = question.message().ok_or(io::ErrorKind::InvalidInput)?;
        let connection = Connection::datagrams(self.device, self.mark, to)?;
        connection.send(&message)?;
        self.poll.add(&connection, KEY, false)?;
        Ok(connection)
    }

    /// Who resolves names: the resolvers that are probed, in a family that the link has, and ours. `turn`: whose turn it is.
    fn resolver(&self, turn: usize) -> SocketAddr {
        let probed = self.targets.iter().filter_map(|target| match target {
            Target::Dns(server, _) if server.is_ipv4() == self.ipv4 => Some(*server),
            _ => None,
        });
        let mut all: Vec<SocketAddr> = probed.collect();
        all.push(SocketAddr::new(RESOLVERS[usize::from(!self.ipv4)], 53));
        all[turn % all.len()]
    }
}

/// Addresses of names, for as long as they may be kept, or nobody knows better.
#[derive(Default)]
pub struct Names {
    known: Vec<(Box<str>, IpAddr, Time)>,
    /// How often no resolver answered.
    failures: usize,
}

/// As long as a resolver that failed is left alone where an old address does.
const RELIEF: Span = Span::from_secs(60);

impl Names {
    fn get(&self, name: &str, now: Time) -> Option<IpAddr> {
        self.known.iter().find(|(known, _, until)| **known == *name && *until > now).map(|(_, address, _)| *address)
    }

    fn put(&mut self, name: &str, address: IpAddr, until: Time) {
        self.forget(name);
        // No link has more names than targets.
        self.known.truncate(MAX_TARGETS - 1);
        self.known.push((name.into(), address, until));
    }

    /// No longer to be relied on: the next probe asks again.
    fn forget(&mut self, name: &str) {
        self.known.retain(|(known, ..)| **known != *name);
    }

    /// It was not resolved: the next resolver may do it, and an address of before that was good still may be.
    fn fails(&mut self, name: &str, now: Time) {
        self.failures = self.failures.wrapping_add(1);
        if let Some((.., until)) = self.known.iter_mut().find(|(known, ..)| **known == *name) {
            *until = now + RELIEF;
        }
    }

    pub fn clear(&mut self) {
        self.known.clear();
    }
}

/// A probe under way.
pub struct Asking {
    pub token: Token,
    /// Nobody waits for it any more.
    pub until: Time,
    target: usize,
    stage: Stage,
}

enum Stage {
    Handshake(Connection),
    Dns(Connection),
    /// An HTTP probe's name is being resolved.
    Name(Connection),
    /// Its connection is being made, or its page waited for.
    Page {
        connection: Connection,
        connected: bool,
        bytes: Vec<u8>,
    },
}

impl Stage {
    fn page(connection: Connection) -> Stage {
        Stage::Page { connection, connected: false, bytes: Vec::new() }
    }
}

impl Asking {
    /// Begins to ask target number `target`, which is not one for an echo.
    pub fn begin(
        target: usize,
        token: Token,
        until: Time,
        names: &mut Names,
        way: &Way,
        now: Time,
    ) -> io::Result<Asking> {
        let stage = match way.targets.get(target) {
            Some(Target::Tcp(to)) => Stage::Handshake(way.stream(*to)?),
            Some(Target::Dns(server, name)) => Stage::Dns(way.ask(*server, &question(name, token, server.is_ipv4()))?),
            Some(Target::Http(page)) => match &page.host {
                Host::Address(address) => Stage::page(way.stream((*address, page.port).into())?),
                Host::Name(name) => match names.get(name, now) {
                    // There may be no way to that address any more, since the link has lost its family.
                    Some(address) => {
                        Stage::page(way.stream((address, page.port).into()).inspect_err(|_| names.forget(name))?)
                    }
                    None => {
                        let asked = way.ask(way.resolver(names.failures), &question(name, token, way.ipv4));
                        Stage::Name(asked.inspect_err(|_| names.fails(name, now))?)
                    }
                },
            },
            Some(Target::Icmp(_)) | None => return Err(io::ErrorKind::InvalidInput.into()),
        };
        Ok(Asking { token, until, target, stage })
    }

    /// Goes on as far as it can without waiting; the outcome, once there is one.
    pub fn turn(&mut self, names: &mut Names, way: &Way, now: Time) -> Option<Outcome> {
        // A stage may lead to the next; there are three at most.
        for _ in 0..3 {
            let target = way.targets.get(self.target)?;
            match (&mut self.stage, target) {
                (Stage::Handshake(connection), _) => {
                    return connection.ended().map(|end| match end {
                        // A refusal is an answer: the host is there.
                        Err(error) if error.kind() != io::ErrorKind::ConnectionRefused => Outcome::Failed,
                        _ => Outcome::Answered,
                    });
                }
                (Stage::Dns(connection), Target::Dns(server, name)) => {
                    return match receive(connection, &question(name, self.token, server.is_ipv4())) {
                        Ok(answer) => {
                            answer.map(|answer| if answer.fails { Outcome::Failed } else { Outcome::Answered })
                        }
                        Err(_) => Some(Outcome::Failed),
                    };
                }
                (Stage::Name(connection), Target::Http(page)) => {
                    let Host::Name(name) = &page.host else { return Some(Outcome::Failed) };
                    let answer = match receive(connection, &question(name, self.token, way.ipv4)) {
                        Ok(answer) => answer?.address,
                        Err(_) => None,
                    };
                    let Some((address, lifetime)) = answer else {
                        logging::debug!("probe over {}: {name} is not resolved", way.device);
                        names.fails(name, now);
                        return Some(Outcome::Failed);
                    };
                    names.put(name, address, now + Span::from_secs(lifetime.into()));
                    match way.stream((address, page.port).into()) {
                        Ok(connection) => self.stage = Stage::page(connection),
                        Err(_) => return Some(Outcome::Failed),
                    }
                }
                (Stage::Page { connection, connected: connected @ false, .. }, Target::Http(page)) => {
                    let sent = match connection.ended()? {
                        Ok(()) => {
                            let sent = connection.send(&http::request(page));
                            sent.and_then(|()| way.poll.change(&*connection, KEY, false))
                        }
                        Err(error) => Err(error),
                    };
                    if sent.is_err() {
                        give_up(names, page);
                        return Some(Outcome::Failed);
                    }
                    *connected = true;
                }
                (Stage::Page { connection, bytes, .. }, Target::Http(page)) => {
                    // A portal resolves names as well: to itself.
                    return read(connection, bytes).inspect(|outcome| {
                        if *outcome != Outcome::Answered {
                            give_up(names, page)
                        }
                    });
                }
                _ => return Some(Outcome::Failed),
            }
        }
        None
    }

    /// The probe is over without an answer: a name's address may be the reason.
    pub fn lost(&self, names: &mut Names, targets: &[Target], now: Time) {
        let Some(Target::Http(page)) = targets.get(self.target) else { return };
        match (&self.stage, &page.host) {
            (Stage::Page { .. }, _) => give_up(names, page),
            (Stage::Name(_), Host::Name(name)) => names.fails(name, now),
            _ => {}
        }
    }
}

fn give_up(names: &mut Names, page: &Page) {
    if let Host::Name(name) = &page.host {
        names.forget(name);
    }
}

/// The token hides the question's number from those who do not see it, as the socket's port does.
fn question(name: &str, token: Token, ipv4: bool) -> Question<'_> {
    let kind = match (name, ipv4) {
        ("", _) => dns::Kind::NameServers,
        (_, true) => dns::Kind::Ipv4,
        (_, false) => dns::Kind::Ipv6,
    };
    Question { id: token.0 as u16, name, kind }
}

/// The answer, if it came. What else comes is not ours, and not listened to.
fn receive(connection: &Connection, question: &Question) -> io::Result<Option<dns::Answer>> {
    let mut buffer = [0; dns::LENGTH];
    for _ in 0..DATAGRAMS {
        match connection.receive(&mut buffer) {
            Ok(bytes) => {
                if let Some(answer) = question.answer(bytes) {
                    return Ok(Some(answer));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn read(connection: &Connection, bytes: &mut Vec<u8>) -> Option<Outcome> {
    let mut buffer = [0; 512];
    loop {
        // A stream that was reset says no more, and has not come to its end.
        let (ended, reset) = match connection.receive(&mut buffer) {
            Ok([]) => (true, false),
            Ok(more) => {
                bytes.extend(more);
                (false, false)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(_) => (false, true),
        };
        return Some(match http::judge(bytes, ended) {
            Verdict::Good => Outcome::Answered,
            Verdict::Wrong => Outcome::Foreign,
            Verdict::Silent => Outcome::Failed,
            Verdict::Open if reset => Outcome::Failed,
            Verdict::Open => continue,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_000_000_000);

    /// A resolver that is out takes no probe with it for long: the next one is asked, or the old address.
    #[test]
    fn a_name_outlives_its_resolver() {
        let targets = ["dns:192.0.2.1", "icmp:192.0.2.2", "dns:192.0.2.3", "dns:2001:db8::1"];
        let targets: Vec<Target> = targets.iter().map(|text| text.parse().unwrap()).collect();
        let poll = Poll::new().unwrap();
        let mut names = Names::default();
        let way = Way { device: "eth1", mark: 0, ipv4: true, targets: &targets, poll: &poll };
        let mut asked = Vec::new();
        for _ in 0..4 {
            asked.push(way.resolver(names.failures).ip().to_string());
            names.fails("a.example", NOW);
        }
        assert_eq!(asked, ["192.0.2.1", "192.0.2.3", "9.9.9.9", "192.0.2.1"]);
        let address = IpAddr::from([192, 0, 2, 9]);
        names.put("a.example", address, NOW + Span::from_secs(60));
        let late = NOW + Span::from_secs(61);
        assert_eq!(names.get("a.example", late), None);
        names.fails("b.example", late);
        assert_eq!(names.get("a.example", late), None);
        names.fails("a.example", late);
        assert_eq!(names.get("a.example", late + Span::from_secs(59)), Some(address));
        names.forget("a.example");
        names.fails("a.example", late);
        assert_eq!(names.get("a.example", late), None, "it did not lead there");
    }
}
