//! Two daemons that are peers, over two wires: what passes between them, and what happens when wires and daemons go.

mod support;

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use cheaproute::bond::keys::Secret;
use lab::{Dual, Namespace, SERVER4, SERVER6, Server, Shape};
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
fn where_too_much_waits_packets_whose_ends_know_marks_get_them() {
    need_lab!();
    let pair = Pair::new();
    let (here, there) = (pair.lab.router(), pair.lab.internet());
    for (wire, delay) in [(1, 5), (2, 10)] {
        pair.lab.wire(wire).both(Shape { rate_bits: Some(8_000_000), ..Shape::delayed(ms(delay)) });
    }
    for (from, to, counter) in
        [("10.74.20.2", "10.74.20.1", "IpExtInCEPkts"), ("fd74:20::2", "fd74:20::1", "Ip6InCEPkts")]
    {
        let [from, to]: [IpAddr; 2] = [from, to].map(|address| address.parse().expect("an address"));
        let _server = Server::udp(there, (to, 5002));
        let marks = |ecn: u32| -> u64 {
            let socket = here.run(|| UdpSocket::bind((from, 0))).expect("a socket");
            let options = socket2::SockRef::from(&socket);
            if to.is_ipv4() { options.set_tos_v4(ecn) } else { options.set_tclass_v6(ecn) }.expect("an option");
            // 24 Mbit/s for a second, where 16 pass; however late a busy machine wakes us.
            let (start, mut sent) = (Instant::now(), 0);
            while sent < 2_100 {
                while sent < start.elapsed().as_micros() / 480 {
                    let _ = socket.send_to(&[0; 1_400], (to, 5002));
                    sent += 1;
                }
                std::thread::sleep(ms(2));
            }
            let line = there.sh(&format!("nstat -asz {counter} | tail -1"));
            line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line}"))
        };
        assert_eq!(marks(0), 0, "{to}");
        let marks = [1, 2].map(marks);
        assert!(marks[0] > 0 && marks[1] > marks[0], "{to}: {marks:?}");
    }
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
    let first = since.elapsed();
    assert!(first < ms(2_000), "{first:?}");
    pair.client.process.kill();
    pair.client = Daemon::start(here, &client_config(""));
    let since = Instant::now();
    eventually("the client is back", || answers(there, HERE));
    let second = since.elapsed();
    assert!(second < ms(2_000), "{second:?}");
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

#[test]
fn the_next_endpoint_is_tried_and_a_wrong_key_is_told_of() {
    need_lab!();
    let lab = Dual::new();
    // Nobody listens at the first, and at the second somebody who has another key.
    let mut both = server_config("");
    let (own, theirs) = (key(3).written(), key(1).public());
    both += &format!(
        "config peer 'other'
        option role 'server'
        option private_key '{own}'
        option public_key '{theirs}'
        option listen_port '7421'
        list address '10.74.21.1/24'\n"
    );
    let there = start_server(lab.internet(), &both);
    let endpoints = format!("list endpoint '{SERVER4}:7422'\n list endpoint '{SERVER4}:7421'");
    let mut client = Daemon::start(lab.router(), &client_config_to(&endpoints, ""));
    client.says(0, "trying 198.51.100.1:7421");
    client.says(0, "are both keys right, is UDP port");
    assert!(peers(&client, lab.router()).contains(r#""state":"down""#));
    let endpoints = format!("{endpoints}\n list endpoint '{SERVER4}:{PORT}'");
    client.reload(&client_config_to(&endpoints, ""), "reloaded");
    client.says(0, "peer vps is up: over");
    eventually("an answer", || answers(lab.router(), THERE));
    drop(there);
}

#[test]
fn frames_between_neighbours_carry_it_too() {
    need_lab!();
    let lab = Dual::new();
    let of = |text: String, wires: &str, macs: &[u8]| {
        let lines: Vec<&str> =
            text.lines().filter(|line| !line.contains("endpoint") && !line.contains("port")).collect();
        let mut text = lines.join("\n") + "\n option transport 'ethernet'\n";
        for wire in 1..=2 {
            text += &format!(" list link '{wires}{wire}'\n");
            let mac = |end: &u8| format!(" list remote_mac '02:77:00:00:0{wire}:0{end}'\n");
            text += &macs.iter().map(mac).collect::<String>();
        }
        text
    };
    let server = Daemon::launch(lab.internet(), &of(server_config(""), "isp", &[]), |_| ());
    let client = Daemon::start(lab.router(), &of(client_config(""), "wan", &[1]));
    let mut pair = Pair { client, server, lab };
    pair.await_both();
    let (here, there) = (pair.lab.router(), pair.lab.internet());
    fetch(here, there, THERE, 10 * MEGABYTE);
    fetch(there, here, HERE, 10 * MEGABYTE);
    pair.lab.wire(1).unplug();
    eventually("an answer over the other wire", || answers(here, THERE));
    pair.lab.wire(1).plug();
    pair.await_both();
    pair.client.stop();
    pair.server.stop();
}

#[test]
fn a_metered_link_without_a_limit_is_a_reserve() {
    need_lab!();
    let lab = Dual::new();
    let server = start_server(lab.internet(), &server_config(""));
    let text = client_config("").replacen("option device 'wan2'", "option device 'wan2'\n option metered '1'", 1);
    let client = Daemon::start(lab.router(), &text);
    eventually("it is up", || peers(&client, lab.router()).contains(r#""reason":"overwan1""#));
    assert!(answers(lab.router(), THERE));
    lab.wire(1).blackhole(true);
    eventually("the reserve carries", || peers(&client, lab.router()).contains(r#""reason":"overwan2""#));
    eventually("an answer", || answers(lab.router(), THERE));
    lab.wire(1).blackhole(false);
    eventually("and is let go", || peers(&client, lab.router()).contains(r#""reason":"overwan1""#));
    // The server's, its client's and one path's: it would ask the other one after 25 seconds only, and send by it until then.
    eventually("the server lets it go", || peers(&server, lab.internet()).matches(r#""state":"up""#).count() == 3);
    drop(server);
}

#[test]
fn a_reload_touches_what_changed() {
    need_lab!();
    let mut pair = Pair::new();
    let (here, there) = (pair.lab.router(), pair.lab.internet());
    let index =
        || pair.lab.router().sh("cat /sys/class/net/bond0/ifindex 2>/dev/null || ip -o link show bond0 | cut -d: -f1");
    let (first, handshakes) = (index(), |told: &str| told.contains(r#""state":"up""#));
    pair.client.reload(&client_config("").replace("log_level 'debug'", "log_level 'info'"), "reloaded");
    assert!(handshakes(&pair.told(true)) && index() == first && answers(here, THERE), "nothing of it changed");
    pair.client.reload(&client_config("option scheduler 'redundant'"), "reloaded");
    eventually("an answer", || answers(here, THERE));
    assert_eq!(index(), first, "the device stayed");
    // A second client comes to the server, and the first is none the worse.
    let more = "config client 'more'\n option peer 'home'\n option public_key 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk='\n list allowed_ips '10.74.20.9'";
    let text = server_config("list allowed_ips '10.74.20.2'\n list allowed_ips 'fd74:20::2'\n");
    let server = &mut pair.server;
    let went_on = support::bond::goes_on(there, HERE, || drop(server.reload(&(text + more), "reloaded")));
    assert!(went_on, "it has a session of its own");
    assert!(pair.told(false).contains(r#""clients_total":2"#));
    pair.client.reload(&config(&["", ""], ""), "reloaded");
    eventually("no device", || !device_is_there(here));
}

#[test]
fn a_link_that_is_taken_out_carries_nothing() {
    need_lab!();
    let pair = Pair::new();
    let here = pair.lab.router();
    let run = |words: &[&str]| assert!(pair.client.command(here, words).status().expect("it runs").success());
    run(&["link", "wan1", "down"]);
    eventually("one path is left", || pair.told(true).contains(r#""reason":"overwan2""#));
    run(&["link", "wan1", "up"]);
    eventually("both are there", || pair.told(true).contains(r#""reason":"overwan1,wan2""#));
}

#[test]
fn a_key_that_cannot_be_read_stops_nothing_else() {
    need_lab!();
    let lab = Dual::new();
    let unreadable = |text: String, number| {
        text.replace(
            &format!("option private_key '{}'", key(number).written()),
            "option private_key_file '/nowhere/key'",
        )
    };
    let mut server = Daemon::launch(lab.internet(), &unreadable(server_config(""), 2), |_| ());
    eventually("it is told", || peers(&server, lab.internet()).contains("/nowhere/key"));
    // A socket that nobody reads would keep it busy.
    lab.internet().run(|| UdpSocket::bind(("0.0.0.0", PORT)).map(drop)).expect("a free port");
    server.reload(&server_config(""), "listening on UDP port");
    let mut client = Daemon::start(lab.router(), &unreadable(client_config(""), 1));
    client.says(0, "cannot read private_key_file /nowhere/key");
    eventually("it is told", || peers(&client, lab.router()).contains("/nowhere/key"));
    client.reload(&client_config(""), "reloaded");
    eventually("an answer", || answers(lab.router(), THERE));
    drop(server);
}

#[test]
fn it_works_over_ipv6_from_a_port_of_choice_and_with_a_shared_secret() {
    need_lab!();
    let lab = Dual::new();
    let secret = format!("option preshared_key '{}'", key(9).written());
    // The server sends to its client's networks, and takes from them.
    let networks = "list allowed_ips '10.74.20.2'\n list allowed_ips '10.77.0.0/24'";
    let server = start_server(lab.internet(), &server_config(&format!("{secret}\n{networks}")));
    let text = client_config_to(
        &format!("list endpoint '[{SERVER6}]:{PORT}'"),
        &format!("option listen_port '7430'\n list route '10.99.0.0/16'\n{secret}"),
    );
    let client = Daemon::start(lab.router(), &text);
    eventually("it is up", || peers(&client, lab.router()).contains(r#""reason":"overwan1,wan2""#));
    eventually("the port is seen", || peers(&server, lab.internet()).contains(r#""remote":"[fd77:2::2]:7430""#));
    fetch(lab.router(), lab.internet(), THERE, MEGABYTE);
    // A client of the router's goes by the peer's route.
    lab.internet().sh("ip address add 10.99.0.1/32 dev lo");
    fetch(lab.client(), lab.internet(), [10, 99, 0, 1].into(), MEGABYTE);
}
