//! The packets that a race sends.

use std::net::IpAddr;

use super::checksum::{closed, closed_transport, pseudo, words};
use super::numbers::{ICMP, TCP, UDP};
use super::view::{Ip, MSS, options};
use super::{MAX_PACKET, Opening, Protocol};

/// Room for one packet.
pub type Buffer = heapless::Vec<u8, MAX_PACKET>;

/// The smallest MSS that a clamp leaves (RFC 9293 3.7.1: the default of a host that was told nothing).
const MIN_MSS: u16 = 536;

/// Writes to `out` the copy of `packet` that leaves a link: from `source` (the link's address) and `port`, its TCP MSS
/// no larger than `mtu` allows, all checksums made anew. `false`, with `out` undefined, if `packet` is none that
/// [`opening`](super::opening) takes, or does not fit through `mtu` bytes.
pub fn copy_of(packet: &[u8], source: IpAddr, port: u16, mtu: u16, out: &mut Buffer) -> bool {
    write_copy(packet, source, port, mtu, out).is_some()
}

fn write_copy(packet: &[u8], source: IpAddr, port: u16, mtu: u16, out: &mut Buffer) -> Option<()> {
    let ip = Ip::parse(packet)?;
    if ip.length > usize::from(mtu) || ip.source.is_ipv4() != source.is_ipv4() {
        return None;
    }
    out.clear();
    out.extend_from_slice(packet.get(..ip.length)?).ok()?;
    let (head, payload) = out.split_at_mut_checked(ip.header)?;
    match source {
        IpAddr::V4(address) => {
            head.get_mut(12..16)?.copy_from_slice(&address.octets());
            let sum = head_checksum(head)?;
            head.get_mut(10..12)?.copy_from_slice(&sum);
        }
        IpAddr::V6(address) => head.get_mut(8..24)?.copy_from_slice(&address.octets()),
    }
    let checksum_at = match ip.protocol {
        TCP => {
            payload.get_mut(..2)?.copy_from_slice(&port.to_be_bytes());
            clamp_mss(payload, mtu.saturating_sub(if source.is_ipv4() { 40 } else { 60 }))?;
            16
        }
        UDP => {
            payload.get_mut(..2)?.copy_from_slice(&port.to_be_bytes());
            6
        }
        _ => {
            payload.get_mut(4..6)?.copy_from_slice(&port.to_be_bytes());
            2
        }
    };
    // RFC 768: over IPv4, a UDP checksum of 0 says that the sender made none. Keep that.
    if ip.protocol == UDP && source.is_ipv4() && payload.get(6..8)? == [0, 0] {
        return Some(());
    }
    payload.get_mut(checksum_at..checksum_at + 2)?.fill(0);
    let sum = transport_checksum(ip.protocol, source, ip.destination, payload);
    payload.get_mut(checksum_at..checksum_at + 2)?.copy_from_slice(&sum);
    Some(())
}

/// Writes to `out` the reset that ends the copy of `opening` which left from `source` and `port` (RFC 9293 3.10.7: with the
/// sequence number that the server expects next, one past the SYN's). Does nothing but clear `out` for other protocols.
pub fn reset(opening: &Opening, source: IpAddr, port: u16, out: &mut Buffer) {
    out.clear();
    let Some(syn) = opening.syn.filter(|_| opening.protocol == Protocol::Tcp) else { return };
    let mut tcp = [0u8; 20];
    tcp[0..2].copy_from_slice(&port.to_be_bytes());
    tcp[2..4].copy_from_slice(&opening.server.port().to_be_bytes());
    tcp[4..8].copy_from_slice(&syn.isn.wrapping_add(1).to_be_bytes());
    tcp[12] = 5 << 4;
    tcp[13] = 0x04;
    let sum = transport_checksum(6, source, opening.server.ip(), &tcp);
    tcp[16..18].copy_from_slice(&sum);
    // Both headers fit: Buffer holds MAX_PACKET bytes.
    let _ = match (source, opening.server.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut head = [0u8; 20];
            head[0] = 0x45;
            head[2..4].copy_from_slice(&40u16.to_be_bytes());
            head[6] = 0x40; // don't fragment
            head[8] = 64;
            head[9] = 6;
            head[12..16].copy_from_slice(&from.octets());
            head[16..20].copy_from_slice(&to.octets());
            if let Some(sum) = head_checksum(&head) {
                head[10..12].copy_from_slice(&sum);
            }
            out.extend_from_slice(&head)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut head = [0u8; 40];
            head[0] = 0x60;
            head[4..6].copy_from_slice(&20u16.to_be_bytes());
            head[6] = 6;
            head[7] = 64;
            head[8..24].copy_from_slice(&from.octets());
            head[24..40].copy_from_slice(&to.octets());
            out.extend_from_slice(&head)
        }
        _ => return,
    };
    let _ = out.extend_from_slice(&tcp);
}

/// Lowers the MSS option of a TCP header to `limit`; leaves a smaller one, and a SYN without one.
fn clamp_mss(tcp: &mut [u8], limit: u16) -> Option<()> {
    let header = usize::from(tcp.get(12)? >> 4) * 4;
    let found = options(tcp.get(20..header)?).find(|(_, option)| matches!(option, [MSS, 4, _, _]));
    let Some((offset, &[_, _, high, low])) = found else { return Some(()) };
    let mss = u16::from_be_bytes([high, low]).min(limit.max(MIN_MSS));
    tcp.get_mut(20 + offset + 2..20 + offset + 4)?.copy_from_slice(&mss.to_be_bytes());
    Some(())
}

fn head_checksum(head: &[u8]) -> Option<[u8; 2]> {
    let (before, after) = (head.get(..10)?, head.get(12..)?);
    Some(closed(words(before) + words(after)))
}

/// The checksum of `payload` with its pseudo-header; ICMP over IPv4 has none.
fn transport_checksum(protocol: u8, from: IpAddr, to: IpAddr, payload: &[u8]) -> [u8; 2] {
    let sum = match (from, to) {
        (IpAddr::V4(_), IpAddr::V4(_)) if protocol == ICMP => 0,
        (IpAddr::V4(from), IpAddr::V4(to)) => words(&from.octets()) + pseudo(&to.octets(), protocol, payload.len()),
        (IpAddr::V6(from), IpAddr::V6(to)) => words(&from.octets()) + pseudo(&to.octets(), protocol, payload.len()),
        _ => return [0, 0],
    };
    closed_transport(sum + words(payload))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
