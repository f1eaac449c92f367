//! A point in time as the core knows it.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Time since the daemon began. Unlike an `Instant` it can be made up, which the simulation does.
///
/// Read back, it is at most a thousand years: a worker may ask for more time than any clock shows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(from = "Duration")]
pub struct Moment(pub Duration);

impl From<Duration> for Moment {
    fn from(since_start: Duration) -> Self {
        Self(since_start.min(LATEST))
    }
}

/// The latest moment that is believed when it is read back.
const LATEST: Duration = Duration::from_secs(1000 * 365 * 24 * 60 * 60);

impl Moment {
    /// When the daemon began.
    pub const START: Self = Self(Duration::ZERO);

    /// How long before this moment `earlier` was; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(earlier))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0.as_secs_f64())
    }
}
