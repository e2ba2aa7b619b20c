//! ICMP echo as bytes: requests for raw sockets, and replies from them (RFC 792, page 14; RFC 4443, section 4).
//!
//! ```text
//! 0  type  1  code  2  checksum  4  identifier  6  sequence  8  token, 64 bits
//! ```
//! All that is malformed ends here, as `None`.

use std::net::{IpAddr, Ipv4Addr};

use super::Token;
use crate::packet::checksum::{closed, fold, words};
use crate::packet::numbers::ICMP;

/// The length of an echo message of ours.
pub const LENGTH: usize = 16;

/// What an echo message carries, request or reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo {
    /// The shell's choice: to filter what the socket receives.
    pub identifier: u16,
    pub sequence: u16,
    pub token: Token,
}

impl Echo {
    /// The request, in the family of `to`. The kernel fills in ICMPv6's checksum, which covers addresses (RFC 3542, 3.1).
    pub fn request(&self, to: IpAddr) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[0] = if to.is_ipv4() { REQUEST_V4 } else { REQUEST_V6 };
        bytes[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[8..].copy_from_slice(&self.token.0.to_be_bytes());
        if to.is_ipv4() {
            let sum = closed(words(&bytes));
            bytes[2..4].copy_from_slice(&sum);
        }
        bytes
    }

    /// The reply in what a raw IPv4 socket delivers: an IPv4 packet, whose ICMP checksum nobody has looked at yet.
    pub fn reply_v4(packet: &[u8]) -> Option<(Ipv4Addr, Echo)> {
        let (header, _) = packet.split_first_chunk::<20>()?;
        let header_length = usize::from(header[0] & 0x0F) * 4;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        // RFC 791, 3.1: more-fragments flag and fragment offset.
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3FFF != 0;
        if header[0] >> 4 != 4 || header_length < header.len() || fragment || header[9] != ICMP {
            return None;
        }
        let message = packet.get(header_length..length)?;
        let source = Ipv4Addr::new(header[12], header[13], header[14], header[15]);
        // With its checksum a whole message sums up to all ones (RFC 1071, 1).
        if fold(words(message)) != 0xFFFF {
            return None;
        }
        Some((source, parse(message, REPLY_V4)?))
    }

    /// The reply in what a raw ICMPv6 socket delivers: the message alone, checksum verified (RFC 3542, 3 and 3.1).
    pub fn reply_v6(message: &[u8]) -> Option<Echo> {
        parse(message, REPLY_V6)
    }
}

const REPLY_V4: u8 = 0;
const REQUEST_V4: u8 = 8;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;

/// A reply brings the request's data back whole: any other length is not ours.
fn parse(message: &[u8], kind: u8) -> Option<Echo> {
    let bytes: &[u8; LENGTH] = message.try_into().ok()?;
    let [reply, code, _, _, i0, i1, s0, s1, token @ ..] = *bytes;
    (reply == kind && code == 0).then_some(Echo {
        identifier: u16::from_be_bytes([i0, i1]),
        sequence: u16::from_be_bytes([s0, s1]),
        token: Token(u64::from_be_bytes(token)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ECHO: Echo = Echo { identifier: 0x1234, sequence: 0xFFFE, token: Token(0x0102_0304_0506_0708) };

    /// As a raw socket would deliver the reply to `request`.
    fn reply(request: &[u8; LENGTH]) -> Vec<u8> {
        let mut message = *request;
        message[0] = REPLY_V4;
        message[2..4].fill(0);
        let checksum = closed(words(&message));
        message[2..4].copy_from_slice(&checksum);
        let mut packet = vec![0x45, 0, 0, 36, 0, 1, 0x40, 0, 57, 1, 0, 0, 9, 9, 9, 9, 192, 0, 2, 1];
        packet.extend(message);
        packet
    }

    fn request() -> [u8; LENGTH] {
        ECHO.request(IpAddr::from([9, 9, 9, 9]))
    }

    #[test]
    fn requests_have_their_bytes() {
        // Checksum by hand: 0800 + 1234 + FFFE + 0102 + 0304 + 0506 + 0708 = 12A46 -> 2A47 -> D5B8.
        assert_eq!(request(), [8, 0, 0xD5, 0xB8, 0x12, 0x34, 0xFF, 0xFE, 1, 2, 3, 4, 5, 6, 7, 8]);
        let six = ECHO.request("2620:fe::fe".parse().unwrap());
        assert_eq!(six[..8], [128, 0, 0, 0, 0x12, 0x34, 0xFF, 0xFE]);
    }

    #[test]
    fn replies_come_back() {
        assert_eq!(Echo::reply_v4(&reply(&request())), Some((Ipv4Addr::new(9, 9, 9, 9), ECHO)));
        let mut padded = reply(&request());
        padded.extend([0; 10]);
        assert!(Echo::reply_v4(&padded).is_some(), "what follows the packet's length is padding");
        let mut options = reply(&request());
        options[0] = 0x46;
        options[3] = 40;
        options.splice(20..20, [1, 1, 1, 0]);
        assert!(Echo::reply_v4(&options).is_some(), "options");
        let mut six = request();
        six[0] = REPLY_V6;
        assert_eq!(Echo::reply_v6(&six), Some(ECHO));
    }

    #[test]
    fn what_is_no_reply_is_none() {
        for (at, value, what) in [
            (0, 0x65, "version 6"),
            (0, 0x44, "header below 20 bytes"),
            (0, 0x4F, "header beyond the packet"),
            (3, 35, "length cuts the token"),
            (3, 37, "length beyond the packet"),
            (3, 19, "length within the header"),
            (6, 0x20, "more fragments"),
            (7, 1, "later fragment"),
            (9, 17, "UDP"),
            (20, 8, "a request"),
            (21, 1, "a code"),
            (23, 0, "wrong checksum"),
            (35, 0, "changed token"),
        ] {
            let mut packet = reply(&request());
            assert_ne!(packet[at], value, "{what}: changes nothing");
            packet[at] = value;
            assert_eq!(Echo::reply_v4(&packet), None, "{what}");
        }
        let packet = reply(&request());
        (0..packet.len()).for_each(|n| assert_eq!(Echo::reply_v4(&packet[..n]), None, "{n} bytes"));
        assert_eq!(Echo::reply_v6(&request()), None, "a request");
        assert_eq!(Echo::reply_v6(&[REPLY_V6; 17]), None, "too long");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (Echo::reply_v4(&bytes), Echo::reply_v6(&bytes));
        }

        /// Nor those that are nearly a reply, and what is read is what was written.
        #[test]
        fn nearly_replies(at in 0usize..36, value: u8, cut in 0usize..=36, id: u16, sequence: u16, token: u64) {
            let echo = Echo { identifier: id, sequence, token: Token(token) };
            let mut packet = reply(&echo.request(IpAddr::from([9, 9, 9, 9])));
            prop_assert_eq!(Echo::reply_v4(&packet), Some((Ipv4Addr::new(9, 9, 9, 9), echo)));
            packet[at] = value;
            packet.truncate(cut);
            if let Some((_, read)) = Echo::reply_v4(&packet) {
                prop_assert_eq!(read, echo);
            }
        }
    }
}
