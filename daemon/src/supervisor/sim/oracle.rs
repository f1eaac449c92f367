//! What must be so after every turn, whatever happened before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use scgi_protocol::control::Verb;
use scgi_protocol::name::{AppName, Generation, OperationId, WorkerId};

use super::lives::{Holder, Life};
use super::world::World;
use crate::supervisor::converge::Turn;
use crate::supervisor::pool::Pool;
use crate::supervisor::{About, Action, AppOrder, Event, Moment, Note, Order, Role, Spawn};

/// What the world remembers of what the core did.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) last_worker: Option<WorkerId>,
    pub(super) operations: BTreeMap<OperationId, Done>,
    /// The core has ended the daemon.
    pub(super) exited: bool,
    /// Until when no worker of a generation may be started.
    pub(super) rests: BTreeMap<(AppName, Generation), Moment>,
    /// The worker last spoken of.
    about: Option<About>,
    /// The most by which an app's pool may exceed its size.
    pub(super) surges: BTreeMap<AppName, usize>,
    pub(super) notes: Vec<(Moment, Note)>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) verb: Verb,
    pub(super) since: Moment,
    /// When it ended, and why it failed if it did.
    pub(super) ended: Option<(Moment, Option<String>)>,
}

/// Whom a fact concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Everybody,
    App(AppName),
    /// A fact that means nothing: it is about nobody, or comes too late.
    Nobody,
}

impl World {
    /// Whom `event` concerns.
    pub(super) fn scope(&self, event: &Event) -> Scope {
        let of_worker = |id: &WorkerId| match self.lives.get(id) {
            Some(life) if !life.over => Scope::App(life.app.clone()),
            Some(_) | None => Scope::Nobody,
        };
        match event {
            Event::Apply { .. } if self.core.shutdown => Scope::Nobody,
            Event::Apply { .. }
            | Event::Tick
            | Event::TookOver { .. }
            | Event::Order { order: Order::Shutdown, .. } => Scope::Everybody,
            Event::Order { after: Some(other), .. } if self.core.operations.contains_key(other) => {
                Scope::Nobody
            }
            Event::Order { order: Order::App { app, .. }, .. }
            | Event::Load { app, .. }
            | Event::Bereft { app, .. } => Scope::App(app.clone()),
            Event::Spawned { worker, .. }
            | Event::NotSpawned { worker, .. }
            | Event::Lost { worker }
            | Event::Probed { worker, .. } => of_worker(worker),
            Event::Ready { pid }
            | Event::Stopping { pid }
            | Event::Extend { pid, .. }
            | Event::Said { pid, .. }
            | Event::Exited { pid, .. } => match self.pids.get(pid) {
                // The core has yet to hear whose that process is.
                _ if !self.core.processes.contains_key(pid) => Scope::Nobody,
                Some(Holder::Worker(id)) => of_worker(id),
                Some(Holder::Stranger) | None => Scope::Nobody,
            },
        }
    }

    // ---- what it did ----

    pub(super) fn check_action(&mut self, action: &Action, scope: &Scope) {
        let app = self.app_of(action);
        match scope {
            Scope::Everybody => {}
            Scope::Nobody => {
                let refusal = matches!(
                    action,
                    Action::Tell(Note::OperationBegan { .. } | Note::OperationEnded { .. })
                );
                assert!(refusal, "a stale fact led to {action:?}");
            }
            Scope::App(told) => {
                assert!(
                    app.is_none_or(|app| app == *told),
                    "a fact about {told} led to {action:?}"
                );
            }
        }
        let talk = matches!(action, Action::Tell(_));
        assert!(talk || !self.ledger.exited, "after the end came {action:?}");
        match action {
            Action::Spawn(spawn) => self.check_spawn(spawn),
            Action::Signal { pid, .. } => {
                let known = matches!(self.pids.get(pid), Some(Holder::Worker(_)));
                assert!(known, "{action:?} hits a stranger");
            }
            Action::Forget { worker } => {
                let life = &self.lives[worker];
                assert!(life.over && !life.forgotten, "worker {worker} forgotten: {life:?}");
            }
            Action::Release { app, keep } => {
                let keep = keep.as_ref().map(|spec| spec.listen.clone()).unwrap_or_default();
                let closes = |world: &mut Self| {
                    world.front(app).open.keys().any(|listener| !keep.contains(listener))
                };
                assert!(closes(self), "nothing to release for {app}");
                let needs = |id: &&WorkerId| {
                    let life = &self.lives[id];
                    life.app == *app && life.role != Role::Template && self.stays(**id)
                };
                for id in self.alive.iter().filter(needs) {
                    let listen = &self.lives[id].spec.listen;
                    assert!(listen.iter().all(|l| keep.contains(l)), "{id} needs a listener");
                }
            }
            Action::Tell(note) => self.check_note(note),
            Action::Exit => self.ledger.exited = true,
            Action::Probe { worker, .. } => {
                let life = self.lives.get_mut(worker).expect("only the born are asked");
                assert!(life.told_ready, "{worker} is asked before it is ready");
                assert!(!std::mem::replace(&mut life.asked, true), "{worker} is asked twice");
            }
            Action::Watch { .. } | Action::Sample { .. } => {}
        }
    }

    fn check_spawn(&mut self, spawn: &Spawn) {
        let Spawn { worker, seat, generation, app: spec, role, .. } = spawn;
        let app = &spec.name;
        assert!(self.ledger.last_worker.is_none_or(|last| last < *worker), "{worker} is reused");
        self.ledger.last_worker = Some(*worker);
        let pool = &self.core.pools[app];
        let replaces = |id: &&WorkerId| {
            let life = &self.lives[id];
            life.app == *app && life.seat == *seat && life.generation != *generation
        };
        let replaces = self.alive.iter().any(|id| replaces(&id));
        // By the time this is seen an order that was waiting may have begun, with bounds of its own.
        let most = pool.bounds().max.max(spec.sizing.max());
        assert!(seat.0 < most || replaces, "seat {seat} of {app} is out of bounds");
        let there = |id: &WorkerId| {
            let life = &self.lives[id];
            life.app == *app && life.seat == *seat && life.role == Role::App && id != worker
        };
        let beside = self.alive.iter().find(|id| spec.kind.is_alone() && there(id));
        assert!(beside.is_none(), "{worker} would want the address that {beside:?} has");
        self.check_sharing(spawn);
        self.check_template(spawn);
        assert!(*role != Role::Relief || !spec.listen.is_empty(), "{worker} would answer nobody");
        let open = &self.fronts[app].open;
        let missing = spec.listen.iter().find(|listener| !open.contains_key(listener));
        assert!(missing.is_none(), "worker {worker} of {app} would miss {missing:?}");
        let rest = self.ledger.rests.get(&(app.clone(), *generation));
        let rested = *role == Role::Relief || rest.is_none_or(|&until| until <= self.now);
        assert!(rested, "worker {worker} of {app} starts before {rest:?}");
    }

    /// Who waits in accept(2) and who must not wait there cannot be helped at one socket.
    fn check_sharing(&self, spawn: &Spawn) {
        let Spawn { worker, app: spec, generation, role, waits, .. } = spawn;
        let others = self.alive.iter().filter(|id| **id != *worker);
        let others = others.map(|id| &self.lives[id]).filter(|life| life.app == spec.name);
        // A template has no sockets.
        let mut others = others.filter(|life| life.role != Role::Template);
        let is_relief = |life: &Life| life.role == Role::Relief;
        if *role == Role::App && spec.waits_in_accept() {
            assert!(!others.clone().any(is_relief), "{worker} would not wait beside relief");
        }
        let pool = &self.core.pools[&spec.name];
        // Whether a worker says when it is ready may be put right while it is there. By the time this
        // is seen, an order may have done so that was waiting: of its own generation the worker that
        // was started knows better.
        let waits_too = |life: &Life| match life.generation == *generation {
            true => spec.waits_in_accept(),
            false => pool.spec_of(life.generation).waits_in_accept(),
        };
        let stays = |life: &Life| is_relief(life) || !waits_too(life);
        assert!(!waits || !others.any(stays), "{worker} would have others wait");
    }

    fn check_note(&mut self, note: &Note) {
        let now = self.now;
        self.ledger.notes.push((now, note.clone()));
        match note {
            Note::WorkerGone { about, .. } => {
                let life = self.lives.get_mut(&about.worker).expect("only the born die");
                assert!(life.over && !life.told_gone, "{note:?}");
                assert_eq!((&life.app, life.seat), (&about.app, about.seat));
                assert_eq!((life.generation, life.role), (about.generation, about.role));
                life.told_gone = true;
                self.ledger.about = Some(about.clone());
            }
            Note::WorkerKilled { about, .. } | Note::WorkerUnhealthy { about, .. } => {
                self.ledger.about = Some(about.clone());
            }
            Note::BackingOff { app, pause, deaths } => {
                let policy = self.policy(app);
                let doubled = policy.backoff_first * (1 << (deaths.saturating_sub(1)).min(20));
                let least = doubled.min(policy.backoff_max) / 1000 * 740;
                assert!(*deaths == 0 || *pause >= least, "{note:?} is less than {least:?}");
                self.rest(app, *pause / 1000 * 740);
            }
            Note::OperationBegan { operation, verb, .. } => {
                let begun = Done { verb: *verb, since: now, ended: None };
                assert_eq!(self.ledger.operations.insert(*operation, begun), None);
            }
            Note::OperationEnded { operation, failure, .. } => {
                let done = self.ledger.operations.get_mut(operation).expect("it began");
                assert_eq!(done.ended, None, "operation {operation} ended twice");
                done.ended = Some((now, failure.clone()));
            }
            // Another app of that name begins from nothing.
            Note::Removed { app } => self.ledger.rests.retain(|(resting, _), _| resting != app),
            // It is not tried again by itself.
            Note::Held { app, generation, .. } => {
                let key = (app.clone(), *generation);
                self.ledger.rests.insert(key, Moment(Duration::MAX));
            }
            Note::WorkerReady { about, .. } => {
                let life = self.lives.get_mut(&about.worker).expect("only the born serve");
                assert!(!std::mem::replace(&mut life.told_ready, true), "{note:?} twice");
            }
            Note::Failing { .. }
            | Note::Recovered { .. }
            | Note::Rolled { .. }
            | Note::Resized { .. }
            | Note::Added { .. }
            | Note::Stopped { .. }
            | Note::Paused { .. }
            | Note::Undone { .. }
            | Note::Unprepared { .. } => {}
        }
    }

    /// What deaths of the generation last spoken of cost.
    fn policy(&self, app: &AppName) -> crate::spec::Restart {
        let about = self.ledger.about.as_ref().expect("somebody died before");
        self.core.pools[app].spec_of(about.generation).restart
    }

    fn rest(&mut self, app: &AppName, pause: Duration) {
        let about = self.ledger.about.as_ref().expect("somebody died before");
        assert_eq!(about.app, *app, "another app pays");
        self.ledger.rests.insert((app.clone(), about.generation), self.now + pause);
    }

    /// The app an action concerns; `None` if it concerns all.
    fn app_of(&self, action: &Action) -> Option<AppName> {
        match action {
            Action::Spawn(spawn) => Some(spawn.app.name.clone()),
            Action::Signal { pid, .. } => match self.pids.get(pid) {
                Some(Holder::Worker(id)) => Some(self.lives[id].app.clone()),
                Some(Holder::Stranger) | None => None,
            },
            Action::Forget { worker } => Some(self.lives[worker].app.clone()),
            Action::Probe { app, .. } => Some(app.name.clone()),
            Action::Watch { app } | Action::Sample { app } | Action::Release { app, .. } => {
                Some(app.clone())
            }
            Action::Tell(note) => match note {
                Note::WorkerReady { about, .. }
                | Note::WorkerKilled { about, .. }
                | Note::WorkerUnhealthy { about, .. }
                | Note::WorkerGone { about, .. } => Some(about.app.clone()),
                Note::BackingOff { app, .. }
                | Note::Held { app, .. }
                | Note::Failing { app, .. }
                | Note::Recovered { app }
                | Note::Rolled { app, .. }
                | Note::Resized { app, .. }
                | Note::Added { app }
                | Note::Removed { app }
                | Note::Stopped { app }
                | Note::Paused { app, .. }
                | Note::Undone { app, .. }
                | Note::Unprepared { app, .. } => Some(app.clone()),
                Note::OperationBegan { app, .. } | Note::OperationEnded { app, .. } => app.clone(),
            },
            Action::Exit => None,
        }
    }

    // ---- how it is ----

    pub(super) fn check_state(&mut self, scope: &Scope) {
        let touched: Vec<_> = match scope {
            Scope::Everybody => self.core.pools.keys().cloned().collect(),
            Scope::App(app) => vec![app.clone()],
            Scope::Nobody => Vec::new(),
        };
        for app in &touched {
            self.learn_surge(app);
            self.check_workers(app);
            self.check_idempotence(app);
        }
        self.check_pids();
    }

    /// Takes note of what an event allows.
    pub(super) fn learn(&mut self, event: &Event) {
        match event {
            Event::Order {
                order: Order::App { app, what: AppOrder::Retry | AppOrder::Start },
                ..
            } => self.ledger.rests.retain(|(resting, _), _| resting != app),
            Event::Apply { .. }
            | Event::Order { .. }
            | Event::Probed { .. }
            | Event::Spawned { .. }
            | Event::NotSpawned { .. }
            | Event::Ready { .. }
            | Event::Stopping { .. }
            | Event::Extend { .. }
            | Event::Said { .. }
            | Event::Exited { .. }
            | Event::Load { .. }
            | Event::Lost { .. }
            | Event::TookOver { .. }
            | Event::Bereft { .. }
            | Event::Tick => {}
        }
    }

    /// Nobody is left over of a worker whose end was told.
    pub(super) fn check_buried(&self, id: WorkerId) {
        let life = &self.lives[&id];
        assert!(life.forgotten && life.told_gone, "nobody mourns {id}: {life:?}");
    }

    /// By how many workers the app's pool may exceed its size, as long as this roll goes on.
    fn learn_surge(&mut self, app: &AppName) {
        let Some(pool) = self.core.pools.get(app) else { return };
        let launches = [Some(&pool.latest), pool.fallback.as_ref()].into_iter().flatten();
        let most = u16::try_from(most_wanted(pool)).unwrap_or(u16::MAX);
        let allowed = launches.map(|launch| launch.spec.roll.surge.of(most)).max();
        let surge = self.ledger.surges.entry(app.clone()).or_default();
        *surge = allowed.unwrap_or_default().max(*surge);
    }

    fn check_workers(&self, app: &AppName) {
        let ours: BTreeSet<_> =
            self.alive.iter().filter(|id| self.lives[id].app == *app).copied().collect();
        let Some(pool) = self.core.pools.get(app) else {
            assert!(ours.is_empty(), "the pool of {app} is gone, its workers are not");
            return;
        };
        let known: BTreeSet<_> = pool.workers.keys().copied().collect();
        assert_eq!(known, ours, "workers of {app}");

        let staying: Vec<_> = pool.app_workers().filter(|w| w.is_staying()).collect();
        let places: BTreeSet<_> = staying.iter().map(|w| (w.seat, w.generation)).collect();
        assert_eq!(places.len(), staying.len(), "two in one seat of {app}");
        let most = most_wanted(pool) + self.ledger.surges.get(app).copied().unwrap_or(1);
        assert!(staying.len() <= most, "{} workers of {app}, at most {most}", staying.len());
        assert!(!pool.is_leaving() || staying.is_empty(), "{app} is leaving, and some stay");

        for worker in pool.workers.values().filter(|worker| worker.is_serving()) {
            assert!(self.is_ready(worker.id), "worker {} of {app} is not ready", worker.id);
        }
    }

    fn stays(&self, id: WorkerId) -> bool {
        let worker = self.core.pools.values().find_map(|pool| pool.workers.get(&id));
        worker.is_some_and(|worker| worker.is_staying())
    }

    /// Every process number leads to one worker, and none to somebody who is gone.
    fn check_pids(&self) {
        let workers = || self.core.pools.values().flat_map(|pool| pool.workers.values());
        let pids: Vec<_> = workers().filter_map(|worker| worker.pid()).collect();
        let unique: BTreeSet<_> = pids.iter().copied().collect();
        assert_eq!(unique.len(), pids.len(), "a process belongs to two workers");
        assert_eq!(self.core.processes.keys().copied().collect::<BTreeSet<_>>(), unique);
        let launching = workers().filter(|worker| worker.pid().is_none()).count();
        assert_eq!(self.core.launching.len(), launching);
    }

    /// Deciding again at once decides nothing.
    fn check_idempotence(&mut self, app: &AppName) {
        let before = self.core.deadline();
        let Some(pool) = self.core.pools.get_mut(app) else { return };
        let mut out = Vec::new();
        let mut next_worker = self.core.next_worker;
        pool.converge(&mut Turn { now: self.now, next_worker: &mut next_worker, out: &mut out });
        assert!(out.is_empty(), "converging again led to {out:?}");
        assert_eq!(self.core.deadline(), before);
    }

    /// Once all answers are given, nothing is due for those who heard of it.
    pub(super) fn check_rest(&self, heard: &[Scope]) {
        for (app, at) in &self.core.due {
            let concerned = heard.iter().any(|scope| match scope {
                Scope::Everybody => true,
                Scope::App(told) => told == app,
                Scope::Nobody => false,
            });
            assert!(!concerned || *at > self.now, "{at} for {app} is not after {}", self.now);
        }
    }
}

fn most_wanted(pool: &Pool) -> usize {
    usize::from(pool.demand.target()).max(1)
}
