//! How a pool is, in words: its state, what is wrong with it, how far it has settled.

use std::time::Duration;

use scgi_protocol::control::{AppState, Seats, Wish};
use scgi_protocol::name::{OperationId, Seat};

use super::action::Role;
use super::moment::Moment;
use super::note::Cause;
use super::pool::Pool;
use super::view::{LifeView, PoolView, TroubleView, WorkerView};
use super::worker::{Life, Worker};

impl Pool {
    /// How the pool is at this moment.
    pub(super) fn current_state(&self) -> AppState {
        if self.is_leaving() {
            let gone = self.workers.is_empty();
            return if gone { AppState::Stopped } else { AppState::Stopping };
        }
        if self.latest.is_out() {
            return match (&self.fallback, self.served().is_empty()) {
                (_, true) if self.active().trail.is_spent() => AppState::Failing,
                (Some(_), _) if self.latest.undone => AppState::Rolling,
                (Some(_), _) => AppState::Held,
                (None, _) => AppState::Degraded,
            };
        }
        let serving = self.served().len();
        let sore = self.latest.trail.is_sore();
        match (serving, self.wanted_seats()) {
            _ if self.rolling || self.restarting => AppState::Rolling,
            _ if self.has_outdated() && sore => AppState::Degraded,
            _ if self.has_outdated() => AppState::Rolling,
            (0, 0) => AppState::Idle,
            (serving, wanted) if serving >= wanted => AppState::Serving,
            _ if sore => AppState::Degraded,
            (0, _) => AppState::Starting,
            // On its way up; nothing has gone wrong.
            _ => AppState::Serving,
        }
    }

    pub(super) fn wanted_seats(&self) -> usize {
        self.demand.target().into()
    }

    /// Somebody stays who is not of the latest launch.
    fn has_outdated(&self) -> bool {
        self.app_workers().any(|w| w.generation != self.latest.generation && w.is_staying())
    }

    /// What was asked for is so: every wanted seat is served by the latest launch, and nobody
    /// else is there, save those of launches before who finish what they have.
    pub(super) fn is_settled(&self) -> bool {
        let finishing = |w: &Worker| !w.is_staying() && w.generation != self.latest.generation;
        let at_work = |w: &Worker| w.is_serving() && w.generation == self.latest.generation;
        !self.is_leaving()
            && !self.restarting
            && !self.rolling
            && !self.latest.is_out()
            && self.app_workers().all(|w| at_work(w) || finishing(w))
            && self.served().len() >= self.wanted_seats()
    }

    /// A worker of the latest launch was killed because it was not ready in time, and is not gone
    /// yet: what it wrote is heard of then.
    pub(super) fn awaits_last_words(&self) -> bool {
        let generation = self.latest.generation;
        self.of_its_program().any(|worker| {
            worker.generation == generation
                && worker.leaving == Some(Cause::StartTimeout)
                && matches!(worker.life, Life::Killed { .. })
        })
    }

    /// How far the pool has settled.
    pub(super) fn progress(&self) -> String {
        let latest = self.latest.generation;
        let serving = self.app_workers().filter(|w| w.generation == latest && w.is_serving());
        let leaving = self.workers.values().filter(|w| !w.is_staying()).count();
        let mut parts = Vec::new();
        if !self.is_leaving() && !self.restarting {
            parts.push(format!("{} of {} workers serving", serving.count(), self.wanted_seats()));
        }
        if leaving > 0 {
            parts.push(format!("{leaving} leaving"));
        }
        if self.paused {
            parts.push("paused".to_owned());
        }
        parts.join(", ")
    }

    /// What the pool shows of itself.
    pub(super) fn view(&self, now: Moment, operation: Option<OperationId>) -> PoolView {
        PoolView {
            spec: Some(std::sync::Arc::clone(&self.latest.spec)),
            state: self.state,
            since: self.since,
            wish: self.wish,
            seats: self.seats(),
            generation: self.latest.generation,
            restarts: self.restarts,
            trouble: self.trouble(now),
            operation,
            roll: self.roll(),
            workers: self.workers.values().map(view).collect(),
        }
    }

    fn seats(&self) -> Seats {
        let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        let staying = |w: &&Worker| w.is_starting();
        let wanted = if self.is_leaving() { 0 } else { self.wanted_seats() };
        let bounds = self.bounds();
        Seats {
            serving: count(self.served().len()),
            starting: count(self.app_workers().filter(staying).count()),
            draining: count(self.workers.values().filter(|w| !w.is_staying()).count()),
            wanted: count(wanted),
            min: bounds.min,
            max: bounds.max,
            scaled: self.scaled.is_some(),
        }
    }

    /// What was lost with a daemon before this one: the first of it, and how much else.
    fn loss(&self) -> Option<TroubleView> {
        let (what, next) = self.lost.first()?;
        let more = match self.lost.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more, which are in the log"),
        };
        let cause = format!("lost with the scgid before this one: {what}{more}");
        Some(TroubleView { cause, next: next.clone(), ..TroubleView::default() })
    }

    fn trouble(&self, now: Moment) -> Option<TroubleView> {
        let name = self.name();
        let launch = &self.latest;
        let (generation, how) = (launch.generation, launch.trail.how());
        let times = launch.trail.streak();
        let died =
            format!("{times} workers of generation {generation} died in a row, the last: {how}");
        let given_up = launch.trail.is_given_up(&launch.spec.restart);
        let (cause, next) = match self.state {
            AppState::Held => (
                format!("{died}; generation {} serves on", self.active().generation),
                format!("mend it, then `scgictl reload {name}`; or `scgictl retry {name}`"),
            ),
            AppState::Failing | AppState::Degraded if given_up => (
                format!("{died}; nothing is tried any more"),
                format!("mend it, then `scgictl retry {name}`"),
            ),
            AppState::Failing => (died, format!("mend it; `scgictl retry {name}` tries at once")),
            AppState::Degraded => (
                format!("a worker died ({how}) and its replacement has to wait"),
                format!("`scgictl logs {name}` shows what it wrote"),
            ),
            AppState::Starting if now.since(self.since) > Duration::from_secs(2) => (
                format!("no worker is ready after {}", seconds(now.since(self.since))),
                format!(
                    "it has {} to say READY=1; a program that never does needs `ready: {{after: 1s}}`",
                    seconds(launch.spec.timing.start_timeout)
                ),
            ),
            AppState::Stopped => {
                ("an operator stopped it".to_owned(), format!("`scgictl start {name}`"))
            }
            AppState::Serving
            | AppState::Idle
            | AppState::Starting
            | AppState::Rolling
            | AppState::Unprepared
            | AppState::Stopping => return self.loss(),
        };
        let is_unwell = self.state != AppState::Stopped;
        let evidence = if is_unwell { launch.trail.said().to_vec() } else { Vec::new() };
        let resting = self.active().trail.resting_until(now).filter(|_| !given_up);
        let retry_at = resting.filter(|_| self.state != AppState::Held && self.wish == Wish::Run);
        Some(TroubleView { cause, evidence, next, retry_at })
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

fn view(worker: &Worker) -> WorkerView {
    let life = match worker.life {
        Life::Launching | Life::Starting { .. } => LifeView::Starting,
        Life::Serving { .. } => LifeView::Serving,
        Life::Draining { .. } => LifeView::Draining,
        Life::Killed { .. } => LifeView::Killed,
    };
    WorkerView {
        id: worker.id,
        seat: if worker.role == Role::Relief { Seat(0) } else { worker.seat },
        generation: worker.generation,
        pid: worker.pid(),
        role: worker.role,
        life,
        since: worker.since,
        status: worker.status.clone(),
    }
}
