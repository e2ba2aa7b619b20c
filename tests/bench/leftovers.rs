//! What 1,000 races leave behind.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use lab::Dual;

use crate::Effort;
use crate::daemon::Daemon;
use crate::plain::{PORT, SERVER};
use crate::sys;
use crate::table::Row;

const RACES: usize = 1_000;

pub fn rows(_: Effort) -> Vec<Row> {
    let dual = Dual::builder().delays(&[3, 6].map(Duration::from_millis)).build();
    let server = SocketAddr::from((SERVER, PORT));
    let listener = dual.internet().run(|| TcpListener::bind(server)).expect("a listener");
    thread::spawn(move || while listener.accept().is_ok() {});
    let daemon = Daemon::start(dual.router(), true, "");
    let watch = dual.wire(2).watch();
    dual.client().run(|| {
        for _ in 0..RACES {
            let stream = TcpStream::connect_timeout(&server, Duration::from_secs(5)).expect("a connection");
            sys::reset(stream).expect("a reset");
        }
    });
    thread::sleep(Duration::from_secs(1));
    let half_open = lab::half_open(dual.internet());
    let tracked = lab::conntrack_entries(dual.router());
    let copies = watch.packets(lab::Direction::Up).iter().filter(|packet| packet.is_syn()).count();
    daemon.stop();
    // A winner's entry begins with the client's address; a loser's would with the router's or the server's.
    let tcp = || tracked.iter().filter(|entry| entry.contains("tcp"));
    let of_client =
        |entry: &&String| entry.split_whitespace().find(|word| word.starts_with("src=")) == Some("src=10.77.0.2");
    let losers = tcp().filter(|entry| !of_client(entry)).count();
    let detail = format!("{copies} SYNs by the losing link; {} TCP entries in all", tcp().count());
    vec![
        Row::goal(
            "half-open sockets at the server 1 s after 1,000 races",
            half_open.to_string(),
            "0",
            half_open == 0,
            detail.clone(),
        ),
        Row::goal("conntrack entries of their losers", losers.to_string(), "0", losers == 0, detail),
    ]
}
