//! Packets as readable JSON, for `playbacktun`: built into bytes, taken apart again, compared, kept in pcap files.
//!
//! One model serves all of it: a [`Packet`] is a list of values for the [`field::FIELDS`] of one table. A field that is left
//! out is computed or has its usual value when the packet is built ([`build()`]), and matches anything when a packet is
//! expected ([`expect`]). What [`dissect()`] makes of bytes is built into the same bytes again.
//!
//! - [`json`]: text to a tree whose every node knows its line and column.
//! - [`read()`], [`write()`]: the tree to packets, with all faults at once; packets to text.
//! - [`pcap`]: files of tcpdump and Wireshark.

pub mod build;
pub mod dissect;
pub mod expect;
pub mod field;
pub mod json;
pub mod names;
pub mod options;
pub mod pcap;
pub mod read;
pub mod schedule;
pub mod write;

#[cfg(test)]
mod tests;

pub use build::build;
pub use dissect::dissect;
pub use field::{Field, Packet, Section, Value};
pub use json::{Fault, Place};
pub use read::read;
pub use schedule::schedule;
pub use write::write;

/// The longest IP packet that its own length field can name, and thus the longest that is built.
pub const LONGEST: usize = 65_535;
/// How deep packets may stand in ICMP errors: an error about an error is never sent (RFC 1122 3.2.2), one more is for tests.
pub const NESTED: usize = 3;
