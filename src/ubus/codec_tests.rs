use ::ubus::MsgType;
use ::ubus::blobmsg::BlobBuilder;
use ::ubus::envelope::{EnvBuilder, UbusAttr};
use proptest::prelude::*;

use super::blob::{Fields, MAX_BYTES, MAX_DEPTH, Malformed, Table};
use super::message::{Message, compose};
use super::{netifd, object};

/// Asks for everything that can be asked for.
fn read_all(fields: Fields, depth: u32) {
    for name in ["interface", "route", "ipv4-address", "address", "mask", "up", ""] {
        let _ = (fields.text(name), fields.number(name), fields.flag(name));
        if depth > 0 {
            fields.tables(name).for_each(|inner| read_all(inner, depth - 1));
        }
    }
}

fn read_message(bytes: &[u8]) {
    let Ok(Some((message, length))) = Message::split(bytes) else { return };
    assert!((12..=bytes.len()).contains(&length));
    for key in (0..=u8::MAX).filter_map(UbusAttr::from_u8) {
        let _ = (message.number(key), message.text(key), message.flag(key));
        if let Ok(table) = message.table(key) {
            read_table(&table);
        }
    }
}

fn read_table(table: &Table) {
    read_all(table.fields(), 2);
    netifd::interfaces(table);
    for method in ["races", "probe", "set_link", ""] {
        let _ = object::request(method, table);
    }
}

fn dump() -> Table {
    Table::build(|b| {
        b.open_array(Some("interface"));
        b.open_table(None);
        b.put_str(Some("interface"), "wan");
        b.put_bool(Some("up"), true);
        b.open_array(Some("route"));
        b.open_table(None);
        b.put_i32(Some("mask"), 0);
        b.put_str(Some("nexthop"), "192.0.2.1");
        b.close_table();
        b.close_array();
        b.put_i64(Some("metric"), 7);
        b.close_table();
        b.close_array();
        b.put_i32(Some("count"), 7);
        b.put_str(Some("link"), "wan");
        b.put_bool(Some("up"), false);
    })
}

fn invocation(data: &Table) -> Vec<u8> {
    let mut attributes = EnvBuilder::new();
    attributes.push_u32(UbusAttr::ObjId, 0x1234_5678);
    attributes.push_str(UbusAttr::Method, "dump");
    attributes.push_data(data.bytes());
    attributes.push_u8(UbusAttr::NoReply, 1);
    compose(MsgType::Invoke, 7, 9, attributes).unwrap()
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_message(&bytes);
        if let Ok(table) = Table::parse(&bytes) {
            read_table(&table);
        }
    }

    #[test]
    fn no_damage_panics(at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut table = dump().bytes().to_vec();
        let mut message = invocation(&dump());
        for bytes in [&mut table, &mut message] {
            let at = at.index(bytes.len());
            bytes[at] = to;
            bytes.truncate(cut.index(bytes.len()) + 1);
        }
        read_message(&message);
        if let Ok(table) = Table::parse(&table) {
            read_table(&table);
        }
    }
}

#[test]
fn a_message_is_read_back_whole_and_never_sooner() {
    let table = dump();
    let bytes = invocation(&table);
    let mut stream = bytes.clone();
    stream.extend(&bytes);
    for arrived in 0..stream.len() {
        let split = Message::split(&stream[..arrived]).unwrap();
        assert_eq!(split.is_some(), arrived >= bytes.len(), "{arrived} bytes");
        if let Some((message, length)) = split {
            assert_eq!((message.kind, message.sequence, message.peer), (MsgType::Invoke, 7, 9));
            assert_eq!(length, bytes.len());
            assert_eq!(message.number(UbusAttr::ObjId), Some(0x1234_5678));
            assert_eq!(message.text(UbusAttr::Method), Some("dump"));
            assert!(message.flag(UbusAttr::NoReply));
            assert_eq!(message.table(UbusAttr::Data).as_ref(), Ok(&table));
            assert_eq!(message.table(UbusAttr::Signature), Ok(Table::default()));
        }
    }
}

#[test]
fn the_bytes_are_those_of_the_protocol() {
    let mut attributes = EnvBuilder::new();
    attributes.push_str(UbusAttr::ObjPath, "system");
    let bytes = compose(MsgType::Lookup, 0x0102, 0, attributes).unwrap();
    // Header, then a blob of 16 bytes that holds attribute 2 of 11 bytes, padded.
    let expected = b"\0\x04\x01\x02\0\0\0\0\0\0\0\x10\x02\0\0\x0Bsystem\0\0";
    assert_eq!(bytes, expected);
    let table = Table::build(|b| b.put_bool(Some("up"), true));
    assert_eq!(table.bytes(), b"\x87\0\0\x0D\0\x02up\0\0\0\0\x01\0\0\0");
}

#[test]
fn what_is_too_deep_or_too_large_is_refused() {
    let nest = |b: &mut BlobBuilder, depth: u32| {
        (0..depth).for_each(|_| b.open_table(Some("t")));
        (0..depth).for_each(|_| b.close_table());
    };
    let nested = |depth| Table::parse(Table::build(|b| nest(b, depth)).bytes()).map(drop);
    assert_eq!((nested(MAX_DEPTH), nested(MAX_DEPTH + 1)), (Ok(()), Err(Malformed)));
    assert_eq!(nested(100_000), Err(Malformed));

    let large = "x".repeat(MAX_BYTES);
    let table = Table::build(|b| b.put_str(Some("large"), &large));
    assert_eq!(Table::parse(table.bytes()), Err(Malformed));
    let mut attributes = EnvBuilder::new();
    attributes.push_data(table.bytes());
    assert_eq!(compose(MsgType::Data, 1, 1, attributes), Err(Malformed));
    let header = b"\0\x02\0\x01\0\0\0\0\0\x10\0\x01";
    assert_eq!(Message::split(header), Err(Malformed), "announced to be too large");
}

#[test]
fn values_of_another_type_are_absent() {
    let table = Table::build(|b| {
        b.put_null(Some("null"));
        b.put_double(Some("double"), 1.5);
        b.put_str(Some("text"), "1");
        b.put_i32(Some("high"), -1);
        b.put_i64(Some("long"), 1 << 40);
        b.put_i32(Some("twice"), 1);
        b.put_i32(Some("twice"), 2);
    });
    let table = Table::parse(table.bytes()).unwrap();
    let fields = table.fields();
    for name in ["null", "double", "text", "long", "none"] {
        assert_eq!((fields.number(name), fields.flag(name), fields.tables(name).count()), (None, None, 0), "{name}");
    }
    assert_eq!((fields.number("high"), fields.number("twice")), (Some(u32::MAX), Some(1)));
    assert_eq!((fields.text("text"), fields.text("high")), (Some("1"), None));
}
