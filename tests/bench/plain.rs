//! A network as fast as the kernel: client, router with two links, internet, joined by virtual cables.

use std::net::Ipv4Addr;

use lab::{Namespace, veth};

/// A server that answers. Every answer is a SYN cookie: it keeps nothing of who asked.
pub const SERVER: Ipv4Addr = lab::SERVER4;
pub const PORT: u16 = 80;

/// A server that never answers.
pub const SILENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// The first of 65,536 addresses behind the client, from which floods come.
pub const CROWD: u32 = u32::from_be_bytes([10, 78, 0, 0]);

/// Addresses as in [`lab::Dual`], IPv4 only.
pub struct Plain {
    pub client: Namespace,
    pub router: Namespace,
    pub internet: Namespace,
}

impl Plain {
    #[track_caller]
    pub fn new() -> Self {
        let (client, router, internet) =
            (Namespace::new("client"), Namespace::new("router"), Namespace::new("internet"));
        veth(&client, "eth0", &router, "lan0");
        veth(&router, "wan1", &internet, "isp1");
        veth(&router, "wan2", &internet, "isp2");
        let end = |device: &str, net: u8, own: u8, peer: u8| {
            format!(
                "ip link set {device} address 02:77:00:00:{net:02x}:{own:02x}
                 ip address add 10.77.{net}.{own}/24 dev {device}
                 ip neighbour replace 10.77.{net}.{peer} lladdr 02:77:00:00:{net:02x}:{peer:02x} nud permanent dev {device}
                "
            )
        };
        // Answers to the crowd end here, as cheaply as they can.
        client.sh(&format!(
            "{}ip route add default via 10.77.0.1
             nft 'table ip bench {{ chain crowd {{ type filter hook prerouting priority -400; ip daddr 10.78.0.0/16 drop; }}; }}'",
            end("eth0", 0, 2, 1)
        ));
        router.sysctl("net/ipv4/ip_forward", "1");
        router.sh(&format!(
            "{}{}{}ip route add 10.78.0.0/16 via 10.77.0.2 dev lan0
             ip route add default via 10.77.1.1 dev wan1
             nft 'table inet fw {{
                chain forward {{ type filter hook forward priority filter; policy accept; }};
                chain srcnat {{ type nat hook postrouting priority srcnat; oifname \"wan*\" masquerade; }};
             }}'",
            end("lan0", 0, 1, 2),
            end("wan1", 1, 2, 1),
            end("wan2", 2, 2, 1)
        ));
        internet.sh(&format!(
            "{}{}ip address add {SERVER}/32 dev lo\nip route add blackhole 203.0.113.0/24
             ip route add 10.78.0.0/16 via 10.77.2.2 dev isp2",
            end("isp1", 1, 1, 2),
            end("isp2", 2, 1, 2)
        ));
        internet.sysctl("net/ipv4/tcp_syncookies", "2");
        internet.sysctl("net/core/somaxconn", "4096");
        Plain { client, router, internet }
    }

    /// Forgets all connections.
    #[track_caller]
    pub fn flush(&self) {
        self.router.sh("conntrack -F 2>/dev/null");
    }

    /// The router's tracked connections.
    #[track_caller]
    pub fn tracked(&self) -> u64 {
        self.router.sh("cat /proc/sys/net/netfilter/nf_conntrack_count").trim().parse().expect("a number")
    }

    /// Frames that came to a host by a device.
    pub fn received(host: &Namespace, device: &str) -> u64 {
        host.run(|| received(device))
    }

    /// Has core `core` do what follows a frame's arrival at any device (RPS), rather than the core that sent it.
    #[track_caller]
    pub fn receive_on(&self, core: usize) {
        let mask = 1 << core;
        for host in [&self.client, &self.router, &self.internet] {
            // /sys shows the devices of the namespace in which it was mounted.
            host.sh(&format!(
                "unshare -m sh -ec 'mount -t sysfs bench /sys
                 for file in /sys/class/net/*/queues/rx-0/rps_cpus; do printf %x {mask} > $file; done'"
            ));
        }
    }
}

/// Frames that came to the calling thread's host by a device.
pub fn received(device: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").expect("a table of devices");
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).expect("a device")
}
