//! Configurations: ours, and mwan3's. What is made of one of mwan3's is one that we take.
#![no_main]

use cheaproute::{config, import};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let _ = config::read(text);
    // A line of three dots parts mwan3's file from netifd's.
    let parts = text.windows(5).position(|five| five == b"\n...\n").and_then(|at| text.split_at_checked(at));
    let (own, network) = parts.map_or((text, None), |(own, rest)| (own, rest.get(5..)));
    if let Ok(import) = import::mwan3(own, network)
        && let Err(faults) = config::read(&import.config)
    {
        panic!("{faults:?}\n{}", import.config);
    }
});
