//! The yardstick: a program that accepts every queued packet, by the crate `nfq`, one system call a packet each way.

use lab::Namespace;
use nfq::{Queue, Verdict};

/// Makes our own program this one.
pub const FLAG: &str = "--bare-loop";

/// What it prints once it is ready.
pub const READY: &str = "accepting";

/// As long as the daemon's.
const QUEUE_LENGTH: u32 = 1024;

/// Runs for ever.
pub fn run() {
    if let Err(error) = accept() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn accept() -> std::io::Result<()> {
    let mut queue = Queue::open()?;
    // As the daemon: what overflows the socket is the queue's business.
    queue.set_recv_enobufs(false)?;
    for (number, range) in [(ANSWERS, 128), (OPENINGS, 1500)] {
        queue.bind(number)?;
        queue.set_copy_range(number, range)?;
        queue.set_queue_max_len(number, QUEUE_LENGTH)?;
    }
    println!("{READY}");
    loop {
        let mut message = queue.recv()?;
        message.set_verdict(Verdict::Accept);
        queue.verdict(message)?;
    }
}

const ANSWERS: u16 = 0;
const OPENINGS: u16 = 1;

/// Queues new SYNs after the firewall and SYN-ACKs before everything else, as the daemon's xtables rules do. So that the loop
/// handles the same packets as a race over two links does, the kernel copies each SYN to the other link, whose answer is
/// queued, accepted, and goes no further.
pub fn rules(router: &Namespace, add: bool) {
    let how = if add { "-A" } else { "-D" };
    router.sh(&format!(
        "iptables -w -t raw {how} PREROUTING -i wan+ -p tcp --tcp-flags SYN,ACK SYN,ACK -j NFQUEUE --queue-num {ANSWERS}
         iptables -w -t mangle {how} POSTROUTING -o wan1 -p tcp --syn -j TEE --gateway 10.77.2.1
         iptables -w -t mangle {how} PREROUTING -i wan2 -j DROP
         iptables -w -t security {how} FORWARD -i lan0 -p tcp --syn -j NFQUEUE --queue-num {OPENINGS}"
    ));
}
