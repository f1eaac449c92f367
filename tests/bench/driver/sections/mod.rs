//! The tables, one file each.

mod adopt;
mod calls;
mod fleet;
mod idle;
mod jobs;
mod kill;
mod plan;
mod roll;
mod upgrade;

use std::io;

use clap::ValueEnum;

use crate::options::Options;

/// One table of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// CPU per request and requests per second.
    Jobs,
    /// System calls per request.
    Calls,
    /// Many idle workers at a slow rate.
    Idle,
    /// From the death of the only worker to the reply of the next.
    Kill,
    /// All workers of an app replaced under load.
    Roll,
    /// The daemon killed under load, and the next one.
    Adopt,
    /// Another daemon in its place under load.
    Upgrade,
    /// One change among many apps, planned and applied.
    Plan,
    /// A daemon with many apps and nothing to do.
    Fleet,
}

impl Section {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 9] = [
        Self::Jobs,
        Self::Calls,
        Self::Idle,
        Self::Kill,
        Self::Roll,
        Self::Adopt,
        Self::Upgrade,
        Self::Plan,
        Self::Fleet,
    ];

    /// Measures and prints.
    ///
    /// # Errors
    ///
    /// A server did not come up, or a reply was lost or wrong.
    pub(crate) fn run(self, options: &Options) -> io::Result<()> {
        match self {
            Self::Jobs => jobs::run(options),
            Self::Calls => calls::run(options),
            Self::Idle => idle::run(options),
            Self::Kill => kill::run(options),
            Self::Roll => roll::run(options),
            Self::Adopt => adopt::run(options),
            Self::Upgrade => upgrade::run(options),
            Self::Plan => plan::run(options),
            Self::Fleet => fleet::run(options),
        }
    }
}
