//! One upgrade of the daemon: another scgid in its place, and what must be the same after it.
//!
//! An app that was at rest before and after, in the same generation, was not rolled meanwhile: it
//! must have the very workers it had.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use scgi_protocol::control::{AppDetail, AppState, Status, Timestamp, WorkerState};
use scgi_protocol::name::Generation;
use scgi_tests::{Daemon, eventually};

use crate::world::App;

/// How an upgrade is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// `scgictl upgrade`.
    Command,
    /// SIGUSR2.
    Signal,
}

/// What came of one.
#[derive(Clone, Debug)]
pub(crate) struct Upgraded {
    /// From the order until the other one answered.
    pub(crate) took: Duration,
    /// How many apps were at rest before and after.
    pub(crate) compared: usize,
    /// What was not as it must be, in sentences.
    pub(crate) breaches: Vec<String>,
}

/// The workers of the apps at rest, with their generation.
type Rest = BTreeMap<App, (Generation, Vec<i32>)>;

/// Puts the same program in the daemon's place, and returns once that answers.
pub(crate) fn upgrade(daemon: &mut Daemon, way: Way) -> Upgraded {
    let (before, rested) = (daemon.status().daemon, at_rest(daemon));
    let began = Instant::now();
    let outcome = order(daemon, way, before.since);
    let took = began.elapsed();
    let after = daemon.status().daemon;
    let rests = at_rest(daemon);

    let mut breaches: Vec<_> = outcome.err().into_iter().collect();
    if !daemon.is_alive() || after.pid != before.pid {
        breaches.push(format!("an upgrade made process {} of {}", after.pid, before.pid));
    }
    let same = |(app, (generation, workers)): (&App, &(Generation, Vec<i32>))| {
        let (_, later) = rests.get(app).filter(|(later, _)| later == generation)?;
        Some((app.name(), workers.clone(), later.clone()))
    };
    let pairs: Vec<_> = rested.iter().filter_map(same).collect();
    for (name, workers, later) in pairs.iter().filter(|(_, workers, later)| workers != later) {
        breaches.push(format!("{name}: an upgrade made workers {later:?} of {workers:?}"));
    }
    Upgraded { took, compared: pairs.len(), breaches }
}

/// Asks for it, and waits until a daemon answers that has not been one `since` then.
fn order(daemon: &Daemon, way: Way, since: Timestamp) -> Result<(), String> {
    match way {
        Way::Command => {
            let said = daemon.scgictl("upgrade");
            let failed = said.code != Some(0);
            if failed { Err(format!("`scgictl upgrade`: {said:?}")) } else { Ok(()) }
        }
        Way::Signal => {
            daemon.signal(Signal::SIGUSR2);
            eventually("another scgid answers after SIGUSR2", || {
                let answer = daemon.ask("GET", "/v1/status", "");
                answer.is_ok_and(|answer| answer.json::<Status>().daemon.since != since)
            });
            Ok(())
        }
    }
}

/// What there is to compare: pools of a fixed size that are not being rolled.
fn at_rest(daemon: &Daemon) -> Rest {
    let look = |app: App| {
        let AppDetail { app: known, workers_now, .. } = daemon.describe(app.name());
        let serves = |state| matches!(state, WorkerState::Idle | WorkerState::Busy);
        // A template leaves with its daemon.
        let workers = workers_now.iter().filter(|worker| !worker.template);
        let serving = workers.filter(|worker| serves(worker.state));
        let pids = serving.filter_map(|worker| worker.pid).collect();
        (known.state == AppState::Serving).then_some((app, (known.generation, pids)))
    };
    App::ALL.into_iter().filter(|app| app.workers_at_rest() > 0).filter_map(look).collect()
}
