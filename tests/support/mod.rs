//! What the system tests share: a network with a running daemon, and short questions about what happened in it.
#![allow(dead_code, unused_imports, reason = "each test program uses its part")]

mod answers;
mod bed;
pub mod bond;
pub mod bus;
mod daemon;
mod frame;
mod traffic;
mod transfer;

pub use answers::{Pages, Resolver};
pub use bed::{Bed, eventually, link_from, link_of, ms, queued, second_lan, settled};
pub use daemon::{Daemon, config, link};
pub use frame::{Option_, mss, tcp_option, window_scale};
pub use traffic::{connect_from, datagrams, raw_packets, socket_from, syn};
pub use transfer::Transfer;

/// Where the servers are: one address of either family.
pub const SERVERS: [std::net::IpAddr; 2] = [std::net::IpAddr::V4(lab::SERVER4), std::net::IpAddr::V6(lab::SERVER6)];

/// Ends the test here, with a line that says why, where the machine cannot run it.
#[macro_export]
macro_rules! need_lab {
    () => {
        if !lab::ready() {
            return;
        }
    };
}

/// Has a host drop what comes in by another device than its answer would leave by: the daemon has to change that.
pub fn filter_strictly(host: &lab::Namespace, devices: &[&str]) {
    devices.iter().for_each(|device| host.sysctl(&format!("net/ipv4/conf/{device}/rp_filter"), "1"));
}
