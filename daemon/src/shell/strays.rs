//! Finds and kills what workers leave behind.
//!
//! A worker's process group dies with it. What moved to a session of its own does not, but becomes
//! the daemon's child once its parent is gone, and still carries the worker's number in its
//! environment. Of whom that cannot be told, nothing is done.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use scgi_protocol::birth;
use scgi_protocol::name::WorkerId;

use super::reap::{self, To};
use crate::proc::{self, Environment};
use crate::supervisor::Pid;

/// After what time is looked again for what workers left behind, if somebody may be left.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How often is looked before the end, at most: who forks faster than he is killed is let be.
pub(super) const LOOKS: u32 = 20;

/// Who may be left after a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rest {
    /// Somebody was killed, who may have had children.
    pub(super) killed: bool,
    /// Somebody is becoming another program; whose he is can be seen in a moment.
    pub(super) changing: bool,
}

impl Rest {
    /// Nobody was there.
    pub(super) fn is_nobody(self) -> bool {
        self == Self::default()
    }
}

/// Kills the children that belong to a worker that is no more. `workers` are the pids of those
/// that are, `living` their numbers.
pub(super) fn kill(workers: &BTreeSet<Pid>, living: &BTreeSet<WorkerId>) -> Rest {
    let mut rest = Rest::default();
    for pid in proc::children().into_iter().filter(|pid| !workers.contains(pid)) {
        let environment = Environment::of(pid);
        rest.changing |= environment == Environment::Changing;
        let Environment::Seen(block) = environment else { continue };
        let Some((app, worker)) = birth::worker_of(&block) else { continue };
        if !living.contains(&worker) {
            tracing::warn!(%app, %worker, pid, "process left behind by a worker killed");
            reap::signal(pid, Signal::SIGKILL, To::Process);
            rest.killed = true;
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::builtin::children_of_tests;

    #[test]
    fn who_is_becoming_another_program_is_found_as_well() {
        let _beside_others = children_of_tests::beside_others();
        let folder = tempfile::tempdir().unwrap();
        let restless = folder.path().join("restless");
        std::fs::write(&restless, "exec /bin/sh \"$0\"").unwrap();

        for _ in 0..200 {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "echo; exec /bin/sh \"$0\""]).arg(&restless);
            command.env("SCGI_APP", "blog").env("SCGI_WORKER", "7").stdout(Stdio::piped());
            let mut left = command.spawn().unwrap();
            let said = BufReader::new(left.stdout.take().unwrap()).read_line(&mut String::new());
            assert_eq!(said.unwrap(), 1);

            while !kill(&BTreeSet::new(), &BTreeSet::new()).is_nobody() {}
            let pid = i32::try_from(left.id()).unwrap();
            // One that has ended says nothing any more.
            assert_eq!(Environment::of(pid), Environment::Hidden);
            assert_eq!(left.wait().unwrap().signal(), Some(9));
        }
    }
}
