//! The board: what the loop last published, for everybody who wants to know.
//!
//! Readers never ask the loop and never wait for it: they take a short read lock, clone an `Arc`,
//! and go. The loop writes only what has changed.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use scgi_protocol::control::Verb;
use scgi_protocol::name::{AppName, OperationId};
use tokio::sync::watch;

use crate::supervisor::{OperationView, PoolView};

/// How many ended operations are remembered.
pub const OPERATIONS_KEPT: usize = 256;

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
    not_upgraded: Option<String>,
    reads: Reads,
}

/// How often the configuration was read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Readings that have begun.
    pub begun: u64,
    /// Readings that have ended: what was read was taken over, or refused.
    pub ended: u64,
}

impl Reads {
    /// Readings that have begun and not ended.
    pub fn under_way(self) -> u64 {
        self.begun.saturating_sub(self.ended)
    }
}

impl Default for Board {
    fn default() -> Self {
        Self { posted: Arc::default(), turn: Arc::new(watch::Sender::new(0)) }
    }
}

impl Board {
    /// Why the last program that was to take this one's place has not.
    pub fn not_upgraded(&self) -> Option<String> {
        self.read().not_upgraded.clone()
    }

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

    /// The operations that ended, oldest first.
    pub fn ended(&self) -> Vec<OperationView> {
        let posted = self.read();
        let ended = posted.operations.values().filter(|view| view.ended.is_some());
        ended.map(|view| (**view).clone()).collect()
    }

    /// One operation.
    pub fn operation(&self, id: OperationId) -> Option<Arc<OperationView>> {
        self.read().operations.get(&id).cloned()
    }

    /// The latest takeover of a configuration that is still under way.
    pub fn applying(&self) -> Option<OperationId> {
        let posted = self.read();
        let mut latest_first = posted.operations.values().rev();
        let applies = latest_first.find(|view| view.verb == Verb::Apply && view.ended.is_none());
        applies.map(|view| view.id)
    }

    /// How often the configuration was read again.
    pub fn reads(&self) -> Reads {
        self.read().reads
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

    /// Posts that the configuration is being read again.
    pub fn post_read_begun(&self) {
        self.write().reads.begun += 1;
        self.turned();
    }

    /// Posts what [began](Self::post_read_begun) as ended.
    pub fn post_read_ended(&self) {
        self.write().reads.ended += 1;
        self.turned();
    }

    /// Posts why the program has not taken this one's place that was to; `None`: one is to, by now.
    pub fn post_not_upgraded(&self, why: Option<String>) {
        self.write().not_upgraded = why;
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
