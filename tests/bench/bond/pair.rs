//! Two hosts that several wires join, and on each a daemon: the client `router` and the server `internet`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use cheaproute::bond::keys::Secret;
use lab::{Direction, Dual, Namespace, Process, SERVER4, Shape, Wire, veth};

const READY: Duration = Duration::from_secs(10);

/// Inside the tunnel.
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 74, 20, 2));
pub const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 74, 20, 1));

/// A link: Mbit/s, and times in milliseconds.
#[derive(Clone, Copy)]
pub struct Link {
    pub down: u64,
    pub up: u64,
    /// There and back.
    pub rtt: f64,
    /// At most, each way.
    pub jitter: u64,
    pub loss_ppm: u32,
    /// What waits for the link is lost after so many milliseconds.
    pub queue: u64,
    /// Nothing waits: what comes after so many milliseconds' worth at once is lost.
    pub policed: bool,
}

/// As a provider's.
const QUEUE: u64 = 50;

impl Link {
    pub const fn new(rate: u64, rtt: f64) -> Self {
        Link { down: rate, up: rate, rtt, jitter: 0, loss_ppm: 0, queue: QUEUE, policed: false }
    }

    pub const fn up(self, up: u64) -> Self {
        Link { up, ..self }
    }

    pub const fn jitter(self, jitter: u64) -> Self {
        Link { jitter, ..self }
    }

    pub const fn queue(self, queue: u64) -> Self {
        Link { queue, ..self }
    }

    pub const fn policed(self, burst: u64) -> Self {
        Link { queue: burst, policed: true, ..self }
    }

    /// Percent.
    pub const fn loss(self, percent: u32) -> Self {
        Link { loss_ppm: percent * 10_000, ..self }
    }

    fn shape(self, direction: Direction) -> Shape {
        let rate = 1_000_000 * if direction == Direction::Up { self.up } else { self.down };
        Shape {
            delay: Duration::from_secs_f64(self.rtt / 2e3),
            jitter: Duration::from_millis(self.jitter),
            rate_bits: Some(rate),
            queue_bytes: rate * self.queue / 8_000,
            policed: self.policed,
            loss_ppm: self.loss_ppm,
            reorder_ppm: 0,
        }
    }
}

/// The hosts without daemons.
pub struct Hosts {
    pub client: Namespace,
    pub server: Namespace,
    dual: Option<Dual>,
    links: usize,
}

impl Hosts {
    #[track_caller]
    pub fn new(links: &[Link]) -> Self {
        let dual = Dual::builder().links(links.len()).build();
        for (wire, link) in dual.wires().iter().zip(links) {
            Direction::BOTH.into_iter().for_each(|direction| wire.set(direction, link.shape(direction)));
        }
        let (client, server) = (dual.router().clone(), dual.internet().clone());
        Hosts { client, server, dual: Some(dual), links: links.len() }
    }

    /// Joined by one cable that is as fast as memory.
    #[track_caller]
    pub fn unshaped() -> Self {
        let [client, server] = ["router", "internet"].map(Namespace::new);
        veth(&client, "wan1", &server, "isp1");
        client.sh("ip address add 10.77.1.2/24 dev wan1; ip route add default via 10.77.1.1");
        server.sh(&format!("ip address add 10.77.1.1/24 dev isp1; ip address add {SERVER4}/32 dev lo"));
        Hosts { client, server, dual: None, links: 1 }
    }

    /// Counted from 1.
    pub fn wire(&self, link: usize) -> &Wire {
        self.dual.as_ref().expect("wires").wire(link)
    }

    /// Starts both daemons, and waits until every path carries.
    #[track_caller]
    pub fn start(&self, scheduler: &str) -> Pair {
        self.start_with(scheduler, program(&self.client))
    }

    /// The same, with a client that this command runs.
    #[track_caller]
    pub fn start_with(&self, scheduler: &str, client: Command) -> Pair {
        let (ours, theirs) = (Secret::private([1; 32]), Secret::private([2; 32]));
        let mut text = "config cheaproute 'main'\n".to_owned();
        for link in 1..=self.links {
            text +=
                &format!("config link 'wan{link}'\n\toption device 'wan{link}'\n\toption gateway '10.77.{link}.1'\n");
        }
        let (own, public) = (ours.written(), theirs.public());
        text += &format!(
            "config peer 'vps'\n\toption private_key '{own}'\n\toption public_key '{public}'
            list endpoint '{SERVER4}:7420'\n\tlist address '{CLIENT}/24'\n\toption scheduler '{scheduler}'\n"
        );
        let (own, public) = (theirs.written(), ours.public());
        let server = format!(
            "config cheaproute 'main'\nconfig peer 'home'\n\toption role 'server'\n\toption private_key '{own}'
            option public_key '{public}'\n\toption listen_port '7420'\n\tlist address '{SERVER}/24'
            option scheduler '{scheduler}'\n"
        );
        let server = End::start(&self.server, &server, "listening on UDP port");
        let client = End::start_with(&self.client, client, &text, "racing over");
        let pair = Pair { client, server };
        let limit = Instant::now() + READY;
        // The peer's own state, and each path's.
        while [&pair.client, &pair.server]
            .iter()
            .any(|end| end.peers().matches(r#""state":"up""#).count() <= self.links)
        {
            assert!(Instant::now() < limit, "not all paths are up:\n{}\n{}", pair.client.peers(), pair.server.peers());
            std::thread::sleep(Duration::from_millis(20));
        }
        pair
    }
}

/// Both daemons.
pub struct Pair {
    pub client: End,
    pub server: End,
}

impl Pair {
    /// Processor seconds of the client's and of the server's daemon so far.
    pub fn busy(&self) -> [f64; 2] {
        [&self.client, &self.server].map(End::busy)
    }

    pub fn stop(self) {
        self.client.stop();
        self.server.stop();
    }
}

/// One daemon.
pub struct End {
    process: Process,
    host: Namespace,
    config: PathBuf,
}

impl End {
    #[track_caller]
    pub fn start(host: &Namespace, text: &str, ready: &str) -> Self {
        Self::start_with(host, program(host), text, ready)
    }

    #[track_caller]
    fn start_with(host: &Namespace, mut command: Command, text: &str, ready: &str) -> Self {
        let config = std::env::temp_dir().join(format!("cheaproute-bench-{}-{:x}", std::process::id(), host.inode()));
        fs::write(&config, text).expect("a configuration file");
        command.arg("run").arg("-c").arg(&config).arg("-s").arg(config.with_extension("sock"));
        let process = Process::spawn(command);
        process.wait_for_line(ready, READY);
        End { process, host: host.clone(), config }
    }

    /// What `peers --json` says, without spaces.
    pub fn peers(&self) -> String {
        let mut command = program(&self.host);
        command.args(["peers", "--json", "-s"]).arg(self.config.with_extension("sock"));
        let output = command.output().expect("the program runs");
        String::from_utf8_lossy(&output.stdout).split_whitespace().collect()
    }

    /// Processor seconds so far, of all threads, the kernel's work for them included.
    pub fn busy(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).into_iter().flatten().flatten();
        let nanos = tasks.filter_map(|task| {
            fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse::<f64>().ok()
        });
        nanos.sum::<f64>() * 1e-9
    }

    /// Resident memory in KB.
    pub fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// It has no time to say anything.
    pub fn kill(mut self) {
        self.process.kill();
    }

    pub fn stop(mut self) {
        self.process.signal(libc::SIGTERM);
        assert!(self.process.wait(READY).is_some(), "it does not end:\n{}", self.process.output());
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.config);
    }
}

fn program(host: &Namespace) -> Command {
    host.command(&crate::daemon::program())
}
