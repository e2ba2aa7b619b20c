//! What a host's kernel knows.

use std::fs;

use crate::namespace::Namespace;

/// How many of the host's TCP connections have seen a SYN and wait for the last part of the handshake.
pub fn half_open(host: &Namespace) -> usize {
    /// `TCP_SYN_RECV` of include/net/tcp_states.h, as /proc prints it.
    const SYN_RECV: &str = "03";
    let tables = host.run(|| {
        // `thread-self`, because `self` would show the namespace of the process.
        ["tcp", "tcp6"].map(|t| fs::read_to_string(format!("/proc/thread-self/net/{t}")).expect("a table of sockets"))
    });
    tables.iter().flat_map(|t| t.lines().skip(1)).filter(|l| l.split_whitespace().nth(3) == Some(SYN_RECV)).count()
}

/// The host's tracked connections of both families, a line each, as `conntrack -L` prints them.
#[track_caller]
pub fn conntrack_entries(host: &Namespace) -> Vec<String> {
    let lines = host.sh("conntrack -L -f ipv4\nconntrack -L -f ipv6");
    lines.lines().map(str::to_owned).collect()
}
