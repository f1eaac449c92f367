//! Ends the workers of a daemon that will not come back.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use scgi_protocol::name::{AppName, WorkerId};

use super::survivor::{Absence, Survivor};
use super::sweep::{Wanted, sweep};
use crate::shell::clock::Clock;
use crate::shell::reap::To;
use crate::shell::state::record::ProcessRecord;
use crate::shell::state::{Found, State, StateError};
use crate::shell::strays::{LOOK_AGAIN, LOOKS};

/// Asks every worker to leave that a daemon left behind with the state at `path`, waits for
/// `patience`, and kills those that are still there. Each is told of.
///
/// # Errors
///
/// [`StateError::Taken`] if a daemon lives: then nobody was asked anything.
pub fn end_workers(
    path: &Path,
    patience: Duration,
    mut tell: impl FnMut(String),
) -> Result<(), StateError> {
    let mut state = State::open(path)?;
    let Found { left, refused } = state.find();
    for why in &refused {
        tell(format!("{why}; left alone"));
    }
    let Some(left) = left else {
        if refused.is_empty() {
            tell("no daemon left a worker behind".to_owned());
            state.clear();
        }
        return Ok(());
    };
    let notify_socket = left.site.notify_socket.display().to_string();
    let mut workers = Vec::new();
    for (app, left) in &left.apps {
        for record in &left.processes {
            match Survivor::find(record, app, &notify_socket) {
                Ok(survivor) => workers.push((app, *record, survivor)),
                Err(Absence::Doubtful(why)) => tell(format!("{app}: {why}; left alone")),
                Err(Absence::Ended(_) | Absence::Replaced) => {}
            }
        }
    }
    for (_, _, survivor) in &workers {
        survivor.signal(Signal::SIGTERM, To::Process);
    }
    let slow = wait(&workers, patience);
    for (app, record, survivor) in &workers {
        let how = match slow.contains(&record.pid) {
            true => "killed",
            false => "left",
        };
        survivor.signal(Signal::SIGKILL, To::Group);
        survivor.end_group(record.began);
        tell(format!("{app}: worker {} (process {}) {how}", record.worker, record.pid));
    }
    let wanted = Wanted { apps: left.apps.keys().cloned().collect(), before: WorkerId(u64::MAX) };
    sweep_all(&wanted, &notify_socket);
    state.clear();
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the interval of a wait with a condition")]
fn sweep_all(wanted: &Wanted, notify_socket: &str) {
    let mut looks = 1..LOOKS;
    while !sweep(wanted, &BTreeSet::new(), notify_socket).is_nobody() && looks.next().is_some() {
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Waits until all have ended, and returns those that have not in time.
fn wait(workers: &[(&AppName, ProcessRecord, Survivor)], patience: Duration) -> BTreeSet<i32> {
    let now = || Duration::from_nanos(Clock::monotonic_ns());
    let until = now() + patience;
    let mut left: Vec<_> = workers.iter().collect();
    loop {
        left.retain(|(_, _, survivor)| survivor.is_alive());
        let rest = until.saturating_sub(now());
        let Some((_, _, first)) = left.first().filter(|_| !rest.is_zero()) else { break };
        let mut asked = [PollFd::new(first.pidfd().as_fd(), PollFlags::POLLIN)];
        // Interrupted or not: it is looked at again.
        let _ = poll(&mut asked, PollTimeout::try_from(rest).unwrap_or(PollTimeout::MAX));
    }
    left.into_iter().map(|(_, record, _)| record.pid).collect()
}
