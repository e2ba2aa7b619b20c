//! The bond itself as an [`End`].

use std::net::SocketAddr;

use super::world::Plan;
use super::{CLIENT, Counts, End, NEVER, Out, SERVER_ADDRESS, Side};
use crate::bond::address::Address;
use crate::bond::control::Terms;
use crate::bond::flow::Packet;
use crate::bond::frame::PathId;
use crate::bond::handshake::Identity;
use crate::bond::hub::{Hub, Member};
use crate::bond::keys::Secret;
use crate::bond::peer::{Line, Settings};
use crate::bond::schedule::Scheduler;
use crate::bond::{Event, Output, Slot, Via};
use crate::time::{Span, Time};

/// The largest UDP payload on Ethernet.
const MOST: u16 = 1_472;

pub struct Bonded {
    hub: Hub,
    choice: Choice,
    gone: Option<(u8, Time)>,
    links: u8,
    begun: bool,
}

/// What a test may choose.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    pub scheduler: Scheduler,
    pub limit: Span,
    pub repair: bool,
    pub keepalive: Span,
    /// The client's links' weights and caps, bytes a second.
    pub weights: [u16; LINKS],
    pub caps: [u64; LINKS],
    /// A link that the client loses, and when.
    pub gone: Option<(u8, Span)>,
}

/// The most links of these worlds.
pub const LINKS: usize = 4;

impl Choice {
    pub const USUAL: Choice = Choice {
        scheduler: Scheduler::Adaptive,
        limit: Span::from_millis(150),
        repair: true,
        keepalive: Span::from_secs(1),
        weights: [1; LINKS],
        caps: [0; LINKS],
        gone: None,
    };
}

impl Default for Choice {
    fn default() -> Self {
        Self::USUAL
    }
}

fn secret(side: Side) -> Secret {
    Secret::private([side as u8 + 1; 32])
}

impl Bonded {
    /// `instance` differs from one start to the next.
    pub fn new(side: Side, plan: &Plan, choice: Choice, instance: u16) -> Self {
        let settings = Settings {
            scheduler: choice.scheduler,
            limit: choice.limit,
            repair: choice.repair,
            keepalive: choice.keepalive,
            client: side == CLIENT,
            allowed: Vec::new(),
        };
        let member = Member {
            identity: Identity::new(&secret(side), instance),
            remote: secret(1 - side).public(),
            psk: Secret::new([0; 32]),
            settings,
        };
        Bonded {
            hub: Hub::new(&[], vec![member], Time(0) + plan.clocks[side]),
            choice,
            gone: choice
                .gone
                .filter(|_| side == CLIENT)
                .map(|(path, after)| (path, Time(0) + plan.clocks[side] + after)),
            links: plan.links.len() as u8,
            begun: side != CLIENT,
        }
    }

    /// With its defaults.
    pub fn usual(side: Side, plan: &Plan) -> Box<dyn End> {
        Box::new(Bonded::new(side, plan, Choice::default(), side as u16 + 1))
    }

    /// Both ends as chosen.
    pub fn chosen(choice: Choice) -> impl Fn(Side, &Plan) -> Box<dyn End> {
        move |side, plan| Box::new(Bonded::new(side, plan, choice, side as u16 + 1))
    }

    pub fn redundant(side: Side, plan: &Plan) -> Box<dyn End> {
        let choice = Choice { scheduler: Scheduler::Redundant, ..Choice::default() };
        Box::new(Bonded::new(side, plan, choice, side as u16 + 1))
    }
}

impl End for Bonded {
    fn packet(&mut self, packet: &[u8], now: Time, out: &mut Out) {
        self.hub.packet(Packet { head: packet, body: &[], pending: false }, now, out);
    }

    fn datagram(&mut self, path: u8, from: SocketAddr, datagram: &mut [u8], now: Time, out: &mut Out) {
        // Every other path's are opened by themselves, as other threads do.
        let opening = if path % 2 == 1 { self.hub.opening(datagram, now) } else { None };
        if opening.as_ref().is_none_or(|opening| opening.run(datagram)) {
            let via = Via { socket: u16::from(path), to: Address::udp(from) };
            self.hub.datagram(&via, datagram, opening.as_ref(), now, out);
        }
    }

    fn tick(&mut self, now: Time, out: &mut Out) {
        if !self.begun {
            self.begun = true;
            for path in 0..self.links {
                let Some(id) = PathId::new(path) else { continue };
                let via = Via { socket: u16::from(path), to: Address::udp(SERVER_ADDRESS) };
                let (weight, cap) = (self.choice.weights[id.index()], self.choice.caps[id.index()]);
                self.hub.set_path(0, id, Some(Line { via, terms: Terms { weight, cap }, most: MOST }), now, out);
            }
        }
        if let Some((path, _)) = self.gone.take_if(|(_, at)| *at <= now) {
            self.hub.set_path(0, PathId::new(path).unwrap(), None, now, out);
        }
        self.hub.tick(now, out);
    }

    fn deadline(&mut self) -> Time {
        let gone = self.gone.map_or(NEVER, |(_, at)| at);
        if self.begun { self.hub.deadline().unwrap_or(NEVER).min(gone) } else { Time(0) }
    }

    fn ready(&self, _now: Time) -> bool {
        self.hub.ready()
    }

    fn counts(&self) -> Counts {
        let peers = || self.hub.peers();
        Counts {
            memory: self.hub.held(),
            keys: peers().map(|peer| peer.sessions.changes()).sum(),
            repaired: peers().map(|peer| peer.totals.repaired).sum(),
            late: peers().map(|peer| peer.order.counters().late).sum(),
        }
    }
}

impl Output for Out {
    fn slot(&mut self, via: &Via, length: usize) -> Slot<'_> {
        let Address::Udp { remote, .. } = via.to else { panic!("no link of this world is Ethernet: {via:?}") };
        self.datagrams.push((via.socket as u8, remote, vec![0; length]));
        let bytes = self.datagrams.last_mut().map(|datagram| datagram.2.as_mut_slice()).unwrap_or_default();
        Slot { bytes, later: None }
    }

    fn deliver(&mut self, _peer: usize, packet: Packet) {
        assert!(!packet.pending, "no packet of this world lacks its checksum");
        self.packets.push([packet.head, packet.body].concat());
    }

    fn event(&mut self, _peer: usize, event: Event) {
        self.events.push(event);
    }

    fn random(&mut self, bytes: &mut [u8]) {
        self.dice.fill(bytes);
        if let [_, _, _, last] = bytes
            && self.alike
        {
            *last = 7;
        }
    }
}

/// Two links, on which an idle path is asked so seldom.
fn asked_every(keepalive: Span) -> (super::world::World, Choice) {
    let choice = Choice { keepalive, ..Choice::default() };
    let make = |side, plan: &Plan| -> Box<dyn End> { Box::new(Bonded::new(side, plan, choice, side as u16 + 1)) };
    (super::world::World::new(&Plan::new(&[(10, 10), (10, 20)]), &make), choice)
}

/// How long after its server begins anew it is up again.
fn back_after(world: &mut super::world::World, choice: Choice) -> Span {
    let again = Bonded::new(super::SERVER, &Plan::new(&[(10, 10), (10, 20)]), choice, 9);
    world.restart(super::SERVER, Box::new(again));
    let start = world.now;
    world.run_ms(30_000);
    let back = world.said.iter().find(|(at, side, event)| *at > start && (*side, *event) == (super::SERVER, Event::Up));
    back.map(|(at, ..)| at.since(start)).expect("the server is up")
}

/// As the daemon's default: an idle path is asked every ten seconds.
#[test]
fn a_server_that_began_anew_is_missed_after_one_keepalive() {
    let (mut world, choice) = asked_every(Span::from_secs(10));
    world.run_ms(5_000);
    let passed = back_after(&mut world, choice);
    assert!(passed < Span::from_millis(11_000), "{passed:?}: {:?}", world.said);
}

/// ... and sooner where its packets came all the time, though its client sends none.
#[test]
fn a_server_that_began_anew_is_missed_where_its_packets_are() {
    use super::streams::Voice;
    let (mut world, choice) = asked_every(Span::from_secs(10));
    world.run_ms(1_000);
    world.add(|app| Voice::new(app, super::SERVER));
    world.run_ms(4_000);
    let passed = back_after(&mut world, choice);
    assert!(passed < Span::from_millis(2_000), "{passed:?}: {:?}", world.said);
}

/// A stream that ends is no reason for more than one question.
#[test]
fn a_stream_that_ends_is_asked_for_once() {
    use super::streams::Voice;
    let (mut world, _) = asked_every(Span::from_secs(60));
    world.run_ms(1_000);
    world.add(|app| Voice::new(app, super::SERVER));
    world.run_ms(4_000);
    world.stop();
    world.run_ms(500);
    let sent =
        |world: &super::world::World| -> u64 { world.links.iter().map(|link| link.carried[CLIENT].datagrams).sum() };
    let before = sent(&world);
    world.run_ms(20_000);
    assert_eq!(sent(&world) - before, 2, "one by each path");
}

#[test]
fn a_radios_delay_is_not_taken_for_a_queue() {
    use super::congestion::Control;
    use super::scenario::{Scenario, radios};
    // .034 as long as it was.
    for (control, least) in [(Control::Bbr, 700), (Control::Cubic, 250)] {
        let outcome = Scenario::new("", radios()).with(control).run(&Bonded::usual);
        assert!(outcome.share > least, "{control:?}: {}", outcome.share);
    }
}

/// Whether this path is up at both ends, as far as they have said.
fn is_up(world: &super::world::World, path: u8) -> bool {
    let id = PathId::new(path).unwrap();
    [CLIENT, super::SERVER].iter().all(|end| {
        let mut said = world.said.iter().rev().filter(|(_, side, _)| side == end).map(|(.., event)| *event);
        said.find(|event| [Event::PathUp(id), Event::PathDown(id)].contains(event)) == Some(Event::PathUp(id))
    })
}

/// By a satellite a question takes longer than is waited for the first answer.
#[test]
fn a_satellites_path_comes_up() {
    let plan = Plan::new(&[(20, 350), (10, 15)]);
    let mut world = super::world::World::new(&plan, &Bonded::usual);
    world.run_ms(3_000);
    assert!(is_up(&world, 0) && is_up(&world, 1), "{:?}", world.said);
}

/// Others fill its queue: an answer takes longer than it is waited for until the next handshake begins.
#[test]
fn keys_are_agreed_on_where_answers_take_a_second_and_a_half() {
    let mut world = super::world::World::new(&Plan::new(&[(10, 750)]), &Bonded::usual);
    world.run_ms(10_000);
    assert!(is_up(&world, 0), "{:?}", world.said);
    let keys = |world: &super::world::World| world.ends.each_ref().map(|end| end.counts().keys);
    let (said, before) = (world.said.len(), keys(&world));
    world.run_ms(200_000);
    assert_eq!(world.said.len(), said, "{:?}", world.said);
    assert!(keys(&world).iter().zip(before).all(|(now, before)| *now > before), "{before:?}, {:?}", keys(&world));
}

/// As when a modem changes cells, or others fill its queue: ten times what answers took so far.
#[test]
fn a_path_that_becomes_slower_is_not_given_up() {
    use super::bulk::Bulk;
    use super::congestion::Control;
    use super::link::{Change, Way};
    for loaded in [false, true] {
        let slow = |side| Change::Way(side, Way::new(10, Span::from_millis(200)));
        let plan = Plan::new(&[(10, 20), (10, 10)]).change(3_000, 0, slow(0)).change(3_000, 0, slow(1));
        let mut world = super::world::World::new(&plan, &Bonded::usual);
        if loaded {
            world.add(|app| Bulk::new(app, super::SERVER, Control::Cubic));
        }
        world.run_ms(4_500);
        let before = world.said.len();
        world.run_ms(5_000);
        assert!(is_up(&world, 0), "loaded: {loaded}: {:?}", world.said);
        assert_eq!(world.said.len(), before, "loaded: {loaded}: it comes and goes: {:?}", world.said);
    }
}

#[test]
fn a_slow_upload_carries_what_a_fast_download_needs() {
    use super::congestion::Control;
    use super::scenario::{Scenario, narrow};
    // .35 as long as each acknowledgment left, twice.
    let outcome = Scenario::new("", narrow()).with(Control::Bbr).run(&Bonded::usual);
    assert!(outcome.share > 700, "{}", outcome.share);
    let sum = |side: Side| outcome.carried.iter().map(|link| link[side].datagrams).sum::<u64>();
    assert!(sum(CLIENT) * 2 < sum(super::SERVER), "{} up, {} down", sum(CLIENT), sum(super::SERVER));
}

/// Somebody types, or asks for names, over links that lose packets.
#[test]
fn a_lost_packet_of_few_silences_no_path() {
    use super::link::percent;
    use super::streams::Ping;
    for links in [1, 2] {
        let plan = Plan::new(&[(20, 10), (10, 15)][..links]);
        let plan = (0..links).fold(plan, |plan, link| plan.both(link, |way| way.loss = percent(3.0)));
        let mut world = super::world::World::new(&plan, &Bonded::usual);
        world.run_ms(2_000);
        world.add(|app| Ping::new(app).every(Span::from_millis(200)));
        world.run_ms(60_000);
        let down = |event: &Event| matches!(event, Event::PathDown(_) | Event::Down);
        assert!(!world.said.iter().any(|(.., event)| down(event)), "{:?}", world.said);
        let report = world.report();
        let ping = report.pings.first().expect("a ping");
        // The last may be under way.
        assert!(ping.received + 1 >= ping.sent, "{ping:?}");
    }
}

/// Its first packets wait for their turns, not because the path is full. What arrives of those few, beside a ping, is not all that the path
/// carries: taken for it, they would have the next ones take the slow path and be overtaken, which TCP takes for a loss.
#[test]
fn a_young_stream_is_quick() {
    use super::bulk::Bulk;
    use super::congestion::Control;
    use super::scenario::{BEGINS, usual};
    use super::streams::Ping;
    let mut world = super::world::World::new(&usual(), &Bonded::usual);
    world.add(Ping::new);
    world.run_ms(BEGINS);
    world.add(|app| Bulk::new(app, super::SERVER, Control::Cubic).starting(Time(BEGINS * 1_000)));
    world.run_ms(500);
    world.mark();
    world.run_ms(500);
    // 45 Mbit/s where such packets were counted, 92 since.
    let goodput = world.report().goodput();
    assert!(goodput > 80_000_000, "{goodput}");
}

/// Two radios' round trips differ by less than their delays vary: now more, now less than what makes order worth a wait.
#[test]
fn radios_do_not_mix_a_streams_packets() {
    use super::scenario::{Scenario, radios};
    for seed in [11, 12, 26] {
        let plan = Plan { seed, lateness: Span::from_micros(40 + 20 * seed), ..radios() };
        let outcome = Scenario::new("", plan).seconds(3).run(&Bonded::usual);
        let disordered = outcome.report.disordered;
        // 2,400 to 7,300 of them were overtaken where the receiver decided by the round trips alone.
        assert_eq!(disordered, 0, "seed {seed}");
    }
}

/// A machine that was suspended, or whose clock says what it likes: keys may be too old of a sudden, and all timers are due.
#[test]
fn a_clock_that_jumps_stops_no_stream() {
    use super::bulk::Bulk;
    use super::congestion::Control;
    for end in [CLIENT, super::SERVER] {
        for by in [5, 100, 200, 3_600, 200_000_000] {
            let mut world = super::world::World::new(&Plan::new(&[(20, 10), (10, 15)]), &Bonded::usual);
            world.run_ms(1_500);
            world.add(|app| Bulk::new(app, super::SERVER, Control::Bbr));
            world.run_ms(4_000);
            world.jump(end, Span::from_secs(by));
            world.run_ms(2_000);
            world.mark();
            world.run_ms(4_000);
            let share = world.report().share(30_000_000);
            assert!(share > 500, "end {end}, {by} s: {share}, {:?}", world.said);
        }
    }
}
