//! Tales: what the core has to tell. The shell logs, counts and keeps them.

use std::time::Duration;

use scgi_protocol::control::Verb;
use scgi_protocol::name::{AppName, Generation, OperationId, Seat, WorkerId};
use serde::{Deserialize, Serialize};

use super::action::Role;
use super::event::Pid;

/// Which worker a note is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its app.
    pub app: AppName,
    /// Its seat.
    pub seat: Seat,
    /// Its number.
    pub worker: WorkerId,
    /// Its generation.
    pub generation: Generation,
    /// What it does.
    pub role: Role,
}

/// Why a worker is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// It left by itself, with status 0.
    Left,
    /// It left by itself, with another status.
    Failed,
    /// A signal that the daemon did not send ended it.
    Signalled,
    /// It could not be started.
    NotStarted,
    /// It was not ready in time.
    StartTimeout,
    /// It answered the health request badly, or not in time.
    Unhealthy,
    /// It was asked to leave and did not in time.
    StopTimeout,
    /// A newer one took its place.
    Rolled,
    /// Fewer are wanted.
    ScaledDown,
    /// The app, or the daemon, was stopped.
    Stopped,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Left,
        Self::Failed,
        Self::Signalled,
        Self::NotStarted,
        Self::StartTimeout,
        Self::Unhealthy,
        Self::StopTimeout,
        Self::Rolled,
        Self::ScaledDown,
        Self::Stopped,
    ];

    /// The cause as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Left => "exit",
            Self::Failed => "failure",
            Self::Signalled => "signal",
            Self::NotStarted => "not_started",
            Self::StartTimeout => "start_timeout",
            Self::Unhealthy => "unhealthy",
            Self::StopTimeout => "stop_timeout",
            Self::Rolled => "rolled",
            Self::ScaledDown => "scaled_down",
            Self::Stopped => "stopped",
        }
    }

    /// Nobody asked for it.
    pub fn is_death(self) -> bool {
        match self {
            Self::Left
            | Self::Failed
            | Self::Signalled
            | Self::NotStarted
            | Self::StartTimeout
            | Self::Unhealthy => true,
            Self::StopTimeout | Self::Rolled | Self::ScaledDown | Self::Stopped => false,
        }
    }
}

/// Something worth telling; becomes a log line, a counter and an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A worker accepts connections.
    WorkerReady {
        /// Which.
        about: About,
        /// Its process.
        pid: Pid,
        /// From started to ready.
        took: Duration,
    },
    /// A worker was not ready, or not gone, in time and was killed.
    WorkerKilled {
        /// Which.
        about: About,
        /// [`Cause::StartTimeout`] or [`Cause::StopTimeout`].
        cause: Cause,
        /// How long it was given.
        after: Duration,
    },
    /// A worker answered the health request badly, or not in time, and was asked to leave.
    WorkerUnhealthy {
        /// Which.
        about: About,
        /// What it answered.
        how: String,
    },
    /// A worker is no more.
    WorkerGone {
        /// Which.
        about: About,
        /// Why.
        cause: Cause,
        /// How, in words: `exit 1`, `signal 9 (KILL)`, or what the launcher said.
        how: String,
        /// How long it lived.
        lived: Duration,
    },
    /// The app's next worker has to wait.
    BackingOff {
        /// The app.
        app: AppName,
        /// How long.
        pause: Duration,
        /// Deaths in a row.
        deaths: u32,
    },
    /// A generation spent its budget; the one before it serves on.
    Held {
        /// The app.
        app: AppName,
        /// The generation that is held.
        generation: Generation,
        /// What its workers died of.
        how: String,
    },
    /// The only generation spent its budget.
    Failing {
        /// The app.
        app: AppName,
        /// The generation.
        generation: Generation,
        /// What its workers died of.
        how: String,
    },
    /// An app that was failing, held or degraded serves as wanted.
    Recovered {
        /// The app.
        app: AppName,
    },
    /// A generation has taken over every seat.
    Rolled {
        /// The app.
        app: AppName,
        /// The generation.
        generation: Generation,
    },
    /// An operator stopped a roll half way, or let it go on.
    Paused {
        /// The app.
        app: AppName,
        /// It is stopped.
        paused: bool,
    },
    /// An operator wants the generation before the latest back.
    Undone {
        /// The app.
        app: AppName,
        /// The generation that is taken back.
        generation: Generation,
    },
    /// A pool wants another number of workers.
    Resized {
        /// The app.
        app: AppName,
        /// How many were wanted.
        from: u16,
        /// How many are.
        to: u16,
    },
    /// An app became part of the site.
    Added {
        /// The app.
        app: AppName,
    },
    /// An app is no longer part of the site, and its last worker is gone.
    Removed {
        /// The app.
        app: AppName,
    },
    /// An app was stopped, and its last worker is gone.
    Stopped {
        /// The app.
        app: AppName,
    },
    /// An app could not be prepared.
    Unprepared {
        /// The app.
        app: AppName,
        /// Why.
        why: String,
    },
    /// An operation was accepted.
    OperationBegan {
        /// Which.
        operation: OperationId,
        /// What it does.
        verb: Verb,
        /// The app it is about.
        app: Option<AppName>,
    },
    /// An operation has ended.
    OperationEnded {
        /// Which.
        operation: OperationId,
        /// What it did.
        verb: Verb,
        /// The app it was about.
        app: Option<AppName>,
        /// Why it failed, if it did.
        failure: Option<String>,
    },
}
