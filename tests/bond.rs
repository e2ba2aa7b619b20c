//! Two daemons that are peers, over two wires: what passes between them, and what happens when wires and daemons go.

mod support;

use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use cheaproute::bond::keys::Secret;
use lab::{Dual, Namespace, SERVER4, Server, Shape};
use support::{Daemon, config, eventually, ms, settled};

const PORT: u16 = 7420;
/// Inside the tunnel.
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 74, 20, 2));
const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 74, 20, 1));
const MEGABYTE: u64 = 1_000_000;

fn key(number: u8) -> Secret {
    Secret::private([number; 32])
}

fn client_config(more: &str) -> String {
    client_config_to(&format!("list endpoint '{SERVER4}:{PORT}'"), more)
}

fn client_config_to(endpoints: &str, more: &str) -> String {
    let (own, theirs) = (key(1).written(), key(2).public());
    let peer = format!(
        "config peer 'vps'
        option private_key '{own}'
        option public_key '{theirs}'
        {endpoints}
        list address '10.74.20.2/24'
        list address 'fd74:20::2/64'
        {more}"
    );
    config(&["", ""], &peer)
}

fn server_config(more: &str) -> String {
    let (own, theirs) = (key(2).written(), key(1).public());
    format!(
        "config cheaproute 'main'
        option log_level 'debug'
        config peer 'home'
        option role 'server'
        option private_key '{own}'
        option public_key '{theirs}'
        option listen_port '{PORT}'
        list address '10.74.20.1/24'
        list address 'fd74:20::1/64'
        {more}\n"
    )
}

/// Client and server, at two ends of two wires.
struct Pair {
    client: Daemon,
    server: Daemon,
    lab: Dual,
}

impl Pair {
    #[track_caller]
    fn new() -> Self {
        Self::with("", "")
    }

    #[track_caller]
    fn with(client: &str, server: &str) -> Self {
        let lab = Dual::builder().delays(&[ms(5), ms(10)]).build();
        let server = start_server(lab.internet(), &server_config(server));
        let client = Daemon::start(lab.router(), &client_config(client));
        let pair = Pair { client, server, lab };
        pair.await_both();
        pair
    }

    /// Until both ends say that they are up, over both paths.
    #[track_caller]
    fn await_both(&self) {
        eventually("both ends are up over two paths", || {
            let (here, there) = (self.told(true), self.told(false));
            [here, there].iter().all(|told| told.matches(r#""state":"up""#).count() >= 3)
        });
    }

    fn told(&self, client: bool) -> String {
        let (daemon, host) =
            if client { (&self.client, self.lab.router()) } else { (&self.server, self.lab.internet()) };
        peers(daemon, host)
    }
}

fn start_server(host: &Namespace, text: &str) -> Daemon {
    let daemon = Daemon::launch(host, text, |_| ());
    daemon.process.wait_for_line("listening on UDP port", Duration::from_secs(10));
    daemon
}

/// What `peers --json` says.
fn peers(daemon: &Daemon, host: &Namespace) -> String {
    let output = daemon.command(host, &["peers", "--json"]).output().expect("the program runs");
    String::from_utf8_lossy(&output.stdout).split_whitespace().collect()
}

fn answers(host: &Namespace, address: IpAddr) -> bool {
    lab::ping(host, address, ms(500)).is_ok()
}

/// Fetches so many bytes from a server in `from`, and checks every one.
#[track_caller]
fn fetch(to: &Namespace, from: &Namespace, address: IpAddr, bytes: u64) {
    let server = Server::source(from, (address, 5001));
    let (mut stream, _) = lab::connect(to, server.address(), Duration::from_secs(5)).expect("a connection");
    lab::download(&mut stream, bytes, Duration::from_secs(30)).expect("all of it");
}

#[test]
fn packets_pass_both_ways() {
    need_lab!();
    let pair = Pair::new();
    let (here, there) = (pair.lab.router(), pair.lab.internet());
    for (host, address) in [(here, "10.74.20.1"), (there, "10.74.20.2"), (here, "fd74:20::1"), (there, "fd74:20::2")] {
        let address: IpAddr = address.parse().expect("an address");
        eventually("an answer through the tunnel", || answers(host, address));
    }
    fetch(here, there, THERE, 10 * MEGABYTE);
    fetch(there, here, HERE, 10 * MEGABYTE);
    let told = pair.told(true);
    assert!(told.contains(r#""reason":"overwan1,wan2""#), "{told}");
    assert!(told.contains(r#""mtu":1481"#), "its paths were measured: {told}");
    let told = pair.told(false);
    assert!(told.contains(r#""clients_up":1"#) && told.contains(r#""state":"up""#), "{told}");
}

#[test]
fn a_wire_that_is_cut_stops_no_transfer() {
    need_lab!();
    let pair = Pair::new();
    let slow = |delay| Shape { rate_bits: Some(16_000_000), ..Shape::delayed(ms(delay)) };
    pair.lab.wire(1).both(slow(5));
    pair.lab.wire(2).both(slow(10));
    std::thread::scope(|scope| {
        let transfer = scope.spawn(|| fetch(pair.lab.router(), pair.lab.internet(), THERE, 4 * MEGABYTE));
        let received = || {
            let told = pair.told(true);
            let at = told.find(r#""rx_bytes":"#).map_or(0, |at| at + 11);
            told[at..].split(',').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
        };
        eventually("half a megabyte is through", || received() > MEGABYTE / 2);
        pair.lab.wire(1).blackhole(true);
        transfer.join().expect("the transfer");
    });
    eventually("one path is down", || pair.told(true).contains(r#""reason":"overwan2""#));
    pair.lab.wire(1).blackhole(false);
    eventually("both carry again", || pair.told(true).contains(r#""reason":"overwan1,wan2""#));
}

#[test]
fn a_restarted_end_is_back_within_two_seconds() {
    need_lab!();
    let mut pair = Pair::new();
    let (here, there) = (pair.lab.router(), pair.lab.internet());
    eventually("an answer", || answers(here, THERE));
    pair.server.process.kill();
    pair.server = start_server(there, &server_config(""));
    let since = Instant::now();
    eventually("the server is back", || answers(here, THERE));
    assert!(since.elapsed() < ms(3_000), "{:?}", since.elapsed());
    pair.client.process.kill();
    pair.client = Daemon::start(here, &client_config(""));
    let since = Instant::now();
    eventually("the client is back", || answers(there, HERE));
    assert!(since.elapsed() < ms(3_000), "{:?}", since.elapsed());
    fetch(here, there, THERE, MEGABYTE);
}

#[test]
fn a_stop_leaves_nothing() {
    need_lab!();
    let lab = Dual::new();
    let before = settled(lab.router());
    let server = start_server(lab.internet(), &server_config(""));
    let client = Daemon::start(lab.router(), &client_config(""));
    let mut pair = Pair { client, server, lab };
    pair.await_both();
    pair.client.stop();
    assert_eq!(settled(pair.lab.router()), before);
    assert!(!device_is_there(pair.lab.router()));
    // It was told.
    eventually("the server knows", || pair.told(false).contains(r#""clients_up":0"#));
    pair.server.stop();
    assert!(!device_is_there(pair.lab.internet()));
}

fn device_is_there(host: &Namespace) -> bool {
    host.run(|| fs::read_to_string("/proc/thread-self/net/dev").expect("a list")).contains("bond0")
}
