//! Scripts: a race told in lines of `time event | what the racer did`, played against a real [`Racer`].
//!
//! ```text
//!  0 syn          | copy 1 2, drop #1
//! 20 1 syn-ack    | establish 1, pass #2, reset 2
//! ```
//! Times are milliseconds; `#n` is the n-th packet that was queued. Events:
//! - `syn`, `udp`, `echo` and `syn6`, an opening; with `b` from another client's same port, `isn=N`, `fast-open`, `length=N`;
//! - `N syn-ack`, `N rst`, `N data`, an answer at link N; with `b` to that client's race, `ack=N`;
//! - `up N`, `down N`; `kernel taken|later|ok`: what becomes of establishing; `settle ok|taken`, after `later`;
//! - `poll`: a line of it is expected wherever polling makes the racer act, and at no other time; `end` lets all time pass.

use std::collections::HashMap;
use std::fmt::Write;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;

use crate::link::{Link, LinkId, LinkSet};
use crate::packet::{Answer, Opening, Protocol, Says, Syn};
use crate::race::{Action, Actions, Held, RaceId, Racer, Rules, Verdict};
use crate::time::{Span, Time};

pub type Hasher = BuildHasherDefault<DefaultHasher>;

pub fn id(number: u8) -> LinkId {
    LinkId::new(number).unwrap()
}

pub fn link(number: u8) -> Link {
    Link::example(number)
}

pub fn ms(ms: u64) -> Span {
    Span::from_millis(ms)
}

/// Races among all the links; `remember` of zero switches races of one off.
pub fn rules(links: &[Link], remember: Span) -> Rules {
    Rules { links: links.iter().map(|link| link.id).collect(), remember, tie: ms(2) }
}

pub struct Stage {
    pub racer: Racer<Hasher>,
    links: Vec<Link>,
    now: Time,
    packets: u32,
    kernel: Kernel,
    unsettled: Option<RaceId>,
    /// Each client's last opening and the port of its copies.
    clients: HashMap<(Protocol, SocketAddr), (Opening, u16)>,
    last: Protocol,
}

#[derive(Clone, Copy, PartialEq)]
enum Kernel {
    Agrees,
    Taken,
    Later,
}

/// Plays `script` from the start, with a large table and without memory.
pub fn play(links: &[Link], script: &str) -> Stage {
    let mut stage = Stage::new(links, 16, Span::ZERO);
    stage.play(script);
    stage
}

impl Stage {
    pub fn new(links: &[Link], capacity: usize, remember: Span) -> Self {
        let mut racer = Racer::new(capacity, Hasher::default());
        racer.set_links(links);
        racer.set_policies(&[rules(links, remember)]);
        Stage {
            racer,
            links: links.to_vec(),
            now: Time(0),
            packets: 0,
            kernel: Kernel::Agrees,
            unsettled: None,
            clients: HashMap::new(),
            last: Protocol::Tcp,
        }
    }

    /// Plays on; panics with the whole story if it differs from the script.
    pub fn play(&mut self, script: &str) {
        let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
        let (mut expected, mut played) = (String::new(), String::new());
        for line in lines {
            let (event, outcome) = line.split_once('|').expect("a line has a |");
            let mut words = event.split_whitespace();
            let at: u64 = words.next().expect("a time").parse().expect("a time in ms");
            let words: Vec<&str> = words.collect();
            tell(&mut expected, Time(0) + ms(at), &words.join(" "), outcome.trim());
            match words[..] {
                // Told by the polling that precedes the next event, or the end.
                ["poll"] => self.pass_time(Time(0) + ms(at), &mut played),
                ["end"] => {
                    self.pass_time(Time(u64::MAX), &mut played);
                    tell(&mut played, Time(0) + ms(at), "end", "");
                }
                _ => {
                    self.pass_time(Time(0) + ms(at), &mut played);
                    self.now = Time(0) + ms(at);
                    let acts = self.event(&words);
                    tell(&mut played, self.now, &words.join(" "), &acts);
                }
            }
        }
        assert!(expected == played, "expected:\n{expected}\nplayed:\n{played}");
    }

    fn pass_time(&mut self, until: Time, played: &mut String) {
        while let Some((due, _)) = self.racer.deadline().filter(|(due, _)| *due <= until) {
            self.now = self.now.max(due);
            let mut actions = Actions::new();
            assert!(self.racer.poll(self.now, &mut actions), "nothing to do at the deadline");
            let acts = self.carry_out(actions);
            if !acts.is_empty() {
                tell(played, self.now, "poll", &acts);
            }
        }
    }

    fn event(&mut self, words: &[&str]) -> String {
        let value = |name: &str| {
            let found = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            found.map(|number| number.parse::<u32>().expect("a number"))
        };
        let mut actions = Actions::new();
        match words {
            ["up", number] | ["down", number] => {
                let number: usize = number.parse().expect("a link");
                self.links[number - 1].up = words[0] == "up";
                self.racer.set_links(&self.links);
            }
            ["kernel", what] => {
                self.kernel = match *what {
                    "ok" => Kernel::Agrees,
                    "taken" => Kernel::Taken,
                    _ => Kernel::Later,
                }
            }
            ["settle", what] => {
                let race = self.unsettled.take().expect("something to settle");
                match *what {
                    "ok" => self.racer.established(race, &mut actions),
                    _ => self.racer.taken(race, &mut actions),
                }
            }
            [what @ ("syn" | "syn6" | "udp" | "echo"), ..] => {
                let (client, server) = if *what == "syn6" {
                    ("[fd00::2]:5000", "[2001:db8::1]:443")
                } else if words.contains(&"b") {
                    ("192.168.1.3:5000", "203.0.113.1:443")
                } else {
                    ("192.168.1.2:5000", "203.0.113.1:443")
                };
                let mut server: SocketAddr = server.parse().unwrap();
                let protocol = match *what {
                    "udp" => Protocol::Udp,
                    "echo" => Protocol::Echo,
                    _ => Protocol::Tcp,
                };
                if protocol == Protocol::Echo {
                    server.set_port(0);
                }
                let syn = Syn {
                    isn: value("isn").unwrap_or(100),
                    window_scale: Some(7),
                    sack_permitted: true,
                    carries_data: words.contains(&"fast-open"),
                };
                let opening = Opening {
                    protocol,
                    client: client.parse().unwrap(),
                    server,
                    length: value("length").unwrap_or(60) as u16,
                    syn: (protocol == Protocol::Tcp).then_some(syn),
                };
                self.last = protocol;
                self.clients.entry((protocol, opening.client)).or_insert((opening, 0)).0 = opening;
                let held = self.hold();
                self.racer.open(self.now, (&opening, b"the packet"), 0, held, &mut actions);
                if let Some(Action::Copy { port, .. }) = actions.iter().find(|act| matches!(act, Action::Copy { .. })) {
                    self.clients.insert((protocol, opening.client), (opening, *port));
                }
            }
            [link, says, ..] => {
                let client = match (words.contains(&"b"), words.contains(&"6")) {
                    (true, _) => "192.168.1.3:5000",
                    (_, true) => "[fd00::2]:5000",
                    _ => "192.168.1.2:5000",
                };
                let link = id(link.parse().expect("a link"));
                let (opening, port) = self.clients[&(self.last, client.parse().unwrap())];
                let ack = value("ack").unwrap_or(opening.syn.map_or(0, |syn| syn.isn.wrapping_add(1)));
                let answer = Answer {
                    protocol: opening.protocol,
                    server: opening.server,
                    local: SocketAddr::new([198, 51, 100, link.number()].into(), port),
                    says: match *says {
                        "syn-ack" => Says::SynAck(ack),
                        "rst" => Says::Reset(ack),
                        "data" => Says::Data,
                        other => panic!("what is {other}?"),
                    },
                };
                let held = self.hold();
                self.racer.answer(self.now, link, &answer, held, &mut actions);
            }
            _ => panic!("what is {words:?}?"),
        }
        self.carry_out(actions)
    }

    fn hold(&mut self) -> Held {
        self.packets += 1;
        Held { queue: 0, packet: self.packets, mark: 0 }
    }

    /// The actions in words; establishing is settled on the way.
    fn carry_out(&mut self, actions: Actions) -> String {
        let mut told = Vec::new();
        for action in actions {
            told.push(match &action {
                Action::Copy { links, port, kept } => {
                    let port = if *port == 5000 { "" } else { " from another port" };
                    let kept = if kept.is_some() { " kept" } else { "" };
                    format!("copy {}{port}{kept}", names(*links))
                }
                Action::Establish { link, .. } => format!("establish {link}"),
                Action::Reset { links, .. } => format!("reset {}", names(*links)),
                Action::Spare { .. } => "spare".to_owned(),
                Action::Verdict { held, verdict } => {
                    let verdict = match verdict {
                        Verdict::Pass => "pass",
                        Verdict::Decide => "decide",
                        Verdict::Drop => "drop",
                    };
                    format!("{verdict} #{}", held.packet)
                }
            });
            if let Action::Establish { race, .. } = action {
                let mut more = Actions::new();
                match self.kernel {
                    Kernel::Agrees => self.racer.established(race, &mut more),
                    Kernel::Taken => self.racer.taken(race, &mut more),
                    Kernel::Later => self.unsettled = Some(race),
                }
                let more = self.carry_out(more);
                if !more.is_empty() {
                    told.push(more);
                }
            }
        }
        told.join(", ")
    }
}

fn names(links: LinkSet) -> String {
    links.iter().map(|link| link.to_string()).collect::<Vec<_>>().join(" ")
}

fn tell(story: &mut String, at: Time, event: &str, outcome: &str) {
    writeln!(story, "{:>6} {event:<20} | {outcome}", at.0 / 1000).unwrap();
}
