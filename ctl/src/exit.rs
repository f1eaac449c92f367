//! What the program's exit code means. These numbers are a promise; 3 and 4 are those of LSB.

use std::process::ExitCode;

use scgi_protocol::control::{Problem, ProblemKind};

/// How a run of the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// What was asked for is so, and was verified.
    Done = 0,
    /// What was asked for is not so; `plan`: something would change.
    Failed = 1,
    /// The command line or the configuration is wrong; nothing has changed.
    Usage = 2,
    /// `status` only: an app is not well.
    NotWell = 3,
    /// There is no app of that name.
    NoSuchApp = 4,
    /// The kernel or the daemon does not permit it.
    Denied = 5,
    /// Another operation holds the app, or another configuration is in force than was expected.
    Conflict = 6,
    /// The daemon is not running, or does not answer.
    Unreachable = 7,
    /// The time to wait was over; the operation goes on.
    TimedOut = 124,
    /// Ctrl-C while waiting; the operation goes on.
    Interrupted = 130,
}

/// The exit codes, as `--help` prints them.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done and verified; for `status`: all apps are well
  1    failed, with the reason; `plan`: something would change
  2    wrong usage, or an invalid configuration; nothing has changed
  3    `status`: an app is not well
  4    no such app; nothing has changed
  5    permission denied
  6    conflict: another operation holds the app, or the configuration is not the expected one
  7    the daemon is not running or does not answer
  124  timed out while waiting; the operation goes on
  130  interrupted while waiting; the operation goes on";

impl Exit {
    /// What a refusal of the daemon means for the exit code.
    pub(crate) fn of_problem(problem: &Problem) -> Self {
        let Some(kind) = problem.known() else { return Self::Failed };
        match kind {
            ProblemKind::NoSuchApp => Self::NoSuchApp,
            ProblemKind::Forbidden => Self::Denied,
            ProblemKind::Conflict | ProblemKind::Changed => Self::Conflict,
            ProblemKind::BadRequest | ProblemKind::InvalidConfig => Self::Usage,
            ProblemKind::NotFound
            | ProblemKind::NoSuchOperation
            | ProblemKind::NoSuchRevision
            | ProblemKind::MethodNotAllowed
            | ProblemKind::TooSlow
            | ProblemKind::Senseless
            | ProblemKind::TooLarge
            | ProblemKind::Unprepared
            | ProblemKind::Internal
            | ProblemKind::Busy
            | ProblemKind::Stopping => Self::Failed,
        }
    }

    /// The first of two exits that is not [`Exit::Done`].
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        if self == Self::Done { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_ends_with_the_exit_code_that_the_contract_names() {
        for kind in ProblemKind::ALL {
            let problem = Problem::new(kind, String::new());
            assert_eq!(Exit::of_problem(&problem) as u8, kind.exit_code(), "{kind:?}");
        }
        assert_eq!(Exit::of_problem(&Problem::default()), Exit::Failed);
    }

    #[test]
    fn the_help_names_every_exit_code() {
        let told: Vec<u8> =
            HELP.lines().filter_map(|line| line.trim().split(' ').next()?.parse().ok()).collect();

        assert_eq!(told, [0, 1, 2, 3, 4, 5, 6, 7, 124, 130]);
    }
}
