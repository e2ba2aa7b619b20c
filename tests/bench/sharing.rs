//! What a second thread is worth for a bond's cipher: a batch of datagrams sealed by one thread, and by two, in turn.

use std::hint::black_box;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cheaproute::linux::crew::{processors, share};
use seal::Key;

use crate::Effort;
use crate::stats::median;
use crate::table::Row;

/// Datagrams of a batch, and how often each is sealed: once, or as often as makes it as slow as on a router.
const BATCHES: [(usize, u32); 7] = [(16, 1), (32, 1), (64, 1), (128, 1), (256, 1), (16, 40), (64, 40)];

pub fn rows(effort: Effort) -> Vec<Row> {
    let rounds = effort.pick(300, 50);
    let row = |(count, often): (usize, u32)| {
        let mut batch = vec![[5u8; 1472]; count];
        let mut times = [vec![], vec![]];
        for round in 0..rounds * 2 {
            // As between two batches of a link: who has nothing to do sleeps.
            sleep(Duration::from_millis(1));
            let start = Instant::now();
            if round % 2 == 0 {
                batch.iter_mut().for_each(|datagram| seal(datagram, often));
            } else {
                share(1, &mut batch, &|datagram| seal(datagram, often));
            }
            times[round % 2].push(start.elapsed().as_secs_f64() * 1e6);
        }
        let [alone, shared] = times.map(|times| median(&times));
        let each = if often > 1 { format!(" as slow as {often}") } else { String::new() };
        let what = format!("{count} datagrams{each} sealed by two threads: time over that of one");
        let detail = format!("{shared:.0} of {alone:.0} µs; {} processors", processors());
        Row::info(&what, format!("{:.2}", shared / alone), detail)
    };
    BATCHES.into_iter().map(row).collect()
}

fn seal(datagram: &mut [u8; 1472], often: u32) {
    for _ in 0..often {
        black_box(Key::new(&[7; 32]).seal(&[0; 12], &[], datagram));
    }
}
