//! The system calls that `std` does not offer: the only unsafe code of the lab.

use std::fs::File;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Moves the calling thread into a new, empty network namespace.
pub fn unshare_network() -> io::Result<()> {
    // SAFETY: takes no pointer; CLONE_NEWNET changes the calling thread only.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) }).map(drop)
}

/// Moves the calling thread into the network namespace that `net` stands for.
pub fn enter(net: &File) -> io::Result<()> {
    // SAFETY: takes no pointer; the borrow keeps the descriptor open during the call.
    check(unsafe { libc::setns(net.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Lets `command` start inside `net`, and die with the thread that spawns it.
pub fn confine(command: &mut Command, net: Arc<File>) {
    let parent = std::process::id() as libc::pid_t;
    let prepare = move || {
        enter(&net)?;
        // SAFETY: prctl reads one integer here, and getppid nothing.
        let orphaned = unsafe {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            // The parent may have died before prctl: then no signal would ever come.
            libc::getppid() != parent
        };
        if orphaned { Err(io::Error::from_raw_os_error(libc::ESRCH)) } else { Ok(()) }
    };
    // SAFETY: between fork and exec the closure only makes system calls: it neither allocates nor takes a lock.
    unsafe { command.pre_exec(prepare) };
}

/// Creates the TAP device `name` in the calling thread's namespace; it lives as long as the file is open.
///
/// No offload is ever enabled on it: what comes out are plain frames, segmented and with their checksums filled in.
pub fn open_tap(name: &str) -> io::Result<File> {
    let tap = File::options().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: ifreq is plain old data, for which all zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name}: a device's name has at most 15 bytes"),
        ));
    }
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *slot = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which outlives the call.
    check(unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETIFF, &mut request) })?;
    // SAFETY: FIONBIO reads one int, which outlives the call.
    check(unsafe { libc::ioctl(tap.as_raw_fd(), libc::FIONBIO, &1 as *const libc::c_int) })?;
    Ok(tap)
}

/// Plugs or unplugs the cable of a TAP device.
pub fn set_carrier(tap: &File, present: bool) -> io::Result<()> {
    let value = libc::c_int::from(present);
    // SAFETY: TUNSETCARRIER reads one int, which outlives the call.
    check(unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETCARRIER, &value as *const libc::c_int) }).map(drop)
}

/// A descriptor that becomes readable once eight bytes with a number above zero were written to it.
pub fn event() -> io::Result<File> {
    // SAFETY: takes no pointer, and the new descriptor belongs to nobody else.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: as above: `fd` is open and ours alone.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Waits until one of the descriptors is readable, or for `timeout`; tells which are. A negative one is never readable.
pub fn wait_readable<const N: usize>(fds: [RawFd; N], timeout: Option<Duration>) -> io::Result<[bool; N]> {
    let mut polled = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let timeout = timeout.map(|t| {
        // SAFETY: a timespec is integers (and on 32 bits padding), for which zeroes are valid.
        let mut time: libc::timespec = unsafe { std::mem::zeroed() };
        (time.tv_sec, time.tv_nsec) = (t.as_secs() as libc::time_t, t.subsec_nanos() as libc::c_long);
        time
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `polled` holds N entries, and `timeout` is null or points to a timespec; both outlive the call.
    match check(unsafe { libc::ppoll(polled.as_mut_ptr(), N as libc::nfds_t, timeout, std::ptr::null()) }) {
        Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(e),
        _ => Ok(polled.map(|p| p.revents != 0)),
    }
}

/// Asks for the calling thread's timers to fire on time: the kernel's default allows itself 50 µs.
pub fn tighten_timers() {
    // SAFETY: takes integers only. A refusal costs precision, nothing else.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

/// Sends a signal to a process, or to a process group if `pid` is negative.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes integers only.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Ends a blocked `accept` or `recv` of another thread on this socket.
pub fn shutdown(socket: &impl AsFd) {
    // SAFETY: takes integers only. An unconnected socket answers ENOTCONN, but its readers wake all the same.
    unsafe { libc::shutdown(socket.as_fd().as_raw_fd(), libc::SHUT_RDWR) };
}

/// An unprivileged ping socket: one sends and receives ICMP messages with it, for which the kernel fills in the
/// identifier and the checksum. It reads and connects like a UDP socket.
pub fn ping_socket(to: IpAddr, device: Option<&str>) -> io::Result<UdpSocket> {
    let (family, protocol) = match to {
        IpAddr::V4(_) => (libc::AF_INET, libc::IPPROTO_ICMP),
        IpAddr::V6(_) => (libc::AF_INET6, libc::IPPROTO_ICMPV6),
    };
    // SAFETY: takes no pointer, and the new descriptor belongs to nobody else.
    let fd = check(unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: as above: `fd` is open and ours alone.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    if let Some(name) = device {
        let (pointer, len) = (name.as_ptr().cast(), name.len() as libc::socklen_t);
        // SAFETY: `pointer` and `len` describe `name`, which outlives the call; the kernel adds the final zero itself.
        check(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, pointer, len) })?;
    }
    Ok(UdpSocket::from(socket))
}

/// Has a TCP socket, or those that it accepts, send by this congestion control.
pub fn set_congestion(socket: &impl AsFd, name: &str) -> io::Result<()> {
    let (pointer, len) = (name.as_ptr().cast(), name.len() as libc::socklen_t);
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `pointer` and `len` describe `name`, which outlives the call; the kernel adds the final zero itself.
    check(unsafe { libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, pointer, len) }).map(drop)
}

/// Has a TCP socket's last owner end the connection by a reset: nothing of it stays in the kernel.
pub fn reset_on_close(socket: &impl AsFd) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (pointer, len) = (std::ptr::from_ref(&linger).cast(), size_of_val(&linger) as libc::socklen_t);
    // SAFETY: `pointer` and `len` describe `linger`, which outlives the call.
    check(unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, pointer, len) })
        .map(drop)
}

pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
