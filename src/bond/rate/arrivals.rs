//! What the other end's reports say of the bytes that arrived: rates, the best of late and that of a round.

/// What is taken for a rate, in microseconds: not shorter, or a burst would be one.
const SAMPLE: u64 = 20_000;
/// Reports that are further apart tell nothing of a rate.
const PAUSE: u64 = 250_000;

/// A report's clock in microseconds, and the bytes that it counts; both wrap.
type Count = (u32, u32);

/// Rates in bytes a second, the best of the last eight that tell.
pub type Samples = [u64; 8];

/// The counts of a path's reports.
#[derive(Debug, Default)]
pub struct Arrivals {
    samples: Samples,
    next: usize,
    /// Where the present sample began.
    anchor: Option<Count>,
    /// The window was used up since.
    full: bool,
    /// The last report's, and those at the last round's end with the rate of that round.
    latest: Option<Count>,
    round: Option<(Count, u64)>,
}

/// What arrived in a round.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// Bytes a second.
    pub rate: u64,
    /// It is half again as much as in the last one: what doubles the window brings that as long as the path is not full,
    /// whatever its packets' delay.
    pub more: bool,
    /// Reports came that tell; else it is what was known before.
    pub is_news: bool,
}

impl Arrivals {
    /// A report counts `bytes` at its clock's `at`.
    pub fn see(&mut self, at: u32, bytes: u32) {
        self.sample(at, bytes);
        // Reports overtake one another.
        if self.latest.is_none_or(|(last, _)| at.wrapping_sub(last) <= u32::MAX / 2) {
            self.latest = Some((at, bytes));
        }
    }

    fn sample(&mut self, at: u32, bytes: u32) {
        let Some((then, counted)) = self.anchor else {
            return self.begin(at, bytes);
        };
        let passed = u64::from(at.wrapping_sub(then));
        // Reports overtake one another.
        if passed > u64::from(u32::MAX / 2) || passed < SAMPLE {
            return;
        }
        // After a longer time nothing was sent for a while.
        if passed <= PAUSE {
            let rate = u64::from(bytes.wrapping_sub(counted)) * 1_000_000 / passed;
            let best = self.best();
            // Of a path that had little to do, only a better rate than the known one is news: what a few pings make is none.
            if self.full || best > 0 && rate > best {
                self.samples[self.next % 8] = rate;
                self.next = self.next.wrapping_add(1);
            }
        }
        self.begin(at, bytes);
    }

    fn begin(&mut self, at: u32, bytes: u32) {
        (self.anchor, self.full) = (Some((at, bytes)), false);
    }

    /// The present sample tells what the path carries.
    pub fn note_full(&mut self) {
        self.full = true;
    }

    /// A round is over.
    pub fn turn(&mut self) -> Arrived {
        let (rate, nothing) = (self.round.map_or(0, |(_, rate)| rate), self.round.is_none());
        let Some((at, bytes)) = self.latest else { return Arrived { rate: 0, more: false, is_news: false } };
        let ((then, counted), _) = *self.round.get_or_insert(((at, bytes), 0));
        let passed = u64::from(at.wrapping_sub(then));
        if passed < SAMPLE {
            return Arrived { rate, more: false, is_news: nothing };
        }
        let now = u64::from(bytes.wrapping_sub(counted)) * 1_000_000 / passed;
        self.round = Some(((at, bytes), now));
        Arrived { rate: now, more: now * 2 >= rate * 3, is_news: true }
    }

    /// The last report's clock and bytes.
    pub fn latest(&self) -> Option<(u32, u32)> {
        self.latest
    }

    /// The best rate of late; 0: none is known.
    pub fn best(&self) -> u64 {
        self.samples.iter().copied().max().unwrap_or(0)
    }

    /// What arrived before may have been a burst, which a policer lets pass: only `rate` is known. Says what was.
    pub fn forget(&mut self, rate: u64) -> Samples {
        core::mem::replace(&mut self.samples, [rate, 0, 0, 0, 0, 0, 0, 0])
    }

    /// What was forgotten holds again, unless better has come.
    pub fn remember(&mut self, before: Samples) {
        for (sample, before) in self.samples.iter_mut().zip(before) {
            *sample = before.max(*sample);
        }
    }

    /// The other end's counts begin anew.
    pub fn restart(&mut self) {
        (self.anchor, self.latest, self.round) = (None, None, None);
    }
}
