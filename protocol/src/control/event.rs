//! What happened, and what workers wrote.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::name::{AppName, Generation, OperationId, Seat, WorkerId};

/// How much a person should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Level {
    /// History.
    Info,
    /// To be looked at tomorrow.
    Warn,
    /// To be looked at now.
    Error,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Rises by one with each event since the daemon started.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// How much a person should care.
    pub level: Level,
    /// What kind of event, from a fixed set of words such as `worker-ready`.
    pub kind: String,
    /// The app it is about.
    pub app: Option<AppName>,
    /// The seat it is about.
    pub seat: Option<Seat>,
    /// The worker it is about.
    pub worker: Option<WorkerId>,
    /// The generation it is about.
    pub generation: Option<Generation>,
    /// The operation it belongs to.
    pub operation: Option<OperationId>,
    /// What happened, in words.
    pub message: String,
}

/// Which of its two outputs a worker wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The stream as a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One line that a worker wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Rises by one with each line of any app since the daemon started.
    pub id: u64,
    /// When it was read.
    pub at: Timestamp,
    /// Whose it is.
    pub app: AppName,
    /// The writer's seat.
    pub seat: Seat,
    /// The writer.
    pub worker: WorkerId,
    /// The writer's generation.
    pub generation: Generation,
    /// Where it was written to.
    pub stream: Stream,
    /// The line without its end; bytes that are not UTF-8 are replaced.
    pub line: String,
    /// Bytes cut off its end because the line was too long.
    pub cut_bytes: u64,
    /// Lines of this app dropped right before this one because they came too fast.
    pub dropped_before: u64,
}
