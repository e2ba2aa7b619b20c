//! The largest datagram that a path carries whole, found by asking (RFC 8899: nobody needs to send ICMP for it), and asked again when
//! large ones get lost.

use crate::time::{Span, Time};

use super::frame::{HEADER, TAG};
use super::item;

/// Every path that IPv6 could use carries this (RFC 8200: 1,280 bytes, less IPv6 and UDP headers).
pub const LEAST: u16 = 1_232;
/// The most that is ever tried: an Ethernet's 1,500 without IPv4 and UDP headers.
pub const MOST: u16 = 1_472;
/// The largest packet that a device may be made to take: two pieces carry it over any path. A larger one would find no shape there.
pub const LARGEST_DEVICE: u16 = 2 * (LEAST - (HEADER + TAG + item::OVERHEAD) as u16);
/// What squeezing saves a full packet of TCP over IPv4 with timestamps: 52 bytes of headers become 12.
const SAVED: u16 = 38;
/// What is tried when the most does not pass, all as UDP payload over IPv4: PPPoE (1,492), IPv6's, tunnels', LTE's.
const STEPS: [u16; 10] = [1_464, 1_452, 1_440, 1_424, 1_400, 1_372, 1_340, 1_300, 1_260, LEAST];
/// Tries at a size: a lossy path is not a narrow one.
const TRIES: u8 = 4;
/// Then it is all done again: routes change.
const AGAIN: Span = Span::from_secs(600);
/// So many large ones lost in a row make the size doubtful. By chance that is once in a day at 1,000 packets a second of which a tenth
/// is lost, and costs a probe then; a TCP that sends one large packet at a time gets there with its second, as each leaves some times.
const ROW: u8 = 8;

/// The largest packet that a device should take whose peer takes datagrams of `size` bytes: TCP's, squeezed, fit exactly;
/// others of full size leave in two pieces.
pub const fn device(size: u16) -> u16 {
    size - (HEADER + TAG + item::OVERHEAD) as u16 + SAVED
}

/// See the module.
#[derive(Debug)]
pub struct Search {
    /// Known to pass; of the least it is taken for granted until it is known better. 0: not even that passes.
    confirmed: u16,
    most: u16,
    trying: Option<(u16, u8)>,
    again: Time,
    /// Large ones that were lost since such a one came, and the smallest of them.
    lost: (u8, u16),
    /// Whether what was confirmed still passes is asked.
    suspect: bool,
}

impl Search {
    /// `most`: what the link itself could carry.
    pub fn new(most: u16) -> Self {
        let most = most.min(MOST);
        let (confirmed, trying) = if most < LEAST { (0, None) } else { (LEAST, Some((most, 0))) };
        Search { confirmed, most, trying, again: Time(0), lost: (0, 0), suspect: false }
    }

    /// The link itself carries so much now. What passed so far is taken to pass still, as far as the link lets it. Whether that is news.
    pub fn limit(&mut self, most: u16) -> bool {
        if most.min(MOST) == self.most {
            return false;
        }
        let known = core::mem::replace(self, Search::new(most)).confirmed;
        if self.confirmed > 0 {
            self.confirmed = known.clamp(LEAST, self.most);
        }
        true
    }

    /// Bytes of UDP payload that pass. 0: less than [`LEAST`], which is of no use.
    pub fn confirmed(&self) -> u16 {
        self.confirmed
    }

    /// Whether it is asked if what was confirmed still passes.
    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// The size to put into the next probe, if one is wanted.
    pub fn wanted(&self, now: Time) -> Option<u16> {
        match self.trying {
            _ if self.suspect => Some(self.confirmed),
            Some((size, _)) => Some(size),
            None => (now >= self.again && self.most >= LEAST).then_some(self.most),
        }
    }

    /// A probe of this size passed. Whether more is known by that.
    pub fn passed(&mut self, size: u16, now: Time) -> bool {
        let before = self.confirmed;
        if size >= LEAST && self.trying.is_none_or(|(trying, _)| trying <= size) {
            self.confirmed = size.min(self.most);
            self.trying = None;
            self.again = now + AGAIN;
        }
        if size >= self.confirmed {
            (self.suspect, self.lost) = (false, (0, 0));
        }
        self.confirmed != before
    }

    /// A probe of this size did not.
    pub fn failed(&mut self, size: u16, now: Time) {
        if self.suspect && size == self.confirmed {
            return self.doubt();
        }
        let tries = match self.trying {
            Some((trying, tries)) if trying == size => tries + 1,
            // Anew after a while.
            None => 1,
            Some(_) => return,
        };
        if tries < TRIES {
            self.trying = Some((size, tries));
        } else {
            self.below(size, now);
        }
    }

    /// The kernel takes none of this size: no answer needs to be waited for.
    pub fn refused(&mut self, size: u16, now: Time) {
        if size <= self.confirmed {
            (self.confirmed, self.suspect) = (LEAST, false);
        } else if self.trying.is_some_and(|(trying, _)| trying < size) {
            return;
        }
        self.below(size, now);
    }

    fn below(&mut self, size: u16, now: Time) {
        self.trying = STEPS.into_iter().find(|step| *step < size).map(|step| (step, 0));
        if self.trying.is_none() {
            (self.confirmed, self.suspect) = (0, false);
            self.again = now + AGAIN;
        }
    }

    /// A datagram of this size was lost.
    pub fn lost(&mut self, size: u16) {
        let (count, least) = self.lost;
        if size > LEAST {
            self.lost = (count.saturating_add(1), if count == 0 { size } else { least.min(size) });
        }
    }

    /// One came.
    pub fn came(&mut self, size: u16) {
        if size >= self.lost.1 {
            self.lost = (0, 0);
        }
    }

    /// Something passes, it may be small. Whether large ones are to be asked about for that: then [`wanted`](Self::wanted) has their size.
    pub fn compare(&mut self) -> bool {
        let doubtful = self.lost.0 >= ROW && self.confirmed > LEAST;
        if doubtful {
            (self.lost, self.suspect) = ((0, 0), true);
        }
        doubtful
    }

    /// Small packets pass and large ones do not: what was known is void.
    pub fn doubt(&mut self) {
        *self = Search::new(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found over a path that carries `carries`.
    fn found(carries: u16, lossy: bool) -> u16 {
        let mut search = Search::new(MOST);
        settle(&mut search, carries, lossy, Time(0));
        search.confirmed()
    }

    fn settle(search: &mut Search, carries: u16, lossy: bool, mut now: Time) {
        for turn in 0..200 {
            now = now + Span::from_millis(100);
            let Some(size) = search.wanted(now) else { break };
            if size > carries || lossy && turn % 2 == 0 {
                search.failed(size, now);
            } else {
                search.passed(size, now);
            }
        }
    }

    #[test]
    fn the_largest_step_that_passes_is_found() {
        for (carries, size) in
            [(9_000, 1_472), (1_472, 1_472), (1_464, 1_464), (1_430, 1_424), (1_300, 1_300), (1_232, 1_232), (1_231, 0)]
        {
            assert_eq!(found(carries, false), size);
            assert_eq!(found(carries, true), size, "with losses");
        }
    }

    #[test]
    fn it_is_asked_again_after_ten_minutes() {
        let mut search = Search::new(MOST);
        search.passed(MOST, Time(0));
        assert_eq!(search.wanted(Time(1)), None);
        assert_eq!(search.wanted(Time(0) + AGAIN), Some(MOST));
        settle(&mut search, 1_000, false, Time(0) + AGAIN);
        assert_eq!((search.confirmed(), search.wanted(Time(0) + AGAIN + AGAIN + AGAIN)), (0, Some(MOST)));
    }

    #[test]
    fn a_row_of_large_ones_lost_is_looked_into() {
        let mut search = Search::new(MOST);
        search.passed(MOST, Time(0));
        let row = |search: &mut Search, count| (0..count).for_each(|_| search.lost(1_400));
        for came in [1_400, 1_472] {
            row(&mut search, ROW - 1);
            search.came(came);
            row(&mut search, ROW - 1);
            assert!(!search.compare(), "one of {came} came");
            search.came(came);
        }
        (0..100).for_each(|_| search.lost(LEAST));
        assert!(!search.compare(), "small ones say nothing");
        for passes in [true, false] {
            row(&mut search, ROW - 1);
            search.came(1_300);
            row(&mut search, 1);
            assert!(search.compare() && search.is_suspect() && !search.compare());
            assert_eq!(
                (search.confirmed(), search.wanted(Time(1))),
                (MOST, Some(MOST)),
                "it is used until it is known"
            );
            if passes {
                search.passed(MOST, Time(1));
                assert_eq!((search.wanted(Time(2)), search.is_suspect()), (None, false));
            } else {
                search.failed(MOST, Time(1));
                assert_eq!((search.confirmed(), search.wanted(Time(2))), (LEAST, Some(MOST)));
            }
        }
        row(&mut search, ROW);
        assert!(!search.compare(), "nothing large leaves now");
        settle(&mut search, 1_372, false, Time(2));
        assert_eq!(search.confirmed(), 1_372);
    }

    /// The path shrinks while it is asked again: what is asked next is a size all the same.
    #[test]
    fn a_suspicion_ends_with_what_it_is_of() {
        let mut search = Search::new(MOST);
        search.passed(MOST, Time(0));
        let later = Time(0) + AGAIN;
        while search.wanted(later) != Some(LEAST) {
            let size = search.wanted(later).unwrap();
            search.failed(size, later);
        }
        (0..ROW).for_each(|_| search.lost(1_400));
        assert!(search.compare());
        (0..TRIES).for_each(|_| search.failed(LEAST, later));
        assert_eq!((search.confirmed(), search.is_suspect(), search.wanted(later)), (0, false, None));
    }

    #[test]
    fn what_the_kernel_refuses_is_not_tried() {
        let mut search = Search::new(MOST);
        search.passed(MOST, Time(0));
        let mut refusals = 0;
        while let Some(size) = search.wanted(Time(1)).or((refusals == 0).then_some(MOST)).filter(|size| *size > 1_372) {
            search.refused(size, Time(1));
            refusals += 1;
            assert_eq!(search.confirmed(), LEAST);
        }
        assert_eq!((refusals, search.wanted(Time(1))), (6, Some(1_372)));
        // Of one that was sent before.
        search.refused(1_450, Time(1));
        assert_eq!(search.wanted(Time(1)), Some(1_372));
        search.passed(1_372, Time(1));
        assert_eq!(search.confirmed(), 1_372);
        search.refused(LEAST, Time(2));
        assert_eq!((search.confirmed(), search.wanted(Time(2))), (0, None));
    }

    #[test]
    fn a_links_own_size_counts() {
        let mut search = Search::new(MOST);
        search.passed(MOST, Time(0));
        search.limit(9_000);
        assert_eq!(search.wanted(Time(1)), None, "it was no limit");
        search.limit(1_372);
        assert_eq!((search.confirmed(), search.wanted(Time(1))), (1_372, Some(1_372)));
        search.limit(LEAST - 1);
        assert_eq!((search.confirmed(), search.wanted(Time(1)), search.wanted(Time(0) + AGAIN)), (0, None, None));
        search.limit(1_452);
        assert_eq!((search.confirmed(), search.wanted(Time(1))), (LEAST, Some(1_452)));
    }
}
