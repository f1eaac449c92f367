//! Everything one validated configuration says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use scgi_protocol::address::Address;
use scgi_protocol::name::AppName;
use serde::{Deserialize, Serialize};

use super::{AppSpec, Ownership};

/// Everything one validated configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// How people and programs talk to the daemon.
    pub control: ControlSpec,
    /// Where Prometheus finds the metrics; `None` if nowhere.
    pub metrics: Option<MetricsSpec>,
    /// Where configurations are kept that were in force.
    pub revisions: RevisionsSpec,
    /// The apps.
    pub apps: BTreeMap<AppName, Arc<AppSpec>>,
}

/// The control socket and who may do what through it.
///
/// The daemon's own user and root may do everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlSpec {
    /// The socket's path. Its directory is the daemon's runtime directory.
    pub socket: PathBuf,
    /// Whom the socket belongs to.
    pub ownership: Ownership,
    /// Who may look.
    pub readers: Vec<Who>,
    /// Who may look and act.
    pub writers: Vec<Who>,
}

/// A user or a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// One user.
    User(u32),
    /// The members of one group, by their process's primary group as the kernel reports it.
    Group(u32),
}

/// The listener for metrics and health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricsSpec {
    /// Where it listens.
    pub listen: Address,
}

/// Where configurations are kept that were in force, and how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionsSpec {
    /// The folder that holds those of all daemons; `None` for the usual one.
    pub directory: Option<PathBuf>,
    /// How many are kept; at least 1.
    pub keep: u16,
}

impl RevisionsSpec {
    /// How many are kept unless the configuration says another number.
    pub const DEFAULT_KEEP: u16 = 20;
}

impl Default for RevisionsSpec {
    fn default() -> Self {
        Self { directory: None, keep: Self::DEFAULT_KEEP }
    }
}
