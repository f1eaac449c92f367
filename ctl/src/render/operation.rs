//! Operations as lines: under way, done, failed.

use scgi_protocol::control::{Operation, OperationState, Verb};

use super::text;

/// How far an operation is, in a line.
pub(crate) fn progress(operation: &Operation) -> String {
    let Operation { verb, progress, .. } = operation;
    let progress = if progress.is_empty() { "under way" } else { progress };
    text::one_line(&format!("{}: {}: {progress}", subject(operation), verb.as_str()))
}

/// How an operation has ended, in a line.
pub(crate) fn end(operation: &Operation) -> String {
    let Operation { verb, state, progress, .. } = operation;
    let (subject, took) = (subject(operation), took(operation));
    let after = took.as_ref().map_or_else(String::new, |took| format!(" after {took}"));
    let took = took.map_or_else(String::new, |took| format!(" ({took})"));
    let how_far = if progress.is_empty() { String::new() } else { format!(", {progress}") };
    text::one_line(&match state {
        OperationState::Done => format!("{subject}: {}{how_far}{took}", done(*verb)),
        OperationState::Failed => {
            let reason = operation.reason.as_deref().unwrap_or("the daemon gives no reason");
            format!("{subject}: {} failed{after}: {reason}", verb.as_str())
        }
        OperationState::Running => format!("{subject}: {} under way{how_far}", verb.as_str()),
    })
}

/// What shows why an operation failed, a line each.
pub(crate) fn evidence(operation: &Operation) -> Vec<String> {
    operation
        .evidence
        .iter()
        .map(|line| format!("  | {}", text::one_line(line.trim_end())))
        .collect()
}

/// What a person can do about a failed operation that its app does not know better.
pub(crate) fn next_step(operation: &Operation) -> String {
    match (&operation.app, operation.verb) {
        (Some(app), _) => format!("`scgictl describe {app}` shows its last events and lines"),
        (None, Verb::Apply) => "`scgictl check` finds what is wrong with the file".to_owned(),
        (None, _) => "`scgictl events` shows what happened".to_owned(),
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
        Verb::Retry => "tried again",
        Verb::Apply => "taken over",
        Verb::Shutdown => "ended",
    }
}

fn took(operation: &Operation) -> Option<String> {
    operation.ended.map(|ended| text::took(operation.since.age(ended)))
}
