//! What comes back to a probe: from resolvers, web servers, and hosts that are pinged.
#![no_main]

use cheaproute::probe::{dns, http, icmp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for (name, kind) in [("", dns::Kind::NameServers), ("a.example", dns::Kind::Ipv4), ("a.example", dns::Kind::Ipv6)] {
        let question = dns::Question { id: 0x6372, name, kind };
        // The part that must be as asked, so that what comes behind is read.
        let asked = question.message().expect("a name");
        let rest = bytes.get(8..).unwrap_or_default();
        let head =
            [&asked[..2], bytes.get(..2).unwrap_or(&[0x80, 0]), &asked[4..6], bytes.get(2..8).unwrap_or(&[0; 6])];
        for message in [bytes.to_vec(), [&head.concat(), &asked[12..], rest].concat()] {
            if let Some((address, lifetime)) = question.answer(&message).and_then(|answer| answer.address) {
                assert!((60..=3_600).contains(&lifetime));
                assert_eq!(address.is_ipv4(), kind == dns::Kind::Ipv4);
            }
        }
    }
    let _ = (http::judge(bytes, true), http::judge(bytes, false));
    let _ = (icmp::Echo::reply_v4(bytes), icmp::Echo::reply_v6(bytes));
});
