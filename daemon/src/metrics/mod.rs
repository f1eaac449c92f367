//! How the daemon is seen by Prometheus, by whoever probes its health, and in its log.
//!
//! ```text
//! supervisor ─Note─▶ tell: log line + count ─┐
//! board, scoreboard, queues ──────────────────┴─▶ render ─▶ /metrics
//! ```
//!
//! A scrape never asks the loop: it reads what the loop last published, and the pages the workers
//! write. [`names`] is the catalogue; `traffic` reads the apps, `notes` tells, `samples` writes
//! text, [`serve()`] answers over HTTP.

pub mod names;
mod notes;
mod process;
mod samples;
mod serve;
mod traffic;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use names::Family;
use notes::Tallies;
use process::Usage;
use samples::Samples;
pub use serve::{Door, Pulse, serve};

use crate::scoreboard::Scoreboard;
use crate::shell::backlog::Queues;
use crate::shell::board::Board;
use crate::supervisor::Note;

/// What is read at a scrape.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What the loop last published.
    pub board: Board,
    /// What the workers counted.
    pub scoreboard: Scoreboard,
    /// Who waits at the listeners.
    pub queues: Queues,
}

/// The metrics. Clones are handles of the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    sources: Sources,
    started: SystemTime,
    told: Arc<Mutex<Told>>,
}

/// What cannot be read anywhere and so is kept here.
#[derive(Clone, Debug)]
struct Told {
    tallies: Tallies,
    reload: Reload,
}

/// How reading the configuration went.
#[derive(Clone, Copy, Debug)]
struct Reload {
    successful: bool,
    success_at: SystemTime,
}

impl Metrics {
    /// Metrics of a daemon that started at `started`, which is also when its configuration was
    /// first read.
    pub fn new(sources: Sources, started: SystemTime) -> Self {
        let reload = Reload { successful: true, success_at: started };
        let told = Told { tallies: Tallies::default(), reload };
        Self { sources, started, told: Arc::new(Mutex::new(told)) }
    }

    /// Logs and counts what the supervisor tells.
    pub fn tell(&self, note: &Note) {
        if let Some(count) = notes::log(note) {
            self.told().tallies.add(count);
        }
    }

    /// The configuration was read again and taken over.
    pub fn reload_succeeded(&self, at: SystemTime) {
        self.told().reload = Reload { successful: true, success_at: at };
    }

    /// The configuration was read again and refused; the one before it is in force.
    pub fn reload_failed(&self) {
        self.told().reload.successful = false;
    }

    /// Everything, as text for Prometheus.
    ///
    /// Takes some milliseconds with a thousand apps: not for the thread of the loop.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let told = self.told().clone();
        let rows = traffic::rows(&self.sources, &told.tallies);
        for (family, read) in &traffic::FAMILIES {
            let mut samples = Samples::of(family);
            rows.iter().for_each(|row| read(row, &mut samples));
            samples.write(&mut text);
        }
        self.write_site(&mut text, &told);
        write_process(&mut text, &Usage::now());
        text
    }

    fn write_site(&self, text: &mut String, told: &Told) {
        let mut operations = Samples::of(&names::OPERATIONS);
        for (verb, result, count) in told.tallies.operations() {
            operations.count(&[verb, result], count);
        }
        operations.write(text);
        let Reload { successful, success_at } = told.reload;
        one(text, &names::RELOAD_SUCCESSFUL, Some(f64::from(u8::from(successful))));
        one(text, &names::RELOAD_TIMESTAMP, Some(unix_seconds(success_at)));
        let mut build = Samples::of(&names::BUILD_INFO);
        build.truth(&[env!("CARGO_PKG_VERSION")], true);
        build.write(text);
        one(text, &names::START_TIME, Some(unix_seconds(self.started)));
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_process(text: &mut String, usage: &Usage) {
    let whole = |number: Option<u64>| number.map(|number| number as f64);
    one(text, &names::PROCESS_CPU, usage.cpu.as_ref().map(Duration::as_secs_f64));
    one(text, &names::PROCESS_RESIDENT, whole(usage.resident_bytes));
    one(text, &names::PROCESS_VIRTUAL, whole(usage.virtual_bytes));
    one(text, &names::PROCESS_OPEN_FDS, whole(usage.open_fds));
    one(text, &names::PROCESS_MAX_FDS, whole(usage.max_fds));
}

/// Writes a family that has no labels and at most one number.
fn one(text: &mut String, family: &'static Family, number: Option<f64>) {
    let mut samples = Samples::of(family);
    if let Some(number) = number {
        samples.put(&[], number);
    }
    samples.write(text);
}

fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
