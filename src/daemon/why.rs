//! The request `why`: from its words to questions, to answers as a document.

use std::net::{IpAddr, SocketAddr};

use crate::control::{Code, Exit, Value};
use crate::family::Family;
use crate::kernel::{Control, Route, Snapshot};
use crate::link::LinkId;
use crate::linux::clock::now;
use crate::linux::program;
use crate::logging;
use crate::packet::Protocol;
use crate::packet::numbers::{TCP, UDP};
use crate::prefix::Prefix;
use crate::race::record::{Outcome, Record};
use crate::race::{Memory, Remembered};
use crate::steer::why::{Facts, Question, Way, Why, has_ports, why};
use crate::steer::{Foreign, Plan, TABLE, table};
use crate::time::Time;

use super::attach::direct;
use super::report::state;
use super::{Daemon, cannot};

/// Addresses asked about at once: a name's, of either family.
const MAX_QUESTIONS: usize = 8;

/// How often the kernel is asked about a set: each starts a program, for which everything else waits.
const MAX_SETS: usize = 8;

impl Daemon {
    /// `words`: `to=ADDRESS`, which may be repeated, `proto=NUMBER` or `proto=icmp`, `port=N`, `from=ADDRESS`,
    /// `from_port=N`, `device=NAME`.
    pub(super) fn why(&mut self, words: &[&str]) -> Result<Value, Exit> {
        let snapshot = self.installation.kernel.snapshot().map_err(cannot)?;
        let malformed = || Exit::new(Code::Usage, "the daemon cannot read this question: are both of one version?");
        let questions = questions(words).filter(|questions| !questions.is_empty()).ok_or_else(malformed)?;
        let foreign = self.installation.foreign(&snapshot).map_err(cannot)?;
        let answers = questions.into_iter().map(|question| self.answer_why(question, &snapshot, foreign.as_ref()));
        Ok(Value::Map(vec![("answers", answers.collect::<Vec<_>>().into())]))
    }

    fn answer_why(&self, mut question: Question, snapshot: &Snapshot, foreign: Option<&Foreign>) -> Value {
        let at = now();
        let own: Vec<IpAddr> = snapshot.addresses.iter().map(|address| address.address).collect();
        if let Some(from) = question.from {
            question.own = own.contains(&from) && question.device.is_none();
            if !question.own && question.device.is_none() {
                let device = snapshot.route_to(from).and_then(|route| snapshot.device(route.device));
                question.device = device.map(|device| device.name.clone());
            }
        }
        let links = self.ways();
        let tunnels = self.peers.tunnels(&self.config);
        let direct = direct(snapshot, &self.config.splits, &tunnels);
        let queueing = self.installation.queueing();
        let (config, lost) = (&self.config, self.flows.lost());
        let plan = Plan {
            config,
            links: &links,
            lost,
            queueing,
            ipsec: self.installation.ipsec(),
            direct: &direct,
            tunnels: &tunnels,
            foreign,
            splits: None,
            races: self.races,
        };
        let (memory, last) = {
            let field = self.racing.field();
            let memory = remembered(field.racer.memory(), &question).cloned();
            (memory, field.racer.log().newest().find(|record| is_about(record, &question)).cloned())
        };
        let mut sets: Vec<(String, Option<bool>)> = Vec::new();
        let facts = Facts {
            plan,
            now: at,
            own: &own,
            memory: memory.as_ref(),
            state: &|id| self.state_of(id, at),
            in_set: &mut |name| {
                if let Some((_, known)) = sets.iter().find(|(known, _)| known == name) {
                    return *known;
                }
                let answer = if sets.len() < MAX_SETS { ask_set(name, question.to) } else { None };
                sets.push((name.to_owned(), answer));
                answer
            },
        };
        let why = why(&question, facts);
        self.tell_why(&question, why, last.as_ref(), snapshot)
    }

    fn tell_why(&self, question: &Question, mut why: Why, last: Option<&Record>, snapshot: &Snapshot) -> Value {
        let (way, links) = match &why.way {
            Way::Here => ("local", Vec::new()),
            Way::Main => ("main", Vec::new()),
            Way::Dropped => ("drop", Vec::new()),
            Way::Refused => ("reject", Vec::new()),
            Way::Links(links) if links.len() == 1 => ("link", links.clone()),
            Way::Links(links) => ("share", links.clone()),
            Way::Race(links) => ("race", links.iter().map(|id| (*id, 0)).collect()),
        };
        if way == "race"
            && let Some(record) = last
        {
            let ago = now().since(record.at).as_secs();
            let text = match record.outcome {
                Outcome::Won(link) => format!("the last race to it, {ago} s ago, was won by {}", self.name(link)),
                Outcome::Refused(_) => format!("the last race to it, {ago} s ago, was refused"),
                Outcome::Silent => format!("the last race to it, {ago} s ago, had no answer"),
                Outcome::Running | Outcome::FellBack => format!("the last race to it was {ago} s ago"),
            };
            why.reasons.push(text);
        }
        let main = (why.way == Way::Main).then(|| match snapshot.route_to(question.to) {
            Some(route) => said(snapshot, route),
            None => "no route".into(),
        });
        let link = |(id, percent): &(LinkId, u32)| {
            Value::Map(vec![
                ("name", self.name(*id).into()),
                ("percent", (way != "race").then_some(*percent).into()),
                ("mark", format!("{:#010x}", self.marks.link(*id)).into()),
                ("table", table(*id).into()),
            ])
        };
        let reasons: Vec<Value> = why.reasons.into_iter().map(Value::from).collect();
        Value::Map(vec![
            ("to", question.to.to_string().into()),
            ("protocol", protocol_name(question).into()),
            ("port", question.port.into()),
            ("from", question.from.map(|from| from.to_string()).into()),
            ("from_port", question.from_port.into()),
            ("device", question.device.as_deref().into()),
            ("router", question.own.into()),
            ("way", way.into()),
            ("links", links.iter().map(link).collect::<Vec<_>>().into()),
            ("route", main.into()),
            ("rule", why.rule.map(|rule| &*rule.name).into()),
            ("policy", why.policy.map(|policy| &*policy.name).into()),
            ("reasons", reasons.into()),
        ])
    }

    /// Such as `down for 5 s: targets stopped answering`.
    fn state_of(&self, id: LinkId, now: Time) -> String {
        if let Some(state) = self.peers.state_of(id) {
            return state;
        }
        let pair = self.attached.iter().zip(&self.probes).find(|(attached, _)| attached.link.id == id);
        let Some((attached, probes)) = pair else { return "unknown".into() };
        let status = probes.prober.status();
        match (state(attached, &status), &attached.lacks) {
            ((state, reason), Some(_)) => format!("{state}: {reason}"),
            ((state, reason), None) => format!("{state} for {} s: {reason}", now.since(status.since).as_secs()),
        }
    }
}

/// `None` if a word cannot be read, or the addresses are not of one family with the client's.
fn questions(words: &[&str]) -> Option<Vec<Question>> {
    let mut to: Vec<IpAddr> = Vec::new();
    let (mut from, mut from_port, mut port, mut device, mut protocol) = (None, None, None, None, "6");
    for word in words {
        let (key, value) = word.split_once('=')?;
        match key {
            "to" => to.push(value.parse().ok()?),
            "from" => from = Some(value.parse::<IpAddr>().ok()?),
            "from_port" => from_port = Some(value.parse().ok()?),
            "port" => port = Some(value.parse().ok()?),
            "device" => device = Some(value.to_owned()),
            "proto" => protocol = value,
            _ => return None,
        }
    }
    if to.len() > MAX_QUESTIONS {
        return None;
    }
    let question = |to: IpAddr| {
        let protocol = if protocol == "icmp" { Family::of(to).icmp() } else { protocol.parse().ok()? };
        let fits = from.is_none_or(|from| from.is_ipv4() == to.is_ipv4());
        let port = port.filter(|_| has_ports(protocol));
        let device = device.clone();
        fits.then_some(Question { to, protocol, port, from, from_port, device, own: false })
    };
    to.into_iter().map(question).collect()
}

fn protocol_name(question: &Question) -> String {
    match question.protocol {
        TCP => "tcp".into(),
        UDP => "udp".into(),
        number if number == Family::of(question.to).icmp() => "icmp".into(),
        number => number.to_string(),
    }
}

/// The protocol as races know it, with the server's port there.
fn raced(question: &Question) -> Option<(Protocol, u16)> {
    match question.protocol {
        TCP => Some((Protocol::Tcp, question.port?)),
        UDP => Some((Protocol::Udp, question.port?)),
        number if number == Family::of(question.to).icmp() => Some((Protocol::Echo, 0)),
        _ => None,
    }
}

fn remembered<'m>(memory: &'m Memory, question: &Question) -> Option<&'m Remembered> {
    let service = raced(question)?;
    let prefix = Prefix::new(question.to, if question.to.is_ipv4() { 24 } else { 48 })?.address();
    memory.entries().iter().find(|entry| entry.prefix == prefix && (entry.protocol, entry.port) == service)
}

fn is_about(record: &Record, question: &Question) -> bool {
    raced(question).is_some_and(|(protocol, port)| {
        record.protocol == protocol && record.server == SocketAddr::new(question.to, port)
    })
}

fn said(snapshot: &Snapshot, route: &Route) -> String {
    let by = snapshot
        .device(route.device)
        .map_or_else(|| "no single device".into(), |device| format!("dev {}", device.name));
    match route.gateway {
        Some(gateway) => format!("via {gateway} {by}"),
        None => by,
    }
}

/// Whether the kernel has an address in a set of ours; `None` if it cannot be asked.
fn ask_set(name: &str, address: IpAddr) -> Option<bool> {
    match program::run(&["nft", "get", "element", "inet", TABLE, name, &format!("{{ {address} }}")], "") {
        Ok(_) => Some(true),
        // ENOENT's text: no such element.
        Err(why) if why.contains("No such file or directory") => Some(false),
        Err(why) => {
            logging::warn!("cannot look into set {name}: {why}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_questions() {
        let all =
            ["to=192.0.2.1", "to=192.0.2.2", "proto=17", "port=53", "from=10.0.0.2", "from_port=99", "device=lan0"];
        let questions_ = questions(&all).unwrap();
        let expected = Question {
            to: "192.0.2.2".parse().unwrap(),
            protocol: UDP,
            port: Some(53),
            from: Some("10.0.0.2".parse().unwrap()),
            from_port: Some(99),
            device: Some("lan0".into()),
            own: false,
        };
        assert_eq!(questions_[1], expected);
        assert_eq!(questions(&["to=2001:db8::1", "proto=icmp", "port=1"]).unwrap()[0].port, None);
        for bad in [&["to=x"][..], &["to"], &["why=1"], &["to=192.0.2.1", "from=::1"], &["to=192.0.2.1"; 9]] {
            assert_eq!(questions(bad), None, "{bad:?}");
        }
    }
}
