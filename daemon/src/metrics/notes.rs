//! A note becomes a log line and a count, in one match, so that the two cannot drift apart.
//!
//! The only place that logs what the supervisor tells. Messages are fixed; what varies is a field.
//! Logging comes first and holds no lock, so a slow reader of the log never holds up a scrape.

use std::collections::BTreeMap;
use std::time::Duration;

use scgi_protocol::control::Verb;
use scgi_protocol::name::{AppName, OperationId};
use serde::{Deserialize, Serialize};
use tracing::field::display;
use tracing::{error, info, warn};

use super::site::{DONE, FAILED};
use crate::supervisor::{About, Cause, Note, Pid, Role};

/// What a note adds to the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count<'a> {
    /// Something about an app.
    App(&'a AppName, AppCount),
    /// An operation has ended, and how.
    Operation(Verb, &'static str),
}

/// What a note adds to the counts of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AppCount {
    /// A worker of its program is no more.
    Exit(Cause),
    /// A pause before another attempt.
    Backoff,
    /// It is no more, and its counts with it.
    Forget,
}

/// What was counted of every app's notes.
#[derive(Clone, Debug, Default)]
pub(super) struct Tallies {
    apps: BTreeMap<AppName, Tally>,
}

/// What was counted of one app's notes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    exits: [u64; Cause::ALL.len()],
    /// Pauses before another attempt.
    pub(super) backoffs: u64,
}

impl Tally {
    /// Workers that are no more, by cause.
    pub(super) fn exits(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.into_iter().zip(self.exits)
    }

    fn count_exit(&mut self, cause: Cause) {
        let at = Cause::ALL.iter().position(|other| *other == cause);
        self.exits[at.expect("every cause is in the list of all")] += 1;
    }
}

impl Tallies {
    /// What was counted of `app`.
    pub(super) fn app(&self, app: &AppName) -> Tally {
        self.apps.get(app).copied().unwrap_or_default()
    }

    /// Counts of `app` that are behind `least` are brought up to it.
    pub(super) fn raise(&mut self, app: &AppName, least: Tally) {
        let tally = self.apps.entry(app.clone()).or_default();
        for (count, least) in tally.exits.iter_mut().zip(least.exits) {
            *count = least.max(*count);
        }
        tally.backoffs = least.backoffs.max(tally.backoffs);
    }

    /// Adds to the counts.
    pub(super) fn add(&mut self, app: &AppName, count: AppCount) {
        let tally = self.apps.entry(app.clone()).or_default();
        match count {
            AppCount::Exit(cause) => tally.count_exit(cause),
            AppCount::Backoff => tally.backoffs += 1,
            AppCount::Forget => drop(self.apps.remove(app)),
        }
    }
}

/// Logs `note`; what it adds to the counts, if a gauge does not show it already.
pub(super) fn log(note: &Note) -> Option<Count<'_>> {
    let mut count = None;
    match note {
        Note::WorkerReady { about, pid, took } => log_ready(about, *pid, *took),
        Note::WorkerKilled { about, cause, after } => log_killed(about, *cause, *after),
        Note::WorkerUnhealthy { about, how } => log_unhealthy(about, how),
        Note::WorkerGone { about, cause, how, lived } => {
            let exit = Count::App(&about.app, AppCount::Exit(*cause));
            count = (about.role == Role::App).then_some(exit);
            log_gone(about, *cause, how, *lived);
        }
        Note::BackingOff { app, pause, deaths } => {
            count = Some(Count::App(app, AppCount::Backoff));
            let pause_ms = pause.as_millis();
            warn!(%app, deaths, pause_ms, "pausing before the next worker is started");
        }
        Note::Held { app, generation, how } => {
            error!(%app, %generation, how, "generation held; the one before it serves on");
        }
        Note::Failing { app, generation, how } => {
            error!(%app, %generation, how, "app failing; its workers keep dying");
        }
        Note::Recovered { app } => info!(%app, "app recovered"),
        Note::Rolled { app, generation } => info!(%app, %generation, "generation took over"),
        Note::Paused { app, paused } => info!(%app, paused, "roll paused or resumed"),
        Note::Undone { app, generation } => warn!(%app, %generation, "generation undone"),
        Note::Resized { app, from, to } => info!(%app, from, to, "pool resized"),
        Note::Added { app } => info!(%app, "app added"),
        Note::Removed { app } => {
            count = Some(Count::App(app, AppCount::Forget));
            info!(%app, "app removed");
        }
        Note::Stopped { app } => info!(%app, "app stopped"),
        Note::Unprepared { app, why } => error!(%app, error = why, "app not prepared"),
        Note::OperationBegan { operation, verb, app } => {
            let (app, verb) = (app.as_ref().map(display), verb.as_str());
            info!(%operation, verb, app, "operation began");
        }
        Note::OperationEnded { operation, verb, app, failure } => {
            let result = if failure.is_some() { FAILED } else { DONE };
            count = Some(Count::Operation(*verb, result));
            log_ended(*operation, *verb, app.as_ref(), failure.as_deref());
        }
    }
    count
}

fn log_ready(about: &About, pid: Pid, took: Duration) {
    let About { app, seat, worker, generation, role } = about;
    let (role, took_ms) = (word(*role), took.as_millis());
    info!(%app, %seat, %worker, %generation, role, pid, took_ms, "worker ready");
}

fn log_killed(about: &About, cause: Cause, after: Duration) {
    let About { app, seat, worker, generation, role } = about;
    let (role, reason, after_ms) = (word(*role), cause.label(), after.as_millis());
    warn!(%app, %seat, %worker, %generation, role, reason, after_ms, "worker killed; out of time");
}

fn log_unhealthy(about: &About, how: &str) {
    let About { app, seat, worker, generation, role: _ } = about;
    warn!(%app, %seat, %worker, %generation, how, "worker not healthy; asked to leave");
}

fn log_gone(about: &About, cause: Cause, how: &str, lived: Duration) {
    let About { app, seat, worker, generation, role } = about;
    let (role, reason, lived_ms) = (word(*role), cause.label(), lived.as_millis());
    if cause.is_death() {
        warn!(%app, %seat, %worker, %generation, role, reason, how, lived_ms, "worker died");
    } else {
        info!(%app, %seat, %worker, %generation, role, reason, how, lived_ms, "worker gone");
    }
}

fn log_ended(operation: OperationId, verb: Verb, app: Option<&AppName>, failure: Option<&str>) {
    let (app, verb) = (app.map(display), verb.as_str());
    match failure {
        Some(error) => warn!(%operation, verb, app, error, "operation failed"),
        None => info!(%operation, verb, app, "operation done"),
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::App => "app",
        Role::Relief => "relief",
        Role::Template => "template",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use scgi_protocol::name::{Generation, Seat, WorkerId};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    fn app() -> AppName {
        "shop".parse().unwrap()
    }

    fn about(role: Role) -> About {
        let (seat, worker, generation) = (Seat(2), WorkerId(17), Generation(3));
        About { app: app(), seat, worker, generation, role }
    }

    fn gone(role: Role, cause: Cause) -> Note {
        let how = "signal 9 (KILL)".to_owned();
        Note::WorkerGone { about: about(role), cause, how, lived: Duration::from_secs(60) }
    }

    /// One note of every kind, and of every outcome that is told in another way.
    fn notes() -> Vec<Note> {
        let (app, generation, how) = (app(), Generation(3), "exit 1".to_owned());
        let (operation, verb, some) = (OperationId(5), Verb::Reload, Some(app.clone()));
        let ended = |failure| Note::OperationEnded { operation, verb, app: some.clone(), failure };
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        vec![
            Note::WorkerReady { about: about(Role::App), pid: 4711, took: second },
            Note::WorkerKilled {
                about: about(Role::Relief),
                cause: Cause::StopTimeout,
                after: minute,
            },
            gone(Role::App, Cause::Signalled),
            gone(Role::App, Cause::Rolled),
            Note::BackingOff { app: app.clone(), pause: second, deaths: 3 },
            Note::Held { app: app.clone(), generation, how: how.clone() },
            Note::Failing { app: app.clone(), generation, how },
            Note::Recovered { app: app.clone() },
            Note::Rolled { app: app.clone(), generation },
            Note::Resized { app: app.clone(), from: 2, to: 4 },
            Note::Added { app: app.clone() },
            Note::Removed { app: app.clone() },
            Note::Stopped { app: app.clone() },
            Note::Unprepared { app, why: "no such user `bob`".into() },
            Note::OperationBegan { operation, verb, app: None },
            ended(None),
            ended(Some("generation 3 is held".into())),
        ]
    }

    fn tell(tallies: &mut Tallies, note: &Note) {
        if let Some(Count::App(app, count)) = log(note) {
            tallies.add(app, count);
        }
    }

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Paper {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn every_note_is_one_line_of_the_log() {
        let paper = Paper::default();
        let layer = tracing_subscriber::fmt().with_writer(paper.clone()).with_ansi(false);
        let told = notes();

        tracing::subscriber::with_default(layer.without_time().with_target(false).finish(), || {
            for note in &told {
                let _count = log(note);
            }
        });

        let log = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.lines().count(), told.len());
        insta::assert_snapshot!(log);
    }

    #[test]
    fn an_exit_is_counted_by_its_cause_and_never_for_relief() {
        let mut tallies = Tallies::default();

        tell(&mut tallies, &gone(Role::App, Cause::Signalled));
        tell(&mut tallies, &gone(Role::App, Cause::Signalled));
        tell(&mut tallies, &gone(Role::App, Cause::Rolled));
        tell(&mut tallies, &gone(Role::Relief, Cause::Stopped));

        let counted: Vec<_> = tallies.app(&app()).exits().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(Cause::Signalled, 2), (Cause::Rolled, 1)]);
    }

    #[test]
    fn a_removed_app_takes_its_counts_with_it() {
        let mut tallies = Tallies::default();
        tell(&mut tallies, &gone(Role::App, Cause::Failed));

        tell(&mut tallies, &Note::Removed { app: app() });

        assert!(tallies.app(&app()).exits().all(|(_, count)| count == 0));
    }

    #[test]
    fn an_operation_is_counted_when_it_ends_by_what_became_of_it() {
        let notes = notes();

        let counts = notes.iter().filter_map(log);
        let ended = counts.filter(|count| matches!(count, Count::Operation(..)));

        let expected = ["done", "failed"].map(|result| Count::Operation(Verb::Reload, result));
        assert_eq!(ended.collect::<Vec<_>>(), expected);
    }
}
