//! `why`: from what a user says of a connection to the request for the daemon. Names are resolved here, since that may take
//! its time.

use std::net::IpAddr;

use crate::config::Protocol;
use crate::control::{Code, Exit};
use crate::family::Family;

/// As on the command line.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Asked {
    pub to: String,
    pub from: Option<String>,
    pub port: Option<u16>,
    pub proto: Option<String>,
    pub device: Option<String>,
}

/// Unless said otherwise, it is about the web.
const PORT: u16 = 443;

/// The request.
pub fn words(asked: &Asked) -> Result<Vec<String>, Exit> {
    let (host, in_name) = host_and_port(&asked.to);
    let port = match (in_name, asked.port) {
        (Some(one), Some(other)) if one != other => {
            return Err(wrong(format!("which port: {one} or {other}?")));
        }
        (port, other) => port.or(other).unwrap_or(PORT),
    };
    let from = asked.from.as_deref().map(client).transpose()?;
    let fits = |to: &IpAddr| from.is_none_or(|(from, _)| from.is_ipv4() == to.is_ipv4());
    let to: Vec<IpAddr> = match host.parse::<IpAddr>() {
        Ok(to) if !fits(&to) => return Err(wrong(format!("{to} and the client are not of one address family"))),
        Ok(to) => vec![to],
        Err(_) => {
            let found: Vec<IpAddr> = resolve(host)?.into_iter().filter(fits).collect();
            // One of each family: the others are the same server, mostly.
            let of = |family| found.iter().copied().find(|to| Family::of(*to) == family);
            Family::BOTH.into_iter().filter_map(of).collect()
        }
    };
    if to.is_empty() {
        return Err(wrong(format!("{host} has no address of the client's family")));
    }
    let protocol = match asked.proto.as_deref().unwrap_or("tcp").parse() {
        Ok(Protocol::Tcp) => "6".into(),
        Ok(Protocol::Udp) => "17".into(),
        Ok(Protocol::Icmp) => "icmp".into(),
        Ok(Protocol::Number(number)) => number.to_string(),
        Err(_) => return Err(wrong("--proto takes tcp, udp, icmp, or a number from 1 to 255".into())),
    };
    let mut words = vec!["why".into(), format!("proto={protocol}"), format!("port={port}")];
    words.extend(to.iter().map(|to| format!("to={to}")));
    if let Some((from, port)) = from {
        words.push(format!("from={from}"));
        words.extend(port.map(|port| format!("from_port={port}")));
    }
    words.extend(asked.device.as_ref().map(|device| format!("device={device}")));
    Ok(words)
}

/// `example.net:443`, `192.0.2.1:443` or `[2001:db8::1]:443`; or without the port.
fn host_and_port(text: &str) -> (&str, Option<u16>) {
    let bare = |host: &'_ str| host.len() >= 2 && host.starts_with('[') && host.ends_with(']');
    let inner = |host| if bare(host) { host.get(1..host.len() - 1).unwrap_or(host) } else { host };
    match text.rsplit_once(':') {
        // A port follows a name, an IPv4 address, or brackets; any other colon is part of an IPv6 address.
        Some((host, port)) if !host.contains(':') || bare(host) => match port.parse() {
            Ok(port) if port > 0 => (inner(host), Some(port)),
            _ => (text, None),
        },
        _ => (inner(text), None),
    }
}

fn client(text: &str) -> Result<(IpAddr, Option<u16>), Exit> {
    let (host, port) = host_and_port(text);
    let address = host.parse().map_err(|_| wrong(format!("--from takes an address or ADDRESS:PORT, not '{text}'")))?;
    Ok((address, port))
}

fn resolve(host: &str) -> Result<Vec<IpAddr>, Exit> {
    crate::linux::resolve::resolve(host)
        .map_err(|why| Exit::said(Code::Failed, format_args!("cannot find an address of '{host}': {why}")))
}

fn wrong(text: String) -> Exit {
    Exit::new(Code::Usage, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(to: &str, from: Option<&str>, port: Option<u16>, proto: Option<&str>) -> Result<String, String> {
        let asked =
            Asked { to: to.into(), from: from.map(Into::into), port, proto: proto.map(Into::into), device: None };
        words(&asked).map(|words| words.join(" ")).map_err(|exit| exit.text)
    }

    #[test]
    fn connections_and_their_requests() {
        for (to, from, port, proto, request) in [
            ("192.0.2.1", None, None, None, "why proto=6 port=443 to=192.0.2.1"),
            ("192.0.2.1:53", None, None, Some("udp"), "why proto=17 port=53 to=192.0.2.1"),
            ("2001:db8::1", None, Some(80), None, "why proto=6 port=80 to=2001:db8::1"),
            ("[2001:db8::1]:80", None, None, None, "why proto=6 port=80 to=2001:db8::1"),
            ("[2001:db8::1]", None, None, Some("icmp"), "why proto=icmp port=443 to=2001:db8::1"),
            ("192.0.2.1", Some("10.0.0.2"), None, Some("47"), "why proto=47 port=443 to=192.0.2.1 from=10.0.0.2"),
            (
                "192.0.2.1:1",
                Some("10.0.0.2:9"),
                Some(1),
                None,
                "why proto=6 port=1 to=192.0.2.1 from=10.0.0.2 from_port=9",
            ),
        ] {
            assert_eq!(said(to, from, port, proto).as_deref(), Ok(request));
        }
    }

    #[test]
    fn what_makes_no_sense_is_explained() {
        for (to, from, port, proto, complaint) in [
            ("192.0.2.1:1", None, Some(2), None, "which port: 1 or 2?"),
            ("192.0.2.1", Some("fd00::1"), None, None, "192.0.2.1 and the client are not of one address family"),
            ("192.0.2.1", Some("pc"), None, None, "--from takes an address or ADDRESS:PORT, not 'pc'"),
            ("192.0.2.1", None, None, Some("sctp"), "--proto takes tcp, udp, icmp, or a number from 1 to 255"),
        ] {
            assert_eq!(said(to, from, port, proto), Err(complaint.into()));
        }
        let unknown = said("192.0.2.1:99999", None, None, None).unwrap_err();
        assert!(unknown.contains("cannot find an address"), "{unknown}");
    }
}
