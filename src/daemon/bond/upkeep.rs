//! What a section needs of the kernel, and which paths it has, as configuration, links and names are now.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::bond::Via;
use crate::bond::address::Address;
use crate::bond::control::Terms;
use crate::bond::frame::{MAX_PATHS, PathId};
use crate::bond::peer::Line;
use crate::config::{Role, Transport};
use crate::linux::ether;
use crate::logging;
use crate::time::{Span, Time};

use super::device::Device;
use super::orders::Way;
use super::outlet::{Port, Purpose};
use super::section::{ALONE, RETRY, Section};

/// How long a port may be taken whose socket was closed, and how soon it is tried again.
const LINGERS: Span = Span::from_millis(500);
const SOON: Span = Span::from_millis(10);

impl Section {
    /// Brings device, sockets and paths in line with what is wanted.
    pub fn maintain(&mut self, now: Time) {
        let before = self.fault.take();
        if let Err(why) = &self.wanted.key {
            self.fault = Some(why.clone());
        }
        if let Err(why) = self.keep_device(now) {
            self.fails(why, now);
        }
        self.call_reserve(now);
        if self.hub.is_none() {
            // Nobody would read a socket: what came in would wake us up without end.
        } else if !self.is_client() && matches!(self.wanted.config.transport, Transport::Udp { .. }) {
            self.listen(now);
        } else {
            self.place_paths(now);
        }
        // A key that cannot be read was told of when it was read.
        if let Some(fault) = self.fault.as_ref().filter(|_| self.fault != before && self.wanted.key.is_ok()) {
            logging::error!("peer {}: {fault}", self.name());
        }
        self.changed = true;
    }

    /// A port is taken for a moment longer than its socket is open: a program that the main loop starts just then has a copy of
    /// the socket until it is itself.
    fn is_soon_free(&mut self, error: &io::Error, now: Time) -> bool {
        let soon = error.kind() == io::ErrorKind::AddrInUse && now.since(self.freed) < LINGERS;
        if soon {
            self.retry = Some(now + SOON);
        }
        soon
    }

    fn fails(&mut self, why: String, now: Time) {
        self.fault.get_or_insert(why);
        self.retry = Some(now + RETRY);
    }

    fn keep_device(&mut self, now: Time) -> Result<(), String> {
        let config = &self.wanted.config;
        let name = &config.device;
        if self.out.device.is_none() {
            let device = Device::open(name, now).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("cannot make device {name}: there is no TUN (on OpenWrt: install kmod-tun)")
                }
                io::ErrorKind::ResourceBusy | io::ErrorKind::InvalidInput => {
                    format!("cannot make device {name}: another program has one of that name")
                }
                _ => format!("cannot make device {name}: {error}"),
            })?;
            self.out.device = Some(device);
            self.rewired = true;
        }
        let Some(device) = self.out.device.as_mut() else { return Ok(()) };
        let set = device.set(&config.address, config.mtu);
        set.map_err(|error| format!("cannot set up device {name}: {error}"))?;
        // What the paths carry is known, where the device is not the first one, or had an MTU of its owner's.
        self.resize(now);
        Ok(())
    }

    /// Metered links without a limit, if no other does.
    fn call_reserve(&mut self, now: Time) {
        let ways = &self.wanted.ways;
        let Some(peer) = self.hub.as_ref().and_then(|hub| hub.peers().next()) else { return };
        let up = |at: usize| PathId::new(at as u8).is_some_and(|id| peer.path_is_up(id));
        let mut others = ways.iter().enumerate().filter(|(_, way)| !way.reserve);
        if !ways.iter().any(|way| way.reserve) || others.clone().any(|(at, _)| up(at)) {
            (self.reserve, self.alone) = (false, None);
            return;
        }
        let since = *self.alone.get_or_insert(now);
        self.reserve |= since + ALONE <= now || others.all(|(_, way)| way.index == 0);
    }

    fn listen(&mut self, now: Time) {
        let port = self.wanted.config.listen_port;
        let addresses =
            [SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)];
        for (at, address) in addresses.into_iter().enumerate() {
            match self.open(at, Purpose::Server(address)) {
                Err(error) if self.is_soon_free(&error, now) => {}
                // A host may have no IPv6.
                Err(error) if address.is_ipv4() || error.kind() == io::ErrorKind::AddrInUse => {
                    let why = match error.kind() {
                        io::ErrorKind::AddrInUse => "another program has it".into(),
                        _ => error.to_string(),
                    };
                    self.fails(format!("cannot listen on UDP port {port}: {why}"), now);
                }
                _ => {}
            }
        }
    }

    /// Opens a socket, unless it is. Whether that was needed.
    fn open(&mut self, at: usize, purpose: Purpose) -> io::Result<bool> {
        while self.out.ports.len() <= at {
            self.out.ports.push(Default::default());
        }
        let Some(port) = self.out.ports.get_mut(at) else { return Ok(false) };
        if port.purpose.as_ref() == Some(&purpose) {
            return Ok(false);
        }
        self.rewired = true;
        port.open(purpose).map(|()| true)
    }

    fn place_paths(&mut self, now: Time) {
        let is_client = self.is_client();
        let ways = self.wanted.ways.clone();
        let reserve = self.reserve;
        let carries = |way: &&Way| way.index != 0 && (!way.reserve || reserve);
        let families: Vec<(bool, bool)> = ways.iter().filter(carries).map(|way| (way.ipv4, way.ipv6)).collect();
        self.endpoints.see(&families, now);
        let wanted: Vec<(Option<Address>, Option<Purpose>)> =
            (0..MAX_PATHS).map(|at| self.wants(ways.get(at).filter(carries))).collect();
        // All of them before any is opened: another path may have had the device, and its socket has the port.
        for ((at, id), (_, purpose)) in PathId::all().enumerate().zip(&wanted) {
            let port = self.out.ports.get(at).filter(|port| port.purpose.is_some());
            if port.is_some_and(|port| port.purpose != *purpose) {
                // By this socket the far end hears of it.
                self.set_path(id, None, None, now);
                self.out.flush();
                self.out.ports.get_mut(at).into_iter().for_each(Port::close);
                (self.rewired, self.freed) = (true, now);
            }
        }
        for ((at, id), (to, purpose)) in PathId::all().enumerate().zip(wanted) {
            let (Some(way), Some(purpose)) = (ways.get(at), purpose) else { continue };
            if let Err(error) = self.open(at, purpose) {
                if !self.is_soon_free(&error, now) {
                    self.fails(format!("cannot use {}: {error}", way.device), now);
                }
                continue;
            }
            // A server learns where a client is.
            let via = to.filter(|_| is_client).map(|to| Via { socket: at as u16, to });
            if via.is_some() {
                self.set_path(id, Some(way), via, now);
            }
        }
    }

    /// Where a path leads that goes this way, and its socket's purpose.
    fn wants(&self, way: Option<&Way>) -> (Option<Address>, Option<Purpose>) {
        let Some(way) = way else { return (None, None) };
        let (device, index) = (way.device.clone(), way.index);
        if matches!(self.wanted.config.transport, Transport::Ethernet { .. }) {
            return (way.remote.map(|mac| Address::Ethernet(mac.0)), Some(Purpose::Wire { device, index }));
        }
        let Some(to) = self.endpoints.address(way.ipv4, way.ipv6) else { return (None, None) };
        let port = self.wanted.config.listen_port;
        (Some(Address::udp(to)), Some(Purpose::Path { device, index, mark: way.mark, ipv6: to.is_ipv6(), port }))
    }

    fn set_path(&mut self, id: PathId, way: Option<&Way>, via: Option<Via>, now: Time) {
        // What is in front of a datagram: IP and UDP, or its length.
        let front = match via.map(|via| via.to) {
            Some(Address::Udp { remote, .. }) => {
                if remote.is_ipv4() {
                    28
                } else {
                    48
                }
            }
            _ => ether::LENGTH as u16,
        };
        let line = way.zip(via).map(|(way, via)| {
            let terms = Terms { weight: way.weight, cap: way.cap };
            Line { via, terms, most: way.mtu.saturating_sub(front) }
        });
        if let Some(hub) = self.hub.as_mut().filter(|_| self.wanted.config.role == Role::Client) {
            hub.set_path(0, id, line, now, &mut self.out);
        }
    }
}
