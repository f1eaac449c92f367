//! How the daemon is seen by Prometheus, by whoever probes its health, and in its log.
//!
//! ```text
//! supervisor ─Note─▶ tell: log line + count ─┐
//! board, scoreboard, queues ──────────────────┴─▶ render ─▶ /metrics
//! ```
//!
//! A scrape never asks the loop: it reads what the loop last published, and the pages the workers
//! write. [`names`] is the catalogue; `traffic` reads the apps, `site` and `process` the daemon,
//! `notes` tells, `samples` writes text, [`serve()`] answers over HTTP.

pub mod names;
mod notes;
mod process;
mod samples;
mod serve;
mod site;
mod traffic;

use scgi_protocol::name::AppName;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

pub use notes::Tally;
use notes::{Count, Tallies};
use process::Usage;
use samples::Samples;
pub use serve::{Door, Pulse, serve};
pub use site::Ends;
use site::Site;

use crate::journal::Journal;
use crate::scoreboard::Scoreboard;
use crate::shell::backlog::Queues;
use crate::shell::board::Board;
use crate::shell::state::ToldFile;
use crate::shell::state::record::{Told, ToldRecord};
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
    /// What workers wrote.
    pub journal: Journal,
}

/// The metrics. Clones are handles of the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    sources: Sources,
    site: Site,
    tallies: Arc<Mutex<Tallies>>,
    /// Where it is written down what a scrape was told.
    told: Option<ToldFile>,
}

impl Metrics {
    /// Metrics of a daemon that started at `started`, which is also when its configuration was
    /// first read.
    pub fn new(sources: Sources, started: SystemTime) -> Self {
        Self { sources, site: Site::new(started), tallies: Arc::default(), told: None }
    }

    /// The same, and every scrape writes down what it is told before it is.
    #[must_use]
    pub fn written_to(self, told: Option<ToldFile>) -> Self {
        Self { told, ..self }
    }

    /// Logs and counts what the supervisor tells.
    pub fn tell(&self, note: &Note) {
        match notes::log(note) {
            Some(Count::Operation(verb, result)) => {
                self.site.count_operation(verb, result);
            }
            Some(Count::App(app, count)) => self.tallies().add(app, count),
            None => {}
        }
    }

    /// What was counted of the notes about `app`.
    pub fn tally(&self, app: &AppName) -> Tally {
        self.tallies().app(app)
    }

    /// Goes on counting from what a daemon before this one had counted of `app`.
    pub fn resume(&self, app: &AppName, tally: Tally) {
        self.tallies().raise(app, tally);
    }

    /// How many operations ended so far.
    pub fn ends(&self) -> Ends {
        self.site.ends()
    }

    /// Goes on counting operations from what a daemon before this one had counted.
    pub fn resume_ends(&self, ends: &Ends) {
        self.site.raise(ends);
    }

    /// What may not go back.
    pub fn told(&self) -> ToldRecord {
        let tallies = self.tallies().clone();
        self.told_of(&tallies)
    }

    /// The configuration was read again and taken over.
    pub fn reload_succeeded(&self, at: SystemTime) {
        self.site.reload_succeeded(at);
    }

    /// The configuration was read again and refused; the one before it is in force.
    pub fn reload_failed(&self) {
        self.site.reload_failed();
    }

    /// Everything, as text for Prometheus.
    ///
    /// Takes some milliseconds with a thousand apps: not for the thread of the loop.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let tallies = self.tallies().clone();
        let rows = traffic::rows(&self.sources, &tallies);
        for (family, read) in &traffic::FAMILIES {
            let mut samples = Samples::of(family, &mut text);
            rows.iter().for_each(|row| read(row, &mut samples));
        }
        self.site.write(&mut text);
        Usage::now().write(&mut text);
        if let Some(file) = &self.told {
            file.write(&self.told_of(&tallies));
        }
        text
    }

    /// What may not go back. Read after what is told of the workers, and so not behind it.
    fn told_of(&self, tallies: &Tallies) -> ToldRecord {
        let Sources { board, scoreboard, journal, .. } = &self.sources;
        let dropped = journal.dropped_lines();
        let told = |app: AppName| {
            let (totals, saturated) = (scoreboard.totals(&app), scoreboard.saturated(&app));
            let tally = tallies.app(&app);
            let lines_dropped = dropped.get(&app).copied().unwrap_or_default();
            (app, Told { totals, saturated, tally, lines_dropped })
        };
        let apps = board.pools().into_keys().map(told).collect();
        ToldRecord { apps, ends: self.ends() }
    }

    fn tallies(&self) -> MutexGuard<'_, Tallies> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod dashboard_tests;
#[cfg(test)]
mod tests;
