//! One app as it is meant to be.

use scgi_protocol::name::AppName;
use serde::{Deserialize, Serialize};

use super::{Launch, ListenSpec, Restart, Roll, Sizing, Timing};

/// One app as it is meant to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// Its name.
    pub name: AppName,
    /// How its workers are started.
    pub launch: Launch,
    /// Where it listens; at least one place, the first stands at fd 0 of its workers.
    pub listen: Vec<ListenSpec>,
    /// How many workers it has.
    pub sizing: Sizing,
    /// How many requests at once one worker may serve; at least 1.
    pub concurrency: u16,
    /// How long starting and stopping may take.
    pub timing: Timing,
    /// What deaths cost.
    pub restart: Restart,
    /// How one generation is replaced by the next.
    pub roll: Roll,
}

/// What it takes to get from one spec of an app to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nothing.
    None,
    /// Other numbers for running workers: sizing, timing, restart.
    Retune,
    /// Other workers, new before old.
    Roll,
}

impl AppSpec {
    /// What it takes to get from this spec to `next`.
    pub fn change_to(&self, next: &Self) -> Change {
        // Destructured so that a new key must be given its meaning here.
        let Self { name: _, launch, listen, sizing, concurrency, timing, restart, roll } = self;
        if *launch != next.launch || *listen != next.listen || *concurrency != next.concurrency {
            return Change::Roll;
        }
        let tuned = *sizing != next.sizing
            || *timing != next.timing
            || *restart != next.restart
            || *roll != next.roll;
        if tuned { Change::Retune } else { Change::None }
    }
}
