//! One worker, and the legal steps of its life.
//!
//! ```text
//!             NotSpawned                                   exit, any time
//!   Launching ───────────▶ (gone)               ┌────────────────────────▶ (gone)
//!       │ Spawned                               │
//!       ▼           Ready              asked to leave, or leaves
//!   Starting{until} ─────▶ Serving ─────────────────▶ Draining{until}
//!       │ too slow            │                            │ too slow
//!       └─────────────▶ Killed ◀───────────────────────────┘
//! ```

use std::time::Duration;

use scgi_protocol::name::{Generation, Seat, WorkerId};
use serde::{Deserialize, Serialize};

use super::action::{Action, Role, Signal};
use super::event::Pid;
use super::moment::Moment;
use super::note::{About, Cause};
use super::restart::HEALTHY_AFTER;
use crate::spec::{AppSpec, Ready, Roll, Timing};

/// When a request to leave is repeated, counted from the first. A program that was between
/// looking at its flag and going to sleep in accept(2) has missed it.
const REPEATS: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
];

/// How long the first worker of a launch has to live, ready, before another one leaves for it. A
/// finished request proves as much.
const TRIAL: Duration = Duration::from_secs(1);

/// One process life in a seat.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Worker {
    pub(super) id: WorkerId,
    pub(super) seat: Seat,
    pub(super) generation: Generation,
    pub(super) role: Role,
    pub(super) since: Moment,
    pub(super) life: Life,
    /// Why it was asked to leave; `None` if nobody asked.
    pub(super) leaving: Option<Cause>,
    /// What it says about itself.
    pub(super) status: Option<String>,
    /// How long it had been without a request when its pool was last looked at.
    #[serde(skip)]
    pub(super) idle: Option<Duration>,
    /// When it became ready.
    pub(super) ready_since: Option<Moment>,
    /// It has finished a request.
    pub(super) answered: bool,
    /// What is known of its health.
    pub(super) health: Checkup,
}

/// What is known of a worker's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Checkup {
    /// Nothing, and nobody is asking.
    #[default]
    Unasked,
    /// It is being asked.
    Asked,
    /// It is healthy.
    Healthy,
}

/// How far a worker's life has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Life {
    /// The shell was told to start it.
    Launching,
    /// It has a process that does not accept yet.
    Starting { pid: Pid, until: Moment, ready_at: Option<Moment> },
    /// It accepts connections.
    Serving { pid: Pid, since: Moment },
    /// It finishes what it has and leaves.
    Draining { pid: Pid, asked: Moment, until: Moment, repeat: Option<usize> },
    /// It was killed and is not gone yet.
    Killed { pid: Pid },
}

impl Worker {
    /// Its process, once it has one.
    pub fn pid(&self) -> Option<Pid> {
        match self.life {
            Life::Launching => None,
            Life::Starting { pid, .. }
            | Life::Serving { pid, .. }
            | Life::Draining { pid, .. }
            | Life::Killed { pid } => Some(pid),
        }
    }

    /// It accepts connections.
    pub(super) fn is_serving(&self) -> bool {
        matches!(self.life, Life::Serving { .. })
    }

    /// It is on its way to accepting connections.
    pub(super) fn is_starting(&self) -> bool {
        self.leaving.is_none() && matches!(self.life, Life::Launching | Life::Starting { .. })
    }

    /// It takes its seat: it serves or is going to.
    pub(super) fn is_staying(&self) -> bool {
        self.is_serving() || self.is_starting()
    }

    /// Its process exists.
    pub(super) fn spawned(&mut self, pid: Pid, spec: &AppSpec, now: Moment) {
        if self.life != Life::Launching {
            return;
        }
        let ready_at = match (self.role, spec.timing.ready) {
            (Role::App, Ready::After(pause)) => Some(now + pause),
            (Role::App, Ready::Notify | Ready::Connect) | (Role::Relief | Role::Template, _) => {
                None
            }
        };
        let patience = match self.role {
            Role::App | Role::Template => spec.timing.start_timeout,
            // It is ours, and not as quick as the app may have to be.
            Role::Relief => Timing::default().start_timeout,
        };
        let until = now + patience;
        self.life = Life::Starting { pid, until, ready_at };
    }

    /// It said, or showed by living, that it accepts connections. Tells whether that was news.
    pub(super) fn ready(&mut self, now: Moment) -> bool {
        match self.life {
            Life::Starting { pid, .. } if self.leaving.is_none() => {
                self.life = Life::Serving { pid, since: now };
                self.ready_since = Some(now);
                true
            }
            Life::Launching
            | Life::Starting { .. }
            | Life::Serving { .. }
            | Life::Draining { .. }
            | Life::Killed { .. } => false,
        }
    }

    /// It said that it is leaving: by its own decision, or as an answer to being asked.
    pub(super) fn stopping(&mut self, spec: &AppSpec, now: Moment) {
        match &mut self.life {
            Life::Starting { pid, .. } | Life::Serving { pid, .. } => {
                let until = now + spec.timing.stop_timeout;
                self.life = Life::Draining { pid: *pid, asked: now, until, repeat: None };
            }
            Life::Draining { repeat, .. } => *repeat = None,
            Life::Launching | Life::Killed { .. } => {}
        }
    }

    /// It needs `by` more time from now for what it is doing.
    pub(super) fn extend(&mut self, by: Duration, now: Moment) {
        match &mut self.life {
            Life::Starting { until, .. } | Life::Draining { until, .. } => {
                *until = (*until).max(now + by);
            }
            Life::Launching | Life::Serving { .. } | Life::Killed { .. } => {}
        }
    }

    /// Asks it to leave. One that has no process yet is asked as soon as it has one.
    pub(super) fn ask_to_leave(
        &mut self,
        cause: Cause,
        spec: &AppSpec,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        self.leaving.get_or_insert(cause);
        match self.life {
            Life::Starting { pid, .. } | Life::Serving { pid, .. } => {
                let until = now + spec.timing.stop_timeout;
                self.life = Life::Draining { pid, asked: now, until, repeat: Some(0) };
                let signal = Signal::Stop(spec.timing.stop_signal);
                actions.push(Action::Signal { pid, signal });
            }
            Life::Launching | Life::Draining { .. } | Life::Killed { .. } => {}
        }
    }

    /// Asks a worker to leave that was to be asked before it had a process.
    pub(super) fn catch_up(&mut self, spec: &AppSpec, now: Moment, actions: &mut Vec<Action>) {
        if let (Life::Starting { .. }, Some(cause)) = (&self.life, self.leaving) {
            self.ask_to_leave(cause, spec, now, actions);
        }
    }

    /// It finished a request, or was ready for long enough; `served` is how many it finished.
    pub(super) fn served_well(&self, served: Option<u64>, now: Moment) -> bool {
        let until = if let Life::Draining { asked, .. } = self.life { asked } else { now };
        self.ready_since.is_some_and(|since| {
            served.is_some_and(|requests| requests > 0) || until.since(since) >= HEALTHY_AFTER
        })
    }

    /// Since when it has lived, ready, for as long as `roll` asks; for the first of a launch that has
    /// not `passed` that is a moment longer, unless it has finished a request.
    pub(super) fn ripe_at(&self, roll: &Roll, passed: bool) -> Option<Moment> {
        let trial = if passed || self.answered { Duration::ZERO } else { TRIAL };
        self.ready_since.map(|since| since + roll.soak.max(trial))
    }

    /// It is leaving by its own decision, and cannot be said to have served well. Its seat waits
    /// for its end: only then is known what its successor has to pay.
    pub(super) fn is_deserting(&self) -> bool {
        let Life::Draining { asked, .. } = self.life else { return false };
        self.leaving.is_none() && !self.served_well(None, asked)
    }

    /// Repeats the request to leave if that is due.
    pub(super) fn repeat(&mut self, spec: &AppSpec, now: Moment, actions: &mut Vec<Action>) {
        let Life::Draining { pid, asked, repeat: repeat @ Some(_), .. } = &mut self.life else {
            return;
        };
        // After a long sleep one request stands for all that are overdue.
        let next = REPEATS.iter().position(|&after| *asked + after > now);
        if next != *repeat {
            *repeat = next;
            let signal = Signal::Stop(spec.timing.stop_signal);
            actions.push(Action::Signal { pid: *pid, signal });
        }
    }

    /// Kills it if it has passed its deadline, and tells what it was too slow for.
    pub(super) fn expire(
        &mut self,
        now: Moment,
        actions: &mut Vec<Action>,
    ) -> Option<(Cause, Duration)> {
        let (pid, late) = match self.life {
            Life::Starting { pid, until, .. } if until <= now => {
                (pid, (Cause::StartTimeout, now.since(self.since)))
            }
            Life::Draining { pid, asked, until, .. } if until <= now => {
                (pid, (Cause::StopTimeout, now.since(asked)))
            }
            Life::Launching
            | Life::Starting { .. }
            | Life::Serving { .. }
            | Life::Draining { .. }
            | Life::Killed { .. } => return None,
        };
        self.life = Life::Killed { pid };
        actions.push(Action::Signal { pid, signal: Signal::Kill });
        Some(late)
    }

    /// Brings whatever deadline it has forward to `now`.
    pub(super) fn hurry(&mut self, now: Moment) {
        match &mut self.life {
            Life::Starting { until, .. } | Life::Draining { until, .. } => *until = now,
            Life::Launching | Life::Serving { .. } | Life::Killed { .. } => {}
        }
    }

    /// When something is due for it.
    pub(super) fn deadline(&self) -> Option<Moment> {
        match &self.life {
            Life::Starting { until, ready_at, .. } => {
                Some(ready_at.map_or(*until, |ready| ready.min(*until)))
            }
            Life::Draining { asked, until, repeat, .. } => {
                let repeat = repeat.and_then(|at| REPEATS.get(at)).map(|&after| *asked + after);
                Some(repeat.map_or(*until, |repeat| repeat.min(*until)))
            }
            Life::Launching | Life::Serving { .. } | Life::Killed { .. } => None,
        }
    }

    /// How a note speaks of it.
    pub fn about(&self, spec: &AppSpec) -> About {
        About {
            app: spec.name.clone(),
            seat: self.seat,
            worker: self.id,
            generation: self.generation,
            role: self.role,
        }
    }
}
