//! Congestion control of the inner TCP: CUBIC (RFC 9438, with HyStart) and one that paces as BBR (version 1) does.

use crate::time::{Span, Time};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    Cubic,
    Bbr,
}

/// What an acknowledgment told.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    pub now: Time,
    /// Segments delivered by it, and how many are under way.
    pub delivered: u64,
    pub flight: u64,
    pub rtt: Option<Span>,
    pub min_rtt: Span,
    /// Segments a second between the sending of a segment and this.
    pub rate: Option<f64>,
    /// A whole window was delivered since the last such one.
    pub round: bool,
    pub recovering: bool,
    /// The window was what held the sender back.
    pub limited: bool,
}

pub enum Window {
    Cubic(Cubic),
    Bbr(Bbr),
}

impl Window {
    pub fn new(control: Control) -> Self {
        match control {
            Control::Cubic => Window::Cubic(Cubic::default()),
            Control::Bbr => Window::Bbr(Bbr::default()),
        }
    }

    /// Segments that may be under way.
    pub fn size(&self) -> u64 {
        match self {
            Window::Cubic(cubic) => cubic.window as u64,
            Window::Bbr(bbr) => bbr.window as u64,
        }
        .max(1)
    }

    /// The time from one segment to the next, in nanoseconds.
    pub fn pace(&self) -> Option<u64> {
        match self {
            Window::Bbr(bbr) if bbr.rate() > 0.0 => Some((1e9 / (bbr.rate() * bbr.gain)) as u64),
            _ => None,
        }
    }

    pub fn acked(&mut self, ack: &Ack) {
        match self {
            Window::Cubic(cubic) => cubic.acked(ack),
            Window::Bbr(bbr) => bbr.acked(ack),
        }
    }

    /// Something was lost, for the first time in this window.
    pub fn lost(&mut self) {
        if let Window::Cubic(cubic) = self {
            cubic.lost();
        }
    }

    pub fn timed_out(&mut self) {
        match self {
            Window::Cubic(cubic) => {
                cubic.lost();
                cubic.window = 1.0;
            }
            Window::Bbr(bbr) => bbr.window = 4.0,
        }
    }

    /// Nothing was lost after all.
    pub fn undo(&mut self) {
        if let Window::Cubic(cubic) = self {
            (cubic.window, cubic.threshold) = (cubic.window.max(cubic.before.0), cubic.before.1);
            cubic.epoch = None;
        }
    }
}

const BETA: f64 = 0.7;

pub struct Cubic {
    window: f64,
    threshold: f64,
    most: f64,
    epoch: Option<Time>,
    origin: f64,
    k: f64,
    friendly: f64,
    /// Window and threshold before the last cut.
    before: (f64, f64),
    /// HyStart: the least of this round's first eight times.
    round: (u32, Span),
}

impl Default for Cubic {
    fn default() -> Self {
        Cubic {
            window: 10.0,
            threshold: f64::MAX,
            most: 0.0,
            epoch: None,
            origin: 0.0,
            k: 0.0,
            friendly: 0.0,
            before: (10.0, f64::MAX),
            round: (0, Span(u64::MAX)),
        }
    }
}

impl Cubic {
    fn acked(&mut self, ack: &Ack) {
        let slow = self.window < self.threshold;
        if ack.round {
            self.round = (0, Span(u64::MAX));
        }
        if let Some(rtt) = ack.rtt
            && self.round.0 < 8
        {
            self.round = (self.round.0 + 1, self.round.1.min(rtt));
            let grown = ack.min_rtt + Span((ack.min_rtt.0 / 8).clamp(4_000, 16_000));
            if slow && self.round.0 == 8 && self.window >= 16.0 && self.round.1 > grown {
                self.threshold = self.window;
            }
        }
        if ack.recovering || !ack.limited {
            return;
        }
        let acked = ack.delivered as f64;
        if slow {
            self.window += acked;
            return;
        }
        let epoch = *self.epoch.get_or_insert_with(|| {
            (self.origin, self.k) = (self.window.max(self.most), 0.0);
            if self.window < self.most {
                self.k = cube_root((self.most - self.window) / 0.4);
            }
            self.friendly = self.window;
            ack.now
        });
        let time = (ack.now.since(epoch) + ack.min_rtt).0 as f64 / 1e6 - self.k;
        let target = (self.origin + 0.4 * time * time * time).min(self.window * 1.5);
        let step = if target > self.window { (target - self.window) / self.window } else { 0.01 / self.window };
        self.friendly += 3.0 * (1.0 - BETA) / (1.0 + BETA) * acked / self.window;
        self.window = (self.window + acked * step.min(0.5)).max(self.friendly);
    }

    fn lost(&mut self) {
        self.before = (self.window, self.threshold);
        self.most = if self.window < self.most { self.window * (1.0 + BETA) / 2.0 } else { self.window };
        self.threshold = (self.window * BETA).max(2.0);
        self.window = self.threshold;
        self.epoch = None;
    }
}

/// By Newton: the libraries' ones differ in their last bits, and with them every table.
fn cube_root(of: f64) -> f64 {
    let mut root = of.max(1.0);
    for _ in 0..60 {
        root -= (root * root * root - of) / (3.0 * root * root);
    }
    root
}

pub struct Bbr {
    window: f64,
    gain: f64,
    /// Each round's best rate, the last ten.
    rates: [f64; 10],
    rounds: usize,
    phase: Phase,
    /// The rate when it was last seen to grow, and rounds since.
    full: (f64, u32),
    turned: Time,
    /// The least round trip, and when it was seen.
    least: (Span, Time),
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Startup,
    Drain,
    Cruise(usize),
    /// Few under way, to see the path's own round trip; until then.
    Probe(Time),
}

const GAINS: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
const STARTUP: f64 = 2.885;

impl Default for Bbr {
    fn default() -> Self {
        Bbr {
            window: 10.0,
            gain: STARTUP,
            rates: [0.0; 10],
            rounds: 0,
            phase: Phase::Startup,
            full: (0.0, 0),
            turned: Time(0),
            least: (Span(u64::MAX), Time(0)),
        }
    }
}

impl Bbr {
    fn rate(&self) -> f64 {
        self.rates.iter().fold(0.0, |most, rate| rate.max(most))
    }

    fn acked(&mut self, ack: &Ack) {
        // What is few on purpose tells nothing of the path's rate.
        let counts = !matches!(self.phase, Phase::Probe(_));
        if ack.round && counts {
            self.rounds += 1;
            self.rates[self.rounds % 10] = 0.0;
        }
        if let Some(rate) = ack.rate
            && counts
        {
            let slot = &mut self.rates[self.rounds % 10];
            *slot = slot.max(rate);
        }
        let stale = ack.now.since(self.least.1) > Span::from_secs(10);
        if let Some(rtt) = ack.rtt
            && (rtt <= self.least.0 || stale)
        {
            self.least = (rtt, ack.now);
        }
        if self.least.0.0 == u64::MAX {
            return;
        }
        let product = self.rate() * self.least.0.0 as f64 / 1e6;
        match self.phase {
            Phase::Startup if ack.round => {
                let rate = self.rate();
                self.full = if rate > self.full.0 * 1.25 { (rate, 0) } else { (self.full.0, self.full.1 + 1) };
                if self.full.1 >= 3 {
                    (self.phase, self.gain) = (Phase::Drain, 1.0 / STARTUP);
                }
            }
            Phase::Drain if ack.flight as f64 <= product => self.cruise(ack.now, 2),
            Phase::Cruise(_) if stale => {
                (self.phase, self.gain) = (Phase::Probe(ack.now + Span::from_millis(200)), 1.0);
            }
            Phase::Cruise(step) => {
                let past = ack.now.since(self.turned) > self.least.0;
                let drained = step == 1 && ack.flight as f64 <= product;
                let filled = step != 0 || ack.flight as f64 >= product * 1.25;
                if past && filled || drained {
                    self.cruise(ack.now, (step + 1) % 8);
                }
            }
            Phase::Probe(until) if ack.now > until => {
                self.window = product * 2.0;
                self.cruise(ack.now, 2);
            }
            _ => {}
        }
        let most = if self.phase == Phase::Startup { STARTUP } else { 2.0 };
        self.window = match self.phase {
            Phase::Probe(_) => 4.0,
            Phase::Startup => (self.window + ack.delivered as f64).min((product * most).max(20.0)),
            // Three segments are what a host's own batching needs.
            _ => (self.window + ack.delivered as f64).min(product * most + 3.0).max(4.0),
        };
    }

    fn cruise(&mut self, now: Time, step: usize) {
        (self.phase, self.gain, self.turned) = (Phase::Cruise(step), GAINS[step], now);
    }
}
