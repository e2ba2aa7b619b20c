//! Names to addresses, as the router itself resolves them: /etc/hosts, then the servers of /etc/resolv.conf. (libc's way
//! costs 25 KB of code.)

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use super::clock::now;
use super::file;
use crate::probe::dns::{Kind, LENGTH, Question};
use crate::text::is_host_name;
use crate::time::Span;

/// As resolv.conf(5) has them: servers asked at most, and for how long each of them is waited for. (libc waits for 5 s.)
const SERVERS: usize = 3;
const PATIENCE: Span = Span::from_secs(2);

/// Codes of response that settle a question (RFC 1035, 4.1.1).
const NO_ERROR: u8 = 0;
const NO_SUCH_NAME: u8 = 3;

/// Domains that are tried after a name without a dot.
const DOMAINS: usize = 6;

/// The first address of either family, or why there is none.
pub fn resolve(name: &str) -> Result<Vec<IpAddr>, String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if !is_host_name(name) {
        return Err("that is no host's name".into());
    }
    let hosts = file::text(Path::new("/etc/hosts")).unwrap_or_default();
    let found = known(&hosts, name);
    if !found.is_empty() {
        return Ok(found);
    }
    let text = file::text(Path::new("/etc/resolv.conf")).unwrap_or_default();
    let settings = Settings::parse(&text);
    let mut problem = "no server of /etc/resolv.conf knows it";
    for name in settings.names(name) {
        match ask(&settings.servers, &name) {
            Some(found) if !found.is_empty() => return Ok(found),
            Some(_) => {}
            None => problem = "no server of /etc/resolv.conf answers",
        }
    }
    Err(problem.into())
}

/// What /etc/hosts says. `localhost` is known without it (RFC 6761, 6.3).
fn known(hosts: &str, name: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        let first = !found.iter().any(|other| other.is_ipv4() == address.is_ipv4());
        if first && words.any(|word| word.eq_ignore_ascii_case(name)) {
            found.push(address);
        }
    }
    if found.is_empty() && name.eq_ignore_ascii_case("localhost") {
        found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    found
}

/// What resolv.conf(5) says.
struct Settings<'a> {
    servers: Vec<IpAddr>,
    domains: Vec<&'a str>,
}

impl<'a> Settings<'a> {
    fn parse(text: &'a str) -> Self {
        let mut settings = Settings { servers: Vec::new(), domains: Vec::new() };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") if settings.servers.len() < SERVERS => {
                    settings.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()));
                }
                // The last line of these counts.
                Some("search" | "domain") => settings.domains = words.take(DOMAINS).collect(),
                _ => {}
            }
        }
        if settings.servers.is_empty() {
            settings.servers.push(Ipv4Addr::LOCALHOST.into());
        }
        settings
    }

    /// A name without a dot is looked for in the domains first.
    fn names(&self, name: &str) -> Vec<String> {
        let mut names = Vec::new();
        if !name.contains('.') {
            names.extend(self.domains.iter().map(|domain| [name, ".", domain].concat()));
        }
        names.push(name.into());
        names
    }
}

/// `None` if nobody answers.
fn ask(servers: &[IpAddr], name: &str) -> Option<Vec<IpAddr>> {
    servers.iter().find_map(|server| ask_one(SocketAddr::new(*server, 53), name))
}

fn ask_one(server: SocketAddr, name: &str) -> Option<Vec<IpAddr>> {
    let own: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(own, 0)).ok()?;
    // From now on the kernel passes on only what the server sends, and the error where there is none.
    socket.connect(server).ok()?;
    let id = now().0 as u16;
    let mut open = Vec::new();
    for kind in [Kind::Ipv4, Kind::Ipv6] {
        let question = Question { id: id.wrapping_add(kind as u16), name, kind };
        socket.send(&question.message()?).ok()?;
        open.push(question);
    }
    let (end, mut found) = (now() + PATIENCE, Vec::new());
    while !open.is_empty() {
        let mut bytes = [0; LENGTH];
        let left = end.since(now()).max(Span::from_millis(1));
        socket.set_read_timeout(Some(Duration::from_micros(left.as_micros()))).ok()?;
        let got = socket.recv(&mut bytes).ok().filter(|_| now() < end);
        // Half of the answer is one, where the other half is lost.
        let Some(bytes) = got.and_then(|got| bytes.get(..got)) else { return (!found.is_empty()).then_some(found) };
        let Some(at) = open.iter().position(|question| question.answer(bytes).is_some()) else { continue };
        let answer = open.swap_remove(at).answer(bytes)?;
        // Another server may do better than one that cannot tell (RFC 1035, 4.1.1).
        if !matches!(bytes.get(3)? & 0x0F, NO_ERROR | NO_SUCH_NAME) {
            return None;
        }
        found.extend(answer.address.map(|(address, _)| address));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn hosts() {
        let hosts =
            "127.0.0.1 localhost\n::1\tlocalhost ip6\n# 192.0.2.9 a\n192.0.2.1 nas.lan NAS # b\n192.0.2.2 nas\nx nas\n";
        let found = |name| known(hosts, name).iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ");
        for (name, addresses) in
            [("localhost", "127.0.0.1 ::1"), ("nas", "192.0.2.1"), ("Nas.Lan", "192.0.2.1"), ("a", ""), ("b", "")]
        {
            assert_eq!(found(name), addresses, "{name}");
        }
        assert_eq!(known("", "localhost").len(), 2);
    }

    #[test]
    fn settings() {
        let text =
            "# nameserver 192.0.2.9\nsearch lan home\nnameserver 192.0.2.1\nnameserver x\nnameserver ::1\noptions a\n";
        let settings = Settings::parse(text);
        assert_eq!(settings.servers, ["192.0.2.1".parse::<IpAddr>().unwrap(), Ipv6Addr::LOCALHOST.into()]);
        assert_eq!(settings.names("nas"), ["nas.lan", "nas.home", "nas"]);
        assert_eq!(settings.names("a.example"), ["a.example"]);
        assert_eq!(Settings::parse("").servers, [IpAddr::from(Ipv4Addr::LOCALHOST)]);
        for name in ["", "a b", "a..b", "192.0.2.1:99999"] {
            assert_eq!(resolve(name), Err("that is no host's name".into()), "{name}");
        }
    }

    /// What a server with these addresses of everything says, with `code`; a stranger's answer comes first.
    fn served(code: u8, silent: bool) -> Option<Vec<IpAddr>> {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        let serves = thread::spawn(move || {
            for _ in 0..if silent { 0 } else { 2 } {
                let mut bytes = [0; LENGTH];
                let (got, client) = server.recv_from(&mut bytes).unwrap();
                let mut answer = bytes[..got].to_vec();
                (answer[2], answer[3]) = (0x81, 0x80 | code);
                let kind = answer[got - 3];
                if code == NO_ERROR {
                    answer[7] = 1;
                    answer.extend([0xC0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0]);
                    answer.extend(match kind {
                        1 => [&[4][..], &[192, 0, 2, 7]].concat(),
                        _ => [&[16][..], &"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets()].concat(),
                    });
                }
                let mut forged = answer.clone();
                forged[0] ^= 0xFF;
                server.send_to(&forged, client).unwrap();
                // The client may have left at the first error.
                let _ = server.send_to(&answer, client);
            }
            server
        });
        let found = ask_one(at, "a.example");
        drop(serves.join());
        found
    }

    #[test]
    fn answers() {
        let both: Vec<IpAddr> = vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        assert_eq!(served(NO_ERROR, false), Some(both));
        assert_eq!(served(NO_SUCH_NAME, false), Some(Vec::new()));
        assert_eq!(served(5, false), None, "refused");
        assert_eq!(served(NO_ERROR, true), None, "silent");
    }
}
