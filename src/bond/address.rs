//! Where a path's datagrams go to and come from.

use std::net::{IpAddr, SocketAddr};

/// The far end of a path, and which of our addresses it knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    Udp {
        remote: SocketAddr,
        /// The address of ours that a datagram came to, and that the answer leaves from. `None`: the kernel chooses.
        local: Option<IpAddr>,
    },
    /// A MAC address.
    Ethernet([u8; 6]),
}

impl Address {
    /// A far end towards which any source address will do.
    pub const fn udp(remote: SocketAddr) -> Self {
        Address::Udp { remote, local: None }
    }

    /// What a cookie proves the ownership of: address and port, or the MAC address.
    pub fn bytes(&self) -> ([u8; 18], usize) {
        let mut out = [0; 18];
        let mut put = |at: usize, bytes: &[u8]| {
            for (slot, byte) in out.iter_mut().skip(at).zip(bytes) {
                *slot = *byte;
            }
            at + bytes.len()
        };
        let length = match self {
            Address::Udp { remote, .. } => {
                let at = match remote.ip() {
                    IpAddr::V4(ip) => put(0, &ip.octets()),
                    IpAddr::V6(ip) => put(0, &ip.octets()),
                };
                put(at, &remote.port().to_be_bytes())
            }
            Address::Ethernet(mac) => put(0, mac),
        };
        (out, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_its_bytes() {
        let of = |address: Address| {
            let (bytes, length) = address.bytes();
            bytes[..length].to_vec()
        };
        assert_eq!(of(Address::udp(([192, 0, 2, 1], 258).into())), [192, 0, 2, 1, 1, 2]);
        assert_eq!(of(Address::udp(([0xffffu16; 8], 258).into())), [[255; 16].as_slice(), &[1, 2]].concat());
        assert_eq!(of(Address::Ethernet([2, 0, 0, 0, 0, 9])), [2, 0, 0, 0, 0, 9]);
    }
}
