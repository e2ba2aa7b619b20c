//! The system calls that `std` does not offer.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Sends whole Ethernet frames out of one device, many a system call.
pub struct Frames {
    fd: OwnedFd,
}

/// The most frames of one call.
pub const BATCH: usize = 64;

impl Frames {
    /// Of the calling thread's namespace.
    pub fn open(device: &str) -> io::Result<Self> {
        let name = std::ffi::CString::new(device)?;
        // SAFETY: the new descriptor belongs to nobody else; `name` ends with a zero; `address` is plain integers.
        unsafe {
            // Protocol 0: it only sends.
            let fd =
                OwnedFd::from_raw_fd(check(libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0))?);
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_ifindex = libc::if_nametoindex(name.as_ptr()) as i32;
            let size = size_of_val(&address) as libc::socklen_t;
            check(libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size))?;
            option(&fd, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1)?;
            Ok(Frames { fd })
        }
    }

    /// Sends up to [`BATCH`] frames; tells how many left.
    pub fn send(&self, frames: &[impl AsRef<[u8]>]) -> io::Result<usize> {
        // SAFETY: both structs are plain integers and pointers, for which zeroes are valid.
        let (mut vectors, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) = unsafe { std::mem::zeroed() };
        let count = frames.len().min(BATCH);
        for (n, frame) in frames.iter().take(BATCH).enumerate() {
            let frame = frame.as_ref();
            vectors[n] = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
            headers[n].msg_hdr.msg_iov = &mut vectors[n];
            headers[n].msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: each header points at one vector, which points at a frame; all live through the call, which reads only.
        let sent = unsafe { libc::sendmmsg(self.fd.as_raw_fd(), headers.as_mut_ptr(), count as u32, 0) };
        check(sent).map(|sent| sent as usize)
    }
}

/// Closes a connection by a reset: neither end keeps anything of it.
pub fn reset(stream: TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    option(&stream, libc::SOL_SOCKET, libc::SO_LINGER, &linger)
}

/// Keeps a thread on one core; 0 is the calling thread.
pub fn pin(thread: u32, core: usize) {
    // SAFETY: the set is plain integers and outlives the call; a refusal costs precision only.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(thread as libc::pid_t, size_of_val(&set), &set);
    }
}

/// Processor time of all threads of this program so far, those that ended included, in seconds.
pub fn processor_time() -> f64 {
    // SAFETY: the struct is plain integers, for which zeroes are valid, and outlives the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Asks for the calling thread's sleeps to end on time: the kernel's default allows itself 50 µs.
pub fn tighten_timers() {
    // SAFETY: takes integers only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

fn option<T>(fd: &impl AsRawFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let size = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is readable for `size` bytes.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), size) }).map(drop)
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
