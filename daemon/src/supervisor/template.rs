//! Templates: of an app that is loaded beforehand, the process that workers are forked from.
//!
//! ```text
//!             started like a worker           ready: workers are forked from it
//!   wanted ──────────────────────▶ Starting ────────────────────────────▶ Serving
//!      ▲                              │ dies: its launch pays                │
//!      └───────── after the pause ────┴──────────────────────────────────────┤
//!                                             its launch is wanted no more   ▼
//!                                                                         leaves
//! ```
//!
//! There is one for each launch that workers may have to come from, it has no seat and answers
//! nobody. Workers are workers as any other once they are there, and outlive it. One that leaves a
//! worker unforked for as long as a start may take is killed.

use std::sync::Arc;

use scgi_protocol::name::{Generation, Seat, WorkerId};

use super::action::{Action, Role, Signal, Spawn};
use super::converge::Turn;
use super::moment::Moment;
use super::note::{Cause, Note};
use super::pool::Pool;
use super::worker::{Life, Worker};

impl Pool {
    /// Has a template for every launch that workers come from at this moment.
    pub(super) fn load(&mut self, wanted: u16, turn: &mut Turn<'_>) {
        let active = self.active().generation;
        if self.is_leaving() || (wanted == 0 && !self.restarting) {
            return;
        }
        for generation in [self.filler(turn.now).generation, active] {
            if self.misses_template(generation, turn.now) {
                let (worker, seat) = (*turn.next_worker, Seat(0));
                let (app, role) = (Arc::clone(self.spec_of(generation)), Role::Template);
                let (on_trial, waits, template) = (false, false, None);
                let spawn =
                    Spawn { worker, seat, generation, app, role, on_trial, waits, template };
                self.spawn(spawn, turn);
            }
        }
    }

    /// Asks the templates to leave whose launch nobody comes back from. An app that sleeps keeps the
    /// one alone that it would begin with: it may sleep for long, and a launch is not trusted
    /// meanwhile.
    pub(super) fn retire_templates(&mut self, wanted: u16, turn: &mut Turn<'_>) {
        let mut needed = vec![self.filler(turn.now).generation];
        let is_asleep = wanted == 0 && !self.restarting && self.app_workers().next().is_none();
        if !is_asleep {
            needed.push(self.active().generation);
            needed.extend(self.fallback.as_ref().map(|fallback| fallback.generation));
        }
        self.ask_to_leave(turn, Cause::Rolled, |worker| {
            worker.role == Role::Template && !needed.contains(&worker.generation)
        });
    }

    fn misses_template(&self, generation: Generation, now: Moment) -> bool {
        let theirs = |w: &Worker| w.role == Role::Template && w.generation == generation;
        // One that leaves by its own decision has to be gone first: only then is known what the
        // next one has to wait.
        let there = |w: &Worker| theirs(w) && (w.is_staying() || w.leaving.is_none());
        self.is_preloaded(generation)
            && !self.workers.values().any(there)
            && self.may_try(generation, now)
    }

    /// The template that workers of `generation` are forked from, if it is ready.
    pub(super) fn template(&self, generation: Generation) -> Option<WorkerId> {
        let theirs = |w: &&Worker| w.role == Role::Template && w.generation == generation;
        self.workers.values().filter(theirs).find(|w| w.is_serving()).map(|w| w.id)
    }

    /// Workers of `generation` can be started at this moment, whether or not they may.
    pub(super) fn can_start(&self, generation: Generation) -> bool {
        !self.is_preloaded(generation) || self.template(generation).is_some()
    }

    pub(super) fn is_preloaded(&self, generation: Generation) -> bool {
        self.spec_of(generation).launch.preload
    }

    /// Kills templates that leave a worker unforked for too long; the launch pays as for one that was
    /// never ready.
    pub(super) fn expire_templates(&mut self, turn: &mut Turn<'_>) {
        let late = self.unforked().filter(|(_, due)| *due <= turn.now);
        let late: Vec<_> = late.map(|(worker, _)| (worker.generation, worker.since)).collect();
        for (generation, since) in late {
            let Some(id) = self.template(generation) else { continue };
            let spec = Arc::clone(self.spec_of(generation));
            let worker = self.workers.get_mut(&id).expect("its number was just found");
            let (cause, after) = (Cause::StartTimeout, turn.now.since(since));
            let about = worker.about(&spec);
            worker.leaving = Some(cause);
            if let Life::Serving { pid, .. } = worker.life {
                worker.life = Life::Killed { pid };
                turn.out.push(Action::Signal { pid, signal: Signal::Kill });
            }
            turn.out.push(Action::Tell(Note::WorkerKilled { about, cause, after }));
            let how = format!("no worker forked within {:.1} s", after.as_secs_f64());
            self.pay_for_slowness(id, (how, after), turn);
        }
    }

    /// When the first template has to have forked a worker.
    pub(super) fn fork_deadline(&self) -> Option<Moment> {
        self.unforked().map(|(_, due)| due).min()
    }

    /// Workers that a template which is there has yet to fork, and until when.
    fn unforked(&self) -> impl Iterator<Item = (&Worker, Moment)> {
        let waits = |w: &&Worker| w.life == Life::Launching && self.is_preloaded(w.generation);
        let waiting = self.app_workers().filter(waits);
        let waiting = waiting.filter(|worker| self.template(worker.generation).is_some());
        waiting.map(|worker| {
            (worker, worker.since + self.spec_of(worker.generation).timing.start_timeout)
        })
    }

    /// A template listens to the daemon that started it and to no other, and leaves with it.
    pub(super) fn part_with_templates(&mut self, now: Moment) {
        let templates = self.workers.values().filter(|w| w.role == Role::Template);
        let ids: Vec<_> = templates.map(|worker| worker.id).collect();
        for id in ids {
            let spec = Arc::clone(self.spec_of(self.workers[&id].generation));
            let worker = self.workers.get_mut(&id).expect("its number was just listed");
            worker.leaving.get_or_insert(Cause::Rolled);
            if let Life::Starting { pid, .. } | Life::Serving { pid, .. } = worker.life {
                let until = now + spec.timing.stop_timeout;
                worker.life = Life::Draining { pid, asked: now, until, repeat: Some(0) };
            }
        }
    }
}
