//! The bounded numbers by which the supervisor decides.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many workers an app has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Numbers")]
pub struct Sizing {
    min: u16,
    max: u16,
    spare: u16,
    idle_timeout: Duration,
}

/// A [`Sizing`] as it was written down, not yet believed.
#[derive(Deserialize)]
struct Numbers {
    min: u16,
    max: u16,
    spare: u16,
    idle_timeout: Duration,
}

impl TryFrom<Numbers> for Sizing {
    type Error = SizingError;

    fn try_from(numbers: Numbers) -> Result<Self, SizingError> {
        let Numbers { min, max, spare, idle_timeout } = numbers;
        Self::dynamic(min, max, spare, idle_timeout)
    }
}

/// Why numbers are not a [`Sizing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizingError {
    /// No worker could ever run, or too many.
    #[error("must be 1 to {most}, not {0}", most = Sizing::MOST)]
    Max(u16),
    /// The least is more than the most.
    #[error("`min` ({min}) is more than `max` ({max})")]
    MinAboveMax {
        /// The least.
        min: u16,
        /// The most.
        max: u16,
    },
    /// More idle workers than there may be workers.
    #[error("`spare` ({spare}) is more than `max` ({max})")]
    SpareAboveMax {
        /// The idle ones.
        spare: u16,
        /// The most.
        max: u16,
    },
}

impl Sizing {
    /// Most workers an app may have.
    pub const MOST: u16 = 1024;

    /// The idle timeout unless the configuration says another.
    pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

    /// Always `count` workers.
    ///
    /// # Errors
    ///
    /// [`SizingError::Max`] if `count` is 0 or more than [`Self::MOST`].
    pub fn fixed(count: u16) -> Result<Self, SizingError> {
        Self::dynamic(count, count, 0, Self::DEFAULT_IDLE_TIMEOUT)
    }

    /// Between `min` and `max` workers, `spare` of them idle, the surplus retired after
    /// `idle_timeout` without a request.
    ///
    /// # Errors
    ///
    /// [`SizingError`] if the numbers contradict each other.
    pub fn dynamic(
        min: u16,
        max: u16,
        spare: u16,
        idle_timeout: Duration,
    ) -> Result<Self, SizingError> {
        match (min, max, spare) {
            (_, 0, _) | (_, 1025.., _) => Err(SizingError::Max(max)),
            _ if min > max => Err(SizingError::MinAboveMax { min, max }),
            _ if spare > max => Err(SizingError::SpareAboveMax { spare, max }),
            _ => Ok(Self { min, max, spare, idle_timeout }),
        }
    }

    /// Fewest workers.
    pub fn min(&self) -> u16 {
        self.min
    }

    /// Most workers.
    pub fn max(&self) -> u16 {
        self.max
    }

    /// Idle workers to keep at hand.
    pub fn spare(&self) -> u16 {
        self.spare
    }

    /// How long a surplus worker may be idle.
    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// The number of workers never changes by itself.
    pub fn is_fixed(&self) -> bool {
        self.min == self.max
    }
}

/// How a worker's readiness is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// It says `READY=1`.
    Notify,
    /// It has lived this long.
    After(Duration),
    /// Its own socket takes a connection.
    Connect,
}

/// The signal that asks a worker to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StopSignal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGHUP.
    Hup,
    /// SIGUSR1.
    Usr1,
    /// SIGUSR2.
    Usr2,
}

impl StopSignal {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Term, Self::Int, Self::Quit, Self::Hup, Self::Usr1, Self::Usr2];

    /// Its name without `SIG`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Hup => "HUP",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
        }
    }
}

/// How long starting and stopping may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// How readiness is known.
    pub ready: Ready,
    /// From started to ready; a worker that takes longer is killed.
    pub start_timeout: Duration,
    /// From asked to leave to gone; a worker that takes longer is killed.
    pub stop_timeout: Duration,
    /// How it is asked to leave.
    pub stop_signal: StopSignal,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ready: Ready::Notify,
            start_timeout: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(30),
            stop_signal: StopSignal::Term,
        }
    }
}

/// What deaths cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Deaths within `period` that a generation may have before it is given up; at least 1.
    pub budget: u32,
    /// How long a death is remembered.
    pub period: Duration,
    /// The first pause before another attempt.
    pub backoff_first: Duration,
    /// The longest pause before another attempt.
    pub backoff_max: Duration,
    /// No further attempts once the budget is spent, rather than one at each longest pause.
    pub give_up: bool,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            budget: 5,
            period: Duration::from_secs(60),
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
            give_up: false,
        }
    }
}

/// How one generation is replaced by the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roll {
    /// How many workers beyond the wanted number may exist meanwhile.
    pub surge: Surge,
    /// How long a new worker has to live, ready, before the old one in its seat is asked to leave.
    pub soak: Duration,
    /// What a new worker has to answer before that.
    pub health: Option<Health>,
}

impl Default for Roll {
    fn default() -> Self {
        Self { surge: Surge::Count(1), soak: Duration::ZERO, health: None }
    }
}

/// A number of workers, or a share of those that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Surge {
    /// So many; with 0 an old worker leaves before the new one comes.
    Count(u16),
    /// So many of a hundred that are wanted, rounded up; at least 1.
    Percent(u16),
}

impl Surge {
    /// How many workers that is if `wanted` are wanted.
    pub fn of(self, wanted: u16) -> usize {
        match self {
            Self::Count(count) => count.into(),
            Self::Percent(share) => (usize::from(wanted) * usize::from(share)).div_ceil(100).max(1),
        }
    }
}

impl fmt::Display for Surge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

/// A request that a healthy worker answers well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What is asked for, by GET; begins with `/`.
    pub path: String,
    /// How long the answer may take.
    pub timeout: Duration,
}

impl Health {
    /// How long an answer may take unless the configuration says otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_workers_is_rounded_up_and_is_never_none() {
        assert_eq!([0, 1, 4, 5, 8].map(|wanted| Surge::Percent(25).of(wanted)), [1, 1, 1, 2, 2]);
        assert_eq!(Surge::Percent(100).of(7), 7);
        assert_eq!(Surge::Count(0).of(7), 0);
    }
}
