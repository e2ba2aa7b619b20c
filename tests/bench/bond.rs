//! The bond between two daemons: one TCP stream, a call, and what both cost, over links of all sorts.

mod beside;
mod clients;
mod pages;
mod pair;
mod runs;
mod slow;

use crate::Effort;
use crate::table::Row;
use pair::Link;

/// What is measured over which links.
pub struct Scenario {
    /// `cargo bench --bench bench -- bond NAME`.
    pub name: &'static str,
    links: &'static [Link],
    scheduler: &'static str,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    /// One TCP stream by this congestion control; the least share of the wires' rate that it has to get.
    Stream {
        congestion: &'static str,
        upload: bool,
        share: f64,
    },
    /// A call while link 1 is a black hole for six seconds; how many of its 2,800 datagrams may be lost.
    Hole {
        lost: u32,
    },
    /// A call alone; none of its datagrams may be lost.
    Call,
    /// Files, one after the other.
    Pages,
    /// A stream in the tunnel, and one beside it on each link.
    Shared,
    /// A stream while link 1 goes ten times.
    Flapping,
    /// A stream over a cable that is as fast as memory.
    Unshaped,
    /// The same, with a client whose processors are as slow as a router's: one of them, and two.
    Slow,
    Idle,
    /// Two hundred clients of one server.
    Clients,
    /// No bond: what the lab's wires, and this congestion control, themselves let through; the least share.
    Wire {
        congestion: &'static str,
        share: f64,
    },
}

const FAST: Link = Link::new(75, 20.0);
const SLOW: Link = Link::new(25, 60.0);
const USUAL: &[Link] = &[FAST, SLOW];
const LOSSY: &[Link] = &[FAST, SLOW.loss(1)];
/// Both lose, as radios at the edge of their reach do.
const RAGGED: &[Link] = &[FAST.loss(1), SLOW.loss(1)];
const ROUGH: &[Link] = &[FAST.loss(3), SLOW.loss(3)];
const NEAR: &[Link] = &[Link::new(75, 0.1), Link::new(25, 0.1)];
const THREE: &[Link] = &[Link::new(50, 15.0), Link::new(20, 40.0), Link::new(8, 80.0)];
const BAD: &[Link] = &[Link::new(20, 20.0), Link::new(20, 40.0).loss(30), Link::new(20, 30.0)];
const JITTERY: &[Link] = &[FAST, SLOW.jitter(20)];
/// Two modems whose radios answer when they like.
const MOBILE: &[Link] = &[Link::new(40, 40.0).jitter(20), Link::new(30, 50.0).jitter(20)];
/// As cable modems are: up there is a fiftieth of what there is down.
const NARROW: &[Link] = &[Link::new(100, 20.0).up(2), Link::new(50, 30.0).up(1)];
const SATELLITE: &[Link] = &[Link::new(10, 30.0), Link::new(20, 600.0)];
const SHALLOW: &[Link] = &[FAST.queue(5), SLOW.queue(5)];
/// As providers cap rates that sell less than their lines carry.
const POLICED: &[Link] = &[FAST.policed(20), SLOW.policed(20)];
const ASYMMETRIC: &[Link] = &[FAST.up(15), SLOW.up(5)];

const fn stream(name: &'static str, links: &'static [Link], congestion: &'static str, share: f64) -> Scenario {
    Scenario { name, links, scheduler: "adaptive", what: What::Stream { congestion, upload: false, share } }
}

const fn wire(name: &'static str, links: &'static [Link], congestion: &'static str, share: f64) -> Scenario {
    Scenario { name, links, scheduler: "", what: What::Wire { congestion, share } }
}

pub const SCENARIOS: &[Scenario] = &[
    wire("wire", &[Link::new(100, 0.1)], "cubic", 0.95),
    // The usual two in one.
    wire("whole-cubic", &[Link::new(100, 20.0)], "cubic", 0.0),
    wire("whole-bbr", &[Link::new(100, 20.0)], "bbr", 0.0),
    stream("cubic", USUAL, "cubic", 0.93),
    stream("bbr", USUAL, "bbr", 0.93),
    stream("lossy-cubic", LOSSY, "cubic", 0.90),
    stream("lossy-bbr", LOSSY, "bbr", 0.90),
    stream("ragged-cubic", RAGGED, "cubic", 0.0),
    stream("ragged-bbr", RAGGED, "bbr", 0.0),
    stream("rough-cubic", ROUGH, "cubic", 0.0),
    stream("rough-bbr", ROUGH, "bbr", 0.0),
    stream("near-cubic", NEAR, "cubic", 0.92),
    stream("near-bbr", NEAR, "bbr", 0.92),
    stream("three", THREE, "cubic", 0.0),
    stream("jitter", JITTERY, "cubic", 0.0),
    stream("mobile", MOBILE, "cubic", 0.0),
    stream("narrow", NARROW, "cubic", 0.0),
    stream("satellite", SATELLITE, "cubic", 0.0),
    stream("shallow", SHALLOW, "cubic", 0.0),
    stream("policed-cubic", POLICED, "cubic", 0.0),
    stream("policed-bbr", POLICED, "bbr", 0.0),
    stream("down", ASYMMETRIC, "cubic", 0.0),
    Scenario {
        name: "up",
        links: ASYMMETRIC,
        scheduler: "adaptive",
        what: What::Stream { congestion: "cubic", upload: true, share: 0.0 },
    },
    Scenario { name: "pages", links: USUAL, scheduler: "adaptive", what: What::Pages },
    Scenario { name: "pages-lossy", links: RAGGED, scheduler: "adaptive", what: What::Pages },
    Scenario { name: "pages-rough", links: ROUGH, scheduler: "adaptive", what: What::Pages },
    Scenario { name: "pages-mobile", links: MOBILE, scheduler: "adaptive", what: What::Pages },
    Scenario { name: "shared", links: USUAL, scheduler: "adaptive", what: What::Shared },
    Scenario { name: "flapping", links: USUAL, scheduler: "adaptive", what: What::Flapping },
    Scenario { name: "hole", links: USUAL, scheduler: "adaptive", what: What::Hole { lost: 20 } },
    Scenario { name: "hole-redundant", links: USUAL, scheduler: "redundant", what: What::Hole { lost: 0 } },
    Scenario { name: "bad-redundant", links: BAD, scheduler: "redundant", what: What::Call },
    Scenario { name: "unshaped", links: &[], scheduler: "adaptive", what: What::Unshaped },
    Scenario { name: "slow", links: &[], scheduler: "adaptive", what: What::Slow },
    Scenario { name: "resting", links: USUAL, scheduler: "adaptive", what: What::Idle },
    Scenario { name: "clients", links: &[], scheduler: "adaptive", what: What::Clients },
];

pub fn rows(effort: Effort) -> Vec<Row> {
    let wanted =
        |scenario: &&Scenario| effort.scenarios.is_empty() || effort.scenarios.iter().any(|name| name == scenario.name);
    SCENARIOS.iter().filter(wanted).flat_map(|scenario| scenario.rows(effort)).collect()
}

impl Scenario {
    fn rows(&self, effort: Effort) -> Vec<Row> {
        let rows = match self.what {
            What::Stream { congestion, upload, share } => runs::stream(self, effort, congestion, upload, share),
            What::Hole { lost } => runs::hole(self, lost),
            What::Call => runs::call(self, effort),
            What::Pages => pages::rows(self, effort),
            What::Shared => runs::shared(self, effort),
            What::Flapping => runs::flapping(self, effort),
            What::Unshaped => runs::unshaped(self, effort),
            What::Slow => slow::rows(self, effort),
            What::Idle => runs::idle(self, effort),
            What::Clients => clients::rows(effort),
            What::Wire { congestion, share } => runs::wire(self, effort, congestion, share),
        };
        for row in &rows {
            eprintln!("  {}: {} ({})", row.what, row.figure, row.detail);
        }
        rows
    }
}
