//! Inner packets.

/// An IP packet in two parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'p> {
    /// IP and transport header, or everything.
    pub head: &'p [u8],
    /// The rest.
    pub body: &'p [u8],
    /// The TCP or UDP checksum is to be filled in: its field holds the pseudo-header's sum.
    pub pending: bool,
}
