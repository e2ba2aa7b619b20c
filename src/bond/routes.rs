//! Which peer's an address is: packets to it go there, and packets from it come from nobody else.

use std::net::IpAddr;
use std::sync::Arc;

use crate::prefix::Prefix;

use super::sorted::Sorted;

/// What the configuration gives to peers, at most a few prefixes for each.
#[derive(Default)]
pub struct Routes {
    peers: Sorted<(IpAddr, u8), usize>,
    /// Those in use, longest first.
    lengths: Vec<u8>,
    /// Of IPv4 the kernel refuses them as sources of what comes in; what comes from one over IPv6 would pass for our own.
    own: Vec<IpAddr>,
}

impl Routes {
    /// `own`: our addresses on the device, which are nobody's.
    pub fn new(own: &[IpAddr]) -> Self {
        Routes { own: own.to_vec(), ..Routes::default() }
    }

    /// Gives prefixes to a peer, none: all addresses. What another peer has by now stays its own.
    pub fn add(&mut self, prefixes: &[Prefix], peer: usize) {
        let any = [([0; 4].into(), 0), ([0; 16].into(), 0)].into_iter();
        let any: Vec<Prefix> = any.filter_map(|(ip, length)| Prefix::new(ip, length)).collect();
        for prefix in if prefixes.is_empty() { &any } else { prefixes } {
            let route = (prefix.address(), prefix.length());
            if self.peers.get(&route).is_none() {
                self.peers.insert(route, peer);
            }
            if !self.lengths.contains(&prefix.length()) {
                self.lengths.push(prefix.length());
            }
        }
        self.lengths.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// The peer with the longest prefix that an address is in.
    pub fn find(&self, address: IpAddr) -> Option<usize> {
        self.lengths.iter().find_map(|length| {
            let prefix = Prefix::new(address, *length)?;
            self.peers.get(&(prefix.address(), *length)).copied()
        })
    }

    /// Bytes of memory beside its own.
    pub fn held(&self) -> usize {
        self.peers.len() * size_of::<((IpAddr, u8), usize)>()
    }
}

/// Whether packets of one peer may have a source.
pub struct Sources {
    routes: Arc<Routes>,
    peer: usize,
    /// The last one that may: packets come in rows.
    last: Option<IpAddr>,
}

impl Sources {
    pub const fn new(routes: Arc<Routes>, peer: usize) -> Self {
        Sources { routes, peer, last: None }
    }

    /// Where prefixes nest, what is in the longer one is not the shorter one's.
    pub fn admit(&mut self, source: IpAddr) -> bool {
        if self.last == Some(source) {
            return true;
        }
        let ours = self.routes.find(source) == Some(self.peer) && !self.routes.own.contains(&source);
        if ours {
            self.last = Some(source);
        }
        ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_longest_prefix_has_an_address() {
        let mut routes = Routes::default();
        routes.add(&prefixes(&["10.74.20.0/24", "2001:db8::/48"]), 0);
        routes.add(&prefixes(&["10.74.20.3", "2001:db8:0:1::/64", "10.74.20.0/24"]), 1);
        let of = |routes: &Routes, address: &str| routes.find(address.parse().unwrap());
        assert_eq!(
            [of(&routes, "10.74.20.2"), of(&routes, "10.74.20.3"), of(&routes, "10.74.21.3")],
            [Some(0), Some(1), None]
        );
        assert_eq!(
            [of(&routes, "2001:db8:0:2::1"), of(&routes, "2001:db8:0:1::1"), of(&routes, "::1")],
            [Some(0), Some(1), None]
        );
        routes.add(&[], 2);
        assert_eq!(
            ["10.74.20.3", "10.74.21.3", "::1"].map(|address| of(&routes, address)),
            [Some(1), Some(2), Some(2)]
        );
    }

    #[test]
    fn a_source_is_the_peers_that_it_leads_to() {
        let mut routes = Routes::new(&["10.74.20.1", "2001:db8::1"].map(|own| own.parse().unwrap()));
        routes.add(&prefixes(&["10.74.20.0/24", "2001:db8::/64"]), 0);
        routes.add(&prefixes(&["10.74.20.3", "2001:db8::1"]), 1);
        let routes = Arc::new(routes);
        let [mut wide, mut narrow] = [0, 1].map(|peer| Sources::new(routes.clone(), peer));
        for (address, may) in [
            ("10.74.20.2", [true, false]),
            ("10.74.20.3", [false, true]),
            // What was refused is not remembered as good.
            ("10.74.20.3", [false, true]),
            ("10.74.20.4", [true, false]),
            ("192.0.2.1", [false, false]),
            ("::1", [false, false]),
            ("2001:db8::2", [true, false]),
            // Our own are nobody's, whatever the configuration gives away.
            ("10.74.20.1", [false, false]),
            ("2001:db8::1", [false, false]),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!([wide.admit(address), narrow.admit(address)], may, "{address}");
        }
    }
}
