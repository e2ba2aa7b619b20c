//! The largest datagram that a path carries whole, found by asking (RFC 8899: nobody needs to send ICMP for it).

use crate::time::{Span, Time};

/// Every path that IPv6 could use carries this (RFC 8200: 1,280 bytes, less IPv6 and UDP headers).
pub const LEAST: u16 = 1_232;
/// The most that is ever tried: an Ethernet's 1,500 without IPv4 and UDP headers.
pub const MOST: u16 = 1_472;
/// What is tried when the most does not pass, all as UDP payload over IPv4: PPPoE (1,492), IPv6's, tunnels', LTE's.
const STEPS: [u16; 9] = [1_464, 1_452, 1_440, 1_424, 1_400, 1_372, 1_340, 1_300, 1_260];
/// Tries at a size: a lossy path is not a narrow one.
const TRIES: u8 = 4;
/// Then it is all done again: routes change.
const AGAIN: Span = Span::from_secs(600);

/// See the module.
#[derive(Debug)]
pub struct Search {
    /// Known to pass.
    confirmed: u16,
    most: u16,
    trying: Option<(u16, u8)>,
    again: Time,
}

impl Search {
    /// `most`: what the link itself could carry.
    pub fn new(most: u16) -> Self {
        let most = most.clamp(LEAST, MOST);
        Search { confirmed: LEAST, most, trying: Some((most, 0)), again: Time(0) }
    }

    /// Bytes of UDP payload that pass.
    pub fn confirmed(&self) -> u16 {
        self.confirmed
    }

    /// The size to put into the next probe, if one is wanted.
    pub fn wanted(&self, now: Time) -> Option<u16> {
        match self.trying {
            Some((size, _)) => Some(size),
            None => (now >= self.again).then_some(self.most),
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
        self.confirmed != before
    }

    /// A probe of this size did not.
    pub fn failed(&mut self, size: u16, now: Time) {
        let tries = match self.trying {
            Some((trying, tries)) if trying == size => tries + 1,
            // Anew after a while.
            None => 1,
            Some(_) => return,
        };
        if tries < TRIES {
            self.trying = Some((size, tries));
            return;
        }
        self.trying = STEPS.into_iter().find(|step| *step < size).map(|step| (step, 0));
        if self.trying.is_none() {
            self.confirmed = LEAST;
            self.again = now + AGAIN;
        }
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
        let mut now = Time(0);
        for turn in 0..200 {
            now = now + Span::from_millis(100);
            let Some(size) = search.wanted(now) else { break };
            if size > carries || lossy && turn % 2 == 0 {
                search.failed(size, now);
            } else {
                search.passed(size, now);
            }
        }
        search.confirmed()
    }

    #[test]
    fn the_largest_step_that_passes_is_found() {
        for (carries, size) in
            [(9_000, 1_472), (1_472, 1_472), (1_464, 1_464), (1_430, 1_424), (1_300, 1_300), (1_232, 1_232)]
        {
            assert_eq!(found(carries, false), size);
            assert_eq!(found(carries, true), size, "with losses");
        }
    }

    #[test]
    fn it_is_asked_again_after_ten_minutes_and_doubt() {
        let mut search = Search::new(MOST);
        search.passed(MOST, Time(0));
        assert_eq!(search.wanted(Time(1)), None);
        assert_eq!(search.wanted(Time(0) + AGAIN), Some(MOST));
        search.doubt();
        assert_eq!(search.confirmed(), LEAST);
        assert_eq!(search.wanted(Time(1)), Some(MOST));
    }
}
