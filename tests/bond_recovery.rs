//! What a bond does about servers that cannot be called or understood, and about devices and daemons that vanish.

mod support;

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lab::{Dual, SERVER4};
use support::bond::{PORT, THERE, answers, await_paths, client_section, peers, server_text, start_server};
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
