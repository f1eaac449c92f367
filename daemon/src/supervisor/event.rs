//! Facts: what the core is told. Deeds are in [`super::action`], tales in [`super::note`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use scgi_protocol::control::{Scale, Verb};
use scgi_protocol::name::{AppName, OperationId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::spec::AppSpec;

/// A process number as the kernel gives it. It is reused; a [`WorkerId`] is not.
pub type Pid = i32;

/// A fact.
#[derive(Clone, Debug)]
pub enum Event {
    /// A site was prepared: every socket is bound, every program was seen.
    Apply {
        /// The apps of the site.
        apps: BTreeMap<AppName, Arc<AppSpec>>,
        /// The apps that could not be prepared, and why.
        unprepared: BTreeMap<AppName, String>,
        /// The operation it belongs to.
        operation: OperationId,
    },
    /// Somebody asked for something, and it was prepared.
    Order {
        /// What.
        order: Order,
        /// The operation it becomes.
        operation: OperationId,
        /// The operation that has to end before it begins.
        after: Option<OperationId>,
    },
    /// A worker's process exists.
    Spawned {
        /// The worker.
        worker: WorkerId,
        /// Its process.
        pid: Pid,
    },
    /// A worker's process could not be made.
    NotSpawned {
        /// The worker.
        worker: WorkerId,
        /// Why.
        error: String,
    },
    /// The daemon ended while it started a worker, or the template did that was to fork it, and no
    /// process of it is to be found.
    Lost {
        /// The worker.
        worker: WorkerId,
    },
    /// The daemon has taken over from one that ended. All that it found out is written down before
    /// anything is decided: nobody is sent a signal who may be gone.
    TookOver {
        /// What became of workers since: [`Event::Exited`], [`Event::Spawned`], [`Event::Lost`],
        /// [`Event::Ready`], [`Event::Bereft`].
        facts: Vec<Self>,
    },
    /// Something of an app was lost with the daemon before this one.
    Bereft {
        /// The app.
        app: AppName,
        /// What, and why.
        what: String,
        /// What a person can do about it.
        next: String,
    },
    /// A worker said that it accepts connections.
    Ready {
        /// Its process.
        pid: Pid,
    },
    /// A worker said that it is leaving.
    Stopping {
        /// Its process.
        pid: Pid,
    },
    /// A worker needs more time to start or stop.
    Extend {
        /// Its process.
        pid: Pid,
        /// How much, from now.
        by: Duration,
    },
    /// A worker said something for people.
    Said {
        /// Its process.
        pid: Pid,
        /// What.
        text: String,
    },
    /// A process ended.
    Exited {
        /// The process.
        pid: Pid,
        /// How.
        exit: Exit,
        /// Requests it finished; `None` if it kept no page.
        served: Option<u64>,
        /// What the launcher said if it never became the app's program.
        words: Option<String>,
        /// What it last wrote to its standard error, oldest line first; a few lines at most.
        said: Vec<String>,
    },
    /// A pool was looked at.
    Load {
        /// The app.
        app: AppName,
        /// What was seen.
        load: Load,
    },
    /// A worker was asked whether it is healthy.
    Probed {
        /// The worker.
        worker: WorkerId,
        /// What is wrong, if it is not.
        outcome: Result<(), String>,
    },
    /// The deadline that was asked for has come.
    Tick,
}

/// What somebody can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Something about one app.
    App {
        /// Which.
        app: AppName,
        /// What.
        what: AppOrder,
    },
    /// End everything in order; a second one hurries.
    Shutdown,
}

/// What somebody can ask of one app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppOrder {
    /// Run again; its listeners are open.
    Start,
    /// Drain the workers, close the listeners.
    Stop,
    /// All workers leave, then new ones come.
    Restart,
    /// New workers come, then the old ones leave.
    Reload,
    /// Try at once, with a fresh budget.
    Retry,
    /// Leave the roll under way as it is.
    Pause,
    /// Go on with the roll.
    Resume,
    /// Return to the launch before.
    Undo,
    /// Have another number of workers.
    Scale(Scale),
}

impl AppOrder {
    /// It tries the latest launch, whose listeners have to be open: those of a stopped app are
    /// closed, and of one that is held those that only the held launch has.
    pub fn needs_listeners(self) -> bool {
        match self {
            Self::Start | Self::Restart | Self::Reload | Self::Retry => true,
            Self::Stop | Self::Pause | Self::Resume | Self::Undo | Self::Scale(_) => false,
        }
    }

    /// The verb of the operation this becomes.
    pub fn verb(self) -> Verb {
        match self {
            Self::Start => Verb::Start,
            Self::Stop => Verb::Stop,
            Self::Restart => Verb::Restart,
            Self::Reload => Verb::Reload,
            Self::Retry => Verb::Retry,
            Self::Pause => Verb::Pause,
            Self::Resume => Verb::Resume,
            Self::Undo => Verb::Undo,
            Self::Scale(_) => Verb::Scale,
        }
    }
}

/// What was seen of a pool at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Connections waiting to be accepted; 0 if the kernel does not say.
    pub waiting: u32,
    /// For every serving worker: how long it has been without a request, or `None` if it has no
    /// room for another one.
    pub idle: BTreeMap<WorkerId, Option<Duration>>,
    /// Those of them that have finished a request.
    pub answered: BTreeSet<WorkerId>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It left with this status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It was no child of this daemon, and nobody can tell any more.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(number) => write!(f, "signal {number}{}", signal_name(*number)),
            Self::Unknown => f.write_str("exit status unknown"),
        }
    }
}

fn signal_name(number: i32) -> &'static str {
    match number {
        1 => " (HUP)",
        2 => " (INT)",
        3 => " (QUIT)",
        4 => " (ILL)",
        6 => " (ABRT)",
        7 => " (BUS)",
        8 => " (FPE)",
        9 => " (KILL)",
        11 => " (SEGV)",
        13 => " (PIPE)",
        14 => " (ALRM)",
        15 => " (TERM)",
        24 => " (XCPU)",
        25 => " (XFSZ)",
        31 => " (SYS)",
        _ => "",
    }
}
