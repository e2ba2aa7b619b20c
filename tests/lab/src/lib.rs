//! A network laboratory for tests: hosts, wires and programs on one machine.
//!
//! - A [`Namespace`] is a host. It has no name in the file system, so the kernel removes it with its last user.
//! - A [`veth`] is a fast cable between two hosts; a [`Wire`] is one with delay, jitter, rate, loss, reordering and black
//!   holes. A [`Watch`] records what enters a wire.
//! - A [`Process`] is a program in a host: its output is kept, and it never outlives its test.
//! - [`Server`], [`connect`], [`download`], [`query`] and [`ping`] are the two ends of the traffic.
//! - [`Bulk`] and [`Call`] are traffic to measure by.
//! - [`Dual`] is the usual network of a router with several links.
//!
//! All of it needs root and touches nothing outside of its own namespaces; labs of several tests and runs stand side by
//! side. Set-up faults panic at the caller's line, as tests want it. A test starts with
//!
//! ```no_run
//! if !lab::ready() {
//!     return;
//! }
//! let lab = lab::Dual::new();
//! ```

use std::io::Write;

mod dual;
mod endpoint;
mod inspect;
mod load;
mod namespace;
mod packet;
mod process;
mod shape;
mod sys;
mod watch;
mod wire;

pub use dual::{Builder, Dual, SERVER4, SERVER6, gateway4, gateway6, router4, router6};
pub use endpoint::{Server, bind, connect, download, pattern, ping, ping_via, query};
pub use inspect::{conntrack_entries, half_open};
pub use load::{Bulk, Call, Heard};
pub use namespace::{Namespace, veth};
pub use packet::Packet;
pub use process::Process;
pub use shape::{Counters, Direction, REORDER_LAG, Shape};
pub use watch::{Seen, Watch};
pub use wire::{Wire, WireOptions};

/// Whether this machine can run the lab. If not, a line says what is missing, which is seen although the test passes: libtest
/// captures what macros print, and nothing else.
pub fn ready() -> bool {
    let said = available().inspect_err(|why| {
        let test = std::thread::current();
        let _ = writeln!(std::io::stderr(), "{}: SKIPPED: {why}", test.name().unwrap_or_default());
    });
    said.is_ok()
}

/// Says in one line what the lab misses on this machine, if anything.
pub fn available() -> Result<(), String> {
    const TOOLS: [&str; 4] = ["sh", "ip", "nft", "conntrack"];
    if !sys::is_root() {
        return Err("the lab needs root".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = |tool: &&str| std::env::split_paths(&path).any(|dir| dir.join(tool).is_file());
    if let Some(tool) = TOOLS.iter().find(|tool| !installed(tool)) {
        return Err(format!("the lab needs the program `{tool}`"));
    }
    std::thread::spawn(|| sys::unshare_network().and_then(|()| sys::open_tap("probe")))
        .join()
        .expect("a probe does not panic")
        .map_err(|e| format!("the lab needs network namespaces and /dev/net/tun: {e}"))?;
    Ok(())
}
