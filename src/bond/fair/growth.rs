//! Whether the queue of a flow grows.
//!
//! A packet by a path that lags is overtaken by those that take a quicker one after it, unless it is a packet from so far behind in the
//! queue that its turn comes when it arrives. A TCP that has lost nothing yet makes its queue longer by 5 % of its window each round trip
//! (cubic), and soon has so much there; what is overtaken until then it takes for lost, and for seconds it grows no more. A TCP that
//! keeps no queue (BBR) never has so much: to wait for it would leave the path idle.

use crate::time::{Span, Time};

/// The largest queue in so long is compared with that of the time before: some round trips.
const WINDOW: Span = Span::from_millis(100);
/// One that did not grow is not waited for again before this.
const STALLED: Span = Span::from_secs(10);
/// A queue that was empty for this long is gone.
const EMPTY: Span = Span::from_millis(3);

#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    tag: u8,
    /// When this window began; since when nothing waits.
    begun: Time,
    empty: Option<Time>,
    /// The most bytes that waited: in this window, and in the one before.
    most: u64,
    before: u64,
    /// Until then it is known not to grow.
    stalled: Time,
}

/// The queues of the flows that had one of late: no more than there are tags.
#[derive(Debug, Default)]
pub struct Growth {
    queues: Vec<Queue>,
}

impl Growth {
    /// Bytes of memory.
    pub fn held(&self) -> usize {
        self.queues.capacity() * size_of::<Queue>()
    }

    /// So many bytes of a flow wait behind the packet whose turn it is; whether they will be more.
    pub fn grows(&mut self, tag: u8, bytes: u64, now: Time) -> bool {
        let found = self.queues.iter().position(|queue| queue.tag == tag);
        if bytes == 0 {
            let Some(at) = found else { return true };
            let queue = &mut self.queues[at];
            queue.empty.get_or_insert(now);
            return queue.stalled <= now;
        }
        let is_gone = |queue: &Queue| queue.empty.is_some_and(|since| now.since(since) > EMPTY);
        let is_over = |queue: &Queue| queue.stalled <= now && is_gone(queue);
        let at = found.or_else(|| self.queues.iter().position(is_over)).unwrap_or(self.queues.len());
        if at == self.queues.len() {
            self.queues.push(Queue::default());
        }
        let queue = &mut self.queues[at];
        if found.is_none() || is_gone(queue) {
            let stalled = if found.is_some() { queue.stalled } else { Time(0) };
            *queue = Queue { tag, begun: now, stalled, ..Queue::default() };
        } else if now.since(queue.begun) >= WINDOW {
            if queue.before > 0 && queue.most <= queue.before + queue.before / 8 {
                queue.stalled = now + STALLED;
            }
            (queue.begun, queue.before, queue.most) = (now, queue.most, 0);
        }
        queue.empty = None;
        queue.most = queue.most.max(bytes);
        queue.stalled <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue that is so long each millisecond; when it is known not to grow.
    fn stalls(length: impl Fn(u64) -> u64) -> Option<u64> {
        let mut growth = Growth::default();
        (0..2_000).find(|ms| !growth.grows(7, length(*ms), Time(1_000_000 + ms * 1_000)))
    }

    #[test]
    fn a_queue_that_grows_is_waited_for_and_one_that_stands_is_not() {
        assert_eq!(stalls(|ms| 10_000 + ms * 400), Some(900), "an eighth more in a tenth of a second is growth");
        assert_eq!(stalls(|ms| 10_000 * (1 << (ms / 100).min(40))), None);
        assert_eq!(stalls(|_| 60_000), Some(200));
        assert_eq!(stalls(|ms| 100_000 - ms * 50), Some(200));
    }

    #[test]
    fn many_that_take_turns_stall_as_one_does() {
        let mut growth = Growth::default();
        let mut grows = |turn: u64| growth.grows((turn % 20) as u8, 60_000, Time(1_000_000 + turn * 2_000));
        assert!((0..100).all(&mut grows));
        assert!((100..200).any(|turn| !grows(turn)) && (200..240).all(|turn| !grows(turn)));
    }

    #[test]
    fn a_queue_that_empties_is_a_new_one() {
        assert_eq!(stalls(|ms| if ms % 50 < 40 { 60_000 } else { 0 }), None);
        assert_eq!(stalls(|ms| if ms % 50 < 48 { 60_000 } else { 0 }), Some(200), "for 2 ms is not empty");
    }

    #[test]
    fn what_stalled_is_remembered_for_a_while_and_by_its_own_flow() {
        let mut growth = Growth::default();
        let ms = |ms: u64| Time(1_000_000 + ms * 1_000);
        for at in 0..=200 {
            growth.grows(7, 60_000, ms(at));
            assert!(growth.grows(8, 1_000 * (at + 1) * (at + 1), ms(at)));
        }
        assert!(!growth.grows(7, 0, ms(201)) && !growth.grows(7, 60_000, ms(5_000)));
        growth.grows(8, 0, ms(4_000));
        assert!(growth.grows(8, 60_000, ms(5_000)));
        assert!(!growth.grows(7, 1, ms(10_199)) && growth.grows(7, 1, ms(10_200)));
    }

    #[test]
    fn memory_is_bounded_by_the_flows_that_wait_at_a_time() {
        let mut growth = Growth::default();
        for at in 0..10_000 {
            growth.grows((at % 64) as u8, 60_000, Time(1_000_000 + at * 10_000));
            growth.grows((at % 64) as u8, 0, Time(1_000_000 + at * 10_000));
        }
        assert_eq!(growth.queues.len(), 1);
        for tag in (0..=255).chain(0..=255) {
            growth.grows(tag, 60_000, Time(200_000_000));
        }
        assert_eq!(growth.queues.len(), 256);
    }
}
