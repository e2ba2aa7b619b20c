//! `peers`: a line for each peer, each of its paths, and each client of a server; below a peer, dimmed, the rest.

use super::links::state;
use super::page::{Cell, Page, Paint, Table};
use super::units::{bits, bytes, count, millis, permille, plural, seconds};
use crate::control::Value;

const HEAD: [&str; 9] = ["PEER", "STATE", "SINCE", "RTT", "LOSS", "DOWN", "UP", "RX", "TX"];
const RIGHT: [usize; 7] = [2, 3, 4, 5, 6, 7, 8];
/// What can be done without where the line gets too long: byte counts, then the loss, then since when.
const EXPENDABLE: [usize; 4] = [8, 7, 4, 2];

pub fn draw(document: &Value, page: &mut Page) {
    let peers = document.list("peers");
    if peers.is_empty() {
        return page.line("no peers: the configuration has none that is enabled", Paint::Dim);
    }
    let mut table = Table::default();
    table.row(HEAD.iter().map(|name| (name.to_string(), Paint::Dim)).collect());
    for peer in peers {
        table.row(remote(peer, 0));
        rows(peer, 2, &mut table);
    }
    table.fit(page.width(), &EXPENDABLE);
    table.draw(0, &RIGHT, page);
    let mut row = 1;
    for peer in peers {
        table.draw(row, &RIGHT, page);
        page.flow(2, &details(peer));
        let own = number_of_rows(peer);
        (row + 1..=row + own).for_each(|row| table.draw(row, &RIGHT, page));
        row += own + 1;
    }
}

/// The paths, and each client with its own.
fn rows(remote_: &Value, indent: usize, table: &mut Table) {
    for path in remote_.list("paths") {
        let known = |key: &str, say: fn(i64) -> String| (path.int(key).map_or("-".into(), say), Paint::Normal);
        let lossy = if path.count("loss_permille") > 0 { Paint::Warn } else { Paint::Normal };
        table.row(vec![
            (format!("{:indent$}{}", "", path.text("name")), Paint::Normal),
            state(path),
            (String::new(), Paint::Normal),
            known("rtt_us", millis),
            (known("loss_permille", permille).0, lossy),
            known("down_bps", bits),
            known("up_bps", bits),
            known("rx_bytes", bytes),
            known("tx_bytes", bytes),
        ]);
    }
    for client in remote_.list("clients") {
        table.row(remote(client, indent));
        rows(client, indent + 2, table);
    }
}

fn number_of_rows(remote: &Value) -> usize {
    let clients = remote.list("clients").iter().map(|client| 1 + number_of_rows(client));
    remote.list("paths").len() + clients.sum::<usize>()
}

fn remote(remote: &Value, indent: usize) -> Vec<Cell> {
    let none = || (String::new(), Paint::Normal);
    vec![
        (format!("{:indent$}{}", "", remote.text("name")), Paint::Bold),
        state(remote),
        (seconds(remote.count("since_s")), Paint::Normal),
        none(),
        none(),
        none(),
        none(),
        (bytes(remote.count("rx_bytes")), Paint::Normal),
        (bytes(remote.count("tx_bytes")), Paint::Normal),
    ]
}

fn details(peer: &Value) -> Vec<Cell> {
    let mut pieces: Vec<Cell> = Vec::new();
    let mut say = |text: String, paint| pieces.push((text, paint));
    if !peer.text("reason").is_empty() {
        say(peer.text("reason").into(), if peer.text("state") == "up" { Paint::Dim } else { Paint::Normal });
    }
    say(format!("{} on {}", peer.text("role"), peer.text("device")), Paint::Dim);
    if let Some(total) = peer.int("clients_total") {
        say(format!("{} of {} there", count(peer.count("clients_up")), plural(total, "client")), Paint::Dim);
        let more = total - peer.list("clients").len() as i64;
        if more > 0 {
            say(format!("{} more not shown", count(more)), Paint::Dim);
        }
    }
    say(format!("scheduler {}", peer.text("scheduler")), Paint::Dim);
    for address in peer.list("addresses") {
        if let Value::Text(address) = address {
            say(address.clone(), Paint::Dim);
        }
    }
    if let Some(mtu) = peer.int("mtu") {
        say(format!("mtu {mtu}"), Paint::Dim);
    }
    if !peer.text("endpoint").is_empty() {
        say(format!("endpoint {}", peer.text("endpoint")), Paint::Dim);
    }
    if let Some(ago) = peer.int("handshake_s") {
        say(format!("keys of {} ago", seconds(ago)), Paint::Dim);
    }
    let counters = [
        ("repaired", "repaired"),
        ("reordered", "reordered"),
        ("duplicates", "duplicates"),
        ("given_up", "given up"),
        ("queue", "waiting"),
    ];
    for (key, word) in counters {
        if peer.count(key) > 0 {
            say(format!("{} {word}", count(peer.count(key))), Paint::Dim);
        }
    }
    pieces
}
