//! Commands under way.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::name::{AppName, OperationId};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Verb {
    /// Bring a stopped app back.
    Start,
    /// Drain an app's workers and close its listeners.
    Stop,
    /// Replace an app's workers at once: stop them all, then start.
    Restart,
    /// Replace an app's workers, new before old.
    Reload,
    /// Change the number of an app's workers.
    Scale,
    /// Try a failing or held app at once.
    Retry,
    /// Leave a roll as it is.
    Pause,
    /// Go on with a paused roll.
    Resume,
    /// Return to the workers before a roll.
    Undo,
    /// Take over a changed configuration.
    Apply,
    /// End the daemon and all its workers.
    Shutdown,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Reload,
        Self::Scale,
        Self::Retry,
        Self::Pause,
        Self::Resume,
        Self::Undo,
        Self::Apply,
        Self::Shutdown,
    ];

    /// The verb as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Scale => "scale",
            Self::Retry => "retry",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Undo => "undo",
            Self::Apply => "apply",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Whether an operation has ended, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OperationState {
    /// Under way.
    Running,
    /// What was asked for is so, and was verified.
    Done,
    /// What was asked for is not so; the operation says why.
    Failed,
}

/// One command, under way or ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Operation {
    /// Its number.
    pub id: OperationId,
    /// What it does.
    pub verb: Verb,
    /// The app it is about; `None` if about the site.
    pub app: Option<AppName>,
    /// Whether it has ended, and how.
    pub state: OperationState,
    /// How far it is, in words: `2 of 4 workers serving`; once it is done, what came of it, and
    /// what of it could not be: `1 of 1 workers serving; asked for 5 fewer than 4, and 1 is the
    /// least`.
    pub progress: String,
    /// When it was accepted.
    pub since: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why it failed, in one sentence; of many apps the first are told and the others named.
    pub reason: Option<String>,
    /// What shows it, if it is about one app: the last lines that its last worker to die wrote to
    /// its standard error.
    pub evidence: Vec<String>,
    /// Why it failed, app by app.
    #[serde(default)]
    pub failures: Vec<AppFailure>,
    /// What a person can do about it, if it failed.
    pub next: Option<String>,
}

/// What went wrong with one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppFailure {
    /// The app.
    pub app: AppName,
    /// Why, in one sentence.
    pub reason: String,
    /// What shows it: the last lines that its last worker to die wrote to its standard error. Only
    /// of the first apps.
    pub evidence: Vec<String>,
}

/// How many workers an app shall have, until the next change of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Scale {
    /// Exactly so many: `{"to": 4}`.
    To(u16),
    /// So many more or fewer than are wanted now: `{"by": -1}`.
    By(i32),
    /// Between so many: `{"range": {"min": 1, "max": 8}}`; what is not said stays.
    Range {
        /// Fewest.
        min: Option<u16>,
        /// Most.
        max: Option<u16>,
    },
}
