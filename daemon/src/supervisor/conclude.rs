//! What has come to its end in a pool: a roll, the listeners of an app that left, a state; and what
//! is told of it. Asks nobody to leave and starts nobody.

use std::sync::Arc;

use scgi_protocol::control::AppState;

use super::action::Action;
use super::converge::Turn;
use super::launch::Launch;
use super::note::Note;
use super::pool::Pool;

impl Pool {
    /// Ends what has come to its end: a roll, the listeners of an app that left, a state.
    pub(super) fn conclude(&mut self, wanted: u16, turn: &mut Turn<'_>) {
        self.return_to_fallback();
        let latest = self.latest.generation;
        let replaced = !self.is_leaving()
            && !self.latest.is_out()
            && !self.is_on_trial()
            && self.app_workers().all(|w| w.generation == latest || !w.is_staying())
            && self.served().len() >= usize::from(wanted);
        if replaced && std::mem::take(&mut self.rolling) {
            let app = self.name().clone();
            self.paused = false;
            // All who lacked something have left, or are about to.
            self.lost.clear();
            turn.out.push(Action::Tell(Note::Rolled { app, generation: latest }));
        }
        let rolled = replaced && self.app_workers().all(|w| w.generation == latest);
        // Who may have to be returned to needs the same listeners.
        let parted = |fallback: &Launch| fallback.spec.listen != self.latest.spec.listen;
        if rolled && (self.latest.trusted || self.fallback.as_ref().is_some_and(parted)) {
            self.fallback = None;
        }
        if self.is_leaving() && self.workers.is_empty() {
            (self.rolling, self.paused) = (false, false);
            self.lost.clear();
            // When it is started again, only the listeners of the latest will be opened.
            self.fallback.take_if(|fallback| fallback.spec.listen != self.latest.spec.listen);
        }
        self.demand.keep_within(self.bounds());
        self.release(rolled, turn);
        self.tell(turn);
    }

    /// Forgets a launch that an operator undid, once nobody works by it any more.
    fn return_to_fallback(&mut self) {
        let latest = self.latest.generation;
        let gone = self.app_workers().all(|w| w.generation != latest || !w.is_staying());
        let settled = |fallback: &Launch| {
            let serve = self.served().len() >= usize::from(self.demand.target());
            gone && (serve || fallback.trail.is_spent() || self.is_leaving())
        };
        if self.latest.undone && self.fallback.as_ref().is_some_and(settled) {
            self.latest = self.fallback.take().expect("it was just looked at");
            self.rolling = false;
        }
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
        let undone = |_: &&Launch| self.latest.is_out();
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
