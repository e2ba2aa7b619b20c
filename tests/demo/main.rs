//! `make demo`: a home with two WANs, raced over live.
//!
//! Everything happens in namespaces of this process; they vanish with it, however it ends.

mod stage;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use std::{fs, io, process, thread};

use lab::{Dual, Process, SERVER4, SERVER6, Server, Shape, Wire, connect, half_open, query, router4, router6};
use stage::{Folder, say, title};

const CABLE: usize = 1;
const DSL: usize = 2;
const PATIENCE: Duration = Duration::from_secs(10);

fn main() {
    if let Err(why) = lab::available() {
        eprintln!("cheaproute demo: {why}");
        process::exit(1);
    }
    if let Err(error) = Demo::build().and_then(|demo| demo.play()) {
        eprintln!("cheaproute demo: {error}");
        process::exit(1);
    }
}

struct Demo {
    net: Dual,
    folder: Folder,
    web: Server,
    web6: Server,
    dns: Server,
}

impl Demo {
    fn build() -> io::Result<Self> {
        let net = Dual::builder().delays(&[ms(12), ms(28)]).build();
        let web = Server::tcp(net.internet(), (SERVER4, 443));
        let web6 = Server::tcp(net.internet(), (SERVER6, 443));
        let dns = Server::udp(net.internet(), (SERVER4, 53));
        let folder = Folder::new()?;
        fs::write(folder.path("cheaproute"), sample_for_the_lab())?;
        Ok(Demo { net, folder, web, web6, dns })
    }

    fn play(&self) -> io::Result<()> {
        title("A home with two WANs, on this machine");
        say("client 10.77.0.2 ── router ══ wan   12 ms each way ══ internet, server 198.51.100.1");
        say("                         ══ wanb  28 ms each way ══");

        title("Without cheaproute, everything takes the default route: wan");
        self.connect_some(3)?;

        title("cheaproute run -c /etc/config/cheaproute");
        let daemon = self.start();
        for line in daemon.output().lines() {
            say(line);
        }

        title("Three connections: each SYN races over both, the first answer wins");
        self.connect_some(3)?;
        let (_, took) = query(self.net.client(), (SERVER4, 53), b"who is example.org?", PATIENCE)?;
        thread::sleep(ms(150));
        // Both copies reach the server; the first one's answer won.
        self.tell("DNS query", took, self.dns.peers().first());
        let (_, took) = connect(self.net.client(), (SERVER6, 443), PATIENCE)?;
        thread::sleep(ms(150));
        self.tell("TCP over IPv6", took, self.web6.peers().last());
        self.view("races")?;
        say(format!("half-open connections that the losers left at the server: {}", half_open(self.net.internet())));

        title("wan gets slow: 60 ms each way. No health check is needed, wanb simply wins");
        self.wire(CABLE).both(Shape::delayed(ms(60)));
        self.connect_some(3)?;

        title("wanb dies without a sign. The very next connection goes on over wan");
        self.wire(DSL).blackhole(true);
        self.connect_some(3)?;
        thread::sleep(ms(2500));
        say("and soon its probes take it out of the race:");
        self.view("links")?;

        title("wanb is back, and so is the race");
        let so_far = daemon.lines_so_far();
        self.wire(DSL).blackhole(false);
        daemon.wait_for_line_after(so_far, "wanb is up", PATIENCE);
        thread::sleep(ms(300));
        self.connect_some(2)?;
        self.view("status")?;

        title("cheaproute stops and leaves nothing behind");
        self.stop(daemon);
        let left = self.net.router().sh("nft list tables; ip rule");
        left.lines().for_each(say);
        Ok(())
    }

    fn start(&self) -> Process {
        let mut command = self.net.router().command(env!("CARGO_BIN_EXE_cheaproute"));
        command.arg("run").arg("-c").arg(self.folder.path("cheaproute")).arg("-s").arg(self.folder.path("socket"));
        let daemon = Process::spawn(command);
        daemon.wait_for_line("racing over", PATIENCE);
        daemon
    }

    fn stop(&self, mut daemon: Process) {
        daemon.signal(15);
        daemon.wait(PATIENCE);
    }

    fn connect_some(&self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let (stream, took) = connect(self.net.client(), (SERVER4, 443), PATIENCE)?;
            // The server hears of it when the client's ACK is there.
            thread::sleep(ms(150));
            self.tell("TCP connection", took, self.web.peers().last());
            drop(stream);
        }
        Ok(())
    }

    fn tell(&self, what: &str, took: Duration, peer: Option<&SocketAddr>) {
        let by = |link| peer.is_some_and(|peer| peer.ip() == router4(link) || peer.ip() == router6(link));
        let name = if by(CABLE) {
            "wan"
        } else if by(DSL) {
            "wanb"
        } else {
            "?"
        };
        let seen: IpAddr = peer.map_or([0, 0, 0, 0].into(), SocketAddr::ip);
        say(format!("{what:<15} {:>6.1} ms   by {name:<5} the server saw {seen}", took.as_secs_f64() * 1000.0));
    }

    fn view(&self, name: &str) -> io::Result<()> {
        println!("  $ cheaproute {name}");
        let mut command = self.net.router().command(env!("CARGO_BIN_EXE_cheaproute"));
        let output = command.arg(name).arg("-s").arg(self.folder.path("socket")).output()?;
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .chain(String::from_utf8_lossy(&output.stderr).lines())
            .for_each(say);
        Ok(())
    }

    fn wire(&self, link: usize) -> &Wire {
        self.net.wire(link)
    }
}

/// The sample that the package ships, told where the lab's links are: there is no netifd here.
fn sample_for_the_lab() -> String {
    let sample = include_str!("../../files/cheaproute.config");
    // Its probes ask hosts of the real internet.
    let sample: String = sample.split_inclusive('\n').filter(|line| !line.starts_with("\tlist probe")).collect();
    [("wan", CABLE), ("wanb", DSL)].iter().fold(sample, |text, (name, link)| {
        let there =
            format!("option device 'wan{link}'\n\toption gateway '10.77.{link}.1'\n\toption gateway6 'fd77:{link}::1'");
        let probed = format!("{there}\n\tlist probe 'icmp:{SERVER4}'\n\toption interval '300ms'");
        text.replace(&format!("option interface '{name}'"), &probed)
    })
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
