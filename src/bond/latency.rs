//! Whether a path is slow, for those who leave one that is: by what its probes and its reports took of late.

use crate::time::{Span, Time};

use super::least::Least;
use super::tally;

/// All that took too long within this time, or the last two if that is longer ago: one that is late is chance.
const LATELY: Span = Span::from_millis(500);

/// From sending to knowing, in microseconds.
#[derive(Debug, Default)]
pub struct Latency {
    answers: Least,
    reports: Least,
}

impl Latency {
    /// A probe was answered.
    pub fn answered(&mut self, took: Span, now: Time) {
        self.answers.see_for(took.as_micros() as i64, now, LATELY);
    }

    /// A report came of a packet that left so long ago.
    pub fn reported(&mut self, took: Span, now: Time) {
        self.reports.see_for(took.as_micros() as i64, now, LATELY);
    }

    /// Whether the path takes longer than this. One of which nothing is known does.
    pub fn exceeds(&self, limit: Span) -> bool {
        // A report waits for others, which is no latency of the path.
        let [limit, told] = [limit, limit + tally::FURTHEST].map(|limit| limit.as_micros() as i64);
        self.answers.get() > limit || self.reports.get() != Least::NONE && self.reports.get() > told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Span = Span::from_millis(100);

    #[test]
    fn one_late_answer_is_chance_and_two_are_not() {
        let mut own = Latency::default();
        assert!(own.exceeds(LIMIT), "nothing is known of it");
        for (at, took, slow) in [(0, 90, false), (1, 110, false), (2, 110, true), (3, 90, false)] {
            own.answered(Span::from_millis(took), Time(at * 1_000_000));
            assert_eq!(own.exceeds(LIMIT), slow, "after {at} s");
        }
    }

    #[test]
    fn reports_show_it_within_a_second_and_their_own_wait_does_not_count() {
        let mut own = Latency::default();
        own.answered(Span::from_millis(20), Time(0));
        let mut slow = |ms: std::ops::Range<u64>, took| {
            let mut see = |ms: u64| {
                own.reported(Span::from_millis(took), Time(ms * 1_000));
                own.exceeds(LIMIT)
            };
            ms.step_by(5).find(|ms| see(*ms))
        };
        assert_eq!(slow(0..1_000, 115), None);
        assert!(slow(1_000..2_000, 125).is_some_and(|ms| (1_500..=2_000).contains(&ms)));
        assert_eq!(slow(2_000..3_000, 50), None);
    }
}
