//! Clients with special wishes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use lab::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

/// A TCP socket of a host, bound to an address and port.
pub fn socket_from(host: &Namespace, source: SocketAddr) -> io::Result<Socket> {
    let socket = host.run(|| Socket::new(Domain::for_address(source), Type::STREAM, Some(Protocol::TCP)))?;
    socket.set_reuse_address(true)?;
    socket.bind(&source.into())?;
    Ok(socket)
}

/// A connection from a chosen address and port.
pub fn connect_from(host: &Namespace, source: impl Into<SocketAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket_from(host, source.into())?;
    socket.connect_timeout(&to.into(), Duration::from_secs(4))?;
    Ok(socket.into())
}

/// A UDP socket of a host, connected.
pub fn datagrams(host: &Namespace, to: SocketAddr) -> UdpSocket {
    let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = host.run(|| UdpSocket::bind(any)).expect("a socket");
    socket.connect(to).expect("a route");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a limit");
    socket
}

/// Sends whole IP packets from a host; what its kernel refuses to send is left out.
pub fn raw_packets<'a>(host: &Namespace, packets: impl IntoIterator<Item = &'a Vec<u8>>) -> usize {
    let raw = |domain| host.run(|| Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))));
    let (ipv4, ipv6) = (raw(Domain::IPV4).expect("a raw socket"), raw(Domain::IPV6).expect("a raw socket"));
    let send = |packet: &&Vec<u8>| {
        let (socket, to) = if packet[0] >> 4 == 4 {
            (&ipv4, IpAddr::from(<[u8; 4]>::try_from(&packet[16..20]).unwrap()))
        } else {
            (&ipv6, IpAddr::from(<[u8; 16]>::try_from(&packet[24..40]).unwrap()))
        };
        socket.send_to(packet, &SocketAddr::new(to, 0).into()).is_ok()
    };
    packets.into_iter().filter(send).count()
}

/// A SYN from the first client.
pub fn syn(port: u16, to: SocketAddr) -> Vec<u8> {
    use etherparse::PacketBuilder;
    let mut bytes = Vec::new();
    let builder = match to.ip() {
        IpAddr::V4(to) => PacketBuilder::ipv4(Ipv4Addr::new(10, 77, 0, 2).octets(), to.octets(), 64),
        IpAddr::V6(to) => PacketBuilder::ipv6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2).octets(), to.octets(), 64),
    };
    builder.tcp(port, to.port(), 1000 + u32::from(port), 64240).syn().write(&mut bytes, &[]).expect("a packet");
    bytes
}
