//! How one launch takes over from another: what a new worker has to show before an old one leaves,
//! and which launch is to be relied on meanwhile.
//!
//! ```text
//!            READY            soak, health, trial           the old one in its seat is gone
//!   started ───────▶ candidate ───────────────────▶ passed ─────────────────────────────▶ rolled
//!       └───────────────┴──────── dies ────▶ the launch pays; held once its budget is spent
//! ```
//!
//! The launch before the latest is kept until the latest is trusted, not only until it has every
//! seat: a program that is ready and dies at its first request would otherwise be found out too
//! late to return.

use std::collections::BTreeMap;
use std::sync::Arc;

use scgi_protocol::name::{Seat, WorkerId};

use super::action::{Action, Role};
use super::converge::Turn;
use super::launch::Launch;
use super::moment::Moment;
use super::note::{Cause, Note};
use super::pool::Pool;
use super::restart::death;
use super::view::RollView;
use super::worker::{Checkup, Worker};
use crate::spec::AppSpec;

impl Pool {
    /// Has workers started by `spec` from here on, beside those that are there.
    pub(super) fn next_generation(&mut self, spec: Arc<AppSpec>) {
        self.last_generation = self.last_generation.next();
        let next = Launch::new(self.last_generation, spec);
        let mut before = std::mem::replace(&mut self.latest, next);
        let in_need = self.fallback.is_some() && !before.passed;
        if before.proven && !before.is_out() && !in_need {
            before.passed = true;
            self.fallback = Some(before);
        }
        (self.rolling, self.paused) = (self.fallback.is_some(), false);
    }

    /// Leaves the roll under way as it is, or lets it go on.
    pub(super) fn pause(&mut self, paused: bool, out: &mut Vec<Action>) {
        let paused = paused && self.is_rolling();
        if std::mem::replace(&mut self.paused, paused) != paused {
            let app = self.name().clone();
            out.push(Action::Tell(Note::Paused { app, paused }));
        }
    }

    /// Returns to the launch before the latest, if it is kept.
    pub(super) fn undo(&mut self, out: &mut Vec<Action>) {
        if self.fallback.is_none() || self.latest.undone {
            return;
        }
        (self.latest.undone, self.paused, self.undo_failed) = (true, false, None);
        let (app, generation) = (self.name().clone(), self.latest.generation);
        out.push(Action::Tell(Note::Undone { app, generation }));
    }

    /// Gives an undo up if the launch that was to return cannot: who serves goes on serving.
    pub(super) fn give_up_undo(&mut self) {
        let Some(fallback) = self.fallback.as_ref().filter(|_| self.latest.undone) else { return };
        let latest = self.latest.generation;
        let serves = self.app_workers().any(|w| w.generation == latest && w.is_serving());
        if fallback.trail.is_spent() && serves {
            let (older, how) = (fallback.generation, fallback.trail.how());
            self.undo_failed = Some(format!(
                "generation {older} spent its restart budget; its last worker: {how}; \
                 generation {latest} serves on"
            ));
            self.latest.undone = false;
        }
    }

    /// The latest launch is taking over from the one before.
    pub(super) fn is_rolling(&self) -> bool {
        self.rolling && self.fallback.is_some() && !self.latest.is_out()
    }

    /// The launch that could be returned to, and how far it is from being replaced.
    pub(super) fn roll(&self) -> Option<RollView> {
        let fallback = self.fallback.as_ref()?;
        let of = |generation| {
            let serves = move |w: &Worker| w.generation == generation && w.is_serving();
            u16::try_from(self.seats_of(serves).len()).unwrap_or(u16::MAX)
        };
        Some(RollView {
            from: fallback.generation,
            to: self.latest.generation,
            old: of(fallback.generation),
            new: of(self.latest.generation),
            under_way: self.is_rolling(),
            paused: self.paused,
        })
    }

    /// Nobody knows yet whether the latest launch is any better than the one before.
    pub(super) fn is_on_trial(&self) -> bool {
        self.fallback.is_some() && !self.latest.passed && !self.latest.is_out()
    }

    /// A worker that has yet to show that another one may leave for it.
    pub(super) fn is_candidate(&self, worker: &Worker) -> bool {
        self.fallback.is_some()
            && worker.is_serving()
            && worker.generation == self.latest.generation
    }

    /// When a candidate will have lived long enough; `None` if something else is missing.
    pub(super) fn ripe_at(&self, worker: &Worker) -> Option<Moment> {
        let ripe = || worker.ripe_at(&self.latest.spec.roll, self.latest.passed);
        self.is_candidate(worker).then(ripe).flatten()
    }

    /// A worker of the latest launch has shown that another one may leave for it.
    pub(super) fn has_passed(&self, worker: &Worker, now: Moment) -> bool {
        if self.fallback.is_none() {
            return worker.is_serving() && worker.generation == self.latest.generation;
        }
        let examined = self.latest.spec.roll.health.is_none() || worker.health == Checkup::Healthy;
        examined && self.ripe_at(worker).is_some_and(|at| at <= now)
    }

    /// Asks every candidate whether it is healthy, if the app says how.
    pub(super) fn examine(&mut self, turn: &mut Turn<'_>) {
        let Some(health) = self.latest.spec.roll.health.clone() else { return };
        let asked = |w: &&Worker| self.is_candidate(w) && w.health == Checkup::Unasked;
        let ids: Vec<_> = self.app_workers().filter(asked).map(|worker| worker.id).collect();
        for id in ids {
            self.workers.entry(id).and_modify(|worker| worker.health = Checkup::Asked);
            let (app, health) = (Arc::clone(&self.latest.spec), health.clone());
            turn.out.push(Action::Probe { worker: id, app, health });
        }
    }

    /// A worker was asked whether it is healthy. One that is not is asked to leave, and costs what a
    /// death costs.
    pub(super) fn probed(
        &mut self,
        id: WorkerId,
        outcome: Result<(), String>,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if !worker.is_serving() || worker.health != Checkup::Asked {
            return;
        }
        let Err(how) = outcome else { return worker.health = Checkup::Healthy };
        let spec = Arc::clone(self.spec_of(self.workers[&id].generation));
        let worker = self.workers.get_mut(&id).expect("it was just found");
        let about = worker.about(&spec);
        worker.ask_to_leave(Cause::Unhealthy, &spec, now, out);
        let worker = worker.clone();
        out.push(Action::Tell(Note::WorkerUnhealthy { about, how: how.clone() }));
        self.pay(&worker, death(&worker, how), now, out);
    }

    /// The launch by which seats are filled that nobody works in: that before the latest, while the
    /// latest has shown nothing, or shows that it is not sound.
    pub(super) fn filler(&self, now: Moment) -> &Launch {
        let Some(fallback) = &self.fallback else { return &self.latest };
        let latest = &self.latest;
        if latest.is_out() {
            return fallback;
        }
        // Of an app that sleeps nobody is missed: its one worker is there to be tried.
        let is_needed = self.demand.target() > 0;
        let one_by_one = latest.spec.roll.surge.of(self.demand.target()) == 0;
        let waits = (!latest.passed && !one_by_one) || self.paused;
        // Where no seat is doubly taken, the next attempt needs one that is left to it.
        let rests = !one_by_one || latest.trail.resting_until(now).is_some();
        let unsound = latest.trail.is_sore() && rests;
        if !fallback.trail.is_spent() && (unsound || (waits && is_needed)) {
            fallback
        } else {
            latest
        }
    }

    /// Seats in which a worker of the active launch shall start beside an outdated one.
    pub(super) fn seats_to_double(&self, wanted: u16) -> Vec<Seat> {
        if self.paused {
            return Vec::new();
        }
        let launch = self.active();
        let current = |w: &Worker| w.generation == launch.generation;
        let cared_for = self.seats_of(|w| current(w) && (w.is_staying() || w.is_deserting()));
        let outdated = self.seats_of(|w| !current(w) && w.is_staying());
        let surge = launch.spec.roll.surge.of(wanted);
        let extra = self.app_workers().filter(|w| w.is_staying()).count() - self.taken().len();
        let surge = surge.saturating_sub(extra.max((&outdated & &cared_for).len()));
        (&outdated - &cared_for).into_iter().take(surge).collect()
    }

    /// Asks outdated workers to leave: those surpassed in their seat, and those that never served.
    pub(super) fn retire_outdated(&mut self, wanted: u16, turn: &mut Turn<'_>) {
        let (active, filler) = (self.active().generation, self.filler(turn.now).generation);
        let on_trial = active == self.latest.generation;
        // Of several that serve one seat the best stays: one of the active launch, else of the one before
        // it, else the newest.
        let known = self.fallback.as_ref().map(|fallback| fallback.generation);
        let rank = |worker: &Worker| {
            let generation = worker.generation;
            (generation == active, Some(generation) == known, generation)
        };
        let counts = |worker: &Worker| {
            let current = worker.generation == active;
            !current || (!self.paused && (!on_trial || self.has_passed(worker, turn.now)))
        };
        let mut best = BTreeMap::new();
        for worker in self.app_workers().filter(|w| w.is_serving() && counts(w)) {
            let seat = best.entry(worker.seat).or_insert_with(|| rank(worker));
            *seat = rank(worker).max(*seat);
        }
        self.ask_to_leave(turn, Cause::Rolled, |worker| {
            let surpassed = best.get(&worker.seat).is_some_and(|best| *best > rank(worker));
            let late = worker.is_starting() && worker.generation != filler;
            worker.role == Role::App && worker.generation != active && (late || surpassed)
        });
        self.make_room(wanted, turn);
    }

    /// Has one outdated worker leave before the new one comes, if no seat may be doubly taken.
    fn make_room(&mut self, wanted: u16, turn: &mut Turn<'_>) {
        let launch = self.active();
        let generation = launch.generation;
        let returns = generation != self.latest.generation;
        if self.paused || wanted == 0 || launch.spec.roll.surge.of(wanted) > 0 {
            return;
        }
        let ready =
            |w: &Worker| returns || w.generation != generation || self.has_passed(w, turn.now);
        let complete = self.served().len() >= usize::from(wanted)
            && self.app_workers().all(|w| !w.is_staying() || (w.is_serving() && ready(w)))
            && self.can_start(generation)
            && self.room_to_start(generation, turn.now) > 0;
        let outdated = |w: &&Worker| w.generation != generation && w.is_serving();
        let next = self.app_workers().filter(outdated).map(|worker| worker.id).next();
        if let (true, Some(id)) = (complete, next) {
            self.ask_to_leave(turn, Cause::Rolled, |worker| worker.id == id);
        }
    }
}
