//! Facts are written down: what happened, and what was asked for. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scgi_protocol::control::Verb;
use scgi_protocol::name::{AppName, OperationId};

use super::Supervisor;
use super::action::Action;
use super::death::Ended;
use super::event::{Event, Order, Pid};
use super::failure::Failure;
use super::moment::Moment;
use super::note::Note;
use super::operation::{Operation, Verdict};
use super::pool::Pool;
use crate::spec::AppSpec;

impl Supervisor {
    /// Writes the fact down and returns whom it concerns.
    pub(super) fn observe(
        &mut self,
        event: Event,
        now: Moment,
        out: &mut Vec<Action>,
    ) -> BTreeSet<AppName> {
        match event {
            Event::Apply { operation, .. } if self.shutdown => {
                let refused = Operation::new(operation, Verb::Apply, None, BTreeSet::new(), now);
                self.begin(refused.failing(Failure::of_all("the daemon is stopping")), out);
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
            Event::Bereft { app, what, next } => {
                self.tell(Some(app), |pool| pool.bereft(what, next))
            }
            Event::TookOver { facts } => self.took_over(facts, now, out),
            Event::Exited { pid, exit, served, words, said } => {
                let ended = Ended { exit, served, words, said };
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
        let failed = |(app, (why, _)): (&AppName, &(String, Moment))| Failure::of(app, why.clone());
        let operation = self.unprepared.iter().map(failed).fold(operation, Operation::failing);
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
}
