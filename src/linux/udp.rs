//! UDP sockets that carry much: a path's own, tied to its link's device, or a server's, which answers from the address that it was
//! asked at (udp(7), ip(7), ipv6(7)).
//!
//! Many datagrams take one system call, and those of one size to one end one pass through the kernel (`UDP_SEGMENT`, `UDP_GRO`:
//! Linux 4.18 and 5.0). Where the kernel, or the device, will not have that, the same datagrams go one by one.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::batch::{Arena, Batch, DATAGRAMS, Entry, Fault, Name, Notes, Sent, fault, local_of, note_of};
use super::{bind_to, check, number_of, set_buffers, set_option, socket};
use crate::bond::address::Address;
use crate::family::Family;

/// Bytes that wait in the kernel, each way: 20 ms of 1 Gbit/s.
const BUFFER: libc::c_int = 2_500_000;
/// Messages that one system call sends, or datagrams where they are not joined.
const RUNS: usize = 64;
/// `UDP_MAX_SEGMENTS` of `linux/udp.h`, as it was first.
const SEGMENTS: usize = 64;
/// A message's bytes: an IPv4 packet without its headers.
const LONGEST: usize = 65_507;

pub struct Udp {
    fd: OwnedFd,
    ipv6: bool,
    /// The kernel cuts what we send, and joins what we receive.
    segment: bool,
    join: bool,
}

impl Udp {
    /// A path's socket: its datagrams leave by `device` with `mark`, and it hears that device only. Port 0: any that
    /// is free; another may be that of several devices' sockets.
    pub fn of_device(device: &str, mark: u32, ipv6: bool, port: u16) -> io::Result<Self> {
        let any = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        Self::open(SocketAddr::new(any, port), |fd| bind_to(fd, device, mark))
    }

    /// A server's socket for one family. On an unspecified address it hears all of the host's; a `mark` of 0 is none.
    pub fn server(address: SocketAddr, mark: u32) -> io::Result<Self> {
        Self::open(address, |fd| {
            if mark != 0 {
                set_option(fd, libc::SOL_SOCKET, libc::SO_MARK, &mark)?;
            }
            match address {
                SocketAddr::V4(_) => set_option(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, &1),
                SocketAddr::V6(_) => set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &1),
            }
        })
    }

    fn open(address: SocketAddr, prepare: impl FnOnce(&OwnedFd) -> io::Result<()>) -> io::Result<Self> {
        let ipv6 = address.is_ipv6();
        let fd = socket(number_of(Family::of(address.ip())), libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, 0)?;
        if ipv6 {
            // The other family has a socket of its own.
            set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &1)?;
            set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, &libc::IPV6_PMTUDISC_PROBE)?;
        } else {
            // Never cut on the way: what fits is found out by probes of ours, not by ICMP errors that anybody may forge.
            set_option(&fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, &libc::IP_PMTUDISC_PROBE)?;
        }
        set_buffers(&fd, BUFFER);
        let join = set_option(&fd, libc::SOL_UDP, libc::UDP_GRO, &1).is_ok();
        // The size of its own that a socket can have, none here: a kernel that knows the option knows the message.
        let segment = set_option(&fd, libc::SOL_UDP, libc::UDP_SEGMENT, &0).is_ok();
        prepare(&fd)?;
        let name = Name::of(address);
        // SAFETY: the name is readable for its length.
        check(unsafe { libc::bind(fd.as_raw_fd(), name.bytes.as_ptr().cast(), name.length as libc::socklen_t) })?;
        Ok(Udp { fd, ipv6, segment, join })
    }

    /// The field DSCP and ECN of all that is sent: `IP_TOS`, `IPV6_TCLASS`.
    pub fn set_class(&self, class: u8) -> io::Result<()> {
        let class = libc::c_int::from(class);
        if self.ipv6 {
            set_option(&self.fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &class)
        } else {
            set_option(&self.fd, libc::IPPROTO_IP, libc::IP_TOS, &class)
        }
    }

    /// The port that it is bound to.
    pub fn port(&self) -> io::Result<u16> {
        let mut name = Name::EMPTY;
        let mut length = Name::LENGTH as libc::socklen_t;
        // SAFETY: the name is writable for `length` bytes.
        check(unsafe { libc::getsockname(self.fd.as_raw_fd(), name.bytes.as_mut_ptr().cast(), &mut length) })?;
        name.address().map(|address| address.port()).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Gives up sending or receiving several datagrams as one: what happens by itself where it does not work.
    pub fn set_plain(&mut self) -> io::Result<()> {
        (self.segment, self.join) = (false, false);
        set_option(&self.fd, libc::SOL_UDP, libc::UDP_GRO, &0)
    }

    /// Whether datagrams are sent several as one.
    pub fn segments(&self) -> bool {
        self.segment
    }

    /// Sends a batch: to each end in its order. Never waits.
    pub fn send(&mut self, batch: &mut Batch) -> Sent {
        let mut sent = Sent::default();
        while !batch.is_empty() && !sent.blocked {
            let mut plan = Plan::new();
            plan.make(batch.entries(), self.segment);
            let result = self.send_runs(batch, &plan);
            match result {
                Ok(runs) => {
                    batch.retain(|index| {
                        let gone = plan.run_of.get(index).is_some_and(|run| usize::from(*run) < runs);
                        sent.datagrams += usize::from(gone);
                        !gone
                    });
                }
                Err(error) => match fault(&error) {
                    Fault::Again => {}
                    Fault::Blocked => sent.blocked = true,
                    fault => self.first_failed(batch, &plan, fault, &mut sent),
                },
            }
        }
        sent
    }

    /// The first run was refused: by its being one, or for a reason that each of its datagrams would meet.
    fn first_failed(&mut self, batch: &mut Batch, plan: &Plan, fault: Fault, sent: &mut Sent) {
        let first = |index: usize| plan.run_of.get(index) == Some(&0);
        // ENOBUFS and the like say nothing of it: a device's queue is full, a route is missing.
        let refused = match fault {
            Fault::TooLong => true,
            Fault::Lost(number) => [libc::EINVAL, libc::EIO, libc::EOPNOTSUPP].contains(&number),
            Fault::Again | Fault::Blocked => false,
        };
        let several = plan.runs.first().is_some_and(|run| run.count > 1);
        let alone: Vec<Entry> =
            batch.entries().iter().enumerate().filter(|(index, _)| first(*index)).map(|(_, entry)| *entry).collect();
        batch.retain(|index| !first(index));
        if !several || !refused {
            return alone.iter().for_each(|entry| lose(&fault, entry, sent));
        }
        for (index, entry) in alone.iter().enumerate() {
            let mut plan = Plan::new();
            plan.make(core::slice::from_ref(entry), false);
            match self.send_plan(batch, core::slice::from_ref(entry), &plan) {
                Ok(_) => {
                    sent.datagrams += 1;
                    // One by one it works: the kernel refused that they were several. Never again, then.
                    self.segment &= index > 0;
                }
                Err(error) => {
                    let fault = super::batch::fault(&error);
                    if let Fault::Again | Fault::Blocked = fault {
                        sent.lost += 1;
                    } else {
                        lose(&fault, entry, sent);
                    }
                }
            }
        }
    }

    fn send_runs(&self, batch: &Batch, plan: &Plan) -> io::Result<usize> {
        self.send_plan(batch, batch.entries(), plan)
    }

    fn send_plan(&self, batch: &Batch, entries: &[Entry], plan: &Plan) -> io::Result<usize> {
        // Lists, of which nothing is written that is not used: as arrays they are 18 KB.
        let mut parts: heapless::Vec<libc::iovec, DATAGRAMS> = heapless::Vec::new();
        for _ in entries {
            let _ = parts.push(libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 }); // as many as a batch has room for
        }
        let (mut names, mut notes) = (heapless::Vec::<Name, RUNS>::new(), heapless::Vec::<Notes, RUNS>::new());
        let mut messages: heapless::Vec<libc::mmsghdr, RUNS> = heapless::Vec::new();
        // Of each run: where its parts begin, how many there are, and where its bytes ended last.
        let mut places: heapless::Vec<(usize, usize, usize), RUNS> = heapless::Vec::new();
        let mut start = 0;
        for run in &plan.runs {
            // SAFETY: mmsghdr is integers and pointers, for which zeroes are valid.
            let message = unsafe { core::mem::zeroed() };
            // There are as many runs as each of them has room for.
            let _ = (names.push(Name::EMPTY), notes.push(Notes::EMPTY), messages.push(message));
            let _ = places.push((start, 0, usize::MAX));
            start += run.count;
        }
        for (entry, run) in entries.iter().zip(&plan.run_of) {
            let Some((start, used, end)) = places.get_mut(usize::from(*run)) else { continue };
            let bytes = batch.bytes_of(entry);
            // Right behind the last one: the same part.
            let behind = *used > 0 && *end == entry.start;
            *used += usize::from(!behind);
            *end = entry.start + entry.length;
            let Some(part) = parts.get_mut(*start + *used - 1) else { continue };
            if behind {
                part.iov_len += bytes.len();
            } else {
                *part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            }
        }
        let of_runs = plan.runs.iter().zip(&mut messages).zip(names.iter_mut().zip(&mut notes)).zip(&places);
        for (((run, message), (name, note)), (start, used, _)) in of_runs {
            let Address::Udp { remote, local } = run.to else { continue };
            *name = Name::of(remote);
            if let Some(local) = local.filter(|local| local.is_ipv6() == self.ipv6) {
                let (level, kind, value, length) = note_of(local);
                note.add(level, kind, value.get(..length).unwrap_or_default());
            }
            if run.count > 1 {
                note.add(libc::SOL_UDP, libc::UDP_SEGMENT, &(run.size as u16).to_ne_bytes());
            }
            let head = &mut message.msg_hdr;
            head.msg_name = name.bytes.as_mut_ptr().cast();
            head.msg_namelen = name.length as libc::socklen_t;
            head.msg_iov = parts.as_mut_ptr().wrapping_add(*start);
            head.msg_iovlen = *used as _;
            if note.length > 0 {
                head.msg_control = note.bytes.as_mut_ptr().cast();
                head.msg_controllen = note.length as _;
            }
        }
        let count = messages.len() as libc::c_uint;
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `count` messages, whose names, parts and notes are readable until the call returns.
        check(unsafe { libc::sendmmsg(self.fd.as_raw_fd(), messages.as_mut_ptr(), count, flags as _) })
            .map(|runs| runs as usize)
    }

    /// Hands out what has arrived, as much as fits into the arena; tells whether there may be more. Never waits.
    pub fn receive<'a>(
        &mut self,
        arena: &'a mut Arena,
        each: &mut dyn FnMut(&Address, &'a mut [u8]),
    ) -> io::Result<bool> {
        const MESSAGES: usize = 32;
        // Joined, or alone: the longest of a jumbo frame.
        let size = if self.join { 65_536 } else { 16_384 };
        // As when sending: of joined ones there is room for eight.
        let (mut names, mut notes) = (heapless::Vec::<Name, MESSAGES>::new(), heapless::Vec::<Notes, MESSAGES>::new());
        let mut parts: heapless::Vec<libc::iovec, MESSAGES> = heapless::Vec::new();
        let mut messages: heapless::Vec<libc::mmsghdr, MESSAGES> = heapless::Vec::new();
        for room in arena.parts(size).take(MESSAGES) {
            let part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
            // SAFETY: as in `send_plan`.
            let message = unsafe { core::mem::zeroed() };
            let _ = (names.push(Name::EMPTY), notes.push(Notes::EMPTY), parts.push(part), messages.push(message));
        }
        let rest = names.iter_mut().zip(&mut notes);
        for ((message, part), (name, note)) in messages.iter_mut().zip(&mut parts).zip(rest) {
            let head = &mut message.msg_hdr;
            (head.msg_iov, head.msg_iovlen) = (part, 1);
            head.msg_name = name.bytes.as_mut_ptr().cast();
            head.msg_namelen = Name::LENGTH as libc::socklen_t;
            head.msg_control = note.bytes.as_mut_ptr().cast();
            head.msg_controllen = Notes::LENGTH as _;
        }
        let count = messages.len() as libc::c_uint;
        let (fd, none) = (self.fd.as_raw_fd(), core::ptr::null_mut());
        // SAFETY: `count` messages, whose names, parts and notes are writable, and used by nobody else until the call returns.
        let got = check(unsafe { libc::recvmmsg(fd, messages.as_mut_ptr(), count, libc::MSG_DONTWAIT as _, none) });
        let got = match got {
            Ok(got) => got as usize,
            // A device that went down says so once; what is wrong with a path is for its probes to find out.
            Err(error) => match fault(&error) {
                Fault::Lost(libc::EBADF | libc::EFAULT | libc::EINVAL | libc::ENOTSOCK) => return Err(error),
                _ => return Ok(false),
            },
        };
        for ((message, (name, note)), room) in
            messages.iter().zip(names.iter().zip(&mut notes)).zip(arena.parts(size)).take(got)
        {
            let head = &message.msg_hdr;
            #[allow(clippy::unnecessary_cast, reason = "musl has 32 bits there")]
            let length = head.msg_controllen as usize;
            note.length = length.min(Notes::LENGTH);
            let (mut local, mut segment) = (None, 0);
            note.each(|level, kind, value| {
                local = local.or_else(|| local_of(level, kind, value));
                if (level, kind) == (libc::SOL_UDP, libc::UDP_GRO) {
                    segment = value.first_chunk().map_or(0, |size| libc::c_int::from_ne_bytes(*size).max(0) as usize);
                }
            });
            let bytes = room.get_mut(..message.msg_len as usize);
            let (Some(remote), Some(bytes), 0) = (name.address(), bytes, head.msg_flags & libc::MSG_TRUNC) else {
                continue;
            };
            let from = Address::Udp { remote, local };
            if segment == 0 {
                each(&from, bytes);
            } else {
                bytes.chunks_mut(segment).for_each(|datagram| each(&from, datagram));
            }
        }
        Ok(got == count as usize)
    }
}

impl AsFd for Udp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Counts a datagram as lost.
fn lose(fault: &Fault, entry: &Entry, sent: &mut Sent) {
    match fault {
        Fault::TooLong => (sent.too_long, sent.refused) = (sent.too_long + 1, Some((entry.to, entry.length))),
        Fault::Lost(number) => (sent.lost, sent.error) = (sent.lost + 1, *number),
        Fault::Again | Fault::Blocked => sent.lost += 1,
    }
}

/// Datagrams that leave as one message: of one size, but for the last, which may be shorter.
#[derive(Clone, Copy)]
struct Run {
    to: Address,
    size: usize,
    bytes: usize,
    count: usize,
    closed: bool,
}

/// Which datagrams leave together.
struct Plan {
    runs: heapless::Vec<Run, RUNS>,
    /// Each datagram's run, up to the first that has none.
    run_of: heapless::Vec<u8, DATAGRAMS>,
}

impl Plan {
    fn new() -> Plan {
        Plan { runs: heapless::Vec::new(), run_of: heapless::Vec::new() }
    }

    /// Made in place: it has room for 5 KB.
    fn make(&mut self, entries: &[Entry], segment: bool) {
        for entry in entries {
            // The last run to this end: its datagrams keep their order.
            let runs = self.runs.iter_mut().enumerate().filter(|_| segment);
            let known = runs.rev().find(|(_, run)| run.to == entry.to);
            let number = match known {
                Some((number, run)) if run.takes(entry.length) => {
                    run.add(entry.length);
                    number
                }
                _ => {
                    let (to, size) = (entry.to, entry.length);
                    let run = Run { to, size, bytes: size, count: 1, closed: size == 0 };
                    if self.runs.push(run).is_err() {
                        break;
                    }
                    self.runs.len() - 1
                }
            };
            if self.run_of.push(number as u8).is_err() {
                break;
            }
        }
    }
}

impl Run {
    fn takes(&self, length: usize) -> bool {
        let fits = self.count < SEGMENTS && self.bytes + length <= LONGEST;
        !self.closed && fits && length > 0 && length <= self.size
    }

    fn add(&mut self, length: usize) {
        self.bytes += length;
        self.count += 1;
        self.closed = length < self.size;
    }
}
