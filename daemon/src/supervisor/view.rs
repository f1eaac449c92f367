//! What the core shows of itself: plain values, published by the shell, read by everybody.

use std::sync::Arc;

use scgi_protocol::control::{AppState, OperationState, Seats, Verb, Wish};
use scgi_protocol::name::{AppName, Generation, OperationId, Seat, WorkerId};
use serde::{Deserialize, Serialize};

use super::action::Role;
use super::event::Pid;
use super::failure::Failure;
use super::moment::Moment;
use crate::spec::AppSpec;

/// A pool as it is.
#[derive(Clone, Debug)]
pub struct PoolView {
    /// The app as it is meant to be; `None` if it could not be prepared.
    pub spec: Option<Arc<AppSpec>>,
    /// How it is.
    pub state: AppState,
    /// Since when.
    pub since: Moment,
    /// How it shall be.
    pub wish: Wish,
    /// Its seats, counted.
    pub seats: Seats,
    /// The latest generation.
    pub generation: Generation,
    /// Workers that died unasked and were replaced.
    pub restarts: u64,
    /// What is wrong.
    pub trouble: Option<TroubleView>,
    /// The operation under way.
    pub operation: Option<OperationId>,
    /// The launch that could be returned to.
    pub roll: Option<RollView>,
    /// Its workers, by number.
    pub workers: Vec<WorkerView>,
}

/// Two launches of one app, of which the later takes over from the earlier or has just done so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollView {
    /// The generation that is replaced; it can be returned to.
    pub from: Generation,
    /// The generation that replaces it.
    pub to: Generation,
    /// Seats served by the one.
    pub old: u16,
    /// Seats served by the other.
    pub new: u16,
    /// It is still going on.
    pub under_way: bool,
    /// An operator stopped it half way.
    pub paused: bool,
}

/// What is wrong with a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TroubleView {
    /// What happened, in one sentence.
    pub cause: String,
    /// What shows it: what the last worker that died wrote to its standard error, oldest line
    /// first.
    pub evidence: Vec<String>,
    /// The next step for a person.
    pub next: String,
    /// When the daemon tries again by itself.
    pub retry_at: Option<Moment>,
}

impl PoolView {
    /// How an app that could not be prepared shows itself.
    pub(super) fn unprepared(why: &str, since: Moment) -> Self {
        Self {
            spec: None,
            state: AppState::Unprepared,
            since,
            wish: Wish::Run,
            seats: Seats::default(),
            generation: Generation(0),
            restarts: 0,
            trouble: Some(TroubleView::unprepared(why, "")),
            operation: None,
            roll: None,
            workers: Vec::new(),
        }
    }
}

impl TroubleView {
    /// What is wrong with an app that could not be prepared; `meanwhile` says what it does.
    pub(super) fn unprepared(why: &str, meanwhile: &str) -> Self {
        Self {
            cause: why.to_owned(),
            evidence: Vec::new(),
            next: format!("{meanwhile}mend it, then `scgictl reload`"),
            retry_at: None,
        }
    }
}

/// A worker as it is.
#[derive(Clone, Debug)]
pub struct WorkerView {
    /// Its number.
    pub id: WorkerId,
    /// Its seat.
    pub seat: Seat,
    /// Its generation.
    pub generation: Generation,
    /// Its process; `None` while it is being started.
    pub pid: Option<Pid>,
    /// What it does.
    pub role: Role,
    /// How far its life has come.
    pub life: LifeView,
    /// When it was started.
    pub since: Moment,
    /// What it says about itself.
    pub status: Option<String>,
}

/// How far a worker's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LifeView {
    /// Not ready.
    Starting,
    /// Accepting connections.
    Serving,
    /// Asked to leave.
    Draining,
    /// Killed, not yet gone.
    Killed,
}

/// An operation as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationView {
    /// Its number.
    pub id: OperationId,
    /// What it does.
    pub verb: Verb,
    /// The app it is about.
    pub app: Option<AppName>,
    /// Whether it has ended, and how.
    pub state: OperationState,
    /// How far it is, in words.
    pub progress: String,
    /// When it was accepted.
    pub since: Moment,
    /// When it ended.
    pub ended: Option<Moment>,
    /// Why it failed, in one sentence.
    pub reason: Option<String>,
    /// What went wrong, app by app; lines of workers only with the first.
    pub failures: Vec<Failure>,
}
