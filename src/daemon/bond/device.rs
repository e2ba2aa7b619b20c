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
/// A path that just came, or shrank, has its size found out within this, by 40 probes of 100 ms: no reason to lower the device's.
const HOLD: Span = Span::from_secs(5);
/// Once lowered, it is not raised before this: one client of many may carry less and more by turns, and each change is all clients', and has
/// the rules loaded anew.
const RESPITE: Span = Span::from_secs(60);

pub struct Device {
    pub tun: Tun,
    pub index: u32,
    coalescer: Coalescer,
    addresses: Vec<(IpAddr, u8)>,
    pub mtu: u16,
    next: Next,
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
        Ok(Device { tun, index, coalescer, addresses, mtu: 0, next: Next::default(), muted: false, since: now })
    }

    /// Gives it its addresses, and the MTU if one is wanted, and sets it up.
    pub fn set(&mut self, addresses: &[OwnAddress], mtu: Option<u16>) -> io::Result<()> {
        let addresses: Vec<(IpAddr, u8)> = addresses.iter().map(|own| (own.address, own.length)).collect();
        if mtu.is_some() {
            // What the paths carry is of no account any more.
            self.next.change = None;
        }
        let mtu = mtu.unwrap_or(self.mtu.max(LEAST));
        if (self.mtu, &self.addresses) != (mtu, &addresses) {
            address::set_up(self.tun.name(), mtu.into(), &addresses)?;
            (self.mtu, self.addresses, self.next) = (mtu, addresses, Next::default());
        }
        Ok(())
    }

    /// The paths carry packets of this size.
    pub fn resize(&mut self, mtu: u16, now: Time) {
        self.next.wanted(self.mtu, mtu.max(LEAST), now);
        self.turn(now);
    }

    pub fn deadline(&self) -> Option<Time> {
        self.next.change.map(|(_, at)| at)
    }

    pub fn turn(&mut self, now: Time) {
        let Some(mtu) = self.next.due(self.mtu, now) else { return };
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

/// When a device gets another MTU: a smaller one if that stays, a larger one at once unless it was lowered of late.
#[derive(Default)]
struct Next {
    /// Which, and from when on.
    change: Option<(u16, Time)>,
    lowered: Option<Time>,
}

impl Next {
    fn wanted(&mut self, mtu: u16, wanted: u16, now: Time) {
        let at = match self.change {
            Some((before, at)) if before.max(wanted) < mtu => at,
            _ if wanted < mtu => now + HOLD,
            _ => self.lowered.map_or(now, |lowered| lowered + RESPITE),
        };
        self.change = (wanted != mtu).then_some((wanted, at));
    }

    /// The one that it is to have from now on.
    fn due(&mut self, mtu: u16, now: Time) -> Option<u16> {
        let (wanted, _) = self.change.take_if(|(_, at)| *at <= now)?;
        self.lowered = if wanted < mtu { Some(now) } else { self.lowered };
        Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of an MTU, with the seconds, where paths carry so much from those seconds on.
    fn course(wanted: &[(u64, u16)]) -> Vec<(u64, u16)> {
        let (mut next, mut mtu, mut course) = (Next::default(), LEAST, Vec::new());
        for second in 0..200 {
            let now = Time(0) + Span::from_secs(second);
            let sizes = wanted.iter().filter(|(at, _)| *at == second);
            sizes.for_each(|(_, size)| next.wanted(mtu, *size, now));
            if let Some(size) = next.due(mtu, now) {
                mtu = size;
                course.push((second, size));
            }
        }
        course
    }

    #[test]
    fn a_smaller_mtu_has_to_stay_and_a_larger_one_comes_back_later() {
        assert_eq!(course(&[(0, 1_400), (1, 1_481)]), [(0, 1_400), (1, 1_481)]);
        assert_eq!(course(&[(0, 1_481), (9, 1_280), (12, 1_481)]), [(0, 1_481)], "it was looked for");
        assert_eq!(course(&[(0, 1_481), (9, 1_280), (12, 1_381)]), [(0, 1_481), (14, 1_381)]);
        assert_eq!(course(&[(0, 1_481), (9, 1_280), (20, 1_381)]), [(0, 1_481), (14, 1_280), (74, 1_381)]);
        // A larger one that does not stay.
        assert_eq!(course(&[(0, 1_481), (9, 1_381), (20, 1_481), (30, 1_280)]), [(0, 1_481), (14, 1_381), (35, 1_280)]);
    }

    #[test]
    fn a_client_that_comes_and_goes_by_turns_moves_little() {
        let turns: Vec<(u64, u16)> =
            (0..100).map(|turn| (turn * 2, if turn % 8 < 4 { 1_481 } else { 1_280 })).collect();
        assert!(course(&turns).len() <= 6, "{:?}", course(&turns));
    }
}
