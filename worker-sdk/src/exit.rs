//! How a worker ends, whatever it served by.

use std::process::{ExitCode, Termination};

use scgi_protocol::birth::EXIT_NEVER_AGAIN;

/// How a worker ended, as the exit status of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "return it from `main`, so that the exit status is right"]
pub enum Exit {
    /// It left when it was told to: status 0.
    Drained,
    /// It could not begin to serve: status 1.
    Failed,
    /// It could not begin to serve, and trying again would be the same: status 100.
    NeverAgain,
}

impl Exit {
    /// The exit status, for who ends the process in another way than by returning this from `main`.
    pub fn status(self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::Failed => 1,
            Self::NeverAgain => u8::try_from(EXIT_NEVER_AGAIN).expect("exit statuses are bytes"),
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.status().into()
    }
}
