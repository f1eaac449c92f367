//! Ends what a dead daemon's workers left behind, and workers that were on their way to being born
//! when it died: they carry a number of this site that nobody has any more.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use scgi_protocol::name::{AppName, WorkerId};

use super::identity::{self, Claim};
use super::survivor::Survivor;
use crate::shell::reap::To;
use crate::shell::strays::Rest;

/// Whose processes are looked for.
#[derive(Clone, Debug, Default)]
pub(in crate::shell) struct Wanted {
    /// The apps that were taken over. Of another app's it is not known who is whose.
    pub(in crate::shell) apps: BTreeSet<AppName>,
    /// All workers of the daemon before had smaller numbers.
    pub(in crate::shell) before: WorkerId,
}

/// Kills every process that claims to belong to a worker of the site at `notify_socket` that is
/// `wanted` and not among the `living`.
pub(in crate::shell) fn sweep(
    wanted: &Wanted,
    living: &BTreeSet<WorkerId>,
    notify_socket: &str,
) -> Rest {
    let mut rest = Rest::default();
    for pid in identity::everybody() {
        let claim = Claim::of(pid, notify_socket);
        rest.changing |= claim == Claim::Changing;
        let Claim::Worker(app, worker) = claim else { continue };
        if !wanted.apps.contains(&app) || worker >= wanted.before || living.contains(&worker) {
            continue;
        }
        if let Some(left_over) = Survivor::claimed(pid, (&app, worker), notify_socket) {
            tracing::warn!(%app, %worker, pid, "process left behind by a worker killed");
            left_over.signal(Signal::SIGKILL, To::Process);
            rest.killed = true;
        } else {
            // Or it has ended: then nobody is there at the next look.
            rest.changing = true;
        }
    }
    rest
}
