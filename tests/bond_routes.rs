//! What goes through a peer: by its routes, by a policy; and where it goes while the peer is down.

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lab::{Dual, Namespace, SERVER4, Server, veth};
use support::bond::{MEGABYTE, THERE, answers, await_paths, client_section, inside, server_text, start_server};
use support::{Daemon, config, eventually, ms};

/// A host behind the server, which knows nothing but the server's address on its own network.
const WEB: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2));
const WEB_PORT: u16 = 80;

/// The usual lab, and a web server behind the far end, which is reached by the links as well.
struct Stage {
    client: Daemon,
    server: Daemon,
    web: Server,
    _host: Namespace,
    lab: Dual,
}

impl Stage {
    /// With more options of the client's peer and of the server, and more sections of the client.
    #[track_caller]
    fn new(peer: &str, server: &str, more: &str) -> Self {
        let lab = Dual::builder().backup_routes().build();
        let host = Namespace::new("web");
        veth(lab.internet(), "dmz", &host, "eth0");
        lab.internet().sh("ip address add 203.0.113.1/24 dev dmz; sysctl -q net.ipv4.ip_forward=1");
        host.sh(&format!("ip address add {WEB}/24 dev eth0; ip route add 10.77.0.0/16 via 203.0.113.1"));
        let web = Server::tcp(&host, (WEB, WEB_PORT));
        let server = start_server(lab.internet(), &server_text(&["list allowed_ips '10.77.0.0/24'"], server));
        let probe = format!("list probe 'icmp:{SERVER4}'");
        let text = config(&[&probe, &probe], &(client_section(1, peer) + more));
        let client = Daemon::start(lab.router(), &text);
        await_paths(&client, lab.router(), 2);
        Stage { client, server, web, _host: host, lab }
    }

    /// Who the web server thinks asked, if the first client of the LAN gets a connection.
    fn asks(&self) -> Option<IpAddr> {
        let before = self.web.accepted();
        lab::connect(self.lab.client(), (WEB, WEB_PORT), ms(1_000)).ok()?;
        eventually("the server accepts", || self.web.accepted() > before);
        self.web.peers().last().map(|peer| peer.ip())
    }

    #[track_caller]
    fn eventually_seen_as(&self, what: &str, fits: impl Fn(IpAddr) -> bool) {
        eventually(what, || self.asks().is_some_and(&fits));
    }
}

/// The web server saw the router's address on a link.
fn by_a_link(seen: IpAddr) -> bool {
    [lab::router4(1), lab::router4(2)].contains(&seen)
}

#[test]
fn a_route_for_all_leads_through_the_server_which_masquerades() {
    need_lab!();
    let mut stage = Stage::new("list route '0.0.0.0/0'", "option masquerade '1'", "");
    let router = stage.lab.router().clone();
    let server: IpAddr = [203, 0, 113, 1].into();
    stage.eventually_seen_as("the web server sees the bond's server", |seen| seen == server);
    let source = Server::source(&stage._host, (WEB, 5001));
    let (mut stream, _) =
        lab::connect(stage.lab.client(), source.address(), Duration::from_secs(5)).expect("a connection");
    lab::download(&mut stream, 4 * MEGABYTE, Duration::from_secs(20)).expect("all of it");
    // The links' own connections go on by their links: the far end's address, the daemon's probes, and who asks for a link.
    assert!(answers(&router, SERVER4.into()));
    for device in ["wan1", "wan2"] {
        assert!(lab::ping_via(&router, Some(device), SERVER4, ms(1_000)).is_ok(), "by {device}");
    }
    let bound = support::connect_from(&router, (lab::router4(2), 0), (WEB, WEB_PORT).into());
    assert!(bound.is_ok(), "who asks for a link's address gets it");
    eventually("by that link", || stage.web.peers().last().map(|peer| peer.ip()) == Some(lab::router4(2)));
    // Without the peer, everything goes as if there were none; and back.
    stage.server.process.kill();
    stage.eventually_seen_as("a link takes over", by_a_link);
    stage.server =
        start_server(stage.lab.internet(), &server_text(&["list allowed_ips '10.77.0.0/24'"], "option masquerade '1'"));
    stage.eventually_seen_as("the bond is back", |seen| seen == server);
    // What the daemons did goes with them.
    stage.client.stop();
    stage.server.stop();
    assert!(!stage.lab.internet().sh("nft list ruleset").contains("masquerade"), "the server's rule is gone");
}

const AGGREGATE: &str = "config policy 'fastest'\n option mode 'race'
    config policy 'together'\n option mode 'aggregate'\n option peer 'vps'
    config rule 'web'\n option policy 'together'\n option proto 'tcp'\n option dest_port '80'\n";

#[test]
fn a_policy_leads_there_and_the_rest_is_raced() {
    need_lab!();
    let stage = Stage::new("", "", AGGREGATE);
    // The server knows the LAN: nobody translates its addresses.
    let client: IpAddr = [10, 77, 0, 2].into();
    // The way back is the bond's, too: nothing else knows that network.
    stage.eventually_seen_as("the client's own address", |seen| seen == client);
    let other = Server::tcp(&stage._host, (WEB, 81));
    let raced = lab::connect(stage.lab.client(), other.address(), Duration::from_secs(4));
    assert!(raced.is_ok());
    eventually("by a link", || other.peers().last().is_some_and(|peer| by_a_link(peer.ip())));
    assert!(answers(stage.lab.internet(), inside(1)) && answers(stage.lab.router(), THERE));
}

#[test]
fn the_routers_own_connections_go_there_too() {
    need_lab!();
    let mut stage = Stage::new("", "option masquerade '1'", AGGREGATE);
    let probe = format!("list probe 'icmp:{SERVER4}'");
    let text = config(&[&probe, &probe], &(client_section(1, "") + AGGREGATE));
    stage
        .client
        .reload(&text.replacen("option log_level", "option local_traffic '1'\n option log_level", 1), "reloaded");
    let (server, router): (IpAddr, _) = ([203, 0, 113, 1].into(), stage.lab.router());
    eventually("the web server sees the bond's server", || {
        let before = stage.web.accepted();
        // The main table's way, and its address, are those of a link.
        let connected = lab::connect(router, (WEB, WEB_PORT), ms(1_000)).is_ok();
        connected && stage.web.accepted() > before && stage.web.peers().last().map(|peer| peer.ip()) == Some(server)
    });
}

#[test]
fn while_the_peer_is_down_its_policys_last_resort_decides() {
    need_lab!();
    let mut stage = Stage::new("", "", AGGREGATE);
    stage.eventually_seen_as("it leads there", |seen| seen == IpAddr::from([10, 77, 0, 2]));
    stage.server.process.kill();
    stage.eventually_seen_as("by the default route", by_a_link);
    let refuse = AGGREGATE.replace("option peer 'vps'", "option peer 'vps'\n option last_resort 'unreachable'");
    let probe = format!("list probe 'icmp:{SERVER4}'");
    stage.client.reload(&config(&[&probe, &probe], &(client_section(1, "") + &refuse)), "reloaded");
    eventually("refused at once", || {
        let refused = lab::connect(stage.lab.client(), (WEB, WEB_PORT), ms(1_000));
        refused.is_err_and(|error| error.kind() != std::io::ErrorKind::TimedOut)
    });
    stage.server = start_server(stage.lab.internet(), &server_text(&["list allowed_ips '10.77.0.0/24'"], ""));
    stage.eventually_seen_as("it leads there again", |seen| seen == IpAddr::from([10, 77, 0, 2]));
}

#[test]
fn a_second_server_takes_over_from_one_that_is_silent() {
    need_lab!();
    let lab = Dual::new();
    // The same server by two names: two hosts that share a key and an address inside.
    let text = |port: u16| server_text(&[""], "").replace("7420", &port.to_string());
    let first = start_server(lab.internet(), &text(7420));
    let section = client_section(1, &format!("list endpoint '{SERVER4}:7421'"));
    let client = Daemon::start(lab.router(), &config(&["", ""], &section));
    await_paths(&client, lab.router(), 2);
    eventually("the first answers", || answers(lab.router(), THERE));
    drop(first);
    let second = start_server(lab.internet(), &text(7421));
    client.says(0, "trying 198.51.100.1:7421");
    eventually("the second answers", || answers(lab.router(), THERE));
    drop(second);
}
