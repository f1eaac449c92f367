//! The last turns, kept to be told if the history ends badly.

use std::collections::VecDeque;

use crate::spec::AppSpec;
use crate::supervisor::{Action, Event, Moment, Signal};

/// How many turns are told.
const TURNS: usize = 60;

/// The last turns of one history. Tells them when it is dropped by a panic.
#[derive(Debug)]
pub(super) struct Story {
    seed: u64,
    turns: VecDeque<(Moment, Event, Vec<Action>)>,
}

impl Story {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, turns: VecDeque::new() }
    }

    pub(super) fn add(&mut self, now: Moment, event: &Event, actions: &[Action]) {
        if self.turns.len() == TURNS {
            self.turns.pop_front();
        }
        self.turns.push_back((now, event.clone(), actions.to_vec()));
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        println!("\nseed {}; the last {} turns:", self.seed, self.turns.len());
        for (now, event, actions) in &self.turns {
            println!("{:>10}  {}", now.to_string(), fact(event));
            for action in actions {
                println!("{:>10}      ▶ {}", "", deed(action));
            }
        }
        println!("replay: SCGID_SIM_SEED={} cargo test -p scgid sim", self.seed);
    }
}

fn fact(event: &Event) -> String {
    match event {
        Event::Apply { apps, unprepared, operation } => {
            let apps = apps.values().map(|spec| one(spec));
            let unprepared = unprepared.iter().map(|(app, why)| format!("{app}: {why}"));
            let lines: Vec<_> = apps.chain(unprepared).collect();
            format!("apply (operation {operation})\n{}", lines.join("\n"))
        }
        Event::Order { .. }
        | Event::Spawned { .. }
        | Event::NotSpawned { .. }
        | Event::Lost { .. }
        | Event::TookOver { .. }
        | Event::Bereft { .. }
        | Event::Ready { .. }
        | Event::Stopping { .. }
        | Event::Extend { .. }
        | Event::Said { .. }
        | Event::Exited { .. }
        | Event::Probed { .. }
        | Event::Load { .. }
        | Event::Tick => format!("{event:?}"),
    }
}

fn one(spec: &AppSpec) -> String {
    let listen: Vec<_> = spec.listen.iter().map(|listen| listen.at.to_string()).collect();
    let AppSpec { name, launch, sizing, timing, restart, roll, .. } = spec;
    let version = &launch.arguments[1];
    format!("{:>18}{name} {version} {listen:?} {sizing:?} {timing:?} {restart:?} {roll:?}", "")
}

fn deed(action: &Action) -> String {
    match action {
        Action::Spawn(spawn) => format!(
            "spawn {:?} worker {} of {} in seat {}, generation {}",
            spawn.role, spawn.worker, spawn.app.name, spawn.seat, spawn.generation
        ),
        Action::Signal { pid, signal: Signal::Kill } => format!("kill {pid}"),
        Action::Release { app, keep } => {
            let keep = keep.as_ref().map(|spec| spec.listen.iter().map(|l| l.at.to_string()));
            format!("release {app}, keep {:?}", keep.map(Iterator::collect::<Vec<_>>))
        }
        Action::Probe { worker, app, .. } => format!("probe worker {worker} of {}", app.name),
        Action::Tell(note) => format!("{note:?}"),
        Action::Signal { .. }
        | Action::Forget { .. }
        | Action::Watch { .. }
        | Action::Sample { .. }
        | Action::Exit => format!("{action:?}"),
    }
}
