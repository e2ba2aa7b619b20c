//! NFQUEUE: packets that the kernel holds until their verdict (`linux/netfilter/nfnetlink_queue.h`).
//!
//! Read in batches (`recvmmsg`) and answered in batches (several verdicts a datagram). The crate `nfq` does one system call
//! a packet each way and hides its descriptor; what that costs stands in tests/bench/RESULTS.md.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::conntrack;
use super::netlink::{ACK, Answer, Message, Messages, Socket, array};
use super::{check, passes};
use crate::kernel::{Judge, Queued};
use crate::packet::Opening;
use crate::race::RaceId;

const SUBSYSTEM: u16 = (libc::NFNL_SUBSYS_QUEUE as u16) << 8;
const MSG_PACKET: u16 = 0;
const MSG_VERDICT: u16 = 1;
const MSG_CONFIG: u16 = 2;
const CFG_CMD: u16 = 1;
const CFG_PARAMS: u16 = 2;
const CFG_QUEUE_MAXLEN: u16 = 3;
const CFG_MASK: u16 = 4;
const CFG_FLAGS: u16 = 5;
const CMD_BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
const FAIL_OPEN: u32 = 1;
const PACKET_HDR: u16 = 1;
const VERDICT_HDR: u16 = 2;
const MARK: u16 = 3;
const IFINDEX_INDEV: u16 = 5;
const PAYLOAD: u16 = 10;

/// Datagrams taken by one system call, and bytes for each: a full packet and its attributes.
const BATCH: usize = 16;
const DATAGRAM: usize = 2048;

/// Batches of the first lane while the other waits: a server that sends the same answer over and over must not keep openings out.
const IN_A_ROW: u32 = 4;

/// Bytes of verdicts that wait for the kernel to have memory for them: the queues hold few more packets.
const MOST: usize = 64 * 1024;

/// Queues of one program. The first that is bound comes before the others: it has a socket of its own, which is read first.
pub struct Queues {
    lanes: [Lane; 2],
    /// The queue of the first lane.
    first: Option<u16>,
    /// Batches of the first lane since the last one of the other.
    in_a_row: u32,
    buffers: Box<[[u8; DATAGRAM]; BATCH]>,
}

struct Lane {
    socket: Socket,
    /// Something may be there.
    ready: bool,
    verdicts: Message,
}

impl Lane {
    fn open(memory: libc::c_int) -> io::Result<Self> {
        let socket = Socket::open(libc::NETLINK_NETFILTER, 0)?;
        // A burst that overflows the socket is the queue's business (it fails open), not an error of the next read.
        socket.set_netlink_option(libc::NETLINK_NO_ENOBUFS)?;
        socket.set_buffers(memory);
        Ok(Lane { socket, ready: false, verdicts: Message::default() })
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.verdicts.is_empty() {
            return Ok(());
        }
        let sent = self.socket.send(self.verdicts.bytes());
        if self.verdicts.bytes().len() < MOST && sent.as_ref().is_err_and(passes) {
            // The next ones take them along.
            return Ok(());
        }
        self.verdicts.clear();
        sent
    }
}

impl Queues {
    /// `memory`: each of the two receive buffers, in bytes.
    pub fn open(memory: libc::c_int) -> io::Result<Self> {
        let lanes = [Lane::open(memory)?, Lane::open(memory)?];
        let buffers = vec![[0; DATAGRAM]; BATCH].into_boxed_slice();
        let buffers = buffers.try_into().map_err(|_| io::ErrorKind::OutOfMemory)?;
        Ok(Queues { lanes, first: None, in_a_row: 0, buffers })
    }

    /// Takes a queue: packets are copied up to `range` bytes; past `length` waiting packets, it lets them pass unseen.
    /// `ResourceBusy`: another program has this queue.
    pub fn bind(&mut self, queue: u16, range: u32, length: u32) -> io::Result<()> {
        let first = *self.first.get_or_insert(queue);
        let socket = &mut self.lanes[usize::from(queue != first)].socket;
        let mut message = config(queue);
        message.attribute(CFG_CMD, &[CMD_BIND, 0, 0, 0]);
        socket.request(message).map_err(|error| match error.kind() {
            // We may, or `open` had failed: it is that somebody else has the queue.
            io::ErrorKind::PermissionDenied => io::ErrorKind::ResourceBusy.into(),
            _ => error,
        })?;
        let mut message = config(queue);
        let mut params = [0; 5];
        params[..4].copy_from_slice(&range.to_be_bytes());
        params[4] = COPY_PACKET;
        message.attribute(CFG_PARAMS, &params).be32(CFG_QUEUE_MAXLEN, length);
        message.be32(CFG_MASK, FAIL_OPEN).be32(CFG_FLAGS, FAIL_OPEN);
        socket.request(message)
    }

    /// What to wait for; [`Self::wake`] takes the place in it.
    pub fn sockets(&self) -> [BorrowedFd<'_>; 2] {
        self.lanes.each_ref().map(|lane| lane.socket.as_fd())
    }

    /// Something came in by one of [`Self::sockets`].
    pub fn wake(&mut self, socket: usize) {
        if let Some(lane) = self.lanes.get_mut(socket) {
            lane.ready = true;
        }
    }

    /// Whether all has been read that came in by one of them, as far as is known.
    pub fn is_read(&self, socket: usize) -> bool {
        self.lanes.get(socket).is_none_or(|lane| !lane.ready)
    }

    /// Something may have come in by any of them.
    pub fn wake_all(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.ready = true);
    }

    /// Hands every event that waits, up to a batch, to `each`; `true` if there may be more. Does not block.
    pub fn receive(&mut self, mut each: impl FnMut(Event, &mut Verdicts)) -> io::Result<bool> {
        // SAFETY: both structs are plain integers and pointers, for which zeroes are valid.
        let (mut vectors, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) = unsafe { core::mem::zeroed() };
        for (n, buffer) in self.buffers.iter_mut().enumerate() {
            vectors[n] = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: DATAGRAM };
            headers[n].msg_hdr.msg_iov = &mut vectors[n];
            headers[n].msg_hdr.msg_iovlen = 1;
        }
        let Some(at) = self.turn() else { return Ok(false) };
        let fd = self.lanes[at].socket.as_fd().as_raw_fd();
        // SAFETY: each header points at one vector, which points at a buffer of DATAGRAM bytes; all live through the call.
        let got = unsafe {
            libc::recvmmsg(fd, headers.as_mut_ptr(), BATCH as u32, libc::MSG_DONTWAIT as _, core::ptr::null_mut())
        };
        let got = match check(got) {
            // Nothing is there; or the kernel could not tell of what it refused.
            Err(error) if passes(&error) => 0,
            got => got? as usize,
        };
        // A packet seldom comes alone in a burst: who finds several looks again at once, instead of waiting first. And before
        // more is begun, the first lane has its turn.
        self.lanes[at].ready = got == BATCH;
        self.lanes[0].ready |= got == BATCH;
        let mut verdicts = self.take();
        for (buffer, header) in self.buffers.iter().zip(&headers).take(got) {
            let bytes = buffer.get(..header.msg_len as usize).unwrap_or(buffer);
            for message in Messages(bytes) {
                if let Some(event) = event(&message) {
                    each(event, &mut verdicts);
                }
            }
        }
        self.send(verdicts)?;
        Ok(self.lanes.iter().any(|lane| lane.ready))
    }

    /// The lane whose turn it is, of those where something may be.
    fn turn(&mut self) -> Option<usize> {
        let turn = match self.lanes.each_ref().map(|lane| lane.ready) {
            [true, true] => usize::from(self.in_a_row >= IN_A_ROW),
            [true, false] => 0,
            [false, true] => 1,
            [false, false] => return None,
        };
        self.in_a_row = if turn == 0 { self.in_a_row.saturating_add(1) } else { 0 };
        Some(turn)
    }

    /// Adds verdicts outside of [`Self::receive`], and sends them.
    pub fn verdicts(&mut self, give: impl FnOnce(&mut Verdicts)) -> io::Result<()> {
        let mut verdicts = self.take();
        give(&mut verdicts);
        self.send(verdicts)
    }

    /// What waits still, for more to join it.
    fn take(&mut self) -> Verdicts {
        let to = self.lanes.each_mut().map(|lane| core::mem::take(&mut lane.verdicts));
        Verdicts { first: self.first.unwrap_or_default(), to }
    }

    fn send(&mut self, verdicts: Verdicts) -> io::Result<()> {
        for (lane, message) in self.lanes.iter_mut().zip(verdicts.to) {
            lane.verdicts = message;
        }
        let [first, others] = &mut self.lanes;
        first.flush().and(others.flush())
    }
}

/// What the kernel has to say.
#[derive(Debug)]
pub enum Event<'a> {
    Packet(Queued<'a>),
    /// The flow of this race could not be established.
    Failed(RaceId, io::Error),
}

/// Verdicts, and flows to establish, on their way to the kernel.
pub struct Verdicts {
    first: u16,
    /// By whose socket: the kernel takes a queue's verdicts from no other.
    to: [Message; 2],
}

impl Judge for Verdicts {
    fn establish(&mut self, race: RaceId, opening: &Opening, source: SocketAddr, mark: u32) {
        // An answer waits for it, and goes on after it.
        conntrack::establish(&mut self.to[0], race.to_bits(), opening, source, mark);
    }

    fn accept(&mut self, queue: u16, id: u32, mark: u32) {
        self.verdict(queue, id, libc::NF_ACCEPT as u32).be32(MARK, mark);
    }

    fn repeat(&mut self, queue: u16, id: u32, mark: u32) {
        self.verdict(queue, id, libc::NF_REPEAT as u32).be32(MARK, mark);
    }

    fn drop(&mut self, queue: u16, id: u32) {
        self.verdict(queue, id, libc::NF_DROP as u32);
    }
}

impl Verdicts {
    fn verdict(&mut self, queue: u16, id: u32, verdict: u32) -> &mut Message {
        let message = &mut self.to[usize::from(queue != self.first)];
        message.begin(SUBSYSTEM | MSG_VERDICT, 0, 0, &header(queue));
        let mut value = [0; 8];
        value[..4].copy_from_slice(&verdict.to_be_bytes());
        value[4..].copy_from_slice(&id.to_be_bytes());
        message.attribute(VERDICT_HDR, &value);
        message
    }
}

/// `nfgenmsg`: any family, version 0, the queue's number.
fn header(queue: u16) -> [u8; 4] {
    let [high, low] = queue.to_be_bytes();
    [libc::AF_UNSPEC as u8, 0, high, low]
}

fn config(queue: u16) -> Message {
    Message::new(SUBSYSTEM | MSG_CONFIG, ACK, &header(queue))
}

/// A packet, or what became of a flow. A verdict on a packet that is gone, since its device is, fails as well: that is fine.
fn event<'a>(message: &Answer<'a>) -> Option<Event<'a>> {
    if message.kind == SUBSYSTEM | MSG_PACKET {
        return parse(message.body).map(Event::Packet);
    }
    let error = message.error()?.err()?;
    // `nlmsgerr`: the error, then the header of the message that caused it.
    let kind = u16::from_ne_bytes(array(message.body, 8)?);
    (kind == conntrack::NEW).then(|| Event::Failed(RaceId::from_bits(message.sequence), error))
}

fn parse(body: &[u8]) -> Option<Queued<'_>> {
    let queue = u16::from_be_bytes(array(body, 2)?);
    let mut packet = Queued { queue, id: 0, mark: 0, in_device: 0, bytes: &[] };
    let mut found = false;
    for (kind, value) in super::netlink::Attributes(body.get(4..)?) {
        match kind {
            PACKET_HDR => {
                packet.id = u32::from_be_bytes(array(value, 0)?);
                found = true;
            }
            MARK => packet.mark = u32::from_be_bytes(array(value, 0)?),
            IFINDEX_INDEV => packet.in_device = u32::from_be_bytes(array(value, 0)?),
            PAYLOAD => packet.bytes = value,
            _ => {}
        }
    }
    found.then_some(packet)
}
