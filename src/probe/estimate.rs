//! Estimators of round trip, loss and jitter, in integers: the routers that we run on may have no FPU.

use crate::time::Span;

/// A target's figures; a link's are those of its best target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    pub last: Option<Span>,
    /// SRTT and RTTVAR of RFC 6298.
    pub smoothed: Option<Span>,
    pub variation: Option<Span>,
    /// Since the link's address came.
    pub least: Option<Span>,
    /// Of round trips; RFC 3550 has one-way times.
    pub jitter: Span,
    /// Of the last 64 probes, in per mille; `None` before the first is decided.
    pub loss: Option<u16>,
}

/// What is known of the path to one target.
#[derive(Clone, Default, Debug)]
pub(super) struct Estimate {
    pub rtt: Option<Rtt>,
    pub loss: Loss,
    pub slow: Slow,
    jitter: Jitter,
}

impl Estimate {
    pub fn answered(&mut self, rtt: Span) {
        if let Some(before) = &self.rtt {
            self.jitter.add(before.last, rtt);
        }
        match &mut self.rtt {
            Some(estimate) => estimate.add(rtt),
            None => self.rtt = Some(Rtt::new(rtt)),
        }
    }

    /// The limits changed: what they are compared with begins anew.
    pub fn judge_anew(&mut self) {
        self.loss.recent = 0;
        self.slow = Slow::default();
    }

    pub fn figures(&self) -> Figures {
        Figures {
            last: self.rtt.as_ref().map(|r| r.last),
            smoothed: self.rtt.as_ref().map(Rtt::smoothed),
            variation: self.rtt.as_ref().map(Rtt::variation),
            least: self.rtt.as_ref().map(|r| r.least),
            jitter: self.jitter.value(),
            loss: self.loss.per_mille(),
        }
    }
}

/// Round trips after RFC 6298, section 2. Scaled as in Jacobson's paper, so that the divisions lose nothing.
#[derive(Clone, Debug)]
pub(super) struct Rtt {
    pub last: Span,
    pub least: Span,
    /// 8 SRTT, in microseconds.
    smoothed_8: u64,
    /// 4 RTTVAR, in microseconds.
    variation_4: u64,
}

/// Over an hour is no round trip; the cap keeps the scaled sums far from overflow.
const LONGEST: u64 = u32::MAX as u64;

impl Rtt {
    /// RFC 6298, 2.2: SRTT = R, RTTVAR = R / 2.
    pub fn new(sample: Span) -> Self {
        let us = sample.0.min(LONGEST);
        Rtt { last: Span(us), least: Span(us), smoothed_8: us * 8, variation_4: us * 2 }
    }

    /// RFC 6298, 2.3, with its alpha of 1/8 and beta of 1/4; RTTVAR first.
    pub fn add(&mut self, sample: Span) {
        let us = sample.0.min(LONGEST);
        let error = us.abs_diff(self.smoothed_8 / 8);
        self.variation_4 = self.variation_4 - self.variation_4 / 4 + error;
        self.smoothed_8 = self.smoothed_8 - self.smoothed_8 / 8 + us;
        self.last = Span(us);
        self.least = self.least.min(self.last);
    }

    pub fn smoothed(&self) -> Span {
        Span(self.smoothed_8 / 8)
    }

    pub fn variation(&self) -> Span {
        Span(self.variation_4 / 4)
    }

    /// SRTT + 4 RTTVAR, without RFC 6298's floor of 1 s: floors are the caller's.
    pub fn retransmit(&self) -> Span {
        self.smoothed() + Span(self.variation_4)
    }
}

/// The fates of the last probes, a bit each.
#[derive(Clone, Default, Debug)]
pub(super) struct Loss {
    /// The newest is bit 0; set if lost.
    bits: u64,
    count: u32,
    /// Of them, those that are held against a limit.
    recent: u32,
}

impl Loss {
    /// As many as fit one word: 20 s of probes with the default interval.
    pub const WINDOW: u32 = u64::BITS;

    pub fn add(&mut self, lost: bool) {
        self.bits = self.bits << 1 | u64::from(lost);
        self.count = (self.count + 1).min(Self::WINDOW);
        self.recent = (self.recent + 1).min(Self::JUDGED);
    }

    /// As many are held against a limit: a third of them lost is 10 s of a bad path with the default interval, and one lost
    /// is 3 %.
    pub const JUDGED: u32 = 32;
    /// And no fewer, as one loss of a few says little.
    const ENOUGH: u32 = 16;

    /// Of the last [`JUDGED`](Self::JUDGED), in per mille; `None` while they are too few.
    pub fn recent(&self) -> Option<u64> {
        let newest = self.bits & (u64::MAX >> (u64::BITS - Self::JUDGED));
        let newest = newest & ((1u64 << self.recent.min(Self::JUDGED)) - 1);
        let enough = self.recent >= Self::ENOUGH;
        (u64::from(newest.count_ones()) * 1000).checked_div(self.recent.into()).filter(|_| enough)
    }

    pub fn per_mille(&self) -> Option<u16> {
        // At most 64 × 1000 / 64.
        (self.bits.count_ones() * 1000).checked_div(self.count).map(|p| p as u16)
    }
}

/// Whether round trips usually exceed a limit: of the last ones, a bit each. A median has no use for outliers, which would
/// push an average over any limit.
#[derive(Clone, Default, Debug)]
pub(super) struct Slow {
    bits: u16,
    count: u32,
}

impl Slow {
    const WINDOW: u32 = u16::BITS;
    const ENOUGH: u32 = 8;

    pub fn add(&mut self, slow: bool) {
        self.bits = self.bits << 1 | u16::from(slow);
        self.count = (self.count + 1).min(Self::WINDOW);
    }

    /// Whether more than half of them were; `None` while they are too few.
    pub fn usually(&self) -> Option<bool> {
        (self.count >= Self::ENOUGH).then_some(self.bits.count_ones() * 2 > self.count)
    }
}

/// RFC 3550, 6.4.1: J += (|D| - J) / 16, kept times 16 and rounded as in its appendix A.8.
#[derive(Clone, Default, Debug)]
struct Jitter {
    jitter_16: u64,
}

impl Jitter {
    fn add(&mut self, before: Span, now: Span) {
        let difference = now.0.min(LONGEST).abs_diff(before.0);
        self.jitter_16 = self.jitter_16 + difference - (self.jitter_16 + 8) / 16;
    }

    fn value(&self) -> Span {
        Span(self.jitter_16 / 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Samples in ms, then SRTT, RTTVAR, least and jitter in µs, by hand after the RFCs.
    #[test]
    fn figures_follow_the_rfcs() {
        for (samples, smoothed, variation, least, jitter) in [
            (&[100][..], 100_000, 50_000, 100_000, 0),
            (&[100, 100], 100_000, 37_500, 100_000, 0),
            // RTTVAR = 3/4 × 50 + 1/4 × 80; SRTT = 7/8 × 100 + 1/8 × 20; J = 80 / 16.
            (&[100, 20], 90_000, 57_500, 20_000, 5_000),
            // RTTVAR = 3/4 × 57.5 + 1/4 × 10; SRTT = 7/8 × 90 + 1/8 × 100; J = 5 + (80 - 5) / 16.
            (&[100, 20, 100], 91_250, 45_625, 20_000, 9_687),
        ] {
            let mut e = Estimate::default();
            samples.iter().for_each(|ms| e.answered(Span::from_millis(*ms)));
            let f = e.figures();
            assert_eq!(f.smoothed, Some(Span(smoothed)), "{samples:?}");
            assert_eq!(f.variation, Some(Span(variation)), "{samples:?}");
            assert_eq!(f.least, Some(Span(least)), "{samples:?}");
            assert!(f.jitter.0.abs_diff(jitter) <= 1, "{samples:?}: {}", f.jitter);
            assert_eq!(f.last, samples.last().map(|ms| Span::from_millis(*ms)));
            assert_eq!(f.loss, None, "whose loss counts, the schedule says");
        }
    }

    #[test]
    fn loss_forgets_what_left_the_window() {
        let mut loss = Loss::default();
        assert_eq!(loss.per_mille(), None);
        loss.add(true);
        assert_eq!(loss.per_mille(), Some(1000));
        loss.add(false);
        assert_eq!(loss.per_mille(), Some(500));
        (0..64).for_each(|_| loss.add(false));
        assert_eq!(loss.per_mille(), Some(0));
        (0..64).for_each(|n| loss.add(n % 64 == 0));
        assert_eq!(loss.per_mille(), Some(15));
        (0..100).for_each(|_| loss.add(true));
        assert_eq!(loss.per_mille(), Some(1000));
    }

    #[test]
    fn what_is_judged_is_recent_and_enough() {
        let mut e = Estimate::default();
        (0..100).for_each(|_| e.loss.add(true));
        assert_eq!(e.loss.recent(), Some(1000));
        e.judge_anew();
        (0..15).for_each(|_| e.loss.add(false));
        assert_eq!((e.loss.recent(), e.slow.usually()), (None, None));
        e.loss.add(true);
        assert_eq!(e.loss.recent(), Some(62));
        (0..31).for_each(|_| e.loss.add(false));
        assert_eq!(e.loss.recent(), Some(31));
        e.loss.add(false);
        assert_eq!(e.loss.recent(), Some(0));
        for (n, slow) in [true, false, true, false, true, false, true].into_iter().enumerate() {
            e.slow.add(slow);
            assert_eq!(e.slow.usually(), None, "{n}");
        }
        e.slow.add(false);
        assert_eq!(e.slow.usually(), Some(false), "half is not usual");
        (0..8).for_each(|_| e.slow.add(true));
        assert_eq!(e.slow.usually(), Some(true));
        (0..7).for_each(|_| e.slow.add(false));
        assert_eq!(e.slow.usually(), Some(false));
    }

    proptest! {
        /// No sample overflows, and the averages stay within the samples' range.
        #[test]
        fn averages_stay_within_the_samples(samples in proptest::collection::vec(any::<u64>(), 1..200)) {
            let mut e = Estimate::default();
            samples.iter().for_each(|us| e.answered(Span(*us)));
            let f = e.figures();
            let (low, high) = (samples.iter().min().unwrap().min(&LONGEST), samples.iter().max().unwrap().min(&LONGEST));
            let smoothed = f.smoothed.unwrap().0;
            prop_assert!(*low <= smoothed + 1 && smoothed <= *high, "{} {} {}", low, smoothed, high);
            prop_assert!(f.variation.unwrap().0 <= *high);
            prop_assert!(f.jitter.0 <= high - low + 1);
            prop_assert_eq!(f.least, Some(Span(*low)));
        }
    }
}
