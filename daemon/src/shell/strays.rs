//! Finds and kills what workers leave behind.
//!
//! A worker's process group dies with it. What moved to a session of its own does not, but becomes
//! the daemon's child once its parent is gone, and still carries the worker's number in its
//! environment. Of whom that cannot be told, nothing is done.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use scgi_protocol::birth;
use scgi_protocol::name::WorkerId;

use super::reap::{self, To};
use crate::supervisor::Pid;

/// Kills the children that belong to a worker that is no more. `workers` are the pids of those
/// that are, `living` their numbers. What the killed leave behind in turn is found when they are
/// buried.
pub(super) fn kill(workers: &BTreeSet<Pid>, living: &BTreeSet<WorkerId>) {
    for pid in reap::children().into_iter().filter(|pid| !workers.contains(pid)) {
        let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { continue };
        let Some((app, worker)) = birth::worker_of(&environment) else { continue };
        if !living.contains(&worker) {
            tracing::warn!(%app, %worker, pid, "process left behind by a worker killed");
            reap::signal(pid, Signal::SIGKILL, To::Process);
        }
    }
}
