//! `make demo-bond`: one download over two links at once, live; a link dies under it, and it goes on.
//!
//! Everything happens in namespaces of this process; they vanish with it, however it ends.

mod stage;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, process, thread};

use cheaproute::bond::keys::Secret;
use lab::{Direction, Dual, Namespace, Process, SERVER4, Server, Shape, connect, ping};
use stage::{Folder, say, title};

const PATIENCE: Duration = Duration::from_secs(10);
/// The server inside the tunnel.
const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 74, 20, 1));
/// Mbit/s, and one way.
const LINKS: [(u64, Duration); 2] = [(40, Duration::from_millis(10)), (20, Duration::from_millis(25))];
/// What is fetched through both links.
const BYTES: u64 = 110_000_000;
const LIMIT: Duration = Duration::from_secs(45);

fn main() {
    if let Err(why) = lab::available() {
        eprintln!("cheaproute demo: {why}");
        process::exit(1);
    }
    if let Err(error) = play() {
        eprintln!("cheaproute demo: {error}");
        process::exit(1);
    }
}

fn play() -> io::Result<()> {
    let net = Dual::new();
    for (wire, (rate, delay)) in net.wires().iter().zip(LINKS) {
        let rate = rate * 1_000_000;
        // 50 ms of it may wait.
        wire.both(Shape { rate_bits: Some(rate), queue_bytes: rate / 160, ..Shape::delayed(delay) });
    }
    let folder = Folder::new()?;
    title("A home with two links, and a server of one's own outside, on this machine");
    say("client 10.77.0.2 ── router ══ wan1  40 Mbit/s, 10 ms each way ══ server 198.51.100.1");
    say("                         ══ wan2  20 Mbit/s, 25 ms each way ══");

    title("One download by the default route takes one link");
    let alone = Server::source(net.internet(), (SERVER4, 8000));
    let (took, bytes) = (Instant::now(), 8_000_000);
    let (mut stream, _) = connect(net.client(), alone.address(), PATIENCE)?;
    lab::download(&mut stream, bytes, PATIENCE)?;
    say(format!("8 MB in {:.1} s: {:.1} Mbit/s", took.elapsed().as_secs_f64(), megabits(bytes, took.elapsed())));

    title("cheaproute at both ends: 'config peer', with a key of 'cheaproute genkey' each");
    let (ours, theirs) = (secret(net.router())?, secret(net.internet())?);
    let server = start(net.internet(), &folder, "server", &server_text(&theirs, &ours), "listening on UDP port")?;
    let client = start(net.router(), &folder, "router", &client_text(&ours, &theirs), "racing over")?;
    for line in ["peer vps is up", "it answers over wan1", "it answers over wan2"] {
        client.wait_for_line(line, PATIENCE);
    }
    ping(net.client(), INSIDE, PATIENCE)?;
    client.output().lines().filter(|line| line.contains("peer vps")).for_each(say);
    view(&net, &folder)?;

    title("The same download through the peer: one connection, both links");
    say("time          all                              wan1        wan2");
    let source = Server::source(net.internet(), (INSIDE, 8000));
    let (mut stream, _) = connect(net.client(), source.address(), PATIENCE)?;
    let done = AtomicU64::new(0);
    let took = thread::scope(|scope| {
        let loading = scope.spawn(|| download(&mut stream, &done));
        watch(&net, &done, || loading.is_finished());
        loading.join().expect("the download")
    })?;
    say(format!(
        "{} MB, each byte checked, in {:.1} s: no break, no new connection",
        BYTES / 1_000_000,
        took.as_secs_f64()
    ));
    view(&net, &folder)?;

    title("Both stop and leave nothing behind");
    for mut daemon in [client, server] {
        daemon.signal(15);
        daemon.wait(PATIENCE);
    }
    net.router().sh("nft list tables; ip rule; ip link show bond0 2>&1 || true").lines().for_each(say);
    Ok(())
}

/// A line a second; the first link dies, and comes back.
fn watch(net: &Dual, done: &AtomicU64, ended: impl Fn() -> bool) {
    let bytes = |link| net.wire(link).counters(Direction::Down).bytes;
    let (start, mut last) = (Instant::now(), (Instant::now(), 0, [bytes(1), bytes(2)]));
    for second in 1.. {
        let due = start + Duration::from_secs(1) * second;
        while Instant::now() < due {
            if ended() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let now = (Instant::now(), done.load(Ordering::Relaxed), [bytes(1), bytes(2)]);
        let span = now.0 - last.0;
        let all = megabits(now.1 - last.1, span);
        let [first, other] = [0, 1].map(|link| megabits(now.2[link] - last.2[link], span));
        let bar = "▇".repeat((all / 3.0) as usize);
        say(format!("{second:>3} s  {all:>5.1} Mbit/s  {bar:<20} {first:>8.1} {other:>11.1}"));
        last = now;
        match second {
            7 => {
                say("       wan1 dies without a sign");
                net.wire(1).blackhole(true);
            }
            14 => {
                say("       wan1 is back");
                net.wire(1).blackhole(false);
            }
            _ => {}
        }
    }
}

/// As [`lab::download`], and says how far it is.
fn download(stream: &mut std::net::TcpStream, done: &AtomicU64) -> io::Result<Duration> {
    let start = Instant::now();
    stream.write_all(&BYTES.to_be_bytes())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; 64 * 1024];
    let mut at = 0;
    while at < BYTES {
        let length = stream.read(&mut buffer)?;
        if length == 0 || start.elapsed() > LIMIT {
            return Err(io::Error::other(format!("the download stopped after {at} bytes")));
        }
        if buffer.iter().take(length).zip(at..).any(|(byte, offset)| *byte != lab::pattern(offset)) {
            return Err(io::Error::other(format!("wrong bytes after {at}")));
        }
        at += length as u64;
        done.store(at, Ordering::Relaxed);
    }
    Ok(start.elapsed())
}

fn megabits(bytes: u64, time: Duration) -> f64 {
    bytes as f64 * 8e-6 / time.as_secs_f64()
}

/// A new key, by our own command.
fn secret(host: &Namespace) -> io::Result<Secret> {
    let output = host.command(env!("CARGO_BIN_EXE_cheaproute")).arg("genkey").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Secret::read(text.trim()).ok_or_else(|| io::Error::other("no key of genkey"))
}

fn client_text(own: &Secret, server: &Secret) -> String {
    let mut text = "config cheaproute 'main'\n".to_owned();
    for link in 1..=LINKS.len() {
        text += &format!("config link 'wan{link}'\n\toption device 'wan{link}'\n\toption gateway '10.77.{link}.1'\n");
    }
    let (own, public) = (own.written(), server.public());
    text + &format!(
        "config peer 'vps'\n\toption private_key '{own}'\n\toption public_key '{public}'
        list endpoint '{SERVER4}:7420'\n\tlist address '10.74.20.2/24'\n"
    )
}

fn server_text(own: &Secret, client: &Secret) -> String {
    let (own, public) = (own.written(), client.public());
    format!(
        "config cheaproute 'main'\nconfig peer 'home'\n\toption role 'server'\n\toption private_key '{own}'
        option public_key '{public}'\n\toption listen_port '7420'\n\tlist address '{INSIDE}/24'
        list allowed_ips '10.74.20.2'\n\tlist allowed_ips '10.77.0.0/24'\n"
    )
}

fn start(host: &Namespace, folder: &Folder, name: &str, text: &str, ready: &str) -> io::Result<Process> {
    let file = folder.path(name);
    fs::write(&file, text)?;
    let mut command = host.command(env!("CARGO_BIN_EXE_cheaproute"));
    command.arg("run").arg("-c").arg(&file).arg("-s").arg(file.with_extension("socket"));
    let daemon = Process::spawn(command);
    daemon.wait_for_line(ready, PATIENCE);
    Ok(daemon)
}

fn view(net: &Dual, folder: &Folder) -> io::Result<()> {
    println!("  $ cheaproute peers");
    let mut command = net.router().command(env!("CARGO_BIN_EXE_cheaproute"));
    let output = command.args(["peers", "-s"]).arg(folder.path("router.socket")).output()?;
    String::from_utf8_lossy(&output.stdout).lines().for_each(say);
    String::from_utf8_lossy(&output.stderr).lines().for_each(say);
    Ok(())
}
