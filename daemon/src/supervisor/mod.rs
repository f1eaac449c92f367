//! What to do: the pure core of the daemon.
//!
//! ```text
//!            Event                      Action
//!   shell ──────────▶ Supervisor ──────────────▶ shell
//!                        │ one Pool for each app
//!                        ├─ observe: facts only          observe.rs, pool.rs, death.rs
//!                        ├─ converge: decisions only     converge.rs, fill.rs, roll.rs, template.rs, conclude.rs
//!                        └─ judge: which operations are done   operation.rs
//! ```
//!
//! [`Supervisor::handle`] takes a fact and the time and returns deeds; [`Supervisor::deadline`]
//! says when it wants to be called next even if nothing happens. Nothing in here performs I/O,
//! awaits, reads a clock, draws random numbers or logs, and nothing in here can fail: every event
//! has a meaning in every state, and a stale one means nothing. `sim/` drives it through invented
//! worlds.

#![warn(clippy::wildcard_enum_match_arm)]

mod action;
mod conclude;
mod converge;
mod death;
mod event;
mod failure;
mod fill;
mod launch;
mod moment;
mod note;
mod observe;
mod operation;
mod pool;
mod restart;
mod resume;
mod roll;
#[cfg(test)]
mod sim;
mod sizing;
mod state;
mod template;
mod view;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scgi_protocol::control::{Verb, Wish};
use scgi_protocol::name::{AppName, OperationId, WorkerId};

use crate::spec::AppSpec;
pub use action::{Action, Role, Signal, Spawn};
use converge::Turn;
pub use event::{AppOrder, Event, Exit, Load, Order, Pid};
pub use failure::Failure;
pub use moment::Moment;
pub use note::{About, Cause, Note};
use operation::{Operation, Verdict};
pub use pool::Pool;
pub use resume::Memory;
pub use view::{LifeView, OperationView, PoolView, RollView, TroubleView, WorkerView};
pub use worker::Worker;

/// All pools, and what was asked for.
#[derive(Debug, Default)]
pub struct Supervisor {
    pools: BTreeMap<AppName, Pool>,
    /// Apps that could not be prepared: why, and since when.
    unprepared: BTreeMap<AppName, (String, Moment)>,
    /// Whose process a pid is. Pids are reused; the entry goes with the process.
    processes: BTreeMap<Pid, AppName>,
    /// Whose worker is being started.
    launching: BTreeMap<WorkerId, AppName>,
    operations: BTreeMap<OperationId, Operation>,
    /// When something is due for whom.
    agenda: BTreeSet<(Moment, AppName)>,
    due: BTreeMap<AppName, Moment>,
    next_worker: WorkerId,
    shutdown: bool,
    exited: bool,
    changed: Changes,
}

/// The operations that stand in the way of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The one that is under way.
    pub first: OperationId,
    /// The one that is to end last.
    pub last: OperationId,
}

/// What has changed since it was last asked for.
#[derive(Debug, Default)]
pub struct Changes {
    /// Apps whose view is another one; they may be gone.
    pub pools: BTreeSet<AppName>,
    /// Operations as they are.
    pub operations: Vec<OperationView>,
}

impl Supervisor {
    /// Records what happened and returns what to do about it.
    ///
    /// Never fails: every event has a meaning in every state, and a stale one means nothing.
    pub fn handle(&mut self, event: Event, now: Moment) -> Vec<Action> {
        let mut out = Vec::new();
        let mut touched = self.observe(event, now, &mut out);
        let mut next = touched.clone();
        loop {
            for app in &next {
                self.converge(app, now, &mut out);
            }
            let ended = self.judge(&touched, now, &mut out);
            next = self.begin_waiting(&ended, &mut out);
            touched.extend(next.iter().cloned());
            if next.is_empty() {
                break;
            }
        }
        if self.shutdown && self.pools.is_empty() && !self.exited {
            self.exited = true;
            out.push(Action::Exit);
        }
        self.changed.pools.extend(touched);
        out
    }

    /// When [`Event::Tick`] is due; `None` if nothing is.
    pub fn deadline(&self) -> Option<Moment> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// The operations that stand in the way of `order`, if any do.
    pub fn conflict(&self, order: &Order) -> Option<Conflict> {
        let Order::App { app, what: AppOrder::Reload | AppOrder::Restart } = order else {
            return None;
        };
        let mut others = self.operations.values().filter(|other| other.replaces(app));
        let first = others.next()?.id;
        Some(Conflict { first, last: others.next_back().map_or(first, |other| other.id) })
    }

    /// A roll of `app` is under way, and whether an operator stopped it half way.
    pub fn roll(&self, app: &AppName) -> Option<RollView> {
        self.pools.get(app).and_then(Pool::roll)
    }

    /// The apply under way, if one is.
    pub fn applying(&self) -> Option<OperationId> {
        self.operations.values().find(|other| other.verb == Verb::Apply).map(|other| other.id)
    }

    /// What has changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changed)
    }

    /// What the pool of `app` shows of itself; `None` if there is none.
    pub fn view(&self, app: &AppName, now: Moment) -> Option<PoolView> {
        let unprepared = self.unprepared.get(app);
        let Some(pool) = self.pools.get(app) else {
            return unprepared.map(|(why, since)| PoolView::unprepared(why, *since));
        };
        let operation = self.operations.values().find(|operation| operation.waits_for(app));
        let mut view = pool.view(now, operation.map(|operation| operation.id));
        if let Some((why, _)) = unprepared {
            view.trouble
                .get_or_insert_with(|| TroubleView::unprepared(why, "it runs on as it was; "));
        }
        Some(view)
    }

    /// The workers of `app` that accept connections.
    pub fn serving(&self, app: &AppName) -> Vec<WorkerId> {
        let pool = self.pools.get(app).into_iter();
        pool.flat_map(Pool::app_workers).filter(|w| w.is_serving()).map(|w| w.id).collect()
    }

    /// The spec by which `app` runs.
    pub fn spec(&self, app: &AppName) -> Option<&Arc<AppSpec>> {
        self.pools.get(app).map(|pool| &pool.latest.spec)
    }

    /// The specs by which all apps run.
    pub fn specs(&self) -> impl Iterator<Item = (&AppName, &Arc<AppSpec>)> {
        self.pools.iter().map(|(app, pool)| (app, &pool.latest.spec))
    }

    /// The apps of the site: all save those that were removed and whose workers are leaving.
    pub fn site(&self) -> BTreeMap<AppName, Arc<AppSpec>> {
        let wanted = self.pools.iter().filter(|(_, pool)| !pool.removed);
        wanted.map(|(app, pool)| (app.clone(), Arc::clone(&pool.latest.spec))).collect()
    }

    /// How `app` shall be.
    pub fn wish(&self, app: &AppName) -> Option<Wish> {
        self.pools.get(app).map(|pool| pool.wish)
    }

    fn converge(&mut self, app: &AppName, now: Moment, out: &mut Vec<Action>) {
        let Some(pool) = self.pools.get_mut(app) else { return };
        let from = out.len();
        pool.converge(&mut Turn { now, next_worker: &mut self.next_worker, out });
        for action in &out[from..] {
            if let Action::Spawn(spawn) = action {
                self.launching.insert(spawn.worker, app.clone());
            }
        }
        let gone = (pool.removed || pool.shutdown) && pool.workers.is_empty();
        let deadline = pool.deadline(now).filter(|_| !gone);
        if gone {
            let removed = !pool.shutdown;
            self.pools.remove(app);
            if removed {
                out.push(Action::Tell(Note::Removed { app: app.clone() }));
            }
        }
        self.schedule(app, deadline);
    }

    fn schedule(&mut self, app: &AppName, deadline: Option<Moment>) {
        if let Some(before) = self.due.remove(app) {
            self.agenda.remove(&(before, app.clone()));
        }
        if let Some(at) = deadline {
            self.due.insert(app.clone(), at);
            self.agenda.insert((at, app.clone()));
        }
    }

    /// Begins the operations that waited for one of those that `ended`; returns whom they concern.
    fn begin_waiting(&mut self, ended: &[OperationId], out: &mut Vec<Action>) -> BTreeSet<AppName> {
        let mut begun = BTreeSet::new();
        for operation in self.operations.values_mut() {
            let next = ended.iter().find_map(|other| operation.begin_after(*other));
            let (Some(what), Some(app)) = (next, operation.app.clone()) else { continue };
            match self.pools.get_mut(&app) {
                Some(pool) if pool.can_open(what) => operation.remark(pool.ordered(what, out)),
                Some(_) => {
                    let why = format!(
                        "the listeners of the latest generation were closed meanwhile; `scgictl {} \
                         {app}` opens them again",
                        what.verb().as_str()
                    );
                    operation.give_up(Failure::of(&app, why));
                }
                // It was removed; that is judged.
                None => {}
            }
            begun.insert(app);
        }
        begun
    }

    /// Ends the operations that have come to their end; returns which.
    fn judge(
        &mut self,
        touched: &BTreeSet<AppName>,
        now: Moment,
        out: &mut Vec<Action>,
    ) -> Vec<OperationId> {
        let concerned = |operation: &Operation| {
            touched.iter().any(|app| operation.waits_for(app))
                || operation.since == now
                || operation.is_lost()
        };
        let ids: Vec<_> = self.operations.values().filter(|o| concerned(o)).map(|o| o.id).collect();
        let mut ended = Vec::new();
        for id in ids {
            let operation = self.operations.get_mut(&id).expect("its number was just listed");
            let verdict = operation.judge(&self.pools, touched, now);
            self.changed.operations.push(operation.view(&verdict, now));
            let failure = match verdict {
                Verdict::Running(_) => continue,
                Verdict::Done(_) => None,
                Verdict::Failed => Some(operation.reason()),
            };
            let Operation { verb, app, .. } = operation.clone();
            self.operations.remove(&id);
            ended.push(id);
            let note = Note::OperationEnded { operation: id, verb, app, failure };
            out.push(Action::Tell(note));
        }
        ended
    }
}
