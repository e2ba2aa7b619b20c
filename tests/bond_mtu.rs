//! Links that take smaller packets of a sudden, with transfers under way.

mod support;

use std::time::{Duration, Instant};

use lab::{Dual, SERVER4, SERVER6, Server, Shape};
use support::bond::{THERE, await_paths, client_section, peers, server_text, start_server};
use support::{Daemon, Transfer, config, eventually, ms};

/// What a TCP may stand still for, at its timeouts, and what half a megabyte takes, on a machine that has other things to do.
const GOES_ON: Duration = Duration::from_secs(4);

/// A bond over so many links, and a transfer each way.
struct Stage {
    client: Daemon,
    server: Daemon,
    transfers: [Transfer; 2],
    _servers: [Server; 2],
    lab: Dual,
}

impl Stage {
    #[track_caller]
    fn new(links: usize, ipv6: bool) -> Self {
        let lab = Dual::builder().links(links).build();
        for wire in lab.wires() {
            wire.both(Shape { rate_bits: Some(16_000_000), ..Shape::delayed(ms(5)) });
        }
        let server = start_server(lab.internet(), &server_text(&[""], ""));
        let mut section = client_section(1, "");
        if ipv6 {
            section = section.replace(&SERVER4.to_string(), &format!("[{SERVER6}]"));
        }
        let client = Daemon::start(lab.router(), &config(&vec![""; links], &section));
        await_paths(&client, lab.router(), links);
        let servers = [Server::source(lab.internet(), (THERE, 0)), Server::sink(lab.internet(), (THERE, 0))];
        let connect = |server: &Server| {
            lab::connect(lab.router(), server.address(), Duration::from_secs(5)).expect("a connection").0
        };
        let transfers = [Transfer::down(connect(&servers[0])), Transfer::up(connect(&servers[1]))];
        let stage = Stage { client, server, transfers, _servers: servers, lab };
        Transfer::all_go_on(&stage.transfers, "at first");
        stage
    }

    #[track_caller]
    fn goes_on(&self, when: &str) {
        let since = Instant::now();
        Transfer::all_go_on(&self.transfers, when);
        assert!(since.elapsed() < GOES_ON, "{when}: {:?}", since.elapsed());
    }

    /// Until an end says that some path carries packets of so many bytes.
    #[track_caller]
    fn await_size(&self, client: bool, size: u16) {
        let (daemon, host) =
            if client { (&self.client, self.lab.router()) } else { (&self.server, self.lab.internet()) };
        let paths = || peers(daemon, host).split_once(r#""paths""#).map(|(_, paths)| paths.to_owned());
        eventually(&format!("the size is found: {:?}", paths()), || {
            paths().is_some_and(|paths| paths.contains(&format!(r#""mtu":{size}"#)))
        });
    }
}

/// Somewhere on the way of the first link packets of more than 1,400 bytes vanish, and nobody says so.
fn narrow(lab: &Dual) {
    for (host, device) in [(lab.router(), "wan1"), (lab.internet(), "isp1")] {
        host.sh(&format!(
            "nft add table inet narrow
             nft 'add chain inet narrow way {{ type filter hook prerouting priority -400; }}'
             nft add rule inet narrow way iifname {device} meta l4proto udp meta length '>' 1400 drop"
        ));
    }
}

#[test]
fn a_path_that_shrinks_in_silence_stops_no_transfer() {
    need_lab!();
    // Of 1,400 bytes 1,372 are left of UDP over IPv4, and 1,352 over IPv6, of which 1,340 are tried.
    for (links, ipv6, size) in [(1, false, 1_381), (2, false, 1_381), (1, true, 1_349), (2, true, 1_349)] {
        let stage = Stage::new(links, ipv6);
        narrow(&stage.lab);
        stage.goes_on(&format!("over {links} links of which one is narrower, IPv6: {ipv6}"));
        stage.await_size(false, size);
        stage.goes_on("since its size is known");
    }
}

#[test]
fn a_device_that_takes_less_is_asked_for_no_more() {
    need_lab!();
    let stage = Stage::new(2, false);
    // The client is told of its link; the server finds out by an error.
    stage.lab.router().sh("ip link set wan1 mtu 1400");
    stage.await_size(true, 1_381);
    stage.lab.internet().sh("ip link set isp1 mtu 1400");
    stage.goes_on("when a device of both ends takes less");
    stage.await_size(false, 1_381);
    stage.lab.router().sh("ip link set wan1 mtu 1200");
    stage.client.says(0, "peer vps: wan1 is not used: it carries no datagrams of 1232 bytes");
    stage.goes_on("by the other link");
    stage.lab.router().sh("ip link set wan1 mtu 1500");
    eventually("it is used again", || peers(&stage.client, stage.lab.router()).contains(r#""reason":"overwan1,wan2""#));
}
