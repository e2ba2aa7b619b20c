use super::super::blob::Table;
use super::*;
use proptest::prelude::*;

fn arguments(json: &str) -> Table {
    let table = ::ubus::json::json_to_blobmsg(&json.parse().unwrap()).unwrap();
    Table::parse(table.contents()).unwrap()
}

fn json(table: &Table) -> String {
    ::ubus::blobmsg::to_json(table.bytes(), true)
}

#[test]
fn calls_become_requests() {
    for (method, json, words) in [
        ("status", "{}", "status"),
        ("links", r#"{"ubus_rpc_session":"0123456789abcdef"}"#, "links"),
        ("races", "{}", "races 20"),
        ("races", r#"{"count":5,"ubus_rpc_session":"00"}"#, "races 5"),
        ("races", r#"{"count":null}"#, "races 20"),
        ("memory", r#"{"count":100000}"#, "memory 100000"),
        ("policies", r#"{"count":"many"}"#, "policies"),
        ("peers", "{}", "peers"),
        ("events", "{}", "events"),
        ("reload", "{}", "reload"),
        ("why", r#"{"to":"192.0.2.1"}"#, "why to=192.0.2.1 port=443"),
        ("why", r#"{"to":"2001:DB8::1","proto":"UDP","port":53}"#, "why to=2001:db8::1 proto=17 port=53"),
        (
            "why",
            r#"{"to":"192.0.2.1","proto":"icmp","from":"10.0.0.2"}"#,
            "why to=192.0.2.1 proto=icmp port=443 from=10.0.0.2",
        ),
        ("why", r#"{"to":"192.0.2.1","proto":"47","from":null}"#, "why to=192.0.2.1 proto=47 port=443"),
        (
            "why",
            r#"{"to":"192.0.2.1","device":"br-guest","from_port":9,"from":"10.0.0.2"}"#,
            "why to=192.0.2.1 port=443 from=10.0.0.2 from_port=9 device=br-guest",
        ),
        ("probe", r#"{"link":"wan"}"#, "probe wan"),
        ("set_link", r#"{"up":false,"link":"wan"}"#, "link wan down"),
        ("set_link", r#"{"link":"wan","up":true,"more":[1,{"a":null}]}"#, "link wan up"),
    ] {
        assert_eq!(request(method, &arguments(json)).map(|words| words.join(" ")), Ok(words.into()), "{method} {json}");
    }
}

#[test]
fn wrong_calls_are_refused_with_a_reason() {
    for (method, json, why) in [
        ("races", r#"{"count":"5"}"#, "argument count must be a whole number from 1 to 100000"),
        ("races", r#"{"count":0}"#, "argument count must be a whole number from 1 to 100000"),
        ("races", r#"{"count":-1}"#, "argument count must be a whole number from 1 to 100000"),
        ("memory", r#"{"count":100001}"#, "argument count must be a whole number from 1 to 100000"),
        ("memory", r#"{"count":9876543210}"#, "argument count must be a whole number from 1 to 100000"),
        ("why", "{}", "argument to must be an IP address"),
        ("why", r#"{"to":"example.net"}"#, "argument to must be an IP address"),
        ("why", r#"{"to":"192.0.2.1","from":"pc"}"#, "argument from must be an IP address"),
        ("why", r#"{"to":"192.0.2.1","port":0}"#, "argument port must be a port from 1 to 65535"),
        ("why", r#"{"to":"192.0.2.1","port":65536}"#, "argument port must be a port from 1 to 65535"),
        (
            "why",
            r#"{"to":"192.0.2.1","proto":"sctp"}"#,
            "argument proto must be tcp, udp, icmp, or a number from 1 to 255, as text",
        ),
        ("why", r#"{"to":"192.0.2.1","from_port":0}"#, "argument from_port must be a port from 1 to 65535"),
        ("why", r#"{"to":"192.0.2.1","device":"br guest"}"#, "argument device must be a device's name"),
        ("probe", "{}", "argument link must be a link's name"),
        ("probe", r#"{"link":7}"#, "argument link must be a link's name"),
        ("probe", r#"{"link":null}"#, "argument link must be a link's name"),
        ("set_link", r#"{"link":"wan"}"#, "argument up must be true or false"),
        ("set_link", r#"{"link":"wan","up":1}"#, "argument up must be true or false"),
        ("set_link", r#"{"link":"wan","up":"yes"}"#, "argument up must be true or false"),
    ] {
        let refused = Err((Status::InvalidArgument, why.into()));
        assert_eq!(request(method, &arguments(json)), refused, "{method} {json}");
    }
    for method in ["", "stop", "link", "Status"] {
        assert_eq!(request(method, &Table::default()).unwrap_err().0, Status::MethodNotFound, "{method}");
    }
}

#[test]
fn the_signature_has_libubox_types() {
    // BLOBMSG_TYPE_STRING 3, INT32 5, BOOL 7.
    let expected = r#"{"status":{},"links":{},"races":{"count":5},"memory":{"count":5},"policies":{},"peers":{},
        "events":{},"why":{"to":3,"proto":3,"port":5,"from":3,"from_port":5,"device":3},"genkey":{},"reload":{},"probe":{"link":3},"set_link":{"link":3,"up":7}}"#;
    let signature: String = json(&signature()).split_whitespace().collect();
    assert_eq!(signature, expected.split_whitespace().collect::<String>());
}

#[test]
fn documents_become_tables() {
    let document = Value::Map(vec![
        ("none", Value::Null),
        ("flag", true.into()),
        ("small", (-7i64).into()),
        ("large", (1u64 << 40).into()),
        ("text", "µ".into()),
        ("list", vec![Value::Map(vec![("a", 1u8.into())]), vec![].into(), "b".into()].into()),
    ]);
    let written = table(&document).unwrap();
    assert_eq!(json(&Table::parse(written.bytes()).unwrap()), plain(&document));
    // An integer takes 64 bits (type 4) only if it must; else 32 (type 5).
    let numbers = Value::Map(vec![("a", i32::MAX.unsigned_abs().into()), ("b", (1u64 << 31).into())]);
    let expected = b"\x85\0\0\x0C\0\x01a\0\x7F\xFF\xFF\xFF\x84\0\0\x10\0\x01b\0\0\0\0\0\x80\0\0\0";
    assert_eq!(table(&numbers).unwrap().bytes(), expected);
    assert_eq!(json(&table(&"done".into()).unwrap()), r#"{"result":"done"}"#);
}

#[test]
fn an_answer_has_a_status_and_an_error_its_text() {
    let (data, status) = reply(Err(Exit::new(Code::Usage, "there is no link \"x\"")));
    assert_eq!(
        (json(&data.unwrap()), status),
        (r#"{"error":"there is no link \"x\""}"#.into(), Status::InvalidArgument)
    );
    assert_eq!(reply(Err(Exit::new(Code::Config, ""))), (None, Status::UnknownError));
    let items = |number: usize| Value::Map(vec![("list", vec![Value::from("x".repeat(1000)); number].into())]);
    assert_eq!(reply(Ok(items(1000))).1, Status::Ok);
    let (data, status) = reply(Ok(items(1050)));
    assert_eq!(status, Status::UnknownError);
    assert!(json(&data.unwrap()).contains("ask for less"));
    // Far more than what the codec can write at all.
    assert_eq!(reply(Ok(items(20_000))).1, Status::UnknownError);
}

fn plain(document: &Value) -> String {
    crate::control::json::write(document, false).trim_end().into()
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(i64::from(number))),
        "[a-zµ]{0,9}".prop_map(Value::from),
    ];
    let name = prop_oneof![Just("a"), Just("seven_b"), Just("with_twelve_")];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..6).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn ubus_says_what_json_says(item in documents()) {
        let document = Value::Map(vec![("item", item)]);
        let written = table(&document).unwrap();
        prop_assert!(written.bytes().len() <= bytes("result", &document));
        prop_assert_eq!(json(&Table::parse(written.bytes()).unwrap()), plain(&document));
    }
}
