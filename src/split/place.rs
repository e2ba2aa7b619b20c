//! Where the daemon's splits stand: which of them can be used now, and what the kernel needs beside the rules.

use std::net::{IpAddr, SocketAddr};

use super::{Side, Split, Used};
use crate::config::SplitConfig;
use crate::kernel::{Route, Snapshot};
use crate::link::Link;

/// What the daemon puts up for its splits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    pub splits: Vec<Used>,
    /// A receiver's: answers leave by the device that has their source address.
    pub tables: Vec<Table>,
    /// The receivers' devices: a loose rp_filter, and ARP answers for their own addresses only.
    pub devices: Vec<String>,
    /// There is a sender of IPv4, which may have clients behind it.
    pub forwards: bool,
    /// Likewise of IPv6.
    pub forwards6: bool,
    /// With it, the devices, which may live by router advertisements.
    pub advertised: Vec<String>,
    /// By split: what keeps it, or its second path, from being used.
    pub troubles: Vec<(String, String)>,
}

/// A routing table, and the rule that leads packets from `source` to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// The rule's preference as well.
    pub number: u32,
    pub source: IpAddr,
    pub routes: Vec<Route>,
}

/// The first table. Those of links end long before, and `ip rule`s of links come first: a connection that has a link keeps it.
pub const BASE: u32 = 4100;

/// Routes of a table: those through one device, on which nobody has a table of the whole Internet.
const MAX_ROUTES: usize = 64;

/// The splits of a configuration, with `links` as they are now.
pub fn place(config: &[SplitConfig], links: &[Link], now: &Snapshot) -> Place {
    let mut place = Place::default();
    for SplitConfig { name, split } in config {
        let done = match split.side {
            Side::Sender => place.sender(split, links, now),
            Side::Receiver => place.receiver(split, links, now),
        };
        if let Err(trouble) = done {
            place.troubles.push((name.clone(), trouble));
        }
    }
    place
}

impl Place {
    fn sender(&mut self, split: &Split, links: &[Link], now: &Snapshot) -> Result<(), String> {
        match split.primary {
            SocketAddr::V4(_) => self.forwards = true,
            SocketAddr::V6(_) => {
                self.forwards6 = true;
                let devices = now.devices.iter().map(|device| &device.name).filter(|name| *name != "lo");
                self.advertised = devices.cloned().collect();
            }
        }
        let second = second_path(split.secondary.ip(), links, now);
        self.splits.push((*split, second.is_ok()));
        second.map_err(|why| format!("everything takes the first path: {why}"))
    }

    fn receiver(&mut self, split: &Split, links: &[Link], now: &Snapshot) -> Result<(), String> {
        let mut indices = Vec::new();
        for address in [split.primary.ip(), split.secondary.ip()] {
            let own = now.addresses.iter().find(|known| known.address == address);
            let own = own.ok_or_else(|| format!("not in use: this host does not have the address {address}"))?;
            indices.push((own.device, address));
        }
        for (index, source) in indices {
            if self.tables.iter().all(|table| table.source != source) {
                let number = BASE + self.tables.len() as u32;
                self.tables.push(Table { number, source, routes: routes(index, source, links, now) });
            }
            let device = now.device(index).map(|device| device.name.clone());
            self.devices.extend(device.filter(|device| source.is_ipv4() && !self.devices.contains(device)));
        }
        self.splits.push((*split, true));
        Ok(())
    }
}

/// Whether the way to the secondary address is up: its link says so, or else its device. The error says what is not.
fn second_path(to: IpAddr, links: &[Link], now: &Snapshot) -> Result<(), String> {
    let way = now.route_to(to).and_then(|way| Some((way, now.device(way.device)?)));
    let Some((way, device)) = way else { return Err(format!("no route to {to}")) };
    match links.iter().find(|link| link.ifindex == way.device) {
        Some(link) if !link.up => Err(format!("link {} to {to} is down", link.name)),
        None if !device.running => Err(format!("device {} to {to} is down", device.name)),
        _ => Ok(()),
    }
}

/// The main table's routes through a device, as far as they are of the family of `source`.
fn routes(device: u32, source: IpAddr, links: &[Link], now: &Snapshot) -> Vec<Route> {
    let ipv4 = source.is_ipv4();
    let through = now.routes.iter().filter(|route| route.device == device && route.destination.0.is_ipv4() == ipv4);
    let mut routes: Vec<Route> = through.copied().collect();
    // A link's gateway may stand in the configuration only.
    let gateway = links.iter().find(|link| link.ifindex == device).and_then(|link| match ipv4 {
        true => link.ipv4.and_then(|side| side.gateway).map(IpAddr::from),
        false => link.ipv6.and_then(|side| side.gateway).map(IpAddr::from),
    });
    if gateway.is_some() && routes.iter().all(|route| route.destination.1 != 0) {
        let any = if ipv4 { IpAddr::from([0; 4]) } else { IpAddr::from([0u16; 8]) };
        routes.push(Route { destination: (any, 0), gateway, device, metric: 0 });
    }
    // The default route first: it is not to fall victim to the cap.
    routes.sort_unstable_by_key(|route| (route.destination.1, route.destination.0, route.metric));
    routes.dedup_by_key(|route| route.destination);
    routes.truncate(MAX_ROUTES);
    routes
}
