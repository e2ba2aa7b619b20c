//! Two daemons that are peers: what their configurations and their views have in common.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cheaproute::bond::keys::Secret;
use lab::{Namespace, SERVER4, Server};

use super::bed::{eventually, ms};
use super::daemon::Daemon;

/// Where servers listen.
pub const PORT: u16 = 7420;
pub const MEGABYTE: u64 = 1_000_000;

/// A server's address inside the tunnel.
pub const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 74, 20, 1));

/// The address inside the tunnel of client `number`, from 1 on.
pub fn inside(number: u8) -> IpAddr {
    Ipv4Addr::new(10, 74, 20, 1 + number).into()
}

/// A private key. A server's is number 0, client `number` has that.
pub fn secret(number: u8) -> Secret {
    Secret::private([100 + number; 32])
}

/// The client's peer section `vps`, with more options.
pub fn client_section(number: u8, more: &str) -> String {
    format!(
        "config peer 'vps'
        option private_key '{}'
        option public_key '{}'
        list endpoint '{SERVER4}:{PORT}'
        list address '{}/24'
        {more}\n",
        secret(number).written(),
        secret(0).public(),
        inside(number)
    )
}

/// A server's whole configuration, with more options of its peer section `home`, and its clients from 1 on, of which each
/// has these further networks.
pub fn server_text(clients: &[&str], more: &str) -> String {
    let mut text = format!(
        "config cheaproute 'main'
        option log_level 'debug'
        config peer 'home'
        option role 'server'
        option private_key '{}'
        option listen_port '{PORT}'
        list address '{THERE}/24'
        {more}\n",
        secret(0).written()
    );
    for (number, networks) in (1..).zip(clients) {
        let (public, address) = (secret(number).public(), inside(number));
        let _ = writeln!(
            text,
            "config client 'client{number}'
            option peer 'home'
            option public_key '{public}'
            list allowed_ips '{address}'
            {networks}"
        );
    }
    text
}

#[track_caller]
pub fn start_server(host: &Namespace, text: &str) -> Daemon {
    let daemon = Daemon::launch(host, text, |_| ());
    daemon.process.wait_for_line("listening on UDP port", Duration::from_secs(10));
    daemon
}

/// What `peers --json` says, without spaces.
pub fn peers(daemon: &Daemon, host: &Namespace) -> String {
    let output = daemon.command(host, &["peers", "--json"]).output().expect("the program runs");
    String::from_utf8_lossy(&output.stdout).split_whitespace().collect()
}

/// Until the client carries over so many paths.
#[track_caller]
pub fn await_paths(client: &Daemon, host: &Namespace, paths: usize) {
    // The peer's own state is one, too.
    eventually("all paths are up", || peers(client, host).matches(r#""state":"up""#).count() > paths);
}

pub fn answers(host: &Namespace, address: IpAddr) -> bool {
    lab::ping(host, address, ms(500)).is_ok()
}

/// Whether one echo after the other comes back while something happens, and a moment longer.
pub fn goes_on(host: &Namespace, address: IpAddr, happens: impl FnOnce()) -> bool {
    let over = AtomicBool::new(false);
    let limit = Instant::now() + Duration::from_secs(20);
    let pings = || {
        let mut row = std::iter::repeat_with(|| lab::ping(host, address, ms(1_000)).is_ok());
        row.find(|answered| !answered || over.load(Ordering::Relaxed) || Instant::now() > limit) == Some(true)
    };
    std::thread::scope(|scope| {
        let pings = scope.spawn(pings);
        happens();
        std::thread::sleep(ms(500));
        over.store(true, Ordering::Relaxed);
        pings.join().expect("the pings")
    })
}

/// Fetches so many bytes from a server in `from`, and checks every one.
#[track_caller]
pub fn fetch(to: &Namespace, from: &Namespace, address: IpAddr, bytes: u64) {
    let server = Server::source(from, (address, 0));
    let (mut stream, _) = lab::connect(to, server.address(), Duration::from_secs(5)).expect("a connection");
    lab::download(&mut stream, bytes, Duration::from_secs(30)).expect("all of it");
}
