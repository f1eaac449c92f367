//! The daemon is killed between two deeds, and after a while another one takes over.
//!
//! The core was written down before the deeds of a turn were begun, so that it goes on from there,
//! through the same text that a real one is read from. Meanwhile processes live, become ready and
//! end, and nobody hears of it. The next daemon finds out about each of them what a real one can.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use scgi_protocol::name::WorkerId;

use super::lives::{Holder, Life as Lived};
use super::oracle::Done;
use super::world::{Happening, World};
use crate::supervisor::worker::Life;
use crate::supervisor::{Event, Exit, Memory, Moment, Pool, Supervisor};

impl World {
    /// The daemon is killed at this very moment.
    pub(super) fn kill_daemon(&mut self) {
        if !self.ledger.exited {
            self.orphaned = true;
            self.succeed();
        }
    }

    /// Another daemon takes over.
    pub(super) fn succeed(&mut self) {
        let gap = self.rng.ms(0..=3000);
        self.orphan_templates();
        self.live_alone(self.now + gap);
        self.core = reread(&self.core, self.now);
        self.orphaned = false;
        self.successions += 1;
        self.forget_the_unheard();
        self.know_the_unborn();
        let facts: Vec<_> = self.alive.clone().into_iter().flat_map(|id| self.found(id)).collect();
        self.tell(&Event::TookOver { facts });
    }

    /// Everything goes on without a daemon until `end`; who speaks is not heard.
    fn live_alone(&mut self, end: Moment) {
        for front in self.fronts.values_mut() {
            front.disarm();
        }
        while let Some((at, happening)) = self.due_by(end) {
            self.now = self.now.max(at);
            match happening {
                Happening::Exited(id, _) => {
                    // Whoever is its parent by then buries it.
                    if let Some(pid) = self.lives[&id].pid {
                        self.pids.remove(&pid);
                    }
                }
                Happening::Told(_)
                | Happening::Spawned(_)
                | Happening::Forked(_)
                | Happening::Says(..)
                | Happening::Woken(_) => {}
                Happening::Ready(_)
                | Happening::Leaves(_)
                | Happening::Pleads(..)
                | Happening::Ends(..)
                | Happening::Answered(_)
                | Happening::StrangerEnds(_) => self.happen(happening),
            }
        }
        self.now = end;
    }

    /// What the next daemon finds out about a worker that the one before had, or was to have.
    fn found(&mut self, id: WorkerId) -> Vec<Event> {
        let pool = self.core.pools.get(&self.lives[&id].app);
        let Some(worker) = pool.and_then(|pool| pool.workers.get(&id)) else { return Vec::new() };
        let life = worker.life.clone();
        let is_there = |pid| self.pids.get(&pid) == Some(&Holder::Worker(id));
        let pid = self.lives[&id].pid.filter(|pid| is_there(*pid));
        let pid_then = match life {
            Life::Launching => None,
            Life::Starting { pid, .. }
            | Life::Serving { pid, .. }
            | Life::Draining { pid, .. }
            | Life::Killed { pid } => Some(pid),
        };
        // Its page says so.
        let ready = pid.filter(|_| self.says_ready(id)).map(|pid| Event::Ready { pid });
        match (pid_then, pid) {
            (None, Some(pid)) => {
                self.known(id);
                [Event::Spawned { worker: id, pid }].into_iter().chain(ready).collect()
            }
            (None, None) => {
                self.unmourned(id);
                self.over(id);
                vec![Event::Lost { worker: id }]
            }
            (Some(pid), None) => {
                self.over(id);
                let served = self.rng.chance(50).then_some(0);
                vec![Event::Exited {
                    pid,
                    exit: Exit::Unknown,
                    served,
                    words: None,
                    said: Vec::new(),
                }]
            }
            (Some(_), Some(_)) => ready.into_iter().collect(),
        }
    }

    fn says_ready(&self, id: WorkerId) -> bool {
        self.lives[&id].process.as_ref().is_some_and(|process| process.accepts())
    }

    /// What the daemon had decided and not done is not done: of the dead that it had heard of
    /// nobody speaks any more, and listeners it was to close are closed with it.
    fn forget_the_unheard(&mut self) {
        let over: Vec<_> =
            self.lives.iter().filter(|(_, life)| life.over).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|id| self.unmourned(id));
        for (app, front) in &mut self.fronts {
            let open = self.core.pools.get(app).map(|pool| &pool.open);
            let keep: Vec<_> = open.into_iter().flatten().cloned().collect();
            front.release(&keep);
        }
        // Who asked whether somebody is healthy is no more.
        self.lives.values_mut().for_each(|life| life.asked = false);
        self.forget_answers();
        let (core, now) = (&self.core, self.now);
        for (id, operation) in &core.operations {
            let begun = Done { verb: operation.verb, since: operation.since, ended: None };
            self.ledger.operations.entry(*id).or_insert(begun);
        }
        for (id, done) in &mut self.ledger.operations {
            if !core.operations.contains_key(id) && done.ended.is_none() {
                done.ended = Some((now, None));
            }
        }
        self.ledger.rests.retain(|(app, _), _| core.pools.contains_key(app));
    }

    /// Workers that were to be started, and never were.
    fn know_the_unborn(&mut self) {
        for pool in self.core.pools.values() {
            for worker in pool.workers.values() {
                if let Entry::Vacant(place) = self.lives.entry(worker.id) {
                    let spec = Arc::clone(pool.spec_of(worker.generation));
                    place.insert(Lived::unborn(spec, worker));
                    self.alive.insert(worker.id);
                    self.ledger.last_worker = self.ledger.last_worker.max(Some(worker.id));
                }
            }
        }
    }

    pub(super) fn unmourned(&mut self, id: WorkerId) {
        let life = self.lives.get_mut(&id).expect("it was born");
        (life.forgotten, life.told_gone) = (true, true);
    }
}

/// The core as another daemon reads it.
fn reread(core: &Supervisor, now: Moment) -> Supervisor {
    let memory: Memory = through_text(&core.memory());
    let pools = core.pools.iter().filter(|(_, pool)| !pool.is_fresh());
    let pools: BTreeMap<_, Pool> =
        pools.map(|(app, pool)| (app.clone(), through_text(pool))).collect();
    let fresh: Vec<_> = core.pools.values().map(|pool| pool.spec().clone()).collect();
    Supervisor::resume(memory, pools, fresh, now).expect("what was written down makes sense")
}

fn through_text<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("it can be written down");
    serde_json::from_str(&text).expect("what was written can be read")
}
