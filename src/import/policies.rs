//! mwan3's policies and members as policies. There, metric and weight belong to a policy's member; here to the link.

use crate::config::options::Kind;
use crate::config::{is_name, shown};

use super::links::Links;
use super::output::{Names, Output};
use super::source::{Notes, Source};

/// Links that a policy uses: the link's place, metric and weight, and the address family that it was for.
#[derive(Clone, Copy)]
struct Member {
    link: usize,
    metric: u32,
    weight: u32,
    ipv6: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Weighted,
    Failover,
    Blackhole,
    Unreachable,
    /// The router's default route.
    Aside,
}

pub struct Policy<'a> {
    /// `None`: one of mwan3's own.
    source: Option<Source<'a>>,
    theirs: &'a str,
    name: String,
    mode: Mode,
    /// By metric, the lowest first.
    members: Vec<Member>,
    /// Never in force, for its name.
    ignored: bool,
    /// Whether it had members for IPv4, and for IPv6.
    families: [bool; 2],
    last_resort: &'static str,
    /// For how long rules want a client to stay with a link, in seconds; 0 for not at all. Each with the policy's name then.
    uses: Vec<(u32, String)>,
}

pub struct Policies<'a> {
    pub all: Vec<Policy<'a>>,
    /// Places of policies, in the order in which rules use them.
    used: Vec<usize>,
}

pub fn read<'a>(
    policies: Vec<Source<'a>>,
    mut members: Vec<Source<'a>>,
    links: &Links,
    names: &mut Names,
    notes: &mut Notes,
) -> Policies<'a> {
    let mut all = Vec::new();
    let known: Vec<(Option<&str>, Option<Member>)> =
        members.iter_mut().map(|member| (member.name(), member_of(member, links, notes))).collect();
    for mut source in policies {
        let Some(theirs) = source.name() else {
            source.note(notes, None, format_args!("is left out: without a name no rule can use it"));
            continue;
        };
        let ignored = too_long(&source);
        if ignored {
            source.note(notes, None, format_args!("{IGNORED}: rules that use it are not enabled"));
        }
        let last_resort = match source.text("last_resort") {
            Some("default") => "default",
            Some("blackhole") => "blackhole",
            _ => "unreachable",
        };
        let (mut members, mut families): (Vec<Member>, _) = (Vec::new(), [false; 2]);
        for name in source.words("use_member") {
            let member = known.iter().find(|(known, _)| *known == Some(name));
            let Some((_, Some(member))) = member else {
                // One that is there has a note of its own.
                if member.is_none() {
                    source.note(
                        notes,
                        Some("use_member"),
                        format_args!("{} is left out: there is no such member", shown(name)),
                    );
                }
                continue;
            };
            families[usize::from(member.ipv6)] = true;
            match members.iter().find(|earlier| earlier.link == member.link) {
                None => {
                    // By metric, and among equals in the list's order.
                    let place = members.partition_point(|earlier| earlier.metric <= member.metric);
                    members.insert(place, *member);
                }
                Some(earlier) if (earlier.metric, earlier.weight) == (member.metric, member.weight) => {}
                Some(_) => {
                    source.note(
                        notes,
                        Some("use_member"),
                        format_args!("{} is left out: its link is there with another metric or weight", shown(name)),
                    );
                }
            }
        }
        source.drop_rest(notes);
        let equal = members.iter().all(|member| Some(member.metric) == members.first().map(|first| first.metric));
        let mode = match (members.len(), last_resort) {
            (0, "blackhole") => Mode::Blackhole,
            (0, "default") => Mode::Aside,
            (0, _) => Mode::Unreachable,
            (2.., _) if equal => Mode::Weighted,
            _ => Mode::Failover,
        };
        let name = names.take(theirs);
        let source = Some(source);
        all.push(Policy { source, theirs, name, mode, members, ignored, families, last_resort, uses: Vec::new() });
    }
    Policies { all, used: Vec::new() }
}

fn member_of(source: &mut Source, links: &Links, notes: &mut Notes) -> Option<Member> {
    let metric = source.number(notes, "metric").unwrap_or(1);
    let weight = source.number(notes, "weight").unwrap_or(1);
    let interface = source.text("interface").unwrap_or_default();
    source.drop_rest(notes);
    let Some((link, ipv6)) = links.of(interface) else {
        match interface {
            "" => source.note(notes, None, format_args!("is left out: it names no interface")),
            name => {
                source.note(notes, None, format_args!("is left out: there is no config interface {}", shown(name)));
            }
        }
        return None;
    };
    if metric > 256 {
        source.note(notes, Some("metric"), format_args!("is above 256: mwan3 left this member out, and so it is here"));
        return None;
    }
    if !(1..=1000).contains(&weight) {
        source.note(notes, Some("weight"), format_args!("must be a whole number from 1 to 1000: the nearest is taken"));
    }
    Some(Member { link, metric, weight: weight.clamp(1, 1000), ipv6 })
}

/// iptables' chains have short names.
pub fn too_long(source: &Source) -> bool {
    source.name().is_some_and(|name| name.chars().count() > 15)
}

pub const IGNORED: &str = "was ignored by mwan3, for its name has more than 15 characters";

/// mwan3's own policies.
const OWN: [(&str, Mode); 3] =
    [("default", Mode::Aside), ("unreachable", Mode::Unreachable), ("blackhole", Mode::Blackhole)];

impl Policy<'_> {
    /// Whether members have the same metric, so that they share connections.
    fn shares(&self) -> bool {
        self.members.windows(2).any(|two| matches!(two, [a, b] if a.metric == b.metric))
    }
}

impl<'a> Policies<'a> {
    /// Whether a rule uses it, or none is used.
    fn counts(&self, place: usize) -> bool {
        self.used.is_empty() || self.used.contains(&place)
    }

    /// The place of a policy that a rule uses. mwan3's own ones come into being when they are used.
    pub fn find(&mut self, theirs: &str, names: &mut Names) -> Option<usize> {
        let own = OWN.iter().find(|(own, _)| *own == theirs);
        // mwan3 looks for its own ones first.
        let known =
            self.all.iter().position(|policy| policy.theirs == theirs && policy.source.is_none() == own.is_some());
        if known.is_some() {
            return known;
        }
        let (theirs, mode) = *own?;
        self.all.push(Policy {
            source: None,
            theirs,
            name: names.take(theirs),
            mode,
            members: Vec::new(),
            ignored: false,
            families: [false; 2],
            last_resort: "default",
            uses: Vec::new(),
        });
        Some(self.all.len() - 1)
    }

    /// Whether it is IPv6, not IPv4, that a policy has no member for, and mwan3's own policy that then decides.
    pub fn lacks(&self, place: usize) -> Option<(bool, &'static str)> {
        let policy = self.all.get(place)?;
        let [ipv4, ipv6] = policy.families;
        (ipv4 != ipv6).then_some((ipv4, policy.last_resort))
    }

    /// Whether mwan3 knew nothing of a policy that is there.
    pub fn ignored(&self, place: usize) -> bool {
        self.all.get(place).is_some_and(|policy| policy.ignored)
    }

    /// Takes note of a use, which counts if it is in force. `sticky` in seconds, 0 for not; what there is to say about it.
    pub fn used(&mut self, place: usize, sticky: u32, counts: bool, names: &mut Names) -> Option<&'static str> {
        if counts && !self.used.contains(&place) {
            self.used.push(place);
        }
        let policy = self.all.get_mut(place)?;
        let (note, sticky) = match policy.mode {
            _ if sticky == 0 => (None, 0),
            _ if !policy.shares() => (Some("is left out: this policy does not spread its connections"), 0),
            Mode::Weighted => (None, sticky),
            _ => {
                let note = "keeps clients that went to a backup there, too, while they open connections: to have them \
                            back, set on_up 'return' in the better links";
                (Some(note), sticky)
            }
        };
        if !policy.uses.iter().any(|(known, _)| *known == sticky) {
            // The plain one has the policy's own name, so that it can be made to race; without one, the first. Others are copies.
            let mut copy = |sticky| names.take(&format!("{}_{sticky}s", policy.name));
            let name = match policy.uses.first_mut() {
                Some(_) if sticky > 0 => copy(sticky),
                Some((first, name)) => core::mem::replace(name, copy(*first)),
                None => policy.name.clone(),
            };
            policy.uses.push((sticky, name));
        }
        note
    }

    /// What a rule is to write. A time that could not be is none.
    pub fn name(&self, place: usize, sticky: u32) -> &str {
        let Some(policy) = self.all.get(place) else { return "" };
        let of = |wanted: u32| policy.uses.iter().find(|(known, _)| *known == wanted).map(|(_, name)| name.as_str());
        of(sticky).or(of(0)).unwrap_or(&policy.name)
    }
}

/// Gives the links the metrics and weights of their members, as far as the policies agree, and tells who is a backup.
pub fn share_out(links: &mut Links, policies: &mut Policies, notes: &mut Notes) {
    let unused = (0..policies.all.len()).filter(|place| !policies.used.contains(place));
    // Where policies disagree, those that matter most win: in the order of use.
    let order: Vec<usize> = policies.used.iter().copied().chain(unused).collect();
    let agreed = metrics(policies, &order, links.all.len());
    if let Some(metrics) = &agreed {
        for (link, metric) in links.all.iter_mut().zip(metrics) {
            link.metric = *metric;
        }
    }
    for place in order {
        let Some(policy) = policies.all.get(place) else { continue };
        if policies.counts(place) {
            prefer(links, policy);
        }
        let holds = |a: &Member, b: &Member| {
            let [of_a, of_b] = [a, b].map(|member| links.all.get(member.link).and_then(|link| link.metric));
            // Of two without a metric, the list's order decides.
            (a.metric.cmp(&b.metric) == of_a.cmp(&of_b)) != of_a.or(of_b).is_none()
        };
        if policy.mode == Mode::Failover
            && agreed.is_some()
            && policy.members.windows(2).any(|two| matches!(two, [a, b] if !holds(a, b)))
            && let Some(source) = &policy.source
        {
            source.note(
                notes,
                Some("use_member"),
                format_args!(
                    "does not do what it did: a metric belongs to the link, and the policies that rules use have set it; \
                     no rule uses this one"
                ),
            );
            continue;
        }
        let groups = policy.members.chunk_by(|a, b| a.metric == b.metric).filter(|group| group.len() > 1);
        for group in groups {
            let text = if policy.mode == Mode::Failover && agreed.is_none() {
                "has members of equal metric that shared connections by weight: here the first that is up takes all, \
                 since policies disagree on the metric, which belongs to the link"
            } else if !weights(links, group) {
                "shared connections otherwise: a weight belongs to the link here, and another policy has set it"
            } else {
                continue;
            };
            if let Some(source) = &policy.source {
                source.note(notes, Some("use_member"), format_args!("{text}"));
            }
        }
    }
}

/// The links that a policy takes first are no backups.
fn prefer(links: &mut Links, policy: &Policy) {
    let is_on = |member: &&Member| links.all.get(member.link).is_some_and(|link| link.enabled);
    let best = policy.members.iter().find(is_on).map(|first| first.metric);
    for member in policy.members.iter().filter(|member| Some(member.metric) == best) {
        links.all.get_mut(member.link).into_iter().for_each(|link| link.backup = false);
    }
}

/// A metric for each link, where failover has groups and its policies agree: those that count, and of the others whichever
/// fit. The order of a policy's links says it better otherwise.
fn metrics(policies: &Policies, order: &[usize], links: usize) -> Option<Vec<Option<u32>>> {
    let (mut metrics, mut shared) = (vec![None; links], false);
    for place in order {
        let policy = policies.all.get(*place)?;
        if policy.mode != Mode::Failover || policy.members.len() < 2 {
            continue;
        }
        // 0 would mean that the order decides.
        let wanted = || policy.members.iter().map(|member| (member.link, member.metric + 1));
        if wanted().any(|(link, metric)| metrics.get(link).is_some_and(|known| known.is_some_and(|is| is != metric))) {
            if policies.counts(*place) {
                return None;
            }
            continue;
        }
        shared |= policy.shares();
        wanted().for_each(|(link, metric)| _ = metrics.get_mut(link).map(|place| *place = Some(metric)));
    }
    shared.then_some(metrics)
}

/// Gives the links of a group their weights; `false` if they have some already that differ in proportion.
fn weights(links: &mut Links, group: &[Member]) -> bool {
    let known = group.iter().find_map(|member| {
        let weight = links.all.get(member.link)?.weight?;
        Some((u64::from(weight), u64::from(member.weight)))
    });
    let (scale, per) = known.unwrap_or((1, 1));
    let mut kept = true;
    for member in group {
        let Some(link) = links.all.get_mut(member.link) else { continue };
        let exact = u64::from(member.weight) * scale;
        match link.weight {
            Some(weight) => kept &= u64::from(weight) * per == exact,
            None => {
                kept &= exact.is_multiple_of(per) && (1..=1000).contains(&(exact / per));
                link.weight = u32::try_from((exact / per).clamp(1, 1000)).ok();
            }
        }
    }
    kept
}

pub fn write(policies: &Policies, links: &Links, out: &mut Output, names: &mut Names) {
    let aside = policies.all.iter().any(|policy| policy.mode == Mode::Aside).then(|| names.take("none"));
    if let Some(name) = &aside {
        out.section(Kind::Link, Some(name));
        out.comment("Never enabled: a policy that has no other link leaves connections to the router's default route.");
        out.put("enabled", "0");
    }
    for policy in &policies.all {
        let plain = [(0, policy.name.clone())];
        let uses = if policy.uses.is_empty() { &plain[..] } else { &policy.uses };
        for (sticky, name) in uses {
            out.section(Kind::Policy, Some(name));
            let mode = match policy.mode {
                Mode::Weighted => "weighted",
                Mode::Failover | Mode::Aside => "failover",
                Mode::Blackhole => "blackhole",
                Mode::Unreachable => "unreachable",
            };
            out.put("mode", mode);
            if policy.mode == Mode::Aside {
                aside.iter().for_each(|name| _ = out.put("link", name));
                out.put("last_resort", "default");
            }
            for link in policy.members.iter().filter_map(|member| links.all.get(member.link)) {
                debug_assert!(is_name(&link.name));
                out.put("link", &link.name);
            }
            if !policy.members.is_empty() {
                out.put("last_resort", policy.last_resort);
            }
            if *sticky > 0 {
                out.put("sticky", &format!("{sticky}s"));
            }
        }
    }
}
