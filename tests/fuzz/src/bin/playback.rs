//! What playbacktun reads: packets as JSON, captures, and bytes that it writes as JSON, which make the same bytes again.
#![no_main]

use cheaproute::playback::dissect::dissect_fully;
use cheaproute::playback::{build, dissect, pcap, read, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = str::from_utf8(bytes) {
        let _ = read(text, true);
        for packet in read(text, false).unwrap_or_default() {
            if let Ok(built) = build(&packet.packet) {
                there_and_back(&built);
            }
        }
    }
    if let Ok(capture) = pcap::read(bytes) {
        capture.packets.iter().for_each(|captured| there_and_back(captured.bytes));
    }
    there_and_back(bytes);
});

fn there_and_back(bytes: &[u8]) {
    // The longest that a device takes.
    if bytes.is_empty() || bytes.len() > 65_535 {
        return;
    }
    assert_eq!(build(&dissect_fully(bytes)).as_deref(), Ok(bytes));
    let json = write(&dissect(bytes));
    let again = read(&json, true).unwrap_or_else(|faults| panic!("{faults:?}\n{json}"));
    assert_eq!(build(&again[0].packet).as_deref(), Ok(bytes), "{json}");
}
