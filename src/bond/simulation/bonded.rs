//! The bond's two ends in this world.

use std::net::SocketAddr;

use super::super::address::Address;
use super::super::flow::Packet;
use super::super::frame::PathId;
use super::super::handshake::Identity;
use super::super::hub::{Hub, Member};
use super::super::keys::Secret;
use super::super::peer::{Settings, device_mtu};
use super::super::schedule::Scheduler;
use super::super::{Event, Output, Via, mtu};
use super::world::Plan;
use super::{CLIENT, Counts, Dice, End, NEVER, Out, SERVER_ADDRESS, Side};
use crate::time::{Span, Time};

/// What the device takes where every link carries 1,500 bytes.
pub const MTU: usize = device_mtu(mtu::MOST) as usize;

/// A peer of one.
pub struct Bonded {
    hub: Hub,
    links: usize,
    side: Side,
    begun: bool,
}

pub fn settings(side: Side, scheduler: Scheduler) -> Settings {
    Settings {
        scheduler,
        limit: Span::from_millis(500),
        repair: true,
        keepalive: Span::from_secs(1),
        client: side == CLIENT,
        allowed: Vec::new(),
    }
}

impl Bonded {
    pub fn new(side: Side, plan: &Plan, scheduler: Scheduler) -> Self {
        Self::with(side, plan.links.len(), settings(side, scheduler))
    }

    pub fn with(side: Side, links: usize, settings: Settings) -> Self {
        let private = |side: Side| Secret::private([side as u8 + 1; 32]);
        let member = Member {
            identity: Identity::new(&private(side), side as u16),
            remote: private(1 - side).public(),
            psk: Secret::new([0; 32]),
            device: 0,
            settings,
        };
        Bonded { hub: Hub::new(vec![member], Time(0)), links, side, begun: false }
    }
}

/// Writes what the bond puts out into the world's vectors.
struct Writer<'o>(&'o mut Out);

impl Output for Writer<'_> {
    fn slot(&mut self, via: &Via, length: usize) -> &mut [u8] {
        let Address::Udp { remote, .. } = via.to else { panic!("there is no Ethernet here") };
        self.0.datagrams.push((via.socket as u8, remote, vec![0; length]));
        &mut self.0.datagrams.last_mut().unwrap().2
    }

    fn deliver(&mut self, _peer: usize, packet: Packet) {
        self.0.packets.push([packet.head, packet.body].concat());
    }

    fn event(&mut self, _peer: usize, _event: Event) {}

    fn random(&mut self, bytes: &mut [u8]) {
        fill(&mut self.0.dice, bytes);
    }
}

fn fill(dice: &mut Dice, bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&dice.next().to_le_bytes()[..chunk.len()]);
    }
}

/// Where the payload begins, as the device's offload would say.
fn split(packet: &[u8]) -> usize {
    let ip = usize::from(packet[0] & 15) * 4;
    let transport = if packet[9] == 6 { usize::from(packet[ip + 12] >> 4) * 4 } else { 8 };
    (ip + transport).min(packet.len())
}

impl End for Bonded {
    fn packet(&mut self, packet: &[u8], now: Time, out: &mut Out) {
        let (head, body) = packet.split_at(split(packet));
        self.hub.packet(0, Packet { head, body, pending: false }, now, &mut Writer(out));
    }

    fn datagram(&mut self, path: u8, from: SocketAddr, datagram: &mut [u8], now: Time, out: &mut Out) {
        let via = Via { socket: path.into(), to: Address::udp(from) };
        self.hub.datagram(&via, datagram, now, &mut Writer(out));
    }

    fn tick(&mut self, now: Time, out: &mut Out) {
        if self.side == CLIENT && !self.begun {
            self.begun = true;
            for path in 0..self.links {
                let via = Via { socket: path as u16, to: Address::udp(SERVER_ADDRESS) };
                let id = PathId::new(path as u8).unwrap();
                self.hub.set_path(0, id, Some(via), 1, 0, mtu::MOST, now, &mut Writer(out));
            }
        }
        self.hub.tick(now, &mut Writer(out));
    }

    fn deadline(&self) -> Time {
        if self.begun || self.side != CLIENT { self.hub.deadline().unwrap_or(NEVER) } else { Time(0) }
    }

    fn ready(&self, now: Time) -> bool {
        self.hub.ready(0, now)
    }

    fn counts(&self) -> Counts {
        self.hub.peers().map(|peer| Counts { memory: peer.held(), repaired: peer.totals.repaired }).next().unwrap()
    }
}

#[test]
#[ignore = "prints"]
fn show() {
    let only = std::env::var("ONLY").unwrap_or_default();
    for scenario in super::scenario::all() {
        if !scenario.name.contains(&only) {
            continue;
        }
        let mut scenario = scenario;
        scenario.plan.mtu = MTU;
        let outcome = scenario.run(&|side, plan| Box::new(Bonded::new(side, plan, Scheduler::Adaptive)));
        let report = &outcome.report;
        println!(
            "{:<45} share {:>4} added {:>9} slow {:>9} stall {:?} again {:?} late {} repair {} voice {:?} held {} KB dropped {}",
            scenario.name,
            outcome.share,
            outcome.added.to_string(),
            report.pings[0].slow.to_string(),
            report.streams.iter().map(|s| s.stalled.to_string()).collect::<Vec<_>>(),
            report.streams.iter().map(|s| s.retransmitted).collect::<Vec<_>>(),
            report.disordered,
            report.repaired,
            report.voices.iter().map(|v| (v.lost(), v.jitter.to_string())).collect::<Vec<_>>(),
            report.most_memory / 1000,
            report.dropped,
        );
    }
}
