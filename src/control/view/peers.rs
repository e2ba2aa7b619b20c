//! `peers`: a line for each peer, each of its paths, and each client of a server; below a peer, dimmed, the rest.

use super::links::state;
use super::page::{Cell, Page, Paint, Pieces, Table};
use super::units::{bits, bytes, count, millis, permille, plural, seconds};
use crate::control::Value;

const HEAD: [&str; 12] =
    ["PEER", "STATE", "SINCE", "RTT", "QUEUE", "LOSS", "DOWN", "UP", "RX", "TX", "RESENT", "REORDERED"];
const RIGHT: [usize; 10] = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
/// What can be done without where the line gets too long: counts, then the queue and the loss, then since when.
const EXPENDABLE: [usize; 7] = [11, 10, 9, 8, 4, 5, 2];

pub fn draw(document: &Value, page: &mut Page) {
    let peers = document.list("peers");
    if peers.is_empty() {
        return page.line("no peers: the configuration has none that is enabled", Paint::Dim);
    }
    let mut table = Table::default();
    table.head(&HEAD);
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
        let lossy = if path.count("loss_permille") > 0 { Paint::Warn } else { Paint::Normal };
        let mut row = Pieces::default();
        row.say(Paint::Normal, format_args!("{:indent$}{}", "", path.text("name")));
        row.cell(state(path));
        row.cell(Cell::default());
        row.amount(path, "rtt_us", Paint::Normal, millis);
        row.amount(path, "queue_us", Paint::Normal, millis);
        row.amount(path, "loss_permille", lossy, permille);
        row.amount(path, "down_bps", Paint::Normal, bits);
        row.amount(path, "up_bps", Paint::Normal, bits);
        row.amount(path, "rx_bytes", Paint::Normal, bytes);
        row.amount(path, "tx_bytes", Paint::Normal, bytes);
        row.amount(path, "retransmitted", Paint::Normal, count);
        row.amount(path, "reordered", Paint::Normal, count);
        table.row(row);
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

fn remote(remote: &Value, indent: usize) -> Pieces {
    let mut row = Pieces::default();
    row.say(Paint::Bold, format_args!("{:indent$}{}", "", remote.text("name")));
    row.cell(state(remote));
    row.cell((seconds(remote.count("since_s")), Paint::Normal));
    (0..5).for_each(|_| row.cell(Cell::default()));
    row.cell((bytes(remote.count("rx_bytes")), Paint::Normal));
    row.cell((bytes(remote.count("tx_bytes")), Paint::Normal));
    row
}

fn details(peer: &Value) -> Pieces {
    let mut pieces = Pieces::default();
    if !peer.text("reason").is_empty() {
        pieces.say(
            if peer.text("state") == "up" { Paint::Dim } else { Paint::Normal },
            format_args!("{}", peer.text("reason")),
        );
    }
    pieces.say(Paint::Dim, format_args!("{} on {}", peer.text("role"), peer.text("device")));
    if let Some(total) = peer.int("clients_total") {
        pieces
            .say(Paint::Dim, format_args!("{} of {} there", count(peer.count("clients_up")), plural(total, "client")));
        let more = total - peer.list("clients").len() as i64;
        if more > 0 {
            pieces.say(Paint::Dim, format_args!("{} more not shown", count(more)));
        }
    }
    pieces.say(Paint::Dim, format_args!("scheduler {}", peer.text("scheduler")));
    for address in peer.list("addresses") {
        if let Value::Text(address) = address {
            pieces.say(Paint::Dim, format_args!("{address}"));
        }
    }
    if let Some(mtu) = peer.int("mtu") {
        pieces.say(Paint::Dim, format_args!("mtu {mtu}"));
    }
    if !peer.text("endpoint").is_empty() {
        pieces.say(Paint::Dim, format_args!("endpoint {}", peer.text("endpoint")));
    }
    if let Some(ago) = peer.int("handshake_s") {
        pieces.say(Paint::Dim, format_args!("keys of {} ago", seconds(ago)));
    }
    let counters = [
        ("repaired", "repaired"),
        ("reordered", "reordered"),
        ("duplicates", "duplicates"),
        ("given_up", "given up"),
        ("dropped", "dropped"),
        ("queue", "waiting"),
    ];
    for (key, word) in counters {
        if peer.count(key) > 0 {
            pieces.say(Paint::Dim, format_args!("{} {word}", count(peer.count(key))));
        }
    }
    pieces
}
