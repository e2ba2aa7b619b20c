//! What a section needs of the kernel, and which paths it has, as configuration, links and names are now.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::bond::Via;
use crate::bond::address::Address;
use crate::bond::frame::PathId;
use crate::config::{Role, Transport};
use crate::linux::ether;
use crate::logging;
use crate::time::Time;

use super::device::Device;
use super::orders::Way;
use super::outlet::{Port, Purpose};
use super::section::{ALONE, RETRY, Section};

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
        if !self.is_client() && matches!(self.wanted.config.transport, Transport::Udp { .. }) {
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

    fn fails(&mut self, why: String, now: Time) {
        self.fault.get_or_insert(why);
        self.retry = Some(now + RETRY);
    }

    fn keep_device(&mut self, now: Time) -> Result<(), String> {
        let config = &self.wanted.config;
        let name = &config.device;
        if self.out.device.is_none() {
            let device = Device::open(name, now).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => format!("cannot make device {name}: no TUN; install kmod-tun"),
                io::ErrorKind::ResourceBusy | io::ErrorKind::InvalidInput => {
                    format!("cannot make device {name}: another program has one of that name")
                }
                _ => format!("cannot make device {name}: {error}"),
            })?;
            self.out.device = Some(device);
            self.rewired = true;
        }
        let Some(device) = self.out.device.as_mut() else { return Ok(()) };
        let fresh = device.mtu == 0;
        let set = device.set(&config.address, config.mtu);
        set.map_err(|error| format!("cannot set up device {name}: {error}"))?;
        if fresh {
            // What the paths carry is known, where it is not the first one.
            self.resize(now);
        }
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
        let ethernet = matches!(self.wanted.config.transport, Transport::Ethernet { .. });
        let ways = self.wanted.ways.clone();
        let carries = |way: &&Way| way.index != 0 && (!way.reserve || self.reserve);
        let families: Vec<(bool, bool)> = ways.iter().filter(carries).map(|way| (way.ipv4, way.ipv6)).collect();
        self.endpoints.see(&families, now);
        for (at, id) in PathId::all().enumerate() {
            let way = ways.get(at).filter(|way| way.index != 0 && (!way.reserve || self.reserve));
            let to = way.and_then(|way| match way.remote {
                Some(mac) => Some(Address::Ethernet(mac.0)),
                None if ethernet => None,
                None => self.endpoints.address(way.ipv4, way.ipv6).map(Address::udp),
            });
            let (device, index) = way.map_or(("", 0), |way| (&way.device, way.index));
            let purpose = match to {
                _ if ethernet && way.is_some() => Some(Purpose::Wire { device: device.into(), index }),
                Some(Address::Udp { remote, .. }) => Some(Purpose::Path {
                    device: device.into(),
                    index,
                    mark: way.map_or(0, |way| way.mark),
                    ipv6: remote.is_ipv6(),
                    port: self.wanted.config.listen_port,
                }),
                _ => None,
            };
            let port = self.out.ports.get(at).filter(|port| port.purpose.is_some());
            if port.is_some_and(|port| port.purpose != purpose) {
                // By this socket the far end hears of it.
                self.set_path(id, None, None, now);
                self.out.flush();
                self.out.ports.get_mut(at).into_iter().for_each(Port::close);
                self.rewired = true;
            }
            let Some(purpose) = purpose else { continue };
            if let Err(error) = self.open(at, purpose) {
                self.fails(format!("cannot use {device}: {error}"), now);
                continue;
            }
            // A server learns where a client is.
            let via = to.filter(|_| is_client).map(|to| Via { socket: at as u16, to });
            if via.is_some() {
                self.set_path(id, way, via, now);
            }
        }
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
        let (weight, cap, mtu) = way.map_or((1, 0, 0), |way| (way.weight, way.cap, way.mtu));
        let most = mtu.saturating_sub(front);
        if let Some(hub) = self.hub.as_mut().filter(|_| self.wanted.config.role == Role::Client) {
            hub.set_path(0, id, via, weight, cap, most, now, &mut self.out);
        }
    }
}
