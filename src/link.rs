//! Links: the WAN ports that a connection can leave by, and the marks that name them to the kernel.

use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::family::Family;
use crate::time::Span;

/// The most links that one daemon handles: what four bits of the packet mark can name beside "none".
pub const MAX_LINKS: usize = 15;

/// A link's number, 1 to [`MAX_LINKS`], in the order of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(u8);

impl LinkId {
    /// `None` if `number` is 0 or above [`MAX_LINKS`].
    pub const fn new(number: u8) -> Option<Self> {
        if number >= 1 && number as usize <= MAX_LINKS { Some(LinkId(number)) } else { None }
    }

    /// The number, 1 to [`MAX_LINKS`].
    pub const fn number(self) -> u8 {
        self.0
    }

    /// A zero-based index for arrays of [`MAX_LINKS`].
    pub const fn index(self) -> usize {
        self.0 as usize - 1
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of links, in their numbers' order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LinkSet(u16);

impl LinkSet {
    pub const EMPTY: LinkSet = LinkSet(0);

    pub const fn only(link: LinkId) -> Self {
        LinkSet(1 << link.0)
    }

    pub const fn contains(self, link: LinkId) -> bool {
        self.0 & 1 << link.0 != 0
    }

    pub fn insert(&mut self, link: LinkId) {
        self.0 |= 1 << link.0;
    }

    pub fn remove(&mut self, link: LinkId) {
        self.0 &= !(1 << link.0);
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub const fn minus(self, other: LinkSet) -> LinkSet {
        LinkSet(self.0 & !other.0)
    }

    pub const fn and(self, other: LinkSet) -> LinkSet {
        LinkSet(self.0 & other.0)
    }

    pub const fn or(self, other: LinkSet) -> LinkSet {
        LinkSet(self.0 | other.0)
    }

    pub fn first(self) -> Option<LinkId> {
        self.iter().next()
    }

    pub fn iter(self) -> impl Iterator<Item = LinkId> {
        (1..=MAX_LINKS as u8).map(LinkId).filter(move |l| self.contains(*l))
    }
}

impl FromIterator<LinkId> for LinkSet {
    fn from_iter<I: IntoIterator<Item = LinkId>>(links: I) -> Self {
        let mut set = LinkSet::EMPTY;
        for link in links {
            set.insert(link);
        }
        set
    }
}

/// What the race and the steering need to know of a link. Configuration, addresses and health come together here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    pub id: LinkId,
    /// The section's name.
    pub name: String,
    /// The kernel's device name and index; index 0 while the device does not exist.
    pub device: String,
    pub ifindex: u32,
    pub ipv4: Option<Side<Ipv4Addr>>,
    pub ipv6: Option<Side<Ipv6Addr>>,
    /// Bytes; the largest packet that the device takes.
    pub mtu: u16,
    /// Share of connections among equal links, 1 to 1000.
    pub weight: u16,
    /// Order of preference where links are not raced: lower first.
    pub metric: u16,
    /// Pays by volume: raced only when no other link is up.
    pub metered: bool,
    /// The router's own packets carry it, as a VPN's: none of those is to take it.
    pub tunnel: bool,
    /// How long its answer is held back for the others.
    pub handicap: Span,
    /// IPv6 prefixes delegated over it, as address and length: clients with such an address leave by it.
    pub delegated: Vec<(Ipv6Addr, u8)>,
    /// Whether the main routing table's default route leads over it: that of each [`Family`].
    pub main: [bool; 2],
    pub up: bool,
}

/// A link's part in one address family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Side<A> {
    /// The link's own address: what the far end sees.
    pub address: A,
    /// The next hop; `None` on point-to-point devices.
    pub gateway: Option<A>,
}

impl Link {
    /// Whether connections of a family may take it now.
    pub const fn usable(&self, family: Family) -> bool {
        self.up
            && match family {
                Family::Ipv4 => self.ipv4.is_some(),
                Family::Ipv6 => self.ipv6.is_some(),
            }
    }

    /// Whether the main routing table's default route of a family leads over it.
    pub const fn is_main(&self, family: Family) -> bool {
        self.main[family.index()]
    }

    /// The link's own address in a family.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::Ipv4 => self.ipv4.map(|side| side.address.into()),
            Family::Ipv6 => self.ipv6.map(|side| side.address.into()),
        }
    }
}

#[cfg(test)]
impl Link {
    /// A link of both families, up and without any peculiarity, for tests: `wan1` on `eth1`, device index 1.
    pub(crate) fn example(number: u8) -> Self {
        Link {
            id: LinkId::new(number).unwrap(),
            name: format!("wan{number}"),
            device: format!("eth{number}"),
            ifindex: number.into(),
            ipv4: Some(Side { address: [203, 0, 113, number].into(), gateway: Some([203, 0, 113, 254].into()) }),
            ipv6: Some(Side { address: [0x2001, 0xdb8, 1, number.into(), 0, 0, 0, 1].into(), gateway: None }),
            mtu: 1500,
            weight: 1,
            metric: 0,
            metered: false,
            tunnel: false,
            handicap: Span::ZERO,
            delegated: Vec::new(),
            main: [false; 2],
            up: true,
        }
    }
}

/// The bits of the packet mark that are ours: `mark_mask`, six adjacent bits. The low four name a link, the high two say
/// what the packet is about to go through. Every write keeps the other bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marks {
    shift: u32,
}

/// The two high bits of a mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Stage {
    /// Nothing to do.
    Plain = 0,
    /// To be queued: the first packet of a connection, or an answer to a race.
    Queue = 1,
    /// A copy that the daemon sent.
    Copy = 2,
    /// The answer that decided a race, or the daemon's heartbeat on its way out.
    Decided = 3,
}

impl Marks {
    pub const DEFAULT_MASK: u32 = 0x3F00_0000;

    /// `None` unless `mask` is exactly six adjacent bits.
    pub fn new(mask: u32) -> Option<Self> {
        let shift = mask.checked_ilog2()?.checked_sub(5)?;
        (mask == 0x3F << shift).then_some(Marks { shift })
    }

    /// All of our bits.
    pub const fn mask(self) -> u32 {
        0x3F << self.shift
    }

    /// The bits that name a link.
    pub const fn link_mask(self) -> u32 {
        0x0F << self.shift
    }

    /// The bits that hold a [`Stage`].
    pub const fn stage_mask(self) -> u32 {
        0x30 << self.shift
    }

    pub const fn link(self, link: LinkId) -> u32 {
        (link.number() as u32) << self.shift
    }

    pub const fn stage(self, stage: Stage) -> u32 {
        (stage as u32) << (self.shift + 4)
    }

    /// In a connection's own mark, where nothing else uses the high bits: it took this link only because a better one of
    /// its policy, which wants it back, was down.
    pub const fn displaced(self) -> u32 {
        0x10 << self.shift
    }

    /// The link that `mark` names.
    pub const fn link_of(self, mark: u32) -> Option<LinkId> {
        LinkId::new((mark >> self.shift) as u8 & 0x0F)
    }

    /// `mark` with our bits replaced by those of `ours`.
    pub const fn put(self, mark: u32, ours: u32) -> u32 {
        mark & !self.mask() | ours & self.mask()
    }
}

impl Default for Marks {
    fn default() -> Self {
        Marks { shift: 24 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_six_adjacent_bits() {
        assert_eq!(Marks::new(Marks::DEFAULT_MASK), Some(Marks::default()));
        assert_eq!(Marks::new(0xFC00_0000).map(Marks::mask), Some(0xFC00_0000));
        assert_eq!(Marks::new(0x3F).map(Marks::mask), Some(0x3F));
        for bad in [0, 1, 0x1F, 0x7F, 0x3E00_0001, u32::MAX] {
            assert_eq!(Marks::new(bad), None, "{bad:#x}");
        }
    }

    #[test]
    fn marks_keep_what_is_not_ours() {
        let marks = Marks::default();
        let link = LinkId::new(2).unwrap();
        let mark = marks.put(0xC0FF_1234, marks.link(link) | marks.stage(Stage::Copy));
        assert_eq!(mark, 0xE2FF_1234);
        assert_eq!(marks.link_of(mark), Some(link));
        assert_eq!(marks.link_of(0xC0FF_1234), None);
    }

    #[test]
    fn sets_hold_every_link() {
        let all: LinkSet = (1..=15).filter_map(LinkId::new).collect();
        assert_eq!(all.len(), MAX_LINKS);
        assert_eq!(all.iter().count(), MAX_LINKS);
        let two = LinkSet::only(LinkId::new(2).unwrap());
        assert!(!all.minus(two).contains(LinkId::new(2).unwrap()));
        assert_eq!(two.first(), LinkId::new(2));
        assert_eq!((LinkId::new(0), LinkId::new(16)), (None, None));
    }
}
