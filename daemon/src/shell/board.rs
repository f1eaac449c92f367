//! The board: what the loop last published, for everybody who wants to know.
//!
//! Readers never ask the loop and never wait for it: they take a short read lock, clone an `Arc`,
//! and go. The loop writes only what has changed.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use scgi_protocol::name::{AppName, OperationId};
use tokio::sync::watch;

use crate::supervisor::{OperationView, PoolView};

/// How many ended operations are remembered.
const OPERATIONS_KEPT: usize = 256;

/// What the loop last published. Clones are handles of the same board.
#[derive(Clone, Debug)]
pub struct Board {
    posted: Arc<RwLock<Posted>>,
    turn: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Posted {
    pools: BTreeMap<AppName, Arc<PoolView>>,
    operations: BTreeMap<OperationId, Arc<OperationView>>,
    stopping: bool,
}

impl Default for Board {
    fn default() -> Self {
        Self { posted: Arc::default(), turn: Arc::new(watch::Sender::new(0)) }
    }
}

impl Board {
    /// All pools.
    pub fn pools(&self) -> BTreeMap<AppName, Arc<PoolView>> {
        self.read().pools.clone()
    }

    /// One pool.
    pub fn pool(&self, app: &AppName) -> Option<Arc<PoolView>> {
        self.read().pools.get(app).cloned()
    }

    /// All operations under way and the last that ended, oldest first.
    pub fn operations(&self) -> Vec<Arc<OperationView>> {
        self.read().operations.values().cloned().collect()
    }

    /// One operation.
    pub fn operation(&self, id: OperationId) -> Option<Arc<OperationView>> {
        self.read().operations.get(&id).cloned()
    }

    /// The daemon is on its way out.
    pub fn is_stopping(&self) -> bool {
        self.read().stopping
    }

    /// Rises with everything that is posted; wait on it to see a change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.turn.subscribe()
    }

    /// Posts a pool as it is, or takes it down.
    pub fn post_pool(&self, app: &AppName, view: Option<PoolView>) {
        let mut posted = self.write();
        match view {
            Some(view) => drop(posted.pools.insert(app.clone(), Arc::new(view))),
            None => drop(posted.pools.remove(app)),
        }
        drop(posted);
        self.turned();
    }

    /// Posts an operation as it is.
    pub fn post_operation(&self, view: OperationView) {
        let mut posted = self.write();
        posted.operations.insert(view.id, Arc::new(view));
        while posted.operations.len() > OPERATIONS_KEPT {
            let oldest = posted.operations.iter().find(|(_, view)| view.ended.is_some());
            let Some(id) = oldest.map(|(id, _)| *id) else { break };
            posted.operations.remove(&id);
        }
        drop(posted);
        self.turned();
    }

    /// Posts that the daemon is on its way out.
    pub fn post_stopping(&self) {
        self.write().stopping = true;
        self.turned();
    }

    fn turned(&self) {
        self.turn.send_modify(|turn| *turn += 1);
    }

    fn read(&self) -> RwLockReadGuard<'_, Posted> {
        self.posted.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Posted> {
        self.posted.write().unwrap_or_else(PoisonError::into_inner)
    }
}
