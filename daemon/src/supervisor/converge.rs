//! What to do about the facts: the whole policy of a pool, in a few sentences.
//!
//! 1. Whoever has lived long enough is ready; whoever passed a deadline is killed.
//! 2. How many seats are wanted comes from sizing; none if the app is leaving.
//! 3. Workers in seats beyond that are asked to leave.
//! 4. A worker that is not of the active launch is asked to leave once its seat is served by one
//!    that is and has passed its trial, or by a newer one, or at once if it never served.
//! 5. Every wanted seat nobody works in gets a worker: of the active launch, or of the one before it
//!    while that is the only one known to work.
//! 6. Every seat of an outdated worker gets one of the active launch beside it, a few at a time.
//! 7. While a launch rests after a death, nobody is started by it; and fewer at a time until it has
//!    served well.
//! 8. An app that is given up for now is answered for by a relief worker, where the daemon listens
//!    for it.
//! 9. A program that has its address to itself is started only where nobody of it is left.
//! 10. Workers of an app that is loaded beforehand are forked from a template, and wait for it.
//!
//! Death, roll, scaling, recovery and shutdown are these sentences seen from different facts; there
//! is no procedure for any of them. Converging twice at one moment changes nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use scgi_protocol::name::{Seat, WorkerId};

use super::action::{Action, Role, Spawn};
use super::launch::Launch;
use super::moment::Moment;
use super::note::{Cause, Note};
use super::pool::Pool;
use super::restart::{Death, HEALTHY_AFTER, death};
use super::sizing::{LOOK, LOOK_FIXED, TRIAL_LOOK};
use super::worker::{Life, Worker};

/// What a pool needs from outside to converge.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) now: Moment,
    /// The number the next worker will have.
    pub(super) next_worker: &'a mut WorkerId,
    pub(super) out: &'a mut Vec<Action>,
}

impl Pool {
    /// Decides.
    pub(super) fn converge(&mut self, turn: &mut Turn<'_>) {
        self.expire(turn);
        self.expire_templates(turn);
        self.give_up_undo();
        self.demand.keep_within(self.bounds());
        self.prove(turn.now);
        let wanted = self.wanted();
        self.retire_surplus(wanted, turn);
        self.examine(turn);
        self.retire_outdated(wanted, turn);
        self.load(wanted, turn);
        self.fill(wanted, turn);
        self.relieve(wanted, turn);
        self.watch(turn);
        self.conclude(wanted, turn);
        self.retire_templates(wanted, turn);
    }

    fn expire(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<_> = self.workers.keys().copied().collect();
        for id in ids {
            // Who lived long enough while nobody looked is not too slow.
            self.ready_by_living(id, turn);
            let spec = Arc::clone(self.spec_of(self.workers[&id].generation));
            let worker = self.workers.get_mut(&id).expect("its number was just listed");
            worker.catch_up(&spec, turn.now, turn.out);
            if self.hurried {
                worker.hurry(turn.now);
            }
            worker.repeat(&spec, turn.now, turn.out);
            if let Some((cause, after)) = worker.expire(turn.now, turn.out) {
                let asked = worker.leaving.replace(cause);
                let about = worker.about(&spec);
                turn.out.push(Action::Tell(Note::WorkerKilled { about, cause, after }));
                if asked.is_none() {
                    let how = too_slow(self.workers[&id].role, cause, after);
                    self.pay_for_slowness(id, (how, after), turn);
                }
            }
        }
    }

    /// A worker that nobody had asked to leave and that is killed for being slow is paid for at
    /// once: its replacement need not wait for the kernel to bury it.
    pub(super) fn pay_for_slowness(
        &mut self,
        id: WorkerId,
        (how, after): (String, Duration),
        turn: &mut Turn<'_>,
    ) {
        let worker = self.workers[&id].clone();
        let well = worker.served_well(None, turn.now - after);
        self.pay(&worker, Death { well, ..death(&worker, how) }, turn.now, turn.out);
    }

    fn ready_by_living(&mut self, id: WorkerId, turn: &mut Turn<'_>) {
        if let Life::Starting { pid, ready_at: Some(at), .. } = self.workers[&id].life
            && at <= turn.now
        {
            self.ready(pid, turn.now, turn.out);
        }
    }

    /// Trusts the active launch, and forgives its deaths, once a worker that became ready after the
    /// last of them has served well, or nobody is missing any more. Those who were there before
    /// prove nothing about newcomers: the pool may have become too big for something. A launch
    /// that is held stays so: the roll is undone.
    fn prove(&mut self, now: Moment) {
        let Launch { generation, trail, .. } = self.active();
        let (generation, last_death) = (*generation, trail.last_death());
        let well =
            |w: &Worker| w.generation == generation && w.is_serving() && w.served_well(None, now);
        let newcomer = self.app_workers().any(|w| well(w) && w.ready_since > last_death);
        let complete = self.seats_of(well).len() >= usize::from(self.demand.target().max(1));
        if (newcomer || complete)
            && let Some(launch) = self.launch_mut(generation)
        {
            launch.trusted = true;
            launch.trail.served_well();
        }
        let passed = self.app_workers().any(|worker| self.has_passed(worker, now));
        self.latest.passed |= passed;
    }

    fn wanted(&mut self) -> u16 {
        if self.restarting && self.app_workers().all(|w| w.generation == self.latest.generation) {
            self.restarting = false;
        }
        self.demand.keep_within(self.bounds());
        if self.is_leaving() || self.restarting {
            return 0;
        }
        // Somebody has to find out whether a failing app has recovered, or a new launch is any good.
        let least = u16::from(self.active().trail.is_spent() || self.is_on_trial());
        self.demand.target().max(least)
    }

    fn retire_surplus(&mut self, wanted: u16, turn: &mut Turn<'_>) {
        let cause = match (self.is_leaving(), self.restarting) {
            (true, _) => Cause::Stopped,
            (false, true) => Cause::Rolled,
            (false, false) => Cause::ScaledDown,
        };
        let surplus = self.taken().len().saturating_sub(usize::from(wanted));
        if surplus > 0 {
            let seats = self.most_dispensable(surplus);
            self.ask_to_leave(turn, cause, |worker| {
                worker.role == Role::App && seats.contains(&worker.seat)
            });
        }
        if self.is_leaving() {
            self.ask_to_leave(turn, Cause::Stopped, |worker| worker.role != Role::App);
        }
    }

    /// The `count` seats that are missed least: first those beyond the most the pool may have, then
    /// those that nobody serves yet, then those idle longest, then the highest.
    fn most_dispensable(&self, count: usize) -> BTreeSet<Seat> {
        let mut idle = BTreeMap::new();
        for worker in self.app_workers().filter(|worker| worker.is_serving()) {
            let longest = idle.entry(worker.seat).or_insert(worker.idle);
            *longest = worker.idle.max(*longest);
        }
        let max = self.bounds().max;
        let mut seats: Vec<_> = self.taken().into_iter().collect();
        seats.sort_by_key(|seat| {
            let idle = idle.get(seat);
            Reverse((seat.0 >= max, idle.is_none(), idle.copied().flatten(), *seat))
        });
        seats.into_iter().take(count).collect()
    }

    pub(super) fn ask_to_leave(
        &mut self,
        turn: &mut Turn<'_>,
        cause: Cause,
        which: impl Fn(&Worker) -> bool,
    ) {
        let leaving: Vec<_> =
            self.workers.values().filter(|w| w.is_staying() && which(w)).map(|w| w.id).collect();
        for id in leaving {
            let spec = Arc::clone(self.spec_of(self.workers[&id].generation));
            let worker = self.workers.get_mut(&id).expect("its number was just listed");
            worker.ask_to_leave(cause, &spec, turn.now, turn.out);
        }
    }

    fn relieve(&mut self, wanted: u16, turn: &mut Turn<'_>) {
        let launch = self.active();
        // Where the daemon does not listen there is nobody to answer.
        let can_answer = !launch.spec.listen.is_empty();
        let spent = launch.trail.is_spent() && self.served().is_empty();
        // Who waits in accept(2) is tried only while relief is away.
        let tried = launch.spec.waits_in_accept()
            && (self.room_to_start(launch.generation, turn.now) > 0
                || self.app_workers().any(Worker::is_staying));
        let needed = wanted > 0 && can_answer && spent && !tried;
        let present = self.workers.values().any(|w| w.role == Role::Relief && w.is_staying());
        if !needed {
            self.ask_to_leave(turn, Cause::Stopped, |worker| worker.role == Role::Relief);
        } else if !present && self.relief_not_before <= turn.now {
            let (generation, app) = (launch.generation, Arc::clone(&launch.spec));
            let (worker, role) = (*turn.next_worker, Role::Relief);
            let (seat, on_trial, waits, template) = (Seat(0), false, false, None);
            let spawn = Spawn { worker, seat, generation, app, role, on_trial, waits, template };
            self.spawn(spawn, turn);
        }
    }

    /// Has the pool looked at when that is due, and asks to be told of the next connection.
    fn watch(&mut self, turn: &mut Turn<'_>) {
        if self.is_leaving() {
            (self.watching, self.watch_at) = (false, None);
            self.demand.looked();
            return;
        }
        if self.demand.look_at().is_some_and(|at| at <= turn.now) {
            self.demand.looked();
            turn.out.push(Action::Sample { app: self.name().clone() });
        }
        let bounds = self.bounds();
        if self.is_on_trial() && self.app_workers().any(|w| self.is_candidate(w)) {
            self.demand.look_by(turn.now + TRIAL_LOOK);
        }
        if self.demand.target() > bounds.min {
            // Nobody tells when the last request is done.
            self.demand.look_by(turn.now + bounds.idle_timeout.max(LOOK));
        }
        if self.watching || self.demand.look_at().is_some_and(|at| at <= turn.now + LOOK) {
            self.watch_at = None;
            return;
        }
        let asleep = self.taken().is_empty() && self.demand.target() == 0;
        let pause = if bounds.is_fixed() { LOOK_FIXED } else { LOOK };
        let due = if asleep { turn.now } else { turn.now + pause };
        let at = self.watch_at.map_or(due, |at| at.min(due));
        self.watching = at <= turn.now;
        self.watch_at = (!self.watching).then_some(at);
        if self.watching {
            turn.out.push(Action::Watch { app: self.name().clone() });
        }
    }

    /// When something is due here.
    pub(super) fn deadline(&self, now: Moment) -> Option<Moment> {
        let launch = self.active();
        let lives = self.workers.values().filter_map(Worker::deadline);
        let proofs = self
            .app_workers()
            .filter(|_| launch.trail.is_sore() || !launch.trusted)
            .filter(|w| w.generation == launch.generation && w.is_serving())
            .filter_map(|w| Some(w.ready_since? + HEALTHY_AFTER))
            .filter(|&at| at > now);
        let ripe = self.app_workers().filter_map(|worker| self.ripe_at(worker));
        let rests = [Some(&self.latest), self.fallback.as_ref()];
        let rests = rests.into_iter().flatten().filter_map(|l| l.trail.resting_until(now));
        let relief = (self.relief_not_before > now).then_some(self.relief_not_before);
        let looks = [relief, self.watch_at, self.demand.look_at(), self.fork_deadline()];
        let ripe = ripe.filter(|&at| at > now);
        lives.chain(proofs).chain(ripe).chain(rests).chain(looks.into_iter().flatten()).min()
    }
}

/// What a process was too slow for that had to be ready, or gone, by then.
fn too_slow(role: Role, cause: Cause, after: Duration) -> String {
    let missed = match (role, cause) {
        (Role::Template, Cause::StartTimeout) => "ready to fork workers",
        (Role::App | Role::Relief, Cause::StartTimeout) => "ready",
        _ => "gone",
    };
    format!("not {missed} within {:.1} s", after.as_secs_f64())
}
