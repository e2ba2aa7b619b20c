//! A daemon that takes its configuration anew while traffic goes on.

mod support;

use std::io::{Read, Write};
use std::{fs, thread};

use lab::{Dual, Namespace, Server, Shape};
use support::{Bed, SERVERS, Transfer, config, eventually, link, link_of, ms, settled};

/// Drops what comes from a link with the address of another, as providers do (RFC 2827): such a packet counts as lost.
const PROVIDERS: &str = r#"nft 'table inet providers { chain arrived {
    type filter hook prerouting priority raw; iifname "isp*" fib saddr . iif oif missing drop; }; }'"#;

#[test]
fn a_reload_loses_no_packet() {
    need_lab!();
    let mut bed = Bed::new(&[20, 5]);
    bed.lab.internet().sh(PROVIDERS);
    // Packet after packet: a large one, to be cut up at the wire, would leave gaps.
    bed.lab.client().sh("ip link set eth0 gso_max_segs 1");
    // Kept busy by what the connections have on the way, with room for all of it.
    bed.lab.wire(2).both(Shape { rate_bits: Some(50_000_000), queue_bytes: 1 << 20, ..Shape::delayed(ms(5)) });
    let sources = SERVERS.map(|address| Server::source(bed.lab.internet(), (address, 80)));
    let sinks = SERVERS.map(|address| Server::sink(bed.lab.internet(), (address, 81)));
    let mut downs = sources.each_ref().map(|server| bed.connect(server));
    let mut ups = sinks.each_ref().map(|server| bed.connect(server));
    for server in sources.iter().chain(&sinks) {
        eventually("accepted", || server.accepted() == 1);
        assert_eq!(link_of(server.peers()[0]), 2);
    }
    let before = missing(&bed.lab);
    for reloads in [
        // What the network loses of its own accord.
        Vec::new(),
        vec![
            config(&["", "option metered '1'"], "config policy 'p'\n option mode 'failover'"),
            config(
                &["option weight '3'", ""],
                "config rule\n option policy 'q'\n option proto 'tcp'\n list dest_port '80'\nconfig policy 'q'\n option mode 'weighted'",
            ),
            // A link that has no device; only the one that carries everything; and as it was.
            config(&["", "", ""], ""),
            config(&[], &link(2, "")),
            config(&["", ""], ""),
        ],
    ] {
        let transfers: Vec<_> = downs.map(Transfer::down).into_iter().chain(ups.map(Transfer::up)).collect();
        for text in &reloads {
            Transfer::all_go_on(&transfers, "before a reload");
            let rules = || bed.lab.router().sh("nft -s -t list table inet cheaproute; ip rule");
            let old = rules();
            bed.daemon.reload(text, ": reloaded");
            // It says so when they are in force.
            assert_ne!(rules(), old);
        }
        Transfer::all_go_on(&transfers, "at last");
        let mut streams = transfers.into_iter().map(Transfer::end);
        let mut two = || [streams.next().unwrap(), streams.next().unwrap()];
        (downs, ups) = (two(), two());
        assert_eq!(missing(&bed.lab), before, "lost on the way up and down, after {} reloads", reloads.len());
    }
    for address in SERVERS {
        let server = bed.server(address, 82);
        eventually("raced again", || bed.link_taken(&server) == 2);
    }
}

/// Conntrack has links by their numbers, for longer than a daemon lives: an upgrade is a restart.
#[test]
fn after_a_restart_connections_have_their_links_whatever_their_order() {
    need_lab!();
    let mut bed = Bed::new(&[20, 5]);
    bed.lab.internet().sh(PROVIDERS);
    let servers = SERVERS.map(|address| bed.server(address, 80));
    let mut streams = servers.each_ref().map(|server| bed.connect(server));
    for text in [link(2, "") + &link(1, ""), link(3, "") + &link(2, "")] {
        bed.daemon.stop();
        bed.daemon.start_again(bed.lab.router(), &config(&[], &text));
        for (stream, server) in streams.iter_mut().zip(&servers) {
            stream.set_read_timeout(Some(ms(2000))).unwrap();
            stream.write_all(b"hello").unwrap();
            stream.read_exact(&mut [0; 5]).unwrap_or_else(|error| panic!("{}: {error}", server.address()));
            assert_eq!(link_of(server.peers()[0]), 2);
        }
    }
}

#[test]
fn a_faulty_reload_changes_nothing_and_says_why() {
    need_lab!();
    let mut bed = Bed::new(&[20, 5]);
    let before = settled(bed.lab.router());
    let faulty = config(&["option weight 'many'", ""], "");
    let line = faulty.lines().position(|line| line.contains("many")).unwrap() + 1;
    let said = bed.daemon.reload(&faulty, "weight");
    assert!(said.contains(&line.to_string()) && said.contains("many"), "{said}");
    thread::sleep(ms(200));
    assert_eq!(settled(bed.lab.router()), before);
    assert_eq!(bed.link_taken(&bed.server(SERVERS[0], 80)), 2);
}

/// How many segments TCP has sent that have not come out at the other end, upwards and downwards, once nothing is on the way.
/// Races' copies count as well, as less than none.
fn missing(lab: &Dual) -> [i64; 2] {
    let ends = [(lab.client(), lab.internet()), (lab.internet(), lab.client())];
    let counts = || ends.map(|(from, to)| [tcp(from, "OutSegs"), tcp(from, "RetransSegs"), tcp(to, "InSegs")]);
    let mut last = counts();
    eventually("silence", || {
        thread::sleep(ms(300));
        std::mem::replace(&mut last, counts()) == last
    });
    last.map(|[sent, again, arrived]| sent + again - arrived)
}

/// One of a host's counts of TCP segments. Those sent again are no part of those sent.
fn tcp(host: &Namespace, name: &str) -> i64 {
    let text = host.run(|| fs::read_to_string("/proc/thread-self/net/snmp")).unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|one| one == name).unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

/// What the init script makes a restart of; it reads the running daemon's bits from its status.
#[test]
fn other_mark_bits_take_a_restart() {
    need_lab!();
    let mut bed = Bed::new(&[20, 2]);
    let script = std::fs::read_to_string("files/cheaproute.init").unwrap();
    let reads =
        script.lines().find_map(|line| line.split("| sed -n '").nth(1)).and_then(|rest| rest.split('\'').next());
    let status = bed.daemon.command(bed.lab.router(), &["status", "--json"]).output().unwrap();
    let status = String::from_utf8(status.stdout).unwrap();
    let read = bed.lab.router().sh(&format!("sed -n '{}' <<'END'\n{status}\nEND", reads.expect("a sed in the script")));
    assert_eq!(read, "0x3f000000\n");
    let text = config(&["", ""], "").replacen("option log_level", "option mark_mask '0x3f0000'\n option log_level", 1);
    bed.daemon.reload(&text, "option mark_mask changes at a restart only");
    assert_eq!(bed.link_taken(&bed.server(SERVERS[0], 80)), 2, "the old ones stay in use");
    bed.daemon.stop();
    bed.daemon.start_again(bed.lab.router(), &text);
    assert_eq!(bed.link_taken(&bed.server(SERVERS[0], 81)), 2);
}

/// As SIGTERM: whoever asked is told, everything is taken away, and an init system that restarts what failed leaves it off.
#[test]
fn a_reload_that_finds_it_switched_off_ends_it() {
    need_lab!();
    let mut bed = Bed::new(&[2]);
    bed.daemon.stop();
    let before = settled(bed.lab.router());
    let off = config(&[""], "").replacen("option log_level", "option enabled '0'\n option log_level", 1);
    let says = "switched off by the configuration";
    for by_signal in [true, false] {
        bed.daemon.start_again(bed.lab.router(), &config(&[""], ""));
        assert_ne!(settled(bed.lab.router()), before);
        if by_signal {
            bed.daemon.reload(&off, says);
        } else {
            bed.daemon.write(&off);
            let output = bed.daemon.command(bed.lab.router(), &["reload"]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains(says), "{said} {output:?}");
        }
        assert!(bed.daemon.end().success(), "{}", bed.daemon.process.output());
        assert_eq!(settled(bed.lab.router()), before);
    }
}
