//! Operations as lines: under way, done, failed.

use scgi_protocol::control::{App, AppFailure, Operation, OperationState, Verb};

use super::text;

/// Of how many apps it is told what went wrong; of the others the names.
const APPS_TOLD: usize = 3;

/// How far an operation is, in a line.
pub(crate) fn progress(operation: &Operation) -> String {
    let Operation { verb, progress, .. } = operation;
    let progress = if progress.is_empty() { "under way" } else { progress };
    text::one_line(&format!("{}: {}: {progress}", subject(operation), verb.as_str()))
}

/// How far an app is that an operation of the site waits for, in a line.
pub(crate) fn of_app(app: &App) -> String {
    let App { name, state, workers, generation, .. } = app;
    let (serving, wanted, state) = (workers.serving, workers.wanted, state.as_str());
    format!("{name}: {state}, {serving} of {wanted} workers serving, generation {generation}")
}

/// How an operation has ended, in a line.
pub(crate) fn end(operation: &Operation) -> String {
    let (subject, verb) = (subject(operation), operation.verb);
    let took = took(operation);
    text::one_line(&match operation.state {
        OperationState::Done => {
            let so = Some(operation.progress.as_str()).filter(|so| !so.is_empty());
            let so = so.map_or_else(String::new, |so| format!(", {so}"));
            let took = took.map_or_else(String::new, |took| format!(" ({took})"));
            format!("{subject}: {}{so}{took}", done(verb))
        }
        OperationState::Failed => {
            let reason = reason(operation);
            let took = took.map_or_else(String::new, |took| format!(" after {took}"));
            format!("{subject}: {} failed{took}: {reason}", verb.as_str())
        }
        OperationState::Running => progress(operation),
    })
}

/// What shows why an operation failed, a line each: of one that is about an app what its worker
/// wrote, else app by app what went wrong there.
pub(crate) fn evidence(operation: &Operation) -> Vec<String> {
    if let (Some(_), _) | (None, [_]) = (&operation.app, &operation.failures[..]) {
        let of_one = operation.failures.first().map(|failure| &failure.evidence);
        return lines(of_one.unwrap_or(&operation.evidence), 2);
    }
    let (told, more) = operation.failures.split_at(operation.failures.len().min(APPS_TOLD));
    let told = told.iter().flat_map(|AppFailure { app, reason, evidence }| {
        let why = text::one_line(&format!("  {app}: {reason}"));
        std::iter::once(why).chain(lines(evidence, 4))
    });
    let names: Vec<&str> = more.iter().map(|failure| failure.app.as_str()).collect();
    let more =
        (!more.is_empty()).then(|| format!("  and {} more: {}", more.len(), names.join(", ")));
    told.chain(more).collect()
}

/// Lines that a worker wrote.
fn lines(written: &[String], indent: usize) -> Vec<String> {
    let line = |line: &String| format!("{:indent$}| {}", "", text::one_line(line.trim_end()));
    written.iter().map(line).collect()
}

/// What a person can do about a failed operation, if the daemon knows.
pub(crate) fn next(operation: &Operation) -> Option<String> {
    operation.next.as_ref().map(|next| format!("  next: {}", text::one_line(next)))
}

/// Why it failed; how many apps, if what went wrong is told below, app by app.
fn reason(operation: &Operation) -> String {
    match (&operation.app, &operation.failures[..]) {
        (None, [_, _, ..]) => format!("{} apps", operation.failures.len()),
        _ => operation.reason.clone().unwrap_or_else(|| "the daemon gives no reason".to_owned()),
    }
}

fn subject(operation: &Operation) -> String {
    match (&operation.app, operation.verb) {
        (Some(app), _) => app.to_string(),
        (None, Verb::Apply) => "configuration".to_owned(),
        (None, Verb::Shutdown) => "scgid".to_owned(),
        (None, _) => "all apps".to_owned(),
    }
}

fn done(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "started",
        Verb::Stop => "stopped",
        Verb::Restart => "restarted",
        Verb::Reload => "reloaded",
        Verb::Scale => "scaled",
        Verb::Retry => "retried",
        Verb::Pause => "roll paused",
        Verb::Resume => "roll resumed",
        Verb::Undo => "roll undone",
        Verb::Apply => "taken over",
        Verb::Shutdown => "ended",
    }
}

fn took(operation: &Operation) -> Option<String> {
    operation.ended.map(|ended| text::took(operation.since.age(ended)))
}
