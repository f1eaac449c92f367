//! The configurations that were in force: what is remembered of each.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::name::AppName;

/// The configurations that were in force, as far as they are remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Revisions {
    /// The one in force; `None` before the first.
    pub in_force: Option<u64>,
    /// Those that are remembered, oldest first.
    pub revisions: Vec<Revision>,
    /// Files in their folder that cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// The folder they are kept in; `None` if there is none.
    pub directory: Option<String>,
    /// Why they are not kept; `None` if they are.
    pub trouble: Option<String>,
}

/// One configuration that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Revision {
    /// Its number; rises by one from revision to revision, across restarts of the daemon.
    pub number: u64,
    /// When it was taken over.
    pub at: Timestamp,
    /// Who wanted it.
    pub by: Author,
    /// Where it came from.
    pub origin: Origin,
    /// What came of it.
    pub outcome: Outcome,
    /// The same for the same text; the `ETag` of the configuration without its quotes.
    pub digest: String,
    /// The apps that it added, removed or changed.
    pub apps: Vec<AppName>,
    /// Its text is on disk, so that one can return to it.
    pub kept: bool,
}

/// Who wanted a configuration to be in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Author {
    /// The daemon started with it.
    Start,
    /// Somebody sent SIGHUP.
    Signal,
    /// A process asked for it through the control socket.
    Peer {
        /// Its user.
        uid: u32,
        /// Its number, if the kernel told it.
        pid: Option<i32>,
    },
}

/// Where a configuration came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Origin {
    /// The file that the daemon was started with.
    File(String),
    /// A text that was sent, under this name.
    Text(String),
    /// An earlier revision.
    Rollback(u64),
}

/// What came of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Outcome {
    /// It is being taken over.
    Running,
    /// Everything was as it says.
    Done,
    /// Not everything was, and why.
    Failed(String),
    /// The daemon ended before that was known.
    Unknown,
}

/// A file that is no revision, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Unreadable {
    /// Its name in the folder.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
}
