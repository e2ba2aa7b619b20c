//! Where the core's datagrams and packets go: sockets, each with a batch, and the device.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crate::bond::address::Address;
use crate::bond::flow::Packet;
use crate::bond::{Event, Output, Slot, Via};
use crate::linux::batch::{Arena, Batch, Sent};
use crate::linux::ether::Ether;
use crate::linux::random;
use crate::linux::udp::Udp;

use super::cipher::Cipher;
use super::device::Device;

/// Batches that a socket may fill while it is being read.
const SPARE: usize = 4;
/// So often in a row the kernel takes nothing of a socket's because its device is busy; more often, and the device hangs.
const STUCK: u16 = 1_000;

pub enum Socket {
    Udp(Udp),
    Ether(Ether),
}

impl Socket {
    fn send(&mut self, batch: &mut Batch) -> Sent {
        match self {
            Socket::Udp(udp) => udp.send(batch),
            Socket::Ether(ether) => ether.send(batch),
        }
    }

    pub fn receive<'a>(
        &mut self,
        arena: &'a mut Arena,
        each: &mut dyn FnMut(&Address, &'a mut [u8]),
    ) -> io::Result<bool> {
        match self {
            Socket::Udp(udp) => udp.receive(arena, each),
            Socket::Ether(ether) => ether.receive(arena, each),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Udp(udp) => udp.as_fd(),
            Socket::Ether(ether) => ether.as_fd(),
        }
    }
}

/// What a socket was opened for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purpose {
    Path { device: String, index: u32, mark: u32, ipv6: bool, port: u16 },
    Server(SocketAddr),
    Wire { device: String, index: u32 },
}

impl Purpose {
    fn open(&self) -> io::Result<Socket> {
        match self {
            Purpose::Path { device, mark, ipv6, port, .. } => {
                Udp::of_device(device, *mark, *ipv6, *port).map(Socket::Udp)
            }
            Purpose::Server(address) => Udp::server(*address, 0).map(Socket::Udp),
            Purpose::Wire { device, .. } => Ether::open(device).map(Socket::Ether),
        }
    }
}

/// How often in a row the kernel took nothing of a socket's: once a millisecond, if nothing else happens.
#[derive(Default)]
struct Blocked(u16);

impl Blocked {
    fn note(&mut self, blocked: bool, datagrams: usize) {
        self.0 = match (blocked, datagrams) {
            (false, _) => 0,
            (true, 0) => self.0.saturating_add(1),
            (true, _) => 1,
        };
    }

    /// Whether others wait for it: a modem that hangs, and takes packets but sends none, is not to stop what leaves by other links.
    fn holds(&self) -> bool {
        (1..=STUCK).contains(&self.0)
    }
}

/// A socket's place. Its number is that of the path, or for a server that of the family.
#[derive(Default)]
pub struct Port {
    pub purpose: Option<Purpose>,
    /// `None` while it is being read as well.
    pub socket: Option<Socket>,
    batch: Option<Batch>,
    full: Vec<Batch>,
    /// There may be something to read.
    pub readable: bool,
    blocked: Blocked,
    /// The number of the last error in sending, until something was sent again.
    pub error: i32,
    /// A datagram that the kernel found too long: where to, and how long.
    pub too_long: Option<(Address, usize)>,
}

impl Port {
    /// Opens a socket for another purpose.
    pub fn open(&mut self, purpose: Purpose) -> io::Result<()> {
        *self = Port::default();
        self.socket = Some(purpose.open()?);
        self.purpose = Some(purpose);
        Ok(())
    }

    pub fn close(&mut self) {
        *self = Port::default();
    }

    pub fn flush(&mut self, cipher: &Cipher) {
        let Some(socket) = self.socket.as_mut() else { return };
        for batch in self.full.iter_mut().chain(self.batch.as_mut()).filter(|batch| !batch.is_empty()) {
            cipher.seal(batch);
            let sent = socket.send(batch);
            self.too_long = sent.refused.or(self.too_long);
            if sent.error != 0 {
                self.error = sent.error;
            } else if sent.datagrams > 0 {
                self.error = 0;
            }
            if sent.blocked {
                return self.blocked.note(true, sent.datagrams);
            }
        }
        self.blocked.note(false, 0);
        self.full.clear();
    }

    /// Room in the batch, or `None`.
    fn slot(&mut self, to: &Address, length: usize, cipher: &Cipher) -> Option<Slot<'_>> {
        let batch = self.batch.get_or_insert_with(Batch::new);
        if !batch.has_room(length) {
            if self.socket.is_some() {
                self.flush(cipher);
            }
            let batch = self.batch.get_or_insert_with(Batch::new);
            if !batch.has_room(length) {
                if self.full.len() >= SPARE {
                    return None;
                }
                self.full.push(core::mem::replace(batch, Batch::new()));
            }
        }
        let (bytes, later) = self.batch.as_mut()?.slot(to, length)?;
        Some(Slot { bytes, later: cipher.is_shared().then_some(later) })
    }
}

/// See the module.
pub struct Outlet {
    pub ports: Vec<Port>,
    pub device: Option<Device>,
    pub events: Vec<(usize, Event)>,
    pub cipher: Arc<Cipher>,
    random: Random,
    /// For datagrams that cannot leave.
    waste: Vec<u8>,
}

impl Outlet {
    pub fn new(device: Option<Device>, cipher: Arc<Cipher>) -> Self {
        Outlet { ports: Vec::new(), device, events: Vec::new(), cipher, random: Random::default(), waste: Vec::new() }
    }

    /// Sends what there is, and hands over what there is.
    pub fn flush(&mut self) {
        self.ports.iter_mut().for_each(|port| port.flush(&self.cipher));
        if let Some(device) = &mut self.device {
            device.flush();
        }
    }

    /// The kernel takes no more for now: the device is not to be read.
    pub fn is_blocked(&self) -> bool {
        self.ports.iter().any(|port| port.blocked.holds())
    }
}

impl Output for Outlet {
    fn slot(&mut self, via: &Via, length: usize) -> Slot<'_> {
        let port = self.ports.get_mut(usize::from(via.socket));
        let slot = port.filter(|port| port.purpose.is_some()).and_then(|port| port.slot(&via.to, length, &self.cipher));
        slot.unwrap_or_else(|| {
            self.waste.resize(length, 0);
            Slot { bytes: &mut self.waste, later: None }
        })
    }

    fn deliver(&mut self, _peer: usize, packet: Packet) {
        if let Some(device) = &mut self.device {
            device.push(packet);
        }
    }

    fn event(&mut self, peer: usize, event: Event) {
        self.events.push((peer, event));
    }

    fn random(&mut self, bytes: &mut [u8]) {
        self.random.fill(bytes);
    }
}

/// Random bytes in stock: one system call for many. Each is given out once, and wiped.
struct Random {
    stock: [u8; 256],
    left: usize,
}

impl Default for Random {
    fn default() -> Self {
        Random { stock: [0; 256], left: 0 }
    }
}

impl Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.left == 0 {
                // It fails on kernels that have no such call; those have no TUN of ours either.
                if random::fill(&mut self.stock).is_err() {
                    std::process::abort();
                }
                self.left = self.stock.len();
            }
            self.left -= 1;
            *byte = self.stock.get_mut(self.left).map(core::mem::take).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_stuck_holds_up_no_others() {
        let mut blocked = Blocked::default();
        assert!(!blocked.holds());
        for turn in 0..2_000 {
            blocked.note(true, 0);
            assert_eq!(blocked.holds(), turn < STUCK, "{turn}");
        }
        blocked.note(true, 3);
        assert!(blocked.holds(), "it goes on");
        blocked.note(false, 5);
        assert!(!blocked.holds());
    }
}
