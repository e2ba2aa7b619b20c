//! The standard network: clients, a router with several links, and an internet that all of them reach.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::namespace::{Namespace, veth};
use crate::shape::Shape;
use crate::wire::{Wire, WireOptions};

/// The addresses of the internet's servers, reached through every link.
pub const SERVER4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub const SERVER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 1);

/// What the user of the router had before us: all links masqueraded, all forwarding allowed.
const FIREWALL: &str = r#"nft -f - <<'END'
table inet fw {
    chain forward { type filter hook forward priority filter; policy accept; }
    chain srcnat { type nat hook postrouting priority srcnat; oifname "wan*" masquerade; }
}
END
"#;

/// Clients behind a router with `n` links to one internet:
///
/// ```text
/// client 10.77.0.2, .3, ... ── lan0 10.77.0.1 router wan1 10.77.1.2 ══ wire 1 ══ 10.77.1.1 isp1 internet 198.51.100.1
///        fd77::2, ::3, ...          fd77::1          wan2 10.77.2.2 ══ wire 2 ══ 10.77.2.1 isp2          2001:db8:51::1
/// ```
///
/// Link `i` has 10.77.i.0/24 and fd77:i::/64 with the router at 2 and the gateway at 1; neighbours on it are known from
/// the start. Answers return through the link whose address the router used. The router's default routes go via wan1.
#[derive(Debug)]
pub struct Dual {
    // Fields are dropped in this order: frames stop before their hosts vanish.
    wires: Vec<Wire>,
    clients: Vec<Namespace>,
    router: Namespace,
    internet: Namespace,
}

impl Dual {
    /// Two links without delay and one client.
    #[track_caller]
    pub fn new() -> Self {
        Self::builder().build()
    }

    pub fn builder() -> Builder {
        Builder { links: 2, clients: 1, delays: Vec::new(), backup_routes: false, firewall: true, seed: 1 }
    }

    /// The first client.
    pub fn client(&self) -> &Namespace {
        &self.clients[0]
    }

    /// All clients: the first is 10.77.0.2 and fd77::2.
    pub fn clients(&self) -> &[Namespace] {
        &self.clients
    }

    pub fn router(&self) -> &Namespace {
        &self.router
    }

    pub fn internet(&self) -> &Namespace {
        &self.internet
    }

    /// The wire of link `link`, counted from 1 like its device. `Up` leaves the router.
    #[track_caller]
    pub fn wire(&self, link: usize) -> &Wire {
        &self.wires[link - 1]
    }

    pub fn wires(&self) -> &[Wire] {
        &self.wires
    }
}

impl Default for Dual {
    fn default() -> Self {
        Self::new()
    }
}

/// The router's address on a link: what a server sees of connections that took it.
pub fn router4(link: usize) -> IpAddr {
    Ipv4Addr::new(10, 77, link as u8, 2).into()
}

pub fn router6(link: usize) -> IpAddr {
    Ipv6Addr::new(0xfd77, link as u16, 0, 0, 0, 0, 0, 2).into()
}

pub fn gateway4(link: usize) -> IpAddr {
    Ipv4Addr::new(10, 77, link as u8, 1).into()
}

pub fn gateway6(link: usize) -> IpAddr {
    Ipv6Addr::new(0xfd77, link as u16, 0, 0, 0, 0, 0, 1).into()
}

/// See [`Dual::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    links: usize,
    clients: usize,
    delays: Vec<Duration>,
    backup_routes: bool,
    firewall: bool,
    seed: u64,
}

impl Builder {
    /// Between 1 and 9 links.
    #[track_caller]
    pub fn links(mut self, links: usize) -> Self {
        assert!((1..=9).contains(&links), "{links} links");
        self.links = links;
        self
    }

    /// Between 1 and 200 clients. With more than one, lan0 is a bridge; with one, it is the end of its cable.
    #[track_caller]
    pub fn clients(mut self, clients: usize) -> Self {
        assert!((1..=200).contains(&clients), "{clients} clients");
        self.clients = clients;
        self
    }

    /// The delays of wan1, wan2 and so on, one way: a round trip takes twice as long.
    pub fn delays(mut self, one_way: &[Duration]) -> Self {
        self.delays = one_way.to_vec();
        self
    }

    /// Gives wan2 and up default routes too, with their number as metric: sockets bound to a device need them.
    pub fn backup_routes(mut self) -> Self {
        self.backup_routes = true;
        self
    }

    /// Leaves out the user's firewall table `inet fw`, and with it masquerading.
    pub fn without_firewall(mut self) -> Self {
        self.firewall = false;
        self
    }

    /// Where the wires' chances start from.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    #[track_caller]
    pub fn build(self) -> Dual {
        let (router, internet) = (Namespace::new("router"), Namespace::new("internet"));
        let clients = self.build_lan(&router);
        let wires = (1..=self.links).map(|link| self.build_wire(link, &router, &internet)).collect();
        internet.sh(&format!("ip address add {SERVER4}/24 dev lo\nip address add {SERVER6}/64 dev lo"));
        router.sysctl("net/ipv4/ip_forward", "1");
        router.sysctl("net/ipv6/conf/all/forwarding", "1");
        router.sh(&self.router_script());
        internet.sh(&self.internet_script());
        Dual { wires, clients, router, internet }
    }

    #[track_caller]
    fn build_lan(&self, router: &Namespace) -> Vec<Namespace> {
        let bridged = self.clients > 1;
        if bridged {
            router.sh("ip link add lan0 type bridge\nip link set lan0 up");
        }
        let attach = |number: usize| {
            let client = Namespace::new(&format!("client{number}"));
            let port = if bridged { format!("port{number}") } else { "lan0".to_owned() };
            veth(&client, "eth0", router, &port);
            if bridged {
                router.sh(&format!("ip link set {port} master lan0"));
            }
            let host = number + 1;
            client.sh(&format!(
                "ip address add 10.77.0.{host}/24 dev eth0
                 ip address add fd77::{host:x}/64 dev eth0
                 ip route add default via 10.77.0.1
                 ip route add default via fd77::1"
            ));
            client
        };
        let clients = (1..=self.clients).map(attach).collect();
        router.sh("ip address add 10.77.0.1/24 dev lan0\nip address add fd77::1/64 dev lan0");
        clients
    }

    #[track_caller]
    fn build_wire(&self, link: usize, router: &Namespace, internet: &Namespace) -> Wire {
        let options = WireOptions { seed: self.seed + link as u64, ..WireOptions::default() };
        let wire = Wire::with_options(router, &format!("wan{link}"), internet, &format!("isp{link}"), options);
        if let Some(delay) = self.delays.get(link - 1) {
            wire.both(Shape::delayed(*delay));
        }
        wire
    }

    fn router_script(&self) -> String {
        let mut script = if self.firewall { FIREWALL.to_owned() } else { String::new() };
        for link in 1..=self.links {
            script += &link_script(&format!("wan{link}"), link, 2, 1);
            if link == 1 || self.backup_routes {
                for gateway in [gateway4(link), gateway6(link)] {
                    let _ = writeln!(script, "ip route add default via {gateway} dev wan{link} metric {link}");
                }
            }
        }
        script
    }

    fn internet_script(&self) -> String {
        (1..=self.links).map(|link| link_script(&format!("isp{link}"), link, 1, 2)).collect()
    }
}

/// One end of a link. The neighbour is permanent: a silent black hole must not show as a failed ARP request, and the
/// first packet of a test must not pay for one.
fn link_script(device: &str, link: usize, own: u8, peer: u8) -> String {
    format!(
        "ip link set {device} address 02:77:00:00:{link:02x}:{own:02x}
         ip address add 10.77.{link}.{own}/24 dev {device}
         ip address add fd77:{link:x}::{own}/64 dev {device}
         ip neighbour replace 10.77.{link}.{peer} lladdr 02:77:00:00:{link:02x}:{peer:02x} nud permanent dev {device}
         ip neighbour replace fd77:{link:x}::{peer} lladdr 02:77:00:00:{link:02x}:{peer:02x} nud permanent dev {device}
        "
    )
}
