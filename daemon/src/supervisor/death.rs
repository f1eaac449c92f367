//! The end of a worker, and what it costs its launch.

use std::time::Duration;

use scgi_protocol::birth::EXIT_NEVER_AGAIN;
use scgi_protocol::name::WorkerId;

use super::action::{Action, Role};
use super::event::{Exit, Pid};
use super::moment::Moment;
use super::note::{Cause, Note};
use super::pool::Pool;
use super::restart::{Death, death};
use super::worker::Worker;

/// How long a relief worker that died is missed: it is our own, and has no reason to.
const RELIEF_PAUSE: Duration = Duration::from_secs(5);

/// One worker's end, as the shell saw it.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) served: Option<u64>,
    pub(super) words: Option<String>,
    pub(super) said: Vec<String>,
}

impl Pool {
    /// A worker's process could not be made.
    pub(super) fn not_spawned(
        &mut self,
        id: WorkerId,
        error: String,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        let Some(worker) = self.workers.remove(&id) else { return };
        let cause = worker.leaving.unwrap_or(Cause::NotStarted);
        out.extend(self.gone(&worker, cause, error.clone(), now));
        if worker.leaving.is_none() {
            self.pay(&worker, death(&worker, error), now, out);
        }
    }

    /// A worker's process ended.
    pub(super) fn exited(&mut self, pid: Pid, ended: Ended, now: Moment, out: &mut Vec<Action>) {
        let Some(id) = self.worker_mut(pid).map(|worker| worker.id) else { return };
        let worker = self.workers.remove(&id).expect("it was just found");
        let cause = match (worker.leaving, ended.exit) {
            (Some(asked), _) => asked,
            (None, Exit::Code(0)) => Cause::Left,
            (None, Exit::Code(_) | Exit::Unknown) => Cause::Failed,
            (None, Exit::Signal(_)) => Cause::Signalled,
        };
        let how = ended.words.unwrap_or_else(|| ended.exit.to_string());
        out.extend(self.gone(&worker, cause, how.clone(), now));
        // Who was asked to leave owes nothing; who was killed for slowness has paid already.
        if let Some(launch) = self.launch_mut(worker.generation).filter(|_| cause.is_death()) {
            launch.trail.heard(ended.said);
        }
        if worker.leaving.is_none() {
            let never_again = ended.exit == Exit::Code(EXIT_NEVER_AGAIN);
            // Of an end that nobody saw the worst is not assumed: whatever ended the daemon may
            // have ended its workers.
            let unseen = ended.exit == Exit::Unknown;
            let well = unseen || worker.served_well(ended.served, now);
            self.pay(&worker, Death { well, never_again, ..death(&worker, how) }, now, out);
        }
    }

    fn gone(&self, worker: &Worker, cause: Cause, how: String, now: Moment) -> [Action; 2] {
        let about = worker.about(self.spec_of(worker.generation));
        let lived = now.since(worker.since);
        let note = Note::WorkerGone { about, cause, how, lived };
        [Action::Forget { worker: worker.id }, Action::Tell(note)]
    }

    /// Makes the launch pay for a death that nobody asked for.
    pub(super) fn pay(
        &mut self,
        worker: &Worker,
        death: Death,
        now: Moment,
        out: &mut Vec<Action>,
    ) {
        if self.is_leaving() {
            // Nobody is going to be tried again.
            return;
        }
        if worker.role == Role::Relief {
            self.relief_not_before = now + RELIEF_PAUSE;
            return;
        }
        self.restarts += 1;
        let app = self.name().clone();
        let undone = self.fallback.is_some() && worker.generation == self.latest.generation;
        // A generation that was replaced for good has no account any more.
        let Some(launch) = self.launch_mut(worker.generation) else { return };
        let policy = launch.spec.restart;
        let Some(pause) = launch.trail.died(death, &policy, now) else { return };
        launch.trusted = false;
        if launch.trail.is_given_up(&policy) || (launch.trail.is_spent() && undone) {
            // There is no next one to wait.
            return;
        }
        let deaths = launch.trail.streak();
        out.push(Action::Tell(Note::BackingOff { app, pause, deaths }));
    }
}
