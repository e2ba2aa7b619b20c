//! `support`: one text with what a bug report needs. It works without the daemon, and no part of it can take long or much.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::mask::Mask;
use super::print;
use crate::config::{self, uci};
use crate::control::{Code, Exit, Form, client};
use crate::family::Family;
use crate::kernel::Route;
use crate::link::{LinkId, MAX_LINKS};
use crate::linux::route::Routing;
use crate::linux::{file, program};
use crate::split::{MAX_SPLITS, place};
use crate::steer::{TABLE, table, tunnel};
use crate::time::Span;

/// A part's bytes; the nft table of 500 rules has fewer.
const MOST: usize = 64 * 1024;

/// How long a program may take. There are five.
const PATIENCE: Span = Span::from_secs(3);

/// Races and log lines shown.
const RACES: &str = "40";
const LOG_LINES: usize = 100;

/// Routes shown: a router with more has them of a routing daemon.
const ROUTES: usize = 200;

pub fn show(config: &Path, socket: &Path, addresses: bool) -> Result<(), Exit> {
    let mut mask = Mask::new(addresses);
    // First of all: it knows the secrets.
    let file = configuration(config, &mut mask);
    let addresses = if addresses { "Public addresses are shown." } else { "Public addresses are numbered instead." };
    print(&format!(
        "cheaproute support: for a bug report. Keys and passwords are left out. {addresses}\n\
         Look it over before you give it to anybody.\n"
    ))?;
    let mut part = |name: &str, text: &str| print(&format!("\n== {name}\n{}", mask.text(&ended(text))));
    part("system", &system())?;
    part(&config.display().to_string(), &file)?;
    part("daemon", &processes())?;
    let mut hangs = false;
    for words in [&["status"][..], &["links"], &["peers"], &["policies"], &["events"], &["races", RACES]] {
        if !hangs {
            let answer = client::ask(socket, words, Form::default());
            // Where it does not run or does not answer, once is enough.
            hangs = answer.as_ref().is_err_and(|exit| exit.code != Code::Usage);
            part(&words.join(" "), &answer.unwrap_or_else(|exit| exit.text))?;
        }
    }
    part("log", &log())?;
    part("ip rules", &(run(&["ip", "-4", "rule"]) + &run(&["ip", "-6", "rule"])))?;
    part("routes of the main table and ours", &routes())?;
    part("nft: tables", &run(&["nft", "list", "tables"]))?;
    // Without the elements of sets: those are other people's connections.
    part("nft: our table", &run(&["nft", "-t", "list", "table", "inet", TABLE]))?;
    part("queues", &queues())?;
    part("settings", &settings())?;
    part("modules", &modules())?;
    part("firewall", &firewall())?;
    part("other programs", &others())
}

/// With a line's end, and not too long.
fn ended(text: &str) -> String {
    let mut end = text.len().min(MOST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = text.get(..end).unwrap_or_default().trim_end().to_owned();
    if out.is_empty() {
        out.push_str("(none)");
    }
    out.push('\n');
    if end < text.len() {
        let _ = writeln!(out, "(cut: {} bytes more)", text.len() - end);
    }
    out
}

/// A file's text; `None` if there is none, or if it is no plain file, which could keep us waiting.
fn read(path: impl AsRef<Path>) -> Option<String> {
    let path = path.as_ref();
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mut bytes = Vec::new();
    file::drain(&mut File::open(path).ok()?, uci::MAX_FILE, &mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What there is in a directory.
fn entries(directory: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn run(command: &[&str]) -> String {
    program::read(command, MOST, PATIENCE).unwrap_or_else(|why| format!("{why}\n"))
}

fn system() -> String {
    let mut out = format!("cheaproute {} ({})\n", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    for (name, path) in [
        ("model", "/tmp/sysinfo/model"),
        ("kernel", "/proc/sys/kernel/osrelease"),
        ("built", "/proc/sys/kernel/version"),
        ("load", "/proc/loadavg"),
        ("uptime", "/proc/uptime"),
    ] {
        if let Some(text) = read(path) {
            let _ = writeln!(out, "{name}: {}", text.trim());
        }
    }
    lines(&mut out, "/etc/openwrt_release", &|line| line.contains("RELEASE") || line.contains("TARGET"));
    if !out.contains("DISTRIB") {
        lines(&mut out, "/etc/os-release", &|line| line.starts_with("PRETTY_NAME"));
    }
    lines(&mut out, "/proc/meminfo", &|line| line.starts_with("MemTotal") || line.starts_with("MemAvailable"));
    out
}

fn lines(out: &mut String, path: impl AsRef<Path>, wanted: &dyn Fn(&str) -> bool) {
    for line in read(path).unwrap_or_default().lines().filter(|line| wanted(line)) {
        let _ = writeln!(out, "{line}");
    }
}

fn configuration(path: &Path, mask: &mut Mask) -> String {
    let Some(text) = read(path) else { return "there is no such file, or it cannot be read".into() };
    let mut out = mask.config(&text);
    let faults = config::read(&text).map_or_else(|faults| faults, |(_, warnings)| warnings);
    // Syntax errors quote what they found, and stand above already.
    for fault in faults.iter().filter(|fault| fault.column.is_none()) {
        let _ = writeln!(out, "# {fault}");
    }
    out
}

/// Every daemon of ours, as the kernel sees it: one that hangs can only be looked at from outside.
fn processes() -> String {
    let mut out = String::new();
    for directory in entries("/proc") {
        let is_ours = read(directory.join("comm")).is_some_and(|name| name.trim_end() == "cheaproute");
        let command = read(directory.join("cmdline")).unwrap_or_default();
        if !is_ours || !command.split('\0').any(|word| word == "run") || out.len() > MOST {
            continue;
        }
        let _ = writeln!(out, "{}: {}", directory.display(), command.trim_end_matches('\0').replace('\0', " "));
        let wanted = ["State", "VmHWM", "VmRSS", "Threads", "CapEff", "voluntary", "nonvoluntary"];
        lines(&mut out, directory.join("status"), &|line| wanted.iter().any(|start| line.starts_with(start)));
        if let Some(place) = read(directory.join("wchan")).filter(|place| place != "0") {
            let _ = writeln!(out, "waits in: {place}");
        }
    }
    if out.is_empty() { "no process cheaproute run".into() } else { out }
}

/// OpenWrt's log ring, if there is one; where systemd keeps the log, its end.
fn log() -> String {
    let text = program::read(&["logread", "-e", "cheaproute"], MOST, PATIENCE).or_else(|_| {
        program::read(&["journalctl", "-q", "--no-pager", "-n", "100", "-t", "cheaproute"], MOST, PATIENCE)
    });
    let text = text.unwrap_or_else(|_| "neither logread nor journalctl tells".into());
    let count = text.lines().count();
    text.lines().skip(count.saturating_sub(LOG_LINES)).map(|line| format!("{line}\n")).collect()
}

fn routes() -> String {
    let mut routing = match Routing::open() {
        Ok(routing) => routing,
        Err(error) => return format!("cannot ask the kernel: {error}"),
    };
    let devices = routing.snapshot().map(|snapshot| snapshot.devices).unwrap_or_default();
    let links = (1..=MAX_LINKS as u8).filter_map(LinkId::new).map(table);
    // A split has two tables at most, one for each of a receiver's addresses.
    let splits = place::BASE..place::BASE + 2 * MAX_SPLITS as u32;
    let ours: Vec<u32> = links.chain([tunnel::TABLE]).chain(splits).collect();
    let main = u32::from(libc::RT_TABLE_MAIN);
    let mut out = String::new();
    let mut count = 0;
    for family in Family::BOTH {
        let Ok(mut routes) = routing.routes(family) else { continue };
        routes.retain(|(table, _)| *table == main || ours.contains(table));
        for (table, route) in routes {
            count += 1;
            if count > ROUTES {
                continue;
            }
            let Route { destination: (address, length), gateway, device, metric } = route;
            let name = devices.iter().find(|known| known.index == device).map_or("-", |known| known.name.as_str());
            let table = if table == main { "main".to_owned() } else { table.to_string() };
            let _ = write!(out, "table {table}: {address}/{length} dev {name} metric {metric}");
            match gateway {
                Some(gateway) => _ = writeln!(out, " via {gateway}"),
                None => out.push('\n'),
            }
        }
    }
    if count > ROUTES {
        let _ = writeln!(out, "({} more)", count - ROUTES);
    }
    out
}

fn queues() -> String {
    let rows = read("/proc/net/netfilter/nfnetlink_queue").unwrap_or_default();
    let head = "queue port waiting copy_mode copy_range queue_dropped user_dropped last_id\n";
    if rows.is_empty() { "no queue is in use".into() } else { head.to_owned() + &rows }
}

const SETTINGS: [&str; 14] = [
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/all/disable_ipv6",
    "net/ipv4/tcp_fastopen",
    "net/ipv4/fib_multipath_hash_policy",
    "net/netfilter/nf_conntrack_count",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_buckets",
    "net/netfilter/nf_conntrack_helper",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
    "net/netfilter/nf_conntrack_tcp_loose",
    "net/netfilter/nf_conntrack_tcp_timeout_syn_sent",
    "net/netfilter/nf_conntrack_udp_timeout",
    "net/core/rmem_max",
];

fn settings() -> String {
    let mut out = String::new();
    let mut tell = |name: &str| {
        if let Some(value) = read(Path::new("/proc/sys").join(name)) {
            let _ = writeln!(out, "{name} = {}", value.trim());
        }
    };
    SETTINGS.iter().for_each(|name| tell(name));
    for device in entries("/proc/sys/net/ipv4/conf").iter().take(64).filter_map(|path| path.file_name()) {
        tell(&format!("net/ipv4/conf/{}/rp_filter", device.to_string_lossy()));
    }
    out
}

/// Those that packets of ours pass, or that might take them away.
const MODULES: [&str; 15] = [
    "nfnetlink_queue",
    "nft_queue",
    "xt_NFQUEUE",
    "nft_compat",
    "nf_tables",
    "nft_ct",
    "nft_numgen",
    "nf_conntrack_netlink",
    "nf_conntrack",
    "nft_flow_offload",
    "nf_flow_table",
    "xt_FLOWOFFLOAD",
    "ip_tables",
    "tun",
    "wireguard",
];

fn modules() -> String {
    let mut out = String::new();
    lines(&mut out, "/proc/modules", &|line| line.split(' ').next().is_some_and(|name| MODULES.contains(&name)));
    if out.is_empty() { "none of those that matter; they may be built in".into() } else { out }
}

/// Of `/etc/config/firewall` only who masquerades, and whether flows are offloaded.
fn firewall() -> String {
    let text = read("/etc/config/firewall").unwrap_or_default();
    let (sections, _) = uci::parse(&text);
    let mut out = String::new();
    for section in sections.iter().filter(|section| ["defaults", "zone"].contains(&section.kind.as_str())) {
        let _ = write!(out, "{}", section.kind);
        let wanted =
            ["name", "network", "masq", "masq6", "mtu_fix", "flow_offloading", "flow_offloading_hw", "forward"];
        for entry in section.entries.iter().filter(|entry| wanted.contains(&entry.name.as_str())) {
            let values: Vec<&str> = entry.values.iter().map(|word| word.text.as_str()).collect();
            let _ = write!(out, " {}={}", entry.name, values.join(","));
        }
        out.push('\n');
    }
    out
}

/// What else may mark packets or choose links.
fn others() -> String {
    let known = [
        "/etc/init.d/mwan3",
        "/var/run/mwan3",
        "/etc/init.d/pbr",
        "/etc/init.d/sqm",
        "/etc/init.d/qosify",
        "/etc/init.d/tailscale",
        "/etc/init.d/openvpn",
        "/etc/cheaproute.user",
    ];
    let there = known.iter().filter(|path| Path::new(path).exists());
    there.map(|path| format!("{path}\n")).collect()
}
