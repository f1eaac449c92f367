//! Deeds: what the core wants done, in order.

use std::sync::Arc;

use scgi_protocol::name::{AppName, Generation, Seat, WorkerId};
use serde::{Deserialize, Serialize};

use super::event::Pid;
use super::note::Note;
use crate::spec::{AppSpec, Health, StopSignal};

/// A deed. The shell does them in order; the outcome of one is the next fact.
#[derive(Clone, Debug)]
pub enum Action {
    /// Start a worker. Answered by [`super::Event::Spawned`] or [`super::Event::NotSpawned`]; or by
    /// [`super::Event::Lost`], once the template is gone that it was to be forked from.
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
    /// Tell when a connection arrives at the app, once. Answered by [`super::Event::Load`], later.
    Watch {
        /// The app.
        app: AppName,
    },
    /// Look at the app's pool. Answered by [`super::Event::Load`], at once.
    Sample {
        /// The app.
        app: AppName,
    },
    /// Ask a worker whether it is healthy. Answered by [`super::Event::Probed`], later.
    Probe {
        /// The worker.
        worker: WorkerId,
        /// Its app, and where that listens.
        app: Arc<AppSpec>,
        /// What to ask.
        health: Health,
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
    /// Its launch has yet to show that it is any better than the one before.
    pub on_trial: bool,
    /// Before it is started, accepting at its sockets has to wait for a client again, whatever those
    /// did to them who shared them before. Only if nobody is there who must not wait.
    pub waits: bool,
    /// The template it is forked from; `None` if it starts by itself.
    pub template: Option<WorkerId>,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// It runs the app's program.
    App,
    /// It answers 503 in the app's place.
    Relief,
    /// It has loaded the app's program, and workers are forked from it.
    Template,
}

/// What is sent to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Please leave: to the worker alone.
    Stop(StopSignal),
    /// Leave: to the worker and all in its process group.
    Kill,
}
