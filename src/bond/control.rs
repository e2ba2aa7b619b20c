//! What the two ends say about a path, beside the data: probes, their answers, reports.
//!
//! Layouts, all numbers big endian, after the item's first byte:
//! - probe: token (4), then maybe [`Terms`]: 1, weight (2), cap (8); then zeros up to the size that is tried. Who does not know
//!   terms takes them for those;
//! - answer: token (4), time (4: microseconds of the answering end's clock, wrapping);
//! - report: path (1), session (1), highest counter (4), time (4: when that one came, as above), bytes (4: received by this path
//!   in this session, wrapping), then a map of the packets below the highest: bit i of it (the lowest bit of the first byte is
//!   bit 0) is the packet `highest - 1 - i`. Below the map all packets came, unless it has [`MAP`] bytes: then
//!   what is missing there is lost;
//! - close: nothing. The other end stops; it will not answer.
//!
//! Items of other kinds up to 0xcf are for later versions: they are ignored.

use super::frame::PathId;

/// The first byte of control items, up to [`LAST`]. Data items have others (`item`).
const PROBE: u8 = 0xc0;
const ANSWER: u8 = 0xc1;
const REPORT: u8 = 0xc2;
const CLOSE: u8 = 0xc3;
const LAST: u8 = 0xcf;

/// Before a probe's terms.
const TERMS: u8 = 1;
/// Below this, in bytes a second, a cap would be none that a person can set.
const LEAST_CAP: u64 = 8_000;

/// Bytes of a report's map: 1,024 packets. Of 30 % loss at 100 Mbit/s and 60 ms it holds the last 120 ms twice over.
pub const MAP: usize = 128;

/// What one end says about a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control<'i> {
    Probe { token: u32, terms: Option<Terms> },
    Answer { token: u32, at: u32 },
    Report(Report<'i>),
    Close,
}

/// On what terms the end that has the link lets the other one send by the path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Relative share for the scheduler `weighted`; 0: it is to send nothing, the link is given up.
    pub weight: u16,
    /// Bytes a second; 0: any.
    pub cap: u64,
}

impl Terms {
    pub const GIVEN_UP: Terms = Terms { weight: 0, cap: 0 };
    /// Those of a link that nothing was said of.
    pub const USUAL: Terms = Terms { weight: 1, cap: 0 };

    fn read(bytes: &[u8]) -> Option<Self> {
        let (&[kind, high, low], rest) = bytes.split_first_chunk()?;
        let cap = u64::from_be_bytes(*rest.first_chunk()?);
        let cap = if cap == 0 { 0 } else { cap.max(LEAST_CAP) };
        (kind == TERMS).then_some(Terms { weight: u16::from_be_bytes([high, low]), cap })
    }
}

/// What came by a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report<'i> {
    pub path: PathId,
    /// The last byte of the index of the session that the counters belong to.
    pub session: u8,
    pub highest: u32,
    pub at: u32,
    pub bytes: u32,
    pub map: &'i [u8],
}

/// Reads a control item. `None`: it is none, or not one that this version knows.
pub fn read(item: &[u8]) -> Option<Control<'_>> {
    let (kind, rest) = item.split_first()?;
    match *kind {
        PROBE => {
            let (token, rest) = number(rest)?;
            Some(Control::Probe { token, terms: Terms::read(rest) })
        }
        ANSWER => {
            let (token, rest) = number(rest)?;
            Some(Control::Answer { token, at: number(rest)?.0 })
        }
        REPORT => {
            let (&[path, session], rest) = rest.split_first_chunk()?;
            let (highest, rest) = number(rest)?;
            let (at, rest) = number(rest)?;
            let (bytes, map) = number(rest)?;
            let path = PathId::new(path)?;
            (map.len() <= MAP).then_some(Control::Report(Report { path, session, highest, at, bytes, map }))
        }
        CLOSE => Some(Control::Close),
        _ => None,
    }
}

/// Writes a control item; `fill` is the length that a probe is padded to.
pub fn write(control: &Control, fill: usize, out: &mut Vec<u8>) {
    out.clear();
    match control {
        Control::Probe { token, terms } => {
            out.push(PROBE);
            out.extend(token.to_be_bytes());
            if let Some(terms) = terms {
                out.push(TERMS);
                out.extend(terms.weight.to_be_bytes());
                out.extend(terms.cap.to_be_bytes());
            }
            if fill > out.len() {
                out.resize(fill, 0);
            }
        }
        Control::Answer { token, at } => {
            out.push(ANSWER);
            out.extend(token.to_be_bytes());
            out.extend(at.to_be_bytes());
        }
        Control::Report(report) => {
            out.extend([REPORT, report.path.number(), report.session]);
            for number in [report.highest, report.at, report.bytes] {
                out.extend(number.to_be_bytes());
            }
            out.extend(report.map);
        }
        Control::Close => out.push(CLOSE),
    }
}

/// Whether an item is one of these or of a later version's, by its first byte.
pub fn is_control(item: &[u8]) -> bool {
    item.first().is_some_and(|kind| (PROBE..=LAST).contains(kind))
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(item in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&item);
        }

        #[test]
        fn what_was_written_is_read(
            path in 0u8..16, session: u8, highest: u32, at: u32, bytes: u32,
            map in proptest::collection::vec(any::<u8>(), 0..=MAP), weight: u16, cap in LEAST_CAP..,
        ) {
            let path = PathId::new(path).unwrap();
            let mut item = Vec::new();
            for control in [
                Control::Probe { token: highest, terms: None },
                Control::Probe { token: highest, terms: Some(Terms { weight, cap }) },
                Control::Answer { token: highest, at },
                Control::Report(Report { path, session, highest, at, bytes, map: &map }),
                Control::Close,
            ] {
                write(&control, 40, &mut item);
                prop_assert!(is_control(&item));
                prop_assert_eq!(read(&item), Some(control));
            }
        }
    }

    #[test]
    fn terms_are_whole_or_none_and_no_cap_stops_a_path() {
        let terms = Some(Terms { weight: 3, cap: 250_000 });
        let mut item = Vec::new();
        for fill in [0, 1_400] {
            write(&Control::Probe { token: 7, terms }, fill, &mut item);
            assert_eq!(read(&item), Some(Control::Probe { token: 7, terms }));
        }
        item.truncate(16);
        for length in 5..16 {
            assert_eq!(read(&item[..length]), Some(Control::Probe { token: 7, terms: None }), "{length} bytes");
        }
        item[5] = 2;
        assert_eq!(read(&item), Some(Control::Probe { token: 7, terms: None }), "of a later version");
        for (cap, read_as) in [(0, 0), (1, LEAST_CAP), (u64::MAX, u64::MAX)] {
            write(&Control::Probe { token: 7, terms: Some(Terms { weight: 1, cap }) }, 0, &mut item);
            let terms = Some(Terms { weight: 1, cap: read_as });
            assert_eq!(read(&item), Some(Control::Probe { token: 7, terms }));
        }
    }

    /// What an older version knows of a probe is its token: terms must not be a kind of their own, which it would take for data.
    #[test]
    fn later_kinds_are_control_and_unknown() {
        for kind in CLOSE + 1..=LAST {
            assert!(is_control(&[kind, 1, 2, 3, 4, 5]) && read(&[kind, 1, 2, 3, 4, 5]).is_none());
        }
    }

    #[test]
    fn a_map_that_is_too_long_is_refused() {
        let mut item = vec![REPORT, 1, 0];
        item.extend([0; 12]);
        item.extend([0; MAP]);
        assert!(read(&item).is_some());
        item.push(0);
        assert_eq!(read(&item), None);
    }
}
