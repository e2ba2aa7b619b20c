//! Devices of our own: their MTU, their addresses, and that they are up (`linux/rtnetlink.h`, `linux/if_addr.h`).

use std::io;
use std::net::IpAddr;

use super::netlink::{Answer, CREATE, Message, REPLACE, Socket, address, array};
use super::{index_of, number_of};
use crate::family::Family;

/// `IFA_F_NODAD`: an IPv6 address is of use at once. Nobody else can have it.
const NO_DUPLICATES: u8 = 0x02;

/// Gives a device this MTU and just these addresses, each with the length of its network, and sets it up. Those that the kernel
/// made itself, of link scope, stay.
pub fn set_up(device: &str, mtu: u32, addresses: &[(IpAddr, u8)]) -> io::Result<()> {
    let index = index_of(device)?;
    let mut socket = Socket::open(libc::NETLINK_ROUTE, 0)?;
    let mut message = Message::new(libc::RTM_NEWLINK, 0, &link(index, 0));
    socket.request(message.u32(libc::IFLA_MTU, mtu).clone())?;
    let mut unwanted = Vec::new();
    socket.dump(Message::new(libc::RTM_GETADDR, 0, &[0; 8]), |answer| {
        unwanted.extend(of_device(answer, index).filter(|known| !addresses.contains(known)));
    })?;
    for (address, length) in unwanted {
        match change(&mut socket, libc::RTM_DELADDR, 0, index, address, length) {
            // With an IPv4 network's first address go the others.
            Err(error) if error.raw_os_error() != Some(libc::EADDRNOTAVAIL) => return Err(error),
            _ => {}
        }
    }
    for (address, length) in addresses {
        change(&mut socket, libc::RTM_NEWADDR, CREATE | REPLACE, index, *address, *length)?;
    }
    up(&mut socket, index)
}

/// Gives a device one more address.
pub fn add(device: &str, address: IpAddr, length: u8) -> io::Result<()> {
    let mut socket = Socket::open(libc::NETLINK_ROUTE, 0)?;
    change(&mut socket, libc::RTM_NEWADDR, CREATE | REPLACE, index_of(device)?, address, length)
}

/// Sets a device up, as it is.
pub fn start(device: &str) -> io::Result<()> {
    up(&mut Socket::open(libc::NETLINK_ROUTE, 0)?, index_of(device)?)
}

fn up(socket: &mut Socket, index: u32) -> io::Result<()> {
    socket.request(Message::new(libc::RTM_NEWLINK, 0, &link(index, libc::IFF_UP as u32)))
}

/// `ifinfomsg`: family and type are any, then index, flags, and which of them are meant.
fn link(index: u32, flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    for (slot, value) in header.chunks_exact_mut(4).skip(1).zip([index, flags, flags]) {
        slot.copy_from_slice(&value.to_ne_bytes());
    }
    header
}

fn change(socket: &mut Socket, kind: u16, flags: u16, index: u32, address: IpAddr, length: u8) -> io::Result<()> {
    let family = number_of(Family::of(address)) as u8;
    let own = if address.is_ipv6() { NO_DUPLICATES } else { 0 };
    // `ifaddrmsg`: family, length, flags, scope, index.
    let mut header = [family, length, own, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&index.to_ne_bytes());
    let mut message = Message::new(kind, flags, &header);
    message.address(libc::IFA_LOCAL, address).address(libc::IFA_ADDRESS, address);
    socket.request(message)
}

/// A device's address that somebody gave it.
fn of_device(answer: &Answer, index: u32) -> Option<(IpAddr, u8)> {
    let [_, length, _, scope] = array::<4>(answer.body, 0)?;
    let ours = answer.kind == libc::RTM_NEWADDR
        && scope == libc::RT_SCOPE_UNIVERSE
        && u32::from_ne_bytes(array(answer.body, 4)?) == index;
    let value = |wanted: u16| answer.attributes(8).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let own = value(libc::IFA_LOCAL).or_else(|| value(libc::IFA_ADDRESS))?;
    Some((address(own)?, length)).filter(|_| ours)
}
