//! Compression of inner TCP headers, without chains: each squeezed packet is read on its own, whatever was lost before it.
//!
//! A **context** is a header of the flow that the sender has made known (item `context`) and the peer has confirmed. A squeezed packet
//! names it and carries what differs: a full-size segment with timestamps has 12 bytes instead of 52 (IPv6: 72).
//!
//! Layout: context (1: way in the flow's bucket and generation), flags (1), then
//! IPv4 without DF: identification (2) · `EXTRA`: TCP flags (1), TOS or traffic class (1) · `SEQUENCE` (4) · `ACKNOWLEDGMENT` (4) ·
//! `WINDOW` (2) · if the context has timestamps, how far each is from the context's: value (2, with `WIDE` 4), with `ECHO` the echo (as
//! long) · checksum (2) if it is not pending · `OPTIONS`: number of 32-bit words (1) and the options after the timestamps ·
//! payload. What is missing is the context's; lengths follow from the datagram's.
//!
//! All comes back as it was, but the identification of IPv4 packets that may not be fragmented: it becomes 0, as RFC 6864 4.1 allows.
//! Packets that do not fit (SYN, urgent data, fragments, IP options, extension headers, other options before the timestamps, wrong
//! lengths or checksums) are not squeezed.

use super::flow::{ORDERED, Packet};
use crate::packet::checksum::{closed, words};
use crate::packet::numbers::flags::{ACK, PSH, SYN, URG};
use crate::time::{Span, Time};

mod mould;
use mould::{ACKNOWLEDGMENT, ECHO, EXTRA, Head, Mould, OPTIONS, PUSH, SEQUENCE, WIDE, WINDOW, pseudo};

/// What usually replaces the headers of a segment of a bulk transfer: no more, with the checksum not pending.
pub const USUAL: usize = 12;

/// Contexts of one flow tag: flows that share it, and old contexts of flows whose new ones are being made known.
const WAYS: usize = 4;
/// A context's number in its way. With [`LIFE`] none comes back before 12 s, far longer than any datagram travels.
const GENERATIONS: u8 = 64;
/// A way gets no new context sooner.
const LIFE: Span = Span::from_millis(200);
/// A way may be taken from a flow after this silence: what was squeezed with it has arrived by then, or is lost.
const IDLE: Span = Span::from_millis(500);
/// Segments before a context is made known. Shorter flows are not worth a datagram more.
const WORTH: u8 = 3;
/// A context that is not confirmed is made known again after this time.
const AGAIN: Span = Span::from_millis(100);
/// Segments in a row that differ in the same way from the context (a new acknowledgment, another window): a new one saves bytes.
const SETTLED: u8 = 8;
/// A context's name: flow tag, way and generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name(u16);

impl Name {
    pub fn from_bytes(bytes: [u8; 2]) -> Self {
        Name(u16::from_be_bytes(bytes))
    }

    pub fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    fn new(flow: u8, way: usize, generation: u8) -> Self {
        Name(u16::from(flow) << 8 | (way as u16) << 6 | u16::from(generation % GENERATIONS))
    }

    fn flow(self) -> usize {
        usize::from(self.0 >> 8)
    }

    fn way(self) -> usize {
        usize::from(self.0 >> 6) % WAYS
    }

    fn generation(self) -> u8 {
        self.0 as u8 % GENERATIONS
    }
}

/// What came of one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Squeezed {
    /// The squeezed packet was appended; if not, nothing was, and the packet travels whole.
    pub done: bool,
    /// This context wants to be made known: send [`Squeezer::context`], and say [`Squeezer::confirmed`] when it arrived.
    pub announce: Option<Name>,
}

/// The sending side: contexts of one peer.
#[derive(Debug)]
pub struct Squeezer {
    /// Those of each ordered flow tag, allocated when it has its first TCP segment: 90 KB if all have.
    buckets: Vec<Option<Box<[Context; WAYS]>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Free,
    /// So many segments so far.
    Young(u8),
    /// Made known at this time.
    Announced(Time),
    Confirmed,
}

#[derive(Clone, Copy, Debug)]
struct Context {
    head: Head,
    state: State,
    generation: u8,
    /// When its generation began.
    since: Option<Time>,
    used: Time,
    /// Acknowledgment and window of the last segment, and how many in a row had them though the context has others.
    last: [u8; 6],
    settled: u8,
}

const FREE: Context = Context {
    head: Head::NONE,
    state: State::Free,
    generation: 0,
    since: None,
    used: Time(0),
    last: [0; 6],
    settled: 0,
};

impl Default for Squeezer {
    fn default() -> Self {
        let mut buckets = Vec::new();
        buckets.resize_with(ORDERED.into(), || None);
        Squeezer { buckets }
    }
}

impl Squeezer {
    /// Appends the squeezed packet to `out`, if that can be done. `flow` is its tag.
    pub fn squeeze(&mut self, packet: &Packet, flow: u8, now: Time, out: &mut Vec<u8>) -> Squeezed {
        let none = Squeezed::default();
        let Some(mould) = Mould::of(packet) else { return none };
        let Some(bucket) = self.buckets.get_mut(usize::from(flow)) else { return none };
        let ways = bucket.get_or_insert_with(|| Box::new([FREE; WAYS]));
        // The newest confirmed context of the flow, and one that is on the way to it.
        let (mut ready, mut coming) = (None, None);
        for (way, context) in ways.iter().enumerate() {
            if context.state == State::Free || !mould.fits(&context.head) {
                continue;
            }
            if context.state != State::Confirmed {
                coming = Some(way);
            } else if ready.is_none_or(|(since, _)| context.since > since) {
                ready = Some((context.since, way));
            }
        }
        let mut done = false;
        let mut wanted = 1;
        if let Some((_, way)) = ready {
            let Some(context) = ways.get_mut(way) else { return none };
            context.used = now;
            let name = Name::new(flow, way, context.generation);
            let Some(far) = mould.write(packet, &context.head, name, out) else { return none };
            done = true;
            if !far && !context.is_settled(&mould) {
                return Squeezed { done, announce: None };
            }
            wanted = WORTH;
        }
        let way = coming.or_else(|| {
            let idle = |context: &Context| context.state == State::Free || now.since(context.used) >= IDLE;
            let found = ways.iter().enumerate().filter(|(_, context)| idle(context));
            let (way, context) = found.min_by_key(|(_, context)| (context.state != State::Free, context.used))?;
            let (generation, since) = (context.generation, context.since);
            *ways.get_mut(way)? = Context { generation, since, state: State::Young(0), head: mould.head(), ..FREE };
            Some(way)
        });
        let announce = way.and_then(|way| {
            let context = ways.get_mut(way)?;
            context.used = now;
            match context.state {
                State::Young(segments) => {
                    let segments = segments.saturating_add(1).max(wanted);
                    context.state = State::Young(segments);
                    if segments < WORTH || context.since.is_some_and(|since| now.since(since) < LIFE) {
                        return None;
                    }
                    context.head = mould.head();
                    context.generation = (context.generation + 1) % GENERATIONS;
                    context.since = Some(now);
                }
                State::Announced(at) if now.since(at) >= AGAIN => {}
                _ => return None,
            }
            context.state = State::Announced(now);
            Some(Name::new(flow, way, context.generation))
        });
        Squeezed { done, announce }
    }

    /// The header to make known under a name. `None`: the name has become another's.
    pub fn context(&self, name: Name) -> Option<&[u8]> {
        let context = self.buckets.get(name.flow())?.as_ref()?.get(name.way())?;
        // A young one still has its predecessor's generation.
        let named =
            context.generation == name.generation() && matches!(context.state, State::Announced(_) | State::Confirmed);
        context.head.bytes().filter(|_| named)
    }

    /// The peer has received the item that made a context known.
    pub fn confirmed(&mut self, name: Name) {
        if let Some(context) = self.find(name).filter(|context| matches!(context.state, State::Announced(_))) {
            context.state = State::Confirmed;
        }
    }

    /// The peer does not know a context, or knows it no more.
    pub fn refused(&mut self, name: Name) {
        if let Some(context) = self.find(name).filter(|context| context.state == State::Confirmed) {
            context.state = State::Free;
        }
    }

    /// The peer has begun anew and knows nothing.
    pub fn reset(&mut self) {
        *self = Squeezer::default();
    }

    /// Bytes of memory.
    pub fn held(&self) -> usize {
        size_of_val(&*self.buckets) + self.buckets.iter().flatten().map(|bucket| size_of_val(&**bucket)).sum::<usize>()
    }

    fn find(&mut self, name: Name) -> Option<&mut Context> {
        let context = self.buckets.get_mut(name.flow())?.as_mut()?.get_mut(name.way())?;
        (context.generation == name.generation()).then_some(context)
    }
}

impl Context {
    /// Notes a segment: whether it and those before have the same acknowledgment and window, other than the context's.
    fn is_settled(&mut self, mould: &Mould) -> bool {
        let mut now = [0; 6];
        let [a, b] = mould.window();
        now[..4].copy_from_slice(&mould.number(8));
        now[4..].copy_from_slice(&[a, b]);
        let known = self.head.mould().is_some_and(|head| head.number(8) == now[..4] && head.window() == now[4..]);
        let same = core::mem::replace(&mut self.last, now) == now;
        self.settled = if same && !known { self.settled.saturating_add(1) } else { 0 };
        self.settled >= SETTLED
    }
}

/// The receiving side: contexts of one peer.
#[derive(Debug)]
pub struct Expander {
    /// As the sender's: 60 KB if all ways of all flow tags are in use.
    buckets: Vec<Option<Box<[Known; WAYS]>>>,
}

type Known = Option<(u8, Head)>;

impl Default for Expander {
    fn default() -> Self {
        let mut buckets = Vec::new();
        buckets.resize_with(ORDERED.into(), || None);
        Expander { buckets }
    }
}

impl Expander {
    /// Learns a context. False: it is no good header, or older than what the name's place holds.
    pub fn learn(&mut self, name: Name, head: &[u8]) -> bool {
        let Some(head) = Head::new(head) else { return false };
        let Some(bucket) = self.buckets.get_mut(name.flow()) else { return false };
        let Some(place) = bucket.get_or_insert_with(|| Box::new([None; WAYS])).get_mut(name.way()) else {
            return false;
        };
        let generation = name.generation();
        // One that was made known twice may come again after its successor.
        if place.is_some_and(|(known, _)| generation.wrapping_sub(known) % GENERATIONS >= GENERATIONS / 2) {
            return false;
        }
        *place = Some((generation, head));
        true
    }

    /// Rebuilds a squeezed packet: its header is written to `out`, its payload returned. `None`: the context is not known, or the
    /// packet is malformed.
    pub fn expand<'i>(&self, squeezed: &'i [u8], flow: u8, pending: bool, out: &mut Vec<u8>) -> Option<&'i [u8]> {
        out.clear();
        let (&[context, flags], mut rest) = squeezed.split_first_chunk()?;
        let name = Name(u16::from(flow) << 8 | u16::from(context));
        let known = self.buckets.get(name.flow())?.as_ref()?.get(name.way())?.as_ref();
        let (_, head) = known.filter(|(generation, _)| *generation == name.generation())?;
        let base = head.mould()?;
        out.extend_from_slice(base.head);
        let (ip, v6) = (base.ip, base.is_v6());
        if !v6 {
            let id = if base.may_fragment() { take(&mut rest)? } else { [0; 2] };
            put(out, 4, &id)?;
        }
        put(out, ip + 13, &[if flags & PUSH != 0 { ACK | PSH } else { ACK }])?;
        if flags & EXTRA != 0 {
            let [tcp, tos] = take(&mut rest)?;
            if flags & PUSH != 0 || tcp & (SYN | URG) != 0 {
                return None;
            }
            put(out, ip + 13, &[tcp])?;
            match out.get(..2) {
                Some([a, b]) if v6 => {
                    let both = [a & 0xf0 | tos >> 4, b & 0x0f | tos << 4];
                    put(out, 0, &both)?;
                }
                _ => put(out, 1, &[tos])?,
            }
        }
        if flags & SEQUENCE != 0 {
            put(out, ip + 4, &take::<4>(&mut rest)?)?;
        }
        if flags & ACKNOWLEDGMENT != 0 {
            put(out, ip + 8, &take::<4>(&mut rest)?)?;
        }
        if flags & WINDOW != 0 {
            put(out, ip + 14, &take::<2>(&mut rest)?)?;
        }
        for (at, present) in [(24, true), (28, flags & ECHO != 0)] {
            if base.stamps && present {
                let far = if flags & WIDE != 0 {
                    u32::from_be_bytes(take(&mut rest)?)
                } else {
                    u16::from_be_bytes(take(&mut rest)?).into()
                };
                let stamp = u32::from_be_bytes(base.number(at)).wrapping_add(far);
                put(out, ip + at, &stamp.to_be_bytes())?;
            }
        }
        let checksum = if pending { [0; 2] } else { take(&mut rest)? };
        if flags & OPTIONS != 0 {
            let [words] = take(&mut rest)?;
            let (options, payload) = rest.split_at_checked(usize::from(words) * 4)?;
            out.extend_from_slice(options);
            rest = payload;
        }
        let header = u8::try_from((out.len() - ip) / 4).ok().filter(|words| *words < 16)?;
        put(out, ip + 12, &[header << 4])?;
        let length = out.len() + rest.len() - if v6 { ip } else { 0 };
        put(out, if v6 { 4 } else { 2 }, &u16::try_from(length).ok()?.to_be_bytes())?;
        if !v6 {
            put(out, 10, &[0; 2])?;
            let sum = closed(words(out.get(..ip)?));
            put(out, 10, &sum)?;
        }
        let checksum = if pending { pseudo(out, ip, out.len() - ip + rest.len())? } else { checksum };
        put(out, ip + 16, &checksum)?;
        Some(rest)
    }

    /// The peer has begun anew, and so do its names.
    pub fn reset(&mut self) {
        *self = Expander::default();
    }

    /// Bytes of memory.
    pub fn held(&self) -> usize {
        size_of_val(&*self.buckets) + self.buckets.iter().flatten().map(|bucket| size_of_val(&**bucket)).sum::<usize>()
    }
}

/// The first bytes of `rest`, which loses them.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, then) = rest.split_first_chunk()?;
    *rest = then;
    Some(*first)
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> Option<()> {
    out.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
    Some(())
}

#[cfg(test)]
#[path = "squeeze_tests.rs"]
mod tests;
