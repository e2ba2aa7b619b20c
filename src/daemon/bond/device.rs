//! The TUN device of a peer.

use std::io;
use std::net::IpAddr;

use crate::bond::coalesce::Coalescer;
use crate::bond::flow::Packet;
use crate::bond::offload::Offload;
use crate::config::OwnAddress;
use crate::linux::address;
use crate::linux::tun::Tun;
use crate::logging;
use crate::time::{Span, Time};

/// Packets that the kernel keeps while the others are read. What waits for longer, waits in `bond::fair`.
const QUEUE: u32 = 100;
/// Below this the kernel takes IPv6 away from a device (RFC 8200, 5). What is too long for a path goes in two pieces.
const LEAST: u16 = 1_280;
/// A path that just came has its size found out within this: no reason to lower the device's.
const HOLD: Span = Span::from_secs(2);

pub struct Device {
    pub tun: Tun,
    pub index: u32,
    coalescer: Coalescer,
    addresses: Vec<(IpAddr, u8)>,
    pub mtu: u16,
    /// A lower one, and from when on.
    lower: Option<(u16, Time)>,
    /// The poll reports nothing of it but errors.
    pub muted: bool,
    pub since: Time,
}

impl Device {
    pub fn open(name: &str, now: Time) -> io::Result<Self> {
        let (tun, offload) = Tun::open_large(name, Offload::ALL, false)?;
        tun.set_queue(QUEUE)?;
        let index = tun.index()?;
        let (coalescer, addresses) = (Coalescer::new(offload), Vec::new());
        Ok(Device { tun, index, coalescer, addresses, mtu: 0, lower: None, muted: false, since: now })
    }

    /// Gives it its addresses, and the MTU if one is wanted, and sets it up.
    pub fn set(&mut self, addresses: &[OwnAddress], mtu: Option<u16>) -> io::Result<()> {
        let addresses: Vec<(IpAddr, u8)> = addresses.iter().map(|own| (own.address, own.length)).collect();
        let mtu = mtu.unwrap_or(self.mtu.max(LEAST));
        if (self.mtu, &self.addresses) != (mtu, &addresses) {
            address::set_up(self.tun.name(), mtu.into(), &addresses)?;
            (self.mtu, self.addresses, self.lower) = (mtu, addresses, None);
        }
        Ok(())
    }

    /// The paths carry packets of this size: a larger one at once, a smaller one if it stays.
    pub fn resize(&mut self, mtu: u16, now: Time) {
        let mtu = mtu.max(LEAST);
        if mtu < self.mtu {
            self.lower = Some((mtu, self.lower.map_or(now + HOLD, |(_, at)| at)));
        } else {
            self.apply(mtu);
        }
    }

    pub fn deadline(&self) -> Option<Time> {
        self.lower.map(|(_, at)| at)
    }

    pub fn turn(&mut self, now: Time) {
        if let Some((mtu, _)) = self.lower.filter(|(_, at)| *at <= now) {
            self.apply(mtu);
        }
    }

    fn apply(&mut self, mtu: u16) {
        self.lower = None;
        if mtu == self.mtu {
            return;
        }
        match address::set_up(self.tun.name(), mtu.into(), &self.addresses) {
            Ok(()) => self.mtu = mtu,
            Err(error) => logging::warn!("cannot set the MTU of {} to {mtu}: {error}", self.tun.name()),
        }
    }

    /// Hands the kernel a packet, soon.
    pub fn push(&mut self, packet: Packet) {
        let tun = &self.tun;
        // What the kernel refuses is lost, as on any device.
        self.coalescer.push(packet, &mut |header, head, body| drop(tun.write(header, head, body)));
    }

    /// Now.
    pub fn flush(&mut self) {
        let tun = &self.tun;
        self.coalescer.flush(&mut |header, head, body| drop(tun.write(header, head, body)));
    }
}
