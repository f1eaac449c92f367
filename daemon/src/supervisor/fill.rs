//! Whom a pool starts: in which seats, by which launch, and how many at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use scgi_protocol::name::{Generation, Seat};

use super::action::{Action, Role, Spawn};
use super::converge::Turn;
use super::moment::Moment;
use super::pool::Pool;
use super::worker::{Checkup, Life, Worker};

/// How many workers of a launch start at once before one of them has served well.
const UNTRUSTED_AT_ONCE: usize = 4;

/// How many of them there may be until then. A big pool of a program that is ready and then dies
/// would otherwise start every worker before the first death is known.
const UNTRUSTED_IN_ALL: usize = 12;

/// How many workers of a launch start at once after that.
const TRUSTED_AT_ONCE: usize = 32;

impl Pool {
    /// Starts whom the pool misses: in seats nobody works in, and in those of outdated workers, as
    /// many at a time as may be doubly taken.
    pub(super) fn fill(&mut self, wanted: u16, turn: &mut Turn<'_>) {
        if wanted == 0 {
            return;
        }
        let (empty, filler) =
            (self.empty_seats(wanted, turn.now), self.filler(turn.now).generation);
        self.start(&empty, filler, turn);
        let (doubled, active) = (self.seats_to_double(wanted), self.active().generation);
        self.start(&doubled, active, turn);
    }

    /// Starts workers of `generation` in `seats`, as far as that may be at this moment.
    fn start(&mut self, seats: &[Seat], generation: Generation, turn: &mut Turn<'_>) {
        let waits = self.spec_of(generation).waits_in_accept();
        if waits && self.workers.values().any(|worker| worker.role == Role::Relief) {
            return; // Relief makes accept(2) return at once, for all who share the sockets.
        }
        if !self.can_start(generation) {
            return; // Its template tells when it is ready.
        }
        let template = self.template(generation);
        let waits = waits && self.all_wait_in_accept();
        let room = self.room_to_start(generation, turn.now);
        // Who has an address to itself cannot come before the one that has it is gone.
        let alone = self.spec_of(generation).kind.is_alone();
        let there = if alone { self.seats_of(|_| true) } else { BTreeSet::new() };
        for &seat in seats.iter().filter(|seat| !there.contains(seat)).take(room) {
            let (app, role) = (Arc::clone(self.spec_of(generation)), Role::App);
            let on_trial = self.is_on_trial() && generation == self.latest.generation;
            let worker = *turn.next_worker;
            let spawn = Spawn { worker, seat, generation, app, role, on_trial, waits, template };
            self.spawn(spawn, turn);
        }
    }

    /// Whether everybody here waits in accept(2).
    fn all_wait_in_accept(&self) -> bool {
        let waits = |w: &Worker| self.spec_of(w.generation).waits_in_accept();
        self.app_workers().all(waits)
    }

    /// Wanted seats nobody works in. That of a worker that is leaving by its own decision waits for
    /// its end; that of one on trial is still its predecessor's.
    fn empty_seats(&self, wanted: u16, now: Moment) -> Vec<Seat> {
        let active = self.active().generation;
        let deserted = self.seats_of(|w| w.generation == active && w.is_deserting());
        // Who is of a launch that is held has its seat until another one is beside it.
        let relied_on_latest = self.filler(now).generation == self.latest.generation;
        let settled = relied_on_latest || self.latest.is_out();
        let counts = |w: &Worker| {
            let latest = w.generation == self.latest.generation;
            w.is_staying() && (settled || !latest || self.has_passed(w, now))
        };
        let taken = &self.seats_of(counts) | &deserted;
        let occupied = &taken | &self.taken();
        let wanted_seats = usize::from(wanted);
        let missing = wanted_seats.saturating_sub(taken.len());
        let most = wanted_seats + self.active().spec.roll.surge.of(wanted);
        let room = most.saturating_sub(self.app_workers().filter(|w| w.is_staying()).count());
        // Where nobody is at all comes first, but no more of that than the pool lacks: the other
        // seats are there already, and have to be relied on again.
        let empty = (0..).map(Seat).filter(|seat| !occupied.contains(seat));
        let empty = empty.take(wanted_seats.saturating_sub(occupied.len()));
        let unproven = occupied.difference(&taken).copied();
        empty.chain(unproven).take(missing.min(room)).collect()
    }

    /// Neither does `generation` rest after a death nor is it given up.
    pub(super) fn may_try(&self, generation: Generation, now: Moment) -> bool {
        let launch = self.launch(generation);
        let given_up = launch.trail.is_given_up(&launch.spec.restart);
        !given_up && launch.trail.resting_until(now).is_none()
    }

    /// How many further workers of `generation` may be started at this moment.
    pub(super) fn room_to_start(&self, generation: Generation, now: Moment) -> usize {
        let launch = self.launch(generation);
        if !self.may_try(generation, now) {
            return 0;
        }
        let count = |so: &dyn Fn(&Worker) -> bool| {
            self.app_workers().filter(|w| w.generation == generation && so(w)).count()
        };
        let starting = count(&|w| w.is_starting() || w.is_deserting());
        let fresh = starting + count(&|w| w.is_serving() && !w.served_well(None, now));
        let (at_once, in_all) = match &launch.trail {
            trail if trail.is_spent() => (1, 1),
            trail if trail.is_sore() => (1, UNTRUSTED_IN_ALL),
            _ if launch.trusted => (TRUSTED_AT_ONCE, usize::MAX),
            _ => (UNTRUSTED_AT_ONCE, UNTRUSTED_IN_ALL),
        };
        at_once.saturating_sub(starting).min(in_all.saturating_sub(fresh))
    }

    pub(super) fn spawn(&mut self, spawn: Spawn, turn: &mut Turn<'_>) {
        *turn.next_worker = turn.next_worker.next();
        let worker = Worker {
            id: spawn.worker,
            seat: spawn.seat,
            generation: spawn.generation,
            role: spawn.role,
            since: turn.now,
            life: Life::Launching,
            leaving: None,
            status: None,
            idle: None,
            ready_since: None,
            answered: false,
            health: Checkup::default(),
        };
        self.workers.insert(worker.id, worker);
        turn.out.push(Action::Spawn(spawn));
    }
}
