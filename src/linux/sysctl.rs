//! Kernel settings under /proc/sys.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file;
use crate::kernel::Failure;

/// Reads a setting such as `net/ipv4/ip_forward`, without the line's end.
pub fn read(name: &str) -> io::Result<String> {
    Ok(file::text(&path(name))?.trim_end().to_owned())
}

pub fn write(name: &str, value: &str) -> io::Result<()> {
    fs::write(path(name), value)
}

/// The machine's memory in bytes, from /proc/meminfo; `None` if it does not say.
pub fn memory() -> Option<u64> {
    let text = file::text(Path::new("/proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// This process's resident memory in bytes, from /proc/self/status.
pub fn resident() -> Option<u64> {
    let text = file::text(Path::new("/proc/self/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// How many packets a device has received, from /proc/net/dev: after its name and a count of bytes.
pub fn received(device: &str) -> Option<u64> {
    let text = file::text(Path::new("/proc/net/dev")).ok()?;
    let counts = text.lines().find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'))?;
    counts.split_whitespace().nth(1)?.parse().ok()
}

/// Whether this process may do what the daemon does: CAP_NET_ADMIN and CAP_NET_RAW (capabilities(7)), as /proc/self/status
/// says. Where it does not say, the kernel will. The error says which it lacks, and what to do.
pub fn may_rule_networks() -> Result<(), Failure> {
    let text = file::text(Path::new("/proc/self/status")).unwrap_or_default();
    let effective = text.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let lacks = match effective.map(|mask| (mask >> 12 & 1, mask >> 13 & 1)) {
        None | Some((1, 1)) => return Ok(()),
        Some((1, _)) => "CAP_NET_RAW",
        Some((_, 1)) => "CAP_NET_ADMIN",
        Some(_) => "CAP_NET_ADMIN and CAP_NET_RAW",
    };
    Err(format!("not permitted without {lacks}: run as root"))
}

fn path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name)
}
