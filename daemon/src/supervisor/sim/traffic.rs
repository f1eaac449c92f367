//! Listening sockets and those who wait at them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use scgi_protocol::name::{AppName, WorkerId};

use super::process::Process;
use super::world::{Happening, World};
use crate::spec::ListenSpec;
use crate::supervisor::{Exit, Load, Moment, Role};

/// The listening side of one app.
#[derive(Clone, Debug, Default)]
pub(super) struct Front {
    /// The open listeners, and how many wait at each.
    pub(super) open: BTreeMap<ListenSpec, u32>,
    /// Listeners at which the next connection is told of, once.
    armed: BTreeSet<ListenSpec>,
}

impl Front {
    pub(super) fn bind(&mut self, listeners: &[ListenSpec]) {
        for listener in listeners {
            self.open.entry(listener.clone()).or_default();
        }
    }

    /// Closes all but `keep`; who waits there is turned away.
    pub(super) fn release(&mut self, keep: &[ListenSpec]) {
        self.open.retain(|listener, _| keep.contains(listener));
        self.armed.retain(|listener| keep.contains(listener));
    }

    /// Nobody is told of connections any more.
    pub(super) fn disarm(&mut self) {
        self.armed.clear();
    }

    pub(super) fn waiting(&self) -> u32 {
        self.open.values().sum()
    }

    /// Takes the watch off every listener somebody waits at; tells whether there was one.
    fn fire(&mut self) -> bool {
        let before = self.armed.len();
        self.armed.retain(|listener| self.open.get(listener) == Some(&0));
        self.armed.len() < before
    }
}

impl World {
    /// Somebody connects, at any of the app's open listeners; false if there is none.
    pub(super) fn connect(&mut self, app: &AppName) -> bool {
        let open: Vec<_> = self.front(app).open.keys().cloned().collect();
        let Some(listener) = self.rng.pick(&open).cloned() else { return false };
        *self.front(app).open.entry(listener).or_default() += 1;
        self.serve(app);
        true
    }

    /// Workers take from the queues what they can; who waits is told of if anybody asked.
    pub(super) fn serve(&mut self, app: &AppName) {
        let (lives, now) = (&mut self.lives, self.now);
        let Some(front) = self.fronts.get_mut(app) else { return };
        let (mut taken, mut poisoned) = (Vec::new(), Vec::new());
        for id in &self.alive {
            let life = lives.get_mut(id).expect("who is alive was born");
            let Some(process) = life.process.as_mut() else { continue };
            let takes = process.accepts() && life.role != Role::Template;
            if life.app != *app || !takes || process.busy {
                continue;
            }
            let mut queues = life.spec.listen.iter();
            let full = queues.find(|listener| front.open.get(listener).is_some_and(|&n| n > 0));
            let Some(queue) = full.and_then(|listener| front.open.get_mut(listener)) else {
                continue;
            };
            *queue -= 1;
            (process.busy, process.idle_since) = (true, now);
            if process.fate.poisoned { &mut poisoned } else { &mut taken }.push(*id);
        }
        if front.fire() {
            let soon = self.rng.ms(0..=2);
            self.later(soon, Happening::Woken(app.clone()));
        }
        for id in poisoned {
            self.later(Duration::ZERO, Happening::Ends(id, Exit::Signal(11)));
        }
        for id in taken {
            let time = self.rng.ms(1..=3000);
            self.later(time, Happening::Answered(id));
        }
    }

    /// A worker is done with its request and looks for the next.
    pub(super) fn answered(&mut self, id: WorkerId) {
        let life = self.lives.get_mut(&id).expect("it was born");
        let answers = |process: &&mut Process| !process.dead && process.fate.answers;
        let Some(process) = life.process.as_mut().filter(answers) else { return };
        (process.busy, process.idle_since) = (false, self.now);
        process.served += 1;
        let app = life.app.clone();
        self.serve(&app);
    }

    /// Arms every open listener of `app`.
    pub(super) fn arm(&mut self, app: &AppName) {
        let front = self.front(app);
        front.armed.extend(front.open.keys().cloned());
        if front.fire() {
            let soon = self.rng.ms(0..=2);
            self.later(soon, Happening::Woken(app.clone()));
        }
    }

    /// What a look at the pool shows.
    pub(super) fn load(&self, app: &AppName) -> Load {
        let waiting = self.fronts.get(app).map_or(0, Front::waiting);
        let idle = |id: WorkerId| self.idle(id, self.now);
        let serving = self.core.serving(app);
        let answered = |id: &&WorkerId| {
            let process = self.lives.get(id).and_then(|life| life.process.as_ref());
            process.is_some_and(|process| process.served > 0)
        };
        Load {
            waiting,
            idle: serving.iter().map(|&id| (id, idle(id))).collect(),
            answered: serving.iter().filter(answered).copied().collect(),
        }
    }

    fn idle(&self, id: WorkerId, now: Moment) -> Option<Duration> {
        let process = self.lives.get(&id)?.process.as_ref()?;
        (!process.busy).then(|| now.since(process.idle_since))
    }
}
