//! mwan3's interfaces as links. A pair such as wan and wan6 becomes one link, since ours carry both address families.

use crate::config::options::Kind;
use crate::config::uci::Section;
use crate::config::{Fault, Severity, Target, is_name};
use crate::link::MAX_LINKS;
use crate::probe::MAX_TARGETS;

use super::output::{Names, Output, fits};
use super::source::{Notes, Source};

pub struct Link<'a> {
    pub source: Source<'a>,
    /// Our section's.
    pub name: String,
    /// netifd's.
    interface: &'a str,
    ipv6: bool,
    pub enabled: bool,
    /// As far as the policies set them.
    pub weight: Option<u32>,
    pub metric: Option<u32>,
    /// No policy that counts prefers it.
    pub backup: bool,
    /// Its bytes cost money, as far as `/etc/config/network` shows.
    mobile: bool,
}

pub struct Links<'a> {
    pub all: Vec<Link<'a>>,
    /// Interfaces that are part of a link: their name, and the link's place.
    merged: Vec<(&'a str, usize)>,
}

impl Links<'_> {
    /// The place of the link that an interface became, and whether the interface had IPv6.
    pub fn of(&self, interface: &str) -> Option<(usize, bool)> {
        let own = self.all.iter().enumerate().map(|(at, link)| (link.interface, at, link.ipv6));
        let mut all = self.merged.iter().map(|(name, at)| (*name, *at, true)).chain(own);
        all.find(|(name, ..)| *name == interface).map(|(_, at, ipv6)| (at, ipv6))
    }
}

/// `/etc/config/network`, or nothing.
pub struct Network<'a>(pub &'a [Section]);

impl Network<'_> {
    fn option(&self, interface: &str, option: &str) -> Option<&str> {
        let named = |section: &&Section| section.kind == "interface" && section.name.as_deref() == Some(interface);
        let entry = self.0.iter().find(named)?.entries.iter().find(|entry| entry.name == option)?;
        entry.values.first()?.text.split_whitespace().next()
    }

    /// As in files/cheaproute.defaults.
    fn mobile(&self, interface: &str) -> bool {
        let stick = |device: String| device.starts_with("wwan") || device.starts_with("usb");
        ["qmi", "mbim", "ncm", "3g", "wwan", "modemmanager", "directip", "hso", "sierra"]
            .contains(&self.option(interface, "proto").unwrap_or_default())
            || self.device(interface).is_some_and(stick)
    }

    /// What an interface's packets come in by, as far as the file says.
    pub fn device(&self, interface: &str) -> Option<String> {
        let mut name = interface;
        // `@lan` stands for whatever lan has; a few steps are enough, and no circle.
        for _ in 0..4 {
            let below = self.option(name, "device").or_else(|| self.option(name, "ifname"));
            match (self.option(name, "proto").unwrap_or("none"), below) {
                ("wireguard" | "vti" | "xfrm" | "vxlan", _) => return Some(name.to_owned()),
                (proto @ ("pppoe" | "pppoa" | "ppp" | "pptp" | "l2tp" | "3g" | "6in4" | "6rd" | "6to4"), _) => {
                    return Some(format!("{proto}-{name}"));
                }
                _ if self.option(name, "type") == Some("bridge") => return Some(format!("br-{name}")),
                (_, Some(below)) => match below.strip_prefix('@') {
                    Some(other) => name = other,
                    None => return Some(below.to_owned()),
                },
                _ => return None,
            }
        }
        None
    }
}

pub fn read<'a>(interfaces: Vec<Source<'a>>, network: &Network, names: &mut Names, notes: &mut Notes) -> Links<'a> {
    let mut links = Links { all: Vec::new(), merged: Vec::new() };
    let mut sixes = Vec::new();
    for mut source in interfaces {
        let Some(interface) = source.name().filter(|name| is_name(name)) else {
            source.note(
                notes,
                None,
                format_args!("is left out: it needs the name of an interface in /etc/config/network"),
            );
            continue;
        };
        let enabled = source.is("enabled", false);
        let ipv6 = source.words("family") == ["ipv6"];
        let link = Link {
            source,
            name: String::new(),
            interface,
            ipv6,
            enabled,
            weight: None,
            metric: None,
            backup: true,
            mobile: network.mobile(interface),
        };
        if ipv6 { sixes.push(link) } else { links.all.push(link) }
    }
    for six in sixes {
        let device = network.device(six.interface);
        let is_four = |link: &Link| !link.ipv6 && (link.enabled || !six.enabled);
        let mut fours = links.all.iter().enumerate().filter(|(_, link)| is_four(link)).map(|(place, link)| {
            // `None`: nobody knows.
            let same = network.device(link.interface).zip(device.as_ref()).map(|(a, b)| a == *b);
            (place, link.interface, same)
        });
        // By its device, whatever it is called; or by its name, where nobody knows.
        let is_twin =
            |(_, four, same): &(usize, &str, Option<bool>)| same.unwrap_or_else(|| is_twin(six.interface, four));
        let Some((place, four, same)) = fours.find(is_twin) else {
            links.all.push(six);
            continue;
        };
        let own =
            if same.is_some() { "" } else { ". If its device is another one, add it as a link, and to the policies" };
        six.source.note(
            notes,
            None,
            format_args!(
                "is part of link '{four}', which carries both address families; its own settings are left out, so that \
                 IPv6 is not probed by itself{own}"
            ),
        );
        links.merged.push((six.interface, place));
    }
    let mut used = 0;
    for link in &mut links.all {
        link.name = names.take(link.interface);
        if link.enabled && used == MAX_LINKS {
            link.enabled = false;
            link.source.note(notes, None, format_args!("is not enabled: at most {MAX_LINKS} links can be"));
        }
        used += usize::from(link.enabled);
    }
    links
}

/// `wan6` or `wan_6` beside `wan`: what a link takes for its IPv6 side, see [`crate::ubus::netifd::find`].
fn is_twin(six: &str, four: &str) -> bool {
    matches!(six.strip_prefix(four), Some("6" | "_6"))
}

/// Options with the same name here, with the unit that a bare number gets and the most that there can be.
const NUMBERS: [(&str, &str, u32); 4] =
    [("interval", "s", 3600), ("timeout", "s", 60), ("down", "", 100), ("up", "", 100)];

/// What `check_quality` compares, with mwan3's defaults: a limit to fail, one to recover, and ours with their unit.
const QUALITY: [[(&str, u32, &str); 2]; 2] = [
    [("failure_loss", 40, "loss_down"), ("recovery_loss", 10, "loss_up")],
    [("failure_latency", 1000, "latency_down"), ("recovery_latency", 500, "latency_up")],
];

/// With mwan3's default.
const DROPPED: [(&str, &str, &str); 8] = [
    ("count", "1", "is left out: each target is asked once in a round"),
    ("size", "56", "is left out: probes have one size"),
    ("max_ttl", "60", "is left out: probes have the usual TTL"),
    ("initial_state", "online", "is left out: a link is used from the start, until its probes fail"),
    ("failure_interval", "", "is left out: after a failed round the next ones follow faster by themselves"),
    ("keep_failure_interval", "0", "is left out: after a failed round the next ones follow faster by themselves"),
    ("recovery_interval", "", "is left out: the interval is the same while a link recovers"),
    ("local_source", "", "is not needed"),
];

pub fn write(links: &mut Links, out: &mut Output, notes: &mut Notes) {
    let mut faster = false;
    for link in &mut links.all {
        faster |= write_one(link, out, notes) && link.enabled;
    }
    if faster {
        notes.push(Fault {
            severity: Severity::Note,
            ..Fault::of_file(
                "each target is asked every 300ms, where mwan3's default was 10s: on a link whose bytes cost money, set \
                 option interval",
            )
        });
    }
    if links.all.iter().any(|link| link.enabled) {
        return;
    }
    let why = "is not enabled, nor is any other: enable a link, and section main, before you start cheaproute";
    if let Some(link) = links.all.first() {
        link.source.note(notes, None, format_args!("{why}"));
    }
}

/// Whether its targets are asked at our own pace.
fn write_one(link: &mut Link, out: &mut Output, notes: &mut Notes) -> bool {
    out.section(Kind::Link, Some(&link.name));
    out.put("interface", link.interface);
    if !link.enabled {
        out.put("enabled", "0");
    }
    for (option, value) in [("weight", link.weight), ("metric", link.metric)] {
        if let Some(value) = value {
            out.put(option, &value.to_string());
        }
    }
    let source = &mut link.source;
    let probes = probes(source, notes);
    for probe in &probes {
        out.put("probe", probe);
    }
    let tracked = !probes.is_empty();
    if !tracked && !source.words("track_ip").is_empty() {
        let add = "add addresses, such as list probe 'icmp:1.1.1.1'";
        out.comment(&format!("Not probed: mwan3 asked hosts by their names. To have it probed, {add}."));
        source.note(
            notes,
            Some("track_ip"),
            format_args!("has no address of a host, so the link is not probed: {add}"),
        );
    }
    if let Some(wanted) = source.number(notes, "reliability") {
        let most = u32::try_from(probes.len()).unwrap_or(u32::MAX);
        if tracked && wanted > most {
            source.note(notes, Some("reliability"), format_args!("is {most}: there are no more targets"));
        }
        if tracked {
            carry(source, out, notes, ("reliability", "reliability"), &wanted.clamp(1, most).to_string());
        } else {
            source.note(notes, Some("reliability"), format_args!("is left out: there are no probes"));
        }
    }
    let mut written = Vec::new();
    for (option, unit, most) in NUMBERS {
        if let Some(number) = source.number(notes, option) {
            if number > most {
                source.note(notes, Some(option), format_args!("is {most}{unit}: more is not possible"));
            }
            if carry(source, out, notes, (option, option), &format!("{}{unit}", number.min(most))) {
                written.push(option);
            }
            if option == "interval" && number >= 5 && tracked {
                source.note(
                    notes,
                    Some(option),
                    format_args!("is kept; without it cheaproute asks every 300ms, and knows a failure sooner"),
                );
            }
        }
    }
    let quality = source.is("check_quality", false);
    for [down, up] in QUALITY {
        let unit = if down.2 == "latency_down" { "ms" } else { "" };
        let mut limit = |(theirs, default, _)| source.number(notes, theirs).unwrap_or(default);
        let (worst, best) = (limit(down), limit(up));
        if !quality || !tracked || !carry(source, out, notes, (down.0, down.2), &format!("{worst}{unit}")) {
            continue;
        }
        if best > worst {
            source.note(notes, Some(up.0), format_args!("is left out: it is above {}", down.0));
        } else {
            carry(source, out, notes, (up.0, up.2), &format!("{best}{unit}"));
        }
    }
    let usual = tracked && !written.contains(&"interval");
    let seldom = usual && (link.backup || link.mobile);
    if seldom {
        out.comment("mwan3's default: on a mobile link, as backups often are, every probe costs.");
        out.put("interval", "10s");
    }
    if (seldom || quality && tracked) && !written.contains(&"timeout") {
        if !seldom {
            out.comment("mwan3's default: an answer that is not waited for is no latency.");
        }
        out.put("timeout", "4s");
    }
    flush(source, out, notes);
    for (option, usual, why) in DROPPED {
        source.drop_option(notes, option, usual, why);
    }
    source.drop_rest(notes);
    usual && !seldom
}

/// Writes an option, or notes why not.
fn carry(source: &Source, out: &mut Output, notes: &mut Notes, (theirs, ours): (&str, &str), value: &str) -> bool {
    match fits(out.kind(), ours, value) {
        Ok(_) => out.put(ours, value),
        Err(why) => {
            source.note(notes, Some(theirs), format_args!("{why}"));
            false
        }
    }
}

/// mwan3 forgets every connection of the router; we know which ones are concerned.
fn flush(source: &mut Source, out: &mut Output, notes: &mut Notes) {
    let events = source.words("flush_conntrack");
    for (theirs, ours, value) in
        [(["ifdown", "disconnected"], "on_down", "flush"), (["ifup", "connected"], "on_up", "return")]
    {
        if events.iter().any(|event| theirs.contains(event) || *event == "always") {
            carry(source, out, notes, ("flush_conntrack", ours), value);
        }
    }
}

/// The targets, as many different ones as we can ask.
fn probes(source: &mut Source, notes: &mut Notes) -> Vec<String> {
    let method = source.text("track_method").unwrap_or("ping");
    let ssl = source.is("httping_ssl", false);
    let (mut probes, mut others): (Vec<String>, _) = (Vec::new(), Vec::new());
    let mut odd = false;
    for address in source.words("track_ip") {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        // An answer is what counts here, whatever a web server answers.
        let wanted = match method {
            "httping" => format!("tcp:{host}:{}", if ssl { 443 } else { 80 }),
            "nping-tcp" => format!("tcp:{host}:80"),
            "nslookup" => format!("dns:{host}"),
            _ => format!("icmp:{address}"),
        };
        let takes = |text: &String| text.parse::<Target>().is_ok();
        let probe = [wanted, format!("icmp:{address}")].into_iter().enumerate().find(|(_, text)| takes(text));
        let Some((choice, probe)) = probe else {
            others.push(address);
            continue;
        };
        odd |= choice > 0 || !["ping", "httping", "nping-tcp", "nping-icmp", "nslookup"].contains(&method);
        if !probes.contains(&probe) {
            probes.push(probe);
        }
    }
    if probes.is_empty() {
        return probes;
    }
    for address in others {
        source.note(
            notes,
            Some("track_ip"),
            format_args!("{} is left out: it is no address of a host", crate::config::shown(address)),
        );
    }
    if odd {
        source.note(notes, Some("track_method"), format_args!("became icmp, which is the nearest that there is"));
    } else if method == "httping" {
        source.note(notes, Some("track_method"), format_args!("became tcp: a connection that comes about is enough"));
    }
    if probes.len() > MAX_TARGETS {
        source.note(notes, Some("track_ip"), format_args!("has more than {MAX_TARGETS} targets: the rest is left out"));
        probes.truncate(MAX_TARGETS);
    }
    probes
}
