//! Items: what one datagram carries after decryption. Data items are here, control items in `control`.
//!
//! A data item is: kind (1), flow (1), sequence in that flow (3, big endian), then by kind
//! - whole: an IP packet;
//! - squeezed: a TCP packet with a compressed header ([`super::squeeze`]);
//! - first, last: the two pieces of a packet too long for a datagram, with consecutive sequences ([`super::pieces`]).
//!
//! Bit 3 of the kind says that the packet's checksum is pending: its field holds the pseudo-header's sum (a squeezed packet has
//! no such field at all), the receiving kernel fills it in. Bit 2 says that TCP sends these bytes again: it is not to overtake what is
//! older ([`super::order`]). Bit 6 says that it is patient: those before it are about to come, for it left early, by a path
//! that lags, or by one whose delay varies by as much as paths differ.
//!
//! An acknowledgment of TCP among others of its flow is loose: kind (1), flow (1), then as whole or squeezed. It passes at once, and
//! is neither waited for nor sent again: the next one says all that it says ([`super::acks`]).
//!
//! The item `context` is: kind (1), name (2), then the header that the squeezed packets of that name are compared with. It has no
//! sequence: it is learned as soon as it arrives, whatever else waits.

use super::squeeze::Name;

/// Bytes before what a data item carries.
pub const OVERHEAD: usize = 5;
/// Sequence numbers have 24 bits.
pub const SEQUENCES: u32 = 1 << 24;

/// Kinds of data items are 0x10 to 0x1f and 0x50 to 0x5f: this one, the form, and maybe [`PENDING`], [`AGAIN`] and [`PATIENT`].
const DATA: u8 = 0x10;
const PENDING: u8 = 0x08;
const AGAIN: u8 = 0x04;
const PATIENT: u8 = 0x40;
const CONTEXT: u8 = 0x20;
/// A loose item's kind, as a data item's: whole or squeezed, and maybe [`PENDING`].
const LOOSE: u8 = 0x30;

/// How a data item carries its packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Whole,
    Squeezed,
    First,
    Last,
}

/// An item that is none of `control`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item<'i> {
    Data(Data<'i>),
    /// Its sequence says nothing.
    Loose(Data<'i>),
    Context {
        name: Name,
        head: &'i [u8],
    },
}

/// A packet, or a piece of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Data<'i> {
    pub form: Form,
    pub pending: bool,
    /// TCP has sent these bytes before.
    pub again: bool,
    /// It waits for those before it.
    pub patient: bool,
    pub flow: u8,
    /// Below [`SEQUENCES`].
    pub sequence: u32,
    /// Never empty.
    pub rest: &'i [u8],
}

/// Reads an item. `None`: it is cut short, or of a kind that this version does not know.
pub fn read(item: &[u8]) -> Option<Item<'_>> {
    match item {
        [kind, flow, rest @ ..] if kind & !(PENDING | 1) == LOOSE && !rest.is_empty() => {
            let form = if kind & 1 == 0 { Form::Whole } else { Form::Squeezed };
            let pending = kind & PENDING != 0;
            Some(Item::Loose(Data { form, pending, again: false, patient: false, flow: *flow, sequence: 0, rest }))
        }
        [CONTEXT, a, b, head @ ..] => Some(Item::Context { name: Name::from_bytes([*a, *b]), head }),
        [kind, flow, a, b, c, rest @ ..] if !rest.is_empty() => {
            let form = match kind & !(PENDING | AGAIN | PATIENT) {
                DATA => Form::Whole,
                0x11 => Form::Squeezed,
                0x12 => Form::First,
                0x13 => Form::Last,
                _ => return None,
            };
            let sequence = u32::from_be_bytes([0, *a, *b, *c]);
            let [pending, again, patient] = [PENDING, AGAIN, PATIENT].map(|bit| kind & bit != 0);
            Some(Item::Data(Data { form, pending, again, patient, flow: *flow, sequence, rest }))
        }
        _ => None,
    }
}

/// Appends a data item's first [`OVERHEAD`] bytes; the caller appends what it carries. Of the sequence the low 24 bits count.
pub fn begin(form: Form, pending: bool, flow: u8, sequence: u32, out: &mut Vec<u8>) {
    let [_, a, b, c] = sequence.to_be_bytes();
    out.extend([kind(form, pending), flow, a, b, c]);
}

/// The same for a loose item, which is whole or squeezed.
pub fn begin_loose(form: Form, pending: bool, flow: u8, out: &mut Vec<u8>) {
    out.extend([kind(form, pending) ^ DATA ^ LOOSE, flow]);
}

/// Whether an item is loose.
pub fn is_loose(item: &[u8]) -> bool {
    item.first().is_some_and(|kind| kind & !(PENDING | 1) == LOOSE)
}

/// Says of a data item that TCP has sent its bytes before.
pub fn mark_again(item: &mut [u8]) {
    if let Some(kind) = item.first_mut() {
        *kind |= AGAIN;
    }
}

/// Whether TCP has sent a data item's bytes before.
pub fn is_again(item: &[u8]) -> bool {
    item.first().is_some_and(|kind| kind & AGAIN != 0)
}

/// Says of a data item that it waits for those before it. Others wait for nothing.
pub fn mark_patient(item: &mut [u8]) {
    if let Some(kind) = item.first_mut().filter(|kind| **kind & !(PENDING | AGAIN | PATIENT | 3) == DATA) {
        *kind |= PATIENT;
    }
}

/// The flow of a data item.
pub fn flow(item: &[u8]) -> u8 {
    item.get(1).copied().unwrap_or_default()
}

/// Appends the item that makes a context known.
pub fn context(name: Name, head: &[u8], out: &mut Vec<u8>) {
    let [a, b] = name.to_bytes();
    out.extend([CONTEXT, a, b]);
    out.extend(head);
}

fn kind(form: Form, pending: bool) -> u8 {
    let form = match form {
        Form::Whole => 0,
        Form::Squeezed => 1,
        Form::First => 2,
        Form::Last => 3,
    };
    DATA | form | if pending { PENDING } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(item in proptest::collection::vec(any::<u8>(), 0..80), kind in 0x0fu8..0x62) {
            let mut item = item;
            if let Some(first) = item.first_mut() {
                *first = kind;
            }
            // What is read is written back as it was: nothing has two spellings.
            if let Some(read) = read(&item) {
                let mut again = Vec::new();
                match read {
                    Item::Data(data) => {
                        begin(data.form, data.pending, data.flow, data.sequence, &mut again);
                        again.extend(data.rest);
                        if data.again {
                            mark_again(&mut again);
                        }
                        if data.patient {
                            mark_patient(&mut again);
                        }
                    }
                    Item::Loose(data) => {
                        begin_loose(data.form, data.pending, data.flow, &mut again);
                        again.extend(data.rest);
                        mark_patient(&mut again);
                    }
                    Item::Context { name, head } => {
                        context(name, head, &mut again);
                        mark_patient(&mut again);
                    }
                }
                prop_assert_eq!(again, item);
            }
        }

        #[test]
        fn what_was_written_is_read(flow: u8, sequence in 0..SEQUENCES, pending: bool, rest in proptest::collection::vec(any::<u8>(), 1..80)) {
            for form in [Form::Whole, Form::Squeezed, Form::First, Form::Last] {
                let rest = rest.clone();
                let mut item = Vec::new();
                begin(form, pending, flow, sequence, &mut item);
                prop_assert_eq!(item.len(), OVERHEAD);
                prop_assert_eq!(read(&item), None, "an empty one");
                item.extend(&rest);
                let mut data = Data { form, pending, again: false, patient: false, flow, sequence, rest: &rest };
                prop_assert_eq!(read(&item), Some(Item::Data(data)));
                data.again = true;
                mark_again(&mut item);
                prop_assert_eq!(read(&item), Some(Item::Data(data)));
                data.patient = true;
                mark_patient(&mut item);
                prop_assert_eq!(read(&item), Some(Item::Data(data)));
            }
        }
    }
}
