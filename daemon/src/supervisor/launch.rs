//! One way of starting an app's workers, and how that went so far.

use std::sync::Arc;

use scgi_protocol::name::Generation;
use serde::{Deserialize, Serialize};

use super::restart::Trail;
use crate::spec::AppSpec;

/// One way of starting an app's workers, and how that went so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) generation: Generation,
    #[serde(with = "crate::spec::shared")]
    pub(super) spec: Arc<AppSpec>,
    pub(super) trail: Trail,
    /// One of its workers has been ready.
    pub(super) proven: bool,
    /// One of its workers has passed its trial: others may leave for it.
    pub(super) passed: bool,
    /// One of its workers has served well since the last death that cost a pause.
    pub(super) trusted: bool,
    /// An operator wants the launch before it back.
    pub(super) undone: bool,
}

impl Launch {
    pub(super) fn new(generation: Generation, spec: Arc<AppSpec>) -> Self {
        Self {
            generation,
            spec,
            trail: Trail::default(),
            proven: false,
            passed: false,
            trusted: false,
            undone: false,
        }
    }

    /// Nobody is going to be started by it if there is another one.
    pub(super) fn is_out(&self) -> bool {
        self.undone || self.trail.is_spent()
    }
}
