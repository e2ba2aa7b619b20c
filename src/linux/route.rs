//! Routing: devices, addresses and routes as they are, and the rules and tables that are ours (`linux/rtnetlink.h`,
//! `linux/fib_rules.h`).
//!
//! Everything that we add carries [`PROTOCOL`], so that the remains of a crash are told from everybody else's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use super::netlink::{Answer, Attributes, CREATE, EXCLUSIVE, Message, REPLACE, Socket, address, array};
use super::number_of;
use crate::family::Family;
use crate::kernel::{Address, Device, PROTOCOL, Route, Rule, Snapshot};

pub struct Routing {
    socket: Socket,
}

impl Routing {
    pub fn open() -> io::Result<Self> {
        Ok(Routing { socket: Socket::open(libc::NETLINK_ROUTE, 0)? })
    }

    pub fn snapshot(&mut self) -> io::Result<Snapshot> {
        let mut tries = 3;
        loop {
            tries -= 1;
            match self.look() {
                Err(error) if tries > 0 && error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn look(&mut self) -> io::Result<Snapshot> {
        let mut now = Snapshot::default();
        self.socket.dump(Message::new(libc::RTM_GETLINK, 0, &[0; 16]), |answer| now.devices.extend(device(answer)))?;
        self.socket
            .dump(Message::new(libc::RTM_GETADDR, 0, &[0; 8]), |answer| now.addresses.extend(of_device(answer)))?;
        for family in Family::BOTH {
            let message = Message::new(libc::RTM_GETROUTE, 0, &header(family));
            self.socket.dump(message, |answer| {
                now.routes.extend(
                    route(answer).filter(|(_, table, _)| *table == u32::from(libc::RT_TABLE_MAIN)).map(|r| r.0),
                );
            })?;
        }
        Ok(now)
    }

    /// Every route of a family with its table, the kernel's own tables included.
    pub fn routes(&mut self, family: Family) -> io::Result<Vec<(u32, Route)>> {
        let mut routes = Vec::new();
        let request = Message::new(libc::RTM_GETROUTE, 0, &header(family));
        self.socket.dump(request, |answer| routes.extend(route(answer).map(|(route, table, _)| (table, route))))?;
        Ok(routes)
    }

    /// Every ip rule, with who made it.
    pub fn rules(&mut self, family: Family) -> io::Result<Vec<(Rule, u8)>> {
        let mut rules = Vec::new();
        let request = Message::new(libc::RTM_GETRULE, 0, &header(family));
        self.socket.dump(request, |answer| rules.extend(rule(answer)))?;
        Ok(rules)
    }

    /// Adds a rule. One that is there already is fine.
    pub fn add_rule(&mut self, family: Family, rule: &Rule) -> io::Result<()> {
        match self.change_rule(libc::RTM_NEWRULE, CREATE | EXCLUSIVE, family, rule) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }

    /// Removes a rule of ours. One that is gone already is fine.
    pub fn remove_rule(&mut self, family: Family, rule: &Rule) -> io::Result<()> {
        match self.change_rule(libc::RTM_DELRULE, 0, family, rule) {
            Err(error) if gone(&error) => Ok(()),
            done => done,
        }
    }

    /// Makes the default route of one of our tables what it should be.
    pub fn set_default(&mut self, table: u32, device: u32, gateway: Option<IpAddr>, family: Family) -> io::Result<()> {
        let any = match family {
            Family::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        self.add_route(table, &Route { destination: (any, 0), gateway, device, metric: 0 })
    }

    /// Adds a route to one of our tables, or puts it in the place of one to the same destination.
    pub fn add_route(&mut self, table: u32, route: &Route) -> io::Result<()> {
        let Route { destination: (to, length), gateway, device, .. } = *route;
        let mut head = header(Family::of(to));
        head[1] = length;
        head[5] = PROTOCOL;
        // Without a gateway the far end is on the link itself.
        head[6] = if gateway.is_some() { libc::RT_SCOPE_UNIVERSE } else { libc::RT_SCOPE_LINK };
        head[7] = libc::RTN_UNICAST;
        // The gateway need not be in a connected network: PPP and DHCP with a /32 are common.
        head[8..].copy_from_slice(&(if gateway.is_some() { RTNH_F_ONLINK } else { 0 }).to_ne_bytes());
        let mut message = Message::new(libc::RTM_NEWROUTE, CREATE | REPLACE, &head);
        message.u32(libc::RTA_TABLE, table).u32(libc::RTA_OIF, device);
        if length > 0 {
            message.address(libc::RTA_DST, to);
        }
        if let Some(gateway) = gateway {
            message.address(libc::RTA_GATEWAY, gateway);
        }
        self.socket.request(message)
    }

    /// Removes the routes of ours that stand in tables which `wanted` does not want.
    pub fn remove_routes(&mut self, family: Family, wanted: impl Fn(u32) -> bool) -> io::Result<()> {
        let mut routes: Vec<Vec<u8>> = Vec::new();
        self.socket.dump(Message::new(libc::RTM_GETROUTE, 0, &header(family)), |answer| {
            if route(answer).is_some_and(|(_, table, protocol)| protocol == PROTOCOL && !wanted(table)) {
                routes.push(answer.body.to_vec());
            }
        })?;
        for body in routes {
            // What the kernel says of a route is also its description for removal.
            match self.socket.request(Message::new(libc::RTM_DELROUTE, 0, &body)) {
                Err(error) if !gone(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn change_rule(&mut self, kind: u16, flags: u16, family: Family, rule: &Rule) -> io::Result<()> {
        let mut head = header(family);
        head[7] = FR_ACT_TO_TBL;
        head[2] = rule.source.map_or(0, whole);
        let mut message = Message::new(kind, flags, &head);
        message.u32(FRA_PRIORITY, rule.preference).u32(FRA_FWMARK, rule.mark).u32(FRA_FWMASK, rule.mask);
        message.u32(FRA_TABLE, rule.table).attribute(FRA_PROTOCOL, &[PROTOCOL]);
        if let Some(source) = rule.source {
            message.address(FRA_SRC, source);
        }
        if let Some(length) = rule.suppress {
            message.u32(FRA_SUPPRESS_PREFIXLEN, length);
        }
        self.socket.request(message)
    }
}

/// Tells when a snapshot is out of date, or somebody changed what we put up.
pub struct Changes {
    socket: Socket,
    /// Whose changes are ours.
    own: u32,
}

impl Changes {
    pub fn open(of: &Routing) -> io::Result<Self> {
        let groups = libc::RTMGRP_LINK
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV6_ROUTE
            | RTMGRP_RULES;
        Ok(Changes { socket: Socket::open(libc::NETLINK_ROUTE, groups as u32)?, own: of.socket.port })
    }

    /// Whether anything but our own routes and rules changed since the last call, or somebody else removed one of those.
    pub fn drain(&self) -> bool {
        // The kernel itself may speak of a route of ours anew, as of one that a switch has taken over.
        let is_ours = |answer: &Answer| {
            answer.port == self.own
                || answer.kind == libc::RTM_NEWROUTE && route(answer).is_some_and(|(_, _, by)| by == PROTOCOL)
        };
        let mut changed = false;
        let mut buffer = [0u8; 8192];
        loop {
            match self.socket.receive(&mut buffer, false) {
                Ok(bytes) => changed |= super::netlink::Messages(bytes).any(|answer| !is_ours(&answer)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return changed,
                // ENOBUFS: there was more than the kernel could keep for us.
                Err(_) => return true,
            }
        }
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `linux/rtnetlink.h`: the groups 8 and 19, `RTNLGRP_IPV4_RULE` and `RTNLGRP_IPV6_RULE`, as bits.
const RTMGRP_RULES: libc::c_int = 1 << 7 | 1 << 18;

/// `linux/rtnetlink.h`: the gateway is on the device, whatever the addresses say.
const RTNH_F_ONLINK: u32 = 4;

/// `linux/fib_rules.h`.
const FR_ACT_TO_TBL: u8 = 1;
const FIB_RULE_INVERT: u32 = 2;
const FRA_SRC: u16 = 2;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_PROTOCOL: u16 = 21;

/// `rtmsg` and `fib_rule_hdr` have the same 12 bytes: family, lengths, tos, table, three more, flags.
fn header(family: Family) -> [u8; 12] {
    [number_of(family) as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT | libc::ENODEV))
}

/// The length of the prefix that is one address.
fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(array(value, 0)?))
}

fn device(answer: &Answer) -> Option<Device> {
    if answer.kind != libc::RTM_NEWLINK {
        return None;
    }
    let index = u32::from_ne_bytes(array(answer.body, 4)?);
    let ethernet = u16::from_ne_bytes(array(answer.body, 2)?) == libc::ARPHRD_ETHER;
    let flags = u32::from_ne_bytes(array(answer.body, 8)?);
    let wanted = (libc::IFF_UP | libc::IFF_RUNNING | libc::IFF_LOWER_UP) as u32;
    let running = flags & wanted == wanted;
    let neighbours = flags & (libc::IFF_NOARP | libc::IFF_POINTOPOINT) as u32 == 0;
    let name = String::new();
    let mut device = Device { index, name, mtu: 0, running, neighbours, tunnel: false, received: 0, sent: 0 };
    for (kind, value) in answer.attributes(16) {
        match kind {
            libc::IFLA_IFNAME => device.name = String::from_utf8_lossy(value.strip_suffix(&[0])?).into_owned(),
            libc::IFLA_MTU => device.mtu = number(value)?,
            libc::IFLA_LINKINFO => {
                let mut about = Attributes(value);
                device.tunnel =
                    !ethernet && about.any(|(kind, value)| kind == libc::IFLA_INFO_KIND && is_tunnel(value));
            }
            // `rtnl_link_stats64`: packets in and out, then bytes in and out.
            libc::IFLA_STATS64 => {
                device.received = u64::from_ne_bytes(array(value, 16)?);
                device.sent = u64::from_ne_bytes(array(value, 24)?);
            }
            _ => {}
        }
    }
    Some(device)
}

/// Whether devices of a kind (`rtnl_link_ops.kind`, with its final zero) carry packets inside of others of the same family. By kind, since
/// a modem's device looks like such a one in all else. (`ip6tnl` and `sit` carry the other family: DS-Lite, MAP-E, 6in4.)
fn is_tunnel(kind: &[u8]) -> bool {
    let kinds = ["tun", "wireguard", "amneziawg", "ovpn", "ipip", "gre", "ip6gre", "vti", "vti6", "xfrm"];
    kinds.iter().any(|known| kind.strip_suffix(&[0]) == Some(known.as_bytes()))
}

fn of_device(answer: &Answer) -> Option<Address> {
    if answer.kind != libc::RTM_NEWADDR {
        return None;
    }
    let [_, _, flags, scope] = array::<4>(answer.body, 0)?;
    let (mut flags, mut own, mut other) = (u32::from(flags), None, None);
    for (kind, value) in answer.attributes(8) {
        match kind {
            libc::IFA_LOCAL => own = address(value),
            libc::IFA_ADDRESS => other = address(value),
            libc::IFA_FLAGS => flags = number(value)?,
            _ => {}
        }
    }
    let unfit = libc::IFA_F_TENTATIVE | libc::IFA_F_DEPRECATED | libc::IFA_F_DADFAILED | libc::IFA_F_TEMPORARY;
    // On a point-to-point device IFA_ADDRESS is the far end's.
    let address = own.or(other)?;
    // IFA_F_SECONDARY and IFA_F_TEMPORARY are the same bit: it means the latter for IPv6 only.
    let unfit = if address.is_ipv4() { unfit & !libc::IFA_F_TEMPORARY } else { unfit };
    let global = scope == libc::RT_SCOPE_UNIVERSE && flags & unfit == 0;
    Some(Address { device: u32::from_ne_bytes(array(answer.body, 4)?), address, global })
}

/// A route, its table, and who made it.
fn route(answer: &Answer) -> Option<(Route, u32, u8)> {
    if answer.kind != libc::RTM_NEWROUTE && answer.kind != libc::RTM_DELROUTE {
        return None;
    }
    let [family, length, _, _, table, protocol, _, kind] = array::<8>(answer.body, 0)?;
    let any = match i32::from(family) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut table = u32::from(table);
    let mut route = Route { destination: (any, length), gateway: None, device: 0, metric: 0 };
    for (kind, value) in answer.attributes(12) {
        match kind {
            libc::RTA_DST => route.destination.0 = address(value)?,
            libc::RTA_GATEWAY => route.gateway = address(value),
            libc::RTA_OIF => route.device = number(value)?,
            libc::RTA_PRIORITY => route.metric = number(value)?,
            libc::RTA_TABLE => table = number(value)?,
            libc::RTA_MULTIPATH if route.device == 0 => first_hop(value, &mut route),
            _ => {}
        }
    }
    matches!(kind, libc::RTN_UNICAST | libc::RTN_UNREACHABLE | libc::RTN_BLACKHOLE | libc::RTN_PROHIBIT)
        .then_some((route, table, protocol))
}

/// Takes the first next hop of several: `rtnexthop` is length, flags, weight and device, then attributes.
fn first_hop(value: &[u8], route: &mut Route) {
    let (Some(length), Some(device)) =
        (array(value, 0).map(u16::from_ne_bytes), array(value, 4).map(u32::from_ne_bytes))
    else {
        return;
    };
    route.device = device;
    let attributes = Attributes(value.get(8..usize::from(length)).unwrap_or_default());
    let gateway = attributes.into_iter().find(|(kind, _)| *kind == libc::RTA_GATEWAY);
    route.gateway = gateway.and_then(|(_, value)| address(value));
}

fn rule(answer: &Answer) -> Option<(Rule, u8)> {
    if answer.kind != libc::RTM_NEWRULE {
        return None;
    }
    let table = u32::from(*answer.body.get(4)?);
    let length = *answer.body.get(2)?;
    // What leads to no table, such as `unreachable`, has none here; what is meant for all others has no mark.
    let leads = answer.body.get(7) == Some(&FR_ACT_TO_TBL);
    let inverted = number(answer.body.get(8..)?)? & FIB_RULE_INVERT != 0;
    let mut rule = Rule { preference: 0, source: None, mark: 0, mask: 0, table, suppress: None };
    let mut protocol = 0;
    for (kind, value) in answer.attributes(12) {
        match kind {
            FRA_SRC => rule.source = address(value).filter(|source| length == whole(*source)),
            FRA_PRIORITY => rule.preference = number(value)?,
            FRA_FWMARK => rule.mark = number(value)?,
            FRA_FWMASK => rule.mask = number(value)?,
            // All ones: none.
            FRA_SUPPRESS_PREFIXLEN => rule.suppress = Some(number(value)?).filter(|length| *length <= 128),
            FRA_TABLE => rule.table = number(value)?,
            FRA_PROTOCOL => protocol = *value.first()?,
            _ => {}
        }
    }
    rule.table = if leads { rule.table } else { 0 };
    rule.mask = if inverted { 0 } else { rule.mask };
    Some((rule, protocol))
}
