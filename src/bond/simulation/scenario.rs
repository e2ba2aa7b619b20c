//! What the bond is measured by: links, what happens to them, and the traffic of a household.

use super::bulk::Bulk;
use super::congestion::Control;
use super::ends::Dealer;
use super::link::{Carried, Change, Loss, Way, percent};
use super::report::Report;
use super::shallow::shallow;
use super::streams::{Ping, Voice};
use super::world::{Full, Make, Plan, World};
use super::{CLIENT, SERVER, Side};
use crate::time::{Span, Time};

/// When traffic begins, when it counts, in milliseconds. Before it begins the links are seen idle.
pub const BEGINS: u64 = 1_500;
pub const COUNTS: u64 = 5_000;

#[derive(Clone)]
pub struct Scenario {
    pub name: &'static str,
    pub plan: Plan,
    /// From which side.
    pub streams: Vec<(Side, Control)>,
    pub voice: bool,
    /// How long it counts.
    pub seconds: u64,
}

pub struct Outcome {
    /// Goodput in thousandths of the links' summed rates, of all directions that have a stream.
    pub share: u64,
    /// What the load adds to a ping.
    pub added: Span,
    pub report: Report,
    /// By link and side.
    pub carried: Vec<[Carried; 2]>,
}

impl Scenario {
    pub fn new(name: &'static str, plan: Plan) -> Self {
        Scenario { name, plan, streams: vec![(SERVER, Control::Cubic)], voice: false, seconds: 8 }
    }

    pub fn with(self, control: Control) -> Self {
        let streams = self.streams.iter().map(|(side, _)| (*side, control)).collect();
        Scenario { streams, ..self }
    }

    pub fn streams(self, sides: &[Side]) -> Self {
        Scenario { streams: sides.iter().map(|side| (*side, Control::Cubic)).collect(), ..self }
    }

    pub fn voice(self) -> Self {
        Scenario { voice: true, ..self }
    }

    pub fn seconds(self, seconds: u64) -> Self {
        Scenario { seconds, ..self }
    }

    pub fn run(&self, make: Make) -> Outcome {
        let mut world = World::new(&self.plan, make);
        world.add(Ping::new);
        world.run(Time(BEGINS * 1_000));
        let idle = world.report().pings.first().map(|ping| ping.mean).unwrap_or_default();
        for (side, control) in &self.streams {
            world.add(|app| Bulk::new(app, *side, *control).starting(Time(BEGINS * 1_000)));
        }
        if self.voice {
            world.add(|app| Voice::new(app, CLIENT));
            world.add(|app| Voice::new(app, SERVER));
        }
        world.run(Time(COUNTS * 1_000));
        world.mark();
        world.run_ms(self.seconds * 1_000);
        let mut report = world.report();
        // What is under way is not lost.
        world.stop();
        world.run_ms(1_000);
        let after = world.report();
        (report.voices, report.pings) = (after.voices, after.pings);
        let sides = (0..2).filter(|side| self.streams.iter().any(|stream| stream.0 == *side));
        let rate: u64 = sides.map(|side| world.links.iter().map(|link| link.rate(side)).sum::<u64>()).sum();
        let loaded = report.pings.first().map(|ping| ping.mean).unwrap_or_default();
        let carried = world.links.iter().map(|link| link.carried).collect();
        Outcome { share: report.share(rate), added: Span(loaded.0.saturating_sub(idle.0)), report, carried }
    }

    /// What its fastest link does alone, without a tunnel.
    pub fn alone(&self) -> Outcome {
        let rate = |link: &usize| self.plan.links[*link].iter().map(|way| way.rate).sum::<u64>();
        let best = (0..self.plan.links.len()).max_by_key(rate).unwrap_or_default();
        self.run(&|side, _| Box::new(Dealer::bare(side, best as u8)))
    }
}

fn ms(ms: u64) -> Span {
    Span::from_millis(ms)
}

/// The links of most scenarios: 75 Mbit/s with 20 ms of round trip, 25 Mbit/s with 60 ms.
pub fn usual() -> Plan {
    Plan::new(&[(75, 10), (25, 30)])
}

/// Two links that answer when they like: 40 Mbit/s with 40 ms of round trip, 30 with 50, and up to 20 ms more each way.
pub fn radios() -> Plan {
    Plan::new(&[(40, 20), (30, 25)]).both(0, |way| way.jitter = ms(20)).both(1, |way| way.jitter = ms(20))
}

/// As cable modems are: up there is a fiftieth of what there is down.
pub fn narrow() -> Plan {
    let mut plan = Plan::new(&[(100, 10), (50, 15)]);
    plan.links[0][CLIENT] = Way::new(2, ms(10));
    plan.links[1][CLIENT] = Way::new(1, ms(15));
    plan
}

/// A link that is dead from then to then, in ms.
pub fn dead(plan: Plan, link: usize, from: u64, to: u64) -> Plan {
    plan.change(from, link, Change::Dead(true)).change(to, link, Change::Dead(false))
}

/// The scenarios of the goals, the first three of which have figures of other programs to compare with.
pub fn all() -> Vec<Scenario> {
    let lossy = usual().both(1, |way| way.loss = percent(1.0));
    let near = Plan::new(&[(75, 0), (25, 0)]).both(0, |way| way.delay = Span(50)).both(1, |way| way.delay = Span(50));
    let three = Plan::new(&[(50, 10), (30, 25), (10, 50)]);
    let jitter = |overtake| {
        usual().both(1, move |way| {
            way.jitter = ms(20);
            way.overtake = overtake;
        })
    };
    let bursts = usual().both(1, |way| way.loss = Loss::Bursts { begin: 1_000, end: 100_000 });
    let bloated =
        Plan::new(&[(20, 10), (10, 20)]).both(0, |way| way.queue = 1_250_000).both(1, |way| way.queue = 625_000);
    let mut uneven = Plan::new(&[(80, 10), (20, 20)]);
    uneven.links[0][CLIENT].rate = 8_000_000;
    uneven.links[1][CLIENT].rate = 4_000_000;
    let lossy_both = usual().both(0, |way| way.loss = percent(3.0)).both(1, |way| way.loss = percent(3.0));
    let flapping = (0..10).fold(usual(), |plan, turn| dead(plan, 1, 5_500 + turn * 1_200, 6_100 + turn * 1_200));
    let slower = |plan: Plan, at, megabits| {
        let way = |side| Change::Way(side, Way::new(megabits, ms(10)));
        plan.change(at, 0, way(CLIENT)).change(at, 0, way(SERVER))
    };
    vec![
        Scenario::new("75 Mbit/s 20 ms, 25 Mbit/s 60 ms", usual()),
        Scenario::new("1 % loss on the 25", lossy.clone()),
        Scenario::new("75 and 25 Mbit/s, 0.1 ms", near),
        Scenario::new("BBR", usual()).with(Control::Bbr),
        Scenario::new("BBR, 1 % loss on the 25", lossy).with(Control::Bbr),
        Scenario::new("uploaded", usual()).streams(&[CLIENT]),
        Scenario::new("a program on the server itself", Plan { full: Full::Waits, ..usual() }),
        Scenario::new("four streams and voice", usual()).streams(&[SERVER; 4]).voice(),
        Scenario::new("both directions and voice", usual()).streams(&[CLIENT, SERVER]).voice(),
        Scenario::new("50, 30 and 10 Mbit/s, 20, 50, 100 ms", three),
        Scenario::new("80/8 and 20/4 Mbit/s", uneven),
        Scenario::new("100/2 and 50/1 Mbit/s", narrow()),
        Scenario::new("100/2 and 50/1 Mbit/s, BBR", narrow()).with(Control::Bbr),
        Scenario::new("20 Mbit/s by a satellite, 10 Mbit/s at 30 ms", Plan::new(&[(20, 300), (10, 15)])),
        Scenario::new("3 % loss on both, BBR", lossy_both).with(Control::Bbr),
        Scenario::new("queues of 5 ms", shallow(5, false)),
        Scenario::new("queues of 5 ms, BBR", shallow(5, false)).with(Control::Bbr),
        Scenario::new("no queues, bursts of 10 ms, BBR", shallow(10, true)).with(Control::Bbr),
        Scenario::new("20 ms of jitter on the 25", jitter(false)),
        Scenario::new("20 ms of jitter, overtaking", jitter(true)),
        Scenario::new("two radios, 20 ms of jitter", radios()),
        Scenario::new("two radios, BBR", radios()).with(Control::Bbr),
        Scenario::new("bursts of ten lost on the 25", bursts),
        Scenario::new("1 % come twice", usual().both(0, |way| way.twice = 10_000)),
        Scenario::new("links that buffer 500 ms", bloated),
        Scenario::new("the 75 falls to 30 for 3 s", slower(slower(usual(), 7_000, 30), 10_000, 75)),
        Scenario::new("the 25 dies at 7 s", usual().change(7_000, 1, Change::Dead(true))).voice(),
        Scenario::new("the 75 dies at 7 s", usual().change(7_000, 0, Change::Dead(true))).voice(),
        Scenario::new("the 25 dies and returns ten times", flapping).seconds(13),
        Scenario::new(
            "both get another NAT port",
            usual().change(7_000, 0, Change::Rebind).change(9_000, 1, Change::Rebind),
        ),
    ]
}
