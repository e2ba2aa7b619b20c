//! What browsing is made of: files, one after the other, each by a connection of its own.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lab::Namespace;

use super::Scenario;
use super::beside::{Two, delay, spoken, without_goal};
use super::pair::{Hosts, SERVER};
use crate::Effort;
use crate::stats::{median, millis, quantile};
use crate::table::Row;

const PORT: u16 = 5003;
const PATIENCE: Duration = Duration::from_secs(20);

pub fn rows(of: &Scenario, effort: Effort) -> Vec<Row> {
    let hosts = Hosts::new(of.links);
    serve(&hosts.server);
    let sizes = [("10 KB", 10_000, effort.pick(150, 20)), ("300 KB", 300_000, effort.pick(60, 10))];
    let times = |address: IpAddr| {
        sizes.map(|(_, bytes, count)| {
            let fetch = |_| fetch(&hosts.client, (address, PORT).into(), bytes).expect("a file");
            millis(&(0..count).map(fetch).collect::<Vec<_>>())
        })
    };
    let alone = times([10, 77, 1, 1].into());
    let pair = hosts.start(of.scheduler);
    let bonded = times(SERVER);
    let two = Two::of(&hosts);
    let idle = two.idle();
    let time = effort.pick(10, 4);
    // One after the other, for as long as somebody talks.
    let (files, loaded, heard) = two.notice(time, || {
        let start = Instant::now();
        let fetch = |_| fetch(&hosts.client, (SERVER, PORT).into(), sizes[1].1).expect("a file");
        (0..).map(fetch).take_while(|_| start.elapsed() < Duration::from_secs(time)).count()
    });
    pair.stop();
    let names = sizes.map(|(name, ..)| name);
    let files = format!("{files} files of {}", names[1]);
    let rows =
        names.into_iter().zip(alone.iter().zip(&bonded)).map(|(size, (alone, bonded))| row(of, size, alone, bonded));
    // A file of a new connection comes as fast as it can.
    let beside = [without_goal(delay(of.name, &idle, &loaded)), spoken(of.name, &heard)];
    rows.chain(beside.map(|row| Row { detail: format!("{files}; {}", row.detail), ..row })).collect()
}

fn row(of: &Scenario, size: &str, alone: &[f64], bonded: &[f64]) -> Row {
    let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
    let shown = |times: &[f64]| {
        let [half, most] = [median(times), quantile(times, 0.95)];
        format!("{:.1} ms in the mean, {half:.1} in the median, {most:.1} in 95 of 100", mean(times))
    };
    let figure = mean(bonded) / mean(alone);
    let detail = format!("{}; link 1 alone {}", shown(bonded), shown(alone));
    Row::goal(format!("bond {}: time for {size}", of.name), format!("{figure:.2}"), "<= 1.1", figure <= 1.1, detail)
}

/// Answers each connection with as many bytes as its first four ask for, until the program ends.
fn serve(host: &Namespace) {
    let listener = host.run(|| TcpListener::bind(("0.0.0.0", PORT))).expect("a listener");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut asked = [0; 4];
            if stream.read_exact(&mut asked).is_ok() {
                // Whoever asked sees what is missing.
                let _ = stream.write_all(&vec![0; u32::from_be_bytes(asked) as usize]);
            }
        }
    });
}

/// How long it takes to get so many bytes, from the first packet to the last.
fn fetch(host: &Namespace, from: SocketAddr, bytes: usize) -> io::Result<Duration> {
    host.run(|| {
        let start = Instant::now();
        let mut stream = TcpStream::connect_timeout(&from, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&(bytes as u32).to_be_bytes())?;
        let mut found = Vec::with_capacity(bytes);
        stream.read_to_end(&mut found)?;
        let time = start.elapsed();
        if found.len() == bytes { Ok(time) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    })
}
