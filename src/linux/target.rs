//! xtables' target NFQUEUE in a rule of nft, for kernels without `nft_queue`: `nft_compat` carries it, though nft's language has no
//! word for it (`linux/netfilter/nf_tables.h`, `nf_tables_compat.h`, `xt_NFQUEUE.h`).
//!
//! iptables' own chains would do as well, but every packet that passes them pays for two more hooks, 80 to 110 ns of 4,000
//! measured on 6.18; and they would be one more program's rules to take away again.

use std::io;

use super::netlink::{ACK, CREATE, Message, Messages, Socket};

const SUBSYSTEM: u16 = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8;
const NEW_TABLE: u16 = SUBSYSTEM | libc::NFT_MSG_NEWTABLE as u16;
const NEW_CHAIN: u16 = SUBSYSTEM | libc::NFT_MSG_NEWCHAIN as u16;
const NEW_RULE: u16 = SUBSYSTEM | libc::NFT_MSG_NEWRULE as u16;
const BATCH_BEGIN: u16 = libc::NFNL_MSG_BATCH_BEGIN as u16;
const BATCH_END: u16 = libc::NFNL_MSG_BATCH_END as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;

const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const TARGET_NAME: u16 = 1;
const TARGET_REVISION: u16 = 2;
const TARGET_INFO: u16 = 3;

/// `xt_NFQ_info_v3`: the queue, how many there are, flags; then padding to eight bytes.
const REVISION: u32 = 3;
const BYPASS: u16 = 1;

/// A transaction's messages are counted; the rule's is the one to hear about.
const RULE: u32 = 3;

/// Appends the rule.
///
/// # Errors
/// `NotFound`: there is no such chain, or the kernel lacks `nft_compat` or `xt_NFQUEUE`.
pub fn append(table: &str, chain: &str, queue: u16) -> io::Result<()> {
    let mut batch = begin();
    add_rule(&mut batch, table, chain, queue);
    batch.begin(BATCH_END, 0, RULE + 1, &header(libc::AF_UNSPEC, SUBSYSTEM >> 8));
    commit(&batch)
}

/// Whether [`append`] would work, by a transaction without an end: the kernel looks at all of it, and forgets it.
pub fn try_out() -> io::Result<()> {
    let name = b"cheaproute_test\0";
    let mut batch = begin();
    batch.begin(NEW_TABLE, CREATE, 1, &header(libc::NFPROTO_INET, 0));
    batch.attribute(TABLE_NAME, name);
    batch.begin(NEW_CHAIN, CREATE, 2, &header(libc::NFPROTO_INET, 0));
    batch.attribute(CHAIN_TABLE, name).attribute(CHAIN_NAME, name);
    add_rule(&mut batch, "cheaproute_test", "cheaproute_test", 0);
    commit(&batch)
}

fn begin() -> Message {
    Message::new(BATCH_BEGIN, 0, &header(libc::AF_UNSPEC, SUBSYSTEM >> 8))
}

fn add_rule(batch: &mut Message, table: &str, chain: &str, queue: u16) {
    let mut info = [0; 8];
    for (at, value) in [queue, 1, BYPASS].into_iter().enumerate() {
        info[2 * at..2 * at + 2].copy_from_slice(&value.to_ne_bytes());
    }
    batch.begin(NEW_RULE, CREATE | APPEND | ACK, RULE, &header(libc::NFPROTO_INET, 0));
    batch.attribute(RULE_TABLE, &terminated(table)).attribute(RULE_CHAIN, &terminated(chain));
    batch.nested(RULE_EXPRESSIONS, |list| {
        list.nested(LIST_ELEMENT, |element| {
            element.attribute(EXPRESSION_NAME, b"target\0");
            element.nested(EXPRESSION_DATA, |data| {
                data.attribute(TARGET_NAME, b"NFQUEUE\0").be32(TARGET_REVISION, REVISION);
                data.attribute(TARGET_INFO, &info);
            });
        });
    });
}

fn commit(batch: &Message) -> io::Result<()> {
    let socket = Socket::open(libc::NETLINK_NETFILTER, 0)?;
    socket.send(batch.bytes())?;
    let mut buffer = [0; 4096];
    loop {
        for answer in Messages(socket.receive(&mut buffer, true)?) {
            match answer.error() {
                Some(result) if answer.sequence == RULE => return result,
                // A rule whose transaction failed before it was reached has no answer of its own.
                Some(Err(error)) if answer.sequence == 0 => return Err(error),
                _ => {}
            }
        }
    }
}

/// `nfgenmsg`: the family, version 0, a resource.
fn header(family: libc::c_int, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family as u8, 0, high, low]
}

fn terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}
