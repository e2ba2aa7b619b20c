//! The object `cheaproute`: its methods, and documents as ubus carries them.

use std::net::IpAddr;

use ::ubus::blobmsg::{BlobBuilder, BlobType};

use super::blob::{MAX_BYTES, Table};
use crate::config::{Protocol, is_device};
use crate::control::{Code, Exit, Value};

pub const NAME: &str = "cheaproute";

/// `UBUS_STATUS_*` of `ubusmsg.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Status {
    Ok = 0,
    InvalidArgument = 2,
    MethodNotFound = 3,
    Timeout = 7,
    UnknownError = 9,
}

impl From<Code> for Status {
    /// A request that the daemon refuses as wrong names a link that it does not have.
    fn from(code: Code) -> Self {
        match code {
            Code::Usage => Status::InvalidArgument,
            _ => Status::UnknownError,
        }
    }
}

/// What a method takes.
struct Argument {
    name: &'static str,
    takes: Takes,
}

enum Takes {
    Link,
    /// 1 to [`MOST`]; without it, so many.
    Count(&'static str),
    /// Yes and no as the daemon's words.
    Flag(&'static str, &'static str),
    /// As `NAME=ADDRESS`, like the two that follow; and whether there must be one.
    Address(bool),
    /// What a rule's `proto` takes.
    Protocol,
    /// Without it, this one or none.
    Port(Option<u16>),
    Device,
}

/// As for `--count` on the command line.
const MOST: u32 = 100_000;

/// As for `cheaproute why`.
const WEB: u16 = 443;

struct Method {
    name: &'static str,
    /// The first word of the daemon's request; the arguments are the others.
    word: &'static str,
    arguments: &'static [Argument],
}

const LINK: Argument = Argument { name: "link", takes: Takes::Link };
/// The command line's default.
const COUNT: Argument = Argument { name: "count", takes: Takes::Count("20") };
const UP: Argument = Argument { name: "up", takes: Takes::Flag("up", "down") };

/// A name is not resolved here: that takes its time.
const TO: Argument = Argument { name: "to", takes: Takes::Address(true) };
const FROM: Argument = Argument { name: "from", takes: Takes::Address(false) };
const PROTO: Argument = Argument { name: "proto", takes: Takes::Protocol };
const PORT: Argument = Argument { name: "port", takes: Takes::Port(Some(WEB)) };
const FROM_PORT: Argument = Argument { name: "from_port", takes: Takes::Port(None) };
const DEVICE: Argument = Argument { name: "device", takes: Takes::Device };

const METHODS: [Method; 12] = [
    Method { name: "status", word: "status", arguments: &[] },
    Method { name: "links", word: "links", arguments: &[] },
    Method { name: "races", word: "races", arguments: &[COUNT] },
    Method { name: "memory", word: "memory", arguments: &[COUNT] },
    Method { name: "policies", word: "policies", arguments: &[] },
    Method { name: "peers", word: "peers", arguments: &[] },
    Method { name: "events", word: "events", arguments: &[] },
    Method { name: "why", word: "why", arguments: &[TO, PROTO, PORT, FROM, FROM_PORT, DEVICE] },
    Method { name: "genkey", word: "genkey", arguments: &[] },
    Method { name: "reload", word: "reload", arguments: &[] },
    Method { name: "probe", word: "probe", arguments: &[LINK] },
    Method { name: "set_link", word: "link", arguments: &[LINK, UP] },
];

/// Names and arguments of the methods, as ADD_OBJECT says them and `ubus -v list` shows them.
pub fn signature() -> Table {
    Table::build(|b| {
        for method in &METHODS {
            b.open_table(Some(method.name));
            for argument in method.arguments {
                let kind = match argument.takes {
                    Takes::Link | Takes::Address(_) | Takes::Protocol | Takes::Device => BlobType::String,
                    Takes::Count(_) | Takes::Port(_) => BlobType::Int32,
                    Takes::Flag(..) => BlobType::Int8,
                };
                b.put_i32(Some(argument.name), kind as i32);
            }
            b.close_table();
        }
    })
}

/// What a call asks of the daemon, or why it cannot. Arguments that a method does not know are ignored: uhttpd adds
/// `ubus_rpc_session` to all calls. So are those that are null.
pub fn request(method: &str, arguments: &Table) -> Result<Vec<String>, (Status, String)> {
    let Some(method) = METHODS.iter().find(|known| known.name == method) else {
        return Err((Status::MethodNotFound, String::new()));
    };
    let fields = arguments.fields();
    let mut words = vec![method.word.to_owned()];
    for Argument { name, takes } in method.arguments {
        let (word, kind) = match takes {
            Takes::Link => (fields.text(name).map(str::to_owned), "a link's name"),
            Takes::Count(default) if !fields.has(name) => (Some((*default).to_owned()), ""),
            Takes::Count(_) => {
                let count = fields.number(name).filter(|count| (1..=MOST).contains(count));
                (count.map(|count| count.to_string()), "a whole number from 1 to 100000")
            }
            Takes::Flag(yes, no) => {
                let word = fields.flag(name).map(|flag| if flag { *yes } else { *no });
                (word.map(str::to_owned), "true or false")
            }
            Takes::Address(false) | Takes::Protocol | Takes::Port(None) | Takes::Device if !fields.has(name) => {
                continue;
            }
            Takes::Address(_) => {
                let address = fields.text(name).and_then(|text| text.parse::<IpAddr>().ok());
                (address.map(|address| format!("{name}={address}")), "an IP address")
            }
            Takes::Protocol => {
                let protocol = fields.text(name).and_then(|text| text.parse().ok());
                let word = protocol.map(|protocol: Protocol| format!("{name}={}", number(protocol)));
                (word, "tcp, udp, icmp, or a number from 1 to 255, as text")
            }
            Takes::Port(Some(default)) if !fields.has(name) => (Some(format!("{name}={default}")), ""),
            Takes::Port(_) => {
                let port = fields.number(name).filter(|port| (1..=0xFFFF).contains(port));
                (port.map(|port| format!("{name}={port}")), "a port from 1 to 65535")
            }
            Takes::Device => {
                let device = fields.text(name).filter(|text| is_device(text));
                (device.map(|device| format!("{name}={device}")), "a device's name")
            }
        };
        words.push(word.ok_or_else(|| (Status::InvalidArgument, format!("argument {name} must be {kind}")))?);
    }
    Ok(words)
}

/// As the daemon's request says it.
fn number(protocol: Protocol) -> String {
    match protocol {
        Protocol::Tcp => "6".into(),
        Protocol::Udp => "17".into(),
        other => other.to_string(),
    }
}

/// What a call is answered with: data, unless there is none, and a status. An error has its text in the data.
pub fn reply(answer: Result<Value, Exit>) -> (Option<Table>, Status) {
    match answer {
        Ok(document) => match table(&document) {
            Some(data) => (Some(data), Status::Ok),
            None => error(Status::UnknownError, "too much for one message of ubus: ask for less"),
        },
        Err(exit) => error(exit.code.into(), &exit.text),
    }
}

/// Why there is no answer.
pub fn error(status: Status, text: &str) -> (Option<Table>, Status) {
    let data = (!text.is_empty()).then(|| Value::Map(vec![("error", text.into())]));
    (data.and_then(|data| table(&data)), status)
}

/// A document as a table, which ubus's messages have to be: what is none becomes its entry `result`. `None` if it is too
/// large to be sent.
pub fn table(document: &Value) -> Option<Table> {
    // Header and attributes around the data are less than this.
    const FRAME: usize = 256;
    if bytes("result", document) + FRAME > MAX_BYTES {
        return None;
    }
    Some(Table::build(|b| match document {
        Value::Map(entries) => entries.iter().for_each(|(key, item)| put(b, Some(key), item)),
        other => put(b, Some("result"), other),
    }))
}

/// As libubox turns JSON into blobmsg: an integer takes 32 bits if it fits there.
fn put(b: &mut BlobBuilder, name: Option<&str>, value: &Value) {
    match value {
        Value::Null => b.put_null(name),
        Value::Bool(flag) => b.put_bool(name, *flag),
        Value::Int(number) => match i32::try_from(*number) {
            Ok(number) => b.put_i32(name, number),
            Err(_) => b.put_i64(name, *number),
        },
        Value::Text(text) => b.put_str(name, text),
        Value::List(items) => {
            b.open_array(name);
            items.iter().for_each(|item| put(b, None, item));
            b.close_array();
        }
        Value::Map(entries) => {
            b.open_table(name);
            entries.iter().for_each(|(key, item)| put(b, Some(key), item));
            b.close_table();
        }
    }
}

/// At most so many bytes does a value take.
fn bytes(name: &str, value: &Value) -> usize {
    /// A header, a name's length and end, and the padding of both parts.
    const HEAD: usize = 4 + 3 + 3 + 3;
    let content = match value {
        Value::Null | Value::Bool(_) | Value::Int(_) => 8,
        Value::Text(text) => text.len() + 1,
        Value::List(items) => items.iter().map(|item| bytes("", item)).sum(),
        Value::Map(entries) => entries.iter().map(|(key, item)| bytes(key, item)).sum(),
    };
    HEAD + name.len() + content
}

#[cfg(test)]
#[path = "object_tests.rs"]
mod tests;
