//! What has come to its end in a pool: a roll, the listeners of an app that left, a state; and what
//! is told of it. Asks nobody to leave and starts nobody.

use std::sync::Arc;

use scgi_protocol::control::AppState;

use super::action::Action;
use super::converge::Turn;
use super::note::Note;
use super::pool::{Launch, Pool};

impl Pool {
    /// Ends what has come to its end: a roll, the listeners of an app that left, a state.
    pub(super) fn conclude(&mut self, wanted: u16, turn: &mut Turn<'_>) {
        let latest = self.latest.generation;
        let rolled = !self.is_leaving()
            && !self.latest.trail.is_spent()
            && self.app_workers().all(|w| w.generation == latest)
            && self.served().len() >= usize::from(wanted);
        if rolled && self.fallback.take().is_some() {
            let app = self.name().clone();
            turn.out.push(Action::Tell(Note::Rolled { app, generation: latest }));
        }
        if self.is_leaving() && self.workers.is_empty() {
            // Nothing serves any more that one could fall back to.
            self.fallback = None;
        }
        self.release(rolled, turn);
        self.tell(turn);
    }

    /// Tells what has become another.
    fn tell(&mut self, turn: &mut Turn<'_>) {
        let (from, to) = (self.told_target, self.demand.target());
        if from != to {
            self.told_target = to;
            turn.out.push(Action::Tell(Note::Resized { app: self.name().clone(), from, to }));
        }
        let state = self.current_state();
        self.tell_spent(state, turn);
        if state != self.state {
            let ill = [AppState::Degraded, AppState::Held, AppState::Failing].contains(&self.state);
            if ill && state.is_well() {
                turn.out.push(Action::Tell(Note::Recovered { app: self.name().clone() }));
            }
            if state == AppState::Stopped && !self.removed && !self.shutdown {
                turn.out.push(Action::Tell(Note::Stopped { app: self.name().clone() }));
            }
            (self.state, self.since) = (state, turn.now);
        }
    }

    /// Tells, once, that a launch is held or the app failing. An app that fails is tried again now
    /// and then, and may look better for a moment each time.
    fn tell_spent(&mut self, state: AppState, turn: &mut Turn<'_>) {
        if !self.latest.trail.is_spent() {
            self.told = None;
        }
        let held = state == AppState::Held;
        if (!held && state != AppState::Failing) || self.told == Some(state) {
            return;
        }
        self.told = Some(state);
        let launch = if held { &self.latest } else { self.active() };
        let (app, generation) = (self.name().clone(), launch.generation);
        let how = launch.trail.how().to_owned();
        let note = if held {
            Note::Held { app, generation, how }
        } else {
            Note::Failing { app, generation, how }
        };
        turn.out.push(Action::Tell(note));
    }

    /// Closes the listeners nobody needs any more. Those of a launch that is held are among them:
    /// who came there would wait for nobody.
    fn release(&mut self, rolled: bool, turn: &mut Turn<'_>) {
        let only = |generation| self.app_workers().all(|w| w.generation == generation);
        let undone = |_: &&Launch| self.latest.trail.is_spent();
        let keep = match self.fallback.as_ref().filter(undone) {
            _ if self.is_leaving() && self.workers.is_empty() => None,
            _ if self.is_leaving() => return,
            Some(fallback) if only(fallback.generation) => Some(Arc::clone(&fallback.spec)),
            None if rolled => Some(Arc::clone(&self.latest.spec)),
            Some(_) | None => return,
        };
        let needed = keep.as_ref().map(|spec| spec.listen.as_slice()).unwrap_or_default();
        if self.open.iter().all(|listener| needed.contains(listener)) {
            return;
        }
        self.open.retain(|listener| needed.contains(listener));
        turn.out.push(Action::Release { app: self.name().clone(), keep });
    }
}
