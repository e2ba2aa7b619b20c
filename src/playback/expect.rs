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

/// Which of the packets that came stands for which expected one. Each stands for one at most, in whatever order they came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Matching {
    /// For each expected packet those that fit it.
    fitting: Vec<Vec<usize>>,
    /// For each expected packet the one that it has.
    taken: Vec<Option<usize>>,
}

impl Matching {
    pub fn new(expected: usize) -> Self {
        Matching { fitting: vec![Vec::new(); expected], taken: vec![None; expected] }
    }

    /// Packet number `came` is there, and fits these. They are found partners by exchanging others' where that helps (an
    /// augmenting path of a bipartite graph): what matches anything does not take away what another needs.
    pub fn add(&mut self, came: usize, fits: impl Iterator<Item = usize>) {
        for at in fits {
            self.fitting.iter_mut().skip(at).take(1).for_each(|fitting| fitting.push(came));
        }
        for at in 0..self.taken.len() {
            if self.taken.get(at) == Some(&None) {
                let mut seen = Vec::new();
                self.augment(at, &mut seen);
            }
        }
    }

    fn augment(&mut self, at: usize, seen: &mut Vec<usize>) -> bool {
        for came in self.fitting.get(at).cloned().unwrap_or_default() {
            if seen.contains(&came) {
                continue;
            }
            seen.push(came);
            let owner = self.taken.iter().position(|taken| *taken == Some(came));
            if owner.is_none_or(|owner| self.augment(owner, seen)) {
                self.taken.iter_mut().skip(at).take(1).for_each(|taken| *taken = Some(came));
                return true;
            }
        }
        false
    }

    pub fn is_complete(&self) -> bool {
        self.taken.iter().all(Option::is_some)
    }

    /// The expected packets that none stands for.
    pub fn missing(&self) -> impl Iterator<Item = usize> {
        self.taken.iter().enumerate().filter(|(_, taken)| taken.is_none()).map(|(at, _)| at)
    }

    pub fn is_taken(&self, came: usize) -> bool {
        self.taken.contains(&Some(came))
    }
}
