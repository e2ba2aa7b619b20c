//! A network with a daemon in its router, and questions about it.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Builder, Dual, Namespace, Server, veth};

use super::daemon::{Daemon, config};

/// A client repeats its SYN after 1 s and 3 s: whatever happens to a router, a connection is there by then.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);

pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The usual network with its daemon.
pub struct Bed {
    // Dropped in this order.
    pub daemon: Daemon,
    pub lab: Dual,
}

impl Bed {
    /// Links with these one-way delays in milliseconds, all raced.
    #[track_caller]
    pub fn new(delays: &[u64]) -> Self {
        Self::with(delays, &vec![""; delays.len()], "")
    }

    /// With more options for each link, and more sections.
    #[track_caller]
    pub fn with(delays: &[u64], links: &[&str], more: &str) -> Self {
        Self::on(Self::builder(delays).build(), &config(links, more))
    }

    pub fn builder(delays: &[u64]) -> Builder {
        let delays: Vec<Duration> = delays.iter().map(|delay| ms(*delay)).collect();
        Dual::builder().links(delays.len()).delays(&delays)
    }

    #[track_caller]
    pub fn on(lab: Dual, config: &str) -> Self {
        let daemon = Daemon::start(lab.router(), config);
        Bed { daemon, lab }
    }

    #[track_caller]
    pub fn server(&self, address: IpAddr, port: u16) -> Server {
        Server::tcp(self.lab.internet(), (address, port))
    }

    /// A connection of the first client, which must come about.
    #[track_caller]
    pub fn connect(&self, server: &Server) -> TcpStream {
        match lab::connect(self.lab.client(), server.address(), CONNECT_LIMIT) {
            Ok((stream, _)) => stream,
            Err(error) => panic!("cannot connect to {}: {error}", server.address()),
        }
    }

    /// Makes a connection, and says which link carries it.
    #[track_caller]
    pub fn link_taken(&self, server: &Server) -> usize {
        link_from(self.lab.client(), server)
    }

    /// Like [`Bed::link_taken`] for several connections.
    #[track_caller]
    pub fn links_taken(&self, server: &Server, connections: usize) -> Vec<usize> {
        (0..connections).map(|_| self.link_taken(server)).collect()
    }

    /// Asks one datagram of a server; says how many came to it, the first one's link, and whether the answer came.
    #[track_caller]
    pub fn ask(&self, server: &Server) -> (Vec<usize>, bool) {
        let before = server.accepted();
        let answered = lab::query(self.lab.client(), server.address(), b"question", ms(1000)).is_ok();
        (server.peers()[before..].iter().map(|peer| link_of(*peer)).collect(), answered)
    }

    /// What the daemon has counted so far: a sample's name and labels as `metrics` prints them.
    #[track_caller]
    pub fn counted(&self, sample: &str) -> usize {
        let output = self.daemon.command(self.lab.router(), &["metrics"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let number = text.lines().find_map(|line| line.split_once(sample)?.1.strip_prefix(' ')?.parse().ok());
        number.unwrap_or_else(|| panic!("no number of {sample} in {text}"))
    }
}

/// Connects a host, and says which link that took.
#[track_caller]
pub fn link_from(host: &Namespace, server: &Server) -> usize {
    let before = server.accepted();
    let (_stream, _) = lab::connect(host, server.address(), CONNECT_LIMIT)
        .unwrap_or_else(|error| panic!("{} cannot connect to {}: {error}", host.name(), server.address()));
    eventually("the server accepts", || server.accepted() > before);
    link_of(server.peers()[before])
}

/// A host (10.78.0.2) behind another device of the router, `guest0`.
pub fn second_lan(router: &Namespace) -> Namespace {
    let guest = Namespace::new("guest");
    veth(&guest, "eth0", router, "guest0");
    guest.sh("ip address add 10.78.0.2/24 dev eth0; ip route add default via 10.78.0.1");
    router.sh("ip address add 10.78.0.1/24 dev guest0");
    guest
}

/// The link that has the router's address `peer`.
#[track_caller]
pub fn link_of(peer: SocketAddr) -> usize {
    match peer.ip() {
        IpAddr::V4(address) if address.octets()[..2] == [10, 77] => usize::from(address.octets()[2]),
        IpAddr::V6(address) if address.segments()[0] == 0xfd77 => usize::from(address.segments()[1]),
        _ => panic!("{peer} is no address of a link"),
    }
}

/// Waits up to five seconds for something to come true.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < limit, "not in time: {what}");
        thread::sleep(ms(5));
    }
}

/// How many packets the kernel has queued so far, in the queue for answers and in those for openings.
pub fn queued(router: &Namespace) -> [u64; 2] {
    let table = router.run(|| fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_queue"));
    let mut counts = [0; 2];
    for line in table.expect("a table of queues").lines() {
        let fields: Vec<u64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        // Number, port, waiting, copy mode and range, two sorts of drops, the last packet's number.
        counts[usize::from(fields[0] != u64::from(cheaproute::steer::QUEUE))] += fields[7];
    }
    counts
}

/// Everything that a daemon changes in a router's kernel, as text; what only counts or ages is left out.
pub fn settled(router: &Namespace) -> String {
    router.sh("nft -s list ruleset
        ip rule; ip -6 rule
        ip route show table all; ip -6 route show table all | sed 's/ expires [0-9]*sec//'
        for d in /proc/sys/net/ipv4/conf/*; do echo $d $(cat $d/rp_filter); done")
}
