//! One pool: the seats of one app and the workers in them.
//!
//! Events record facts here; [`super::converge`] alone decides what to do about them. Nothing in
//! this module performs I/O, sleeps or reads a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use scgi_protocol::control::{AppState, Wish};
use scgi_protocol::name::{AppName, Generation, Seat, WorkerId};
use serde::{Deserialize, Serialize};

use super::action::{Action, Role};
use super::event::{AppOrder, Load, Pid};
use super::launch::Launch;
use super::moment::Moment;
use super::note::Note;
use super::sizing::{Bounds, Demand};
use super::worker::Worker;
use crate::spec::{AppSpec, Change, ListenSpec, Sizing};

/// The running side of one app.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pool {
    /// The latest launch.
    pub(super) latest: Launch,
    /// The launch before it, for as long as the latest is not to be trusted.
    pub(super) fallback: Option<Launch>,
    /// The latest has not taken over every seat yet.
    pub(super) rolling: bool,
    /// Why the launch before the latest could not return when an operator wanted it to.
    #[serde(default)]
    pub(super) undo_failed: Option<String>,
    /// An operator wants the roll to stay as it is.
    pub(super) paused: bool,
    /// The highest generation there was.
    pub(super) last_generation: Generation,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) wish: Wish,
    /// All workers leave before new ones come.
    pub(super) restarting: bool,
    /// No longer part of the site.
    pub(super) removed: bool,
    /// The daemon is on its way out.
    pub(super) shutdown: bool,
    /// Nobody is waited for any more.
    pub(super) hurried: bool,
    /// The bounds an operator asked for.
    pub(super) scaled: Option<(u16, u16)>,
    pub(super) demand: Demand,
    /// How many workers were wanted when that was last told.
    pub(super) told_target: u16,
    /// The shell was asked to tell when a connection arrives.
    #[serde(skip)]
    pub(super) watching: bool,
    /// When the shell is to be asked so again.
    #[serde(skip)]
    pub(super) watch_at: Option<Moment>,
    /// When another relief may be tried.
    pub(super) relief_not_before: Moment,
    pub(super) restarts: u64,
    /// The listeners the shell holds open.
    pub(super) open: BTreeSet<ListenSpec>,
    pub(super) state: AppState,
    pub(super) since: Moment,
    /// What was told of the launch's spent budget.
    pub(super) told: Option<AppState>,
    /// What was lost with a daemon before this one, and what a person can do about it.
    #[serde(default)]
    pub(super) lost: Vec<(String, String)>,
}

impl Pool {
    /// A pool that nobody works in yet.
    pub(super) fn new(spec: Arc<AppSpec>, now: Moment) -> Self {
        let demand = Demand::new(bounds(&spec.sizing, None));
        Self {
            open: spec.listen.iter().cloned().collect(),
            latest: Launch::new(Generation(1), spec),
            fallback: None,
            rolling: false,
            undo_failed: None,
            paused: false,
            last_generation: Generation(1),
            workers: BTreeMap::new(),
            wish: Wish::Run,
            restarting: false,
            removed: false,
            shutdown: false,
            hurried: false,
            scaled: None,
            told_target: demand.target(),
            demand,
            watching: false,
            watch_at: None,
            relief_not_before: Moment::START,
            restarts: 0,
            state: AppState::Starting,
            since: now,
            told: None,
            lost: Vec::new(),
        }
    }

    /// The app's name.
    pub(super) fn name(&self) -> &AppName {
        &self.latest.spec.name
    }

    /// Nobody shall work here.
    pub(super) fn is_leaving(&self) -> bool {
        self.removed || self.shutdown || self.wish == Wish::Stop
    }

    /// The launch workers shall belong to: the latest, or the one before it if that is held.
    pub(super) fn active(&self) -> &Launch {
        match &self.fallback {
            Some(fallback) if self.latest.is_out() => fallback,
            Some(_) | None => &self.latest,
        }
    }

    /// The launch of `generation`; the latest stands for those that were replaced for good.
    pub(super) fn launch(&self, generation: Generation) -> &Launch {
        match &self.fallback {
            Some(fallback) if fallback.generation == generation => fallback,
            Some(_) | None => &self.latest,
        }
    }

    pub(super) fn launch_mut(&mut self, generation: Generation) -> Option<&mut Launch> {
        if self.latest.generation == generation {
            return Some(&mut self.latest);
        }
        self.fallback.as_mut().filter(|launch| launch.generation == generation)
    }

    /// The spec by which a worker of `generation` is judged.
    pub fn spec_of(&self, generation: Generation) -> &Arc<AppSpec> {
        &self.launch(generation).spec
    }

    /// The bounds of the pool's size. A roll that is undone leaves the size as it was.
    pub(super) fn bounds(&self) -> Bounds {
        bounds(&self.active().spec.sizing, self.scaled)
    }

    /// Workers that run the app's program.
    pub(super) fn app_workers(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values().filter(|worker| worker.role == Role::App)
    }

    /// Processes that run the app's program.
    pub(super) fn of_its_program(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values().filter(|worker| worker.role != Role::Relief)
    }

    /// Seats somebody works in or is going to.
    pub(super) fn taken(&self) -> BTreeSet<Seat> {
        self.seats_of(Worker::is_staying)
    }

    /// Seats somebody works in.
    pub(super) fn served(&self) -> BTreeSet<Seat> {
        self.seats_of(Worker::is_serving)
    }

    /// Seats of the app's workers that are so.
    pub(super) fn seats_of(&self, so: impl Fn(&Worker) -> bool) -> BTreeSet<Seat> {
        self.app_workers().filter(|worker| so(worker)).map(|worker| worker.seat).collect()
    }

    pub(super) fn worker_mut(&mut self, pid: Pid) -> Option<&mut Worker> {
        self.workers.values_mut().find(|worker| worker.pid() == Some(pid))
    }

    // ---- facts ----

    /// A spec was applied; tells whether that changes anything.
    pub(super) fn applied(&mut self, spec: Arc<AppSpec>) -> bool {
        let returns = self.scaled.take().is_some() | std::mem::take(&mut self.removed);
        self.opened(&spec);
        let change = self.latest.spec.change_to(&spec);
        match change {
            Change::None => {}
            Change::Retune => self.latest.spec = spec,
            Change::Roll => self.next_generation(spec),
        }
        self.demand.keep_within(self.bounds());
        returns || change != Change::None
    }

    /// The shell has opened what `spec` listens at, beside what was open.
    fn opened(&mut self, spec: &AppSpec) {
        let before = self.open.len();
        self.open.extend(spec.listen.iter().cloned());
        if self.open.len() > before {
            // Whoever was asked to watch watches the others only.
            self.watching = false;
        }
    }

    /// What `order` needs open is so without the shell's doing anything for it.
    pub(super) fn can_open(&self, order: AppOrder) -> bool {
        let open = || self.latest.spec.listen.iter().all(|listener| self.open.contains(listener));
        !order.needs_listeners() || open()
    }

    /// An operator asked for something. Says what of it cannot be.
    pub(super) fn ordered(&mut self, order: AppOrder, out: &mut Vec<Action>) -> Option<String> {
        // For a daemon that is leaving nothing is opened any more.
        if order.needs_listeners() && !self.shutdown {
            self.opened(&Arc::clone(&self.latest.spec));
        }
        match order {
            AppOrder::Start => {
                self.wish = Wish::Run;
                self.latest.trail.forgive();
            }
            AppOrder::Stop => (self.wish, self.paused) = (Wish::Stop, false),
            AppOrder::Reload => self.next_generation(Arc::clone(&self.latest.spec)),
            AppOrder::Restart => {
                self.next_generation(Arc::clone(&self.latest.spec));
                self.fallback = None;
                self.restarting = true;
            }
            AppOrder::Retry => self.latest.trail.forgive(),
            AppOrder::Pause => self.pause(true, out),
            AppOrder::Resume => self.pause(false, out),
            AppOrder::Undo => self.undo(out),
            AppOrder::Scale(scale) => {
                let (bounds, remark) = self.demand.scaled(scale, self.bounds());
                self.scaled = Some(bounds);
                self.demand.keep_within(self.bounds());
                return remark;
            }
        }
        None
    }

    /// A worker's process exists.
    pub(super) fn spawned(&mut self, id: WorkerId, pid: Pid, now: Moment) {
        let Some(worker) = self.workers.get(&id) else { return };
        let spec = Arc::clone(self.spec_of(worker.generation));
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.spawned(pid, &spec, now);
        }
    }

    /// Nobody knows of a process that was to be this worker: it is as if it had never been asked
    /// for.
    pub(super) fn lost(&mut self, id: WorkerId) {
        self.workers.remove(&id);
    }

    /// A worker says that it accepts connections.
    pub(super) fn ready(&mut self, pid: Pid, now: Moment, out: &mut Vec<Action>) {
        let Some(worker) = self.worker_mut(pid) else { return };
        if !worker.ready(now) {
            return;
        }
        let (took, generation) = (now.since(worker.since), worker.generation);
        let (id, role) = (worker.id, worker.role);
        if let (Role::App, Some(launch)) = (role, self.launch_mut(generation)) {
            launch.proven = true;
        }
        let about = self.workers[&id].about(self.spec_of(generation));
        out.push(Action::Tell(Note::WorkerReady { about, pid, took }));
    }

    /// A worker says that it is leaving.
    pub(super) fn stopping(&mut self, pid: Pid, now: Moment) {
        let spec = Arc::clone(&self.latest.spec);
        if let Some(worker) = self.worker_mut(pid) {
            worker.stopping(&spec, now);
        }
    }

    /// A worker needs more time.
    pub(super) fn extend(&mut self, pid: Pid, by: Duration, now: Moment) {
        if let Some(worker) = self.worker_mut(pid) {
            worker.extend(by, now);
        }
    }

    /// A worker says something for people.
    pub(super) fn said(&mut self, pid: Pid, text: String) {
        if let Some(worker) = self.worker_mut(pid) {
            worker.status = Some(text);
        }
    }

    /// The pool was looked at.
    pub(super) fn looked(&mut self, mut load: Load, now: Moment) {
        // Workers may have come and gone since, and a number may be anything.
        load.idle.retain(|id, idle| {
            let serving = self.workers.get_mut(id).filter(|worker| worker.is_serving());
            serving.map(|worker| worker.idle = *idle).is_some()
        });
        for id in &load.answered {
            self.workers.entry(*id).and_modify(|worker| worker.answered = true);
        }
        let starting = self.app_workers().filter(|worker| worker.is_starting()).count();
        let starting = u16::try_from(starting).unwrap_or(u16::MAX);
        self.watching = false;
        self.demand.learn(&load, starting, self.bounds(), now);
    }
}

fn bounds(sizing: &Sizing, scaled: Option<(u16, u16)>) -> Bounds {
    let (min, max) = scaled.unwrap_or_else(|| (sizing.min(), sizing.max()));
    Bounds { min, max, spare: sizing.spare().min(max), idle_timeout: sizing.idle_timeout() }
}
