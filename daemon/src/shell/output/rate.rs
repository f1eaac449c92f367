//! The rate at which one app may write lines: a bucket that refills as time passes.

use std::time::Duration;

use crate::supervisor::Moment;

/// Lines an app may write at once after a silence.
pub(super) const BURST: u32 = 5000;

/// The time in which one line more is granted: 1000 lines a second.
const REFILL: Duration = Duration::from_millis(1);

/// Whether a line is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is.
    Keep,
    /// It came too fast.
    Drop,
}

impl Verdict {
    /// [`Self::Drop`] if one of the two is.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Keep, Self::Keep) => Self::Keep,
            (Self::Drop, _) | (_, Self::Drop) => Self::Drop,
        }
    }
}

/// How much one app has written lately.
///
/// Kept as the moment at which the bucket will be full again: it moves on with every line, stands
/// still in silence, and may lie at most a burst ahead.
#[derive(Debug)]
pub(super) struct Rate {
    full_at: Moment,
    dropped: u64,
}

impl Rate {
    /// A full bucket.
    pub(super) fn new(now: Moment) -> Self {
        Self { full_at: now, dropped: 0 }
    }

    /// Admits a line, and says how many were dropped right before it; `None` if it comes too fast.
    pub(super) fn admit(&mut self, now: Moment) -> Option<u64> {
        let full_at = self.full_at.max(now) + REFILL;
        if full_at.since(now) > REFILL * BURST {
            self.dropped += 1;
            return None;
        }
        self.full_at = full_at;
        Some(std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_what_follows_it_at_once_is_dropped_and_counted() {
        let mut rate = Rate::new(Moment::START);

        let kept = (0..BURST + 70).filter(|_| rate.admit(Moment::START).is_some()).count();

        assert_eq!(kept, BURST as usize);
        assert_eq!(rate.admit(Moment::START + REFILL), Some(70));
        assert_eq!(rate.admit(Moment::START + REFILL), None);
    }

    #[test]
    fn one_line_in_each_refill_is_never_dropped() {
        let mut rate = Rate::new(Moment::START);

        let dropped = (0..20_000_u32).any(|n| rate.admit(Moment::START + REFILL * n).is_none());

        assert!(!dropped);
    }

    #[test]
    fn silence_gives_no_more_than_a_burst() {
        let mut rate = Rate::new(Moment::START);
        let later = Moment::START + Duration::from_secs(3600);

        let kept = (0..2 * BURST).filter(|_| rate.admit(later).is_some()).count();

        assert_eq!(kept, BURST as usize);
    }
}
