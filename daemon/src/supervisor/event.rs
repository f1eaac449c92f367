//! The vocabulary of the core: facts in, deeds out, tales beside.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use scgi_protocol::control::{Scale, Verb};
use scgi_protocol::name::{AppName, Generation, OperationId, Seat, WorkerId};

use crate::spec::{AppSpec, StopSignal};

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
    },
    /// A pool was looked at.
    Load {
        /// The app.
        app: AppName,
        /// What was seen.
        load: Load,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Have another number of workers.
    Scale(Scale),
}

impl AppOrder {
    /// The verb of the operation this becomes.
    pub fn verb(self) -> Verb {
        match self {
            Self::Start => Verb::Start,
            Self::Stop => Verb::Stop,
            Self::Restart => Verb::Restart,
            Self::Reload => Verb::Reload,
            Self::Retry => Verb::Retry,
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
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It left with this status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(number) => write!(f, "signal {number}{}", signal_name(*number)),
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

/// A deed. The shell does them in order; the outcome of one is the next fact.
#[derive(Clone, Debug)]
pub enum Action {
    /// Start a worker. Answered by [`Event::Spawned`] or [`Event::NotSpawned`].
    Spawn(Spawn),
    /// Send a signal to a worker.
    Signal {
        /// Its process.
        pid: Pid,
        /// What to send.
        signal: Signal,
    },
    /// A worker is gone: fold its report into the totals, kill what it left behind.
    Forget {
        /// The worker.
        worker: WorkerId,
    },
    /// Tell when a connection arrives at the app, once. Answered by [`Event::Load`], later.
    Watch {
        /// The app.
        app: AppName,
    },
    /// Look at the app's pool. Answered by [`Event::Load`], at once.
    Sample {
        /// The app.
        app: AppName,
    },
    /// Close the app's listeners, save those that `keep` speaks of.
    Release {
        /// The app.
        app: AppName,
        /// The spec whose listeners stay open.
        keep: Option<Arc<AppSpec>>,
    },
    /// Write down what happened.
    Tell(Note),
    /// End the daemon.
    Exit,
}

/// A worker to be started.
#[derive(Clone, Debug)]
pub struct Spawn {
    /// Its number.
    pub worker: WorkerId,
    /// Its place.
    pub seat: Seat,
    /// Its generation.
    pub generation: Generation,
    /// What it belongs to.
    pub app: Arc<AppSpec>,
    /// What it does.
    pub role: Role,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It runs the app's program.
    App,
    /// It answers 503 in the app's place.
    Relief,
}

/// What is sent to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Please leave: to the worker alone.
    Stop(StopSignal),
    /// Leave: to the worker and all in its process group.
    Kill,
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    pub const ALL: [Self; 9] = [
        Self::Left,
        Self::Failed,
        Self::Signalled,
        Self::NotStarted,
        Self::StartTimeout,
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
            Self::StopTimeout => "stop_timeout",
            Self::Rolled => "rolled",
            Self::ScaledDown => "scaled_down",
            Self::Stopped => "stopped",
        }
    }

    /// Nobody asked for it.
    pub fn is_death(self) -> bool {
        match self {
            Self::Left | Self::Failed | Self::Signalled | Self::NotStarted | Self::StartTimeout => {
                true
            }
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
