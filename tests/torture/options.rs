//! What a person can ask of the torture.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;

/// Roll real apps, upgrade their daemon and kill it under real load, over and over, and lose
/// nothing.
///
/// Exits with 1 if a single request failed, was not counted or counted twice, if an upgrade changed
/// the daemon's process or a worker, if a worker or a descriptor is left over, or if the daemon's
/// memory grew; what is needed to find out why is then in a folder that is named.
#[derive(Clone, Debug, Parser)]
#[command(name = "tests/torture/run")]
pub(crate) struct Options {
    /// How many rolls, of all apps together.
    #[arg(long, default_value_t = 1000)]
    pub(crate) rolls: u32,
    /// How many times another scgid takes the daemon's place, at random instants.
    #[arg(long, default_value_t = 100)]
    pub(crate) upgrades: u32,
    /// How many times the daemon is killed, at random instants, and another one started.
    #[arg(long, default_value_t = 100)]
    pub(crate) kills: u32,
    /// What all choices come from, so that they can be made again; the machine's own timing cannot.
    #[arg(long)]
    seed: Option<u64>,
    /// Go on for at least so long.
    #[arg(long, default_value_t = 0)]
    minutes: u64,
}

impl Options {
    /// With a seed, if none was given.
    pub(crate) fn seeded(self) -> Self {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = self.seed.unwrap_or_else(|| u64::from(clock().subsec_nanos()));
        Self { seed: Some(seed), ..self }
    }

    /// What all choices come from.
    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or_default()
    }

    /// The least time that all of it takes.
    pub(crate) fn at_least(&self) -> Duration {
        Duration::from_secs(self.minutes * 60)
    }
}
