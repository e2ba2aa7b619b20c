//! The least of what was seen of late.

use crate::time::{Span, Time};

/// The least delay is that of the last ten seconds: routes change, and clocks drift apart.
pub const MEMORY: Span = Span::from_secs(10);

/// The least of what was seen within one to two lengths of a memory; if nothing was for longer, of the last two values.
#[derive(Clone, Copy, Debug)]
pub struct Least {
    now: i64,
    before: i64,
    since: Time,
}

impl Default for Least {
    fn default() -> Self {
        Least { now: Self::NONE, before: Self::NONE, since: Time(0) }
    }
}

impl Least {
    /// Nothing was seen yet.
    pub const NONE: i64 = i64::MAX;

    /// Sees a value; the least with it.
    pub fn see(&mut self, value: i64, now: Time) -> i64 {
        self.see_for(value, now, MEMORY)
    }

    /// The same with another memory than [`MEMORY`].
    pub fn see_for(&mut self, value: i64, now: Time, memory: Span) -> i64 {
        if now.since(self.since) >= memory {
            (self.before, self.now, self.since) = (self.now, value, now);
        }
        self.now = self.now.min(value);
        self.get()
    }

    /// The least; [`Least::NONE`] of nothing.
    pub fn get(&self) -> i64 {
        self.now.min(self.before)
    }
}
