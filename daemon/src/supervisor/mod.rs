//! What to do: the pure core of the daemon.
//!
//! ```text
//!            Event                      Action
//!   shell ──────────▶ Supervisor ──────────────▶ shell
//!                        │ one Pool for each app
//!                        ├─ observe: facts only          pool.rs
//!                        ├─ converge: decisions only     converge.rs, conclude.rs
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
mod event;
mod launch;
mod moment;
mod note;
mod operation;
mod pool;
mod restart;
mod resume;
mod roll;
#[cfg(test)]
mod sim;
mod sizing;
mod state;
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
pub use moment::Moment;
pub use note::{About, Cause, Note};
use operation::{Operation, Verdict};
use pool::Ended;
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

    // ---- facts ----

    /// Writes the fact down and returns whom it concerns.
    fn observe(&mut self, event: Event, now: Moment, out: &mut Vec<Action>) -> BTreeSet<AppName> {
        match event {
            Event::Apply { operation, .. } if self.shutdown => {
                let refused = Operation::new(operation, Verb::Apply, None, BTreeSet::new(), now);
                self.begin(refused.failing("the daemon is stopping".to_owned()), out);
                BTreeSet::new()
            }
            Event::Apply { apps, unprepared, operation } => {
                self.note_unprepared(unprepared, now, out);
                self.apply(apps, operation, now, out)
            }
            Event::Order { order: Order::App { app, what }, operation, after: Some(other) }
                if self.operations.contains_key(&other) =>
            {
                let waits_for = BTreeSet::from([app.clone()]);
                let queued = Operation::new(operation, what.verb(), Some(app), waits_for, now);
                self.begin(queued.after(other, what), out);
                BTreeSet::new()
            }
            Event::Order { order, operation, .. } => self.order(order, operation, now, out),
            Event::Tick => self.take_due(now),
            Event::Spawned { worker, pid } => {
                let app = self.launching.remove(&worker);
                self.processes.extend(app.iter().map(|app| (pid, app.clone())));
                self.tell(app, |pool| pool.spawned(worker, pid, now))
            }
            Event::NotSpawned { worker, error } => {
                let app = self.launching.remove(&worker);
                self.tell(app, |pool| pool.not_spawned(worker, error, now, out))
            }
            Event::Lost { worker } => {
                let app = self.launching.remove(&worker);
                self.tell(app, |pool| pool.lost(worker))
            }
            Event::TookOver { facts } => self.took_over(facts, now, out),
            Event::Exited { pid, exit, served, words } => {
                let ended = Ended { exit, served, words };
                let app = self.processes.remove(&pid);
                self.tell(app, |pool| pool.exited(pid, ended, now, out))
            }
            Event::Probed { worker, outcome } => {
                let holds = |pool: &Pool| pool.workers.contains_key(&worker);
                let app = self.pools.iter().find(|(_, pool)| holds(pool)).map(|(app, _)| app);
                self.tell(app.cloned(), |pool| pool.probed(worker, outcome, now, out))
            }
            Event::Load { app, load } => self.tell(Some(app), |pool| pool.looked(load, now)),
            Event::Ready { pid } => self.tell(self.owner(pid), |pool| pool.ready(pid, now, out)),
            Event::Stopping { pid } => self.tell(self.owner(pid), |pool| pool.stopping(pid, now)),
            Event::Extend { pid, by } => {
                self.tell(self.owner(pid), |pool| pool.extend(pid, by, now))
            }
            Event::Said { pid, text } => self.tell(self.owner(pid), |pool| pool.said(pid, text)),
        }
    }

    fn owner(&self, pid: Pid) -> Option<AppName> {
        self.processes.get(&pid).cloned()
    }

    fn tell(&mut self, app: Option<AppName>, what: impl FnOnce(&mut Pool)) -> BTreeSet<AppName> {
        let pool = app.as_ref().and_then(|app| self.pools.get_mut(app));
        let Some(pool) = pool else { return BTreeSet::new() };
        what(pool);
        app.into_iter().collect()
    }

    fn take_due(&mut self, now: Moment) -> BTreeSet<AppName> {
        self.agenda.iter().take_while(|(at, _)| *at <= now).map(|(_, app)| app.clone()).collect()
    }

    fn apply(
        &mut self,
        apps: BTreeMap<AppName, Arc<AppSpec>>,
        id: OperationId,
        now: Moment,
        out: &mut Vec<Action>,
    ) -> BTreeSet<AppName> {
        let mut touched: BTreeSet<_> = self.unprepared.keys().cloned().collect();
        for (name, pool) in &mut self.pools {
            // What cannot be taken over stays as it is.
            if !apps.contains_key(name) && !self.unprepared.contains_key(name) {
                pool.removed = true;
                touched.insert(name.clone());
            }
        }
        // An app that stays as it was may be in trouble; that is not this operation's.
        let mut waits_for = touched.clone();
        for (name, spec) in apps {
            touched.insert(name.clone());
            match self.pools.get_mut(&name) {
                Some(pool) => {
                    if pool.applied(spec) {
                        waits_for.insert(name);
                    }
                }
                None => {
                    waits_for.insert(name.clone());
                    out.push(Action::Tell(Note::Added { app: name.clone() }));
                    self.pools.insert(name, Pool::new(spec, now));
                }
            }
        }
        waits_for.retain(|app| self.pools.contains_key(app));
        let operation = Operation::new(id, Verb::Apply, None, waits_for, now);
        let why = |(app, (why, _)): (&AppName, &(String, Moment))| format!("{app}: {why}");
        let operation = self.unprepared.iter().map(why).fold(operation, Operation::failing);
        self.begin(operation, out);
        touched
    }

    fn note_unprepared(
        &mut self,
        unprepared: BTreeMap<AppName, String>,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let before = std::mem::take(&mut self.unprepared);
        self.changed.pools.extend(before.keys().cloned());
        for (app, why) in unprepared {
            let since = before.get(&app).map_or(now, |(_, since)| *since);
            out.push(Action::Tell(Note::Unprepared { app: app.clone(), why: why.clone() }));
            self.unprepared.insert(app, (why, since));
        }
    }

    fn order(
        &mut self,
        order: Order,
        id: OperationId,
        now: Moment,
        out: &mut Vec<Action>,
    ) -> BTreeSet<AppName> {
        match order {
            Order::App { app, what } => {
                let waits_for = BTreeSet::from([app.clone()]);
                let operation = Operation::new(id, what.verb(), Some(app.clone()), waits_for, now);
                self.begin(operation, out);
                let mut remark = None;
                let touched = self.tell(Some(app.clone()), |pool| remark = pool.ordered(what, out));
                if let Some(begun) = self.operations.get_mut(&id) {
                    begun.remark(remark);
                }
                // The pool may return at once to what it was, and then looks as if all were well.
                let undone = self.pools.get(&app).filter(|pool| pool.latest.undone);
                if let Some(pool) = undone {
                    self.operations.values_mut().for_each(|operation| operation.undone(pool));
                }
                touched
            }
            Order::Shutdown => {
                let again = std::mem::replace(&mut self.shutdown, true);
                for pool in self.pools.values_mut() {
                    pool.shutdown = true;
                    pool.hurried = again;
                }
                let apps: BTreeSet<_> = self.pools.keys().cloned().collect();
                self.begin(Operation::new(id, Verb::Shutdown, None, apps.clone(), now), out);
                apps
            }
        }
    }

    fn begin(&mut self, operation: Operation, out: &mut Vec<Action>) {
        let (verb, app) = (operation.verb, operation.app.clone());
        let note = Note::OperationBegan { operation: operation.id, verb, app };
        out.push(Action::Tell(note));
        let view = operation.view(&Verdict::Running("accepted".to_owned()), operation.since);
        self.changed.operations.push(view);
        self.operations.insert(operation.id, operation);
    }

    // ---- decisions ----

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
                Some(_) => operation.give_up(format!(
                    "the listeners of the latest generation were closed meanwhile; `scgictl {} {app}` \
                     opens them again",
                    what.verb().as_str()
                )),
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
                Verdict::Failed(why) => Some(why),
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
