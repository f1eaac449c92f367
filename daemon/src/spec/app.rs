//! One app as it is meant to be.

use scgi_protocol::control::{Difference, Means};
use scgi_protocol::name::AppName;
use serde::{Deserialize, Serialize};

use super::{Kind, Launch, ListenAt, ListenSpec, Ready, Restart, Roll, Sizing, Standalone, Timing};

/// One app as it is meant to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// Its name.
    pub name: AppName,
    /// What kind of program it is.
    #[serde(default)]
    pub kind: Kind,
    /// How its workers are started.
    pub launch: Launch,
    /// Where the daemon listens for it; the first stands at fd 0 of its workers. At least one
    /// place, or none at all if the program makes its own socket.
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
    /// Other numbers for what runs: sizing, timing, restarts, a socket's mode.
    Retune,
    /// Other workers, new before old.
    Roll,
}

impl AppSpec {
    /// Where it is to be found: what the daemon listens at for it, or where it listens itself.
    pub fn places(&self) -> Vec<ListenAt> {
        match &self.kind {
            Kind::Standalone(Standalone { at }) => {
                at.iter().cloned().map(ListenAt::Address).collect()
            }
            Kind::Worker | Kind::Cgi(_) | Kind::Inetd(_) => {
                self.listen.iter().map(|listen| listen.at.clone()).collect()
            }
        }
    }

    /// Its program may know nothing of scgid, and wait for clients in accept(2): a worker that does
    /// not say when it is ready. It has to find its sockets as they were when they were made.
    pub fn waits_in_accept(&self) -> bool {
        matches!((&self.kind, self.timing.ready), (Kind::Worker, Ready::After(_)))
    }

    /// What it takes to get from this spec to `next`.
    pub fn change_to(&self, next: &Self) -> Change {
        let needs = |Difference { means, .. }: &Difference| match means {
            Means::Roll | Means::Replace | Means::Rebind => Change::Roll,
            Means::Resize | Means::Retune => Change::Retune,
        };
        self.differences(next).iter().map(needs).max().unwrap_or(Change::None)
    }
}
