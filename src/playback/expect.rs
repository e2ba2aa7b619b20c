//! Packets that came, against those that were expected.

use super::dissect::dissect_fully;
use super::field::{Field, Packet, Section, Value};
use super::options::padded;
use super::read::spec;
use super::write::value;

/// Where a packet is not as expected, a line for each field; empty if it is. Fields that `expected` leaves out match anything.
pub fn differences(expected: &Packet, came: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    compare(expected, &dissect_fully(came), "", &mut lines);
    lines
}

fn compare(expected: &Packet, came: &Packet, path: &str, lines: &mut Vec<String>) {
    for section in [Section::Ip, Section::Tcp, Section::Udp, Section::Icmp] {
        if expected.has(section) && !came.has(section) {
            lines.push(format!("{path}{}: expected, but there is none", section.name()));
        }
    }
    for (field, wanted) in expected.values() {
        let Some(spec) = spec(*field) else { continue };
        // They say how a packet is sent, and nothing about one that came.
        let about_sending = matches!(field, Field::Comment | Field::Time | Field::Cut);
        // Said once for the whole section.
        let without_section = spec.section != Section::Top && !came.has(spec.section);
        if about_sending || without_section {
            continue;
        }
        let dot = if spec.section == Section::Top { "" } else { "." };
        let name = format!("{path}{}{dot}{}", spec.section.name(), spec.name);
        match (wanted, came.get(*field)) {
            (Value::Packet(wanted), Some(Value::Packet(got))) => compare(wanted, got, &format!("{name}."), lines),
            (wanted, Some(got)) if same(*field, wanted, got) => {}
            // What is empty is left out of a packet.
            (Value::Bytes(wanted), None) if wanted.is_empty() => {}
            (wanted, got) => {
                let got = got.map_or_else(|| "none".into(), |got| value(came, *field, got));
                lines.push(format!("{name}: expected {}, came {got}", value(expected, *field, wanted)));
            }
        }
    }
}

fn same(field: Field, wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
        (Value::Bytes(wanted), Value::Bytes(got)) if matches!(field, Field::TcpOptions | Field::IpOptions) => {
            padded(wanted) == padded(got)
        }
        _ => wanted == got,
    }
}

/// The most packets that may be expected: each that comes is compared with each of them, and each may fit all.
pub const MOST: usize = 4_096;

/// Which of the packets that came stands for which expected one. Each stands for one at most, in whatever order they came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Matching {
    /// For each expected packet the one that stands for it. Others are not kept, however many come: what finds no place when
    /// it comes never will, since a place that is taken stays taken.
    taken: Vec<Option<Came>>,
    /// How many came.
    count: usize,
}

/// A packet that came: its number, from 1, and the expected ones that it fits.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Came {
    number: usize,
    fits: Vec<u16>,
}

impl Matching {
    pub fn new(expected: usize) -> Self {
        Matching { taken: vec![None; expected.min(MOST)], count: 0 }
    }

    /// Another packet is there, and fits these. Gives its number. It finds a place by moving others to theirs where that
    /// helps (an augmenting path of a bipartite graph): what matches anything does not take away what another needs.
    pub fn add(&mut self, fits: impl Iterator<Item = usize>) -> usize {
        self.count += 1;
        let new = Came { number: self.count, fits: fits.filter_map(|at| u16::try_from(at).ok()).collect() };
        // Breadth first: places, and from which of them each was reached. The new packet's own are reached from none.
        let mut seen = vec![false; self.taken.len()];
        let mut reached: Vec<(usize, Option<usize>)> = Vec::new();
        let mut look = |fits: &[u16], from: Option<usize>, reached: &mut Vec<(usize, Option<usize>)>| {
            for at in fits.iter().map(|at| usize::from(*at)) {
                if let Some(seen) = seen.get_mut(at).filter(|seen| !**seen) {
                    *seen = true;
                    reached.push((at, from));
                }
            }
        };
        look(&new.fits, None, &mut reached);
        let mut step = 0;
        while let Some((at, from)) = reached.get(step).copied() {
            match self.taken.get(at) {
                Some(Some(came)) => look(&came.fits, Some(step), &mut reached),
                _ => {
                    self.shift(&reached, at, from, new);
                    break;
                }
            }
            step += 1;
        }
        self.count
    }

    /// Moves each packet on the way to the free place one on; the new one gets the first.
    fn shift(&mut self, reached: &[(usize, Option<usize>)], mut free: usize, mut from: Option<usize>, new: Came) {
        while let Some((at, before)) = from.and_then(|step| reached.get(step).copied()) {
            let moved = self.taken.get_mut(at).and_then(Option::take);
            self.put(free, moved);
            (free, from) = (at, before);
        }
        self.put(free, Some(new));
    }

    fn put(&mut self, at: usize, came: Option<Came>) {
        if let Some(place) = self.taken.get_mut(at) {
            *place = came;
        }
    }

    /// How many came.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn is_complete(&self) -> bool {
        self.taken.iter().all(Option::is_some)
    }

    /// The expected packets that none stands for.
    pub fn missing(&self) -> impl Iterator<Item = usize> {
        self.taken.iter().enumerate().filter(|(_, taken)| taken.is_none()).map(|(at, _)| at)
    }

    /// Whether packet `number` stands for an expected one.
    pub fn is_taken(&self, number: usize) -> bool {
        self.taken.iter().flatten().any(|came| came.number == number)
    }
}
