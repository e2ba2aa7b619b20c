//! Races: first packets and answers in whatever order. Each packet that waits in a queue gets one verdict, and no call wants more done than
//! there is room for.
#![no_main]

use std::collections::BTreeSet;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;

use cheaproute::link::{Link, LinkId, LinkSet, Side};
use cheaproute::packet::{Answer, Opening, Protocol, Says, Syn};
use cheaproute::race::{Action, Actions, Held, RaceId, Racer, Rules};
use cheaproute::time::{Span, Time};
use fuzz::{Unstructured, number};
use libfuzzer_sys::fuzz_target;

/// Of races in flight.
const CAPACITY: usize = 8;

/// What the kernel would know.
#[derive(Default)]
struct World {
    /// The number of the last packet that was queued, and those that wait.
    last: u32,
    waiting: BTreeSet<u32>,
    /// Ports that copies left from, and whose opening it was.
    copies: Vec<(u16, Opening)>,
    /// Connections that are to be made.
    asked: Vec<RaceId>,
    /// ... and were, as far as is known: the kernel may still say no.
    made: Vec<RaceId>,
}

impl World {
    fn queue(&mut self) -> Held {
        self.last += 1;
        self.waiting.insert(self.last);
        Held { queue: 1, packet: self.last, mark: 0 }
    }

    /// Carries out what one call wants. `opening`: what it was about.
    fn carry_out(&mut self, actions: &mut Actions, opening: Option<Opening>) {
        for action in std::mem::replace(actions, Actions::new()) {
            match action {
                Action::Verdict { held, .. } => {
                    assert!(self.waiting.remove(&held.packet), "a second verdict: {held:?}")
                }
                Action::Copy { links, port, kept } => {
                    assert!(!links.is_empty());
                    self.copies.extend(opening.filter(|_| kept.is_none()).map(|opening| (port, opening)));
                }
                Action::Establish { race, opening, port, .. } => {
                    self.copies.push((port, opening));
                    self.asked.push(race);
                }
                Action::Reset { links, .. } => assert!(!links.is_empty()),
                Action::Spare { .. } => {}
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let script = &mut Unstructured::new(input);
    let mut racer = Racer::new(CAPACITY, BuildHasherDefault::<DefaultHasher>::default());
    let mut links: Vec<Link> = (1..=4).map(link).collect();
    racer.set_links(&links);
    let all: LinkSet = links.iter().map(|link| link.id).collect();
    let policy = |remember| Rules { links: all, remember: Span::from_secs(remember), tie: Span::from_millis(2) };
    racer.set_policies(&[policy(0), policy(60)]);
    let (mut world, mut actions, mut now) = (World::default(), Actions::new(), Time(1_000_000));
    while !script.is_empty() {
        match number(script, 12) {
            0 => {
                now = now + Span::from_micros(u64::from(number(script, 2_000_000)));
                settle(&mut racer, &mut world, &mut actions);
                while racer.poll(now, &mut actions) {
                    world.carry_out(&mut actions, None);
                    settle(&mut racer, &mut world, &mut actions);
                }
            }
            1 => {
                let link = &mut links[number(script, 4) as usize];
                match number(script, 5) {
                    0 => link.metered = !link.metered,
                    1 => link.handicap = Span::from_millis(u64::from(number(script, 50))),
                    2 => link.ipv6 = None,
                    _ => link.up = !link.up,
                }
                racer.set_links(&links);
            }
            2 if !world.asked.is_empty() => {
                let race = world.asked.remove(0);
                match number(script, 3) {
                    0 => racer.taken(race, &mut actions),
                    _ => {
                        racer.established(race, &mut actions);
                        world.made.push(race);
                    }
                }
                world.carry_out(&mut actions, None);
            }
            3 if !world.made.is_empty() => {
                racer.taken(world.made.remove(0), &mut actions);
                world.carry_out(&mut actions, None);
            }
            4..8 => {
                let opening = opening(script);
                let held = world.queue();
                let packet = vec![0; opening.length.into()];
                racer.open(now, (&opening, &packet), number(script, 3) as usize, held, &mut actions);
                world.carry_out(&mut actions, Some(opening));
            }
            _ => {
                let Some(answer) = answer(script, &world.copies) else { continue };
                let link = LinkId::new(number(script, 4) as u8 + 1).expect("a link");
                let held = world.queue();
                racer.answer(now, link, &answer, held, &mut actions);
                world.carry_out(&mut actions, None);
            }
        }
        assert!(racer.in_flight() <= CAPACITY);
    }
    settle(&mut racer, &mut world, &mut actions);
    while let Some((at, _)) = racer.deadline() {
        now = now.max(at);
        assert!(racer.poll(now, &mut actions), "it was due");
        world.carry_out(&mut actions, None);
        settle(&mut racer, &mut world, &mut actions);
    }
    assert!(world.waiting.is_empty(), "without a verdict: {:?}", world.waiting);
});

/// The kernel has done what it was asked for.
fn settle<S: std::hash::BuildHasher>(racer: &mut Racer<S>, world: &mut World, actions: &mut Actions) {
    while let Some(race) = world.asked.pop() {
        racer.established(race, actions);
        world.made.push(race);
        world.carry_out(actions, None);
    }
}

fn link(number: u8) -> Link {
    Link {
        id: LinkId::new(number).expect("a link"),
        name: format!("wan{number}"),
        device: format!("eth{number}"),
        ifindex: number.into(),
        ipv4: Some(Side { address: [203, 0, 113, number].into(), gateway: None }),
        ipv6: Some(Side { address: [0x2001, 0xdb8, 1, number.into(), 0, 0, 0, 1].into(), gateway: None }),
        mtu: if number == 4 { 1_280 } else { 1_500 },
        weight: number.into(),
        metric: 0,
        metered: false,
        tunnel: false,
        handicap: Span::ZERO,
        delegated: Vec::new(),
        main: [false; 2],
        up: true,
    }
}

/// Of few clients and servers, so that some come again.
fn opening(script: &mut Unstructured) -> Opening {
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Echo][number(script, 3) as usize];
    let (client, server) = (number(script, 4) as u16, number(script, 3) as u8);
    let port = if protocol == Protocol::Echo { 0 } else { 443 };
    let (client, server): (SocketAddr, SocketAddr) = match number(script, 4) {
        0 => (
            ([0xfd00, 0, 0, 0, 0, 0, 0, 2], 40_000 + client).into(),
            ([0x2001, 0xdb8, 0, 0, 0, 0, 0, server.into()], port).into(),
        ),
        _ => (([10, 0, 0, 2], 40_000 + client).into(), ([192, 0, 2, server], port).into()),
    };
    let isn = number(script, 2);
    let syn = Syn { isn, window_scale: Some(7), sack_permitted: true, carries_data: number(script, 16) == 1 };
    let length = if number(script, 4) == 0 { 1_400 } else { 60 };
    Opening { protocol, client, server, length, syn: (protocol == Protocol::Tcp).then_some(syn) }
}

/// To one of the last copies, as it should be or nearly so.
fn answer(script: &mut Unstructured, copies: &[(u16, Opening)]) -> Option<Answer> {
    let back = number(script, 12) as usize + 1;
    let (port, opening) = copies.get(copies.len().checked_sub(back)?)?;
    let acknowledged = opening.syn.map(|syn| syn.isn.wrapping_add(if number(script, 8) == 0 { 2 } else { 1 }));
    let says = match (acknowledged, number(script, 8)) {
        (_, 0) => Says::Unreachable(acknowledged),
        (Some(number), 1 | 2) => Says::Reset(number),
        (Some(number), _) => Says::SynAck(number),
        (None, _) => Says::Data,
    };
    let address = if opening.server.is_ipv4() { [203, 0, 113, 1].into() } else { "2001:db8:1:1::1".parse().ok()? };
    Some(Answer { protocol: opening.protocol, server: opening.server, local: SocketAddr::new(address, *port), says })
}
