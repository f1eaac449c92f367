//! The last turns, kept to be told if the history ends badly.

use std::collections::VecDeque;

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
        let mut text = format!("\nseed {}; the last {} turns:\n", self.seed, self.turns.len());
        for (now, event, actions) in &self.turns {
            text += &format!("{:>10}  {}\n", now.to_string(), fact(event));
            for action in actions {
                text += &format!("{:>10}      ▶ {}\n", "", deed(action));
            }
        }
        println!("{text}replay: SCGID_SIM_SEED={} cargo test -p scgid sim", self.seed);
    }
}

fn fact(event: &Event) -> String {
    match event {
        Event::Apply { apps, unprepared, operation } => {
            let mut text = format!("apply (operation {operation})");
            for spec in apps.values() {
                let spec = &**spec;
                text += &format!(
                    "\n{:>18}{} {} {:?} {:?} {:?} {:?}",
                    "",
                    spec.name,
                    spec.launch.arguments[1],
                    spec.listen.iter().map(|l| l.at.to_string()).collect::<Vec<_>>(),
                    spec.sizing,
                    spec.timing,
                    spec.restart,
                );
            }
            for (app, why) in unprepared {
                text += &format!("\n{:>18}{app}: {why}", "");
            }
            text
        }
        Event::Order { .. }
        | Event::Spawned { .. }
        | Event::NotSpawned { .. }
        | Event::Ready { .. }
        | Event::Stopping { .. }
        | Event::Extend { .. }
        | Event::Said { .. }
        | Event::Exited { .. }
        | Event::Load { .. }
        | Event::Tick => format!("{event:?}"),
    }
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
        Action::Tell(note) => format!("{note:?}"),
        Action::Signal { .. }
        | Action::Forget { .. }
        | Action::Watch { .. }
        | Action::Sample { .. }
        | Action::Exit => format!("{action:?}"),
    }
}
