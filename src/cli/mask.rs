//! What must not get into a bug report: keys and passwords never, public addresses unless wanted.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::uci::{self, quote};

/// Replaces what is private, the same each time: an address keeps its number through the whole report.
pub struct Mask {
    /// Texts that must not appear.
    secrets: Vec<String>,
    /// Public addresses met so far.
    addresses: Vec<IpAddr>,
    show_addresses: bool,
}

const SECRET: &str = "(secret)";

/// Addresses that everybody has in his configuration, and that tell nothing: public resolvers.
const KNOWN: [&str; 12] = [
    "1.1.1.1",
    "1.0.0.1",
    "8.8.8.8",
    "8.8.4.4",
    "9.9.9.9",
    "149.112.112.112",
    "208.67.220.220",
    "208.67.222.222",
    "2606:4700:4700::1111",
    "2606:4700:4700::1001",
    "2001:4860:4860::8888",
    "2620:fe::fe",
];

/// Shorter ones could be any word, and hide half of the report.
const SHORTEST: usize = 4;

impl Mask {
    pub fn new(show_addresses: bool) -> Self {
        Mask { secrets: Vec::new(), addresses: Vec::new(), show_addresses }
    }

    /// A UCI file without its comments, which may hold anything, and without secrets. From then on its secrets are hidden
    /// wherever they turn up.
    pub fn config(&mut self, text: &str) -> String {
        self.learn(text);
        let (sections, errors) = uci::parse(text);
        let mut out = String::new();
        for error in errors {
            // Its text quotes the line.
            let _ = writeln!(out, "line {}: cannot be read", error.place.line);
        }
        for section in &sections {
            let _ = writeln!(out, "config {} {}", section.kind, quote(section.name.as_deref().unwrap_or_default()));
            for entry in &section.entries {
                let keyword = if entry.list { "list" } else { "option" };
                for value in &entry.values {
                    let shown = value_of(&entry.name, &value.text);
                    if shown == SECRET && value.text.len() >= SHORTEST {
                        self.hide(&value.text);
                    }
                    let _ = writeln!(out, "\t{keyword} {} {}", entry.name, quote(&shown));
                }
            }
        }
        self.text(&out)
    }

    /// Any text with what is private replaced, and without characters that a terminal would obey.
    pub fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), SECRET);
        }
        let mut out = String::with_capacity(text.len());
        let mut run = String::new();
        for c in text.chars() {
            if c.is_ascii_hexdigit() || c == ':' || c == '.' {
                run.push(c);
                continue;
            }
            self.flush(&mut run, &mut out);
            out.push(if c.is_control() && c != '\n' && c != '\t' { '?' } else { c });
        }
        self.flush(&mut run, &mut out);
        out
    }

    /// Lines that could not be parsed, and comments, may hold secrets too: whatever follows `option private_key` is one.
    fn learn(&mut self, text: &str) {
        let separates = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ';' | '#');
        for line in text.lines() {
            let words: Vec<&str> = line.split(separates).filter(|word| !word.is_empty()).collect();
            let name = words.windows(2).enumerate().position(|(at, two)| {
                matches!(two, [before, name] if is_secret_name(name)
                    && (at == 0 || ["option", "list", "o", "l"].contains(before)))
            });
            let values = name.and_then(|name| words.get(name + 2..)).unwrap_or_default();
            // Faults show the first 64 characters of what they complain of.
            for word in values.iter().filter(|word| word.len() >= SHORTEST) {
                self.hide(&word.chars().take(64).collect::<String>());
            }
        }
    }

    /// One may be part of another: the longest goes first.
    fn hide(&mut self, secret: &str) {
        if !self.secrets.iter().any(|known| known == secret) {
            let place = self.secrets.partition_point(|known| known.len() > secret.len());
            self.secrets.insert(place, secret.to_owned());
        }
    }

    fn flush(&mut self, run: &mut String, out: &mut String) {
        match run.len() {
            // `::1` is the shortest address, and not a public one.
            0..4 => *out += run,
            _ => *out += &self.masked(run),
        }
        run.clear();
    }

    /// A run of hexadecimal digits, colons and dots: an address perhaps, with a port or the end of a word around it.
    fn masked(&mut self, run: &str) -> String {
        if let Ok(address) = run.parse() {
            return self.address(address, run);
        }
        if run.ends_with(['.', ':']) {
            let (start, end) = run.split_at(run.len() - 1);
            return self.masked(start) + end;
        }
        let pieces: Vec<&str> = run.split(':').collect();
        if pieces.len() == 6 && pieces.iter().all(|piece| piece.len() == 2) {
            return if self.show_addresses { run.into() } else { "xx:xx:xx:xx:xx:xx".into() };
        }
        // `icmp:2001:db8::1` leaves `c` of `icmp`, or nothing, before the colon.
        for (at, _) in run.match_indices(':') {
            let (start, rest) = run.split_at(at + 1);
            if let Ok(address) = rest.parse::<Ipv6Addr>() {
                return start.to_owned() + &self.address(address.into(), rest);
            }
        }
        let mut mask = |piece: &str| match piece.parse::<Ipv4Addr>() {
            Ok(address) => self.address(address.into(), piece),
            Err(_) => piece.to_owned(),
        };
        pieces.into_iter().map(&mut mask).collect::<Vec<_>>().join(":")
    }

    fn address(&mut self, address: IpAddr, text: &str) -> String {
        let known = || KNOWN.iter().any(|known| known.parse() == Ok(address));
        if self.show_addresses || !is_private(address) || known() {
            return text.to_owned();
        }
        let same_family = self.addresses.iter().filter(|other| other.is_ipv4() == address.is_ipv4());
        let place = same_family.clone().position(|other| *other == address);
        let place = place.unwrap_or(same_family.count());
        if !self.addresses.contains(&address) {
            self.addresses.push(address);
        }
        format!("ipv{}-{}", if address.is_ipv4() { 4 } else { 6 }, place + 1)
    }
}

/// Whether an address tells who somebody is: it is public, or has a network card's address in it.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let shared = first == 100 && (64..128).contains(&second); // RFC 6598
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared || first == 0 || first >= 224)
        }
        IpAddr::V6(v6) => {
            let [first, .., sixth, seventh, _] = v6.segments().map(|segment| segment);
            // EUI-64, RFC 4291 appendix A.
            let from_card = sixth & 0xff == 0xff && seventh >> 8 == 0xfe;
            let embedded = v6.to_ipv4().filter(|_| v6.segments()[..5] == [0; 5]);
            let nat64 = first == 0x64 && v6.segments()[1] == 0xff9b;
            first & 0xe000 == 0x2000 || from_card || nat64 || embedded.is_some_and(|v4| is_private(v4.into()))
        }
    }
}

/// An option that holds what nobody else may know.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if name.starts_with("public") || name.ends_with("_file") {
        return false;
    }
    let part = ["key", "pass", "psk", "secret", "token", "credential"];
    part.iter().any(|part| name.contains(part)) || ["pin", "pincode", "username"].contains(&name.as_str())
}

fn value_of(name: &str, value: &str) -> String {
    let in_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    // Several lines: a forgotten quote, with whatever came after it.
    if is_secret_name(name) || value.contains('\n') || (value.len() >= 32 && value.chars().all(in_key)) {
        return SECRET.into();
    }
    // `user:password@host` and `/path?token=`.
    let value = match value.rsplit_once('@') {
        Some((_, rest)) => format!("{SECRET}@{rest}"),
        None => value.to_owned(),
    };
    match value.split_once('?') {
        Some((rest, _)) => format!("{rest}?{SECRET}"),
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        Mask::new(false).text(text)
    }

    #[test]
    fn public_addresses_get_numbers() {
        for (text, shown) in [
            ("to 203.0.113.7:443, 203.0.113.7 and 198.51.100.1.", "to ipv4-1:443, ipv4-1 and ipv4-2."),
            ("[2001:db8::1]:443 2001:db8::/32 2001:db8::1", "[ipv6-1]:443 ipv6-2/32 ipv6-1"),
            ("icmp:203.0.113.7 tcp:203.0.113.7:80 icmp:2001:db8::1", "icmp:ipv4-1 tcp:ipv4-1:80 icmp:ipv6-1"),
            ("tcp:[2001:db8::1]:80 abc:203.0.113.9:1", "tcp:[ipv6-1]:80 abc:ipv4-1:1"),
            ("::ffff:203.0.113.7 64:ff9b::cb00:7107", "ipv6-1 ipv6-2"),
            ("fe80::211:22ff:fe33:4455%eth0 fe80::1 fd00::7", "ipv6-1%eth0 fe80::1 fd00::7"),
            ("00:11:22:33:44:55", "xx:xx:xx:xx:xx:xx"),
            (
                "192.168.1.7:80 10.1.2.3/8 100.64.0.1 172.16.0.1 127.0.0.1 0.0.0.0",
                "192.168.1.7:80 10.1.2.3/8 100.64.0.1 172.16.0.1 127.0.0.1 0.0.0.0",
            ),
            ("icmp:1.1.1.1, 2606:4700:4700::1111", "icmp:1.1.1.1, 2606:4700:4700::1111"),
            ("0x3f000000 6.18.5 a : b 12:30:45 feed:", "0x3f000000 6.18.5 a : b 12:30:45 feed:"),
            ("a\x1b[31mb\r\n\tc", "a?[31mb?\n\tc"),
        ] {
            assert_eq!(masked(text), shown);
        }
        assert_eq!(Mask::new(true).text("203.0.113.7 00:11:22:33:44:55"), "203.0.113.7 00:11:22:33:44:55");
    }

    #[test]
    fn secrets_are_hidden_wherever_they_turn_up() {
        const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
        for line in [
            format!("option private_key '{KEY}'"),
            format!("option PresharedKey \"{KEY}\""),
            format!("list wifi_password {KEY}"),
            format!("option note '{KEY}'"),
            format!("# option private_key '{KEY}'"),
            format!("option private_key '{KEY}' too"),
            format!("option note 'forgotten\n\toption private_key '{KEY}'\n\toption other 'x'"),
            format!("optoin private_key '{KEY}'"),
            format!("option private_key '{KEY}"),
        ] {
            let mut mask = Mask::new(true);
            let shown = mask.config(&format!("config link 'wan'\n\toption weight '3'\n\t{line}\n"));
            assert!(!shown.contains(&KEY[..20]), "{line}\n{shown}");
            let elsewhere = mask.text(&format!("got '{KEY}'"));
            assert!(!elsewhere.contains(&KEY[..20]) || line.contains("forgotten"), "{line}\n{elsewhere}");
        }
        let mut mask = Mask::new(true);
        let shown = mask.config(
            "config link 'wan'\n option pin '0815'\n option public_key 'abc'\n list probe 'http:u:pw@h/p?t=1'\n option key ''",
        );
        assert_eq!(
            shown,
            "config link 'wan'\n\toption pin '(secret)'\n\toption public_key 'abc'\n\tlist probe '(secret)@h/p?(secret)'\n"
        );
    }
}
