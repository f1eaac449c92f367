//! The lives of invented processes: born when the core says so, ending as their fate says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use scgi_protocol::name::{AppName, Generation, Seat, WorkerId};

use super::process::{Fate, Manners, Nature, Process};
use super::world::{Happening, World};
use crate::spec::{AppSpec, Ready};
use crate::supervisor::{Event, Exit, Moment, Pid, Role, Signal, Spawn, Worker};

/// Few, so that they are reused soon.
const PIDS: std::ops::Range<Pid> = 100..4000;

/// One worker as the world knows it.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) app: AppName,
    pub(super) seat: Seat,
    pub(super) generation: Generation,
    pub(super) role: Role,
    pub(super) on_trial: bool,
    /// Its sockets were made to wait for clients before it was born.
    pub(super) waits: bool,
    /// What it is forked from.
    pub(super) template: Option<WorkerId>,
    pub(super) spec: Arc<AppSpec>,
    pub(super) at: Moment,
    pub(super) pid: Option<Pid>,
    pub(super) process: Option<Process>,
    /// The core has been told that it is over.
    pub(super) over: bool,
    pub(super) forgotten: bool,
    pub(super) told_ready: bool,
    pub(super) told_gone: bool,
    /// It was asked whether it is healthy.
    pub(super) asked: bool,
}

impl Life {
    /// A worker that has no process yet.
    pub(super) fn unborn(spec: Arc<AppSpec>, worker: &Worker) -> Self {
        Self {
            app: spec.name.clone(),
            seat: worker.seat,
            generation: worker.generation,
            role: worker.role,
            on_trial: false,
            waits: false,
            template: None,
            spec,
            at: worker.since,
            pid: None,
            process: None,
            over: false,
            forgotten: false,
            told_ready: false,
            told_gone: false,
            asked: false,
        }
    }
}

/// Whose a process number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Worker(WorkerId),
    /// A process that is none of the daemon's business.
    Stranger,
}

/// What a process says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    Ready,
    Stopping,
    Extend(Duration),
}

impl World {
    /// The living process of a worker.
    pub(super) fn process(&mut self, id: WorkerId) -> Option<&mut Process> {
        self.lives.get_mut(&id)?.process.as_mut().filter(|process| !process.dead)
    }

    pub(super) fn becomes_ready(&mut self, id: WorkerId) {
        let now = self.now;
        let Some(process) = self.process(id).filter(|process| !process.ready) else { return };
        process.ready = true;
        process.idle_since = now;
        let twice = process.fate.ready_twice;
        self.say(id, Word::Ready);
        if twice {
            self.say(id, Word::Ready);
        }
        let app = self.lives[&id].app.clone();
        self.serve(&app);
    }

    pub(super) fn leaves(&mut self, id: WorkerId) {
        let Some(process) = self.process(id) else { return };
        if !std::mem::replace(&mut process.leaving, true) {
            let drain = process.fate.drain;
            self.say(id, Word::Stopping);
            self.end_after(id, drain, Exit::Code(0));
        }
    }

    fn end_after(&mut self, id: WorkerId, time: Duration, exit: Exit) {
        let Some(process) = self.process(id) else { return };
        process.ending = true;
        self.later(time, Happening::Ends(id, exit));
    }

    pub(super) fn ends(&mut self, id: WorkerId, exit: Exit) {
        let Some(process) = self.process(id) else { return };
        process.dead = true;
        let soon = self.rng.ms(0..=5);
        self.later(soon, Happening::Exited(id, exit));
    }

    pub(super) fn exited(&mut self, id: WorkerId, exit: Exit) {
        let life = &self.lives[&id];
        let (pid, process) = (life.pid, life.process.clone());
        let (Some(pid), Some(process)) = (pid, process) else { return };
        if !process.known {
            return self.later(Duration::from_millis(1), Happening::Exited(id, exit));
        }
        // The shell takes its status in the same breath, so that the number is free from here on.
        self.pids.remove(&pid);
        self.freed = Some(pid);
        if self.rng.chance(20) {
            let time = self.rng.ms(0..=20_000);
            self.pids.insert(pid, Holder::Stranger);
            self.freed = None;
            self.later(time, Happening::StrangerEnds(pid));
        }
        let served = self.rng.chance(80).then_some(process.served);
        self.tell_end(id, &Event::Exited { pid, exit, served, words: None, said: Vec::new() });
        self.tell_unforked(id);
    }

    pub(super) fn say(&mut self, id: WorkerId, word: Word) {
        if self.process(id).is_some() {
            let soon = self.rng.ms(0..=5);
            self.later(soon, Happening::Says(id, word));
        }
    }

    /// A worker is asked whether it is healthy.
    pub(super) fn examine(&mut self, worker: WorkerId) {
        let process = self.lives[&worker].process.as_ref();
        let (after, healthy) = process.map_or((Duration::ZERO, false), |p| p.fate.health);
        let outcome = if healthy { Ok(()) } else { Err("GET /up: status 500".to_owned()) };
        self.later(after, Happening::Told(Event::Probed { worker, outcome }));
    }

    pub(super) fn says(&mut self, id: WorkerId, word: Word) {
        let life = &self.lives[&id];
        let (Some(pid), false) = (life.pid, life.over) else { return };
        if !life.process.as_ref().is_some_and(|process| process.known) {
            return self.later(Duration::from_millis(1), Happening::Says(id, word));
        }
        self.tell(&match word {
            Word::Ready => Event::Ready { pid },
            Word::Stopping => Event::Stopping { pid },
            Word::Extend(by) => Event::Extend { pid, by },
        });
    }

    pub(super) fn spawn(&mut self, spawn: Spawn, facts: &mut VecDeque<Event>) {
        let Spawn { worker, seat, generation, app: spec, role, on_trial, waits, template } = spawn;
        let life = Life {
            app: spec.name.clone(),
            seat,
            generation,
            role,
            on_trial,
            waits,
            template,
            spec: Arc::clone(&spec),
            at: self.now,
            pid: None,
            process: None,
            over: false,
            forgotten: false,
            told_ready: false,
            told_gone: false,
            asked: false,
        };
        self.lives.insert(worker, life);
        self.alive.insert(worker);
        if template.is_some() {
            let soon = self.rng.ms(0..=20);
            return self.later(soon, Happening::Forked(worker));
        }
        let fate = self.fate(&spec, role);
        let spawns = fate.spawns;
        let event = if spawns {
            let pid = self.birth(worker, fate);
            Event::Spawned { worker, pid }
        } else {
            Event::NotSpawned { worker, error: "no more processes".to_owned() }
        };
        if self.rng.chance(95) {
            facts.push_back(event);
        } else if spawns {
            let soon = self.rng.ms(0..=50);
            self.later(soon, Happening::Spawned(worker));
        } else {
            let soon = self.rng.ms(0..=50);
            self.later(soon, Happening::Told(event));
        }
    }

    pub(super) fn fate(&mut self, spec: &AppSpec, role: Role) -> Fate {
        let version = spec.launch.arguments[1].clone();
        let nature = match role {
            Role::Relief => self.relief,
            Role::App | Role::Template => {
                let key = (spec.name.clone(), version.clone());
                self.natures.get(&key).copied().unwrap_or(Nature::Good)
            }
        };
        let same = |id: &&WorkerId| {
            let life = &self.lives[id];
            life.role == role
                && life.app == spec.name
                && life.spec.launch.arguments[1] == version
                && life.process.as_ref().is_some_and(|process| !process.dead)
        };
        let others = self.alive.iter().filter(same).count();
        Fate::of(nature, others, &mut self.rng)
    }

    pub(super) fn birth(&mut self, id: WorkerId, fate: Fate) -> Pid {
        let reused = self.freed.take().filter(|_| self.rng.chance(70));
        let free = || { PIDS }.find(|pid| !self.pids.contains_key(pid));
        let pid = reused.or_else(free).expect("there are more numbers than processes");
        self.pids.insert(pid, Holder::Worker(id));
        if let Some(at) = fate.ready {
            self.later(at, Happening::Ready(id));
        }
        if let Some(at) = fate.leaves {
            self.later(at, Happening::Leaves(id));
        }
        if let Some((at, by)) = fate.extends {
            self.later(at, Happening::Pleads(id, by));
        }
        if let Some((at, exit)) = fate.dies {
            self.later(at, Happening::Ends(id, exit));
        }
        let life = self.lives.get_mut(&id).expect("it was just put there");
        life.pid = Some(pid);
        life.process = Some(Process::new(fate, self.now));
        pid
    }

    pub(super) fn spawned(&mut self, id: WorkerId) {
        if let Some(pid) = self.lives[&id].pid {
            self.tell(&Event::Spawned { worker: id, pid });
        }
    }

    pub(super) fn signal(&mut self, id: WorkerId, signal: Signal) {
        let Some(process) = self.process(id) else { return };
        let Fate { manners, drain, burial, .. } = process.fate;
        if signal == Signal::Kill {
            return self.end_after(id, burial, Exit::Signal(9));
        }
        process.asked += 1;
        let hears = match manners {
            Manners::Obeys | Manners::Answers => true,
            Manners::Misses(times) => process.asked > times,
            Manners::Ignores => false,
        };
        if !hears || std::mem::replace(&mut process.leaving, true) {
            return;
        }
        let exit = if process.ready { Exit::Code(0) } else { Exit::Signal(15) };
        if manners == Manners::Answers {
            self.say(id, Word::Stopping);
        }
        self.end_after(id, drain, exit);
    }

    /// The process accepts connections, as far as its spec makes that known.
    pub(super) fn is_ready(&self, id: WorkerId) -> bool {
        let life = &self.lives[&id];
        let Some(process) = &life.process else { return false };
        // The spec may have been retuned since; the core goes by the one it had when it heard.
        let retuned = self.core.pools.get(&life.app).map(|pool| pool.spec_of(life.generation));
        let mut specs = [&life.spec].into_iter().chain(retuned);
        let by_living = specs.any(|spec| match spec.timing.ready {
            Ready::After(time) => life.role == Role::App && self.now >= process.born + time,
            Ready::Notify | Ready::Connect => false,
        });
        process.ready || by_living
    }

    /// Workers of `app` that accept connections, whatever the core knows of it.
    pub(super) fn accepting_for(&self, app: &AppName) -> Vec<WorkerId> {
        let accepts = |id: &&WorkerId| {
            let life = &self.lives[id];
            let process = life.process.as_ref().filter(|process| process.accepts());
            life.app == *app && life.role == Role::App && process.is_some()
        };
        self.alive.iter().filter(accepts).copied().collect()
    }
}
