//! The core as a value: what of it is written down, and how it goes on from that.
//!
//! A daemon that ends without being asked leaves its core behind as it last wrote it; the next one
//! reads it, makes sure that it holds together, and goes on. What is only of the moment (the
//! agenda, what was just looked at) is not written down but found again. Whether the processes
//! spoken of still are what they were is for the shell to find out; what it finds are the facts of
//! [`Event::TookOver`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scgi_protocol::birth::LISTENERS_MAX;
use scgi_protocol::control::{Verb, Wish};
use scgi_protocol::name::{AppName, Generation, OperationId, Seat, WorkerId};
use serde::{Deserialize, Serialize};

use super::action::{Action, Role, Signal};
use super::event::Event;
use super::launch::Launch;
use super::moment::Moment;
use super::operation::Operation;
use super::pool::Pool;
use super::worker::{Checkup, Life, Worker};
use super::{Pid, Supervisor};
use crate::spec::{AppSpec, ListenSpec, Sizing};

/// Most workers that a pool is believed to have had: as many as an app may have, twice while one
/// generation replaces another, and as many on their way out.
const WORKERS_MOST: usize = 4 * Sizing::MOST as usize;

/// Most losses of an app that are remembered.
const LOST_MOST: usize = 64;

/// No worker ever had this number or a greater one, and after it there are enough left.
const LAST_WORKER: WorkerId = WorkerId(u64::MAX / 2);

/// What the core knows beside its pools.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    unprepared: BTreeMap<AppName, (String, Moment)>,
    operations: BTreeMap<OperationId, Operation>,
    next_worker: WorkerId,
}

impl Memory {
    /// The operation that was accepted last, as far as this tells.
    pub fn last_operation(&self) -> OperationId {
        self.operations.keys().next_back().copied().unwrap_or_default()
    }

    fn is_consistent(&self) -> bool {
        let mut operations = self.operations.iter();
        self.next_worker < LAST_WORKER && operations.all(|(id, o)| o.is_consistent(*id))
    }
}

impl Supervisor {
    /// The number the next worker will have: all there ever were have smaller ones.
    pub fn next_worker(&self) -> WorkerId {
        self.next_worker
    }

    /// What is to be written down beside the pools.
    pub fn memory(&self) -> Memory {
        let (unprepared, operations) = (self.unprepared.clone(), self.operations.clone());
        Memory { unprepared, operations, next_worker: self.next_worker }
    }

    /// The pool of `app`, to be written down.
    pub fn pool(&self, app: &AppName) -> Option<&Pool> {
        self.pools.get(app)
    }

    /// A core that goes on where another one was: with `pools` as they were written down, and for
    /// every app in `fresh` with one that nothing has happened in yet.
    ///
    /// An end that was under way is not: whoever starts a daemon wishes it to run.
    ///
    /// # Errors
    ///
    /// If what was written down cannot have been so, in words.
    pub fn resume(
        memory: Memory,
        pools: BTreeMap<AppName, Pool>,
        fresh: impl IntoIterator<Item = Arc<AppSpec>>,
        now: Moment,
    ) -> Result<Self, String> {
        if !memory.is_consistent() {
            return Err("the operations contradict each other".to_owned());
        }
        let Memory { unprepared, mut operations, next_worker } = memory;
        let known: BTreeSet<_> = operations.keys().copied().collect();
        operations.retain(|_, operation| {
            operation.verb != Verb::Shutdown
                && operation.queued_behind().is_none_or(|id| known.contains(&id))
        });
        let mut core = Self { unprepared, operations, next_worker, ..Self::default() };
        for (app, mut pool) in pools {
            pool.check(&app)?;
            pool.forget_the_moment(now);
            let last = pool.workers.keys().next_back().copied();
            // It is written down after the pools.
            core.next_worker = last.map_or(core.next_worker, |id| id.next().max(core.next_worker));
            for worker in pool.workers.values() {
                let known = match worker.pid() {
                    Some(pid) => core.processes.insert(pid, app.clone()).is_some(),
                    None => core.launching.insert(worker.id, app.clone()).is_some(),
                };
                if known {
                    return Err(format!("worker {} of app {app} is told twice", worker.id));
                }
            }
            core.pools.insert(app, pool);
        }
        for spec in fresh {
            core.pools.entry(spec.name.clone()).or_insert_with(|| Pool::new(spec, now));
        }
        core.changed.pools.extend(core.pools.keys().chain(core.unprepared.keys()).cloned());
        Ok(core)
    }

    /// Writes down what became of the workers; what may not have been done is done again.
    pub(super) fn took_over(
        &mut self,
        facts: Vec<Event>,
        now: Moment,
        out: &mut Vec<Action>,
    ) -> BTreeSet<AppName> {
        for fact in facts {
            self.observe(fact, now, out);
        }
        for pool in self.pools.values_mut() {
            // That they were to be killed was written down before it was done.
            let killed = pool.workers.values().filter_map(|worker| match worker.life {
                Life::Killed { pid } => Some(Action::Signal { pid, signal: Signal::Kill }),
                Life::Launching
                | Life::Starting { .. }
                | Life::Serving { .. }
                | Life::Draining { .. } => None,
            });
            out.extend(killed);
        }
        self.pools.keys().cloned().collect()
    }
}

impl Pool {
    /// Nothing has happened here that would have to be remembered: it is as a new one would be.
    pub fn is_fresh(&self) -> bool {
        self.workers.is_empty()
            && self.last_generation == Generation(1)
            && self.latest.trail.last_death().is_none()
            && self.fallback.is_none()
            && self.wish == Wish::Run
            && self.scaled.is_none()
            && self.demand.target() == self.bounds().min
            && self.restarts == 0
            && !self.removed
            && self.lost.is_empty()
            && self.open.len() == self.latest.spec.listen.len()
    }

    /// The spec of the latest launch.
    pub fn spec(&self) -> &Arc<AppSpec> {
        &self.latest.spec
    }

    /// The launches whose workers run the very program that each of them began with. What stands at
    /// its path by then is taken by one that spent its budget, and after a stop.
    pub fn true_to_their_program(&self) -> impl Iterator<Item = Generation> {
        let Launch { generation, trail, .. } = &self.latest;
        let since = |w: &Worker| w.generation == *generation && Some(w.since) > trail.last_death();
        let given_up = trail.is_spent() && !self.of_its_program().any(since);
        let ended = self.is_leaving() && self.workers.is_empty();
        let latest = (!given_up && !ended).then_some(*generation);
        latest.into_iter().chain(self.fallback.as_ref().map(|fallback| fallback.generation))
    }

    /// The listeners that are open.
    pub fn open(&self) -> &BTreeSet<ListenSpec> {
        &self.open
    }

    /// Its workers.
    pub fn staff(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values()
    }

    /// Makes sure that it holds together: whatever was read, the core must not come to harm.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    pub fn check(&self, app: &AppName) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("the pool of app {app} cannot have been so: {what}"));
        let launches = || [Some(&self.latest), self.fallback.as_ref()].into_iter().flatten();
        if launches().any(|launch| launch.spec.name != *app) {
            return wrong("it is another app's");
        }
        let listens_rightly = |launch: &Launch| {
            let least = usize::from(!launch.spec.kind.is_alone());
            (least..=LISTENERS_MAX).contains(&launch.spec.listen.len())
        };
        if !launches().all(listens_rightly) {
            return wrong("it listens nowhere, or at too many places");
        }
        if self.workers.len() > WORKERS_MOST {
            return wrong("it has too many workers");
        }
        let is_worker = |pid: Pid| pid > 1;
        let right = |(id, worker): (&WorkerId, &Worker)| {
            worker.id == *id && *id < LAST_WORKER && worker.pid().is_none_or(is_worker)
        };
        if !self.workers.iter().all(right) {
            return wrong("a worker of it has a number that it cannot have");
        }
        if self.scaled.is_some_and(|(min, max)| min > max || max == 0 || max > Sizing::MOST) {
            return wrong("it was scaled to bounds that nobody can ask for");
        }
        Ok(())
    }

    /// Something of it was lost with the daemon before this one.
    pub(super) fn bereft(&mut self, what: String, next: String) {
        let lost = (what, next);
        if self.lost.len() < LOST_MOST && !self.lost.contains(&lost) {
            self.lost.push(lost);
        }
    }

    /// Takes back what was only true for the daemon before.
    fn forget_the_moment(&mut self, now: Moment) {
        self.shutdown = false;
        self.hurried = false;
        self.part_with_templates(now);
        for worker in self.workers.values_mut().filter(|w| w.health == Checkup::Asked) {
            // Who asked it is no more.
            worker.health = Checkup::Unasked;
        }
        let bounds = self.bounds();
        self.demand.resume(bounds);
    }
}

impl Worker {
    /// Its number.
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// Its seat.
    pub fn seat(&self) -> Seat {
        self.seat
    }

    /// What it does.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its generation.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// It has a process that is not known to accept connections yet.
    pub fn awaits_ready(&self) -> bool {
        matches!(self.life, Life::Launching | Life::Starting { .. })
    }
}
