//! Tales: what a note of the core says to a person.
//!
//! A note's log line and counter are made elsewhere, with values as fields; here the values stand
//! in the sentence, since an event is read by somebody who has nothing else before them.

use std::time::Duration;

use scgi_protocol::control::{Event, Level, Timestamp, Verb};
use scgi_protocol::name::{AppName, Generation, OperationId, Seat, WorkerId};

use crate::supervisor::{About, Cause, Note, Pid, Role};

/// An event that has no number and no time yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tale {
    level: Level,
    kind: &'static str,
    message: String,
    app: Option<AppName>,
    worker: Option<(Seat, WorkerId)>,
    generation: Option<Generation>,
    operation: Option<OperationId>,
}

impl Tale {
    /// A tale about the daemon as a whole; `kind` is a word of a fixed set, `message` a sentence.
    pub fn new(level: Level, kind: &'static str, message: String) -> Self {
        Self { level, kind, message, app: None, worker: None, generation: None, operation: None }
    }

    /// What a note says.
    pub fn of(note: &Note) -> Self {
        let info = |kind, message: &str| Self::new(Level::Info, kind, message.to_owned());
        match note {
            Note::WorkerReady { about, pid, took } => ready(about, *pid, *took),
            Note::WorkerKilled { about, cause, after } => killed(about, *cause, *after),
            Note::WorkerUnhealthy { about, how } => unhealthy(about, how),
            Note::WorkerGone { about, cause, how, lived } => gone(about, *cause, how, *lived),
            Note::BackingOff { app, pause, deaths } => backing_off(*pause, *deaths).about(app),
            Note::Held { app, generation, how } => held(*generation, how).about(app),
            Note::Failing { app, generation, how } => failing(*generation, how).about(app),
            Note::Recovered { app } => info("recovered", "it serves as wanted again").about(app),
            Note::Rolled { app, generation } => rolled(*generation).about(app),
            Note::Paused { app, paused: true } => {
                info("paused", "its roll was paused; both generations serve").about(app)
            }
            Note::Paused { app, paused: false } => info("resumed", "its roll goes on").about(app),
            Note::Undone { app, generation } => undone(*generation).about(app),
            Note::Resized { app, from, to } => resized(*from, *to).about(app),
            Note::Added { app } => info("added", "it became part of the site").about(app),
            Note::Removed { app } => {
                info("removed", "it is no longer part of the site; its last worker is gone")
                    .about(app)
            }
            Note::Stopped { app } => {
                info("stopped", "it was stopped; its last worker is gone").about(app)
            }
            Note::Unprepared { app, why } => {
                let message = format!("it could not be prepared: {why}");
                Self::new(Level::Error, "unprepared", message).about(app)
            }
            Note::OperationBegan { operation, verb, app } => {
                began(*operation, *verb).about_some(app.as_ref())
            }
            Note::OperationEnded { operation, verb, app, failure } => {
                ended(*operation, *verb, failure.as_deref()).about_some(app.as_ref())
            }
        }
    }

    /// The same tale, about an app.
    #[must_use]
    pub fn about(self, app: &AppName) -> Self {
        self.about_some(Some(app))
    }

    fn about_some(self, app: Option<&AppName>) -> Self {
        Self { app: app.cloned(), ..self }
    }

    fn about_worker(self, about: &About) -> Self {
        let About { app, seat, worker, generation, role: _ } = about;
        let worker = Some((*seat, *worker));
        Self { worker, ..self }.about(app).of_generation(*generation)
    }

    fn of_generation(self, generation: Generation) -> Self {
        Self { generation: Some(generation), ..self }
    }

    pub(super) fn into_event(self, id: u64, at: Timestamp) -> Event {
        let Self { level, kind, message, app, worker, generation, operation } = self;
        Event {
            id,
            at,
            level,
            kind: kind.to_owned(),
            app,
            seat: worker.map(|(seat, _)| seat),
            worker: worker.map(|(_, worker)| worker),
            generation,
            operation,
            message,
        }
    }
}

fn ready(about: &About, pid: Pid, took: Duration) -> Tale {
    let (who, took, generation) = (name(about), span(took), about.generation);
    let message = format!("{who} is ready after {took} (pid {pid}, generation {generation})");
    Tale::new(Level::Info, "worker-ready", message).about_worker(about)
}

fn killed(about: &About, cause: Cause, after: Duration) -> Tale {
    let late = if cause == Cause::StartTimeout { "ready" } else { "gone" };
    let message = format!("{} was killed: it was not {late} after {}", name(about), span(after));
    Tale::new(Level::Warn, "worker-killed", message).about_worker(about)
}

fn unhealthy(about: &About, how: &str) -> Tale {
    let message = format!("{} is not healthy and was asked to leave: {how}", name(about));
    Tale::new(Level::Warn, "worker-unhealthy", message).about_worker(about)
}

fn gone(about: &About, cause: Cause, how: &str, lived: Duration) -> Tale {
    let (who, lived) = (name(about), span(lived));
    let message = match cause {
        Cause::Left => format!("{who} left by itself after {lived}: {how}"),
        Cause::Failed | Cause::Signalled => format!("{who} died after {lived}: {how}"),
        Cause::NotStarted => format!("{who} could not be started: {how}"),
        Cause::StartTimeout => format!("{who} is gone, killed because it was not ready: {how}"),
        Cause::Unhealthy => format!("{who} has left since it was not healthy: {how}"),
        Cause::StopTimeout => format!("{who} is gone, killed because it did not leave: {how}"),
        Cause::Rolled => format!("{who} has left for a newer one after {lived}: {how}"),
        Cause::ScaledDown => format!("{who} has left after {lived} since fewer are wanted: {how}"),
        Cause::Stopped => format!("{who} has left as asked after {lived}: {how}"),
    };
    let bad = cause.is_death() || cause == Cause::StopTimeout;
    let level = if bad { Level::Warn } else { Level::Info };
    Tale::new(level, "worker-gone", message).about_worker(about)
}

fn backing_off(pause: Duration, deaths: u32) -> Tale {
    let (pause, deaths) = (span(pause), count(deaths, "death"));
    let message = format!("the next worker has to wait {pause} after {deaths} in a row");
    Tale::new(Level::Warn, "backing-off", message)
}

fn held(generation: Generation, how: &str) -> Tale {
    let message = format!(
        "generation {generation} is held: its workers kept dying, the last: {how}; \
         the one before it serves on"
    );
    Tale::new(Level::Error, "held", message).of_generation(generation)
}

fn failing(generation: Generation, how: &str) -> Tale {
    let message = format!(
        "generation {generation} is failing: its workers keep dying, the last: {how}, and no other one serves"
    );
    Tale::new(Level::Error, "failing", message).of_generation(generation)
}

fn rolled(generation: Generation) -> Tale {
    let message = format!("generation {generation} has taken over every seat");
    Tale::new(Level::Info, "rolled", message).of_generation(generation)
}

fn undone(generation: Generation) -> Tale {
    let message = format!("an operator undid generation {generation}; the one before it returns");
    Tale::new(Level::Warn, "undone", message).of_generation(generation)
}

fn resized(from: u16, to: u16) -> Tale {
    let workers = count(u32::from(to), "worker");
    Tale::new(Level::Info, "resized", format!("{workers} wanted, {from} before"))
}

fn began(operation: OperationId, verb: Verb) -> Tale {
    let message = format!("operation {operation} began: {}", verb.as_str());
    let tale = Tale::new(Level::Info, "operation-began", message);
    Tale { operation: Some(operation), ..tale }
}

fn ended(operation: OperationId, verb: Verb, failure: Option<&str>) -> Tale {
    let verb = verb.as_str();
    let tale = match failure {
        None => {
            let message = format!("operation {operation} is done: {verb}");
            Tale::new(Level::Info, "operation-done", message)
        }
        Some(why) => {
            let message = format!("operation {operation} has failed: {verb}: {why}");
            Tale::new(Level::Warn, "operation-failed", message)
        }
    };
    Tale { operation: Some(operation), ..tale }
}

fn name(about: &About) -> String {
    match about.role {
        Role::App => format!("worker {} in seat {}", about.worker, about.seat),
        Role::Relief => format!("relief worker {} in seat {}", about.worker, about.seat),
        Role::Template => format!("template {}", about.worker),
    }
}

/// A duration as a person says it: milliseconds below ten seconds, seconds above.
fn span(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..10_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => humantime::format_duration(Duration::from_secs(ms / 1000)).to_string(),
    }
}

fn count(number: u32, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(role: Role) -> About {
        About {
            app: "shop".parse().unwrap(),
            seat: Seat(0),
            worker: WorkerId(12),
            generation: Generation(1),
            role,
        }
    }

    fn told(note: &Note) -> String {
        let tale = Tale::of(note);
        format!("{:?} {} | {}", tale.level, tale.kind, tale.message)
    }

    #[test]
    fn a_life_is_told_in_plain_words_with_its_numbers() {
        let (lived, took) = (Duration::from_secs(3725), Duration::from_millis(35));
        let app = about(Role::App);
        let gone = |cause, how: &str| {
            told(&Note::WorkerGone { about: app.clone(), cause, how: how.to_owned(), lived })
        };
        let tales = [
            told(&Note::WorkerReady { about: app.clone(), pid: 4711, took }),
            told(&Note::WorkerReady { about: about(Role::Relief), pid: 4712, took }),
            gone(Cause::Left, "exit 0"),
            gone(Cause::Failed, "exit 1"),
            gone(Cause::NotStarted, "no such file"),
            gone(Cause::Rolled, "exit 0"),
            told(&Note::WorkerKilled {
                about: app.clone(),
                cause: Cause::StartTimeout,
                after: Duration::from_millis(2500),
            }),
        ];

        insta::assert_snapshot!(tales.join("\n"), @r"
        Info worker-ready | worker 12 in seat 0 is ready after 35ms (pid 4711, generation 1)
        Info worker-ready | relief worker 12 in seat 0 is ready after 35ms (pid 4712, generation 1)
        Warn worker-gone | worker 12 in seat 0 left by itself after 1h 2m 5s: exit 0
        Warn worker-gone | worker 12 in seat 0 died after 1h 2m 5s: exit 1
        Warn worker-gone | worker 12 in seat 0 could not be started: no such file
        Info worker-gone | worker 12 in seat 0 has left for a newer one after 1h 2m 5s: exit 0
        Warn worker-killed | worker 12 in seat 0 was killed: it was not ready after 2.5s
        ");
    }

    #[test]
    fn an_event_carries_all_that_the_note_names() {
        let note = Note::WorkerReady { about: about(Role::App), pid: 1, took: Duration::ZERO };
        let at = std::time::SystemTime::UNIX_EPOCH.into();

        let event = Tale::of(&note).into_event(7, at);

        assert_eq!((event.id, event.at, event.kind.as_str()), (7, at, "worker-ready"));
        assert_eq!(event.app, Some("shop".parse().unwrap()));
        assert_eq!((event.seat, event.worker), (Some(Seat(0)), Some(WorkerId(12))));
        assert_eq!(event.generation, Some(Generation(1)));
    }

    #[test]
    fn an_operation_that_failed_says_why() {
        let note = Note::OperationEnded {
            operation: OperationId(3),
            verb: Verb::Reload,
            app: Some("shop".parse().unwrap()),
            failure: Some("generation 2 is held: exit 1".into()),
        };

        assert_eq!(
            told(&note),
            "Warn operation-failed | \
             operation 3 has failed: reload: generation 2 is held: exit 1"
        );
        assert_eq!(Tale::of(&note).operation, Some(OperationId(3)));
    }
}
