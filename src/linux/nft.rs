//! What nftables has by now. Rules are loaded by `nft` itself.

use super::netlink::{Message, Socket};

const GET_TABLE: u16 = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8 | libc::NFT_MSG_GETTABLE as u16;
const TABLE_NAME: u16 = 1;

/// Whether the family `inet` has this table. Where the kernel does not say, it is taken to be there.
pub fn has_table(name: &str) -> bool {
    // `nfgenmsg`: the family, version 0, resource 0.
    let mut message = Message::new(GET_TABLE, 0, &[libc::NFPROTO_INET as u8, 0, 0, 0]);
    message.attribute(TABLE_NAME, &[name.as_bytes(), b"\0"].concat());
    let answer = Socket::open(libc::NETLINK_NETFILTER, 0).and_then(|mut socket| socket.request(message));
    answer.map_err(|error| error.raw_os_error()) != Err(Some(libc::ENOENT))
}
