//! The clock: the only reader of time in the daemon.
//!
//! The core and everything else count in [`Moment`]s, which no administrator can set. What people
//! see is a [`Timestamp`]; it follows the wall clock when that is set, but does not flicker with
//! every small correction.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use scgi_protocol::control::Timestamp;
use scgi_protocol::page;

use crate::supervisor::Moment;

/// How far wall clock and moments may drift apart before the wall clock counts as set anew.
const STEP_NS: u64 = 500_000_000;

/// Reads time. Clones read the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    /// What `CLOCK_MONOTONIC` showed at [`Moment::START`], in nanoseconds.
    start_monotonic_ns: u64,
    /// When this program began.
    began: Moment,
    /// What the wall clock showed at [`Moment::START`], in nanoseconds since 1970.
    start_ns: Arc<AtomicU64>,
}

impl Clock {
    /// Starts the clock: it is [`Moment::START`] for all its clones.
    pub fn start() -> Self {
        Self::since(Self::monotonic_ns())
    }

    /// Goes on from a clock that showed [`Moment::START`] when `CLOCK_MONOTONIC` showed
    /// `start_monotonic_ns`, which must not lie ahead: that of a daemon before this one.
    pub fn resume(start_monotonic_ns: u64) -> Self {
        Self::since(start_monotonic_ns.min(Self::monotonic_ns()))
    }

    fn since(start_monotonic_ns: u64) -> Self {
        let passed_ns = Self::monotonic_ns().saturating_sub(start_monotonic_ns);
        let start_ns = Arc::new(AtomicU64::new(wall_ns().saturating_sub(passed_ns)));
        let began = Moment(Duration::from_nanos(passed_ns));
        Self { start_monotonic_ns, began, start_ns }
    }

    /// What `CLOCK_MONOTONIC` showed at [`Moment::START`], in nanoseconds.
    pub fn start_monotonic_ns(&self) -> u64 {
        self.start_monotonic_ns
    }

    /// When this program began; [`Moment::START`] unless it took over from another.
    pub fn began(&self) -> Moment {
        self.began
    }

    /// What time it is.
    pub fn now(&self) -> Moment {
        let passed_ns = Self::monotonic_ns().saturating_sub(self.start_monotonic_ns);
        Moment(Duration::from_nanos(passed_ns))
    }

    /// What the wall clock showed at `moment`, or will show.
    ///
    /// If the wall clock was set since, all moments move with it: an event of five minutes ago
    /// stays five minutes ago.
    pub fn wall(&self, moment: Moment) -> Timestamp {
        self.wall_as_of(moment, wall_ns())
    }

    /// What the wall clock shows.
    pub fn wall_now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Nanoseconds of the clock that pages are written by.
    pub fn monotonic_ns() -> u64 {
        page::now_ns()
    }

    fn wall_as_of(&self, moment: Moment, wall_ns: u64) -> Timestamp {
        let start_ns = wall_ns.saturating_sub(nanoseconds(self.now().0));
        let known_ns = self.start_ns.load(Relaxed);
        if known_ns.abs_diff(start_ns) > STEP_NS {
            self.start_ns.store(start_ns, Relaxed);
        }
        let start = Duration::from_nanos(self.start_ns.load(Relaxed));
        let shown = (SystemTime::UNIX_EPOCH + start).checked_add(moment.0);
        Timestamp::from(shown.unwrap_or(SystemTime::UNIX_EPOCH + start))
    }
}

/// The wall clock in nanoseconds since 1970; good until the year 2554.
fn wall_ns() -> u64 {
    nanoseconds(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_the_same_timestamp_however_often_it_is_asked() {
        let clock = Clock::start();
        let moment = Moment(Duration::from_millis(1500));

        let first = clock.wall(moment);

        assert!((0..100).all(|_| clock.clone().wall(moment) == first));
    }

    #[test]
    fn a_clock_that_goes_on_shows_what_the_one_before_it_shows() {
        let first = Clock::start();
        let moment = first.now();

        let second = Clock::resume(first.start_monotonic_ns());

        assert!(second.now() >= moment && second.began() >= moment);
        assert!(second.now().since(moment) < Duration::from_secs(60));
    }

    #[test]
    fn moments_follow_a_wall_clock_that_was_set() {
        let clock = Clock::start();
        let before = clock.wall(Moment::START);
        let an_hour = Duration::from_secs(3600);

        let after = clock.wall_as_of(Moment::START, wall_ns() + nanoseconds(an_hour));

        assert!(before.age(after) > an_hour - Duration::from_secs(60));
    }
}
