//! `playbacktun`: packets from JSON through a TUN device, and with them the router's rules.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use cheaproute::playback::{build, dissect, pcap, read, write};
use lab::{Direction, Namespace, Process, Server};
use support::{Bed, SERVERS, config, eventually, queued};

const BINARY: &str = env!("CARGO_BIN_EXE_playbacktun");
/// Longer than any of these runs takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(20);

fn sample(name: &str) -> String {
    format!("{}/tests/packets/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A file of this test; it goes with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("playback-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Scratch(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn told(mut command: Command, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    told(Command::new(BINARY), arguments)
}

fn run_in(host: &Namespace, arguments: &[&str]) -> (Option<i32>, String, String) {
    told(host.command(BINARY), arguments)
}

/// The bytes of a file's packets.
fn all_bytes(json: &str) -> Vec<Vec<u8>> {
    read(json, true).unwrap().iter().map(|read| build(&read.packet).unwrap()).collect()
}

#[test]
fn check_says_where_a_fault_is() {
    let (code, out, err) = run(&["--check", &sample("kinds.json")]);
    assert!(code == Some(0) && out.ends_with("kinds.json: OK, 12 packets\n") && err.is_empty(), "{out}{err}");
    let printed = sample("seed-as-printed.txt");
    let (code, _, err) = run(&["--check", &printed]);
    assert_eq!(code, Some(3));
    assert!(err.starts_with(&format!("{printed}:13:15: tcp: this quote opens a text that does not end")), "{err}");
    let (code, _, err) = run(&["--check", "/nonexistent"]);
    assert!(code == Some(3) && err.contains("cannot read /nonexistent"), "{err}");
    assert_eq!(run(&["--check"]).0, Some(2));
}

#[test]
fn files_of_pcap_are_made_and_read() {
    let text = fs::read_to_string(sample("kinds.json")).unwrap();
    let pcap = Scratch::new("made.pcap", "");
    assert_eq!(run(&[&sample("kinds.json"), "--to-pcap", pcap.path(), "--interval", "10"]).0, Some(0));
    let bytes = fs::read(&pcap.0).unwrap();
    let capture = pcap::read(&bytes).unwrap();
    let times: Vec<u64> = capture.packets.iter().map(|packet| packet.time).collect();
    assert_eq!(times[..5], [0, 10_000, 250_000, 260_000, 270_000]);
    let (code, json, err) = run(&["--from-pcap", pcap.path()]);
    assert!(code == Some(0) && err.is_empty(), "{err}");
    assert_eq!(all_bytes(&json), all_bytes(&text));
    assert!(json.contains("\"time\": 0.25,"), "{json}");
}

/// What a capture says of each packet: Wireshark checks lengths and checksums, and has its own mind about the fields.
#[test]
fn wireshark_agrees() {
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("skipped: there is no tshark (tests/setup.sh installs it)");
        return;
    }
    let pcap = Scratch::new("shark.pcap", "");
    assert_eq!(run(&[&sample("kinds.json"), "-t", pcap.path()]).0, Some(0));
    let fields = |names: &str| {
        let mut command = Command::new("tshark");
        command.args(["-r", pcap.path(), "-T", "fields", "-E", "occurrence=f"]);
        for option in ["ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"] {
            command.args(["-o", &format!("{option}:TRUE")]);
        }
        command.args(["-o", "tcp.relative_sequence_numbers:FALSE"]);
        let (code, out, err) = told(command, &names.split(' ').flat_map(|name| ["-e", name]).collect::<Vec<_>>());
        assert_eq!(code, Some(0), "{err}");
        out.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    // 1 is good. Those without a checksum that Wireshark knows are fragments.
    let sums = fields(
        "ip.checksum.status tcp.checksum.status udp.checksum.status icmp.checksum.status icmpv6.checksum.status",
    );
    assert_eq!(sums.len(), 12);
    for (line, number) in sums.iter().zip(1..) {
        let states: Vec<&str> = line.split('\t').filter(|state| !state.is_empty()).collect();
        assert!(states.iter().all(|state| *state == "1") && (!states.is_empty() || number == 12), "{number}: {line}");
    }
    assert!(fields("_ws.malformed").iter().all(String::is_empty));
    let lines =
        fields("ip.src ipv6.src tcp.srcport tcp.seq_raw tcp.flags tcp.options.mss_val tcp.options.wscale.shift");
    assert_eq!(lines[0], "192.168.1.7\t\t40000\t4294967295\t0x00c2\t1460\t7");
    let lines = fields("ipv6.src ipv6.dst ipv6.tclass ipv6.flow ipv6.hlim tcp.dstport");
    assert_eq!(lines[6], "fd77::2\t2001:db8:51::1\t0x000000b8\t0x012345\t63\t443");
    let lines = fields("tcp.options.sack_le tcp.options.sack_re tcp.urgent_pointer tcp.flags");
    assert_eq!(lines[1], "100\t200\t1\t0x0130");
    let lines = fields("icmp.type icmp.code icmp.mtu icmp.redir_gw icmpv6.type icmpv6.mtu icmpv6.echo.identifier");
    assert_eq!(lines[3], "3\t4\t1400\t\t\t\t");
    assert_eq!(lines[4], "5\t1\t\t192.168.1.2\t\t\t");
    assert_eq!(lines[8], "\t\t\t\t128\t\t0x0005");
    assert_eq!(lines[9], "\t\t\t\t2\t1280\t");
    let lines = fields("ip.flags.mf ip.id ip.proto ipv6.fraghdr.offset ipv6.fraghdr.ident");
    assert!(lines[10].starts_with("1\t0x1092\t47") || lines[10].starts_with("True\t0x1092\t47"), "{}", lines[10]);
    assert!(lines[11].ends_with("\t3\t0x00011170"), "{}", lines[11]);
    // And what is wrong on purpose arrives as wrong.
    assert_eq!(run(&[&sample("wrong.json"), "-t", pcap.path()]).0, Some(0));
    let sums = fields("ip.checksum.status tcp.checksum.status udp.checksum.status");
    assert_eq!((&*sums[0], &*sums[3], &*sums[5]), ("0\t1\t", "1\t0\t", "1\t\t3"));
}

#[test]
fn expected_packets_come_or_are_missed() {
    need_lab!();
    let host = Namespace::new("host");
    let ping = r#"{"ip": {"source": "10.9.0.2", "destination": "10.9.0.1"}, "icmp": {"identifier": 5},
                   "data": {"type": "text", "data": "ping"}}"#;
    let pong = r#"{"ip": {"source": "10.9.0.1"}, "icmp": {"type": "echoReply", "identifier": 5}}"#;
    let (packets, expected) = (Scratch::new("ping.json", ping), Scratch::new("pong.json", pong));
    let line = ["-a", "10.9.0.1/24", "t0", packets.path(), "-e", expected.path(), "-w", "10000"];
    let (code, out, err) = run_in(&host, &line);
    assert_eq!((code, &*out), (Some(0), "1 packet sent, 1 of 1 expected came\n"), "{err}");
    assert!(!host.sh("ip link").contains("t0"), "the device is gone");
    fs::write(
        &expected.0,
        pong.replace("\"identifier\": 5", "\"identifier\": 6").replace("{\"ip\"", "\n{\"comment\": \"C\", \"ip\""),
    )
    .unwrap();
    let line = ["-a", "10.9.0.1/24", "t0", packets.path(), "-e", expected.path(), "-w", "500"];
    let (code, out, _) = run_in(&host, &line);
    assert_eq!(code, Some(1));
    assert!(
        out.contains("0 of 1 expected came\n") && out.contains("pong.json:2: packet 1 (C) did not come within"),
        "{out}"
    );
    assert!(out.contains("    icmp.identifier: expected 6, came 5\n"), "{out}");
}

#[test]
fn a_device_that_is_down_is_waited_for_and_loops_end() {
    need_lab!();
    let host = Namespace::new("host");
    let mut command = host.command(BINARY);
    command.args(["t0", &sample("seed.json"), "--loop", "-n", "3", "-i", "1"]);
    let mut process = Process::spawn(command);
    process.wait_for_line("waiting for t0: set it up with `ip link set t0 up`", LIMIT);
    host.sh("ip link set t0 up");
    let status = process.wait(LIMIT).unwrap_or_else(|| panic!("no end\n{}", process.output()));
    assert!(status.success() && process.stdout() == "6 packets sent\n", "{}", process.output());
    let (code, _, err) = run_in(&host, &["lo", &sample("seed.json")]);
    assert!(code == Some(4) && err.contains("cannot use lo"), "{err}");
}

#[test]
fn a_record_is_what_was_played() {
    need_lab!();
    let host = Namespace::new("host");
    // Without IPv6 the device sends nothing of its own, and packets are heard all the same.
    host.sh("ip tuntap add mode tun name t0");
    host.sysctl("net/ipv6/conf/t0/disable_ipv6", "1");
    host.sh("ip link set t0 up");
    let output = Scratch::new("record.json", "");
    let mut command = host.command(BINARY);
    command.args(["--record", "t0", "-n", "12", "-o", output.path()]);
    let mut process = Process::spawn(command);
    process.wait_for_line("hearing t0", LIMIT);
    let (code, out, err) = run_in(&host, &["t0", &sample("kinds.json")]);
    assert!(code == Some(0) && out == "12 packets sent\n", "{out}{err}");
    assert!(host.sh("ip link").contains("t0"), "a persistent device stays");
    let status = process.wait(LIMIT).unwrap_or_else(|| panic!("no end\n{}", process.output()));
    assert!(status.success());
    let recorded = fs::read_to_string(&output.0).unwrap();
    assert_eq!(all_bytes(&recorded), all_bytes(&fs::read_to_string(sample("kinds.json")).unwrap()));
    let mut again: Vec<_> = all_bytes(&recorded).iter().map(|bytes| dissect(bytes)).collect();
    for (packet, read) in again.iter_mut().zip(read(&recorded, true).unwrap()) {
        packet.set_number(
            cheaproute::playback::Field::Time,
            read.packet.number(cheaproute::playback::Field::Time).unwrap(),
        );
    }
    assert_eq!(again.iter().map(write).collect::<String>(), recorded);
}

/// What happens to the packets of a file in the router.
struct Scenario {
    file: &'static str,
    /// Openings that are queued.
    openings: u64,
    /// Answers that are queued, at least: the losers' come later.
    answers: u64,
    /// The mark when the router's firewall has its say: the link's number, and the stage of what is to be queued.
    mark: &'static str,
    /// Whether anything to the servers leaves over the first link, and the second.
    leave: [bool; 2],
}

const SCENARIOS: [Scenario; 7] = [
    Scenario { file: "raced", openings: 2, answers: 2, mark: "0x11000000", leave: [true, true] },
    Scenario { file: "echo", openings: 1, answers: 1, mark: "0x11000000", leave: [true, true] },
    // What the rules cannot see: the daemon makes one copy of it only.
    Scenario { file: "fast-open", openings: 1, answers: 0, mark: "0x11000000", leave: [true, false] },
    Scenario { file: "other-udp", openings: 0, answers: 0, mark: "0x01000000", leave: [true, false] },
    Scenario { file: "ruled", openings: 0, answers: 0, mark: "0x02000000", leave: [false, true] },
    Scenario { file: "neighbour", openings: 0, answers: 0, mark: "0x00000000", leave: [false, false] },
    // By the main table, as if there were no daemon.
    Scenario { file: "broken", openings: 0, answers: 0, mark: "0x00000000", leave: [true, false] },
];

#[test]
fn the_router_queues_marks_or_leaves_alone() {
    need_lab!();
    let lab = Bed::builder(&[2, 20]).build();
    // A network behind the device, and what the marks are when the firewall has its say.
    lab.router().sh("ip tuntap add mode tun name play0
        ip link set play0 up
        ip addr add 10.77.9.1/24 dev play0
        ip -6 addr add fd77:9::1/64 dev play0 nodad
        nft -f - <<'END'
table inet seen {
    set marks { type mark; flags dynamic; size 64; }
    chain forward { type filter hook forward priority filter + 5; iifname \"play0\" add @marks { meta mark }; }
}
END");
    let more = "config policy 'race'\n
config policy 'second'\n option mode 'failover'\n list link 'wan2'
config rule\n option proto 'tcp'\n list dest_port '8443'\n option policy 'second'";
    let bed = Bed::on(lab, &config(&["", ""], more));
    let router = bed.lab.router();
    let _servers: Vec<Server> = SERVERS.iter().map(|address| bed.server(*address, 80)).collect();
    let watches: Vec<lab::Watch> = bed.lab.wires().iter().map(lab::Wire::watch).collect();
    for Scenario { file, openings, answers, mark, leave } in SCENARIOS {
        router.sh("nft flush set inet seen marks");
        watches.iter().for_each(lab::Watch::clear);
        let before = queued(router);
        let (packets, expected) =
            (sample(&format!("router/{file}.json")), sample(&format!("router/{file}.expect.json")));
        let mut line = vec!["play0", &*packets, "-w", "10000"];
        if Path::new(&expected).exists() {
            line.extend(["-e", &expected]);
        } else {
            line[3] = "100";
        }
        let (code, out, err) = run_in(router, &line);
        assert_eq!(code, Some(0), "{file}: {out}{err}");
        let left = || {
            let to_server = |watch: &lab::Watch| {
                let ours = |packet: &lab::Packet| SERVERS.contains(&packet.destination.ip()) && !packet.is_rst();
                watch.packets(Direction::Up).iter().filter(|packet| ours(packet)).count() > 0
            };
            [to_server(&watches[0]), to_server(&watches[1])]
        };
        eventually(&format!("{file}: packets leave {leave:?}"), || left() == leave);
        let [answered, opened] = [0, 1].map(|queue| queued(router)[queue] - before[queue]);
        assert!(opened == openings && answered >= answers, "{file}: {opened} and {answered} were queued");
        let marks = router.sh("nft list set inet seen marks");
        assert!(marks.contains(&format!("elements = {{ {mark} }}")), "{file}: {marks}");
    }
}
