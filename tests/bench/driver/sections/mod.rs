//! The tables, one file each.

mod calls;
mod fleet;
mod idle;
mod jobs;
mod kill;
mod roll;

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
    /// A daemon with many apps and nothing to do.
    Fleet,
}

impl Section {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 6] =
        [Self::Jobs, Self::Calls, Self::Idle, Self::Kill, Self::Roll, Self::Fleet];

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
            Self::Fleet => fleet::run(options),
        }
    }
}
