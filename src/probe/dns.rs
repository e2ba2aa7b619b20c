//! DNS messages as far as a probe needs them (RFC 1035, section 4): one question, and whether something answers it.
//!
//! ```text
//! 0  id  2  flags  4  questions  6  answers  8  authorities  10  additionals  12  the question, then records
//! ```
//! All that is malformed ends here, as `None`. Compressed names are stepped over and never followed: no loop can be built.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest message that we read: what every resolver keeps to when no larger size is offered (RFC 1035, 4.2.1).
pub const LENGTH: usize = 512;

/// A lifetime as it is of use: short ones would ask too often, long ones outlive a server's move.
const LIFETIMES: (u32, u32) = (60, 3_600);

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Kind {
    Ipv4 = 1,
    /// For the root's name servers: every resolver has them at hand.
    NameServers = 2,
    Ipv6 = 28,
}

/// What is asked for, of which name, and under which number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question<'a> {
    pub id: u16,
    /// Empty for the root.
    pub name: &'a str,
    pub kind: Kind,
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// The name's first address and for how many seconds it may be kept, 60 to 3600.
    pub address: Option<(IpAddr, u32)>,
    /// The server has nobody to ask: it may stand on this side of a link that is dead.
    pub fails: bool,
}

const IN: u16 = 1;
/// Recursion desired.
const QUERY: u16 = 0x0100;
const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
/// The code of response, and SERVFAIL (RFC 1035, 4.1.1).
const CODE: u16 = 0x000F;
const FAILURE: u16 = 2;

impl Question<'_> {
    /// The message that asks it; `None` if the name cannot be one.
    pub fn message(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.name.len() + 18);
        for word in [self.id, QUERY, 1, 0, 0, 0] {
            bytes.extend(word.to_be_bytes());
        }
        for label in self.name.split('.').filter(|_| !self.name.is_empty()) {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
            bytes.push(length);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend((self.kind as u16).to_be_bytes());
        bytes.extend(IN.to_be_bytes());
        // RFC 1035, 2.3.4: a name has 255 octets at most.
        (bytes.len() <= 12 + 255 + 4).then_some(bytes)
    }

    /// Reads what came to the question's socket. Any code of response is an answer: that a name does not exist, say, shows
    /// as well that the link works. Only SERVFAIL does not.
    pub fn answer(&self, bytes: &[u8]) -> Option<Answer> {
        let asked = self.message()?;
        let mut reader = Reader { rest: bytes };
        let (id, flags, questions, answers) = (reader.word()?, reader.word()?, reader.word()?, reader.word()?);
        reader.take(4)?;
        if id != self.id || flags & (RESPONSE | OPCODE) != RESPONSE || questions != 1 {
            return None;
        }
        // Letters may come back in another case; lengths and types have no letters among their values.
        let question = asked.get(12..)?;
        let same = reader.take(question.len())?.eq_ignore_ascii_case(question);
        if !same {
            return None;
        }
        let mut answer = Answer { address: None, fails: flags & CODE == FAILURE };
        for _ in 0..answers {
            match reader.record() {
                Some(record) => answer.address = answer.address.or_else(|| self.address(record)),
                // A resolver may cut a record in two where it says so.
                None if flags & TRUNCATED != 0 => break,
                None => return None,
            }
        }
        Some(answer)
    }

    /// The address that the record holds, if it is of the kind asked for. Its name may be another: aliases lead there.
    fn address(&self, record: Record) -> Option<(IpAddr, u32)> {
        if (record.kind, record.class) != (self.kind as u16, IN) {
            return None;
        }
        let address: IpAddr = match self.kind {
            Kind::Ipv4 => Ipv4Addr::from(<[u8; 4]>::try_from(record.data).ok()?).into(),
            Kind::Ipv6 => Ipv6Addr::from(<[u8; 16]>::try_from(record.data).ok()?).into(),
            Kind::NameServers => return None,
        };
        super::target::is_elsewhere(address).then_some((address, record.lifetime.clamp(LIFETIMES.0, LIFETIMES.1)))
    }
}

struct Record<'a> {
    kind: u16,
    class: u16,
    lifetime: u32,
    data: &'a [u8],
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn word(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// Steps over a name: labels up to the root's, or up to a pointer (RFC 1035, 4.1.4).
    fn name(&mut self) -> Option<()> {
        loop {
            match *self.take(1)?.first()? {
                0 => return Some(()),
                length @ 1..=63 => self.take(length.into())?,
                0xC0.. => return self.take(1).map(drop),
                _ => return None,
            };
        }
    }

    fn record(&mut self) -> Option<Record<'a>> {
        self.name()?;
        let (kind, class) = (self.word()?, self.word()?);
        let lifetime = self.take(4)?.try_into().ok().map(u32::from_be_bytes)?;
        let length = self.word()?;
        Some(Record { kind, class, lifetime, data: self.take(length.into())? })
    }
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
