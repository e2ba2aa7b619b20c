//! mwan3's rules as rules, in their order. What no rule of mwan3's matched goes by the router's default route.

use crate::config::options::Kind;
use crate::config::{MAX_RULES, Severity, read as read_config, shown};

use super::links::Network;
use super::output::{Names, Output};
use super::policies::{IGNORED, Policies, too_long};
use super::source::{Notes, Source};

pub struct Rule {
    /// `None` for an anonymous one.
    name: Option<String>,
    comment: Option<String>,
    /// Options and their values, without the policy.
    lines: Vec<(&'static str, String)>,
    /// Place of its policy, and for how many seconds a client is to stay with a link.
    policy: usize,
    sticky: u32,
}

/// The longest time that a client can stay with a link, in seconds.
const DAY: u32 = 86_400;

/// Why a rule is left out: the option, and the reason.
type Hindrance = (Option<&'static str>, String);

pub fn read(
    rules: Vec<Source>,
    network: &Network,
    policies: &mut Policies,
    names: &mut Names,
    notes: &mut Notes,
) -> Vec<Rule> {
    let mut read = Vec::new();
    let mut open = [("ipv4", true), ("ipv6", true)];
    for mut source in rules {
        match rule(&mut source, network, policies, names, notes) {
            Ok(rules) => {
                for (family, is_open) in &mut open {
                    *is_open &= !rules.iter().any(|rule| rule.matches_all(family));
                }
                read.extend(rules);
            }
            Err((option, why)) => source.note(notes, option, format_args!("{why}: the rule is left out")),
        }
        source.drop_option(notes, "logging", "0", "is left out: cheaproute races shows what connections do");
        source.drop_rest(notes);
        if read.len() >= MAX_RULES - open.len() {
            source.note(notes, None, format_args!("is the last that is read: there may be {MAX_RULES} rules"));
            break;
        }
    }
    let left: Vec<&str> = open.iter().filter(|(_, is_open)| *is_open).map(|(family, _)| *family).collect();
    if let Some(policy) = (!left.is_empty()).then(|| policies.find("default", names)).flatten() {
        let comment = "mwan3 had no rule for these. Without this one they take the first policy of this file.";
        let lines = if let [family] = left[..] { vec![("family", family.to_owned())] } else { Vec::new() };
        let _ = policies.used(policy, 0, true, names);
        let name = Some(names.take("others"));
        read.push(Rule { name, comment: Some(comment.into()), lines, policy, sticky: 0 });
    }
    read
}

impl Rule {
    fn matches_all(&self, family: &str) -> bool {
        self.lines.iter().all(|(option, value)| *option == "family" && (value == family || value == "any"))
    }
}

/// One rule, or one for each address family.
fn rule(
    source: &mut Source,
    network: &Network,
    policies: &mut Policies,
    names: &mut Names,
    notes: &mut Notes,
) -> Result<Vec<Rule>, Hindrance> {
    let (theirs, sticky) = (source.text("use_policy").unwrap_or_default(), source.is("sticky", false));
    let timeout = source.number(notes, "timeout").unwrap_or(600);
    let mut lines = Vec::new();
    let family = family(source)?;
    let addresses = addresses(source, family)?;
    let family = addresses.0.or(family);
    lines.extend(family.map(|family| ("family", family.to_owned())));
    let protocols = protocol(source)?;
    let has_ports = matches!(protocols, Some("tcp" | "udp"));
    lines.extend(protocols.map(|protocol| ("proto", protocol.to_owned())));
    lines.extend(addresses.1);
    for option in ["src_port", "dest_port"] {
        let ports = source.words(option);
        if !has_ports && !ports.is_empty() {
            source.note(notes, Some(option), format_args!("is left out: without proto tcp or udp mwan3 ignored it"));
            continue;
        }
        for port in ports {
            let port = port.replace(':', "-");
            // There is no port 0.
            let port = port.strip_prefix("0-").map_or_else(|| port.clone(), |last| format!("1-{last}"));
            lines.push((option, port));
        }
    }
    let mut comment = None;
    if let Some(interface) = source.text("src_iface").filter(|name| !name.is_empty()) {
        match network.device(interface) {
            Some(device) => lines.push(("src_device", device)),
            None => {
                let text = format!(
                    "set src_device to the device of interface {}, then enabled to 1: it is not known here",
                    shown(interface)
                );
                source.note(notes, Some("src_iface"), format_args!("{text}"));
                comment = Some(text);
                lines.push(("enabled", "0".into()));
            }
        }
    }
    if let Some(set) = source.text("ipset").filter(|name| !name.is_empty()) {
        let name = set_name(set);
        source.note(
            notes,
            Some("ipset"),
            format_args!(
                "became nftset '{name}', which has to be filled anew: for dnsmasq-full, write nftset=/example.com/4#inet#\
             cheaproute#{name}4,6#inet#cheaproute#{name}6 in place of ipset=/example.com/{name}; OpenWrt's plain dnsmasq does not \
             start with such a line"
            ),
        );
        lines.push(("nftset", name));
    }
    sound(&lines)?;
    if theirs.is_empty() {
        return Err((None, "names no policy".into()));
    }
    let Some(policy) = policies.find(theirs, names) else {
        return Err((Some("use_policy"), format!("names {}, which is no policy", shown(theirs))));
    };
    if too_long(source) {
        source.note(notes, None, format_args!("is not enabled: it {IGNORED}"));
    }
    let ignored = too_long(source) || policies.ignored(policy);
    if ignored && comment.is_none() {
        comment = Some("Not in force in mwan3 either: names have at most 15 characters there.".into());
        lines.push(("enabled", "0".into()));
    }
    if sticky && timeout > DAY {
        source.note(notes, Some("timeout"), format_args!("is a day: longer than that nobody stays"));
    }
    let sticky = if sticky { timeout.min(DAY) } else { 0 };
    let name = source.name().map(|name| names.take(name));
    let mut rules = Vec::new();
    // A link carries both families, an interface of mwan3's one. For the other, its policy had nothing but the last resort.
    let families = lines.iter().filter(|(option, _)| ["family", "src_ip", "dest_ip"].contains(option));
    let families: Vec<bool> = families.map(|(_, value)| value == "ipv6" || value.contains(':')).collect();
    if let Some((ipv6, last_resort)) = policies.lacks(policy)
        && families.iter().all(|of| *of == ipv6)
        && let Some(policy) = policies.find(last_resort, names)
    {
        let [lacking, other] = if ipv6 { ["ipv6", "ipv4"] } else { ["ipv4", "ipv6"] };
        let why = format!("Policy {} had no member for {lacking}: its last_resort decides.", shown(theirs));
        let comment = comment.clone().or(Some(why));
        let _ = policies.used(policy, 0, !ignored, names);
        let mut rule = Rule { name: name.clone(), comment, lines: lines.clone(), policy, sticky: 0 };
        if !families.is_empty() {
            return Ok(vec![rule]);
        }
        rule.name = name.as_ref().map(|name| names.take(&format!("{name}_{lacking}")));
        rule.lines.push(("family", lacking.into()));
        lines.push(("family", other.into()));
        rules.push(rule);
    }
    if let Some(text) = policies.used(policy, sticky, !ignored, names) {
        source.note(notes, Some("sticky"), format_args!("{text}"));
    }
    rules.insert(0, Rule { name, comment, lines, policy, sticky });
    Ok(rules)
}

fn family(source: &mut Source) -> Result<Option<&'static str>, Hindrance> {
    match source.text("family").unwrap_or("any") {
        "ipv4" => Ok(Some("ipv4")),
        "ipv6" => Ok(Some("ipv6")),
        // mwan3 takes whatever is neither for both.
        _ => Ok(None),
    }
}

/// The address family that whole networks such as 0.0.0.0/0 mean, and the other addresses.
type Addresses = (Option<&'static str>, Vec<(&'static str, String)>);

fn addresses(source: &mut Source, family: Option<&str>) -> Result<Addresses, Hindrance> {
    let (mut whole, mut lines) = (None, Vec::new());
    for option in ["src_ip", "dest_ip"] {
        let words = source.words(option);
        for (everything, theirs) in [("0.0.0.0/0", "ipv4"), ("::/0", "ipv6")] {
            if !words.contains(&everything) {
                continue;
            }
            if words.len() > 1 || [family, whole].into_iter().flatten().any(|other| other != theirs) {
                return Err((Some(option), "is of another address family than the rest".into()));
            }
            whole = Some(theirs);
        }
        let rest = words.into_iter().filter(|word| !["0.0.0.0/0", "::/0"].contains(word));
        lines.extend(rest.map(|word| (option, prefix(word))));
    }
    Ok((whole, lines))
}

/// iptables takes `192.0.2.0/255.255.255.0` as well.
fn prefix(word: &str) -> String {
    let mask =
        word.split_once('/').and_then(|(address, mask)| Some((address, mask.parse::<std::net::Ipv4Addr>().ok()?)));
    match mask {
        Some((address, mask)) if mask.to_bits().leading_ones() == mask.to_bits().count_ones() => {
            format!("{address}/{}", mask.to_bits().count_ones())
        }
        _ => word.to_owned(),
    }
}

/// The names of /etc/protocols that people route by, with their numbers.
const PROTOCOLS: [(&str, &str); 16] = [
    ("ipv6-icmp", "58"),
    ("icmpv6", "58"),
    ("igmp", "2"),
    ("ipip", "4"),
    ("ipencap", "4"),
    ("ipv6", "41"),
    ("gre", "47"),
    ("esp", "50"),
    ("ah", "51"),
    ("ospf", "89"),
    ("pim", "103"),
    ("vrrp", "112"),
    ("l2tp", "115"),
    ("sctp", "132"),
    ("dccp", "33"),
    ("udplite", "136"),
];

/// `None` for all.
fn protocol<'a>(source: &mut Source<'a>) -> Result<Option<&'a str>, Hindrance> {
    let words = source.words("proto");
    let [word] = words[..] else {
        // iptables knows no lists of them.
        return if words.is_empty() { Ok(None) } else { Err((Some("proto"), "must be one protocol".into())) };
    };
    let known =
        |name: &str| PROTOCOLS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number);
    Ok(match word {
        "all" | "ip" | "0" | "any" => None,
        "tcp" | "TCP" | "6" => Some("tcp"),
        "udp" | "UDP" | "17" => Some("udp"),
        "ICMP" => Some("icmp"),
        word => Some(known(word).unwrap_or(word)),
    })
}

fn set_name(set: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let name: String = set.chars().take(240).map(letter).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// Our own check decides whether such a rule can be.
fn sound(lines: &[(&'static str, String)]) -> Result<(), Hindrance> {
    let mut out = Output::new();
    out.section(Kind::Link, Some("link"));
    out.section(Kind::Rule, Some("rule"));
    out.put("policy", "fastest");
    for (option, value) in lines {
        if !out.put(option, value) {
            let spec = Kind::Rule.option(option);
            let wanted = spec.map_or(String::new(), |spec| spec.shape.describe());
            return Err((Some(theirs(option)), format!("must be {wanted} (got {})", shown(value))));
        }
    }
    let faults = match read_config(out.finish()) {
        Ok(_) => return Ok(()),
        Err(faults) => faults,
    };
    let fault = faults.into_iter().find(|fault| fault.severity == Severity::Fault);
    let why = fault.map(|fault| format!("{} {}", fault.option.unwrap_or_default(), fault.text));
    Err((None, why.unwrap_or_default().trim().to_owned()))
}

/// mwan3's name of an option.
fn theirs(ours: &'static str) -> &'static str {
    match ours {
        "src_device" => "src_iface",
        "nftset" => "ipset",
        other => other,
    }
}

pub fn write(rules: &[Rule], policies: &Policies, out: &mut Output) {
    for rule in rules {
        out.section(Kind::Rule, rule.name.as_deref());
        rule.comment.iter().for_each(|comment| out.comment(comment));
        for (option, value) in &rule.lines {
            out.put(option, value);
        }
        out.put("policy", policies.name(rule.policy, rule.sticky));
    }
}
