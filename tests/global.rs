//! Clients with a global IPv6 address, which is theirs alone: it is neither raced nor given away.

mod support;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr};
use std::thread;

use lab::{Dual, Server, Shape};
use support::{Bed, SERVERS, config, connect_from, eventually, link_of, ms};

/// The client's two addresses. The first is of wan1's prefix.
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xaa, 0, 0, 0, 0, 2);
const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);

const PREFIX: &str = "list prefix '2001:db8:aa::/48'";

/// As a provider's delegation leaves a router and its LAN.
fn with_prefix() -> Dual {
    let lab = Bed::builder(&[2, 2]).build();
    lab.client().sh("ip address add 2001:db8:aa::2/64 dev eth0 nodad");
    lab.router().sh("ip address add 2001:db8:aa::1/64 dev lan0 nodad
        ip -6 route add unreachable 2001:db8:aa::/48 metric 2147483647");
    lab
}

/// The link that a connection of the client's takes, or what it hears.
fn link_from(bed: &Bed, from: Ipv6Addr, server: &Server) -> io::Result<usize> {
    let before = server.accepted();
    let _stream = connect_from(bed.lab.client(), (IpAddr::from(from), 0), server.address())?;
    eventually("the server accepts", || server.accepted() > before);
    Ok(link_of(server.peers()[before]))
}

fn why(bed: &Bed, from: Ipv6Addr) -> String {
    let arguments = ["why", &SERVERS[1].to_string(), "--port", "80", "--from", &from.to_string()];
    let output = bed.daemon.command(bed.lab.router(), &arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_last_resort_and_the_links_before_it_bind_them_too() {
    need_lab!();
    let only =
        |link: usize, last: &str| format!("config policy 'only'\n list link 'wan{link}'\n option last_resort '{last}'");
    for (link, last, wanted) in [
        (2, "blackhole", Err(ErrorKind::TimedOut)),
        (2, "unreachable", Err(ErrorKind::NetworkUnreachable)),
        (2, "default", Ok(1)),
        (1, "blackhole", Ok(1)),
    ] {
        let bed = Bed::on(with_prefix(), &config(&[PREFIX, ""], &only(link, last)));
        let server = bed.server(SERVERS[1], 80);
        assert_eq!(link_from(&bed, LOCAL, &server).unwrap(), link);
        let taken = link_from(&bed, GLOBAL, &server).map_err(|error| error.kind());
        assert_eq!(taken, wanted, "wan{link}, {last}");
        let way = match wanted {
            Ok(_) => "takes  wan1",
            Err(ErrorKind::TimedOut) => "dropped",
            Err(_) => "refused",
        };
        assert!(why(&bed, GLOBAL).contains(way), "{}", why(&bed, GLOBAL));
    }
}

#[test]
fn they_are_raced_where_the_firewall_translates_them() {
    need_lab!();
    let lab = with_prefix();
    lab.wire(1).both(Shape::delayed(ms(30)));
    let text = config(&[PREFIX, ""], "config policy 'all'\n option last_resort 'blackhole'");
    let mut bed = Bed::on(lab, &text);
    let server = bed.server(SERVERS[1], 80);
    assert_eq!(link_from(&bed, GLOBAL, &server).unwrap(), 1);
    let text = text.replacen("option log_level", "option translate_ipv6 '1'\n option log_level", 1);
    bed.daemon.reload(&text, "reloaded");
    assert_eq!(link_from(&bed, GLOBAL, &server).unwrap(), 2);
    assert!(why(&bed, GLOBAL).contains("races wan1, wan2"), "{}", why(&bed, GLOBAL));
}

#[test]
fn those_of_a_link_that_is_down_are_told_at_once() {
    need_lab!();
    let probe = "list probe 'icmp:198.51.100.1'\n option timeout '200ms'";
    let text = config(&[&format!("{probe}\n {PREFIX}"), probe], "");
    let bed = Bed::on(with_prefix(), &text);
    let server = bed.server(SERVERS[1], 80);
    assert_eq!(link_from(&bed, GLOBAL, &server).unwrap(), 1);
    let mark = bed.daemon.process.lines_so_far();
    bed.lab.wire(1).blackhole(true);
    bed.daemon.says(mark, "link wan1 is down");
    thread::sleep(ms(200));
    let told = link_from(&bed, GLOBAL, &server).map_err(|error| error.kind());
    assert_eq!(told, Err(ErrorKind::NetworkUnreachable));
    assert!(why(&bed, GLOBAL).contains("refused"), "{}", why(&bed, GLOBAL));
    assert_eq!(link_from(&bed, LOCAL, &server).unwrap(), 2);
    bed.lab.wire(1).blackhole(false);
    eventually("it is up again", || link_from(&bed, GLOBAL, &server).is_ok_and(|link| link == 1));
}
