//! What ubusd sends: replies of netifd, and calls of other programs. And JSON, as `live` reads it back.
#![no_main]

use cheaproute::control::{json, read};
use cheaproute::ubus::blob::{Fields, Table};
use cheaproute::ubus::message::Message;
use cheaproute::ubus::{netifd, object};
use libfuzzer_sys::fuzz_target;
use ubus::envelope::UbusAttr;

const NAMES: [&str; 14] = [
    "interface",
    "route",
    "ipv4-address",
    "address",
    "mask",
    "up",
    "nexthop",
    "device",
    "metric",
    "to",
    "port",
    "proto",
    "count",
    "link",
];

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((message, length))) = Message::split(bytes) {
        assert!((12..=bytes.len()).contains(&length));
        for key in (0..=u8::MAX).filter_map(UbusAttr::from_u8) {
            let _ = (message.number(key), message.text(key), message.flag(key));
            let _ = message.table(key).map(|table| look(&table));
        }
    }
    let _ = Table::parse(bytes).map(|table| look(&table));
    if let Some(value) = str::from_utf8(bytes).ok().and_then(|text| read::read(text, &NAMES)) {
        assert_eq!(read::read(&json::write(&value, true), &NAMES), Some(value));
    }
});

fn look(table: &Table) {
    read_all(table.fields(), 2);
    netifd::interfaces(table);
    for method in ["status", "races", "memory", "why", "probe", "set_link", ""] {
        let _ = object::request(method, table);
    }
}

fn read_all(fields: Fields, depth: u32) {
    for name in NAMES {
        let _ = (fields.text(name), fields.number(name), fields.flag(name), fields.has(name));
        if depth > 0 {
            read_all(fields.nested(name), depth - 1);
            fields.tables(name).for_each(|inner| read_all(inner, depth - 1));
        }
    }
}
