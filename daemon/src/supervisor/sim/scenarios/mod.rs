//! One behaviour of the core each, in worlds where nothing else happens.

mod alone;
mod death;
mod order;
mod roll;
mod size;
mod template;
mod trial;
mod undo;

use std::time::Duration;

use scgi_protocol::control::AppState;
use scgi_protocol::name::{AppName, OperationId, WorkerId};

use super::chaos::{name, spec};
use super::lives::Life;
use super::process::Nature;
use super::world::{Happening, World};
use crate::spec::{AppSpec, Sizing};
use crate::supervisor::{Event, Exit, Note, PoolView, Role};

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn shop() -> AppName {
    name("shop")
}

/// An app with always so many workers.
fn fixed(version: &str, count: u16) -> AppSpec {
    spec("shop", version, Sizing::fixed(count).unwrap())
}

/// An app that starts on the first request.
fn on_demand(most: u16) -> AppSpec {
    spec("shop", "v1", Sizing::dynamic(0, most, 0, secs(60)).unwrap())
}

impl World {
    /// A world in which `spec` has been running for a while.
    fn serving(spec: AppSpec) -> Self {
        let mut world = Self::new(1);
        world.apply(vec![spec]);
        world.run_for(secs(20));
        world
    }

    /// A world in which a program like `nature` was applied just now.
    fn with(nature: Nature, spec: AppSpec) -> Self {
        let mut world = Self::new(1);
        world.is_like("v1", nature);
        world.apply(vec![spec]);
        world
    }

    fn is_like(&mut self, version: &str, nature: Nature) {
        self.natures.insert((shop(), version.to_owned()), nature);
    }

    fn view(&self) -> PoolView {
        self.core.view(&shop(), self.now).unwrap()
    }

    fn state(&self) -> AppState {
        self.view().state
    }

    fn accepting(&self) -> Vec<WorkerId> {
        self.accepting_for(&shop())
    }

    /// Relief workers that exist.
    fn relief(&self) -> usize {
        self.alive.iter().filter(|id| self.lives[id].role == Role::Relief).count()
    }

    /// How often the app's program was started.
    fn starts(&self) -> usize {
        self.lives.values().filter(|life| life.role == Role::App).count()
    }

    /// The worker started last.
    fn newest(&self) -> &Life {
        self.lives.values().next_back().unwrap()
    }

    /// Ends a worker's process as a bug of its own would.
    fn crash(&mut self, id: WorkerId) {
        self.later(Duration::ZERO, Happening::Ends(id, Exit::Signal(11)));
        while self.alive.contains(&id) {
            self.step();
        }
    }

    /// Has a worker decide to leave, which then takes `drain`.
    fn desert(&mut self, id: WorkerId, drain: Duration) {
        let process = self.lives.get_mut(&id).unwrap().process.as_mut().unwrap();
        process.fate.drain = drain;
        self.later(Duration::ZERO, Happening::Leaves(id));
        self.run_for(millis(10));
    }

    /// How many notes are so.
    fn told(&self, so: impl Fn(&Note) -> bool) -> usize {
        self.ledger.notes.iter().filter(|(_, note)| so(note)).count()
    }
}
