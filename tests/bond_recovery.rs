//! What a bond does about servers that cannot be called or understood, and about devices and daemons that vanish.

mod support;

use std::fs;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::{Dual, SERVER4, Server};
use support::bond::{
    PORT, THERE, answers, await_paths, client_section, fetch, inside, peers, server_text, start_server,
};
use support::{Daemon, config, eventually, ms};

fn client_text(endpoints: &[&str]) -> String {
    let section = client_section(1, "");
    if endpoints.is_empty() {
        return config(&["", ""], &section);
    }
    let list: Vec<String> = endpoints.iter().map(|endpoint| format!("list endpoint '{endpoint}'")).collect();
    config(&["", ""], &section.replace(&format!("list endpoint '{SERVER4}:{PORT}'"), &list.join("\n")))
}

#[test]
fn an_endpoint_of_a_family_that_no_link_has_is_left() {
    need_lab!();
    let lab = Dual::new();
    let (here, there) = (lab.router(), lab.internet());
    here.sh("ip -6 address flush dev wan1\nip -6 address flush dev wan2");
    let server = start_server(there, &server_text(&[""], ""));
    let text = client_text(&["[2001:db8::1]:7420", &format!("{SERVER4}:{PORT}")]);
    let client = Daemon::start(here, &text);
    client.says(0, "peer vps: no link has IPv6 for [2001:db8::1]:7420; trying 198.51.100.1:7420");
    await_paths(&client, here, 2);
    eventually("an answer", || answers(here, THERE));
    drop((client, server));
    // Where it is the only one, that is all that can be said.
    let client = Daemon::start(here, &client_text(&["[2001:db8::1]:7420"]));
    client.says(0, "peer vps: no link has IPv6 for [2001:db8::1]:7420");
    eventually("it is told", || peers(&client, here).contains("nolinkhasIPv6for"));
}

#[test]
fn a_server_of_another_version_is_named() {
    need_lab!();
    let lab = Dual::new();
    let socket = lab.internet().run(|| UdpSocket::bind((SERVER4, PORT))).expect("a socket");
    socket.set_read_timeout(Some(ms(100))).expect("a limit");
    let client = Daemon::start(lab.router(), &client_text(&[]));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 2048];
            let limit = Instant::now() + ms(10_000);
            while !over.load(Ordering::Relaxed) && Instant::now() < limit {
                if let Ok((_, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&[0x22, buffer[1], buffer[2], buffer[3]], from);
                }
            }
        });
        eventually("it is told", || peers(&client, lab.router()).contains("answersinversion2"));
        over.store(true, Ordering::Relaxed);
    });
    client.says(0, "198.51.100.1:7420 answers in version 2 of the bond's protocol, not 1");
}

#[test]
fn a_connection_outlives_changes_of_its_peers_options() {
    need_lab!();
    let lab = Dual::new();
    let (here, there) = (lab.router(), lab.internet());
    let _server = start_server(there, &server_text(&["list allowed_ips '10.77.0.0/24'"], ""));
    let text = |more: &str| {
        let options = format!("list route '10.99.0.0/16'\n option listen_port '7430'\n {more}");
        config(&["", ""], &client_section(1, &options))
    };
    let mut client = Daemon::start(here, &text(""));
    await_paths(&client, here, 2);
    there.sh("ip address add 10.99.0.1/32 dev lo");
    let source = Server::source(there, ([10, 99, 0, 1], 0));
    let (mut stream, _) = lab::connect(lab.client(), source.address(), Duration::from_secs(5)).expect("a connection");
    for more in [
        "list route '10.98.0.0/16'",
        "option metered_limit '2mbit'",
        "option keepalive '2s'",
        "option mtu '1400'",
        "list address '10.74.21.2/24'",
        "option scheduler 'redundant'",
        // Each has the other's device, and its port; then there is one.
        "list link 'wan2'\n list link 'wan1'",
        "list link 'wan1'",
    ] {
        client.reload(&text(more), "reloaded");
        // What cannot be opened is tried again after five.
        lab::download(&mut stream, 100_000, Duration::from_secs(4)).expect(more);
    }
    let output = client.process.output();
    assert!(!output.contains("peer vps is down") && !output.contains("cannot use"), "{output}");
}

/// Ticks of a processor that a program has taken, of which there are 100 a second.
fn ticks(program: &Daemon) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.process.id())).expect("it runs");
    // Behind the name, which may hold anything: its own time and the kernel's are the 14th and 15th field.
    let fields = stat.rsplit(')').next().expect("a name").split_whitespace().skip(11).take(2);
    fields.map(|field| field.parse::<u64>().expect("a number")).sum()
}

#[test]
fn a_device_that_somebody_deletes_is_made_again() {
    need_lab!();
    let lab = Dual::new();
    let (here, there) = (lab.router(), lab.internet());
    let server = start_server(there, &server_text(&[""], ""));
    let text = config(&["", ""], &client_section(1, "list route '10.99.0.0/16'"));
    let client = Daemon::start(here, &text);
    await_paths(&client, here, 2);
    there.sh("ip address add 10.99.0.1/32 dev lo");
    let far = [10, 99, 0, 1].into();
    eventually("an answer", || answers(here, far));
    // Not within five seconds of its being made: it is left alone for as long.
    std::thread::sleep(ms(5_000));
    for (daemon, host) in [(&client, here), (&server, there)] {
        let (mark, before) = (daemon.process.lines_so_far(), ticks(daemon));
        host.sh("ip link delete bond0");
        daemon.says(mark, "somebody deleted device bond0");
        // By the address, and by the route.
        eventually("an answer", || answers(here, THERE) && answers(here, far));
        assert!(host.sh("cat /sys/class/net/bond0/mtu || ip link show bond0").contains("1481"));
        std::thread::sleep(ms(1_000));
        let taken = ticks(daemon) - before;
        assert!(taken < 50, "{taken} hundredths of a second");
    }
}

/// A server and its client, which has two paths to it.
fn joined() -> (Dual, Daemon, Daemon) {
    let lab = Dual::builder().delays(&[ms(5), ms(10)]).build();
    let server = start_server(lab.internet(), &server_text(&[""], ""));
    let client = Daemon::start(lab.router(), &client_text(&[]));
    await_paths(&client, lab.router(), 2);
    (lab, server, client)
}

/// As a stream that one watches: no packet of the client's is on its way that could go without word.
#[test]
fn who_only_receives_receives_again_within_two_seconds_of_a_restart() {
    need_lab!();
    let (lab, mut server, mut client) = joined();
    let (here, there) = (lab.router(), lab.internet());
    let inbox = here.run(|| UdpSocket::bind(("0.0.0.0", 5003))).expect("a socket");
    let from = there.run(|| UdpSocket::bind(("0.0.0.0", 0))).expect("a socket");
    inbox.set_read_timeout(Some(ms(8_000))).expect("a limit");
    let over = AtomicBool::new(false);
    // From now on, for as long as `over` does not say otherwise.
    let stream = || {
        let limit = Instant::now() + ms(40_000);
        while !over.load(Ordering::Relaxed) && Instant::now() < limit {
            let _ = from.send_to(b"news", (inside(1), 5003));
            std::thread::sleep(ms(10));
        }
    };
    // What waits in the socket came before.
    let next = || {
        inbox.set_nonblocking(true).expect("a socket");
        while inbox.recv(&mut [0; 16]).is_ok() {}
        inbox.set_nonblocking(false).expect("a socket");
        let since = Instant::now();
        inbox.recv(&mut [0; 16]).ok().map(|_| since.elapsed())
    };
    let times = std::thread::scope(|scope| {
        scope.spawn(stream);
        std::thread::sleep(ms(2_000));
        let before = next();
        server.process.kill();
        server = start_server(there, &server_text(&[""], ""));
        let first = next();
        std::thread::sleep(ms(2_000));
        client.process.kill();
        client = Daemon::launch(here, &client_text(&[]), |_| ());
        let second = next();
        over.store(true, Ordering::Relaxed);
        [before, first, second]
    });
    assert!(times.iter().all(|time| time.is_some_and(|time| time < ms(2_000))), "{times:?}");
}

/// As on a virtual server that is moved: what came meanwhile is old, and the other end has given it up.
#[test]
fn an_end_that_stood_still_is_back_within_two_seconds() {
    need_lab!();
    let (lab, mut server, mut client) = joined();
    let (here, there) = (lab.router(), lab.internet());
    fetch(here, there, THERE, 1_000_000);
    for (name, end) in [("client", &mut client), ("server", &mut server)] {
        end.process.signal(libc::SIGSTOP);
        let since = Instant::now();
        while since.elapsed() < ms(5_000) {
            assert!(!answers(here, THERE), "the {name} does not stand still");
        }
        end.process.signal(libc::SIGCONT);
        let since = Instant::now();
        eventually("an answer", || answers(here, THERE));
        assert!(since.elapsed() < ms(2_000), "{name}: {:?}", since.elapsed());
        fetch(here, there, THERE, 1_000_000);
    }
}
